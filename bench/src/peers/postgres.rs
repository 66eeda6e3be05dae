//! PostgreSQL with Coder's table, indexes and queries.

mod server;

use std::io::Write as _;
use std::time::Instant;

use anyhow::Context as _;
use postgres::{Client, NoTls, SimpleQueryMessage};

pub use server::Server;

use crate::log::{SEED, bench_data};
use crate::measure::{family_cpu_seconds, own_cpu_seconds};
use crate::peers::{ANSWER_MAX, Answer, Peer};
use crate::results::Results;
use crate::row::Row;
use crate::shapes::{Column, Query, Test, time_text};
use crate::{Generator, ORGANIZATIONS, USERS};

/// The columns that events fill.
pub const COLUMNS: &str = "id, time, user_id, organization_id, ip, user_agent, resource_type, resource_id, resource_target, action, \
     diff, status_code, additional_fields, request_id";

/// PostgreSQL.
pub struct Postgres {
    server: Server,
    client: Client,
}

impl Postgres {
    /// Starts the server; loads the events unless they are there.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or fails.
    pub fn open(events: u64, results: &mut Results) -> anyhow::Result<Postgres> {
        let dir = bench_data()?.join(format!("postgres-{events}"));
        let server = Server::start(&dir)?;
        let mut client = Client::connect(&server.address(), NoTls)?;
        let is_loaded = client.query_opt("SELECT 1 FROM pg_class WHERE relname = 'loaded'", &[])?.is_some();
        if !is_loaded {
            load(&server, &mut client, events, results)?;
        }
        client.batch_execute(&format!("SET statement_timeout = {}", ANSWER_MAX.as_millis()))?;
        Ok(Postgres { server, client })
    }
}

/// Creates Coder's table, with its users and organizations, in a database, and returns its indexes.
///
/// # Errors
/// If the database fails.
pub fn create_tables(client: &mut Client) -> anyhow::Result<&'static str> {
    let quoted = |mut words: Vec<&str>| {
        words.sort_unstable();
        words.dedup();
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ")
    };
    let kinds = quoted(Generator::kinds_and_actions().map(|(kind, _)| kind).collect());
    let actions = quoted(Generator::kinds_and_actions().map(|(_, action)| action).collect());
    client.batch_execute(&format!(
        "CREATE TYPE resource_type AS ENUM ({kinds});
         CREATE TYPE audit_action AS ENUM ({actions});
         CREATE TABLE users (id uuid PRIMARY KEY, username text NOT NULL, email text NOT NULL, name text NOT NULL,
             created_at timestamptz NOT NULL DEFAULT '2025-01-01', updated_at timestamptz NOT NULL DEFAULT '2025-01-01',
             last_seen_at timestamptz NOT NULL DEFAULT '2025-01-01', status text NOT NULL DEFAULT 'active',
             rbac_roles text[] NOT NULL DEFAULT '{{}}', avatar_url text NOT NULL DEFAULT '', deleted boolean NOT NULL DEFAULT false);
         CREATE TABLE organizations (id uuid PRIMARY KEY, name text NOT NULL, display_name text NOT NULL, icon text NOT NULL DEFAULT '');
         CREATE TABLE audit_logs (id uuid NOT NULL, time timestamptz NOT NULL, user_id uuid NOT NULL, organization_id uuid NOT NULL,
             ip inet, user_agent varchar(256), resource_type resource_type NOT NULL, resource_id uuid NOT NULL,
             resource_target text NOT NULL, action audit_action NOT NULL, diff jsonb NOT NULL, status_code integer NOT NULL,
             additional_fields jsonb NOT NULL, request_id uuid NOT NULL, resource_icon text NOT NULL DEFAULT '');"
    ))?;
    let users: Vec<String> = (0..USERS as u64)
        .map(|rank| {
            let id = Generator::user_id(rank);
            format!("('{id}', 'demo-user-{rank}', 'demo-user-{rank}@example.test', 'Demo User {rank}')")
        })
        .collect();
    let organizations: Vec<String> = (0..ORGANIZATIONS)
        .map(|rank| format!("('{}', 'org-{rank}', 'Organization {rank}')", Generator::organization_id(rank)))
        .collect();
    client.batch_execute(&format!(
        "INSERT INTO users (id, username, email, name) VALUES {};
         INSERT INTO organizations (id, name, display_name) VALUES {};
         ANALYZE users; ANALYZE organizations",
        users.join(", "),
        organizations.join(", ")
    ))?;
    Ok("ALTER TABLE audit_logs ADD PRIMARY KEY (id);
        CREATE INDEX idx_audit_logs_time_desc ON audit_logs (time DESC);
        CREATE INDEX idx_audit_log_user_id ON audit_logs (user_id);
        CREATE INDEX idx_audit_log_organization_id ON audit_logs (organization_id);
        CREATE INDEX idx_audit_log_resource_id ON audit_logs (resource_id);")
}

