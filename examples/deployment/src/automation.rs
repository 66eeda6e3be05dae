//! What happens by itself: jobs of the queue, workspaces that start in the morning, stop when nobody uses them, go to sleep, and go.

use std::ops::RangeInclusive;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::builds;
use crate::fault::Fault;
use crate::jobs;
use crate::resources::{Asked, User, Workspace};

/// Days without use until a stopped workspace goes to sleep.
const DORMANT_DAYS: i64 = 14;
/// Days of sleep until it goes.
const DELETE_DAYS: i64 = 14;
/// Jobs that are done before schedules are looked at again.
const JOBS_MAX: usize = 1_000;

/// Does what is due now. What fails with one workspace does not keep the others.
pub(crate) fn work(app: &App) -> Result<(), Fault> {
    let workspaces = app.begin()?.list::<Workspace>(None)?;
    for workspace in workspaces {
        if let Err(error) = queue_due(app, &workspace.id) {
            tracing::error!(error = &error as &dyn std::error::Error, "what was due was not done");
        }
    }
    for _ in 0..JOBS_MAX {
        if !jobs::run_next(app)? {
            break;
        }
    }
    Ok(())
}

/// Queues what a workspace does by itself now, as it is now.
fn queue_due(app: &App, id: &str) -> Result<(), Fault> {
    let rows = app.begin()?;
    let Some(workspace) = rows.find::<Workspace>(id)? else { return Ok(()) };
    let is_owner_active =
        rows.find::<User>(&workspace.owner_id)?.is_some_and(|owner| owner.status == "active");
    let Some((transition, reason)) = due(app, &workspace, is_owner_active) else { return Ok(()) };
    match builds::queue(app, &rows, &workspace, transition, reason, Asked::default()) {
        // It is being built already.
        Err(Fault::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => rows.commit(),
    }
}

/// What a workspace does by itself now.
fn due(app: &App, workspace: &Workspace, is_owner_active: bool) -> Option<(&'static str, &'static str)> {
    let now = app.now();
    // What a program asked for is paused, not stopped, when it is done.
    let stop_reason = if workspace.name.starts_with("task-") { "task_auto_pause" } else { "autostop" };
    let unused = now.duration_since(workspace.last_used_at);
    let ttl = workspace.ttl.and_then(|nanos| i64::try_from(nanos).ok()).map(SignedDuration::from_nanos);
    let schedule = workspace.autostart_schedule.as_deref().and_then(Schedule::parse);
    match (workspace.is_running, workspace.dormant_at) {
        (true, _) if !is_owner_active || ttl.is_some_and(|ttl| unused > ttl) => Some(("stop", stop_reason)),
        (false, None)
            if is_owner_active
                && schedule.is_some_and(|schedule| schedule.is_due(now, workspace.last_used_at)) =>
        {
            Some(("start", "autostart"))
        }
        (false, None) if unused > days(DORMANT_DAYS) => Some(("stop", "dormancy")),
        (false, Some(since)) if now.duration_since(since) > days(DELETE_DAYS) => {
            Some(("delete", "autodelete"))
        }
        _ => None,
    }
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

/// When a workspace starts by itself: `MINUTE HOUR * * WEEKDAYS` in UTC, weekdays as `1-5` or `1`, Sunday is 0.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    minute: i8,
    hour: i8,
    weekdays: RangeInclusive<i8>,
}

impl Schedule {
    pub(crate) fn parse(text: &str) -> Option<Schedule> {
        let fields: Vec<&str> = text.split(' ').collect();
        let [minute, hour, "*", "*", weekdays] = fields.as_slice() else { return None };
        let (first, last) = weekdays.split_once('-').unwrap_or((weekdays, weekdays));
        let schedule = Schedule {
            minute: minute.parse().ok()?,
            hour: hour.parse().ok()?,
            weekdays: first.parse().ok()?..=last.parse().ok()?,
        };
        let is_sound = (0..60).contains(&schedule.minute)
            && (0..24).contains(&schedule.hour)
            && *schedule.weekdays.start() >= 0
            && *schedule.weekdays.end() <= 6;
        is_sound.then_some(schedule)
    }

    /// Whether its time today is past, and the workspace was not used since.
    fn is_due(&self, now: Timestamp, last_used: Timestamp) -> bool {
        let today = now.to_zoned(TimeZone::UTC);
        let due =
            today.date().at(self.hour, self.minute, 0, 0).to_zoned(TimeZone::UTC).map(|due| due.timestamp());
        let is_day = self.weekdays.contains(&today.weekday().to_sunday_zero_offset());
        // An hour later it is too late: whoever stopped it since then meant it.
        due.is_ok_and(|due| {
            is_day && last_used < due && due <= now && now.duration_since(due) < SignedDuration::from_hours(1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_parsed_or_refused() {
        let weekdays = Schedule { minute: 30, hour: 7, weekdays: 1..=5 };
        assert_eq!(Schedule::parse("30 7 * * 1-5"), Some(weekdays));
        assert!(Schedule::parse("0 0 * * 0").is_some());
        for bad in [
            "",
            "30 7 * *",
            "60 7 * * 1",
            "0 24 * * 1",
            "0 7 1 * 1",
            "0 7 * * 1-7",
            "-1 7 * * 1",
            "a b * * c",
        ] {
            assert_eq!(Schedule::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_schedule_is_due_once_on_its_days() {
        let schedule = Schedule::parse("30 7 * * 1-5").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let never = at("2026-01-01T00:00:00Z");
        // 2026-11-20 is a Friday.
        let cases = [
            ("2026-11-20T07:29:59Z", never, false),
            ("2026-11-20T07:30:00Z", never, true),
            ("2026-11-20T08:29:59Z", never, true),
            ("2026-11-20T08:30:00Z", never, false),
            ("2026-11-20T07:40:00Z", at("2026-11-20T07:31:00Z"), false),
            ("2026-11-20T07:40:00Z", at("2026-11-20T07:29:00Z"), true),
            ("2026-11-21T07:30:00Z", never, false),
        ];
        for (now, last_used, expect) in cases {
            assert_eq!(schedule.is_due(at(now), last_used), expect, "{now} after {last_used}");
        }
    }
}
