//! Three replicas over one PostgreSQL database and one S3 bucket, while all of them take events, seal, are killed, and lose
//! their database and their object store for a while.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals_client::Client;
use annals_testparts::{Postgres, S3, VersionedS3};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{Server, binary};

const REPLICAS: usize = 3;
const BATCH: u64 = 40;

/// The deployment: what all replicas share.
struct Site {
    database_url: String,
    objects: String,
    environment: Vec<(String, String)>,
    root: tempfile::TempDir,
    ingest: String,
    read: String,
    metrics: String,
}

impl Site {
    fn new(postgres: &Postgres, bucket: &str, environment: Vec<(String, String)>) -> Site {
        let mut site = Site {
            database_url: postgres.url("replicas"),
            objects: format!("{bucket}/audit"),
            environment,
            root: tempfile::tempdir().unwrap(),
            ingest: String::new(),
            read: String::new(),
            metrics: String::new(),
        };
        site.ingest = site.token("ingest");
        site.read = site.token("read");
        site.metrics = site.token("metrics");
        site
    }

    /// A command on the log, with its own cache directory.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary());
        command.envs(self.environment.iter().cloned());
        command.env("ANNALS_DATABASE_URL", &self.database_url).env("ANNALS_OBJECTS", &self.objects);
        command.env("ANNALS_DATA", self.root.path().join(name));
        command
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.command("operator").args(args).arg("--json").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("annals {args:?}: {error} in {text}{}", String::from_utf8_lossy(&output.stderr))
        })
    }

    fn token(&self, kind: &str) -> String {
        let reply = self.json(&["token", "create", "--kind", kind, "--name", kind]);
        reply["token"].as_str().unwrap().to_owned()
    }

    fn replica(&self, number: usize, crash_at: &str) -> Server {
        let name = format!("replica-{number}");
        let mut command = self.command(&name);
        command.env("ANNALS_SEGMENT_EVENTS", "256").env("ANNALS_CRASH_AT", crash_at);
        Server::start_with(command, &self.root.path().join(name))
    }
}

