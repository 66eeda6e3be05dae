//! Limits on guessing passwords: by account and by address.
//!
//! An attempt is counted before its password is hashed, and taken back when it was good: however many come at once, no
//! more than the limit are tried. Names that nobody has are counted like all others.

use std::net::IpAddr;

use annals_store::{LoginFailures, Person};
use sha2::{Digest, Sha256};

use super::{Origin, seconds_earlier, seconds_later};
use crate::Engine;
use crate::error::EngineError;

/// How long attempts are counted before the count begins anew, and how long a refusal lasts at most.
pub const LOGIN_WINDOW_SECONDS: u32 = 15 * 60;
/// Failed attempts on one log-in name in a window. Ten are more than people need; at forty an hour, a password of
/// ten characters that nobody has published is out of reach.
const ACCOUNT_FAILURES_MAX: u64 = 10;
/// Failed attempts from one address in a window: a whole office may stand behind it.
const ADDRESS_FAILURES_MAX: u64 = 50;
/// Log-ins through the provider that one address begins in a window: a whole office may stand behind it.
const ADDRESS_BEGINNINGS_MAX: u64 = 300;
/// Requests to reset the password of one log-in name that are heard in a window.
const RESETS_MAX: u64 = 1;
/// Requests to reset passwords that are heard from one address in a window.
const ADDRESS_RESETS_MAX: u64 = 50;

/// An attempt that was counted.
#[derive(Debug)]
pub(super) struct Attempt {
    account: String,
    address: Option<String>,
}

/// An attempt that is not made: there were too many.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooMany {
    pub(super) retry_after_seconds: u32,
    /// It is the first one that is refused in its window.
    pub(super) is_first: bool,
}

impl Engine {
    /// Counts an attempt to log in, or refuses it.
    pub(super) fn begin_attempt(
        &self,
        login: &str,
        origin: &Origin,
    ) -> Result<Result<Attempt, TooMany>, EngineError> {
        let attempt = Attempt {
            account: account_subject("account", login),
            address: address_subject("address", origin),
        };
        // The address first: once it is refused, names that nobody has cost a look each and are not written.
        if let Some(address) = &attempt.address
            && let Err(refused) = self.count(address, ADDRESS_FAILURES_MAX)?
        {
            return Ok(Err(refused));
        }
        if let Err(refused) = self.count(&attempt.account, ACCOUNT_FAILURES_MAX)? {
            return Ok(Err(refused));
        }
        Ok(Ok(attempt))
    }

    /// The attempt was good: those on the account before it are forgotten, those from the address are not. Else whoever
    /// has one account could guess at others for ever.
    pub(super) fn end_good_attempt(&self, attempt: &Attempt) -> Result<(), EngineError> {
        self.store.clear_login_failures(&attempt.account)?;
        if let Some(address) = &attempt.address {
            self.store.take_back_login_failure(address)?;
        }
        Ok(())
    }

    /// A person was given a new password: what was guessed at the old one counts no more.
    pub(super) fn forget_attempts(&self, person: &Person) -> Result<(), EngineError> {
        for login in [&person.username, &person.email] {
            self.store.clear_login_failures(&account_subject("account", login))?;
        }
        Ok(())
    }

    /// The status under which a failed log-in through the provider is recorded; none once there were too many from an
    /// address. Making one fail takes no password, so whoever goes on must not be able to fill the log.
    pub(super) fn oidc_failure_status(&self, origin: &Origin) -> Option<u16> {
        let address = address_subject("oidc-address", origin);
        match address.map(|address| self.count(&address, ADDRESS_FAILURES_MAX)) {
            Some(Ok(Err(too_many))) => too_many.is_first.then_some(429),
            // Rather recorded without being counted than not at all.
            _ => Some(401),
        }
    }

    /// Counts a log-in through the provider that somebody begins, or says after how many seconds they may: each is kept until it
    /// comes back, and whoever begins them without end would push out those of others.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn may_begin_oidc(&self, origin: &Origin) -> Result<Result<(), u32>, EngineError> {
        match address_subject("oidc-begin", origin) {
            Some(address) => Ok(self
                .count(&address, ADDRESS_BEGINNINGS_MAX)?
                .map_err(|too_many| too_many.retry_after_seconds)),
            None => Ok(Ok(())),
        }
    }

    /// Says whether a request to reset a password is heard: the first of a name in a window.
    pub(super) fn hears_reset(&self, login: &str, origin: &Origin) -> Result<bool, EngineError> {
        if let Some(address) = address_subject("reset-address", origin)
            && self.count(&address, ADDRESS_RESETS_MAX)?.is_err()
        {
            return Ok(false);
        }
        Ok(self.count(&account_subject("reset", login), RESETS_MAX)?.is_ok())
    }

    /// Counts one of a subject, unless there were `max` in the present window.
    fn count(&self, subject: &str, max: u64) -> Result<Result<(), TooMany>, EngineError> {
        let now = self.now();
        let window_start = seconds_earlier(now, LOGIN_WINDOW_SECONDS);
        let refuse = |failures: LoginFailures, is_first| {
            let end = seconds_later(failures.since, LOGIN_WINDOW_SECONDS);
            let left_us = end.as_micros().saturating_sub(now.as_micros()).max(1);
            let retry_after_seconds =
                u32::try_from((left_us + 999_999) / 1_000_000).unwrap_or(LOGIN_WINDOW_SECONDS);
            Ok(Err(TooMany { retry_after_seconds, is_first }))
        };
        // Beyond the first refusal nothing is written: refusing must stay cheap.
        match self.store.login_failures(subject, window_start)? {
            Some(failures) if failures.count > max => return refuse(failures, false),
            _ => {}
        }
        let failures = self.store.add_login_failure(subject, now, window_start)?;
        if failures.count > max { refuse(failures, failures.count == max + 1) } else { Ok(Ok(())) }
    }
}

/// The name is kept as a hash: people type passwords where names belong.
fn account_subject(kind: &str, login: &str) -> String {
    let hash = Sha256::digest(login.to_lowercase().as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}:{hex}")
}

/// Whoever has an address of version 6 has 2^64 of them, so its network counts.
fn address_subject(kind: &str, origin: &Origin) -> Option<String> {
    Some(match origin.ip?.to_canonical() {
        IpAddr::V4(address) => format!("{kind}:{address}"),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{kind}:{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_count_together() {
        let subject = |ip: &str| {
            let origin = Origin { ip: ip.parse().ok(), ..Origin::default() };
            address_subject("address", &origin)
        };
        assert_eq!(subject("192.0.2.1").as_deref(), Some("address:192.0.2.1"));
        assert_eq!(subject("::ffff:192.0.2.1"), subject("192.0.2.1"), "the same address in other words");
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff:1"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
        assert_eq!(subject("nowhere"), None);
        assert_eq!(account_subject("account", "Anna"), account_subject("account", "anna"));
    }
}
