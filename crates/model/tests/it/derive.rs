//! `#[derive(Auditable)]` on structs that are out of the ordinary, and on those that it refuses.

use std::collections::HashMap;
use std::marker::PhantomData;

use annals_model::auditable::Auditable;
use annals_model::registry::{Authority, Policy, Registry};
use serde::{Serialize, Serializer};
use serde_json::json;

/// Is not `Serialize`, so a field of this type compiles only if it is ignored.
struct Opaque;

#[derive(Auditable)]
#[audit(type = "invoice", name = "CustomerInvoice", noun = "bill")]
#[audit(link = "/invoices/{id}")]
struct Invoice {
    #[audit(track, id)]
    number: Option<u64>,
    #[audit(track, personal)]
    #[audit(target)]
    email: String,
    #[audit(secret, mask = "******")]
    card: &'static str,
    #[audit(abbreviate, rename = "client id")]
    client_id: String,
    #[audit(track)]
    r#type: (),
    #[audit(ignore)]
    _opaque: Opaque,
}

fn invoice() -> Invoice {
    Invoice {
        number: Some(7),
        email: "anna@example.com".into(),
        card: "4111",
        client_id: "0fb2c4d6e8f07a4a".into(),
        r#type: (),
        _opaque: Opaque,
    }
}

#[test]
fn registers_itself_and_is_read_again() {
    assert_eq!(Invoice::resource_type(), "invoice");
    insta::assert_snapshot!(Invoice::document(), @r#"
    [[resource]]
    type = "invoice"
    name = "CustomerInvoice"
    noun = "bill"
    link = "/invoices/{id}"
    personal_target = true

    [resource.fields]
    number = "track"
    email = { policy = "track", personal = true }
    card = { policy = "secret", mask = "******" }
    "client id" = "abbreviate"
    type = "track"
    _opaque = "ignore"
    "#);
    let mut registry = Registry::built_in();
    registry.extend(&Invoice::document(), Authority::Application).unwrap();
    let resource = registry.resource("invoice").unwrap();
    assert!(resource.personal_target);
    for (declared, known) in Invoice::definition().fields.iter().zip(&resource.fields) {
        assert_eq!((declared.name, declared.policy), (known.name.as_str(), known.policy));
    }
    assert!(registry.extend(&Invoice::document(), Authority::Application).unwrap().is_empty());
}

#[test]
fn a_snapshot_holds_no_secret_and_nothing_ignored() {
    assert_eq!(
        invoice().snapshot().unwrap(),
        [
            ("number", json!(7)),
            ("email", json!("anna@example.com")),
            ("client id", json!("0fb2c4d6e8f07a4a")),
            ("type", json!(null)),
        ]
    );
}

#[test]
fn secrets_are_comparable_in_the_process_and_not_printed() {
    let fields = invoice().audit_fields().unwrap();
    let card = fields.iter().find(|field| field.name == "card").unwrap();
    assert_eq!((card.policy, &card.value), (Policy::Secret, &json!("4111")));
    assert!(fields.iter().all(|field| field.policy != Policy::Ignore));
    let printed = format!("{fields:?}");
    assert!(printed.contains("anna@example.com") && !printed.contains("4111") && !printed.contains("0fb2"));
}

#[test]
fn the_marked_fields_name_the_resource() {
    assert_eq!(invoice().resource_id().as_deref(), Some("7"));
    assert_eq!(invoice().resource_target().as_deref(), Some("anna@example.com"));
    assert_eq!(Invoice { number: None, ..invoice() }.resource_id(), None);
}

/// The same names as what the derived code uses, to shadow it.
mod shadows {
    #![expect(dead_code, non_camel_case_types, reason = "only their names matter")]

    pub(super) struct Vec;
    pub(super) struct Option;
    pub(super) struct Result;
    pub(super) struct str;
    pub(super) struct bool;
}

mod hostile {
    #[expect(unused_imports, reason = "what is imported must not matter to derived code")]
    use super::shadows::*;
    use annals_model::Auditable;

    #[derive(Auditable)]
    #[audit(type = "hostile", crate = "annals_model")]
    pub(super) struct Hostile {
        #[audit(track)]
        pub(super) definition: u8,
    }

    impl Hostile {
        #[expect(dead_code, reason = "an inherent method must not be called instead")]
        fn definition() {}
    }
}

#[test]
fn derived_code_stands_on_its_own_names() {
    let value = hostile::Hostile { definition: 1 };
    assert_eq!(value.snapshot().unwrap(), [("definition", json!(1))]);
    assert_eq!((value.resource_id(), value.resource_target()), (None, None));
}

trait Keyed {
    type Key: Serialize;
}

struct Row;

impl Keyed for Row {
    type Key = u32;
}

#[derive(Auditable)]
#[audit(type = "shelf")]
struct Shelf<'a, T, K: Keyed, M, const N: usize>
where
    M: Default,
{
    #[audit(track, id)]
    key: K::Key,
    #[audit(track)]
    name: &'a str,
    #[audit(track)]
    values: Option<Vec<T>>,
    #[audit(ignore)]
    marker: PhantomData<(K, M, [(); N])>,
}

#[test]
fn generic_types_ask_only_for_what_is_recorded() {
    // Neither `Row` nor `Unit` is `Serialize`.
    let shelf = Shelf::<u8, Row, Unit, 2> { key: 2, name: "top", values: Some(vec![1]), marker: PhantomData };
    assert_eq!(
        shelf.snapshot().unwrap(),
        [("key", json!(2)), ("name", json!("top")), ("values", json!([1]))]
    );
    assert_eq!(shelf.resource_id().as_deref(), Some("2"));
}

#[derive(Default)]
struct Unit;

#[derive(Auditable, Serialize)]
#[audit(type = "tree.node")]
struct Node<T> {
    #[audit(track)]
    value: T,
    #[audit(track)]
    next: Option<Box<Node<T>>>,
}

#[test]
fn a_type_may_contain_itself() {
    let node = Node { value: 1, next: Some(Box::new(Node { value: 2, next: None })) };
    let expect = [("value", json!(1)), ("next", json!({"value": 2, "next": null}))];
    assert_eq!(node.snapshot().unwrap(), expect);
}

#[derive(Auditable)]
#[audit(type = "table")]
struct Table {
    #[audit(track)]
    cells: HashMap<(u8, u8), u8>,
    #[audit(secret)]
    key: Unwritable,
}

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("out of ink"))
    }
}

