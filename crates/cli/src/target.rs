//! Where a command works: on a data directory in place, or on a server over HTTP.

use std::path::PathBuf;
use std::sync::Arc;

use annals_client::Client;
use annals_engine::{
    DatabaseLocation, Engine, EngineError, Location, Options, PartialBatch, Principal, SearchRequest,
    StoreError,
};
use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::output;

/// Flags that say where the log is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TargetArgs {
    /// Data directory of an embedded log, to work on in place
    #[arg(long, value_name = "DIR", env = "ANNALS_DATA", global = true)]
    pub(crate) data: Option<PathBuf>,
    /// Database instead of the embedded one: postgres://USER:PASSWORD@HOST/NAME
    #[arg(long, value_name = "URL", env = "ANNALS_DATABASE_URL", hide_env_values = true, global = true)]
    pub(crate) database_url: Option<String>,
    /// Where sealed segments are kept: a directory or s3://BUCKET/PREFIX [default: DIR/segments]
    #[arg(long, value_name = "PLACE", env = "ANNALS_OBJECTS", global = true)]
    pub(crate) objects: Option<String>,
    /// Directory of the key that signs checkpoints; keep it out of backups of the log [default: DIR/key]
    #[arg(long, value_name = "DIR", env = "ANNALS_KEY_DIR", global = true)]
    pub(crate) key_dir: Option<PathBuf>,
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
    /// Over HTTP; the runtime runs one call at a time.
    Remote(Client, Box<Runtime>),
}

/// The data directory when none is named.
pub(crate) const DEFAULT_DATA_DIR: &str = "./annals-data";

impl TargetArgs {
    /// The data directory named, or the default one.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR))
    }

    /// Where the log is kept.
    pub(crate) fn location(&self) -> anyhow::Result<Location> {
        let mut location = Location::embedded(&self.data_dir());
        if let Some(url) = &self.database_url {
            location.database = url.parse().context("--database-url")?;
        }
        if let Some(objects) = &self.objects {
            location.objects = objects.parse().context("--objects")?;
        }
        if let Some(dir) = &self.key_dir {
            location.key_dir.clone_from(dir);
        }
        Ok(location)
    }

    /// A log is named here, not one behind a server.
    pub(crate) fn is_local(&self) -> bool {
        self.data.is_some() || self.database_url.is_some()
    }

    /// Opens what the flags name; a server wins over the default data directory, not over a named one.
    pub(crate) fn open(&self, options: Options) -> anyhow::Result<Target> {
        match &self.server {
            Some(_) if self.is_local() => {
                anyhow::bail!(
                    "--server (or ANNALS_SERVER) names another log than --data or --database-url; give one of them"
                )
            }
            Some(url) => {
                let token =
                    self.token.as_deref().context("a server needs a token: --token or ANNALS_TOKEN")?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                Ok(Target::Remote(Client::new(url, token)?, Box::new(runtime)))
            }
            None => Ok(Target::Local(Arc::new(open_engine(&self.location()?, options)?))),
        }
    }
}

/// Opens a log, or creates it and says so: a new deployment may make its tokens before its first start.
pub(crate) fn open_or_create_engine(location: &Location, options: Options) -> anyhow::Result<Engine> {
    let new_dir = match &location.database {
        DatabaseLocation::Directory(dir) => Some(dir).filter(|dir| !dir.join("annals.db").exists()),
        _ => None,
    };
    let engine = Engine::create_or_open(location, options)
        .with_context(|| format!("cannot use the log in {}", location.database))?;
    if let Some(dir) = new_dir {
        output::note(format_args!("created a new log in {}", dir.display()));
    }
    Ok(engine)
}

/// Opens an existing log.
pub(crate) fn open_engine(location: &Location, options: Options) -> anyhow::Result<Engine> {
    Engine::open(location, options).map_err(|error| {
        let place = &location.database;
        let flag = match place {
            DatabaseLocation::Directory(_) => "--data",
            DatabaseLocation::Postgres(_) => "--database-url",
        };
        let context = match &error {
            EngineError::Store(StoreError::NoLog { .. }) => {
                format!("cannot open the log in `{place}`; `annals serve {flag} {place}` creates one")
            }
            _ => format!("cannot open the log in `{place}`"),
        };
        anyhow::Error::new(error).context(context)
    })
}

impl Target {
    /// Searches and returns the reply of `GET /api/v2/audit`.
    pub(crate) fn search(&self, query: &str, limit: usize, offset: u64) -> anyhow::Result<Value> {
        match self {
            Target::Local(engine) => {
                let request = SearchRequest { query, limit, offset, after: None };
                let results = engine.search(&Principal::operator(), &request, |found| {
                    Ok(serde_json::to_value(found.into_audit_log()?))
                })?;
                let events = results.events.into_iter().collect::<Result<Vec<_>, _>>()?;
                Ok(
                    json!({"audit_logs": events, "count": results.count, "count_cap": 0, "notes": results.notes}),
                )
            }
            Target::Remote(client, runtime) => Ok(runtime.block_on(client.search(query, limit, offset))?),
        }
    }

    /// Returns the registry in force, as `GET /api/v2/audit/resources` does.
    pub(crate) fn resources(&self) -> anyhow::Result<Value> {
        match self {
            Target::Local(engine) => Ok(engine.registry()?.to_json()),
            Target::Remote(client, runtime) => Ok(runtime.block_on(client.resources())?),
        }
    }

    /// Sends events line by line (NDJSON) and returns the reply of `POST /api/v2/audit/events`.
    pub(crate) fn append(&self, ndjson: &str, partial: PartialBatch) -> anyhow::Result<Value> {
        match self {
            Target::Local(engine) => {
                let pending = engine.append(&Principal::operator(), ndjson.as_bytes(), partial)?;
                Ok(serde_json::to_value(pending.wait_blocking()?)?)
            }
            Target::Remote(client, runtime) => {
                let partial = partial == PartialBatch::Take;
                Ok(runtime.block_on(client.append_ndjson(ndjson.to_owned(), partial))?)
            }
        }
    }

    /// Registers resource types and actions (TOML) and returns the reply of `PUT /api/v2/audit/resources`.
    pub(crate) fn register(&self, document: &str) -> anyhow::Result<Value> {
        match self {
            Target::Local(engine) => {
                Ok(serde_json::to_value(engine.register(&Principal::operator(), document)?)?)
            }
            Target::Remote(client, runtime) => Ok(runtime.block_on(client.register(document))?),
        }
    }
}
