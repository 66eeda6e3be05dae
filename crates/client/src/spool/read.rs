//! Reading the spool: what is to be sent next, and how far the server has it.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use annals_model::limits::EVENT_BYTES_MAX;

use super::record::{Found, HEADER, PREFIX_BYTES, record_in};
use super::{Spool, SpoolError, file_of, in_file, private};

/// Version of the cursor, then the number of the next event to send, then the CRC-32 of both.
const CURSOR_BYTES: usize = 4 + 8 + 4;
const CURSOR_VERSION: [u8; 4] = *b"ANC\x01";
/// The number of the first event.
const FIRST: u64 = 1;

/// Events to send together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// One a line.
    lines: String,
    events: Vec<Place>,
    /// First number of the file that they stand in.
    file: u64,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    number: u64,
    /// Where its line ends in the batch.
    line_end: usize,
    /// Where its record ends in the file.
    record_end: u64,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// The text of the first so many events, one a line.
    pub(crate) fn lines(&self, count: usize) -> &str {
        count.checked_sub(1).map_or("", |last| &self.lines[..self.events[last].line_end])
    }

    /// Number and text of the event at an index.
    pub(crate) fn event(&self, at: usize) -> (u64, &str) {
        let begin = at.checked_sub(1).map_or(0, |before| self.events[before].line_end);
        (self.events[at].number, self.lines[begin..self.events[at].line_end].trim_end())
    }
}

/// The one who reads; keeps its place.
#[derive(Debug)]
pub(crate) struct Reader {
    dir: PathBuf,
    cursor: File,
    /// Number of the next event to send: all before are done with.
    sent: u64,
    open: Option<OpenFile>,
    buffer: Vec<u8>,
    /// Files that could not be read to their end.
    damaged: u64,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    first: u64,
    /// Where the next event begins, or one before it.
    at: u64,
}

impl Reader {
    pub(super) fn new(dir: &Path, sent: u64) -> Result<Reader, SpoolError> {
        let path = dir.join("cursor");
        let cursor = private().create(true).truncate(false).open(&path).map_err(in_file(&path))?;
        Ok(Reader { dir: dir.to_owned(), cursor, sent, open: None, buffer: Vec::new(), damaged: 0 })
    }

    /// Number of the next event to send.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Files that could not be read to their end since the start.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Reads the next events, all of one file, without moving on. Empty if all were sent.
    pub(crate) fn batch(
        &mut self,
        spool: &Spool,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Batch, SpoolError> {
        loop {
            let files = spool.files();
            let known = self.open.as_ref().map(|open| open.first);
            let at = match known {
                Some(first) => files.iter().position(|file| file.0 == first),
                None => files.iter().rposition(|file| file.0 <= self.sent),
            };
            let Some(&(first, end)) = files.get(at.unwrap_or(0)) else { return Ok(Batch::default()) };
            let following = files.get(at.unwrap_or(0) + 1);
            let open = match self.open.take().filter(|open| open.first == first) {
                Some(open) => open,
                None => OpenFile::open(&self.dir, first)?,
            };
            let open = self.open.insert(open);
            let mut batch = Batch { file: first, ..Batch::default() };
            let is_readable =
                open.read(&mut batch, self.sent, end, (events_max, bytes_max), &mut self.buffer)?;
            if batch.len() > 0 {
                return Ok(batch);
            }
            if is_readable && open.at < end {
                continue;
            }
            if !is_readable {
                let file = file_of(&self.dir, first);
                tracing::error!(file = %file.display(), at = open.at, "a file of the spool is damaged: events in it are lost");
                self.damaged += 1;
                open.at = end;
            }
            match following {
                Some((following, _)) => {
                    self.sent = self.sent.max(*following);
                    self.open = None;
                }
                None => return Ok(batch),
            }
        }
    }

    /// Notes that the first so many events of a batch are done with.
    pub(crate) fn advance(&mut self, spool: &Spool, batch: &Batch, count: usize) -> Result<(), SpoolError> {
        let Some(last) = count.checked_sub(1).map(|last| batch.events[last]) else { return Ok(()) };
        self.sent = last.number + 1;
        if let Some(open) = self.open.as_mut().filter(|open| open.first == batch.file) {
            open.at = last.record_end;
        }
        let path = self.dir.join("cursor");
        write_cursor(&mut self.cursor, self.sent).map_err(in_file(&path))?;
        spool.forget(self.sent)
    }
}

impl OpenFile {
    fn open(dir: &Path, first: u64) -> Result<OpenFile, SpoolError> {
        let path = file_of(dir, first);
        let mut file = File::open(&path).map_err(in_file(&path))?;
        let mut header = *HEADER;
        file.read_exact(&mut header).map_err(in_file(&path))?;
        if header != *HEADER {
            return Err(SpoolError::Foreign { file: path });
        }
        Ok(OpenFile { file, first, at: HEADER.len() as u64 })
    }

