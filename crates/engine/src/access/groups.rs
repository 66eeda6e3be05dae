//! Groups of people inside an organization.

use annals_store::{Group, GroupId, Organization, OrganizationId, OrganizationRole, PersonId};
use serde_json::{Value, json};

use super::people::shortened_or;
use super::{AccessError, check_line, check_name, check_picture, new_id, shortened};
use crate::Engine;
use crate::own_event::OwnEvent;
use crate::principal::Principal;

/// A group to make.
#[derive(Debug, Clone)]
pub struct NewGroup<'g> {
    /// Short name.
    pub name: &'g str,
    /// Name for people, or empty.
    pub display_name: &'g str,
    /// Address of a picture, or empty.
    pub avatar_url: &'g str,
    /// What its members may do in the organization.
    pub role: OrganizationRole,
    /// What its members may use; kept for producers.
    pub quota_allowance: i64,
}

/// What to change of a group; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct GroupChange<'g> {
    /// Short name.
    pub name: Option<&'g str>,
    /// Name for people, or empty.
    pub display_name: Option<&'g str>,
    /// Address of a picture, or empty.
    pub avatar_url: Option<&'g str>,
    /// What its members may do in the organization.
    pub role: Option<OrganizationRole>,
    /// What its members may use.
    pub quota_allowance: Option<i64>,
}

/// Coder's `AuditableGroup`, with the role that a group may have here.
fn snapshot(group: &Group) -> Value {
    let members: Vec<&str> = group.members.iter().map(|(_, username)| username.as_str()).collect();
    json!({
        "id": group.id.0, "organization_id": group.organization_id.0, "name": group.name,
        "display_name": group.display_name, "avatar_url": group.avatar_url, "role": group.role.name(),
        "quota_allowance": group.quota_allowance, "members": members,
    })
}

pub(super) fn group_event(
    action: &str,
    organization: &Organization,
    before: Option<&Group>,
    after: Option<&Group>,
) -> OwnEvent {
    let of = after.or(before);
    let mut event = OwnEvent::new(action, "group", of.map_or("", |group| group.name.as_str()));
    if let Some(group) = of {
        event = event.resource_id(&group.id.0);
    }
    if let Some(before) = before {
        event = event.before(snapshot(before));
    }
    if let Some(after) = after {
        event = event.after(snapshot(after));
    }
    event.organization(organization)
}

impl Engine {
    /// Lists the groups of an organization by name.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not see them, or there is no such organization.
    pub fn groups(&self, principal: &Principal, id: &OrganizationId) -> Result<Vec<Group>, AccessError> {
        principal.may_manage()?;
        self.known_organization(id)?;
        Ok(self.store.groups(id)?)
    }

    /// Finds a group by identity.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not see it, or there is none.
    pub fn group(&self, principal: &Principal, id: &GroupId) -> Result<Group, AccessError> {
        principal.may_manage()?;
        self.store.group(id)?.ok_or_else(|| unknown(&id.0))
    }

    /// Finds a group of an organization by name or identity.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not see it, or there is none.
    pub fn group_named(
        &self,
        principal: &Principal,
        organization: &OrganizationId,
        name_or_id: &str,
    ) -> Result<Group, AccessError> {
        let groups = self.groups(principal, organization)?;
        let folded = name_or_id.to_lowercase();
        let found =
            groups.into_iter().find(|group| group.name.to_lowercase() == folded || group.id.0 == name_or_id);
        found.ok_or_else(|| unknown(name_or_id))
    }

    /// Makes a group without members.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, there is no such organization, or a text cannot be taken.
    pub fn create_group(
        &self,
        principal: &Principal,
        organization: &OrganizationId,
        new: &NewGroup<'_>,
    ) -> Result<Group, AccessError> {
        if principal.may_manage().is_err() {
            let organization = self.store.organization(organization)?;
            self.manage(principal, || {
                let event = OwnEvent::new("create", "group", &shortened_or(new.name));
                match &organization {
                    Some(organization) => event.organization(organization),
                    None => event,
                }
            })?;
        }
        let organization = self.known_organization(organization)?;
        let created = self.now();
        let group = Group {
            id: GroupId(new_id(created)),
            organization_id: organization.id.clone(),
            name: new.name.to_owned(),
            display_name: new.display_name.to_owned(),
            avatar_url: new.avatar_url.to_owned(),
            role: new.role,
            quota_allowance: new.quota_allowance,
            created,
            updated: created,
            members: Vec::new(),
        };
        check_texts(&group)?;
        self.store.add_group(&group)?;
        self.record_own(principal, group_event("create", &organization, None, Some(&group)));
        Ok(group)
    }

