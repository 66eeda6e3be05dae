//! Extending the registry: what is added, what is refused, and how that is said.

use annals_model::limits::{FAULTS_MAX, REGISTRY_BYTES_MAX, RESOURCE_TYPES_MAX};
use annals_model::registry::{Authority, CUSTOM, Policy, Registry, RegistryFault};

/// Puts a document into the built-in registry and returns what changed, or the errors, as displayed.
#[track_caller]
fn extended(document: &str, authority: Authority) -> Result<(Registry, String), String> {
    let mut registry = Registry::built_in();
    match registry.extend(document, authority) {
        Ok(extension) => {
            let again = registry.extend(document, authority).expect("what was accepted is accepted again");
            assert!(again.is_empty(), "the same document changed something: {again}");
            Ok((registry, extension.to_string()))
        }
        Err(errors) => {
            assert_eq!(registry, Registry::built_in(), "a refused document changed something");
            Err(errors.to_string())
        }
    }
}

#[track_caller]
fn check_changes(document: &str, authority: Authority, expect: &str) -> Registry {
    let (registry, changes) = extended(document, authority).expect("the document is accepted");
    assert_eq!(changes, expect);
    registry
}

#[track_caller]
fn check_errors(document: &str, authority: Authority, expect: &[&str]) {
    let errors = extended(document, authority).map(|(_, changes)| changes).expect_err("it is refused");
    assert_eq!(errors.lines().collect::<Vec<_>>(), expect);
}

/// A document with one line about one field.
fn field(kind: &str, line: &str) -> String {
    format!("[[resource]]\ntype = \"{kind}\"\n[resource.fields]\n{line}\n")
}

#[test]
fn an_application_adds_types_fields_and_actions() {
    let document = r#"
        [[resource]]
        type = "dev.acme:purchase_order"
        link = "/orders/{id}"
        actions = ["create", "approve"]
        [resource.fields]
        amount = "track"
        card = { policy = "secret", mask = "******" }
        "two words" = "abbreviate"
        [resource.later_fields]
        email = { policy = "track", personal = true }

        [[resource]]
        type = "template"
        [resource.fields]
        acme_cost_center = "track"

        [[action]]
        name = "approve"
        description = "The money may be spent."
        done = "approved"
    "#;
    let registry = check_changes(
        document,
        Authority::Application,
        "added resource type `dev.acme:purchase_order` with 4 fields\n\
         added field `acme_cost_center` (track) to resource type `template`\n\
         added action `approve`",
    );
    let order = registry.resource("dev.acme:purchase_order").unwrap();
    assert_eq!(
        (order.name.as_str(), order.noun.as_str()),
        ("DevAcmePurchaseOrder", "dev.acme:purchase order")
    );
    assert_eq!(order.registry, CUSTOM);
    assert_eq!(order.field("card").unwrap().mask.as_deref(), Some("******"));
    assert_eq!(order.field("two words").unwrap().policy, Policy::Abbreviate);
    assert!(order.field("email").unwrap().personal);
    assert_eq!(
        registry.resource("template").unwrap().field("acme_cost_center").unwrap().policy,
        Policy::Track
    );
    assert_eq!(registry.resources().last().unwrap().kind, "dev.acme:purchase_order");
}

#[test]
fn an_application_tightens() {
    for (document, expect) in [
        (
            field("template", "description = 'secret'"),
            "changed field `description` of resource type `template` from track to secret",
        ),
        (
            field("template", "description = 'abbreviate'"),
            "changed field `description` of resource type `template` from track to abbreviate",
        ),
        (
            field("admin_setting", "'client id' = 'secret'"),
            "changed field `client id` of resource type `admin_setting` from abbreviate to secret",
        ),
        (
            field("template", "created_at = 'secret'"),
            "changed field `created_at` of resource type `template` from ignore to secret",
        ),
        (
            field("template", "description = { policy = 'track', personal = true }"),
            "marked field `description` of resource type `template` as personal",
        ),
        (
            field("user", "hashed_password = { policy = 'secret', mask = '***' }"),
            "changed the mask of field `hashed_password` of resource type `user`",
        ),
        (field("user", "email = 'track'"), ""),
        (
            "[[resource]]\ntype = 'template'\npersonal_target = true".into(),
            "changed `personal_target` of resource type `template`",
        ),
        (
            "[[resource]]\ntype = 'template'\nactions = ['read']".into(),
            "changed `actions` of resource type `template`",
        ),
    ] {
        check_changes(&document, Authority::Application, expect);
    }
}

