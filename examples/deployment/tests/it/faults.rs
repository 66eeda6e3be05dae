//! What is refused, and what happens while the log is away.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Rig, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_log_work_goes_on_and_secrets_stay_shut() {
    let mut rig = Rig::new().await;
    let secret = {
        let admin = rig.first_user().await;
        let secret = admin.post("/secrets", json!({"name": "npm-token", "value": "value-one"})).await;
        rig.events().await;
        (admin.token.clone(), text(&secret, "id"))
    };
    rig.stop_log();
    let (token, id) = secret;
    let organization = json!({"name": "northwind"});
    let (status, _) = rig.call(&token, Method::POST, "/organizations", &organization, &[]).await;
    assert_eq!(status, 201, "what may wait is kept in the spool");
    let (status, reply) =
        rig.call(&token, Method::GET, &format!("/secrets/{id}/value"), &Value::Null, &[]).await;
    assert_eq!((status, reply.get("value")), (503, None), "{reply}");
    assert_eq!(rig.auditor.stats().refused, 0);
    assert!(rig.auditor.stats().waiting >= 2);
    assert!(rig.dir.path().join("spool").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_without_a_session() {
    let rig = Rig::new().await;
    let admin = rig.first_user().await;
    let open = ["/users/login", "/users/otp/request", "/users/otp/change-password"];
    let router = include_str!("../../src/router.rs");
    let paths: Vec<&str> = router
        .split(".route(")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1))
        .filter(|path| !open.contains(path))
        .collect();
    assert!(paths.len() > 30, "{}", paths.len());
    for path in paths {
        let is_setting = router.contains(&format!("{path}\", get(show"));
        let path = format!("{}{path}", if is_setting { "/settings" } else { "" });
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let body = json!({"username": "x", "email": "x", "password": "a-long-password"});
            let (status, _) = rig.call("deployment_wrong", method.clone(), &path, &body, &[]).await;
            // The route of the first user answers that there is one.
            assert!(
                [401, 405].contains(&status) || (path == "/users/first" && status == 403),
                "{method} {path}: {status}"
            );
        }
    }
    let (status, _) = admin.any(Method::GET, "/users", Value::Null, &[("x-impersonate", "nobody")]).await;
    assert_eq!(status, 404);
    let dev = json!({"username": "demo-dev-1", "email": "d@example.test", "password": "demo-dev-1-2662"});
    admin.post("/users", dev).await;
    let dev = rig.log_in("demo-dev-1", "demo-dev-1-2662").await;
    let (status, _) = dev.any(Method::GET, "/users", Value::Null, &[("x-impersonate", "demo-admin")]).await;
    assert_eq!(status, 403, "only owners act as others");
    admin.patch("/users/demo-dev-1", json!({"status": "suspended"})).await;
    assert_eq!(dev.any(Method::GET, "/users/me", Value::Null, &[]).await.0, 401);
}