    /// Adds events from `sent` on to a batch, as far as the file goes and they fit. Returns false if the next bytes are no event.
    fn read(
        &mut self,
        batch: &mut Batch,
        sent: u64,
        end: u64,
        (events_max, bytes_max): (usize, usize),
        buffer: &mut Vec<u8>,
    ) -> Result<bool, SpoolError> {
        let failed =
            |source| SpoolError::File { path: PathBuf::from(format!("{:020}.spool", self.first)), source };
        // Room for the largest event behind what fits.
        let wanted = (bytes_max + EVENT_BYTES_MAX + PREFIX_BYTES) as u64;
        self.file.seek(SeekFrom::Start(self.at)).map_err(failed)?;
        buffer.clear();
        (&self.file).take(wanted.min(end.saturating_sub(self.at))).read_to_end(buffer).map_err(failed)?;
        let (mut rest, mut at) = (buffer.as_slice(), self.at);
        while batch.len() < events_max && batch.lines.len() < bytes_max && !rest.is_empty() {
            match record_in(rest) {
                Found::Event { number, event, bytes } => {
                    rest = &rest[bytes..];
                    at += bytes as u64;
                    let Ok(text) = std::str::from_utf8(event) else { return Ok(false) };
                    if number < sent {
                        self.at = at;
                        continue;
                    }
                    batch.lines.push_str(text);
                    batch.lines.push('\n');
                    let line_end = batch.lines.len();
                    batch.events.push(Place { number, line_end, record_end: at });
                }
                Found::End => {
                    at = end;
                    break;
                }
                // Beyond what was read at once, if the file goes on.
                Found::Partial => return Ok(at + (rest.len() as u64) < end),
                Found::Damaged => return Ok(false),
            }
        }
        if batch.len() == 0 {
            self.at = at;
        }
        Ok(true)
    }
}

/// How far a file can be read, and the number behind its last event. What is no event behind that is kept beside it, unless it is the begin of one.
pub(super) fn end_of(path: &Path, first: u64) -> Result<(u64, u64), SpoolError> {
    let bytes = std::fs::read(path).map_err(in_file(path))?;
    if bytes.len() < HEADER.len() {
        // Stopped while it was made.
        std::fs::write(path, HEADER).map_err(in_file(path))?;
        return Ok((HEADER.len() as u64, first));
    }
    let Some(mut rest) = bytes.strip_prefix(HEADER.as_slice()) else {
        return Err(SpoolError::Foreign { file: path.to_owned() });
    };
    let mut next = first;
    loop {
        match record_in(rest) {
            Found::Event { number, bytes, .. } => (rest, next) = (&rest[bytes..], number + 1),
            Found::End | Found::Partial => break,
            Found::Damaged => {
                let kept = path.with_extension("damaged");
                tracing::error!(file = %kept.display(), "the end of the spool is damaged; the file is kept");
                std::fs::copy(path, &kept).map_err(in_file(&kept))?;
                break;
            }
        }
    }
    Ok(((bytes.len() - rest.len()) as u64, next))
}

/// The number of the next event to send; the lowest there is, 1, where nothing says otherwise, since the server knows what it has.
pub(super) fn read_cursor(dir: &Path) -> Result<u64, SpoolError> {
    let path = dir.join("cursor");
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FIRST),
        bytes => bytes.map_err(in_file(&path))?,
    };
    let Ok(bytes) = <[u8; CURSOR_BYTES]>::try_from(bytes) else { return Ok(FIRST) };
    let (content, crc) = bytes.split_at(CURSOR_BYTES - 4);
    let number = content.strip_prefix(&CURSOR_VERSION).and_then(|number| <[u8; 8]>::try_from(number).ok());
    let is_whole = crc32fast::hash(content).to_be_bytes() == crc;
    Ok(number.filter(|_| is_whole).map_or(FIRST, u64::from_be_bytes).max(FIRST))
}

fn write_cursor(file: &mut File, sent: u64) -> io::Result<()> {
    let mut bytes = CURSOR_VERSION.to_vec();
    bytes.extend_from_slice(&sent.to_be_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)
}
