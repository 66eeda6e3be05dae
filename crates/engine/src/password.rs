//! Passwords: Argon2id, and the same time for known and unknown names.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};

use crate::error::EngineError;
use crate::random;

/// Bytes of the shortest password that is taken. Length helps more than rules on its characters (NIST SP 800-63B).
pub(crate) const PASSWORD_BYTES_MIN: usize = 10;
/// Bytes of the longest: more would only cost hashing time.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1_024;

/// Hashes a password with Argon2id under a fresh salt (19 MiB, two passes: the library's and OWASP's default).
pub(crate) fn hash(password: &str) -> Result<String, EngineError> {
    let salt: [u8; 16] = random::bytes();
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| EngineError::Password(error.to_string()))
}

/// Compares a password with a stored hash. Without one the same work is done in vain, so that the time tells nothing.
pub(crate) fn verify(password: &str, stored: Option<&str>) -> bool {
    let Some(stored) = stored else {
        drop(hash(password));
        return false;
    };
    match PasswordHash::new(stored) {
        Ok(parsed) => Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_only_the_password_that_was_hashed() {
        let stored = hash("correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify("correct horse battery", Some(&stored)));
        assert!(!verify("correct horse batterz", Some(&stored)));
        assert!(!verify("correct horse battery", None));
        assert!(!verify("x", Some("not a hash")));
    }
}
