//! Events and sinks of tests.

use std::time::{Duration, Instant};

use annals_sink::{Kind, Outcome, Outgoing, SendError, SettingFault, Settings, Sink, Surroundings, Which};

/// A server whose streams may reach this machine.
pub(crate) fn surroundings() -> Surroundings {
    Surroundings {
        stream: "siem".to_owned(),
        origin: "log.example.com".to_owned(),
        version: "1.2.3",
        format: "native",
        is_json: true,
        private_networks: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        any_network: false,
    }
}

pub(crate) fn settings(values: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in values {
        settings.set(name, value);
    }
    settings
}

pub(crate) fn try_open(
    kind: &str,
    values: &[(&str, &str)],
    at: &Surroundings,
) -> Result<Box<dyn Sink>, SettingFault> {
    let kind = Kind::from_name(kind).unwrap();
    kind.open(&kind.check(&settings(values)).unwrap(), at)
}

pub(crate) fn open(kind: &str, values: &[(&str, &str)]) -> Box<dyn Sink> {
    try_open(kind, values, &surroundings()).unwrap()
}

/// An event whose line holds its id, its seq and a text.
pub(crate) fn event(seq: u64, text: &str) -> Outgoing {
    let id = format!("0190a1b2-0000-7000-8000-{seq:012}");
    let line =
        serde_json::json!({ "id": id, "seq": seq, "text": text, "none": null, "big": i64::MAX }).to_string();
    Outgoing {
        seq,
        id,
        time_us: 1_763_000_000_123_456 + i64::try_from(seq).unwrap(),
        received_us: 1_763_000_001_000_000,
        action: "login".to_owned(),
        resource_type: "user".to_owned(),
        outcome: match seq % 3 {
            0 => Outcome::Success,
            1 => Outcome::Denied,
            _ => Outcome::Failure,
        },
        line,
    }
}

/// Texts that receivers stumble over, the last of 150 kB.
pub(crate) fn odd_texts() -> Vec<String> {
    let short = [
        "plain",
        "\"quoted\" \\ back",
        "a]b[c",
        "line\nbreak\r\n\ttab",
        "é 😀 \u{202e} \u{feff}",
        "\u{0}\u{7f}",
        "%s <13>1 -",
    ];
    short.into_iter().map(str::to_owned).chain(["x😀".repeat(30_000)]).collect()
}

pub(crate) fn odd_events(begin: u64) -> Vec<Outgoing> {
    odd_texts().iter().zip(begin..).map(|(text, seq)| event(seq, text)).collect()
}

pub(crate) fn events(seqs: std::ops::Range<u64>) -> Vec<Outgoing> {
    seqs.map(|seq| event(seq, "plain")).collect()
}

/// What a receiver should have got.
pub(crate) fn named(events: &[Outgoing]) -> Vec<(String, u64)> {
    events.iter().map(|event| (event.id.clone(), event.seq)).collect()
}

/// Sends in batches of a size and settles.
pub(crate) fn deliver(sink: &mut Box<dyn Sink>, events: &[Outgoing], size: usize) -> Result<(), SendError> {
    for batch in events.chunks(size) {
        sink.send(batch)?;
    }
    sink.settle()
}

pub(crate) fn later(result: Result<(), SendError>) -> (String, Option<Duration>) {
    match result {
        Err(SendError::Later { reason, after }) => {
            assert!(reason.chars().count() <= 400 && !reason.contains('\n'), "{reason}");
            (reason, after)
        }
        other => panic!("should be sent later: {other:?}"),
    }
}

pub(crate) fn refused(result: Result<(), SendError>) -> (String, Which) {
    match result {
        Err(SendError::Refused { reason, which }) => (reason, which),
        other => panic!("should be refused: {other:?}"),
    }
}

/// Waits for what a receiver does by itself, as long as a busy machine may need.
pub(crate) fn eventually<T: PartialEq + std::fmt::Debug>(expected: &T, read: impl Fn() -> T) {
    let begun = Instant::now();
    loop {
        let found = read();
        if found == *expected {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{found:?} is not {expected:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
