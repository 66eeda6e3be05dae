//! Set-up, log-in, sessions, roles.

use annals_engine::{Clock, Credential, LoginError, NewPerson, Origin, Principal, Role, SetupError};
use std::sync::atomic::Ordering;

use crate::support::{TestLog, fixed_clock, options};

fn person(username: &'static str, role: Role) -> NewPerson<'static> {
    NewPerson { username, email: "", name: "", password: "correct horse battery", role }
}

#[test]
fn the_set_up_link_works_once() {
    let log = TestLog::new();
    let origin = Origin::default();
    let secret = log.engine.setup_secret().unwrap().unwrap();
    let first = person("demo-admin", Role::Member);
    assert!(matches!(log.engine.set_up("wrong", &first, &origin), Err(SetupError::BadSetupLink)));
    let short = NewPerson { password: "short", ..first.clone() };
    assert!(matches!(log.engine.set_up(secret.reveal(), &short, &origin), Err(SetupError::BadPassword)));
    log.engine.set_up(secret.reveal(), &first, &origin).unwrap();
    assert!(matches!(log.engine.set_up(secret.reveal(), &first, &origin), Err(SetupError::BadSetupLink)));
    assert!(log.engine.setup_secret().unwrap().is_none(), "someone can log in");
    let people = log.engine.people(&Principal::operator()).unwrap();
    assert_eq!((people.len(), people[0].role), (1, Role::SiteManager));
}

#[test]
fn sessions_begin_end_and_expire() {
    let clock = fixed_clock();
    let log = TestLog::with(annals_engine::Options { clock: clock.clone(), ..options() });
    log.engine.add_person(&Principal::operator(), &person("Demo-Auditor", Role::Auditor)).unwrap();
    let origin = Origin { ip: "192.0.2.1".parse().ok(), user_agent: "curl/8".to_owned() };
    let log_in = |name: &str, password: &str| log.engine.log_in(name, password, &origin);
    assert!(matches!(log_in("demo-auditor", "wrong password"), Err(LoginError::Mismatch)));
    assert!(matches!(log_in("nobody", "wrong password"), Err(LoginError::Mismatch)));
    let first = log_in("demo-auditor", "correct horse battery").unwrap();
    let second = log_in("DEMO-AUDITOR", "correct horse battery").unwrap();
    let who = |secret: &str| log.engine.authenticate(Credential::Session(secret)).unwrap();
    let principal = who(first.reveal()).unwrap();
    principal.may_read().unwrap();
    assert!(principal.may_manage().is_err());
    log.engine.log_out(&principal, first.reveal(), &origin).unwrap();
    assert!(who(first.reveal()).is_none());
    assert!(who(second.reveal()).is_some());
    let Clock::Fixed(micros) = &clock else { panic!("the clock is fixed") };
    micros.fetch_add(13 * 3_600_000_000, Ordering::Relaxed);
    assert!(who(second.reveal()).is_none(), "a session lasts 12 hours");

    assert_eq!(log.search("action:login outcome:denied actor_type:anonymous").0, 2, "also of unknown names");
    assert_eq!(log.search("action:login outcome:success username:demo-auditor").0, 2);
    assert_eq!(log.search("action:logout").0, 1);
}

#[test]
fn names_are_unique_and_members_see_nothing() {
    let log = TestLog::new();
    let operator = Principal::operator();
    log.engine.add_person(&operator, &person("demo-member", Role::Member)).unwrap();
    let again = log.engine.add_person(&operator, &person("Demo-Member", Role::Auditor));
    assert!(matches!(again, Err(SetupError::UsernameTaken { .. })));
    assert!(matches!(
        log.engine.add_person(&operator, &person("a b", Role::Member)),
        Err(SetupError::BadName { .. })
    ));
    let secret = log.engine.log_in("demo-member", "correct horse battery", &Origin::default()).unwrap();
    let member = log.engine.authenticate(Credential::Session(secret.reveal())).unwrap().unwrap();
    assert!(member.may_read().is_err() && member.may_manage().is_err() && member.may_ingest().is_err());
    assert!(matches!(
        log.engine.add_person(&member, &person("x", Role::SiteManager)),
        Err(SetupError::Forbidden(_))
    ));
}
