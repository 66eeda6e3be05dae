//! The links to resources.

use annals_model::registry::{Authority, Linked, Registry};

const NONE: Linked<'static> = Linked {
    kind: "",
    resource_id: "",
    target: "",
    user_id: "",
    username: "",
    organization_id: "",
    organization_name: "",
    additional: &|_| None,
};

#[track_caller]
fn check(about: Linked<'_>, expect: &str) {
    assert_eq!(Registry::built_in().resource_link(&about), expect, "{about:?}");
}

fn build(key: &str) -> Option<String> {
    match key {
        "workspace_name" => Some("dev".into()),
        "build_number" => Some("12".into()),
        "workspace_owner" => Some(String::new()),
        _ => None,
    }
}

#[test]
fn leads_to_the_pages_of_coder() {
    check(Linked { kind: "template", target: "docker", ..NONE }, "/templates/docker");
    check(Linked { kind: "user", target: "anna", ..NONE }, "/users?filter=anna");
    check(Linked { kind: "workspace", target: "dev", username: "anna", ..NONE }, "/@anna/dev");
    let owned = &|key: &str| (key == "workspace_owner").then(|| "bob".to_owned());
    check(
        Linked { kind: "workspace", target: "dev", username: "anna", additional: owned, ..NONE },
        "/@bob/dev",
    );
    check(
        Linked { kind: "workspace_build", username: "anna", additional: &build, ..NONE },
        "/@anna/dev/builds/12",
    );
    check(Linked { kind: "workspace_app", username: "anna", additional: &build, ..NONE }, "/@anna/dev");
    check(
        Linked { kind: "oauth2_provider_app", resource_id: "7", ..NONE },
        "/deployment/oauth2-provider/apps/7",
    );
    check(Linked { kind: "task", resource_id: "7", username: "anna", ..NONE }, "/tasks/anna/7");
    check(Linked { kind: "chat", resource_id: "7", ..NONE }, "/agents/7");
    check(
        Linked { kind: "group_ai_budget", organization_name: "acme", target: "eng", ..NONE },
        "/organizations/acme/groups/eng",
    );
    check(
        Linked { kind: "mcp_server_config", resource_id: "7", organization_name: "acme", ..NONE },
        "/ai/settings/mcp-servers/7?org=acme",
    );
}

#[test]
fn is_empty_where_a_value_or_a_page_is_missing() {
    check(Linked { kind: "template", ..NONE }, "");
    check(Linked { kind: "workspace", target: "dev", ..NONE }, "");
    check(Linked { kind: "workspace_build", username: "anna", ..NONE }, "");
    check(Linked { kind: "organization", resource_id: "7", target: "acme", ..NONE }, "");
    check(Linked { kind: "no_such_type", resource_id: "7", ..NONE }, "");
    let nil = "00000000-0000-0000-0000-000000000000";
    check(Linked { kind: "chat", resource_id: nil, ..NONE }, "");
}

#[test]
fn a_value_stays_one_segment() {
    let template = |target| Linked { kind: "template", target, ..NONE };
    check(template("a/b?c#d e%"), "/templates/a%2Fb%3Fc%23d%20e%25");
    check(template("größe"), "/templates/gr%C3%B6%C3%9Fe");
    check(template("v1.2_x-y~z"), "/templates/v1.2_x-y~z");
    check(template(".."), "");
    check(Linked { kind: "user", target: "a@b.c&x=1", ..NONE }, "/users?filter=a%40b.c%26x%3D1");
}

#[test]
fn the_operator_gives_a_type_its_page() {
    let mut registry = Registry::built_in();
    let document =
        "[[resource]]\ntype = 'organization'\nlink = '/o/{organization_id}/{additional.tab|target}'";
    registry.extend(document, Authority::Operator).unwrap();
    let about = Linked { kind: "organization", organization_id: "7", target: "acme", ..NONE };
    assert_eq!(registry.resource_link(&about), "/o/7/acme");
}
