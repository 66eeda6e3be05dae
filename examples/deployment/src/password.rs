//! Passwords and tokens: stored as hashes.

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;

/// Bytes of the shortest password that is taken.
const PASSWORD_BYTES_MIN: usize = 10;
/// KiB of memory for a hash. An example need not cost a newcomer's machine what a deployment with secrets to keep should pay: 19 MiB and two passes.
const MEMORY_KIB: u32 = 1024;

pub(crate) fn hash(password: &str) -> Result<String, Fault> {
    if password.len() < PASSWORD_BYTES_MIN {
        return Err(Fault::BadRequest(format!("a password has at least {PASSWORD_BYTES_MIN} bytes")));
    }
    let salt = uuid::Uuid::new_v4();
    let hash = hasher().hash_password_with_salt(password.as_bytes(), salt.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| Fault::Password(error.to_string()))
}

/// Without a stored hash the same work is done in vain, so that the time does not tell which names there are.
pub(crate) fn verify(password: &str, stored: Option<&str>) -> bool {
    let Some(stored) = stored else {
        drop(hasher().hash_password_with_salt(password.as_bytes(), &[0; 16]));
        return false;
    };
    PasswordHash::new(stored).is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok())
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, 1, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// A new token, and what is stored of it.
pub(crate) fn new_token() -> (String, String) {
    let token = format!("deployment_{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let hashed = hash_token(&token);
    (token, hashed)
}

pub(crate) fn hash_token(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}
