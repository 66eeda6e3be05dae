//! Webhooks against somebody else's verification of signatures.

use std::time::Duration;

use annals_sink::{Which, new_webhook_secret};
use annals_testparts::{Fault, Receiver};
use serde_json::Value;

use crate::fixture::{
    deliver, event, events, later, named, odd_events, odd_texts, open, refused, surroundings, try_open,
};

const TOKEN: &str = "Authorization: Bearer very-secret-token";

fn secret() -> String {
    new_webhook_secret([7; 24])
}

fn values<'v>(url: &'v str, secret: &'v str, batch: &'v str) -> Vec<(&'v str, &'v str)> {
    vec![("url", url), ("secret", secret), ("batch", batch), ("headers", TOKEN), ("timeout", "60")]
}

#[test]
fn events_arrive_whole_and_in_order() {
    for (batch, gzip) in [("1", "false"), ("100", "true")] {
        let receiver = Receiver::webhook(&secret());
        let (url, secret) = (receiver.url() + "/hook", secret());
        let mut values = values(&url, &secret, batch);
        values.extend([("gzip", gzip), ("query", "key=hidden-in-query&b=%20c")]);
        let mut sink = open("webhook", &values);
        let events = odd_events(1);
        deliver(&mut sink, &events, sink_size(batch)).unwrap();
        assert_eq!(receiver.received(), named(&events));
        for ((_, _, record), text) in receiver.records().iter().zip(odd_texts()) {
            let record: Value = serde_json::from_str(record).unwrap();
            assert_eq!(record["event"]["text"], text.as_str());
        }
        let request: Value = serde_json::from_str(&receiver.requests()[0]).unwrap();
        assert_eq!(request["headers"]["authorization"], "Bearer very-secret-token");
        assert_eq!(request["path"], "/hook?key=hidden-in-query&b=%20c");
        assert_eq!(request["headers"]["user-agent"], "annals/1.2.3");
    }
}

fn sink_size(batch: &str) -> usize {
    batch.parse().unwrap()
}

#[test]
fn a_batch_has_the_same_id_when_it_comes_again() {
    let receiver = Receiver::webhook(&secret());
    let (url, secret) = (receiver.url(), secret());
    let mut sink = open("webhook", &values(&url, &secret, "10"));
    let batch = events(1..4);
    receiver.set_fault_times(Fault::Cut, 1);
    later(sink.send(&batch));
    sink.send(&batch).unwrap();
    sink.send(&events(4..7)).unwrap();
    let ids: Vec<Value> = receiver
        .records()
        .iter()
        .map(|(_, _, record)| serde_json::from_str::<Value>(record).unwrap()["webhook-id"].clone())
        .collect();
    assert!(ids[0] == ids[3] && ids[0] != ids[6], "{ids:?}");
    // The same ends and the same number of events, as replays with queries may have them.
    let [one, two] = [[7, 8, 10], [7, 9, 10]].map(|seqs| seqs.map(|seq| event(seq, "plain")));
    sink.send(&one).unwrap();
    sink.send(&two).unwrap();
    let records = receiver.records();
    let id = |at: usize| serde_json::from_str::<Value>(&records[at].2).unwrap()["webhook-id"].clone();
    assert_ne!(id(9), id(12));
}

#[test]
fn a_query_in_the_address_would_be_shown_and_is_refused() {
    for (kind, secret, said) in [
        ("webhook", ("secret", secret()), "`query`"),
        ("splunk", ("token", "x".to_owned()), "`token`"),
        ("otlp", ("headers", "a: b".to_owned()), "`headers`"),
    ] {
        let values = [("url", "https://a.example/x?key=hidden-in-query"), (secret.0, secret.1.as_str())];
        let fault = try_open(kind, &values, &surroundings()).map(drop).unwrap_err().to_string();
        assert!(fault.contains(said) && !fault.contains("hidden-in-query"), "{fault}");
    }
}

