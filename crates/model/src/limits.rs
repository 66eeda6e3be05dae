//! Every limit of the log, in one place.
//!
//! Each constant says where its number comes from. A limit that a caller meets is named in the error it gets.

/// Bytes of one request body, after decompression: 8 MiB, room for 5,000 events of about 1.6 KB.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Events of one request. A batch of 5,000 is hashed and committed in well under a second.
pub const BATCH_EVENTS_MAX: usize = 5_000;
/// Bytes of one event on the wire: 256 KiB holds two snapshots of a large template with its readme.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;
/// Depth of JSON inside one event: serde_json's own limit of 128 less the levels of the event around it.
pub const JSON_DEPTH_MAX: usize = 120;
/// Bytes of `resource_id` and of a person's or organization's `id`: an ARN or a path fits.
pub const ID_BYTES_MAX: usize = 200;
/// Bytes of a name: action, resource type, field, source, role.
pub const NAME_BYTES_MAX: usize = 256;
/// Bytes of a free text such as `resource_target`, `user_agent` or an e-mail address. Git public keys fit.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Roles of one person in one event.
pub const ROLES_MAX: usize = 64;
/// Fields that may differ in one diff.
pub const DIFF_FIELDS_MAX: usize = 512;
/// Fields of one snapshot: four times what may differ, and few enough to pair both sides by a plain search.
pub const SNAPSHOT_FIELDS_MAX: usize = 2_048;
/// Resource types of a registry, built in and registered: ten times what Coder has.
pub const RESOURCE_TYPES_MAX: usize = 512;
/// Bytes of one registry document.
pub const REGISTRY_BYTES_MAX: usize = 512 * 1024;
/// Faults listed in one refusal; beyond it the reply says how many more there are.
pub const FAULTS_MAX: usize = 100;
/// Faults listed for one event.
pub const EVENT_FAULTS_MAX: usize = 16;
/// Rows of one page of search results.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// Rows of a page when the caller names none, as Coder has it.
pub const PAGE_ROWS_DEFAULT: usize = 100;
/// Bytes of records that wait for their commit before new ones are refused with 503: sixteen of the largest bodies.
pub const QUEUE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes after which a commit takes no further batch: some 0.1 s of a modest disk, so that no producer waits long.
pub const COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Warnings listed in one reply; the same warning for many events is listed once.
pub const WARNINGS_MAX: usize = 100;
/// Microseconds since 1970 of 0001-01-01T00:00:00Z, the earliest time an event may carry.
pub const TIME_MIN_US: i64 = -62_135_596_800_000_000;
/// Microseconds since 1970 of 9999-12-30T22:00:00Z, the latest time an event may carry (what the calendar library takes in every time zone).
pub const TIME_MAX_US: i64 = 253_402_207_200_000_000;
