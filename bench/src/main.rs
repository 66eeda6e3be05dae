//! The benchmarks that need a whole log, a server or a peer. `make bench` runs them in order.

mod run;

use anyhow::Context as _;

const USAGE: &str = "usage: annals-bench load | search [--peers NAMES] | scale | whole ANNALS | export | foreign | ingest ANNALS [EVENTS] | inserts | report";

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next().context(USAGE)?;
    match command.as_str() {
        "load" => run::load::main(),
        "search" => run::search::main(args),
        "scale" => run::scale::main(),
        "whole" => run::whole::main(args),
        "export" => run::export::main(),
        "foreign" => run::foreign::main(),
        "ingest" => run::ingest::main(args),
        "inserts" => run::inserts::main(),
        "report" => run::report::main(),
        _ => anyhow::bail!(USAGE),
    }
}
