//! Checking in an application's own tests that it records what it does.

use serde_json::Value;

use crate::auditor::Auditor;

/// Asserts that an auditor [`Auditor::in_memory`] has taken an event with these members, and returns the first such.
///
/// A member is named as on the wire, one inside another by `/`: `"user/username"`, `"after/text"`. Of both sides of a change only the fields that differ
/// are there.
///
/// # Examples
/// ```
/// use annals_client::{Auditor, Event, assert_audited};
///
/// let auditor = Auditor::in_memory();
/// auditor.emit(&Event::new("stop", "workspace", "w-1").user("u-7", "demo-dev-1").status(200))?;
/// let event = assert_audited!(auditor, "action" => "stop", "user/username" => "demo-dev-1", "status_code" => 200);
/// assert_eq!(event["resource_target"], "w-1");
/// # Ok::<(), annals_client::EmitError>(())
/// ```
#[macro_export]
macro_rules! assert_audited {
    ($auditor:expr, $($member:expr => $value:expr),+ $(,)?) => {
        $crate::__private::audited(&$auditor, &[$(($member, $crate::__private::Value::from($value))),+])
    };
}

/// The first event with these members.
///
/// # Panics
/// If there is none.
#[doc(hidden)]
pub fn audited(auditor: &Auditor, expected: &[(&str, Value)]) -> Value {
    let taken = auditor.taken();
    let fits = |event: &&Value| {
        expected
            .iter()
            .all(|(member, value)| event.pointer(&format!("/{member}")).unwrap_or(&Value::Null) == value)
    };
    let found = taken.iter().find(fits).cloned();
    found.unwrap_or_else(|| {
        let expected: Vec<String> =
            expected.iter().map(|(member, value)| format!("{member}: {value}")).collect();
        let taken: String = taken.iter().map(|event| format!("\n  {event}")).collect();
        panic!("no event was recorded with {}; recorded were:{taken}", expected.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use crate::{Auditor, Event};

    #[test]
    #[should_panic(
        expected = "no event was recorded with action: \"start\"; recorded were:\n  {\"action\":\"stop\""
    )]
    fn what_was_recorded_is_said() {
        let auditor = Auditor::in_memory();
        auditor.emit(&Event::new("stop", "workspace", "w-1")).unwrap();
        assert_audited!(auditor, "action" => "start");
    }
}
