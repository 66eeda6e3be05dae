//! Logging in through an OIDC provider, from what it says about who has come.

use std::sync::atomic::Ordering;

use annals_engine::{
    Clock, Credential, LoginType, NewOidcPerson, NewOrganization, NewPerson, OidcIdentity, OidcLoginError,
    OidcPolicy, Options, OrganizationRole, Origin, PendingOidc, Person, Principal, Role,
};
use serde_json::json;

use crate::support::{TestLog, add_person, event_of, fixed_clock, options, person};

fn identity(subject: &str, username: &str, email: &str) -> OidcIdentity {
    OidcIdentity {
        issuer: "https://id.example".to_owned(),
        subject: subject.to_owned(),
        email: email.to_owned(),
        email_verified: true,
        username: username.to_owned(),
        name: format!("{username} of the provider"),
        ..OidcIdentity::default()
    }
}

fn open() -> OidcPolicy {
    OidcPolicy { allow_register: true, ..OidcPolicy::default() }
}

fn try_come(
    log: &TestLog,
    identity: &OidcIdentity,
    policy: &OidcPolicy,
) -> Result<Principal, OidcLoginError> {
    let origin = Origin { ip: "192.0.2.1".parse().ok(), user_agent: "browser/1".to_owned() };
    let secret = log.engine.log_in_oidc(identity, policy, &origin)?;
    Ok(log.engine.authenticate(Credential::Session(secret.reveal())).unwrap().unwrap())
}

fn come(log: &TestLog, identity: &OidcIdentity, policy: &OidcPolicy) -> Person {
    try_come(log, identity, policy).unwrap().oneself().unwrap().clone()
}

#[test]
fn a_pending_log_in_comes_back_once_and_in_time() {
    let clock = fixed_clock();
    let log = TestLog::with(Options { clock: clock.clone(), ..options() });
    let begin = |state: &str| {
        let pending = PendingOidc { state, nonce: "n", verifier: "v", next: "/audit" };
        assert!(!format!("{pending:?}").contains(state));
        log.engine.begin_oidc(&pending).unwrap();
    };
    begin("state-1");
    begin("state-2");
    let taken = log.engine.take_oidc("state-1").unwrap().unwrap();
    assert_eq!((taken.nonce.as_str(), taken.verifier.as_str(), taken.next.as_str()), ("n", "v", "/audit"));
    assert!(log.engine.take_oidc("state-1").unwrap().is_none(), "replayed");
    assert!(log.engine.take_oidc("state-3").unwrap().is_none(), "tampered with");
    let Clock::Fixed(micros) = &clock else { panic!("the clock is fixed") };
    micros.fetch_add(600 * 1_000_000, Ordering::Relaxed);
    assert!(log.engine.take_oidc("state-2").unwrap().is_none(), "too late");
    log.engine.refuse_oidc("", &Origin { ip: "192.0.2.9".parse().ok(), ..Origin::default() });
    let event = event_of(&log, "resource_type:api_key action:login status_code:401 ip:192.0.2.9");
    assert_eq!((&event["resource_target"], &event["actor_type"]), (&json!("(no name)"), &json!("anonymous")));
}

#[test]
fn the_first_time_registers_and_the_next_ones_log_in() {
    let log = TestLog::new();
    let zoe = OidcIdentity {
        avatar_url: "https://id.example/z.png".to_owned(),
        ..identity("42", "zoe", "Zoe@example.com")
    };
    let first = come(&log, &zoe, &open());
    assert_eq!(
        (first.username.as_str(), first.email.as_str(), first.role),
        ("zoe", "Zoe@example.com", Role::Member)
    );
    assert_eq!((first.login_type, first.avatar_url.as_str()), (LoginType::Oidc, "https://id.example/z.png"));
    let made = event_of(&log, "resource_type:user action:create");
    assert_eq!((&made["actor_type"], &made["resource_id"]), (&json!("system"), &json!(first.id.0)));
    let registered = event_of(&log, "resource_type:api_key action:register username:zoe ip:192.0.2.1");
    assert_eq!((&registered["resource_target"], &registered["diff"]), (&json!("zoe"), &json!({})));
    assert_eq!(log.search("action:login").0, 0);
    let renamed = OidcIdentity { username: "zora".to_owned(), ..zoe };
    assert_eq!(come(&log, &renamed, &open()).id, first.id, "it is the subject that counts");
    assert_eq!(log.search("resource_type:api_key action:login username:zoe").0, 1);
    assert_eq!(
        come(&log, &renamed, &OidcPolicy::default()).id,
        first.id,
        "known people need no registration"
    );
    let sessions = log.engine.sessions(&Principal::operator(), &first.id).unwrap();
    assert!(sessions.len() == 3 && sessions.iter().all(|session| session.method == LoginType::Oidc));
    let other = OidcIdentity { issuer: "https://other.example".to_owned(), ..renamed };
    assert_ne!(come(&log, &other, &open()).id, first.id, "another provider's 42 is somebody else");
}

