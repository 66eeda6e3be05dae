//! `/people`: who can sign in, and what they may do.

use annals_engine::{
    AccessError, Engine, LoginType, NewOidcPerson, NewPerson, Person, PersonChange, PersonId, PersonStatus,
    Principal, Role, SecretText, SessionId,
};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::{Done, Moment, SessionRow, ask, done, fault};
use crate::App;
use crate::auth::{PageCaller, blocking, hashing};
use crate::pages::form::SmallForm;
use crate::pages::page_error::PageError;
use crate::pages::shell::{Section, Shell};
use crate::pages::{encoded, html, path_part};

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    shell: Shell,
    done: &'static str,
    fault: String,
    form: PersonForm,
    /// A password that was made, shown this once: whose, and what.
    made: Option<(String, String)>,
    people: Vec<PersonRow>,
}

struct PersonRow {
    id: String,
    username: String,
    email: String,
    name: String,
    role: &'static str,
    is_active: bool,
    login_type: &'static str,
    last_seen: Option<Moment>,
}

/// The fields of a new person, or of a change.
#[derive(Debug, Default, Clone, Deserialize)]
pub(crate) struct PersonForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    login_type: String,
}

impl PersonRow {
    fn new(person: &Person) -> PersonRow {
        PersonRow {
            id: person.id.0.clone(),
            username: person.username.clone(),
            email: person.email.clone(),
            name: person.name.clone(),
            role: person.role.name(),
            is_active: person.status == PersonStatus::Active,
            login_type: person.login_type.name(),
            last_seen: person.last_seen.map(Moment::new),
        }
    }
}

/// Shows everyone.
pub(crate) async fn show_people(
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
    fill: impl FnOnce(&mut PeoplePage),
) -> Result<Response, PageError> {
    let shell = Shell::new(app, &principal, Section::People).await?;
    let people = ask(app, move |engine| engine.people(&principal)).await?;
    let people = people.iter().map(PersonRow::new).collect();
    let mut page =
        PeoplePage { shell, done: "", fault: String::new(), form: PersonForm::default(), made: None, people };
    fill(&mut page);
    html(status, &page)
}

/// Adds a person: with a password that is made and shown once, or for signing in with OIDC.
pub(crate) async fn add_person(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    SmallForm(form): SmallForm<PersonForm>,
) -> Result<Response, PageError> {
    let (caller, sent) = (principal.clone(), form.clone());
    let result = hashing(&app, move |engine| add(engine, &caller, &sent)).await?;
    match fault(result)? {
        Ok(None) => Ok(done("/people", "added")),
        Ok(Some(password)) => {
            list(&app, principal, StatusCode::OK, |page| {
                page.made = Some((form.username, password.reveal().to_owned()))
            })
            .await
        }
        Err(fault) => {
            list(&app, principal, StatusCode::UNPROCESSABLE_ENTITY, |page| {
                page.fault = fault;
                page.form = form;
            })
            .await
        }
    }
}

fn add(engine: &Engine, principal: &Principal, form: &PersonForm) -> Result<Option<SecretText>, AccessError> {
    let (username, email, name) = (form.username.trim(), form.email.trim(), form.name.trim());
    let role = Role::from_name(&form.role).unwrap_or(Role::Member);
    if form.login_type == LoginType::Oidc.name() {
        engine.add_oidc_person(principal, &NewOidcPerson { username, email, name, role })?;
        return Ok(None);
    }
    let password = SecretText::password();
    engine.add_person(principal, &NewPerson { username, email, name, password: password.reveal(), role })?;
    Ok(Some(password))
}

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    made: Option<(String, String)>,
    person: PersonRow,
    created: Moment,
    is_oneself: bool,
    sessions: Vec<SessionRow>,
    /// Organizations: id, name and role.
    memberships: Vec<(String, String, &'static str)>,
    events_href: String,
    changes_href: String,
}

/// Shows one person.
pub(crate) async fn show_person(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    Query(done): Query<Done>,
) -> Result<Response, PageError> {
    detail(&app, principal, PersonId(id), StatusCode::OK, |page| page.done = done.sentence()).await
}