    /// Changes a group, not its members.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, there is no such group, or a text cannot be taken.
    pub fn change_group(
        &self,
        principal: &Principal,
        id: &GroupId,
        change: &GroupChange<'_>,
    ) -> Result<Group, AccessError> {
        let apply = |group: &mut Group| {
            for (text, new) in [
                (&mut group.name, change.name),
                (&mut group.display_name, change.display_name),
                (&mut group.avatar_url, change.avatar_url),
            ] {
                if let Some(new) = new {
                    new.clone_into(text);
                }
            }
            group.role = change.role.unwrap_or(group.role);
            group.quota_allowance = change.quota_allowance.unwrap_or(group.quota_allowance);
        };
        self.manage_group(principal, "write", id)?;
        let mut wanted = self.store.group(id)?.ok_or_else(|| unknown(&id.0))?;
        apply(&mut wanted);
        check_texts(&wanted)?;
        self.write_group(principal, id, apply)
    }

    /// Makes these people the members of a group, and nobody else.
    ///
    /// # Errors
    /// [`AccessError::NotMember`] if one of them is not in the organization; others as for [`Engine::change_group`].
    pub fn set_group_members(
        &self,
        principal: &Principal,
        id: &GroupId,
        members: &[PersonId],
    ) -> Result<Group, AccessError> {
        self.manage_group(principal, "write", id)?;
        self.write_group(principal, id, |group| {
            group.members = members.iter().map(|id| (id.clone(), String::new())).collect();
        })
    }

    /// Puts a person into a group.
    ///
    /// # Errors
    /// As for [`Engine::set_group_members`].
    pub fn add_group_member(
        &self,
        principal: &Principal,
        id: &GroupId,
        person: &PersonId,
    ) -> Result<Group, AccessError> {
        self.manage_group(principal, "write", id)?;
        self.write_group(principal, id, |group| group.members.push((person.clone(), String::new())))
    }

    /// Takes a person out of a group; nothing happens if they are not in it.
    ///
    /// # Errors
    /// As for [`Engine::change_group`].
    pub fn remove_group_member(
        &self,
        principal: &Principal,
        id: &GroupId,
        person: &PersonId,
    ) -> Result<Group, AccessError> {
        self.manage_group(principal, "write", id)?;
        self.write_group(principal, id, |group| group.members.retain(|(member, _)| member != person))
    }

    /// Deletes a group; its members stay in the organization.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, or there is no such group.
    pub fn delete_group(&self, principal: &Principal, id: &GroupId) -> Result<(), AccessError> {
        self.manage_group(principal, "delete", id)?;
        let deleted = self.store.delete_group(id)?.ok_or_else(|| unknown(&id.0))?;
        let organization = self.known_organization(&deleted.organization_id)?;
        self.record_own(principal, group_event("delete", &organization, Some(&deleted), None));
        Ok(())
    }

    fn write_group(
        &self,
        principal: &Principal,
        id: &GroupId,
        change: impl FnOnce(&mut Group),
    ) -> Result<Group, AccessError> {
        let changed = self.store.change_group(id, self.now(), change).map_err(|error| self.named(error))?;
        let (before, after) = changed.ok_or_else(|| unknown(&id.0))?;
        if snapshot(&before) != snapshot(&after) {
            let organization = self.known_organization(&after.organization_id)?;
            self.record_own(principal, group_event("write", &organization, Some(&before), Some(&after)));
        }
        Ok(after)
    }

    /// The store knows people by their ids; who reads the message knows their names.
    fn named(&self, error: annals_store::StoreError) -> AccessError {
        match AccessError::from(error) {
            AccessError::NotMember { username: id } => match self.store.person(&PersonId(id.clone())) {
                Ok(Some(person)) => AccessError::NotMember { username: person.username },
                _ => AccessError::UnknownPerson { username: shortened(&id) },
            },
            other => other,
        }
    }

    fn manage_group(&self, principal: &Principal, action: &str, id: &GroupId) -> Result<(), AccessError> {
        if principal.may_manage().is_ok() {
            return Ok(());
        }
        let group = self.store.group(id)?;
        let organization = match &group {
            Some(group) => self.store.organization(&group.organization_id)?,
            None => None,
        };
        self.manage(principal, || {
            let target = group.as_ref().map_or(id.0.as_str(), |group| group.name.as_str());
            let event = OwnEvent::new(action, "group", &shortened_or(target));
            let event = match &group {
                Some(group) => event.resource_id(&group.id.0),
                None => event,
            };
            match &organization {
                Some(organization) => event.organization(organization),
                None => event,
            }
        })?;
        Ok(())
    }
}

fn unknown(group: &str) -> AccessError {
    AccessError::UnknownGroup { group: shortened(group) }
}

fn check_texts(group: &Group) -> Result<(), AccessError> {
    check_name(&group.name)?;
    check_line("the name for people", &group.display_name)?;
    check_picture("the picture", &group.avatar_url)
}
