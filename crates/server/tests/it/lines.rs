//! Where requests come from, over which lines passwords are taken, and the headers that bind a browser.

use annals_engine::{NewPerson, Principal, Role};
use annals_server::Config;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, SET_COOKIE};

use crate::support::TestServer;

const PASSWORD: &str = "correct horse battery";

async fn server(config: Config) -> TestServer {
    let server = TestServer::start_with(config).await;
    tokio::task::block_in_place(|| {
        let person =
            NewPerson { username: "ada", email: "", name: "", password: PASSWORD, role: Role::Auditor };
        server.engine.add_person(&Principal::operator(), &person).unwrap();
    });
    server
}

async fn log_in(server: &TestServer, password: &str, forwarded: Option<&str>) -> Response {
    let body = format!("username=ada&password={}", password.replace(' ', "+"));
    let request = server.http.post(format!("{}/login", server.url)).body(body);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let request = match forwarded {
        Some(forwarded) => request.header("x-forwarded-for", forwarded),
        None => request,
    };
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn log_ins_name_the_true_address_behind_a_trusted_proxy() {
    let config = Config {
        behind_tls_proxy: true,
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Config::default()
    };
    let server = server(config).await;
    let response = log_in(&server, PASSWORD, Some("10.0.0.1, 198.51.100.7")).await;
    assert_eq!(response.status(), 303);
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-annals_session=") && cookie.contains("; Secure"), "{cookie}");
    assert_eq!(server.count("action:login ip:198.51.100.7").await, 1);
    // TLS is the proxy's, and so is this header.
    assert!(!response.headers().contains_key("strict-transport-security"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_believed_about_addresses() {
    let server = server(Config { behind_tls_proxy: true, ..Config::default() }).await;
    assert_eq!(log_in(&server, PASSWORD, Some("198.51.100.7")).await.status(), 303);
    assert_eq!(server.count("action:login ip:127.0.0.1").await, 1);
    assert_eq!(server.count("ip:198.51.100.7").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_taken_through_a_proxy_that_nobody_declared() {
    let server = server(Config::default()).await;
    let refused = log_in(&server, PASSWORD, Some("198.51.100.7")).await;
    assert_eq!(refused.status(), 403);
    assert!(!refused.headers().contains_key(SET_COOKIE));
    let html = refused.text().await.unwrap();
    assert!(html.contains("Passwords are not taken here") && html.contains("--behind-tls-proxy"), "{html}");
    assert_eq!(server.count("action:login").await, 0);
    assert_eq!(log_in(&server, PASSWORD, None).await.status(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_ends_with_a_time_to_wait() {
    let server = server(Config::default()).await;
    let mut guesses = 0;
    let response = loop {
        let response = log_in(&server, "wrong password", None).await;
        if response.status() != 401 {
            break response;
        }
        guesses += 1;
        assert!(guesses < 100, "nobody ends the guessing");
    };
    assert_eq!(response.status(), 429);
    let seconds: u32 = response.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    let html = response.text().await.unwrap();
    assert!(html.contains("Too many attempts to sign in") && html.contains("Try again in"), "{html}");
    // Not even the right one is looked at now, and nothing says that it would be right.
    assert_eq!(log_in(&server, PASSWORD, None).await.status(), 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_binds_the_browser() {
    let server = TestServer::start().await;
    for path in ["/login", "/healthz", "/assets/annals.css", "/api/v2/audit", "/nothing"] {
        let response = server.http.get(format!("{}{path}", server.url)).send().await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let policy = header("content-security-policy").unwrap_or_default();
        for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("cross-origin-opener-policy").as_deref(), Some("same-origin"), "{path}");
        assert_eq!(header("cross-origin-resource-policy").as_deref(), Some("same-origin"), "{path}");
        assert!(header("permissions-policy").is_some_and(|policy| policy.contains("camera=()")), "{path}");
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(header("x-frame-options").as_deref(), Some("DENY"), "{path}");
        assert!(header("strict-transport-security").is_none(), "{path}: plain HTTP promises no TLS");
    }
}
