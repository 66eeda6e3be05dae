//! `annals repair`.

use std::path::PathBuf;

use annals_engine::Repair;
use serde_json::json;

use crate::output;
use crate::target::TargetArgs;

/// Say what a damaged log can be rebuilt from; with `--apply`, rebuild it.
///
/// A segment whose events are whole is written again from them; one that is not is taken from a backup. What neither
/// gives back is named, and nothing of it is changed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing is wrong, or all of it can be (was) repaired; 1 something cannot be repaired.

Examples:
  annals repair --data ./annals-data
  annals repair --data ./annals-data --from-backup /backup/annals --apply"
)]
pub(crate) struct RepairArgs {
    /// Make the repairs instead of naming them; stop the server first
    #[arg(long)]
    apply: bool,
    /// Directory that `annals backup` wrote
    #[arg(long, value_name = "DIR")]
    from_backup: Option<PathBuf>,
}

pub(crate) fn run(args: &RepairArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    anyhow::ensure!(target.server.is_none(), "a log is repaired where it is: --data DIR");
    let bar = output::progress_bar("{bar:40} {pos}/{len} segments  {eta} left", json);
    let report = annals_engine::repair(
        &target.location()?,
        args.from_backup.as_deref(),
        args.apply,
        &mut |done, all| {
            output::show_progress(&bar, done, all);
        },
    )?;
    bar.finish_and_clear();
    if json {
        let repairs: Vec<_> = report.repairs.iter().map(repair_json).collect();
        output::line(json!({"applied": report.applied, "repairs": repairs}))?;
    } else {
        for repair in &report.repairs {
            output::line(sentence(repair, report.applied))?;
        }
        match (report.repairs.is_empty(), report.applied) {
            (true, _) => output::line("nothing to repair")?,
            (false, true) => output::line("`annals verify` checks the result")?,
            (false, false) => output::line("nothing was changed; `--apply` makes the repairs")?,
        }
    }
    let is_hopeless = report.repairs.iter().any(|repair| matches!(repair, Repair::NotPossible { .. }));
    Ok(if is_hopeless { output::FAILED } else { output::GOOD })
}

fn sentence(repair: &Repair, applied: bool) -> String {
    let did = |done: &str, would: &str| if applied { done.to_owned() } else { would.to_owned() };
    match repair {
        Repair::DeleteOrphan { object } => {
            let what = did("was deleted", "can be deleted");
            format!("{object}: no manifest names it, left by a crash or a merge; {what}")
        }
        Repair::Rebuild { object, damage } => {
            let what = did("was written again", "can be written again");
            format!("{object}: {damage}; {what} from its own events, which are whole")
        }
        Repair::FromBackup { object, damage } => {
            let what = did("was taken", "can be taken");
            format!("{object}: {damage}; {what} from the backup")
        }
        Repair::BeyondSealed { object } => format!(
            "{object}: events that the database does not know, as after a restore to an earlier moment; it is left as it is"
        ),
        Repair::NotPossible { object, damage } => format!(
            "{object}: {damage}; its events cannot be rebuilt from here: name a backup with --from-backup"
        ),
    }
}

fn repair_json(repair: &Repair) -> serde_json::Value {
    match repair {
        Repair::DeleteOrphan { object } => json!({"object": object, "remedy": "delete"}),
        Repair::Rebuild { object, damage } => {
            json!({"object": object, "damage": damage, "remedy": "rebuild"})
        }
        Repair::FromBackup { object, damage } => {
            json!({"object": object, "damage": damage, "remedy": "backup"})
        }
        Repair::BeyondSealed { object } => json!({"object": object, "remedy": null}),
        Repair::NotPossible { object, damage } => json!({"object": object, "damage": damage, "remedy": null}),
    }
}