#[test]
fn an_application_never_loosens() {
    for (kind, name, from, to) in [
        ("user", "hashed_password", "secret", "track"),
        ("user", "hashed_password", "secret", "abbreviate"),
        ("user", "hashed_password", "secret", "ignore"),
        ("user", "email", "track", "ignore"),
        ("user", "created_at", "ignore", "track"),
        ("user", "created_at", "ignore", "abbreviate"),
        ("admin_setting", "client id", "abbreviate", "track"),
    ] {
        let document = field(kind, &format!("\"{name}\" = \"{to}\""));
        let expect = format!(
            "line 4: resource `{kind}`, field `{name}`: an application may tighten a policy, never loosen one; \
             it is `{from}` and would become `{to}`"
        );
        check_errors(&document, Authority::Application, &[&expect]);
        extended(&document, Authority::Operator).expect("the operator may");
    }
    for (kind, line, expect) in [
        (
            "user",
            "email = { policy = 'track', personal = false }",
            "line 4: resource `user`, field `email`: an application may mark as personal, never unmark",
        ),
        (
            "admin_setting",
            "'client secret' = { policy = 'secret', mask = 'x' }",
            "line 4: resource `admin_setting`, field `client secret`: an application may not set `mask` here; the \
             operator's file may",
        ),
    ] {
        check_errors(&field(kind, line), Authority::Application, &[expect]);
        extended(&field(kind, line), Authority::Operator).expect("the operator may");
    }
}

#[test]
fn an_application_does_not_redefine_what_is_built_in() {
    for (key, value) in [
        ("name", "'Account'"),
        ("noun", "'account'"),
        ("link", "'/accounts/{id}'"),
        ("shared_id", "true"),
        ("deleted_with", "{ type = 'organization', additional = 'org' }"),
        ("sentences", "{ create = '{user} came' }"),
        ("sentence_when", "[{ action = 'write', only_changed = ['name'], sentence = '{user} renamed' }]"),
        ("registry", "'acme'"),
    ] {
        let document = format!("[[resource]]\ntype = 'user'\n{key} = {value}");
        check_errors(
            &document,
            Authority::Application,
            &[&format!(
                "line 3: resource `user`: an application may not set `{key}` here; the operator's file may"
            )],
        );
        check_changes(&document, Authority::Operator, &format!("changed `{key}` of resource type `user`"));
    }
    check_errors(
        "[[resource]]\ntype = 'user'\npersonal_target = false",
        Authority::Application,
        &["line 3: resource `user`: an application may mark as personal, never unmark"],
    );
    check_errors(
        "build_reasons = ['whim']\n[[action]]\nname = 'write'\ndescription = 'Anything.'\ndone = 'touched'",
        Authority::Application,
        &[
            "line 1: an application may not set `build_reasons` here; the operator's file may",
            "line 2: action `write`: an application may not set `action` here; the operator's file may",
        ],
    );
    check_errors(
        "[[resource]]\ntype = 'invoice'\nregistry = 'coder'",
        Authority::Application,
        &["line 3: resource `invoice`: an application may not set `registry` here; the operator's file may"],
    );
}

#[test]
fn a_type_of_ones_own_may_change() {
    let mut registry = Registry::built_in();
    let authority = Authority::Application;
    registry.extend("[[resource]]\ntype = 'invoice'\nlink = '/old/{id}'", authority).unwrap();
    let extension = registry
        .extend("[[resource]]\ntype = 'invoice'\nlink = '/new/{id}'\nnoun = 'bill'", authority)
        .unwrap();
    assert_eq!(
        extension.to_string(),
        "changed `noun` of resource type `invoice`\nchanged `link` of resource type `invoice`"
    );
    let invoice = registry.resource("invoice").unwrap();
    assert_eq!((invoice.link.as_deref(), invoice.noun.as_str()), (Some("/new/{id}"), "bill"));
}

#[test]
fn an_action_of_ones_own_may_get_other_words() {
    let mut registry = Registry::built_in();
    let action = "[[action]]\nname = 'approve'\ndescription = 'It may be paid.'\ndone = 'approved'";
    let worded = format!("{action}\nattempt = 'give approval for'");
    registry.extend(action, Authority::Application).unwrap();
    let extension = registry.extend(&worded, Authority::Application).unwrap();
    assert_eq!(extension.to_string(), "changed action `approve`");
    assert_eq!(registry.action("approve").unwrap().attempt.as_deref(), Some("give approval for"));
    assert!(registry.extend(&worded, Authority::Application).unwrap().is_empty());
}

