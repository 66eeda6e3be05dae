//! Groups of people inside an organization.

use annals_model::time::Time;

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::organizations::{OrganizationId, OrganizationRole};
use crate::people::PersonId;
use crate::store::Store;
use crate::value::{Row, Value};

/// Identity of a group: the text of a UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupId(pub String);

/// A group of people inside an organization.
#[derive(Debug, Clone)]
pub struct Group {
    /// Identity.
    pub id: GroupId,
    /// Whose group it is.
    pub organization_id: OrganizationId,
    /// Short name; unique in the organization without regard to case.
    pub name: String,
    /// Name for people, or empty.
    pub display_name: String,
    /// Address of a picture, or empty.
    pub avatar_url: String,
    /// What its members may do in the organization, besides what they may by themselves.
    pub role: OrganizationRole,
    /// What its members may use; kept for producers, without meaning here.
    pub quota_allowance: i64,
    /// When it was made.
    pub created: Time,
    /// When it was last changed.
    pub updated: Time,
    /// Its members, by their log-in names.
    pub members: Vec<(PersonId, String)>,
}

const COLUMNS: &str =
    "id, organization_id, name, display_name, avatar_url, role, quota_allowance, created_us, updated_us";

fn group(row: Row<'_>) -> Result<Group, StoreError> {
    Ok(Group {
        id: GroupId(row.text(0)?),
        organization_id: OrganizationId(row.text(1)?),
        name: row.text(2)?,
        display_name: row.text(3)?,
        avatar_url: row.text(4)?,
        role: OrganizationRole::read(&row.text(5)?),
        quota_allowance: row.int(6)?,
        created: Time::from_micros_saturating(row.int(7)?),
        updated: Time::from_micros_saturating(row.int(8)?),
        members: Vec::new(),
    })
}

fn read_members(connection: &mut Connection, id: &GroupId) -> Result<Vec<(PersonId, String)>, StoreError> {
    let sql = "SELECT person.id, person.username FROM group_member
               JOIN person ON person.id = group_member.person_id
               WHERE group_member.group_id = $1 ORDER BY person.username_folded";
    connection.query_all(sql, &[Value::Text(&id.0)], |row| Ok((PersonId(row.text(0)?), row.text(1)?)))
}

/// Makes the members what they should be.
fn write_members(connection: &mut Connection, group: &Group) -> Result<(), StoreError> {
    let mut ids: Vec<&str> = group.members.iter().map(|(id, _)| id.0.as_str()).collect();
    // Always in the same order and before anything else of theirs, so that two changes at once never wait for each other.
    ids.sort_unstable();
    ids.dedup();
    // Locked, so that nobody leaves the organization meanwhile.
    let sql = format!(
        "SELECT person_id FROM organization_member WHERE organization_id = $1 AND person_id = $2{}",
        connection.for_update()
    );
    for id in &ids {
        let values = [Value::Text(&group.organization_id.0), Value::Text(id)];
        if connection.query_optional(&sql, &values, |row| row.text(0))?.is_none() {
            return Err(StoreError::NotMember { person_id: (*id).to_owned() });
        }
    }
    connection.execute("DELETE FROM group_member WHERE group_id = $1", &[Value::Text(&group.id.0)])?;
    for id in ids {
        let sql = "INSERT INTO group_member (group_id, person_id) VALUES ($1, $2)";
        connection.execute(sql, &[Value::Text(&group.id.0), Value::Text(id)])?;
    }
    Ok(())
}

fn taken(group: &Group) -> StoreError {
    StoreError::NameTaken { what: "a group", name: group.name.clone() }
}

