//! People, organizations, groups and tokens, managed in place; each change an event of the log.

use std::io::Write as _;
use std::process::{Command, Stdio};

use annals_testparts::Postgres;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{annals, annals_ok, binary};

/// A log that no command has seen yet.
struct Place {
    _root: TempDir,
    flags: Vec<String>,
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().unwrap();
        let flags = vec!["--data".to_owned(), root.path().join("log").to_str().unwrap().to_owned()];
        Place { _root: root, flags }
    }

    fn in_postgres(postgres: &Postgres) -> Place {
        let mut place = Place::new();
        place.flags.extend(["--database-url".to_owned(), postgres.url("people")]);
        place
    }

    fn args<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        words.iter().copied().chain(self.flags.iter().map(String::as_str)).collect()
    }

    fn text(&self, words: &[&str]) -> String {
        annals_ok(&self.args(words))
    }

    fn json(&self, words: &[&str]) -> Value {
        let text = annals_ok(&self.args(&[words, &["--json"]].concat()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The message of a command that must fail.
    fn refused(&self, words: &[&str]) -> String {
        let output = annals(&self.args(words));
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn count(&self, query: &str) -> u64 {
        self.json(&["search", query])["count"].as_u64().unwrap()
    }
}

#[test]
fn a_person_is_made_changed_and_deleted() {
    let place = Place::new();
    let made = place.json(&["user", "create", "anna", "--role", "auditor", "--email", "anna@example.com"]);
    assert_eq!(made["password"].as_str().unwrap().len(), 20);
    let id = made["id"].as_str().unwrap();
    let text = place.text(&["user", "create", "boss", "--role", "owner"]);
    assert!(text.contains("added boss (site-manager)") && text.contains("password: "), "{text}");
    let people = place.json(&["user", "list"]);
    let names: Vec<&str> = people["people"]
        .as_array()
        .unwrap()
        .iter()
        .map(|person| person["username"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["anna", "boss"]);
    let shown = place.json(&["user", "show", "ANNA"]);
    assert_eq!(
        (&shown["id"], &shown["role"], &shown["status"], &shown["login_type"]),
        (&json!(id), &json!("auditor"), &json!("active"), &json!("password"))
    );
    assert_eq!(
        (&shown["organizations"], &shown["sessions"], &shown["last_seen"]),
        (&json!([]), &json!([]), &Value::Null)
    );
    assert_eq!(place.json(&["user", "change", id, "--username", "anne", "--email", ""])["username"], "anne");
    assert_eq!(place.json(&["user", "role", "anne", "member"])["role"], "member");
    assert_eq!(place.text(&["user", "suspend", "anne"]), "suspended anne\n");
    assert!(place.text(&["user", "list"]).contains("suspended"));
    assert_eq!(place.text(&["user", "activate", "anne"]), "activated anne\n");
    assert_eq!(place.json(&["user", "password", "anne"])["password"].as_str().unwrap().len(), 20);
    assert_eq!(place.json(&["user", "sessions", "anne"]), json!({"sessions": []}));
    assert_eq!(place.json(&["user", "sign-out", "anne"]), json!({"username": "anne", "ended": 0}));
    assert!(
        place.refused(&["user", "sign-out", "anne", "--session", "x"]).contains("anne has no session `x`")
    );
    assert_eq!(place.json(&["user", "delete", "anne"]), json!({"deleted": "anne"}));
    assert!(place.refused(&["user", "show", "anne"]).contains("there is no person named `anne`"));
    assert!(place.refused(&["user", "change", "boss"]).contains("--username, --email or --name"));
    let last = place.refused(&["user", "role", "boss", "auditor"]);
    assert!(last.contains("`boss` is the last active site manager; make someone else"), "{last}");
    let all = "resource_type:user username:operator outcome:success";
    for (action, count) in [("create", 2), ("write", 5), ("delete", 1)] {
        assert_eq!(place.count(&format!("{all} action:{action}")), count, "{action}");
    }
}

#[test]
fn passwords_come_from_standard_input() {
    let place = Place::new();
    let with_input = |words: &[&str], input: &str| {
        let mut child = Command::new(binary())
            .args(place.args(words))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let made = with_input(&["user", "create", "anna", "--password-stdin", "--json"], "correct horse\nmore\n");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!((&made["username"], &made["password"]), (&json!("anna"), &Value::Null), "it is not repeated");
    let short = with_input(&["user", "password", "anna", "--password-stdin"], "short\n");
    assert_eq!(short.status.code(), Some(1));
    assert!(String::from_utf8(short.stderr).unwrap().contains("a password has 10 to 1024 bytes"));
    assert!(with_input(&["user", "password", "anna", "--password-stdin"], "battery staple").status.success());
    assert_eq!(place.count("resource_type:user action:write changed:hashed_password"), 1);
    let oidc = place.json(&["user", "create", "olga", "--oidc", "--email", "olga@example.com"]);
    assert_eq!(oidc["password"], Value::Null);
    assert!(place.text(&["user", "show", "olga"]).contains("through the OIDC provider; has not come yet"));
    assert!(place.refused(&["user", "password", "olga"]).contains("has no password here"));
    let both = annals(&place.args(&["user", "create", "x", "--oidc", "--password-stdin"]));
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn organizations_and_groups_hold_people() {
    manage_organizations(&Place::new());
}

#[test]
fn organizations_and_groups_hold_people_in_postgresql_too() {
    manage_organizations(&Place::in_postgres(&Postgres::start()));
}

fn manage_organizations(place: &Place) {
    let made = place.json(&["organization", "create", "red", "--id", "id-red", "--display-name", "Red & Co"]);
    assert_eq!(
        (&made["id"], &made["name"], &made["display_name"]),
        (&json!("id-red"), &json!("red"), &json!("Red & Co"))
    );
    let blue = place.json(&["organization", "create", "blue"]);
    assert_eq!(blue["id"].as_str().unwrap().len(), 36);
    assert!(place.refused(&["organization", "create", "ID-RED"]).contains("`ID-RED` exists already"));
    for name in ["anna", "bert"] {
        place.text(&["user", "create", name]);
    }
    let text =
        place.text(&["organization", "member", "add", "red", "anna", "--role", "organization-auditor"]);
    assert_eq!(text, "anna is in red (organization-auditor)\n");
    place.text(&["organization", "member", "add", "id-red", "bert"]);
    let role = place.json(&["organization", "member", "role", "red", "anna", "member"]);
    assert_eq!(role, json!({"organization": "red", "username": "anna", "role": "member"}));
    let members = place.json(&["organization", "member", "list", "red"]);
    let of = |number: usize| (&members["members"][number]["username"], &members["members"][number]["role"]);
    assert_eq!((of(0), of(1)), ((&json!("anna"), &json!("member")), (&json!("bert"), &json!("member"))));
    assert_eq!(place.json(&["user", "show", "anna"])["organizations"][0]["name"], "red");

    let group = place.json(&["group", "create", "red", "readers", "--quota-allowance", "-1"]);
    assert_eq!((&group["role"], &group["quota_allowance"]), (&json!("member"), &json!(-1)));
    assert_eq!(place.json(&["group", "member", "add", "red", "readers", "anna"])["members"], json!(["anna"]));
    let changed = place.json(&["group", "change", "red", "readers", "--role", "organization-auditor"]);
    assert_eq!(changed["role"], "organization-auditor");
    assert!(place.text(&["group", "list", "red"]).contains("anna"));
    assert_eq!(place.json(&["group", "list", "blue"]), json!({"groups": []}));
    place.text(&["user", "create", "cleo"]);
    assert!(
        place
            .refused(&["group", "member", "add", "red", "readers", "cleo"])
            .contains("`cleo` is not a member")
    );
    assert!(place.refused(&["group", "change", "red", "readers"]).contains("say what to change"));
    assert!(place.refused(&["group", "delete", "blue", "readers"]).contains("there is no group `readers`"));
    assert_eq!(place.json(&["group", "member", "remove", "red", "readers", "anna"])["members"], json!([]));
    assert_eq!(place.text(&["group", "delete", "red", "readers"]), "deleted readers\n");

    assert_eq!(
        place.text(&["organization", "member", "remove", "red", "anna"]),
        "anna is not in red any more\n"
    );
    assert!(
        place
            .refused(&["organization", "member", "remove", "red", "anna"])
            .contains("`anna` is not a member")
    );
    assert_eq!(place.json(&["organization", "change", "red", "--name", "rouge"])["name"], "rouge");
    assert!(place.refused(&["organization", "change", "rouge"]).contains("say what to change"));
    assert!(place.text(&["organization", "list"]).contains("rouge"));
    assert_eq!(place.json(&["organization", "delete", "rouge"]), json!({"deleted": "rouge"}));
    assert!(place.refused(&["group", "list", "rouge"]).contains("there is no organization `rouge`"));
    for (query, count) in [
        ("resource_type:organization", 4),
        ("resource_type:organization_member", 4),
        ("resource_type:group", 5),
        ("organization:id-red", 12),
    ] {
        assert_eq!(place.count(query), count, "{query}");
    }
}

#[test]
fn a_token_ends_when_it_should() {
    let place = Place::new();
    place.text(&["user", "create", "anna", "--role", "auditor"]);
    let create = |name: &'static str, more: &[&'static str]| {
        let words =
            [&["token", "create", "--kind", "read", "--name", name, "--owner", "anna"], more].concat();
        place.json(&words)["token"].as_str().unwrap().to_owned()
    };
    assert!(create("short", &["--expires", "90d"]).starts_with("annals_read_"));
    create("long", &[]);
    let tokens = place.json(&["token", "list"])["tokens"].clone();
    let of =
        |name: &str| tokens.as_array().unwrap().iter().find(|token| token["name"] == name).unwrap().clone();
    assert_eq!((&of("long")["expires"], &of("long")["last_used"]), (&Value::Null, &Value::Null));
    let micros = |value: &Value| -> i64 {
        value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond()
    };
    let short = of("short");
    // The command reads the time twice.
    let short_us = 90 * 86_400_000_000 - (micros(&short["expires"]) - micros(&short["created"]));
    assert!((0..10_000_000).contains(&short_us), "{short_us}");
    assert_eq!((&short["owner"], &short["expired"]), (&json!("anna"), &json!(false)));
    let text = place.text(&["token", "list"]);
    assert!(text.contains("never expires") && text.contains("never used"), "{text}");
    for odd in ["soon", "-1h", "0s", "1y"] {
        let output = annals(&place.args(&[
            "token",
            "create",
            "--kind",
            "read",
            "--name",
            "x",
            &format!("--expires={odd}"),
        ]));
        assert_eq!(output.status.code(), Some(1), "{odd}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("write 90d, 12h or 30m"), "{odd}");
    }
}

#[test]
fn people_are_not_managed_through_a_server() {
    for command in
        [&["user", "list"][..], &["organization", "list"], &["group", "list", "red"], &["token", "list"]]
    {
        let output = annals(&[command, &["--server", "http://127.0.0.1:1"]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("--data DIR"), "{command:?}");
    }
}

#[test]
fn every_command_has_examples() {
    for command in ["user", "organization", "group", "token"] {
        let help = annals_ok(&[command, "--help"]);
        assert!(help.contains("Examples:") && help.contains(&format!("annals {command} ")), "{command}");
    }
    for words in [&["organization", "member", "add"][..], &["group", "member", "add"], &["user", "sign-out"]]
    {
        assert!(annals_ok(&[words, &["--help"]].concat()).contains("Usage: annals"), "{words:?}");
    }
}
