//! `GET /api/v2/audit/stream` over real HTTP: every event once, in order, for as long as the credential holds.

use std::time::{Duration, Instant};

use annals_engine::{
    Engine, NewOrganization, NewPerson, NewToken, Options, OrganizationRole, PartialBatch, Principal, Role,
    TokenKind,
};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use crate::support::{TestServer, json, template_event};

/// The reading end of a stream.
struct Reader {
    response: Response,
    buffer: String,
    last_id: Option<String>,
}

/// One block of lines.
#[derive(Debug, Default)]
struct Block {
    id: Option<String>,
    data: Option<Value>,
    comment: bool,
}

impl Reader {
    async fn open(request: RequestBuilder) -> Reader {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers().get("content-encoding"), None);
        Reader { response, buffer: String::new(), last_id: None }
    }

    /// The next block; nothing if the stream ended as it should.
    async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some((text, rest)) = self.buffer.split_once("\n\n") {
                let mut block = Block::default();
                for line in text.lines() {
                    match line.split_once(':').unwrap() {
                        ("", _) => block.comment = true,
                        ("id", id) => block.id = Some(id.trim().to_owned()),
                        ("data", data) => block.data = Some(serde_json::from_str(data).unwrap()),
                        ("retry", _) => {}
                        other => panic!("{other:?}"),
                    }
                }
                self.buffer = rest.to_owned();
                self.last_id = block.id.clone().or(self.last_id.take());
                return Some(block);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk()).await;
            let chunk = chunk.expect("a stream is not silent for longer than 15 s").unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The target of the next event; nothing at the end.
    async fn target(&mut self) -> Option<String> {
        loop {
            let block = self.block().await?;
            if let Some(event) = block.data {
                assert_eq!(block.id.unwrap(), event["seq"].to_string());
                return Some(event["resource_target"].as_str().unwrap().to_owned());
            }
        }
    }

    /// Waits for the first block, after which every event comes.
    async fn begun(mut self) -> Reader {
        assert!(self.block().await.unwrap().data.is_none());
        self
    }
}

