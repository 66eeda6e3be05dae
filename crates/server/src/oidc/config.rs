//! What has to be known of a provider before anyone can log in by it.

use std::str::FromStr;

use annals_engine::OidcPolicy;
use openidconnect::IssuerUrl;
use openidconnect::url::Url;

/// Scopes that most providers know and that give what an account needs.
const SCOPES: [&str; 2] = ["profile", "email"];

/// What is known of a provider, and what its people may do here.
#[derive(Clone)]
pub struct OidcOptions {
    /// Who it is; without one nobody logs in this way.
    pub issuer: Option<Issuer>,
    /// The name it gave Annals; empty: none, and nobody logs in this way.
    pub client_id: String,
    /// The secret that goes with the name, unless it gave none.
    pub client_secret: Option<String>,
    /// What people call it: "Sign in with NAME".
    pub name: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Claim of the user info that becomes the username of a new person.
    pub username_claim: String,
    /// Claim that lists the groups of a person.
    pub groups_claim: String,
    /// Claim that lists their roles.
    pub roles_claim: String,
    /// Who may come in, and as what.
    pub policy: OidcPolicy,
}

/// The usual names of scopes and claims; only people who are known already come in.
impl Default for OidcOptions {
    fn default() -> OidcOptions {
        OidcOptions {
            issuer: None,
            client_id: String::new(),
            client_secret: None,
            name: "OpenID Connect".to_owned(),
            scopes: SCOPES.map(str::to_owned).to_vec(),
            username_claim: "preferred_username".to_owned(),
            groups_claim: "groups".to_owned(),
            roles_claim: "roles".to_owned(),
            policy: OidcPolicy::default(),
        }
    }
}

/// Leaves the secret out.
impl std::fmt::Debug for OidcOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OidcOptions")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl OidcOptions {
    /// A provider that people can log in by, if enough is known of it.
    pub(crate) fn complete(self) -> Option<OidcConfig> {
        let issuer = self.issuer.clone()?;
        (!self.client_id.is_empty()).then_some(OidcConfig { issuer, options: self })
    }
}

/// A provider that people can log in by.
#[derive(Debug, Clone)]
pub(crate) struct OidcConfig {
    pub(crate) issuer: Issuer,
    pub(crate) options: OidcOptions,
}

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is no address.
    #[error("`{text}` is no address; expected one such as https://login.example")]
    NoAddress {
        /// What was given.
        text: String,
    },
    /// Anyone on the way could read and change what is sent.
    #[error("`{text}` is plain HTTP; only https:// is taken here, or http:// on this machine")]
    OpenLine {
        /// What was given.
        text: String,
    },
    /// There is more than scheme, host and port.
    #[error(
        "`{text}` has a path or a query; expected scheme, host and port only, such as https://annals.example"
    )]
    HasPath {
        /// What was given.
        text: String,
    },
}

/// The address by which a provider calls itself, to the letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(IssuerUrl);

impl Issuer {
    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn to_url(&self) -> IssuerUrl {
        self.0.clone()
    }
}

impl FromStr for Issuer {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Issuer, AddressError> {
        let text = text.trim();
        let url = parse(text)?;
        refuse_open_line(text, &url)?;
        IssuerUrl::new(text.to_owned())
            .map(Issuer)
            .map_err(|_| AddressError::NoAddress { text: text.to_owned() })
    }
}

/// The address under which people reach Annals: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUrl(Url);

impl AccessUrl {
    /// The address, without a slash at its end.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// Says whether a session may be handed out over it.
    pub(crate) fn is_private(&self) -> bool {
        refuse_open_line("", &self.0).is_ok()
    }
}

impl FromStr for AccessUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<AccessUrl, AddressError> {
        let text = text.trim();
        let url = parse(text)?;
        let is_origin = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let has_login = !url.username().is_empty() || url.password().is_some();
        if !is_origin || has_login {
            return Err(AddressError::HasPath { text: text.to_owned() });
        }
        Ok(AccessUrl(url))
    }
}

fn parse(text: &str) -> Result<Url, AddressError> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
    url.ok_or_else(|| AddressError::NoAddress { text: text.to_owned() })
}

fn refuse_open_line(text: &str, url: &Url) -> Result<(), AddressError> {
    use openidconnect::url::Host;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() == "https" || is_local {
        Ok(())
    } else {
        Err(AddressError::OpenLine { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        for good in [
            "https://login.example",
            "https://login.example/realms/x/",
            "http://127.0.0.1:9400",
            "http://localhost:9400",
            "http://[::1]:9400",
        ] {
            assert_eq!(good.parse::<Issuer>().unwrap().as_str(), good);
        }
        for bad in ["", "login.example", "ftp://login.example", "javascript:alert(1)"] {
            assert!(matches!(bad.parse::<Issuer>(), Err(AddressError::NoAddress { .. })), "{bad}");
        }
        for open in ["http://login.example", "http://192.0.2.1", "http://localhost.example"] {
            assert!(matches!(open.parse::<Issuer>(), Err(AddressError::OpenLine { .. })), "{open}");
        }
    }

    #[test]
    fn an_access_url_is_an_origin() {
        let url: AccessUrl = "https://annals.example/".parse().unwrap();
        assert_eq!((url.as_str(), url.is_private()), ("https://annals.example", true));
        assert!(!"http://annals.example".parse::<AccessUrl>().unwrap().is_private());
        for bad in ["https://annals.example/log", "https://annals.example/?x", "https://me:pw@annals.example"]
        {
            assert!(matches!(bad.parse::<AccessUrl>(), Err(AddressError::HasPath { .. })), "{bad}");
        }
    }

    #[test]
    fn the_secret_is_in_no_debug_text() {
        let options = OidcOptions { client_secret: Some("hunter2".to_owned()), ..OidcOptions::default() };
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn issuer_and_client_id_are_needed() {
        let issuer: Option<Issuer> = "https://login.example".parse().ok();
        let options = |issuer: Option<Issuer>, id: &str| OidcOptions {
            issuer,
            client_id: id.to_owned(),
            ..OidcOptions::default()
        };
        assert!(options(issuer.clone(), "annals").complete().is_some());
        assert!(options(issuer, "").complete().is_none());
        assert!(options(None, "annals").complete().is_none());
    }
}
