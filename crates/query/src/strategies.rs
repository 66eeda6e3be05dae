//! Random filters and documents for property tests.
//!
//! All values are drawn from the same small pools, so that random filters often match random documents. The filters
//! are in the normal form of [`parse`](crate::parse()) under [`vocabulary`]: nothing to flatten, nothing to fold.

use crate::{Actor, Document, Filter, Glob, Key, Pattern, Term, Test, Vocabulary};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::IpAddr;
use uuid::Uuid;

const RESOURCE_TYPES: [&str; 3] = ["workspace", "template", "audit_log"];
const ACTIONS: [&str; 3] = ["create", "delete", "login"];
const BUILD_REASONS: [&str; 2] = ["initiator", "autostart"];
const OUTCOMES: [&str; 3] = ["success", "denied", "failure"];
const ACTOR_TYPES: [&str; 4] = ["user", "service", "system", "anonymous"];
/// Names, also with characters that need quotes, and in upper case, which filters fold.
const NAMES: [&str; 8] = ["alice", "Bob", "web-01", "web 02", "a,b", "x*y", "10.0.0.1", "Ärger (OR)"];
const IDS: [&str; 3] = ["123e4567-e89b-12d3-a456-426614174000", "42", "arn:aws:s3:::bucket"];
const GLOBS: [&str; 6] = ["*", "web*", "*b", "*a*", "?ob", "w*0?"];
const WORDS: [&str; 5] = ["web", "a", "10.0", "create", "bo"];
const ADDRESSES: [&str; 5] = ["10.0.0.1", "10.0.0.2", "192.168.7.7", "2001:db8::1", "::ffff:10.0.0.1"];
const NETWORKS: [&str; 6] =
    ["10.0.0.1/32", "10.0.0.0/8", "192.168.0.0/16", "2001:db8::/32", "0.0.0.0/0", "::/0"];
const STATUS_CODES: [u16; 6] = [0, 200, 302, 401, 404, 500];
const HOUR_US: i64 = 3_600_000_000;
const DAYS: std::ops::Range<i64> = 20_000..20_010;

/// Returns the vocabulary that the filters are valid under.
pub fn vocabulary() -> Vocabulary {
    let owned = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    Vocabulary {
        resource_types: owned(&RESOURCE_TYPES),
        actions: owned(&ACTIONS),
        build_reasons: owned(&BUILD_REASONS),
        open: false,
    }
}

/// Generates filters over all keys, of up to three levels and 27 terms with at most two values each, so that each
/// is within the limits of a query.
pub fn filter() -> impl Strategy<Value = Filter> {
    let tree = term().prop_map(Filter::Term).prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Filter::all_of),
            vec(inner.clone(), 2..4).prop_map(Filter::any_of),
            inner.prop_map(Filter::negate),
        ]
    });
    prop_oneof![1 => Just(Filter::all()), 30 => tree]
}

/// Generates single terms over all keys.
pub fn term() -> impl Strategy<Value = Term> {
    select(Key::ALL.as_slice()).prop_flat_map(|key| {
        prop_oneof![1 => Just(Test::Exists), 8 => test(key)].prop_map(move |test| Term::new(key, test))
    })
}

/// Generates the parts of events. [`OwnedDocument::as_document`] lends the event.
pub fn document_parts() -> impl Strategy<Value = OwnedDocument> {
    let what = (text(&RESOURCE_TYPES), text(&IDS), text(&NAMES), text(&ACTIONS), text(&BUILD_REASONS));
    let who = (text(&ACTOR_TYPES), actor(), actor(), actor(), text(&IDS), text(&NAMES));
    let how =
        (option::of(address()), text(&NAMES), option::of(id()), select(&STATUS_CODES[..]), text(&NAMES));
    let rest = (0..20_u64, time_us(), id(), vec(select(&NAMES[..]).prop_map(str::to_owned), 0..3));
    (what, who, how, rest).prop_map(|(what, who, how, rest)| OwnedDocument {
        seq: rest.0,
        time_us: rest.1,
        id: rest.2,
        resource_type: what.0,
        resource_id: what.1,
        resource_target: what.2,
        action: what.3,
        actor_type: who.0,
        user: who.1,
        impersonator: who.2,
        on_behalf_of: who.3,
        organization_id: who.4,
        organization_name: who.5,
        ip: how.0,
        user_agent: how.1,
        request_id: how.2,
        status_code: how.3,
        build_reason: what.4,
        changed: rest.3,
        source: how.4,
    })
}

/// A [`Document`] that owns its texts.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields are those of `Document`")]
pub struct OwnedDocument {
    pub seq: u64,
    pub time_us: i64,
    pub id: Uuid,
    pub resource_type: String,
    pub resource_id: String,
    pub resource_target: String,
    pub action: String,
    pub actor_type: String,
    pub user: OwnedActor,
    pub impersonator: OwnedActor,
    pub on_behalf_of: OwnedActor,
    pub organization_id: String,
    pub organization_name: String,
    pub ip: Option<IpAddr>,
    pub user_agent: String,
    pub request_id: Option<Uuid>,
    pub status_code: u16,
    pub build_reason: String,
    pub changed: Vec<String>,
    pub source: String,
}

/// An [`Actor`] that owns its texts.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields are those of `Actor`")]
pub struct OwnedActor {
    pub id: String,
    pub username: String,
    pub email: String,
    pub name: String,
}

