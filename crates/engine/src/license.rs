//! Licenses: signed statements of whoever sells a deployment. Annals needs none, unless it is started to require one.
//!
//! A license is a JWT signed with Ed25519: `sub` is its holder, `features` what it allows, `exp` when it ends.

use annals_model::time::Time;
use annals_store::StoredLicense;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Engine;
use crate::error::{EngineError, ForbiddenError};
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::random;

/// The feature without which no new events are taken.
pub const AUDIT_LOG_FEATURE: &str = "audit_log";
/// Days after its end during which a license still counts, unless it says otherwise.
const GRACE_DAYS: u16 = 30;
/// Bytes of a license.
const JWT_BYTES_MAX: usize = 16 * 1024;
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// The public key of whoever signs licenses.
#[derive(Debug, Clone)]
pub struct LicenseKey(VerifyingKey);

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
#[error("not an Ed25519 {0} key in PEM; `annals license keygen` makes a pair")]
pub struct KeyError(&'static str);

impl LicenseKey {
    /// Reads a key from PEM.
    ///
    /// # Errors
    /// [`KeyError`] if the text is none.
    pub fn from_pem(pem: &str) -> Result<LicenseKey, KeyError> {
        VerifyingKey::from_public_key_pem(pem.trim()).map(LicenseKey).map_err(|_| KeyError("public"))
    }
}

/// Makes a pair of keys for signing licenses, both in PEM: first the private one.
///
/// # Errors
/// [`KeyError`] if a key cannot be written as PEM.
pub fn make_license_keys() -> Result<(String, String), KeyError> {
    let key = SigningKey::from_bytes(&random::bytes());
    let private = key.to_pkcs8_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF);
    let public = key.verifying_key().to_public_key_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF);
    Ok((private.map_err(|_| KeyError("private"))?.to_string(), public.map_err(|_| KeyError("public"))?))
}

/// What a license says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseClaims {
    /// Identity of the license.
    pub jti: String,
    /// Whom it was given to.
    pub sub: String,
    /// What it allows.
    pub features: Vec<String>,
    /// When it was signed, seconds since 1970.
    pub iat: i64,
    /// When it ends, seconds since 1970.
    pub exp: i64,
    /// From when on it counts, seconds since 1970; at once if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Days after its end during which it still counts; 30 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_days: Option<u16>,
}

impl LicenseClaims {
    /// Makes the claims of a new license.
    pub fn new(holder: &str, features: Vec<String>, now: Time, days: u16) -> LicenseClaims {
        let iat = now.as_micros() / 1_000_000;
        LicenseClaims {
            jti: random::event_id(now).to_string(),
            sub: holder.to_owned(),
            features,
            iat,
            exp: iat + i64::from(days) * (DAY_US / 1_000_000),
            nbf: None,
            grace_days: None,
        }
    }

    /// Signs the claims.
    ///
    /// # Errors
    /// [`KeyError`] if the PEM is no private key.
    pub fn sign(&self, private_pem: &str) -> Result<String, KeyError> {
        let key = SigningKey::from_pkcs8_pem(private_pem.trim()).map_err(|_| KeyError("private"))?;
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({"alg": "EdDSA", "typ": "JWT"})), part(json!(self)));
        let signature = key.sign(signed.as_bytes());
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
    }

    /// When the license ends.
    pub fn expires(&self) -> Time {
        Time::from_micros_saturating(self.exp.saturating_mul(1_000_000))
    }

    /// Until when it still counts.
    pub fn grace_ends(&self) -> Time {
        let grace = i64::from(self.grace_days.unwrap_or(GRACE_DAYS)) * DAY_US;
        Time::from_micros_saturating(self.expires().as_micros().saturating_add(grace))
    }

    fn allows(&self, feature: &str) -> bool {
        self.features.iter().any(|named| named == feature)
    }

    fn has_begun(&self, now: Time) -> bool {
        self.nbf.is_none_or(|begin| begin.saturating_mul(1_000_000) <= now.as_micros())
    }
}

/// Whether new events are taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LicenseState {
    /// No license is needed.
    NotRequired,
    /// A license allows it.
    Valid(LicenseClaims),
    /// The license ended, and still counts for a while.
    Grace(LicenseClaims),
    /// The license ended too long ago.
    Expired(LicenseClaims),
    /// There is no license that names the feature, or it has not begun.
    Missing,
}

