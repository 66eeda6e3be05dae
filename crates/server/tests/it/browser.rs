//! A real browser, and what it complains about.

use std::time::{Duration, Instant};

use annals_engine::{NewPerson, Principal, Role};
use annals_testparts::Browser;
use thirtyfour::common::capabilities::desiredcapabilities::CapabilitiesHelper as _;
use thirtyfour::{By, ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver};

use crate::support::TestServer;
use crate::tls::Pair;

/// How long a page may take on a busy machine.
const PAGE_MAX: Duration = Duration::from_secs(60);

/// A window of a browser with nothing in it.
pub(crate) struct Window {
    driver: WebDriver,
    /// Ends the browser, if the test did not.
    _browser: Browser,
}

impl Window {
    pub(crate) async fn open() -> Window {
        let browser = tokio::task::block_in_place(Browser::start);
        let mut chrome = DesiredCapabilities::chrome();
        for argument in browser.arguments() {
            chrome.add_arg(&argument).unwrap();
        }
        // The certificates of these tests are signed by nobody.
        chrome.accept_insecure_certs(true).unwrap();
        chrome.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        chrome.set_logging_prefs("performance", LoggingPrefsLogLevel::All).unwrap();
        let driver = WebDriver::new(browser.url(), chrome).await.unwrap();
        Window { driver, _browser: browser }
    }

    pub(crate) async fn go(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    pub(crate) async fn url(&self) -> String {
        self.driver.current_url().await.unwrap().to_string()
    }

    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        self.driver.find(By::Css(css)).await.unwrap().send_keys(text).await.unwrap();
    }

    /// Clicks, and waits until the page that it leads to holds a text.
    pub(crate) async fn click(&self, css: &str, expect: &str) {
        self.driver.find(By::Css(css)).await.unwrap().click().await.unwrap();
        self.wait_for(expect).await;
    }

    /// Waits until the page holds a text. Between two pages there may be none.
    pub(crate) async fn wait_for(&self, expect: &str) {
        let begun = Instant::now();
        loop {
            let text = match self.driver.find(By::Css("body")).await {
                Ok(body) => body.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if text.contains(expect) {
                return;
            }
            let url = self.url().await;
            assert!(begun.elapsed() < PAGE_MAX, "no `{expect}` at {url}:\n{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the browser complained about since the last call. A refused log-in is no complaint of a page.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.unwrap();
        let severe = log.into_iter().filter(|entry| entry.level != "INFO" && entry.level != "DEBUG");
        severe.map(|entry| entry.message).filter(|message| !message.contains("status of 401")).collect()
    }

    /// The addresses that the browser asked for since the last call and that begin with a text.
    pub(crate) async fn asked(&self, begin: &str) -> Vec<String> {
        let mut asked = Vec::new();
        for entry in self.driver.get_log("performance").await.unwrap() {
            let message: serde_json::Value = serde_json::from_str(&entry.message).unwrap();
            if message["message"]["method"] == "Network.requestWillBeSent" {
                let url = message["message"]["params"]["request"]["url"].as_str().unwrap_or_default();
                if url.starts_with(begin) {
                    asked.push(url.to_owned());
                }
            }
        }
        asked
    }

    pub(crate) async fn run(&self, script: &str) -> serde_json::Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// Name, and whether scripts may not read it, whether it is for HTTPS only, of each cookie.
    pub(crate) async fn cookies(&self) -> Vec<(String, bool, bool)> {
        let cookies = self.driver.get_all_cookies().await.unwrap();
        cookies
            .into_iter()
            .map(|cookie| (cookie.name, cookie.http_only.unwrap_or(false), cookie.secure.unwrap_or(false)))
            .collect()
    }

    pub(crate) async fn forget_cookies(&self) {
        self.driver.delete_all_cookies().await.unwrap();
    }

    pub(crate) async fn close(self) {
        self.driver.quit().await.unwrap();
    }
}

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
    assert!(window.cookies().await.is_empty(), "{:?}", window.cookies().await);
    window.go(&format!("{}/audit", server.url)).await;
    window.wait_for("Sign in to Annals").await;
    assert_eq!(server.count("action:logout").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_over_plain_http_without_a_complaint() {
    let server = TestServer::start().await;
    let window = walk(&server).await;
    assert_eq!(window.cookies().await, [("annals_session".to_owned(), true, false)]);
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
    assert_eq!(window.run("return document.cookie").await, "");

    log_out(&server, &window).await;
    window.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_keeps_a_host_cookie_over_https() {
    let pair = Pair::new();
    let server = TestServer::start_with(pair.config()).await;
    let window = walk(&server).await;
    assert_eq!(window.cookies().await, [("__Host-annals_session".to_owned(), true, true)]);
    let no_complaint: [String; 0] = [];
    assert_eq!(window.complaints().await, no_complaint);
    log_out(&server, &window).await;
    window.close().await;
}