const TEMPLATES: &str = "/api/v2/audit/stream?q=resource_type:template";

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_who_comes_back_misses_nothing_and_sees_nothing_twice() {
    let server = TestServer::start().await;
    server.post_events(template_event("before", "")).await;
    let mut reader = Reader::open(server.get(TEMPLATES)).await.begun().await;
    let place = reader.last_id.clone().expect("the place is said at once");
    server.post_events(template_event("a", "")).await;
    server.post_events(r#"{"action":"create","resource_type":"workspace","resource_id":"w"}"#).await;
    // Late by its own time, and the next all the same: the order is that of the log.
    server.post_events(template_event("b", r#""time":"2020-01-01T00:00:00Z""#)).await;
    assert_eq!(reader.target().await.unwrap(), "a");
    assert_eq!(reader.target().await.unwrap(), "b");
    let last = reader.last_id.clone().unwrap();
    drop(reader);

    server.post_events([template_event("c", ""), template_event("d", "")].join("\n")).await;
    let back = |id: &str| server.get(TEMPLATES).header("Last-Event-ID", id);
    let mut reader = Reader::open(back(&last)).await;
    assert_eq!(reader.target().await.unwrap(), "c");
    assert_eq!(reader.target().await.unwrap(), "d");
    // From the place that was said before any event came.
    let mut reader = Reader::open(back(&place)).await;
    for target in ["a", "b", "c", "d"] {
        assert_eq!(reader.target().await.unwrap(), target);
    }
    // The header stands above the parameter, which a browser repeats.
    let both = server.get(&format!("{TEMPLATES}&after_seq=0")).header("Last-Event-ID", &last);
    assert_eq!(Reader::open(both).await.target().await.unwrap(), "c");
    let mut all = Reader::open(server.get(&format!("{TEMPLATES}&after_seq=0"))).await;
    assert_eq!(all.target().await.unwrap(), "before");

    for (request, field) in [
        (back("x"), "Last-Event-ID"),
        (back("999999"), "after_seq"),
        (server.get(&format!("{TEMPLATES}&after_seq=999999")), "after_seq"),
        (server.get("/api/v2/audit/stream?q=nokey:1"), "nokey"),
    ] {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 400, "{field}");
        assert_eq!(json(reply).await["validations"][0]["field"], field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_replica_takes_appears_within_a_second() {
    let mut server = TestServer::start().await;
    let mut reader = Reader::open(server.get(TEMPLATES)).await.begun().await;
    let other = Engine::open(server.dir(), Options::default()).unwrap();
    for n in 0..5 {
        let target = format!("t-{n}");
        let event = template_event(&target, "");
        tokio::task::block_in_place(|| {
            let pending = other.append(&Principal::operator(), event.as_bytes(), PartialBatch::Refuse);
            pending.unwrap().wait_blocking().unwrap()
        });
        let taken = Instant::now();
        assert_eq!(reader.target().await.unwrap(), target);
        assert!(taken.elapsed() < Duration::from_secs(1), "{:?}", taken.elapsed());
    }
    // A server that stops ends its streams as they should end, and at once.
    let stopping = Instant::now();
    let (ended, ()) = tokio::join!(reader.target(), server.stop());
    assert_eq!(ended, None);
    assert!(stopping.elapsed() < Duration::from_secs(5), "{:?}", stopping.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_lives_through_silence_and_ends_with_its_credential() {
    let server = TestServer::start().await;
    let operator = Principal::operator();
    let engine = &server.engine;
    let (organization, promoted, tokens) = tokio::task::block_in_place(|| {
        let member = |username| {
            let role = Role::Member;
            let person = NewPerson { username, email: "", name: "", password: "correct horse battery", role };
            engine.add_person(&operator, &person).unwrap()
        };
        let (auditor, promoted) = (member("demo-auditor"), member("demo-promoted"));
        let organization = NewOrganization { name: "northwind", ..NewOrganization::default() };
        let organization = engine.create_organization(&operator, &organization).unwrap();
        for person in [&auditor, &promoted] {
            engine.add_member(&operator, &organization.id, person, OrganizationRole::Auditor).unwrap();
        }
        let token = |owner| {
            let token = NewToken { kind: TokenKind::Read, name: "revoked", owner, expires: None };
            engine.create_token(&operator, &token).unwrap().reveal().to_owned()
        };
        (organization, promoted, [token(None), token(Some("demo-auditor")), token(Some("demo-promoted"))])
    });
    let open = async |token: &str| {
        Reader::open(server.http.get(format!("{}{TEMPLATES}", server.url)).bearer_auth(token))
            .await
            .begun()
            .await
    };
    let mut lasting = open(&server.read_token).await;
    let mut revoked = open(&tokens[0]).await;
    let mut of_organization = open(&tokens[1]).await;
    let mut of_promoted = open(&tokens[2]).await;

    server.post_events(template_event("elsewhere", r#""organization":{"id":"other","name":"x"}"#)).await;
    let own = format!(r#""organization":{{"id":"{}","name":"northwind"}}"#, organization.id.0);
    server.post_events(template_event("own", &own)).await;
    for reader in [&mut lasting, &mut revoked] {
        assert_eq!(reader.target().await.unwrap(), "elsewhere");
        assert_eq!(reader.target().await.unwrap(), "own");
    }
    for reader in [&mut of_organization, &mut of_promoted] {
        assert_eq!(reader.target().await.unwrap(), "own", "another organization's event is out of sight");
    }

    let ending = Instant::now();
    tokio::task::block_in_place(|| {
        let mut tokens = engine.tokens(&operator).unwrap().into_iter();
        let token = tokens.find(|token| token.name == "revoked" && token.owner.is_none()).unwrap();
        engine.revoke_token(&operator, &token.id).unwrap();
        engine.remove_member(&operator, &organization.id, &promoted).unwrap();
    });
    assert_eq!(revoked.target().await, None);
    assert_eq!(of_promoted.target().await, None, "the sight changed");
    assert!(ending.elapsed() < Duration::from_secs(15), "{:?}", ending.elapsed());

    let silent = lasting.block().await.unwrap();
    assert!(silent.comment && silent.data.is_none() && silent.id.is_some(), "{silent:?}");
    server.post_events(template_event("after", &own)).await;
    assert_eq!(lasting.target().await.unwrap(), "after");
    assert_eq!(of_organization.target().await.unwrap(), "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_limited_and_given_back() {
    let server = TestServer::start().await;
    let mut readers = Vec::new();
    for _ in 0..64 {
        readers.push(Reader::open(server.get(TEMPLATES)).await.begun().await);
    }
    let refused = server.get(TEMPLATES).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(json(refused).await["type"], "/problems/busy");
    for n in 0..100 {
        server.post_events(template_event(&format!("t-{n}"), "")).await;
    }
    for reader in &mut readers {
        for n in 0..100 {
            assert_eq!(reader.target().await.unwrap(), format!("t-{n}"));
        }
    }
    readers.pop();
    let until = Instant::now() + Duration::from_secs(10);
    while server.get(TEMPLATES).send().await.unwrap().status() != 200 {
        assert!(Instant::now() < until, "the place of a reader who left is still taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
