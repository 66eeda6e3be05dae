//! HTTP towards receivers: one connection for each sink, to checked addresses only, with limits on everything.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};
use tokio::runtime::Runtime;

use crate::address::{CheckedResolver, Reach};
use crate::reason::{Secrets, cause, later};
use crate::setting::{Setting, SettingFault, SettingKind, Settings};
use crate::{SendError, Surroundings, clock, tls};

/// Bytes of an answer that are read. Receivers answer in some hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long connecting may take, names included.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long an idle connection is kept. Many receivers close theirs after a minute.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// The longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Characters of an answer that a reason shows.
const SHOWN_CHARACTERS_MAX: usize = 200;

/// Whether bodies are compressed.
pub(crate) const GZIP: Setting =
    Setting::new("gzip", "Compress", "Whether requests are compressed by gzip.", SettingKind::Switch);
/// Limit of a request.
pub(crate) const TIMEOUT: Setting = Setting::new(
    "timeout",
    "Time limit",
    "How many seconds a request may take.",
    SettingKind::Number { min: 1, max: 600 },
)
.or("30");
/// Headers of every request.
pub(crate) const HEADERS: Setting = Setting::new(
    "headers",
    "Headers",
    "More headers of each request, one a line, such as `Authorization: Bearer TOKEN`.",
    SettingKind::SecretText,
);

/// A receiver by HTTP. It blocks, on a runtime of its own, so call it from no async code.
#[derive(Debug)]
pub(crate) struct Http {
    /// Always there; taken out only to be shut down.
    runtime: Option<Runtime>,
    client: reqwest::Client,
    headers: HeaderMap,
    is_gzip: bool,
    secrets: Secrets,
}

/// What a receiver answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// How long it asked to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Http {
    /// Makes a client for addresses that begin like `url`. `secrets` are texts that no reason may show.
    pub(crate) fn open(
        settings: &Settings,
        surroundings: &Surroundings,
        url: &Url,
        secrets: &[&str],
    ) -> Result<Http, SettingFault> {
        let client = client(settings, surroundings, url)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| SettingFault::new("url", format!("no connection can be made: {error}")))?;
        let mut hidden = Secrets::default();
        secrets.iter().for_each(|secret| hidden.add(secret));
        // Some receivers are addressed by a key in the query.
        url.query_pairs().for_each(|(_, value)| hidden.add(&value));
        url.query().into_iter().for_each(|query| hidden.add(query));
        let headers = read_headers(settings.get(HEADERS.name), &mut hidden)?;
        let is_gzip = settings.is_on(GZIP.name);
        Ok(Http { runtime: Some(runtime), client, headers, is_gzip, secrets: hidden })
    }

    /// Posts a body and reads the answer, whatever its status.
    ///
    /// # Errors
    /// [`SendError::Later`] if the receiver was not reached, or its answer broke off.
    pub(crate) fn post(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Vec<u8>,
    ) -> Result<Answer, SendError> {
        let mut all = self.headers.clone();
        for (name, value) in headers {
            all.insert(name.clone(), value.clone());
        }
        let body = if self.is_gzip {
            all.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            compress(&body)?
        } else {
            body
        };
        let request = self.client.post(url.clone()).headers(all).body(body);
        let answered = self.runtime().block_on(async {
            // Nobody drives the connection between two calls: this lets it see that the receiver closed it meanwhile.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            let mut response = request.send().await?;
            let status = response.status();
            let retry_after = response.headers().get(header::RETRY_AFTER).and_then(retry_after);
            let mut body = Vec::new();
            while body.len() < ANSWER_BYTES_MAX
                && let Some(chunk) = response.chunk().await?
            {
                body.extend_from_slice(&chunk);
            }
            body.truncate(ANSWER_BYTES_MAX);
            Ok(Answer { status, body, retry_after })
        });
        answered.map_err(|error: reqwest::Error| {
            let what = match error.is_timeout() {
                true => "it did not answer in time".to_owned(),
                // The error itself names the whole address, which may hold a secret; its causes do not.
                false => cause(&error.without_url()),
            };
            later(self.secrets.one_line(&format!("cannot reach {}: {what}", shown(url))))
        })
    }

    /// Waits, without another request.
    pub(crate) fn pause(&self, time: Duration) {
        // Made within the block: a sleep is tied to the runtime that runs when it is made.
        self.runtime().block_on(async { tokio::time::sleep(time).await });
    }

    /// What a receiver answered, in words: its status and `said`, or how its body begins.
    pub(crate) fn words(&self, url: &Url, answer: &Answer, said: Option<&str>) -> String {
        let body = String::from_utf8_lossy(&answer.body);
        // Secrets go before the text is cut: half of one at the end would not be known again.
        let said = self.secrets.one_line(said.unwrap_or(&body));
        let said: String = said.chars().take(SHOWN_CHARACTERS_MAX).collect();
        let status = answer.status.as_u16();
        match said.is_empty() {
            true => format!("{} answered {status}", shown(url)),
            false => format!("{} answered {status}: {said}", shown(url)),
        }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("taken only by drop")
    }
}

