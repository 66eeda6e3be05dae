//! Splunk's HTTP Event Collector.
//!
//! Source: Splunk, "Format events for HTTP Event Collector", "About HTTP Event Collector Indexer Acknowledgment" and "Troubleshoot HTTP Event
//! Collector", which lists the codes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use reqwest::header::{self, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use uuid::Uuid;

use crate::http::{self, Answer, Http};
use crate::kind::{Kind, Surroundings};
use crate::reason::{later, later_after, refused};
use crate::setting::{Setting, SettingFault, SettingKind, Settings};
use crate::{BatchLimits, Outgoing, SendError, Sink, Which, tls};

const URL: &str = "url";
const TOKEN: &str = "token";
const CHANNEL: &str = "channel";
const ACKNOWLEDGE: &str = "acknowledge";
const ACKNOWLEDGE_SECONDS: &str = "acknowledge_seconds";
const INDEX: &str = "index";
const SOURCETYPE: &str = "sourcetype";
const SOURCE: &str = "source";
const HOST: &str = "host";

/// Splunk advises 1 MB a request; its own limit is larger.
const LIMITS: BatchLimits = BatchLimits { events: 1_000, bytes: 1024 * 1024 };
/// The first pause between two questions for acknowledgements, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Acknowledgements in one question. Splunk keeps a million for each channel.
const ACKS_AT_ONCE: usize = 1_000;
/// What helps where the token gives no acknowledgements.
const NO_ACKS: &str = "its token has no indexer acknowledgement: switch that on for the token in Splunk, or set acknowledge=false, where an event counts as received before it is written to disk";

pub(crate) const KIND: Kind = Kind {
    name: "splunk",
    label: "Splunk",
    about: "Sends events to Splunk's HTTP Event Collector, and waits until the indexer acknowledges that they are stored.",
    settings: &[
        Setting::new(
            URL,
            "Address",
            "Address of the collector, such as `https://splunk.example.com:8088`.",
            SettingKind::Line,
        )
        .required(),
        Setting::new(
            TOKEN,
            "Token",
            "Token of the collector, such as `12345678-1234-1234-1234-1234567890AB`.",
            SettingKind::Secret,
        )
        .required(),
        // On: without it Splunk answers before events are on disk, and an audit log should not lose what a crash of its receiver takes.
        Setting::new(
            ACKNOWLEDGE,
            "Acknowledgement",
            "Whether to wait until events are indexed, which the token must allow.",
            SettingKind::Switch,
        )
        .or("true"),
        Setting::new(
            ACKNOWLEDGE_SECONDS,
            "Time limit of acknowledgement",
            "How many seconds to wait for it before events are sent again.",
            SettingKind::Number { min: 1, max: 3_600 },
        )
        .or("120"),
        Setting::new(
            CHANNEL,
            "Channel",
            "Channel of the requests, a UUID such as `0d5e5b5c-8a3c-4c3e-9c86-2f8a0e1c7b11`; one is made up where none is given.",
            SettingKind::Line,
        ),
        Setting::new(
            INDEX,
            "Index",
            "Index to write to, such as `audit`; the token's own where none is given.",
            SettingKind::Line,
        ),
        Setting::new(
            SOURCETYPE,
            "Source type",
            "Source type of the events, such as `annals:audit`.",
            SettingKind::Line,
        )
        .or("annals:audit"),
        Setting::new(SOURCE, "Source", "Source of the events, such as `annals`.", SettingKind::Line)
            .or("annals"),
        Setting::new(
            HOST,
            "Host",
            "Host of the events, such as `audit.example.com`; the log's name where none is given.",
            SettingKind::Line,
        ),
        http::GZIP.or("false"),
        http::TIMEOUT,
        tls::CA,
        tls::CLIENT_CERT,
        tls::CLIENT_KEY,
    ],
    is_local: false,
    is_single: false,
    open,
};

