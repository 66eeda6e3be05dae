//! The SDK: sends events of an application to Annals, and reads them back.
//!
//! [`Auditor`] takes events at once and brings each to the server, whatever becomes of either; [`Client`] sends what it is given and waits for the answer.
//! Read [`Event`] first, then [`Auditor`].
//!
//! ```no_run
//! use annals_client::{Auditable, Client, Event};
//! use serde::Serialize;
//!
//! #[derive(Serialize, Auditable)]
//! #[audit(type = "invoice", crate = "annals_client::model")]
//! struct Invoice {
//!     #[audit(track, id)]
//!     number: String,
//!     #[audit(track)]
//!     amount: u64,
//!     #[audit(secret)]
//!     card: String,
//! }
//!
//! # async fn example(old: Invoice, new: Invoice) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new("http://127.0.0.1:2662", "annals_ingest_...")?;
//! client.register(&Invoice::document()).await?;
//! let event = Event::change("write", Some(&old), Some(&new))?.user("u-7", "demo-dev-1").status(200);
//! client.append(&[event]).await?; // the card's number never left this process
//! # Ok(())
//! # }
//! ```

mod auditor;
mod background;
mod change;
mod client;
mod event;
pub mod evidence;
mod lasting;
#[cfg(feature = "axum")]
mod layer;
mod spool;
mod testing;

pub use annals_model as model;
pub use annals_model::auditable::Auditable;
pub use auditor::{Auditor, AuditorOptions, AuditorStats, EmitError};
pub use background::Background;
pub use client::{Client, ClientError};
pub use event::{Event, EventError};
pub use lasting::{EventStream, ExportStream, FollowedEvent};
#[cfg(feature = "axum")]
pub use layer::{Audit, AuditContext, AuditLayer, AuditService, ForwardedHeader, NoAuditLayer};
pub use spool::SpoolError;

/// What macros need. Not a public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::testing::audited;
    pub use serde_json::Value;
}
