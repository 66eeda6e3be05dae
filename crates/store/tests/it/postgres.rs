//! What only PostgreSQL has: a server that comes and goes, TLS, replicas that start at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use annals_model::id::LogId;
use annals_model::time::Time;
use annals_store::{DatabaseLocation, Store, StoreError};
use annals_testparts::Postgres;

use crate::fixture::{Fixture, LOG, POSTGRES, append, check, record, seqs};

fn location(url: &str) -> DatabaseLocation {
    url.parse().unwrap()
}

#[test]
fn of_replicas_that_start_at_once_one_makes_the_log() {
    let location = location(&POSTGRES.url("start_at_once"));
    assert!(matches!(Store::open(&location), Err(StoreError::NoLog { .. })));
    let ids: Vec<LogId> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6_u8)
            .map(|number| {
                let location = &location;
                scope.spawn(move || {
                    Store::create_or_open(location, LogId::from_bytes([number; 16]), Time::EPOCH)
                        .unwrap()
                        .log_id()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn newer_formats_and_foreign_tables_are_refused() {
    let fixture = Fixture::postgres("newer_format");
    fixture.tamper("UPDATE annals_format SET format = 99");
    assert!(matches!(Store::open(&fixture.location), Err(StoreError::TooNew { found: 99, .. })));
    let url = POSTGRES.url("foreign");
    POSTGRES.sql(&url, "CREATE TABLE token (id int)");
    let error = Store::create_or_open(&location(&url), LOG, Time::EPOCH).unwrap_err();
    assert!(error.to_string().contains("a schema of its own"), "{error}");
    assert!(!error.to_string().contains("password"), "{error}");
    let again = Store::open(&location(&url));
    assert!(matches!(again, Err(StoreError::NoLog { .. })), "what fails leaves no table behind");
}

/// What the newest format has and format 2 had not, taken away again; and a person, a session and a token of that time.
const BACK_TO_2: &str = r#"
    DROP TABLE stream_manifest, stream_replay, dead_letter, stream, node, checkpoint, epoch, source, group_member, person_group, organization_member, organization, setting, license, login_failure,
               pending_login, saved_search, session;
    ALTER TABLE head DROP COLUMN rewritten, DROP COLUMN dropped, DROP COLUMN pruned;
    ALTER TABLE person DROP COLUMN status, DROP COLUMN login_type, DROP COLUMN subject, DROP COLUMN avatar_url,
                       DROP COLUMN last_seen_us, DROP COLUMN updated_us;
    ALTER TABLE token DROP COLUMN expires_us, DROP COLUMN last_used_us;
    CREATE TABLE session (
        secret_hash bytea  PRIMARY KEY,
        person_id   text   COLLATE "C" NOT NULL REFERENCES person (id) ON DELETE CASCADE,
        created_us  bigint NOT NULL,
        expires_us  bigint NOT NULL
    );
    UPDATE annals_format SET format = 2;
    INSERT INTO person VALUES ('1', 'Anna', 'anna', '', '', 'site-manager', '$x', 10000000);
    INSERT INTO session VALUES ('a', '1', 0, 9000000000000000000);
    INSERT INTO token VALUES ('t', decode(repeat('01', 32), 'hex'), 'read', 'old', '1', 5, NULL);
"#;

#[test]
fn a_log_of_format_2_is_brought_to_the_newest_and_goes_on() {
    let schema = |url: &str| {
        let columns = "SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default
                       FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position";
        let keys = "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
                    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2";
        let indexes = "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2";
        [columns, keys, indexes].map(|sql| POSTGRES.sql(url, sql))
    };
    let url = POSTGRES.url("format_2");
    let store = Store::create_or_open(&location(&url), LOG, Time::EPOCH).unwrap();
    append(&store, 0..300);
    drop(store);
    let newest = schema(&url);
    POSTGRES.sql(&url, BACK_TO_2);
    let older = schema(&url);
    assert_ne!(older, newest);
    let error = Store::open_as_is(&location(&url)).unwrap_err();
    assert!(matches!(error, StoreError::TooOld { found: 2, needed: 6 }), "{error}");
    assert_eq!(schema(&url), older, "what only looks changes nothing");
    // Replicas that start at once: one does it, and all go on.
    std::thread::scope(|scope| {
        for number in 0..4 {
            let location = location(&url);
            scope.spawn(move || match number {
                0 => Store::create_or_open(&location, LOG, Time::EPOCH).unwrap(),
                _ => Store::open(&location).unwrap(),
            });
        }
    });
    assert_eq!(schema(&url), newest);
    let store = Store::open_as_is(&location(&url)).unwrap();
    assert_eq!(check(&store).unwrap().size, 300);
    crate::people::has_what_format_2_had(&store);
}

#[test]
fn two_logs_live_in_two_schemas_of_one_database() {
    let url = POSTGRES.url("two_schemas");
    POSTGRES.sql(&url, "CREATE SCHEMA one; CREATE SCHEMA two");
    for (schema, size) in [("one", 3), ("two", 5)] {
        let location = location(&format!("{url}?options=-csearch_path%3D{schema}"));
        let store = Store::create_or_open(&location, LOG, Time::EPOCH).unwrap();
        append(&store, 0..size);
        assert_eq!(check(&store).unwrap().size, size);
    }
}

#[test]
fn a_log_is_reached_through_a_socket_too() {
    let postgres = Postgres::start_private();
    let url = postgres.url("socket");
    let dir = postgres.sql(&url, "SHOW unix_socket_directories");
    let by_socket = url.replace("127.0.0.1", &dir.trim().replace('/', "%2F"));
    let store = Store::create_or_open(&location(&by_socket), LOG, Time::EPOCH).unwrap();
    append(&store, 0..300);
    assert_eq!(check(&store).unwrap().size, 300);
}

#[test]
fn a_backup_names_the_tool_of_the_database() {
    let fixture = Fixture::postgres("backup");
    let error = fixture.store.backup(&fixture.dir.path().join("copy"), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("pg_dump"), "{error}");
}

/// Keys of 64 bits have a sign; both halves count.
#[test]
fn a_lease_whose_connection_ended_is_not_had() {
    for (first, second) in [(0x7F, 1), (0xFF, 2)] {
        let mut id = [second; 16];
        id[0] = first;
        let url = POSTGRES.url(&format!("lease_{second}"));
        let store = Store::create_or_open(&location(&url), LogId::from_bytes(id), Time::EPOCH).unwrap();
        let mut lease = store.try_seal_lease().unwrap().unwrap();
        assert!(lease.holds().unwrap());
        // The same key in another database is another lock.
        let elsewhere = location(&POSTGRES.url(&format!("lease_elsewhere_{second}")));
        let other = Store::create_or_open(&elsewhere, LogId::from_bytes(id), Time::EPOCH).unwrap();
        assert!(other.try_seal_lease().unwrap().unwrap().holds().unwrap());
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database
                   WHERE locktype = 'advisory' AND datname = current_database()";
        POSTGRES.sql(&url, sql);
        assert!(lease.holds().unwrap_err().is_unavailable());
        // The server frees the lock when it has ended the connection, which is a moment later.
        let begun = Instant::now();
        while store.try_seal_lease().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
    }
}

#[test]
fn a_lock_that_is_held_too_long_is_busy() {
    let fixture = Fixture::postgres("held_lock");
    let mut holder = fixture.store.log_writer().unwrap();
    let _held = holder.begin().unwrap();
    let mut other = fixture.open_again().log_writer().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || other.begin().map(drop));
        let begun = Instant::now();
        while !waiting.is_finished() {
            fixture.tamper("SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted");
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
        let error = waiting.join().unwrap().unwrap_err();
        assert!(error.is_busy() && !error.is_unavailable() && !error.is_full(), "{error:?}");
    });
}

#[test]
fn a_server_that_is_away_is_unavailable_and_shows_no_password() {
    let port = annals_testparts::free_port();
    let location = location(&format!("postgres://annals:hunter2@127.0.0.1:{port}/log"));
    let error = Store::create_or_open(&location, LOG, Time::EPOCH).unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(!format!("{error:?} {error} {location:?}").contains("hunter2"));
    // A server of our own: a given one may ask for no password.
    let private = Postgres::start_private();
    let location = private.url("password").replace("annals-password", "wrong").parse().unwrap();
    let error = Store::create_or_open(&location, LOG, Time::EPOCH).unwrap_err();
    assert!(!error.is_unavailable(), "waiting does not mend a wrong password: {error:?}");
}

#[test]
fn tls_is_as_the_address_asks() {
    let postgres = Postgres::start_private();
    let url = postgres.url("tls");
    let certificate = postgres.certificate();
    // The directory is the server's own; what it shows to everyone is copied to where anyone may read it.
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root.crt");
    std::fs::copy(certificate, &root).unwrap();
    let connect =
        |options: &str| Store::create_or_open(&location(&format!("{url}?{options}")), LOG, Time::EPOCH);
    let root = root.display();
    for options in [
        "sslmode=disable".to_owned(),
        "sslmode=prefer".to_owned(),
        "sslmode=require".to_owned(),
        "sslmode=require&channel_binding=require".to_owned(),
        format!("sslmode=verify-full&sslrootcert={root}"),
    ] {
        connect(&options).unwrap();
    }
    let encrypted = connect("sslmode=require").unwrap();
    let sql = "SELECT count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE ssl AND application_name = 'annals'";
    assert_eq!(postgres.sql(&url, sql).trim(), "t");
    drop(encrypted);
    let error = connect("sslmode=verify-full").unwrap_err();
    assert!(!error.is_unavailable(), "the system does not vouch for a test's certificate: {error:?}");
    let error = connect("sslmode=verify-full&sslrootcert=/nowhere").unwrap_err();
    assert!(matches!(error, StoreError::Tls { .. }), "{error}");
    let by_name = url.replace("127.0.0.1", "localhost");
    let options = format!("{by_name}?sslmode=verify-full&sslrootcert={root}");
    let error = Store::create_or_open(&location(&options), LOG, Time::EPOCH).unwrap_err();
    assert!(
        format!("{error:?}").contains("NotValidForName"),
        "the certificate is for another name: {error:?}"
    );
}

/// The server crashes three times under a writer, a reader and a lease. What was acknowledged is there, nothing is there
/// twice, and all go on by themselves.
#[test]
fn a_crash_of_the_server_loses_nothing_that_was_acknowledged() {
    let postgres = Postgres::start_private();
    let location = location(&postgres.url("crash"));
    let store = Store::create_or_open(&location, LOG, Time::EPOCH).unwrap();
    let lease = store.try_seal_lease().unwrap().unwrap();
    let is_done = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut writer = store.log_writer().unwrap();
            let mut acknowledged = Vec::new();
            let mut failures = 0;
            while !is_done.load(Ordering::Relaxed) {
                // What the engine does too: under the lock the log says which number comes next.
                let result = writer.begin().and_then(|append| {
                    let seq = append.head().size;
                    append.commit(&[&record(seq, "{}")]).map(|_| seq)
                });
                match result {
                    Ok(seq) => acknowledged.push(seq),
                    Err(error) => {
                        assert!(error.is_unavailable(), "{error:?}");
                        failures += 1;
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            }
            assert!(failures > 0, "the server was never away");
            acknowledged
        });
        for _ in 0..3 {
            let before = wait_for_appends(&store, 100);
            postgres.stop();
            let error = store.head().unwrap_err();
            assert!(error.is_unavailable(), "{error:?}");
            postgres.start_again();
            // The connections of the pool are stale now; a read does not show it.
            assert!(store.head().unwrap().size >= before);
        }
        wait_for_appends(&store, 100);
        is_done.store(true, Ordering::Relaxed);
        writing.join().unwrap()
    });
    let stored = seqs(&store, 0);
    assert_eq!(stored, (0..stored.len() as u64).collect::<Vec<_>>(), "dense");
    assert!(acknowledged.len() >= 400 && stored.len() >= acknowledged.len());
    assert!(acknowledged.is_sorted_by(|before, after| before < after));
    assert!(acknowledged.last() <= stored.last());
    assert_eq!(check(&store).unwrap().root, crate::fixture::frontier(stored.len() as u64).root());
    // The lease went with its connection, and what holds a lost lease cannot publish.
    let mut lost = lease;
    assert!(lost.holds().unwrap_err().is_unavailable());
    assert!(lost.publish(&crate::fixture::segment(0..256)).unwrap_err().is_unavailable());
    assert!(store.try_seal_lease().unwrap().is_some());
    assert_eq!(store.state().unwrap().manifest, 0);
}

fn wait_for_appends(store: &Store, count: u64) -> u64 {
    let begun = Instant::now();
    let from = store.head().unwrap().size;
    loop {
        let size = store.head().unwrap().size;
        if size >= from + count {
            return size;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "appending does not go on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A server that holds the last reference while its async runtime runs must not fall over it.
#[test]
fn dropping_a_store_on_an_async_thread_is_fine() {
    let fixture = Fixture::postgres("async_drop");
    let store = fixture.open_again();
    append(&store, 0..3);
    let writer = store.log_writer().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move {
        drop(writer);
        drop(store);
    });
    assert_eq!(check(&fixture.store).unwrap().size, 3);
}
