//! What giving an event away costs the caller, and what the whole client costs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use annals_client::{Auditable, Auditor, AuditorOptions, Client, Event};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

const WARM_UP: usize = 20_000;
const CALLS: usize = 200_000;

/// Twenty fields, as a template of a control plane has them.
#[derive(Debug, Clone, Serialize, Auditable)]
#[audit(type = "template", crate = "annals_client::model")]
struct Template {
    #[audit(track, id)]
    id: String,
    #[audit(track, target)]
    name: String,
    #[audit(track)]
    display_name: String,
    #[audit(track)]
    description: String,
    #[audit(track)]
    icon: String,
    #[audit(track)]
    default_ttl: u64,
    #[audit(track)]
    max_ttl: u64,
    #[audit(track)]
    activity_bump: u64,
    #[audit(track)]
    failure_ttl: u64,
    #[audit(track)]
    time_til_dormant: u64,
    #[audit(track)]
    time_til_dormant_autodelete: u64,
    #[audit(track)]
    allow_user_autostart: bool,
    #[audit(track)]
    allow_user_autostop: bool,
    #[audit(track)]
    allow_user_cancel_workspace_jobs: bool,
    #[audit(track)]
    require_active_version: bool,
    #[audit(track)]
    deprecated: Option<String>,
    #[audit(track)]
    user_acl: Vec<String>,
    #[audit(track)]
    group_acl: Vec<String>,
    #[audit(secret)]
    private_key: String,
    #[audit(ignore)]
    updated_at: u64,
}

fn template() -> Template {
    Template {
        id: "0fb2a4f0-7d6c-4c6e-9a55-0f6f4f4f7c11".to_owned(),
        name: "docker".to_owned(),
        display_name: "Docker".to_owned(),
        description: "Containers on the build hosts, with a home volume of their own".to_owned(),
        icon: "/icon/docker.png".to_owned(),
        default_ttl: 28_800,
        max_ttl: 86_400,
        activity_bump: 3_600,
        failure_ttl: 0,
        time_til_dormant: 604_800,
        time_til_dormant_autodelete: 0,
        allow_user_autostart: true,
        allow_user_autostop: true,
        allow_user_cancel_workspace_jobs: false,
        require_active_version: true,
        deprecated: None,
        user_acl: vec!["demo-dev-1".to_owned(), "demo-dev-2".to_owned()],
        group_acl: vec!["everyone".to_owned()],
        private_key: "a secret of some length".to_owned(),
        updated_at: 0,
    }
}

/// A server that takes everything at once; returns its address.
fn sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_all(stream));
        }
    });
    format!("http://{address}")
}

fn answer_all(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let count = body.iter().filter(|byte| **byte == b'\n').count();
        let events = vec![r#"{"id":"","seq":0}"#; count].join(",");
        let reply = format!(r#"{{"accepted":{count},"duplicates":0,"events":[{events}],"warnings":[]}}"#);
        let head = format!("HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", reply.len());
        writer.write_all((head + &reply).as_bytes()).ok()?;
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Times each call by itself, with a pause after every so many, as requests come.
fn time_each(name: &str, mut call: impl FnMut(usize)) {
    (0..WARM_UP).for_each(&mut call);
    let mut times = Vec::with_capacity(CALLS);
    for n in 0..CALLS {
        let begun = Instant::now();
        call(n);
        times.push(begun.elapsed());
        if n.is_multiple_of(500) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    times.sort_unstable();
    let at = |part: f64| times[((CALLS - 1) as f64 * part) as usize].as_nanos() as f64 / 1_000.0;
    println!(
        "{name}: p50 {:.2} us, p99 {:.2} us, p99.9 {:.2} us, most {:.0} us",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

fn main() {
    // `cargo bench` hands names of others on.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let client = Client::new(&sink(), "annals_ingest_bench").expect("an address");
    let auditor = Auditor::open(client, dir.path().join("spool"), AuditorOptions::new("bench")).expect("a new spool");
    let old = template();
    let new = Template {
        description: "Containers on the build hosts, 4 vCPU".to_owned(),
        default_ttl: 36_000,
        private_key: "another secret".to_owned(),
        ..old.clone()
    };
    let plain = || Event::new("write", "template", "docker").user("u-7", "demo-dev-1").status(200);
    let change = || Event::change("write", Some(&old), Some(&new)).expect("plain fields").user("u-7", "demo-dev-1").status(200);
    time_each("an event", |_| drop(std::hint::black_box(plain())));
    time_each("an event, 20 fields compared", |_| drop(std::hint::black_box(change())));
    time_each("an event, emitted", |_| auditor.emit(&plain()).expect("room"));
    time_each("an event, 20 fields compared, emitted", |_| auditor.emit(&change()).expect("room"));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    assert!(runtime.block_on(auditor.flush(Duration::from_secs(60))), "{:?}", auditor.stats());
    let (begun, used) = (Instant::now(), cpu());
    (0..CALLS).for_each(|_| auditor.emit(&change()).expect("room"));
    let emitted = begun.elapsed();
    assert!(runtime.block_on(auditor.flush(Duration::from_secs(60))), "{:?}", auditor.stats());
    let (elapsed, used) = (begun.elapsed(), cpu() - used);
    let per_event = used.as_secs_f64() * 1e6 / CALLS as f64;
    println!(
        "{CALLS} events: emitted in {:.2} s, all sent in {:.2} s, {per_event:.2} us of CPU each with the sink: {:.0} a second of one core",
        emitted.as_secs_f64(),
        elapsed.as_secs_f64(),
        1e6 / per_event
    );
}
