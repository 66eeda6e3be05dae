//! Every action of both published documents really happens, and arrives as it should.

use annals_client::model::registry::Registry;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{OWNER, Rig, Session, text};

/// The actions of the older document, with what they happen to here.
const CLASSIC: [(&str, &str); 14] = [
    ("auto_off", "workspace"),
    ("auto_start", "workspace"),
    ("connect", "workspace_agent"),
    ("cordon", "workspace_provider"),
    ("create", "dev_url"),
    ("delete", "workspace"),
    ("enqueue", "job"),
    ("login", "api_key"),
    ("open", "workspace_app"),
    ("ssh", "workspace"),
    ("stop", "workspace_build"),
    ("uncordon", "workspace_provider"),
    ("view", "secret"),
    ("write", "admin_setting"),
];

/// The actions of today's Coder.
const CODER: [(&str, &str); 13] = [
    ("create", "template"),
    ("write", "template"),
    ("delete", "template"),
    ("start", "workspace_build"),
    ("stop", "workspace_build"),
    ("login", "api_key"),
    ("logout", "api_key"),
    ("register", "api_key"),
    ("request_password_reset", "user"),
    ("connect", "workspace_agent"),
    ("disconnect", "workspace_agent"),
    ("open", "workspace_app"),
    ("close", "workspace_app"),
];

/// The resource types of the published table, and what happens to them.
const TYPES: [(&str, &[&str]); 9] = [
    ("group", &["create", "write", "delete"]),
    ("git_ssh_key", &["create", "write"]),
    ("organization", &["create", "write", "delete"]),
    ("organization_member", &["create", "write", "delete"]),
    ("template", &["create", "write", "delete"]),
    ("template_version", &["create"]),
    ("user", &["create", "write", "delete"]),
    ("workspace", &["create", "write", "delete"]),
    ("workspace_build", &["start", "stop", "delete"]),
];

const DEV_PASSWORD: &str = "demo-dev-1-2662";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_action_of_both_documents_arrives() {
    let rig = Rig::new().await;
    // A Wednesday at noon: nothing is due by itself until the test says so.
    rig.deployment.set_clock(Some(start()));
    let admin = rig.first_user().await;
    let organization = organizations(&admin).await;
    let dev = people(&rig, &admin, &organization).await;
    let template = templates(&admin, &organization).await;
    let workspace = workspaces(&rig, &admin, &dev, &template).await;
    belongings(&rig, &admin, &dev, &workspace).await;
    settings(&admin).await;
    automation(&rig, &dev, &workspace).await;
    farewell(&rig, &admin, &dev, &organization, &template).await;

    let events = rig.events().await;
    let happened = |action: &str, kind: &str| {
        let fits = |event: &&Value| {
            event["action"] == action && event["resource_type"] == kind && event["outcome"] == "success"
        };
        events.iter().any(|event| fits(&event))
    };
    for (action, kind) in CLASSIC.iter().chain(&CODER) {
        assert!(happened(action, kind), "{action} {kind}");
    }
    for (kind, actions) in TYPES {
        for action in actions {
            assert!(happened(action, kind), "{action} {kind}");
        }
    }
    check_diffs(&events);
    check_actors(&events);
    check_settings(&events);
    let all = serde_json::to_string(&events).unwrap();
    for secret in [
        OWNER.1,
        DEV_PASSWORD,
        "argon2id",
        "value-one",
        "value-two",
        "0fb2c3d4e5f67a4a",
        "s3cr3t-of-the-client",
        "deployment_",
    ] {
        assert!(!all.contains(secret), "`{secret}` is in the log");
    }
    assert_eq!(rig.deployment.unaudited(), [""; 0]);
    let seqs: Vec<u64> = events.iter().filter_map(|event| event["source_seq"].as_u64()).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
}

async fn organizations(admin: &Session<'_>) -> String {
    let northwind = json!({"name": "northwind", "display_name": "Northwind"});
    let id = text(&admin.post("/organizations", northwind).await, "id");
    admin.patch(&format!("/organizations/{id}"), json!({"description": "Ships things."})).await;
    let short = admin.post("/organizations", json!({"name": "short-lived"})).await;
    admin.delete(&format!("/organizations/{}", text(&short, "id"))).await;
    id
}

