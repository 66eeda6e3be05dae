//! Groups: their members and quotas.

use serde_json::{Value, json};

use super::people::capitalised;
use super::{Actor, Simulation, names};

#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) organization: usize,
    pub(super) members: Vec<usize>,
    pub(super) quota: i64,
}

impl Simulation {
    pub(super) fn change_group(&mut self) {
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

    pub(super) fn group_json(&self, group: &Group) -> Value {
        let members: Vec<Value> = group
            .members
            .iter()
            .map(|member| json!({"user_id": self.users[*member].id, "group_id": group.id}))
            .collect();
        json!({"id": group.id, "name": group.name, "display_name": capitalised(group.name), "avatar_url": "",
            "organization_id": self.organizations[group.organization].id, "quota_allowance": group.quota, "members": members})
    }
}
