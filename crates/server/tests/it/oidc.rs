//! Log-in by a real OpenID Connect provider, in a real browser where the browser matters.

use std::collections::BTreeMap;

use annals_engine::{OidcPolicy, Person, Principal, Role};
use annals_server::{Config, OidcOptions};
use annals_testparts::{OidcProvider, free_port};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Response, Url};

use crate::support::TestServer;
use crate::webdriver::Window;

const ADA: &str = r#"{"sub":"ada","email":"ada@example.com","email_verified":true,"preferred_username":"ada.l",
    "name":"Ada Lovelace","groups":["audit-team"],"roles":[]}"#;

/// A server of Annals and the provider that it sends people to.
struct Site {
    server: TestServer,
    provider: OidcProvider,
}

impl Site {
    /// Whoever comes for the first time gets an account, or none. Group `audit-team` are auditors.
    async fn start(allow_register: bool) -> Site {
        let port = free_port();
        let callback = format!("http://127.0.0.1:{port}/login/oidc/callback");
        let provider = tokio::task::block_in_place(|| OidcProvider::start(&callback));
        let policy = OidcPolicy {
            allow_register,
            role_map: BTreeMap::from([("audit-team".to_owned(), Role::Auditor)]),
            ..OidcPolicy::default()
        };
        let oidc = OidcOptions {
            issuer: Some(provider.issuer().parse().unwrap()),
            client_id: provider.client_id().to_owned(),
            client_secret: Some(provider.client_secret().to_owned()),
            name: "Example".to_owned(),
            scopes: ["profile", "email", "groups"].map(str::to_owned).to_vec(),
            policy,
            ..OidcOptions::default()
        };
        let listen = format!("127.0.0.1:{port}").parse().unwrap();
        let server = TestServer::start_with(Config { listen, oidc, ..Config::default() }).await;
        tokio::task::block_in_place(|| provider.put_account(ADA));
        Site { server, provider }
    }

    fn people(&self) -> Vec<Person> {
        tokio::task::block_in_place(|| self.server.engine.people(&Principal::operator()).unwrap())
    }

    async fn refused(&self) -> u64 {
        self.server.count("action:login outcome:denied").await
    }

    /// Asks Annals for a page with cookies, as a browser would.
    async fn get(&self, url: &str, cookie: &str) -> Response {
        self.server.http.get(url).header(COOKIE, cookie).send().await.unwrap()
    }

    /// Begins a log-in: the cookie that the browser keeps, and the address of the provider.
    async fn begin(&self, next: &str) -> (String, String) {
        let response = self.get(&format!("{}/login/oidc?next={next}", self.server.url), "").await;
        assert_eq!(response.status(), 303);
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Lax; Path=/; Max-Age=600"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        (cookie, location(&response))
    }

