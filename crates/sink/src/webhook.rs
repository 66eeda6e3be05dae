//! Webhooks, signed as Standard Webhooks.
//!
//! Source: <https://www.standardwebhooks.com>, version 1.0 of the specification.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Url;
use reqwest::header::{self, HeaderName, HeaderValue};
use ring::hmac;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::http::{self, Http};
use crate::kind::{Kind, Surroundings};
use crate::reason::{later_after, refused};
use crate::setting::{Setting, SettingFault, SettingKind, Settings};
use crate::{BatchLimits, Outgoing, SendError, Sink, Which, clock, tls};

const URL: &str = "url";
const QUERY: &str = "query";
const SECRET: &str = "secret";
const BATCH: &str = "batch";

/// What the text of a secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a secret, by the specification.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Secrets that sign at once: two while one is changed for another, and some more for slow ones.
const SECRETS_MAX: usize = 5;
/// Bytes of a request; many receivers take no more.
const BATCH_BYTES: usize = 1024 * 1024;

pub(crate) const KIND: Kind = Kind {
    name: "webhook",
    label: "Webhook",
    about: "Posts events to an address, signed as Standard Webhooks; an answer of 2xx acknowledges them.",
    settings: &[
        Setting::new(
            URL,
            "Address",
            "Address to post to, such as `https://receiver.example.com/annals`.",
            SettingKind::Line,
        )
        .required(),
        Setting::new(
            QUERY,
            "Query",
            "What follows `?` in the address, if the receiver is addressed by a key there.",
            SettingKind::Secret,
        ),
        Setting::new(
            SECRET,
            "Signing secret",
            "Secrets that sign each request, one a line and the newest first, such as `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`; command and page make one where none is given.",
            SettingKind::SecretText,
        )
        .required(),
        Setting::new(
            BATCH,
            "Events in a request",
            "How many events one request may hold: one JSON object for `1`, a line for each for more, such as `100`.",
            SettingKind::Number { min: 1, max: 1_000 },
        )
        .or("1"),
        http::HEADERS,
        // A receiver verifies what its framework hands to it, and that is the body as it was before it was compressed.
        Setting {
            about: "Whether bodies are compressed by gzip after they were signed.",
            ..http::GZIP.or("false")
        },
        http::TIMEOUT,
        tls::CA,
        tls::CLIENT_CERT,
        tls::CLIENT_KEY,
    ],
    is_local: false,
    is_single: false,
    open,
};

/// Makes the text of a new signing secret of random bytes.
///
/// ```
/// let secret = annals_sink::new_webhook_secret([7; 24]);
/// assert_eq!(secret, "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH");
/// ```
pub fn new_webhook_secret(random: [u8; 24]) -> String {
    format!("{SECRET_PREFIX}{}", BASE64.encode(random))
}

fn open(settings: &Settings, surroundings: &Surroundings) -> Result<Box<dyn Sink>, SettingFault> {
    let elsewhere = "what follows `?` is the secret setting `query`";
    let mut url = http::read_url(URL, settings.get(URL), elsewhere, surroundings)?;
    let query = settings.get(QUERY);
    let query = query.strip_prefix('?').unwrap_or(query);
    url.set_query(Some(query).filter(|query| !query.is_empty()));
    let texts: Vec<&str> =
        settings.get(SECRET).lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let hidden = [&texts[..], &[query]].concat();
    Ok(Box::new(Webhook {
        http: Http::open(settings, surroundings, &url, &hidden)?,
        url: SecretUrl(url),
        keys: read_secrets(&texts)?,
        events: usize::try_from(settings.number(BATCH)).unwrap_or(1).max(1),
        is_json: surroundings.is_json,
    }))
}

fn read_secrets(texts: &[&str]) -> Result<Vec<hmac::Key>, SettingFault> {
    let fault = |what: String| SettingFault::new(SECRET, what);
    if texts.is_empty() || texts.len() > SECRETS_MAX {
        return Err(fault(format!("one to {SECRETS_MAX} secrets are expected, one a line")));
    }
    let read = |(index, text): (usize, &&str)| {
        let bytes = text.strip_prefix(SECRET_PREFIX).and_then(|text| BASE64.decode(text).ok());
        let bytes = bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len()));
        let what =
            || fault(format!("line {}: `whsec_` and 24 to 64 bytes in base64 are expected", index + 1));
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes.ok_or_else(what)?))
    };
    texts.iter().enumerate().map(read).collect()
}

/// An address whose query is a secret. Its `Debug` shows what is before that.
struct SecretUrl(Url);

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&http::shown(&self.0))
    }
}

