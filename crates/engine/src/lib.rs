//! The use cases of the log, without HTTP: ingest, search, access, registration.
//!
//! `engine` joins the rooms below it: events are checked by `model`, sequenced by `store`, indexed by `segment`, found
//! by `query`. Clocks and randomness enter here ([`Clock`], the system's generator), and nowhere below. It knows no HTTP
//! status, no header and no page.
//!
//! Every use case takes a [`Principal`] first: who is asking. There is no way to make one without a credential, so an
//! unauthenticated call does not compile.
//!
//! Read [`Engine`] first.

mod access;
mod clock;
mod document;
mod error;
mod events;
mod ingest;
mod log;
mod own_event;
mod password;
mod principal;
mod random;
mod registration;
mod search;

pub use access::{
    Credential, LoginError, NewPerson, NewToken, Origin, SESSION_SECONDS, SecretText, SetupError,
};
pub use clock::Clock;
pub use error::{EngineError, ForbiddenError};
pub use events::FoundEvent;
pub use ingest::{Appended, IngestError, PartialBatch, Pending, PlacedEvent, SyntaxFault};
pub use own_event::OwnEvent;
pub use principal::Principal;
pub use registration::{Registered, RegistrationError};
pub use search::{Cursor, CursorError, SearchError, SearchRequest, SearchResults};

pub use annals_store::{Head, Person, PersonId, Role, StoreError, Token, TokenId, TokenKind};

use std::path::Path;
use std::sync::Arc;

use annals_model::id::LogId;
use annals_model::registry::Registry;
use annals_store::Store;

use crate::log::Log;
use crate::registration::SharedRegistry;

/// How a log is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Takes unknown resource types and actions.
    pub allow_unknown: bool,
    /// TOML documents of the operator, extending or overriding the built-in registry. They are stored, in place of those
    /// before; without any word here the stored ones hold.
    pub registry_documents: Option<Vec<String>>,
    /// Address of the audited deployment, such as `https://coder.example`; without it names are not linked.
    pub deployment_url: Option<String>,
    /// Where the time comes from.
    pub clock: Clock,
}

/// One log, open: shared by all requests of a process.
#[derive(Debug)]
pub struct Engine {
    store: Arc<Store>,
    log: Log,
    registry: SharedRegistry,
    options: Options,
}

impl Engine {
    /// Opens the log in a directory.
    ///
    /// # Errors
    /// [`EngineError`] if there is none, or it or a registry document cannot be used.
    pub fn open(dir: &Path, options: Options) -> Result<Engine, EngineError> {
        Engine::with_store(Store::open(dir)?, options)
    }

    /// Opens the log in a directory, or creates both.
    ///
    /// # Errors
    /// [`EngineError`] if the directory, the log or a registry document cannot be used.
    pub fn create_or_open(dir: &Path, options: Options) -> Result<Engine, EngineError> {
        let log_id = LogId::from_bytes(random::bytes());
        let store = Store::create_or_open(dir, log_id, options.clock.now())?;
        Engine::with_store(store, options)
    }

    fn with_store(store: Store, options: Options) -> Result<Engine, EngineError> {
        let store = Arc::new(store);
        let registry = SharedRegistry::new(options.allow_unknown);
        match &options.registry_documents {
            Some(documents) => registry.put_operator_documents(&store, documents, options.clock.now())?,
            None => registry.refresh(&store)?,
        }
        let log = Log::open(Arc::clone(&store))?;
        Ok(Engine { store, log, registry, options })
    }

    /// Finishes what was accepted and stops appending. Dropping the engine does the same.
    pub fn stop(&self) {
        self.log.stop();
    }

    /// Says whether the log takes and finds events.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer or the thread that appends has ended.
    pub fn ready(&self) -> Result<Head, EngineError> {
        if !self.log.is_appending() {
            return Err(EngineError::NotAppending);
        }
        Ok(self.store.head()?)
    }

    /// Recomputes the tree from the stored events and compares it with head and tiles; writes nothing.
    ///
    /// # Errors
    /// [`EngineError`] names the first difference.
    pub fn check(&self) -> Result<Head, EngineError> {
        Ok(self.store.check()?)
    }

    /// The time, as the log sees it.
    pub fn now(&self) -> annals_model::time::Time {
        self.options.clock.now()
    }

    /// The registry now in force.
    ///
    /// # Errors
    /// [`EngineError`] if documents that others registered cannot be read.
    pub fn registry(&self) -> Result<Arc<Registry>, EngineError> {
        self.registry.refresh(&self.store)?;
        Ok(self.registry.current().registry)
    }
}
