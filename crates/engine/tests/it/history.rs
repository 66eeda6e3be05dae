//! One resource over time: its events in order, and its state after any of them.

use annals_engine::{
    HISTORY_ROWS, HistoryRequest, NewOrganization, OrganizationRole, Principal, Role, SearchError, StateValue,
};

use crate::support::{TestLog, add_person, log_in};

struct Seen {
    count: u64,
    page: u64,
    /// Seqs of the page.
    seqs: Vec<u64>,
    /// The state as `field=value`.
    state: Option<Vec<String>>,
    is_deleted: bool,
}

fn look(
    log: &TestLog,
    who: &Principal,
    kind: &str,
    id: &str,
    at: Option<u64>,
    page: Option<u64>,
) -> Option<Seen> {
    let request = HistoryRequest { resource_type: kind, resource_id: id, at, page };
    let history = log.engine.history(who, &request, |found| Ok(found.added.seq)).unwrap()?;
    let is_deleted = history.state.as_ref().is_some_and(|state| state.is_deleted);
    let state = history.state.map(|state| {
        let fields = state.fields.iter();
        fields
            .map(|(name, field)| match &field.value {
                StateValue::Set(text) => format!("{name}={text}"),
                other => format!("{name}:{other:?}"),
            })
            .collect()
    });
    Some(Seen { count: history.count, page: history.page, seqs: history.events, state, is_deleted })
}

/// A change of the template `t`, at a second of a minute.
fn event(action: &str, second: u32, status: u16, before: &str, after: &str, more: &str) -> String {
    format!(
        r#"{{"action":"{action}","resource_type":"template","resource_target":"t","resource_id":"t-1","status_code":{status},
            "time":"2026-01-02T03:04:{second:02}Z","before":{before},"after":{after}{more}}}"#
    )
}

