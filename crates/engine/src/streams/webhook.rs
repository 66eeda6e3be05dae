//! The secrets by which a webhook's receiver knows that an event is ours, and changing them while events flow.

use annals_sink::new_webhook_secret;
use annals_store::{Stream, StreamId};

use super::{StreamChange, StreamError, check_maker};
use crate::Engine;
use crate::access::SecretText;
use crate::principal::Principal;
use crate::random;

/// Kind of the streams that sign.
pub(super) const WEBHOOK: &str = "webhook";
/// Its setting: one secret a line, the newest first; all sign.
pub(super) const SECRET: &str = "secret";
/// Secrets that sign at the same time.
const SECRETS_MAX: usize = 3;

/// Makes a secret in the form of Standard Webhooks.
pub(super) fn new_secret() -> SecretText {
    SecretText::new(new_webhook_secret(random::bytes()))
}

impl Engine {
    /// Makes a new secret for the signatures of a webhook, which signs beside the older ones until [`Engine::end_secret_rotation`], and
    /// shows it this once. Recorded.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, or the stream is no webhook.
    pub fn rotate_stream_secret(
        &self,
        principal: &Principal,
        id: &StreamId,
    ) -> Result<SecretText, StreamError> {
        let secret = new_secret();
        self.put_secrets(principal, id, |older| {
            let older = older.lines().take(SECRETS_MAX - 1);
            [secret.reveal()].into_iter().chain(older).collect::<Vec<_>>().join("\n")
        })?;
        Ok(secret)
    }

    /// Has only the newest secret of a webhook sign. Recorded.
    ///
    /// # Errors
    /// As [`Engine::rotate_stream_secret`].
    pub fn end_secret_rotation(&self, principal: &Principal, id: &StreamId) -> Result<(), StreamError> {
        self.put_secrets(principal, id, |older| older.lines().next().unwrap_or_default().to_owned())
    }

    fn put_secrets(
        &self,
        principal: &Principal,
        id: &StreamId,
        change: impl FnOnce(&str) -> String,
    ) -> Result<(), StreamError> {
        let stream: Stream = self.managed(principal, id)?;
        if stream.kind != WEBHOOK {
            return Err(StreamError::NoSignatures { name: stream.name });
        }
        check_maker(principal, &stream)?;
        let settings = self.stream_settings(&stream)?;
        let secrets = change(settings.get(SECRET));
        let settings = vec![(SECRET.to_owned(), secrets)];
        self.alter_stream(principal, &stream, &StreamChange { settings, ..StreamChange::default() }, true)?;
        Ok(())
    }
}
