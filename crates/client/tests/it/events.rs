//! From a Rust struct to the log, over a real server.

use std::sync::Arc;

use annals_client::{Auditable, Client, ClientError, Event};
use annals_engine::{Engine, NewToken, Options, Principal, SearchRequest, TokenKind};
use annals_server::Config;
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Serialize, Auditable)]
#[audit(type = "invoice", crate = "annals_client::model")]
struct Invoice {
    #[audit(track, id)]
    number: u64,
    #[audit(track, target)]
    title: String,
    #[audit(track)]
    lines: Vec<u32>,
    #[audit(secret)]
    card: String,
    #[audit(abbreviate)]
    key: String,
    #[audit(ignore)]
    updated_at: String,
}

fn invoice(title: &str, card: &str) -> Invoice {
    Invoice {
        number: 17,
        title: title.to_owned(),
        lines: vec![1],
        card: card.to_owned(),
        key: "0fb2aaaaaaaaaaaaaaaa7a4a".to_owned(),
        updated_at: "now".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_struct_is_registered_changed_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(Engine::create_or_open(dir.path(), Options::default()).unwrap());
    let token = tokio::task::block_in_place(|| {
        let token = NewToken { kind: TokenKind::Ingest, name: "test", owner: None, expires: None };
        engine.create_token(&Principal::operator(), &token).unwrap()
    });
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let server = annals_server::bind(Arc::clone(&engine), config).await.unwrap();
    let url = format!("http://{}", server.address());
    tokio::spawn(server.run(std::future::pending()));

    let client = Client::new(&url, token.reveal()).unwrap();
    let (old, new) = (invoice("old", "4111-first"), invoice("new", "4111-second"));
    let change = Event::change("write", Some(&old), Some(&new)).unwrap().user("u-7", "demo-dev-1");
    let refused = client.append(std::slice::from_ref(&change)).await;
    assert!(matches!(refused, Err(ClientError::Refused { status: 422, .. })), "the type is not known yet");
    client.register(&Invoice::document()).await.unwrap();
    let wire = change.to_json();
    assert!(!wire.contains("4111"), "a secret left the process: {wire}");
    let events = [
        Event::change("create", None, Some(&old)).unwrap(),
        change,
        Event::change("delete", Some(&new), None).unwrap(),
        Event::change("write", Some(&new), Some(&new)).unwrap(),
    ];
    let reply = client.append(&events).await.unwrap();
    assert_eq!((&reply["accepted"], &reply["warnings"]), (&json!(4), &json!([])));
    let again = client.append(&events).await.unwrap();
    assert_eq!(
        (&again["accepted"], &again["duplicates"]),
        (&json!(0), &json!(4)),
        "sent again, recorded once"
    );

    let diffs = tokio::task::block_in_place(|| {
        let request = SearchRequest {
            query: "resource_type:invoice resource_id:17",
            limit: 10,
            offset: 0,
            after: None,
        };
        let results = engine.search(&Principal::operator(), &request, |found| {
            Ok(serde_json::to_value(found.into_audit_log()?.diff).unwrap())
        });
        results.unwrap().events
    });
    let withheld = json!({"old": "", "new": "", "secret": true});
    let change = |old: Value, new: Value| json!({"old": old, "new": new, "secret": false});
    assert_eq!(diffs[0], json!({}), "nothing changed");
    assert_eq!(diffs[2], json!({"title": change(json!("old"), json!("new")), "card": withheld}));
    assert_eq!(diffs[3]["key"]["new"], "0fb2...7a4a");
    assert_eq!(diffs[3]["number"], change(json!(0), json!(17)));
    assert_eq!((&diffs[1]["card"], &diffs[3]["card"]), (&withheld, &withheld));
    assert!(diffs.iter().all(|diff| diff.get("updated_at").is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_followed_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(Engine::create_or_open(dir.path(), Options::default()).unwrap());
    let tokens = tokio::task::block_in_place(|| {
        [TokenKind::Ingest, TokenKind::Read].map(|kind| {
            let token = NewToken { kind, name: "test", owner: None, expires: None };
            engine.create_token(&Principal::operator(), &token).unwrap()
        })
    });
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let server = annals_server::bind(Arc::clone(&engine), config).await.unwrap();
    let url = format!("http://{}", server.address());
    tokio::spawn(server.run(std::future::pending()));
    let [producer, reader] = tokens.map(|token| Client::new(&url, token.reveal()).unwrap());

    let query = "resource_type:template";
    let mut stream = reader.follow(query, None).await.unwrap();
    let events: Vec<Event> = (0..5).map(|n| Event::new("write", "template", &format!("t-{n}"))).collect();
    producer.append(&events).await.unwrap();
    let mut seqs = Vec::new();
    for n in 0..5 {
        let event = stream.next().await.unwrap().unwrap();
        let json: Value = serde_json::from_str(&event.json).unwrap();
        assert_eq!((&json["resource_target"], &json["seq"]), (&json!(format!("t-{n}")), &json!(event.seq)));
        assert_eq!(stream.after_seq(), Some(event.seq));
        seqs.push(event.seq);
    }
    let mut again = reader.follow(query, Some(seqs[3])).await.unwrap();
    assert_eq!(again.next().await.unwrap().unwrap().seq, seqs[4]);
    assert!(matches!(producer.follow(query, None).await, Err(ClientError::Refused { status: 403, .. })));

    for (format, head) in [("ndjson", 0), ("csv", 1)] {
        let mut export = reader.export(query, format, None).await.unwrap();
        assert_eq!((export.count(), export.has_head()), (5, head == 1));
        assert!(export.last_seq() >= Some(seqs[4]));
        let mut bytes = Vec::new();
        while let Some(chunk) = export.chunk().await.unwrap() {
            bytes.extend(chunk);
        }
        assert_eq!(String::from_utf8(bytes).unwrap().lines().count(), 5 + head);
    }
    let rest = reader.export(query, "csv", Some(seqs[1])).await.unwrap();
    assert_eq!((rest.count(), rest.has_head()), (3, false));
    let refused = reader.export(query, "xml", None).await;
    assert!(matches!(refused, Err(ClientError::Refused { status: 400, .. })));
}

#[tokio::test]
async fn wrong_addresses_and_absent_servers_are_said() {
    for bad in ["", "127.0.0.1:2662", "ftp://x", "http://"] {
        assert!(matches!(Client::new(bad, "t"), Err(ClientError::BadAddress { .. })), "{bad}");
    }
    assert!(matches!(Client::new("http://127.0.0.1:1", "a\nb"), Err(ClientError::BadToken)));
    let client = Client::new("http://127.0.0.1:1", "t").unwrap();
    assert!(matches!(client.resources().await, Err(ClientError::Unreachable { .. })));
    assert!(
        !format!("{:?}", Client::new("http://127.0.0.1:1", "secret-token").unwrap()).contains("secret-token")
    );
}