#[test]
fn who_is_unknown_is_refused_where_nobody_registers() {
    let log = TestLog::new();
    let result = try_come(&log, &identity("1", "mallory", ""), &OidcPolicy::default());
    assert!(matches!(result, Err(OidcLoginError::Refused)));
    let event = event_of(&log, "resource_type:api_key action:register status_code:403");
    assert_eq!((&event["resource_target"], &event["actor_type"]), (&json!("mallory"), &json!("anonymous")));
    for (issuer, subject) in
        [("", "1"), ("https://id.example", ""), ("https://id.example", "1\n2"), ("a\0", "1")]
    {
        let odd = OidcIdentity {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            ..identity("1", "mallory", "")
        };
        assert!(
            matches!(try_come(&log, &odd, &open()), Err(OidcLoginError::BadIdentity)),
            "{issuer:?} {subject:?}"
        );
    }
    assert_eq!(log.search("resource_type:api_key action:login status_code:401").0, 4);
    assert!(log.engine.people(&Principal::operator()).unwrap().is_empty());
}

#[test]
fn people_who_were_added_beforehand_are_linked_once() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let add = |username, email, role| {
        let new = NewOidcPerson { username, email, name: "", role };
        log.engine.add_oidc_person(&operator, &new).unwrap()
    };
    let by_name = add("anna", "", Role::Auditor);
    let by_email = add("somebody", "Bert@example.com", Role::SiteManager);
    let careful = add("cleo", "cleo@example.com", Role::SiteManager);
    let closed = OidcPolicy::default();
    assert_eq!(come(&log, &identity("1", "Anna", "anna@example.com"), &closed).id, by_name);
    let linked = event_of(&log, "resource_type:user action:write actor_type:system resource_target:anna");
    assert_eq!(linked["additional_fields"], json!({"oidc_issuer": "https://id.example"}));
    assert_eq!(linked["diff"]["email"]["new"], "anna@example.com");
    let again = try_come(&log, &identity("2", "anna", ""), &closed);
    assert!(matches!(again, Err(OidcLoginError::Refused)), "anna has come already");
    let unsure = OidcIdentity { email_verified: false, ..identity("3", "bert", "bert@example.com") };
    assert!(matches!(try_come(&log, &unsure, &closed), Err(OidcLoginError::Refused)), "anybody may say that");
    assert_eq!(come(&log, &identity("3", "bert", "bert@example.com"), &closed).id, by_email);
    let contradiction = try_come(&log, &identity("4", "cleo", "mallory@example.com"), &closed);
    assert!(
        matches!(contradiction, Err(OidcLoginError::Refused)),
        "the name with another address is another one"
    );
    // Who was added with an address comes by it, confirmed: the name alone could be anybody's.
    assert!(matches!(try_come(&log, &identity("5", "cleo", ""), &closed), Err(OidcLoginError::Refused)));
    let unsure = OidcIdentity { email_verified: false, ..identity("5", "cleo", "cleo@example.com") };
    assert!(matches!(try_come(&log, &unsure, &closed), Err(OidcLoginError::Refused)));
    assert_eq!(come(&log, &identity("6", "whatever", "cleo@example.com"), &closed).id, careful);
}

#[test]
fn nobody_with_a_password_is_taken_over() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let boss = NewPerson { email: "boss@example.com", ..person("boss", Role::SiteManager) };
    let boss = log.engine.add_person(&operator, &boss).unwrap();
    let thief = identity("1", "boss", "boss@example.com");
    assert!(matches!(try_come(&log, &thief, &OidcPolicy::default()), Err(OidcLoginError::Refused)));
    let came = come(&log, &thief, &open());
    assert_ne!(came.id, boss);
    assert_eq!((came.username.as_str(), came.role), ("boss-2", Role::Member));
    assert_eq!(come(&log, &identity("2", "BOSS", ""), &open()).username, "BOSS-3");
    log.engine.log_in("boss@example.com", crate::support::PASSWORD, &Origin::default()).unwrap();
}

#[test]
fn an_address_that_is_not_confirmed_is_not_kept() {
    let log = TestLog::new();
    let unsure = OidcIdentity { email_verified: false, ..identity("1", "mallory", "boss@example.com") };
    assert_eq!(come(&log, &unsure, &open()).email, "");
    let odd = OidcIdentity {
        name: "a\0b".to_owned(),
        avatar_url: "javascript:alert(1)".to_owned(),
        ..identity("2", "o\u{0}dd one", "not an address")
    };
    let came = come(&log, &odd, &open());
    assert_eq!((came.username.as_str(), came.email.as_str()), ("o-dd-one", ""));
    assert_eq!((came.name.as_str(), came.avatar_url.as_str()), ("", ""));
}

