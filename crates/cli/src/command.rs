//! The commands, one file each.

pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod epoch;
pub(crate) mod erase;
pub(crate) mod export;
pub(crate) mod group;
pub(crate) mod license;
pub(crate) mod organization;
pub(crate) mod query;
pub(crate) mod receipt;
pub(crate) mod repair;
pub(crate) mod resources;
pub(crate) mod retention;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod sources;
pub(crate) mod streams;
pub(crate) mod tail;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use annals_engine::{Options, SealPolicy};
use anyhow::Context as _;

use crate::target::{Target, TargetArgs, open_or_create_engine};

/// Opens the log to import into; an embedded one is made if there is none.
pub(crate) fn open_for_import(target: &TargetArgs) -> anyhow::Result<Target> {
    if target.server.is_some() {
        return target.open(Options::default());
    }
    // An import may be larger than what the tail should hold.
    let seal = SealPolicy { in_background: true, ..SealPolicy::default() };
    let options = Options { seal, ..Options::default() };
    Ok(Target::Local(Arc::new(open_or_create_engine(&target.location()?, options)?)))
}

/// Reads the operator's registry documents.
pub(crate) fn read_policies(files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    files
        .iter()
        .map(|file| {
            std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))
        })
        .collect()
}

/// The built-in registry with the operator's documents on top, for commands that need no log.
pub(crate) fn registry_with(files: &[PathBuf]) -> anyhow::Result<annals_model::registry::Registry> {
    let mut registry = annals_model::registry::Registry::built_in();
    for (file, document) in files.iter().zip(read_policies(files)?) {
        registry
            .extend(&document, annals_model::registry::Authority::Operator)
            .with_context(|| format!("`{}` does not fit the registry", file.display()))?;
    }
    Ok(registry)
}
