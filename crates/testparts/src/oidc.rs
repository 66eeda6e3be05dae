//! An OpenID Connect provider.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::watcher::Watcher;
use crate::{cache_dir, free_port, start_server};

/// Directory name in the cache of parts; `tools/need-test-parts` fills it.
const PACKAGE: &str = "oidc-provider-9.13.3";
/// Runs in the package's directory, so that it finds its libraries there.
const PROGRAM: &str = include_str!("../oidc/provider.js");
const CLIENT_ID: &str = "annals-test";
const CLIENT_SECRET: &str = "secret of the test client";

/// An OpenID Connect provider (npm `oidc-provider`) that logs in whoever types a name. E-mail addresses and groups are in the
/// user info alone.
#[derive(Debug)]
pub struct OidcProvider {
    port: u16,
    server: Child,
    watcher: Option<Watcher>,
}

impl OidcProvider {
    /// Starts a provider with one client, whose callback is at `redirect_uri`.
    ///
    /// # Panics
    /// If Node or the package is missing, or it does not start.
    pub fn start(redirect_uri: &str) -> OidcProvider {
        let dir = package_dir();
        assert!(
            dir.join("node_modules").exists(),
            "the OpenID Connect provider is not in `{}`: tools/need-test-parts installs it",
            dir.display()
        );
        let port = free_port();
        let mut command = Command::new("node");
        command
            .args(["--input-type=module", "--eval", PROGRAM, "--"])
            .args([&port.to_string(), CLIENT_ID, CLIENT_SECRET, redirect_uri])
            .current_dir(dir)
            .stdin(Stdio::null());
        let (server, watcher) = start_server(&mut command, port);
        OidcProvider { port, server, watcher: Some(watcher) }
    }

    /// How the provider calls itself.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Id of the client.
    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// Secret of the client.
    pub fn client_secret(&self) -> &'static str {
        CLIENT_SECRET
    }

    /// Adds or changes an account: a JSON object with `sub`, which is the log-in name, and the claims of the user info.
    ///
    /// # Panics
    /// If the provider does not take it.
    pub fn put_account(&self, claims: &str) {
        self.tell("account", claims);
    }

    /// From now on, tokens are signed with a new key, and the old one is no longer published.
    ///
    /// # Panics
    /// If the provider does not answer.
    pub fn rotate_keys(&self) {
        self.tell("rotate", "{}");
    }

    /// From now on, some claims are other ones than they should be: a JSON object whose members `id_token` and `userinfo`
    /// hold claims. Its member `signature` says how the ID token is signed: with `other key`, `client secret` or `none`. An
    /// empty object makes everything right again.
    ///
    /// # Panics
    /// If the provider does not take it.
    pub fn answer_wrongly(&self, claims: &str) {
        self.tell("wrong", claims);
    }

    fn tell(&self, what: &str, body: &str) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the provider listens");
        let request = format!("POST /test/{what} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).expect("the provider reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the provider answers");
        assert!(answer.split(' ').nth(1) == Some("204"), "/test/{what}: {answer}");
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        drop(self.watcher.take());
        drop(self.server.wait());
    }
}

fn package_dir() -> PathBuf {
    cache_dir().join(PACKAGE)
}
