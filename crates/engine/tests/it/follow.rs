//! Following: every event once, in order, from whichever process, and no waiting without end.

use std::time::{Duration, Instant};

use annals_engine::{Engine, NEWS_WAIT, Options, Principal, SealPolicy, SearchError};

use crate::support::{TestLog, append, options, template_event};

/// Looks until the end of the log; the targets and where to go on.
fn look(engine: &Engine, mut after_seq: Option<u64>, limit: usize) -> (Vec<String>, Option<u64>) {
    let mut all = Vec::new();
    loop {
        let found = engine
            .events_after(&Principal::operator(), "resource_type:template", after_seq, limit, |found| {
                Ok(found.event.target.to_string())
            })
            .unwrap();
        assert!(found.events.len() <= limit);
        all.extend(found.events);
        after_seq = found.looked_until;
        if found.is_at_end {
            return (all, after_seq);
        }
    }
}

#[test]
fn a_follower_sees_each_event_once_while_the_log_is_sealed() {
    let seal = SealPolicy { events: 256, aged_events: 256, ..SealPolicy::default() };
    let log = TestLog::with(Options { seal, ..options() });
    let (mut seen, mut after_seq, mut expected) = (Vec::new(), None, Vec::new());
    for round in 0..12 {
        for n in 0..70 {
            let target = format!("t-{round}-{n}");
            // Every fifth is late, so that rows and seqs differ.
            let day = if n % 5 == 0 { "01" } else { "02" };
            let template =
                template_event(&target, &format!("\"time\":\"2026-01-{day}T00:00:{:02}Z\"", n % 60));
            let other = r#"{"action":"create","resource_type":"workspace","resource_id":"w"}"#;
            append(&log.engine, &[&template, other].join("\n")).unwrap();
            expected.push(target);
        }
        if round % 3 == 2 {
            log.engine.seal_now().unwrap();
        }
        if round % 2 == 0 {
            let (targets, place) = look(&log.engine, after_seq, [7, 1_000][round / 2 % 2]);
            seen.extend(targets);
            assert!(place > after_seq, "events that do not match move the place too");
            after_seq = place;
        }
    }
    seen.extend(look(&log.engine, after_seq, 100).0);
    assert_eq!(seen, expected);
    assert_eq!(look(&log.engine, None, 1_000).0, expected);
}

#[test]
fn following_begins_at_the_end_or_where_it_is_told() {
    let log = TestLog::new();
    let follow = |after_seq| log.engine.follow(&Principal::operator(), "", after_seq);
    assert_eq!(follow(None).unwrap(), None, "there is nothing to begin behind");
    assert_eq!(look(&log.engine, None, 10), (Vec::new(), None));
    log.append(&[template_event("a", ""), template_event("b", "")].join("\n")).unwrap();
    assert_eq!(follow(None).unwrap(), Some(1));
    assert_eq!(follow(Some(0)).unwrap(), Some(0));
    assert_eq!(look(&log.engine, Some(0), 10), (vec!["b".to_owned()], Some(1)));
    assert!(matches!(follow(Some(2)), Err(SearchError::BehindTheEnd { after_seq: 2, size: 2 })));
    let refused = log.engine.follow(&Principal::operator(), "nokey:1", None);
    assert!(matches!(refused, Err(SearchError::Query(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_this_process_come_at_once_and_others_soon() {
    let log = TestLog::new();
    let mut news = log.engine.news();
    tokio::task::block_in_place(|| log.append(&template_event("a", "")).unwrap());
    let waited = Instant::now();
    news.wait().await;
    assert!(waited.elapsed() < NEWS_WAIT / 2, "{:?}", waited.elapsed());
    // Nothing happens here, and the wait ends all the same: another process may have appended.
    let waited = Instant::now();
    news.wait().await;
    assert!(waited.elapsed() >= NEWS_WAIT && waited.elapsed() < Duration::from_secs(5));
    tokio::task::block_in_place(|| log.engine.stop());
}