/// `demo-dev-1`, who works, and `demo-dev-2`, who goes.
async fn people<'r>(rig: &'r Rig, admin: &Session<'_>, organization: &str) -> Session<'r> {
    for number in [1, 2] {
        let name = format!("demo-dev-{number}");
        let user = json!({"username": name, "email": format!("{name}@example.test"), "password": format!("{name}-2662")});
        let user = admin.post("/users", user).await;
        assert_eq!(user.get("hashed_password"), None, "{user}");
        admin.post(&format!("/organizations/{organization}/members/{name}"), Value::Null).await;
    }
    let roles = json!({"roles": ["organization-template-admin"]});
    admin.put(&format!("/organizations/{organization}/members/demo-dev-1"), roles).await;
    let group = json!({"name": "developers", "quota_allowance": 10});
    let group = admin.post(&format!("/organizations/{organization}/groups"), group).await;
    let group = format!("/groups/{}", text(&group, "id"));
    let users = admin.good(Method::GET, "/users", Value::Null).await;
    let ids: Vec<&Value> = users.as_array().unwrap().iter().map(|user| &user["id"]).collect();
    let ids: Vec<&Value> = ids.into_iter().filter(|id| **id != users[0]["id"]).collect();
    assert_eq!((users[0]["username"].as_str(), ids.len()), (Some("demo-admin"), 2));
    admin.patch(&group, json!({"add_users": ids, "quota_allowance": 20})).await;
    let empty = json!({"name": "empty"});
    let empty = admin.post(&format!("/organizations/{organization}/groups"), empty).await;
    admin.delete(&format!("/groups/{}", text(&empty, "id"))).await;

    let (status, _) = rig
        .call(
            "",
            Method::POST,
            "/users/login",
            &json!({"username": "demo-dev-1", "password": "wrong-password"}),
            &[],
        )
        .await;
    assert_eq!(status, 401);
    let (status, _) = rig
        .call(
            "",
            Method::POST,
            "/users/login",
            &json!({"username": "nobody", "password": "wrong-password"}),
            &[],
        )
        .await;
    assert_eq!(status, 401);
    let email = json!({"email": "demo-dev-1@example.test"});
    assert_eq!(rig.call("", Method::POST, "/users/otp/request", &email, &[]).await.0, 204);
    let mail = rig.deployment.take_mail();
    let [letter] = mail.as_slice() else { panic!("{} letters", mail.len()) };
    let passcode = &letter.text;
    let reset =
        json!({"email": "demo-dev-1@example.test", "one_time_passcode": passcode, "password": DEV_PASSWORD});
    assert_eq!(rig.call("", Method::POST, "/users/otp/change-password", &reset, &[]).await.0, 204);
    let again = rig.call("", Method::POST, "/users/otp/change-password", &reset, &[]).await;
    assert_eq!(again.0, 401, "a code is good once");

    let dev = rig.log_in("demo-dev-1", DEV_PASSWORD).await;
    dev.put("/users/me/gitsshkey", Value::Null).await;
    dev.patch("/users/me", json!({"name": "Demo Dev 1"})).await;
    let other = rig.log_in("demo-dev-1", DEV_PASSWORD).await;
    other.post("/users/logout", Value::Null).await;
    assert_eq!(other.any(Method::GET, "/workspaces", Value::Null, &[]).await.0, 401);
    dev
}

async fn templates(admin: &Session<'_>, organization: &str) -> String {
    let new = |name: &str| json!({"name": name, "default_ttl": 3_600_000_000_000_u64, "readme": "# One"});
    let templates = format!("/organizations/{organization}/templates");
    let template = text(&admin.post(&templates, new("docker")).await, "id");
    let version = json!({"name": "v2", "readme": "# Two"});
    let version = admin.post(&format!("/templates/{template}/versions"), version).await;
    let change = json!({"active_version_id": version["id"], "description": "A container."});
    admin.patch(&format!("/templates/{template}"), change).await;
    let short = admin.post(&templates, new("short-lived")).await;
    admin.delete(&format!("/templates/{}", text(&short, "id"))).await;
    template
}

