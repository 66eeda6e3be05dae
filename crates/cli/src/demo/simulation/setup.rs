//! The first hours of a deployment: the first admin, the license, then everybody and everything in turn.

use annals_model::time::Time;
use serde_json::{Value, json};

use super::people::Organization;
use super::timeline::DAY_US;
use super::{Actor, Simulation};

impl Simulation {
    pub(super) fn set_up(&mut self) {
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
}
