//! Making, changing and deleting organizations.

use annals_model::id::normalise;
use annals_model::limits::ID_BYTES_MAX;
use annals_model::time::Time;
use annals_query::fold;
use annals_store::{Organization, OrganizationId};
use serde_json::{Value, json};

use super::people::shortened_or;
use super::{AccessError, check_line, check_name, check_picture, new_id, shortened};
use crate::Engine;
use crate::own_event::OwnEvent;
use crate::principal::Principal;

/// Bytes of a description.
const DESCRIPTION_BYTES_MAX: usize = 4_096;

/// An organization to make.
#[derive(Debug, Clone, Default)]
pub struct NewOrganization<'o> {
    /// The id by which producers name it in events; none: a new one is made.
    pub id: Option<&'o str>,
    /// Short name.
    pub name: &'o str,
    /// Name for people, or empty.
    pub display_name: &'o str,
    /// What it is, or empty.
    pub description: &'o str,
    /// Address of a picture, or empty.
    pub icon: &'o str,
}

/// What to change of an organization; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct OrganizationChange<'o> {
    /// Short name.
    pub name: Option<&'o str>,
    /// Name for people, or empty.
    pub display_name: Option<&'o str>,
    /// What it is, or empty.
    pub description: Option<&'o str>,
    /// Address of a picture, or empty.
    pub icon: Option<&'o str>,
}

fn snapshot(organization: &Organization) -> Value {
    json!({
        "id": organization.id.0, "name": organization.name, "display_name": organization.display_name,
        "description": organization.description, "icon": organization.icon,
        "created_at": organization.created, "updated_at": organization.updated,
    })
}

fn organization_event(action: &str, before: Option<&Organization>, after: Option<&Organization>) -> OwnEvent {
    // The present name, so that its auditors and whoever looks for it find the event.
    let of = after.or(before);
    let mut event =
        OwnEvent::new(action, "organization", of.map_or("", |organization| organization.name.as_str()));
    if let Some(organization) = of {
        event = event.resource_id(&organization.id.0).organization(organization);
    }
    if let Some(before) = before {
        event = event.before(snapshot(before));
    }
    if let Some(after) = after {
        event = event.after(snapshot(after));
    }
    event
}

fn is_same(before: &Organization, after: &Organization) -> bool {
    let without_time = |organization: &Organization| {
        snapshot(&Organization { updated: Time::EPOCH, ..organization.clone() })
    };
    without_time(before) == without_time(after)
}

impl Engine {
    /// Lists the organizations by name.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not see them.
    pub fn organizations(&self, principal: &Principal) -> Result<Vec<Organization>, AccessError> {
        principal.may_manage()?;
        Ok(self.store.organizations()?)
    }

    /// Finds an organization by identity.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not see it, or there is none.
    pub fn organization(
        &self,
        principal: &Principal,
        id: &OrganizationId,
    ) -> Result<Organization, AccessError> {
        principal.may_manage()?;
        self.known_organization(id)
    }

    /// Finds an organization by name or identity.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not see it, or there is none.
    pub fn organization_named(
        &self,
        principal: &Principal,
        name_or_id: &str,
    ) -> Result<Organization, AccessError> {
        principal.may_manage()?;
        let found = self.find_organization(name_or_id)?;
        found.ok_or_else(|| AccessError::UnknownOrganization { organization: shortened(name_or_id) })
    }

    pub(super) fn find_organization(&self, name_or_id: &str) -> Result<Option<Organization>, AccessError> {
        match self.store.organization_by_name(name_or_id)? {
            Some(found) => Ok(Some(found)),
            None => Ok(self.store.organization(&OrganizationId(name_or_id.to_owned()))?),
        }
    }

    pub(super) fn known_organization(&self, id: &OrganizationId) -> Result<Organization, AccessError> {
        let found = self.store.organization(id)?;
        found.ok_or_else(|| AccessError::UnknownOrganization { organization: shortened(&id.0) })
    }

    /// Makes an organization.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, or a name or the id cannot be taken.
    pub fn create_organization(
        &self,
        principal: &Principal,
        new: &NewOrganization<'_>,
    ) -> Result<Organization, AccessError> {
        self.manage(principal, || OwnEvent::new("create", "organization", &shortened_or(new.name)))?;
        let created = self.now();
        let organization = Organization {
            id: OrganizationId(new.id.map_or_else(|| new_id(created), |id| normalise(id).into_owned())),
            name: new.name.to_owned(),
            display_name: new.display_name.to_owned(),
            description: new.description.to_owned(),
            icon: new.icon.to_owned(),
            created,
            updated: created,
        };
        check_id(&organization.id)?;
        check_texts(&organization)?;
        self.check_distinct(&organization)?;
        self.store.add_organization(&organization)?;
        self.record_own(principal, organization_event("create", None, Some(&organization)));
        Ok(organization)
    }

