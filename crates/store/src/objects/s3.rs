//! The client of S3: how long it waits, and how it sends large objects.

use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{
    BackoffConfig, Certificate, ClientConfigKey, ClientOptions, ObjectStoreExt as _, PutPayload, RetryConfig,
    WriteMultipart,
};

use crate::objects::versions;
use crate::objects::writer::BucketHttp;

/// Objects larger than this are sent in parts, so that a lost connection costs one part and not all.
const SINGLE_PUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a part. S3 wants at least 5 MiB and at most 10,000 parts, so 80 GB fit.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// After this long a failing request is not tried again: a search should say that the place is away rather than hang,
/// and the sealer waits by itself.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits of the HTTP client, where the environment sets none: a host that does not answer is given up soon, and so is a
/// transfer that stands still; a part may take as long as a slow line needs.
const TIMEOUTS: [(ClientConfigKey, &str); 3] = [
    (ClientConfigKey::ConnectTimeout, "5 seconds"),
    (ClientConfigKey::ReadTimeout, "20 seconds"),
    (ClientConfigKey::Timeout, "120 seconds"),
];

/// Makes the clients for a bucket, set up by the `AWS_*` environment variables, or by the settings given in their place: one for
/// objects, and one for their older versions.
pub(super) fn clients(
    bucket: &str,
    settings: Option<&[(String, String)]>,
) -> Result<(AmazonS3, HttpClient), object_store::Error> {
    // The HTTP client takes the process's default provider of cryptography; an earlier choice stays.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = match settings {
        None => AmazonS3Builder::from_env(),
        Some(settings) => with_settings(AmazonS3Builder::new(), settings)?,
    };
    builder = with_limits(builder.with_bucket_name(bucket));
    let http = versions::client(&builder)?;
    Ok((builder.build()?, http))
}

/// Makes a client that only writes. `settings` come before what the environment says, if that is asked at all.
pub(super) fn writing_client(
    bucket: &str,
    settings: &[(String, String)],
    http: BucketHttp,
) -> Result<AmazonS3, object_store::Error> {
    let builder = match http {
        BucketHttp::Given(http) => AmazonS3Builder::new().with_http_connector(Given(http)),
        BucketHttp::Own { authorities } => with_authorities(AmazonS3Builder::from_env(), &authorities)?,
    };
    build_writing(builder, bucket, settings)
}

fn build_writing(
    builder: AmazonS3Builder,
    bucket: &str,
    settings: &[(String, String)],
) -> Result<AmazonS3, object_store::Error> {
    // The HTTP client takes the process's default provider of cryptography; an earlier choice stays.
    drop(rustls::crypto::ring::default_provider().install_default());
    with_limits(with_settings(builder, settings)?.with_bucket_name(bucket)).build()
}

/// Trusts more authorities; what the environment says of the HTTP client does not hold then.
fn with_authorities(builder: AmazonS3Builder, pem: &str) -> Result<AmazonS3Builder, object_store::Error> {
    if pem.is_empty() {
        return Ok(builder);
    }
    let certificates = Certificate::from_pem_bundle(pem.as_bytes())?;
    let options = certificates.into_iter().fold(ClientOptions::new(), ClientOptions::with_root_certificate);
    Ok(builder.with_client_options(options))
}

/// Hands out a client that is there already.
#[derive(Debug)]
struct Given(reqwest::Client);

impl HttpConnector for Given {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient, object_store::Error> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

fn with_settings(
    mut builder: AmazonS3Builder,
    settings: &[(String, String)],
) -> Result<AmazonS3Builder, object_store::Error> {
    for (name, value) in settings {
        builder = builder.with_config(name.to_ascii_lowercase().parse()?, value);
    }
    Ok(builder)
}

/// Sets how often and how long a request is tried; limits that are set already stay.
fn with_limits(builder: AmazonS3Builder) -> AmazonS3Builder {
    let mut builder = builder.with_retry(RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 10,
        retry_timeout: RETRY_TIMEOUT,
    });
    for (key, value) in TIMEOUTS {
        let key = AmazonS3ConfigKey::Client(key);
        // A limit that reads as its default counts as not set.
        let is_default = AmazonS3Builder::new().get_config_value(&key) == builder.get_config_value(&key);
        if is_default {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

/// Writes an object; it is durable when this returns.
pub(super) async fn put(client: &AmazonS3, path: &Path, bytes: Bytes) -> Result<(), object_store::Error> {
    if bytes.len() <= SINGLE_PUT_BYTES_MAX {
        return client.put(path, PutPayload::from_bytes(bytes)).await.map(drop);
    }
    let upload = client.put_multipart(path).await?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    let mut rest = bytes;
    while !rest.is_empty() {
        if let Err(error) = upload.wait_for_capacity(PARTS_AT_ONCE).await {
            // The parts that arrived are of no use; if this fails too, the bucket's own rules clean up.
            drop(upload.abort().await);
            return Err(error);
        }
        upload.put(rest.split_to(rest.len().min(PART_BYTES)));
    }
    upload.finish().await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A machine's service that hands out the keys of its role, over HTTP, as EC2 has one.
    fn serve_role(listener: &TcpListener, access_key: &str, secret_key: &str) {
        for _ in 0..3 {
            let (mut socket, _) = listener.accept().unwrap();
            let request = read_head(&mut socket);
            let body = match request.split(' ').nth(1).unwrap() {
                "/latest/api/token" => "a-token".to_owned(),
                "/latest/meta-data/iam/security-credentials/" => "a-role".to_owned(),
                _ => format!(
                    r#"{{"AccessKeyId":"{access_key}","SecretAccessKey":"{secret_key}","Token":"t","Expiration":"2999-01-01T00:00:00Z"}}"#
                ),
            };
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
            socket.write_all(answer.as_bytes()).unwrap();
        }
    }

    fn read_head(socket: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn a_writer_with_the_machines_rights_asks_the_machine_for_them() {
        let s3 = annals_testparts::S3::start();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let metadata = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = s3.env();
        let mut take = |name: &str| {
            let at = settings.iter().position(|(known, _)| known == name).unwrap();
            settings.swap_remove(at).1
        };
        let (access_key, secret_key) = (take("AWS_ACCESS_KEY_ID"), take("AWS_SECRET_ACCESS_KEY"));
        let serving = std::thread::spawn(move || serve_role(&listener, &access_key, &secret_key));
        // Stands for the address 169.254.169.254 that every such machine has.
        settings.push(("AWS_METADATA_ENDPOINT".to_owned(), metadata));
        let bucket = s3.url().strip_prefix("s3://").unwrap().to_owned();
        let client = build_writing(AmazonS3Builder::new(), &bucket, &settings).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(put(&client, &Path::from("a/b.txt"), Bytes::from_static(b"text"))).unwrap();
        serving.join().unwrap();
        assert_eq!(std::fs::read(s3.bucket_dir().join("a/b.txt")).unwrap(), b"text");
    }

    #[test]
    fn authorities_are_certificates() {
        assert!(with_authorities(AmazonS3Builder::new(), "").is_ok());
        assert!(
            with_authorities(
                AmazonS3Builder::new(),
                "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"
            )
            .is_err()
        );
    }
}
