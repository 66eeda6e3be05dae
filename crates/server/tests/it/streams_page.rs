//! Manage > Streams: set up, changed, looked after and deleted by forms, without a script.

use std::sync::Arc;
use std::time::{Duration, Instant};

use annals_engine::{
    NewStream, Options, Principal, Role, SinkSettings, Stream, StreamId, StreamPolicy, StreamService,
    StreamStart, StreamState, StreamStatus,
};
use annals_model::formats::EventFormat;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;

use crate::audit_page::open_on;
use crate::signed_in::Browser;
use crate::support::{TestServer, json, signing, template_event};

const TOKEN: &str = "12345678-demo-token-of-splunk";
/// What the form of Splunk is sent with.
const SPLUNK: [(&str, &str); 8] = [
    ("kind", "splunk"),
    ("name", "siem"),
    ("set.url", "https://splunk.example.com:8088"),
    ("set.token", TOKEN),
    ("set.acknowledge", "true"),
    ("format", "ecs"),
    ("from", "beginning"),
    ("paused", "true"),
];

fn on(server: &TestServer) -> Vec<StreamStatus> {
    tokio::task::block_in_place(|| server.engine.streams(&Principal::operator()).unwrap())
}

/// The stream of a name.
fn stream(server: &TestServer, name: &str) -> Stream {
    on(server).into_iter().find(|status| status.stream.name == name).unwrap().stream
}

/// A stream of the operator.
fn of_operator(server: &TestServer, name: &str, kind: &str, settings: &[(&str, &str)]) -> StreamId {
    let mut given = SinkSettings::default();
    for (name, value) in settings {
        given.set(name, value);
    }
    let new = NewStream {
        name,
        kind,
        query: "",
        format: EventFormat::Native,
        parallel: 1,
        silence_seconds: 90,
        settings: given,
        start: StreamStart::Beginning,
        is_paused: true,
    };
    tokio::task::block_in_place(|| server.engine.create_stream(&Principal::operator(), &new).unwrap().0.id)
}

/// With others in the place of some fields.
fn with<'f>(fields: &[(&'f str, &'f str)], others: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let mut fields = fields.to_vec();
    for (name, value) in others {
        fields.retain(|(given, _)| given != name);
        fields.push((name, value));
    }
    fields
}

