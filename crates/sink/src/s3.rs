//! Objects in a bucket of Amazon S3 or of a server that speaks its protocol.

use std::time::Duration;

use annals_store::{BucketHttp, ObjectWriter};

use crate::kind::{Kind, Surroundings};
use crate::objects::{self, ObjectSink, Owner};
use crate::reason::{Secrets, cause};
use crate::setting::{Setting, SettingFault, SettingKind, Settings};
use crate::{Sink, http, tls};

const BUCKET: &str = "bucket";
const PREFIX: &str = "prefix";
const REGION: &str = "region";
const ENDPOINT: &str = "endpoint";
const ACCESS_KEY: &str = "access_key";
const SECRET_KEY: &str = "secret_key";
const ALLOW_HTTP: &str = "allow_http";
/// Where requests go if no endpoint is given; only its scheme matters here.
const AMAZON: &str = "https://s3.amazonaws.com";

pub(crate) const KIND: Kind = Kind {
    name: "s3",
    label: "S3",
    about: "Writes each batch as an object of lines to a bucket, by hour; the bucket's answer acknowledges them.",
    settings: &[
        Setting::new(
            BUCKET,
            "Bucket",
            "Name of the bucket, which must exist, such as `audit-archive`.",
            SettingKind::Line,
        )
        .required(),
        Setting::new(
            PREFIX,
            "Prefix",
            "What the names of objects begin with, such as `annals/production`.",
            SettingKind::Line,
        ),
        Setting::new(REGION, "Region", "Region of the bucket, such as `eu-central-1`.", SettingKind::Line)
            .or("us-east-1"),
        Setting::new(
            ENDPOINT,
            "Endpoint",
            "Address of a server other than Amazon's, such as `https://s3.example.com`.",
            SettingKind::Line,
        ),
        Setting::new(
            ACCESS_KEY,
            "Access key",
            "Id of the access key, such as `AKIAIOSFODNN7EXAMPLE`; without one, and if the operator set the stream up, the server's own rights are used.",
            SettingKind::Line,
        ),
        Setting::new(
            SECRET_KEY,
            "Secret key",
            "Secret of the access key, such as `wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY`.",
            SettingKind::Secret,
        ),
        objects::GZIP,
        objects::LINGER.or("60"),
        Setting::new(
            ALLOW_HTTP,
            "Without TLS",
            "Whether an endpoint of `http://` is allowed.",
            SettingKind::Switch,
        )
        .or("false"),
        http::TIMEOUT.or("120"),
        tls::CA,
    ],
    is_local: false,
    is_single: false,
    open,
};

fn open(settings: &Settings, surroundings: &Surroundings) -> Result<Box<dyn Sink>, SettingFault> {
    let is_own_keys = match (settings.get(ACCESS_KEY), settings.get(SECRET_KEY)) {
        ("", "") if surroundings.any_network => false,
        ("", "") => {
            return Err(SettingFault::new(
                ACCESS_KEY,
                "must be given; only the operator may use the server's own rights",
            ));
        }
        ("", _) => return Err(SettingFault::new(ACCESS_KEY, "must be given with `secret_key`")),
        (_, "") => return Err(SettingFault::new(SECRET_KEY, "must be given with `access_key`")),
        _ => true,
    };
    // Region and bucket become parts of an address, and must not lead it elsewhere.
    for name in [BUCKET, REGION] {
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
        if !settings.get(name).chars().all(is_plain) {
            return Err(SettingFault::new(name, "letters, digits, `-`, `.` and `_` are expected"));
        }
    }
    let endpoint = settings.get(ENDPOINT);
    let address = if endpoint.is_empty() { AMAZON } else { endpoint };
    let url = http::read_url(ENDPOINT, address, "put secrets into `secret_key`", surroundings)?;
    if url.scheme() == "http" && !settings.is_on(ALLOW_HTTP) {
        return Err(SettingFault::new(ENDPOINT, "`https://` is expected, or `allow_http`"));
    }
    let mut aws = vec![("aws_region".to_owned(), settings.get(REGION).to_owned())];
    if !endpoint.is_empty() {
        aws.push(("aws_endpoint_url".to_owned(), endpoint.to_owned()));
        aws.push(("aws_allow_http".to_owned(), settings.get(ALLOW_HTTP).to_owned()));
    }
    if is_own_keys {
        aws.push(("aws_access_key_id".to_owned(), settings.get(ACCESS_KEY).to_owned()));
        aws.push(("aws_secret_access_key".to_owned(), settings.get(SECRET_KEY).to_owned()));
    }
    let http = match is_own_keys {
        true => BucketHttp::Given(http::client(settings, surroundings, &url)?),
        // The rights come from a service of the machine, over HTTP at a link-local address, which no checked client would reach.
        false => {
            aws.push(("timeout".to_owned(), format!("{} seconds", settings.number(http::TIMEOUT.name))));
            BucketHttp::Own { authorities: settings.get(tls::CA.name).to_owned() }
        }
    };
    let (bucket, prefix) = (settings.get(BUCKET), settings.get(PREFIX));
    let writer = ObjectWriter::bucket(bucket, prefix, &aws, http)
        .map_err(|error| SettingFault::new(BUCKET, format!("{error}: {}", cause(&error))))?;
    let mut secrets = Secrets::default();
    secrets.add(settings.get(SECRET_KEY));
    Ok(Box::new(ObjectSink {
        writer,
        linger: Duration::from_secs(settings.number(objects::LINGER.name)),
        is_gzip: settings.is_on(objects::GZIP.name),
        owner: Owner::of(surroundings),
        is_json: surroundings.is_json,
        secrets,
    }))
}
