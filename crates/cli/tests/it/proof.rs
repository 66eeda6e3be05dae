//! Proofs with the real binary: receipts and evidence of a running server, checked offline, and a server that is put back.

use std::path::Path;

use serde_json::Value;

use crate::support::{Server, annals, annals_ok, create_token};

fn import(data: &str, name: &str, count: usize) {
    let file = Path::new(data).with_extension(name);
    let event = |n| {
        format!(
            r#"{{"action":"write","resource_type":"template","resource_target":"{name}-{n}","source":"demo-producer","source_seq":{}}}"#,
            n * 2
        )
    };
    std::fs::write(&file, (0..count).map(event).collect::<Vec<_>>().join("\n")).unwrap();
    annals_ok(&["import", file.to_str().unwrap(), "--format", "native", "--data", data]);
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&annals_ok(&[args, &["--json"]].concat())).unwrap()
}

fn code(args: &[&str]) -> (i32, String) {
    let output = annals(args);
    (
        output.status.code().unwrap(),
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
    )
}

#[test]
fn what_a_server_gives_is_checked_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    import(data, "early", 40);
    let (status, said) = code(&["receipt", "00000000-0000-7000-8000-000000000000", "--data", data]);
    assert!(status == 1 && said.contains("there is no event"), "{said}");
    let token = create_token(Path::new(data), "read");
    let server = Server::start(Path::new(data));
    let at = ["--server", &server.url, "--token", &token];
    let key = json(&["epoch", "list", "--data", data])["epochs"][0]["verifier"].as_str().unwrap().to_owned();
    let found = json(&[&["search", "resource_target:early-7"], &at[..]].concat());
    let id = found["audit_logs"][0]["id"].as_str().unwrap();

    let receipt = path("event.tlog-proof");
    annals_ok(&[&["receipt", id, "--out", &receipt], &at[..]].concat());
    let (status, said) = code(&["verify", &receipt, "--trust", &key]);
    assert!(status == 0 && said.contains("good: event 7 of annals/"), "{status} {said}");
    let (status, said) = code(&["verify", &receipt]);
    assert!(status == 3 && said.contains("--trust") && said.contains("annals epoch list"), "{status} {said}");
    let keys = path("keys.txt");
    std::fs::write(&keys, format!("# of the operator\n{key}\n")).unwrap();
    let (status, said) = code(&["verify", &receipt, "--trust", &keys, "--json"]);
    assert_eq!((status, serde_json::from_str::<Value>(&said).unwrap()["result"].as_str()), (0, Some("good")));
    let forged = path("forged.tlog-proof");
    std::fs::write(&forged, std::fs::read_to_string(&receipt).unwrap().replace("index 7", "index 8"))
        .unwrap();
    let (status, said) = code(&["verify", &forged, "--trust", &key]);
    assert!(status == 1 && said.contains("tampered"), "{status} {said}");

    let evidence = path("evidence.tar.gz");
    annals_ok(&["export", "--evidence", "seq:0..29", "--out", &evidence, "--data", data]);
    let (status, said) = code(&["verify", &evidence, "--trust", &key]);
    assert!(
        status == 0 && said.contains("30 events") && said.contains("all from seq 0 to 29"),
        "{status} {said}"
    );
    assert_eq!(annals_ok(&["verify", &evidence, "--trust", &key, "--show"]).lines().count(), 31);
    let (status, said) = code(&["export", "--evidence", "--out", &evidence, "--data", data]);
    assert!(status == 1 && said.contains("never written over"), "{status} {said}");

    let fetched = path("fetched.tar.gz");
    annals_ok(&[&["export", "--evidence", "resource_target:early-*", "--out", &fetched], &at[..]].concat());
    let (status, said) = code(&["verify", &fetched, "--trust", &key]);
    assert!(
        status == 0 && said.contains("40 events") && said.contains("others may be missing"),
        "{status} {said}"
    );
    let (status, said) =
        code(&[&["export", "--evidence", "nonsense:", "--out", &path("bad")], &at[..]].concat());
    assert!(status == 2 && said.contains("nonsense") && !Path::new(&path("bad")).exists(), "{status} {said}");

    // The numbers of the producer were every second one.
    let sources = json(&[&["sources"], &at[..]].concat());
    assert_eq!(
        (&sources[0]["source"], &sources[0]["missing"]),
        (&"demo-producer".into(), &39.into()),
        "{sources}"
    );
    let (status, said) = code(&["sources", "--check", "--data", data]);
    assert!(status == 1 && said.contains("39 missing: 77-77"), "{status} {said}");
}

