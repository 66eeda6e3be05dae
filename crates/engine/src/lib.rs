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
mod backup;
mod bucket;
mod clock;
mod document;
mod erasure;
mod error;
mod events;
mod evidence;
mod export;
mod follow;
mod history;
mod index;
mod ingest;
mod license;
mod location;
mod log;
mod merge;
mod metrics;
mod overview;
mod own_event;
mod password;
mod placement;
mod principal;
mod proof;
mod prune;
mod random;
mod reads;
mod registration;
mod repair;
mod resource_state;
mod retention;
mod rewrite;
mod saved_searches;
mod seal;
mod sealed;
mod search;
mod settings;
mod signing;
mod sources;
mod streams;
mod tree;
mod verify;
mod walk;

pub use access::{
    AccessError, Credential, GroupChange, LOGIN_WINDOW_SECONDS, LoginError, NewGroup, NewOidcPerson,
    NewOrganization, NewPerson, NewToken, OidcIdentity, OidcLoginError, OidcPolicy, OrganizationChange,
    Origin, PendingOidc, PersonChange, SESSION_SECONDS, SecretText, TakenOidc,
};
pub use backup::{BackupError, BackupReport, backup, restore};
pub use bucket::{BUCKETS_MAX, Bucket, BucketError};
pub use clock::Clock;
pub use erasure::{Erase, ErasureError, ErasurePlan, ErasureReport};
pub use error::{EngineError, ForbiddenError};
pub use events::FoundEvent;
pub use evidence::{EvidenceError, EvidenceReport};
pub use export::{CSV_COLUMNS, Export, ExportError, ExportFormat, ExportFormatError, ExportRequest};
pub use follow::{Followed, NEWS_WAIT, News};
pub use history::{HISTORY_ROWS, History, HistoryRequest, REPLAYED_EVENTS_MAX};
pub use ingest::{Appended, IngestError, PartialBatch, Pending, PlacedEvent, SyntaxFault};
pub use license::{
    AUDIT_LOG_FEATURE, KeyError, License, LicenseClaims, LicenseError, LicenseKey, LicenseState,
    UnlicensedError, make_license_keys,
};
pub use location::Location;
pub use metrics::MetricsFormat;
pub use overview::{OutcomeBucket, Overview};
pub use own_event::OwnEvent;
pub use principal::{Principal, Sight};
pub use proof::{RECEIPT_WAIT, Standing};
pub use registration::{Registered, RegistrationError};
pub use repair::{Repair, RepairReport, repair};
pub use resource_state::{ResourceState, StateField, StateValue};
pub use retention::{LegalHold, RetentionCount, RetentionError, RetentionReport, RetentionRule};
pub use rewrite::Forgotten;
pub use saved_searches::{
    LISTED_SEARCHES_MAX, NewSavedSearch, SAVED_SEARCH_NAME_MAX, SAVED_SEARCHES_MAX, SavedSearchChange,
    SavedSearchError,
};
pub use seal::SealPolicy;
pub use search::{
    Cursor, CursorError, Histogram, HistogramRequest, SearchError, SearchRequest, SearchResults,
};
pub use settings::{SETTINGS, Setting, SettingError, SettingKind, Settings};
pub use signing::{Refusal, SigningError, SigningPolicy};
pub use sources::Source;
pub use streams::{
    Missing, NewStream, PARALLEL_MAX, Received, Reconciliation, SILENCE_SECONDS, STREAMS_MAX, StreamChange,
    StreamError, StreamPolicy, StreamSecretsError, StreamService, StreamStart, StreamState, StreamStatus,
};
pub use verify::{Depth, Finding, VerifyReport, verify};

pub use annals_query::Key;
pub use annals_segment::Facets;
pub use annals_sink::{
    KINDS as SINK_KINDS, Kind as SinkKind, Setting as SinkSetting, SettingFault,
    SettingKind as SinkSettingKind, Settings as SinkSettings,
};
pub use annals_store::{
    DatabaseLocation, DeadLetter, DeadLetterCount, Epoch, Group, GroupId, Head, LoginType, Membership,
    ObjectsLocation, Organization, OrganizationId, OrganizationRole, Person, PersonId, PersonStatus, Replay,
    Role, SavedSearch, SavedSearchId, Session, SessionId, SourceState, StoreError, StoredCheckpoint, Stream,
    StreamId, StreamMaker, StreamManifest, StreamProgress, Token, TokenId, TokenKind,
};

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use annals_model::id::LogId;
use annals_model::registry::Registry;
use annals_store::{Objects, Store};