async fn workspaces(rig: &Rig, admin: &Session<'_>, dev: &Session<'_>, template: &str) -> String {
    let provider = admin.post("/workspace-providers", json!({"name": "eu-west"})).await;
    let provider = format!("/workspace-providers/{}", text(&provider, "id"));
    admin.put(&format!("{provider}/cordon"), Value::Null).await;
    let new = json!({"name": "dev-1", "template_id": template, "autostart_schedule": "30 7 * * 0-6"});
    let (status, _) = dev.any(Method::POST, "/users/me/workspaces", new.clone(), &[]).await;
    assert_eq!(status, 409, "no workspaces while all providers are cordoned");
    admin.put(&format!("{provider}/uncordon"), Value::Null).await;

    let workspace = text(&dev.post("/users/me/workspaces", new).await, "id");
    rig.deployment.work();
    let path = format!("/workspaces/{workspace}");
    dev.patch(&path, json!({"ttl": 7_200_000_000_000_u64})).await;
    for kind in ["ssh", "vscode", "jetbrains", "web_app", "web_terminal"] {
        dev.post(&format!("{path}/connections"), json!({"type": kind})).await;
    }
    for kind in ["ssh", "web_app"] {
        dev.good(Method::DELETE, &format!("{path}/connections"), json!({"type": kind})).await;
    }
    dev.post(&format!("{path}/builds"), json!({"transition": "stop", "reason": "dashboard"})).await;
    rig.deployment.work();
    // An owner who acts in another's place is named beside them.
    let start = json!({"transition": "start", "reason": "cli"});
    let as_dev = [("x-impersonate", "demo-dev-1"), ("x-forwarded-for", "203.0.113.9, 192.0.2.7")];
    let (status, reply) = admin.any(Method::POST, &format!("{path}/builds"), start, &as_dev).await;
    assert_eq!(status, 202, "{reply}");
    rig.deployment.work();
    // A version that cannot be built: the start fails, and what is left of it is cleared away.
    let broken = json!({"name": "v3", "readme": "# Three", "is_broken": true});
    let broken = admin.post(&format!("/templates/{template}/versions"), broken).await;
    let templates = format!("/templates/{template}");
    admin.patch(&templates, json!({"active_version_id": broken["id"]})).await;
    dev.post(&format!("{path}/builds"), json!({"transition": "stop"})).await;
    rig.deployment.work();
    dev.post(&format!("{path}/builds"), json!({"transition": "start"})).await;
    rig.deployment.work();
    let fixed = json!({"name": "v4", "readme": "# Four"});
    let fixed = admin.post(&format!("/templates/{template}/versions"), fixed).await;
    admin.patch(&templates, json!({"active_version_id": fixed["id"]})).await;
    dev.post(&format!("{path}/builds"), json!({"transition": "start"})).await;
    rig.deployment.work();
    workspace
}

async fn belongings(rig: &Rig, admin: &Session<'_>, dev: &Session<'_>, workspace: &str) {
    let url = json!({"name": "preview", "port": 8080, "access": "private"});
    let url = text(&dev.post(&format!("/workspaces/{workspace}/dev-urls"), url).await, "id");
    dev.post(&format!("/dev-urls/{url}/open"), Value::Null).await;
    assert_eq!(admin.any(Method::POST, &format!("/dev-urls/{url}/open"), Value::Null, &[]).await.0, 403);
    dev.patch(&format!("/dev-urls/{url}"), json!({"access": "org"})).await;
    dev.delete(&format!("/dev-urls/{url}")).await;

    let secret = dev.post("/secrets", json!({"name": "npm-token", "value": "value-one"})).await;
    assert_eq!(secret.get("value"), None, "{secret}");
    let path = format!("/secrets/{}", text(&secret, "id"));
    let shown = dev.good(Method::GET, &format!("{path}/value"), Value::Null).await;
    assert_eq!(shown["value"], "value-one");
    assert_eq!(admin.any(Method::GET, &format!("{path}/value"), Value::Null, &[]).await.0, 403);
    dev.patch(&path, json!({"value": "value-two", "description": "new"})).await;
    dev.delete(&path).await;

    let token = dev.post("/users/me/keys/tokens", json!({"token_name": "laptop", "lifetime_days": 30})).await;
    let by_token = rig.call(&text(&token, "key"), Method::GET, "/workspaces", &Value::Null, &[]).await;
    assert_eq!(by_token.0, 200);
    dev.delete(&format!("/users/me/keys/{}", text(&token, "id"))).await;
}