#[test]
fn old_and_new_secrets_sign_at_once() {
    let (old, new) = (secret(), new_webhook_secret([8; 24]));
    let receiver = Receiver::webhook(&old);
    let url = receiver.url();
    let both = format!("{new}\n{old}\n");
    open("webhook", &values(&url, &both, "1")).send(&events(1..2)).unwrap();
    let (reason, _) = later(open("webhook", &values(&url, &new, "1")).send(&events(2..3)));
    assert!(reason.contains("401") && reason.contains("check `secret`"), "{reason}");
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn a_receiver_that_was_away_gets_everything() {
    let mut receiver = Receiver::webhook(&secret());
    let (url, secret) = (receiver.url(), secret());
    let mut sink = open("webhook", &values(&url, &secret, "10"));
    sink.send(&events(1..3)).unwrap();
    receiver.stop();
    let (reason, after) = later(sink.send(&events(3..5)));
    assert!(reason.contains(&url) && after.is_none(), "{reason}");
    receiver.start_again();
    // A connection that the old receiver left behind may cost one more attempt.
    if sink.send(&events(3..5)).is_err() {
        sink.send(&events(3..5)).unwrap();
    }
    assert_eq!(receiver.received(), named(&events(1..5)));
}

#[test]
fn statuses_say_whether_to_send_again() {
    let receiver = Receiver::webhook(&secret());
    let (url, secret) = (receiver.url() + "/x", secret());
    let mut values = values(&url, &secret, "10");
    values.push(("query", "?key=hidden-in-query"));
    let mut sink = open("webhook", &values);
    assert!(!format!("{sink:?}").contains("hidden-in-query"), "{sink:?}");
    let batch = events(1..3);
    for status in [401, 403, 404, 408, 410, 500, 503] {
        receiver.set_fault(Fault::Says(status, "token very-secret-token is bad, key=hidden-in-query too"));
        let (reason, _) = later(sink.send(&batch));
        assert!(reason.contains(&status.to_string()), "{reason}");
        assert!(!reason.contains("very-secret") && !reason.contains("hidden-in-query"), "{reason}");
    }
    for status in [400, 413, 422] {
        receiver.set_fault(Fault::Status(status));
        assert_eq!(refused(sink.send(&batch)).1, Which::All);
    }
    receiver.set_fault(Fault::RetryAfter(429, "17"));
    assert_eq!(later(sink.send(&batch)).1, Some(Duration::from_secs(17)));
    receiver.set_fault(Fault::RetryAfter(503, "Tue, 31 Dec 2999 23:59:59 GMT"));
    assert_eq!(later(sink.send(&batch)).1, Some(Duration::from_secs(3_600)));
    receiver.set_fault(Fault::Refuse(&batch[1].id));
    assert_eq!(refused(sink.send(&batch)).1, Which::All);
    receiver.set_fault(Fault::Drop);
    later(sink.send(&batch));
    assert_eq!(receiver.received(), []);
    receiver.set_fault(Fault::None);
    sink.send(&batch).unwrap();
    assert_eq!(receiver.received(), named(&batch));
}

#[test]
fn redirects_are_not_followed() {
    let (receiver, other) = (Receiver::webhook(&secret()), Receiver::webhook(&secret()));
    let (url, secret) = (receiver.url(), secret());
    receiver.set_fault(Fault::Redirect(&other.url()));
    let (reason, _) = later(open("webhook", &values(&url, &secret, "1")).send(&events(1..2)));
    assert!(reason.contains("redirects are not followed"), "{reason}");
    assert!(other.requests().is_empty());
}

#[test]
fn a_receiver_that_does_not_answer_is_given_up() {
    let receiver = Receiver::webhook(&secret());
    let (url, secret) = (receiver.url(), secret());
    receiver.set_fault(Fault::Slow(30));
    let mut values = values(&url, &secret, "1");
    values.retain(|(name, _)| *name != "timeout");
    values.push(("timeout", "1"));
    let (reason, _) = later(open("webhook", &values).send(&events(1..2)));
    assert!(reason.contains("in time"), "{reason}");
}
