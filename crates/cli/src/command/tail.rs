//! `annals tail`.

use std::time::Duration;

use annals_client::{Client, ClientError};
use annals_engine::{Engine, Principal};
use tokio::runtime::Runtime;

use crate::command::query::QueryText;
use crate::command::search::{event_line, report_failure};
use crate::output;
use crate::target::{Target, TargetArgs};

/// Follow the log: print matching events as they come, by rising seq
///
/// Ends when it is interrupted. A lost connection is made again, and no event is missed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annals tail outcome:denied
  annals tail --server http://127.0.0.1:2662 --token annals_read_... resource_type:template --json
  annals tail --after-seq 1234 --limit 10")]
pub(crate) struct TailArgs {
    #[command(flatten)]
    query: QueryText,
    /// Begin behind this seq, not behind the newest event
    #[arg(long, value_name = "SEQ")]
    after_seq: Option<u64>,
    /// End after so many events
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
}

/// Events of one look.
const LOOK_EVENTS: usize = 256;
/// Pauses before a lost connection is made again: short ones first, then patient ones.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Prints events until there are enough.
struct Printer {
    left: Option<u64>,
    json: bool,
}

impl Printer {
    /// Says whether more are wanted.
    fn print(&mut self, json: &str) -> anyhow::Result<bool> {
        if self.json {
            output::line(json)?;
        } else {
            output::line(event_line(&serde_json::from_str(json)?))?;
        }
        self.left = self.left.map(|left| left - 1);
        Ok(self.left != Some(0))
    }
}

pub(crate) fn run(args: &TailArgs, target: &TargetArgs, json: bool) -> anyhow::Result<u8> {
    if args.limit == Some(0) {
        return Ok(output::GOOD);
    }
    let query = args.query.join();
    let mut printer = Printer { left: args.limit, json };
    let result = match target.open(annals_engine::Options::default())? {
        Target::Local(engine) => follow_here(&engine, &query, args.after_seq, &mut printer),
        Target::Remote(client, runtime) => {
            runtime.block_on(follow_there(&client, &query, args.after_seq, &mut printer))
        }
    };
    match result {
        Ok(()) => Ok(output::GOOD),
        Err(error) => report_failure(error, &query, json),
    }
}

fn follow_here(
    engine: &Engine,
    query: &str,
    after_seq: Option<u64>,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let operator = Principal::operator();
    let mut news = engine.news();
    let mut after_seq = engine.follow(&operator, query, after_seq)?;
    loop {
        let found = engine.events_after(&operator, query, after_seq, LOOK_EVENTS, |found| {
            Ok(serde_json::to_string(&found.into_audit_log()?))
        })?;
        for event in found.events {
            if !printer.print(&event?)? {
                return Ok(());
            }
        }
        after_seq = found.looked_until;
        if found.is_at_end {
            runtime.block_on(news.wait());
        }
    }
}

async fn follow_there(
    client: &Client,
    query: &str,
    mut after_seq: Option<u64>,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let mut stream = client.follow(query, after_seq).await?;
    loop {
        let lost = loop {
            match stream.next().await {
                Ok(Some(event)) => {
                    if !printer.print(&event.json)? {
                        return Ok(());
                    }
                }
                Ok(None) => break "the server ended the stream".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        after_seq = stream.after_seq().or(after_seq);
        output::note(format_args!("{lost}; connecting again"));
        stream = connect_again(client, query, after_seq).await?;
        let place = after_seq.map(|seq| format!(" behind seq {seq}")).unwrap_or_default();
        output::note(format_args!("connected again; going on{place}"));
    }
}

/// Tries until the server is there again. What it refuses for good ends the command.
async fn connect_again(
    client: &Client,
    query: &str,
    after_seq: Option<u64>,
) -> anyhow::Result<annals_client::EventStream> {
    let mut pauses = PAUSES.into_iter();
    let mut pause = PAUSES[0];
    loop {
        pause = pauses.next().unwrap_or(pause);
        tokio::time::sleep(pause).await;
        match client.follow(query, after_seq).await {
            Ok(stream) => return Ok(stream),
            Err(ClientError::Unreachable { .. } | ClientError::Refused { status: 500.., .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
