//! Reading events by position, and what a read adds to them.

use std::sync::Arc;

use annals_model::audit_log::{Added, AuditLog, StoredEvent};
use annals_model::record::Record;
use annals_model::registry::{Deletion, Described, Linked, Registry, ResourceType};
use annals_segment::{EventPage, Place};
use annals_store::{StoreError, TailRow};
use serde_json::value::RawValue;

use crate::Engine;
use crate::error::EngineError;
use crate::index::Parts;
use crate::sealed::SealedPart;

/// An event with all that a reader is shown.
#[derive(Debug)]
pub struct FoundEvent<'e> {
    /// The stored parts.
    pub event: &'e StoredEvent<'e>,
    /// What was looked up or computed.
    pub added: Added,
}

impl<'e> FoundEvent<'e> {
    /// Gives the event the shape of the API.
    ///
    /// # Errors
    /// [`EngineError`] if the stored bytes are damaged.
    pub fn into_audit_log(self) -> Result<AuditLog<'e>, EngineError> {
        Ok(AuditLog::new(self.event, self.added)?)
    }
}

/// When a resource was deleted: time, and seq of the event.
pub(crate) type Deleted = (i64, u64);

/// What was read last: events of a page often lie side by side.
enum Read {
    Nothing,
    Tail(TailRow),
    Sealed(Arc<SealedPart>, EventPage),
}

