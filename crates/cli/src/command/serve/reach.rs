//! How the server is reached: address, TLS, proxies, and log-in by another site.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use annals_engine::{OidcPolicy, OrganizationRole, Role};
use annals_server::{AccessUrl, Config, Issuer, OidcOptions, TlsFiles};
use anyhow::Context as _;
use serde::Deserialize;

/// Flags that say how the server is reached.
#[derive(Debug, clap::Args)]
pub(crate) struct ReachArgs {
    /// Address to listen on [default: 127.0.0.1:2662]
    #[arg(long, value_name = "ADDRESS", env = "ANNALS_LISTEN")]
    listen: Option<SocketAddr>,
    /// Speak HTTPS with this certificate and those that lead to its authority (PEM); a changed file is read again
    #[arg(long, value_name = "FILE", env = "ANNALS_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", env = "ANNALS_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// A proxy in front speaks TLS with browsers
    #[arg(long, env = "ANNALS_BEHIND_TLS_PROXY")]
    behind_tls_proxy: bool,
    /// Network of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8; may be given several times
    #[arg(long, value_name = "CIDR", env = "ANNALS_TRUSTED_PROXY", value_delimiter = ',', value_parser = read_network)]
    trusted_proxy: Vec<Network>,
    /// Address under which people reach the server, such as `https://annals.example`
    #[arg(long, value_name = "URL", env = "ANNALS_ACCESS_URL")]
    access_url: Option<AccessUrl>,
    /// Let people log in by this OpenID Connect provider
    #[arg(long, value_name = "URL", env = "ANNALS_OIDC_ISSUER")]
    oidc_issuer: Option<Issuer>,
    /// What the provider calls this server
    #[arg(long, value_name = "ID", env = "ANNALS_OIDC_CLIENT_ID")]
    oidc_client_id: Option<String>,
    /// File that holds the secret for the provider
    #[arg(long, value_name = "FILE", env = "ANNALS_OIDC_CLIENT_SECRET_FILE")]
    oidc_client_secret_file: Option<PathBuf>,
    /// What people call the provider
    #[arg(long, value_name = "NAME", env = "ANNALS_OIDC_NAME")]
    oidc_name: Option<String>,
    /// Whoever the provider knows gets an account when they first log in
    #[arg(long, env = "ANNALS_OIDC_ALLOW_REGISTER")]
    oidc_allow_register: bool,
}

/// The same in the configuration file.
#[derive(Debug, Default)]
pub(crate) struct ReachFile {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) behind_tls_proxy: bool,
    pub(crate) trusted_proxy: Vec<String>,
    pub(crate) access_url: Option<String>,
    pub(crate) oidc: OidcFile,
}

/// Section `[oidc]` of the configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcFile {
    issuer: Option<String>,
    client_id: Option<String>,
    client_secret_file: Option<PathBuf>,
    name: Option<String>,
    scopes: Option<Vec<String>>,
    username_claim: Option<String>,
    groups_claim: Option<String>,
    roles_claim: Option<String>,
    #[serde(default)]
    allow_register: bool,
    /// Group or role at the provider -> site role.
    #[serde(default)]
    role_map: BTreeMap<String, String>,
    /// Group or role at the provider -> organization and role in it.
    #[serde(default)]
    organization_map: BTreeMap<String, Membership>,
}

/// What a group gives in an organization.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Membership {
    organization: String,
    role: Option<String>,
}

/// A network, or one address.
type Network = ipnet::IpNet;

pub(crate) fn read_network(text: &str) -> Result<Network, String> {
    let text = text.trim();
    let address = || text.parse::<std::net::IpAddr>().map(Network::from);
    text.parse()
        .or_else(|_| address())
        .map_err(|_| format!("`{text}` is no network; expected one such as 10.0.0.0/8"))
}

