//! What holds for every kind.

use annals_sink::{KINDS, Kind, SettingKind};

use crate::fixture::{open, settings, surroundings, try_open};

#[test]
fn every_kind_describes_itself() {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(names, ["splunk", "webhook", "syslog", "otlp", "s3", "files", "log"]);
    for kind in KINDS {
        assert_eq!(Kind::from_name(kind.name).map(|found| found.label), Some(kind.label));
        for setting in kind.settings {
            let place = format!("{}: {}", kind.name, setting.name);
            // What is typed has an example; a switch and a number say what they are by their kind.
            let is_typed = !matches!(setting.kind, SettingKind::Switch | SettingKind::Number { .. });
            assert!(setting.about.contains('`') || !is_typed, "{place}");
            assert!(setting.about.ends_with('.'), "{place}");
            let may_have_default = !setting.is_required && !setting.kind.is_secret();
            assert!(may_have_default || setting.default.is_empty(), "{place}");
            assert!(setting.kind != SettingKind::Switch || !setting.default.is_empty(), "{place}");
            let alone = kind.settings.iter().filter(|other| other.name == setting.name).count();
            assert_eq!(alone, 1, "{place}");
        }
        // Defaults are values that the settings themselves accept.
        let defaults: Vec<(&str, &str)> = kind
            .settings
            .iter()
            .filter(|setting| !setting.default.is_empty())
            .map(|setting| (setting.name, setting.default))
            .collect();
        let faults = kind.check(&settings(&defaults)).err().unwrap_or_default();
        assert!(faults.iter().all(|fault| fault.what == "must be given"), "{}: {faults:?}", kind.name);
    }
}

#[test]
fn only_what_writes_here_is_local() {
    let local: Vec<&str> = KINDS.iter().filter(|kind| kind.is_local).map(|kind| kind.name).collect();
    assert_eq!(local, ["files", "log"]);
}

#[test]
fn only_what_appends_to_one_file_is_single() {
    let single: Vec<&str> = KINDS.iter().filter(|kind| kind.is_single).map(|kind| kind.name).collect();
    assert_eq!(single, ["log"]);
}

#[test]
fn a_sink_does_not_show_its_secrets() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let hidden = ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "very-secret-token"];
    for (kind, values) in [
        ("splunk", &[("url", "https://a.example"), ("token", "very-secret-token")][..]),
        ("webhook", &[("url", "https://a.example"), ("secret", secret), ("headers", "A: very-secret-token")]),
        ("otlp", &[("url", "https://a.example"), ("headers", "Authorization: Bearer very-secret-token")]),
        ("s3", &[("bucket", "b"), ("access_key", "AKIA"), ("secret_key", "very-secret-token")]),
    ] {
        let shown = format!("{:?}", open(kind, values));
        assert!(hidden.iter().all(|hidden| !shown.contains(hidden)), "{shown}");
    }
}

#[test]
fn addresses_are_checked_when_a_sink_is_opened() {
    let mut at = surroundings();
    at.private_networks.clear();
    let secret = ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    for (kind, values) in [
        ("splunk", &[("url", "https://127.0.0.1:8088"), ("token", "x")][..]),
        ("splunk", &[("url", "http://splunk.example.com:8088"), ("token", "x")]),
        ("webhook", &[("url", "https://169.254.169.254/"), secret]),
        ("otlp", &[("url", "https://[::ffff:10.0.0.1]/")]),
        ("otlp", &[("url", "https://user:password@a.example/")]),
        ("syslog", &[("address", "10.0.0.1:6514")]),
        ("syslog", &[("address", "syslog.example.com:514"), ("transport", "udp")]),
        (
            "s3",
            &[("bucket", "b"), ("access_key", "a"), ("secret_key", "b"), ("endpoint", "https://10.0.0.1/")],
        ),
        ("s3", &[("bucket", "b")]),
        // What would become another host in the address that is made of them.
        ("s3", &[("bucket", "b"), ("access_key", "a"), ("secret_key", "b"), ("region", "x@127.0.0.1/")]),
        ("s3", &[("bucket", "b@127.0.0.1/"), ("access_key", "a"), ("secret_key", "b")]),
    ] {
        let fault = try_open(kind, values, &at).map(drop).unwrap_err();
        assert!(!fault.what.contains("password@"), "{fault}");
    }
}

#[test]
fn names_that_lead_to_private_addresses_are_refused_when_they_are_resolved() {
    let mut at = surroundings();
    at.private_networks.clear();
    let secret = ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    for (kind, values) in [
        ("webhook", &[("url", "https://localhost:9/"), secret][..]),
        ("syslog", &[("address", "localhost:6514")]),
        (
            "s3",
            &[("bucket", "b"), ("access_key", "a"), ("secret_key", "b"), ("endpoint", "https://localhost:9")],
        ),
    ] {
        let mut sink = try_open(kind, values, &at).unwrap();
        let (reason, _) = crate::fixture::later(sink.send(&crate::fixture::events(1..2)));
        assert!(reason.contains("this machine") && reason.contains("--stream-networks"), "{kind}: {reason}");
    }
}
