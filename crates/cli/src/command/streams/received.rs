//! Reading what a receiver has: the ids of events, in whatever form they were sent.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use annals_engine::Received;
use annals_model::id::EventId;
use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::output;

/// Where the forms have the id of an event; Splunk and webhooks put the event under `event` or `data`.
const ID_PLACES: &[&str] = &[
    "/result/annals_id",
    "/id",
    "/annals_id",
    "/fields/ID",
    "/message/fields/audit_log/id",
    "/metadata/uid",
    "/event/id",
    "/jsonPayload/fields/ID",
    "/fields/annals_id",
    "/event/fields/ID",
    "/event/metadata/uid",
];
/// Where they have its seq, if they have it.
const SEQ_PLACES: [&str; 7] = [
    "/seq",
    "/annals_seq",
    "/message/fields/audit_log/seq",
    "/unmapped/seq",
    "/annals/seq",
    "/event/seq",
    "/fields/annals_seq",
];
/// Bytes of a line, at most: some four times the largest event.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How the id stands in a syslog message.
const SYSLOG_MARK: &str = "[annals@32473 id=\"";

/// Reads a count, or the ids of a file or directory, and how many lines name no event. With a window, events that say that they are of another one are
/// left out.
pub(crate) fn read_received(
    file: Option<&Path>,
    count: Option<u64>,
    window: Option<&RangeInclusive<u64>>,
    json: bool,
) -> anyhow::Result<(Received, u64)> {
    let Some(file) = file else { return Ok((Received::Count(count.unwrap_or_default()), 0)) };
    let mut reading = Reading { window: window.cloned(), ..Reading::default() };
    if file == Path::new("-") {
        reading.read(&mut std::io::stdin().lock()).context("standard input")?;
    } else {
        let files = files_in(file)?;
        let bar = output::progress_bar("{bar:40} {pos}/{len} files read  {eta} left", json);
        for (at, file) in files.iter().enumerate() {
            output::show_progress(&bar, at as u64, files.len() as u64);
            reading.read_file(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        }
        bar.finish_and_clear();
    }
    let Reading { ids, repeats, unread, .. } = reading;
    anyhow::ensure!(
        !ids.is_empty() || unread == 0,
        "no line of `{}` names an event: events in a form that Annals sends are expected, or one id a line",
        file.display()
    );
    Ok((Received::Ids { ids, repeats }, unread))
}

/// What the names of files end in that are no events: what a writer has not finished, and what it locks.
const OTHER_ENDS: [&str; 2] = [".unfinished", ".lock"];

/// The file, or the files of a directory and those below it; not the manifests that lie there, nor what its writer keeps for itself.
fn files_in(place: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let described = || format!("cannot read `{}`", place.display());
    if !place.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(place).with_context(described)? {
        let entry = entry.with_context(described)?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() && name == "manifests" || OTHER_ENDS.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        files.extend(files_in(&path)?);
    }
    files.sort();
    Ok(files)
}

#[derive(Default)]
struct Reading {
    ids: HashSet<EventId>,
    repeats: u64,
    /// Lines that name no event.
    unread: u64,
    window: Option<RangeInclusive<u64>>,
}

impl Reading {
    fn read_file(&mut self, path: &Path) -> std::io::Result<()> {
        let mut file = BufReader::new(File::open(path)?);
        let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let cut_off = || Error::new(ErrorKind::UnexpectedEof, "the gzip file is cut off");
        if !is_gzip {
            // An archive that ends before its first two bytes would count as a file without events.
            let is_named_so = path.extension().is_some_and(|extension| extension == "gz");
            return if is_named_so { Err(cut_off()) } else { self.read(&mut file) };
        }
        let read = self.read(&mut BufReader::new(MultiGzDecoder::new(file)));
        read.map_err(|error| if error.kind() == ErrorKind::UnexpectedEof { cut_off() } else { error })
    }

    fn read(&mut self, lines: &mut dyn BufRead) -> std::io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut *lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let (id, seq) = id_and_seq(text);
            let is_other = |window: &RangeInclusive<u64>| seq.is_some_and(|seq| !window.contains(&seq));
            if self.window.as_ref().is_some_and(is_other) {
                continue;
            }
            match id {
                Some(id) if !self.ids.insert(id) => self.repeats += 1,
                Some(_) => {}
                None => self.unread += 1,
            }
        }
    }
}

