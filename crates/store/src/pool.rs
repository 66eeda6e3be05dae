//! Connections shared by many threads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::connection::Connection;
use crate::error::StoreError;

/// Connections open at once, besides those that append and seal. More threads than that wait: a PostgreSQL server admits
/// 100 in all unless told otherwise, which leaves room for several replicas.
const CONNECTIONS_MAX: usize = 16;
/// Idle connections that are kept: one for each reader that two cores can keep busy, and spare ones.
const IDLE_MAX: usize = 8;
/// How long a thread waits for one.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Connections that are idle, and how many are in use.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// Held only while a connection is taken or put back, never while it works or opens.
    state: Mutex<State>,
    put_back: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    taken: usize,
}

/// A connection in use. It goes back when this is dropped, or is closed if it can serve no longer.
#[derive(Debug)]
pub(crate) struct Taken<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
    /// It was opened just now, so a failure is not because it grew old.
    pub(crate) is_new: bool,
}

impl Pool {
    /// Takes an idle connection, or opens one.
    pub(crate) fn take(
        &self,
        open: impl FnOnce() -> Result<Connection, StoreError>,
    ) -> Result<Taken<'_>, StoreError> {
        let (mut state, waited) = self
            .put_back
            .wait_timeout_while(self.state(), WAIT_MAX, |state| state.taken >= CONNECTIONS_MAX)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            let (connections_max, waited_s) = (CONNECTIONS_MAX, WAIT_MAX.as_secs());
            return Err(StoreError::NoConnection { connections_max, waited_s });
        }
        state.taken += 1;
        let idle = state.idle.pop();
        drop(state);
        // From here on the drop of `taken` counts it back, also if opening fails.
        let mut taken = Taken { pool: self, connection: None, is_new: false };
        taken.connection = idle;
        if !taken.connection.as_mut().is_some_and(Connection::is_reusable) {
            taken.connection = Some(open()?);
            taken.is_new = true;
        }
        Ok(taken)
    }

    /// Closes what is idle: if one connection was lost, so were probably the others.
    pub(crate) fn close_idle(&self) {
        let idle = std::mem::take(&mut self.state().idle);
        drop(idle);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it is held cannot leave half a state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken<'_> {
    pub(crate) fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("there from `take` until `drop`")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut connection = self.connection.take();
        let is_reusable = connection.as_mut().is_some_and(Connection::is_reusable);
        let mut state = self.pool.state();
        state.taken -= 1;
        if is_reusable && state.idle.len() < IDLE_MAX {
            state.idle.extend(connection.take());
        }
        drop(state);
        self.pool.put_back.notify_one();
        // What is lost or too many is closed here, outside the lock.
        drop(connection);
    }
}
