//! What the user info says, in our words.

use annals_engine::OidcIdentity;
use serde_json::{Map, Value};

use super::config::OidcConfig;
use super::provider::Identity;

/// Characters of one text of a claim; longer ones are no names.
const TEXT_CHARACTERS_MAX: usize = 256;
/// Groups or roles that are looked at.
const VALUES_MAX: usize = 1_000;

/// Makes an identity of what a provider said.
pub(crate) fn to_identity(config: &OidcConfig, identity: &Identity) -> OidcIdentity {
    let claims = &identity.claims;
    OidcIdentity {
        issuer: config.issuer.as_str().to_owned(),
        subject: identity.subject.clone(),
        email: text(claims, "email"),
        email_verified: is_true(claims.get("email_verified")),
        username: text(claims, &config.options.username_claim),
        name: text(claims, "name"),
        avatar_url: Some(text(claims, "picture"))
            .filter(|url| url.starts_with("https://"))
            .unwrap_or_default(),
        groups: texts(claims, &config.options.groups_claim),
        roles: texts(claims, &config.options.roles_claim),
    }
}

fn text(claims: &Map<String, Value>, name: &str) -> String {
    let text = claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if is_plain(text) { text.to_owned() } else { String::new() }
}

/// A list of texts, or one text alone.
fn texts(claims: &Map<String, Value>, name: &str) -> Vec<String> {
    let values = match claims.get(name) {
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    let texts = values.iter().filter_map(Value::as_str).filter(|text| is_plain(text) && !text.is_empty());
    texts.take(VALUES_MAX).map(str::to_owned).collect()
}

fn is_plain(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARACTERS_MAX && !text.contains(char::is_control)
}

/// Some providers write the truth as a text.
fn is_true(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value == &Value::Bool(true) || value.as_str() == Some("true"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::OidcOptions;

    fn identity(claims: Value) -> OidcIdentity {
        let issuer = "https://login.example".parse().unwrap();
        let config = OidcConfig { issuer, options: OidcOptions::default() };
        let Value::Object(claims) = claims else { panic!("{claims}") };
        to_identity(&config, &Identity { subject: "42".to_owned(), claims })
    }

    #[test]
    fn claims_become_an_identity() {
        let found = identity(json!({
            "sub": "42", "email": "ada@example.com", "email_verified": true, "preferred_username": "ada",
            "name": "Ada Lovelace", "picture": "https://example.com/ada.png", "groups": ["auditors", 7, "dev"],
            "roles": "auditor",
        }));
        assert_eq!((found.issuer.as_str(), found.subject.as_str()), ("https://login.example", "42"));
        assert_eq!((found.username.as_str(), found.email.as_str()), ("ada", "ada@example.com"));
        assert!(found.email_verified);
        assert_eq!(
            (found.groups, found.roles),
            (vec!["auditors".to_owned(), "dev".to_owned()], vec!["auditor".to_owned()])
        );
    }

    #[test]
    fn odd_claims_count_as_missing() {
        let found = identity(json!({
            "sub": "42", "email": ["ada@example.com"], "email_verified": "yes", "preferred_username": "a\nb",
            "name": "x".repeat(257), "picture": "javascript:alert(1)", "groups": {"auditors": true},
        }));
        assert_eq!(format!("{}{}{}{}", found.email, found.username, found.name, found.avatar_url), "");
        assert!(!found.email_verified && found.groups.is_empty() && found.roles.is_empty());
    }
}
