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
    rig.stop_log().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gains_rights_or_leaves_the_log() {
    let rig = Rig::new().await;
    let owner = rig.first_user().await;
    let user = |name: &str, roles: &[&str]| json!({"username": name, "email": format!("{name}@example.test"), "password": format!("{name}-2662"), "roles": roles});
    owner.post("/users", user("demo-lead", &["user-admin"])).await;
    owner.post("/users", user("demo-dev-1", &[])).await;
    let lead = rig.log_in("demo-lead", "demo-lead-2662").await;
    let dev = rig.log_in("demo-dev-1", "demo-dev-1-2662").await;
    let (patch, delete, post) = (Method::PATCH, Method::DELETE, Method::POST);

    // A user admin manages those without roles, and makes nobody more than that.
    for body in [
        json!({"password": "a-new-password"}),
        json!({"status": "suspended"}),
        json!({"email": "x@example.test"}),
    ] {
        assert_eq!(lead.any(patch.clone(), "/users/demo-admin", body, &[]).await.0, 403);
    }
    assert_eq!(lead.any(delete.clone(), "/users/demo-admin", Value::Null, &[]).await.0, 403);
    assert_eq!(lead.any(patch.clone(), "/users/demo-dev-1", json!({"roles": ["owner"]}), &[]).await.0, 403);
    assert_eq!(lead.any(post.clone(), "/users", user("demo-x", &["owner"]), &[]).await.0, 403);
    assert_eq!(
        lead.any(
            post.clone(),
            "/users/demo-dev-1/keys/tokens",
            json!({"token_name": "t", "lifetime_days": 1}),
            &[]
        )
        .await
        .0,
        403
    );

    // Somebody is always left who owns the deployment.
    for body in [json!({"roles": []}), json!({"status": "suspended"})] {
        assert_eq!(owner.any(patch.clone(), "/users/me", body, &[]).await.0, 409);
    }
    assert_eq!(owner.any(delete, "/users/me", Value::Null, &[]).await.0, 409);

    // Who acts in another's place leaves nothing behind by which that goes on, and sees no secrets.
    let secret = text(&dev.post("/secrets", json!({"name": "npm-token", "value": "value-one"})).await, "id");
    let as_dev = [("x-impersonate", "demo-dev-1")];
    for (method, path, body) in [
        (Method::GET, format!("/secrets/{secret}/value"), Value::Null),
        (post.clone(), "/users/me/keys/tokens".to_owned(), json!({"token_name": "t", "lifetime_days": 1})),
        (patch.clone(), "/users/me".to_owned(), json!({"password": "a-new-password"})),
        (post.clone(), "/users/logout".to_owned(), Value::Null),
    ] {
        assert_eq!(owner.any(method, &path, body, &as_dev).await.0, 403, "{path}");
    }
    assert_eq!(dev.any(Method::GET, "/users/me", Value::Null, &[("x-impersonate", "nobody")]).await.0, 403);

    // Texts that the log would not take are not stored, and a name that is too long is an attempt all the same.
    let long = "x".repeat(5_000);
    assert_eq!(dev.any(patch.clone(), "/users/me", json!({"name": long}), &[]).await.0, 400);
    let token = json!({"token_name": long, "lifetime_days": 1});
    assert_eq!(dev.any(post.clone(), "/users/me/keys/tokens", token, &[]).await.0, 400);
    let attempt = json!({"username": long, "password": "a-wrong-password"});
    assert_eq!(rig.call("", post.clone(), "/users/login", &attempt, &[]).await.0, 401);

    // A new password ends what the old one opened.
    let new = json!({"password": "a-new-password", "old_password": "wrong"});
    assert_eq!(dev.any(patch.clone(), "/users/me", new, &[]).await.0, 409);
    let laptop = dev.post("/users/me/keys/tokens", json!({"token_name": "laptop", "lifetime_days": 1})).await;
    dev.patch("/users/me", json!({"password": "a-new-password", "old_password": "demo-dev-1-2662"})).await;
    assert_eq!(dev.any(Method::GET, "/users/me", Value::Null, &[]).await.0, 401);
    assert_eq!(rig.call(&text(&laptop, "key"), Method::GET, "/users/me", &Value::Null, &[]).await.0, 401);

    let events = rig.events().await;
    let logged = |name: &str| {
        events
            .iter()
            .filter(|event| event["resource_target"].as_str().is_some_and(|target| target.starts_with(name)))
            .count()
    };
    assert_eq!(logged("xxxx"), 2, "the refused token and the attempt");
    let taken_back =
        events.iter().find(|event| event["action"] == "delete" && event["resource_target"] == "laptop");
    assert_eq!(taken_back.unwrap()["user"]["username"], "demo-dev-1");
}
