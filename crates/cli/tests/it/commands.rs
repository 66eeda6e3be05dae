//! The commands, as scripts use them: shapes of `--json`, exit codes, standard streams.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Server, annals, annals_ok, binary, create_token};

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn explain_prints_the_tree() {
    let cases = [
        ("", json!({"and": []})),
        ("action:create", json!({"term": {"key": "action", "op": "=", "values": ["create"]}})),
        (
            "resource_type:workspace -action:delete",
            json!({"and": [
                {"term": {"key": "resource_type", "op": "=", "values": ["workspace"]}},
                {"not": {"term": {"key": "action", "op": "=", "values": ["delete"]}}},
            ]}),
        ),
        (
            "date_from:2026-01-01 date_to:2026-01-31",
            json!({"and": [
                {"term": {"key": "time", "op": ">=", "values": ["2026-01-01T00:00:00Z"]}},
                {"term": {"key": "time", "op": "<", "values": ["2026-02-01T00:00:00Z"]}},
            ]}),
        ),
    ];
    for (query, tree) in cases {
        assert_eq!(
            json_of(&annals_ok(&["query", "explain", query, "--json"])),
            json!({"filter": tree}),
            "{query}"
        );
    }
    let hyphen = annals_ok(&["query", "explain", "-action:create", "--json"]);
    assert!(json_of(&hyphen)["filter"]["not"].is_object(), "a query that begins with a hyphen is a query");
}

#[test]
fn a_bad_query_exits_with_2_and_lists_every_error() {
    let output = annals(&["query", "explain", "resource_tpye:x action:", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = json_of(&String::from_utf8(output.stdout).unwrap());
    let errors = errors["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0]["field"], "resource_tpye");
    assert_eq!(errors[0]["span"], json!([0, 13]));
    assert!(errors[0]["hint"].as_str().unwrap().contains("resource_type"));
    let plain = annals(&["query", "explain", "resource_tpye:x"]);
    assert_eq!(plain.status.code(), Some(2));
    let text = String::from_utf8(plain.stderr).unwrap();
    assert!(text.contains("^^^^") && text.contains("hint: "), "{text}");
}

#[test]
fn diff_takes_files_standard_input_and_absent_sides() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (before, after) = (
        file("before.json", r#"{"name":"a","default_ttl":0}"#),
        file("after.json", r#"{"name":"b","default_ttl":1}"#),
    );
    let null = file("null.json", "null");
    let args = ["diff", "--json", "--resource", "template"];
    let run = |more: &[&str]| json_of(&annals_ok(&[&args[..], more].concat()));
    let change = |old: Value, new: Value| json!({"old": old, "new": new, "secret": false});
    assert_eq!(
        run(&[&before, &after]),
        json!({"diff": {"name": change(json!("a"), json!("b")), "default_ttl": change(json!(0), json!(1))}})
    );
    assert_eq!(run(&[&null, &before]), json!({"diff": {"name": change(json!(""), json!("a"))}}));
    assert_eq!(run(&[&before]), json!({"diff": {"name": change(json!("a"), json!(""))}}));

    let mut child = Command::new(binary())
        .args(args)
        .args(["-", &after])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(br#"{"name":"z"}"#).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        json_of(&String::from_utf8(output.stdout).unwrap())["diff"]["name"],
        change(json!("z"), json!("b"))
    );

    let policy = file(
        "policy.toml",
        "[[resource]]\ntype = \"invoice\"\n[resource.fields]\ncard = \"secret\"\nkey = \"abbreviate\"\n",
    );
    let secret = file("secret.json", r#"{"card":"4111","key":"0fb2aaaaaaaaaaaaaaaaaaaaaaaa7a4a"}"#);
    let diff = json_of(&annals_ok(&[
        "diff",
        "--json",
        "--resource",
        "invoice",
        "--policy",
        &policy,
        &null,
        &secret,
    ]));
    assert_eq!(diff["diff"]["card"], json!({"old": "", "new": "", "secret": true}));
    assert_eq!(diff["diff"]["key"]["new"], "0fb2...7a4a");
}

#[test]
fn resources_have_the_rows_of_the_seed() {
    let all = json_of(&annals_ok(&["resources", "--format", "json"]));
    let resources = all["resources"].as_array().unwrap();
    let seeds = [
        "AuditableGroup",
        "GitSSHKey",
        "Organization",
        "OrganizationMember",
        "Template",
        "TemplateVersion",
        "User",
        "Workspace",
        "WorkspaceBuild",
    ];
    let rows: usize = resources
        .iter()
        .filter(|resource| seeds.contains(&resource["name"].as_str().unwrap()))
        .map(|resource| resource["fields"].as_array().unwrap().len())
        .sum();
    assert_eq!((rows, all["settings"].as_array().unwrap().len()), (84, 37));
    let toml = annals_ok(&["resources", "--format", "toml"]);
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.toml");
    std::fs::write(&policy, toml).unwrap();
    let again = annals_ok(&["resources", "--format", "json", "--policy", policy.to_str().unwrap()]);
    assert_eq!(json_of(&again), all, "what is printed as TOML can be read again");
    assert!(annals_ok(&["resources"]).contains("| Resource |"));
}

#[test]
fn tokens_work_while_the_server_runs() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    let mut server = Server::start(&dir);
    assert!(server.setup_link().starts_with(&server.url), "a new server prints a set-up link");
    let (ingest, read) = (create_token(&dir, "ingest"), create_token(&dir, "read"));
    let file = root.path().join("events.ndjson");
    std::fs::write(
        &file,
        "{\"action\":\"create\",\"resource_type\":\"template\",\"resource_target\":\"docker\"}\n",
    )
    .unwrap();
    let url = server.url.clone();
    annals_ok(&[
        "import",
        "--server",
        &url,
        "--token",
        &ingest,
        "--format",
        "native",
        file.to_str().unwrap(),
    ]);
    let search = |query: &str| annals_ok(&["search", "--server", &url, "--token", &read, query, "--json"]);
    assert_eq!(json_of(&search("resource_type:template action:create"))["count"], 1);
    let here = annals_ok(&["search", "--data", dir.to_str().unwrap(), "resource_type:template", "--count"]);
    assert_eq!(here.trim(), "1", "the log is read in place while the server runs");
    let refused = annals(&["search", "--server", &url, "--token", &ingest, "x", "--json"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stdout).unwrap().contains("Forbidden"));
    assert!(server.terminate(), "SIGTERM is a good end");
}

#[test]
fn a_log_that_is_not_there_is_not_made_by_searching() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("nowhere");
    let output = annals(&["search", "--data", dir.to_str().unwrap(), "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("annals serve --data"));
    assert!(!dir.exists());
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "demo",
        "serve",
        "search",
        "import",
        "query",
        "diff",
        "resources",
        "user",
        "organization",
        "group",
        "token",
        "completions",
    ] {
        let help = annals_ok(&[command, "--help"]);
        assert!(help.contains("Usage: annals"), "{command}");
    }
    assert!(
        annals_ok(&["query", "--help"]).contains("resource_type"),
        "the reference of the language is in its help"
    );
    assert!(annals_ok(&["completions", "bash"]).contains("annals"));
    assert_eq!(annals(&["serch"]).status.code(), Some(2));
}