#[test]
fn a_value_that_is_no_json_is_an_error_that_names_the_field() {
    let mut table = Table { cells: HashMap::from([((1, 2), 3)]), key: Unwritable };
    let error = table.snapshot().unwrap_err();
    assert_eq!(error.to_string(), "field `cells` of resource type `table` is not representable as JSON");
    table.cells.clear();
    assert_eq!(table.audit_fields().unwrap_err().field, "key");
}

#[derive(Auditable)]
#[audit(type = "workspace_build")]
struct Build {
    #[audit(track)]
    template_version_id: u8,
}

#[test]
fn a_built_in_type_may_be_derived_without_redefining_it() {
    let mut registry = Registry::built_in();
    assert!(registry.extend(&Build::document(), Authority::Application).unwrap().is_empty());
    assert_eq!(Build { template_version_id: 1 }.snapshot().unwrap(), [("template_version_id", json!(1))]);
}

#[derive(Auditable)]
#[audit(type = "nothing")]
struct Nothing {}

#[test]
fn a_type_without_fields_is_a_type() {
    assert_eq!(Nothing {}.snapshot().unwrap(), []);
    let mut registry = Registry::built_in();
    registry.extend(&Nothing::document(), Authority::Application).unwrap();
    assert!(registry.resource("nothing").unwrap().fields.is_empty());
}

#[test]
fn refuses_with_a_message_that_helps() {
    trybuild::TestCases::new().compile_fail("tests/derive/*.rs");
}
