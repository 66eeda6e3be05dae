//! The printed forms of the registry.

use annals_model::registry::{Authority, Registry};
use proptest::prelude::*;

#[test]
fn markdown_page() {
    insta::assert_snapshot!("registry_markdown", Registry::built_in().to_markdown());
}

#[test]
fn json() {
    let json = serde_json::to_string_pretty(&Registry::built_in().to_json()).unwrap();
    insta::assert_snapshot!("registry_json", json);
}

#[test]
fn what_is_proposed_for_an_unknown_name_is_accepted() {
    let mut registry = Registry::built_in();
    let resource = registry.toml_to_add_resource("s3.bucket:object");
    let action = registry.toml_to_add_action("get_object");
    insta::assert_snapshot!(format!("{resource}\n{action}"), @r#"
    [[resource]]
    type = "s3.bucket:object"

    [resource.fields]
    # one line for each field: "track", "secret", "abbreviate" or "ignore"
    id = "track"

    [[action]]
    name = "get_object"
    description = "What it means that this happened."
    done = "get object" # the verb of a sentence about it, in the past tense
    "#);
    registry.extend(&resource, Authority::Application).unwrap();
    registry.extend(&action, Authority::Application).unwrap();
    assert!(registry.resource("s3.bucket:object").is_some() && registry.action("get_object").is_some());
}

#[test]
fn toml_makes_the_same_registry_again() {
    let built_in = Registry::built_in();
    let mut again = Registry::default();
    again.extend(&built_in.to_toml(), Authority::Operator).unwrap();
    assert_eq!(again, built_in);
}

#[test]
fn toml_keeps_a_field_name_with_a_backslash_and_a_quote() {
    let mut registry = Registry::default();
    registry
        .extend(r#"resource = [{ type = "a", fields = { "\\'\"" = "track" } }]"#, Authority::Operator)
        .unwrap();
    let mut again = Registry::default();
    again.extend(&registry.to_toml(), Authority::Operator).unwrap();
    assert_eq!(again.resource("a").unwrap().fields[0].name, r#"\'""#);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Free text survives being written and read, whatever quotes and signs it holds.
    #[test]
    fn toml_keeps_free_text(texts in proptest::collection::vec("[^\\p{Cc}{}]{1,40}", 9)) {
        let mut registry = Registry::default();
        let quoted: Vec<_> = texts.iter().map(|text| toml_string(text)).collect();
        let document = format!(
            "build_reasons = [{0}]\n[[resource]]\ntype = 'a'\nname = {1}\nnoun = {2}\nsentences.default = {7}\n\
             [resource.fields]\n{3} = {{ policy = 'secret', mask = {4}, personal = true }}\n\
             [[action]]\nname = 'b'\ndescription = {5}\ndone = {6}\nattempt = {8}\n",
            quoted[0], quoted[1], quoted[2], quoted[3], quoted[4], quoted[5], quoted[6], quoted[7],
            quoted[8],
        );
        registry.extend(&document, Authority::Operator).unwrap();
        prop_assert_eq!(registry.resource("a").unwrap().fields[0].name.as_str(), texts[3].as_str());
        prop_assert_eq!(registry.action("b").unwrap().attempt.as_ref(), Some(&texts[8]));
        let mut again = Registry::default();
        again.extend(&registry.to_toml(), Authority::Operator).unwrap();
        prop_assert_eq!(again, registry);
    }
}

/// A basic string with every character escaped, so that the test does not lean on the code under test.
fn toml_string(text: &str) -> String {
    let escaped: String = text.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}
