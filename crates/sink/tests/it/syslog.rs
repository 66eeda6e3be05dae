//! Syslog against rsyslog.

use std::time::Duration;

use annals_sink::{Sink, Which};
use annals_testparts::Rsyslog;

use crate::fixture::{deliver, event, events, eventually, later, named, odd_events, open, refused};

fn sink(address: &str, transport: &str, more: &[(&str, &str)]) -> Box<dyn Sink> {
    open("syslog", &[&[("address", address), ("transport", transport), ("hold", "300")], more].concat())
}

/// What is looked at of what rsyslog wrote down: the line of the event, without the mark before it.
fn lines(rsyslog: &Rsyslog) -> Vec<String> {
    let text = |message: &String| {
        let text = message.rsplit('\t').next().unwrap_or_default();
        text.trim_start_matches([' ', '\u{feff}']).to_owned()
    };
    rsyslog.messages().iter().map(text).collect()
}

#[test]
fn events_arrive_whole_and_in_order_over_tcp_and_tls() {
    let rsyslog = Rsyslog::start();
    let events = odd_events(1);
    let mut sink_tcp = sink(&rsyslog.address(), "tcp", &[]);
    deliver(&mut sink_tcp, &events[..5], 2).unwrap();
    eventually(&named(&events[..5]), || rsyslog.received());
    let mut sink_tls = sink(&rsyslog.tls_address(), "tls", &[("ca", &rsyslog.authority())]);
    deliver(&mut sink_tls, &events[5..], 2).unwrap();
    eventually(&named(&events), || rsyslog.received());
    assert_eq!(lines(&rsyslog), events.iter().map(|event| event.line.clone()).collect::<Vec<_>>());
    let first = rsyslog.messages().remove(0);
    let header: Vec<&str> = first.split('\t').take(5).collect();
    assert_eq!(header, ["109", "2025-11-13T02:13:20.123457Z", "log.example.com", "annals", "user.login"]);
}

#[test]
fn datagrams_arrive_unless_they_are_too_large() {
    let rsyslog = Rsyslog::start();
    let mut sink = sink(&rsyslog.address(), "udp", &[("facility", "4"), ("app_name", "an app")]);
    let events = odd_events(1);
    let (small, large) = events.split_at(events.len() - 1);
    deliver(&mut sink, small, 2).unwrap();
    eventually(&named(small), || rsyslog.received());
    assert!(rsyslog.messages()[0].starts_with("37\t"), "{:?}", rsyslog.messages());
    assert!(rsyslog.messages()[0].contains("\tan_app\t"));
    let batch = [small[0].clone(), large[0].clone()];
    let (reason, which) = refused(sink.send(&batch));
    assert!(which == Which::One(1) && reason.contains("65000"), "{reason}");
}

#[test]
fn a_receiver_that_was_away_gets_everything() {
    let mut rsyslog = Rsyslog::start();
    let authority = rsyslog.authority();
    for (address, transport, more) in [
        (rsyslog.address(), "tcp", &[][..]),
        (rsyslog.tls_address(), "tls", &[("ca", authority.as_str())]),
        (rsyslog.address(), "udp", &[]),
    ] {
        let before = rsyslog.received().len();
        let mut sink = sink(&address, transport, more);
        deliver(&mut sink, &events(1..4), 2).unwrap();
        eventually(&(before + 3), || rsyslog.received().len());
        rsyslog.stop();
        later(deliver(&mut sink, &events(4..7), 2));
        later(deliver(&mut sink, &events(4..7), 2));
        rsyslog.start_again();
        deliver(&mut sink, &events(4..7), 2).unwrap();
        eventually(&named(&events(1..7)), || rsyslog.received().split_off(before));
    }
}

#[test]
fn a_connection_that_is_closed_within_the_hold_time_did_not_take_the_batch() {
    let mut rsyslog = Rsyslog::start();
    let mut sink = sink(&rsyslog.address(), "tcp", &[("hold", "30000")]);
    sink.send(&events(1..3)).unwrap();
    let stopping = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        rsyslog.stop();
        rsyslog
    });
    let (reason, _) = later(sink.settle());
    assert!(reason.contains("closed") || reason.contains("reset"), "{reason}");
    drop(stopping.join().unwrap());
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    let (rsyslog, other) = (Rsyslog::start(), Rsyslog::start());
    for more in [&[][..], &[("ca", other.authority().as_str())]] {
        let (reason, _) = later(sink(&rsyslog.tls_address(), "tls", more).send(&events(1..2)));
        assert!(reason.contains("certificate"), "{reason}");
    }
    let authority = rsyslog.authority();
    let wrong_name = [("ca", authority.as_str()), ("server_name", "other.example.com")];
    let (reason, _) = later(sink(&rsyslog.tls_address(), "tls", &wrong_name).send(&events(1..2)));
    assert!(reason.contains("certificate"), "{reason}");
    assert_eq!(rsyslog.received(), []);
}

#[test]
fn a_receiver_that_reads_nothing_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut sink = sink(&address, "tcp", &[("timeout", "1")]);
    let large = event(1, &"x".repeat(1_000_000));
    let failed = (0..100).find_map(|_| sink.send(std::slice::from_ref(&large)).err());
    assert!(failed.unwrap().to_string().contains("reads nothing"));
}

/// As after a network was cut: nothing closes the connection, and what was written lies in this machine.
#[cfg(target_os = "linux")]
#[test]
fn bytes_that_the_receivers_machine_has_not_acknowledged_are_not_received() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut sink = sink(&address, "tcp", &[("timeout", "1"), ("hold", "1")]);
    let large = event(1, &"x".repeat(100_000));
    let mut send = || {
        sink.send(std::slice::from_ref(&large))?;
        sink.settle()
    };
    // What the other end keeps for a program that reads it never is taken, as far as anybody can know.
    let failed = (0..1_000).find_map(|_| send().err());
    let reason = failed.unwrap().to_string();
    assert!(reason.contains("the receiver has not taken ") && reason.ends_with(" bytes"), "{reason}");
}

#[test]
fn a_receiver_that_reads_slowly_has_taken_the_batch_when_it_is_settled() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let reading = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        std::io::copy(&mut socket, &mut std::io::sink()).unwrap()
    });
    let mut sink = sink(&address, "tcp", &[("hold", "1")]);
    sink.send(&[event(1, &"x".repeat(900_000))]).unwrap();
    sink.settle().unwrap();
    drop(sink);
    assert!(reading.join().unwrap() > 900_000);
}

#[test]
fn a_receiver_that_sets_no_tls_up_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    let (reason, _) = later(sink(&address, "tls", &[("timeout", "1")]).send(&events(1..2)));
    assert!(reason.contains("did not answer in time"), "{reason}");
}