fn load(server: &Server, client: &mut Client, events: u64, results: &mut Results) -> anyhow::Result<()> {
    println!("loading {events} events into PostgreSQL");
    let (started, server_cpu, own_cpu) =
        (Instant::now(), family_cpu_seconds(server.pid()?)?, own_cpu_seconds());
    client.batch_execute("BEGIN")?;
    let indexes = create_tables(client)?;
    let mut generator = Generator::new(SEED);
    let mut writer = client.copy_in(&format!("COPY audit_logs ({COLUMNS}) FROM STDIN"))?;
    let (mut line, mut lines) = (String::new(), String::new());
    for _ in 0..events {
        line.clear();
        generator.push_event(&mut line);
        Row::read(&line)?.push_copy_line(&mut lines);
        if lines.len() > 1 << 16 {
            writer.write_all(lines.as_bytes())?;
            lines.clear();
        }
    }
    writer.write_all(lines.as_bytes())?;
    writer.finish()?;
    client.batch_execute("COMMIT")?;
    client.batch_execute("SET maintenance_work_mem = '1GB'")?;
    client.batch_execute(indexes)?;
    // Coder's server has run for long: index-only scans and estimates are as good as they get.
    for statement in ["VACUUM ANALYZE audit_logs", "CREATE TABLE loaded ()", "CHECKPOINT"] {
        client.batch_execute(statement)?;
    }
    let cpu = family_cpu_seconds(server.pid()?)? - server_cpu;
    println!(
        "loaded in {:.0} s, server CPU {:.1} us an event, own {:.1}",
        started.elapsed().as_secs_f64(),
        cpu * 1e6 / events as f64,
        (own_cpu_seconds() - own_cpu) * 1e6 / events as f64
    );
    results.put(
        "load",
        &events.to_string(),
        "postgres",
        &[("seconds", started.elapsed().as_secs_f64()), ("cpu_us_per_event", cpu * 1e6 / events as f64)],
    );
    Ok(())
}

impl Peer for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn answer(&mut self, query: &Query) -> anyhow::Result<Answer> {
        let filter = filter(query)?;
        let count = self.client.simple_query(&format!(
            "SELECT count(*) FROM audit_logs LEFT JOIN users ON audit_logs.user_id = users.id \
             LEFT JOIN organizations ON audit_logs.organization_id = organizations.id WHERE {filter}"
        ))?;
        let count = rows(&count).next().and_then(|row| row.get(0)).context("a count")?.parse()?;
        let page = self.client.simple_query(&format!(
            "SELECT audit_logs.*, users.username, users.name, users.email, users.created_at, users.updated_at, \
             users.last_seen_at, users.status, users.rbac_roles, users.avatar_url, users.deleted, organizations.name, \
             organizations.display_name, organizations.icon \
             FROM audit_logs LEFT JOIN users ON audit_logs.user_id = users.id \
             LEFT JOIN organizations ON audit_logs.organization_id = organizations.id WHERE {filter} \
             ORDER BY audit_logs.time DESC LIMIT 25 OFFSET {}",
            query.offset
        ))?;
        let times_us = rows(&page)
            .map(|row| Ok(row.get("time").context("a time")?.parse::<jiff::Timestamp>()?.as_microsecond()))
            .collect::<anyhow::Result<Vec<i64>>>()?;
        Ok(Answer { count, times_us })
    }

    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        family_cpu_seconds(self.server.pid()?)
    }

    fn disk_bytes(&mut self) -> anyhow::Result<u64> {
        let bytes: i64 = self.client.query_one("SELECT pg_total_relation_size('audit_logs')", &[])?.get(0);
        Ok(u64::try_from(bytes)?)
    }
}

fn rows(messages: &[SimpleQueryMessage]) -> impl Iterator<Item = &postgres::SimpleQueryRow> {
    messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

/// Coder resolves names to ids before it asks for rows; so do we, which favours the peer.
fn filter(query: &Query) -> anyhow::Result<String> {
    let mut parts = vec!["true".to_owned()];
    for test in &query.tests {
        parts.push(match test {
            Test::Is(column, value) => format!("{} = '{}'", sql(*column), value_of(*column, value)?),
            Test::IsNot(column, value) => format!("{} <> '{}'", sql(*column), value_of(*column, value)?),
            Test::Begins(column, value) => format!("{} LIKE '{value}%'", sql(*column)),
            Test::Holds(column, value) => format!("{} LIKE '%{value}%'", sql(*column)),
            Test::Between(from, to) => format!(
                "audit_logs.time >= '{}' AND audit_logs.time < '{}'",
                time_text(*from),
                time_text(*to)
            ),
        });
    }
    Ok(parts.join(" AND "))
}

fn sql(column: Column) -> String {
    let name = match column {
        Column::Username => "user_id",
        Column::Organization => "organization_id",
        other => other.key(),
    };
    format!("audit_logs.{name}")
}

fn value_of(column: Column, value: &str) -> anyhow::Result<String> {
    let rank = || value.rsplit('-').next().unwrap_or_default().parse::<u64>().context("a name with a rank");
    Ok(match column {
        Column::Username => Generator::user_id(rank()?),
        Column::Organization => Generator::organization_id(rank()?),
        _ => value.to_owned(),
    })
}
