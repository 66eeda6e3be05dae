//! What only the embedded database has: its file, formats, backups.

use std::path::Path;

use annals_model::time::Time;
use annals_store::{DatabaseLocation, Store, StoreError};

use crate::fixture::{Fixture, LOG, append, check, segment, seqs};

/// The schema of format 1, as it was written until sealing came.
const SCHEMA_1: &str = "
CREATE TABLE head (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    log_id      BLOB    NOT NULL,
    created_us  INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    root        BLOB    NOT NULL,
    frontier    BLOB    NOT NULL
) STRICT;
CREATE TABLE tail (
    first_seq   INTEGER PRIMARY KEY,
    event_count INTEGER NOT NULL,
    batch       BLOB    NOT NULL
) STRICT;
CREATE TABLE tile (
    level       INTEGER NOT NULL,
    tile_index  INTEGER NOT NULL,
    hashes      BLOB    NOT NULL,
    UNIQUE (level, tile_index)
) STRICT;
CREATE TABLE deleted (
    resource_type TEXT    NOT NULL,
    resource_id   TEXT    NOT NULL,
    time_us       INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    PRIMARY KEY (resource_type, resource_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE person (
    id              TEXT    PRIMARY KEY,
    username        TEXT    NOT NULL,
    username_folded TEXT    NOT NULL UNIQUE,
    email           TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    role            TEXT    NOT NULL,
    password_hash   TEXT    NOT NULL,
    created_us      INTEGER NOT NULL
) STRICT;
CREATE TABLE session (
    secret_hash BLOB    PRIMARY KEY,
    person_id   TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created_us  INTEGER NOT NULL,
    expires_us  INTEGER NOT NULL
) STRICT;
CREATE TABLE token (
    id          TEXT    PRIMARY KEY,
    secret_hash BLOB    NOT NULL UNIQUE,
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    owner_id    TEXT    REFERENCES person (id),
    created_us  INTEGER NOT NULL,
    revoked_us  INTEGER
) STRICT;
CREATE TABLE registry_document (
    version     INTEGER PRIMARY KEY,
    received_us INTEGER NOT NULL,
    authority   TEXT    NOT NULL CHECK (authority IN ('application', 'operator')),
    source      TEXT    NOT NULL,
    document    TEXT    NOT NULL
) STRICT;
CREATE TABLE secret (
    name        TEXT    PRIMARY KEY,
    secret_hash BLOB    NOT NULL
) STRICT;
";

/// Writes a log of format 1 with the rows of another one.
fn write_format_1(dir: &Path, rows_of: &Fixture) {
    let old = rusqlite::Connection::open(dir.join("annals.db")).unwrap();
    old.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;").unwrap();
    old.execute_batch(SCHEMA_1).unwrap();
    old.pragma_update(None, "application_id", 0x414E_4C53).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let from = rows_of.dir.path().join("annals.db");
    old.execute("ATTACH ? AS new", [from.to_str().unwrap()]).unwrap();
    old.execute_batch(
        "INSERT INTO head SELECT id, log_id, created_us, size, root, frontier FROM new.head;
         INSERT INTO tail SELECT * FROM new.tail; INSERT INTO tile SELECT * FROM new.tile;
         INSERT INTO secret SELECT * FROM new.secret; DETACH new;",
    )
    .unwrap();
}

#[test]
fn a_log_of_format_1_is_brought_to_the_newest_and_goes_on() {
    let source = Fixture::sqlite();
    append(&source.store, 0..900);
    source.store.put_secret("set-up", &[4; 32]).unwrap();
    for is_created in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        write_format_1(dir.path(), &source);
        let location = DatabaseLocation::Directory(dir.path().to_owned());
        let open = || {
            if is_created {
                Store::create_or_open(&location, LOG, Time::EPOCH).unwrap()
            } else {
                Store::open(&location).unwrap()
            }
        };
        // Two processes that start at once both find a log of the newest format.
        let (store, _) = std::thread::scope(|scope| {
            let other = scope.spawn(open);
            (open(), other.join().unwrap())
        });
        assert_eq!(check(&store).unwrap(), source.store.head().unwrap());
        assert_eq!((store.state().unwrap().sealed, store.state().unwrap().manifest), (0, 0));
        assert_eq!(store.secret("set-up").unwrap(), Some(vec![4; 32]));
        append(&store, 900..1_100);
        let mut lease = store.try_seal_lease().unwrap().unwrap();
        lease.publish(&segment(0..512)).unwrap();
        lease.discard_sealed(10).unwrap();
        assert_eq!(check(&store).unwrap().size, 1_100);
        let database = rusqlite::Connection::open(dir.path().join("annals.db")).unwrap();
        let format: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(format, 6);
    }
}

#[test]
fn people_and_tokens_of_format_2_come_over() {
    let source = Fixture::sqlite();
    append(&source.store, 0..300);
    let dir = tempfile::tempdir().unwrap();
    write_format_1(dir.path(), &source);
    let old = rusqlite::Connection::open(dir.path().join("annals.db")).unwrap();
    old.execute_batch(include_str!("../../src/schema/sqlite-1-to-2.sql")).unwrap();
    old.execute_batch(
        "INSERT INTO person VALUES ('1', 'Anna', 'anna', '', '', 'site-manager', '$x', 10000000);
         INSERT INTO session VALUES (x'00', '1', 0, 9000000000000000000);
         INSERT INTO token VALUES ('t', unhex(replace(hex(zeroblob(32)), '00', '01')), 'read', 'old', '1', 5, NULL);",
    )
    .unwrap();
    old.pragma_update(None, "user_version", 2).unwrap();
    drop(old);
    let location = DatabaseLocation::Directory(dir.path().to_owned());
    let error = Store::open_as_is(&location).unwrap_err();
    assert!(matches!(error, StoreError::TooOld { found: 2, needed: 6 }), "{error}");
    let store = Store::open(&location).unwrap();
    assert_eq!(check(&store).unwrap(), source.store.head().unwrap());
    crate::people::has_what_format_2_had(&store);
}

#[test]
fn a_log_of_format_1_opened_as_it_is_stays_as_it_is() {
    let source = Fixture::sqlite();
    append(&source.store, 0..300);
    let dir = tempfile::tempdir().unwrap();
    write_format_1(dir.path(), &source);
    let location = DatabaseLocation::Directory(dir.path().to_owned());
    let before = std::fs::read(dir.path().join("annals.db")).unwrap();
    let error = Store::open_as_is(&location).unwrap_err();
    assert!(matches!(error, StoreError::TooOld { found: 1, needed: 6 }), "{error}");
    assert!(error.to_string().contains("`annals serve`"), "{error}");
    assert_eq!(std::fs::read(dir.path().join("annals.db")).unwrap(), before);
    Store::open(&location).unwrap();
    let store = Store::open_as_is(&location).unwrap();
    assert_eq!(check(&store).unwrap(), source.store.head().unwrap());
    assert!(store.try_seal_lease().unwrap().unwrap().holds().unwrap(), "a repair may write");
    let nowhere = DatabaseLocation::Directory(dir.path().join("none"));
    assert!(matches!(Store::open_as_is(&nowhere), Err(StoreError::NoLog { .. })));
}

#[test]
fn a_migrated_file_has_the_schema_of_a_new_one() {
    let schema = |dir: &Path| -> Vec<(String, String, String)> {
        let database = rusqlite::Connection::open(dir.join("annals.db")).unwrap();
        let sql = "SELECT t.name, c.name, c.type || c.\"notnull\" || coalesce(c.dflt_value, '') || c.pk
                   FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'
                   UNION ALL
                   SELECT t.name, i.name, i.\"unique\" || (SELECT group_concat(name) FROM pragma_index_info(i.name))
                   FROM sqlite_schema t, pragma_index_list(t.name) i WHERE t.type = 'table'
                   UNION ALL
                   SELECT t.name, f.\"from\", f.\"table\" || f.\"to\" || f.on_delete
                   FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'
                   ORDER BY 1, 2, 3";
        let mut select = database.prepare(sql).unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let new = Fixture::sqlite();
    let dir = tempfile::tempdir().unwrap();
    write_format_1(dir.path(), &new);
    Store::open(&DatabaseLocation::Directory(dir.path().to_owned())).unwrap();
    assert_eq!(schema(dir.path()), schema(new.dir.path()));
}

#[test]
fn other_files_and_newer_formats_are_refused() {
    let fixture = Fixture::sqlite();
    let database = rusqlite::Connection::open(fixture.dir.path().join("annals.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(&fixture.location), Err(StoreError::TooNew { found: 99, .. })));
    database.pragma_update(None, "application_id", 1).unwrap();
    assert!(matches!(Store::open(&fixture.location), Err(StoreError::Foreign { .. })));
    let empty = tempfile::tempdir().unwrap();
    let nothing = DatabaseLocation::Directory(empty.path().to_owned());
    assert!(matches!(Store::open(&nothing), Err(StoreError::NoLog { .. })));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b");
    let store = Store::create_or_open(&DatabaseLocation::Directory(dir.clone()), LOG, Time::EPOCH).unwrap();
    append(&store, 0..1);
    let _lease = store.try_seal_lease().unwrap().unwrap();
    store.backup(&dir.join("copy.db"), &mut |_, _| {}).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_backup_is_one_state_of_a_log_that_goes_on() {
    let fixture = Fixture::sqlite();
    append(&fixture.store, 0..5_000);
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("annals.db");
    let (mut heard, mut appended) = (Vec::new(), 5_000);
    fixture
        .store
        .backup(&file, &mut |done, total| {
            append(&fixture.store, appended..appended + 10);
            appended += 10;
            heard.push((done, total));
        })
        .unwrap();
    let (done, total) = *heard.last().unwrap();
    assert!(done == total && total > 50, "{heard:?}");
    let copy = Store::open(&DatabaseLocation::Directory(to.path().to_owned())).unwrap();
    assert_eq!(check(&copy).unwrap().size, 5_000, "as it was when the backup began");
    assert_eq!(seqs(&copy, 0).len(), 5_000);
    assert_eq!(check(&fixture.store).unwrap().size, appended);
    let again = fixture.store.backup(&file, &mut |_, _| {}).unwrap_err();
    assert!(matches!(again, StoreError::BackupExists { .. }));
    let names: Vec<_> = std::fs::read_dir(to.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("partial")), "{names:?}");
}

#[test]
fn a_log_without_its_file_says_where_none_is() {
    let error = Store::open(&DatabaseLocation::Directory("/nowhere/at/all".into())).unwrap_err();
    assert_eq!(error.to_string(), "there is no log in `/nowhere/at/all`");
}
