//! A real browser, and what it complains about.

use annals_engine::{NewPerson, Principal, Role};

use crate::support::TestServer;
use crate::tls::Pair;
use crate::webdriver::Window;

/// Logs in, looks at pages and logs out.
async fn walk(server: &TestServer) -> Window {
    tokio::task::block_in_place(|| {
        let person = NewPerson {
            username: "ada",
            email: "",
            name: "",
            password: "correct horse",
            role: Role::SiteManager,
        };
        server.engine.add_person(&Principal::operator(), &person).unwrap();
    });
    let window = Window::open().await;
    window.go(&format!("{}/audit", server.url)).await;
    window.wait_for("Sign in to Annals").await;
    window.type_into("input[name=username]", "ada").await;
    window.type_into("input[name=password]", "wrong horse").await;
    window.click("button[type=submit]", "That name and password do not match").await;
    window.type_into("input[name=password]", "correct horse").await;
    window.click("button[type=submit]", "logged in").await;
    assert!(window.url().await.ends_with("/audit"), "{}", window.url().await);
    // htmx fetches a part of the page.
    window.click(".row .open", "User agent").await;
    for path in ["/audit/tracked", "/audit/query-help", "/audit?filter=action%3Alogin"] {
        window.go(&format!("{}{path}", server.url)).await;
    }
    window
}

async fn log_out(server: &TestServer, window: &Window) {
    window.run("document.querySelector('form[action=\"/logout\"] button').click()").await;
    window.wait_for("Sign in to Annals").await;
    let cookies = window.cookies().await;
    assert!(cookies.iter().all(|(name, ..)| name == "annals_zone"), "{cookies:?}");
    window.go(&format!("{}/audit", server.url)).await;
    window.wait_for("Sign in to Annals").await;
    assert_eq!(server.count("action:logout").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_over_plain_http_without_a_complaint() {
    let server = TestServer::start().await;
    let window = walk(&server).await;
    let cookies = [("annals_session".to_owned(), true, false), ("annals_zone".to_owned(), false, false)];
    let mut found = window.cookies().await;
    found.sort();
    assert_eq!(found, cookies);
    let no_complaint: [String; 0] = [];
    assert_eq!(window.complaints().await, no_complaint);

    // What a page must not do is refused, and the browser says so.
    window.run("setTimeout('window.evaluated = 1', 0)").await;
    window
        .run(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))",
        )
        .await;
    window.run("document.body.setAttribute('onclick', 'window.clicked = 1'); document.body.click()").await;
    for name in ["evaluated", "ran", "clicked"] {
        assert!(window.run(&format!("return window.{name} ?? null")).await.is_null(), "{name}");
    }
    let complaints = window.complaints().await.join("\n");
    for part in ["unsafe-eval", "inline script", "inline event handler"] {
        assert!(complaints.contains(part), "{part}: {complaints}");
    }
    let cookies = window.run("return document.cookie").await;
    assert!(
        cookies.as_str().unwrap().starts_with("annals_zone=") && !cookies.as_str().unwrap().contains(';'),
        "{cookies}"
    );

    log_out(&server, &window).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_keeps_a_host_cookie_over_https() {
    let pair = Pair::new();
    let server = TestServer::start_with(pair.config()).await;
    let window = walk(&server).await;
    let mut found = window.cookies().await;
    found.sort();
    let cookies = [("__Host-annals_session".to_owned(), true, true), ("annals_zone".to_owned(), false, true)];
    assert_eq!(found, cookies);
    let no_complaint: [String; 0] = [];
    assert_eq!(window.complaints().await, no_complaint);
    log_out(&server, &window).await;
}
