//! Benchmarks of Annals, and a deterministic generator of events like those of a Coder deployment: about 1 KB of JSON each, few
//! users and resources that do most (Zipf), one time in a hundred late.

pub mod curves;
pub mod log;
pub mod measure;
pub mod peers;
pub mod results;
pub mod row;
pub mod search;
pub mod server;
pub mod shapes;

use std::fmt::Write as _;

/// A generator whose events depend on its seed alone.
#[derive(Debug, Clone)]
pub struct Generator {
    state: u64,
    next: u64,
    users: Zipf,
    workspaces: Zipf,
    templates: Zipf,
}

/// Users of all events.
pub const USERS: usize = 2_000;
/// Organizations of all events.
pub const ORGANIZATIONS: u64 = 3;
const WORKSPACES: usize = 50_000;
const TEMPLATES: usize = 400;
/// Microseconds since 1970 of 2026-01-01; events come 250 ms apart.
const FIRST_US: i64 = 1_767_225_600_000_000;
const STEP_US: i64 = 250_000;

/// Type, action and weight in ten thousand. The last three are rare on purpose: a search for them finds few of many.
const SHAPES: [(&str, &str, u32); 17] = [
    ("workspace_build", "start", 2_200),
    ("workspace_build", "stop", 2_000),
    ("workspace", "connect", 1_400),
    ("workspace", "write", 800),
    ("workspace", "create", 400),
    ("workspace", "delete", 200),
    ("api_key", "login", 1_200),
    ("api_key", "create", 300),
    ("template", "write", 500),
    ("template_version", "create", 400),
    ("user", "write", 200),
    ("user", "create", 100),
    ("group", "write", 200),
    ("git_ssh_key", "write", 100),
    ("template", "delete", 3),
    ("user", "delete", 3),
    ("group", "delete", 2),
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0",
    "Terraform/1.14.0 (+https://www.terraform.io) terraform-provider-coderd/0.1",
];

impl Generator {
    /// A generator for a seed.
    pub fn new(seed: u64) -> Generator {
        Generator {
            state: seed ^ 0x9E37_79B9_7F4A_7C15,
            next: 0,
            users: Zipf::new(USERS),
            workspaces: Zipf::new(WORKSPACES),
            templates: Zipf::new(TEMPLATES),
        }
    }

    /// A generator whose events come after those of a log.
    pub fn beginning_at(seed: u64, event: u64) -> Generator {
        Generator { next: event, ..Generator::new(seed) }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random() % limit
    }

    fn uuid_of(kind: u64, n: u64) -> uuid::Uuid {
        let mix = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ kind.wrapping_mul(0xD1B5_4A32_D192_ED03);
        {
            let pair = (u128::from(mix) << 64) | u128::from(mix.rotate_left(29) ^ n);
            uuid::Builder::from_u128(pair).with_version(uuid::Version::Random).into_uuid()
        }
    }

    /// Id of a workspace by its rank: the larger, the rarer.
    pub fn workspace_id(rank: u64) -> String {
        Generator::uuid_of(6, rank).to_string()
    }

    /// Id of a user by rank.
    pub fn user_id(rank: u64) -> String {
        Generator::uuid_of(1, rank).to_string()
    }

    /// Id of an organization by rank.
    pub fn organization_id(rank: u64) -> String {
        Generator::uuid_of(2, rank).to_string()
    }

    /// Types and actions that occur.
    pub fn kinds_and_actions() -> impl Iterator<Item = (&'static str, &'static str)> {
        SHAPES.into_iter().map(|(kind, action, _)| (kind, action))
    }

    /// When the first and the last of so many events happened, microseconds since 1970, late ones aside.
    pub fn span_us(events: u64) -> (i64, i64) {
        (FIRST_US, FIRST_US + i64::try_from(events).unwrap_or(i64::MAX / STEP_US) * STEP_US)
    }

