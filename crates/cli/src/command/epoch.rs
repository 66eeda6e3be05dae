//! `annals epoch`.

use annals_engine::{Engine, Epoch, Options, Principal};
use serde_json::json;

use crate::output;
use crate::target::{TargetArgs, open_engine};

/// Show the names and keys under which the log signs its checkpoints, and begin a new one.
#[derive(Debug, clap::Args)]
pub(crate) struct EpochArgs {
    #[command(subcommand)]
    command: EpochCommand,
}

#[derive(Debug, clap::Subcommand)]
enum EpochCommand {
    /// List the epochs of the log with their keys; the last one is in force
    #[command(
        after_help = "Give the key to those who check receipts and evidence (`annals verify --trust KEY`).

Examples:
  annals epoch list --data ./annals-data"
    )]
    List,
    /// Go on with a log that was put back from a copy, or cut, under a new name and key
    ///
    /// A log that lacks events for which it signed takes no new ones, because two histories under one name would make every proof worthless.
    /// Look first whether the newer log can be put back. Old receipts stay good against the old key. Stop the server first.
    #[command(after_help = "Examples:
  annals epoch begin --data ./annals-data --reason 'the disk failed, restored from the backup of Sunday'")]
    Begin {
        /// Why: recorded in the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Also where the log continues its last checkpoint, to change the key, or where the key is lost
        #[arg(long)]
        force: bool,
    },
}

pub(crate) fn run(args: &EpochArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        target.server.is_none(),
        "epochs belong to the operator of the log: --data DIR, or --database-url"
    );
    let location = target.location()?;
    match &args.command {
        EpochCommand::List => {
            let engine = open_engine(&location, Options::default())?;
            let epochs = engine.epochs(&Principal::operator())?;
            if json {
                let epochs: Vec<_> = epochs.iter().map(epoch_json).collect();
                output::line(
                    json!({"epochs": epochs, "refusal": engine.refusal().map(|refusal| refusal.to_string())}),
                )?;
                return Ok(());
            }
            for epoch in &epochs {
                output::line(format_args!(
                    "{}  {}  from seq {}",
                    epoch.number, epoch.verifier, epoch.first_size
                ))?;
            }
            if epochs.is_empty() {
                output::line("no key was made yet: `annals serve` makes one")?;
            }
            if let Some(refusal) = engine.refusal() {
                output::note(format_args!("warning: {refusal}"));
            }
        }
        EpochCommand::Begin { reason, force } => {
            anyhow::ensure!(!reason.trim().is_empty(), "--reason is empty; it is recorded in the log");
            let (engine, epoch) = Engine::begin_epoch(&location, Options::default(), reason.trim(), *force)?;
            engine.stop();
            if json {
                output::line(epoch_json(&epoch))?;
            } else {
                output::line(format_args!(
                    "epoch {} begins at seq {}; its key is\n{}",
                    epoch.number, epoch.first_size, epoch.verifier
                ))?;
            }
        }
    }
    Ok(())
}

fn epoch_json(epoch: &Epoch) -> serde_json::Value {
    json!({"number": epoch.number, "origin": epoch.origin, "verifier": epoch.verifier, "first_seq": epoch.first_size,
        "started": epoch.started.to_string(), "reason": epoch.reason})
}