#[test]
fn who_is_suspended_stays_out() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let anna = identity("1", "anna", "");
    let id = come(&log, &anna, &open()).id;
    log.engine.suspend_person(&operator, &id).unwrap();
    assert!(matches!(try_come(&log, &anna, &open()), Err(OidcLoginError::Refused)));
    let event = event_of(&log, "resource_type:api_key action:login status_code:401");
    assert_eq!((&event["resource_id"], &event["resource_target"]), (&json!(id.0), &json!("anna")));
    assert!(log.engine.sessions(&operator, &id).unwrap().is_empty());
}

#[test]
fn roles_and_organizations_follow_the_claims_at_every_log_in() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let create = |name| {
        let new = NewOrganization { name, ..NewOrganization::default() };
        log.engine.create_organization(&operator, &new).unwrap()
    };
    let (red, blue, green) = (create("red"), create("blue"), create("green"));
    let to = |organization: &str, role| (organization.to_owned(), role);
    let policy = OidcPolicy {
        role_map: [("ops".to_owned(), Role::Auditor), ("chiefs".to_owned(), Role::SiteManager)].into(),
        organization_map: [
            ("red-people".to_owned(), to("red", OrganizationRole::Member)),
            ("red-audit".to_owned(), to(&red.id.0, OrganizationRole::Auditor)),
            ("blue-people".to_owned(), to("blue", OrganizationRole::Member)),
            ("lost".to_owned(), to("nowhere", OrganizationRole::Auditor)),
        ]
        .into(),
        ..open()
    };
    let with = |groups: &[&str], roles: &[&str]| OidcIdentity {
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        ..identity("1", "anna", "")
    };
    let anna = come(&log, &with(&["ops", "red-people", "red-audit", "lost"], &[]), &policy);
    assert_eq!(anna.role, Role::Auditor);
    let roles = || -> Vec<(String, OrganizationRole)> {
        let memberships = log.engine.memberships(&operator, &anna.id).unwrap();
        memberships.into_iter().map(|(organization, member)| (organization.name, member.role)).collect()
    };
    assert_eq!(roles(), [("red".to_owned(), OrganizationRole::Auditor)], "the mightier of two counts");
    log.engine.add_member(&operator, &green.id, &anna.id, OrganizationRole::Auditor).unwrap();
    let came = come(&log, &with(&["red-people", "blue-people"], &[]), &policy);
    assert_eq!(came.role, Role::Member, "without a claim nothing is left");
    assert_eq!(
        roles(),
        [
            ("blue".to_owned(), OrganizationRole::Member),
            ("green".to_owned(), OrganizationRole::Auditor),
            ("red".to_owned(), OrganizationRole::Member),
        ],
        "what the policy does not name is ours"
    );
    let demoted = event_of(&log, "resource_type:user action:write actor_type:system");
    assert_eq!(demoted["diff"]["rbac_roles"]["new"], json!(["member"]));
    let count = |action: &str| {
        log.search(&format!("resource_type:organization_member action:{action} actor_type:system")).0
    };
    assert_eq!((count("create"), count("write"), count("delete")), (2, 1, 0));
    come(&log, &with(&[], &["chiefs"]), &policy);
    assert_eq!(roles().len(), 1);
    assert_eq!((count("create"), count("write"), count("delete")), (2, 1, 2));
    assert_eq!(log.search(&format!("organization:{} action:delete", blue.id.0)).0, 1);
    let came = come(&log, &with(&[], &[]), &policy);
    assert_eq!(came.role, Role::SiteManager, "the last site manager stays one");
    add_person(&log, "boss", Role::SiteManager);
    let before = log.search("").0;
    let came = come(&log, &with(&[], &[]), &OidcPolicy::default());
    assert_eq!((came.role, log.search("").0), (Role::SiteManager, before + 1), "no policy, no change");
    assert_eq!(come(&log, &with(&[], &[]), &policy).role, Role::Member);
}

#[test]
fn who_comes_twice_at_once_is_one_person() {
    let log = TestLog::new();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..6).map(|_| scope.spawn(|| come(&log, &identity("1", "anna", ""), &open()).id.0)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(log.engine.people(&Principal::operator()).unwrap().len(), 1);
    assert_eq!(log.search("resource_type:user action:create").0, 1);
}

#[test]
fn failures_without_end_do_not_fill_the_log() {
    let log = TestLog::new();
    let origin = |ip: &str| Origin { ip: ip.parse().ok(), ..Origin::default() };
    for _ in 0..60 {
        log.engine.refuse_oidc("Example", &origin("192.0.2.9"));
    }
    log.engine.refuse_oidc("Example", &origin("192.0.2.10"));
    assert_eq!(log.search("action:login status_code:401 ip:192.0.2.9").0, 50);
    assert_eq!(log.search("action:login status_code:429 ip:192.0.2.9").0, 1);
    assert_eq!(log.search("action:login status_code:401 ip:192.0.2.10").0, 1);
}
