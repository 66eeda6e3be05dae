//! The registry in force: built in, then the operator's documents, then what applications registered.

use std::sync::{Arc, PoisonError, RwLock};

use annals_model::registry::{Authority, Extension, Registry, RegistryErrors};
use annals_query::Vocabulary;
use annals_store::{RegistryDocument, Store};
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
    /// The same without the operator's documents: what applications build on, so that a policy that the operator
    /// tightened does not make an application's unchanged document look like a loosening.
    base: Arc<Registry>,
}

/// The registry that all requests share; replaced whole when documents come in.
#[derive(Debug)]
pub(crate) struct SharedRegistry {
    current: RwLock<CurrentRegistry>,
    operator_documents: Vec<String>,
    allow_unknown: bool,
}

impl SharedRegistry {
    pub(crate) fn new(
        base: Registry,
        operator_documents: &[String],
        allow_unknown: bool,
    ) -> Result<SharedRegistry, EngineError> {
        let registry = under_operator(&base, operator_documents)?;
        let current = CurrentRegistry {
            vocabulary: Arc::new(vocabulary(&registry, allow_unknown)),
            registry: Arc::new(registry),
            base: Arc::new(base),
            version: 0,
        };
        let operator_documents = operator_documents.to_vec();
        Ok(SharedRegistry { current: RwLock::new(current), operator_documents, allow_unknown })
    }

    pub(crate) fn current(&self) -> CurrentRegistry {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the documents that this or another process registered since.
    pub(crate) fn refresh(&self, store: &Store) -> Result<(), EngineError> {
        let current = self.current();
        let documents = store.registry_documents(current.version)?;
        if documents.is_empty() {
            return Ok(());
        }
        let mut base = (*current.base).clone();
        let mut version = current.version;
        for document in documents {
            if let Err(errors) = base.extend(&document.document, Authority::Application) {
                // It fitted when it came; a newer Annals may have built in what it defines otherwise. Without it its
                // fields have no policy, so their values are withheld: safe, and the log goes on.
                warn!(version = document.version, %errors, "a registered document no longer fits and is left out");
            }
            version = document.version;
        }
        self.replace(base, version)
    }

    fn replace(&self, base: Registry, version: u32) -> Result<(), EngineError> {
        let registry = under_operator(&base, &self.operator_documents)?;
        let vocabulary = Arc::new(vocabulary(&registry, self.allow_unknown));
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Two threads may have read the same documents; versions only grow.
        if version > current.version {
            let (registry, base) = (Arc::new(registry), Arc::new(base));
            *current = CurrentRegistry { registry, vocabulary, version, base };
        }
        Ok(())
    }
}

/// Puts the operator's documents on top: they have the last word.
fn under_operator(base: &Registry, documents: &[String]) -> Result<Registry, EngineError> {
    let mut registry = base.clone();
    for (index, document) in documents.iter().enumerate() {
        registry.extend(document, Authority::Operator).map_err(|errors| EngineError::Registry {
            name: format!("{} of the operator", index + 1),
            message: errors.to_string(),
        })?;
    }
    Ok(registry)
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
            let mut base = (*current.base).clone();
            let extension = base.extend(document, Authority::Application).map_err(RegistrationError::Document)?;
            if extension.is_empty() {
                return Ok(Registered { version: current.version, changes: Vec::new() });
            }
            let version = current.version + 1;
            let stored = RegistryDocument {
                version,
                received: self.now(),
                source: principal.label(),
                document: document.to_owned(),
            };
            // Another process may take the version first: then read its document and fit ours on top of it.
            if self.store.add_registry_document(&stored).map_err(EngineError::from)? {
                self.registry.replace(base, version)?;
                self.record_registration(principal, version, &extension);
                return Ok(Registered { version, changes: changes(&extension) });
            }
        }
        let what = "the registry changed at each of 16 attempts".to_owned();
        Err(EngineError::from(annals_store::StoreError::Damaged { what }).into())
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
