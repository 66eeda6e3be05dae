//! Hours and days, and how much work is done in each of them where an organization is.

use super::Organization;

const SECOND_US: i64 = 1_000_000;
pub(super) const MINUTE_US: i64 = 60 * SECOND_US;
pub(super) const HOUR_US: i64 = 60 * MINUTE_US;
pub(super) const DAY_US: i64 = 24 * HOUR_US;
/// An hour as Coder counts times to live.
pub(super) const HOUR_NS: i64 = 3_600_000_000_000;

/// How busy a working day is by the hour of the day there.
const WORK_BY_HOUR: [u64; 24] =
    [0, 0, 0, 0, 0, 0, 1, 5, 14, 20, 22, 19, 11, 16, 21, 20, 17, 11, 6, 3, 2, 2, 1, 0];

/// How much work an organization does at a time; on weekends a tenth of it.
pub(super) fn work_in(organization: &Organization, time_us: i64) -> u64 {
    let local_us = time_us + organization.utc_offset_hours * HOUR_US;
    let hour = usize::try_from(hour_of_day(local_us)).unwrap_or(0);
    let work = WORK_BY_HOUR[hour];
    if (1..=5).contains(&weekday(local_us)) { work } else { work / 10 }
}

/// The hour, 0 to 23.
pub(super) fn hour_of_day(time_us: i64) -> i64 {
    time_us.rem_euclid(DAY_US) / HOUR_US
}

/// The day of the week, Sunday is 0: the first day of 1970 was a Thursday.
pub(super) fn weekday(time_us: i64) -> i64 {
    (time_us.div_euclid(DAY_US) + 4).rem_euclid(7)
}
