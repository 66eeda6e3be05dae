//! Reading events by position, and what a read adds to them.

use annals_model::audit_log::{Added, AuditLog, StoredEvent};
use annals_model::id::EventId;
use annals_model::registry::{Deletion, Described, Linked, Registry, ResourceType};
use annals_segment::Hit;
use annals_store::{StoreError, TailRow};
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
    pub(crate) fn read_events<T>(
        &self,
        hits: &[Hit],
        mut each: impl FnMut(FoundEvent<'_>) -> Result<T, EngineError>,
    ) -> Result<Vec<T>, EngineError> {
        let registry = self.registry.current().registry;
        // Neighbours share a row; a page walks a few rows, mostly one.
        let mut rows: Vec<TailRow> = Vec::new();
        let mut results = Vec::with_capacity(hits.len());
        for hit in hits {
            let holds = |row: &TailRow| {
                (row.first_seq()..row.first_seq() + u64::from(row.count())).contains(&hit.seq)
            };
            let at = match rows.iter().position(holds) {
                Some(at) => at,
                None => {
                    let missing = || StoreError::Damaged {
                        what: format!("seq {} is indexed but not in the tail", hit.seq),
                    };
                    rows.push(self.store.row_of(hit.seq)?.ok_or_else(missing)?);
                    rows.len() - 1
                }
            };
            for record in rows[at].records() {
                let (seq, record) = record?;
                if seq == hit.seq {
                    let event = StoredEvent::read(&record)?;
                    let added = self.added(&registry, &event, seq)?;
                    results.push(each(FoundEvent { event: &event, added })?);
                    break;
                }
            }
        }
        Ok(results)
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
        Ok(deleted.is_some_and(|deleted| deleted >= seq))
    }
}
