//! Splunk's protocol against a receiver of ours, which somebody else's client judges.

use annals_sink::{Sink, Which};
use annals_testparts::{Fault, Receiver};
use serde_json::{Value, json};

use crate::fixture::{deliver, events, later, named, odd_events, open, refused, surroundings, try_open};

fn sink(receiver: &Receiver, more: &[(&str, &str)]) -> Box<dyn Sink> {
    let url = receiver.url();
    open("splunk", &[&[("url", url.as_str()), ("token", receiver.token())], more].concat())
}

#[test]
fn the_receiver_speaks_the_protocol_as_splunks_own_client_does() {
    let receiver = Receiver::splunk(false);
    let said = receiver.send_by_splunk_client(receiver.token(), &["{\"a\":1}", "{\"b\":\"é\"}"]);
    assert!(said.contains("\"text\":\"Success\"") && said.contains("\"code\":0"), "{said}");
    assert_eq!(receiver.received().len(), 2);
    let said = receiver.send_by_splunk_client("another", &["{\"a\":1}"]);
    assert!(said.contains("\"code\":4"), "{said}");
}

#[test]
fn events_arrive_whole_and_in_order() {
    for (is_acknowledged, gzip) in [("true", "false"), ("false", "true")] {
        let receiver = Receiver::splunk(is_acknowledged == "true");
        let mut sink =
            sink(&receiver, &[("acknowledge", is_acknowledged), ("gzip", gzip), ("index", "audit")]);
        let events = odd_events(1);
        deliver(&mut sink, &events, 3).unwrap();
        assert_eq!(receiver.received(), named(&events));
        for (event, (_, _, record)) in events.iter().zip(receiver.records()) {
            let record: Value = serde_json::from_str(&record).unwrap();
            assert_eq!(record["event"], serde_json::from_str::<Value>(&event.line).unwrap());
            assert_eq!(record["sourcetype"], "annals:audit");
            assert_eq!((&record["source"], &record["index"]), (&json!("annals"), &json!("audit")));
            assert_eq!(record["host"], "log.example.com");
        }
        let first: Value = serde_json::from_str(&receiver.records()[0].2).unwrap();
        assert_eq!(first["time"].to_string(), "1763000000.123457");
    }
}

#[test]
fn a_line_that_is_no_json_is_a_text() {
    let receiver = Receiver::splunk(true);
    let mut at = surroundings();
    at.is_json = false;
    let url = receiver.url() + "/services/collector/event";
    let mut sink = try_open("splunk", &[("url", &url), ("token", receiver.token())], &at).unwrap();
    let mut batch = events(1..2);
    batch[0].line = "somebody \"did\" \t something".to_owned();
    deliver(&mut sink, &batch, 1).unwrap();
    let record: Value = serde_json::from_str(&receiver.records()[0].2).unwrap();
    assert_eq!(record["event"], batch[0].line);
}

#[test]
fn events_without_an_acknowledgement_are_sent_again() {
    let receiver = Receiver::splunk(true);
    let mut sink = sink(&receiver, &[("acknowledge_seconds", "1")]);
    receiver.set_fault_times(Fault::Unacknowledged, 1);
    sink.send(&events(1..3)).unwrap();
    sink.send(&events(3..4)).unwrap();
    let (reason, _) = later(sink.settle());
    assert!(reason.contains("did not acknowledge 1 request"), "{reason}");
    sink.settle().unwrap();
    deliver(&mut sink, &events(1..4), 10).unwrap();
    assert_eq!(receiver.received().len(), 6);
}

#[test]
fn a_token_without_acknowledgement_is_said_to_be_one() {
    let receiver = Receiver::splunk(false);
    let (reason, _) = later(sink(&receiver, &[]).send(&events(1..2)));
    assert!(reason.contains("acknowledge=false"), "{reason}");
    receiver.set_fault(Fault::Code(14));
    let (reason, _) = later(sink(&receiver, &[]).send(&events(1..2)));
    assert!(reason.contains("acknowledge=false"), "{reason}");
}

#[test]
fn codes_say_whose_fault_it_is() {
    let receiver = Receiver::splunk(true);
    let mut sink = sink(&receiver, &[]);
    let batch = events(1..4);
    for code in [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 14] {
        receiver.set_fault(Fault::Code(code));
        let (reason, _) = later(sink.send(&batch));
        assert!(reason.contains(&format!("(code {code})")), "{reason}");
    }
    for code in [6, 12, 13, 15] {
        receiver.set_fault(Fault::Code(code));
        assert_eq!(refused(sink.send(&batch)).1, Which::All);
    }
    receiver.set_fault(Fault::Status(413));
    assert_eq!(refused(sink.send(&batch)).1, Which::All);
    receiver.set_fault(Fault::Refuse(&batch[1].id));
    assert_eq!(refused(sink.send(&batch)).1, Which::One(1));
    receiver.set_fault(Fault::Says(200, "<html>"));
    assert!(later(sink.send(&batch)).0.contains("no HTTP Event Collector"));
    receiver.set_fault(Fault::Redirect("http://127.0.0.1:9/"));
    later(sink.send(&batch));
    receiver.set_fault(Fault::Says(403, "token 11111111-2222-4333-8444-555555555555 is bad"));
    let (reason, _) = later(sink.send(&batch));
    assert!(!reason.contains(receiver.token()), "{reason}");
    assert_eq!(receiver.received(), []);
}

#[test]
fn a_wrong_token_is_not_the_events_fault() {
    let receiver = Receiver::splunk(true);
    let url = receiver.url();
    let (reason, _) = later(open("splunk", &[("url", &url), ("token", "another")]).send(&events(1..2)));
    assert!(reason.contains("Invalid token (code 4)") && reason.contains("check the token"), "{reason}");
}

#[test]
fn a_receiver_that_was_away_gets_everything() {
    let mut receiver = Receiver::splunk(true);
    let mut sink = sink(&receiver, &[("acknowledge_seconds", "1")]);
    sink.send(&events(1..3)).unwrap();
    receiver.stop();
    // It may have lost what it did not acknowledge.
    later(sink.settle());
    later(deliver(&mut sink, &events(1..5), 2));
    receiver.start_again();
    if deliver(&mut sink, &events(1..5), 2).is_err() {
        deliver(&mut sink, &events(1..5), 2).unwrap();
    }
    let received = receiver.received();
    assert_eq!(received[received.len() - 4..], named(&events(1..5)));
}
