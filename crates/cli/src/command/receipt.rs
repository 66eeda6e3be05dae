//! `annals receipt`.

use std::path::PathBuf;

use annals_engine::{Options, Principal, RECEIPT_WAIT, SigningPolicy};
use annals_model::id::EventId;
use anyhow::Context as _;

use crate::output;
use crate::target::{Target, TargetArgs};

/// Write the receipt of an event: a file that proves offline that it stands in the log
#[derive(Debug, clap::Args)]
#[command(
    after_help = "`annals verify FILE --trust KEY` checks it without a network; docs/verify.py does too.

Examples:
  annals receipt 0198aaaa-5d0c-7c3e-9b1f-000000000001 --out event.tlog-proof
  annals receipt 0198aaaa-5d0c-7c3e-9b1f-000000000001 --without-values --server https://audit.example.com"
)]
pub(crate) struct ReceiptArgs {
    /// UUID of the event
    #[arg(value_name = "ID")]
    id: uuid::Uuid,
    /// File to write; standard output if absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Leave personal values out; the proof stays the same
    #[arg(long)]
    without_values: bool,
}

pub(crate) fn run(args: &ReceiptArgs, target: &TargetArgs) -> anyhow::Result<()> {
    let receipt = match target
        .open(Options { signing: Some(SigningPolicy::with_key_at_hand()), ..Options::default() })?
    {
        Target::Remote(client, runtime) => {
            runtime.block_on(client.receipt_with(&args.id.to_string(), !args.without_values))?
        }
        Target::Local(engine) => {
            let until = std::time::Instant::now() + RECEIPT_WAIT;
            loop {
                let receipt =
                    engine.receipt(&Principal::operator(), EventId::new(args.id), !args.without_values)?;
                match receipt.with_context(|| format!("there is no event {}", args.id))? {
                    Ok(receipt) => break receipt.to_string(),
                    Err(seq) => {
                        let signs = engine.ask_for_checkpoint().is_some();
                        anyhow::ensure!(
                            signs && std::time::Instant::now() < until,
                            "no signed checkpoint covers event {seq} yet; a server with the key of the log signs one (`annals serve`)"
                        );
                        std::thread::sleep(std::time::Duration::from_millis(100));
                    }
                }
            }
        }
    };
    match &args.out {
        Some(path) => {
            write_private(path, receipt.as_bytes())
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            output::note(format_args!(
                "written to `{}`; `annals verify {0} --trust KEY` checks it",
                path.display()
            ));
            Ok(())
        }
        None => output::line(receipt.trim_end_matches('\n')),
    }
}

/// Writes a file that only its owner may read: it holds personal values.
fn write_private(path: &std::path::Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(content)
}
