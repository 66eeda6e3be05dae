//! A simulated deployment: people, templates, workspaces and what happens to them.
//!
//! Pure: time comes in as an argument, chance from a seed. The same seed and the same span give the same events. State is
//! kept, so that only what exists is changed, and what was deleted does not come back.

use std::collections::BTreeMap;

use annals_model::registry::Registry;
use annals_model::time::Time;
use serde_json::{Value, json};

use super::names;
use super::random::Random;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;
const HOUR_NS: i64 = 3_600_000_000_000;

/// How busy a working day is by the hour of the day there.
const WORK_BY_HOUR: [u64; 24] =
    [0, 0, 0, 0, 0, 0, 1, 5, 14, 20, 22, 19, 11, 16, 21, 20, 17, 11, 6, 3, 2, 2, 1, 0];
/// Events that one activity makes, times 100, as measured over long histories.
const EVENTS_PER_ACTIVITY_PERCENT: u64 = 200;

/// An event in the wire form and when it happens.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SimulatedEvent {
    /// Microseconds since 1970.
    pub(super) time_us: i64,
    /// One line of JSON.
    pub(super) line: String,
}

/// A deployment.
#[derive(Debug)]
pub(super) struct Simulation {
    random: Random,
    now_us: i64,
    /// Follow-ups come at once rather than after a minute: what is shown live has happened.
    is_live: bool,
    events: Vec<(i64, Value)>,
    source_seq: u64,
    organizations: Vec<Organization>,
    users: Vec<User>,
    templates: Vec<Template>,
    workspaces: Vec<Workspace>,
    groups: Vec<Group>,
    tokens: Vec<Owned>,
    secrets: Vec<Owned>,
    dev_urls: Vec<Owned>,
    providers: Vec<Provider>,
    images: Vec<(String, String)>,
    settings: Vec<SettingState>,
    user_count: usize,
    template_count: usize,
    license_count: u64,
}

#[derive(Debug)]
struct Organization {
    id: String,
    name: &'static str,
    display_name: &'static str,
    utc_offset_hours: i64,
}

#[derive(Debug, Clone)]
struct User {
    id: String,
    username: String,
    name: String,
    organization: usize,
    roles: Vec<&'static str>,
    member_roles: Vec<&'static str>,
    status: &'static str,
    is_deleted: bool,
    is_service: bool,
    ip: String,
    user_agent: &'static str,
    key: String,
    password: String,
}

#[derive(Debug, Clone)]
struct Template {
    id: String,
    name: String,
    display_name: String,
    icon: &'static str,
    organization: usize,
    version_id: String,
    version_count: u64,
    description: String,
    default_ttl: i64,
    author: usize,
    is_deleted: bool,
}

#[derive(Debug, Clone)]
struct Workspace {
    id: String,
    name: String,
    owner: usize,
    template: usize,
    build_count: u64,
    ttl: i64,
    autostart: Option<&'static str>,
    is_running: bool,
    is_dormant: bool,
    is_deleted: bool,
    settled_us: i64,
}

#[derive(Debug, Clone)]
struct Group {
    id: String,
    name: &'static str,
    organization: usize,
    members: Vec<usize>,
    quota: i64,
}

/// A token, secret or dev URL.
#[derive(Debug, Clone)]
struct Owned {
    id: String,
    name: String,
    owner: usize,
    settled_us: i64,
}

#[derive(Debug)]
struct Provider {
    id: String,
    name: &'static str,
    is_cordoned: bool,
}

#[derive(Debug)]
struct SettingState {
    target: String,
    field: String,
    example: String,
    value: Value,
}

