//! One connection to a PostgreSQL server.

use std::collections::HashMap;

use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::ToSql;
use postgres::{Client, Statement};

use crate::connection::{Insert, Kind, Mode};
use crate::error::{StoreError, is_connection_lost};
use crate::postgres::tls;
use crate::postgres::url::PostgresUrl;
use crate::value::Value;

/// What every session is set to.
///
/// A lock is waited for as long as SQLite waits. A statement takes milliseconds; what takes a minute hangs. A process
/// that stops inside a transaction holds the head's lock: after a minute the server ends it. The server probes idle
/// connections as we do, so that the locks of a machine that vanished are freed within a minute, not after two hours.
/// `synchronous_commit` is raised if it is off, since an acknowledged event must survive power loss; a stronger setting of
/// the operator, such as `remote_apply`, stays.
const SESSION: &str = "
SET lock_timeout = '30s';
SET statement_timeout = '60s';
SET idle_in_transaction_session_timeout = '60s';
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
";

/// A client and the statements that it has prepared.
///
/// The client drives its connection on a runtime of its own and blocks the calling thread.
pub(crate) struct PostgresConnection {
    /// Always there; taken out only to be dropped.
    client: Option<Client>,
    /// By SQL text. The texts are a few constants of this crate, so this does not grow.
    statements: HashMap<String, Statement>,
    /// The connection was lost, or its transaction could not be ended.
    is_lost: bool,
}

impl PostgresConnection {
    pub(crate) fn open(url: &PostgresUrl) -> Result<PostgresConnection, StoreError> {
        let client = url.config().connect(tls::connector(url.trust())?)?;
        let mut connection =
            PostgresConnection { client: Some(client), statements: HashMap::new(), is_lost: false };
        connection.batch(SESSION)?;
        Ok(connection)
    }

    fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("taken only by drop")
    }

    /// Remembers that the connection is lost, if the error says so.
    fn note<T>(&mut self, result: Result<T, postgres::Error>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            self.is_lost |= is_connection_lost(error);
        }
        Ok(result?)
    }

    fn statement(&mut self, sql: &str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let prepared = self.client().prepare(sql);
        let statement = self.note(prepared)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Runs statements without parameters, in one round trip.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        let result = self.client().batch_execute(sql);
        self.note(result)
    }

    pub(crate) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        self.execute_any(sql, &values)
    }

    fn execute_any(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, StoreError> {
        let statement = self.statement(sql)?;
        let result = self.client().execute(&statement, values);
        self.note(result)
    }

    /// Hands out each row as it comes, so that a large result need not fit in memory.
    pub(crate) fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut each: impl FnMut(&postgres::Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let statement = self.statement(sql)?;
        let values = values.iter().map(|value| value as &(dyn ToSql + Sync));
        let client = self.client.as_mut().expect("taken only by drop");
        let result = client.query_raw(&statement, values).and_then(|mut rows| {
            while let Some(row) = rows.next()? {
                if let Err(error) = each(&row) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        });
        self.note(result)?
    }

    /// Sends each column as one array, so that any number of rows is one statement and one round trip.
    pub(crate) fn insert(&mut self, insert: &Insert, rows: &[Vec<Value<'_>>]) -> Result<(), StoreError> {
        let mut columns: Vec<Box<dyn ToSql + Sync + '_>> = Vec::new();
        let mut places = Vec::new();
        for (at, (name, kind)) in insert.columns.iter().enumerate() {
            let place = at + 1;
            let wrong = || StoreError::Damaged { what: format!("column {name} got a value of another kind") };
            match kind {
                Kind::Bytes => {
                    let column: Option<Vec<&[u8]>> = rows.iter().map(|row| row[at].as_bytes()).collect();
                    columns.push(Box::new(column.ok_or_else(wrong)?));
                    places.push(format!("${place}::bytea[]"));
                }
                Kind::Int => {
                    let ints = rows.iter().map(|row| match row[at] {
                        Value::Int(number) => Some(number),
                        _ => None,
                    });
                    let column: Option<Vec<i64>> = ints.collect();
                    columns.push(Box::new(column.ok_or_else(wrong)?));
                    places.push(format!("${place}::bigint[]"));
                }
            }
        }
        let sql = format!(
            "INSERT INTO {} ({}) SELECT * FROM unnest({}) {}",
            insert.table,
            insert.column_list(),
            places.join(", "),
            insert.suffix
        );
        let values: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| &**column as _).collect();
        self.execute_any(&sql, &values).map(drop)
    }

    /// The statements name the isolation that they need, whatever the server's default is. Reading a snapshot may take as
    /// long as its consumer does.
    pub(crate) fn begin(&mut self, mode: Mode) -> Result<(), StoreError> {
        self.batch(match mode {
            Mode::Snapshot => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0;
                 SET LOCAL idle_in_transaction_session_timeout = 0"
            }
            Mode::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        })
    }

    pub(crate) fn is_reusable(&mut self) -> bool {
        if self.is_lost {
            return false;
        }
        // Looks without waiting whether the server has said goodbye since the last statement.
        let client = self.client();
        client.notifications().iter().next().is_ok() && !client.is_closed()
    }
}

/// The client waits on its runtime while it closes, which panics on a thread that runs async code.
impl Drop for PostgresConnection {
    fn drop(&mut self) {
        if let Some(client) = self.client.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            std::thread::spawn(move || drop(client));
        }
    }
}
