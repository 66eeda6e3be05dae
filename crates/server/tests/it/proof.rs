//! Receipts, the tree as tiles, and what a browser computes of it.

use annals_engine::{Principal, Role};
use annals_model::record_json::RecordJson;
use annals_tlog::{
    Checkpoint, Frontier, Hash, SignedNote, TlogProof, VerifierKey, leaf_hash, verify_consistency,
    verify_inclusion,
};
use reqwest::Response;
use serde_json::{Value, json};

use crate::audit_page::{NO_COMPLAINT, open_on};
use crate::signed_in::Browser;
use crate::support::{TestServer, json, signing, template_event};

async fn post_for_receipts(server: &TestServer, body: String) -> Response {
    let url = format!("{}/api/v2/audit/events?receipt=true", server.url);
    server.http.post(url).bearer_auth(&server.ingest_token).body(body).send().await.unwrap()
}

async fn send(server: &TestServer, events: &[String]) -> Vec<Value> {
    let response = post_for_receipts(server, events.join("\n")).await;
    assert_eq!(response.status(), 201);
    json(response).await["events"].as_array().unwrap().clone()
}

async fn get(server: &TestServer, path: &str) -> (u16, Vec<u8>) {
    let response = server.get(path).send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

async fn get_text(server: &TestServer, path: &str) -> String {
    let (status, bytes) = get(server, path).await;
    assert_eq!(status, 200, "{path}");
    String::from_utf8(bytes).unwrap()
}

/// Checks a note with the keys of the log.
fn checked(server: &TestServer, note: &str) -> Checkpoint {
    let epochs = tokio::task::block_in_place(|| server.engine.epochs(&Principal::operator()).unwrap());
    let keys: Vec<VerifierKey> = epochs.iter().map(|epoch| epoch.verifier.parse().unwrap()).collect();
    let note: SignedNote = note.parse().unwrap();
    assert_eq!(note.verify(&keys).unwrap().len(), 1);
    note.text().parse().unwrap()
}

/// Checks a receipt as somebody would who has the file and the key only; returns its seq and how many personal groups it leaves out.
fn verify(server: &TestServer, receipt: &str) -> (u64, usize) {
    let receipt: TlogProof = receipt.parse().unwrap();
    let json: RecordJson<'_> = serde_json::from_slice(receipt.extra.as_ref().unwrap()).unwrap();
    let leaf = leaf_hash(&json.record().unwrap().leaf_bytes(json.log_id()));
    let checkpoint = checked(server, &receipt.checkpoint);
    verify_inclusion(&leaf, receipt.index, checkpoint.size(), &receipt.path, &checkpoint.root()).unwrap();
    (receipt.index, json.withheld())
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_verify_without_the_server() {
    let server = TestServer::start_signing().await;
    let events: Vec<_> = (0..3)
        .map(|n| template_event(&format!("docker-{n}"), r#""user":{"username":"demo-secretive"}"#))
        .collect();
    let sent = send(&server, &events).await;
    assert_eq!(sent.len(), 3);
    for event in &sent {
        let receipt = event["receipt"].as_str().unwrap();
        assert_eq!(verify(&server, receipt), (event["seq"].as_u64().unwrap(), 0));

        let path = format!("/api/v2/audit/{}/receipt", event["id"].as_str().unwrap());
        let response = server.get(&path).send().await.unwrap();
        let name = response.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert_eq!(name, format!("attachment; filename=\"{}.tlog-proof\"", event["id"].as_str().unwrap()));
        let fetched = response.text().await.unwrap();
        assert_eq!(fetched, receipt);
        let extra = |receipt: &str| {
            let proof: TlogProof = receipt.parse().unwrap();
            String::from_utf8(proof.extra.unwrap()).unwrap()
        };
        assert!(extra(&fetched).contains("demo-secretive"));
        // Without personal values it proves the same.
        let bare = get_text(&server, &format!("{path}?values=false")).await;
        let (seq, withheld) = verify(&server, &bare);
        assert!(seq == event["seq"].as_u64().unwrap() && withheld > 0);
        assert!(!extra(&bare).contains("demo-secretive"), "{}", extra(&bare));
        assert_eq!(get(&server, &format!("{path}?values=some")).await.0, 400);
    }
    for unknown in ["019a0000-0000-7000-8000-000000000000", "x"] {
        for part in ["receipt", "proof"] {
            assert_eq!(get(&server, &format!("/api/v2/audit/{unknown}/{part}")).await.0, 404, "{unknown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_an_id_again_learns_nothing_of_its_event() {
    let server = TestServer::start_signing().await;
    let id = "0198aaaa-5d0c-7c3e-9b1f-000000000001";
    let event =
        |who: &str| template_event("docker", &format!(r#""id":"{id}","user":{{"username":"{who}"}}"#));
    assert_eq!(
        verify(&server, send(&server, &[event("demo-secretive")]).await[0]["receipt"].as_str().unwrap()).1,
        0
    );
    // Under another registry personal values are not compared, so that a retry is still taken: it must not read them.
    let document = "[[resource]]\nname = \"Other\"\ntype = \"other\"\nactions = [\"create\"]\n[resource.fields]\nname = \"track\"\n";
    let put =
        server.http.put(format!("{}/api/v2/audit/resources", server.url)).bearer_auth(&server.ingest_token);
    let put = put.header("content-type", "application/toml").body(document).send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
    let again = send(&server, &[event("somebody-else")]).await;
    assert_eq!(again[0]["receipt"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_receipts_come_at_once_and_not_more() {
    let server = TestServer::start_signing().await;
    let events: Vec<_> = (0..101).map(|n| template_event(&format!("docker-{n}"), "")).collect();
    let refused = post_for_receipts(&server, events.join("\n")).await;
    assert_eq!(refused.status(), 422);
    let refused = json(refused).await;
    assert!(refused["detail"].as_str().unwrap().contains("at most 100"), "{refused}");
    assert_eq!(server.count("resource_type:template").await, 0);
    let sent = send(&server, &events[..100]).await;
    assert!(sent.iter().all(|event| event["receipt"].is_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_of_an_organization_gets_receipts_of_its_events_only() {
    let server = TestServer::start_signing().await;
    let auditor = Browser::new(&server, "demo-part", Role::Member).await;
    let organization = auditor.made_auditor_of("demo-organization");
    let of = |id: &str| template_event("docker", &format!(r#""organization":{{"id":"{id}","name":"x"}}"#));
    let sent = send(&server, &[of(&organization), of("another")]).await;
    let path = |at: usize, part: &str| format!("/api/v2/audit/{}/{part}", sent[at]["id"].as_str().unwrap());
    let (status, receipt) = auditor.page(&path(0, "receipt")).await;
    assert_eq!(status, 200);
    assert_eq!(verify(&server, &receipt).0, sent[0]["seq"].as_u64().unwrap());
    assert_eq!(auditor.page(&path(0, "proof")).await.0, 200);
    for part in ["receipt", "proof"] {
        assert_eq!(auditor.page(&path(1, part)).await.0, 404, "{part}");
    }
    // The page of the event says where it stands, to those who see it.
    let (status, page) = auditor.page(&format!("/audit/events/{}", sent[0]["id"].as_str().unwrap())).await;
    assert!(
        status == 200 && page.contains("In checkpoint #") && page.contains(&path(0, "receipt")),
        "{page}"
    );

    // Hashes say nothing about events; leaves do.
    assert_eq!(auditor.page("/tlog/checkpoint").await.0, 200);
    assert_eq!(auditor.page("/tlog/tile/0/000.p/1").await.0, 200);
    assert_eq!(auditor.page("/tlog/tile/entries/000.p/1").await.0, 403);
}

fn hashes(tile: &[u8]) -> Vec<Hash> {
    let (hashes, rest) = tile.as_chunks::<32>();
    assert!(rest.is_empty());
    hashes.iter().map(|hash| Hash::from_bytes(*hash)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_is_served_as_tiles() {
    let server = TestServer::start_signing().await;
    for from in (0..300).step_by(100) {
        let events: Vec<_> = (from..from + 100).map(|n| template_event(&format!("docker-{n}"), "")).collect();
        send(&server, &events).await;
    }
    let checkpoint = checked(&server, &get_text(&server, "/tlog/checkpoint").await);
    let partial = checkpoint.size() - 256;
    let (status, full) = get(&server, "/tlog/tile/0/000").await;
    assert_eq!((status, full.len()), (200, 8_192));
    let (status, rest) = get(&server, &format!("/tlog/tile/0/001.p/{partial}")).await;
    assert_eq!(status, 200);
    let mut frontier = Frontier::new();
    let leaves = [hashes(&full), hashes(&rest)].concat();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    assert_eq!((frontier.size(), frontier.root()), (checkpoint.size(), checkpoint.root()));
    // A part of a full tile, and the level above.
    assert_eq!(get(&server, "/tlog/tile/0/000.p/5").await, (200, full[..160].to_vec()));
    let (status, above) = get(&server, "/tlog/tile/1/000.p/1").await;
    assert_eq!((status, hashes(&above)), (200, vec![annals_tlog::perfect_root(&hashes(&full))]));

    let (status, entries) = get(&server, &format!("/tlog/tile/entries/001.p/{partial}")).await;
    assert_eq!(status, 200);
    let mut entries = &entries[..];
    for leaf in &leaves[256..] {
        let (length, after) = entries.split_first_chunk::<2>().unwrap();
        let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        assert_eq!(leaf_hash(entry), *leaf);
        entries = after;
    }
    assert!(entries.is_empty());

    // The log goes on; what no checkpoint covers yet is not there.
    assert_eq!(server.post_events(template_event("later", "")).await.status(), 201);
    let beyond = [
        format!("0/001.p/{}", partial + 1),
        format!("entries/001.p/{}", partial + 1),
        "0/002".to_owned(),
        "1/000.p/2".to_owned(),
        "1/000".to_owned(),
        "7/000.p/1".to_owned(),
        "0/x999/x999/x999/x999/x999/999".to_owned(),
    ];
    let bad = [
        "",
        "0",
        "0/",
        "0/1",
        "0/0000",
        "0/-01",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/05",
        "64/000",
        "00/000",
        "0/x000/001",
        "0/000/",
        "x/000",
        "entries/000.p/",
        "0/%2e%2e/checkpoint",
        "0/000%00",
        "entries",
    ];
    for path in beyond.iter().map(String::as_str).chain(bad) {
        assert_eq!(get(&server, &format!("/tlog/tile/{path}")).await.0, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_checkpoint_is_continued_by_the_newer_one() {
    let server = TestServer::start_signing().await;
    let checkpoint = async |name: &str| {
        send(&server, &[template_event(name, ""), template_event(name, "")]).await;
        checked(&server, &get_text(&server, "/tlog/checkpoint").await)
    };
    let (old, new) = (checkpoint("a").await, checkpoint("b").await);
    assert!(old.size() < new.size());
    let path = |old: u64, new: u64| format!("/tlog/consistency?old={old}&new={new}");
    let proof = get_text(&server, &path(old.size(), new.size())).await;
    let proof: Vec<Hash> = proof.lines().map(hash_of).collect();
    verify_consistency(old.size(), new.size(), &proof, &old.root(), &new.root()).unwrap();
    assert!(verify_consistency(old.size(), new.size(), &proof, &new.root(), &old.root()).is_err());
    for (from, to) in [(0, new.size()), (new.size(), new.size())] {
        assert_eq!(get_text(&server, &path(from, to)).await, "", "{from} to {to} needs no hash");
    }
    for bad in [path(new.size(), old.size()), path(1, new.size() + 1), path(1, u64::MAX)] {
        assert_eq!(get(&server, &bad).await.0, 400, "{bad}");
    }
    for bad in ["", "?old=1", "?new=1", "?old=-1&new=2", "?old=1&new=x"] {
        assert_eq!(get(&server, &format!("/tlog/consistency{bad}")).await.0, 400, "{bad}");
    }
}

fn hash_of(base64: &str) -> Hash {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
    Hash::from_bytes(bytes.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_signed_nothing_is_claimed() {
    let server = TestServer::start().await;
    let auditor = Browser::new(&server, "demo-auditor", Role::Auditor).await;
    let sent = json(server.post_events(template_event("docker", "")).await).await;
    let id = sent["events"][0]["id"].as_str().unwrap();
    assert_eq!(get(&server, "/tlog/checkpoint").await.0, 404);
    assert_eq!(get(&server, "/tlog/tile/0/000.p/1").await.0, 404);
    assert_eq!(get(&server, "/tlog/consistency?old=0&new=1").await.0, 400);
    let proof: Value =
        serde_json::from_str(&get_text(&server, &format!("/api/v2/audit/{id}/proof")).await).unwrap();
    assert!(proof["checkpoint"].is_null() && proof["path"] == json!([]), "{proof}");
    let (_, page) = auditor.page(&format!("/audit/events/{id}")).await;
    assert!(page.contains("This log has no signed checkpoints") && !page.contains("data-check"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_waits_for_its_checkpoint() {
    let server = TestServer::start_signing().await;
    let auditor = Browser::new(&server, "demo-auditor", Role::Auditor).await;
    let sent = json(server.post_events(template_event("docker", "")).await).await;
    let id = sent["events"][0]["id"].as_str().unwrap();
    let (_, page) = auditor.page(&format!("/audit/events/{id}")).await;
    assert!(
        page.contains("The next checkpoint will cover this event") && page.contains("data-check"),
        "{page}"
    );
    // Who wants the receipt waits for that checkpoint.
    let receipt = get_text(&server, &format!("/api/v2/audit/{id}/receipt")).await;
    verify(&server, &receipt);
    let (_, page) = auditor.page(&format!("/audit/events/{id}")).await;
    let seq = sent["events"][0]["seq"].as_u64().unwrap();
    assert!(page.contains(&format!("Recorded as seq {seq}.</b> In checkpoint #")), "{page}");
    for claim in ["tamper", "erified"] {
        assert!(!page.contains(claim), "{claim}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_takes_no_events_says_so_everywhere() {
    let server = TestServer::start_signing().await;
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await.cookie().to_owned();
    let member = Browser::new(&server, "demo-member", Role::Member).await.cookie().to_owned();
    let sent = send(&server, &[template_event("docker", "")]).await;
    assert_eq!(get(&server, "/readyz").await, (200, b"ready\n".to_vec()));
    let server = server.start_again(signing(), |dir| std::fs::remove_dir_all(dir.join("key")).unwrap()).await;

    assert_eq!(server.post_events(template_event("later", "")).await.status(), 503);
    let (status, said) = get(&server, "/readyz").await;
    let said = String::from_utf8(said).unwrap();
    assert_eq!((status, said.as_str()), (503, "the log takes no events; see its page or the server's log\n"));
    let page = async |cookie: &str, path: &str| {
        let request = server.http.get(format!("{}{path}", server.url)).header("cookie", cookie);
        request.send().await.unwrap().text().await.unwrap()
    };
    let reason = [
        "This log takes no events:",
        "the key of this log is not in",
        "<code>annals epoch begin --force</code>",
    ];
    for path in [
        "/audit",
        "/audit/tracked",
        "/audit/query-help",
        "/sources",
        "/searches",
        "/people",
        "/tokens",
        "/organizations",
        "/settings",
        "/license",
        "/account",
    ] {
        let page = page(&manager, path).await;
        for part in reason {
            assert!(page.contains(part), "{part} at {path}: {page}");
        }
    }
    // Where the key lies is not for everyone.
    let seen = page(&member, "/account").await;
    assert!(seen.contains("This log takes no events:") && !seen.contains("--key-dir"), "{seen}");
    // What was signed before is covered as before.
    let id = sent[0]["id"].as_str().unwrap();
    assert!(page(&manager, &format!("/audit/events/{id}")).await.contains("In checkpoint #"));
    verify(&server, &get_text(&server, &format!("/api/v2/audit/{id}/receipt")).await);
    // People can still sign in and see why.
    Browser::log_in(&server, "demo-manager").await;
}

/// Answers of `/proof` that the page gets changed by a script, as another server would send them.
fn answering(change: &str) -> String {
    format!(
        "window.trueFetch ??= window.fetch; window.fetch = async (...asked) => {{ const reply = await window.trueFetch(...asked); \
         const proof = await reply.json(); {change}; return new Response(JSON.stringify(proof)); }}"
    )
}

/// What a browser saved, once it has.
async fn downloaded(path: &std::path::Path) -> String {
    let begun = std::time::Instant::now();
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return text,
            _ => assert!(begun.elapsed().as_secs() < 30, "{} does not come", path.display()),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_recomputes_the_path() {
    let server = TestServer::start_signing().await;
    let events: Vec<_> = (0..60).map(|n| template_event(&format!("covered-{n}"), "")).collect();
    let sent = send(&server, &events).await;
    let window = open_on(&server, "/audit?filter=resource_target%3Acovered-*").await;
    let axe = annals_testparts::axe_script();
    window.wait_for("60 events").await;
    // In the row, where htmx puts it, and on the event's own page.
    window.click(".row .open", "Recorded as seq").await;
    window.click("[data-check]", "Your browser recomputed the path to checkpoint #").await;
    assert_eq!(window.run("return document.querySelector('.proof.good [role=status]') !== null").await, true);
    assert_eq!(window.barriers(&axe).await, NO_COMPLAINT);
    for event in sent.iter().step_by(7) {
        window.go(&format!("{}/audit/events/{}", server.url, event["id"].as_str().unwrap())).await;
        window.click("[data-check]", "Your browser recomputed the path to checkpoint #").await;
    }
    let command = "return document.querySelector('.offline').checkVisibility()";
    assert_eq!(window.run(command).await, false);

    // One bit of the path, the event's hash, the signed root; a path of another length or another event; nonsense.
    let another =
        "Array.from(atob(hash), letter => letter.charCodeAt()).map((byte, at) => at ? byte : byte ^ 1)";
    let another = format!("const flip = hash => btoa(String.fromCharCode(...{another}))");
    for (tone, change) in [
        ("bad", format!("{another}; proof.path[0] = flip(proof.path[0])")),
        ("bad", format!("{another}; proof.path[proof.path.length - 1] = flip(proof.path.at(-1))")),
        ("bad", format!("{another}; proof.leaf = flip(proof.leaf)")),
        (
            "bad",
            format!(
                "{another}; const note = proof.checkpoint.note.split('\\n'); note[2] = flip(note[2]); \
            proof.checkpoint.note = note.join('\\n')"
            ),
        ),
        ("bad", "proof.path.pop()".to_owned()),
        ("bad", "proof.path.push(proof.path[0])".to_owned()),
        ("bad", "proof.path = []".to_owned()),
        ("bad", "proof.seq += 1".to_owned()),
        ("bad", "proof.path[0] = btoa('short')".to_owned()),
        ("bad", "delete proof.path".to_owned()),
        ("bad", "proof.checkpoint.note = ''".to_owned()),
        ("good", "proof.checkpoint.signed = ''".to_owned()),
    ] {
        window.run(&answering(&change)).await;
        let expect =
            if tone == "bad" { "The path does not lead to checkpoint #" } else { "Your browser recomputed" };
        window.click("[data-check]", expect).await;
        let role = if tone == "bad" { "alert" } else { "status" };
        let shown = format!(
            "return document.querySelectorAll('.proof.{tone} [role={role}]').length === 1 && \
            document.querySelectorAll('.proof [data-evidence]').length === {}",
            u8::from(tone == "bad")
        );
        assert_eq!(window.run(&shown).await, true, "{change}");
        if change.contains("delete") {
            assert_eq!(window.barriers(&axe).await, NO_COMPLAINT);
        }
    }
    assert_eq!(window.complaints().await, NO_COMPLAINT);

    // What was sent can be kept, and so can the receipt.
    let downloads = tempfile::tempdir().unwrap();
    let path = json!({"behavior": "allow", "downloadPath": downloads.path().to_str().unwrap()});
    window.command("Browser.setDownloadBehavior", path).await;
    window.run(&answering("proof.path = ['nonsense']")).await;
    window.click("[data-check]", "The path does not lead to checkpoint #").await;
    window.run("document.querySelector('[data-evidence]').click()").await;
    let event = sent.iter().step_by(7).next_back().unwrap();
    let evidence = downloaded(&downloads.path().join(format!("proof-of-seq-{}.json", event["seq"]))).await;
    assert!(evidence.contains("nonsense"), "{evidence}");
    window.run("document.querySelector('.proof a[href$=receipt]').click()").await;
    let name = format!("{}.tlog-proof", event["id"].as_str().unwrap());
    let receipt = downloaded(&downloads.path().join(name)).await;
    assert_eq!(verify(&server, &receipt).0, event["seq"].as_u64().unwrap());
    assert_eq!(window.complaints().await, NO_COMPLAINT);

    // Without an answer nothing is said about the log.
    window.run("window.fetch = async () => new Response('', {status: 503})").await;
    window.click("[data-check]", "Nothing was checked").await;
    assert_eq!(window.run("return document.querySelector('.proof.bad')").await, Value::Null);
    window.run(&answering("delete proof.checkpoint; proof.path = []")).await;
    window.click("[data-check]", "No checkpoint covers this event yet").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secure_context_the_command_is_named() {
    let server = TestServer::start_signing().await;
    let sent = send(&server, &[template_event("docker", "")]).await;
    let window = open_on(&server, "/audit").await;
    let script = "Object.defineProperty(Crypto.prototype, 'subtle', {get: () => undefined})";
    window.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
    window.go(&format!("{}/audit/events/{}", server.url, sent[0]["id"].as_str().unwrap())).await;
    window.wait_for("Check it offline: annals verify RECEIPT").await;
    assert_eq!(window.run("return document.querySelector('[data-check]').checkVisibility()").await, false);
    assert_eq!(window.complaints().await, NO_COMPLAINT);
}
