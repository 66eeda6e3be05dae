//! The SDK: sends events of an application to Annals, and reads them back.
//!
//! This first generation sends what it is given and waits for the answer: an event whose call returned is on the server's
//! disk. It deliberately keeps no queue and no spool of its own. Read [`Client`] first, then [`Event`].
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

mod client;
mod event;
pub mod evidence;
mod lasting;

pub use annals_model as model;
pub use annals_model::auditable::Auditable;
pub use client::{Client, ClientError};
pub use event::{Event, EventError};
pub use lasting::{EventStream, ExportStream, FollowedEvent};