use crate::index::Index;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::reads::RecentReads;
use crate::registration::SharedRegistry;
use crate::seal::{Sealer, SealingThread};
use crate::sealed::Sealed;
use crate::signing::{Found, Guard, KeyPlace, SigningThread};
use crate::streams::{Rates, SecretPlace};
use crate::tree::TreeReader;

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
    /// When events are sealed into segments.
    pub seal: SealPolicy,
    /// Sign checkpoints, as a server does.
    pub signing: Option<SigningPolicy>,
    /// New events need a license that this key signed.
    pub require_license: Option<LicenseKey>,
    /// Private networks that streams set up on the page may reach.
    pub stream_networks: Vec<ipnet::IpNet>,
    /// Where the time comes from.
    pub clock: Clock,
}

/// One log, open: shared by all requests of a process.
#[derive(Debug)]
pub struct Engine {
    store: Arc<Store>,
    objects: Arc<Objects>,
    log: Log,
    tree: TreeReader,
    guard: Guard,
    key_place: KeyPlace,
    secret_place: SecretPlace,
    stream_rates: Rates,
    signing: Option<SigningThread>,
    sealer: Sealer,
    sealing: Mutex<Option<SealingThread>>,
    registry: SharedRegistry,
    metrics: Arc<Metrics>,
    recent_reads: RecentReads,
    options: Options,
}

impl Engine {
    /// Opens a log.
    ///
    /// # Errors
    /// [`EngineError`] if there is none, or it or a registry document cannot be used.
    pub fn open(location: impl Into<Location>, options: Options) -> Result<Engine, EngineError> {
        let location = location.into();
        Engine::with_store(Store::open(&location.database)?, &location, options)
    }

    /// Opens a log, or creates it.
    ///
    /// # Errors
    /// [`EngineError`] if the log or a registry document cannot be used.
    pub fn create_or_open(location: impl Into<Location>, options: Options) -> Result<Engine, EngineError> {
        let location = location.into();
        let log_id = LogId::from_bytes(random::bytes());
        let store = Store::create_or_open(&location.database, log_id, options.clock.now())?;
        Engine::with_store(store, &location, options)
    }

    /// Begins a new epoch of a log that was put back or cut, and opens it: it gets a new name and key, and goes on from what it is now. No
    /// server may run on it meanwhile.
    ///
    /// # Errors
    /// [`EngineError`] if the log continues its last checkpoint and `is_forced` is false, or it cannot be used.
    pub fn begin_epoch(
        location: impl Into<Location>,
        options: Options,
        reason: &str,
        is_forced: bool,
    ) -> Result<(Engine, Epoch), EngineError> {
        let location = location.into();
        let plain = Options {
            signing: None,
            seal: SealPolicy { in_background: false, ..options.seal },
            ..options.clone()
        };
        let refusal = Engine::open(&location, plain)?.refusal();
        if let Some(refusal) = refusal.clone().filter(|refusal| !is_forced && !refusal.is_of_log()) {
            return Err(refusal.into());
        }
        if !is_forced && refusal.is_none() {
            return Err(SigningError::NotNeeded.into());
        }
        let epoch =
            signing::begin_epoch(&location, &Store::open(&location.database)?, reason, &options.clock)?;
        let signing = Some(options.signing.clone().unwrap_or_default());
        Ok((Engine::open(location, Options { signing, ..options })?, epoch))
    }