impl Store {
    /// Adds a group with its members.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if the organization has one of that name; [`StoreError::NotMember`] if one of its members is
    /// not in the organization.
    pub fn add_group(&self, group: &Group) -> Result<(), StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let added = transaction.execute(
                "INSERT INTO person_group (id, organization_id, name, name_folded, display_name, avatar_url, role,
                                           quota_allowance, created_us, updated_us)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
                &[
                    Value::Text(&group.id.0),
                    Value::Text(&group.organization_id.0),
                    Value::Text(&group.name),
                    Value::Text(&group.name.to_lowercase()),
                    Value::Text(&group.display_name),
                    Value::Text(&group.avatar_url),
                    Value::Text(group.role.name()),
                    Value::Int(group.quota_allowance),
                    Value::Int(group.created.as_micros()),
                    Value::Int(group.updated.as_micros()),
                ],
            )?;
            if added == 0 {
                return Err(taken(group));
            }
            write_members(&mut transaction, group)?;
            transaction.commit()
        })
    }

    /// Finds a group by identity, with its members.
    ///
    /// # Errors
    /// [`StoreError`] if the tables cannot be read.
    pub fn group(&self, id: &GroupId) -> Result<Option<Group>, StoreError> {
        if id.0.contains('\0') {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM person_group WHERE id = $1");
        self.read(|connection| {
            let Some(mut found) = connection.query_optional(&sql, &[Value::Text(&id.0)], group)? else {
                return Ok(None);
            };
            found.members = read_members(connection, id)?;
            Ok(Some(found))
        })
    }

    /// Lists the groups of an organization by name, with their members.
    ///
    /// # Errors
    /// [`StoreError`] if the tables cannot be read.
    pub fn groups(&self, organization_id: &OrganizationId) -> Result<Vec<Group>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM person_group WHERE organization_id = $1 ORDER BY name_folded");
        self.read(|connection| {
            let mut groups = connection.query_all(&sql, &[Value::Text(&organization_id.0)], group)?;
            for group in &mut groups {
                group.members = read_members(connection, &group.id)?;
            }
            Ok(groups)
        })
    }

    /// Changes a group as `change` does to what is stored now, its members too, and returns it before and after; none if
    /// there is no such group. Of a new member only the identity counts.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if the organization has another one of that name; [`StoreError::NotMember`] if one of its
    /// members is not in the organization.
    pub fn change_group(
        &self,
        id: &GroupId,
        now: Time,
        change: impl FnOnce(&mut Group),
    ) -> Result<Option<(Group, Group)>, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let sql = format!("SELECT {COLUMNS} FROM person_group WHERE id = $1{}", transaction.for_update());
            let before = transaction.query_optional(&sql, &[Value::Text(&id.0)], group)?;
            let Some(mut before) = before else { return Ok(None) };
            before.members = read_members(&mut transaction, id)?;
            let mut after = before.clone();
            change(&mut after);
            after.updated = now;
            let changed = transaction.execute(
                "UPDATE person_group SET name = $1, name_folded = $2, display_name = $3, avatar_url = $4, role = $5,
                                         quota_allowance = $6, updated_us = $7
                 WHERE id = $8",
                &[
                    Value::Text(&after.name),
                    Value::Text(&after.name.to_lowercase()),
                    Value::Text(&after.display_name),
                    Value::Text(&after.avatar_url),
                    Value::Text(after.role.name()),
                    Value::Int(after.quota_allowance),
                    Value::Int(now.as_micros()),
                    Value::Text(&id.0),
                ],
            );
            match changed {
                Err(error) if error.is_repetition() => return Err(taken(&after)),
                other => other.map(drop)?,
            }
            write_members(&mut transaction, &after)?;
            after.members = read_members(&mut transaction, id)?;
            transaction.commit()?;
            Ok(Some((before, after)))
        })
    }

    /// Deletes a group; returns it, or none if there is no such group.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn delete_group(&self, id: &GroupId) -> Result<Option<Group>, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let members = read_members(&mut transaction, id)?;
            let sql = format!("DELETE FROM person_group WHERE id = $1 RETURNING {COLUMNS}");
            let deleted = transaction.query_optional(&sql, &[Value::Text(&id.0)], group)?;
            transaction.commit()?;
            Ok(deleted.map(|deleted| Group { members, ..deleted }))
        })
    }
}
