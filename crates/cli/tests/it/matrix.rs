//! Who may run what: every command times every kind of token, and what works on the data directory alone.

use std::path::Path;

use crate::support::{Server, annals, annals_ok};

/// How a command treats `--server`.
enum Over {
    /// It asks the server: a letter for no token, ingest, read, read of an organization auditor, read of a member, metrics: `a` let in,
    /// `d` refused.
    Server(&'static str),
    /// It works on the data directory alone, and says so.
    DataOnly,
    /// It asks no log.
    Nothing,
}

use Over::{DataOnly, Nothing, Server as OverServer};

/// Every command, with arguments that make it ask.
const TABLE: &[(&str, &[&str], Over)] = &[
    ("demo", &[], Nothing),
    ("serve", &[], DataOnly),
    ("search", &["action:write"], OverServer("ddaadd")),
    ("tail", &["--after-seq", "0", "--limit", "1"], OverServer("ddaadd")),
    ("export", &["action:write"], OverServer("ddaadd")),
    ("import", &["EVENTS", "--format", "native"], OverServer("dadddd")),
    ("receipt", &["ID"], OverServer("ddaddd")),
    ("sources", &[], OverServer("ddaddd")),
    ("verify", &["--trust", "KEY", "--state", "STATE"], OverServer("ddaadd")),
    ("streams", &["list"], DataOnly),
    ("erase", &["--subject", "nobody", "--dry-run"], DataOnly),
    ("retention", &["list"], DataOnly),
    ("hold", &["list"], DataOnly),
    ("epoch", &["list"], DataOnly),
    ("repair", &[], DataOnly),
    ("backup", &["BACKUP"], DataOnly),
    ("restore", &["BACKUP"], DataOnly),
    ("query", &["explain", "action:write"], Nothing),
    ("diff", &[], Nothing),
    ("resources", &["--format", "json"], OverServer("daaaaa")),
    ("user", &["list"], DataOnly),
    ("organization", &["list"], DataOnly),
    ("group", &["list", "demo-organization"], DataOnly),
    ("token", &["list"], DataOnly),
    ("license", &["show"], DataOnly),
    ("settings", &["list"], DataOnly),
    ("completions", &["bash"], Nothing),
    ("help", &[], Nothing),
];

fn read_token(data: &str, owner: Option<&str>, kind: &str) -> String {
    let mut args = vec!["token", "create", "--data", data, "--kind", kind, "--name", "demo-token"];
    args.extend(owner.iter().flat_map(|owner| ["--owner", owner]));
    annals_ok(&args).trim().to_owned()
}

#[test]
fn every_command_lets_in_whom_it_should() {
    let help = annals_ok(&["--help"]);
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split(' ').next())
        .collect();
    assert!(commands.len() > 10, "{help}");
    for command in &commands {
        assert!(
            TABLE.iter().any(|(name, ..)| name == command),
            "`{command}` has no row in the table of this test"
        );
    }
    for (name, ..) in TABLE {
        assert!(commands.contains(name), "`{name}` is no command any more");
    }

    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    for username in ["demo-member", "demo-organization-auditor"] {
        annals_ok(&["user", "create", username, "--data", data]);
    }
    annals_ok(&["organization", "create", "demo-organization", "--data", data]);
    let role = ["--role", "organization-auditor", "--data", data];
    let member = ["organization", "member", "add", "demo-organization", "demo-organization-auditor"];
    annals_ok(&[&member[..], &role[..]].concat());
    let tokens = [
        "annals_read_nobodys".to_owned(),
        read_token(data, None, "ingest"),
        read_token(data, None, "read"),
        read_token(data, Some("demo-organization-auditor"), "read"),
        read_token(data, Some("demo-member"), "read"),
        read_token(data, None, "metrics"),
    ];
    let events = dir.path().join("events.ndjson");
    let event = r#"{"action":"write","resource_type":"template","resource_target":"imported"}"#;
    std::fs::write(&events, event).unwrap();
    let server = Server::start(Path::new(data));

    let epochs: serde_json::Value =
        serde_json::from_str(&annals_ok(&["epoch", "list", "--data", data, "--json"])).unwrap();
    let key = epochs["epochs"][0]["verifier"].as_str().unwrap().to_owned();
    let newest: serde_json::Value =
        serde_json::from_str(&annals_ok(&["search", "--limit", "1", "--data", data, "--json"])).unwrap();
    let id = newest["audit_logs"][0]["id"].as_str().unwrap().to_owned();
    let state = dir.path().join("checkpoint");
    let mut wrong = Vec::new();
    for (name, args, over) in TABLE {
        let args: Vec<&str> = args
            .iter()
            .map(|arg| match *arg {
                "EVENTS" => events.to_str().unwrap(),
                "ID" => &id,
                "KEY" => &key,
                "STATE" => state.to_str().unwrap(),
                arg => arg,
            })
            .collect();
        let run = |token: &str| {
            let to = ["--server", &server.url, "--token", token];
            annals(&[&[*name][..], &args[..], &to[..]].concat())
        };
        match over {
            Nothing => {}
            DataOnly => {
                let output = run(&tokens[2]);
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                if output.status.success() || !said.contains("--server") && !said.contains("--data") {
                    wrong.push(format!("{name} --server: {} `{said}`", output.status));
                }
            }
            OverServer(row) => {
                for (expected, token) in row.chars().zip(&tokens) {
                    let output = run(token);
                    let found = if output.status.success() { 'a' } else { 'd' };
                    if found != expected {
                        let said = String::from_utf8_lossy(&output.stderr).into_owned();
                        wrong.push(format!("{name} with {token}: `{found}`, not `{expected}`: {said}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
