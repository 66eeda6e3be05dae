//! Requests and background work that audit themselves, over real connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use annals_client::{
    Audit, AuditContext, AuditLayer, Auditable, Auditor, AuditorOptions, Client, Event, ForwardedHeader,
    assert_audited,
};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, put};
use serde::Serialize;
use serde_json::{Value, json};

use crate::auditor::{LONG, Log};

#[derive(Debug, Clone, Serialize, Auditable)]
#[audit(type = "greeting", crate = "annals_client::model")]
struct Greeting {
    #[audit(track, id)]
    name: String,
    #[audit(track)]
    text: String,
    #[audit(secret)]
    key: String,
}

fn greeting(text: &str) -> Greeting {
    Greeting { name: "first".to_owned(), text: text.to_owned(), key: format!("the key of {text}") }
}

/// A handler whose body says what becomes of it.
async fn change(mut audit: Audit<Greeting>, body: String) -> StatusCode {
    audit.context().user("u-7", "demo-dev-1");
    audit.before(greeting("Hello"));
    match body.as_str() {
        "conflict" => return StatusCode::CONFLICT,
        "panic" => panic!("the handler has a fault"),
        "slow" => tokio::time::sleep(Duration::from_millis(400)).await,
        "nothing" => audit.cancel(),
        _ => {}
    }
    audit.after(greeting(&body)).with("build_reason", "initiator");
    StatusCode::OK
}

struct Site {
    log: Log,
    auditor: Auditor,
    url: String,
}

impl Site {
    async fn new() -> Site {
        let log = Log::new();
        let client = Client::new(&format!("http://{}", log.serve("127.0.0.1:0").await), &log.token).unwrap();
        let options =
            AuditorOptions { documents: vec![Greeting::document()], ..AuditorOptions::new("app-1") };
        let auditor = Auditor::open(client, log.spool(), options).unwrap();
        let layer = AuditLayer::new(auditor.clone())
            .trusted_proxies(["127.0.0.0/8".parse().unwrap()], ForwardedHeader::XForwardedFor);
        let app = Router::new()
            .route("/greeting", put(change).delete(change))
            .route("/quiet", get(async |_: Audit<Greeting>| "nothing is known of a greeting"))
            .layer(layer)
            .route("/bare", put(change));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async { axum::serve(listener, app).await });
        Site { log, auditor, url }
    }

    fn put(&self, path: &str, body: &str) -> reqwest::RequestBuilder {
        let request = http().put(format!("{}{path}", self.url)).body(body.to_owned());
        request.header("user-agent", "demo-agent/1").header("x-forwarded-for", "192.0.2.5")
    }

    async fn recorded(&self) -> Vec<Value> {
        assert!(self.auditor.flush(LONG).await);
        self.log.recorded()
    }
}

