//! `annals token`.

use annals_engine::{Engine, NewToken, Options, Principal, TokenId, TokenKind};
use annals_model::time::Time;
use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use jiff::{Span, SpanRelativeTo};
use serde_json::json;

use super::user::time_or;
use crate::output;
use crate::target::{TargetArgs, open_engine, open_or_create_engine};

/// Manage tokens of the API. Works on the data directory, also while a server runs on it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annals token create --data ./annals-data --kind ingest --name billing
  annals token create --kind read --name nightly --owner alice --expires 90d
  annals token list --data ./annals-data")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it, this once
    Create {
        /// What it is good for
        #[arg(long, value_enum)]
        kind: Kind,
        /// What people call it
        #[arg(long)]
        name: String,
        /// Person whose sight a read token has; without one: a site manager's
        #[arg(long, value_name = "USERNAME")]
        owner: Option<String>,
        /// How long it is good, such as 90d or 12h; without it: until it is revoked
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List the tokens that are not revoked: when each was made, ends, and was last used
    List,
    /// Revoke a token
    Revoke {
        /// Its id, from the list
        id: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Sends events
    Ingest,
    /// Reads events
    Read,
    /// Reads the server's /metrics
    Metrics,
}

pub(crate) fn run(args: &TokenArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    anyhow::ensure!(target.server.is_none(), "tokens are managed on the data directory: --data DIR");
    let operator = Principal::operator();
    let location = target.location()?;
    match &args.command {
        TokenCommand::Create { kind, name, owner, expires } => {
            let seconds = expires.as_deref().map(seconds).transpose()?;
            let engine = open_or_create_engine(&location, Options::default())?;
            let expires = seconds.map(|seconds| {
                let now = engine.now().as_micros();
                Time::from_micros_saturating(now.saturating_add(seconds.saturating_mul(1_000_000)))
            });
            let kind = match kind {
                Kind::Ingest => TokenKind::Ingest,
                Kind::Read => TokenKind::Read,
                Kind::Metrics => TokenKind::Metrics,
            };
            let token =
                engine.create_token(&operator, &NewToken { kind, name, owner: owner.as_deref(), expires })?;
            if json { output::line(json!({"token": token.reveal()})) } else { output::line(token.reveal()) }
        }
        TokenCommand::List => list(&open_engine(&location, Options::default())?, &operator, json),
        TokenCommand::Revoke { id } => {
            let engine = open_engine(&location, Options::default())?;
            engine.revoke_token(&operator, &TokenId(id.clone()))?;
            if json {
                output::line(json!({"revoked": id}))
            } else {
                output::line(format_args!("revoked {id}"))
            }
        }
    }
}

/// Reads `90d`, `12h`, `2 weeks`; a day has 24 hours.
fn seconds(text: &str) -> anyhow::Result<i64> {
    let read = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let duration = read.with_context(|| format!("`{text}` is no length of time; write 90d, 12h or 30m"))?;
    anyhow::ensure!(duration.as_secs() > 0, "`{text}` is no time at all; write 90d, 12h or 30m");
    Ok(duration.as_secs())
}

fn list(engine: &Engine, operator: &Principal, json: bool) -> anyhow::Result<()> {
    let people = engine.people(operator)?;
    let tokens = engine.tokens(operator)?;
    let now = engine.now();
    let owner = |token: &annals_engine::Token| {
        let id = token.owner.as_ref()?;
        people.iter().find(|person| person.id == *id).map(|person| person.username.clone())
    };
    if json {
        let tokens: Vec<_> = tokens
            .iter()
            .map(|token| {
                json!({"id": token.id.0, "name": token.name, "kind": token.kind.name(), "owner": owner(token),
                       "created": token.created, "expires": token.expires, "last_used": token.last_used,
                       "expired": token.is_expired(now)})
            })
            .collect();
        return output::line(json!({"tokens": tokens}));
    }
    for token in &tokens {
        let owner = owner(token).unwrap_or_else(|| "-".to_owned());
        let expires = match token.expires {
            Some(_) if token.is_expired(now) => "has expired".to_owned(),
            expires => time_or(expires, "never expires"),
        };
        output::line(format_args!(
            "{}  {:7}  {:20}  {owner:16}  {}  {expires:20}  {}",
            token.id.0,
            token.kind.name(),
            token.name,
            token.created,
            time_or(token.last_used, "never used")
        ))?;
    }
    Ok(())
}