    fn with_store(store: Store, location: &Location, options: Options) -> Result<Engine, EngineError> {
        let store = Arc::new(store);
        let registry = SharedRegistry::new(options.allow_unknown);
        let is_other_policy = match &options.registry_documents {
            Some(documents) => registry.put_operator_documents(&store, documents, options.clock.now())?,
            None => {
                registry.refresh(&store)?;
                false
            }
        };
        let objects = Arc::new(Objects::open(&location.objects, &location.cache_dir())?);
        let metrics = Arc::new(Metrics::new());
        let index = Index::new(Sealed::new(Arc::clone(&objects)));
        let guard = Guard::default();
        let log = Log::open(Arc::clone(&store), index, Arc::clone(&metrics), guard.clone())?;
        let tree = TreeReader::new(Arc::clone(&store), Arc::clone(log.index()));
        let policy = options.signing.as_ref();
        let found = signing::open(location, policy, &store, &tree, &guard, &metrics, &options.clock)?;
        let sealer = Sealer {
            store: Arc::clone(&store),
            objects: Arc::clone(&objects),
            index: Arc::clone(log.index()),
            metrics: Arc::clone(&metrics),
            policy: options.seal.clone(),
            clock: options.clock.clone(),
            has_work_left: Arc::new(AtomicBool::new(true)),
            leftovers: Arc::default(),
        };
        let sealing = options.seal.in_background.then(|| SealingThread::start(sealer.clone())).transpose()?;
        let sealing = Mutex::new(sealing);
        let mut engine = Engine {
            store,
            objects,
            log,
            tree,
            guard,
            key_place: KeyPlace::new(&location.key_dir),
            secret_place: SecretPlace::new(&location.key_dir),
            stream_rates: Rates::default(),
            signing: None,
            sealer,
            sealing,
            registry,
            metrics,
            recent_reads: RecentReads::new(),
            options,
        };
        engine.record_epoch()?;
        if let Found::Signer(signer) = found {
            let interval = engine.options.signing.as_ref().map(|policy| policy.interval).unwrap_or_default();
            engine.signing = Some(SigningThread::start(*signer, interval)?);
        }
        if is_other_policy {
            engine.record_policy();
        }
        Ok(engine)
    }

    /// Finishes what was accepted and stops appending and sealing. Dropping the engine does the same.
    pub fn stop(&self) {
        self.log.stop();
        if let Some(signing) = &self.signing {
            signing.stop();
        }
        drop(self.sealing.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Seals all events that a segment can hold, down to segments of 256, and returns how many segments it made.
    ///
    /// # Errors
    /// [`EngineError::SealingElsewhere`] if another process, or the background thread, is sealing.
    pub fn seal_now(&self) -> Result<usize, EngineError> {
        self.sealer.seal_all()
    }

    /// Seals what is due, as the background thread does, and returns how many segments it made.
    ///
    /// # Errors
    /// [`EngineError`] if the database or the object store fails.
    pub fn seal_due(&self) -> Result<usize, EngineError> {
        self.sealer.round(&|| true)
    }

    /// The numbers for the operator, for whoever may see them.
    ///
    /// # Errors
    /// [`ForbiddenError`] if the caller may not.
    pub fn metrics(&self, principal: &Principal, format: MetricsFormat) -> Result<String, ForbiddenError> {
        principal.may_see_metrics()?;
        // If the database went away since the caller was let in, the numbers are those of the last look.
        if let Ok(state) = self.store.state() {
            let events = i64::try_from(state.head.size).unwrap_or(i64::MAX);
            self.metrics.log_events.set(events);
            self.metrics.tail_events.set(events - i64::try_from(state.sealed).unwrap_or(i64::MAX));
        }
        self.metrics.refused.set(i64::from(self.guard.refusal().is_some()));
        self.metrics.set_objects(&self.objects.stats());
        Ok(self.metrics.text(format))
    }

    /// Says whether the log takes and finds events.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer or the thread that appends has ended.
    pub fn ready(&self) -> Result<Head, EngineError> {
        if !self.log.is_appending() {
            return Err(EngineError::NotAppending);
        }
        if let Some(refusal) = self.guard.refusal() {
            return Err(refusal.into());
        }
        Ok(self.store.head()?)
    }

    /// Checks every byte of the log, as [`verify`] does.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer; what is damaged stands in the report.
    pub fn verify(&self) -> Result<VerifyReport, EngineError> {
        verify::verify_parts(&self.store, &self.objects, &self.key_place, Depth::Events, &mut |_, _| {})
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
