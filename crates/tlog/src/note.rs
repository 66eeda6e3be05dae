//! Signed notes: a text, and lines that say who signed it.

use std::fmt;
use std::str::FromStr;

use crate::cosignature;
use crate::note_key::{KeyId, SignatureType, SigningKey, VerifierKey};
use crate::text::{is_name, parse_base64, to_base64};

/// Bytes of a note: what Go's `note` package takes. A checkpoint with 100 signatures has under 40 KB.
pub const NOTE_BYTES_MAX: usize = 1 << 20;
/// Signatures of a note, as in Go's `note` package.
pub const NOTE_SIGNATURES_MAX: usize = 100;
/// How a signature line begins: an em dash and a space.
const SIGNATURE_PREFIX: &str = "— ";

/// Why bytes are no signed note, or why the note is not to be believed.
///
/// [`NoteError::BadSignature`] says "tampered with"; [`NoteError::Untrusted`] only says that nobody known signed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// A signature names a known key, and it is not that key's.
    #[error("the signature of `{name}` is not over this note")]
    BadSignature {
        /// Name of the key.
        name: String,
    },
    /// The note holds a control character other than a line feed.
    #[error("a note has no control characters but line feeds")]
    ControlCharacter,
    /// The note is no text in UTF-8.
    #[error("a note is UTF-8")]
    NotUtf8,
    /// Only checkpoints are cosigned.
    #[error("the text to cosign is not a checkpoint")]
    NotACheckpoint,
    /// There is no blank line with signature lines after it.
    #[error("a note ends with a blank line and one or more signatures")]
    NoSignatures,
    /// A line after the last blank line is not `— name base64`.
    #[error("signature {number} of the note is not `— name base64`")]
    SignatureLine {
        /// Number of the signature, from 1.
        number: usize,
    },
    /// The text to sign does not end with a line feed.
    #[error("the text of a note ends with a line feed")]
    TextEnd,
    /// The time of a cosignature is beyond the format's limit.
    #[error("time {time} exceeds 2^63 - 1 seconds")]
    Time {
        /// Seconds since 1970.
        time: u64,
    },
    /// The note is larger than [`NOTE_BYTES_MAX`].
    #[error("a note of {bytes} bytes exceeds the limit of {NOTE_BYTES_MAX}")]
    TooLong {
        /// Bytes of the note.
        bytes: usize,
    },
    /// The note has more signatures than [`NOTE_SIGNATURES_MAX`].
    #[error("a note has at most {NOTE_SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// None of the signatures is of a known key, so nothing is known about the text.
    #[error("none of the {signatures} signatures is of a known key")]
    Untrusted {
        /// Signatures of the note.
        signatures: usize,
    },
}

/// One signature of a note. Its text is a signature line, `— name base64(id || signature)`, without the line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    key_id: KeyId,
    bytes: Vec<u8>,
}

impl NoteSignature {
    pub(crate) fn new(key: &VerifierKey, bytes: Vec<u8>) -> NoteSignature {
        NoteSignature { name: key.name().to_owned(), key_id: key.id(), bytes }
    }

    /// Name of the key that is said to have signed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of that key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// What follows the id, at least one byte; its shape depends on the type of the key.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn is_said_to_be_of(&self, key: &VerifierKey) -> bool {
        self.key_id == key.id() && self.name == key.name()
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.as_bytes().as_slice(), &self.bytes].concat();
        write!(f, "{SIGNATURE_PREFIX}{} {}", self.name, to_base64(&bytes))
    }
}

impl FromStr for NoteSignature {
    type Err = NoteError;

    /// Reads one signature line, without its line feed.
    fn from_str(line: &str) -> Result<NoteSignature, NoteError> {
        parse_signature(line).ok_or(NoteError::SignatureLine { number: 1 })
    }
}

fn parse_signature(line: &str) -> Option<NoteSignature> {
    let (name, base64) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
    let bytes = parse_base64(base64)?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    let is_whole = is_name(name) && !signature.is_empty();
    is_whole.then(|| NoteSignature {
        name: name.to_owned(),
        key_id: KeyId::from_bytes(*id),
        bytes: signature.to_vec(),
    })
}

/// A key that signed a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'k> {
    /// The key.
    pub key: &'k VerifierKey,
    /// Seconds since 1970 at which it says to have signed: the latest of its cosignatures, none for other signatures.
    pub time: Option<u64>,
}