impl LicenseState {
    /// Whether new events are taken.
    pub fn takes_events(&self) -> bool {
        matches!(self, LicenseState::NotRequired | LicenseState::Valid(_) | LicenseState::Grace(_))
    }
}

/// New events are not taken for want of a license; what was recorded stays readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "new events are not taken: this server needs a license that names `audit_log`, and {}; a site manager adds one at Manage > \
     License, the operator with `annals license add FILE`",
    if *.is_expired { "the one it has ended" } else { "has none" }
)]
pub struct UnlicensedError {
    /// There was one, and it ended.
    pub is_expired: bool,
}

/// A license that was added, and what became of it.
#[derive(Debug, Clone)]
pub struct License {
    /// Identity.
    pub id: String,
    /// What it says.
    pub claims: LicenseClaims,
    /// When it was added.
    pub added: Time,
    /// Whether its signature is right; nothing if this process does not know the key.
    pub is_signed: Option<bool>,
}

/// Why a license was not added or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LicenseError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// The text is no license.
    #[error("this is no license: a JWT signed with EdDSA that says jti, sub, features, iat and exp")]
    Unreadable,
    /// Somebody else signed it, or it was changed.
    #[error("the signature of this license is wrong: it was changed, or another key signed it")]
    WrongSignature,
    /// It is there already.
    #[error("the license `{id}` was added already")]
    Known {
        /// Its id.
        id: String,
    },
    /// There is none of that id.
    #[error("there is no license `{id}`; `annals license show` lists them")]
    NotFound {
        /// The id.
        id: String,
    },
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Reads a license; with a key its signature must be right.
fn read(jwt: &str, key: Option<&LicenseKey>) -> Result<LicenseClaims, LicenseError> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }
    let parts: Vec<&str> = jwt.split('.').collect();
    let [header, claims, signature] = parts[..] else { return Err(LicenseError::Unreadable) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| LicenseError::Unreadable);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| LicenseError::Unreadable)?;
    // One algorithm, so that nobody chooses a weaker one.
    if header.alg != "EdDSA" || jwt.len() > JWT_BYTES_MAX {
        return Err(LicenseError::Unreadable);
    }
    let read = serde_json::from_slice(&decode(claims)?).map_err(|_| LicenseError::Unreadable)?;
    let signature = Signature::from_slice(&decode(signature)?).map_err(|_| LicenseError::Unreadable)?;
    if let Some(LicenseKey(key)) = key {
        let signed = jwt.rsplit_once('.').map_or("", |(signed, _)| signed);
        key.verify_strict(signed.as_bytes(), &signature).map_err(|_| LicenseError::WrongSignature)?;
    }
    Ok(read)
}

impl Engine {
    /// Whether new events are taken.
    ///
    /// # Errors
    /// [`EngineError`] if the database does not answer.
    pub fn license_state(&self) -> Result<LicenseState, EngineError> {
        let Some(key) = &self.options.require_license else { return Ok(LicenseState::NotRequired) };
        let now = self.now();
        let newest = self
            .store
            .licenses()?
            .iter()
            .filter_map(|stored| read(&stored.jwt, Some(key)).ok())
            .filter(|claims| claims.allows(AUDIT_LOG_FEATURE) && claims.has_begun(now))
            .max_by_key(|claims| (now < claims.expires(), claims.grace_ends()));
        Ok(match newest {
            None => LicenseState::Missing,
            Some(claims) if now < claims.expires() => LicenseState::Valid(claims),
            Some(claims) if now < claims.grace_ends() => LicenseState::Grace(claims),
            Some(claims) => LicenseState::Expired(claims),
        })
    }

    /// Refuses new events for want of a license. What Annals records of itself is always taken, or nobody could see who added
    /// the license.
    pub(crate) fn check_license(&self) -> Result<Result<(), UnlicensedError>, EngineError> {
        if self.options.require_license.is_none() {
            return Ok(Ok(()));
        }
        let state = self.license_state()?;
        let is_expired = matches!(state, LicenseState::Expired(_));
        Ok(if state.takes_events() { Ok(()) } else { Err(UnlicensedError { is_expired }) })
    }

    /// Lists the licenses, newest first.
    ///
    /// # Errors
    /// [`LicenseError`] if the caller may not see them.
    pub fn licenses(&self, principal: &Principal) -> Result<Vec<License>, LicenseError> {
        principal.may_manage()?;
        let stored = self.store.licenses().map_err(EngineError::from)?;
        let key = self.options.require_license.as_ref();
        let license = |stored: StoredLicense| {
            let claims = read(&stored.jwt, None)?;
            let is_signed = key.map(|key| read(&stored.jwt, Some(key)).is_ok());
            Ok(License { id: stored.id, claims, added: stored.added, is_signed })
        };
        stored.into_iter().map(license).collect()
    }