/// Joins flags and file; a flag wins.
pub(crate) fn config(args: &ReachArgs, file: ReachFile) -> anyhow::Result<Config> {
    let tls_cert = args.tls_cert.clone().or(file.tls_cert);
    let tls_key = args.tls_key.clone().or(file.tls_key);
    let tls = match (tls_cert, tls_key) {
        (Some(certificate), Some(key)) => Some(TlsFiles::new(certificate, key)),
        (None, None) => None,
        (Some(_), None) => anyhow::bail!("--tls-cert needs --tls-key, the private key of the certificate"),
        (None, Some(_)) => anyhow::bail!("--tls-key needs --tls-cert, the certificate of the key"),
    };
    let behind_tls_proxy = args.behind_tls_proxy || file.behind_tls_proxy;
    anyhow::ensure!(
        tls.is_none() || !behind_tls_proxy,
        "--tls-cert and --behind-tls-proxy name two ends of TLS; to encrypt the line from a proxy too, leave \
         --behind-tls-proxy out"
    );
    let trusted_proxies = if args.trusted_proxy.is_empty() {
        let networks = file.trusted_proxy.iter().map(|text| read_network(text).map_err(anyhow::Error::msg));
        networks.collect::<Result<_, _>>().context("trusted_proxy")?
    } else {
        args.trusted_proxy.clone()
    };
    let access_url = match (&args.access_url, file.access_url) {
        (Some(url), _) => Some(url.clone()),
        (None, Some(text)) => Some(text.parse().context("access_url")?),
        (None, None) => None,
    };
    Ok(Config {
        listen: args.listen.or(file.listen).unwrap_or(Config::default().listen),
        tls,
        behind_tls_proxy,
        trusted_proxies,
        access_url,
        oidc: oidc(args, file.oidc)?,
    })
}

fn oidc(args: &ReachArgs, file: OidcFile) -> anyhow::Result<OidcOptions> {
    let usual = OidcOptions::default();
    let issuer = match (&args.oidc_issuer, file.issuer) {
        (Some(issuer), _) => Some(issuer.clone()),
        (None, Some(text)) => Some(text.parse().context("issuer in section [oidc]")?),
        (None, None) => None,
    };
    let client_id = args.oidc_client_id.clone().or(file.client_id).unwrap_or_default();
    anyhow::ensure!(
        issuer.is_none() || !client_id.is_empty(),
        "--oidc-issuer needs --oidc-client-id, the name that the provider gave this server"
    );
    let secret_file = args.oidc_client_secret_file.clone().or(file.client_secret_file);
    let role = |(claim, name): (String, String)| {
        let role = Role::from_name(&name);
        let role = role.with_context(|| format!("`{name}` in [oidc.role_map] is no role: {}", roles()))?;
        anyhow::Ok((claim, role))
    };
    let membership = |(claim, membership): (String, Membership)| {
        let name = membership.role.as_deref().unwrap_or(OrganizationRole::Member.name());
        let role = OrganizationRole::from_name(name);
        let role = role.with_context(|| {
            format!("`{name}` in [oidc.organization_map] is no role: {}", organization_roles())
        })?;
        anyhow::Ok((claim, (membership.organization, role)))
    };
    Ok(OidcOptions {
        issuer,
        client_id,
        client_secret: secret_file.as_deref().map(read_secret).transpose()?,
        name: args.oidc_name.clone().or(file.name).unwrap_or(usual.name),
        scopes: file.scopes.unwrap_or(usual.scopes),
        username_claim: file.username_claim.unwrap_or(usual.username_claim),
        groups_claim: file.groups_claim.unwrap_or(usual.groups_claim),
        roles_claim: file.roles_claim.unwrap_or(usual.roles_claim),
        policy: OidcPolicy {
            allow_register: args.oidc_allow_register || file.allow_register,
            role_map: file.role_map.into_iter().map(role).collect::<Result<_, _>>()?,
            organization_map: file.organization_map.into_iter().map(membership).collect::<Result<_, _>>()?,
        },
    })
}

fn roles() -> String {
    Role::ALL.map(Role::name).join(", ")
}

fn organization_roles() -> String {
    OrganizationRole::ALL.map(OrganizationRole::name).join(", ")
}

