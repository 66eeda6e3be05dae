//! The pages over HTTP, as a browser asks for them.

use annals_engine::{NewPerson, Principal, Role};
use reqwest::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, SET_COOKIE};
use reqwest::{RequestBuilder, Response};

use crate::support::TestServer;

const PASSWORD: &str = "correct horse battery";

/// Adds a person and signs them in; returns the cookie.
async fn sign_in(server: &TestServer, username: &str, role: Role) -> String {
    tokio::task::block_in_place(|| {
        let person = NewPerson { username, email: "", name: "", password: PASSWORD, role };
        server.engine.add_person(&Principal::operator(), &person).unwrap();
    });
    let response =
        post(server, "/login", &format!("username={username}&password={}", encode(PASSWORD))).await;
    assert_eq!(response.status(), 303);
    cookie(&response)
}

fn cookie(response: &Response) -> String {
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn post(server: &TestServer, path: &str, form: &str) -> Response {
    let request = server.http.post(format!("{}{path}", server.url));
    request
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.to_owned())
        .send()
        .await
        .unwrap()
}

fn get(server: &TestServer, cookie: &str, path: &str) -> RequestBuilder {
    server.http.get(format!("{}{path}", server.url)).header("cookie", cookie)
}

async fn page(server: &TestServer, cookie: &str, path: &str) -> (u16, String) {
    let response = get(server, cookie, path).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn location(response: &Response) -> &str {
    response.headers()[LOCATION].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_and_out_works() {
    let server = TestServer::start().await;
    let refused = get(&server, "", "/audit?filter=action%3Acreate").send().await.unwrap();
    assert_eq!(refused.status(), 303);
    assert_eq!(location(&refused), "/login?next=%2Faudit%3Ffilter%3Daction%253Acreate");
    let (_, form) = page(&server, "", location(&refused)).await;
    assert!(form.contains(r#"name="next" value="/audit?filter=action%3Acreate""#), "{form}");

    let session = sign_in(&server, "alice", Role::Auditor).await;
    let (status, html) = page(&server, &session, "/audit").await;
    assert_eq!(status, 200);
    assert!(html.contains("alice") && html.contains("logged in"));

    let next = "username=alice&password=wrong&next=%2Faudit%3Fpage%3D2";
    let mismatch = post(&server, "/login", next).await;
    assert_eq!(mismatch.status(), 401);
    assert!(!mismatch.headers().contains_key(SET_COOKIE));
    let html = mismatch.text().await.unwrap();
    assert!(html.contains("That name and password do not match. The attempt has been recorded."));
    assert!(
        html.contains(r#"value="alice""#)
            && html.contains(r#"value="/audit?page=2""#)
            && !html.contains("wrong")
    );
    assert_eq!(server.count("action:login outcome:denied").await, 1);

    let out =
        server.http.post(format!("{}/logout", server.url)).header("cookie", &session).send().await.unwrap();
    assert_eq!((out.status().as_u16(), location(&out)), (303, "/login"));
    assert!(out.headers()[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(get(&server, &session, "/audit").send().await.unwrap().status(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_kept_from_scripts_and_other_sites() {
    let server = TestServer::start().await;
    sign_in(&server, "alice", Role::Auditor).await;
    let response = post(&server, "/login", &format!("username=alice&password={}", encode(PASSWORD))).await;
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "loopback speaks plain HTTP: {cookie}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_leads_to_no_other_site() {
    let server = TestServer::start().await;
    sign_in(&server, "alice", Role::Auditor).await;
    let form = format!("username=alice&password={}&next=", encode(PASSWORD));
    for (next, expect) in [
        ("/audit?page=2", "/audit?page=2"),
        ("//evil.example", "/audit"),
        ("/\\evil.example", "/audit"),
        ("https://evil.example", "/audit"),
        ("/\n/evil.example", "/audit"),
        ("/logout", "/audit"),
        ("/é", "/audit"),
    ] {
        let response = post(&server, "/login", &format!("{form}{}", encode(next))).await;
        assert_eq!((response.status().as_u16(), location(&response)), (303, expect), "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_sees_no_log_and_is_told_what_to_do() {
    let server = TestServer::start().await;
    let session = sign_in(&server, "mel", Role::Member).await;
    for path in ["/audit", "/audit?filter=nonsense:x", "/audit/events/0198aaaa-5d0c-7c3e-9b1f-2f64a0d7c581"] {
        let (status, html) = page(&server, &session, path).await;
        assert_eq!(status, 403, "{path}");
        assert!(
            html.starts_with("<!doctype html>") && html.contains("site manager") && html.contains("Sign out")
        );
        assert!(!html.contains("logged in"));
    }
    assert_eq!(page(&server, &session, "/audit/tracked").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_person_is_set_up_once() {
    let server = TestServer::start().await;
    let secret = server.engine.setup_secret().unwrap().unwrap().reveal().to_owned();
    assert_eq!(page(&server, "", "/setup?secret=wrong").await.0, 403);
    assert_eq!(page(&server, "", "/setup").await.0, 403);
    let (status, html) = page(&server, "", &format!("/setup?secret={secret}")).await;
    assert!(status == 200 && html.contains(&secret));

    let form = |password: &str, again: &str| {
        format!("secret={secret}&username=first&password={}&again={}", encode(password), encode(again))
    };
    for (password, again, expect) in
        [("correct horse", "other horse", "The two passwords differ."), ("short", "short", "A password has")]
    {
        let response = post(&server, "/setup", &form(password, again)).await;
        assert_eq!(response.status(), 422);
        let html = response.text().await.unwrap();
        assert!(html.contains(expect) && html.contains(r#"value="first""#), "{html}");
    }
    let done = post(&server, "/setup", &form(PASSWORD, PASSWORD)).await;
    assert_eq!((done.status().as_u16(), location(&done)), (303, "/audit"));
    let (status, html) = page(&server, &cookie(&done), "/audit").await;
    assert!(status == 200 && html.contains("No application has sent an event yet"));

    let again = post(&server, "/setup", &form(PASSWORD, PASSWORD)).await;
    assert_eq!(again.status(), 403);
    assert!(again.text().await.unwrap().contains("restart"));
    assert_eq!(page(&server, "", &format!("/setup?secret={secret}")).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_are_paged_and_errors_are_shown_where_they_are() {
    let server = TestServer::start().await;
    let session = sign_in(&server, "alice", Role::Auditor).await;
    let event = |at: u32| {
        format!(
            r#"{{"action":"create","resource_type":"workspace","resource_target":"web-{at}","user":{{"username":"bob"}},"ip":"192.0.2.7","time":"2026-01-02T03:04:{:02}Z"}}"#,
            at % 60,
        )
    };
    let events: Vec<String> = (0..60).map(event).collect();
    assert_eq!(server.post_events(format!("[{}]", events.join(","))).await.status(), 201);

    let (status, html) =
        page(&server, &session, "/audit?filter=resource_type:workspace%20username:bob").await;
    assert_eq!(status, 200);
    assert!(html.contains(r#"<b class="num">60</b> events · exact"#));
    assert!(html.contains(r#"<b class="num">1–25</b> of <b class="num">60</b>"#));
    assert!(html.contains("Friday 2 January 2026") && html.contains(r#"datetime="2026-01-02T03:04:59Z""#));
    assert!(html.contains("/audit?filter=resource_type:workspace%20username:bob&#38;page=2"));
    assert_eq!(html.matches("<article").count(), 25);
    // The menu of actions keeps every other word.
    assert!(html.contains("/audit?filter=resource_type:workspace%20username:bob%20action:delete"));

    let (_, html) = page(&server, &session, "/audit?q=username:bob&page=3").await;
    assert!(html.contains("51–60") && html.matches("<article").count() == 10);
    let (status, html) = page(&server, &session, "/audit?q=username:bob&page=99").await;
    assert!(
        status == 200
            && html.contains("No events on this page")
            && html.contains(r#"href="/audit?filter=username:bob""#)
    );
    let (_, html) = page(&server, &session, "/audit?filter=username:nobody").await;
    assert!(html.contains("No event matches this search"));

    let (status, html) = page(&server, &session, "/audit?filter=acton:create%20action:craete").await;
    assert_eq!(status, 400);
    assert!(html.contains(r#"<u class="k">acton</u>"#) && html.contains("The query has errors"));
    assert!(html.contains(
        r#"<a class="btn" href="/audit?filter=action:create%20action:craete">Use <code>action</code></a>"#
    ));
    assert!(html.contains(
        r#"<a class="btn primary" href="/audit?filter=action:create%20action:create">Fix all</a>"#
    ));
    assert_eq!(html.matches("<article").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_a_page_or_a_part_of_one() {
    let server = TestServer::start().await;
    let session = sign_in(&server, "alice", Role::Auditor).await;
    let id = "0198aaaa-5d0c-7c3e-9b1f-2f64a0d7c581";
    let event = format!(
        r#"{{"id":"{id}","action":"write","resource_type":"git_ssh_key","resource_target":"k","user":{{"username":"bob"}},
        "before":{{"public_key":"old words here","private_key":"S3CRET-OLD"}},
        "after":{{"public_key":"new words here","private_key":"S3CRET-NEW"}},"request_id":"6f1c7a52-8e0b-4c55-a3b9-90d1e2f4bb07"}}"#
    );
    assert_eq!(server.post_events(event).await.status(), 201);

    let path = format!("/audit/events/{id}");
    let (status, html) = page(&server, &session, &path).await;
    assert_eq!(status, 200);
    assert!(html.starts_with("<!doctype html>") && html.contains("<h1>bob updated the git ssh key</h1>"));
    assert!(html.contains("<del>old</del> words here") && html.contains("<ins>new</ins> words here"));
    assert!(html.contains("changed, value withheld") && !html.contains("S3CRET"));
    assert!(html.contains("/audit?filter=request_id:6f1c7a52-8e0b-4c55-a3b9-90d1e2f4bb07"));

    let part = get(&server, &session, &path).header("hx-request", "true").send().await.unwrap();
    assert_eq!(part.headers()["vary"], "HX-Request");
    let part = part.text().await.unwrap();
    assert!(
        part.starts_with(r#"<div class="detail">"#) && part.contains("Permalink") && !part.contains("<html")
    );
    let boosted = get(&server, &session, &path).header("hx-request", "true").header("hx-boosted", "true");
    assert!(boosted.send().await.unwrap().text().await.unwrap().starts_with("<!doctype html>"));

    for unknown in ["/audit/events/0198aaaa-5d0c-7c3e-9b1f-000000000000", "/audit/events/nonsense"] {
        let (status, html) = page(&server, &session, unknown).await;
        assert!(status == 404 && html.contains("There is no such event"));
        let part = get(&server, &session, unknown).header("hx-request", "true").send().await.unwrap();
        assert_eq!(part.status(), 404);
        assert!(part.text().await.unwrap().starts_with(r#"<div class="detail">"#));
    }
    // A part asked for without a session sends the whole page to the log-in, and back.
    let login = server.http.get(format!("{}/login?next=%2F", server.url)).header("hx-request", "true");
    let login = login.header("hx-current-url", format!("{}/audit?page=2", server.url)).send().await.unwrap();
    assert_eq!(login.headers()["hx-redirect"], "/login?next=/audit%3Fpage%3D2");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_an_event_becomes_markup() {
    let server = TestServer::start().await;
    let session = sign_in(&server, "alice", Role::Auditor).await;
    let id = "0198bbbb-5d0c-7c3e-9b1f-2f64a0d7c581";
    let bad = |name: &str| format!(r#"\"'><script>{name}</script><img src=x onerror={name}>{{target}}"#);
    let actor = |name: &str| {
        let [id, user, mail, full] =
            ["id", "user", "mail", "full"].map(|part| bad(&format!("{name}-{part}")));
        format!(
            r#"{{"id":"{id}","username":"{user}","email":"{mail}","name":"{full}","roles":["{}"]}}"#,
            bad("role")
        )
    };
    let event = format!(
        r#"{{"id":"{id}","action":"write","resource_type":"template","resource_target":"{}","resource_id":"{}",
        "resource_icon":"{}","user":{},"impersonator":{},"on_behalf_of":{},
        "organization":{{"id":"{}","name":"{}","display_name":"{}","icon":"{}"}},"user_agent":"{}","source":"{}",
        "build_reason":"{}","after":{{"name":"{}","description":["{}"],"user_acl":{{"{}":"{}"}},"{}":1}},
        "additional_fields":{{"{}":"</pre>{}","automatic_actor":"{}"}}}}"#,
        bad("target"),
        bad("rid"),
        bad("icon"),
        actor("user"),
        actor("impersonator"),
        actor("behalf"),
        bad("oid"),
        bad("oname"),
        bad("odisplay"),
        bad("oicon"),
        bad("agent"),
        bad("source"),
        bad("reason"),
        bad("value"),
        bad("item"),
        bad("key"),
        bad("inner"),
        bad("field"),
        bad("akey"),
        bad("avalue"),
        bad("automatic"),
    );
    let response = server.post_events(event).await;
    let status = response.status();
    assert_eq!(status, 201, "{}", response.text().await.unwrap());

    let query = encode("\"'><script>query</script> resource_type:\"'><script>x</script>");
    for path in [
        "/audit".to_owned(),
        format!("/audit/events/{id}"),
        format!("/audit?filter={query}"),
        format!("/login?next={query}"),
        "/audit/tracked".to_owned(),
    ] {
        let (_, html) = page(&server, &session, &path).await;
        assert_no_markup(&path, &html);
    }
    let part = get(&server, &session, &format!("/audit/events/{id}")).header("hx-request", "true");
    assert_no_markup("part", &part.send().await.unwrap().text().await.unwrap());
    let login = post(&server, "/login", &format!("username={query}&password=x&next={query}")).await;
    assert_no_markup("login", &login.text().await.unwrap());
    let host = get(&server, &session, "/audit").header("host", "x<script>").send().await.unwrap();
    assert_no_markup("host", &host.text().await.unwrap());
}

fn assert_no_markup(what: &str, html: &str) {
    for script in html.match_indices("<script") {
        assert!(
            html[script.0..].starts_with("<script src=\"/assets/"),
            "{what}: {}",
            &html[script.0..][..60]
        );
    }
    for forbidden in ["<img", "onerror=\"", " style=\"", "<style", "javascript:"] {
        assert!(!html.contains(forbidden), "{what}: {forbidden}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_the_headers_that_guard_it() {
    let server = TestServer::start().await;
    let session = sign_in(&server, "alice", Role::SiteManager).await;
    for path in [
        "/login",
        "/setup",
        "/audit",
        "/audit?filter=x:y",
        "/audit/tracked",
        "/audit/query-help",
        "/audit/events/x",
    ] {
        let response = get(&server, &session, path).send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("cache-control"), "no-store");
        if path != "/login" {
            assert!(header("content-type").starts_with("text/html"), "{path}");
        }
    }
    let foreign = server.http.post(format!("{}/login", server.url)).header("sec-fetch-site", "cross-site");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_have_a_limit() {
    let server = TestServer::start().await;
    let response = post(&server, "/login", &format!("username={}", "x".repeat(64 * 1024))).await;
    assert_eq!(response.status(), 413);
    assert!(response.text().await.unwrap().starts_with("<!doctype html>"));
    let response = server.http.post(format!("{}/login", server.url)).body("{}").send().await.unwrap();
    assert_eq!(response.status(), 415);
}