async fn settings(admin: &Session<'_>) {
    let panels = [
        (
            "infrastructure",
            json!({"access_url": "https://dev.example.test", "gpu_vendor": "nvidia", "enable_container_vms": true, "enable_caching": true, "enable_load_shiftfs": true,
                "default_container_vms": true, "default_registry_enabled": true, "memory_overprovisioning_enabled": true, "enable_workspaces_as_code": true}),
        ),
        (
            "features",
            json!({"self_contained_builds": "enabled", "process_logging": "enabled", "tun_device": "enabled", "fuse_device": "disabled", "ecr_auth": "enabled",
                "azure_auth": "enabled", "fallback_shell": "enabled"}),
        ),
        ("extensions", json!({"marketplace_type": "custom"})),
        ("dev-url-access", json!({"public": true, "org": true, "authed": true})),
        (
            "oauth-configs",
            json!({"client_id": "0fb2c3d4e5f67a4a", "client_secret": "s3cr3t-of-the-client", "description": "Git", "name": "GitHub", "service_type": "github", "url_host": "git.example.test"}),
        ),
        (
            "system-banner",
            json!({"enabled": true, "color": "#9A4967", "footer": "INTERNAL", "header": "INTERNAL"}),
        ),
        (
            "appearance",
            json!({"service_banner_enabled": true, "service_banner_color": "#18382D", "service_banner_message": "Maintenance", "terms_of_service": "Accept", "terms_enabled": true}),
        ),
        ("telemetry", json!({"crash_reports": true, "usage": true, "enhanced_usage": true})),
    ];
    for (panel, changes) in panels {
        let shown = admin.patch(&format!("/settings/{panel}"), changes).await;
        assert!(!shown.to_string().contains("s3cr3t-of-the-client"), "{shown}");
    }
    admin.put("/settings/template-policy", json!({"policy": "allow = [\"docker\"]"})).await;
    let (status, reply) = admin.any(Method::PATCH, "/settings/telemetry", json!({"usag": true}), &[]).await;
    assert_eq!(status, 400);
    assert!(reply["message"].as_str().unwrap().contains("usag"), "{reply}");
}

/// The evening, the next morning, and four weeks of absence.
async fn automation(rig: &Rig, dev: &Session<'_>, workspace: &str) {
    let sleeps = json!({"name": "sleeper", "template_id": template_of(dev, workspace).await});
    dev.post("/users/me/workspaces", sleeps).await;
    rig.deployment.work();
    let now: jiff::Timestamp = dev_time(dev, workspace).await;
    let hours = |count: i64| now + jiff::SignedDuration::from_hours(count);
    rig.deployment.set_clock(Some(hours(3)));
    rig.deployment.work();
    // Half past seven of one of the next two days.
    let morning = (1..=48).map(hours).find(|time| {
        let time = time.to_zoned(jiff::tz::TimeZone::UTC);
        time.hour() == 8 && time.timestamp() > hours(4)
    });
    let morning =
        morning.unwrap().to_zoned(jiff::tz::TimeZone::UTC).with().minute(0).build().unwrap().timestamp();
    rig.deployment.set_clock(Some(morning));
    rig.deployment.work();
    for day in [15, 30] {
        rig.deployment.set_clock(Some(hours(24 * day)));
        rig.deployment.work();
        rig.deployment.work();
    }
    rig.deployment.set_clock(Some(start()));
}

fn start() -> jiff::Timestamp {
    "2026-11-18T12:00:00Z".parse().unwrap()
}

async fn listed(dev: &Session<'_>, workspace: &str) -> Value {
    let all = dev.good(Method::GET, "/workspaces", Value::Null).await;
    all.as_array().unwrap().iter().find(|one| one["id"] == workspace).unwrap().clone()
}

async fn template_of(dev: &Session<'_>, workspace: &str) -> Value {
    listed(dev, workspace).await["template_id"].clone()
}

async fn dev_time(dev: &Session<'_>, workspace: &str) -> jiff::Timestamp {
    text(&listed(dev, workspace).await, "last_used_at").parse().unwrap()
}

async fn farewell(rig: &Rig, admin: &Session<'_>, dev: &Session<'_>, organization: &str, template: &str) {
    // Not an owner: refused, and recorded.
    for (method, path, body) in [
        (Method::DELETE, format!("/templates/{template}"), Value::Null),
        (Method::PATCH, "/settings/infrastructure".to_owned(), json!({"gpu_vendor": "none"})),
        (Method::PATCH, format!("/organizations/{organization}"), json!({"description": "Mine."})),
        (Method::DELETE, "/users/demo-dev-2".to_owned(), Value::Null),
    ] {
        assert_eq!(dev.any(method, &path, body, &[]).await.0, 403, "{path}");
    }
    admin.patch("/users/demo-dev-2", json!({"status": "suspended", "roles": ["auditor"]})).await;
    admin.delete("/users/demo-dev-2").await;
    rig.deployment.work();
    admin.delete(&format!("/organizations/{organization}/members/demo-dev-1")).await;
}

