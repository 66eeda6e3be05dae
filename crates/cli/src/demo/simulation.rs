//! A simulated deployment: people, templates, workspaces and what happens to them.
//!
//! Pure: time comes in as an argument, chance from a seed. The same seed and the same span give the same events. State is
//! kept, so that only what exists is changed, and what was deleted does not come back. What people do is in the modules,
//! by what they do it to; here is how often they do it, and how it becomes events.

mod access;
mod belongings;
mod groups;
mod infrastructure;
mod people;
mod schedules;
mod settings;
mod setup;
mod templates;
mod timeline;
mod workspaces;

use annals_engine::NewOrganization;
use annals_model::registry::Registry;
use annals_model::time::Time;
use serde_json::{Value, json};

use self::belongings::Owned;
use self::groups::Group;
use self::infrastructure::Provider;
use self::people::{Organization, User, actor_json};
use self::settings::{SettingState, new_value};
use self::templates::Template;
use self::timeline::{DAY_US, HOUR_US, MINUTE_US, SECOND_US, work_in};
use self::workspaces::Workspace;
use super::names;
use super::random::Random;

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

    /// An organization of the deployment, as Annals is told of it.
    pub(super) fn first_organization(&self) -> NewOrganization<'_> {
        let organization = &self.organizations[0];
        NewOrganization {
            id: Some(&organization.id),
            name: organization.name,
            display_name: organization.display_name,
            ..NewOrganization::default()
        }
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

    /// Time that passes before what follows from the last event.
    fn wait(&mut self, from_seconds: i64, to_seconds: i64) {
        self.now_us += match self.is_live {
            true => self.random.between(1_000, 90_000),
            false => self.random.between(from_seconds * SECOND_US, to_seconds * SECOND_US),
        };
    }

    /// Notes an event that happens now; who acts fills in the rest of it.
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
}