impl OwnedDocument {
    /// Lends the event.
    pub fn as_document(&self) -> Document<'_> {
        Document {
            seq: self.seq,
            time_us: self.time_us,
            id: self.id,
            resource_type: &self.resource_type,
            resource_id: &self.resource_id,
            resource_target: &self.resource_target,
            action: &self.action,
            actor_type: &self.actor_type,
            user: self.user.as_actor(),
            impersonator: self.impersonator.as_actor(),
            on_behalf_of: self.on_behalf_of.as_actor(),
            organization_id: &self.organization_id,
            organization_name: &self.organization_name,
            organization_display_name: "",
            ip: self.ip,
            user_agent: &self.user_agent,
            request_id: self.request_id,
            status_code: self.status_code,
            build_reason: &self.build_reason,
            changed: self.changed.iter().map(String::as_str).collect(),
            source: &self.source,
        }
    }
}

impl OwnedActor {
    fn as_actor(&self) -> Actor<'_> {
        Actor { id: &self.id, username: &self.username, email: &self.email, name: &self.name }
    }
}

fn test(key: Key) -> BoxedStrategy<Test> {
    match key {
        Key::ResourceType => closed(&RESOURCE_TYPES),
        Key::Action => closed(&ACTIONS),
        Key::BuildReason => closed(&BUILD_REASONS),
        Key::Outcome => closed(&OUTCOMES),
        Key::ActorType => closed(&ACTOR_TYPES),
        Key::ResourceId | Key::UserId => any_of(prop_oneof![3 => exact(&IDS), 1 => glob()]),
        Key::Organization | Key::Impersonator | Key::OnBehalfOf => {
            any_of(prop_oneof![2 => exact(&NAMES), 2 => exact(&IDS), 1 => glob()])
        }
        Key::ResourceTarget | Key::Username | Key::Email | Key::UserAgent | Key::Changed | Key::Source => {
            any_of(prop_oneof![3 => exact(&NAMES), 1 => glob()])
        }
        Key::Text => any_of(prop_oneof![
            3 => select(&WORDS[..]).prop_map(|word| Pattern::Contains(word.to_owned())),
            1 => glob_text().prop_map(|text| Pattern::Glob(Glob::from_wildcards(text).anywhere())),
        ]),
        Key::RequestId | Key::Id => vec(id(), 1..3).prop_map(|ids| Test::Uuid(distinct(ids))).boxed(),
        Key::Ip => vec(network(), 1..3).prop_map(|networks| Test::Net(distinct(networks))).boxed(),
        Key::Seq => int(0..20),
        Key::StatusCode => int(199..501),
        Key::Time => (time_us(), 1..100 * HOUR_US, 0..3)
            .prop_map(|(from_us, length_us, ends)| Test::Time {
                from_us: (ends != 1).then_some(from_us),
                before_us: (ends != 2).then_some(from_us + length_us),
            })
            .boxed(),
    }
}

fn any_of(pattern: impl Strategy<Value = Pattern> + 'static) -> BoxedStrategy<Test> {
    // `*` alone is `Test::Exists` in a query.
    let is_any = |patterns: &[Pattern]| matches!(patterns, [Pattern::Glob(glob)] if glob.is_any());
    vec(pattern, 1..3)
        .prop_map(distinct)
        .prop_map(move |patterns| if is_any(&patterns) { Test::Exists } else { Test::AnyOf(patterns) })
        .boxed()
}

/// Generates tests of a closed key, whose wildcards must match a known value.
fn closed(values: &'static [&'static str]) -> BoxedStrategy<Test> {
    let prefix =
        select(values).prop_map(|value| Pattern::Glob(Glob::from_wildcards(&format!("{}*", &value[..2]))));
    any_of(prop_oneof![4 => exact(values), 1 => prefix])
}

fn exact(values: &'static [&'static str]) -> impl Strategy<Value = Pattern> {
    select(values).prop_map(|value| Pattern::Exact(crate::fold(value).into_owned()))
}

fn glob() -> impl Strategy<Value = Pattern> {
    glob_text().prop_map(|text| Pattern::Glob(Glob::from_wildcards(text)))
}

fn glob_text() -> impl Strategy<Value = &'static str> {
    select(&GLOBS[..])
}

fn int(values: std::ops::Range<i64>) -> BoxedStrategy<Test> {
    (values.clone(), values, 0..4)
        .prop_map(|(one, other, ends)| match ends {
            0 => Test::Int { at_least: Some(one), at_most: None },
            1 => Test::Int { at_least: None, at_most: Some(one) },
            2 => Test::Int { at_least: Some(one), at_most: Some(one) },
            _ => Test::Int { at_least: Some(one.min(other)), at_most: Some(one.max(other)) },
        })
        .boxed()
}

/// Generates times over ten days, half of them at midnight.
fn time_us() -> impl Strategy<Value = i64> {
    (DAYS, prop_oneof![Just(0), 0..24 * HOUR_US]).prop_map(|(day, into_us)| day * 24 * HOUR_US + into_us)
}

fn id() -> impl Strategy<Value = Uuid> {
    (1..6_u128).prop_map(Uuid::from_u128)
}

fn address() -> impl Strategy<Value = IpAddr> {
    select(&ADDRESSES[..]).prop_map(|text| text.parse().expect("the pool holds addresses"))
}

fn network() -> impl Strategy<Value = IpNet> {
    select(&NETWORKS[..]).prop_map(|text| text.parse().expect("the pool holds networks"))
}

fn actor() -> impl Strategy<Value = OwnedActor> {
    (text(&IDS), text(&NAMES), text(&NAMES), text(&NAMES))
        .prop_map(|(id, username, email, name)| OwnedActor { id, username, email, name })
}

/// Generates a value of the pool, or now and then no text.
fn text(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![1 => Just(String::new()), 5 => select(values).prop_map(str::to_owned)]
}

fn distinct<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut kept = Vec::new();
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}