impl Engine {
    /// Reads the events of a page in its order and makes of each what `each` returns.
    ///
    /// Events are read in the order in which they are stored, one tail row or segment page at a time, so that a page of
    /// scattered events never holds more than one.
    pub(crate) fn read_events<T>(
        &self,
        parts: &Parts,
        places: &[Place],
        mut each: impl FnMut(FoundEvent<'_>) -> Result<T, EngineError>,
    ) -> Result<Vec<T>, EngineError> {
        let registry = self.registry.current().registry;
        let mut stored: Vec<usize> = (0..places.len()).collect();
        stored.sort_unstable_by_key(|at| (places[*at].segment, places[*at].row));
        let mut results: Vec<Option<T>> = places.iter().map(|_| None).collect();
        let mut read = Read::Nothing;
        for at in stored {
            let place = &places[at];
            let sealed = parts.sealed(place.segment);
            results[at] = Some(self.with_record(sealed, place, &mut read, |record| {
                let event = StoredEvent::read(record)?;
                let added = self.added(&registry, &event, place.hit.seq)?;
                each(FoundEvent { event: &event, added })
            })?);
        }
        Ok(results.into_iter().flatten().collect())
    }

    fn with_record<T>(
        &self,
        sealed: Option<&Arc<SealedPart>>,
        place: &Place,
        read: &mut Read,
        work: impl FnOnce(&Record<'_>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        if let Some(part) = sealed {
            return with_sealed(part, place.row, read, work);
        }
        let seq = place.hit.seq;
        let is_read = matches!(read, Read::Tail(row) if holds(row, seq));
        if !is_read {
            match self.store.row_of(seq)? {
                Some(row) => *read = Read::Tail(row),
                // Sealed since the search looked.
                None => {
                    let parts = self.log.refresh_manifest()?;
                    // Where its segment cannot be opened now, the object store is away.
                    let part = parts.sealed_at(seq).ok_or(EngineError::NotOpenYet { seq })?;
                    let row = part.row_of_seq(seq)?;
                    return with_sealed(part, row, read, work);
                }
            }
        }
        let Read::Tail(row) = read else { return Err(missing(seq).into()) };
        for record in row.records() {
            let (at, record) = record?;
            if at == seq {
                return work(&record);
            }
        }
        Err(missing(seq).into())
    }

    pub(crate) fn added(
        &self,
        registry: &Registry,
        event: &StoredEvent<'_>,
        seq: u64,
    ) -> Result<Added, EngineError> {
        let is_deleted = self.is_deleted(registry, event, seq, |kind, id| self.deleted_at(kind, id))?;
        Ok(self.added_to(registry, event, seq, is_deleted))
    }

    /// When a resource was deleted last, time and seq.
    pub(crate) fn deleted_at(&self, kind: &str, id: &str) -> Result<Option<Deleted>, EngineError> {
        Ok(self.store.deleted_at(kind, id)?)
    }

    /// What a reader is shown beside the stored event.
    pub(crate) fn added_to(
        &self,
        registry: &Registry,
        event: &StoredEvent<'_>,
        seq: u64,
        is_deleted: bool,
    ) -> Added {
        let body = &event.body;
        let (kind, resource_id) = (body.resource_type.as_str(), body.resource_id.as_str());
        let changed: Vec<(&str, Option<&RawValue>)> = event
            .changes
            .iter()
            .map(|change| {
                let new = change.new.as_deref().and_then(|new| serde_json::from_str(new).ok());
                (change.field.as_ref(), new)
            })
            .collect();
        let action = body.action.as_str();
        let description =
            registry.describe(&Described { kind, action, status_code: body.status_code, changed: &changed });
        let resource_link = match &self.options.deployment_url {
            Some(deployment) if !is_deleted => {
                let organization = body.organization.as_ref();
                let path = registry.resource_link(&Linked {
                    kind,
                    resource_id,
                    target: &event.target,
                    user_id: body.user.as_ref().map_or("", |user| user.id.as_str()),
                    username: event.who.user.username.as_str(),
                    organization_id: organization.map_or("", |organization| organization.id.as_str()),
                    organization_name: organization.map_or("", |organization| organization.name.as_str()),
                    additional: &|name: &str| event.additional(name),
                });
                if path.is_empty() { path } else { format!("{}{path}", deployment.trim_end_matches('/')) }
            }
            _ => String::new(),
        };
        Added { seq, description, resource_link, is_deleted }
    }

    /// A later successful delete is in the log: of the resource itself, or of the one it goes with, as a build goes with
    /// its workspace.
    pub(crate) fn is_deleted(
        &self,
        registry: &Registry,
        event: &StoredEvent<'_>,
        seq: u64,
        deleted_at: impl FnOnce(&str, &str) -> Result<Option<Deleted>, EngineError>,
    ) -> Result<bool, EngineError> {
        let kind = event.body.resource_type.as_str();
        let own = || Some((kind, event.body.resource_id.as_str().to_owned()));
        let watched = match registry.resource(kind).map(ResourceType::deletion) {
            None | Some(Deletion::Own) => own(),
            Some(Deletion::With(with)) => {
                event.additional(&with.additional_field).map(|id| (with.kind.as_str(), id))
            }
            Some(Deletion::Unknown) => None,
        };
        let Some((kind, id)) = watched.filter(|(_, id)| !id.is_empty()) else { return Ok(false) };
        let deleted = deleted_at(kind, &annals_model::id::normalise(&id))?;
        Ok(deleted.is_some_and(|deleted| deleted >= (event.time.as_micros(), seq)))
    }
}

fn with_sealed<T>(
    part: &Arc<SealedPart>,
    row: u32,
    read: &mut Read,
    work: impl FnOnce(&Record<'_>) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let is_read =
        matches!(read, Read::Sealed(of, page) if Arc::ptr_eq(of, part) && page.rows().contains(&row));
    if !is_read {
        *read = Read::Sealed(Arc::clone(part), part.page_of(row)?);
    }
    match read {
        Read::Sealed(_, page) => work(&part.record(page, row)?),
        _ => unreachable!("the page was read just now"),
    }
}

fn holds(row: &TailRow, seq: u64) -> bool {
    (row.first_seq()..row.first_seq() + u64::from(row.count())).contains(&seq)
}

fn missing(seq: u64) -> StoreError {
    StoreError::Damaged { what: format!("seq {seq} is indexed but not in the log") }
}
