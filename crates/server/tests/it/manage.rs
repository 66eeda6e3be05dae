//! The pages of Manage beside the log: what a site manager changes there, and what the log says of it.

use annals_engine::{LicenseClaims, LicenseKey, NewPerson, Options, Principal, Role, make_license_keys};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Value, json};

use crate::support::{TestServer, form, template_event};

const PASSWORD: &str = "correct horse battery";
const FORM: &str = "application/x-www-form-urlencoded";

/// A site manager in a browser.
struct Browser<'s> {
    server: &'s TestServer,
    cookie: String,
}

impl Browser<'_> {
    async fn sign_in<'s>(server: &'s TestServer, username: &str, password: &str) -> Option<Browser<'s>> {
        let body = form(&[("username", username), ("password", password)]);
        let request = server.http.post(format!("{}/login", server.url)).header(CONTENT_TYPE, FORM).body(body);
        let response = request.send().await.unwrap();
        if response.status() != 303 {
            return None;
        }
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
        Some(Browser { server, cookie: cookie.split(';').next().unwrap().to_owned() })
    }

    async fn manager(server: &TestServer) -> Browser<'_> {
        tokio::task::block_in_place(|| {
            let person = NewPerson {
                username: "demo-manager",
                email: "",
                name: "",
                password: PASSWORD,
                role: Role::SiteManager,
            };
            server.engine.add_person(&Principal::operator(), &person).unwrap();
        });
        Browser::sign_in(server, "demo-manager", PASSWORD).await.unwrap()
    }

    async fn page(&self, path: &str) -> String {
        let request = self.server.http.get(format!("{}{path}", self.server.url));
        let response = request.header(COOKIE, &self.cookie).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// Sends a form; returns the status, where it leads, and the page.
    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String, String) {
        let request = self.server.http.post(format!("{}{path}", self.server.url));
        let request = request.header(COOKIE, &self.cookie).header(CONTENT_TYPE, FORM).body(form(fields));
        let response = request.send().await.unwrap();
        let location = response.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), location.unwrap_or_default(), response.text().await.unwrap())
    }
}

/// What stands between two texts of a page.
fn between<'p>(page: &'p str, before: &str, after: &str) -> &'p str {
    let from = page.find(before).unwrap_or_else(|| panic!("no `{before}` in {page}")) + before.len();
    &page[from..from + page[from..].find(after).unwrap()]
}