fn batch(first: u64) -> (Vec<String>, String) {
    let ids: Vec<String> =
        (first..first + BATCH).map(|n| uuid::Uuid::from_u128(u128::from(n)).to_string()).collect();
    let body = ids
        .iter()
        .map(|id| {
            format!(r#"{{"id":"{id}","action":"write","resource_type":"template","resource_target":"{id}"}}"#)
        })
        .collect::<Vec<_>>()
        .join("\n");
    (ids, body)
}

/// Sends batches to the replicas in turn, each until some replica acknowledged it, and checks that another replica shows
/// what was acknowledged.
async fn produce(
    replicas: Vec<Client>,
    readers: Vec<Client>,
    next: Arc<AtomicU64>,
    batches: u64,
) -> HashMap<String, u64> {
    let mut acknowledged = HashMap::new();
    for _ in 0..batches {
        let first = next.fetch_add(BATCH, Ordering::Relaxed);
        let (ids, body) = batch(first);
        let until = Instant::now() + Duration::from_secs(180);
        let (mut at, reply) = (
            usize::try_from(first / BATCH).unwrap(),
            loop {
                static TURN: AtomicU64 = AtomicU64::new(0);
                let turn = usize::try_from(TURN.fetch_add(1, Ordering::Relaxed)).unwrap();
                match replicas[turn % replicas.len()].append_ndjson(body.clone(), false).await {
                    Ok(reply) => break reply,
                    Err(error) => assert!(Instant::now() < until, "nobody took a batch: {error}"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            },
        );
        for event in reply["events"].as_array().unwrap() {
            acknowledged.insert(event["id"].as_str().unwrap().to_owned(), event["seq"].as_u64().unwrap());
        }
        // Whichever replica answers, it knows what was acknowledged.
        loop {
            at += 1;
            let last = ids.last().unwrap();
            match readers[at % readers.len()].search(&format!("id:{last}"), 1, 0).await {
                Ok(found) => {
                    assert_eq!(
                        found["count"], 1,
                        "{last} was acknowledged, another replica does not show it"
                    );
                    break;
                }
                Err(error) => assert!(Instant::now() < until, "nobody answers: {error}"),
            }
        }
    }
    acknowledged
}

struct Test {
    site: Site,
    servers: Vec<Option<Server>>,
    runtime: Runtime,
    next: Arc<AtomicU64>,
    acknowledged: HashMap<String, u64>,
}

impl Test {
    fn clients(&self, token: &str) -> Vec<Client> {
        self.servers.iter().flatten().map(|server| Client::new(&server.url, token).unwrap()).collect()
    }

    /// Sends batches from one producer a replica while something happens.
    fn produce_while(&mut self, batches: u64, happening: impl FnOnce()) {
        let (replicas, readers) = (self.clients(&self.site.ingest), self.clients(&self.site.read));
        let producers: Vec<_> = (0..REPLICAS)
            .map(|_| {
                let next = Arc::clone(&self.next);
                self.runtime.spawn(produce(replicas.clone(), readers.clone(), next, batches))
            })
            .collect();
        happening();
        for producer in producers {
            self.acknowledged.extend(self.runtime.block_on(producer).unwrap());
        }
    }

    fn sealed(&self) -> u64 {
        self.metric("annals_log_events") - self.metric("annals_tail_events")
    }

    /// The sum of a metric over the replicas for counters; for gauges of the log every replica says the same.
    fn metric(&self, name: &str) -> u64 {
        let values = self.servers.iter().flatten().map(|server| {
            let request = reqwest::Client::new()
                .get(format!("{}/metrics", server.url))
                .bearer_auth(&self.site.metrics)
                .send();
            let text = self.runtime.block_on(async { request.await.unwrap().text().await.unwrap() });
            let line = text.lines().find(|line| line.split(' ').next() == Some(name));
            line.unwrap_or_else(|| panic!("no {name} in {text}"))
                .split(' ')
                .nth(1)
                .unwrap()
                .parse::<u64>()
                .unwrap()
        });
        if name.ends_with("_total") { values.sum() } else { values.max().unwrap() }
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Test) -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !is_so(self) {
            assert!(Instant::now() < until, "{what} did not come");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn three_replicas_lose_nothing() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let postgres = Postgres::start_private();
    let mut s3 = S3::start();
    let site = Site::new(&postgres, &s3.url(), s3.env());
    let servers = (0..REPLICAS).map(|number| Some(site.replica(number, ""))).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut test =
        Test { site, servers, runtime, next: Arc::new(AtomicU64::new(1)), acknowledged: HashMap::new() };

    // All take events and read each other's; somebody seals.
    test.produce_while(12, || {});
    test.wait_until("sealing", |test| test.sealed() >= 1_024);

    // One is killed in the middle of each step of sealing, while the others go on.
    for point in
        ["seal: before the object", "seal: object written", "seal: published", "seal: rows discarded"]
    {
        // The others leave the lease to the one that will fall.
        for number in 0..REPLICAS {
            test.servers[number] = None;
        }
        test.servers[0] = Some(test.site.replica(0, point));
        let mut falling = test.servers[0].take().unwrap();
        let falling_client = Client::new(&falling.url, &test.site.ingest).unwrap();
        let next = test.next.fetch_add(BATCH * 200, Ordering::Relaxed);
        // It dies as soon as 256 events wait; what it acknowledged must be there all the same.
        let taken = test.runtime.block_on(async {
            let mut taken = HashMap::new();
            for n in 0..200 {
                let Ok(reply) = falling_client.append_ndjson(batch(next + n * BATCH).1, false).await else {
                    break;
                };
                for event in reply["events"].as_array().unwrap() {
                    taken.insert(event["id"].as_str().unwrap().to_owned(), event["seq"].as_u64().unwrap());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            taken
        });
        assert!(!falling.ended_well(), "{point}: it did not stop there");
        test.acknowledged.extend(taken);
        for number in 0..REPLICAS {
            test.servers[number] = Some(test.site.replica(number, ""));
        }
        test.produce_while(2, || {});
    }

    // PostgreSQL restarts under load.
    test.produce_while(10, || {
        std::thread::sleep(Duration::from_millis(200));
        postgres.restart();
    });

    // The object store is away: events are taken all the same, sealing waits and says so.
    let (sealed, failures) = (test.sealed(), test.metric("annals_seal_failures_total"));
    s3.stop();
    test.produce_while(10, || {});
    test.wait_until("an error of the store", |test| test.metric("annals_object_store_errors_total") > 0);
    test.wait_until("a failure to seal", |test| test.metric("annals_seal_failures_total") > failures);
    test.wait_until("the lag of sealing", |test| test.metric("annals_sealing_lag_seconds") > 0);
    s3.start_again();
    test.wait_until("sealing", |test| test.sealed() > sealed + 512);
    test.wait_until("the end of the lag", |test| test.metric("annals_sealing_lag_seconds") == 0);

    check_everything(test);
}

/// No id twice, no seq twice or left out, every acknowledged event under its seq, and a whole tree.
fn check_everything(mut test: Test) {
    let reader = test.clients(&test.site.read).remove(0);
    let (mut ids, mut seqs) = (HashMap::new(), HashSet::new());
    let mut offset = 0;
    let count = loop {
        // A replica that met the store while it was away may say so once more.
        let until = Instant::now() + Duration::from_secs(30);
        let page = loop {
            match test.runtime.block_on(reader.search("", 1_000, offset)) {
                Ok(page) => break page,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let events = page["audit_logs"].as_array().unwrap();
        for event in events {
            let (id, seq) = (event["id"].as_str().unwrap().to_owned(), event["seq"].as_u64().unwrap());
            assert!(seqs.insert(seq), "seq {seq} is used twice");
            assert!(ids.insert(id.clone(), seq).is_none(), "{id} is there twice");
        }
        offset += 1_000;
        if events.len() < 1_000 {
            break page["count"].as_u64().unwrap();
        }
    };
    assert_eq!(seqs.len() as u64, count);
    for (id, seq) in &test.acknowledged {
        assert_eq!(ids.get(id), Some(seq), "{id} was acknowledged");
    }
    assert!(test.acknowledged.len() > 3_000, "the test tested little: {}", test.acknowledged.len());
    test.servers.clear();
    // Results leave out who read the log; whoever asks in place is not recorded.
    let reads = test.site.json(&["search", "resource_type:audit_log", "--limit", "1000"]);
    for event in reads["audit_logs"].as_array().unwrap() {
        assert!(seqs.insert(event["seq"].as_u64().unwrap()), "a read is found as something else too");
    }
    let count = count + reads["count"].as_u64().unwrap();
    assert_eq!((seqs.len() as u64, seqs.iter().max().copied()), (count, Some(count - 1)), "seqs are dense");
    let report = test.site.json(&["verify"]);
    assert_eq!((&report["good"], report["events"].as_u64()), (&Value::Bool(true), Some(count)), "{report}");
    assert!(Path::new(&test.site.root.path().join("replica-0/cache")).exists(), "indexes are cached");
}

fn holds_the_name(bytes: &[u8]) -> bool {
    bytes.windows(16).any(|window| window == b"demo-zebraquagga")
}

#[test]
fn an_erasure_reaches_every_replica_and_the_bucket() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let (postgres, s3) = (Postgres::start_private(), VersionedS3::start());
    let site = Site::new(&postgres, &s3.url(), s3.env());
    let runtime = Runtime::new().unwrap();
    let events = |range: std::ops::Range<usize>| {
        let event = |n: usize| {
            let who = ["demo-zebraquagga", "demo-other"][n % 2];
            format!(
                r#"{{"action":"write","resource_type":"template","resource_target":"t-{n}","source":"demo-producer","source_seq":{n},"user":{{"id":"person-{}","username":"{who}"}}}}"#,
                n % 2
            )
        };
        range.map(event).collect::<Vec<_>>().join("\n")
    };
    let servers = [site.replica(0, ""), site.replica(1, "")];
    let count = |server: &Server, query: &str| {
        let client = Client::new(&server.url, &site.read).unwrap();
        runtime.block_on(client.search(query, 1, 0)).unwrap()["count"].as_u64().unwrap()
    };
    let send = |server: &Server, body: String| {
        let client = Client::new(&server.url, &site.ingest).unwrap();
        runtime.block_on(client.append_ndjson(body, false)).unwrap();
    };
    send(&servers[0], events(0..600));
    send(&servers[1], events(600..700));
    // Until both have the sealed part open, and its index with the names in their caches.
    let until = Instant::now() + Duration::from_secs(60);
    let has = |number: usize| {
        let cache = site.root.path().join(format!("replica-{number}/cache"));
        let files =
            std::fs::read_dir(&cache).map(|files| files.map(|file| file.unwrap().path()).collect::<Vec<_>>());
        let holds = |file: &std::path::PathBuf| holds_the_name(&std::fs::read(file).unwrap());
        files.unwrap_or_default().iter().any(holds)
    };
    while !(has(0) && has(1)) {
        assert!(Instant::now() < until, "nothing was sealed");
        assert_eq!(count(&servers[0], "username:demo-zebraquagga"), 350);
        assert_eq!(count(&servers[1], "username:demo-zebraquagga"), 350);
        std::thread::sleep(Duration::from_millis(200));
    }
    // What a bucket may keep besides: a segment that was sent twice, and one that was merged away.
    let sealed = s3.versions();
    let (segment, bytes) = (sealed[0].split(' ').next().unwrap(), s3.bytes(&sealed[0]));
    s3.put(segment, &bytes);
    let merged = format!("{}00000000.parquet", &segment[..segment.len() - "00000000.parquet".len()]);
    s3.put(&merged, &bytes);
    s3.delete(&merged);
    let kept = s3.versions();
    assert!(
        kept.len() >= sealed.len() + 3 && kept.iter().any(|version| version.ends_with("deleted")),
        "{kept:?}"
    );
    assert!(holds_the_name(&bytes), "{segment}");
    let report = site.json(&["erase", "--subject", "demo-zebraquagga", "--reason", "request 1", "--yes"]);
    assert_eq!(report["older_versions_forgotten"], true, "{report}");
    // Also the recorded queries that name the person.
    assert!(report["openings"].as_u64().unwrap() > 350, "{report}");
    let erased = report["openings"].clone();
    for (number, server) in servers.iter().enumerate() {
        assert_eq!(count(server, "username:demo-zebraquagga"), 0);
        assert_eq!(count(server, "username:demo-other"), 350);
        assert!(!has(number), "replica {number} keeps the name in its cache");
    }
    let left = s3.versions();
    assert!(!left.iter().any(|version| version.starts_with(&merged)), "{left:?}");
    for version in &left {
        assert!(
            !version.ends_with("deleted") && !holds_the_name(&s3.bytes(version)),
            "{version} of {left:?}"
        );
    }
    // Both take events and sign or leave the signing to the other, as before.
    send(&servers[1], events(700..704));
    let id = {
        let client = Client::new(&servers[1].url, &site.read).unwrap();
        let found = runtime.block_on(client.search("resource_target:t-703", 1, 0)).unwrap();
        found["audit_logs"][0]["id"].as_str().unwrap().to_owned()
    };
    for server in &servers {
        let client = Client::new(&server.url, &site.read).unwrap();
        let receipt = runtime.block_on(client.receipt(&id)).unwrap();
        assert!(receipt.starts_with("c2sp.org/tlog-proof@v1\n"), "{receipt}");
    }
    let sources = site.json(&["sources"]);
    assert_eq!(
        (&sources[0]["missing"], &sources[0]["last_source_seq"]),
        (&0.into(), &703.into()),
        "{sources}"
    );
    drop(servers);
    let report = site.json(&["verify", "--full"]);
    assert_eq!((&report["result"], &report["gone"]), (&"good".into(), &erased), "{report}");
    let keys = (0..2).filter(|number| site.root.path().join(format!("replica-{number}/key/key")).exists());
    assert_eq!(keys.count(), 1, "of two first starts one makes the key");
}
