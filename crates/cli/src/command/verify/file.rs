//! Checking a receipt, evidence or a manifest.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::Path;

use annals_client::evidence::{verify_evidence, verify_receipt};
use annals_tlog::{TLOG_PROOF_BYTES_MAX, VerifierKey};
use anyhow::Context as _;
use serde_json::json;

use super::{VerifyArgs, manifest, print};
use crate::output;

/// What a gzipped file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

pub(super) fn run(path: &Path, args: &VerifyArgs, keys: &[VerifierKey], json: bool) -> anyhow::Result<u8> {
    let cannot = || format!("cannot read `{}`", path.display());
    let mut file = File::open(path).with_context(cannot)?;
    let mut begin = Vec::new();
    (&mut file).take(2).read_to_end(&mut begin).with_context(cannot)?;
    file.rewind().with_context(cannot)?;
    let verdict = if begin == GZIP {
        let bar = output::progress_bar("{bar:40} {pos}/{len} events  {per_sec}  {eta} left", json);
        let mut failed = None;
        let verdict = verify_evidence(
            BufReader::new(file),
            keys,
            &mut |done, all| output::show_progress(&bar, done, all),
            &mut |seq, record| {
                if args.show && failed.is_none() {
                    failed = output::line(json!({"seq": seq, "record": record})).err();
                }
            },
        )?;
        bar.finish_and_clear();
        failed.map_or(Ok(()), Err)?;
        verdict
    } else {
        let mut text = String::new();
        let limit = TLOG_PROOF_BYTES_MAX as u64 + 1;
        file.take(limit)
            .read_to_string(&mut text)
            .with_context(|| format!("`{}` is neither a receipt, evidence nor a manifest", path.display()))?;
        if text.starts_with(manifest::HEAD) {
            return manifest::run(&text, args.received.as_deref(), keys, json);
        }
        let verdict = verify_receipt(&text, keys)?;
        if args.show {
            let receipt: annals_tlog::TlogProof = text.parse()?;
            output::line(String::from_utf8_lossy(&receipt.extra.unwrap_or_default()))?;
        }
        verdict
    };
    print(&if args.require_openings { verdict.requiring_openings() } else { verdict }, json)
}