async fn newest(server: &TestServer, query: &str) -> Value {
    let found = server.search(query).await;
    found["audit_logs"].get(0).cloned().unwrap_or_else(|| panic!("nothing found for {query}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_added_changed_and_suspended() {
    let server = TestServer::start().await;
    let manager = Browser::manager(&server).await;
    let fields = [("username", "demo-new"), ("email", "demo-new@example.com"), ("role", "auditor")];
    let (status, _, page) = manager.send("/people", &fields).await;
    assert_eq!(status, 200);
    let password = between(&page, "<code class=\"secret\">", "</code>").to_owned();
    let event = newest(&server, "resource_type:user action:create resource_target:demo-new").await;
    assert_eq!(event["diff"]["username"], json!({"old": "", "new": "demo-new", "secret": false}));
    assert_eq!(event["diff"]["hashed_password"], json!({"old": "", "new": "", "secret": true}));
    assert_eq!(event["user"]["username"], "demo-manager");
    assert!(!event.to_string().contains(&password));
    let id = event["resource_id"].as_str().unwrap().to_owned();

    let auditor = Browser::sign_in(&server, "demo-new", &password).await.unwrap();
    assert!(auditor.page("/audit").await.contains("demo-new"));
    let login = newest(&server, "resource_type:api_key action:login resource_target:demo-new").await;
    assert_eq!((&login["status_code"], &login["diff"]), (&json!(200), &json!({})));

    let (status, location, _) = manager
        .send(
            &format!("/people/{id}"),
            &[("username", "demo-new"), ("email", "n@example.com"), ("role", "member")],
        )
        .await;
    assert_eq!((status, location), (303, format!("/people/{id}?done=saved")));
    assert!(manager.page(&format!("/people/{id}?done=saved")).await.contains("Saved, and recorded"));
    let event = newest(&server, "resource_type:user action:write resource_target:demo-new").await;
    assert_eq!(event["diff"]["rbac_roles"]["new"], json!(["member"]));
    assert_eq!(event["diff"]["email"]["old"], "demo-new@example.com");

    let (status, ..) = manager.send(&format!("/people/{id}/suspend"), &[]).await;
    assert_eq!(status, 303);
    let request = server.http.get(format!("{}/account", server.url)).header(COOKIE, &auditor.cookie);
    assert_eq!(request.send().await.unwrap().status(), 303, "the session has ended");
    assert!(Browser::sign_in(&server, "demo-new", &password).await.is_none());
    let event = newest(&server, "resource_type:user changed:status").await;
    assert_eq!(event["diff"]["status"], json!({"old": "active", "new": "suspended", "secret": false}));

    let (status, _, page) = manager.send("/people", &[("username", "no spaces allowed")]).await;
    assert_eq!(status, 422);
    assert!(page.contains("cannot be a name") && page.contains("value=\"no spaces allowed\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_site_manager_stays() {
    let server = TestServer::start().await;
    let manager = Browser::manager(&server).await;
    let people = tokio::task::block_in_place(|| server.engine.people(&Principal::operator()).unwrap());
    let id = &people[0].id.0;
    for (path, form) in [
        (format!("/people/{id}"), vec![("username", "demo-manager"), ("role", "member")]),
        (format!("/people/{id}/suspend"), Vec::new()),
        (format!("/people/{id}/delete"), Vec::new()),
    ] {
        let (status, _, page) = manager.send(&path, &form).await;
        assert_eq!(status, 422, "{path}");
        assert!(page.contains("last"), "{page}");
    }
    assert!(manager.page("/people").await.contains("demo-manager"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_auditor_sees_that_organization_only() {
    let server = TestServer::start().await;
    let manager = Browser::manager(&server).await;
    let event = |target: &str, organization: &str| {
        template_event(
            target,
            &format!(r#""organization":{{"id":"{organization}","name":"name-of-{organization}"}}"#),
        )
    };
    for (target, organization) in [("ours", "org-1"), ("theirs", "org-2")] {
        assert_eq!(server.post_events(event(target, organization)).await.status(), 201);
    }
    assert_eq!(server.post_events(template_event("nobodys", "")).await.status(), 201);
    let (status, location, _) =
        manager.send("/organizations", &[("name", "demo-one"), ("id", "org-1")]).await;
    assert_eq!((status, location.as_str()), (303, "/organizations/org-1?done=added"));
    let (_, _, page) = manager.send("/people", &[("username", "demo-org-auditor"), ("role", "member")]).await;
    let password = between(&page, "<code class=\"secret\">", "</code>").to_owned();

    let member = Browser::sign_in(&server, "demo-org-auditor", &password).await.unwrap();
    let ask = |path: &str, cookie: &str| {
        server.http.get(format!("{}{path}", server.url)).header(COOKIE, cookie.to_owned()).send()
    };
    assert_eq!(ask("/audit", &member.cookie).await.unwrap().status(), 403);

    // By a group: its members see the events, and it is a member of the organization first.
    let member_fields = [("username", "demo-org-auditor"), ("role", "member")];
    assert_eq!(manager.send("/organizations/org-1/members", &member_fields).await.0, 303);
    let group_fields = [("name", "demo-auditors"), ("role", "organization-auditor")];
    let (status, group, _) = manager.send("/organizations/org-1/groups", &group_fields).await;
    assert_eq!(status, 303);
    let group = group.split('?').next().unwrap();
    assert_eq!(manager.send(&format!("{group}/members"), &[("username", "demo-org-auditor")]).await.0, 303);
    let changed = newest(&server, "resource_type:group changed:members").await;
    assert_eq!(changed["diff"]["members"]["new"], json!(["demo-org-auditor"]));

    let page = member.page("/audit?filter=resource_type%3Atemplate").await;
    assert!(page.contains("ours") && !page.contains("theirs") && !page.contains("nobodys"), "{page}");
    let read = async |path: String| -> Value {
        let text = ask(&path, &member.cookie).await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    };
    for (query, count) in [
        ("resource_type:template", 1),
        ("resource_target:theirs", 0),
        ("organization:org-2", 0),
        ("-organization:org-1", 0),
        ("resource_target:ours,theirs,nobodys", 1),
        ("-(action:delete)", 1),
    ] {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = read(format!("/api/v2/audit?q={encoded}%20resource_type%3Atemplate")).await;
        if found.get("count").is_some() {
            assert_eq!(found["count"], count, "{query}: {found}");
        } else {
            panic!("{query}: {found}");
        }
        let histogram = read(format!("/api/v2/audit/histogram?q={encoded}%20resource_type%3Atemplate")).await;
        assert_eq!(histogram["count"], count, "{query}: {histogram}");
    }
    let facets = read("/api/v2/audit/facets?key=resource_target&q=resource_type%3Atemplate".to_owned()).await;
    assert!(facets.to_string().contains("ours") && !facets.to_string().contains("theirs"), "{facets}");
    for target in ["theirs", "nobodys"] {
        let event = newest(&server, &format!("resource_target:{target}")).await;
        let id = event["id"].as_str().unwrap();
        assert_eq!(ask(&format!("/api/v2/audit/{id}"), &member.cookie).await.unwrap().status(), 404);
        assert_eq!(ask(&format!("/audit/events/{id}"), &member.cookie).await.unwrap().status(), 404);
    }

    // Out of the group, out of sight, in the same session.
    let events = newest(&server, "resource_type:group changed:members").await;
    assert_eq!(events["organization"]["id"], "org-1");
    let people = tokio::task::block_in_place(|| server.engine.people(&Principal::operator()).unwrap());
    let id = &people.iter().find(|person| person.username == "demo-org-auditor").unwrap().id.0;
    assert_eq!(manager.send(&format!("{group}/members/{id}/remove"), &[]).await.0, 303);
    assert_eq!(ask("/audit", &member.cookie).await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_work_and_are_recorded_as_the_table_says() {
    let server = TestServer::start().await;
    let manager = Browser::manager(&server).await;
    let fields = [
        ("chapter", "Service banner"),
        ("service_banner_enabled", "true"),
        ("service_banner_color", "#18382D"),
        ("service_banner_message", "Maintenance <9:01PM>"),
    ];
    assert_eq!(manager.send("/settings", &fields).await.1, "/settings?done=saved");
    let page = manager.page("/audit").await;
    assert!(page.contains("<p class=\"service-banner\">Maintenance &#60;9:01PM&#62;</p>"), "{page}");
    let colors = server.http.get(format!("{}/assets/banners.css", server.url)).send().await.unwrap();
    assert_eq!(colors.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
    assert_eq!(colors.text().await.unwrap(), ".service-banner{background:#18382d;color:#fff}\n");
    for (field, old, new) in [
        ("svc banner enabled", json!(false), json!(true)),
        ("svc banner color bg", json!(""), json!("#18382D")),
        ("svc banner body", json!(""), json!("Maintenance <9:01PM>")),
    ] {
        let event = newest(&server, &format!("resource_type:admin_setting changed:\"{field}\"")).await;
        assert_eq!(event["resource_target"], "appearance");
        assert_eq!(event["action"], "write");
        assert_eq!(event["diff"], json!({field: {"old": old, "new": new, "secret": false}}));
    }
    // Sent again unchanged: nothing happens, nothing is recorded.
    let before = server.count("resource_type:admin_setting").await;
    assert_eq!(manager.send("/settings", &fields).await.1, "/settings?done=nothing");
    assert_eq!(server.count("resource_type:admin_setting").await, before);

    let fields = [
        ("chapter", "Sign-in with OIDC"),
        ("oidc_client_id", "0fb2aaaabbbbcccc7a4a"),
        ("oidc_client_secret", "keep-me-to-yourself"),
        ("oidc_url", "https://login.example/realm"),
        ("oidc_provider", "keycloak"),
    ];
    assert_eq!(manager.send("/settings", &fields).await.1, "/settings?done=saved");
    let event = newest(&server, "resource_type:admin_setting changed:\"client id\"").await;
    assert_eq!(event["diff"]["client id"]["new"], "0fb2...7a4a");
    let event = newest(&server, "resource_type:admin_setting changed:\"client secret\"").await;
    assert_eq!(event["diff"]["client secret"], json!({"old": "", "new": "******", "secret": true}));
    let event = newest(&server, "resource_type:admin_setting changed:\"URL host\"").await;
    assert_eq!(event["diff"]["URL host"]["new"], "login.example");
    assert!(!manager.page("/settings").await.contains("keep-me-to-yourself"));
    // The empty field of the secret leaves it.
    let settings = || tokio::task::block_in_place(|| server.engine.settings().unwrap());
    let kept = ("oidc_url", "https://login.example/realm");
    let fields = [("chapter", "Sign-in with OIDC"), ("oidc_client_id", "0fb2aaaabbbbcccc7a4a"), kept];
    assert_eq!(manager.send("/settings", &fields).await.0, 303);
    assert_eq!(settings().get("oidc_client_secret"), "keep-me-to-yourself");
    assert_eq!(settings().get("oidc_provider"), "");
    // Another provider must not be sent the secret of this one.
    let fields = [fields[0], fields[1], ("oidc_url", "https://evil.example")];
    assert_eq!(manager.send("/settings", &fields).await.0, 303);
    assert_eq!(settings().get("oidc_client_secret"), "");

    let fields = [
        ("chapter", "System banner"),
        ("system_banner_color", "red"),
        ("system_banner_header", "UNCLASSIFIED"),
    ];
    let (status, _, page) = manager.send("/settings", &fields).await;
    assert_eq!(status, 422);
    assert!(
        page.contains("must be a color such as #9A4967") && page.contains("value=\"UNCLASSIFIED\""),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_recorded_once_and_left_out() {
    let server = TestServer::start().await;
    let manager = Browser::manager(&server).await;
    let all = server.count("").await;
    for _ in 0..3 {
        manager.page("/audit?filter=resource_target%3Asecret-plan").await;
    }
    manager.page("/audit").await;
    assert_eq!(server.count("").await, all, "reads are left out of what does not name them");
    let of_manager = "resource_type:audit_log username:demo-manager";
    // They are recorded after the answer.
    for _ in 0..500 {
        if server.count(of_manager).await == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let found = server.search(of_manager).await;
    assert_eq!(found["count"], 2, "{found}");
    let event = newest(&server, &format!("{of_manager} secret-plan")).await;
    assert_eq!(event["action"], "read");
    assert_eq!(event["resource_target"], "resource_target:secret-plan");
    assert_eq!(event["diff"]["query"]["new"], "resource_target:secret-plan");
    assert!(manager.page("/audit").await.contains("Reads of the log"), "the page says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_license_events_are_refused_and_stay_readable() {
    let (private, public) = make_license_keys().unwrap();
    let key = LicenseKey::from_pem(&public).unwrap();
    let options = Options { require_license: Some(key), ..Options::default() };
    let server = TestServer::start_with_options(options).await;
    let manager = Browser::manager(&server).await;
    let refused = server.post_events(template_event("early", "")).await;
    assert_eq!(refused.status(), 403);
    let text = refused.text().await.unwrap();
    assert!(text.contains("audit_log") && text.contains("annals license add"), "{text}");
    let page = manager.page("/audit").await;
    assert!(page.contains("only available with an enterprise license"), "{page}");
    assert!(manager.page("/license").await.contains("new events are refused"));

    let now = tokio::task::block_in_place(|| server.engine.now());
    let other = make_license_keys().unwrap().0;
    let claims = LicenseClaims::new("demo-holder", vec!["audit_log".to_owned()], now, 10);
    let (status, _, page) = manager.send("/license", &[("license", &claims.sign(&other).unwrap())]).await;
    assert_eq!(status, 422);
    assert!(page.contains("signature of this license is wrong"), "{page}");
    let without = LicenseClaims::new("demo-holder", vec!["something_else".to_owned()], now, 10);
    assert_eq!(manager.send("/license", &[("license", &without.sign(&private).unwrap())]).await.0, 303);
    assert_eq!(server.post_events(template_event("early", "")).await.status(), 403);

    assert_eq!(manager.send("/license", &[("license", &claims.sign(&private).unwrap())]).await.0, 303);
    assert_eq!(server.post_events(template_event("late", "")).await.status(), 201);
    let event = newest(&server, "resource_type:license action:create").await;
    assert_eq!(event["diff"]["holder"]["new"], "demo-holder");
    assert!(!event.to_string().contains("eyJ"), "the license itself is not in the log");

    let path = format!("/license/{}/remove", claims.jti);
    assert_eq!(manager.send(&path, &[]).await.0, 303);
    assert_eq!(server.post_events(template_event("later", "")).await.status(), 403);
    assert_eq!(server.count("resource_type:template").await, 1, "what was recorded stays readable");
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_a_password_is_recorded_and_tells_nothing() {
    let server = TestServer::start().await;
    drop(Browser::manager(&server).await);
    let ask = async |username: &str| {
        let request = server.http.post(format!("{}/login/forgotten", server.url)).header(CONTENT_TYPE, FORM);
        let response = request.body(form(&[("username", username)])).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (known, unknown) = (ask("demo-manager").await, ask("demo-nobody").await);
    assert_eq!((known.0, &known), (200, &unknown));
    // It is recorded without being waited for, so that the time of the answer tells nothing.
    for _ in 0..500 {
        if server.count("action:request_password_reset").await == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let event = newest(&server, "action:request_password_reset").await;
    assert_eq!(
        (&event["resource_type"], &event["resource_target"]),
        (&json!("user"), &json!("demo-manager"))
    );
    ask("demo-manager").await;
    assert_eq!(server.count("action:request_password_reset").await, 1, "once in a quarter of an hour");
}
