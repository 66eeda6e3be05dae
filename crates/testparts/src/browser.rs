//! A real browser: Chromium, led by its WebDriver server.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::watcher::Watcher;
use crate::{free_port, new_dir, start_server};

/// A WebDriver server that starts headless Chromium for each session, with a new profile.
#[derive(Debug)]
pub struct Browser {
    port: u16,
    profiles: PathBuf,
    server: Child,
    watcher: Option<Watcher>,
    /// Removes the profiles; dropped last.
    _cleaner: Watcher,
}

impl Browser {
    /// Starts the WebDriver server.
    ///
    /// # Panics
    /// If Chromium or its driver is not installed, or does not start.
    pub fn start() -> Browser {
        let profiles = new_dir("chromium");
        let place = profiles.to_str().expect("temporary directories have plain names");
        let cleaner = Watcher::new(Command::new("sh"), "rm -rf \"$1\"", &[place]);
        let port = free_port();
        let mut command = Command::new("chromedriver");
        // Programs of Debian's package `chromium-driver`, which `tools/need-test-parts` installs.
        command.arg(format!("--port={port}")).env("TMPDIR", &profiles).stdin(Stdio::null());
        let (server, watcher) = start_server(&mut command, port);
        Browser { port, profiles, server, watcher: Some(watcher), _cleaner: cleaner }
    }

    /// Address of the WebDriver server.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Arguments for Chromium: no window, no traffic of its own, works as root and in small containers. Each call names a new
    /// profile.
    pub fn arguments(&self) -> Vec<String> {
        let profile =
            format!("--user-data-dir={}", self.profiles.join(format!("profile-{}", free_port())).display());
        [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &profile,
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the whole group: the driver and every browser that it started.
        drop(self.watcher.take());
        drop(self.server.wait());
    }
}

/// The script of axe-core, which looks for what keeps people from using a page.
pub fn axe_script() -> String {
    let file = crate::cache_dir().join("axe-core-4.14.1/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; run tools/need-test-parts", file.display()))
}
