//! `/organizations`: organizations, who belongs to them, and who sees their events.

use annals_engine::{
    AccessError, Engine, NewOrganization, Organization, OrganizationChange, OrganizationId, OrganizationRole,
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
use crate::pages::query_text::term;
use crate::pages::shell::{Section, Shell};
use crate::pages::{encoded, html, path_part};

#[derive(Template)]
#[template(path = "organizations.html")]
struct OrganizationsPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    form: OrganizationForm,
    organizations: Vec<OrganizationRow>,
}

struct OrganizationRow {
    id: String,
    /// The id as a part of an address.
    path: String,
    name: String,
    display_name: String,
    description: String,
    icon: String,
}

impl OrganizationRow {
    fn new(organization: &Organization) -> OrganizationRow {
        OrganizationRow {
            id: organization.id.0.clone(),
            path: path_part(&organization.id.0),
            name: organization.name.clone(),
            display_name: organization.display_name.clone(),
            description: organization.description.clone(),
            icon: organization.icon.clone(),
        }
    }
}

/// The fields of an organization.
#[derive(Debug, Default, Clone, Deserialize)]
pub(crate) struct OrganizationForm {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    icon: String,
}

/// Shows all organizations.
pub(crate) async fn show_organizations(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Query(done): Query<Done>,
) -> Result<Response, PageError> {
    list(&app, principal, StatusCode::OK, |page| page.done = done.sentence()).await
}

async fn list(
    app: &App,
    principal: Principal,
    status: StatusCode,
    fill: impl FnOnce(&mut OrganizationsPage),
) -> Result<Response, PageError> {
    let shell = Shell::new(app, &principal, Section::Organizations).await?;
    let organizations = ask(app, move |engine| engine.organizations(&principal)).await?;
    let organizations = organizations.iter().map(OrganizationRow::new).collect();
    let form = OrganizationForm::default();
    let mut page = OrganizationsPage { shell, done: "", fault: String::new(), form, organizations };
    fill(&mut page);
    html(status, &page)
}

/// Creates an organization.
pub(crate) async fn create_organization(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    SmallForm(form): SmallForm<OrganizationForm>,
) -> Result<Response, PageError> {
    let (caller, sent) = (principal.clone(), form.clone());
    let result = blocking(&app, move |engine| {
        let organization = NewOrganization {
            id: Some(sent.id.trim()).filter(|id| !id.is_empty()),
            name: sent.name.trim(),
            display_name: sent.display_name.trim(),
            description: sent.description.trim(),
            icon: sent.icon.trim(),
        };
        engine.create_organization(&caller, &organization)
    })
    .await?;
    match fault(result)? {
        Ok(organization) => Ok(done(&address(&organization.id.0), "added")),
        Err(fault) => {
            list(&app, principal, StatusCode::UNPROCESSABLE_ENTITY, |page| {
                page.fault = fault;
                page.form = form;
            })
            .await
        }
    }
}

fn address(id: &str) -> String {
    format!("/organizations/{}", path_part(id))
}

#[derive(Template)]
#[template(path = "organization.html")]
struct OrganizationPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    organization: OrganizationRow,
    members: Vec<MemberRow>,
    groups: Vec<GroupRow>,
    /// People who are no members yet.
    others: Vec<String>,
    events_href: String,
}

struct MemberRow {
    id: String,
    username: String,
    email: String,
    sees_the_log: bool,
}

struct GroupRow {
    id: String,
    name: String,
    member_count: usize,
    sees_the_log: bool,
}