    /// Changes an organization.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, there is no such organization, or a text cannot be taken.
    pub fn change_organization(
        &self,
        principal: &Principal,
        id: &OrganizationId,
        change: &OrganizationChange<'_>,
    ) -> Result<Organization, AccessError> {
        self.manage_organization(principal, "write", id)?;
        let apply = |organization: &mut Organization| {
            for (text, new) in [
                (&mut organization.name, change.name),
                (&mut organization.display_name, change.display_name),
                (&mut organization.description, change.description),
                (&mut organization.icon, change.icon),
            ] {
                if let Some(new) = new {
                    new.clone_into(text);
                }
            }
        };
        let mut wanted = self.known_organization(id)?;
        apply(&mut wanted);
        check_texts(&wanted)?;
        self.check_distinct(&wanted)?;
        let changed = self.store.change_organization(id, self.now(), apply)?;
        let (before, after) =
            changed.ok_or_else(|| AccessError::UnknownOrganization { organization: shortened(&id.0) })?;
        if !is_same(&before, &after) {
            self.record_own(principal, organization_event("write", Some(&before), Some(&after)));
        }
        Ok(after)
    }

    /// Deletes an organization with its memberships and groups. Its events stay; whoever saw them as its auditor does not
    /// any more.
    ///
    /// # Errors
    /// [`AccessError`] if the caller may not, or there is no such organization.
    pub fn delete_organization(&self, principal: &Principal, id: &OrganizationId) -> Result<(), AccessError> {
        self.manage_organization(principal, "delete", id)?;
        let (members, groups) = (self.store.members(id)?, self.store.groups(id)?);
        let deleted = self.store.delete_organization(id)?;
        let organization =
            deleted.ok_or_else(|| AccessError::UnknownOrganization { organization: shortened(&id.0) })?;
        let event = organization_event("delete", Some(&organization), None)
            .additional("members", members.len())
            .additional("groups", groups.len());
        self.record_own(principal, event);
        Ok(())
    }

    fn manage_organization(
        &self,
        principal: &Principal,
        action: &str,
        id: &OrganizationId,
    ) -> Result<(), AccessError> {
        if principal.may_manage().is_ok() {
            return Ok(());
        }
        let organization = self.store.organization(id)?;
        self.manage(principal, || match &organization {
            Some(organization) => OwnEvent::new(action, "organization", &organization.name)
                .resource_id(&organization.id.0)
                .organization(organization),
            None => OwnEvent::new(action, "organization", &shortened_or(&id.0)),
        })?;
        Ok(())
    }

    /// A query term finds an organization by id or name, and the sight of an organization's auditor is such a term: so
    /// the name of one must never be the id of another, nor two ids differ by case alone.
    fn check_distinct(&self, wanted: &Organization) -> Result<(), AccessError> {
        let is_same = |left: &str, right: &str| fold(left) == fold(right);
        for other in self.store.organizations()?.iter().filter(|other| other.id != wanted.id) {
            if is_same(&other.id.0, &wanted.id.0) || is_same(&other.name, &wanted.id.0) {
                return Err(taken(&wanted.id.0));
            }
            if is_same(&other.id.0, &wanted.name) || is_same(&other.name, &wanted.name) {
                return Err(taken(&wanted.name));
            }
        }
        Ok(())
    }
}

fn taken(name: &str) -> AccessError {
    AccessError::NameTaken { what: "an organization", name: name.to_owned() }
}

/// Producers name organizations as they like: any text that an event takes and that can be seen.
fn check_id(id: &OrganizationId) -> Result<(), AccessError> {
    let is_plain = id.0.chars().all(|character| !character.is_control() && !character.is_whitespace());
    if id.0.is_empty() || id.0.len() > ID_BYTES_MAX || !is_plain {
        let expected = "1 to 200 bytes without spaces";
        return Err(AccessError::BadText { what: "the id of an organization", expected });
    }
    Ok(())
}

fn check_texts(organization: &Organization) -> Result<(), AccessError> {
    check_name(&organization.name)?;
    check_line("the name for people", &organization.display_name)?;
    check_picture("the icon", &organization.icon)?;
    let description = &organization.description;
    let is_odd = |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
    if description.len() > DESCRIPTION_BYTES_MAX || description.chars().any(is_odd) {
        return Err(AccessError::BadText { what: "the description", expected: "at most 4096 bytes of text" });
    }
    Ok(())
}
