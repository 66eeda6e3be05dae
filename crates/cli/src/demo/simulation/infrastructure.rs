//! What workspaces are made from and where they run: images and workspace providers.

use serde_json::json;

use super::{Actor, Simulation, names};

#[derive(Debug)]
pub(super) struct Provider {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) is_cordoned: bool,
}

impl Simulation {
    pub(super) fn publish_image(&mut self) {
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

    pub(super) fn change_provider(&mut self) {
        let at = self.random.index(self.providers.len());
        let provider = &mut self.providers[at];
        provider.is_cordoned = !provider.is_cordoned;
        let action = if provider.is_cordoned { "cordon" } else { "uncordon" };
        let event = json!({"action": action, "resource_type": "workspace_provider", "resource_id": provider.id, "resource_target": provider.name, "status_code": 200});
        self.record(&Actor::User(0), None, event);
    }
}
