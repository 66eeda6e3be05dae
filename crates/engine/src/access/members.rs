//! Who is in an organization, and as what.

use annals_store::{Group, Membership, Organization, OrganizationId, OrganizationRole, Person, PersonId};
use serde_json::{Value, json};

use super::AccessError;
use super::groups::group_event;
use super::people::shortened_or;
use crate::Engine;
use crate::own_event::OwnEvent;
use crate::principal::Principal;

fn member_snapshot(person: &Person, membership: &Membership) -> Value {
    json!({
        "organization_id": membership.organization_id.0, "user_id": person.id.0, "username": person.username,
        "roles": [membership.role.name()], "created_at": membership.created, "updated_at": membership.updated,
    })
}

pub(super) fn member_event(
    action: &str,
    organization: &Organization,
    person: &Person,
    before: Option<&Membership>,
    after: Option<&Membership>,
) -> OwnEvent {
    let mut event = OwnEvent::new(action, "organization_member", &person.username)
        .resource_id(&person.id.0)
        .organization(organization);
    if let Some(before) = before {
        event = event.before(member_snapshot(person, before));
    }
    if let Some(after) = after {
        event = event.after(member_snapshot(person, after));
    }
    event
}

impl Engine {
    /// Lists the members of an organization by name.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not see them, or there is no such organization.
    pub fn members(
        &self,
        principal: &Principal,
        id: &OrganizationId,
    ) -> Result<Vec<(Person, Membership)>, AccessError> {
        principal.may_manage()?;
        self.known_organization(id)?;
        Ok(self.store.members(id)?)
    }

    /// Lists the organizations that a person is in: one's own, or anybody's as a site manager.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not see them, or there is no such person.
    pub fn memberships(
        &self,
        principal: &Principal,
        id: &PersonId,
    ) -> Result<Vec<(Organization, Membership)>, AccessError> {
        let person = self.person(principal, id)?;
        Ok(self.store.memberships_of(&person.id)?)
    }

    /// Puts a person into an organization; whoever is in it already gets the role.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, or there is no such organization or person.
    pub fn add_member(
        &self,
        principal: &Principal,
        organization: &OrganizationId,
        person: &PersonId,
        role: OrganizationRole,
    ) -> Result<(), AccessError> {
        self.manage_member(principal, "create", organization, person)?;
        let organization = self.known_organization(organization)?;
        let person = self.store.person(person)?.ok_or_else(|| AccessError::unknown_person(person))?;
        self.put_member(principal, &organization, &person, role)
    }

    /// Changes what a member may do in an organization.
    ///
    /// # Errors
    /// [`AccessError::NotMember`] if they are not in it; others as for [`Engine::add_member`].
    pub fn change_member_role(
        &self,
        principal: &Principal,
        organization: &OrganizationId,
        person: &PersonId,
        role: OrganizationRole,
    ) -> Result<(), AccessError> {
        self.manage_member(principal, "write", organization, person)?;
        let organization = self.known_organization(organization)?;
        let person = self.store.person(person)?.ok_or_else(|| AccessError::unknown_person(person))?;
        let memberships = self.store.memberships_of(&person.id)?;
        if memberships.iter().all(|(other, _)| other.id != organization.id) {
            return Err(AccessError::NotMember { username: person.username });
        }
        self.put_member(principal, &organization, &person, role)
    }

    /// Puts a person into an organization or changes their role in it, and records which of the two it was.
    pub(super) fn put_member(
        &self,
        principal: &Principal,
        organization: &Organization,
        person: &Person,
        role: OrganizationRole,
    ) -> Result<(), AccessError> {
        let now = self.now();
        let mut new = Membership {
            organization_id: organization.id.clone(),
            person_id: person.id.clone(),
            role,
            created: now,
            updated: now,
        };
        let before = self.store.put_member(&new)?;
        let event = match &before {
            None => member_event("create", organization, person, None, Some(&new)),
            Some(before) if before.role == role => return Ok(()),
            Some(before) => {
                new.created = before.created;
                member_event("write", organization, person, Some(before), Some(&new))
            }
        };
        self.record_own(principal, event);
        Ok(())
    }

    /// Takes a person out of an organization and its groups.
    ///
    /// # Errors
    /// [`AccessError::NotMember`] if they are not in it; others as for [`Engine::add_member`].
    pub fn remove_member(
        &self,
        principal: &Principal,
        organization: &OrganizationId,
        person: &PersonId,
    ) -> Result<(), AccessError> {
        self.manage_member(principal, "delete", organization, person)?;
        let organization = self.known_organization(organization)?;
        let person = self.store.person(person)?.ok_or_else(|| AccessError::unknown_person(person))?;
        if self.take_member(principal, &organization, &person)? {
            Ok(())
        } else {
            Err(AccessError::NotMember { username: person.username })
        }
    }

    /// Takes a person out of an organization and its groups, and says whether they were in it.
    pub(super) fn take_member(
        &self,
        principal: &Principal,
        organization: &Organization,
        person: &Person,
    ) -> Result<bool, AccessError> {
        let groups = self.store.groups(&organization.id)?;
        let Some(before) = self.store.remove_member(&organization.id, &person.id)? else { return Ok(false) };
        let mut events = vec![member_event("delete", organization, person, Some(&before), None)];
        events.extend(events_of_groups_left(&groups, organization, person));
        self.record_all_own(principal, events);
        Ok(true)
    }

    fn manage_member(
        &self,
        principal: &Principal,
        action: &str,
        organization: &OrganizationId,
        person: &PersonId,
    ) -> Result<(), AccessError> {
        if principal.may_manage().is_ok() {
            return Ok(());
        }
        let (organization, found) = (self.store.organization(organization)?, self.store.person(person)?);
        self.manage(principal, || {
            let target = found.as_ref().map_or(person.0.as_str(), |person| person.username.as_str());
            let event = OwnEvent::new(action, "organization_member", &shortened_or(target));
            let event = match &found {
                Some(person) => event.resource_id(&person.id.0),
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

/// The events of the groups that a person leaves with their organization.
pub(super) fn events_of_groups_left(
    groups: &[Group],
    organization: &Organization,
    person: &Person,
) -> impl Iterator<Item = OwnEvent> {
    let left = groups.iter().filter(|group| group.members.iter().any(|(id, _)| *id == person.id));
    left.map(|group| {
        let members = group.members.iter().filter(|(id, _)| *id != person.id).cloned().collect();
        let after = Group { members, ..group.clone() };
        group_event("write", organization, Some(group), Some(&after))
    })
}
