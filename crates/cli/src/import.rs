//! `annals import`: events of other systems, and of this one, from files.
//!
//! Files are read in a stream and sent in batches, of which the good events are taken and the rest is reported by file
//! and line. Every converter keeps the identity that a record has in its own system, so that importing a file again
//! finds duplicates and nothing else: an import that broke off is repeated.

mod cloudtrail;
mod coder;
mod event;
mod records;
mod vocabulary;

use std::collections::{BTreeMap, btree_map::Entry};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use annals_engine::PartialBatch;
use annals_model::limits::EVENT_BYTES_MAX;
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::records::{Content, Found, read_records};
use self::vocabulary::Vocabulary;
use crate::output;
use crate::target::Target;

/// Events of a batch: a fifth of what the log takes, so that progress is seen.
const BATCH_EVENTS: usize = 1_000;
/// Bytes of a batch: half of what the log takes.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of all files from which on a progress bar is worth its place: about a second of work.
const PROGRESS_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Rejected records that are shown one by one.
const SHOWN_REJECTS_MAX: u64 = 10;
/// Different warnings that are shown.
const SHOWN_WARNINGS_MAX: usize = 5;

/// Take in events from files
///
/// Files are read in a stream, whatever their size, and sent in batches. Each event keeps the id it has in its own
/// system, so importing a file again only finds duplicates: after an interruption, run the same command again.
///
/// Records that cannot be taken are reported with file and line, and written to --rejects together with the reason;
/// the rest is imported. Exit codes: 0 all records are in the log, 1 some were rejected.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  annals import events.ndjson
  annals import --format cloudtrail --rejects rejected.ndjson cloudtrail/*.json
  journalctl -u coder -o cat | annals import --format coder -
  gunzip -c trail.json.gz | annals import --server https://audit.example --token T -")]
pub(crate) struct ImportArgs {
    /// What the files hold
    #[arg(long, value_enum, default_value_t = Format::Auto, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Files to read, `-` for standard input
    #[arg(required = true, value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// Write records that are rejected to FILE, one JSON object a line: file, line, reason, record
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Events of a batch
    #[arg(long, hide = true, default_value_t = BATCH_EVENTS, value_name = "N")]
    pub(crate) batch: usize,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Find out from the first record of each file
    Auto,
    /// Events in the form of the API, one a line or in an array
    Native,
    /// Coder's audit log: lines of its JSON log, or objects and pages of its API; also exports of Annals
    Coder,
    /// AWS CloudTrail: files with `Records`, or one record a line
    Cloudtrail,
}

/// Reads the files, appends what they hold and returns the exit code.
pub(crate) fn run(args: &ImportArgs, target: &Target, json: bool) -> anyhow::Result<u8> {
    let mut importer = Importer::new(args, target)?;
    importer.progress = progress_bar(&args.files, json);
    let result = importer.import_files(&args.files);
    importer.progress.finish_and_clear();
    if let Err(error) = result {
        let Summary { accepted, duplicates, .. } = importer.summary;
        return Err(error.context(format!(
            "the import stopped; {} events are in the log, and importing again goes on after them",
            accepted + duplicates
        )));
    }
    importer.report(args, json)
}

/// What came of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Summary {
    files: u64,
    events: u64,
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    /// Lines of a log that are about something else.
    skipped: u64,
    /// Events without an id of their own.
    without_id: u64,
}

struct Importer<'i> {
    target: &'i Target,
    format: Format,
    batch_events: usize,
    batch: Vec<Item>,
    batch_bytes: usize,
    vocabulary: Vocabulary,
    rejects: Option<BufWriter<File>>,
    warnings: BTreeMap<String, u64>,
    summary: Summary,
    progress: ProgressBar,
}

/// A record on its way.
struct Item {
    place: Place,
    format: Format,
    record: String,
    /// The event made of it, on one line.
    event: String,
}

/// Where a record stands.
#[derive(Debug, Clone)]
struct Place {
    file: Rc<str>,
    line: u64,
}

/// The part of a reply that matters here.
#[derive(Deserialize)]
struct Reply {
    accepted: u64,
    duplicates: u64,
    #[serde(default)]
    warnings: Vec<ReplyWarning>,
    #[serde(default)]
    faults: Vec<ReplyFault>,
}

#[derive(Deserialize)]
struct ReplyWarning {
    detail: String,
}

#[derive(Deserialize)]
struct ReplyFault {
    index: usize,
    pointer: String,
    detail: String,
    #[serde(default)]
    hint: Option<String>,
}

impl<'i> Importer<'i> {
    fn new(args: &ImportArgs, target: &'i Target) -> anyhow::Result<Importer<'i>> {
        let rejects = args.rejects.as_deref().map(|path| {
            File::create(path)
                .map(BufWriter::new)
                .with_context(|| format!("cannot write `{}`", path.display()))
        });
        Ok(Importer {
            target,
            format: args.format,
            batch_events: args.batch.max(1),
            batch: Vec::new(),
            batch_bytes: 0,
            vocabulary: Vocabulary::new(),
            rejects: rejects.transpose()?,
            warnings: BTreeMap::new(),
            summary: Summary::default(),
            progress: ProgressBar::hidden(),
        })
    }

    fn import_files(&mut self, files: &[PathBuf]) -> anyhow::Result<()> {
        for path in files {
            self.import_file(path).with_context(|| format!("cannot import `{}`", path.display()))?;
            self.summary.files += 1;
        }
        self.flush()?;
        if let Some(rejects) = &mut self.rejects {
            rejects.flush().context("cannot write the rejected records")?;
        }
        Ok(())
    }

    fn import_file(&mut self, path: &Path) -> anyhow::Result<()> {
        if path == Path::new("-") {
            return self.import_reader("-".into(), BufReader::new(io::stdin().lock()));
        }
        let file = File::open(path)?;
        let reader = BufReader::with_capacity(64 * 1024, self.progress.wrap_read(file));
        self.import_reader(path.display().to_string().into(), reader)
    }

    fn import_reader(&mut self, file: Rc<str>, mut reader: impl BufRead) -> anyhow::Result<()> {
        if reader.fill_buf()?.starts_with(b"\x1f\x8b") {
            anyhow::bail!("the file is compressed; unpack it on the way: gunzip -c FILE | annals import -");
        }
        // One format for the whole file, so that one odd record does not pass for another kind.
        let mut format = self.format;
        read_records(reader, &mut |found| {
            let Found { line, container, content } = found;
            let place = Place { file: Rc::clone(&file), line };
            let record = match content {
                Content::Value(record) => record,
                Content::Bad { reason, text } => return self.reject(&place, &reason, &text),
            };
            if format == Format::Auto {
                format = guess(&record, container);
            }
            self.add(place, format, record)
        })
    }

    fn add(&mut self, place: Place, format: Format, record: String) -> anyhow::Result<()> {
        let event = match self.convert(format, &record) {
            Ok(Some(event)) if event.len() > EVENT_BYTES_MAX => {
                Err(format!("an event of {} bytes exceeds the limit of {EVENT_BYTES_MAX}", event.len()))
            }
            other => other,
        };
        let event = match event {
            Ok(Some(event)) => event,
            Ok(None) => {
                self.summary.skipped += 1;
                return Ok(());
            }
            Err(reason) => return self.reject(&place, &reason, &record),
        };
        if self.batch.len() >= self.batch_events || self.batch_bytes + event.len() >= BATCH_BYTES_MAX {
            self.flush()?;
        }
        self.batch_bytes += event.len() + 1;
        self.batch.push(Item { place, format, record, event });
        Ok(())
    }

    /// Makes an event of a record; nothing of one that is about something else.
    fn convert(&mut self, format: Format, record: &str) -> Result<Option<String>, String> {
        match format {
            Format::Coder => coder::convert(record),
            Format::Cloudtrail => {
                let vocabulary = &self.vocabulary;
                let converted = cloudtrail::convert(record, |action| vocabulary.is_refused(action))?;
                self.vocabulary.add(converted.words);
                Ok(Some(converted.line))
            }
            Format::Native | Format::Auto => {
                self.summary.without_id += u64::from(!has_id(record));
                compact(record).map(Some)
            }
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let first = &batch[0].place;
        let context = format!("cannot append the events from {}:{} on", first.file, first.line);
        if self.vocabulary.register(self.target).context("cannot register types and actions")? {
            for item in batch.iter_mut().filter(|item| item.format == Format::Cloudtrail) {
                let again = self.convert(item.format, &item.record);
                item.event = again.map_err(anyhow::Error::msg)?.context("a record is always an event")?;
            }
        }
        let lines: Vec<&str> = batch.iter().map(|item| item.event.as_str()).collect();
        let reply = self.target.append(&lines.join("\n"), PartialBatch::Take).context(context)?;
        let reply: Reply = serde_json::from_value(reply).context("the reply is not the expected one")?;
        self.summary.accepted += reply.accepted;
        self.summary.duplicates += reply.duplicates;
        self.summary.events += reply.accepted + reply.duplicates;
        for warning in reply.warnings {
            *self.warnings.entry(warning.detail).or_default() += 1;
        }
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        for fault in reply.faults {
            match reasons.entry(fault.index) {
                Entry::Vacant(entry) => drop(entry.insert(fault.to_reason())),
                Entry::Occupied(mut entry) => *entry.get_mut() += &format!("; {}", fault.to_reason()),
            }
        }
        for (index, reason) in &reasons {
            if let Some(item) = batch.get(*index) {
                self.reject(&item.place, reason, &item.record)?;
            }
        }
        Ok(())
    }

    fn reject(&mut self, place: &Place, reason: &str, record: &str) -> anyhow::Result<()> {
        self.summary.events += 1;
        self.summary.rejected += 1;
        if self.summary.rejected <= SHOWN_REJECTS_MAX {
            let first_line = reason.lines().next().unwrap_or_default();
            self.progress
                .suspend(|| output::note(format_args!("{}:{}: {first_line}", place.file, place.line)));
        }
        let Some(rejects) = &mut self.rejects else { return Ok(()) };
        let record = match serde_json::from_str::<&RawValue>(record) {
            Ok(_) => RawValue::from_string(compact(record).map_err(anyhow::Error::msg)?)?,
            Err(_) => serde_json::value::to_raw_value(record)?,
        };
        let reject = Reject { file: &place.file, line: place.line, reason, record: &record };
        serde_json::to_writer(&mut *rejects, &reject)?;
        writeln!(rejects).context("cannot write the rejected records")
    }

    fn report(&self, args: &ImportArgs, json: bool) -> anyhow::Result<u8> {
        let summary = &self.summary;
        for (detail, count) in self.warnings.iter().take(SHOWN_WARNINGS_MAX) {
            output::note(format_args!("warning: {detail} ({count} events)"));
        }
        if self.warnings.len() > SHOWN_WARNINGS_MAX {
            output::note(format_args!("and {} more warnings", self.warnings.len() - SHOWN_WARNINGS_MAX));
        }
        if self.vocabulary.refused_count() > 0 {
            output::note(format_args!(
                "{} kinds of calls are recorded under general actions such as `read` and `write`: the registry has no \
                 room for more actions; the calls stand in the additional fields",
                self.vocabulary.refused_count()
            ));
        }
        if summary.without_id > 0 && summary.accepted > 0 {
            output::note(format_args!(
                "{} events have no `id`; importing them again would record them again",
                summary.without_id
            ));
        }
        if summary.rejected > SHOWN_REJECTS_MAX {
            output::note(format_args!("and {} more rejected", summary.rejected - SHOWN_REJECTS_MAX));
        }
        if summary.rejected > 0 {
            match &args.rejects {
                Some(path) => {
                    output::note(format_args!("rejected records and reasons are in `{}`", path.display()));
                }
                None => output::note("to keep the rejected records, import again with --rejects FILE"),
            }
        }
        if json {
            output::line(serde_json::to_string(summary)?)?;
        } else {
            let skipped = match summary.skipped {
                0 => String::new(),
                count => format!("; {count} other lines skipped"),
            };
            let Summary { events, accepted, duplicates, rejected, .. } = summary;
            output::line(format_args!(
                "{events} events: {accepted} new, {duplicates} duplicates, {rejected} rejected{skipped}"
            ))?;
        }
        Ok(if summary.rejected == 0 { output::GOOD } else { output::FAILED })
    }
}

impl ReplyFault {
    fn to_reason(&self) -> String {
        let place = if self.pointer.is_empty() { String::new() } else { format!("{}: ", self.pointer) };
        let hint = self.hint.as_deref().map(|hint| format!("\n{hint}")).unwrap_or_default();
        format!("{place}{}{hint}", self.detail)
    }
}

/// A line of the file of rejected records.
#[derive(Serialize)]
struct Reject<'r> {
    file: &'r str,
    line: u64,
    reason: &'r str,
    record: &'r RawValue,
}

/// Finds out what a file holds from its first record.
fn guess(record: &str, container: Option<&str>) -> Format {
    match container {
        Some("Records") => return Format::Cloudtrail,
        Some(_) => return Format::Coder,
        None => {}
    }
    let Ok(raw) = serde_json::from_str::<&RawValue>(record) else { return Format::Native };
    let members = annals_model::json::members(raw).unwrap_or_default();
    let has = |name: &str| members.iter().any(|(key, _)| key == name);
    if has("eventSource") && has("eventName") {
        Format::Cloudtrail
    } else if has("msg") || has("organization_id") || has("is_deleted") {
        Format::Coder
    } else {
        Format::Native
    }
}

/// Whether a native event brings an id.
fn has_id(record: &str) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        #[serde(default)]
        id: Option<serde::de::IgnoredAny>,
    }
    // What cannot be read has an error of its own.
    serde_json::from_str(record).map_or(true, |Probe { id }| id.is_some())
}

/// The same JSON on one line.
fn compact(record: &str) -> Result<String, String> {
    let raw: &RawValue = serde_json::from_str(record).map_err(|error| error.to_string())?;
    let mut line = Vec::with_capacity(record.len());
    annals_model::json::push_compact(&mut line, raw);
    Ok(String::from_utf8(line).expect("a text without some of its spaces is a text"))
}

/// A bar for long work in front of a person, else one that shows nothing.
fn progress_bar(files: &[PathBuf], json: bool) -> ProgressBar {
    let sizes = files.iter().map(|path| path.metadata().map_or(0, |metadata| metadata.len()));
    let total_bytes = sizes.sum();
    if json || total_bytes < PROGRESS_BYTES_MIN || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left");
    ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr())
        .with_style(style.expect("the template is sound"))
}

#[cfg(test)]
mod tests;
