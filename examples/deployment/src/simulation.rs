//! Made-up people who work with a deployment, through its API like anybody else.
//!
//! Chance comes from a seed, time from the deployment's clock: [`Simulation::history`] plays through a past, [`Simulation::live`] does one thing now. What
//! people do is in the modules, by what they do it to; here is how often they do it.

mod access;
mod belongings;
mod caller;
mod groups;
mod infrastructure;
mod names;
mod people;
mod random;
mod settings;
mod setup;
mod templates;
mod timeline;
mod workspaces;

use axum::Router;
use jiff::{SignedDuration, Timestamp};

use self::caller::Account;
use self::random::Random;
use self::timeline::{DAY_US, HOUR_US, MINUTE_US, work_in};
use crate::Deployment;

/// Events that one activity makes, times 100, with what follows from it by itself, as measured over 60 days.
const EVENTS_PER_ACTIVITY_PERCENT: u64 = 250;
/// How often what is due by itself is done, in a past.
const WORK_EVERY_US: i64 = HOUR_US / 2;

/// An organization of the deployment.
#[derive(Debug, Clone)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// Its name in queries.
    pub name: &'static str,
    /// Its name for people.
    pub display_name: &'static str,
    /// Hours by which its day is ahead of UTC.
    utc_offset_hours: i64,
}

/// People at work.
#[derive(Debug)]
pub struct Simulation {
    deployment: Deployment,
    router: Router,
    random: Random,
    now: Timestamp,
    /// Follow-ups come at once rather than after a minute: what is shown live has happened.
    is_live: bool,
    organizations: Vec<Organization>,
    accounts: Vec<Account>,
    developer_count: usize,
    template_count: usize,
    version_count: u64,
}

/// Something that people do now and then.
type Activity = fn(&mut Simulation) -> caller::Doing<'_>;

/// What people do, and how often compared with each other.
const ACTIVITIES: [(u64, Activity); 24] = [
    (170, |s| Box::pin(s.connect())),
    (130, |s| Box::pin(s.start_or_stop())),
    (120, |s| Box::pin(s.log_in_or_out())),
    (45, |s| Box::pin(s.push_template_version())),
    (40, |s| Box::pin(s.create_workspace())),
    (40, |s| Box::pin(s.change_workspace())),
    (38, |s| Box::pin(s.use_secret())),
    (34, |s| Box::pin(s.use_dev_url())),
    (30, |s| Box::pin(s.be_denied())),
    (28, |s| Box::pin(s.change_template())),
    (24, |s| Box::pin(s.mistype_password())),
    (20, |s| Box::pin(s.delete_workspace())),
    (22, |s| Box::pin(s.use_token())),
    (20, |s| Box::pin(s.fail())),
    (16, |s| Box::pin(s.change_group())),
    (13, |s| Box::pin(s.change_member())),
    (9, |s| Box::pin(s.create_user())),
    (8, |s| Box::pin(s.change_key())),
    (8, |s| Box::pin(s.impersonate())),
    (7, |s| Box::pin(s.suspend_or_activate_user())),
    (6, |s| Box::pin(s.change_provider())),
    (4, |s| Box::pin(s.delete_user())),
    (4, |s| Box::pin(s.create_template())),
    (3, |s| Box::pin(s.change_some_setting())),
];

