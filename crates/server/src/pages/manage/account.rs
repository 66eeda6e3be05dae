//! `/account`: one's own password, sessions and tokens.

use annals_engine::{AccessError, LoginType, NewToken, PersonId, Principal, SessionId, TokenId, TokenKind};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::tokens::TokenForm;
use super::{Done, SessionRow, TokenRow, ask, done, expiry, fault, now};
use crate::App;
use crate::auth::{PageCaller, blocking, hashing};
use crate::pages::form::SmallForm;
use crate::pages::html;
use crate::pages::page_error::PageError;
use crate::pages::shell::{Section, Shell};

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    username: String,
    email: String,
    role: &'static str,
    has_password: bool,
    sessions: Vec<SessionRow>,
    tokens: Vec<TokenRow>,
    /// Organizations and role in each.
    memberships: Vec<(String, &'static str)>,
    made: Option<String>,
}

/// The fields of a change of password.
#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    #[serde(default)]
    old: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

/// Shows one's own account.
pub(crate) async fn show_account(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Query(done): Query<Done>,
) -> Result<Response, PageError> {
    page(&app, principal, StatusCode::OK, |page| page.done = done.sentence()).await
}

async fn page(
    app: &App,
    principal: Principal,
    status: StatusCode,
    fill: impl FnOnce(&mut AccountPage),
) -> Result<Response, PageError> {
    let shell = Shell::new(app, &principal, Section::Account).await?;
    // The routes of pages take sessions only, and a session has a person.
    let person = principal.person().cloned().ok_or(PageError::UnknownThing)?;
    let current = principal.session().map(|session| session.0.clone());
    let id = person.id.clone();
    let (sessions, tokens, memberships, now) = ask(app, move |engine| {
        let tokens = engine.tokens(&principal)?;
        let memberships = engine.memberships(&principal, &id)?;
        Ok::<_, AccessError>((engine.sessions(&principal, &id)?, tokens, memberships, engine.now()))
    })
    .await?;
    let own = tokens.iter().filter(|token| token.owner.as_ref() == Some(&person.id));
    let mut page = AccountPage {
        shell,
        done: "",
        fault: String::new(),
        role: person.role.name(),
        has_password: person.login_type == LoginType::Password,
        sessions: sessions.iter().map(|session| SessionRow::new(session, current.as_deref())).collect(),
        tokens: own.map(|token| TokenRow::new(token, String::new(), now)).collect(),
        memberships: memberships
            .into_iter()
            .map(|(organization, membership)| (organization.name, membership.role.name()))
            .collect(),
        username: person.username,
        email: person.email,
        made: None,
    };
    fill(&mut page);
    html(status, &page)
}

async fn after(
    app: &App,
    principal: Principal,
    result: Result<(), AccessError>,
    what: &str,
) -> Result<Response, PageError> {
    match fault(result)? {
        Ok(()) => Ok(done("/account", what)),
        Err(fault) => page(app, principal, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await,
    }
}

/// Changes one's own password, which ends all other sessions.
pub(crate) async fn change_password(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    SmallForm(form): SmallForm<PasswordForm>,
) -> Result<Response, PageError> {
    if form.password != form.again {
        let fault = "The two new passwords differ.".to_owned();
        return page(&app, principal, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await;
    }
    let caller = principal.clone();
    let result =
        hashing(&app, move |engine| engine.change_own_password(&caller, &form.old, &form.password)).await?;
    after(&app, principal, result, "password").await
}

/// Ends one of one's own sessions.
pub(crate) async fn end_session(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let caller = principal.clone();
    let result = blocking(&app, move |engine| engine.end_session(&caller, &SessionId(id))).await?;
    after(&app, principal, result, "signed-out").await
}

/// Ends all of one's own sessions but this one.
pub(crate) async fn end_sessions(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
) -> Result<Response, PageError> {
    let id = principal.person().map_or_else(|| PersonId(String::new()), |person| person.id.clone());
    let caller = principal.clone();
    let result = blocking(&app, move |engine| engine.end_sessions(&caller, &id, true)).await?;
    after(&app, principal, result.map(|_| ()), "signed-out").await
}

/// Makes a read token with one's own sight and shows it once.
pub(crate) async fn create_token(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    SmallForm(form): SmallForm<TokenForm>,
) -> Result<Response, PageError> {
    let expires = match expiry(&form.days, now(&app).await?) {
        Ok(expires) => expires,
        Err(fault) => {
            return page(&app, principal, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await;
        }
    };
    let caller = principal.clone();
    let owner = principal.person().map(|person| person.username.clone());
    let result = blocking(&app, move |engine| {
        let token =
            NewToken { kind: TokenKind::Read, name: form.name.trim(), owner: owner.as_deref(), expires };
        engine.create_token(&caller, &token)
    })
    .await?;
    match fault(result)? {
        Ok(secret) => {
            page(&app, principal, StatusCode::OK, |page| page.made = Some(secret.reveal().to_owned())).await
        }
        Err(fault) => {
            page(&app, principal, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await
        }
    }
}

/// Revokes one of one's own tokens.
pub(crate) async fn revoke_token(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let caller = principal.clone();
    let result = blocking(&app, move |engine| engine.revoke_token(&caller, &TokenId(id))).await?;
    after(&app, principal, result, "revoked").await
}
