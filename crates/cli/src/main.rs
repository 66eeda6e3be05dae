//! `annals`: the audit log of a deployment, in one binary.

mod command;
mod demo;
mod import;
mod output;
mod target;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::target::TargetArgs;

/// Annals: who did what to which resource, when, from where, with what outcome, and what changed.
#[derive(Debug, Parser)]
#[command(
    name = "annals",
    version,
    max_term_width = 100,
    after_help = "Try `annals demo` for a log with data, or `annals serve` to start your own."
)]
struct Arguments {
    #[command(flatten)]
    target: TargetArgs,
    /// Print data as JSON, errors too
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a log with the events of a small deployment
    Demo(demo::DemoArgs),
    Serve(Box<command::serve::ServeArgs>),
    Search(command::search::SearchArgs),
    Tail(command::tail::TailArgs),
    Export(command::export::ExportArgs),
    /// Take in events from files
    Import(import::ImportArgs),
    Receipt(command::receipt::ReceiptArgs),
    Sources(command::sources::SourcesArgs),
    Verify(command::verify::VerifyArgs),
    Erase(command::erase::EraseArgs),
    Retention(command::retention::RetentionArgs),
    Hold(command::retention::HoldArgs),
    Epoch(command::epoch::EpochArgs),
    Repair(command::repair::RepairArgs),
    Backup(command::backup::BackupArgs),
    /// Put a backup into an empty data directory
    Restore(command::backup::RestoreArgs),
    /// Read query texts; `annals query --help` is the reference of the language
    Query(command::query::QueryArgs),
    /// Print what changed between two states of a resource
    Diff(command::diff::DiffArgs),
    /// Print resource types, fields, actions and settings that are tracked
    Resources(command::resources::ResourcesArgs),
    /// Send events to receivers: Splunk, webhooks, syslog, OTLP, S3, files
    Streams(command::streams::StreamsArgs),
    /// Manage people who may log in
    User(command::user::UserArgs),
    /// Manage organizations and who sees their events
    Organization(command::organization::OrganizationArgs),
    /// Manage groups of people inside an organization
    Group(command::group::GroupArgs),
    /// Manage tokens of the API
    Token(command::token::TokenArgs),
    /// Manage licenses, for deployments that are sold
    License(command::license::LicenseArgs),
    /// Show and make settings
    Settings(command::settings::SettingsArgs),
    /// Print a completion script for a shell
    Completions(command::completions::CompletionsArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        // `annals verify` keeps 2 for what is incomplete.
        let named = Arguments::command();
        let is_command =
            |argument: &String| named.get_subcommands().any(|command| command.get_name() == argument);
        let is_verify = std::env::args().skip(1).find(is_command).is_some_and(|command| command == "verify");
        let code = if is_verify && error.use_stderr() {
            command::verify::UNUSABLE
        } else {
            error.exit_code().try_into().unwrap_or(1)
        };
        std::process::exit(i32::from(code))
    });
    let Arguments { target, json, command } = arguments;
    let result = match &command {
        Command::Demo(args) => demo::run(args).map(|()| output::GOOD),
        Command::Serve(args) => command::serve::run(args, &target).map(|()| output::GOOD),
        Command::Search(args) => command::search::run(args, &target, json),
        Command::Tail(args) => command::tail::run(args, &target, json),
        Command::Export(args) => command::export::run(args, &target, json),
        Command::Import(args) => import::run(args, &target, json),
        Command::Receipt(args) => command::receipt::run(args, &target).map(|()| output::GOOD),
        Command::Sources(args) => command::sources::run(args, &target, json),
        Command::Streams(args) => command::streams::run(args, &target, json),
        Command::Erase(args) => command::erase::run(args, &target, json).map(|()| output::GOOD),
        Command::Retention(args) => command::retention::run(args, &target, json),
        Command::Hold(args) => command::retention::hold(args, &target, json),
        Command::Epoch(args) => command::epoch::run(args, &target, json).map(|()| output::GOOD),
        Command::Verify(args) => command::verify::run(args, &target, json),
        Command::Repair(args) => command::repair::run(args, &target, json),
        Command::Backup(args) => command::backup::back_up(args, &target, json).map(|()| output::GOOD),
        Command::Restore(args) => command::backup::restore(args, &target, json),
        Command::Query(args) => command::query::run(args, &target, json),
        Command::Diff(args) => command::diff::run(args, json).map(|()| output::GOOD),
        Command::Resources(args) => command::resources::run(args, &target, json).map(|()| output::GOOD),
        Command::User(args) => command::user::run(args, &target, json).map(|()| output::GOOD),
        Command::Organization(args) => command::organization::run(args, &target, json).map(|()| output::GOOD),
        Command::Group(args) => command::group::run(args, &target, json).map(|()| output::GOOD),
        Command::Token(args) => command::token::run(args, &target, json).map(|()| output::GOOD),
        Command::License(args) => command::license::run(args, &target, json).map(|()| output::GOOD),
        Command::Settings(args) => command::settings::run(args, &target, json).map(|()| output::GOOD),
        Command::Completions(args) => {
            command::completions::run(args, &mut Arguments::command()).map(|()| output::GOOD)
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => output::report(&error, json),
    }
}
