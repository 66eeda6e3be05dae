//! OpenTelemetry's logs against the official messages.

use std::time::Duration;

use annals_sink::Which;
use annals_testparts::{Fault, Receiver};
use serde_json::{Value, json};

use crate::fixture::{
    deliver, events, later, named, odd_events, odd_texts, open, refused, surroundings, try_open,
};

#[test]
fn events_arrive_whole_and_in_order() {
    for (gzip, path) in [("true", ""), ("false", "/v1/logs")] {
        let receiver = Receiver::otlp();
        let url = receiver.url() + path;
        let mut sink = open("otlp", &[("url", &url), ("gzip", gzip), ("headers", "X-Scope: audit")]);
        let events = odd_events(1);
        deliver(&mut sink, &events, 3).unwrap();
        assert_eq!(receiver.received(), named(&events));
        let texts = odd_texts();
        for (index, (_, _, record)) in receiver.records().iter().enumerate() {
            let record: Value = serde_json::from_str(record).unwrap();
            let line: Value = serde_json::from_str(&events[index].line).unwrap();
            assert_eq!(record["body"], line);
            assert_eq!(record["body"]["text"], texts[index].as_str());
        }
        let first: Value = serde_json::from_str(&receiver.records()[0].2).unwrap();
        assert_eq!(
            first["resource"],
            json!({"service.name": "annals", "service.version": "1.2.3", "annals.origin": "log.example.com", "annals.stream": "siem"})
        );
        assert_eq!(first["scope"]["name"], "annals");
        assert_eq!((&first["event_name"], &first["severity"]), (&json!("audit_log"), &json!(13)));
        assert_eq!(first["time"], 1_763_000_000_123_457_000_u64);
        assert_eq!(first["observed"], 1_763_000_001_000_000_000_u64);
        assert_eq!(first["attributes"]["annals.action"], "login");
        assert_eq!(first["attributes"]["annals.resource_type"], "user");
        let request: Value = serde_json::from_str(&receiver.requests()[0]).unwrap();
        assert_eq!(request["headers"]["x-scope"], "audit");
    }
}

#[test]
fn a_line_that_is_no_json_is_a_text() {
    let receiver = Receiver::otlp();
    let mut at = surroundings();
    at.is_json = false;
    let mut sink = try_open("otlp", &[("url", &receiver.url())], &at).unwrap();
    let mut batch = events(1..2);
    batch[0].line = "somebody {did} something".to_owned();
    sink.send(&batch).unwrap();
    let record: Value = serde_json::from_str(&receiver.records()[0].2).unwrap();
    assert_eq!(record["body"], "somebody {did} something");
}

#[test]
fn answers_say_what_became_of_a_batch() {
    let mut receiver = Receiver::otlp();
    let mut sink = open("otlp", &[("url", &receiver.url())]);
    let batch = events(1..5);
    for status in [401, 404, 500, 502, 503, 504] {
        receiver.set_fault(Fault::Status(status));
        later(sink.send(&batch));
    }
    for status in [400, 413, 422] {
        receiver.set_fault(Fault::Status(status));
        assert_eq!(refused(sink.send(&batch)).1, Which::All);
    }
    receiver.set_fault(Fault::RetryAfter(429, "9"));
    assert_eq!(later(sink.send(&batch)).1, Some(Duration::from_secs(9)));
    receiver.set_fault(Fault::Refuse(&batch[2].id));
    assert_eq!(refused(sink.send(&batch)).1, Which::All);
    receiver.set_fault(Fault::Partial(4));
    assert_eq!(refused(sink.send(&batch)).1, Which::All);
    receiver.set_fault(Fault::Says(200, "<html>"));
    later(sink.send(&batch));
    receiver.set_fault(Fault::Redirect("http://127.0.0.1:9/"));
    later(sink.send(&batch));
    assert_eq!(receiver.received(), []);
    receiver.set_fault(Fault::Partial(1));
    let (reason, which) = refused(sink.send(&batch));
    assert!(which == Which::Some && reason.contains("some are too old"), "{reason}");
    assert_eq!(receiver.received(), named(&batch[1..]));
    receiver.set_fault_times(Fault::Cut, 1);
    later(sink.send(&events(5..6)));
    receiver.stop();
    later(sink.send(&events(5..6)));
    receiver.start_again();
    if sink.send(&events(5..6)).is_err() {
        sink.send(&events(5..6)).unwrap();
    }
    assert_eq!(receiver.received().last(), named(&events(5..6)).first());
}