/// The id of the event that a line holds, and its seq where the form has it.
fn id_and_seq(line: &str) -> (Option<EventId>, Option<u64>) {
    let parse = |text: &str| text.parse().ok().map(EventId::new);
    // The first column of a table, too.
    let first = line.split(',').next().unwrap_or_default().trim().trim_matches('"');
    if let Some(id) = parse(first) {
        return (Some(id), None);
    }
    // What collectors write before the event, such as a byte order mark, a time or a host.
    let json = line.find('{').map(|at| &line[at..]);
    if let Some(json) = json
        && let Ok(event) = serde_json::from_str::<Value>(json)
    {
        let id = |place: &&str| event.pointer(place).and_then(Value::as_str).and_then(parse);
        if let Some(id) = ID_PLACES.iter().find_map(id) {
            let seq = |place: &&str| event.pointer(place).and_then(whole_number);
            return (Some(id), SEQ_PLACES.iter().find_map(seq));
        }
    }
    if let Some((_, after)) = line.split_once(SYSLOG_MARK) {
        let seq = after.split_once("seq=\"").and_then(|(_, seq)| seq.split('"').next()?.parse().ok());
        return (after.get(..36).and_then(parse), seq);
    }
    // The line for people.
    let after = line.split_once("ID=").map(|(_, after)| after.trim_start_matches('"'));
    (after.and_then(|after| after.get(..36)).and_then(parse), None)
}

/// A number, also as a text of digits: indexed fields of Splunk are texts.
fn whole_number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        value => value.as_u64(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const ID: &str = "0190d1f0-7b7e-7c3a-8a51-0123456789ab";

    #[test]
    fn ids_are_found_in_every_form() {
        for line in [
            ID.to_owned(),
            format!(r#"{{"id":"{ID}","seq":7}}"#),
            format!(r#"{{"msg":"audit_log","fields":{{"ID":"{ID}"}}}}"#),
            format!(r#"{{"message":{{"fields":{{"audit_log":{{"id":"{ID}"}}}}}}}}"#),
            format!(r#"{{"metadata":{{"uid":"{ID}"}}}}"#),
            format!(r#"{{"event":{{"id":"{ID}"}},"fields":{{"annals_seq":7}}}}"#),
            format!(r#"{{"event":"text","fields":{{"annals_id":"{ID}"}}}}"#),
            format!(r#"{{"preview":false,"result":{{"annals_id":"{ID}"}}}}"#),
            format!("\u{feff}{{\"id\":\"{ID}\"}}"),
            format!(r#"2026-11-22T00:00:00Z host annals: {{"id":"{ID}"}}"#),
            format!("\"{ID}\",\"7\""),
            format!(r#"<109>1 2026-11-22T00:00:00Z h annals - - [annals@32473 id="{ID}" seq="7"] {{}}"#),
        ] {
            assert_eq!(id_and_seq(&line).0, Some(EventId::new(ID.parse().unwrap())), "{line}");
        }
        for line in ["nothing", "{}", r#"{"id":"7"}"#, "{", "id=1", "[annals@32473 id=\"ä"] {
            assert_eq!(id_and_seq(line).0, None, "{line}");
        }
    }

    #[test]
    fn repetitions_and_other_lines_are_counted() {
        let mut reading = Reading::default();
        let text = format!("{ID}\n\n{ID}\nhello\n{{\"id\":\"{ID}\"}}");
        reading.read(&mut text.as_bytes()).unwrap();
        assert_eq!((reading.ids.len(), reading.repeats, reading.unread), (1, 2, 1));
    }

    #[test]
    fn a_seq_may_be_a_text_of_digits() {
        for (seq, expected) in [
            ("7", Some(7)),
            ("\"7\"", Some(7)),
            ("\"+7\"", None),
            ("\"\"", None),
            ("-7", None),
            ("7.5", None),
        ] {
            for line in [
                format!(r#"{{"event":"text","fields":{{"annals_id":"{ID}","annals_seq":{seq}}}}}"#),
                format!(r#"{{"annals_id":"{ID}","annals_seq":{seq}}}"#),
            ] {
                assert_eq!(id_and_seq(&line).1, expected, "{line}");
            }
        }
    }

    #[test]
    fn what_a_writer_keeps_for_itself_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("manifests")).unwrap();
        for name in ["a.ndjson", "b.ndjson.unfinished", "audit.log.lock", "manifests/1-2.txt"] {
            std::fs::write(dir.path().join(name), ID).unwrap();
        }
        assert_eq!(files_in(dir.path()).unwrap(), [dir.path().join("a.ndjson")]);
    }

    #[test]
    fn a_gzip_file_that_is_cut_off_is_named() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(format!("{ID}\n").as_bytes()).unwrap();
        let whole = encoder.finish().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ndjson.gz");
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error =
                format!("{:#}", read_received(Some(dir.path()), None, None, true).map(drop).unwrap_err());
            assert!(error.contains("a.ndjson.gz") && error.contains("is cut off"), "{length}: {error}");
        }
        std::fs::write(&path, [whole.clone(), whole].concat()).unwrap();
        let (received, _) = read_received(Some(dir.path()), None, None, true).unwrap();
        assert!(matches!(received, Received::Ids { ids, repeats: 1 } if ids.len() == 1));
    }
}
