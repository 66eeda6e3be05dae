//! `annals license`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use annals_engine::{
    AUDIT_LOG_FEATURE, Engine, LicenseClaims, LicenseKey, Options, Principal, make_license_keys,
};
use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use crate::output;
use crate::target::{TargetArgs, open_engine, open_or_create_engine};

/// Manage licenses. Annals needs none, unless it is started with `--require-license KEY`.
#[derive(Debug, clap::Args)]
#[command(after_help = "For those who run a deployment:
  annals license add license.jwt --data ./annals-data
  annals license show --data ./annals-data

For those who sell one:
  annals license keygen vendor              # makes vendor.key and vendor.pub
  annals license sign --key vendor.key --holder 'Demo Holder' --days 365 > license.jwt
  annals serve --require-license vendor.pub")]
pub(crate) struct LicenseArgs {
    #[command(subcommand)]
    command: LicenseCommand,
}

#[derive(Debug, Subcommand)]
enum LicenseCommand {
    /// Add a license
    Add {
        /// File with the license; `-` reads standard input
        file: PathBuf,
        /// Public key that must have signed it; without one the server that requires it checks
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// List the licenses that were added
    Show,
    /// Remove a license
    Remove {
        /// Its id, from the list
        id: String,
    },
    /// Make a pair of keys for signing licenses
    Keygen {
        /// Beginning of the names of the two files, NAME.key and NAME.pub
        name: PathBuf,
    },
    /// Sign a license and print it
    Sign {
        /// Private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Whom it is for
        #[arg(long)]
        holder: String,
        /// What it allows; may be given several times
        #[arg(long = "feature", default_value = AUDIT_LOG_FEATURE)]
        features: Vec<String>,
        /// Days from now until it ends
        #[arg(long, default_value_t = 365)]
        days: u16,
        /// Days after its end during which it still counts
        #[arg(long)]
        grace_days: Option<u16>,
    },
}

pub(crate) fn run(args: &LicenseArgs, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    match &args.command {
        LicenseCommand::Keygen { name } => keygen(name, json),
        LicenseCommand::Sign { key, holder, features, days, grace_days } => {
            let now = Options::default().clock.now();
            let claims = LicenseClaims {
                grace_days: *grace_days,
                ..LicenseClaims::new(holder, features.clone(), now, *days)
            };
            let license = claims.sign(&read(key)?).with_context(|| format!("`{}`", key.display()))?;
            if json { output::line(json!({"license": license})) } else { output::line(license) }
        }
        in_place => {
            anyhow::ensure!(
                target.server.is_none(),
                "licenses are managed on the data directory: --data DIR"
            );
            in_log(in_place, target, json)
        }
    }
}

fn in_log(command: &LicenseCommand, target: &TargetArgs, json: bool) -> anyhow::Result<()> {
    let operator = Principal::operator();
    let location = target.location()?;
    match command {
        LicenseCommand::Add { file, key } => {
            let key = key.as_deref().map(read_key).transpose()?;
            let engine = open_or_create_engine(&location, Options::default())?;
            let claims = engine.add_license(&operator, &read(file)?, key.as_ref())?;
            if json {
                return output::line(
                    json!({"id": claims.jti, "holder": claims.sub, "features": claims.features,
                    "expires": claims.expires()}),
                );
            }
            output::line(format_args!("added {} for {}, ends {}", claims.jti, claims.sub, claims.expires()))?;
            if key.is_none() {
                output::note(
                    "its signature is checked by the server that requires it; --key FILE checks it now",
                );
            }
            Ok(())
        }
        LicenseCommand::Remove { id } => {
            open_engine(&location, Options::default())?.remove_license(&operator, id)?;
            if json {
                output::line(json!({"removed": id}))
            } else {
                output::line(format_args!("removed {id}"))
            }
        }
        _ => show(&open_engine(&location, Options::default())?, &operator, json),
    }
}

fn show(engine: &Engine, operator: &Principal, json: bool) -> anyhow::Result<()> {
    let licenses = engine.licenses(operator)?;
    if json {
        let licenses: Vec<_> = licenses
            .iter()
            .map(|license| {
                json!({"id": license.id, "holder": license.claims.sub, "features": license.claims.features,
                       "added": license.added, "expires": license.claims.expires(),
                       "grace_ends": license.claims.grace_ends()})
            })
            .collect();
        return output::line(json!({"licenses": licenses}));
    }
    if licenses.is_empty() {
        output::note(
            "no license was added; none is needed unless the server is started with --require-license",
        );
    }
    for license in licenses {
        let claims = &license.claims;
        let (features, expires) = (claims.features.join(","), claims.expires());
        output::line(format_args!("{}  {:24}  {features:20}  ends {expires}", license.id, claims.sub))?;
    }
    Ok(())
}

fn keygen(name: &Path, json: bool) -> anyhow::Result<()> {
    let (private, public) = make_license_keys()?;
    let file = |extension: &str| {
        let mut file = name.as_os_str().to_owned();
        file.push(extension);
        PathBuf::from(file)
    };
    let (private_file, public_file) = (file(".key"), file(".pub"));
    write_new(&private_file, &private, 0o600)?;
    write_new(&public_file, &public, 0o644)?;
    if json {
        return output::line(json!({"private": private_file, "public": public_file}));
    }
    output::line(format_args!("{} signs licenses: keep it secret", private_file.display()))?;
    output::line(format_args!("{} goes to `annals serve --require-license`", public_file.display()))
}

/// A key that is there is never overwritten: what it signed would be lost.
fn write_new(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let mut opened = opened.with_context(|| format!("cannot create `{}`", file.display()))?;
    opened.write_all(text.as_bytes()).with_context(|| format!("cannot write `{}`", file.display()))
}

/// Reads the public key of whoever signs licenses.
pub(crate) fn read_key(file: &Path) -> anyhow::Result<LicenseKey> {
    LicenseKey::from_pem(&read(file)?).with_context(|| format!("`{}`", file.display()))
}

fn read(file: &Path) -> anyhow::Result<String> {
    const BYTES_MAX: u64 = 64 * 1024;
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(BYTES_MAX)
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
    } else {
        let opened =
            std::fs::File::open(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        opened
            .take(BYTES_MAX)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read `{}`", file.display()))?;
    }
    Ok(text)
}
