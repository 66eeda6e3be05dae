//! Templates: their versions, descriptions and times to live.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::people::capitalised;
use super::timeline::HOUR_NS;
use super::{Actor, Simulation, names};

#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) icon: &'static str,
    pub(super) organization: usize,
    pub(super) version_id: String,
    pub(super) version_count: u64,
    pub(super) description: String,
    pub(super) default_ttl: i64,
    pub(super) author: usize,
    /// Who may do what with it, by the id of the person.
    pub(super) user_acl: BTreeMap<String, Vec<&'static str>>,
    pub(super) is_deleted: bool,
}

impl Simulation {
    pub(super) fn template_of(&mut self, organization: usize) -> Option<usize> {
        let templates: Vec<usize> = (0..self.templates.len())
            .filter(|index| {
                self.templates[*index].organization == organization && !self.templates[*index].is_deleted
            })
            .collect();
        (!templates.is_empty()).then(|| templates[self.random.index(templates.len())])
    }

    pub(super) fn new_template(
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
            user_acl: BTreeMap::new(),
            is_deleted: false,
        }
    }

    pub(super) fn record_new_template(&mut self, index: usize) {
        let template = self.templates[index].clone();
        let actor = Actor::User(template.author);
        let event = self.version_event("create", &template, &template.version_id.clone());
        self.record(&actor, Some(template.organization), event);
        self.wait(20, 80);
        let event = json!({"action": "create", "resource_type": "template", "resource_id": template.id, "resource_target": template.name,
            "resource_icon": template.icon, "status_code": 201, "after": self.template_json(&template)});
        self.record(&actor, Some(template.organization), event);
    }

    pub(super) fn create_template(&mut self) {
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

    pub(super) fn push_template_version(&mut self) {
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

    pub(super) fn push_version(&mut self, actor: &Actor, organization: usize) {
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

    pub(super) fn change_template(&mut self) {
        let worker = self.worker();
        let organization = self.users[worker].organization;
        let Some(index) = self.template_of(organization) else { return };
        let before = self.template_json(&self.templates[index]);
        let new_ttl = self.random.between(2, 16) * HOUR_NS;
        let new_description = names::DESCRIPTIONS[self.random.index(names::DESCRIPTIONS.len())];
        let is_ttl = self.random.chance(50);
        let template = &mut self.templates[index];
        let shared_with =
            &self.users[usize::try_from(template.default_ttl / HOUR_NS).unwrap_or(0) % self.users.len()].id;
        if is_ttl {
            template.default_ttl = new_ttl;
        } else if template.version_count.is_multiple_of(2) {
            let permissions =
                if template.user_acl.contains_key(shared_with) { vec!["admin", "use"] } else { vec!["use"] };
            template.user_acl.insert(shared_with.clone(), permissions);
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
            "group_acl": {}, "user_acl": template.user_acl})
    }
}
