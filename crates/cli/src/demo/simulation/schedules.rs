//! What runs by itself: schedules of workspaces, the pipeline, the weekly change of a setting.

use serde_json::json;

use super::timeline::{DAY_US, HOUR_US, hour_of_day, starts_at, weekday};
use super::{Actor, Simulation};

impl Simulation {
    /// Workspaces start in the morning and stop at night, the pipeline works after midnight.
    pub(super) fn run_schedules(&mut self) {
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