#[test]
fn the_operator_loosens_too() {
    let registry = check_changes(
        &field("admin_setting", "'client secret' = 'track'"),
        Authority::Operator,
        "changed field `client secret` of resource type `admin_setting` from secret to track",
    );
    let secret = registry.resource("admin_setting").unwrap().field("client secret").unwrap();
    assert_eq!((secret.policy, &secret.mask), (Policy::Track, &None));
}

#[test]
fn later_fields_keep_their_place() {
    let registry = check_changes(
        &field("template", "deprecated = 'secret'"),
        Authority::Operator,
        "changed field `deprecated` of resource type `template` from track to secret",
    );
    let template = registry.resource("template").unwrap();
    assert_eq!(template.fields.len(), 18);
    assert_eq!(template.field("deprecated").unwrap().policy, Policy::Secret);
}

#[test]
fn all_errors_are_reported_at_once_in_the_order_of_lines() {
    let document = r#"resources = []
[[resource]]
type = "Invoice"
linc = "/x"
link = "https://example.com/{id}"
actions = ["create", "Frob"]
personal_target = "yes"

[resource.fields]
amount = "tarck"
card = { policy = "track", mask = "*", persnal = true }
email = { personal = true }
note = 7

[resource.later_fields]
card = "secret"

[resource.sentences]
create = "{user} made {thing}"

[[resource]]
noun = "{x}"

[[action]]
name = "approve"
attempt = "approve {target}"

[[setting]]
section = "S"
setting = ""
"#;
    check_errors(
        document,
        Authority::Operator,
        &[
            "line 1: unknown key `resources`; did you mean `resource`?",
            "line 3: resource `Invoice`: `Invoice` is no name for it; expected at most 100 bytes of lower-case letters, \
             digits, `_`, `.`, `:` and `-`, beginning with a letter",
            "line 4: resource `Invoice`: unknown key `linc`; did you mean `link`?",
            "line 5: resource `Invoice`: `https://example.com/{id}` is no path; expected `/` and what follows it, \
             without spaces",
            "line 6: resource `Invoice`: `Frob` is no name for it; expected at most 100 bytes of lower-case letters, \
             digits, `_`, `.`, `:` and `-`, beginning with a letter",
            "line 7: resource `Invoice`: `personal_target` must be true or false, not string",
            "line 10: resource `Invoice`, field `amount`: unknown policy `tarck`; did you mean `track`?",
            "line 11: resource `Invoice`, field `card`: unknown key `persnal`; did you mean `personal`?",
            "line 11: resource `Invoice`, field `card`: only a field with the policy `secret` has a mask; this one has \
             `track`",
            "line 12: resource `Invoice`, field `email`: `policy` is missing",
            "line 13: resource `Invoice`, field `note`: `note` must be a policy or a table with one, not integer",
            "line 16: resource `Invoice`, field `card`: declared twice",
            "line 19: resource `Invoice`: `{user} made {thing}` has the placeholder `thing`; expected `{user}`, \
             `{verb}`, `{noun}` or `{target}`",
            "line 21: resource no. 2: `type` is missing",
            "line 22: resource no. 2: `noun` must not contain braces",
            "line 24: action `approve`: `description` is missing",
            "line 24: action `approve`: `done` is missing",
            "line 26: action `approve`: `attempt` must not contain braces",
            "line 28: setting ``: `action` is missing",
            "line 28: setting ``: `target` is missing",
            "line 30: setting ``: `setting` has 0 bytes; expected 1 to 4096",
        ],
    );
}

#[test]
fn names_that_lead_nowhere_are_errors() {
    check_errors(
        "[[resource]]\ntype = 'invoice'\nactions = ['updated', 'frobnicate']\n\
         deleted_with = { type = 'workspaces', additional = 'id' }\n\
         [[resource]]\ntype = 'invoice'\n[[action]]\nname='a'\ndescription='A.'\ndone='a'\n\
         [[action]]\nname='a'\ndescription='A.'\ndone='a'",
        Authority::Operator,
        &[
            "line 3: resource `invoice`: unknown action `updated`; did you mean `write`?",
            "line 3: resource `invoice`: unknown action `frobnicate`; declare it in this document or an earlier one",
            "line 4: resource `invoice`: unknown resource type `workspaces`; did you mean `workspace`?",
            "line 5: resource `invoice`: declared twice",
            "line 11: action `a`: declared twice",
        ],
    );
}

