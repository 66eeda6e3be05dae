//! Secrets of streams at rest: encrypted under a key that lies beside the signing key, outside the database.
//!
//! What a database, its backup or its replica shows is therefore no secret. A sealed value is, byte by byte: 1, the version; 8 bytes that name the key; 12
//! of nonce; then AES-256-GCM of a JSON object of names and values, bound to the stream and where it goes: whoever writes to the database but has no key
//! cannot have the secrets sent elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use annals_store::{make_private_dir, write_whole};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::random;

const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const KEY_NAME_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const HEAD_BYTES: usize = 1 + KEY_NAME_BYTES + NONCE_BYTES;
/// Name of the file in the directory of the key.
const FILE: &str = "streams.key";

/// Why the secrets of a stream cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamSecretsError {
    /// The file of the key cannot be used.
    #[error("cannot use `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("`{}` is no key of Annals for the secrets of streams", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// There is no key here, or another one than the secrets were encrypted with.
    #[error(
        "the key that the secrets of the streams were encrypted with is not in `{}`: put the right `streams.key` there \
         (--key-dir, ANNALS_KEY_DIR), or give the secrets again: annals streams change NAME --set SETTING=VALUE", dir.display()
    )]
    OtherKey {
        /// Where the key was looked for.
        dir: PathBuf,
    },
    /// The stored bytes are not what was written.
    #[error(
        "the stored secrets of the stream are damaged; give them again: annals streams change NAME --set SETTING=VALUE"
    )]
    Damaged,
}

/// Names and values that nobody may see.
pub(super) type Secrets = BTreeMap<String, String>;

/// The key, and where it lies.
#[derive(Debug, Clone)]
pub(crate) struct SecretPlace {
    dir: PathBuf,
}

impl SecretPlace {
    pub(crate) fn new(key_dir: &Path) -> SecretPlace {
        SecretPlace { dir: key_dir.to_owned() }
    }

    /// Encrypts secrets; none are nothing. The key is made if there is none and `may_make_key`: where other secrets exist, it is
    /// somewhere else.
    pub(super) fn seal(
        &self,
        bound_to: &str,
        secrets: &Secrets,
        may_make_key: bool,
    ) -> Result<Vec<u8>, StreamSecretsError> {
        if secrets.is_empty() {
            return Ok(Vec::new());
        }
        let key = match self.key()? {
            Some(key) => key,
            None if may_make_key => self.make_key()?,
            None => return Err(StreamSecretsError::OtherKey { dir: self.dir.clone() }),
        };
        let nonce: [u8; NONCE_BYTES] = random::bytes();
        let mut sealed = vec![VERSION];
        sealed.extend(name_of(&key));
        sealed.extend(nonce);
        let mut text = Zeroizing::new(serde_json::to_vec(secrets).expect("texts are written into memory"));
        let tag = cipher(&key)
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound_to.as_bytes()),
                &mut text,
            )
            .expect("what fits into memory can be encrypted");
        sealed.extend_from_slice(&text);
        sealed.extend(tag.as_ref());
        Ok(sealed)
    }

    /// Decrypts secrets.
    pub(super) fn open(&self, bound_to: &str, sealed: &[u8]) -> Result<Secrets, StreamSecretsError> {
        if sealed.is_empty() {
            return Ok(Secrets::new());
        }
        if sealed.len() < HEAD_BYTES || sealed[0] != VERSION {
            return Err(StreamSecretsError::Damaged);
        }
        let (head, encrypted) = sealed.split_at(HEAD_BYTES);
        let (name, nonce) = head[1..].split_at(KEY_NAME_BYTES);
        let key = self.key()?.filter(|key| name_of(key) == name);
        let key = key.ok_or_else(|| StreamSecretsError::OtherKey { dir: self.dir.clone() })?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| StreamSecretsError::Damaged)?;
        let mut text = Zeroizing::new(encrypted.to_vec());
        let text = cipher(&key)
            .open_in_place(nonce, Aad::from(bound_to.as_bytes()), &mut text)
            .map_err(|_| StreamSecretsError::Damaged)?;
        serde_json::from_slice(text).map_err(|_| StreamSecretsError::Damaged)
    }

    /// Whether the key that secrets were encrypted with is here; for none, any is.
    pub(super) fn has_key_of(&self, sealed: &[u8]) -> bool {
        let Some(name) = sealed.get(1..1 + KEY_NAME_BYTES) else { return true };
        self.key().ok().flatten().is_some_and(|key| name_of(&key) == name)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    fn key(&self) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, StreamSecretsError> {
        let path = self.path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StreamSecretsError::File { path, source }),
        };
        let bytes = STANDARD.decode(text.trim()).map(Zeroizing::new).ok();
        let key = bytes.and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok());
        key.map(|key| Some(Zeroizing::new(key))).ok_or(StreamSecretsError::Malformed { path })
    }

    fn make_key(&self) -> Result<Zeroizing<[u8; KEY_BYTES]>, StreamSecretsError> {
        let path = self.path();
        let failed = |source| StreamSecretsError::File { path: path.clone(), source };
        make_private_dir(&self.dir).map_err(failed)?;
        let key = Zeroizing::new(random::bytes::<KEY_BYTES>());
        let text = Zeroizing::new(format!("{}\n", STANDARD.encode(*key)));
        // Durable before anything is encrypted with it. Two that make one at once: the later one stands, and the secrets of the other are asked for
        // again.
        write_whole(&path, text.as_bytes()).map_err(failed)?;
        Ok(key)
    }
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has the length of the cipher"))
}

