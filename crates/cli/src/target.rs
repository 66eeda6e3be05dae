//! Where a command works: on a data directory in place, or on a server over HTTP.

use std::path::PathBuf;
use std::sync::Arc;

use annals_client::Client;
use annals_engine::{Engine, Options, PartialBatch, Principal};
use anyhow::Context as _;
use serde_json::Value;

/// Flags that say where the log is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TargetArgs {
    /// Data directory of an embedded log, to work on in place
    #[arg(long, value_name = "DIR", env = "ANNALS_DATA", global = true)]
    pub(crate) data: Option<PathBuf>,
    /// Address of a server, such as http://127.0.0.1:2662
    #[arg(long, value_name = "URL", env = "ANNALS_SERVER", global = true)]
    pub(crate) server: Option<String>,
    /// Token for the server
    #[arg(long, value_name = "TOKEN", env = "ANNALS_TOKEN", hide_env_values = true, global = true)]
    pub(crate) token: Option<String>,
}

/// An open log, here or elsewhere.
pub(crate) enum Target {
    /// In this process.
    Local(Arc<Engine>),
    /// Over HTTP.
    Remote(Client),
}

/// The data directory when none is named.
pub(crate) const DEFAULT_DATA_DIR: &str = "./annals-data";

impl TargetArgs {
    /// The data directory named, or the default one.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR))
    }

    /// Opens what the flags name; a server wins over the default data directory, not over `--data`.
    pub(crate) fn open(&self, options: Options) -> anyhow::Result<Target> {
        match (&self.server, &self.data) {
            (Some(url), None) => {
                let token = self.token.as_deref().context("a server needs a token: --token or ANNALS_TOKEN")?;
                Ok(Target::Remote(Client::new(url, token)?))
            }
            (Some(_), Some(_)) => anyhow::bail!("--data and --server name two logs; give one of them"),
            (None, _) => Ok(Target::Local(Arc::new(open_engine(&self.data_dir(), options)?))),
        }
    }
}

/// Opens an existing embedded log.
pub(crate) fn open_engine(dir: &std::path::Path, options: Options) -> anyhow::Result<Engine> {
    Engine::open(dir, options).with_context(|| {
        format!("cannot open the log in `{}`; `annals serve --data {}` creates one", dir.display(), dir.display())
    })
}

impl Target {
    /// Sends events line by line (NDJSON) and returns the reply of `POST /api/v2/audit/events`.
    pub(crate) fn append(&self, ndjson: &str, partial: PartialBatch) -> anyhow::Result<Value> {
        match self {
            Target::Local(engine) => {
                let pending = engine.append(&Principal::operator(), ndjson.as_bytes(), partial)?;
                Ok(serde_json::to_value(pending.wait_blocking()?)?)
            }
            Target::Remote(client) => Ok(client.append(ndjson, partial == PartialBatch::Take)?),
        }
    }

    /// Registers resource types and actions (TOML) and returns the reply of `PUT /api/v2/audit/resources`.
    pub(crate) fn register(&self, document: &str) -> anyhow::Result<Value> {
        match self {
            Target::Local(engine) => Ok(serde_json::to_value(engine.register(&Principal::operator(), document)?)?),
            Target::Remote(client) => Ok(client.register(document)?),
        }
    }
}