/// Who acts, from where.
enum Actor {
    User(usize),
    UserWith(usize, &'static str),
    System,
    Nobody { ip: String, user_agent: &'static str },
}

/// Something that people do now and then.
type Activity = fn(&mut Simulation);

/// What people do, and how often compared with each other.
const ACTIVITIES: [(u64, Activity); 25] = [
    (170, Simulation::connect),
    (150, Simulation::start_or_stop),
    (120, Simulation::log_in_or_out),
    (45, Simulation::create_workspace),
    (45, Simulation::push_template_version),
    (40, Simulation::change_workspace),
    (38, Simulation::use_secret),
    (34, Simulation::use_dev_url),
    (30, Simulation::be_denied),
    (28, Simulation::change_template),
    (24, Simulation::mistype_password),
    (24, Simulation::delete_workspace),
    (22, Simulation::use_token),
    (22, Simulation::queue_job),
    (20, Simulation::fail),
    (16, Simulation::change_group),
    (14, Simulation::publish_image),
    (13, Simulation::change_member),
    (9, Simulation::create_user),
    (8, Simulation::change_key),
    (8, Simulation::impersonate),
    (7, Simulation::suspend_or_activate_user),
    (6, Simulation::change_provider),
    (4, Simulation::delete_user),
    (4, Simulation::create_template),
];

impl Simulation {
    /// A deployment of a few dozen people, from a seed.
    pub(super) fn new(seed: u64) -> Simulation {
        let registry = Registry::built_in();
        let mut simulation = Simulation {
            random: Random::new(seed),
            now_us: 0,
            is_live: false,
            events: Vec::new(),
            source_seq: 0,
            organizations: Vec::new(),
            users: Vec::new(),
            templates: Vec::new(),
            workspaces: Vec::new(),
            groups: Vec::new(),
            tokens: Vec::new(),
            secrets: Vec::new(),
            dev_urls: Vec::new(),
            providers: Vec::new(),
            images: Vec::new(),
            settings: Vec::new(),
            user_count: 0,
            template_count: 0,
            license_count: 0,
        };
        for (name, display_name, utc_offset_hours) in names::ORGANIZATIONS {
            let id = simulation.random.uuid();
            simulation.organizations.push(Organization { id, name, display_name, utc_offset_hours });
        }
        simulation.add_user("demo-admin", 0, vec!["owner"]);
        simulation.add_user("demo-lead", 0, vec!["template-admin", "user-admin"]);
        simulation.add_user("demo-lead-fabrikam", 1, vec!["template-admin", "user-admin"]);
        simulation.add_user("demo-ci", 0, vec!["template-admin"]);
        let ci = simulation.users.len() - 1;
        simulation.users[ci].is_service = true;
        simulation.users[ci].user_agent = names::PIPELINE;
        simulation.users[ci].ip = "10.20.0.12".to_owned();
        for organization in [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2] {
            simulation.add_developer(organization);
        }
        for (organization, name, display_name, icon) in names::TEMPLATES {
            let template = simulation.new_template(organization, name, display_name, icon);
            simulation.templates.push(template);
        }
        for (organization, name) in names::GROUPS {
            let members: Vec<usize> = simulation
                .indexes(|user| user.organization == organization && !user.is_service)
                .into_iter()
                .filter(|index| index % 2 == 0)
                .collect();
            let id = simulation.random.uuid();
            simulation.groups.push(Group { id, name, organization, members, quota: 20 });
        }
        for name in names::PROVIDERS {
            let id = simulation.random.uuid();
            simulation.providers.push(Provider { id, name, is_cordoned: false });
        }
        simulation.settings = registry
            .settings()
            .map(|setting| SettingState {
                target: setting.target.clone(),
                field: setting.field.clone(),
                example: setting.diff.clone(),
                value: Value::Null,
            })
            .collect();
        for setting in &mut simulation.settings {
            let (hex, flip) = (simulation.random.hex(20), simulation.random.chance(50));
            let first = new_value(setting, &hex, flip);
            setting.value = if first.is_boolean() { flip.into() } else { first };
        }
        simulation
    }

    /// What happened in the `days` before `end_us`: about `event_count` events, in the order of their times.
    pub(super) fn history(&mut self, end_us: i64, days: u32, event_count: u32) -> Vec<SimulatedEvent> {
        let start_us = end_us - i64::from(days) * DAY_US;
        let hours = i64::from(days) * 24;
        let mut weight_left: u64 = (0..hours).map(|hour| self.work_at(start_us + hour * HOUR_US)).sum();
        self.now_us = start_us;
        self.set_up();
        let ready_us = self.now_us;
        let setting_count = self.settings.len() as i64;
        let mut done_settings = 0;
        // Activities due, in thousandths: an hour gets a part of one.
        let mut due_permille = 0;
        for hour in 0..hours {
            let hour_us = start_us + hour * HOUR_US;
            let work = self.work_at(hour_us);
            // Automation makes events too, so what is still to come is reckoned anew each hour.
            let events_left = u64::from(event_count).saturating_sub(self.events.len() as u64);
            due_permille += events_left * work * 100_000 / (EVENTS_PER_ACTIVITY_PERCENT * weight_left.max(1));
            weight_left = weight_left.saturating_sub(work);
            let count = due_permille / 1_000;
            due_permille %= 1_000;
            let mut times: Vec<i64> =
                (0..count).map(|_| hour_us + self.random.between(0, HOUR_US - 1)).collect();
            times.sort_unstable();
            for time_us in times {
                self.now_us = time_us.max(ready_us);
                self.do_something();
            }
            self.now_us = (hour_us + self.random.between(0, 20 * MINUTE_US)).max(ready_us);
            self.run_schedules();
            // Each admin setting changes at least once, the first time in the order of the panels.
            while done_settings < setting_count && hour * setting_count >= done_settings * hours {
                self.change_setting(usize::try_from(done_settings).unwrap_or(0));
                done_settings += 1;
            }
            if hour % (24 * 13) == 24 * 4 + 3 {
                self.guess_passwords();
            }
        }
        self.take_events(end_us)
    }

    /// Something that happens at `time_us`.
    pub(super) fn live(&mut self, time_us: i64) -> Vec<SimulatedEvent> {
        self.is_live = true;
        self.now_us = time_us;
        // An activity may find nothing to do, such as nobody to be suspended.
        for _ in 0..100 {
            self.do_something();
            if !self.events.is_empty() {
                break;
            }
        }
        self.take_events(time_us)
    }

    fn take_events(&mut self, end_us: i64) -> Vec<SimulatedEvent> {
        let mut events = std::mem::take(&mut self.events);
        for (time_us, _) in &mut events {
            *time_us = (*time_us).min(end_us);
        }
        events.sort_by_key(|(time_us, _)| *time_us);
        let finish = |(time_us, mut event): (i64, Value)| {
            event["id"] = self.random.uuid_at(time_us).into();
            event["time"] = Time::from_micros_saturating(time_us).to_string().into();
            event["source"] = "demo-deployment".into();
            event["source_seq"] = self.source_seq.into();
            self.source_seq += 1;
            SimulatedEvent { time_us, line: event.to_string() }
        };
        events.into_iter().map(finish).collect()
    }

    /// How much is going on, all organizations together.
    fn work_at(&self, time_us: i64) -> u64 {
        self.organizations.iter().map(|organization| work_in(organization, time_us)).sum::<u64>() + 1
    }

    fn do_something(&mut self) {
        let total: u64 = ACTIVITIES.iter().map(|(weight, _)| weight).sum();
        let mut at = self.random.below(total);
        for (weight, activity) in ACTIVITIES {
            if at < weight {
                return activity(self);
            }
            at -= weight;
        }
    }

    // People and things that exist now.

    fn indexes(&self, wanted: impl Fn(&User) -> bool) -> Vec<usize> {
        let usable = |user: &User| !user.is_deleted && user.status == "active" && wanted(user);
        (0..self.users.len()).filter(|index| usable(&self.users[*index])).collect()
    }

    /// Someone at work at this hour; rarely someone else.
    fn worker(&mut self) -> usize {
        let people = self.indexes(|user| !user.is_service && user.username != "demo-admin");
        let weight = |index: &usize| {
            2 * work_in(&self.organizations[self.users[*index].organization], self.now_us) + 1
        };
        let weights: Vec<u64> = people.iter().map(weight).collect();
        let mut at = self.random.below(weights.iter().sum());
        for (index, weight) in people.iter().zip(weights) {
            if at < weight {
                return *index;
            }
            at -= weight;
        }
        0
    }

    /// Whether an organization can spare someone.
    fn has_people_to_spare(&self, organization: usize) -> bool {
        self.indexes(|user| user.organization == organization && user.roles.is_empty()).len() > 2
    }

    /// Someone who manages an organization.
    fn manager(&mut self, organization: usize) -> usize {
        if self.random.chance(30) { 0 } else { usize::from(organization == 1) + 1 }
    }

    fn template_of(&mut self, organization: usize) -> Option<usize> {
        let templates: Vec<usize> = (0..self.templates.len())
            .filter(|index| {
                self.templates[*index].organization == organization && !self.templates[*index].is_deleted
            })
            .collect();
        (!templates.is_empty()).then(|| templates[self.random.index(templates.len())])
    }

    fn workspace(&mut self, wanted: impl Fn(&Workspace) -> bool) -> Option<usize> {
        let now_us = self.now_us;
        let usable = |workspace: &Workspace| {
            !workspace.is_deleted && workspace.settled_us <= now_us && wanted(workspace)
        };
        let found: Vec<usize> =
            (0..self.workspaces.len()).filter(|index| usable(&self.workspaces[*index])).collect();
        (!found.is_empty()).then(|| found[self.random.index(found.len())])
    }

    /// A workspace of someone at work.
    fn workspace_of_worker(&mut self, is_running: bool) -> Option<usize> {
        let worker = self.worker();
        let users = &self.users;
        let organization = users[worker].organization;
        let near: Vec<bool> =
            users.iter().map(|user| user.organization == organization && user.status == "active").collect();
        self.workspace(|workspace| workspace.owner == worker && workspace.is_running == is_running).or_else(
            || self.workspace(|workspace| near[workspace.owner] && workspace.is_running == is_running),
        )
    }

    // Making events.

    /// Time that passes before what follows from the last event.
    fn wait(&mut self, from_seconds: i64, to_seconds: i64) {
        self.now_us += match self.is_live {
            true => self.random.between(1_000, 90_000),
            false => self.random.between(from_seconds * SECOND_US, to_seconds * SECOND_US),
        };
    }

    fn record(&mut self, actor: &Actor, organization: Option<usize>, event: Value) {
        let mut event = event;
        match actor {
            Actor::User(index) | Actor::UserWith(index, _) => {
                let user = &self.users[*index];
                event["user"] = actor_json(user);
                if user.is_service {
                    event["actor_type"] = "service".into();
                }
                event["ip"] = user.ip.as_str().into();
                event["user_agent"] = user.user_agent.into();
                if let Actor::UserWith(_, user_agent) = actor {
                    event["user_agent"] = (*user_agent).into();
                }
                event["request_id"] = self.random.uuid().into();
            }
            Actor::System => event["actor_type"] = "system".into(),
            Actor::Nobody { ip, user_agent } => {
                event["actor_type"] = "anonymous".into();
                event["ip"] = ip.as_str().into();
                event["user_agent"] = (*user_agent).into();
                event["request_id"] = self.random.uuid().into();
            }
        }
        if let Some(index) = organization {
            let organization = &self.organizations[index];
            event["organization"] = json!({
                "id": organization.id, "name": organization.name, "display_name": organization.display_name,
            });
        }
        self.events.push((self.now_us, event));
    }

    // The beginning.

    fn set_up(&mut self) {
        let admin = Actor::User(0);
        self.record(&admin, None, {
            let user = &self.users[0];
            json!({"action": "register", "resource_type": "api_key", "resource_id": user.id, "resource_target": user.username, "status_code": 201})
        });
        self.add_license();
        for index in 0..self.organizations.len() {
            self.wait(20, 200);
            let Organization { id, name, display_name, .. } = &self.organizations[index];
            let after =
                json!({"id": id, "name": name, "display_name": display_name, "description": "", "icon": ""});
            let event = json!({"action": "create", "resource_type": "organization", "resource_id": id, "resource_target": name, "status_code": 201, "after": after});
            self.record(&admin, Some(index), event);
        }
        for index in 1..self.users.len() {
            self.wait(10, 120);
            self.record_user("create", 0, index, &Value::Null);
        }
        for index in 0..self.groups.len() {
            self.wait(10, 120);
            let group = self.groups[index].clone();
            let after = self.group_json(&group);
            let event = json!({"action": "create", "resource_type": "group", "resource_id": group.id, "resource_target": group.name, "status_code": 201, "after": after});
            let manager = self.manager(group.organization);
            self.record(&Actor::User(manager), Some(group.organization), event);
        }
        for index in 0..self.providers.len() {
            self.wait(60, 300);
            let event = json!({"action": "create", "resource_type": "workspace_provider", "resource_id": self.providers[index].id, "resource_target": self.providers[index].name, "status_code": 201});
            self.record(&admin, None, event);
        }
        for index in 0..self.templates.len() {
            self.wait(60, 300);
            self.record_new_template(index);
        }
        self.add_oauth_app();
    }

    fn add_license(&mut self) {
        self.wait(60, 120);
        self.license_count += 1;
        let uuid = self.random.uuid();
        let expires = Time::from_micros_saturating(self.now_us + 365 * DAY_US).to_string();
        let after = json!({"id": self.license_count, "uuid": uuid, "uploaded_at": Time::from_micros_saturating(self.now_us).to_string(), "exp": expires, "jwt": self.random.hex(64)});
        let event = json!({"action": "create", "resource_type": "license", "resource_id": uuid, "resource_target": self.license_count.to_string(), "status_code": 201, "after": after});
        self.record(&Actor::User(0), None, event);
    }

    fn add_oauth_app(&mut self) {
        self.wait(60, 120);
        let id = self.random.uuid();
        let after = json!({"id": id, "name": "demo-portal", "icon": "", "callback_url": "https://portal.example.test/callback",
            "client_type": "confidential", "grant_types": ["authorization_code"], "registration_access_token": self.random.hex(40)});
        let event = json!({"action": "create", "resource_type": "oauth2_provider_app", "resource_id": id, "resource_target": "demo-portal", "status_code": 201, "after": after});
        self.record(&Actor::User(0), None, event);
        self.wait(10, 40);
        let suffix = self.random.hex(6);
        let event = json!({"action": "create", "resource_type": "oauth2_provider_app_secret", "resource_id": self.random.uuid(), "resource_target": suffix, "status_code": 201,
            "additional_fields": {"app_id": id}});
        self.record(&Actor::User(0), None, event);
    }

    // People.

    fn add_user(&mut self, username: &str, organization: usize, roles: Vec<&'static str>) -> usize {
        let index = self.users.len();
        // Two networks and an office each; a home address in the documentation range of IPv6 for some.
        let ip = match self.random.below(4) {
            0 => format!("192.0.2.{}", 10 + index % 200),
            1 => format!("198.51.100.{}", 10 + index % 200),
            2 => format!("2001:db8:{organization}::{:x}", 0x100 + index),
            _ => format!("10.20.{}.{}", organization + 1, 20 + index % 200),
        };
        let user = User {
            id: self.random.uuid(),
            username: username.to_owned(),
            name: username.split('-').map(capitalised).collect::<Vec<_>>().join(" "),
            organization,
            roles,
            member_roles: Vec::new(),
            status: "active",
            is_deleted: false,
            is_service: false,
            ip,
            user_agent: names::USER_AGENTS[self.random.index(names::USER_AGENTS.len())],
            key: self.new_key(),
            password: self.random.hex(40),
        };
        self.users.push(user);
        index
    }

    fn add_developer(&mut self, organization: usize) -> usize {
        self.user_count += 1;
        self.add_user(&format!("demo-dev-{}", self.user_count), organization, Vec::new())
    }

    fn new_key(&mut self) -> String {
        format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} demo", self.random.hex(43))
    }

    fn record_user(&mut self, action: &str, by: usize, index: usize, before: &Value) {
        let user = &self.users[index];
        let after = if action == "delete" { Value::Null } else { user_json(user) };
        let status_code = if action == "create" { 201 } else { 200 };
        let event = json!({"action": action, "resource_type": "user", "resource_id": user.id, "resource_target": user.username,
            "status_code": status_code, "before": before, "after": after});
        self.record(&Actor::User(by), None, event);
    }

    fn create_user(&mut self) {
        if self.indexes(|user| !user.is_service).len() > 34 {
            return;
        }
        let worker = self.worker();
        let organization = self.users[worker].organization;
        let index = self.add_developer(organization);
        let manager = self.manager(organization);
        self.record_user("create", manager, index, &Value::Null);
        self.wait(2, 20);
        self.record_member("create", manager, index, &Value::Null);
        self.wait(30, 90);
        let user = &self.users[index];
        let after = json!({"user_id": user.id, "public_key": user.key, "private_key": user.password});
        let event = json!({"action": "create", "resource_type": "git_ssh_key", "resource_id": user.id, "resource_target": user.key, "status_code": 201, "after": after});
        self.record(&Actor::User(index), None, event);
    }

    fn suspend_or_activate_user(&mut self) {
        let suspended = (0..self.users.len()).find(|index| {
            let user = &self.users[*index];
            user.status == "suspended" && !user.is_deleted
        });
        let index = match suspended {
            Some(index) => index,
            None => self.worker(),
        };
        let user = &self.users[index];
        if !user.roles.is_empty() || suspended.is_none() && !self.has_people_to_spare(user.organization) {
            return;
        }
        let before = user_json(&self.users[index]);
        self.users[index].status = if suspended.is_some() { "active" } else { "suspended" };
        let manager = self.manager(self.users[index].organization);
        self.record_user("write", manager, index, &before);
    }

    fn delete_user(&mut self) {
        let index = self.worker();
        if !self.users[index].roles.is_empty()
            || !self.has_people_to_spare(self.users[index].organization)
            || self.is_live
        {
            return;
        }
        let manager = self.manager(self.users[index].organization);
        let workspaces: Vec<usize> = (0..self.workspaces.len())
            .filter(|at| self.workspaces[*at].owner == index && !self.workspaces[*at].is_deleted)
            .collect();
        if workspaces.iter().any(|at| self.workspaces[*at].settled_us > self.now_us) {
            return;
        }
        for at in workspaces {
            self.remove_workspace(at, manager);
        }
        let user = &self.users[index];
        let event = json!({"action": "enqueue", "resource_type": "job", "resource_id": self.random.uuid(), "resource_target": format!("delete user {}", user.username), "status_code": 202});
        self.record(&Actor::User(manager), None, event);
        self.wait(5, 30);
        let before = user_json(&self.users[index]);
        self.record_user("delete", manager, index, &before);
        self.users[index].is_deleted = true;
        for group in &mut self.groups {
            group.members.retain(|member| *member != index);
        }
        self.tokens.retain(|token| token.owner != index);
        self.secrets.retain(|secret| secret.owner != index);
        self.dev_urls.retain(|url| url.owner != index);
    }

    fn record_member(&mut self, action: &str, by: usize, index: usize, before: &Value) {
        let after = self.member_json(index);
        let user = &self.users[index];
        let event = json!({"action": action, "resource_type": "organization_member", "resource_id": user.id, "resource_target": user.username, "status_code": 200, "before": before, "after": after});
        let organization = user.organization;
        self.record(&Actor::User(by), Some(organization), event);
    }

    fn change_member(&mut self) {
        let index = self.worker();
        let before = self.member_json(index);
        let role = self.random.pick(&[
            "organization-auditor",
            "organization-template-admin",
            "organization-workspace-creation-ban",
        ]);
        let roles = &mut self.users[index].member_roles;
        match roles.iter().position(|present| *present == role) {
            Some(at) => drop(roles.remove(at)),
            None => roles.push(role),
        }
        let manager = self.manager(self.users[index].organization);
        self.record_member("write", manager, index, &before);
    }

    fn member_json(&self, index: usize) -> Value {
        let user = &self.users[index];
        json!({"user_id": user.id, "organization_id": self.organizations[user.organization].id, "username": user.username, "roles": user.member_roles})
    }

    fn change_group(&mut self) {
        let at = self.random.index(self.groups.len());
        let organization = self.groups[at].organization;
        let people = self.indexes(|user| user.organization == organization && !user.is_service);
        if people.is_empty() {
            return;
        }
        let before = self.group_json(&self.groups[at]);
        if self.random.chance(20) {
            self.groups[at].quota = self.random.between(1, 8) * 10;
        } else {
            let person = people[self.random.index(people.len())];
            let members = &mut self.groups[at].members;
            match members.iter().position(|member| *member == person) {
                Some(at) => drop(members.remove(at)),
                None => members.push(person),
            }
        }
        let group = &self.groups[at];
        let event = json!({"action": "write", "resource_type": "group", "resource_id": group.id, "resource_target": group.name, "status_code": 200,
            "before": before, "after": self.group_json(group)});
        let manager = self.manager(organization);
        let actor = if self.random.chance(20) {
            Actor::UserWith(manager, names::TERRAFORM)
        } else {
            Actor::User(manager)
        };
        self.record(&actor, Some(organization), event);
    }

    fn group_json(&self, group: &Group) -> Value {
        let members: Vec<Value> = group
            .members
            .iter()
            .map(|member| json!({"user_id": self.users[*member].id, "group_id": group.id}))
            .collect();
        json!({"id": group.id, "name": group.name, "display_name": capitalised(group.name), "avatar_url": "",
            "organization_id": self.organizations[group.organization].id, "quota_allowance": group.quota, "members": members})
    }

    fn change_key(&mut self) {
        let index = self.worker();
        let before = json!({"user_id": self.users[index].id, "public_key": self.users[index].key, "private_key": self.random.hex(64)});
        self.users[index].key = self.new_key();
        let user = &self.users[index];
        let after = json!({"user_id": user.id, "public_key": user.key, "private_key": self.random.hex(64)});
        let event = json!({"action": "write", "resource_type": "git_ssh_key", "resource_id": user.id, "resource_target": user.key, "status_code": 200, "before": before, "after": after});
        self.record(&Actor::User(index), None, event);
    }

    fn log_in_or_out(&mut self) {
        let index = self.worker();
        let user = &self.users[index];
        let action = if self.random.chance(75) { "login" } else { "logout" };
        let status_code = if action == "login" { 201 } else { 200 };
        let event = json!({"action": action, "resource_type": "api_key", "resource_id": user.id, "resource_target": user.username, "status_code": status_code});
        self.record(&Actor::User(index), None, event);
    }

    fn mistype_password(&mut self) {
        let index = self.worker();
        for _ in 0..self.random.between(1, 3) {
            let user = &self.users[index];
            let event = json!({"action": "login", "resource_type": "api_key", "resource_id": user.id, "resource_target": user.username, "status_code": 401});
            self.record(&Actor::User(index), None, event);
            self.wait(4, 25);
        }
        if self.random.chance(15) {
            let user = &self.users[index];
            let event = json!({"action": "request_password_reset", "resource_type": "user", "resource_id": user.id, "resource_target": user.username, "status_code": 200});
            self.record(&Actor::Nobody { ip: user.ip.clone(), user_agent: user.user_agent }, None, event);
            return;
        }
        let user = &self.users[index];
        let event = json!({"action": "login", "resource_type": "api_key", "resource_id": user.id, "resource_target": user.username, "status_code": 201});
        self.record(&Actor::User(index), None, event);
    }

    /// One address tries names that nobody here has.
    fn guess_passwords(&mut self) {
        let ip = format!("203.0.113.{}", self.random.between(2, 250));
        for _ in 0..self.random.between(18, 40) {
            let name = self.random.pick(&names::GUESSED_NAMES);
            let event = json!({"action": "login", "resource_type": "api_key", "resource_target": name, "status_code": 401,
                "additional_fields": {"reason": "unknown user"}});
            self.record(&Actor::Nobody { ip: ip.clone(), user_agent: names::GUESSER }, None, event);
            self.wait(1, 6);
        }
    }

    fn impersonate(&mut self) {
        let Some(at) = self.workspace_of_worker(true) else { return };
        let workspace = self.workspaces[at].clone();
        let owner = &self.users[workspace.owner];
        let mut event = json!({"action": "open", "resource_type": "workspace_app", "resource_id": workspace.id, "resource_target": "code-server", "status_code": 200,
            "additional_fields": self.workspace_fields(&workspace, "")});
        let organization = owner.organization;
        if self.random.chance(50) {
            event["impersonator"] = actor_json(&self.users[0]);
            self.record(&Actor::User(workspace.owner), Some(organization), event);
        } else {
            let on_behalf_of = actor_json(owner);
            let after = json!({"id": workspace.id, "name": workspace.name, "ttl": workspace.ttl + HOUR_NS, "owner_id": owner.id});
            let before = json!({"id": workspace.id, "name": workspace.name, "ttl": workspace.ttl, "owner_id": owner.id});
            self.workspaces[at].ttl += HOUR_NS;
            let event = json!({"action": "write", "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name, "status_code": 200,
                "before": before, "after": after, "on_behalf_of": on_behalf_of, "additional_fields": self.workspace_fields(&workspace, "")});
            self.record(&Actor::User(3), Some(organization), event);
        }
    }

    // Templates.

    fn new_template(
        &mut self,
        organization: usize,
        name: &str,
        display_name: &str,
        icon: &'static str,
    ) -> Template {
        Template {
            id: self.random.uuid(),
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            icon,
            organization,
            version_id: self.random.uuid(),
            version_count: 1,
            description: names::DESCRIPTIONS[self.random.index(names::DESCRIPTIONS.len())].to_owned(),
            default_ttl: self.random.between(4, 12) * HOUR_NS,
            author: usize::from(organization == 1) + 1,
            is_deleted: false,
        }
    }

    fn record_new_template(&mut self, index: usize) {
        let template = self.templates[index].clone();
        let actor = Actor::User(template.author);
        let event = self.version_event("create", &template, &template.version_id.clone());
        self.record(&actor, Some(template.organization), event);
        self.wait(20, 80);
        let event = json!({"action": "create", "resource_type": "template", "resource_id": template.id, "resource_target": template.name,
            "resource_icon": template.icon, "status_code": 201, "after": self.template_json(&template)});
        self.record(&actor, Some(template.organization), event);
    }

    fn create_template(&mut self) {
        let Some(name) = names::TEMPLATES_TO_COME.get(self.template_count).copied() else { return };
        self.template_count += 1;
        let organization = self.random.index(self.organizations.len());
        let template =
            self.new_template(organization, name, &capitalised(&name.replace('-', " ")), "/icon/code.svg");
        self.templates.push(template);
        self.record_new_template(self.templates.len() - 1);
    }

    fn version_event(&mut self, action: &str, template: &Template, version_id: &str) -> Value {
        let after = json!({"id": version_id, "template_id": template.id, "name": format!("v{}", template.version_count),
            "created_by": self.users[template.author].id, "readme": format!("# {}\n\n{}", template.display_name, template.description),
            "message": "", "archived": false});
        json!({"action": action, "resource_type": "template_version", "resource_id": version_id, "resource_target": format!("v{}", template.version_count),
            "status_code": 201, "after": after, "additional_fields": {"template_name": template.name}})
    }

    fn push_template_version(&mut self) {
        let worker = self.worker();
        let organization = self.users[worker].organization;
        let by_pipeline = organization == 0 && self.random.chance(60);
        let actor = if by_pipeline {
            Actor::User(3)
        } else {
            Actor::UserWith(self.manager(organization), names::COMMAND_LINE)
        };
        self.push_version(&actor, organization);
    }

    fn push_version(&mut self, actor: &Actor, organization: usize) {
        let Some(index) = self.template_of(organization) else { return };
        let before = self.template_json(&self.templates[index]);
        let version_id = self.random.uuid();
        self.templates[index].version_count += 1;
        let template = self.templates[index].clone();
        let event = self.version_event("create", &template, &version_id);
        self.record(actor, Some(organization), event);
        if self.random.chance(20) {
            return;
        }
        self.wait(30, 90);
        self.templates[index].version_id = version_id;
        let template = &self.templates[index];
        let event = json!({"action": "write", "resource_type": "template", "resource_id": template.id, "resource_target": template.name,
            "resource_icon": template.icon, "status_code": 200, "before": before, "after": self.template_json(template)});
        self.record(actor, Some(organization), event);
    }

    fn change_template(&mut self) {
        let worker = self.worker();
        let organization = self.users[worker].organization;
        let Some(index) = self.template_of(organization) else { return };
        let before = self.template_json(&self.templates[index]);
        let new_ttl = self.random.between(2, 16) * HOUR_NS;
        let new_description = names::DESCRIPTIONS[self.random.index(names::DESCRIPTIONS.len())];
        let is_ttl = self.random.chance(50);
        let template = &mut self.templates[index];
        if is_ttl {
            template.default_ttl = new_ttl;
        } else {
            new_description.clone_into(&mut template.description);
        }
        let template = &self.templates[index];
        let event = json!({"action": "write", "resource_type": "template", "resource_id": template.id, "resource_target": template.name,
            "resource_icon": template.icon, "status_code": 200, "before": before, "after": self.template_json(template)});
        let manager = self.manager(organization);
        let actor = if self.random.chance(25) {
            Actor::UserWith(manager, names::TERRAFORM)
        } else {
            Actor::User(manager)
        };
        self.record(&actor, Some(organization), event);
        if self.random.chance(6)
            && !self.workspaces.iter().any(|workspace| workspace.template == index && !workspace.is_deleted)
        {
            self.wait(60, 90);
            let template = &self.templates[index];
            let event = json!({"action": "delete", "resource_type": "template", "resource_id": template.id, "resource_target": template.name,
                "resource_icon": template.icon, "status_code": 200, "before": self.template_json(template)});
            self.templates[index].is_deleted = true;
            self.record(&actor, Some(organization), event);
        }
    }

    fn template_json(&self, template: &Template) -> Value {
        json!({"id": template.id, "name": template.name, "display_name": template.display_name, "icon": template.icon,
            "organization_id": self.organizations[template.organization].id, "provisioner": "terraform",
            "active_version_id": template.version_id, "description": template.description, "default_ttl": template.default_ttl,
            "created_by": self.users[template.author].id, "allow_user_cancel_workspace_jobs": true, "deleted": template.is_deleted,
            "group_acl": {}, "user_acl": {}})
    }

    // Workspaces.

    fn create_workspace(&mut self) {
        let owner = self.worker();
        let organization = self.users[owner].organization;
        let owned = self
            .workspaces
            .iter()
            .filter(|workspace| workspace.owner == owner && !workspace.is_deleted)
            .count();
        let Some(template) = self.template_of(organization).filter(|_| owned < 4) else { return };
        let stem = self.random.pick(&names::WORKSPACES);
        let name = format!("{stem}-{}", self.random.between(2, 99));
        let autostart = self
            .random
            .chance(40)
            .then(|| self.random.pick(&[&names::SCHEDULES[0], &names::SCHEDULES[1], &names::SCHEDULES[2]]));
        let workspace = Workspace {
            id: self.random.uuid(),
            name,
            owner,
            template,
            build_count: 0,
            ttl: self.templates[template].default_ttl,
            autostart: autostart.copied(),
            is_running: false,
            is_dormant: false,
            is_deleted: false,
            settled_us: 0,
        };
        let event = json!({"action": "create", "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name, "status_code": 201,
            "after": self.workspace_json(&workspace), "additional_fields": self.workspace_fields(&workspace, "")});
        let actor = if self.random.chance(35) {
            Actor::UserWith(owner, names::COMMAND_LINE)
        } else {
            Actor::User(owner)
        };
        self.record(&actor, Some(organization), event);
        self.workspaces.push(workspace);
        self.wait(20, 70);
        self.build(self.workspaces.len() - 1, "start", &actor, "initiator");
    }

    fn start_or_stop(&mut self) {
        let is_stop = self.random.chance(45);
        let Some(at) = self.workspace_of_worker(is_stop) else { return self.create_workspace() };
        let owner = self.workspaces[at].owner;
        let reason = match (is_stop, self.random.below(10)) {
            (true, 0..5) => "initiator",
            (true, 5) => "task_manual_pause",
            (false, 9) => "task_resume",
            (false, 0..3) => "dashboard",
            (false, 3) => "ssh_connection",
            (false, 4) => "vscode_connection",
            (false, 5) => "jetbrains_connection",
            (_, 6 | 7) => "cli",
            _ => "initiator",
        };
        let actor = match reason {
            "cli" | "ssh_connection" => Actor::UserWith(owner, names::COMMAND_LINE),
            _ => Actor::User(owner),
        };
        self.build(at, if is_stop { "stop" } else { "start" }, &actor, reason);
    }

    fn build(&mut self, at: usize, action: &str, actor: &Actor, reason: &str) {
        let has_failed = self.random.chance(4);
        let workspace = &mut self.workspaces[at];
        workspace.build_count += 1;
        if !has_failed {
            workspace.is_running = action == "start";
            workspace.is_dormant &= action != "start";
        }
        // A dormant workspace stays as old as it is.
        if reason != "dormancy" {
            workspace.settled_us = self.now_us + 2 * MINUTE_US;
        }
        let workspace = self.workspaces[at].clone();
        let template = &self.templates[workspace.template];
        let organization = template.organization;
        let mut fields = self.workspace_fields(&workspace, reason);
        if matches!(actor, Actor::System) {
            fields["automatic_actor"] = "coder".into();
            fields["automatic_subsystem"] = "autobuild".into();
        }
        let mut event = json!({"action": action, "resource_type": "workspace_build", "resource_target": workspace.name,
            "status_code": if has_failed { 500 } else { 200 }, "build_reason": reason,
            "after": {"template_version_id": template.version_id, "workspace_id": workspace.id, "transition": action, "reason": reason, "build_number": workspace.build_count}});
        if workspace.build_count > 1 {
            event["before"] = json!({"template_version_id": template.version_id});
        }
        event["additional_fields"] = fields;
        event["resource_id"] = self.random.uuid().into();
        self.record(actor, Some(organization), event);
        if let Actor::System = actor
            && let Some((_, event)) = self.events.last_mut()
        {
            // Automation works for the owner; that is how Coder records it.
            event["user"] = actor_json(&self.users[workspace.owner]);
        }
        if has_failed && action == "start" && self.random.chance(50) {
            self.wait(40, 100);
            self.build(at, "stop", &Actor::System, "failedstop");
        }
    }

    fn change_workspace(&mut self) {
        let Some(at) = self.workspace_of_worker(true) else { return };
        let before = self.workspace_json(&self.workspaces[at]);
        let ttl = self.random.between(1, 14) * HOUR_NS;
        let schedule = names::SCHEDULES[self.random.index(names::SCHEDULES.len())];
        let workspace = &mut self.workspaces[at];
        match self.random.below(3) {
            0 => workspace.autostart = if workspace.autostart.is_some() { None } else { Some(schedule) },
            _ => workspace.ttl = ttl,
        }
        let workspace = self.workspaces[at].clone();
        let event = json!({"action": "write", "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name, "status_code": 200,
            "before": before, "after": self.workspace_json(&workspace), "additional_fields": self.workspace_fields(&workspace, "")});
        let organization = self.users[workspace.owner].organization;
        self.record(&Actor::User(workspace.owner), Some(organization), event);
    }

    fn delete_workspace(&mut self) {
        let Some(at) = self.workspace_of_worker(false) else { return };
        let owner = self.workspaces[at].owner;
        self.remove_workspace(at, owner);
    }

    fn remove_workspace(&mut self, at: usize, by: usize) {
        self.build(at, "delete", &Actor::User(by), "initiator");
        self.wait(10, 60);
        let workspace = self.workspaces[at].clone();
        let organization = self.templates[workspace.template].organization;
        let event = json!({"action": "delete", "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name, "status_code": 200,
            "before": self.workspace_json(&workspace), "additional_fields": self.workspace_fields(&workspace, "")});
        self.record(&Actor::User(by), Some(organization), event);
        self.workspaces[at].is_deleted = true;
        self.workspaces[at].is_running = false;
    }

    fn workspace_json(&self, workspace: &Workspace) -> Value {
        let template = &self.templates[workspace.template];
        json!({"id": workspace.id, "name": workspace.name, "owner_id": self.users[workspace.owner].id, "template_id": template.id,
            "organization_id": self.organizations[template.organization].id, "ttl": workspace.ttl, "autostart_schedule": workspace.autostart,
            "deleted": workspace.is_deleted, "automatic_updates": "never"})
    }

    fn workspace_fields(&self, workspace: &Workspace, reason: &str) -> Value {
        let number = if reason.is_empty() { String::new() } else { workspace.build_count.to_string() };
        json!({"workspace_name": workspace.name, "workspace_owner": self.users[workspace.owner].username, "workspace_id": workspace.id,
            "build_number": number, "build_reason": reason})
    }

    fn connect(&mut self) {
        let Some(at) = self.workspace_of_worker(true) else { return self.start_or_stop() };
        let workspace = self.workspaces[at].clone();
        let organization = self.users[workspace.owner].organization;
        let fields = self.workspace_fields(&workspace, "");
        let connection = |simulation: &mut Simulation,
                          action: &str,
                          kind: &str,
                          target: &str,
                          connection: &str| {
            let mut fields = fields.clone();
            fields["connection_type"] = connection.into();
            let event = json!({"action": action, "resource_type": kind, "resource_id": workspace.id, "resource_target": target, "status_code": 200, "additional_fields": fields});
            let actor = match connection {
                "Web" => Actor::User(workspace.owner),
                _ => Actor::UserWith(workspace.owner, names::COMMAND_LINE),
            };
            simulation.record(&actor, Some(organization), event);
        };
        match self.random.below(10) {
            0..4 => {
                connection(self, "connect", "workspace_agent", "main", "SSH");
                self.wait(600, 5_400);
                connection(self, "disconnect", "workspace_agent", "main", "SSH");
                // It is not deleted while someone is in it.
                self.workspaces[at].settled_us = self.workspaces[at].settled_us.max(self.now_us);
            }
            4..6 => connection(self, "connect", "workspace_agent", "main", "VS Code"),
            6..8 => connection(self, "open", "workspace_app", "code-server", "Web"),
            8 => connection(self, "ssh", "workspace", &workspace.name, "Web"),
            _ => connection(self, "connect", "workspace_agent", "main", "JetBrains"),
        }
    }

    // Smaller things.

    fn use_token(&mut self) {
        let owner = self.worker();
        let now_us = self.now_us;
        let old = self
            .tokens
            .iter()
            .position(|token| token.settled_us < now_us && self.users[token.owner].status == "active");
        if let Some(at) = old.filter(|_| self.tokens.len() > 12) {
            let token = self.tokens.remove(at);
            let before =
                json!({"id": token.id, "user_id": self.users[token.owner].id, "token_name": token.name});
            let event = json!({"action": "delete", "resource_type": "api_key", "resource_id": self.users[token.owner].id, "resource_target": token.name, "status_code": 204, "before": before});
            return self.record(&Actor::User(token.owner), None, event);
        }
        let owner = if self.random.chance(20) { 3 } else { owner };
        let name = self.random.pick(&names::TOKENS).to_owned();
        let time = |us: i64| Time::from_micros_saturating(us).to_string();
        let after = json!({"user_id": self.users[owner].id, "created_at": time(now_us), "expires_at": time(now_us + 90 * DAY_US), "hashed_secret": self.random.hex(64)});
        let event = json!({"action": "create", "resource_type": "api_key", "resource_id": self.users[owner].id, "resource_target": name, "status_code": 201, "after": after});
        let id = self.random.uuid();
        self.tokens.push(Owned { id, name, owner, settled_us: now_us + DAY_US });
        self.record(&Actor::User(owner), None, event);
    }

    fn use_secret(&mut self) {
        let owner = self.worker();
        let own: Vec<usize> = (0..self.secrets.len()).filter(|at| self.secrets[*at].owner == owner).collect();
        let (action, secret) = match own.as_slice() {
            [] => {
                let (id, name) = (self.random.uuid(), self.random.pick(&names::SECRETS).to_owned());
                self.secrets.push(Owned { id, name, owner, settled_us: 0 });
                ("create", self.secrets[self.secrets.len() - 1].clone())
            }
            own => {
                let at = own[self.random.index(own.len())];
                match self.random.below(10) {
                    0 => ("delete", self.secrets.remove(at)),
                    1 => ("write", self.secrets[at].clone()),
                    _ => ("view", self.secrets[at].clone()),
                }
            }
        };
        let event = json!({"action": action, "resource_type": "secret", "resource_id": secret.id, "resource_target": secret.name,
            "status_code": if action == "create" { 201 } else { 200 }});
        self.record(&Actor::UserWith(owner, names::COMMAND_LINE), None, event);
    }

    fn use_dev_url(&mut self) {
        let owner = self.worker();
        let organization = self.users[owner].organization;
        let own: Vec<usize> =
            (0..self.dev_urls.len()).filter(|at| self.dev_urls[*at].owner == owner).collect();
        let (action, url) = match own.as_slice() {
            [] => {
                let (id, name) = (self.random.uuid(), self.random.pick(&names::DEV_URLS).to_owned());
                self.dev_urls.push(Owned { id, name, owner, settled_us: 0 });
                ("create", self.dev_urls[self.dev_urls.len() - 1].clone())
            }
            own => {
                let at = own[self.random.index(own.len())];
                match self.random.below(10) {
                    0 => ("delete", self.dev_urls.remove(at)),
                    1..3 => ("write", self.dev_urls[at].clone()),
                    _ => ("open", self.dev_urls[at].clone()),
                }
            }
        };
        let event = json!({"action": action, "resource_type": "dev_url", "resource_id": url.id, "resource_target": url.name,
            "status_code": if action == "create" { 201 } else { 200 }});
        self.record(&Actor::User(owner), Some(organization), event);
    }

    fn publish_image(&mut self) {
        let known = self.images.len();
        let (kind, name) = match names::IMAGES.get(known) {
            Some(name) => {
                let id = self.random.uuid();
                self.images.push((id, (*name).to_owned()));
                ("image", (*name).to_owned())
            }
            None => {
                let tag = format!("2026.{}", self.random.between(1, 400));
                ("image_tag", format!("{}:{tag}", names::IMAGES[self.random.index(known)]))
            }
        };
        let event = json!({"action": "create", "resource_type": kind, "resource_id": self.random.uuid(), "resource_target": name, "status_code": 201});
        self.record(&Actor::User(3), Some(0), event);
    }

    fn change_provider(&mut self) {
        let at = self.random.index(self.providers.len());
        let provider = &mut self.providers[at];
        provider.is_cordoned = !provider.is_cordoned;
        let action = if provider.is_cordoned { "cordon" } else { "uncordon" };
        let event = json!({"action": action, "resource_type": "workspace_provider", "resource_id": provider.id, "resource_target": provider.name, "status_code": 200});
        self.record(&Actor::User(0), None, event);
    }

    fn queue_job(&mut self) {
        let Some(at) = self.workspace_of_worker(true) else { return };
        let workspace = self.workspaces[at].clone();
        let organization = self.users[workspace.owner].organization;
        let event = json!({"action": "enqueue", "resource_type": "job", "resource_id": self.random.uuid(), "resource_target": format!("rebuild workspace {}", workspace.name), "status_code": 202,
            "additional_fields": self.workspace_fields(&workspace, "")});
        self.record(&Actor::User(workspace.owner), Some(organization), event);
    }

    fn be_denied(&mut self) {
        let index = self.worker();
        let organization = self.users[index].organization;
        let template = self.template_of(organization);
        let event = match (self.random.below(4), template) {
            (0, Some(at)) => {
                json!({"action": "delete", "resource_type": "template", "resource_id": self.templates[at].id, "resource_target": self.templates[at].name})
            }
            (1, Some(at)) => {
                json!({"action": "write", "resource_type": "template", "resource_id": self.templates[at].id, "resource_target": self.templates[at].name})
            }
            (2, _) => {
                json!({"action": "write", "resource_type": "organization", "resource_id": self.organizations[organization].id, "resource_target": self.organizations[organization].name})
            }
            _ => {
                json!({"action": "write", "resource_type": "admin_setting", "resource_target": self.settings[0].target})
            }
        };
        let mut event = event;
        event["status_code"] = 403.into();
        // Managers may do all this.
        if self.users[index].roles.is_empty() {
            self.record(&Actor::User(index), Some(organization), event);
        }
    }

    fn fail(&mut self) {
        let Some(at) = self.workspace_of_worker(true) else { return };
        let workspace = self.workspaces[at].clone();
        let organization = self.users[workspace.owner].organization;
        let status_code = self.random.pick(&[&409, &409, &400, &500, &502]);
        let event = json!({"action": self.random.pick(&["create", "write"]), "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name,
            "status_code": status_code, "additional_fields": self.workspace_fields(&workspace, "")});
        self.record(&Actor::User(workspace.owner), Some(organization), event);
    }

    fn change_setting(&mut self, index: usize) {
        let hex = self.random.hex(20);
        let flip = self.random.chance(50);
        let setting = &mut self.settings[index];
        let before = setting.value.clone();
        setting.value = new_value(setting, &hex, flip);
        let mut event = json!({"action": "write", "resource_type": "admin_setting", "resource_target": setting.target, "status_code": 200});
        if !setting.field.is_empty() {
            let side =
                |value: &Value| Value::Object([(setting.field.clone(), value.clone())].into_iter().collect());
            event["before"] = side(&before);
            event["after"] = side(&setting.value);
        }
        self.record(&Actor::User(0), None, event);
    }

    /// What runs by itself: workspaces start in the morning and stop at night, the pipeline works after midnight.
    fn run_schedules(&mut self) {
        let (weekday, hour) = (weekday(self.now_us), hour_of_day(self.now_us));
        let is_workday = (1..=5).contains(&weekday);
        for at in 0..self.workspaces.len() {
            let workspace = &self.workspaces[at];
            if workspace.is_deleted
                || workspace.settled_us > self.now_us
                || self.users[workspace.owner].status != "active"
            {
                continue;
            }
            let (is_running, starts, idle_us) = (
                workspace.is_running,
                workspace.autostart.is_some_and(|schedule| starts_at(schedule, hour)),
                self.now_us - workspace.settled_us,
            );
            if is_workday && starts && !is_running {
                self.build(at, "start", &Actor::System, "autostart");
                self.wait(5, 30);
            } else if is_running
                && idle_us > workspace.ttl / 1_000
                && !(5..18).contains(&hour)
                && self.random.chance(50)
            {
                self.build(at, "stop", &Actor::System, "autostop");
                self.wait(5, 30);
            } else if hour == 3 && !is_running && idle_us > 20 * DAY_US {
                self.build(at, "delete", &Actor::System, "autodelete");
                self.wait(5, 30);
                let workspace = self.workspaces[at].clone();
                let organization = self.templates[workspace.template].organization;
                let event = json!({"action": "delete", "resource_type": "workspace", "resource_id": workspace.id, "resource_target": workspace.name, "status_code": 200,
                    "before": self.workspace_json(&workspace),
                    "additional_fields": {"automatic_actor": "coder", "automatic_subsystem": "dormancy", "workspace_owner": self.users[workspace.owner].username}});
                self.record(&Actor::System, Some(organization), event);
                self.workspaces[at].is_deleted = true;
            } else if hour == 2 && !is_running && !self.workspaces[at].is_dormant && idle_us > 7 * DAY_US {
                self.workspaces[at].is_dormant = true;
                self.build(at, "stop", &Actor::System, "dormancy");
                self.wait(5, 30);
            } else if is_running
                && (10..16).contains(&hour)
                && idle_us > 2 * HOUR_US
                && self.random.below(250) == 0
            {
                self.build(at, "stop", &Actor::System, "task_auto_pause");
                self.wait(5, 30);
            }
        }
        if hour == 1 {
            let user = &self.users[3];
            let event = json!({"action": "login", "resource_type": "api_key", "resource_id": user.id, "resource_target": user.username, "status_code": 201});
            self.record(&Actor::User(3), None, event);
            self.wait(60, 300);
            if is_workday {
                self.push_version(&Actor::User(3), 0);
            }
        }
        if hour == 9 && weekday == 1 {
            let index = self.random.index(self.settings.len());
            self.change_setting(index);
        }
    }
}

fn new_value(setting: &SettingState, hex: &str, flip: bool) -> Value {
    let choices: BTreeMap<&str, &[&str]> = BTreeMap::from([
        (
            "infrastructure/access URL",
            &["https://dev.example.test", "https://workspaces.example.test"] as &[&str],
        ),
        ("oauth configs/description", &["Git hosting of the demo", "Repositories of both organizations"]),
        ("oauth configs/name", &["Git demo", "Source hosting"]),
        ("oauth configs/URL host", &["git.example.test", "source.example.test"]),
        ("system banner/text footer", &["INTERNAL", "UNCLASSIFIED"]),
        ("system banner/text header", &["INTERNAL", "UNCLASSIFIED"]),
        (
            "appearance/svc banner body",
            &["Maintenance tonight, 21:00 to 21:30 UTC", "All systems work again"],
        ),
        ("appearance/tos body", &["Use it for work. Sessions are recorded.", "Accept Terms & Conditions"]),
    ]);
    let key = format!("{}/{}", setting.target, setting.field);
    let other_of = |values: &[&str]| {
        let present = setting.value.as_str().unwrap_or_default();
        let index = usize::from(values.first() == Some(&present)) % values.len().max(1);
        Value::from(values.get(index).copied().unwrap_or_default())
    };
    if let Some(values) = choices.get(key.as_str()) {
        return other_of(values);
    }
    match (setting.field.as_str(), setting.example.as_str()) {
        ("client id" | "client secret", _) => hex.into(),
        ("color bg" | "svc banner color bg", _) => format!("#{}", hex[..6].to_uppercase()).into(),
        ("commit/file hash/filepath/git ref/From", _) => {
            format!("0000...0000/{}...{}/local/local/User", &hex[..4], &hex[4..8]).into()
        }
        (_, "true/false") => Value::from(setting.value != true),
        (_, example) if example.contains('/') => {
            let values: Vec<&str> = example.split('/').collect();
            if setting.value.is_null() && flip { values[values.len() - 1].into() } else { other_of(&values) }
        }
        (_, example) => example.into(),
    }
}

fn actor_json(user: &User) -> Value {
    json!({"id": user.id, "username": user.username, "email": format!("{}@example.test", user.username), "name": user.name, "roles": user.roles})
}

fn user_json(user: &User) -> Value {
    json!({"id": user.id, "username": user.username, "name": user.name, "email": format!("{}@example.test", user.username), "status": user.status,
        "rbac_roles": user.roles, "login_type": "password", "hashed_password": user.password, "deleted": user.is_deleted, "is_service_account": user.is_service})
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// How much work an organization does at a time; on weekends a tenth of it.
fn work_in(organization: &Organization, time_us: i64) -> u64 {
    let local_us = time_us + organization.utc_offset_hours * HOUR_US;
    let hour = usize::try_from(hour_of_day(local_us)).unwrap_or(0);
    let work = WORK_BY_HOUR[hour];
    if (1..=5).contains(&weekday(local_us)) { work } else { work / 10 }
}

/// Whether a weekly schedule, `CRON_TZ=UTC MINUTE HOUR ..`, starts workspaces in this hour.
fn starts_at(schedule: &str, hour: i64) -> bool {
    schedule.split(' ').nth(2).and_then(|text| text.parse().ok()) == Some(hour)
}

/// The hour, 0 to 23.
fn hour_of_day(time_us: i64) -> i64 {
    time_us.rem_euclid(DAY_US) / HOUR_US
}

/// The day of the week, Sunday is 0: the first day of 1970 was a Thursday.
fn weekday(time_us: i64) -> i64 {
    (time_us.div_euclid(DAY_US) + 4).rem_euclid(7)
}
