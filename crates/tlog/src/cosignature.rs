//! Cosignatures on checkpoints, `cosignature/v1`: who saw which tree, and when.

use crate::checkpoint::Checkpoint;
use crate::note::{NoteError, NoteSignature, SignedNote};
use crate::note_key::{SIGNATURE_BYTES, SigningKey, VerifierKey};

/// The format's limit: 2^63 - 1 seconds since 1970.
const TIME_MAX: u64 = i64::MAX as u64;

/// What is signed: a header, the time, and the text of the checkpoint.
fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl SigningKey {
    /// Makes the cosignature of a checkpoint at `time`, in seconds since 1970: the statement that the tree is the
    /// largest that the signer saw of that log, and begins with all that it saw before. [`SignedNote::add_signature`]
    /// adds it, and [`SignedNote::verify`] checks it with [`SigningKey::cosigner_key`].
    ///
    /// # Errors
    /// [`NoteError::NotACheckpoint`] if the text of the note is none, [`NoteError::Time`] if the time exceeds 2^63 - 1.
    ///
    /// # Source
    /// C2SP tlog-cosignature, "Ed25519 signed message".
    pub fn cosign(&self, note: &SignedNote, time: u64) -> Result<NoteSignature, NoteError> {
        if time > TIME_MAX {
            return Err(NoteError::Time { time });
        }
        note.text().parse::<Checkpoint>().map_err(|_| NoteError::NotACheckpoint)?;
        let signature = self.sign_bytes(message(note.text(), time).as_bytes());
        Ok(NoteSignature::new(&self.cosigner_key(), [time.to_be_bytes().as_slice(), &signature].concat()))
    }
}

/// Returns the time of a cosignature, if `bytes` (the time, 8 bytes, and the signature) are one of this checkpoint.
pub(crate) fn check(text: &str, bytes: &[u8], key: &VerifierKey) -> Option<u64> {
    let (time, signature) = bytes.split_first_chunk::<8>()?;
    let time = Some(u64::from_be_bytes(*time)).filter(|time| *time <= TIME_MAX)?;
    let signature: &[u8; SIGNATURE_BYTES] = signature.try_into().ok()?;
    text.parse::<Checkpoint>().ok()?;
    key.has_signed(message(text, time).as_bytes(), signature).then_some(time)
}