#[test]
fn what_cannot_be_checked_is_not_called_tampered() {
    for args in [
        &["verify", "--nonsense"][..],
        &["verify", "/nowhere/at-all"],
        &["verify", "--data", "/nowhere/at-all"],
        &["verify", "Cargo.toml"],
        &["verify", "Cargo.toml", "--trust", "nonsense"],
        &["verify", "--server", "http://127.0.0.1:9", "--token", "x"],
        &["verify", "--server", "http://127.0.0.1:9"],
    ] {
        let (status, said) = code(args);
        assert!(status == 64 && !said.is_empty(), "{args:?}: {status} {said}");
    }
}

#[test]
fn a_server_is_compared_with_what_it_showed_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, copy, state) = (path("data"), path("copy"), path("checkpoint"));
    import(&data, "old", 300);
    annals_ok(&["backup", &copy, "--data", &data]);
    let token = create_token(Path::new(&data), "read");
    let check = |server: &Server, trust: &str| {
        code(&["verify", "--server", &server.url, "--token", &token, "--trust", trust, "--state", &state])
    };
    let server = Server::start(Path::new(&data));
    let key = json(&["epoch", "list", "--data", &data])["epochs"][0]["verifier"].as_str().unwrap().to_owned();
    let (status, said) = check(&server, &key);
    assert!(status == 0 && said.contains("was not seen before from here"), "{status} {said}");
    import(&data, "new", 100);
    let (status, said) = check(&server, &key);
    assert!(status == 0 && said.contains("continues the checkpoint of"), "{status} {said}");
    assert!(server.terminate());
    let (status, said) = code(&["verify", "--data", &data, "--full"]);
    assert!(status == 0 && said.contains("checkpoints; root"), "{status} {said}");

    // The older database comes back under the same key: the server says so, and takes nothing.
    let kept = path("kept");
    std::fs::rename(format!("{data}/key"), &kept).unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    annals_ok(&["restore", &copy, "--data", &data]);
    let (status, said) =
        code(&["import", &path("data.new"), "--format", "native", "--data", &data, "--key-dir", &kept]);
    assert!(status == 1 && said.contains("`annals epoch begin`"), "{status} {said}");
    let (status, said) = code(&["epoch", "list", "--data", &data, "--key-dir", &kept]);
    assert!(status == 0 && said.contains("put back from a copy, or cut"), "{status} {said}");
    let begun = json(&["epoch", "begin", "--reason", "restored", "--data", &data, "--key-dir", &kept]);
    assert_eq!(begun["number"], 2);
    annals_ok(&["import", &path("data.new"), "--format", "native", "--data", &data, "--key-dir", &kept]);
    let (status, said) = code(&["verify", "--data", &data, "--key-dir", &kept]);
    assert!(status == 0, "{status} {said}");
    let (status, said) = code(&["epoch", "begin", "--reason", "again", "--data", &data, "--key-dir", &kept]);
    assert!(status == 1 && said.contains("no new epoch is needed"), "{status} {said}");
}

