//! The seed's filters give the same count on the page, over HTTP and on the command line.

use std::io::Write as _;
use std::process::{Command, Stdio};

use reqwest::{Client, header};

use crate::support::{Server, annals_ok, binary, create_token};

const EVENTS: &str = r#"
{"time":"2026-11-01T10:00:00Z","action":"create","resource_type":"workspace","resource_id":"11111111-1111-4111-8111-111111111111","resource_target":"web-1","user":{"username":"demo-dev-1","email":"demo-dev-1@example.test"}}
{"time":"2026-11-02T10:00:00Z","action":"create","resource_type":"template","resource_target":"docker","user":{"username":"demo-admin","email":"demo-admin@example.test"},"status_code":201}
{"time":"2026-11-03T23:59:59.9Z","action":"start","resource_type":"workspace_build","resource_target":"web-1","user":{"username":"demo-dev-1"},"build_reason":"initiator"}
{"time":"2026-11-04T00:00:00Z","action":"delete","resource_type":"workspace","resource_id":"11111111-1111-4111-8111-111111111111","resource_target":"web-1","user":{"username":"demo-dev-1"}}
{"time":"2026-11-05T10:00:00Z","action":"login","resource_type":"api_key","resource_id":"33333333-3333-4333-8333-333333333333","status_code":401,"ip":"198.51.100.7"}
{"time":"2026-11-06T10:00:00Z","action":"delete","resource_type":"user","resource_target":"demo-dev-9","user":{"username":"demo-admin"}}
"#;

/// The seed's two examples, its nine filters, and the presets of Coder's page.
const QUERIES: [(&str, u64); 15] = [
    ("resource_type:workspace action:delete", 1),
    ("resource_type:template action:create", 1),
    ("resource_type:workspace", 2),
    ("resource_id:11111111-1111-4111-8111-111111111111", 2),
    ("resource_target:web-1", 3),
    ("action:delete -resource_type:token", 2),
    ("username:demo-dev-1", 3),
    ("email:demo-admin@example.test", 1),
    ("date_from:2026-11-03 date_to:2026-11-04", 2),
    ("date_to:2026-11-03", 3),
    ("build_reason:initiator", 1),
    ("resource_type:workspace action:create", 1),
    ("resource_type:user action:delete", 1),
    ("resource_type:workspace_build action:start build_reason:initiator", 1),
    // That of the events, and the one of whoever looks at the page.
    ("resource_type:api_key action:login", 2),
];

fn add_auditor(dir: &str) {
    let mut child = Command::new(binary())
        .args(["user", "create", "demo-auditor", "--role", "auditor", "--password-stdin", "--data", dir])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"correct horse battery\n").unwrap();
    assert!(child.wait().unwrap().success());
}

/// The number in the page's title row.
fn count_on_page(html: &str) -> u64 {
    let after =
        html.split("<p class=\"count\"").nth(1).unwrap_or_else(|| panic!("no count on the page: {html}"));
    let number = after.split("<b class=\"num\">").nth(1).unwrap().split('<').next().unwrap();
    number.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[tokio::test]
async fn page_api_and_command_line_agree() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    let data = dir.to_str().unwrap();
    add_auditor(data);
    let token = create_token(&dir, "read");
    let file = root.path().join("events.ndjson");
    std::fs::write(&file, EVENTS.trim_start()).unwrap();
    annals_ok(&["import", "--data", data, "--format", "native", file.to_str().unwrap()]);

    let server = Server::start(&dir);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form = "username=demo-auditor&password=correct+horse+battery";
    let login = http
        .post(format!("{}/login", server.url))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form);
    let login = login.send().await.unwrap();
    assert_eq!(login.status(), 303);
    let cookie = login.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();

    for (query, expect) in QUERIES {
        let page = http
            .get(format!("{}/audit", server.url))
            .query(&[("filter", query)])
            .header(header::COOKIE, &cookie);
        let page = page.send().await.unwrap().text().await.unwrap();
        let api = http.get(format!("{}/api/v2/audit", server.url)).query(&[("q", query)]).bearer_auth(&token);
        let api: serde_json::Value =
            serde_json::from_str(&api.send().await.unwrap().text().await.unwrap()).unwrap();
        let here = annals_ok(&["search", "--data", data, query, "--count"]);
        let there = annals_ok(&["search", "--server", &server.url, "--token", &token, query, "--count"]);
        let counts = [
            count_on_page(&page),
            api["count"].as_u64().unwrap(),
            here.trim().parse().unwrap(),
            there.trim().parse().unwrap(),
        ];
        assert_eq!(counts, [expect; 4], "{query}");
    }
}
