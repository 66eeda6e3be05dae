//! Log-in by another site that knows the people: OpenID Connect, the authorization code flow with PKCE.
//!
//! This module talks with the provider; `pages/oidc.rs` talks with the browser, and the engine decides who gets a session.
//! Everything that a provider sends is checked: the signature, issuer, audience, time and nonce of the ID token, and
//! that the user info is of the same subject. Names, addresses and groups come from the user info alone.

mod claims;
mod config;
mod provider;

pub use config::{AccessUrl, AddressError, Issuer, OidcOptions};

pub(crate) use claims::to_identity;
pub(crate) use config::OidcConfig;
pub(crate) use provider::{OidcError, Provider, Secrets};
