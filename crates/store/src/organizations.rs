//! Organizations and who is in them.

use std::collections::BTreeSet;

use annals_model::time::Time;

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::people::{self, Person, PersonId};
use crate::store::Store;
use crate::value::{Row, Value};

/// Identity of an organization: the text by which events name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrganizationId(pub String);

/// A part of the deployment whose events its own auditors may see.
#[derive(Debug, Clone)]
pub struct Organization {
    /// Identity.
    pub id: OrganizationId,
    /// Short name; unique without regard to case.
    pub name: String,
    /// Name for people, or empty.
    pub display_name: String,
    /// What it is, or empty.
    pub description: String,
    /// Address of a picture, or empty.
    pub icon: String,
    /// When it was made.
    pub created: Time,
    /// When it was last changed.
    pub updated: Time,
}

/// What a member of an organization, or a group, may do in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrganizationRole {
    /// Nothing of itself.
    Member,
    /// Sees the organization's events.
    Auditor,
}

impl OrganizationRole {
    /// Every role.
    pub const ALL: [OrganizationRole; 2] = [OrganizationRole::Member, OrganizationRole::Auditor];

    /// Name in the API, the command line and the database.
    pub const fn name(self) -> &'static str {
        match self {
            OrganizationRole::Member => "member",
            OrganizationRole::Auditor => "organization-auditor",
        }
    }

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<OrganizationRole> {
        OrganizationRole::ALL.into_iter().find(|role| role.name() == name)
    }

    /// A role that this version does not know gives no sight, rather than too much.
    pub(crate) fn read(name: &str) -> OrganizationRole {
        OrganizationRole::from_name(name).unwrap_or(OrganizationRole::Member)
    }
}

/// That a person is in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The person.
    pub person_id: PersonId,
    /// What they may do in it.
    pub role: OrganizationRole,
    /// Since when they are in it.
    pub created: Time,
    /// When their role last changed.
    pub updated: Time,
}

const COLUMNS: &str = "organization.id, organization.name, organization.display_name, organization.description, \
    organization.icon, organization.created_us, organization.updated_us";
const COLUMN_COUNT: usize = 7;

const MEMBER_COLUMNS: &str = "organization_member.organization_id, organization_member.person_id, \
    organization_member.role, organization_member.created_us, organization_member.updated_us";

fn organization(row: Row<'_>) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: OrganizationId(row.text(0)?),
        name: row.text(1)?,
        display_name: row.text(2)?,
        description: row.text(3)?,
        icon: row.text(4)?,
        created: Time::from_micros_saturating(row.int(5)?),
        updated: Time::from_micros_saturating(row.int(6)?),
    })
}

/// Reads the columns from `first` on.
fn membership(row: Row<'_>, first: usize) -> Result<Membership, StoreError> {
    Ok(Membership {
        organization_id: OrganizationId(row.text(first)?),
        person_id: PersonId(row.text(first + 1)?),
        role: OrganizationRole::read(&row.text(first + 2)?),
        created: Time::from_micros_saturating(row.int(first + 3)?),
        updated: Time::from_micros_saturating(row.int(first + 4)?),
    })
}

fn read_membership(
    connection: &mut Connection,
    organization_id: &OrganizationId,
    person_id: &PersonId,
) -> Result<Option<Membership>, StoreError> {
    let sql = format!(
        "SELECT {MEMBER_COLUMNS} FROM organization_member WHERE organization_id = $1 AND person_id = $2{}",
        connection.for_update()
    );
    let values = [Value::Text(&organization_id.0), Value::Text(&person_id.0)];
    connection.query_optional(&sql, &values, |row| membership(row, 0))
}

/// Queries by a text that somebody typed. PostgreSQL takes no zero character, and nothing is named so.
fn is_searchable(text: &str) -> bool {
    !text.contains('\0')
}

