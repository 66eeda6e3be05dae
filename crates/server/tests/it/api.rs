//! The JSON API over real HTTP: shapes, credentials, limits, stopping.

use std::io::Write as _;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

use crate::support::{TestServer, json, template_event};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_and_found() {
    let server = TestServer::start().await;
    let reply = server.post_events(template_event("docker", r#""user":{"username":"demo-dev-1"}"#)).await;
    assert_eq!(reply.status(), StatusCode::CREATED);
    let reply = json(reply).await;
    assert_eq!((&reply["accepted"], &reply["duplicates"]), (&json!(1), &json!(0)));
    let id = reply["events"][0]["id"].as_str().unwrap();

    let found = server.search("resource_type:template username:DEMO-dev-1").await;
    assert_eq!((&found["count"], &found["count_cap"]), (&json!(1), &json!(0)));
    assert_eq!(found["audit_logs"][0]["id"], id);
    let one = json(server.get(&format!("/api/v2/audit/{id}")).send().await.unwrap()).await;
    assert_eq!(one, found["audit_logs"][0]);
    for missing in ["019a0000-0000-7000-8000-000000000000", "x"] {
        let reply = server.get(&format!("/api/v2/audit/{missing}")).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_over_time_and_by_value_are_exact() {
    let server = TestServer::start().await;
    let event = |day: u32, user: &str| {
        let more = format!(r#""time":"2026-05-{day:02}T12:00:00Z","user":{{"username":"{user}"}}"#);
        template_event("docker", &more)
    };
    let lines = [event(1, "demo-a"), event(1, "Demo-B"), event(3, "demo-b"), event(30, "demo-c")].join("\n");
    assert_eq!(server.post_events(lines).await.status(), 201);

    let get = async |path: &str| {
        let reply = server.get(path).send().await.unwrap();
        (reply.status().as_u16(), json(reply).await)
    };
    let (_, found) =
        get("/api/v2/audit/histogram?q=resource_type:template&bucket=1d&to=2026-05-04T00:00:00Z").await;
    let expect = json!({"bucket": "1d", "count": 3, "buckets": [
        {"start": "2026-05-01T00:00:00Z", "count": 2},
        {"start": "2026-05-02T00:00:00Z", "count": 0},
        {"start": "2026-05-03T00:00:00Z", "count": 1},
    ]});
    assert_eq!(found, expect);
    let (_, found) = get("/api/v2/audit/histogram?q=resource_type:template").await;
    assert_eq!((&found["count"], &found["bucket"]), (&json!(4), &json!("12h")));

    let (_, found) = get("/api/v2/audit/facets?key=username&q=resource_type:template&limit=2").await;
    let values = json!([{"value": "demo-b", "count": 2}, {"value": "demo-a", "count": 1}]);
    assert_eq!(found, json!({"key": "username", "values": values, "distinct": 3}));

    for (path, field) in [
        ("histogram?bucket=1y", "bucket"),
        ("histogram?bucket=1s&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", "bucket"),
        ("histogram?from=yesterday", "from"),
        ("histogram?q=nonsense:1", "nonsense"),
        ("facets", "key"),
        ("facets?key=colour", "key"),
        ("facets?key=request_id", "key"),
        ("facets?key=action&limit=1001", "limit"),
    ] {
        let (status, problem) = get(&format!("/api/v2/audit/{path}")).await;
        assert_eq!((status, &problem["validations"][0]["field"]), (400, &json!(field)), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_lines_gzip_and_zstd_are_taken() {
    let server = TestServer::start().await;
    let lines = format!("{}\n{}\n", template_event("a", ""), template_event("b", ""));
    let array = format!("[{},{}]", template_event("c", ""), template_event("d", ""));
    assert_eq!(server.post_events(lines.clone()).await.status(), 201);
    assert_eq!(server.post_events(array).await.status(), 201);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines.as_bytes()).unwrap();
    assert_eq!(server.post_encoded("gzip", gzip.finish().unwrap()).await, 201);
    assert_eq!(server.post_encoded("zstd", zstd::encode_all(lines.as_bytes(), 1).unwrap()).await, 201);
    assert_eq!(server.post_encoded("br", lines.clone().into_bytes()).await, 415);
    assert_eq!(server.post_encoded("gzip", lines.into_bytes()).await, 400);
    assert_eq!(server.count("resource_type:template").await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_api_wants_the_right_credential() {
    let server = TestServer::start().await;
    let event = template_event("x", "");
    let routes = [
        ("GET", "/api/v2/audit", false, true),
        ("GET", "/api/v2/audit/019a0000-0000-7000-8000-000000000000", false, true),
        ("GET", "/api/v2/audit/histogram", false, true),
        ("GET", "/api/v2/audit/facets?key=action", false, true),
        ("GET", "/metrics", false, false),
        ("POST", "/api/v2/audit/events", true, false),
        ("GET", "/api/v2/audit/resources", true, true),
        ("PUT", "/api/v2/audit/resources", true, false),
        ("GET", "/api/openapi.json", true, true),
    ];
    for (method, path, ingest, read) in routes {
        let request = || {
            let request = server.http.request(method.parse().unwrap(), format!("{}{path}", server.url));
            if method == "GET" { request } else { request.body(event.clone()) }
        };
        let status = async |request: RequestBuilder| request.send().await.unwrap().status();
        assert_eq!(status(request()).await, 401, "{path} without a credential");
        assert_eq!(status(request().bearer_auth("annals_read_x")).await, 401, "{path} with an unknown token");
        assert_eq!(
            status(request().header("cookie", "annals_session=x")).await,
            401,
            "{path} with an unknown session"
        );
        for (token, may) in [(&server.ingest_token, ingest), (&server.read_token, read)] {
            let status = status(request().header("Coder-Session-Token", token)).await;
            assert_eq!(status != 403 && status != 401, may, "{method} {path}: {status}");
        }
    }
    for open in ["/healthz", "/readyz", "/login", "/assets/annals.css"] {
        assert_eq!(
            server.http.get(format!("{}{open}", server.url)).send().await.unwrap().status(),
            200,
            "{open}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_coders_body_and_name_the_place() {
    let server = TestServer::start().await;
    let query = [("q", "resource_tpye:x date_from:yesterday-ish")];
    let reply = server.get("/api/v2/audit").query(&query).send().await.unwrap();
    assert_eq!(reply.status(), 400);
    assert_eq!(reply.headers()["content-type"], "application/problem+json");
    let body = json(reply).await;
    assert_eq!(body["message"], "Invalid audit search query.");
    assert_eq!(body["validations"].as_array().unwrap().len(), 2);
    assert_eq!(body["validations"][0]["field"], "resource_tpye");
    assert_eq!(body["validations"][0]["span"], json!([0, 13]));

    let bad = [
        "limit=-1",
        "limit=x",
        "limit=1001",
        "offset=-1",
        "offset=4294967296",
        "limit=1&limit=2",
        "after=x",
        "after_id=x",
    ];
    for bad in bad {
        let reply = server.get(&format!("/api/v2/audit?{bad}")).send().await.unwrap();
        assert_eq!(reply.status(), 400, "{bad}");
        assert_eq!(json(reply).await["message"], "Query parameters have invalid values.", "{bad}");
    }
    for good in [
        "limit=",
        "limit=0",
        "limit=1000",
        "offset=",
        "unknown=1",
        "after_id=00000000-0000-0000-0000-000000000000",
    ] {
        assert_eq!(
            server.get(&format!("/api/v2/audit?{good}")).send().await.unwrap().status(),
            200,
            "{good}"
        );
    }

    let bad = server.post_events(format!("[{},{{\"action\":\"wriet\"}}]", template_event("x", ""))).await;
    assert_eq!(bad.status(), 422);
    assert_eq!(json(bad).await["validations"][0]["field"], "/1/action");
    let reply = server.get("/nowhere").send().await.unwrap();
    assert_eq!(
        (reply.status().as_u16(), json(reply).await["type"].clone()),
        (404, json!("/problems/unknown-route"))
    );
    let wrong = server.http.delete(format!("{}/api/v2/audit", server.url)).bearer_auth(&server.read_token);
    assert_eq!(wrong.send().await.unwrap().status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_by_cursor_and_by_link() {
    let server = TestServer::start().await;
    for n in 0..30 {
        server.post_events(template_event(&format!("t{n}"), "")).await;
    }
    let first = server.get("/api/v2/audit?q=resource_type:template&limit=20").send().await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    let first = json(first).await;
    server.post_events(template_event("late", "")).await;
    let path = link.trim_start_matches('<').split('>').next().unwrap();
    let second = json(server.get(path).send().await.unwrap()).await;
    assert_eq!(second["audit_logs"].as_array().unwrap().len(), 10, "the event in between shifts nothing");
    assert!(second.get("next").is_none());
    assert!(link.contains(first["next"].as_str().unwrap()));
    let beyond = server.get("/api/v2/audit?q=resource_type:template&offset=31").send().await.unwrap();
    let beyond = json(beyond).await;
    assert_eq!((&beyond["count"], &beyond["audit_logs"]), (&json!(31), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_registered_and_served() {
    let server = TestServer::start().await;
    let put = async |document: &str| {
        let url = format!("{}/api/v2/audit/resources", server.url);
        server.http.put(url).bearer_auth(&server.ingest_token).body(document.to_owned()).send().await.unwrap()
    };
    let document = "[[resource]]\ntype = \"invoice\"\n[resource.fields]\namount = \"track\"\n";
    assert_eq!(json(put(document).await).await["version"], 1);
    let loose =
        put("[[resource]]\ntype = \"git_ssh_key\"\n[resource.fields]\nprivate_key = \"track\"\n").await;
    assert_eq!(loose.status(), 422);
    assert!(json(loose).await["validations"].to_string().contains("private_key"));
    let served = json(server.get("/api/v2/audit/resources").send().await.unwrap()).await;
    assert!(served["resources"].as_array().unwrap().iter().any(|resource| resource["type"] == "invoice"));
    assert_eq!(put(&"x".repeat(600 * 1024)).await.status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_keeps_what_was_acknowledged_and_refuses_the_rest() {
    let mut server = TestServer::start().await;
    let mut producers = Vec::new();
    for producer in 0..8 {
        let (http, token) = (server.http.clone(), server.ingest_token.clone());
        let url = format!("{}/api/v2/audit/events", server.url);
        producers.push(tokio::spawn(async move {
            let mut acknowledged = 0;
            for n in 0..10_000 {
                let request =
                    http.post(&url).bearer_auth(&token).body(template_event(&format!("p{producer}-{n}"), ""));
                match request.send().await {
                    Ok(reply) if reply.status() == 201 => acknowledged += 1,
                    _ => break,
                }
            }
            acknowledged
        }));
    }
    while server.count("resource_type:template").await < 50 {
        tokio::task::yield_now().await;
    }
    server.stop().await;
    let mut acknowledged = 0;
    for producer in producers {
        acknowledged += producer.await.unwrap();
    }
    let size = server.engine.verify().unwrap().events;
    // Two events are the tokens of the test itself.
    assert!(acknowledged >= 50 && size >= acknowledged + 2, "{acknowledged} acknowledged, {size} in the log");
}

#[test]
fn the_description_covers_every_route_of_the_api() {
    let openapi = annals_server::openapi_json();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut seen = 0;
    let is_described = |path: &str| {
        path.starts_with("/api/v2") || path.starts_with("/tlog/") || path.ends_with('z') || path == "/metrics"
    };
    for (method, path) in annals_server::ROUTES.iter().filter(|(_, path)| is_described(path)) {
        // OpenAPI has no sign for the rest of a path.
        let path = path.replace("{*", "{");
        assert!(openapi["paths"][&path].get(method).is_some(), "{method} {path} is not described");
        seen += 1;
    }
    let described = openapi["paths"].as_object().unwrap();
    assert_eq!(described.values().map(|methods| methods.as_object().unwrap().len()).sum::<usize>(), seen);
    assert_eq!(seen, 21);
    insta::assert_snapshot!("openapi", serde_json::to_string_pretty(&openapi).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_cannot_use_the_cookie() {
    let server = TestServer::start().await;
    let post = async |name: &str, value: &str| {
        let request = server.http.post(format!("{}/login", server.url)).header(name, value);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body("username=a&password=b").send().await.unwrap().status()
    };
    assert_eq!(post("sec-fetch-site", "cross-site").await, 403);
    assert_eq!(post("origin", "https://elsewhere.example").await, 403);
    assert_eq!(post("sec-fetch-site", "same-origin").await, 401, "a wrong password, but from our own page");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kind_of_authorization_does_not_stand_for_a_token() {
    let server = TestServer::start().await;
    let request = || {
        server.http.put(format!("{}/api/v2/audit/resources", server.url)).header("cookie", "annals_session=x")
    };
    let basic = request().header("authorization", "Basic eDp5").header("sec-fetch-site", "cross-site");
    assert_eq!(basic.send().await.unwrap().status(), 403);
    let basic = server.http.get(format!("{}/api/v2/audit", server.url)).header("authorization", "Basic eDp5");
    assert_eq!(basic.send().await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sends_events_in_the_name_of_the_log() {
    let server = TestServer::start().await;
    let forged = server.post_events(template_event("x", r#""source":"annals""#)).await;
    assert_eq!(forged.status(), 422);
    assert_eq!(json(forged).await["validations"][0]["field"], "/0/source");
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_are_folded() {
    let server = TestServer::start().await;
    let fields: Vec<String> = (0..500).map(|n| format!("\"f{n}\":1")).collect();
    let event = template_event("x", &format!("\"after\":{{{}}}", fields.join(",")));
    let reply = server.post_events(vec![event; 50].join("\n")).await;
    assert_eq!(json(reply).await["warnings"].as_array().unwrap().len(), 100);
}