#[test]
fn a_resource_is_rebuilt_after_each_of_its_events() {
    let log = TestLog::new();
    let events = [
        event("create", 1, 201, "null", r#"{"name":"one","description":"d","user_acl":{"a":1}}"#, ""),
        event("write", 2, 500, r#"{"name":"one"}"#, r#"{"name":"not taken"}"#, ""),
        event(
            "write",
            4,
            200,
            r#"{"name":"two","description":"d"}"#,
            r#"{"name":"two","description":null}"#,
            "",
        ),
        // It came late, and happened before the one above.
        event("write", 3, 200, r#"{"name":"one"}"#, r#"{"name":"two"}"#, ""),
        event("write", 5, 200, r#"{"nobody_knows":"x"}"#, r#"{"nobody_knows":"y"}"#, ""),
        event("open", 6, 200, "null", "null", ""),
        event("delete", 7, 200, r#"{"name":"two"}"#, "null", ""),
    ];
    log.append(&format!("[{}]", events.join(","))).unwrap();
    let operator = Principal::operator();
    let all = look(&log, &operator, "template", "t-1", None, None).unwrap();
    assert_eq!((all.count, all.page, &all.seqs[..]), (7, 1, &[0, 1, 3, 2, 4, 5, 6][..]), "in order of time");
    assert!(all.is_deleted);
    let first = ["description=\"d\"", "name=\"one\"", "user_acl={\"a\":1}"].map(str::to_owned).to_vec();
    let two = ["description=\"d\"", "name=\"two\"", "user_acl={\"a\":1}"].map(str::to_owned).to_vec();
    let mut without = two.clone();
    without[0] = "description:Unset".to_owned();
    let mut withheld = without.clone();
    withheld.insert(2, "nobody_knows:Withheld".to_owned());
    for (seq, expect) in
        [(0, &first), (1, &first), (3, &two), (2, &without), (4, &withheld), (5, &withheld), (6, &Vec::new())]
    {
        let then = look(&log, &operator, "template", "t-1", Some(seq), None).unwrap();
        assert_eq!(then.state.as_ref(), Some(expect), "after {seq}");
        assert_eq!(then.is_deleted, seq == 6);
    }
    // The type in another case, as in any search; what is no event of it is none.
    assert_eq!(look(&log, &operator, "Template", "T-1", None, None).unwrap().count, 7);
    assert!(look(&log, &operator, "template", "t-1", Some(99), None).is_none());
    assert!(look(&log, &operator, "template", "t-1", Some(u64::MAX), None).is_none());
    assert!(look(&log, &operator, "template", "t-2", Some(0), None).is_none());
    let none = look(&log, &operator, "template", "", None, None).unwrap();
    assert_eq!((none.count, none.page, none.seqs.len()), (0, 1, 0));
}

#[test]
fn pages_count_from_the_oldest_event_and_hold_what_is_looked_at() {
    let log = TestLog::new();
    let rows = HISTORY_ROWS as u64;
    let events: Vec<String> = (0..rows * 2 + 50)
        .map(|number| {
            format!(
                r#"{{"action":"write","resource_type":"template","resource_target":"t","resource_id":"t-1",
                    "after":{{"name":"n{number}"}}}}"#
            )
        })
        .collect();
    log.append(&format!("[{}]", events.join(","))).unwrap();
    // In segments or in the tail, it is the same.
    for _ in 0..2 {
        let operator = Principal::operator();
        for (at, page, expect, first, last) in [
            (None, Some(1), 1, 0, rows - 1),
            (None, Some(2), 2, rows, 2 * rows - 1),
            (None, None, 3, 2 * rows, 2 * rows + 49),
            (None, Some(99), 3, 2 * rows, 2 * rows + 49),
            (Some(0), None, 1, 0, rows - 1),
            (Some(rows - 1), None, 1, 0, rows - 1),
            (Some(rows), None, 2, rows, 2 * rows - 1),
            (Some(2 * rows + 49), None, 3, 2 * rows, 2 * rows + 49),
            (Some(0), Some(3), 3, 2 * rows, 2 * rows + 49),
        ] {
            let seen = look(&log, &operator, "template", "t-1", at, page).unwrap();
            assert_eq!((seen.count, seen.page), (2 * rows + 50, expect), "{at:?} {page:?}");
            assert_eq!((seen.seqs[0], *seen.seqs.last().unwrap()), (first, last), "{at:?} {page:?}");
            let name = at.unwrap_or(2 * rows + 49);
            assert_eq!(seen.state.unwrap(), [format!("name=\"n{name}\"")]);
        }
        log.append(&format!("[{}]", vec![events[0].replace("t-1", "t-2"); 300].join(","))).unwrap();
        log.engine.seal_now().unwrap();
    }
}

#[test]
fn sight_decides_what_a_history_is_made_of() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let new = NewOrganization { name: "red", ..NewOrganization::default() };
    let red = log.engine.create_organization(&operator, &new).unwrap().id;
    add_person(&log, "demo-auditor", Role::Auditor);
    add_person(&log, "demo-member", Role::Member);
    let person = add_person(&log, "demo-red", Role::Member);
    log.engine.add_member(&operator, &red, &person, OrganizationRole::Auditor).unwrap();
    let of = |id: &str| format!(r#","organization":{{"id":"{id}"}}"#);
    let events = [
        event("create", 1, 201, "null", r#"{"name":"one"}"#, &of(&red.0)),
        event("write", 2, 200, r#"{"name":"one"}"#, r#"{"name":"of blue"}"#, &of("blue")),
    ];
    let appended = log.append(&format!("[{}]", events.join(","))).unwrap();
    let blue = Some(appended.events[1].seq);

    let auditor = log_in(&log, "demo-auditor");
    let all = look(&log, &auditor, "template", "t-1", None, None).unwrap();
    assert_eq!((all.count, all.state.unwrap()), (2, vec!["name=\"of blue\"".to_owned()]));
    let reader = log_in(&log, "demo-red");
    let some = look(&log, &reader, "template", "t-1", None, None).unwrap();
    assert_eq!((some.count, some.state.unwrap()), (1, vec!["name=\"one\"".to_owned()]));
    assert!(look(&log, &reader, "template", "t-1", blue, None).is_none());
    let request = HistoryRequest { resource_type: "template", resource_id: "t-1", at: None, page: None };
    let refused = log.engine.history(&log_in(&log, "demo-member"), &request, |_| Ok(())).unwrap_err();
    assert!(matches!(refused, SearchError::Forbidden(_)), "{refused}");

    // It was a read, once a person and minute.
    // What comes later is appended later, so the read is in the log by then.
    log.append(&events[0]).unwrap();
    let (count, reads) = log.search("resource_type:audit_log username:demo-red");
    assert_eq!(count, 1, "{reads:#?}");
    assert_eq!(reads[0]["diff"]["query"]["new"], "resource_type:template resource_id:t-1");
    assert_eq!(reads[0]["diff"]["event_count"]["new"], 1);
}

#[test]
fn an_id_that_several_resources_share_has_no_state() {
    let log = TestLog::new();
    let event = r#"{"action":"write","resource_type":"git_ssh_key","resource_target":"k","resource_id":"u-1",
        "after":{"public_key":"k"}}"#;
    log.append(event).unwrap();
    let seen = look(&log, &Principal::operator(), "git_ssh_key", "u-1", None, None).unwrap();
    assert_eq!((seen.count, seen.state.is_none()), (1, true));
}