/// Dropping a runtime waits for it, which panics on a thread that runs async code.
impl Drop for Http {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Makes the client itself: no proxies, no redirects, checked addresses only.
pub(crate) fn client(
    settings: &Settings,
    surroundings: &Surroundings,
    url: &Url,
) -> Result<reqwest::Client, SettingFault> {
    let reach = Reach::of(surroundings);
    let is_plain = url.scheme() == "http";
    let timeout = Duration::from_secs(settings.number(TIMEOUT.name).clamp(1, 600));
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config(settings)?)
        .dns_resolver(CheckedResolver { reach, is_plain })
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .http1_only()
        .https_only(!is_plain)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(IDLE_MAX)
        .connect_timeout(CONNECT_MAX.min(timeout))
        .timeout(timeout)
        .user_agent(format!("annals/{}", surroundings.version))
        .build()
        .map_err(|error| SettingFault::new("url", format!("no client can be made: {}", cause(&error))))
}

/// Reads and checks an address: `https://`, or `http://` within private networks that are allowed. It is shown and stored as it is, so it has no query,
/// where secrets often stand; `elsewhere` says where those belong.
pub(crate) fn read_url(
    name: &str,
    text: &str,
    elsewhere: &str,
    surroundings: &Surroundings,
) -> Result<Url, SettingFault> {
    let fault = |what: String| SettingFault::new(name, what);
    let expected = "an address such as `https://receiver.example.com/path` is expected";
    // The text itself is not shown: it may hold what should have been a secret.
    let url = Url::parse(text).map_err(|error| fault(format!("{expected}: {error}")))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err(fault(expected.to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("a name and password in an address would be shown; use a header".to_owned()));
    }
    if url.fragment().is_some() {
        return Err(fault(format!("{expected}, without `#`")));
    }
    if url.query().is_some() {
        return Err(fault(format!("no query is expected; {elsewhere}")));
    }
    let reach = Reach::of(surroundings);
    let is_plain = url.scheme() == "http";
    if is_plain && !reach.allows_plain() {
        let what = "`https://` is expected; `http://` is for private networks that the operator allowed";
        return Err(fault(what.to_owned()));
    }
    let literal = url.host_str().and_then(|host| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        bare.parse::<IpAddr>().ok()
    });
    // A name is checked when it is resolved; an address never is.
    match literal {
        Some(address) if is_plain => reach.check_plain(address).map_err(fault)?,
        Some(address) => reach.check(address).map_err(fault)?,
        None => {}
    }
    Ok(url)
}

/// Adds to the path of an address, unless it ends so already.
pub(crate) fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    let begin = url.path().trim_end_matches('/').to_owned();
    url.set_path(&if begin.ends_with(path) { begin } else { format!("{begin}{path}") });
    url
}

/// An address without its query, which may hold a secret.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// Makes a header whose value is not shown.
pub(crate) fn secret_header(name: &str, value: &str) -> Result<HeaderValue, SettingFault> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| SettingFault::new(name, "holds characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Headers that say how the body is sent; these are ours to set.
const OWN_HEADERS: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
];

fn read_headers(text: &str, secrets: &mut Secrets) -> Result<HeaderMap, SettingFault> {
    let mut headers = HeaderMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fault = |what: &str| SettingFault::new(HEADERS.name, format!("line {}: {what}", index + 1));
        let (name, value) = line.split_once(':').ok_or_else(|| fault("`Name: value` is expected"))?;
        let name: HeaderName = name.trim().parse().map_err(|_| fault("no name of a header"))?;
        if OWN_HEADERS.contains(&name) {
            return Err(fault(&format!("`{name}` cannot be set")));
        }
        secrets.add(value.trim());
        headers.append(name, secret_header(HEADERS.name, value.trim())?);
    }
    Ok(headers)
}

