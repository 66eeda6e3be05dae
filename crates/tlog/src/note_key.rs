//! The keys of signed notes, and their texts.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::text::{NAME_BYTES_MAX, is_known_name, parse_base64, to_base64};

/// Bytes of an Ed25519 seed, and of a public key.
const KEY_BYTES: usize = 32;
/// Bytes of an Ed25519 signature.
pub(crate) const SIGNATURE_BYTES: usize = 64;
/// How Go's `note` package begins the text of a private key.
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";

/// What a signature is made over; the byte in front of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignatureType {
    /// 0x01: Ed25519 over the text of the note.
    Ed25519,
    /// 0x04: Ed25519 over the text of a checkpoint and a time, `cosignature/v1`.
    Cosignature,
}

impl SignatureType {
    fn byte(self) -> u8 {
        match self {
            SignatureType::Ed25519 => 0x01,
            SignatureType::Cosignature => 0x04,
        }
    }
}

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text has other parts than a key has.
    #[error("not a key; expected {0}")]
    Malformed(&'static str),
    /// The name cannot stand in a signature line.
    #[error("a key name has 1 to {NAME_BYTES_MAX} bytes, none of them a space, `+` or control character")]
    Name,
    /// The key signs in a way that is not known here.
    #[error("unknown signature type {0:#04x}; expected 0x01 or 0x04")]
    UnknownType(u8),
    /// The id in the text belongs to another name or key.
    #[error("the key has the id {expected}, not the one in its text")]
    WrongId {
        /// Eight hexadecimal digits.
        expected: String,
    },
    /// The bytes are not the 32 bytes of an Ed25519 public key, or one under which anything verifies.
    #[error("not an Ed25519 public key")]
    NotAKey,
}

/// The first four bytes of a hash over a key: with its name they say which key signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// Takes four bytes as an id.
    pub const fn from_bytes(bytes: [u8; 4]) -> KeyId {
        KeyId(bytes)
    }

    /// Returns the four bytes.
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }

    /// `SHA-256(name || "\n" || type || key)[..4]`.
    fn of(name: &str, signature_type: SignatureType, key: &VerifyingKey) -> KeyId {
        let mut hash = Sha256::new();
        hash.update(name);
        hash.update([b'\n', signature_type.byte()]);
        hash.update(key.as_bytes());
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        KeyId([a, b, c, d])
    }
}

/// Eight lower-case hexadecimal digits.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// A public key that signatures of notes are checked with. Its text is a "vkey": `name+id+base64(type || key)`.
///
/// # Source
/// C2SP signed-note, "Verifier keys".
///
/// # Examples
/// ```
/// use annals_tlog::{KeyError, SignatureType, VerifierKey};
///
/// let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
/// let key: VerifierKey = text.parse()?;
/// assert_eq!(key.signature_type(), SignatureType::Ed25519);
/// assert_eq!(key.to_string(), text);
/// let other_name = text.replace("foo", "bar").parse::<VerifierKey>();
/// assert!(matches!(other_name, Err(KeyError::WrongId { .. })));
/// # Ok::<(), KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    signature_type: SignatureType,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Takes the 32 bytes of an Ed25519 public key.
    ///
    /// # Errors
    /// [`KeyError::Name`] or [`KeyError::NotAKey`].
    pub fn new(
        name: &str,
        signature_type: SignatureType,
        public: &[u8; 32],
    ) -> Result<VerifierKey, KeyError> {
        check_name(name)?;
        let key = VerifyingKey::from_bytes(public).map_err(|_| KeyError::NotAKey)?;
        if key.is_weak() {
            return Err(KeyError::NotAKey);
        }
        Ok(VerifierKey::from_parts(name, signature_type, key))
    }

    fn from_parts(name: &str, signature_type: SignatureType, key: VerifyingKey) -> VerifierKey {
        VerifierKey { name: name.to_owned(), id: KeyId::of(name, signature_type, &key), signature_type, key }
    }

    /// The name, as it stands in signature lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id, as it stands in signatures.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What its signatures are made over.
    pub fn signature_type(&self) -> SignatureType {
        self.signature_type
    }

    /// The 32 bytes of the Ed25519 public key.
    pub fn public_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether it is a signature of `message`; those that other checkers could judge otherwise are none.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.signature_type.byte()];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, self.id, to_base64(&bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<VerifierKey, KeyError> {
        let malformed = KeyError::Malformed("`name+id+base64`, as in a vkey");
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(base64)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed);
        };
        let bytes = parse_base64(base64).ok_or(malformed.clone())?;
        let (type_byte, public) = bytes.split_first().ok_or(malformed)?;
        let signature_type = match type_byte {
            0x01 => SignatureType::Ed25519,
            0x04 => SignatureType::Cosignature,
            other => return Err(KeyError::UnknownType(*other)),
        };
        let public = <&[u8; KEY_BYTES]>::try_from(public).map_err(|_| KeyError::NotAKey)?;
        let key = VerifierKey::new(name, signature_type, public)?;
        check_id(id, key.id)?;
        Ok(key)
    }
}

