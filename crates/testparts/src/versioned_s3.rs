//! An S3 server that keeps versions of objects, and checks no signatures.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};

use crate::watcher::Watcher;
use crate::{free_port, start_server};

/// Directory name of the Python packages in the cache of parts; `tools/need-test-parts` fills it.
const PACKAGES: &str = "moto-5.2.5";
const BUCKET: &str = "annals-versions";

/// A private S3 server with one bucket that keeps every version: `moto`, in memory.
#[derive(Debug)]
pub struct VersionedS3 {
    port: u16,
    server: Child,
    /// Ends the server.
    _watcher: Watcher,
}

impl VersionedS3 {
    /// Starts a server with an empty bucket.
    ///
    /// # Panics
    /// If moto is not installed or does not start.
    pub fn start() -> VersionedS3 {
        let packages = packages_dir();
        assert!(
            packages.join("moto").exists(),
            "moto is not in `{}`: tools/need-test-parts installs it",
            packages.display()
        );
        let port = free_port();
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", &packages).args(["-m", "moto.server", "-H", "127.0.0.1", "-p"]);
        let (server, watcher) = start_server(command.arg(port.to_string()), port);
        let s3 = VersionedS3 { port, server, _watcher: watcher };
        s3.request("PUT", &format!("/{BUCKET}"), "");
        let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        s3.request("PUT", &format!("/{BUCKET}?versioning"), enabled);
        s3
    }

    /// Address of the bucket, as `s3://BUCKET`.
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}")
    }

    /// Environment variables that lead to the server.
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ACCESS_KEY_ID", "any".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "any".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Every version of every object, newest first by name, as `NAME VERSION`; the mark of a deletion as `NAME VERSION deleted`.
    ///
    /// # Panics
    /// If the server fails.
    pub fn versions(&self) -> Vec<String> {
        let listed = self.request("GET", &format!("/{BUCKET}?versions"), "");
        let text_of = |entry: &str, tag: &str| {
            let (_, rest) = entry.split_once(&format!("<{tag}>")).expect("a version has both");
            rest.split('<').next().unwrap_or_default().to_owned()
        };
        let entries = |tag: &str, mark: &str| {
            let opening = format!("<{tag}>");
            let entries = listed.split(opening.as_str()).skip(1);
            let named = entries
                .map(|entry| format!("{} {}{mark}", text_of(entry, "Key"), text_of(entry, "VersionId")));
            named.collect::<Vec<String>>()
        };
        let mut versions = entries("Version", "");
        versions.extend(entries("DeleteMarker", " deleted"));
        versions
    }

    /// The bytes of a version that [`VersionedS3::versions`] named.
    ///
    /// # Panics
    /// If there is none.
    pub fn bytes(&self, version: &str) -> Vec<u8> {
        let (name, id) = version.split_once(' ').expect("a name and a version");
        self.send("GET", &format!("/{BUCKET}/{name}?versionId={id}"), b"")
    }

    /// Stores an object: a new version, if there is one.
    ///
    /// # Panics
    /// If the server fails.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.send("PUT", &format!("/{BUCKET}/{name}"), bytes);
    }

    /// Deletes an object as one who knows of no versions: its bytes stay, under the mark of the deletion.
    ///
    /// # Panics
    /// If the server fails.
    pub fn delete(&self, name: &str) {
        self.send("DELETE", &format!("/{BUCKET}/{name}"), b"");
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        String::from_utf8(self.send(method, path, body.as_bytes())).expect("XML is text")
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the server listens");
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAuthorization: AWS any:any\r\nContent-Length: {}",
            self.port,
            body.len()
        );
        let request = [head.as_bytes(), b"\r\n\r\n", body].concat();
        stream.write_all(&request).expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers");
        let status = answer.get(9..12).unwrap_or_default();
        assert!(
            status == b"200" || status == b"204",
            "{method} {path}: {}",
            String::from_utf8_lossy(&answer)
        );
        let at = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        answer.split_off(at + 4)
    }
}

impl Drop for VersionedS3 {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

fn packages_dir() -> PathBuf {
    crate::cache_dir().join(PACKAGES)
}
