//! Log lines, to the output of the program or to a file that is rotated.

#[cfg(unix)]
use std::fs::TryLockError;
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
    // Looked at, and not opened: settings are also checked beside a server that writes the file.
    let directory = path.parent().unwrap_or(&path);
    if !directory.is_dir() {
        return Err(fault(format!("`{}` is no directory", directory.display())));
    }
    if path.exists() && !path.is_file() {
        return Err(fault(format!("`{}` is no file", path.display())));
    }
    Ok(Box::new(Rotated {
        path,
        file: None,
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
    /// None before the first batch, and after a failure: it is opened then.
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
                // It may be the same file, cut by somebody else: our own lock goes first.
                drop(lines);
                Lines::open(&self.path)?
            }
            None => Lines::open(&self.path)?,
        };
        for event in batch {
            let line = format!("{}\n", event.line);
            if lines.bytes > 0 && lines.bytes + line.len() as u64 > self.rotate_bytes {
                lines.file.sync_data()?;
                // Whoever holds the lock of the file that has the name, and nobody else, gives the names on; another stream that waits for it may
                // be the first to open the new file, and then that one goes on.
                if lines.is_at(&self.path)? {
                    self.rotate()?;
                }
                drop(lines);
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

/// An open file whose last line is ended, and which no other stream writes to.
#[derive(Debug)]
struct Lines {
    file: File,
    bytes: u64,
}

impl Lines {
    /// Opens a file, or makes it, readable for its owner only. If we were stopped while we wrote a line, what there is of it is ended: it was not
    /// settled and comes again whole. It is not cut off, since it may be somebody else's.
    fn open(path: &Path) -> io::Result<Lines> {
        let is_new = !path.exists();
        let mut options = fs::OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        lock(&file)?;
        let mut lines = Lines { bytes: file.metadata()?.len(), file };
        // Until the lock was ours, another stream may have renamed it.
        if !lines.is_at(path)? {
            return Err(taken());
        }
        if lines.bytes > 0 {
            let mut last = [0];
            lines.file.seek(SeekFrom::End(-1))?;
            lines.file.read_exact(&mut last)?;
            if last != [b'\n'] {
                lines.write(b"\n")?;
            }
        }
        if is_new {
            sync_parent(path)?;
        }
        Ok(lines)
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(line);
        if written.is_err() {
            // A full disk may have taken a part, and that is cut off, unless somebody else changed the file meanwhile. If this fails, too, opening
            // ends the line.
            let part = self.file.metadata().ok().and_then(|found| found.len().checked_sub(self.bytes));
            if part.is_some_and(|part| (1..line.len() as u64).contains(&part)) {
                drop(self.file.set_len(self.bytes));
            }
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

/// Keeps every other stream out, of this process or another, for as long as the file is open.
#[cfg(unix)]
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(taken()),
        // Some file systems have no locks; there the operator sees to it.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Elsewhere a lock would keep readers out, too.
#[cfg(not(unix))]
fn lock(_: &File) -> io::Result<()> {
    Ok(())
}

fn taken() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "another stream writes to it")
}

/// Makes names in a directory durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
