//! Deployments that need a license.

use annals_engine::{
    Clock, Engine, IngestError, LicenseClaims, LicenseKey, LicenseState, Options, Principal,
    make_license_keys,
};
use annals_model::time::Time;

use crate::support::{append, search, template_event};

fn at(day: &str) -> Time {
    Time::parse(&format!("{day}T12:00:00Z")).unwrap()
}

/// A log that needs a license, opened on some day.
fn open(dir: &std::path::Path, key: &LicenseKey, day: &str) -> Engine {
    let options =
        Options { require_license: Some(key.clone()), clock: Clock::fixed(at(day)), ..Options::default() };
    Engine::create_or_open(dir, options).unwrap()
}

#[test]
fn a_license_ends_with_a_grace_and_what_was_recorded_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (private, public) = make_license_keys().unwrap();
    let key = LicenseKey::from_pem(&public).unwrap();
    let operator = Principal::operator();
    let claims = LicenseClaims::new("demo-holder", vec!["audit_log".to_owned()], at("2026-01-01"), 10);
    let jwt = claims.sign(&private).unwrap();

    let engine = open(dir.path(), &key, "2026-01-02");
    assert_eq!(engine.license_state().unwrap(), LicenseState::Missing);
    let refused = append(&engine, &template_event("early", "")).unwrap_err();
    assert!(matches!(refused, IngestError::Unlicensed(_)), "{refused}");
    engine.add_license(&operator, &jwt, None).unwrap();
    assert!(matches!(engine.license_state().unwrap(), LicenseState::Valid(_)));
    append(&engine, &template_event("in-time", "")).unwrap();
    let again = engine.add_license(&operator, &jwt, None).unwrap_err();
    assert!(again.to_string().contains("was added already"), "{again}");
    drop(engine);

    let engine = open(dir.path(), &key, "2026-01-12");
    assert!(matches!(engine.license_state().unwrap(), LicenseState::Grace(_)));
    append(&engine, &template_event("in-grace", "")).unwrap();
    drop(engine);

    let engine = open(dir.path(), &key, "2026-02-11");
    assert!(matches!(engine.license_state().unwrap(), LicenseState::Expired(_)));
    let refused = append(&engine, &template_event("late", "")).unwrap_err();
    assert!(refused.to_string().contains("the one it has ended"), "{refused}");
    assert_eq!(search(&engine, "resource_type:template").0, 2);

    // A newer one beside the old one counts; whose signature is not ours does not.
    let newer = LicenseClaims::new("demo-holder", vec!["audit_log".to_owned()], at("2026-02-11"), 10);
    let (foreign, _) = make_license_keys().unwrap();
    assert!(engine.add_license(&operator, &newer.sign(&foreign).unwrap(), None).is_err());
    engine.add_license(&operator, &newer.sign(&private).unwrap(), None).unwrap();
    append(&engine, &template_event("renewed", "")).unwrap();
    engine.remove_license(&operator, &newer.jti).unwrap();
    assert!(append(&engine, &template_event("gone", "")).is_err());
    assert_eq!(search(&engine, "resource_type:license").0, 3);
}

#[test]
fn a_license_that_begins_later_does_not_count_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (private, public) = make_license_keys().unwrap();
    let key = LicenseKey::from_pem(&public).unwrap();
    let claims = LicenseClaims::new("demo-holder", vec!["audit_log".to_owned()], at("2026-01-01"), 10);
    let claims = LicenseClaims { nbf: Some(claims.iat + 86_400 * 3), ..claims };
    let engine = open(dir.path(), &key, "2026-01-02");
    engine.add_license(&Principal::operator(), &claims.sign(&private).unwrap(), None).unwrap();
    assert_eq!(engine.license_state().unwrap(), LicenseState::Missing);
    drop(engine);
    assert!(matches!(open(dir.path(), &key, "2026-01-05").license_state().unwrap(), LicenseState::Valid(_)));
}

#[test]
fn without_the_flag_no_license_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::create_or_open(dir.path(), Options::default()).unwrap();
    assert_eq!(engine.license_state().unwrap(), LicenseState::NotRequired);
    append(&engine, &template_event("any", "")).unwrap();
}
