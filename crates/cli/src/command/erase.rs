//! `annals erase`.

use annals_engine::{Engine, Erase, ErasurePlan, Forgotten, Options, Principal, SigningPolicy};
use annals_model::id::EventId;
use annals_model::record::Group;
use anyhow::Context as _;
use serde_json::json;

use crate::output;
use crate::target::{TargetArgs, open_engine};

/// Erase personal data from the log: all that names a person, or one field of one event
///
/// Values go out of the tail and out of sealed segments, their index terms with them; what is left is a commitment that tells nothing. Events,
/// receipts and checkpoints stay good. A record of the erasure, without the data, stays in the log. A server may run meanwhile.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is looked at: who acted (user, impersonator, on behalf of), with them address and browser; targets and changes of events about
a person; texts of changes and of additional fields. Ids of people stay. Copies outside of the log are yours to find: exports, receipts,
backups, the database's own archive. Older versions that a bucket keeps are deleted where it lets us.

Examples:
  annals erase --subject demo-person --dry-run
  annals erase --subject demo-person@example.com --reason 'request 4711' --yes
  annals erase --event 0198aaaa-5d0c-7c3e-9b1f-000000000001 --field origin --reason 'logged by mistake' --yes"
)]
pub(crate) struct EraseArgs {
    /// Log-in name, e-mail address or id of a person
    #[arg(long, value_name = "PERSON", required_unless_present = "event", conflicts_with = "event")]
    subject: Option<String>,
    /// UUID of an event
    #[arg(long, value_name = "ID", requires = "field")]
    event: Option<uuid::Uuid>,
    /// What of the event: who, origin, target, diff_old, diff_new or details
    #[arg(long, value_name = "PATH", requires = "event")]
    field: Option<String>,
    /// Why: recorded in the log; name no person here
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Say what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(args: &EraseArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        target.server.is_none(),
        "data is erased where the log is: --data DIR, or --database-url and --objects"
    );
    let what = match (&args.subject, args.event, &args.field) {
        (Some(subject), ..) => Erase::Subject(subject.clone()),
        (None, Some(id), Some(field)) => Erase::Field { id: EventId::new(id), group: group(field)? },
        _ => unreachable!("clap asks for one of them"),
    };
    let engine = open_engine(
        &target.location()?,
        Options { signing: Some(SigningPolicy::with_key_at_hand()), ..Options::default() },
    )?;
    let operator = Principal::operator();
    let bar = output::progress_bar("{bar:40} {pos}/{len} events looked at  {per_sec}  {eta} left", json);
    let plan =
        engine.plan_erasure(&operator, what, &mut |done, all| output::show_progress(&bar, done, all))?;
    bar.finish_and_clear();
    if args.dry_run {
        return print_plan(&plan, true, json);
    }
    if plan.events() == 0 {
        print_plan(&plan, false, json)?;
        // What an erasure that was cut off has replaced goes now.
        let report = engine.erase(&operator, plan, "", &mut |_, _| {})?;
        if !json {
            say_what_is_left(report.forgotten);
        }
        return Ok(());
    }
    if !json {
        print_plan(&plan, false, false)?;
    }
    anyhow::ensure!(
        args.yes || output::confirmed("Erase these for ever?")?,
        "nothing was erased; --yes does it without asking"
    );
    erase(&engine, plan, args.reason.as_deref().unwrap_or_default().trim(), json)
}

fn erase(engine: &Engine, plan: ErasurePlan, reason: &str, json: bool) -> anyhow::Result<()> {
    anyhow::ensure!(!reason.is_empty(), "--reason is empty; it is recorded in the log");
    let bar = output::progress_bar("{bar:40} {pos}/{len} segments written again  {eta} left", json);
    let report = engine
        .erase(&Principal::operator(), plan, reason, &mut |done, all| output::show_progress(&bar, done, all))
        .context("the erasure did not end; the same command goes on")?;
    bar.finish_and_clear();
    if json {
        return output::line(
            json!({"events": report.events, "openings": report.openings, "segments": report.segments,
            "old_pages_forgotten": report.forgotten.pages, "older_versions_forgotten": report.forgotten.versions}),
        );
    }
    output::line(format_args!(
        "erased {} values of {} events; {} segments were written again, and the old ones deleted",
        report.openings, report.events, report.segments
    ))?;
    say_what_is_left(report.forgotten);
    Ok(())
}

/// Says where what went may still be.
pub(crate) fn say_what_is_left(forgotten: Forgotten) {
    if !forgotten.pages {
        output::note("a reader holds older pages of the database: they go when it ends (annals.db-wal)");
    }
    if !forgotten.versions {
        output::note(
            "the bucket does not let us list or delete older versions of the segments; if it keeps any, they hold what went. \
             Delete its noncurrent versions, and allow s3:ListBucketVersions and s3:DeleteObjectVersion for the next time",
        );
    }
}

fn group(field: &str) -> anyhow::Result<Group> {
    let wanted = field.trim_start_matches('/');
    let found = Group::ALL.into_iter().find(|group| &group.path()[1..] == wanted);
    found.with_context(|| {
        let all: Vec<&str> = Group::ALL.iter().map(|group| &group.path()[1..]).collect();
        format!("`{field}` is no group of personal data; it is one of {}", all.join(", "))
    })
}

fn print_plan(plan: &ErasurePlan, is_dry: bool, json: bool) -> anyhow::Result<()> {
    if json {
        return output::line(
            json!({"events": plan.events(), "identifiers": plan.identifiers, "openings": plan.by_path,
            "left_in_bodies": plan.left_in_bodies, "held": plan.held, "looked_at": plan.looked_at, "dry_run": is_dry}),
        );
    }
    if !plan.identifiers.is_empty() {
        output::line(format_args!("looked for: {}", plan.identifiers.join(", ")))?;
    }
    output::line(format_args!("{} of {} events hold personal data to erase", plan.events(), plan.looked_at))?;
    for (path, count) in &plan.by_path {
        output::line(format_args!("  {path:10} {count}"))?;
    }
    if plan.left_in_bodies > 0 {
        output::line(format_args!(
            "{} events hold one of the names in a part that is not personal by the policy, and keep it",
            plan.left_in_bodies
        ))?;
    }
    if plan.held > 0 {
        output::line(format_args!(
            "{} events are under a legal hold, and keep it (`annals hold list`)",
            plan.held
        ))?;
    }
    if is_dry {
        output::line("nothing was changed")?;
    }
    Ok(())
}