#[test]
fn an_erasure_that_was_cut_off_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    for (at, point) in ["rewrite: object written", "rewrite: published", "nowhere"].into_iter().enumerate() {
        let data = dir.path().join(format!("data-{at}"));
        let data = data.to_str().unwrap();
        let file = dir.path().join("events.ndjson");
        let event = |n: usize| {
            let who = ["demo-somebody", "demo-other"][n % 2];
            format!(
                r#"{{"action":"write","resource_type":"template","resource_target":"t-{n}","user":{{"id":"{who}-id","username":"{who}"}}}}"#
            )
        };
        std::fs::write(&file, (0..600).map(event).collect::<Vec<_>>().join("\n")).unwrap();
        annals_ok(&["import", file.to_str().unwrap(), "--format", "native", "--data", data]);
        let engine = annals_engine::Engine::open(Path::new(data), annals_engine::Options::default()).unwrap();
        engine.seal_now().unwrap();
        drop(engine);
        let erase = ["erase", "--subject", "demo-somebody", "--reason", "request 1", "--data", data];
        let (status, said) = code(&erase);
        assert!(status == 1 && said.contains("--yes") && said.contains("300 of"), "{status} {said}");
        let plan = json(&["erase", "--subject", "demo-somebody", "--dry-run", "--data", data]);
        assert_eq!((&plan["events"], &plan["openings"]["/who"]), (&300.into(), &300.into()));
        let mut command = std::process::Command::new(crate::support::binary());
        let crashed = command.args(erase).arg("--yes").env("ANNALS_CRASH_AT", point).output().unwrap();
        assert_eq!(
            crashed.status.success(),
            point == "nowhere",
            "{}",
            String::from_utf8_lossy(&crashed.stderr)
        );
        annals_ok(&[&erase[..], &["--yes"]].concat());
        let count = |query: &str| json(&["search", query, "--count", "--data", data])["count"].clone();
        assert_eq!(
            (count("username:demo-somebody"), count("username:demo-other")),
            (0.into(), 300.into()),
            "{point}"
        );
        let (status, said) = code(&["verify", "--data", data, "--full"]);
        assert_eq!(status, 0, "{point}: {said}");
        let segments: Vec<_> = std::fs::read_dir(format!("{data}/segments")).unwrap().collect();
        assert_eq!(segments.len(), 1, "{point}: what was replaced is gone");
    }
    let (status, said) =
        code(&["erase", "--event", "0198aaaa-5d0c-7c3e-9b1f-000000000001", "--field", "nose", "--dry-run"]);
    assert!(status == 1 && said.contains("diff_old"), "{said}");
}

#[test]
fn rules_and_holds_are_kept_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    import(data, "young", 30);
    let at = ["--data", data];
    annals_ok(&[&["retention", "add", "--keep", "365d"], &at[..]].concat());
    let rule = json(&[&["retention", "add", "--keep", "30", "resource_type:template"], &at[..]].concat());
    let hold = json(&[&["hold", "add", "--reason", "case 7", "resource_target:young-1"], &at[..]].concat());
    let rules = annals_ok(&[&["retention", "list"], &at[..]].concat());
    let days: Vec<&str> = rules.lines().map(|line| line.split("  ").nth(1).unwrap()).collect();
    assert_eq!(days, ["30 days", "365 days"], "{rules}");
    let plan = json(&[&["retention", "run", "--dry-run"], &at[..]].concat());
    assert_eq!(plan.as_array().unwrap().len(), 2);
    assert_eq!((&plan[0]["rule"]["id"], &plan[0]["events"]), (&rule["id"], &0.into()), "they came just now");
    assert_eq!(json(&[&["hold", "list"], &at[..]].concat())[0]["reason"], "case 7");
    annals_ok(&[&["hold", "release", hold["id"].as_str().unwrap()], &at[..]].concat());
    let (status, said) = code(&[&["hold", "release", "nothing"], &at[..]].concat());
    assert!(status == 1 && said.contains("there is no `nothing`"), "{said}");
    let (status, said) = code(&[&["retention", "add", "--keep", "soon"], &at[..]].concat());
    assert!(status == 2 && said.contains("365d"), "{said}");
    let (status, said) = code(&[&["retention", "add", "--keep", "5", "nonsense:x"], &at[..]].concat());
    assert!(status == 2 && said.contains("`nonsense` is not a key"), "{said}");
    let (status, said) = code(&[&["hold", "add", "--reason", "r", "nonsense:x"], &at[..]].concat());
    assert!(status == 2 && said.contains("`nonsense` is not a key"), "{said}");
    let (status, said) = code(&["verify", "--data", data]);
    assert_eq!(status, 0, "{said}");
}
