//! A window of a real browser, led by the WebDriver protocol. The libraries for it change how this workspace's JSON is ordered,
//! so that tests would not test what ships; the few commands that are needed stand here.

use std::time::{Duration, Instant};

use annals_testparts::Browser;
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// How long a page may take on a busy machine.
const PAGE_MAX: Duration = Duration::from_secs(60);
/// Member of an answer that names an element, as the protocol has it.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A window of a browser with nothing in it.
pub(crate) struct Window {
    http: Client,
    session: String,
    /// Ends the browser, however the test ends.
    _browser: Browser,
}

impl Window {
    pub(crate) async fn open() -> Window {
        let browser = tokio::task::block_in_place(Browser::start);
        // reqwest asks for a TLS provider even where no TLS is spoken; another test may have chosen it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(2 * PAGE_MAX).build().unwrap();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            // The certificates of these tests are signed by nobody.
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {"args": browser.arguments()},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let session = call(&http, Method::POST, format!("{}/session", browser.url()), wanted).await.unwrap();
        let session = format!("{}/session/{}", browser.url(), session["sessionId"].as_str().unwrap());
        Window { http, session, _browser: browser }
    }

    pub(crate) async fn go(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    pub(crate) async fn url(&self) -> String {
        self.get("/url").await.as_str().unwrap().to_owned()
    }

    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.post(&format!("{element}/value"), json!({"text": text})).await;
    }

    /// Clicks, and waits until the page that it leads to holds a text.
    pub(crate) async fn click(&self, css: &str, expect: &str) {
        let element = self.find(css).await;
        self.post(&format!("{element}/click"), json!({})).await;
        self.wait_for(expect).await;
    }

    /// Waits until the page holds a text. Between two pages there may be none.
    pub(crate) async fn wait_for(&self, expect: &str) {
        let begun = Instant::now();
        let script = json!({"script": "return document.body?.innerText ?? ''", "args": []});
        loop {
            let text = self.call(Method::POST, "/execute/sync", script.clone()).await.unwrap_or_default();
            let text = text.as_str().unwrap_or_default();
            if text.contains(expect) {
                return;
            }
            let url = self.url().await;
            assert!(begun.elapsed() < PAGE_MAX, "no `{expect}` at {url}:\n{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends a command of Chromium's own protocol.
    pub(crate) async fn command(&self, name: &str, parameters: Value) {
        self.post("/goog/cdp/execute", json!({"cmd": name, "params": parameters})).await;
    }

    /// What axe-core finds against WCAG 2.2 AA in the page that stands there.
    pub(crate) async fn barriers(&self, axe: &str) -> Vec<String> {
        self.run(axe).await;
        let script = "const done = arguments[arguments.length - 1]; axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', \
            'wcag21aa', 'wcag22aa']}).then(found => done(found.violations.map(fault => \
            `${fault.id}: ${fault.nodes[0].html.slice(0, 200)}`)))";
        let found = self.post("/execute/async", json!({"script": script, "args": []})).await;
        found.as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
    }

    /// Waits until a script returns true.
    pub(crate) async fn wait_until(&self, script: &str) {
        let begun = Instant::now();
        let script = json!({"script": script, "args": []});
        while self.call(Method::POST, "/execute/sync", script.clone()).await != Ok(Value::Bool(true)) {
            let url = self.url().await;
            assert!(begun.elapsed() < PAGE_MAX, "never true at {url}: {script}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The session's cookie as a header.
    pub(crate) async fn session_cookie(&self) -> String {
        let cookies = self.get("/cookie").await;
        let cookies = cookies.as_array().unwrap().iter();
        let cookies = cookies.map(|cookie| {
            format!("{}={}", cookie["name"].as_str().unwrap(), cookie["value"].as_str().unwrap())
        });
        cookies.collect::<Vec<_>>().join("; ")
    }

    /// What the browser complained about since the last call. A refused log-in is no complaint of a page.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.log("browser").await;
        let told = log.iter().filter(|entry| !matches!(entry["level"].as_str(), Some("INFO" | "DEBUG")));
        let messages = told.map(|entry| entry["message"].as_str().unwrap().to_owned());
        messages.filter(|message| !message.contains("status of 401")).collect()
    }

    /// The addresses that the browser asked for since the last call and that begin with a text.
    pub(crate) async fn asked(&self, begin: &str) -> Vec<String> {
        let mut asked = Vec::new();
        for entry in self.log("performance").await {
            let entry: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            if entry["message"]["method"] == "Network.requestWillBeSent" {
                let url = entry["message"]["params"]["request"]["url"].as_str().unwrap_or_default();
                if url.starts_with(begin) {
                    asked.push(url.to_owned());
                }
            }
        }
        asked
    }

    /// Runs the body of a function in the page and returns what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// Of each cookie: its name, whether scripts may not read it, whether it is for HTTPS only.
    pub(crate) async fn cookies(&self) -> Vec<(String, bool, bool)> {
        let cookies = self.get("/cookie").await;
        let cookies = cookies.as_array().unwrap().iter();
        cookies
            .map(|cookie| {
                let is = |name: &str| cookie[name].as_bool().unwrap_or(false);
                (cookie["name"].as_str().unwrap().to_owned(), is("httpOnly"), is("secure"))
            })
            .collect()
    }

    pub(crate) async fn forget_cookies(&self) {
        self.call(Method::DELETE, "/cookie", Value::Null).await.unwrap();
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        self.post("/se/log", json!({"type": kind})).await.as_array().unwrap().clone()
    }

    /// Path of the first element that fits.
    async fn find(&self, css: &str) -> String {
        let found = self.post("/element", json!({"using": "css selector", "value": css})).await;
        format!("/element/{}", found[ELEMENT].as_str().unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, Value::Null).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        match self.call(Method::POST, path, body.clone()).await {
            Ok(value) => value,
            Err(error) => panic!("{path} {body} at {}: {error}", self.url().await),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        call(&self.http, method, format!("{}{path}", self.session), body).await
    }
}

/// Sends a command; an error is what the browser's driver says.
async fn call(http: &Client, method: Method, url: String, body: Value) -> Result<Value, String> {
    let request = http.request(method, url);
    let request = if body.is_null() { request } else { request.body(body.to_string()) };
    let answer = request.send().await.unwrap();
    let is_good = answer.status().is_success();
    let text = answer.text().await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    if is_good { Ok(answer["value"].clone()) } else { Err(answer["value"]["message"].to_string()) }
}
