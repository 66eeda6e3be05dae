//! `/groups`: groups of an organization's members.

use annals_engine::{
    AccessError, Engine, GroupChange, GroupId, NewGroup, OrganizationId, OrganizationRole, PersonId,
    Principal,
};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::{Done, ask, done, fault};
use crate::App;
use crate::auth::{PageCaller, blocking};
use crate::pages::form::SmallForm;
use crate::pages::page_error::PageError;
use crate::pages::shell::{Section, Shell};
use crate::pages::{encoded, html, path_part};

#[derive(Template)]
#[template(path = "group.html")]
struct GroupPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    id: String,
    name: String,
    display_name: String,
    sees_the_log: bool,
    organization_path: String,
    organization: String,
    /// Members: id and name.
    members: Vec<(String, String)>,
    /// Members of the organization who are not in the group.
    others: Vec<String>,
}

/// The fields of a group.
#[derive(Debug, Default, Clone, Deserialize)]
pub(crate) struct GroupForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    role: String,
}

/// Creates a group in an organization.
pub(crate) async fn create_group(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(organization): Path<String>,
    SmallForm(form): SmallForm<GroupForm>,
) -> Result<Response, PageError> {
    let (caller, id) = (principal.clone(), OrganizationId(organization.clone()));
    let result = blocking(&app, move |engine| {
        let group = NewGroup {
            name: form.name.trim(),
            display_name: form.display_name.trim(),
            avatar_url: "",
            role: OrganizationRole::from_name(&form.role).unwrap_or(OrganizationRole::Member),
            quota_allowance: 0,
        };
        engine.create_group(&caller, &id, &group)
    })
    .await?;
    match fault(result)? {
        Ok(group) => Ok(done(&address(&group.id.0), "added")),
        Err(fault) => super::organizations::with_fault(&app, principal, organization, fault).await,
    }
}

fn address(id: &str) -> String {
    format!("/groups/{}", encoded(id))
}

/// Shows a group.
pub(crate) async fn show_group(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    Query(done): Query<Done>,
) -> Result<Response, PageError> {
    detail(&app, principal, id, StatusCode::OK, |page| page.done = done.sentence()).await
}

async fn detail(
    app: &App,
    principal: Principal,
    id: String,
    status: StatusCode,
    fill: impl FnOnce(&mut GroupPage),
) -> Result<Response, PageError> {
    let shell = Shell::new(app, &principal, Section::Organizations).await?;
    let (group, organization, members) = ask(app, move |engine| {
        let group = engine.group(&principal, &GroupId(id))?;
        let organization = engine.organization(&principal, &group.organization_id)?;
        let members = engine.members(&principal, &group.organization_id)?;
        Ok::<_, AccessError>((group, organization, members))
    })
    .await?;
    let is_in = |id: &PersonId| group.members.iter().any(|(member, _)| member == id);
    let others = members.iter().filter(|(person, _)| !is_in(&person.id));
    let mut page = GroupPage {
        shell,
        done: "",
        fault: String::new(),
        others: others.map(|(person, _)| person.username.clone()).collect(),
        members: group.members.iter().map(|(id, name)| (id.0.clone(), name.clone())).collect(),
        sees_the_log: group.role == OrganizationRole::Auditor,
        id: group.id.0,
        name: group.name,
        display_name: group.display_name,
        organization_path: path_part(&organization.id.0),
        organization: organization.name,
    };
    fill(&mut page);
    html(status, &page)
}

async fn change(
    app: &App,
    principal: Principal,
    id: String,
    what: &str,
    work: impl FnOnce(&Engine, &Principal, &GroupId) -> Result<(), AccessError> + Send + 'static,
) -> Result<Response, PageError> {
    let (caller, group) = (principal.clone(), GroupId(id.clone()));
    let result = blocking(app, move |engine| work(engine, &caller, &group)).await?;
    match fault(result)? {
        Ok(()) => Ok(done(&address(&id), what)),
        Err(fault) => {
            detail(app, principal, id, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await
        }
    }
}

/// Changes names and role.
pub(crate) async fn change_group(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    SmallForm(form): SmallForm<GroupForm>,
) -> Result<Response, PageError> {
    change(&app, principal, id, "saved", move |engine, caller, group| {
        let change = GroupChange {
            name: Some(form.name.trim()).filter(|name| !name.is_empty()),
            display_name: Some(form.display_name.trim()),
            role: OrganizationRole::from_name(&form.role),
            ..GroupChange::default()
        };
        engine.change_group(caller, group, &change).map(|_| ())
    })
    .await
}

/// Deletes a group.
pub(crate) async fn delete_group(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let (caller, group) = (principal.clone(), GroupId(id.clone()));
    let result = blocking(&app, move |engine| {
        let organization = engine.group(&caller, &group)?.organization_id;
        engine.delete_group(&caller, &group).map(|()| organization)
    })
    .await?;
    match fault(result)? {
        Ok(organization) => Ok(done(&format!("/organizations/{}", path_part(&organization.0)), "deleted")),
        Err(fault) => {
            detail(&app, principal, id, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await
        }
    }
}

/// Who joins.
#[derive(Deserialize)]
pub(crate) struct MemberForm {
    #[serde(default)]
    username: String,
}

/// Adds a member.
pub(crate) async fn add_member(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    SmallForm(form): SmallForm<MemberForm>,
) -> Result<Response, PageError> {
    change(&app, principal, id, "added", move |engine, caller, group| {
        let person = engine.person_named(caller, form.username.trim())?;
        engine.add_group_member(caller, group, &person.id).map(|_| ())
    })
    .await
}

/// Removes a member.
pub(crate) async fn remove_member(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path((id, person)): Path<(String, String)>,
) -> Result<Response, PageError> {
    change(&app, principal, id, "removed", move |engine, caller, group| {
        engine.remove_group_member(caller, group, &PersonId(person)).map(|_| ())
    })
    .await
}
