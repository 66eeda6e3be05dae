//! Log lines, to the output of the program or to a file that is rotated.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::kind::{Kind, Surroundings};
use crate::reason::later;
use crate::setting::{Setting, SettingFault, SettingKind, Settings};
use crate::{BatchLimits, Outgoing, SendError, Sink};

const TO: &str = "to";
const ROTATE_BYTES: &str = "rotate_bytes";
const KEEP: &str = "keep";

const LIMITS: BatchLimits = BatchLimits { events: 1_000, bytes: 4 * 1024 * 1024 };
/// Bytes that are read at once when the end of the last whole line is looked for.
const LOOK_BACK_BYTES: u64 = 64 * 1024;

pub(crate) const KIND: Kind = Kind {
    name: "log",
    label: "Log lines",
    about: "Writes events as lines to the output of the server or to a file; a file is on disk before events count as received.",
    settings: &[
        Setting::new(
            TO,
            "To",
            "Where lines go: `stdout`, `stderr`, or the path of a file such as `/var/log/annals/audit.log`.",
            SettingKind::Line,
        )
        .or("stdout"),
        Setting::new(
            ROTATE_BYTES,
            "Bytes of a file",
            "After how many bytes a file is renamed to `NAME.1` and a new one begun.",
            SettingKind::Number { min: 1_024, max: 1 << 40 },
        )
        .or("104857600"),
        Setting::new(
            KEEP,
            "Files kept",
            "How many renamed files are kept; the oldest is deleted.",
            SettingKind::Number { min: 1, max: 1_000 },
        )
        .or("10"),
    ],
    is_local: true,
    is_single: true,
    open,
};

fn open(settings: &Settings, _: &Surroundings) -> Result<Box<dyn Sink>, SettingFault> {
    let path = match settings.get(TO) {
        "stdout" => return Ok(Box::new(Output(Standard::Output))),
        "stderr" => return Ok(Box::new(Output(Standard::Error))),
        path => PathBuf::from(path),
    };
    let fault = |what: String| SettingFault::new(TO, what);
    if !path.is_absolute() {
        return Err(fault("`stdout`, `stderr` or the whole path of a file is expected".to_owned()));
    }
    let file = Lines::open(&path).map_err(|error| fault(format!("`{}`: {error}", path.display())))?;
    Ok(Box::new(Rotated {
        path,
        file: Some(file),
        rotate_bytes: settings.number(ROTATE_BYTES),
        keep: settings.number(KEEP).max(1),
    }))
}

/// One of the program's own outputs.
#[derive(Debug)]
enum Standard {
    Output,
    Error,
}

#[derive(Debug)]
struct Output(Standard);

impl Sink for Output {
    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn acknowledges_each(&self) -> bool {
        true
    }

    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendError> {
        match self.0 {
            Standard::Output => write_lines(&mut io::stdout().lock(), batch),
            Standard::Error => write_lines(&mut io::stderr().lock(), batch),
        }
        .map_err(|error| later(format!("the output of the server cannot be written to: {error}")))
    }
}

fn write_lines(output: &mut impl io::Write, batch: &[Outgoing]) -> io::Result<()> {
    for event in batch {
        // In one piece, so that nobody else's line comes between.
        output.write_all(format!("{}\n", event.line).as_bytes())?;
    }
    output.flush()
}

/// A file of lines, and those that it was before.
#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    /// None after a failure: it is opened anew then.
    file: Option<Lines>,
    rotate_bytes: u64,
    keep: u64,
}

impl Sink for Rotated {
    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendError> {
        let sent = self.write(batch);
        self.or_closed(sent)
    }

    fn settle(&mut self) -> Result<(), SendError> {
        let Some(lines) = &self.file else { return Ok(()) };
        let synced = lines.file.sync_data();
        self.or_closed(synced)
    }
}

impl Rotated {
    fn write(&mut self, batch: &[Outgoing]) -> io::Result<()> {
        let mut lines = match self.file.take() {
            // Somebody else may rotate it, too: then its name is free, or is another file's.
            Some(lines) if lines.is_at(&self.path)? => lines,
            Some(lines) => {
                lines.file.sync_data()?;
                Lines::open(&self.path)?
            }
            None => Lines::open(&self.path)?,
        };
        for event in batch {
            let line = format!("{}\n", event.line);
            if lines.bytes > 0 && lines.bytes + line.len() as u64 > self.rotate_bytes {
                lines.file.sync_data()?;
                drop(lines);
                self.rotate()?;
                lines = Lines::open(&self.path)?;
            }
            lines.write(line.as_bytes())?;
        }
        self.file = Some(lines);
        Ok(())
    }

    /// Renames the files, the oldest first: if we stop between, a number is missing and no line is lost.
    fn rotate(&self) -> io::Result<()> {
        for number in (0..self.keep).rev() {
            let from = if number == 0 { self.path.clone() } else { self.numbered(number) };
            match fs::rename(from, self.numbered(number + 1)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        sync_parent(&self.path)
    }

    fn numbered(&self, number: u64) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn or_closed(&mut self, result: io::Result<()>) -> Result<(), SendError> {
        result.map_err(|error| {
            self.file = None;
            later(format!("`{}`: {error}", self.path.display()))
        })
    }
}

/// An open file whose last line is whole.
#[derive(Debug)]
struct Lines {
    file: File,
    bytes: u64,
}

impl Lines {
    /// Opens a file, or makes it, readable for its owner only. If we were stopped while we wrote a line, what there is of it is cut off; it was not
    /// settled and comes again.
    fn open(path: &Path) -> io::Result<Lines> {
        let is_new = !path.exists();
        let mut options = fs::OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        let bytes = file.metadata()?.len();
        let whole = whole_lines(&mut file, bytes)?;
        if whole < bytes {
            file.set_len(whole)?;
        }
        if is_new {
            sync_parent(path)?;
        }
        Ok(Lines { file, bytes: whole })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(line);
        if written.is_err() {
            // A full disk may have taken a part; the next line must not be glued to it. If this fails too, opening repairs it.
            drop(self.file.set_len(self.bytes));
        }
        written?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Says whether the file still has its name.
    #[cfg(unix)]
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt as _;
        let open = self.file.metadata()?;
        match fs::metadata(path) {
            // Cut by somebody else, as `copytruncate` does, it is opened anew for its new length.
            Ok(named) => Ok((named.dev(), named.ino(), named.len()) == (open.dev(), open.ino(), self.bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[cfg(not(unix))]
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }
}

/// Bytes up to the end of the last whole line.
fn whole_lines(file: &mut File, bytes: u64) -> io::Result<u64> {
    let mut end = bytes;
    while end > 0 {
        let begin = end.saturating_sub(LOOK_BACK_BYTES);
        let mut part = vec![0; usize::try_from(end - begin).unwrap_or(0)];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// Makes names in a directory durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