#[test]
fn text_that_is_not_toml_is_located() {
    let errors =
        Registry::built_in().extend("[[resource]]\ntype = 'a'\nname = \n", Authority::Operator).unwrap_err();
    let [error] = errors.iter().collect::<Vec<_>>()[..] else { panic!("{errors}") };
    assert_eq!(error.line, Some(3));
    assert!(matches!(error.fault, RegistryFault::Syntax { .. }));
}

#[test]
fn links_stay_on_the_deployment() {
    for link in ["//evil.example/{id}", "/\\evil.example", "javascript:alert(1)", "/a b", "{id}"] {
        let document = format!("[[resource]]\ntype = 'a'\nlink = '{link}'");
        check_errors(
            &document,
            Authority::Operator,
            &[&format!(
                "line 3: resource `a`: `{link}` is no path; expected `/` and what follows it, without spaces"
            )],
        );
    }
    for (link, placeholder) in
        [("/{}", ""), ("/{name}", "name"), ("/{additional.}", "additional."), ("/{id", "{id")]
    {
        let document = format!("[[resource]]\ntype = 'a'\nlink = '{link}'");
        let errors = extended(&document, Authority::Operator).map(|(_, changes)| changes).unwrap_err();
        assert!(
            errors.contains(&format!("has the placeholder `{placeholder}`; expected `{{id}}`")),
            "{errors}"
        );
    }
}

#[test]
fn everything_has_a_limit() {
    let mut registry = Registry::built_in();
    let errors = registry.extend(&" ".repeat(REGISTRY_BYTES_MAX + 1), Authority::Operator).unwrap_err();
    assert_eq!(errors.to_string(), "524289 bytes exceed the limit of 524288");

    let types: String = (0..RESOURCE_TYPES_MAX).map(|i| format!("[[resource]]\ntype = 't{i}'\n")).collect();
    let errors = registry.extend(&types, Authority::Operator).unwrap_err();
    assert!(errors.to_string().ends_with("resource types exceed the limit of 512"), "{errors}");

    let fields: String = (0..600).map(|i| format!("f{i} = 'track'\n")).collect();
    let errors = registry.extend(&field("wide", &fields), Authority::Operator).unwrap_err();
    assert_eq!(errors.to_string(), "line 3: resource `wide`: 600 fields exceed the limit of 512");

    let part = |n| (0..300).map(|i| format!("f{n}_{i} = 'track'\n")).collect::<String>();
    let mut half = registry.clone();
    half.extend(&field("template", &part(1)), Authority::Operator)
        .expect("the first half is within the limit");
    let errors = half.extend(&field("template", &part(2)), Authority::Operator).unwrap_err();
    assert!(errors.to_string().ends_with("fields exceed the limit of 512"), "{errors}");

    let faults: String = (0..FAULTS_MAX + 5).map(|i| format!("f{i} = 'no'\n")).collect();
    let errors = registry.extend(&field("bad", &faults), Authority::Operator).unwrap_err();
    assert_eq!(errors.to_string().lines().count(), FAULTS_MAX + 1);
    assert!(errors.to_string().ends_with("\nand 5 more"));

    let name = "a".repeat(101);
    let errors = registry.extend(&format!("[[resource]]\ntype = '{name}'"), Authority::Operator).unwrap_err();
    assert!(matches!(errors.iter().next().unwrap().fault, RegistryFault::BadName { .. }));
    assert_eq!(registry, Registry::built_in());
}

#[test]
fn settings_and_build_reasons_are_the_operators() {
    let document = "build_reasons = ['whim']\n[[setting]]\nsection='Appearance'\nsetting='Logo'\n\
                    action='write'\ntarget='appearance'\nfield='logo'";
    check_changes(
        document,
        Authority::Operator,
        "added setting `Logo` in section `Appearance`\nadded build reason `whim`",
    );
    check_errors(
        document,
        Authority::Application,
        &[
            "line 1: an application may not set `build_reasons` here; the operator's file may",
            "line 2: setting `Logo`: an application may not set `setting` here; the operator's file may",
        ],
    );
}
