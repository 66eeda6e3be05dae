//! The database of the log and its segment objects: tail, head, tiles, manifest, people, sessions, organizations, groups,
//! tokens, registry documents.
//!
//! `store` alone names SQL drivers and object stores. It keeps bytes and rows; what an event means, who may do what and
//! when it is, it does not know: times come in as arguments. The database is SQLite in a directory or PostgreSQL, behind
//! one set of methods. Everything that it acknowledges survives power loss: SQLite runs in WAL mode with
//! `synchronous=FULL`, PostgreSQL with `synchronous_commit` on, so a commit returns after its fsync.
//!
//! Read [`Store`] first, then [`LogWriter::begin`], the only way to append, then [`SealLease`] and [`Objects`].
//!
//! ```
//! use annals_model::{id::LogId, time::Time};
//! use annals_store::{DatabaseLocation, Store};
//!
//! let dir = tempfile::tempdir()?;
//! let location = DatabaseLocation::Directory(dir.path().to_owned());
//! let store = Store::create_or_open(&location, LogId::from_bytes([7; 16]), Time::EPOCH)?;
//! assert_eq!(store.state()?.head.size, 0);
//! // A location never shows its password.
//! let server: DatabaseLocation = "postgres://annals:secret@db/log".parse()?;
//! assert_eq!(format!("{server:?}"), "postgres://annals@db:5432/log");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod append;
mod backup;
mod batch;
mod check;
mod checkpoints;
mod connection;
mod error;
mod files;
mod groups;
mod lease;
mod licenses;
mod location;
mod log;
mod logins;
mod manifest;
mod map;
mod objects;
mod organizations;
mod people;
mod pool;
mod postgres;
mod registry_documents;
mod saved_searches;
mod seal;
mod secrets;
mod sessions;
mod settings;
mod sources;
mod sqlite;
mod store;
mod streams;
mod tokens;
mod value;

pub use append::{Append, Deletion, LogWriter, NewRecord};
pub use batch::{BatchError, TailRow};
pub use checkpoints::{Epoch, StoredCheckpoint};
pub use error::StoreError;
pub use files::{make_private_dir, open_private_file, write_whole};
pub use groups::{Group, GroupId};
pub use lease::Lease;
pub use licenses::StoredLicense;
pub use location::{DatabaseLocation, LocationError};
pub use log::Head;
pub use logins::{LoginFailures, PendingLogin};
pub use manifest::{LogState, SegmentRow};
pub use objects::{
    BucketHttp, ListedObject, Object, ObjectError, ObjectStats, ObjectVersion, ObjectWriter, Objects,
    ObjectsLocation, ObjectsLocationError,
};
pub use organizations::{Membership, Organization, OrganizationId, OrganizationRole};
pub use people::{
    ChangedPerson, DeletedPerson, EndSessions, LoginType, Person, PersonId, PersonStatus, Role,
};
pub use postgres::{PostgresUrl, PostgresUrlError};
pub use registry_documents::{DocumentAuthority, RegistryDocument};
pub use saved_searches::{SavedSearch, SavedSearchId};
pub use seal::{PRUNED_STEP, SealLease};
pub use sessions::{Session, SessionId};
pub use sources::{GAPS_MAX, SOURCES_MAX, SourceState};
pub use store::Store;
pub use streams::{
    DeadLetter, DeadLetterCount, Replay, Stream, StreamId, StreamMaker, StreamManifest, StreamProgress,
};
pub use tokens::{Token, TokenId, TokenKind};
