//! `annals import`: events of other systems, and of this one, from files.
//!
//! Files are read in a stream and sent in batches, of which the good events are taken and the rest is reported by file
//! and line. Every converter keeps the identity that a record has in its own system, so that importing a file again
//! finds duplicates and nothing else: an import that broke off is repeated.

mod cloudtrail;
mod coder;
mod destination;
mod event;
mod ids;
mod mapping;
mod records;
mod rows;
mod tree;
mod vocabulary;

use std::collections::{BTreeMap, btree_map::Entry};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use annals_model::json;
use annals_model::limits::EVENT_BYTES_MAX;
use annals_model::time::Time;
use anyhow::Context as _;
use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::value::RawValue;

use self::destination::Destination;
use self::ids::{Equals, Identity};
use self::mapping::{BUILT_IN, Mapped, MappedEvent, Mapping, Records};
use self::records::{Content, Found, read_records};
use self::rows::read_rows;
use self::tree::Node;
use self::vocabulary::Vocabulary;
use crate::command::open_for_import;
use crate::output;
use crate::target::TargetArgs;

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
/// Files are read in a stream, whatever their size, and sent in batches; those compressed by gzip are unpacked on the
/// way. Each event keeps the id it has in its own system, or gets one that follows from the record, so importing a file
/// again only finds duplicates: after an interruption, run the same command again.
///
/// The record itself is kept in the additional fields. Resource types, fields and actions that the log does not know are
/// registered.
///
/// Records that cannot be taken are reported with file and line, and written to --rejects together with the reason;
/// the rest is imported. Exit codes: 0 all records are in the log, 1 some were rejected.
///
/// Formats besides those listed are described by a mapping, a file of rules; docs/IMPORTERS.md shows how to write one.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  annals import events.ndjson
  annals import --format cloudtrail --rejects rejected.ndjson cloudtrail/*.json.gz
  journalctl -u coder -o cat | annals import --format coder -
  annals import --server https://audit.example --token T okta.json github.json

A format of your own:
  annals import --print-mapping okta > doors.toml
  annals import --mapping doors.toml --dry-run doors.csv
  annals import --mapping doors.toml doors.csv")]
pub(crate) struct ImportArgs {
    /// What the files hold
    #[arg(long, value_enum, default_value_t = Format::Auto, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Rules for a format of your own, JSON or CSV
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    pub(crate) mapping: Option<PathBuf>,
    /// Print the rules of a built-in format, to start from
    #[arg(long, value_name = "FORMAT", value_parser = BUILT_IN.map(|(name, _)| name), conflicts_with_all = ["files", "mapping"])]
    pub(crate) print_mapping: Option<String>,
    /// Print the events, one a line, and append nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The time of records that have none, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) default_time: Option<String>,
    /// Files to read, `-` for standard input
    #[arg(required_unless_present = "print_mapping", value_name = "FILES")]
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
    /// GitHub's audit log of an organization or enterprise
    Github,
    /// GitHub's webhooks: deliveries or payloads
    GithubWebhook,
    /// Kubernetes audit events
    Kubernetes,
    /// Google Workspace activities (Reports API)
    GoogleWorkspace,
    /// Okta's System Log
    Okta,
}

/// How the records of a file become events.
#[derive(Debug, Clone)]
enum Converter {
    Native,
    Coder,
    Cloudtrail,
    Mapped(Rc<Mapping>),
}

fn time(text: &str) -> Result<String, String> {
    Time::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Reads the files, appends what they hold and returns the exit code.
pub(crate) fn run(args: &ImportArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    if let Some(name) = &args.print_mapping {
        let text = BUILT_IN.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text);
        return output::line(text.trim_end()).map(|()| output::GOOD);
    }
    // What is wrong with a mapping is said before a log is made or opened.
    let converter = args.converter()?;
    let opened = match args.dry_run {
        true => None,
        false => Some(open_for_import(target)?),
    };
    let destination = match &opened {
        Some(target) => Destination::Log(target),
        None => Destination::trial(),
    };
    let mut importer = Importer::new(args, converter, destination)?;
    importer.progress = progress_bar(&args.files, json || args.dry_run);
    let result = importer.import_files(&args.files);
    importer.progress.finish_and_clear();
    if let Err(error) = result {
        let Summary { accepted, duplicates, .. } = importer.summary;
        return Err(match args.dry_run {
            true => error,
            false => error.context(format!(
                "the import stopped; {} events are in the log, and importing again goes on after them",
                accepted + duplicates
            )),
        });
    }
    importer.report(args, json)
}

impl ImportArgs {
    /// The one converter for all files; none if each file is to be looked at.
    fn converter(&self) -> anyhow::Result<Option<Converter>> {
        let built_in = |name: &str| Some(Converter::Mapped(Rc::new(Mapping::built_in(name))));
        if let Some(path) = &self.mapping {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the mapping `{}`", path.display()))?;
            let mapping = Mapping::parse(&text)
                .map_err(|errors| anyhow::anyhow!("the mapping `{}` is wrong:\n{errors}", path.display()))?;
            return Ok(Some(Converter::Mapped(Rc::new(mapping))));
        }
        anyhow::ensure!(
            !self.files.iter().any(|path| is_csv(path)),
            "CSV needs a mapping, which says what the columns mean: --mapping FILE; docs/IMPORTERS.md shows how to \
             write one"
        );
        Ok(match self.format {
            Format::Auto => None,
            Format::Native => Some(Converter::Native),
            Format::Coder => Some(Converter::Coder),
            Format::Cloudtrail => Some(Converter::Cloudtrail),
            Format::Github => built_in("github"),
            Format::GithubWebhook => built_in("github-webhook"),
            Format::Kubernetes => built_in("kubernetes"),
            Format::GoogleWorkspace => built_in("google-workspace"),
            Format::Okta => built_in("okta"),
        })
    }
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
}

struct Importer<'i> {
    destination: Destination<'i>,
    /// The converter for all files; without one, each file is looked at.
    converter: Option<Converter>,
    /// Compiled when the first file is looked at.
    mappings: Vec<Rc<Mapping>>,
    containers: Vec<String>,
    default_time: Option<String>,
    batch_events: usize,
    batch: Vec<Item>,
    batch_bytes: usize,
    vocabulary: Vocabulary,
    /// Equal records of the file being read.
    equals: Equals,
    rejects: Option<BufWriter<File>>,
    warnings: BTreeMap<String, u64>,
    summary: Summary,
    progress: ProgressBar,
}

/// An event on its way.
struct Item {
    place: Place,
    record: Rc<str>,
    /// The event on one line.
    line: String,
    source: Source,
}

/// What an event was made of, for making it again under a general action.
enum Source {
    Cloudtrail,
    Mapped(Box<MappedEvent>),
    /// It brings no words along.
    Other,
}

/// Where a record stands.
#[derive(Debug, Clone)]
struct Place {
    file: Rc<str>,
    line: u64,
}

/// What one record comes to.
struct Made {
    /// Events, each on a line.
    lines: Vec<(String, Source)>,
    /// Why parts of it are none.
    faults: Vec<String>,
}

impl Made {
    fn of(lines: Vec<(String, Source)>) -> Made {
        Made { lines, faults: Vec::new() }
    }
}

impl<'i> Importer<'i> {
    fn new(
        args: &ImportArgs,
        converter: Option<Converter>,
        destination: Destination<'i>,
    ) -> anyhow::Result<Importer<'i>> {
        let rejects = args.rejects.as_deref().map(|path| {
            File::create(path)
                .map(BufWriter::new)
                .with_context(|| format!("cannot write `{}`", path.display()))
        });
        let mappings = match &converter {
            None => BUILT_IN.iter().map(|(name, _)| Rc::new(Mapping::built_in(name))).collect(),
            Some(_) => Vec::new(),
        };
        let containers = match &converter {
            Some(Converter::Mapped(mapping)) => mapping.container.iter().cloned().collect(),
            _ => {
                let mut containers = vec!["Records".to_owned(), "audit_logs".to_owned()];
                containers
                    .extend(mappings.iter().filter_map(|mapping: &Rc<Mapping>| mapping.container.clone()));
                containers.dedup();
                containers
            }
        };
        Ok(Importer {
            vocabulary: Vocabulary::new(destination.registry().as_ref()),
            destination,
            converter,
            mappings,
            containers,
            default_time: args.default_time.clone(),
            batch_events: args.batch.max(1),
            batch: Vec::new(),
            batch_bytes: 0,
            equals: Equals::default(),
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
            return self.import_bytes(path, BufReader::new(io::stdin().lock()));
        }
        let file = File::open(path)?;
        let reader = BufReader::with_capacity(64 * 1024, self.progress.wrap_read(file));
        self.import_bytes(path, reader)
    }

    /// Unpacks what is compressed. The unpacked bytes are read in a stream, so a small file can be long, not large.
    fn import_bytes(&mut self, path: &Path, mut reader: impl BufRead) -> anyhow::Result<()> {
        self.equals = Equals::default();
        if reader.fill_buf()?.starts_with(b"\x1f\x8b") {
            let unpacked = BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(reader));
            return self.import_reader(path, unpacked);
        }
        self.import_reader(path, reader)
    }

    fn import_reader(&mut self, path: &Path, reader: impl BufRead) -> anyhow::Result<()> {
        let file: Rc<str> = path.display().to_string().into();
        // One format for the whole file, so that one odd record does not pass for another kind.
        let mut converter = self.converter.clone();
        if let Some(Converter::Mapped(mapping)) = &converter
            && (mapping.records == Records::Csv || is_csv(path))
        {
            let delimiter = mapping.delimiter;
            return read_rows(reader, delimiter, &mut |found| self.found(&file, &mut converter, found));
        }
        let containers = self.containers.clone();
        read_records(reader, &containers, &mut |found| self.found(&file, &mut converter, found))
    }

    fn found(
        &mut self,
        file: &Rc<str>,
        converter: &mut Option<Converter>,
        found: Found<'_>,
    ) -> anyhow::Result<()> {
        let Found { line, container, content } = found;
        let place = Place { file: Rc::clone(file), line };
        let record = match content {
            Content::Value(record) => record,
            Content::Bad { reason, text } => return self.reject(&place, &reason, &text),
        };
        let converter = match converter {
            Some(converter) => converter.clone(),
            None => {
                let guessed = guess(&record, container, &self.mappings);
                if matches!(guessed, Converter::Native) && !record.contains("\"action\"") {
                    self.progress.suspend(|| {
                        output::note(format_args!(
                            "{file}: no known format, so taken for events of this log's own; --format or --mapping \
                             names another"
                        ));
                    });
                }
                converter.insert(guessed).clone()
            }
        };
        self.add(&place, &converter, &record.into())
    }

    fn add(&mut self, place: &Place, converter: &Converter, record: &Rc<str>) -> anyhow::Result<()> {
        let Made { lines: made, faults } = match self.convert(converter, record) {
            Ok(made) => made,
            Err(reason) => return self.reject(place, &reason, record),
        };
        for reason in &faults {
            self.reject(place, reason, record)?;
        }
        if made.is_empty() && faults.is_empty() {
            self.summary.skipped += 1;
        }
        for (line, source) in made {
            if line.len() > EVENT_BYTES_MAX {
                let reason =
                    format!("an event of {} bytes exceeds the limit of {EVENT_BYTES_MAX}", line.len());
                self.reject(place, &reason, record)?;
                continue;
            }
            if self.batch.len() >= self.batch_events || self.batch_bytes + line.len() >= BATCH_BYTES_MAX {
                self.flush()?;
            }
            self.batch_bytes += line.len() + 1;
            self.batch.push(Item { place: place.clone(), record: Rc::clone(record), line, source });
        }
        Ok(())
    }

    /// Makes events of a record; none of one that is about something else.
    fn convert(&mut self, converter: &Converter, record: &str) -> Result<Made, String> {
        match converter {
            Converter::Coder => {
                Ok(Made::of(coder::convert(record)?.into_iter().map(|line| (line, Source::Other)).collect()))
            }
            Converter::Cloudtrail => Ok(Made::of(vec![(self.convert_call(record)?, Source::Cloudtrail)])),
            Converter::Native => {
                Ok(Made::of(vec![(with_id(compact(record)?, &mut self.equals)?, Source::Other)]))
            }
            Converter::Mapped(mapping) => {
                let mapped = mapping.convert(record, self.default_time.as_deref(), &self.vocabulary)?;
                let Mapped::Events(events, faults) = mapped else { return Ok(Made::of(Vec::new())) };
                let mut made = Vec::with_capacity(events.len());
                for mut mapped in events {
                    mapped.event.id = self.equals.id_of(&mapped.identity)?.to_string().into();
                    // The identity may hold the whole record, which is in the event already.
                    mapped.identity.record = String::new();
                    let (line, has_lost_diff) = mapped.write_line()?;
                    if has_lost_diff {
                        let detail = "the diff of a long record is left out; the values stand in its additional fields";
                        *self.warnings.entry(detail.to_owned()).or_default() += 1;
                    }
                    let words = mapped.take_words();
                    self.vocabulary.add(&mapped.event.resource_type, words);
                    made.push((line, Source::Mapped(Box::new(mapped))));
                }
                Ok(Made { lines: made, faults })
            }
        }
    }

    fn convert_call(&mut self, record: &str) -> Result<String, String> {
        let converted = cloudtrail::convert(record, &self.vocabulary)?;
        self.vocabulary.add(&converted.resource_type, converted.words);
        Ok(converted.line)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let first = &batch[0].place;
        let context = format!("cannot append the events from {}:{} on", first.file, first.line);
        let destination = &mut self.destination;
        let has_refused = self
            .vocabulary
            .register(&mut |document| destination.register(document))
            .context("cannot register types and actions")?;
        if has_refused {
            for item in &mut batch {
                self.generalise(item)?;
            }
        }
        let lines: Vec<&str> = batch.iter().map(|item| item.line.as_str()).collect();
        let reply = self.destination.append(&lines).context(context)?;
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

    /// Makes an event again whose action the registry has no room for.
    fn generalise(&mut self, item: &mut Item) -> anyhow::Result<()> {
        match &mut item.source {
            Source::Cloudtrail => {
                item.line = self.convert_call(&item.record).map_err(anyhow::Error::msg)?;
            }
            Source::Mapped(mapped) if self.vocabulary.is_refused(&mapped.event.action) => {
                mapped.generalise();
                item.line = mapped.write_line().map_err(anyhow::Error::msg)?.0;
            }
            Source::Mapped(_) | Source::Other => {}
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
                "{} actions are recorded under general ones such as `read` and `write`: the registry has no room for \
                 more; their own names stand in the additional fields",
                self.vocabulary.refused_count()
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
        let skipped = match summary.skipped {
            0 => String::new(),
            count => format!("; {count} other lines skipped"),
        };
        let Summary { events, accepted, duplicates, rejected, .. } = summary;
        if args.dry_run {
            // Standard output has the events.
            output::note(format_args!(
                "{events} events: {accepted} would be sent, {rejected} rejected{skipped}"
            ));
        } else if json {
            output::line(serde_json::to_string(summary)?)?;
        } else {
            output::line(format_args!(
                "{events} events: {accepted} new, {duplicates} duplicates, {rejected} rejected{skipped}"
            ))?;
        }
        Ok(if summary.rejected == 0 { output::GOOD } else { output::FAILED })
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
fn guess(record: &str, container: Option<&str>, mappings: &[Rc<Mapping>]) -> Converter {
    match container {
        Some("Records") => return Converter::Cloudtrail,
        Some("audit_logs") => return Converter::Coder,
        _ => {}
    }
    // What cannot be read has an error of its own.
    let Ok(text) = tree::checked(record) else { return Converter::Native };
    let tree = Node::parse(&text);
    let has = |name: &str| tree.get(name).is_some();
    if has("eventSource") && has("eventName") {
        Converter::Cloudtrail
    } else if has("msg") || has("organization_id") || has("is_deleted") {
        Converter::Coder
    } else if has("resource_type") {
        Converter::Native
    } else {
        let detected = mappings.iter().find(|mapping| mapping.detects(&tree));
        detected.map_or(Converter::Native, |mapping| Converter::Mapped(Rc::clone(mapping)))
    }
}

/// Whether the name of a file says that it holds CSV, packed or not.
fn is_csv(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    name.strip_suffix(".gz").unwrap_or(&name).ends_with(".csv")
}

/// A native event with an id: its own, or one that follows from its text. So a file is imported once only, also where events have no time; what happens
/// anew is sent with a time or an id.
fn with_id(event: String, equals: &mut Equals) -> Result<String, String> {
    let raw: &RawValue = serde_json::from_str(&event).map_err(|error| error.to_string())?;
    // What is no object has an error of its own.
    let Ok(members) = json::members(raw) else { return Ok(event) };
    let has_none = |raw: &RawValue| matches!(raw.get(), "null" | "\"\"");
    match members.iter().find(|(name, _)| name == "id") {
        Some((_, id)) if !has_none(id) => return Ok(event),
        _ => {}
    }
    let identity = Identity { of: "native".to_owned(), own: None, index: None, record: event.clone() };
    let mut line = format!("{{\"id\":\"{}\"", equals.id_of(&identity)?).into_bytes();
    for (name, value) in members.iter().filter(|(name, _)| name != "id") {
        line.push(b',');
        json::push_text(&mut line, name);
        line.push(b':');
        line.extend_from_slice(value.get().as_bytes());
    }
    line.push(b'}');
    Ok(String::from_utf8(line).expect("JSON made of JSON is a text"))
}

/// The same JSON on one line.
fn compact(record: &str) -> Result<String, String> {
    let raw: &RawValue = serde_json::from_str(record).map_err(|error| error.to_string())?;
    let mut line = Vec::with_capacity(record.len());
    json::push_compact(&mut line, raw);
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