impl Simulation {
    /// Has people take an empty deployment into use, `days` before `end`, and work with it until then. The log has about `event_count` events of it
    /// afterwards; `progress` is told how many there are so far.
    pub async fn history(
        deployment: &Deployment,
        seed: u64,
        end: Timestamp,
        days: u32,
        event_count: u32,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Simulation {
        let start_us = end.as_microsecond() - i64::from(days) * DAY_US;
        let mut simulation = Simulation {
            deployment: deployment.clone(),
            router: deployment.router(),
            random: Random::new(seed),
            now: at(start_us),
            is_live: false,
            organizations: Vec::new(),
            accounts: Vec::new(),
            developer_count: 0,
            template_count: 0,
            version_count: 1,
        };
        simulation.go_to(at(start_us));
        simulation.set_up().await;
        simulation.play(start_us, days, event_count, progress).await;
        deployment.set_clock(None);
        simulation.is_live = true;
        simulation
    }

    async fn play(
        &mut self,
        start_us: i64,
        days: u32,
        event_count: u32,
        progress: &mut (dyn FnMut(u64) + Send),
    ) {
        let (hours, end) = (i64::from(days) * 24, at(start_us + i64::from(days) * DAY_US));
        let mut weight_left: u64 = (0..hours).map(|hour| self.work_at(start_us + hour * HOUR_US)).sum();
        let setting_count = settings::SETTINGS.len() as i64;
        let mut done_settings = 0;
        // Activities due, in thousandths: an hour gets a part of one.
        let mut due_permille = 0;
        for hour in 0..hours {
            let hour_us = start_us + hour * HOUR_US;
            let work = self.work_at(hour_us);
            // Automation makes events too, so what is still to come is reckoned anew each hour.
            let events_left = u64::from(event_count).saturating_sub(self.event_count());
            due_permille += events_left * work * 100_000 / (EVENTS_PER_ACTIVITY_PERCENT * weight_left.max(1));
            weight_left = weight_left.saturating_sub(work);
            let count = due_permille / 1_000;
            due_permille %= 1_000;
            let mut times: Vec<(i64, bool)> =
                (0..count).map(|_| (hour_us + self.random.between(0, HOUR_US - 1), true)).collect();
            for part in 0..HOUR_US / WORK_EVERY_US {
                times.push((hour_us + part * WORK_EVERY_US + self.random.between(0, MINUTE_US), false));
            }
            times.sort_unstable();
            for (time_us, is_activity) in times {
                self.go_to(at(time_us).min(end));
                match is_activity {
                    true => self.do_something().await,
                    false => self.deployment.work(),
                }
            }
            self.run_pipeline(hour_us).await;
            // Each admin setting changes at least once, the first time in the order of the panels.
            while done_settings < setting_count && hour * setting_count >= done_settings * hours {
                self.change_setting(usize::try_from(done_settings).unwrap_or(0)).await;
                done_settings += 1;
            }
            if hour % (24 * 13) == 24 * 4 + 3 {
                self.guess_passwords().await;
            }
            progress(self.event_count());
        }
    }

    /// Does something, now.
    pub async fn live(&mut self) {
        self.now = self.deployment.app.now();
        let before = self.event_count();
        // An activity may find nothing to do, such as nobody to be suspended.
        for _ in 0..100 {
            self.do_something().await;
            if self.event_count() > before {
                break;
            }
        }
        self.deployment.work();
    }

    /// The first organization.
    pub fn organization(&self) -> &Organization {
        &self.organizations[0]
    }

    fn event_count(&self) -> u64 {
        self.deployment.app.auditor.stats().emitted
    }

    /// How much is going on, all organizations together.
    fn work_at(&self, time_us: i64) -> u64 {
        self.organizations.iter().map(|organization| work_in(organization, time_us)).sum::<u64>() + 1
    }

    async fn do_something(&mut self) {
        let total: u64 = ACTIVITIES.iter().map(|(weight, _)| weight).sum();
        let mut left = self.random.below(total);
        for (weight, activity) in ACTIVITIES {
            if left < weight {
                return activity(self).await;
            }
            left -= weight;
        }
    }

    /// Moves the clock on; never back.
    fn go_to(&mut self, time: Timestamp) {
        self.now = self.now.max(time);
        if !self.is_live {
            self.deployment.set_clock(Some(self.now));
        }
    }

    /// Time that passes before what follows, with what is done in it.
    fn wait(&mut self, from_seconds: i64, to_seconds: i64) {
        let millis = self.random.between(1_000 * from_seconds, 1_000 * to_seconds);
        if !self.is_live {
            self.go_to(self.now + SignedDuration::from_millis(millis));
        }
        self.deployment.work();
    }
}

fn at(time_us: i64) -> Timestamp {
    Timestamp::from_microsecond(time_us).unwrap_or(Timestamp::UNIX_EPOCH)
}
