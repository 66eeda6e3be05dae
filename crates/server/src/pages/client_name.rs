//! Which program sent a request, as far as its user agent tells: `Firefox 145` on `Linux`.

/// A program and the system it runs on. Both may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientName {
    pub(super) program: String,
    pub(super) system: &'static str,
}

/// Programs that call themselves browsers, in the order in which they are asked: each also names those below it.
const BROWSERS: [(&str, &str); 13] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("CriOS/", "Chrome"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("Electron/", "Electron"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
];

/// Marks of systems, in the order in which they are asked: Android also says Linux, iPhones also say Mac OS.
const SYSTEMS: [(&str, &str); 14] = [
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS", "macOS"),
    ("darwin", "macOS"),
    ("Darwin", "macOS"),
    ("Linux", "Linux"),
    ("linux", "Linux"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
];

/// Characters of a program's name that are shown.
const PROGRAM_CHARS_MAX: usize = 40;

impl ClientName {
    /// Reads a user agent. What is not known is called by its first word; the whole text is for the reader to see
    /// elsewhere.
    pub(super) fn read(user_agent: &str) -> ClientName {
        let system = SYSTEMS.iter().find(|(mark, _)| user_agent.contains(mark)).map_or("", |(_, name)| name);
        ClientName { program: program(user_agent), system }
    }

    /// `Firefox 145 · Linux`
    pub(super) fn short(&self) -> String {
        match (self.program.is_empty(), self.system.is_empty()) {
            (false, false) => format!("{} · {}", self.program, self.system),
            (false, true) => self.program.clone(),
            (true, _) => self.system.to_owned(),
        }
    }
}

fn program(user_agent: &str) -> String {
    if user_agent.starts_with("Mozilla/") {
        for (mark, name) in BROWSERS {
            let Some(at) = user_agent.find(mark) else { continue };
            let is_safari = mark != "Version/" || user_agent.contains("Safari/");
            if is_safari {
                return with_version(name, &user_agent[at + mark.len()..], 1);
            }
        }
        // A crawler or an old browser says who it is in parentheses.
        let inside = user_agent.split_once('(').map_or("", |(_, rest)| rest);
        let inside = inside.split(')').next().unwrap_or_default().trim_start_matches("compatible; ");
        return first_word(inside.split(';').next().unwrap_or_default());
    }
    first_word(user_agent)
}

/// `name/1.2.3 (more)` becomes `name 1.2`; a text without a version is shown up to its first space.
fn first_word(text: &str) -> String {
    let word = text.split([' ', ',', ';']).find(|word| !word.is_empty()).unwrap_or_default();
    match word.split_once('/') {
        Some((name, version)) if is_name(name) => with_version(name, version, 2),
        _ => word.chars().take(PROGRAM_CHARS_MAX).collect(),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_alphanumeric() || "._-+".contains(letter))
}

/// A name and the first parts of the version that a text begins with, if it begins with one.
fn with_version(name: &str, text: &str, part_count: usize) -> String {
    let name: String = name.chars().take(PROGRAM_CHARS_MAX).collect();
    let text = text.strip_prefix('v').unwrap_or(text);
    let digits = text.split(|character: char| !character.is_ascii_digit() && character != '.').next();
    let parts = digits.unwrap_or_default().split('.').take_while(|part| (1..=6).contains(&part.len()));
    let version = parts.take(part_count).collect::<Vec<_>>().join(".");
    if version.is_empty() { name } else { format!("{name} {version}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(user_agent: &str, expect: &str) {
        assert_eq!(ClientName::read(user_agent).short(), expect, "{user_agent}");
    }

    #[test]
    fn browsers_are_told_apart() {
        const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
        check(
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "Firefox 145 · Linux",
        );
        check(
            &format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36"),
            "Chrome 142 · Windows",
        );
        check(
            &format!("Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.1.2"),
            "Edge 142 · Windows",
        );
        check(
            &format!("Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36 OPR/120.0"),
            "Opera 120 · Linux",
        );
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
            "Safari 26 · macOS",
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.1 Mobile/15E148 Safari/604.1",
            "Chrome 142 · iOS",
        );
        check(
            &format!(
                "Mozilla/5.0 (Linux; Android 16; Pixel 9) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36"
            ),
            "Chrome 142 · Android",
        );
        check(
            &format!("Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/142.0.0.0 Safari/537.36"),
            "Headless Chrome 142 · Linux",
        );
    }

    #[test]
    fn other_programs_are_called_by_their_first_word() {
        check("curl/8.11.1", "curl 8.11");
        check("annals-client/1.4.0 (linux; x86_64)", "annals-client 1.4 · Linux");
        check("Terraform/1.14.0 (+https://www.terraform.io)", "Terraform 1.14");
        check("Go-http-client/2.0", "Go-http-client 2.0");
        check("coder/v2.18.0 (linux/amd64)", "coder 2.18 · Linux");
        check("Scheduler", "Scheduler");
        check("Mozilla/5.0 (compatible; Probe/2.1; +http://x.example)", "Probe 2.1");
        check("Mozilla/5.0", "");
    }

    #[test]
    fn nonsense_is_kept_short_and_unharmed() {
        check("", "");
        check("   ", "");
        check("/", "/");
        check("<script>alert(1)</script>", "<script>alert(1)</script>");
        check("a/b", "a");
        check("Firefox/", "Firefox");
        check("Mozilla/5.0 Firefox/99999999999.1", "Firefox");
        check(&"x".repeat(500), &"x".repeat(40));
        check("日本語/1", "日本語 1");
        for at in 0..40 {
            let cut: String = "Mozilla/5.0 (X11; Línux) Version/ÿ.1 Edg/é".chars().take(at).collect();
            ClientName::read(&cut);
        }
    }
}
