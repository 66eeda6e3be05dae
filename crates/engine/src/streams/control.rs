//! What people do with a stream that is there: pauses, replays, dead letters, manifests, its end.

use annals_store::{DeadLetter, Replay, Stream, StreamId, StreamMaker, StreamManifest};
use serde_json::json;

use super::error::StreamError;
use super::{REPLAYS_MAX, StreamStart, binding, check_owner, check_range, event_on, reader, snapshot};
use crate::Engine;
use crate::principal::Principal;

impl Engine {
    /// Has a stream send nothing, or go on, and records it.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, or there is no such stream.
    pub fn pause_stream(
        &self,
        principal: &Principal,
        id: &StreamId,
        is_paused: bool,
    ) -> Result<Stream, StreamError> {
        // A log that takes no events must not keep anybody from stopping what leaves it.
        let is_refused = is_paused && self.refusal().is_some() && principal.may_manage().is_ok();
        let stream = if is_refused { self.stream(principal, id)? } else { self.managed(principal, id)? };
        if stream.is_paused == is_paused {
            return Ok(stream);
        }
        let changed = self.store.change_stream(id, self.now(), |stream| {
            stream.is_paused = is_paused;
            stream.is_left_out = false;
            true
        })?;
        let (_, after) = changed.ok_or_else(|| StreamError::Unknown { name: stream.name.clone() })?;
        let event = event_on("write", &after)
            .before(json!({"enabled": is_paused}))
            .after(json!({"enabled": !is_paused}));
        self.record_own(principal, event);
        Ok(after)
    }

    /// Pauses a stream that the configuration file has no more: what it did not send is not lost, and it goes on when the file has it again.
    ///
    /// # Errors
    /// As [`Engine::pause_stream`].
    pub fn leave_out_stream(&self, principal: &Principal, id: &StreamId) -> Result<(), StreamError> {
        self.pause_stream(principal, id, true)?;
        self.store.change_stream(id, self.now(), |stream| {
            stream.is_left_out = true;
            true
        })?;
        Ok(())
    }

    /// Deletes a stream with its dead letters and manifests, and records it. What was not sent is not sent any more.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, or there is no such stream.
    pub fn delete_stream(&self, principal: &Principal, id: &StreamId) -> Result<Stream, StreamError> {
        let stream = self.managed(principal, id)?;
        if stream.made_by == StreamMaker::File && !stream.is_left_out {
            return Err(StreamError::OfFile { name: stream.name });
        }
        check_owner(principal, &stream)?;
        let deleted = self.store.delete_stream(id)?;
        let deleted = deleted.ok_or_else(|| StreamError::Unknown { name: stream.name.clone() })?;
        let secrets = self.secret_place.open(&binding(&deleted), &deleted.secrets).unwrap_or_default();
        self.record_own(principal, event_on("delete", &deleted).before(snapshot(&deleted, &secrets)));
        Ok(deleted)
    }

    /// Has a stream send a part of the log once more, of what its query takes only what `query` takes too, and records it. New events go on
    /// meanwhile. Returns how many events come.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, the query has errors, or the stream has not come so far.
    pub fn replay_stream(
        &self,
        principal: &Principal,
        id: &StreamId,
        start: StreamStart,
        end_seq: Option<u64>,
        query: &str,
    ) -> Result<u64, StreamError> {
        let stream = self.managed(principal, id)?;
        let query = self.checked_stream_query(query)?;
        let next_seq = stream.progress.next_seq;
        let first_seq = self.start_seq(start).map_err(|error| match error {
            StreamError::BeyondTheEnd { seq, .. } => StreamError::NotSentYet { seq, next_seq },
            error => error,
        })?;
        let end_seq = end_seq.unwrap_or(next_seq);
        if first_seq > next_seq {
            return Err(StreamError::NotSentYet { seq: first_seq, next_seq });
        }
        if end_seq > next_seq {
            return Err(StreamError::NotSentYet { seq: end_seq - 1, next_seq });
        }
        check_range(first_seq, end_seq)?;
        let filter = reader::stream_filter(self, &stream.query, &query)?;
        let parts = self.log.refresh()?;
        let count = crate::walk::count(&parts, &filter, &(first_seq..end_seq.max(first_seq)))?;
        drop(parts);
        if count == 0 {
            return Ok(0);
        }
        let replay = Replay {
            number: 0,
            query: query.clone(),
            first_seq,
            next_seq: first_seq,
            end_seq,
            delivered: 0,
            created: self.now(),
        };
        let about = json!({"first_seq": first_seq, "end_seq": end_seq, "query": query, "event_count": count});
        let event = event_on("write", &stream).additional("replay", about);
        self.record_first(principal, event).map_err(StreamError::Record)?;
        if !self.store.add_replay(id, &replay, REPLAYS_MAX)? {
            return Err(StreamError::TooManyReplays);
        }
        Ok(count)
    }

