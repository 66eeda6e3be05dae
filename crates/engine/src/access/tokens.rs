//! API tokens: made, listed, revoked.

use annals_model::time::Time;
use annals_store::{Token, TokenId, TokenKind};
use serde_json::{Value, json};

use super::people::shortened_or;
use super::{AccessError, SecretText, check_name, hash, new_id, shortened};
use crate::Engine;
use crate::own_event::OwnEvent;
use crate::principal::Principal;

/// Tokens that a person may make by themselves: one for each of their machines, and some.
const OWN_TOKENS_MAX: usize = 50;

/// A token to make.
#[derive(Debug, Clone)]
pub struct NewToken<'t> {
    /// What it is good for.
    pub kind: TokenKind,
    /// What people call it.
    pub name: &'t str,
    /// Log-in name of the person whose sight it has; none: a site manager's, or the caller's own if they are none.
    pub owner: Option<&'t str>,
    /// When it ends to be good for anything; none: never.
    pub expires: Option<Time>,
}

fn snapshot(token: &Token) -> Value {
    let owner_id = token.owner.as_ref().map_or("", |owner| owner.0.as_str());
    json!({
        "id": token.id.0, "name": token.name, "scope": token.kind.name(), "owner_id": owner_id,
        "expires_at": token.expires, "created_at": token.created, "last_used_at": token.last_used,
    })
}

pub(super) fn token_event(action: &str, before: Option<&Token>, after: Option<&Token>) -> OwnEvent {
    let of = before.or(after);
    let mut event = OwnEvent::new(action, "token", of.map_or("", |token| token.name.as_str()));
    if let Some(token) = of {
        event = event.resource_id(&token.id.0);
    }
    if let Some(before) = before {
        event = event.before(snapshot(before));
    }
    if let Some(after) = after {
        event = event.after(snapshot(after));
    }
    event
}

impl Engine {
    /// Makes a token; its secret is returned this once. A site manager makes any; everyone else read tokens of their own,
    /// which see what they see themselves.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, name or end cannot be taken, or the owner is not known.
    pub fn create_token(
        &self,
        principal: &Principal,
        token: &NewToken<'_>,
    ) -> Result<SecretText, AccessError> {
        let attempt = || OwnEvent::new("create", "token", &shortened_or(token.name));
        let owner = if principal.may_manage().is_ok() {
            match token.owner {
                // A token with a site manager's sight must not outlive the one who made it: only the operator makes those.
                None if token.kind == TokenKind::Read => {
                    principal.oneself().map(|oneself| oneself.id.clone())
                }
                None => None,
                Some(username) => Some(self.person_named(principal, username)?.id),
            }
        } else {
            let oneself = principal.oneself().filter(|oneself| {
                let is_own = token.owner.is_none_or(|owner| {
                    owner.to_lowercase() == oneself.username.to_lowercase() || owner == oneself.id.0
                });
                is_own && token.kind == TokenKind::Read
            });
            let Some(oneself) = oneself else {
                self.manage(principal, attempt)?;
                return Err(AccessError::NotOneself);
            };
            if self.store.tokens_of(&oneself.id)?.len() >= OWN_TOKENS_MAX {
                return Err(AccessError::TooManyTokens { max: OWN_TOKENS_MAX });
            }
            Some(oneself.id.clone())
        };
        check_name(token.name)?;
        let created = self.now();
        if token.expires.is_some_and(|expires| expires <= created) {
            return Err(AccessError::BadExpiry);
        }
        let secret = SecretText::random(match token.kind {
            TokenKind::Ingest => "annals_ingest_",
            TokenKind::Read => "annals_read_",
            TokenKind::Metrics => "annals_metrics_",
        });
        let stored = Token {
            id: TokenId(new_id(created)),
            secret_hash: hash(secret.reveal()),
            kind: token.kind,
            name: token.name.to_owned(),
            owner,
            created,
            expires: token.expires,
            last_used: None,
        };
        self.store.add_token(&stored)?;
        self.record_own(principal, token_event("create", None, Some(&stored)));
        Ok(secret)
    }

    /// Lists the tokens that are not revoked, newest first: all for a site manager, their own for everyone else.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not see any.
    pub fn tokens(&self, principal: &Principal) -> Result<Vec<Token>, AccessError> {
        match (principal.may_manage(), principal.oneself()) {
            (Ok(()), _) => Ok(self.store.tokens()?),
            (Err(_), Some(oneself)) => Ok(self.store.tokens_of(&oneself.id)?),
            (Err(forbidden), None) => Err(forbidden.into()),
        }
    }

    /// Revokes a token: any as a site manager, else one of one's own.
    ///
    /// # Errors
    /// [`AccessError::UnknownToken`] if there is none, also if it is somebody else's: that it exists is not said.
    pub fn revoke_token(&self, principal: &Principal, id: &TokenId) -> Result<(), AccessError> {
        let unknown = || AccessError::UnknownToken { id: shortened(&id.0) };
        let token = self.store.tokens()?.into_iter().find(|token| token.id == *id).ok_or_else(unknown)?;
        let is_own = principal.oneself().is_some_and(|oneself| token.owner.as_ref() == Some(&oneself.id));
        let event = token_event("delete", Some(&token), None);
        if !is_own && self.manage(principal, || event.clone()).is_err() {
            return Err(unknown());
        }
        if !self.store.revoke_token(id, self.now())? {
            return Err(unknown());
        }
        self.record_own(principal, event);
        Ok(())
    }
}