impl Store {
    /// Adds an organization.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if another one has the name or the id.
    pub fn add_organization(&self, organization: &Organization) -> Result<(), StoreError> {
        self.write(|connection| {
            let added = connection.execute(
                "INSERT INTO organization (id, name, name_folded, display_name, description, icon, created_us, updated_us)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                &[
                    Value::Text(&organization.id.0),
                    Value::Text(&organization.name),
                    Value::Text(&organization.name.to_lowercase()),
                    Value::Text(&organization.display_name),
                    Value::Text(&organization.description),
                    Value::Text(&organization.icon),
                    Value::Int(organization.created.as_micros()),
                    Value::Int(organization.updated.as_micros()),
                ],
            )?;
            if added == 0 {
                return Err(taken(&organization.name));
            }
            Ok(())
        })
    }

    /// Finds an organization by identity.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn organization(&self, id: &OrganizationId) -> Result<Option<Organization>, StoreError> {
        if !is_searchable(&id.0) {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM organization WHERE id = $1");
        self.read(|connection| connection.query_optional(&sql, &[Value::Text(&id.0)], organization))
    }

    /// Finds an organization by name, without regard to case.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn organization_by_name(&self, name: &str) -> Result<Option<Organization>, StoreError> {
        if !is_searchable(name) {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM organization WHERE name_folded = $1");
        let folded = name.to_lowercase();
        self.read(|connection| connection.query_optional(&sql, &[Value::Text(&folded)], organization))
    }

    /// Lists the organizations by name.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn organizations(&self) -> Result<Vec<Organization>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM organization ORDER BY name_folded");
        self.read(|connection| connection.query_all(&sql, &[], organization))
    }

    /// Changes an organization as `change` does to what is stored now, and returns it before and after; none if there is no
    /// such organization.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if another one has the name.
    pub fn change_organization(
        &self,
        id: &OrganizationId,
        now: Time,
        change: impl FnOnce(&mut Organization),
    ) -> Result<Option<(Organization, Organization)>, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let sql =
                format!("SELECT {COLUMNS} FROM organization WHERE id = $1{}", transaction.for_update());
            let before = transaction.query_optional(&sql, &[Value::Text(&id.0)], organization)?;
            let Some(before) = before else { return Ok(None) };
            let mut after = before.clone();
            change(&mut after);
            after.updated = now;
            let changed = transaction.execute(
                "UPDATE organization SET name = $1, name_folded = $2, display_name = $3, description = $4, icon = $5,
                                         updated_us = $6
                 WHERE id = $7",
                &[
                    Value::Text(&after.name),
                    Value::Text(&after.name.to_lowercase()),
                    Value::Text(&after.display_name),
                    Value::Text(&after.description),
                    Value::Text(&after.icon),
                    Value::Int(now.as_micros()),
                    Value::Text(&id.0),
                ],
            );
            match changed {
                Err(error) if error.is_repetition() => return Err(taken(&after.name)),
                other => other.map(drop)?,
            }
            transaction.commit()?;
            Ok(Some((before, after)))
        })
    }

    /// Deletes an organization with its memberships and groups; returns it, or none if there is no such organization.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn delete_organization(&self, id: &OrganizationId) -> Result<Option<Organization>, StoreError> {
        self.write(|connection| {
            let sql = format!("DELETE FROM organization WHERE id = $1 RETURNING {COLUMNS}");
            connection.query_optional(&sql, &[Value::Text(&id.0)], organization)
        })
    }

    /// Lists the members of an organization by name.
    ///
    /// # Errors
    /// [`StoreError`] if the tables cannot be read.
    pub fn members(&self, id: &OrganizationId) -> Result<Vec<(Person, Membership)>, StoreError> {
        let sql = format!(
            "SELECT {}, {MEMBER_COLUMNS} FROM organization_member
             JOIN person ON person.id = organization_member.person_id
             WHERE organization_member.organization_id = $1 ORDER BY person.username_folded",
            people::COLUMNS
        );
        self.read(|connection| {
            connection.query_all(&sql, &[Value::Text(&id.0)], |row| {
                Ok((people::person(row)?, membership(row, people::COLUMN_COUNT)?))
            })
        })
    }

    /// Lists the organizations that a person is in, by name.
    ///
    /// # Errors
    /// [`StoreError`] if the tables cannot be read.
    pub fn memberships_of(
        &self,
        person_id: &PersonId,
    ) -> Result<Vec<(Organization, Membership)>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, {MEMBER_COLUMNS} FROM organization_member
             JOIN organization ON organization.id = organization_member.organization_id
             WHERE organization_member.person_id = $1 ORDER BY organization.name_folded"
        );
        self.read(|connection| {
            connection.query_all(&sql, &[Value::Text(&person_id.0)], |row| {
                Ok((organization(row)?, membership(row, COLUMN_COUNT)?))
            })
        })
    }

    /// The organizations whose events a person may see: by their own role, or by that of a group of theirs.
    ///
    /// # Errors
    /// [`StoreError`] if the tables cannot be read.
    pub fn audited_organizations(&self, person_id: &PersonId) -> Result<BTreeSet<String>, StoreError> {
        let auditor = OrganizationRole::Auditor.name();
        let sql = format!(
            "SELECT organization_id FROM organization_member WHERE person_id = $1 AND role = '{auditor}'
             UNION
             SELECT person_group.organization_id FROM group_member
             JOIN person_group ON person_group.id = group_member.group_id
             WHERE group_member.person_id = $1 AND person_group.role = '{auditor}'"
        );
        self.read(|connection| {
            let ids = connection.query_all(&sql, &[Value::Text(&person_id.0)], |row| row.text(0))?;
            Ok(ids.into_iter().collect())
        })
    }

    /// Puts a person into an organization, or changes their role in it; returns what was there before. `created` counts for
    /// new members only.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written, also if there is no such organization or person.
    pub fn put_member(&self, new: &Membership) -> Result<Option<Membership>, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let before = read_membership(&mut transaction, &new.organization_id, &new.person_id)?;
            transaction.execute(
                "INSERT INTO organization_member (organization_id, person_id, role, created_us, updated_us)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (organization_id, person_id)
                 DO UPDATE SET role = excluded.role, updated_us = excluded.updated_us",
                &[
                    Value::Text(&new.organization_id.0),
                    Value::Text(&new.person_id.0),
                    Value::Text(new.role.name()),
                    Value::Int(new.created.as_micros()),
                    Value::Int(new.updated.as_micros()),
                ],
            )?;
            transaction.commit()?;
            Ok(before)
        })
    }

    /// Takes a person out of an organization and its groups; returns what was there, or none if they were not in it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn remove_member(
        &self,
        organization_id: &OrganizationId,
        person_id: &PersonId,
    ) -> Result<Option<Membership>, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let before = read_membership(&mut transaction, organization_id, person_id)?;
            let values = [Value::Text(&organization_id.0), Value::Text(&person_id.0)];
            transaction.execute(
                "DELETE FROM group_member
                 WHERE group_id IN (SELECT id FROM person_group WHERE organization_id = $1) AND person_id = $2",
                &values,
            )?;
            let sql = "DELETE FROM organization_member WHERE organization_id = $1 AND person_id = $2";
            transaction.execute(sql, &values)?;
            transaction.commit()?;
            Ok(before)
        })
    }
}

fn taken(name: &str) -> StoreError {
    StoreError::NameTaken { what: "an organization", name: name.to_owned() }
}
