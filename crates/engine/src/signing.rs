//! Signed checkpoints of the log, and the guard against a log that was put back or cut.
//!
//! A checkpoint says: this log, so many events, this root. Whoever holds one can tell later whether the log still has the same
//! past. So before each signature the log as it is now is compared with the last checkpoint that this key signed, which stands
//! in a file beside the key. If the log does not continue it, nothing is signed and nothing appended any more: a second history
//! under one name would make every proof worthless. The operator then begins a new epoch, under a new name and key.

mod place;
mod thread;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use annals_model::time::Time;
use annals_store::{DatabaseLocation, Epoch, Head, Store, StoreError, StoredCheckpoint};
use annals_tlog::{Checkpoint, SignedNote, SigningKey};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::error::EngineError;
use crate::location::Location;
use crate::metrics::Metrics;
use crate::random;
use crate::tree::TreeReader;

pub(crate) use self::place::KeyPlace;
pub(crate) use self::thread::SigningThread;

/// How checkpoints are signed.
#[derive(Debug, Clone)]
pub struct SigningPolicy {
    /// Name of the log on its checkpoints, such as `audit.example.com/log`; one made of its id, if none is given. Taken when the
    /// key is made.
    pub origin: Option<String>,
    /// How often a checkpoint is signed while events come.
    pub interval: Duration,
    /// Make the key of a log that has none. A command beside a server does not: the key belongs where the server is.
    pub makes_key: bool,
}

impl SigningPolicy {
    /// Signs with the key that is there, and makes none.
    pub fn with_key_at_hand() -> SigningPolicy {
        SigningPolicy { makes_key: false, ..SigningPolicy::default() }
    }
}

impl Default for SigningPolicy {
    fn default() -> SigningPolicy {
        SigningPolicy { origin: None, interval: Duration::from_secs(10), makes_key: true }
    }
}

/// Why no checkpoint can be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// A file of the key's directory cannot be used.
    #[error("cannot use `{}`: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the key's directory holds something else.
    #[error("`{}` cannot be used: {what}", path.display())]
    Malformed {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The name of the log cannot stand on a checkpoint.
    #[error(
        "`{origin}` cannot be the origin of a log: a name such as audit.example.com/log, without spaces or `+`"
    )]
    Origin {
        /// What was given.
        origin: String,
    },
    /// The log is not the one whose checkpoints were signed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing is wrong with the log.
    #[error(
        "the log continues its last signed checkpoint, so that no new epoch is needed; --force begins one all the same"
    )]
    NotNeeded,
    /// The log cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for SigningError {
    fn from(error: StoreError) -> SigningError {
        SigningError::Engine(error.into())
    }
}

/// Why the log takes no events and signs no checkpoint until the operator decides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Fewer events than were signed.
    #[error(
        "the log has {found} events, but a checkpoint of {signed} was signed: it was put back from a copy, or cut. Put the \
         newer log back, or run `annals epoch begin`"
    )]
    Shorter {
        /// Events of the last checkpoint that was signed.
        signed: u64,
        /// Events of the log.
        found: u64,
    },
    /// The events that were signed are others now.
    #[error(
        "the first {signed} events of the log are not those of the checkpoint that was signed: another history was appended to a \
         copy of it. Put the right log back, or run `annals epoch begin`"
    )]
    OtherHistory {
        /// Events of the last checkpoint that was signed.
        signed: u64,
    },
    /// The last signed checkpoint is one of another epoch.
    #[error(
        "the last signed checkpoint is of `{signed}`, the log is at `{found}`: it was put back from before that epoch. Put the newer log \
         back, or run `annals epoch begin`"
    )]
    OtherEpoch {
        /// Origin of the signed checkpoint.
        signed: String,
        /// Origin in the database.
        found: String,
    },
    /// Checkpoints were signed, but the last one is not beside the key.
    #[error(
        "the last signed checkpoint is not in `{dir}`, so that nobody knows whether the log was put back: put the whole directory \
         of the key back, or run `annals epoch begin --force`"
    )]
    LastMissing {
        /// The directory.
        dir: String,
    },
    /// The key is not where it should be.
    #[error(
        "the key of this log is not in `{dir}`: name its directory (--key-dir, ANNALS_KEY_DIR) or put it back; if it is lost, \
         run `annals epoch begin --force`"
    )]
    KeyMissing {
        /// The directory.
        dir: String,
    },
    /// There is another key.
    #[error(
        "the key in `{dir}` is not that of this log, which is `{verifier}`: name the right directory (--key-dir, ANNALS_KEY_DIR); \
         if that key is lost, run `annals epoch begin --force`"
    )]
    OtherKey {
        /// The directory.
        dir: String,
        /// The key in the database, as a vkey.
        verifier: String,
    },
}