/// A text with signatures. Nothing in it is to be believed before [`SignedNote::verify`].
///
/// # Source
/// C2SP signed-note.
///
/// # Examples
/// ```
/// use annals_tlog::{NoteError, SignedNote, SigningKey};
///
/// let key = SigningKey::from_seed("example.com/log", &[7; 32]).expect("a name");
/// let note = SignedNote::sign("one line\n", &[&key])?;
/// assert_eq!(note.verify(&[key.verifier_key()])?[0].key.name(), "example.com/log");
/// assert_eq!(note.verify(&[]), Err(NoteError::Untrusted { signatures: 1 }));
///
/// let forged: SignedNote = note.to_string().replace("one", "two").parse()?;
/// assert!(matches!(forged.verify(&[key.verifier_key()]), Err(NoteError::BadSignature { .. })));
/// # Ok::<(), NoteError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Signs a text, which ends with a line feed, with one or more keys.
    ///
    /// # Errors
    /// [`NoteError`] if the text cannot be that of a note, if there are no keys, or too many.
    pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<SignedNote, NoteError> {
        check_characters(text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::TextEnd);
        }
        if keys.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        let mut note = SignedNote { text: text.to_owned(), signatures: Vec::new() };
        for key in keys {
            let signature = key.sign_bytes(text.as_bytes()).to_vec();
            note.add_signature(NoteSignature::new(&key.verifier_key(), signature))?;
        }
        Ok(note)
    }

    /// Reads a note from bytes, at most [`NOTE_BYTES_MAX`], without checking a signature.
    ///
    /// # Errors
    /// [`NoteError`] if they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<SignedNote, NoteError> {
        check_length(bytes.len())?;
        std::str::from_utf8(bytes).map_err(|_| NoteError::NotUtf8)?.parse()
    }

    /// The text, with the line feed at its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures in their order, 1 to 100.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line that another party made; it is not checked.
    ///
    /// # Errors
    /// [`NoteError::TooManySignatures`] or [`NoteError::TooLong`].
    pub fn add_signature(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.len() == NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        self.signatures.push(signature);
        let length = check_length(self.to_string().len());
        if length.is_err() {
            self.signatures.pop();
        }
        length
    }

    /// Checks every signature of these keys and returns the keys that signed, each once, in the order of their first
    /// signatures. Signatures of other keys are ignored.
    ///
    /// One known key is enough, so a caller that needs a certain one looks for it in the list.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] if any signature of a known key is not over this text, and
    /// [`NoteError::Untrusted`] if there is none of a known key.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<Verified<'k>>, NoteError> {
        let mut verified: Vec<Verified<'k>> = Vec::new();
        for signature in &self.signatures {
            let mut known = keys.iter().filter(|key| signature.is_said_to_be_of(key)).peekable();
            if known.peek().is_none() {
                continue;
            }
            // Two keys of one name may share an id by chance or ill will; then the signature is of either.
            let signer = known.find_map(|key| self.check(signature, key));
            let signer = signer.ok_or_else(|| NoteError::BadSignature { name: signature.name.clone() })?;
            match verified.iter_mut().find(|earlier| earlier.key == signer.key) {
                Some(earlier) => earlier.time = earlier.time.max(signer.time),
                None => verified.push(signer),
            }
        }
        let signatures = self.signatures.len();
        if verified.is_empty() { Err(NoteError::Untrusted { signatures }) } else { Ok(verified) }
    }

    fn check<'k>(&self, signature: &NoteSignature, key: &'k VerifierKey) -> Option<Verified<'k>> {
        match key.signature_type() {
            SignatureType::Ed25519 => {
                let bytes = signature.bytes.as_slice().try_into().ok()?;
                key.has_signed(self.text.as_bytes(), bytes).then_some(Verified { key, time: None })
            }
            SignatureType::Cosignature => {
                let time = cosignature::check(&self.text, &signature.bytes, key)?;
                Some(Verified { key, time: Some(time) })
            }
        }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<SignedNote, NoteError> {
        check_length(note.len())?;
        check_characters(note)?;
        // The text may have blank lines too: the last one parts it from the signatures.
        let blank = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, lines) = (&note[..=blank], &note[blank + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
        let mut signatures = Vec::new();
        for (at, line) in lines.split('\n').enumerate() {
            if at == NOTE_SIGNATURES_MAX {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(parse_signature(line).ok_or(NoteError::SignatureLine { number: at + 1 })?);
        }
        Ok(SignedNote { text: text.to_owned(), signatures })
    }
}

fn check_length(bytes: usize) -> Result<(), NoteError> {
    if bytes > NOTE_BYTES_MAX { Err(NoteError::TooLong { bytes }) } else { Ok(()) }
}

fn check_characters(note: &str) -> Result<(), NoteError> {
    let has_control = note.bytes().any(|byte| byte < b' ' && byte != b'\n');
    if has_control { Err(NoteError::ControlCharacter) } else { Ok(()) }
}
