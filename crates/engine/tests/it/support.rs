//! A log in a temporary directory, and short ways to fill and ask it.

use std::time::{Duration, Instant};

use annals_engine::{
    Appended, Clock, Credential, Engine, IngestError, NewPerson, Options, Origin, PartialBatch, PersonId,
    Principal, Role, SearchError, SearchRequest,
};
use annals_model::time::Time;
use annals_tlog::{Checkpoint, SignedNote, VerifierKey};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct TestLog {
    pub(crate) engine: Engine,
    pub(crate) dir: TempDir,
}

pub(crate) fn fixed_clock() -> Clock {
    Clock::fixed(Time::parse("2026-11-22T12:00:00Z").unwrap())
}

pub(crate) fn options() -> Options {
    Options { clock: fixed_clock(), ..Options::default() }
}

impl TestLog {
    pub(crate) fn new() -> TestLog {
        TestLog::with(options())
    }

    pub(crate) fn with(options: Options) -> TestLog {
        let dir = tempfile::tempdir().unwrap();
        TestLog { engine: Engine::create_or_open(dir.path(), options).unwrap(), dir }
    }

    pub(crate) fn append(&self, body: &str) -> Result<Appended, IngestError> {
        append(&self.engine, body)
    }

    pub(crate) fn search(&self, query: &str) -> (u64, Vec<Value>) {
        search(&self.engine, query)
    }
}

pub(crate) fn append(engine: &Engine, body: &str) -> Result<Appended, IngestError> {
    engine.append(&Principal::operator(), body.as_bytes(), PartialBatch::Refuse)?.wait_blocking()
}

pub(crate) fn search(engine: &Engine, query: &str) -> (u64, Vec<Value>) {
    try_search(engine, query).unwrap()
}

pub(crate) fn try_search(engine: &Engine, query: &str) -> Result<(u64, Vec<Value>), SearchError> {
    let request = SearchRequest { query, limit: 1_000, offset: 0, after: None };
    let results = engine.search(&Principal::operator(), &request, |found| {
        Ok(serde_json::to_value(found.into_audit_log()?).unwrap())
    })?;
    Ok((results.count, results.events))
}

/// Waits until everything is in a signed checkpoint, and returns it.
pub(crate) fn sign(engine: &Engine) -> Checkpoint {
    let operator = Principal::operator();
    let size = engine.ready().unwrap().size;
    let begun = Instant::now();
    loop {
        if let Some(last) = engine.checkpoint(&operator).unwrap().filter(|last| last.size >= size) {
            return checked(engine, &last.note);
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing was signed");
        engine.ask_for_checkpoint().expect("this engine signs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Checks a note with the key of its epoch.
pub(crate) fn checked(engine: &Engine, note: &str) -> Checkpoint {
    let keys: Vec<VerifierKey> = engine
        .epochs(&Principal::operator())
        .unwrap()
        .iter()
        .map(|epoch| epoch.verifier.parse().unwrap())
        .collect();
    let note: SignedNote = note.parse().unwrap();
    assert_eq!(note.verify(&keys).unwrap().len(), 1);
    note.text().parse().unwrap()
}

/// An event on a template, with further members spliced in.
pub(crate) fn template_event(target: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(r#"{{"action":"write","resource_type":"template","resource_target":"{target}"{comma}{more}}}"#)
}

/// The password of everyone.
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) fn person(username: &str, role: Role) -> NewPerson<'_> {
    NewPerson { username, email: "", name: "", password: PASSWORD, role }
}

pub(crate) fn add_person(log: &TestLog, username: &str, role: Role) -> PersonId {
    log.engine.add_person(&Principal::operator(), &person(username, role)).unwrap()
}

/// Logs a person in, from nowhere.
pub(crate) fn log_in(log: &TestLog, username: &str) -> Principal {
    let secret = log.engine.log_in(username, PASSWORD, &Origin::default()).unwrap();
    log.engine.authenticate(Credential::Session(secret.reveal())).unwrap().unwrap()
}

/// The only event that a query finds.
pub(crate) fn event_of(log: &TestLog, query: &str) -> Value {
    let (count, mut events) = log.search(query);
    assert_eq!(count, 1, "{query}: {events:#?}");
    events.remove(0)
}
