//! `annals export`.

mod evidence;
mod records;
mod whole;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, IsTerminal as _, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use annals_engine::{ExportFormat, ExportRequest, Principal};
use anyhow::Context as _;
use indicatif::ProgressBar;
use serde_json::json;

use self::records::{LastEvent, Records};
use self::whole::WholeFile;
use crate::command::query::QueryText;
use crate::command::search::report_failure;
use crate::output;
use crate::target::{Target, TargetArgs};

/// Write every matching event to a file or to standard output, by rising seq
///
/// Ends at the event that was the newest when it began. Each export is recorded in the log, also one that works in place.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An export that was cut off goes on with --resume behind the last whole line of FILE. A Parquet file stands under its name when it is
whole and not before; --after-seq makes another one for what came later, and other programs read several as one.
In CSV, a cell that begins with = + - @ tab or CR has an apostrophe in front, so that no spreadsheet takes it for a formula.

Examples:
  annals export --out audit.ndjson
  annals export outcome:denied since:30d --format csv --out denied.csv
  annals export since:90d --format parquet --out audit-1.parquet
  annals export --server http://127.0.0.1:2662 --token annals_read_... --out audit.ndjson --resume
  annals export --format coder since:1d | your-collector
  annals export --evidence resource_id:7b2e… --out evidence.tar.gz
  annals export --evidence seq:1000..1999 --out evidence.tar.gz
  annals export --after-seq 1234 | your-siem-forwarder"
)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    query: QueryText,
    /// Form of the events: `ndjson` as the API shows them, `csv`, `parquet` for DuckDB and others, or a line each for other programs
    #[arg(long, value_name = "FORMAT", default_value = "ndjson", value_parser = formats())]
    format: String,
    /// Write evidence instead: the events with their proofs, as .tar.gz, for `annals verify`. A query of `seq:FROM..TO` alone, or none, proves that
    /// nothing is missing
    #[arg(long, requires = "out", conflicts_with_all = ["format", "resume", "after_seq"])]
    evidence: bool,
    /// File to write; standard output if absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Go on behind the last whole line of FILE
    #[arg(long, requires = "out")]
    resume: bool,
    /// Begin behind this seq, not at the first event; CSV has no line of column names then
    #[arg(long, value_name = "SEQ", conflicts_with = "resume")]
    after_seq: Option<u64>,
}

fn formats() -> clap::builder::PossibleValuesParser {
    ExportFormat::all().map(ExportFormat::name).collect::<Vec<_>>().into()
}

const BAR: &str = "{bar:40} {human_pos} of {human_len} events  {per_sec}  {eta} left";
/// Where events cannot be counted as they come.
const BYTES: &str = "{spinner} {bytes} in {elapsed}";
/// Bytes of a file that are read at once.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Where the events go.
enum Out {
    File(File),
    /// A file that gets its name when it is whole.
    Whole(WholeFile),
    Standard,
}

/// What came so far.
struct Writer {
    out: Out,
    records: Records,
    bar: ProgressBar,
    json: bool,
}

/// How an export began.
struct Begun {
    count: u64,
    last_seq: Option<u64>,
    /// A line of column names comes first.
    has_head: bool,
}

pub(crate) fn run(args: &ExportArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    let query = args.query.join();
    if let Some(out) = args.out.as_deref().filter(|_| args.evidence) {
        return evidence::run(&query, out, target, json);
    }
    let format: ExportFormat = args.format.parse()?;
    check_place(args, format)?;
    let target = target.open(annals_engine::Options::default())?;
    let (out, after_seq) = match &args.out {
        None => (Out::Standard, args.after_seq),
        Some(path) if !format.has_records() => (Out::Whole(WholeFile::create(path)?), args.after_seq),
        Some(path) => {
            let (file, last) = open(path, format, args.resume)?;
            let resumed = last.map(|last| seq_of(&last, &target)).transpose()?;
            (Out::File(file), resumed.or(args.after_seq))
        }
    };
    let mut writer = Writer { out, records: Records::new(format), bar: ProgressBar::hidden(), json };
    let result = export(&target, &query, format, after_seq, &mut writer);
    writer.bar.finish_and_clear();
    let begun = match result {
        Ok(begun) => begun,
        Err(error) => return failed(error, args, &query, writer, after_seq, json),
    };
    let path = args.out.as_deref().unwrap_or(Path::new(""));
    match writer.out {
        Out::File(file) => file.sync_all().context("the file could not be brought to the disk")?,
        Out::Whole(file) => file.keep(path)?,
        Out::Standard => return Ok(output::GOOD),
    }
    if json {
        output::line(json!({"count": begun.count, "last_seq": begun.last_seq}))?;
    } else {
        let end = begun.last_seq.map(|seq| format!(", the log up to seq {seq}")).unwrap_or_default();
        output::note(format_args!("{} events written to `{}`{end}", begun.count, path.display()));
    }
    Ok(output::GOOD)
}

/// Refuses a place that the form does not go to.
fn check_place(args: &ExportArgs, format: ExportFormat) -> anyhow::Result<()> {
    if format.has_records() {
        return Ok(());
    }
    anyhow::ensure!(
        !args.resume,
        "--resume cannot go on with a {format} file, which is written whole or not at all; export again without it, or with --after-seq SEQ \
         into a second file"
    );
    anyhow::ensure!(
        args.out.is_some() || !std::io::stdout().is_terminal(),
        "{format} is not for terminals; name a file with --out FILE, or a pipe"
    );
    Ok(())
}

