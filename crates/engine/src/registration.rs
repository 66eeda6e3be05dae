//! The registry in force: built in, then the operator's documents, then what applications registered.

use std::sync::{Arc, PoisonError, RwLock};

use annals_model::registry::{Authority, Extension, Registry, RegistryErrors};
use annals_model::time::Time;
use annals_query::Vocabulary;
use annals_store::{DocumentAuthority, RegistryDocument, Store, StoreError};
use serde::Serialize;
use tracing::warn;

use crate::Engine;
use crate::error::{EngineError, ForbiddenError};
use crate::own_event::OwnEvent;
use crate::principal::Principal;

/// A registry and what queries know of it, at one version.
#[derive(Debug, Clone)]
pub(crate) struct CurrentRegistry {
    /// What is in force.
    pub(crate) registry: Arc<Registry>,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) version: u32,
    documents: Arc<Documents>,
}

/// What lies on top of the built-in registry.
#[derive(Debug, Clone, Default)]
struct Documents {
    /// In the order in which they came.
    applications: Vec<String>,
    /// The operator's last word.
    operator: Vec<String>,
}

impl Documents {
    /// Builds the registry: built in, then the applications, then the operator, who has the last word. An application's
    /// document that needs what only the operator's files define comes after them.
    fn build(&self) -> Result<Registry, EngineError> {
        let mut registry = Registry::built_in();
        let mut later = Vec::new();
        for document in &self.applications {
            if registry.extend(document, Authority::Application).is_err() {
                later.push(document);
            }
        }
        for (index, document) in self.operator.iter().enumerate() {
            registry.extend(document, Authority::Operator).map_err(|errors| EngineError::Registry {
                name: format!("{} of the operator", index + 1),
                message: errors.to_string(),
            })?;
        }
        for document in later {
            // It fitted when it came. Left out, its fields have no policy and their values are withheld: safe, and the
            // log goes on.
            if let Err(errors) = registry.extend(document, Authority::Application) {
                warn!(%errors, "a registered document no longer fits and is left out");
            }
        }
        Ok(registry)
    }

    /// What an application's document would change. Compared with what applications know, so that a field that the
    /// operator tightened does not make an unchanged document look like a loosening.
    fn extension(&self, document: &str, current: &Registry) -> Result<Extension, RegistryErrors> {
        let without_operator = Documents { applications: self.applications.clone(), operator: Vec::new() };
        if let Ok(mut base) = without_operator.build()
            && let Ok(extension) = base.extend(document, Authority::Application)
        {
            return Ok(extension);
        }
        current.clone().extend(document, Authority::Application)
    }
}

/// The registry that all requests share; replaced whole when documents come in.
#[derive(Debug)]
pub(crate) struct SharedRegistry {
    current: RwLock<CurrentRegistry>,
    allow_unknown: bool,
}

impl SharedRegistry {
    pub(crate) fn new(allow_unknown: bool) -> SharedRegistry {
        let registry = Registry::built_in();
        let current = CurrentRegistry {
            vocabulary: Arc::new(vocabulary(&registry, allow_unknown)),
            registry: Arc::new(registry),
            version: 0,
            documents: Arc::default(),
        };
        SharedRegistry { current: RwLock::new(current), allow_unknown }
    }