    /// Logs in at the provider without a browser; returns where it sends people back to.
    async fn at_provider(&self, start: &str, account: &str) -> String {
        let mut cookies: BTreeMap<String, String> = BTreeMap::new();
        let mut url = Url::parse(start).unwrap();
        let mut form: Option<String> = None;
        for _ in 0..12 {
            let jar = cookies.iter().map(|(name, value)| format!("{name}={value}"));
            let jar = jar.collect::<Vec<_>>().join("; ");
            let request = match form.take() {
                Some(form) => self
                    .server
                    .http
                    .post(url.clone())
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(form),
                None => self.server.http.get(url.clone()),
            };
            let response = request.header(COOKIE, jar).send().await.unwrap();
            for cookie in response.headers().get_all(SET_COOKIE) {
                let (name, value) =
                    cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            if response.headers().contains_key(LOCATION) {
                let next = url.join(&location(&response)).unwrap();
                if next.path() == "/login/oidc/callback" {
                    return next.into();
                }
                url = next;
            } else {
                let status = response.status();
                let html = response.text().await.unwrap();
                let prompt = ["login", "consent"]
                    .into_iter()
                    .find(|prompt| html.contains(&format!("name=\"prompt\" value=\"{prompt}\"")));
                let prompt = prompt.unwrap_or_else(|| panic!("{status} {url}: {html}"));
                form = Some(format!("prompt={prompt}&login={account}&password=x"));
            }
        }
        panic!("the provider leads nowhere: {url}");
    }

    /// A whole log-in without a browser, up to the answer of Annals.
    async fn log_in(&self) -> Response {
        let (cookie, start) = self.begin("/audit").await;
        let callback = self.at_provider(&start, "ada").await;
        self.get(&callback, &cookie).await
    }
}

fn location(response: &Response) -> String {
    response.headers()[LOCATION].to_str().unwrap().to_owned()
}

/// The session cookie of an answer, if it gives one.
fn session(response: &Response) -> Option<String> {
    let cookies = response.headers().get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    let cookie = cookies.filter_map(|cookie| cookie.split(';').next());
    cookie.map(str::to_owned).find(|cookie| cookie.starts_with("annals_session="))
}

/// Checks that nobody was logged in, that it was recorded, and that the page tells nothing else.
async fn check_refused(site: &Site, before: u64, response: Response) {
    assert_eq!(response.status(), 401);
    assert_eq!(session(&response), None);
    let html = response.text().await.unwrap();
    assert!(
        html.contains("Signing in with Example did not succeed. The attempt has been recorded."),
        "{html}"
    );
    for detail in ["nonce", "audience", "state", "token", "kid", "signature", "subject"] {
        assert!(!html.contains(detail), "{detail}: {html}");
    }
    assert_eq!(site.refused().await, before + 1);
}

/// Logs in at the provider's pages.
async fn log_in_at_provider(window: &Window, account: &str, expect: &str) {
    window.click("a[href^='/login/oidc']", "Sign-in").await;
    window.type_into("input[name=login]", account).await;
    window.type_into("input[name=password]", "anything").await;
    window.click("button[type=submit]", "Authorize").await;
    window.click("button[type=submit]", expect).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_by_the_provider_and_out_and_in_again() {
    let site = Site::start(true).await;
    let window = Window::open().await;
    window.go(&format!("{}/audit?filter=action%3Aregister", site.server.url)).await;
    window.wait_for("Sign in with Example").await;
    log_in_at_provider(&window, "ada", "ada.l").await;
    // Back where they wanted to go, as who the user info says they are.
    assert_eq!(window.url().await, format!("{}/audit?filter=action%3Aregister", site.server.url));
    let people = site.people();
    let [ada] = people.as_slice() else { panic!("{people:?}") };
    assert_eq!((ada.username.as_str(), ada.email.as_str()), ("ada.l", "ada@example.com"));
    assert_eq!((ada.name.as_str(), ada.role), ("Ada Lovelace", Role::Auditor));
    assert_eq!(site.server.count("action:register outcome:success").await, 1);
    let cookies = window.cookies().await;
    assert!(cookies.contains(&("annals_session".to_owned(), true, false)), "{cookies:?}");
    assert!(!cookies.iter().any(|(name, ..)| name == "annals_oidc"), "used up: {cookies:?}");

    window.run("document.querySelector('form[action=\"/logout\"] button').click()").await;
    window.wait_for("Sign in with Example").await;
    assert!(!window.cookies().await.iter().any(|(name, ..)| name == "annals_session"));
    // The provider still knows the browser and asks nothing.
    window.click("a[href^='/login/oidc']", "ada.l").await;
    assert_eq!(site.people().len(), 1);
    assert_eq!(site.server.count("action:login outcome:success").await, 1);
    let complaints = window.complaints().await;
    let of_ours: Vec<_> = complaints.iter().filter(|line| line.contains(&site.server.url)).collect();
    assert!(of_ours.is_empty(), "{of_ours:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_of_someone_unknown_is_refused_when_nobody_may_register() {
    let site = Site::start(false).await;
    let window = Window::open().await;
    window.go(&format!("{}/login", site.server.url)).await;
    log_in_at_provider(&window, "ada", "Signing in with Example did not succeed").await;
    assert!(site.people().is_empty());
    assert_eq!(site.server.count("action:register outcome:denied").await, 1);
    assert!(!window.cookies().await.iter().any(|(name, ..)| name == "annals_session"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_cannot_use_a_callback_twice_nor_one_of_another() {
    let site = Site::start(true).await;
    let window = Window::open().await;
    window.go(&format!("{}/login", site.server.url)).await;
    log_in_at_provider(&window, "ada", "ada.l").await;
    let begin = format!("{}/login/oidc/callback", site.server.url);
    let callback = window.asked(&begin).await.pop().expect("the browser came back by the callback");
    assert_eq!(site.refused().await, 0);

    // Again, with a session and without.
    window.go(&callback).await;
    window.wait_for("did not succeed").await;
    window.forget_cookies().await;
    window.go(&callback).await;
    window.wait_for("did not succeed").await;
    assert_eq!(site.refused().await, 2);

    // Somebody begins and ends as themselves, and makes this browser open the last step.
    site.provider.put_account(r#"{"sub":"mallory","preferred_username":"mallory"}"#);
    let (_, start) = site.begin("/audit").await;
    let planted = site.at_provider(&start, "mallory").await;
    window.go(&planted).await;
    window.wait_for("did not succeed").await;
    // The same when this browser has begun a log-in of its own.
    window.go(&format!("{}/login/oidc", site.server.url)).await;
    window.go(&planted).await;
    window.wait_for("did not succeed").await;
    assert_eq!(site.refused().await, 4);
    assert!(!window.cookies().await.iter().any(|(name, ..)| name == "annals_session"));
    assert_eq!(site.people().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_of_the_provider_are_found() {
    let site = Site::start(true).await;
    let window = Window::open().await;
    window.go(&format!("{}/login", site.server.url)).await;
    log_in_at_provider(&window, "ada", "ada.l").await;
    tokio::task::block_in_place(|| site.provider.rotate_keys());
    window.forget_cookies().await;
    window.go(&format!("{}/login", site.server.url)).await;
    log_in_at_provider(&window, "ada", "ada.l").await;
    assert_eq!(site.refused().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_once_and_for_the_browser_that_began() {
    let site = Site::start(true).await;
    let (cookie, start) = site.begin("/audit%3Fpage%3D2").await;
    let query: BTreeMap<_, _> = Url::parse(&start).unwrap().query_pairs().into_owned().collect();
    assert_eq!((query["response_type"].as_str(), query["code_challenge_method"].as_str()), ("code", "S256"));
    assert!(query["state"].len() == 43 && query["nonce"].len() == 43 && query["state"] != query["nonce"]);
    assert!(cookie.ends_with(&query["state"]));
    let callback = site.at_provider(&start, "ada").await;

    // Another browser, with no cookie or with its own.
    let (others, _) = site.begin("/audit").await;
    for foreign in ["", others.as_str(), "annals_oidc=", "annals_oidc=x"] {
        check_refused(&site, site.refused().await, site.get(&callback, foreign).await).await;
    }
    // None of them used it up.
    let response = site.get(&callback, &cookie).await;
    assert_eq!((response.status().as_u16(), location(&response).as_str()), (303, "/audit?page=2"));
    let session = session(&response).expect("a session");
    assert_eq!(site.get(&format!("{}/audit", site.server.url), &session).await.status(), 200);
    // Whoever saw cookie and address cannot use them again.
    check_refused(&site, site.refused().await, site.get(&callback, &cookie).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_were_tampered_with_are_refused_and_recorded() {
    let site = Site::start(true).await;
    let change = |callback: &str, name: &str, value: Option<&str>| {
        let mut url = Url::parse(callback).unwrap();
        let kept: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(other, _)| other != name).collect();
        let mut pairs = url.query_pairs_mut();
        pairs.clear().extend_pairs(kept);
        if let Some(value) = value {
            pairs.append_pair(name, value);
        }
        drop(pairs);
        url.to_string()
    };
    let cases: [(&str, Option<&str>); 8] = [
        ("state", Some("x")),
        ("state", None),
        ("code", Some("x")),
        ("code", None),
        ("iss", Some("https://evil.example")),
        // This provider always names itself.
        ("iss", None),
        ("error", Some("access_denied")),
        ("error", Some("<script>alert(1)</script>")),
    ];
    for (name, value) in cases {
        let (cookie, start) = site.begin("/audit").await;
        let callback = site.at_provider(&start, "ada").await;
        let callback = change(&callback, name, value);
        check_refused(&site, site.refused().await, site.get(&callback, &cookie).await).await;
    }
    let (cookie, _) = site.begin("/audit").await;
    for query in ["", "?", "?state=&code=", "?code=a&code=b&state=x", "?%00=%ff", "?state=%ff"] {
        let callback = format!("{}/login/oidc/callback{query}", site.server.url);
        check_refused(&site, site.refused().await, site.get(&callback, &cookie).await).await;
    }
    assert!(site.people().is_empty());
    assert_eq!(site.log_in().await.status(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_says_is_checked() {
    let site = Site::start(true).await;
    for wrong in [
        r#"{"id_token":{"nonce":"x"}}"#,
        r#"{"id_token":{"aud":"another-client"}}"#,
        r#"{"id_token":{"aud":["annals-test","another-client"]}}"#,
        r#"{"id_token":{"iss":"https://evil.example"}}"#,
        r#"{"id_token":{"exp":1700000000}}"#,
        r#"{"id_token":{},"signature":"other key"}"#,
        r#"{"id_token":{},"signature":"client secret"}"#,
        r#"{"id_token":{},"signature":"none"}"#,
        r#"{"userinfo":{"sub":"mallory"}}"#,
    ] {
        tokio::task::block_in_place(|| site.provider.answer_wrongly(wrong));
        check_refused(&site, site.refused().await, site.log_in().await).await;
    }
    assert!(site.people().is_empty());
    // What is not wrong goes the same way.
    let harmless = r#"{"id_token":{"colour":"green"},"userinfo":{"colour":"green"}}"#;
    tokio::task::block_in_place(|| site.provider.answer_wrongly(harmless));
    assert!(session(&site.log_in().await).is_some());
    // Who has come is known by issuer and subject, whatever else changes.
    let renamed = r#"{"sub":"ada","email":"other@example.com","preferred_username":"someone.else"}"#;
    tokio::task::block_in_place(|| site.provider.put_account(renamed));
    assert!(session(&site.log_in().await).is_some());
    let people = site.people();
    assert_eq!(people.len(), 1);
    // The group is gone, and with it the role.
    assert_eq!((people[0].username.as_str(), people[0].role), ("ada.l", Role::Member));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_is_an_error_page_and_passwords_go_on() {
    let site = Site::start(true).await;
    let Site { server, provider } = site;
    drop(provider);
    let response = server.http.get(format!("{}/login/oidc", server.url)).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(!response.headers().contains_key(SET_COOKIE));
    let html = response.text().await.unwrap();
    assert!(html.contains("Example does not answer as it should"), "{html}");
    assert_eq!(server.http.get(format!("{}/login", server.url)).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_there_is_no_such_way_in() {
    let server = TestServer::start().await;
    for path in ["/login/oidc", "/login/oidc/callback?state=x&code=y"] {
        let response = server.http.get(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
    let html = server.http.get(format!("{}/login", server.url)).send().await.unwrap().text().await.unwrap();
    assert!(!html.contains("Sign in with"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_logs_in_by_a_provider_over_an_open_line() {
    let site = Site::start(true).await;
    let url = format!("{}/login/oidc", site.server.url);
    let response = site.server.http.get(&url).header("x-forwarded-for", "198.51.100.7").send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert!(!response.headers().contains_key(SET_COOKIE));
}
