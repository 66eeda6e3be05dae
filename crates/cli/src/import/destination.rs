//! Where events go: into a log, or nowhere, to see what would come of them.

use annals_engine::PartialBatch;
use annals_model::event::{Fault, read_event};
use annals_model::id::EventId;
use annals_model::prepare::{Rules, prepare};
use annals_model::registry::{Authority, Registry};
use annals_model::time::Time;
use anyhow::Context as _;
use serde::Deserialize;

use crate::output;
use crate::target::Target;

/// What takes events.
pub(super) enum Destination<'t> {
    /// A log, here or behind a server.
    Log(&'t Target),
    /// Events are checked as a new log would check them, and printed.
    Trial(Box<Registry>),
}

/// The part of a reply that matters here.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Reply {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    #[serde(default)]
    pub(super) warnings: Vec<ReplyWarning>,
    #[serde(default)]
    pub(super) faults: Vec<ReplyFault>,
}

/// What the log recorded otherwise than one may expect.
#[derive(Debug, Deserialize)]
pub(super) struct ReplyWarning {
    pub(super) detail: String,
}

/// Why the log did not take an event.
#[derive(Debug, Deserialize)]
pub(super) struct ReplyFault {
    pub(super) index: usize,
    pointer: String,
    detail: String,
    #[serde(default)]
    hint: Option<String>,
}

impl Destination<'_> {
    pub(super) fn trial() -> Self {
        Destination::Trial(Box::new(Registry::built_in()))
    }

    /// The registry in force. A token may append and not read it; then what is built in is all that is known.
    pub(super) fn registry(&self) -> Option<serde_json::Value> {
        match self {
            Destination::Log(target) => target.resources().ok(),
            Destination::Trial(_) => None,
        }
    }

    pub(super) fn register(&mut self, document: &str) -> anyhow::Result<()> {
        match self {
            Destination::Log(target) => target.register(document).map(drop),
            Destination::Trial(registry) => {
                Ok(registry.extend(document, Authority::Application).map(drop)?)
            }
        }
    }

    /// Takes the good events and says what is wrong with the others.
    pub(super) fn append(&mut self, lines: &[&str]) -> anyhow::Result<Reply> {
        match self {
            Destination::Log(target) => {
                let reply = target.append(&lines.join("\n"), PartialBatch::Take)?;
                serde_json::from_value(reply).context("the reply is not the expected one")
            }
            Destination::Trial(registry) => try_events(registry, lines),
        }
    }
}

fn try_events(registry: &Registry, lines: &[&str]) -> anyhow::Result<Reply> {
    let rules = Rules { registry, registry_version: 0, allow_unknown: false };
    let (received, made_id) = (Time::from_micros_saturating(0), EventId::new(uuid::Uuid::nil()));
    let mut reply = Reply::default();
    for (index, line) in lines.iter().enumerate() {
        let prepared = read_event(line)
            .map_err(|fault| vec![*fault])
            .and_then(|event| prepare(event, index, &rules, received, made_id));
        match prepared {
            Ok(prepared) => {
                output::line(line)?;
                reply.accepted += 1;
                let details = prepared.warnings.into_iter().map(|warning| warning.detail);
                reply.warnings.extend(details.map(|detail| ReplyWarning { detail }));
            }
            Err(faults) => reply.faults.extend(faults.into_iter().map(|fault| ReplyFault::of(index, fault))),
        }
    }
    Ok(reply)
}

impl ReplyFault {
    fn of(index: usize, fault: Fault) -> ReplyFault {
        ReplyFault { index, pointer: fault.pointer, detail: fault.detail, hint: fault.hint }
    }

    /// What a person reads: where in the event, what is wrong, what to do.
    pub(super) fn to_reason(&self) -> String {
        let place = if self.pointer.is_empty() { String::new() } else { format!("{}: ", self.pointer) };
        let hint = self.hint.as_deref().map(|hint| format!("\n{hint}")).unwrap_or_default();
        format!("{place}{}{hint}", self.detail)
    }
}