/// The field of a name, as it stands in a page.
fn field<'p>(page: &'p str, name: &str) -> &'p str {
    let from = page.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("no field {name}: {page}"));
    &page[from..from + page[from..].find("</div>").unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_set_up_changed_paused_and_deleted() {
    let server = TestServer::start().await;
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await;
    let (_, page) = manager.page("/streams").await;
    assert!(page.contains("No stream is set up yet") && page.contains("href=\"/streams/new\""), "{page}");
    let (status, page) = manager.page("/streams/new").await;
    assert_eq!(status, 200);
    for kind in ["splunk", "webhook", "syslog", "otlp", "s3"] {
        assert!(page.contains(&format!("/streams/new?kind={kind}\"")), "{kind}: {page}");
        assert_eq!(manager.page(&format!("/streams/new?kind={kind}")).await.0, 200, "{kind}");
    }
    assert!(!page.contains("kind=files") && !page.contains("kind=log"), "{page}");
    let (_, page) = manager.page("/streams/new?kind=splunk").await;
    assert!(field(&page, "set.acknowledge").contains(" checked"), "{page}");
    assert!(field(&page, "set.token").contains("type=\"password\""), "{page}");
    assert!(field(&page, "set.sourcetype").contains("placeholder=\"annals:audit\""), "{page}");

    let location = manager.done("/streams", &SPLUNK).await;
    let path = location.strip_suffix("?done=added").unwrap();
    let (_, page) = manager.page(&location).await;
    for part in
        ["Paused", "Resume", "kept, not shown", "https://splunk.example.com:8088", "Elastic Common Schema"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (_, list) = manager.page("/streams").await;
    assert!(list.contains(">siem</a>") && list.contains("all events") && list.contains("Paused"), "{list}");
    assert_eq!(server.count("resource_type:stream action:create resource_target:siem").await, 1);

    // Resumed and paused.
    assert!(manager.done(&format!("{path}/resume"), &[]).await.ends_with("?done=resumed"));
    assert!(!stream(&server, "siem").is_paused);
    assert!(manager.done(&format!("{path}/pause"), &[]).await.ends_with("?done=paused"));
    assert!(manager.page(&format!("{path}?done=paused")).await.1.contains("nothing is lost meanwhile"));

    // Changed; the secret is kept.
    let (_, page) = manager.page(&format!("{path}/edit")).await;
    assert!(field(&page, "name").contains("value=\"siem\""), "{page}");
    assert!(field(&page, "set.token").contains("value=\"\""), "{page}");
    assert!(field(&page, "set.token").contains("kept"), "{page}");
    let before = stream(&server, "siem");
    let change = [
        ("name", "siem-2"),
        ("query", "action:delete"),
        ("format", "ocsf"),
        ("parallel", "4"),
        ("silence", "0"),
        ("set.url", "https://splunk.example.com:8088"),
        ("set.token", ""),
        ("set.index", "audit"),
        ("set.acknowledge_seconds", "120"),
    ];
    assert_eq!(manager.done(&format!("{path}/edit"), &change).await, format!("{path}?done=saved"));
    let after = stream(&server, "siem-2");
    assert_eq!((after.query.as_str(), after.format.as_str(), after.parallel), ("action:delete", "ocsf", 4));
    assert_eq!(after.silence_seconds, 0);
    assert!(
        after.settings.contains("\"index\":\"audit\"")
            && after.settings.contains("\"acknowledge\":\"false\"")
    );
    assert!(!before.secrets.is_empty() && !after.secrets.is_empty());

    // Where it goes is not changed without its secret; everything else is kept for the second try.
    let moved = with(&change, &[("set.url", "https://elsewhere.example.com"), ("set.index", "other")]);
    let (status, _, page) = manager.send(&format!("{path}/edit"), &moved).await;
    assert_eq!(status, 422);
    assert!(field(&page, "set.token").contains("Give it again"), "{page}");
    assert!(field(&page, "set.url").contains("value=\"https://elsewhere.example.com\""), "{page}");
    assert!(field(&page, "set.index").contains("value=\"other\""), "{page}");
    let moved = with(&moved, &[("set.token", "another-token")]);
    manager.done(&format!("{path}/edit"), &moved).await;
    assert!(stream(&server, "siem-2").settings.contains("elsewhere"));

    assert_eq!(manager.done(&format!("{path}/delete"), &[]).await, "/streams?done=deleted");
    assert!(on(&server).is_empty());
    assert_eq!(manager.page(path).await.0, 404);
    assert_eq!(server.count("resource_type:stream action:delete").await, 1);
    for secret in [TOKEN, "another-token"] {
        let found = server.search("resource_type:stream").await.to_string();
        assert!(!found.contains(secret), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_stand_at_their_fields_and_values_stay() {
    let server = TestServer::start().await;
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await;
    let (status, _, page) = manager
        .send(
            "/streams",
            &with(
                &SPLUNK,
                &[
                    ("name", " "),
                    ("query", "resource_tpye:x"),
                    ("parallel", "many"),
                    ("silence", "-1"),
                    ("from", "now"),
                    ("from_date", "2026-01-31"),
                    ("set.url", ""),
                    ("set.timeout", "601"),
                    ("set.ca", "-----BEGIN\r\nMII&<>"),
                ],
            ),
        )
        .await;
    assert_eq!(status, 422);
    for (name, fault) in [
        ("name", "needs a name"),
        ("query", "Did you mean"),
        ("parallel", "from 1 to 32"),
        ("silence", "0 for never"),
        ("from_date", "from a date"),
        ("set.url", "Must be given"),
        ("set.timeout", "from 1 to 600"),
    ] {
        let field = field(&page, name);
        assert!(field.contains(fault) && field.contains("aria-invalid=\"true\""), "{fault}: {field}");
    }
    assert!(field(&page, "query").contains("value=\"resource_tpye:x\""), "{page}");
    assert!(field(&page, "set.ca").contains(">\n-----BEGIN\nMII&#38;&#60;&#62;</textarea>"), "{page}");
    assert!(page.contains("<option value=\"ecs\" selected>") && !page.contains(TOKEN), "{page}");
    assert!(page.contains("<details class=\"box\" open>"), "{page}");
    assert!(on(&server).is_empty());

    // One that only the engine finds, with the others in order.
    for (others, name, fault) in [
        (vec![("query", "action:delte AND (")], "query", "wrong"),
        (vec![("parallel", "33")], "parallel", "to 32"),
        (vec![("set.url", "nonsense")], "set.url", "wrong"),
        (vec![("set.ca", "nonsense")], "set.ca", "PEM"),
        (vec![("format", "morse")], "format", "Choose one"),
    ] {
        let (status, _, page) = manager.send("/streams", &with(&SPLUNK, &others)).await;
        assert_eq!(status, 422, "{others:?}");
        assert!(field(&page, name).contains(fault), "{}", field(&page, name));
        assert!(field(&page, "name").contains("value=\"siem\"") && !page.contains(TOKEN), "{page}");
    }
    manager.done("/streams", &SPLUNK).await;
    let (status, _, page) = manager.send("/streams", &with(&SPLUNK, &[("name", "SIEM")])).await;
    assert!(status == 422 && field(&page, "name").contains("exists already"), "{page}");
    assert_eq!(on(&server).len(), 1);
    // A form that no page sends.
    let large = "x".repeat(300 * 1024);
    assert_eq!(manager.send("/streams", &with(&SPLUNK, &[("set.ca", &large)])).await.0, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_works_with_the_servers_rights_is_the_operators() {
    let server = TestServer::start().await;
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await;
    for kind in ["files", "log"] {
        let (status, page) = manager.page(&format!("/streams/new?kind={kind}")).await;
        assert!(status == 403 && page.contains("only its operator sets one up"), "{page}");
        let fields = [("kind", kind), ("name", "mine"), ("set.to", "/etc/passwd"), ("set.directory", "/etc")];
        let (status, _, page) = manager.send("/streams", &fields).await;
        assert!(status == 403 && page.contains("only its operator sets one up"), "{page}");
    }
    let (status, page) = manager.page("/streams/new?kind=%3Cxmp%3E").await;
    assert!(status == 422 && page.contains("is no kind of receiver") && !page.contains("<xmp>"), "{page}");
    assert!(on(&server).is_empty());

    let url = [("url", "https://hooks.example.com/annals")];
    let id = of_operator(&server, "theirs", "webhook", &url);
    let path = format!("/streams/{}", id.0);
    let (_, page) = manager.page(&path).await;
    assert!(page.contains("The operator set this stream up"), "{page}");
    for part in ["/edit\"", "/secret/rotate", "/secret/finish", "/delete", "/discard"] {
        assert!(!page.contains(part), "{part}: {page}");
    }
    assert!(manager.page("/streams").await.1.contains("operator’s"));
    assert_eq!(manager.page(&format!("{path}/edit")).await.0, 403);
    for action in ["edit", "secret/rotate", "secret/finish", "delete", "dead-letters/discard"] {
        let (status, _, page) = manager.send(&format!("{path}/{action}"), &[("name", "mine")]).await;
        assert!(status == 403 && page.contains("set up by the operator"), "{action}: {page}");
    }
    assert_eq!(stream(&server, "theirs").revision, 1);
    manager.done(&format!("{path}/resume"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_once_and_never_again() {
    let server = TestServer::start().await;
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await;
    let fields = [
        ("kind", "webhook"),
        ("name", "hook"),
        ("set.url", "https://hooks.example.com/annals"),
        ("set.headers", "Authorization: Bearer demo-header-secret"),
        ("paused", "true"),
    ];
    let (status, _, page) = manager.send("/streams", &fields).await;
    assert_eq!(status, 200, "{page}");
    let secret = |page: &str| {
        let from = page.find("<code class=\"secret\">").unwrap() + "<code class=\"secret\">".len();
        page[from..from + page[from..].find('<').unwrap()].to_owned()
    };
    let first = secret(&page);
    assert!(first.starts_with("whsec_") && page.contains("shown this once"), "{page}");
    let path = format!("/streams/{}", stream(&server, "hook").id.0);
    let (status, _, page) = manager.send(&format!("{path}/secret/rotate"), &[]).await;
    let second = secret(&page);
    assert!(status == 200 && second != first && !page.contains(&first), "{page}");
    assert!(manager.done(&format!("{path}/secret/finish"), &[]).await.ends_with("?done=rotated"));

    let mut seen = server.search("resource_type:stream").await.to_string();
    let edit = format!("{path}/edit");
    for page in ["/streams", &path, &edit, "/audit?filter=resource_type:stream"] {
        seen.push_str(&manager.page(page).await.1);
    }
    // A form that is refused does not give back what was sent either.
    let (_, _, page) =
        manager.send(&edit, &[("set.secret", "whsec_demo-wrong"), ("set.headers", "demo wrong")]).await;
    seen.push_str(&page);
    let response = server.get("/api/v2/audit/streams/hook/manifests").send().await.unwrap();
    seen.push_str(&response.text().await.unwrap());
    for secret in [first.as_str(), &second, "demo-header-secret", "whsec_demo-wrong", "demo wrong"] {
        assert!(!seen.contains(secret), "{secret}");
    }
    // Taken back, because the form says so.
    let change =
        [("name", "hook"), ("set.url", "https://hooks.example.com/annals"), ("remove.set.headers", "true")];
    let before = stream(&server, "hook").secrets.len();
    manager.done(&edit, &with(&change, &[("silence", "15")])).await;
    assert!(stream(&server, "hook").secrets.len() < before);

    // Only webhooks sign.
    manager.done("/streams", &SPLUNK).await;
    let path = format!("/streams/{}", stream(&server, "siem").id.0);
    let (status, _, page) = manager.send(&format!("{path}/secret/rotate"), &[]).await;
    assert!(status == 422 && page.contains("only webhooks") | page.contains("Only webhooks"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_checked_and_given_up() {
    let server = TestServer::start().await;
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await;
    manager.done("/streams", &with(&SPLUNK, &[("from", "now")])).await;
    let path = format!("/streams/{}", stream(&server, "siem").id.0);
    let replay = format!("{path}/replay");
    for (fields, fault) in [
        (vec![("from", "date")], "A date such as"),
        (vec![("from", "beginning"), ("from_seq", "3")], "from a seq"),
        (vec![("from", "seq"), ("from_seq", "999999")], "has not sent seq"),
        (vec![("from", "beginning"), ("until_seq", "x")], "must be a whole number"),
        (vec![("from", "beginning"), ("query", "nokey:value")], "nokey"),
        (vec![("from", "moon")], "Choose where to begin"),
    ] {
        let (status, _, page) = manager.send(&replay, &fields).await;
        assert!(status == 422 && page.contains(fault), "{fault}: {page}");
    }
    let (_, _, page) =
        manager.send(&replay, &[("from", "seq"), ("from_seq", "x"), ("query", "action:create")]).await;
    assert!(page.contains("value=\"action:create\"") && page.contains("value=\"seq\" selected"), "{page}");

    let none = [("from", "beginning"), ("query", "resource_target:nothing-of-that-name")];
    assert!(manager.done(&replay, &none).await.ends_with("?done=replay-empty"));
    let some = [("from", "seq"), ("from_seq", "0"), ("until_seq", "1")];
    assert!(manager.done(&replay, &some).await.ends_with("?done=replayed"));
    let (_, page) = manager.page(&format!("{path}?done=replayed")).await;
    assert!(page.contains("seq 0 to 1") && page.contains("0 %"), "{page}");
    assert_eq!(on(&server)[0].replays.len(), 1);
    assert!(manager.done(&format!("{replay}/cancel"), &[]).await.ends_with("?done=replays-ended"));
    assert!(manager.done(&format!("{replay}/cancel"), &[]).await.ends_with("?done=nothing"));
    assert!(on(&server)[0].replays.is_empty());
}

/// What receivers answer here: what they say stands on pages.
const SAYS: &str = "<img src=x onerror=alert(1)>";

/// A receiver on loopback that answers every request alike.
async fn receiver(status: StatusCode) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(move || async move { (status, SAYS) }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// Waits until the first stream is as it should be.
async fn until(server: &TestServer, is_so: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
    let begun = Instant::now();
    loop {
        let status = on(server).remove(0);
        if is_so(&status) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_and_manifests_are_looked_after() {
    let server = TestServer::start_with_options(near()).await;
    let policy = StreamPolicy { manifest_seqs: 1, manifest_every: Duration::from_millis(1) };
    let mut sending = StreamService::start(Arc::clone(&server.engine), policy).unwrap();
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await;
    assert_eq!(server.post_events(template_event("refused", "")).await.status(), 201);
    let url = receiver(StatusCode::BAD_REQUEST).await;
    let fields = [
        ("kind", "webhook"),
        ("name", "a/b ?"),
        ("query", "resource_type:template"),
        ("from", "beginning"),
        ("set.url", &url),
    ];
    let (status, _, page) = manager.send("/streams", &fields).await;
    assert_eq!(status, 200, "{page}");
    let status = until(&server, |status| status.dead_letters.all == 1).await;
    let path = format!("/streams/{}", status.stream.id.0);
    let (_, page) = manager.page(&path).await;
    let letters = &page[page.find("id=\"dead-letters\"").unwrap()..];
    assert!(letters.contains("onerror") && !letters.contains("<img"), "{letters}");
    assert!(letters.contains("400") && letters.contains("/audit?filter=seq:"), "{letters}");
    assert!(manager.page("/streams").await.1.contains(&format!("{path}#dead-letters")));
    let seq = letters.split("name=\"seq\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let (_, event) = manager.page(&format!("/audit?filter=seq:{seq}")).await;
    assert!(event.contains("refused"), "{event}");

    let (status, _, page) = manager.send(&format!("{path}/dead-letters/discard"), &[("seq", "x")]).await;
    assert!(status == 422 && page.contains("a whole number"), "{page}");
    let none = [("seq", "4711")];
    let (status, _, page) = manager.send(&format!("{path}/dead-letters/discard"), &none).await;
    assert!(status == 422 && page.contains("4711 is no dead letter"), "{page}");
    let one = [("seq", seq)];
    assert!(manager.done(&format!("{path}/dead-letters/resend"), &one).await.ends_with("?done=resent"));
    until(&server, |status| status.dead_letters.due == 0).await;
    assert!(manager.done(&format!("{path}/dead-letters/discard"), &[]).await.ends_with("?done=discarded"));
    until(&server, |status| status.dead_letters.all == 0).await;

    // A manifest was closed and signed meanwhile.
    let operator = Principal::operator();
    let id = stream(&server, "a/b ?").id;
    let begun = Instant::now();
    let is_signed = || {
        let manifests =
            tokio::task::block_in_place(|| server.engine.stream_manifests(&operator, &id, 9).unwrap());
        manifests.iter().any(|manifest| !manifest.note.is_empty())
    };
    while !is_signed() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing was signed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sending.stop();
    let (_, page) = manager.page(&path).await;
    let link = page.split("href=\"").find(|part| part.starts_with("/api/")).unwrap();
    let (status, note) = manager.page(link.split('"').next().unwrap()).await;
    assert!(
        status == 200 && note.starts_with("annals stream manifest v1\n") && note.contains("\n\n\u{2014} "),
        "{note}"
    );
    let list = json(server.get("/api/v2/audit/streams/a%2Fb%20%3F/manifests").send().await.unwrap()).await;
    let newest = list[0].clone();
    assert!(newest["number"].as_u64().unwrap() >= 1 && newest["event_count"].is_u64(), "{list}");
    let one = server.get("/api/v2/audit/streams/a%2Fb%20%3F/manifests/1").send().await.unwrap();
    assert_eq!(one.headers()["content-type"], "text/plain; charset=utf-8");
    for path in
        ["nothing/manifests", "a%2Fb%20%3F/manifests/0", "a%2Fb%20%3F/manifests/x", "nothing/manifests/1"]
    {
        let response = server.get(&format!("/api/v2/audit/streams/{path}")).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_stream_says_why() {
    let server = TestServer::start_with_options(near()).await;
    let _sending = StreamService::start(Arc::clone(&server.engine), StreamPolicy::default()).unwrap();
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await;
    let url = receiver(StatusCode::SERVICE_UNAVAILABLE).await;
    let fields = [("kind", "webhook"), ("name", "hook"), ("from", "beginning"), ("set.url", &url)];
    assert_eq!(manager.send("/streams", &fields).await.0, 200);
    let status = until(&server, |status| status.state == StreamState::Failing).await;
    let (_, list) = manager.page("/streams").await;
    assert!(list.contains(">Failing<") && list.contains("503") && list.contains("#fail"), "{list}");
    let (_, page) = manager.page(&format!("/streams/{}", status.stream.id.0)).await;
    assert!(page.contains("Nothing gets through") && page.contains("503"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_site_managers_see_the_entry() {
    let server = TestServer::start().await;
    let auditor = Browser::new(&server, "demo-auditor", Role::Auditor).await;
    assert!(!auditor.page("/audit").await.1.contains("href=\"/streams\""));
    assert_eq!(auditor.page("/streams").await.0, 403);
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await;
    assert!(manager.page("/audit").await.1.contains("href=\"/streams\""));
}

/// Loopback may be reached by streams of the page.
fn near() -> Options {
    Options { stream_networks: vec!["127.0.0.0/8".parse().unwrap()], ..signing() }
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_and_nothing_is_wider_than_a_phone() {
    let server = TestServer::start_with_options(near()).await;
    let window = open_on(&server, "/audit").await;
    let policy = StreamPolicy { manifest_seqs: 1, manifest_every: Duration::from_millis(1) };
    let _sending = StreamService::start(Arc::clone(&server.engine), policy).unwrap();
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await;
    let (refuses, fails) =
        (receiver(StatusCode::BAD_REQUEST).await, receiver(StatusCode::SERVICE_UNAVAILABLE).await);
    let certificate = rcgen::generate_simple_self_signed(["receiver.example".to_owned()]).unwrap().cert.pem();
    let long = "a-name-without-a-place-to-break-it-which-is-as-long-as-it-may-be";
    for (name, url, query) in [
        ("refuses", &refuses, "resource_target:thing-1"),
        (long, &fails, "resource_type:workspace,template action:create,write,delete"),
    ] {
        let fields = [
            ("kind", "webhook"),
            ("name", name),
            ("query", query),
            ("from", "beginning"),
            ("set.url", url.as_str()),
            ("set.ca", &certificate),
        ];
        let (status, _, page) = manager.send("/streams", &fields).await;
        assert_eq!(status, 200, "{page}");
    }
    manager.done("/streams", &SPLUNK).await;
    let begun = Instant::now();
    while on(&server).iter().map(|status| status.dead_letters.all).sum::<u64>() == 0
        || !on(&server).iter().any(|status| status.state == StreamState::Failing)
    {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", on(&server));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let path = |name: &str| format!("/streams/{}", stream(&server, name).id.0);
    manager.done(&format!("{}/replay", path("siem")), &[("from", "beginning")]).await;
    let paths = [
        "/streams".to_owned(),
        path("refuses"),
        path(long),
        path("siem"),
        format!("{}/edit", path("siem")),
        format!("{}/edit", path("refuses")),
    ];
    let axe = annals_testparts::axe_script();
    let mut found = Vec::new();
    for (width, scheme) in [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")] {
        let metrics =
            serde_json::json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        window.command("Emulation.setDeviceMetricsOverride", metrics).await;
        let media = serde_json::json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        window.command("Emulation.setEmulatedMedia", media).await;
        for path in &paths {
            window.go(&format!("{}{path}", server.url)).await;
            window.run("document.querySelectorAll('main details').forEach(part => part.open = true)").await;
            for barrier in window.barriers(&axe).await {
                found.push(format!("{path} {width} {scheme}: {barrier}"));
            }
            let wide = window.run("return document.documentElement.scrollWidth > innerWidth").await;
            assert_eq!(wide, false, "{path} {width}");
        }
        // A form with faults.
        window.go(&format!("{}/streams/new?kind=splunk", server.url)).await;
        window.run("document.querySelector('.stream-form').noValidate = true").await;
        window.click(".stream-form .primary", "see the marked fields").await;
        for barrier in window.barriers(&axe).await {
            found.push(format!("faults {width} {scheme}: {barrier}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let refused = |told: &String| told.contains("status of 422");
    let told: Vec<_> = window.complaints().await.into_iter().filter(|told| !refused(told)).collect();
    assert!(told.is_empty(), "{told:#?}");
}