    pub(crate) fn current(&self) -> CurrentRegistry {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the documents that this or another process stored since.
    pub(crate) fn refresh(&self, store: &Store) -> Result<(), EngineError> {
        let current = self.current();
        let stored = store.registry_documents(current.version)?;
        let Some(last) = stored.last() else { return Ok(()) };
        let version = last.version;
        let mut documents = (*current.documents).clone();
        for document in stored {
            match document.authority {
                DocumentAuthority::Application => documents.applications.push(document.document),
                DocumentAuthority::Operator => {
                    documents.operator = serde_json::from_str(&document.document).map_err(|_| {
                        let what = format!("registry document {} is no list of texts", document.version);
                        StoreError::Damaged { what }
                    })?;
                }
            }
        }
        let registry = Arc::new(documents.build()?);
        let vocabulary = Arc::new(vocabulary(&registry, self.allow_unknown));
        let documents = Arc::new(documents);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Two threads may have read the same documents; versions only grow.
        if version > current.version {
            *current = CurrentRegistry { registry, vocabulary, version, documents };
        }
        Ok(())
    }

    /// Stores the operator's documents if they differ from the last ones, so that every process of this log, a command
    /// that works in place among them, applies the same policy. Returns whether they differed.
    pub(crate) fn put_operator_documents(
        &self,
        store: &Store,
        documents: &[String],
        now: Time,
    ) -> Result<bool, EngineError> {
        for _ in 0..ATTEMPTS_MAX {
            self.refresh(store)?;
            let current = self.current();
            if current.documents.operator == documents {
                return Ok(false);
            }
            // What does not fit must not be stored: it would stop every process.
            Documents { applications: current.documents.applications.clone(), operator: documents.to_vec() }
                .build()?;
            let stored = RegistryDocument {
                version: current.version + 1,
                received: now,
                authority: DocumentAuthority::Operator,
                source: "operator".to_owned(),
                document: serde_json::to_string(documents).expect("a list of texts always serialises"),
            };
            if store.add_registry_document(&stored)? {
                self.refresh(store)?;
                return Ok(true);
            }
        }
        Err(too_many_attempts())
    }
}

fn too_many_attempts() -> EngineError {
    let what = format!("the registry changed at each of {ATTEMPTS_MAX} attempts");
    StoreError::Damaged { what }.into()
}

fn vocabulary(registry: &Registry, open: bool) -> Vocabulary {
    Vocabulary {
        resource_types: registry.resources().map(|resource| resource.kind.clone()).collect(),
        actions: registry.actions().map(|action| action.name.clone()).collect(),
        build_reasons: registry.build_reasons().to_vec(),
        open,
    }
}

/// What a registration did.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registered {
    /// Version of the registry from now on.
    pub version: u32,
    /// What was added or tightened, in words; empty if the document was known already.
    pub changes: Vec<String>,
}

/// Why a document was not registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// The document does not fit the registry.
    #[error(transparent)]
    Document(RegistryErrors),
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Attempts to take the next version while other processes register too.
const ATTEMPTS_MAX: usize = 16;

impl Engine {
    /// Registers the resource types and actions of an application. The same document again changes nothing.
    ///
    /// # Errors
    /// [`RegistrationError`]; nothing was changed then.
    pub fn register(&self, principal: &Principal, document: &str) -> Result<Registered, RegistrationError> {
        principal.may_register()?;
        for _ in 0..ATTEMPTS_MAX {
            self.registry.refresh(&self.store)?;
            let current = self.registry.current();
            let extension = current
                .documents
                .extension(document, &current.registry)
                .map_err(RegistrationError::Document)?;
            if extension.is_empty() {
                return Ok(Registered { version: current.version, changes: Vec::new() });
            }
            let version = current.version + 1;
            let stored = RegistryDocument {
                version,
                received: self.now(),
                authority: DocumentAuthority::Application,
                source: principal.label(),
                document: document.to_owned(),
            };
            // Another process may take the version first: then read its document and fit ours on top of it.
            if self.store.add_registry_document(&stored).map_err(EngineError::from)? {
                self.registry.refresh(&self.store)?;
                self.record_registration(principal, version, &extension);
                return Ok(Registered { version, changes: changes(&extension) });
            }
        }
        Err(too_many_attempts().into())
    }

    /// Records that the operator's documents are others than before.
    pub(crate) fn record_policy(&self) {
        let version = self.registry.current().version;
        let event = OwnEvent::new("write", "registry", &format!("version {version}"))
            .additional("changes", vec!["the documents of the operator".to_owned()]);
        self.record_own(&Principal::operator(), event);
    }

    fn record_registration(&self, principal: &Principal, version: u32, extension: &Extension) {
        let event = OwnEvent::new("write", "registry", &format!("version {version}"))
            .additional("changes", changes(extension));
        self.record_own(principal, event);
    }
}

fn changes(extension: &Extension) -> Vec<String> {
    extension.to_string().lines().map(str::to_owned).collect()
}