fn find<'e>(events: &'e [Value], members: &[(&str, &str)]) -> &'e Value {
    let fits = |event: &&Value| {
        members.iter().all(|(pointer, value)| match event.pointer(pointer) {
            Some(Value::String(text)) => text == value,
            Some(other) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *other),
            None => value.is_empty(),
        })
    };
    events.iter().find(fits).unwrap_or_else(|| panic!("no event with {members:?}"))
}

fn check_diffs(events: &[Value]) {
    let diff = |members: &[(&str, &str)]| find(events, members)["diff"].clone();
    let template = diff(&[("/resource_type", "template"), ("/action", "write"), ("/status_code", "200")]);
    assert_eq!(template["description"], json!({"old": "", "new": "A container.", "secret": false}));
    assert_ne!(template["active_version_id"]["old"], template["active_version_id"]["new"]);
    assert_eq!(template.as_object().unwrap().len(), 2, "{template}");

    let group =
        diff(&[("/resource_type", "group"), ("/action", "write"), ("/diff/quota_allowance/new", "20")]);
    assert_eq!(group["quota_allowance"], json!({"old": 10, "new": 20, "secret": false}));
    assert_eq!(group["members"]["new"].as_array().unwrap().len(), 2);

    let key = diff(&[("/resource_type", "git_ssh_key"), ("/action", "write")]);
    assert_eq!(key["private_key"], json!({"old": "", "new": "", "secret": true}));
    assert_ne!(key["public_key"]["old"], key["public_key"]["new"]);

    let user = diff(&[("/resource_type", "user"), ("/action", "create"), ("/resource_target", "demo-dev-1")]);
    assert_eq!(user["username"], json!({"old": "", "new": "demo-dev-1", "secret": false}));
    assert_eq!(user["hashed_password"]["secret"], true, "{user}");
    for untracked in ["created_at", "last_seen_at", "avatar_url", "login_type", "updated_at"] {
        assert_eq!(user.get(untracked), None, "{user}");
    }
    let secret = diff(&[("/resource_type", "secret"), ("/action", "write")]);
    assert_eq!(secret["value"], json!({"old": "", "new": "", "secret": true}));
    assert_eq!(secret["description"], json!({"old": "", "new": "new", "secret": false}));

    let build = diff(&[("/resource_type", "workspace_build"), ("/action", "start"), ("/status_code", "200")]);
    let names: Vec<&String> = build.as_object().unwrap().keys().collect();
    assert_eq!(names, ["template_version_id"]);
    let failed =
        find(events, &[("/resource_type", "workspace_build"), ("/action", "start"), ("/status_code", "500")]);
    assert_eq!((&failed["diff"], &failed["outcome"]), (&json!({}), &json!("failure")));
    let deleted = diff(&[("/resource_type", "workspace"), ("/action", "delete")]);
    assert_eq!(deleted["name"]["new"], "", "{deleted}");
    let slept = find(
        events,
        &[("/resource_type", "workspace"), ("/additional_fields/automatic_subsystem", "dormancy")],
    );
    assert!(slept["diff"]["dormant_at"]["new"].is_string(), "{slept}");
    let denied: Vec<&Value> = events.iter().filter(|event| event["outcome"] == "denied").collect();
    for (action, kind) in [
        ("delete", "template"),
        ("write", "admin_setting"),
        ("write", "organization"),
        ("enqueue", "job"),
        ("open", "dev_url"),
    ] {
        let is_it = |event: &&&Value| event["action"] == action && event["resource_type"] == kind;
        let event = denied.iter().find(is_it).unwrap_or_else(|| panic!("{action} {kind} was not refused"));
        assert_eq!((&event["diff"], &event["on_behalf_of"]), (&json!({}), &Value::Null), "{event}");
    }
    let organization =
        diff(&[("/resource_type", "organization"), ("/action", "write"), ("/status_code", "200")]);
    assert_eq!(organization, json!({"description": {"old": "", "new": "Ships things.", "secret": false}}));
    let member = diff(&[("/resource_type", "organization_member"), ("/action", "write")]);
    assert_eq!(
        member,
        json!({"roles": {"old": [], "new": ["organization-template-admin"], "secret": false}})
    );
    let version = diff(&[("/resource_type", "template_version"), ("/resource_target", "v2")]);
    assert_eq!((&version["readme"]["new"], version.get("job_id")), (&json!("# Two"), None));
    let left = find(
        events,
        &[
            ("/resource_type", "organization_member"),
            ("/action", "delete"),
            ("/resource_target", "demo-dev-2"),
        ],
    );
    assert_eq!(left["organization"]["name"], "northwind");
}