/// Reads a secret from a file of its own: on the command line every user of the machine could see it.
fn read_secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let secret = text.trim();
    anyhow::ensure!(
        !secret.is_empty(),
        "`{}` is empty; expected the secret of the OIDC client",
        file.display()
    );
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        reach: ReachArgs,
    }

    fn flags(words: &[&str]) -> ReachArgs {
        Line::try_parse_from([&["serve"], words].concat()).unwrap().reach
    }

    fn fault(words: &[&str], file: ReachFile) -> String {
        format!("{:#}", config(&flags(words), file).unwrap_err())
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = || ReachFile {
            tls_cert: Some("file.pem".into()),
            tls_key: Some("key.pem".into()),
            trusted_proxy: vec!["10.0.0.0/8".to_owned(), "192.0.2.7".to_owned()],
            access_url: Some("https://file.example".to_owned()),
            ..ReachFile::default()
        };
        let of_file = config(&flags(&[]), file()).unwrap();
        assert_eq!(of_file.tls.unwrap().certificate, Path::new("file.pem"));
        assert_eq!(of_file.trusted_proxies.len(), 2);
        assert_eq!(of_file.access_url.unwrap().as_str(), "https://file.example");
        let words = [
            "--tls-cert=flag.pem",
            "--trusted-proxy=172.16.0.0/12",
            "--access-url=https://flag.example",
            "--listen=127.0.0.1:1",
        ];
        let of_flags = config(&flags(&words), file()).unwrap();
        assert_eq!(of_flags.tls.unwrap().certificate, Path::new("flag.pem"));
        assert_eq!(of_flags.trusted_proxies, ["172.16.0.0/12".parse().unwrap()]);
        assert_eq!(of_flags.access_url.unwrap().as_str(), "https://flag.example");
        assert_eq!(of_flags.listen.port(), 1);
    }

    #[test]
    fn halves_and_contradictions_are_named() {
        let none = ReachFile::default;
        assert!(fault(&["--tls-cert=c"], none()).contains("--tls-cert needs --tls-key"));
        assert!(fault(&["--tls-key=k"], none()).contains("--tls-key needs --tls-cert"));
        let both = ["--tls-cert=c", "--tls-key=k", "--behind-tls-proxy"];
        assert!(fault(&both, none()).contains("two ends of TLS"));
        assert!(fault(&["--oidc-issuer=https://id.example"], none()).contains("needs --oidc-client-id"));
        let proxies = ReachFile { trusted_proxy: vec!["here".to_owned()], ..ReachFile::default() };
        assert!(fault(&[], proxies).contains("`here` is no network"));
    }

    #[test]
    fn the_section_of_the_file_becomes_options() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "hush\n").unwrap();
        let section = format!(
            r#"
            issuer = "https://login.example"
            client_id = "annals"
            client_secret_file = {:?}
            allow_register = true
            groups_claim = "teams"
            role_map = {{ admins = "site-manager" }}
            organization_map.red = {{ organization = "red", role = "organization-auditor" }}
            organization_map.blue = {{ organization = "blue" }}
            "#,
            secret
        );
        let file =
            |section: &str| ReachFile { oidc: toml::from_str(section).unwrap(), ..ReachFile::default() };
        let oidc = config(&flags(&["--oidc-name=Example"]), file(&section)).unwrap().oidc;
        assert_eq!(oidc.issuer.unwrap().as_str(), "https://login.example");
        assert_eq!((oidc.client_id.as_str(), oidc.client_secret.as_deref()), ("annals", Some("hush")));
        assert_eq!((oidc.name.as_str(), oidc.groups_claim.as_str()), ("Example", "teams"));
        assert!(oidc.policy.allow_register);
        assert_eq!(oidc.policy.role_map["admins"], Role::SiteManager);
        assert_eq!(oidc.policy.organization_map["red"], ("red".to_owned(), OrganizationRole::Auditor));
        assert_eq!(oidc.policy.organization_map["blue"], ("blue".to_owned(), OrganizationRole::Member));

        let wrong = section.replace("site-manager", "boss");
        assert!(fault(&[], file(&wrong)).contains("`boss` in [oidc.role_map] is no role: site-manager"));
        std::fs::write(&secret, "\n").unwrap();
        assert!(fault(&[], file(&section)).contains("is empty; expected the secret"));
        assert!(
            toml::from_str::<OidcFile>("client_secret = 'x'").is_err(),
            "secrets stand in files of their own"
        );
    }
}