    /// Gives up the replays of a stream that are not done, and returns how many.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, or there is no such stream.
    pub fn cancel_replays(&self, principal: &Principal, id: &StreamId) -> Result<u64, StreamError> {
        let stream = self.managed(principal, id)?;
        let count = self.store.discard_replays(id)?;
        if count > 0 {
            self.record_own(principal, event_on("write", &stream).additional("replays_cancelled", count));
        }
        Ok(count)
    }

    /// Lists the events that the receiver refused, from a seq on.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, or the log failed.
    pub fn dead_letters(
        &self,
        principal: &Principal,
        id: &StreamId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StreamError> {
        principal.may_manage()?;
        Ok(self.store.dead_letters(id, from_seq, limit)?)
    }

    /// Has the dead letters of a stream sent again, or the one of a seq, and returns how many. Recorded.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, or there is no such stream.
    pub fn resend_dead_letters(
        &self,
        principal: &Principal,
        id: &StreamId,
        seq: Option<u64>,
    ) -> Result<u64, StreamError> {
        let stream = self.managed(principal, id)?;
        let count = self.store.resend_dead_letters(id, seq)?;
        check_found(&stream, seq, count)?;
        if count > 0 {
            self.record_own(principal, event_on("write", &stream).additional("dead_letters_resent", count));
        }
        Ok(count)
    }

    /// Gives up the dead letters of a stream, or the one of a seq, and returns how many: their events will not be sent. Recorded.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, or there is no such stream.
    pub fn discard_dead_letters(
        &self,
        principal: &Principal,
        id: &StreamId,
        seq: Option<u64>,
    ) -> Result<u64, StreamError> {
        let stream = self.managed(principal, id)?;
        check_owner(principal, &stream)?;
        let count = self.store.discard_dead_letters(id, seq)?;
        check_found(&stream, seq, count)?;
        if count > 0 {
            self.record_own(
                principal,
                event_on("write", &stream).additional("dead_letters_discarded", count),
            );
        }
        Ok(count)
    }

    /// Lists the manifests of a stream, the newest first.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not read the whole log, or the log failed.
    pub fn stream_manifests(
        &self,
        principal: &Principal,
        id: &StreamId,
        limit: usize,
    ) -> Result<Vec<StreamManifest>, StreamError> {
        principal.may_see_all("see what streams delivered")?;
        Ok(self.store.stream_manifests(id, limit)?)
    }

    /// Finds a manifest by its number.
    ///
    /// # Errors
    /// As [`Engine::stream_manifests`].
    pub fn stream_manifest(
        &self,
        principal: &Principal,
        id: &StreamId,
        number: u64,
    ) -> Result<Option<StreamManifest>, StreamError> {
        principal.may_see_all("see what streams delivered")?;
        Ok(self.store.stream_manifest(id, number)?)
    }
}

/// Somebody who names a dead letter means one that is there.
fn check_found(stream: &Stream, seq: Option<u64>, count: u64) -> Result<(), StreamError> {
    match seq {
        Some(seq) if count == 0 => Err(StreamError::NoDeadLetter { seq, name: stream.name.clone() }),
        _ => Ok(()),
    }
}