/// Reports the failure, and says what there is of the file.
fn failed(
    error: anyhow::Error,
    args: &ExportArgs,
    query: &str,
    writer: Writer,
    after_seq: Option<u64>,
    json: bool,
) -> anyhow::Result<u8> {
    let came = writer.records.bytes > 0;
    match (&writer.out, &args.out) {
        (Out::Whole(_), Some(path)) if came => {
            Err(error
                .context(format!("`{}` was not made, as not all of it came; export again", path.display())))
        }
        (Out::File(_), Some(path)) if came => {
            let hint = format!("`{}` holds the first events; --resume goes on behind them", path.display());
            Err(error.context(hint))
        }
        (Out::File(_), Some(path)) if after_seq.is_none() => {
            // Nothing came: no empty file is left, in the way of the next attempt.
            drop(writer);
            let _ = std::fs::remove_file(path);
            report_failure(error, query, json)
        }
        _ => report_failure(error, query, json),
    }
}

fn export(
    target: &Target,
    query: &str,
    format: ExportFormat,
    after_seq: Option<u64>,
    writer: &mut Writer,
) -> anyhow::Result<Begun> {
    let begun = match target {
        Target::Local(engine) => {
            let request = ExportRequest { query, after_seq, format };
            let mut export = engine.export(&Principal::operator(), &request).map_err(plain)?;
            let begun =
                Begun { count: export.count(), last_seq: export.last_seq(), has_head: export.has_head() };
            writer.begin(&begun);
            let mut batch = Vec::new();
            loop {
                batch.clear();
                let more = engine.export_batch(&mut export, &mut batch);
                writer.write(&batch)?;
                if !more? {
                    break begun;
                }
            }
        }
        Target::Remote(client, runtime) => {
            let mut export = runtime.block_on(client.export(query, format.name(), after_seq))?;
            let begun =
                Begun { count: export.count(), last_seq: export.last_seq(), has_head: export.has_head() };
            writer.begin(&begun);
            while let Some(chunk) = runtime.block_on(export.chunk())? {
                writer.write(&chunk)?;
            }
            begun
        }
    };
    if !format.has_records() {
        anyhow::ensure!(writer.records.are_whole_parquet(), "what came is no whole {format} file");
        return Ok(begun);
    }
    let came = writer.records.count - u64::from(begun.has_head);
    anyhow::ensure!(came == begun.count, "{} events were announced and {came} came", begun.count);
    Ok(begun)
}

/// The failure of the search inside, where it is one, so that a bad query is reported as everywhere.
fn plain(error: annals_engine::ExportError) -> anyhow::Error {
    match error {
        annals_engine::ExportError::Search(error) => error.into(),
        other => other.into(),
    }
}

impl Writer {
    fn begin(&mut self, begun: &Begun) {
        match self.out {
            Out::File(_) => {
                self.bar = output::progress_bar(BAR, self.json);
                self.bar.set_length(begun.count);
            }
            Out::Whole(_) => self.bar = output::progress_bar(BYTES, self.json),
            Out::Standard => {}
        }
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match &mut self.out {
            Out::File(file) => file.write_all(bytes).context("the file cannot be written")?,
            Out::Whole(file) => file.write(bytes)?,
            Out::Standard => match std::io::stdout().lock().write_all(bytes) {
                // As every command: a reader that has gone away ends it quietly.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    std::process::exit(i32::from(output::GOOD))
                }
                other => other?,
            },
        }
        self.records.push(bytes);
        let is_counted = matches!(self.out, Out::File(_));
        self.bar.set_position(if is_counted { self.records.count } else { self.records.bytes });
        Ok(())
    }
}

/// The seq of the last event of a file; the log is asked where the form shows its id alone.
fn seq_of(last: &LastEvent, target: &Target) -> anyhow::Result<u64> {
    let id = match last {
        LastEvent::Seq(seq) => return Ok(*seq),
        LastEvent::Id(id) => id,
    };
    let found = target.search(&format!("id:{id}"), 1, 0)?;
    found["audit_logs"][0]["seq"].as_u64().with_context(|| {
        format!("the last event of the file, {id}, is not in this log, or not in your sight")
    })
}

/// Opens the file to write. To go on with one, it is cut behind its last whole line, whose event is returned.
fn open(path: &Path, format: ExportFormat, resume: bool) -> anyhow::Result<(File, Option<LastEvent>)> {
    let shown = path.display();
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if resume && path.exists() {
        let mut file = options.open(path).with_context(|| format!("cannot open `{shown}`"))?;
        let records = read_records(&mut file, format).with_context(|| format!("cannot read `{shown}`"))?;
        let last = records
            .last_event()
            .with_context(|| format!("cannot go on with `{shown}`; name another file"))?;
        // With nothing but column names, it begins anew.
        let kept = if last.is_some() { records.bytes } else { 0 };
        file.set_len(kept).and_then(|()| file.seek(SeekFrom::Start(kept)))?;
        return Ok((file, last));
    }
    #[cfg(unix)]
    {
        // Events are personal data: others on this machine do not read them.
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.create_new(true).open(path) {
        Ok(file) => Ok((file, None)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            anyhow::bail!("`{shown}` exists; --resume goes on with it, or name another file")
        }
        Err(error) => Err(error).with_context(|| format!("cannot write `{shown}`")),
    }
}

fn read_records(file: &mut File, format: ExportFormat) -> std::io::Result<Records> {
    let mut records = Records::new(format);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(records),
            count => records.push(&block[..count]),
        }
    }
}