/// A client of HTTP. Ours says by which library TLS is spoken, for all of the process.
fn http() -> reqwest::Client {
    annals_client::Client::new("http://127.0.0.1:1", "token").unwrap();
    reqwest::Client::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_says_is_recorded_with_its_outcome() {
    let site = Site::new().await;
    let id = "0198aaaa-5d0c-4c3e-9b1f-000000000001";
    let reply = site.put("/greeting", "Good day").header("x-request-id", id).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(site.put("/greeting", "conflict").send().await.unwrap().status(), 409);
    site.put("/greeting", "panic").send().await.unwrap_err();
    // The client goes away; the work goes on, and so does its record.
    let hung_up = site.put("/greeting", "slow").timeout(Duration::from_millis(80)).send().await;
    assert!(hung_up.unwrap_err().is_timeout());
    site.put("/greeting", "nothing").send().await.unwrap();
    reqwest::get(format!("{}/quiet", site.url)).await.unwrap();
    assert_eq!(site.put("/bare", "x").send().await.unwrap().status(), 500, "without the layer it refuses");
    let deleted = http().delete(format!("{}/greeting", site.url)).body("Bye").send().await.unwrap();
    assert_eq!(deleted.status(), 200);
    // That of the client that went away is the last one.
    let until = Instant::now() + LONG;
    while site.auditor.stats().emitted < 5 {
        assert!(Instant::now() < until, "{:?}", site.auditor.stats());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let events = site.recorded().await;
    let of = |status: u64, action: &str| -> Vec<&Value> {
        let is_it = |event: &&Value| event["status_code"] == status && event["action"] == action;
        events.iter().filter(is_it).collect()
    };
    assert_eq!(events.len(), 5, "{events:#?}");
    let written = of(200, "write");
    assert_eq!(
        (written.len(), of(409, "write").len(), of(500, "write").len(), of(200, "delete").len()),
        (2, 1, 1, 1)
    );
    let first = written[0];
    assert_eq!(first["diff"]["text"], json!({"old": "Hello", "new": "Good day", "secret": false}));
    assert_eq!(first["diff"]["key"], json!({"old": "", "new": "", "secret": true}));
    assert_eq!((&first["request_id"], &first["ip"]), (&json!(id), &json!("192.0.2.5")));
    assert_eq!(
        (&first["user_agent"], &first["user"]["username"]),
        (&json!("demo-agent/1"), &json!("demo-dev-1"))
    );
    assert_eq!((&first["resource_id"], &first["build_reason"]), (&json!("first"), &json!("initiator")));
    assert_eq!(written[1]["diff"]["text"]["new"], "slow", "the client that hung up");
    // Nothing is said to have changed where it failed.
    assert_eq!((&of(409, "write")[0]["diff"], &of(500, "write")[0]["diff"]), (&json!({}), &json!({})));
    assert_eq!(of(500, "write")[0]["user"]["username"], "demo-dev-1", "also of a handler that panics");
    assert!(
        !std::fs::read(site.log.spool().join("00000000000000000001.spool"))
            .unwrap()
            .windows(11)
            .any(|part| part == b"the key of ")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_tests_see_what_is_recorded_and_what_is_not() {
    let auditor = Auditor::in_memory();
    let layer = AuditLayer::new(auditor.clone());
    let app = Router::new()
        .route("/greeting/{name}", put(change).post(async || "nobody hears of this"))
        .route("/refused", put(async || StatusCode::CONFLICT))
        .route(
            "/forgotten",
            put(async |_: Audit<Greeting>, _: AuditContext| "knows who asks, and says nothing"),
        )
        .layer(layer.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    let http = http();
    for name in ["first", "second"] {
        http.post(format!("{url}/greeting/{name}")).send().await.unwrap();
    }
    for path in ["refused", "forgotten"] {
        http.put(format!("{url}/{path}")).send().await.unwrap();
    }
    http.put(format!("{url}/greeting/first")).body("Good day").send().await.unwrap();
    let event =
        assert_audited!(auditor, "action" => "write", "after/text" => "Good day", "status_code" => 200);
    assert_eq!(event["before"]["text"], "Hello");
    assert_eq!(auditor.taken().len(), 1);
    assert_eq!(layer.unaudited(), ["POST /greeting/{name}", "PUT /forgotten"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_more_events_than_one_also_after_its_answer() {
    let auditor = Auditor::in_memory();
    let layer = AuditLayer::new(auditor.clone());
    let (late, later) = tokio::sync::oneshot::channel::<AuditContext>();
    let late = std::sync::Arc::new(std::sync::Mutex::new(Some(late)));
    let route = put(async move |context: AuditContext| {
        context.user("u-7", "demo-dev-1");
        context.event(Event::new("write", "group", "first"));
        let durable = context.complete(Event::new("view", "secret", "token"));
        assert!(durable.to_json().contains("demo-dev-1"));
        let id = context.member("request_id").unwrap().as_str().unwrap().to_owned();
        let _ = late.lock().unwrap().take().unwrap().send(context);
        id
    });
    let app = Router::new().route("/groups", route).layer(layer.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/groups", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    let request_id = http().put(url).send().await.unwrap().text().await.unwrap();
    later.await.unwrap().event(Event::new("write", "group", "second"));
    for target in ["first", "second"] {
        assert_audited!(auditor, "resource_target" => target, "user/username" => "demo-dev-1", "status_code" => 200,
            "request_id" => request_id.clone());
    }
    assert_eq!(auditor.taken().len(), 2);
    assert_eq!(layer.unaudited(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn background_work_has_an_outcome_too() {
    let site = Site::new().await;
    let work = || site.auditor.background::<Greeting>("autostop", "write").before(greeting("Hello"));
    work()
        .after(greeting("Bye"))
        .with("on_behalf_of", json!({"username": "demo-dev-2"}))
        .finish(200)
        .unwrap();
    work().cancel();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _work = work();
        panic!("the job has a fault");
    }));
    assert!(panicked.is_err());
    let events = site.recorded().await;
    assert_eq!(events.len(), 2, "{events:#?}");
    assert_eq!((&events[0]["status_code"], &events[1]["status_code"]), (&json!(200), &json!(500)));
    assert_eq!(events[0]["actor_type"], "system");
    assert_eq!(events[0]["on_behalf_of"]["username"], "demo-dev-2");
    assert_eq!(events[0]["additional_fields"]["automatic_subsystem"], "autostop");
    assert_eq!(events[0]["diff"]["text"]["new"], "Bye");
}