/// Shows one organization.
pub(crate) async fn show_organization(
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
    fill: impl FnOnce(&mut OrganizationPage),
) -> Result<Response, PageError> {
    let shell = Shell::new(app, &principal, Section::Organizations).await?;
    let id = OrganizationId(id);
    let (organization, members, groups, people) = ask(app, move |engine| {
        let organization = engine.organization(&principal, &id)?;
        let (members, groups) = (engine.members(&principal, &id)?, engine.groups(&principal, &id)?);
        Ok::<_, AccessError>((organization, members, groups, engine.people(&principal)?))
    })
    .await?;
    let is_member = |username: &str| members.iter().any(|(person, _)| person.username == username);
    let mut page = OrganizationPage {
        shell,
        done: "",
        fault: String::new(),
        events_href: format!("/audit?filter={}", encoded(&term("organization", &organization.id.0))),
        others: people.iter().map(|person| person.username.clone()).filter(|name| !is_member(name)).collect(),
        organization: OrganizationRow::new(&organization),
        members: members
            .iter()
            .map(|(person, membership)| MemberRow {
                id: person.id.0.clone(),
                username: person.username.clone(),
                email: person.email.clone(),
                sees_the_log: membership.role == OrganizationRole::Auditor,
            })
            .collect(),
        groups: groups
            .iter()
            .map(|group| GroupRow {
                id: group.id.0.clone(),
                name: group.name.clone(),
                member_count: group.members.len(),
                sees_the_log: group.role == OrganizationRole::Auditor,
            })
            .collect(),
    };
    fill(&mut page);
    html(status, &page)
}

/// Runs a change and goes back to the page of the organization.
async fn change(
    app: &App,
    principal: Principal,
    id: String,
    what: &str,
    work: impl FnOnce(&Engine, &Principal, &OrganizationId) -> Result<(), AccessError> + Send + 'static,
) -> Result<Response, PageError> {
    let (caller, organization) = (principal.clone(), OrganizationId(id.clone()));
    let result = blocking(app, move |engine| work(engine, &caller, &organization)).await?;
    match fault(result)? {
        Ok(()) => Ok(done(&address(&id), what)),
        Err(fault) => {
            detail(app, principal, id, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await
        }
    }
}

/// Changes names and description.
pub(crate) async fn change_organization(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    SmallForm(form): SmallForm<OrganizationForm>,
) -> Result<Response, PageError> {
    change(&app, principal, id, "saved", move |engine, caller, organization| {
        let change = OrganizationChange {
            name: Some(form.name.trim()).filter(|name| !name.is_empty()),
            display_name: Some(form.display_name.trim()),
            description: Some(form.description.trim()),
            icon: Some(form.icon.trim()),
        };
        engine.change_organization(caller, organization, &change).map(|_| ())
    })
    .await
}

/// Deletes an organization; its events stay.
pub(crate) async fn delete_organization(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let (caller, organization) = (principal.clone(), OrganizationId(id.clone()));
    let result = blocking(&app, move |engine| engine.delete_organization(&caller, &organization)).await?;
    match fault(result)? {
        Ok(()) => Ok(done("/organizations", "deleted")),
        Err(fault) => {
            detail(&app, principal, id, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await
        }
    }
}

/// The page of an organization with something that is wrong.
pub(super) async fn with_fault(
    app: &App,
    principal: Principal,
    id: String,
    fault: String,
) -> Result<Response, PageError> {
    detail(app, principal, id, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await
}

/// Who becomes a member, or what a member may do.
#[derive(Deserialize)]
pub(crate) struct MemberForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    role: String,
}

/// Adds a member.
pub(crate) async fn add_member(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    SmallForm(form): SmallForm<MemberForm>,
) -> Result<Response, PageError> {
    change(&app, principal, id, "added", move |engine, caller, organization| {
        let person = engine.person_named(caller, form.username.trim())?;
        let role = OrganizationRole::from_name(&form.role).unwrap_or(OrganizationRole::Member);
        engine.add_member(caller, organization, &person.id, role)
    })
    .await
}

/// Changes what a member may do.
pub(crate) async fn change_member(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path((id, person)): Path<(String, String)>,
    SmallForm(form): SmallForm<MemberForm>,
) -> Result<Response, PageError> {
    change(&app, principal, id, "saved", move |engine, caller, organization| {
        let role = OrganizationRole::from_name(&form.role).unwrap_or(OrganizationRole::Member);
        engine.change_member_role(caller, organization, &annals_engine::PersonId(person), role)
    })
    .await
}

/// Removes a member.
pub(crate) async fn remove_member(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path((id, person)): Path<(String, String)>,
) -> Result<Response, PageError> {
    change(&app, principal, id, "removed", move |engine, caller, organization| {
        engine.remove_member(caller, organization, &annals_engine::PersonId(person))
    })
    .await
}