    /// Adds a license. Its signature is checked where the key is known: where a license is required, or with the key given here.
    ///
    /// # Errors
    /// [`LicenseError`] if the caller may not, or the license cannot be used.
    pub fn add_license(
        &self,
        principal: &Principal,
        jwt: &str,
        key: Option<&LicenseKey>,
    ) -> Result<LicenseClaims, LicenseError> {
        self.manage(principal, || license_event("create", "license"))?;
        let jwt = jwt.trim();
        let claims = read(jwt, key.or(self.options.require_license.as_ref()))?;
        if claims.jti.is_empty()
            || claims.jti.len() > 64
            || claims.jti.chars().any(|letter| !letter.is_ascii_graphic())
        {
            return Err(LicenseError::Unreadable);
        }
        let stored = StoredLicense { id: claims.jti.clone(), jwt: jwt.to_owned(), added: self.now() };
        if !self.store.add_license(&stored).map_err(EngineError::from)? {
            return Err(LicenseError::Known { id: stored.id });
        }
        self.record_own(principal, license_event("create", &stored.id).after(snapshot(&claims)));
        Ok(claims)
    }

    /// Removes a license.
    ///
    /// # Errors
    /// [`LicenseError`] if the caller may not, or there is none of that id.
    pub fn remove_license(&self, principal: &Principal, id: &str) -> Result<(), LicenseError> {
        self.manage(principal, || license_event("delete", id))?;
        let known = self.store.licenses().map_err(EngineError::from)?;
        let not_found = || LicenseError::NotFound { id: id.chars().take(64).collect() };
        let license = known.into_iter().find(|license| license.id == id).ok_or_else(not_found)?;
        if !self.store.remove_license(id).map_err(EngineError::from)? {
            return Err(not_found());
        }
        let before = read(&license.jwt, None).map_or_else(|_| json!({}), |claims| snapshot(&claims));
        self.record_own(principal, license_event("delete", id).before(before));
        Ok(())
    }
}

fn license_event(action: &str, id: &str) -> OwnEvent {
    OwnEvent::new(action, "license", id).resource_id(id)
}

fn snapshot(claims: &LicenseClaims) -> serde_json::Value {
    json!({"uuid": claims.jti, "holder": claims.sub, "features": claims.features, "exp": claims.expires().to_string()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Time {
        Time::from_micros_saturating(seconds * 1_000_000)
    }

    #[test]
    fn a_license_that_was_changed_is_refused() {
        let (private, public) = make_license_keys().unwrap();
        let key = LicenseKey::from_pem(&public).unwrap();
        let claims = LicenseClaims::new("demo-holder", vec!["audit_log".into()], time(1_000), 10);
        let jwt = claims.sign(&private).unwrap();
        assert_eq!(read(&jwt, Some(&key)).unwrap(), claims);

        let (_, other) = make_license_keys().unwrap();
        let other = LicenseKey::from_pem(&other).unwrap();
        assert!(matches!(read(&jwt, Some(&other)), Err(LicenseError::WrongSignature)));

        let mut longer = claims.clone();
        longer.exp += 1;
        let part = URL_SAFE_NO_PAD.encode(json!(longer).to_string());
        let mut parts: Vec<&str> = jwt.split('.').collect();
        parts[1] = &part;
        assert!(matches!(read(&parts.join("."), Some(&key)), Err(LicenseError::WrongSignature)));

        // The classic attack: a token that says it has no signature.
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        parts[0] = &header;
        for text in [parts.join("."), String::new(), "a.b".into(), "a.b.c.d".into(), jwt.replace('.', "")] {
            assert!(matches!(read(&text, Some(&key)), Err(LicenseError::Unreadable)), "{text}");
        }
    }

    #[test]
    fn a_license_counts_a_while_longer() {
        let claims = LicenseClaims::new("demo-holder", vec!["audit_log".into()], time(0), 10);
        assert_eq!(claims.expires(), time(10 * 86_400));
        assert_eq!(claims.grace_ends(), time(40 * 86_400));
        let strict = LicenseClaims { grace_days: Some(0), ..claims };
        assert_eq!(strict.grace_ends(), strict.expires());
    }
}
