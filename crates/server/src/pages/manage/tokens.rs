//! `/tokens`: what programs show.

use annals_engine::{AccessError, NewToken, Principal, TokenId, TokenKind};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::{Done, TokenRow, ask, done, expiry, fault, now};
use crate::App;
use crate::auth::{PageCaller, blocking};
use crate::pages::form::SmallForm;
use crate::pages::html;
use crate::pages::page_error::PageError;
use crate::pages::shell::{Section, Shell};

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    shell: Shell,
    done: &'static str,
    fault: String,
    form: TokenForm,
    /// A token that was made, shown this once.
    made: Option<String>,
    tokens: Vec<TokenRow>,
    usernames: Vec<String>,
}

/// The fields of a new token.
#[derive(Debug, Default, Clone, Deserialize)]
pub(crate) struct TokenForm {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    pub(super) days: String,
}

/// Shows the tokens that are in force.
pub(crate) async fn show_tokens(
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
    fill: impl FnOnce(&mut TokensPage),
) -> Result<Response, PageError> {
    let shell = Shell::new(app, &principal, Section::Tokens).await?;
    let (people, tokens, now) = ask(app, move |engine| {
        Ok::<_, AccessError>((engine.people(&principal)?, engine.tokens(&principal)?, engine.now()))
    })
    .await?;
    let owner = |token: &annals_engine::Token| {
        let person = people.iter().find(|person| Some(&person.id) == token.owner.as_ref());
        person.map(|person| person.username.clone()).unwrap_or_default()
    };
    let mut page = TokensPage {
        shell,
        done: "",
        fault: String::new(),
        form: TokenForm::default(),
        made: None,
        tokens: tokens.iter().map(|token| TokenRow::new(token, owner(token), now)).collect(),
        usernames: people.iter().map(|person| person.username.clone()).collect(),
    };
    fill(&mut page);
    html(status, &page)
}

/// Makes a token and shows it once.
pub(crate) async fn create_token(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    SmallForm(form): SmallForm<TokenForm>,
) -> Result<Response, PageError> {
    let refused = |fault: String, form: TokenForm| {
        move |page: &mut TokensPage| {
            page.fault = fault;
            page.form = form;
        }
    };
    let bad = StatusCode::UNPROCESSABLE_ENTITY;
    let expires = match expiry(&form.days, now(&app).await?) {
        Ok(expires) => expires,
        Err(fault) => return list(&app, principal, bad, refused(fault, form)).await,
    };
    let Some(kind) = TokenKind::from_name(&form.kind) else {
        return list(&app, principal, bad, refused("Choose what the token is for.".to_owned(), form)).await;
    };
    let (caller, sent) = (principal.clone(), form.clone());
    let result = blocking(&app, move |engine| {
        let owner = Some(sent.owner.as_str()).filter(|owner| kind == TokenKind::Read && !owner.is_empty());
        engine.create_token(&caller, &NewToken { kind, name: sent.name.trim(), owner, expires })
    })
    .await?;
    match fault(result)? {
        Ok(secret) => {
            list(&app, principal, StatusCode::OK, |page| page.made = Some(secret.reveal().to_owned())).await
        }
        Err(fault) => list(&app, principal, bad, refused(fault, form)).await,
    }
}

/// Revokes a token.
pub(crate) async fn revoke_token(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let caller = principal.clone();
    let result = blocking(&app, move |engine| engine.revoke_token(&caller, &TokenId(id))).await?;
    match fault(result)? {
        Ok(()) => Ok(done("/tokens", "revoked")),
        Err(fault) => {
            list(&app, principal, StatusCode::UNPROCESSABLE_ENTITY, |page| page.fault = fault).await
        }
    }
}