    /// Appends the next event as one line of JSON.
    pub fn push_event(&mut self, out: &mut String) {
        let number = self.next;
        self.next += 1;
        let mut time_us = FIRST_US + i64::try_from(number).unwrap_or(0) * STEP_US;
        if self.below(100) == 0 {
            // Late: up to a day.
            time_us -= i64::try_from(self.below(86_400)).unwrap_or(0) * 1_000_000;
        }
        let total: u32 = SHAPES.iter().map(|(_, _, weight)| weight).sum();
        let mut pick = u32::try_from(self.below(u64::from(total))).unwrap_or(0);
        let (kind, action, _) = SHAPES
            .into_iter()
            .find(|(_, _, weight)| {
                let here = pick < *weight;
                pick = pick.wrapping_sub(*weight);
                here
            })
            .unwrap_or(SHAPES[0]);
        let (user_random, workspace_random, template_random) = (self.random(), self.random(), self.random());
        let user = self.users.pick(user_random);
        let workspace = self.workspaces.pick(workspace_random);
        let template = self.templates.pick(template_random);
        let status = match self.below(100) {
            0..=1 => 403,
            2 => 500,
            _ if action == "create" => 201,
            _ => 200,
        };
        let millis = u64::try_from(time_us / 1_000).unwrap_or(0);
        let random: [u8; 8] = self.random().to_be_bytes();
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&random);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
        let request = self.random();
        let time = annals_model::time::Time::from_micros_saturating(time_us);
        let organization = user % ORGANIZATIONS;
        let _ = write!(
            out,
            r#"{{"id":"{id}","time":"{time}","user":{{"id":"{}","username":"demo-user-{user}","email":"demo-user-{user}@example.test","name":"Demo User {user}","roles":["member"]}},"organization":{{"id":"{}","name":"org-{organization}","display_name":"Organization {organization}"}},"ip":"10.{}.{}.{}","user_agent":"{}","request_id":"{}","action":"{action}","resource_type":"{kind}","status_code":{status}"#,
            Generator::uuid_of(1, user),
            Generator::uuid_of(2, organization),
            20 + user % 4,
            user / 250 % 250,
            user % 250,
            AGENTS[(user % 4) as usize],
            Generator::uuid_of(3, request),
        );
        match kind {
            "workspace_build" => {
                let _ = write!(
                    out,
                    r#","resource_id":"{}","resource_target":"","build_reason":"{}","before":{{"template_version_id":"{}"}},"after":{{"template_version_id":"{}"}},"additional_fields":{{"workspace_name":"workspace-{workspace}","build_number":"{}","build_reason":"initiator","workspace_owner":"demo-user-{user}","workspace_id":"{}"}}"#,
                    Generator::uuid_of(4, number),
                    if number.is_multiple_of(5) { "autostart" } else { "initiator" },
                    Generator::uuid_of(5, template),
                    Generator::uuid_of(5, template + number % 2),
                    1 + number % 90,
                    Generator::uuid_of(6, workspace),
                );
            }
            "workspace" => {
                let _ = write!(
                    out,
                    r#","resource_id":"{}","resource_target":"workspace-{workspace}","before":{{"name":"workspace-{workspace}","autostart_schedule":"CRON_TZ=UTC 30 9 * * 1-5","ttl":{},"template_id":"{}"}},"after":{{"name":"workspace-{workspace}","autostart_schedule":"CRON_TZ=UTC 0 8 * * 1-5","ttl":{},"template_id":"{}"}}"#,
                    Generator::uuid_of(6, workspace),
                    28_800_000_000_000u64,
                    Generator::uuid_of(7, template),
                    43_200_000_000_000u64,
                    Generator::uuid_of(7, template),
                );
            }
            "template" | "template_version" => {
                let _ = write!(
                    out,
                    r#","resource_id":"{}","resource_target":"template-{template}","before":{{"name":"template-{template}","description":"Containers on the shared build hosts, {} vCPU and 8 GB, stopped when idle"}},"after":{{"name":"template-{template}","description":"Containers on the dedicated build hosts, {} vCPU and 8 GB, stopped when idle"}}"#,
                    Generator::uuid_of(7, template),
                    2 + number % 3,
                    3 + number % 3,
                );
            }
            _ => {
                let _ = write!(
                    out,
                    r#","resource_id":"{}","resource_target":"demo-user-{user}","additional_fields":{{"client":"dashboard","session":"{}","note":"one of many sign-ins and changes of this account"}}"#,
                    Generator::uuid_of(1, user),
                    Generator::uuid_of(8, request),
                );
            }
        }
        out.push_str("}\n");
    }

    /// Returns a batch as lines of JSON.
    pub fn batch(&mut self, events: usize) -> String {
        let mut out = String::with_capacity(events * 1_100);
        for _ in 0..events {
            self.push_event(&mut out);
        }
        out
    }
}

/// Rank `r` is picked with weight 1/(r+1).
#[derive(Debug, Clone)]
struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new(count: usize) -> Zipf {
        let mut sum = 0.0;
        let cumulative = (1..=count)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        Zipf { cumulative }
    }

    fn pick(&self, random: u64) -> u64 {
        let total = self.cumulative.last().copied().unwrap_or(1.0);
        let at = (random >> 11) as f64 / (1u64 << 53) as f64 * total;
        self.cumulative.partition_point(|sum| *sum < at) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_events_and_all_are_taken() {
        let batch = Generator::new(7).batch(500);
        assert_eq!(batch, Generator::new(7).batch(500));
        let bytes = batch.len() / 500;
        assert!((850..1_150).contains(&bytes), "{bytes} bytes an event");
        let dir = tempfile::tempdir().unwrap();
        let engine = annals_engine::Engine::create_or_open(dir.path(), Default::default()).unwrap();
        let operator = annals_engine::Principal::operator();
        let pending =
            engine.append(&operator, batch.as_bytes(), annals_engine::PartialBatch::Refuse).unwrap();
        assert_eq!(pending.wait_blocking().unwrap().accepted, 500);
    }
}
