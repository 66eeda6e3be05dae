//! PostgreSQL, 15 and newer: opening, schema, and what the server must be.

mod connection;
mod tls;
mod url;

use annals_model::id::LogId;
use annals_model::time::Time;

pub(crate) use connection::PostgresConnection;
pub use url::{PostgresUrl, PostgresUrlError};

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::location::DatabaseLocation;
use crate::store::{FORMAT, insert_head};
use crate::value::Value;

const SCHEMA: &str = include_str!("schema/postgres.sql");
const SCHEMA_2_TO_3: &str = include_str!("schema/postgres-2-to-3.sql");
/// What formats 4 to 6 add; a new database gets it in the same way.
const SCHEMA_3_TO_4: &str = include_str!("schema/postgres-3-to-4.sql");
const SCHEMA_4_TO_5: &str = include_str!("schema/postgres-4-to-5.sql");
const SCHEMA_5_TO_6: &str = include_str!("schema/postgres-5-to-6.sql");
/// Oldest server that is tested.
const VERSION_MIN: i64 = 15;
/// "ANLS" twice: held while the tables are made or changed, so that of two processes that start at once one does it.
const CREATE_LOCK: i64 = 0x414E_4C53_414E_4C53;

/// Opens a connection to a database that has the tables of the newest format.
pub(crate) fn connect(url: &PostgresUrl) -> Result<Connection, StoreError> {
    let mut connection = Connection::Postgres(Box::new(PostgresConnection::open(url)?));
    if !has_tables(&mut connection)? {
        return Err(StoreError::NoLog { location: DatabaseLocation::Postgres(url.clone()) });
    }
    match check_format(&mut connection)? {
        FORMAT => Ok(connection),
        found => Err(StoreError::TooOld { found, needed: FORMAT }),
    }
}

/// Returns the format, which is at most [`FORMAT`].
fn check_format(connection: &mut Connection) -> Result<i64, StoreError> {
    let sql = "SELECT format FROM annals_format WHERE id = 1";
    let format = connection.query_one(sql, &[], "the row of annals_format", |row| row.int(0))?;
    if format > FORMAT {
        return Err(StoreError::TooNew { found: format, supported: FORMAT });
    }
    Ok(format)
}

/// Brings older tables to the newest format, in one transaction. Servers of an older Annals that are still running go on
/// taking and finding events; nobody can log in there any more.
pub(crate) fn migrate(url: &PostgresUrl) -> Result<(), StoreError> {
    let mut connection = Connection::Postgres(Box::new(PostgresConnection::open(url)?));
    let mut transaction = connection.begin(Mode::Write)?;
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[Value::Int(CREATE_LOCK)], |_| Ok(()))?;
    // Another process may have done it while this one waited for the lock.
    let found = check_format(&mut transaction)?;
    for (older, script) in [(2, SCHEMA_2_TO_3), (3, SCHEMA_3_TO_4), (4, SCHEMA_4_TO_5), (5, SCHEMA_5_TO_6)] {
        if found <= older
            && let Connection::Postgres(postgres) = &mut *transaction
        {
            postgres.batch(script)?;
        }
    }
    transaction.execute("UPDATE annals_format SET format = $1 WHERE id = 1", &[Value::Int(FORMAT)])?;
    transaction.commit()
}

/// Creates the tables if they are not there. Stopping at any point leaves either nothing or all of them with the head:
/// they stand in one transaction.
pub(crate) fn create(url: &PostgresUrl, log_id: LogId, now: Time) -> Result<(), StoreError> {
    let mut connection = Connection::Postgres(Box::new(PostgresConnection::open(url)?));
    check_server(&mut connection)?;
    let mut transaction = connection.begin(Mode::Write)?;
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[Value::Int(CREATE_LOCK)], |_| Ok(()))?;
    if has_tables(&mut transaction)? {
        return Ok(());
    }
    if let Connection::Postgres(postgres) = &mut *transaction {
        postgres.batch(SCHEMA).map_err(|error| foreign(url, error))?;
        postgres.batch(SCHEMA_3_TO_4).map_err(|error| foreign(url, error))?;
        postgres.batch(SCHEMA_4_TO_5).map_err(|error| foreign(url, error))?;
        postgres.batch(SCHEMA_5_TO_6).map_err(|error| foreign(url, error))?;
    }
    let format = "INSERT INTO annals_format (id, format) VALUES (1, $1)";
    transaction.execute(format, &[Value::Int(FORMAT)])?;
    insert_head(&mut transaction, log_id, now)?;
    transaction.commit()
}

/// A table of a usual name is there, but none of ours: the database is used for something else.
fn foreign(url: &PostgresUrl, error: StoreError) -> StoreError {
    let is_taken = matches!(&error, StoreError::Postgres(cause)
        if cause.code() == Some(&postgres::error::SqlState::DUPLICATE_TABLE));
    if !is_taken {
        return error;
    }
    StoreError::Foreign {
        database: url.to_string(),
        hint: ": it has tables of the same names; give Annals a database or a schema of its own",
    }
}

fn has_tables(connection: &mut Connection) -> Result<bool, StoreError> {
    let sql = "SELECT CASE WHEN to_regclass('annals_format') IS NULL THEN 0::bigint ELSE 1::bigint END";
    Ok(connection.query_one(sql, &[], "the catalogue", |row| row.int(0))? == 1)
}

fn check_server(connection: &mut Connection) -> Result<(), StoreError> {
    let setting = |connection: &mut Connection, name: &'static str| {
        let sql = "SELECT current_setting($1)";
        connection.query_one(sql, &[Value::Text(name)], name, |row| row.text(0))
    };
    let version = setting(connection, "server_version_num")?;
    let major = version.parse::<i64>().unwrap_or_default() / 10_000;
    if major < VERSION_MIN {
        let what = format!("its version is {major}, at least {VERSION_MIN} is needed");
        return Err(StoreError::UnsuitableServer { what });
    }
    let encoding = setting(connection, "server_encoding")?;
    if encoding != "UTF8" {
        let what = format!("the encoding of the database is {encoding}; create it with ENCODING 'UTF8'");
        return Err(StoreError::UnsuitableServer { what });
    }
    for name in ["fsync", "full_page_writes"] {
        if setting(connection, name)? == "off" {
            tracing::warn!(
                setting = name,
                "is off at the PostgreSQL server: acknowledged events may be lost with the power"
            );
        }
    }
    Ok(())
}