fn check_actors(events: &[Value]) {
    let user = |members: &[(&str, &str)]| find(events, members)["user"]["username"].clone();
    assert_eq!(user(&[("/action", "register")]), "demo-admin");
    assert_eq!(user(&[("/resource_type", "template"), ("/action", "create")]), "demo-admin");
    assert_eq!(user(&[("/action", "view"), ("/outcome", "success")]), "demo-dev-1");
    assert_eq!(user(&[("/action", "view"), ("/outcome", "denied")]), "demo-admin");
    let unknown = find(events, &[("/action", "login"), ("/resource_target", "nobody")]);
    assert_eq!((&unknown["user"], &unknown["actor_type"]), (&Value::Null, &json!("anonymous")));
    assert_eq!((&unknown["status_code"], &unknown["ip"]), (&json!(401), &json!("127.0.0.1")));

    // The job has the actor, the address and the request of whoever asked for it.
    let started = find(events, &[("/action", "start"), ("/build_reason", "cli")]);
    assert_eq!(started["user"]["username"], "demo-dev-1");
    assert_eq!(started["impersonator"]["username"], "demo-admin");
    assert_eq!(started["ip"], "192.0.2.7", "what the client itself says is not believed");
    let asked =
        find(events, &[("/action", "enqueue"), ("/request_id", started["request_id"].as_str().unwrap())]);
    assert_eq!(asked["resource_target"], "start workspace dev-1");
    assert_eq!(asked["impersonator"]["username"], "demo-admin");

    for (action, reason) in
        [("start", "autostart"), ("stop", "autostop"), ("stop", "failedstop"), ("delete", "autodelete")]
    {
        let event = find(events, &[("/action", action), ("/build_reason", reason)]);
        assert_eq!((&event["user"], &event["actor_type"]), (&Value::Null, &json!("system")), "{event}");
        assert_eq!(event["on_behalf_of"]["username"], "demo-dev-1");
        assert_eq!(event["organization"]["name"], "northwind");
    }
    let left = find(
        events,
        &[
            ("/action", "write"),
            ("/resource_type", "group"),
            ("/additional_fields/job_id", &{
                let job = find(
                    events,
                    &[
                        ("/action", "enqueue"),
                        ("/resource_target", "delete user demo-dev-2"),
                        ("/outcome", "success"),
                    ],
                );
                text(job, "resource_id")
            }),
        ],
    );
    assert_eq!(left["user"]["username"], "demo-admin");
}

/// Each of the 37 settings has its target and its field.
fn check_settings(events: &[Value]) {
    let settings = Registry::built_in();
    let changed: Vec<&Value> = events
        .iter()
        .filter(|event| event["resource_type"] == "admin_setting" && event["outcome"] == "success")
        .collect();
    let mut count = 0;
    for setting in settings.settings() {
        count += 1;
        let of_target = |event: &&&Value| event["resource_target"] == setting.target.as_str();
        let event = changed.iter().find(of_target).unwrap_or_else(|| panic!("{}", setting.target));
        // Two rows name several fields at once.
        for field in setting.field.split('/').filter(|field| !field.is_empty()) {
            assert!(event["diff"].get(field).is_some(), "{}: `{field}` is not in {event}", setting.setting);
        }
    }
    assert_eq!(count, 37);
    let oauth = changed.iter().find(|event| event["resource_target"] == "oauth configs").unwrap();
    assert_eq!(oauth["diff"]["client id"]["new"], "0fb2...7a4a");
    assert_eq!(oauth["diff"]["client secret"]["secret"], true);
    let policy = changed.iter().find(|event| event["resource_target"] == "local").unwrap();
    for (field, value) in
        [("commit", "0000...0000"), ("filepath", "local"), ("git ref", "local"), ("From", "User")]
    {
        assert_eq!(policy["diff"][field]["new"], value);
    }
}