#[derive(Debug)]
struct Webhook {
    http: Http,
    url: SecretUrl,
    /// All sign; the receiver needs to know one of them.
    keys: Vec<hmac::Key>,
    events: usize,
    is_json: bool,
}

impl Sink for Webhook {
    fn limits(&self) -> BatchLimits {
        BatchLimits { events: self.events, bytes: BATCH_BYTES }
    }

    fn acknowledges_each(&self) -> bool {
        true
    }

    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendError> {
        let is_single = self.events == 1;
        // Whoever may hand over one event at a time gets one object a request, whatever the caller makes of the limit.
        let size = if is_single { 1 } else { batch.len().max(1) };
        for (index, part) in batch.chunks(size).enumerate() {
            self.post(part).map_err(|error| match error {
                SendError::Refused { reason, .. } if size < batch.len() => {
                    SendError::Refused { reason, which: Which::One(index) }
                }
                error => error,
            })?;
        }
        Ok(())
    }
}

impl Webhook {
    fn post(&self, batch: &[Outgoing]) -> Result<(), SendError> {
        if let [] | [_] = batch {
            let Some(event) = batch.first() else { return Ok(()) };
            // A receiver that takes many a request gets its line end also where there is only one.
            return match self.events {
                1 => self.post_body(&event.id, self.single_type(), event.line.clone()),
                _ => self.post_body(&event.id, self.many_type(), format!("{}\n", event.line)),
            };
        }
        let body: String = batch.iter().flat_map(|event| [event.line.as_str(), "\n"]).collect();
        self.post_body(&batch_id(batch), self.many_type(), body)
    }

    fn post_body(&self, id: &str, content_type: &'static str, body: String) -> Result<(), SendError> {
        let timestamp = clock::now().as_second();
        let signature = signature(&self.keys, id, timestamp, &body);
        let text = |value: &str| {
            HeaderValue::from_str(value).map_err(|_| refused("an id that no header can carry", Which::All))
        };
        let headers = [
            (HeaderName::from_static("webhook-id"), text(id)?),
            (HeaderName::from_static("webhook-timestamp"), HeaderValue::from(timestamp)),
            (HeaderName::from_static("webhook-signature"), text(&signature)?),
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        ];
        let answer = self.http.post(&self.url.0, &headers, body.into_bytes())?;
        if answer.status.is_success() {
            return Ok(());
        }
        let words = self.http.words(&self.url.0, &answer, None);
        let hint = match answer.status.as_u16() {
            400 | 413 | 422 => return Err(refused(words, Which::All)),
            300..=399 => "; redirects are not followed: give the address that it leads to",
            401 | 403 => "; check `secret`, `headers` and `query`",
            404 | 410 => "; check `url`",
            _ => "",
        };
        Err(later_after(format!("{words}{hint}"), answer.retry_after))
    }

    fn single_type(&self) -> &'static str {
        if self.is_json { "application/json" } else { "text/plain; charset=utf-8" }
    }

    fn many_type(&self) -> &'static str {
        if self.is_json { "application/x-ndjson" } else { "text/plain; charset=utf-8" }
    }
}

/// The id of a batch, by all of its events: the same batch sent again has the same one, so that a receiver knows it, and no other batch has it.
fn batch_id(batch: &[Outgoing]) -> String {
    let mut hash = Sha256::new_with_prefix("annals webhook batch\n");
    for event in batch {
        hash.update(&event.id);
        hash.update("\n");
    }
    let hash = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    // Version 8 of RFC 9562: what is in it is the maker's choice.
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .hyphenated()
        .encode_lower(&mut Uuid::encode_buffer())
        .to_owned()
}

fn signature(keys: &[hmac::Key], id: &str, timestamp: i64, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let signatures =
        keys.iter().map(|key| format!("v1,{}", BASE64.encode(hmac::sign(key, signed.as_bytes()))));
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn signs_as_the_specification_does() {
        let keys = read_secrets(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).unwrap();
        let body = r#"{"test": 2432232314}"#;
        assert_eq!(
            signature(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn secrets_are_checked_and_not_shown() {
        assert_eq!(
            read_secrets(&[&new_webhook_secret([1; 24]), &new_webhook_secret([2; 24])]).unwrap().len(),
            2
        );
        for text in ["whsec_abc", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjU"] {
            let fault = read_secrets(&[text]).unwrap_err();
            assert!(!fault.to_string().contains("MfKQ"), "{fault}");
        }
        assert!(read_secrets(&[]).is_err());
    }
}
