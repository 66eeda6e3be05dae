//! Reading events by position, and what a read adds to them.

use annals_model::audit_log::{Added, AuditLog, StoredEvent};
use annals_model::id::EventId;
use annals_model::registry::{Deletion, Described, Linked, Registry, ResourceType};
use annals_segment::Hit;
use annals_store::StoreError;
use serde_json::value::RawValue;

use crate::Engine;
use crate::error::EngineError;

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

impl Engine {
    /// Reads the events of a page in its order and makes of each what `each` returns.
    ///
    /// Rows are read in the order of seq, one at a time, so that a page of scattered events never holds more than one.
    pub(crate) fn read_events<T>(
        &self,
        hits: &[Hit],
        mut each: impl FnMut(FoundEvent<'_>) -> Result<T, EngineError>,
    ) -> Result<Vec<T>, EngineError> {
        let registry = self.registry.current().registry;
        let mut by_seq: Vec<(u64, usize)> = hits.iter().enumerate().map(|(at, hit)| (hit.seq, at)).collect();
        by_seq.sort_unstable();
        let mut results: Vec<Option<T>> = hits.iter().map(|_| None).collect();
        let mut wanted = by_seq.into_iter().peekable();
        while let Some((first, _)) = wanted.peek().copied() {
            let missing =
                || StoreError::Damaged { what: format!("seq {first} is indexed but not in the tail") };
            let row = self.store.row_of(first)?.ok_or_else(missing)?;
            for record in row.records() {
                let (seq, record) = record?;
                if let Some((_, at)) = wanted.next_if(|(wanted, _)| *wanted == seq) {
                    let event = StoredEvent::read(&record)?;
                    let added = self.added(&registry, &event, seq)?;
                    results[at] = Some(each(FoundEvent { event: &event, added })?);
                }
            }
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// Finds the position of an event by its id.
    pub(crate) fn find_id(&self, id: EventId) -> Result<Option<Hit>, EngineError> {
        self.log.refresh()?;
        Ok(self.log.seq_of(id).map(|seq| Hit { time_us: 0, seq }))
    }

    fn added(&self, registry: &Registry, event: &StoredEvent<'_>, seq: u64) -> Result<Added, EngineError> {
        let body = &event.body;
        let (kind, resource_id) = (body.resource_type.as_str(), body.resource_id.as_str());
        let is_deleted = self.is_deleted(registry, event, seq)?;
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
        Ok(Added { seq, description, resource_link, is_deleted })
    }

    /// A later successful delete is in the log: of the resource itself, or of the one it goes with, as a build goes with
    /// its workspace.
    fn is_deleted(
        &self,
        registry: &Registry,
        event: &StoredEvent<'_>,
        seq: u64,
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
        let deleted = self.store.deleted_at(kind, &annals_model::id::normalise(&id))?;
        Ok(deleted.is_some_and(|deleted| deleted >= (event.time.as_micros(), seq)))
    }
}