fn open(settings: &Settings, surroundings: &Surroundings) -> Result<Box<dyn Sink>, SettingFault> {
    let base = base(&http::read_url(URL, settings.get(URL), "put secrets into `token`", surroundings)?);
    let channel = match settings.get(CHANNEL) {
        "" => Uuid::new_v4(),
        given => Uuid::parse_str(given).map_err(|_| SettingFault::new(CHANNEL, "a UUID is expected"))?,
    };
    let channel = channel.hyphenated().to_string();
    let token = settings.get(TOKEN);
    let channel_header = HeaderValue::from_str(&channel).expect("a UUID is plain text");
    let headers = vec![
        (header::AUTHORIZATION, http::secret_header(TOKEN, &format!("Splunk {token}"))?),
        (HeaderName::from_static("x-splunk-request-channel"), channel_header),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    let events = http::with_path(&base, "/services/collector/event");
    let mut acks = http::with_path(&base, "/services/collector/ack");
    acks.query_pairs_mut().append_pair("channel", &channel);
    let host = match settings.get(HOST) {
        "" => surroundings.origin.as_str(),
        given => given,
    };
    Ok(Box::new(Splunk {
        http: Http::open(settings, surroundings, &base, &[token])?,
        events,
        acks,
        headers,
        metadata: metadata(host, settings),
        is_json: surroundings.is_json,
        acknowledge: settings.is_on(ACKNOWLEDGE),
        acknowledge_max: Duration::from_secs(settings.number(ACKNOWLEDGE_SECONDS)),
        awaited: Vec::new(),
    }))
}

/// What an address begins with, if it was given up to the collector or to its events.
fn base(url: &Url) -> Url {
    let mut url = url.clone();
    let path = url.path().trim_end_matches('/');
    let whole = path.strip_suffix("/services/collector/event");
    let path = whole.or_else(|| path.strip_suffix("/services/collector")).unwrap_or(path).to_owned();
    url.set_path(&path);
    url
}

#[derive(Debug)]
struct Splunk {
    http: Http,
    events: Url,
    acks: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Members that every event has, as JSON, each with a comma after it.
    metadata: String,
    is_json: bool,
    acknowledge: bool,
    acknowledge_max: Duration,
    /// Acknowledgements that were promised since the last settling.
    awaited: Vec<u64>,
}

/// What the collector answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reply {
    text: String,
    code: Option<u64>,
    #[serde(rename = "invalid-event-number")]
    invalid_event: Option<usize>,
    #[serde(rename = "ackId")]
    ack: Option<u64>,
    acks: BTreeMap<String, bool>,
}

impl Sink for Splunk {
    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn acknowledges_each(&self) -> bool {
        !self.acknowledge
    }

    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendError> {
        let sent = self.post(batch);
        if matches!(sent, Err(SendError::Later { .. })) {
            // Everything since the last settling comes again, with new promises.
            self.awaited.clear();
        }
        self.awaited.extend(sent?);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), SendError> {
        let awaited = std::mem::take(&mut self.awaited);
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut missing = awaited;
        while !missing.is_empty() {
            let asked = &missing[..missing.len().min(ACKS_AT_ONCE)];
            let given = self.ask(asked)?;
            missing.retain(|ack| !given.contains(ack));
            if missing.is_empty() {
                break;
            }
            let left = self.acknowledge_max.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let seconds = self.acknowledge_max.as_secs();
                return Err(later(format!(
                    "{} did not acknowledge {} requests within {seconds} s",
                    http::shown(&self.acks),
                    missing.len()
                )));
            }
            // What was acknowledged makes room for the next question at once.
            if given.is_empty() {
                self.http.pause(pause.min(left));
                pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            }
        }
        Ok(())
    }
}

impl Splunk {
    /// Sends a batch and returns the promise of its acknowledgement.
    fn post(&self, batch: &[Outgoing]) -> Result<Option<u64>, SendError> {
        let mut body = String::with_capacity(batch.iter().map(|event| event.line.len() + 300).sum());
        for event in batch {
            self.write_event(&mut body, event);
        }
        let answer = self.http.post(&self.events, &self.headers, body.into_bytes())?;
        let reply: Reply = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !answer.status.is_success() {
            return Err(self.refusal(&self.events, &answer, &reply, batch.len()));
        }
        match (reply.code, reply.ack) {
            (Some(0), ack) if !self.acknowledge || ack.is_some() => Ok(ack.filter(|_| self.acknowledge)),
            (Some(0), _) => Err(later(format!("{}: {NO_ACKS}", http::shown(&self.events)))),
            _ => Err(later(format!(
                "{}: that is no HTTP Event Collector",
                self.words(&self.events, &answer, &reply)
            ))),
        }
    }