/// Says whether the log must not be appended to; shared with those who append.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard(Arc<RwLock<Option<Refusal>>>);

impl Refusal {
    /// The log itself is another than it was. Else only its key is not at hand, which is no reason for a new epoch by itself.
    pub(crate) fn is_of_log(&self) -> bool {
        matches!(self, Refusal::Shorter { .. } | Refusal::OtherHistory { .. } | Refusal::OtherEpoch { .. })
    }
}

impl Guard {
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refuse(&self, refusal: Refusal) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            error!(cause = %refusal, "nothing is appended and no checkpoint is signed any more");
        }
        *place = Some(refusal);
    }
}

/// What signing works on.
#[derive(Debug)]
pub(crate) struct Signer {
    store: Arc<Store>,
    tree: TreeReader,
    place: KeyPlace,
    epoch: Epoch,
    key: SigningKey,
    guard: Guard,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// Events of the last checkpoint.
    signed: watch::Sender<u64>,
}

/// What was found when the log was opened.
pub(crate) enum Found {
    /// This process signs.
    Signer(Box<Signer>),
    /// It does not; others may.
    Nobody,
}

/// Compares the log with the last checkpoint that was signed, makes the first key if there is none, and says who signs.
pub(crate) fn open(
    location: &Location,
    policy: Option<&SigningPolicy>,
    store: &Arc<Store>,
    tree: &TreeReader,
    guard: &Guard,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<Found, SigningError> {
    let place = KeyPlace::new(&location.key_dir);
    let epoch = match (store.epochs()?.pop(), policy) {
        (Some(epoch), _) => epoch,
        (None, None) => {
            // A log from before its first checkpoint, beside a key that signed later ones.
            if let Some(last) = place.last()? {
                refuse_other_past(check_past(&place, last.checkpoint.origin(), store, tree), guard)?;
            }
            return Ok(Found::Nobody);
        }
        (None, Some(policy)) if !policy.makes_key => return Ok(Found::Nobody),
        (None, Some(policy)) => first_epoch(store, &place, policy, clock)?,
    };
    let key = place.key()?;
    if let Err(refusal) = check_key(location, &place, &epoch, key.as_ref()) {
        guard.refuse(refusal);
        return Ok(Found::Nobody);
    }
    let is_signed = store.last_checkpoint()?.is_some_and(|last| last.epoch == epoch.number);
    if key.is_some() && is_signed && place.last()?.is_none() {
        guard.refuse(Refusal::LastMissing { dir: place.dir().display().to_string() });
        return Ok(Found::Nobody);
    }
    if refuse_other_past(check_past(&place, &epoch.origin, store, tree), guard)? {
        return Ok(Found::Nobody);
    }
    let (Some(key), Some(_)) = (key, policy) else { return Ok(Found::Nobody) };
    let last = store.last_checkpoint()?;
    if let Some(last) = &last {
        metrics.checkpoint_events.set(i64::try_from(last.size).unwrap_or(i64::MAX));
        metrics.checkpoint_time.set(last.signed.as_micros() / 1_000_000);
    }
    let signed = watch::Sender::new(last.map_or(0, |last| last.size));
    Ok(Found::Signer(Box::new(Signer {
        store: Arc::clone(store),
        tree: tree.clone(),
        place,
        epoch,
        key,
        guard: guard.clone(),
        metrics: Arc::clone(metrics),
        clock: clock.clone(),
        signed,
    })))
}

/// A log in a directory has one key, and without it nobody knows whether it was put back. Of several servers over one
/// PostgreSQL those without a key leave the signing to others.
fn check_key(
    location: &Location,
    place: &KeyPlace,
    epoch: &Epoch,
    key: Option<&SigningKey>,
) -> Result<(), Refusal> {
    let dir = || place.dir().display().to_string();
    match key {
        None if matches!(location.database, DatabaseLocation::Directory(_)) => {
            Err(Refusal::KeyMissing { dir: dir() })
        }
        None => Ok(()),
        Some(key) if key.verifier_key().to_string() != epoch.verifier => {
            Err(Refusal::OtherKey { dir: dir(), verifier: epoch.verifier.clone() })
        }
        Some(_) => Ok(()),
    }
}

/// Notes a refusal, and says whether there is one.
fn refuse_other_past(checked: Result<(), SigningError>, guard: &Guard) -> Result<bool, SigningError> {
    match checked {
        Ok(()) => Ok(false),
        Err(SigningError::Refused(refusal)) => {
            guard.refuse(refusal);
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// Says whether the log continues the last checkpoint that was signed.
fn check_past(place: &KeyPlace, origin: &str, store: &Store, tree: &TreeReader) -> Result<(), SigningError> {
    // In this order: what is signed meanwhile is of a log that is read here only afterwards.
    let Some(last) = place.last()? else { return Ok(()) };
    let head = store.head()?;
    let signed = last.checkpoint.size();
    if last.checkpoint.origin() != origin {
        let (signed, found) = (last.checkpoint.origin().to_owned(), origin.to_owned());
        return Err(Refusal::OtherEpoch { signed, found }.into());
    }
    if head.size < signed {
        return Err(Refusal::Shorter { signed, found: head.size }.into());
    }
    let root = if head.size == signed { head.root } else { tree.root_at(signed)? };
    if root != last.checkpoint.root() {
        return Err(Refusal::OtherHistory { signed }.into());
    }
    Ok(())
}

fn new_key(origin: &str) -> Result<SigningKey, SigningError> {
    let wrong = || SigningError::Origin { origin: origin.to_owned() };
    let checked = Checkpoint::new(origin, 0, annals_tlog::empty_root());
    checked.map_err(|_| wrong())?;
    SigningKey::from_seed(origin, &random::bytes()).map_err(|_| wrong())
}

/// Makes the key of a log that has none. The key is durable before the database names it; if we stop between, it is taken as
/// it is.
fn first_epoch(
    store: &Store,
    place: &KeyPlace,
    policy: &SigningPolicy,
    clock: &Clock,
) -> Result<Epoch, SigningError> {
    let _lock = place.lock()?;
    if let Some(epoch) = store.epochs()?.pop() {
        return Ok(epoch);
    }
    let (key, is_made) = match place.key()? {
        Some(key) => (key, false),
        None => {
            let made = format!("annals/{}", store.log_id());
            let key = new_key(policy.origin.as_deref().unwrap_or(&made))?;
            place.put_key(&key)?;
            (key, true)
        }
    };
    let epoch = add_epoch(store, 1, &key, 0, clock.now(), "")?;
    if is_made && epoch.verifier != key.verifier_key().to_string() {
        // Another server was faster: its key is the log's, and ours signed nothing.
        place.remove_key()?;
    }
    Ok(epoch)
}

fn add_epoch(
    store: &Store,
    number: u64,
    key: &SigningKey,
    first_size: u64,
    started: Time,
    reason: &str,
) -> Result<Epoch, SigningError> {
    let epoch = Epoch {
        number,
        origin: key.name().to_owned(),
        verifier: key.verifier_key().to_string(),
        first_size,
        started,
        reason: reason.to_owned(),
    };
    if store.add_epoch(&epoch)? {
        info!(origin = epoch.origin, verifier = epoch.verifier, "checkpoints are signed by a new key");
        return Ok(epoch);
    }
    // Another server was faster: its key is the log's.
    let epochs = store.epochs()?;
    epochs.into_iter().last().ok_or_else(|| StoreError::Damaged { what: "no epoch".to_owned() }.into())
}

/// Begins a new epoch: a new name and key for what the log is now.
pub(crate) fn begin_epoch(
    location: &Location,
    store: &Store,
    reason: &str,
    clock: &Clock,
) -> Result<Epoch, SigningError> {
    let place = KeyPlace::new(&location.key_dir);
    let _lock = place.lock()?;
    let old = store.epochs()?.pop();
    // Where the database was put back from before an epoch, that one's name and number are taken all the same.
    let signed = place.last()?.map(|last| last.checkpoint.origin().to_owned());
    let origin = signed.or_else(|| old.as_ref().map(|old| old.origin.clone()));
    let (base, signed) = match &origin {
        Some(origin) => split_origin(origin),
        None => (format!("annals/{}", store.log_id()), 0),
    };
    // Also the number of an epoch that was cut off before the database knew of it.
    let number = old.map_or(0, |old| old.number).max(signed).max(place.last_laid_aside()?) + 1;
    let key = new_key(&format!("{base}/e{number}"))?;
    place.lay_aside(number - 1)?;
    place.put_key(&key)?;
    add_epoch(store, number, &key, store.head()?.size, clock.now(), reason)
}

/// The name of a log without its epoch, and the number of that: 1 unless it ends in `/eN`.
fn split_origin(origin: &str) -> (String, u64) {
    let of_epoch = origin.rsplit_once("/e").and_then(|(base, number)| Some((base, number.parse().ok()?)));
    of_epoch.map_or_else(|| (origin.to_owned(), 1), |(base, number)| (base.to_owned(), number))
}

impl Signer {
    pub(crate) fn signed(&self) -> watch::Receiver<u64> {
        self.signed.subscribe()
    }

    /// Signs a checkpoint of what is durable, if there is something new.
    pub(crate) fn sign(&self) -> Result<(), SigningError> {
        let _lock = self.place.lock()?;
        if let Some(refusal) = self.guard.refusal() {
            return Err(refusal.into());
        }
        if let Some(epoch) = self.store.epochs()?.pop().filter(|epoch| epoch.verifier != self.epoch.verifier)
        {
            // Another one began a new epoch: this key has no say any more.
            let refusal =
                Refusal::OtherKey { dir: self.place.dir().display().to_string(), verifier: epoch.verifier };
            self.guard.refuse(refusal.clone());
            return Err(refusal.into());
        }
        // Without what was kept of tiles, in case somebody put another database under this process.
        let tree = self.tree.anew();
        if let Err(error) = check_past(&self.place, &self.epoch.origin, &self.store, &tree) {
            if let SigningError::Refused(refusal) = &error {
                self.guard.refuse(refusal.clone());
            }
            return Err(error);
        }
        let head = self.store.head()?;
        let last = self.store.last_checkpoint()?;
        let number = last.as_ref().map_or(0, |last| last.number) + 1;
        let published = last.filter(|last| last.epoch == self.epoch.number).map_or(0, |last| last.size);
        let kept = self.place.last()?;
        let note = match &kept {
            // Signed, but we stopped before it was published.
            Some(kept) if kept.checkpoint.size() > published => kept.note.clone(),
            _ if head.size == published => return Ok(()),
            _ => self.note(&head)?,
        };
        let size = match &kept {
            Some(kept) if kept.note == note => kept.checkpoint.size(),
            _ => {
                // Durable before anybody can see it: what was seen must not be forgotten.
                self.place.put_last(&note)?;
                head.size
            }
        };
        let checkpoint =
            StoredCheckpoint { number, epoch: self.epoch.number, size, signed: self.clock.now(), note };
        if !self.store.add_checkpoint(&checkpoint)? {
            // It stays beside the key, and is published by the next look if it still fits.
            warn!(number, "another signer was faster");
            self.signed.send_replace(self.store.last_checkpoint()?.map_or(0, |last| last.size));
            return Ok(());
        }
        self.metrics.checkpoint_events.set(i64::try_from(size).unwrap_or(i64::MAX));
        self.metrics.checkpoint_time.set(checkpoint.signed.as_micros() / 1_000_000);
        self.signed.send_replace(size);
        Ok(())
    }

    fn note(&self, head: &Head) -> Result<String, SigningError> {
        let wrong = || SigningError::Origin { origin: self.epoch.origin.clone() };
        let checkpoint = Checkpoint::new(&self.epoch.origin, head.size, head.root).map_err(|_| wrong())?;
        let note = SignedNote::sign(&checkpoint.to_string(), &[&self.key]).map_err(|_| wrong())?;
        Ok(note.to_string())
    }
}