/// Tells keys apart without telling anything about them.
fn name_of(key: &[u8; KEY_BYTES]) -> [u8; KEY_NAME_BYTES] {
    let hash = Sha256::new().chain_update(b"annals streams.key\0").chain_update(key).finalize();
    hash[..KEY_NAME_BYTES].try_into().expect("a hash is longer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets::from([("token".to_owned(), "s3cr3t".to_owned()), ("headers".to_owned(), "X: y".to_owned())])
    }

    #[test]
    fn what_was_sealed_is_opened_for_its_stream_alone() {
        let dir = tempfile::tempdir().unwrap();
        let place = SecretPlace::new(&dir.path().join("key"));
        assert!(matches!(place.seal("a", &secrets(), false), Err(StreamSecretsError::OtherKey { .. })));
        let sealed = place.seal("a", &secrets(), true).unwrap();
        assert!(place.has_key_of(&sealed) && place.has_key_of(&[]));
        assert!(!SecretPlace::new(dir.path()).has_key_of(&sealed));
        assert!(!sealed.windows(6).any(|window| window == b"s3cr3t"));
        assert_eq!(place.open("a", &sealed).unwrap(), secrets());
        assert!(matches!(place.open("b", &sealed), Err(StreamSecretsError::Damaged)));
        assert_ne!(place.seal("a", &secrets(), false).unwrap(), sealed, "each has a nonce of its own");
        assert!(place.seal("a", &Secrets::new(), false).unwrap().is_empty());
        assert_eq!(place.open("a", &[]).unwrap(), Secrets::new());
    }

    #[test]
    fn changed_bytes_and_other_keys_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let place = SecretPlace::new(dir.path());
        let sealed = place.seal("a", &secrets(), true).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(place.open("a", &changed).is_err(), "byte {at}");
        }
        for length in 1..sealed.len() {
            assert!(place.open("a", &sealed[..length]).is_err(), "{length} bytes");
        }
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        assert!(matches!(place.open("a", &sealed), Err(StreamSecretsError::OtherKey { .. })));
        place.seal("a", &secrets(), true).unwrap();
        assert!(matches!(place.open("a", &sealed), Err(StreamSecretsError::OtherKey { .. })));
        std::fs::write(dir.path().join(FILE), "no key").unwrap();
        assert!(matches!(place.open("a", &sealed), Err(StreamSecretsError::Malformed { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_the_key() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        SecretPlace::new(dir.path()).seal("a", &secrets(), true).unwrap();
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