    /// Asks which of some acknowledgements are given.
    fn ask(&self, acks: &[u64]) -> Result<Vec<u64>, SendError> {
        let body = serde_json::json!({ "acks": acks }).to_string();
        let answer = self.http.post(&self.acks, &self.headers, body.into_bytes())?;
        let reply: Reply = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !answer.status.is_success() {
            return match self.refusal(&self.acks, &answer, &reply, 0) {
                // No question about acknowledgements says anything about events.
                SendError::Refused { reason, .. } => Err(later(reason)),
                error => Err(error),
            };
        }
        let given = reply.acks.iter().filter(|(_, is_given)| **is_given);
        Ok(given.filter_map(|(ack, _)| ack.parse().ok()).collect())
    }

    /// Sorts a refusal by whether the events are at fault.
    fn refusal(&self, url: &Url, answer: &Answer, reply: &Reply, count: usize) -> SendError {
        let words = self.words(url, answer, reply);
        if answer.status == StatusCode::PAYLOAD_TOO_LARGE {
            return refused(words, Which::All);
        }
        match reply.code {
            // Invalid data format; no field `event`; a blank one; faulty indexed fields. Splunk may have taken the events before the one that it
            // names: they come again, with the same `annals_id`.
            Some(6 | 12 | 13 | 15) => {
                let one = reply.invalid_event.filter(|index| *index < count);
                refused(words, one.map_or(Which::All, Which::One))
            }
            code => {
                let hint = match code {
                    Some(1) => "; enable the token in Splunk",
                    Some(2..=4) => "; check the token",
                    Some(7) => "; check `index`, and which indexes the token may write to",
                    Some(10 | 11) => "; check `channel`",
                    Some(14) => NO_ACKS,
                    _ => "",
                };
                let separator = if code == Some(14) { ": " } else { "" };
                later_after(format!("{words}{separator}{hint}"), answer.retry_after)
            }
        }
    }

    fn words(&self, url: &Url, answer: &Answer, reply: &Reply) -> String {
        let said = reply.code.map(|code| format!("{} (code {code})", reply.text));
        self.http.words(url, answer, said.as_deref())
    }

    fn write_event(&self, body: &mut String, event: &Outgoing) {
        let (sign, micros) = (if event.time_us < 0 { "-" } else { "" }, event.time_us.unsigned_abs());
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        // Writing to a text cannot fail.
        let _ = write!(body, "{{\"time\":{sign}{seconds}.{micros:06},{}\"event\":", self.metadata);
        if self.is_json {
            body.push_str(&event.line);
        } else {
            body.push_str(&json_text(&event.line));
        }
        let id = json_text(&event.id);
        // Indexed fields are texts to Splunk; a number would do as well, but not everywhere.
        let _ = writeln!(body, ",\"fields\":{{\"annals_id\":{id},\"annals_seq\":\"{}\"}}}}", event.seq);
    }
}

fn metadata(host: &str, settings: &Settings) -> String {
    let members = [
        ("host", host),
        ("source", settings.get(SOURCE)),
        ("sourcetype", settings.get(SOURCETYPE)),
        ("index", settings.get(INDEX)),
    ];
    let given = members.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| format!("\"{name}\":{},", json_text(value))).collect()
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_given_up_to_any_part_of_its_path() {
        for text in [
            "https://a.example:8088",
            "https://a.example:8088/",
            "https://a.example:8088/services/collector",
            "https://a.example:8088/services/collector/event",
        ] {
            let base = base(&Url::parse(text).unwrap());
            let events = http::with_path(&base, "/services/collector/event");
            assert_eq!(events.as_str(), "https://a.example:8088/services/collector/event");
        }
    }
}