/// Reads `Retry-After`: seconds or a date.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let then = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            u64::try_from(then.as_second() - clock::now().as_second()).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

fn compress(body: &[u8]) -> Result<Vec<u8>, SendError> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.map_err(|error| later(format!("cannot compress: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(networks: &[&str]) -> Surroundings {
        Surroundings {
            stream: "siem".to_owned(),
            origin: "log.example.com".to_owned(),
            version: "1.0.0",
            format: "native",
            is_json: true,
            private_networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
            any_network: false,
        }
    }

    #[test]
    fn an_address_is_checked_before_anything_is_sent() {
        let read = |text: &str, networks: &[&str]| {
            read_url("url", text, "put secrets into `headers`", &surroundings(networks))
        };
        for (text, networks, expected) in [
            ("https://receiver.example.com/a", &[][..], None),
            ("https://receiver.example.com/a?key=password@", &[], Some("no query is expected; put secrets")),
            ("https://receiver.example.com/?", &[], Some("no query is expected")),
            ("https://1.1.1.1/", &[], None),
            ("http://receiver.example.com/", &[], Some("`https://` is expected")),
            ("http://receiver.example.com/", &["10.0.0.0/8"], None),
            ("http://1.1.1.1/", &["10.0.0.0/8"], Some("by TLS only")),
            ("http://10.1.1.1/", &["10.0.0.0/8"], None),
            ("https://10.1.1.1/", &[], Some("10.1.1.1 is a private address")),
            ("https://169.254.169.254/latest", &[], Some("link-local")),
            ("https://2130706433/", &[], Some("127.0.0.1 is this machine")),
            ("https://0x7f.1/", &[], Some("127.0.0.1 is this machine")),
            ("https://[::1]/", &[], Some("this machine")),
            ("https://[::ffff:10.0.0.1]/", &[], Some("private")),
            ("https://user:password@receiver.example.com/", &[], Some("use a header")),
            ("https://receiver.example.com/#a", &[], Some("without `#`")),
            ("ftp://receiver.example.com/", &[], Some("is expected")),
            ("receiver.example.com", &[], Some("is expected")),
        ] {
            match (read(text, networks), expected) {
                (Ok(_), None) => {}
                (Err(fault), Some(expected)) => {
                    assert!(fault.what.contains(expected), "{text}: {fault}");
                    assert!(!fault.what.contains("password@"), "{fault}");
                }
                (result, _) => panic!("{text}: {result:?}"),
            }
        }
    }

    #[test]
    fn a_path_is_added_once() {
        for (text, expected) in [
            ("https://a.example", "https://a.example/v1/logs"),
            ("https://a.example/", "https://a.example/v1/logs"),
            ("https://a.example/otlp/", "https://a.example/otlp/v1/logs"),
            ("https://a.example/v1/logs?x=1", "https://a.example/v1/logs?x=1"),
        ] {
            assert_eq!(with_path(&Url::parse(text).unwrap(), "/v1/logs").as_str(), expected);
        }
        assert_eq!(shown(&Url::parse("https://a.example/x?token=abc").unwrap()), "https://a.example/x");
    }

    #[test]
    fn headers_are_read_line_by_line() {
        let mut secrets = Secrets::default();
        let headers =
            read_headers("Authorization: Bearer abcdefgh\r\n\nX-Team: audit\n", &mut secrets).unwrap();
        assert_eq!(headers.len(), 2);
        assert!(!format!("{headers:?}").contains("abcdefgh"), "{headers:?}");
        for text in ["Authorization", "a b: c", "Host: other", "A: \u{1}"] {
            assert!(read_headers(text, &mut secrets).is_err(), "{text}");
        }
    }

    #[test]
    fn a_receiver_may_ask_to_wait_for_an_hour() {
        let read = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("86400"), Some(RETRY_AFTER_MAX));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(read("Tue, 31 Dec 2999 23:59:59 GMT"), Some(RETRY_AFTER_MAX));
        assert_eq!((read("soon"), read("-1")), (None, None));
    }
}