/// A private key that signs notes. It is wiped from memory when dropped, and `Debug` does not show it.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// Makes the key of a 32-byte Ed25519 seed. Wiping the seed is left to the caller.
    ///
    /// # Errors
    /// [`KeyError::Name`] if the name cannot stand in a signature line.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<SigningKey, KeyError> {
        check_name(name)?;
        Ok(SigningKey { name: name.to_owned(), key: ed25519_dalek::SigningKey::from_bytes(seed) })
    }

    /// Reads the text of a private key: `PRIVATE+KEY+name+id+base64(0x01 || seed)`.
    ///
    /// # Errors
    /// [`KeyError`] if the text is none; it holds nothing of the seed.
    ///
    /// # Source
    /// Go, `golang.org/x/mod/sumdb/note`, `NewSigner`.
    pub fn from_text(text: &str) -> Result<SigningKey, KeyError> {
        let malformed = KeyError::Malformed("`PRIVATE+KEY+name+id+base64`");
        let mut parts = text.strip_prefix(PRIVATE_PREFIX).unwrap_or_default().splitn(3, '+');
        let (Some(name), Some(id), Some(base64)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed);
        };
        let bytes = Zeroizing::new(parse_base64(base64).ok_or(malformed.clone())?);
        let (type_byte, seed) = bytes.split_first().ok_or(malformed.clone())?;
        if *type_byte != SignatureType::Ed25519.byte() {
            return Err(KeyError::UnknownType(*type_byte));
        }
        let key = SigningKey::from_seed(name, seed.try_into().map_err(|_| malformed)?)?;
        check_id(id, key.verifier_key().id)?;
        Ok(key)
    }

    /// Returns the text that [`SigningKey::from_text`] reads. It is a secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + KEY_BYTES));
        bytes.push(SignatureType::Ed25519.byte());
        bytes.extend_from_slice(self.key.as_bytes());
        let base64 = Zeroizing::new(to_base64(&bytes));
        let mut text = Zeroizing::new(String::with_capacity(self.name.len() + 80));
        for part in [PRIVATE_PREFIX, &self.name, "+", &self.verifier_key().id.to_string(), "+", &base64] {
            text.push_str(part);
        }
        text
    }

    /// The name, as it stands in signature lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key of its signatures on notes.
    pub fn verifier_key(&self) -> VerifierKey {
        VerifierKey::from_parts(&self.name, SignatureType::Ed25519, self.key.verifying_key())
    }

    /// The public key of its cosignatures on checkpoints. It has another id than [`SigningKey::verifier_key`].
    pub fn cosigner_key(&self) -> VerifierKey {
        VerifierKey::from_parts(&self.name, SignatureType::Cosignature, self.key.verifying_key())
    }

    pub(crate) fn sign_bytes(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

fn check_name(name: &str) -> Result<(), KeyError> {
    if is_known_name(name) { Ok(()) } else { Err(KeyError::Name) }
}

fn check_id(text: &str, expected: KeyId) -> Result<(), KeyError> {
    let expected = expected.to_string();
    if text == expected { Ok(()) } else { Err(KeyError::WrongId { expected }) }
}
