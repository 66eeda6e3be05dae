//! Checking a live server: that it continues what it showed before, and that its newest events are in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use annals_client::Client;
use annals_client::evidence::{Outcome, verify_receipt};
use annals_tlog::{Checkpoint, Hash, NoteError, SignedNote, TlogProof, VerifierKey, verify_consistency};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{VerifyArgs, code, word};
use crate::output;
use crate::target::TargetArgs;

/// What was found.
#[derive(Default)]
struct Found {
    outcome: Option<Outcome>,
    findings: Vec<String>,
}

impl Found {
    fn note(&mut self, outcome: Outcome, finding: impl Into<String>) {
        self.outcome = Some(self.outcome.map_or(outcome, |worst| worst.max(outcome)));
        self.findings.push(finding.into());
    }

    fn outcome(&self) -> Outcome {
        self.outcome.unwrap_or(Outcome::Good)
    }
}

pub(super) fn run(
    url: &str,
    args: &VerifyArgs,
    target: &TargetArgs,
    keys: &[VerifierKey],
    json: bool,
) -> anyhow::Result<u8> {
    let token = target.token.as_deref().context("a server needs a token: --token or ANNALS_TOKEN")?;
    let client = Client::new(url, token)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(check(&client, args, keys, json))
}

async fn check(client: &Client, args: &VerifyArgs, keys: &[VerifierKey], json: bool) -> anyhow::Result<u8> {
    let mut found = Found::default();
    let note = client.checkpoint().await?;
    let (signed, now) = read(&note)?;
    match signed.verify(keys) {
        Ok(signers) if signers.iter().any(|signer| signer.key.name() == now.origin()) => {}
        Ok(_) => found.note(Outcome::Untrusted, "no trusted key of the log itself signed the checkpoint"),
        Err(NoteError::Untrusted { .. }) => {
            found.note(Outcome::Untrusted, "the checkpoint is not signed by a trusted key");
        }
        Err(error) => found.note(Outcome::Tampered, error.to_string()),
    }
    let state = args.state.clone().or_else(|| default_state(now.origin()));
    let before = match &state {
        Some(path) if path.exists() => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            Some(read(&text).with_context(|| format!("`{}` is no checkpoint", path.display()))?.1)
        }
        _ => None,
    };
    if let Some(before) = &before {
        compare(client, before, &now, &mut found).await?;
    }
    let receipts = check_newest(client, args.sample, keys, &now, &mut found).await?;
    if let Some(path) = state.filter(|_| found.outcome() == Outcome::Good) {
        keep(&path, &note)?;
    }
    let outcome = found.outcome();
    if json {
        output::line(json!({
            "result": outcome, "origin": now.origin(), "size": now.size(), "root": STANDARD.encode(now.root().as_bytes()),
            "compared_with": before.as_ref().map(Checkpoint::size), "receipts": receipts, "findings": found.findings,
        }))?;
        return Ok(code(outcome));
    }
    for finding in &found.findings {
        output::line(format_args!("{}: {finding}", word(outcome)))?;
    }
    let before = match before {
        Some(before) => format!("continues the checkpoint of {} events seen before", before.size()),
        None => "was not seen before from here".to_owned(),
    };
    output::line(format_args!(
        "{}: {} has {} events and {before}; {receipts} of the newest events were checked",
        word(outcome),
        now.origin(),
        now.size()
    ))?;
    if outcome == Outcome::Untrusted {
        output::line(
            "  give the key of the log with --trust; the operator prints it with `annals epoch list`",
        )?;
    }
    Ok(code(outcome))
}

fn read(note: &str) -> anyhow::Result<(SignedNote, Checkpoint)> {
    let signed: SignedNote = note.parse().context("what the server calls a checkpoint is none")?;
    let checkpoint = signed.text().parse().context("what the server calls a checkpoint is none")?;
    Ok((signed, checkpoint))
}

/// The log must contain all that it contained before.
async fn compare(
    client: &Client,
    before: &Checkpoint,
    now: &Checkpoint,
    found: &mut Found,
) -> anyhow::Result<()> {
    if before.origin() != now.origin() {
        let finding = format!(
            "the log is called `{}` now and was `{}`: if the operator began a new epoch, take its key and another --state",
            now.origin(),
            before.origin()
        );
        found.note(Outcome::Tampered, finding);
        return Ok(());
    }
    if now.size() < before.size() {
        let finding = format!(
            "the log has {} events, fewer than the {} seen before: it was cut or put back",
            now.size(),
            before.size()
        );
        found.note(Outcome::Tampered, finding);
        return Ok(());
    }
    let proof = client.consistency(before.size(), now.size()).await?;
    let hash = |line: &str| STANDARD.decode(line).ok()?.try_into().ok().map(Hash::from_bytes);
    let proof: Option<Vec<Hash>> = proof.lines().map(hash).collect();
    let fits = proof.context("the server's proof is none")?;
    if let Err(error) = verify_consistency(before.size(), now.size(), &fits, &before.root(), &now.root()) {
        found.note(
            Outcome::Tampered,
            format!("the log does not continue the {} events seen before: {error}", before.size()),
        );
    }
    Ok(())
}

/// Receipts of the newest events: each must be of the event that was shown, and its checkpoint one that the log now continues.
async fn check_newest(
    client: &Client,
    count: usize,
    keys: &[VerifierKey],
    now: &Checkpoint,
    found: &mut Found,
) -> anyhow::Result<usize> {
    if count == 0 {
        return Ok(0);
    }
    let page = client.search("", count.min(1_000), 0).await?;
    let mut checked = 0;
    let mut continued = BTreeSet::new();
    for event in page["audit_logs"].as_array().into_iter().flatten() {
        let id = event["id"].as_str().unwrap_or_default();
        let text = client.receipt(id).await?;
        let verdict = verify_receipt(&text, keys)?;
        let receipt: TlogProof = text.parse()?;
        let record: serde_json::Value = serde_json::from_slice(receipt.extra.as_deref().unwrap_or_default())?;
        if record["id"] != event["id"] || event["seq"].as_u64() != Some(verdict.seqs.0) {
            found.note(Outcome::Tampered, format!("the receipt of event {id} is of another event"));
        }
        if verdict.result > Outcome::Incomplete {
            found.note(verdict.result, format!("event {id}: {}", verdict.findings.join("; ")));
        }
        let (_, signed) = read(&receipt.checkpoint)?;
        // A receipt may be of a checkpoint that was signed since.
        if signed.size() <= now.size() && continued.insert(signed.size()) {
            compare(client, &signed, now, found).await?;
        }
        checked += 1;
    }
    Ok(checked)
}

fn default_state(origin: &str) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home)?;
    // Two names never share a file.
    let name: String = origin
        .bytes()
        .map(|byte| match byte {
            b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    Some(base.join("annals/checkpoints").join(name))
}

fn keep(path: &Path, note: &str) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
    }
    std::fs::write(path, note).with_context(|| format!("cannot write `{}`", path.display()))
}