async fn detail(
    app: &App,
    principal: Principal,
    id: PersonId,
    status: StatusCode,
    fill: impl FnOnce(&mut PersonPage),
) -> Result<Response, PageError> {
    // One's own page under another name would show a form that cannot be used.
    ask(app, {
        let principal = principal.clone();
        move |_| principal.may_manage()
    })
    .await?;
    let shell = Shell::new(app, &principal, Section::People).await?;
    let current = principal.session().map(|session| session.0.clone());
    let is_oneself = principal.person().is_some_and(|person| person.id == id);
    let (person, sessions, memberships) = ask(app, move |engine| {
        let person = engine.person(&principal, &id)?;
        let sessions = engine.sessions(&principal, &id)?;
        Ok::<_, AccessError>((person, sessions, engine.memberships(&principal, &id)?))
    })
    .await?;
    let mut page = PersonPage {
        shell,
        done: "",
        fault: String::new(),
        made: None,
        events_href: format!("/audit?filter={}", encoded(&format!("user_id:{}", person.id.0))),
        changes_href: format!("/audit?filter={}", encoded(&format!("resource_id:{}", person.id.0))),
        created: Moment::new(person.created),
        person: PersonRow::new(&person),
        is_oneself,
        sessions: sessions.iter().map(|session| SessionRow::new(session, current.as_deref())).collect(),
        memberships: memberships
            .into_iter()
            .map(|(organization, membership)| {
                (path_part(&organization.id.0), organization.name, membership.role.name())
            })
            .collect(),
    };
    fill(&mut page);
    html(status, &page)
}

/// Changes names, address or role.
pub(crate) async fn change_person(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
    SmallForm(form): SmallForm<PersonForm>,
) -> Result<Response, PageError> {
    let (caller, person) = (principal.clone(), PersonId(id.clone()));
    let result = blocking(&app, move |engine| {
        let change = PersonChange {
            username: Some(form.username.trim()).filter(|name| !name.is_empty()),
            email: Some(form.email.trim()),
            name: Some(form.name.trim()),
            role: Role::from_name(&form.role),
        };
        engine.change_person(&caller, &person, &change)
    })
    .await?;
    after(&app, principal, id, result.map(|_| ()), "saved").await
}

/// Back to the page of the person, with what was done or what is wrong.
async fn after(
    app: &App,
    principal: Principal,
    id: String,
    result: Result<(), AccessError>,
    what: &str,
) -> Result<Response, PageError> {
    match fault(result)? {
        Ok(()) => Ok(done(&format!("/people/{}", encoded(&id)), what)),
        Err(fault) => {
            detail(app, principal, PersonId(id), StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault)
                .await
        }
    }
}

/// Suspends a person.
pub(crate) async fn suspend_person(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let (caller, person) = (principal.clone(), PersonId(id.clone()));
    let result = blocking(&app, move |engine| engine.suspend_person(&caller, &person)).await?;
    after(&app, principal, id, result, "suspended").await
}

/// Lets a suspended person in again.
pub(crate) async fn activate_person(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let (caller, person) = (principal.clone(), PersonId(id.clone()));
    let result = blocking(&app, move |engine| engine.activate_person(&caller, &person)).await?;
    after(&app, principal, id, result, "activated").await
}

/// Makes a new password and shows it once.
pub(crate) async fn reset_password(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let (caller, person) = (principal.clone(), PersonId(id.clone()));
    let password = SecretText::password();
    let made = password.reveal().to_owned();
    let result =
        hashing(&app, move |engine| engine.reset_password(&caller, &person, password.reveal())).await?;
    match fault(result)? {
        Ok(()) => {
            detail(&app, principal, PersonId(id), StatusCode::OK, |page| {
                page.made = Some((page.person.username.clone(), made));
            })
            .await
        }
        Err(fault) => {
            detail(&app, principal, PersonId(id), StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault)
                .await
        }
    }
}

/// Ends all sessions of a person.
pub(crate) async fn sign_out_person(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let (caller, person) = (principal.clone(), PersonId(id.clone()));
    let result = blocking(&app, move |engine| engine.end_sessions(&caller, &person, true)).await?;
    after(&app, principal, id, result.map(|_| ()), "signed-out").await
}

/// Deletes a person.
pub(crate) async fn delete_person(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let (caller, person) = (principal.clone(), PersonId(id.clone()));
    let result = blocking(&app, move |engine| engine.delete_person(&caller, &person)).await?;
    match fault(result)? {
        Ok(()) => Ok(done("/people", "deleted")),
        Err(fault) => {
            detail(&app, principal, PersonId(id), StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault)
                .await
        }
    }
}

/// Ends one session of a person.
pub(crate) async fn end_session(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path((id, session)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let (caller, session) = (principal.clone(), SessionId(session));
    let result = blocking(&app, move |engine| engine.end_session(&caller, &session)).await?;
    after(&app, principal, id, result, "signed-out").await
}
