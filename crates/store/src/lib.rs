//! The database of the log: tail, head, tiles, people, sessions, tokens, registry documents.
//!
//! `store` alone names SQL drivers. It keeps bytes and rows; what an event means, who may do what and when it is, it
//! does not know: times come in as arguments. Everything that it acknowledges survives power loss: SQLite runs in WAL
//! mode with `synchronous=FULL`, so a commit returns after its fsync.
//!
//! Read [`Store`] first, then [`LogWriter::begin`], the only way to append.

mod batch;
mod error;
mod log;
mod people;
mod registry_documents;
mod sqlite;
mod tokens;

pub use batch::{BatchError, TailRow};
pub use error::StoreError;
pub use log::{Append, Deletion, Head, LogWriter, NewRecord};
pub use people::{Person, PersonId, Role, Session};
pub use registry_documents::{DocumentAuthority, RegistryDocument};
pub use sqlite::Store;
pub use tokens::{Token, TokenId, TokenKind};
