//! What a person sees instead of a page. Never JSON, and never the cause of a failure of ours.

use annals_engine::{EngineError, ForbiddenError, LoginError, SearchError};
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::shell::VERSION;
use crate::error::ApiError;

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum PageError {
    /// The person may not see it.
    Forbidden(ForbiddenError),
    /// There is no such event, or it is not in sight.
    UnknownEvent,
    /// There is no such person, organization or group.
    UnknownThing,
    /// The set-up link is wrong or used up.
    BadSetupLink,
    /// A form that no page of ours sends.
    FormUnreadable {
        /// What the reader says.
        status: StatusCode,
    },
    /// Nobody could sign in now.
    Login(LoginError),
    /// Too many passwords are being checked.
    TooManyLogins,
    /// Too many wrong passwords came for this account or from this address.
    TooManyAttempts {
        /// When to try again.
        retry_after_seconds: u32,
    },
    /// A log-in over a line that others can read.
    OpenLine,
    /// There is no provider to log in by.
    OidcOff,
    /// Nobody knows to which address the provider should send people back.
    OidcNoAddress,
    /// The provider does not answer.
    OidcAway {
        /// What people call it.
        name: String,
    },
    /// The provider or the engine refused someone.
    OidcFailed {
        /// What people call the provider.
        name: String,
    },
    /// Anything that is not the person's fault.
    Failed(ApiError),
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> PageError {
        match error {
            ApiError::Forbidden(error) | ApiError::Search(SearchError::Forbidden(error)) => {
                PageError::Forbidden(error)
            }
            ApiError::UnknownEvent => PageError::UnknownEvent,
            ApiError::TooManyLogins => PageError::TooManyLogins,
            error => PageError::Failed(error),
        }
    }
}

impl From<ForbiddenError> for PageError {
    fn from(error: ForbiddenError) -> PageError {
        PageError::Forbidden(error)
    }
}

impl From<SearchError> for PageError {
    fn from(error: SearchError) -> PageError {
        ApiError::from(error).into()
    }
}

impl From<EngineError> for PageError {
    fn from(error: EngineError) -> PageError {
        ApiError::from(error).into()
    }
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'m> {
    version: &'static str,
    title: &'m str,
    text: &'m str,
    advice: &'m str,
    /// The way on, if there is one: words and address.
    link: Option<(&'m str, &'m str)>,
    /// Another account may be allowed what this one is not.
    offers_sign_out: bool,
}

/// The same in the place of a part of a page.
#[derive(Template)]
#[template(path = "message_partial.html")]
struct MessagePartial<'m> {
    title: &'m str,
    text: &'m str,
}

impl PageError {
    /// Answers a request for a part of a page.
    pub(super) fn into_part(self) -> Response {
        let (status, page) = self.message();
        render(status, &MessagePartial { title: &page.0, text: &page.1 })
    }

    /// Status, title, text and advice.
    fn message(self) -> (StatusCode, (String, String, String)) {
        let (status, title, text, advice) = match self {
            PageError::Forbidden(error) => (
                StatusCode::FORBIDDEN,
                "You may not see this page",
                format!("{} may not {}.", error.who, error.what),
                "Ask a site manager for the role “auditor”, or sign in with another account.".to_owned(),
            ),
            PageError::UnknownEvent => (
                StatusCode::NOT_FOUND,
                "There is no such event",
                "The log holds no event of this id, or it is not in your sight.".to_owned(),
                String::new(),
            ),
            PageError::UnknownThing => (
                StatusCode::NOT_FOUND,
                "There is nothing here",
                "What this address names does not exist, or has been deleted.".to_owned(),
                String::new(),
            ),
            PageError::BadSetupLink => (
                StatusCode::FORBIDDEN,
                "This set-up link does not work",
                "It is wrong, or has been used, or a later one was printed.".to_owned(),
                "As long as nobody can sign in, each start of the server prints a new link: restart it and use that \
                 one. If someone has been set up already, sign in."
                    .to_owned(),
            ),
            PageError::FormUnreadable { status } => (
                status,
                "The form could not be read",
                "It is too large, or not of a page of this server.".to_owned(),
                "Go back, load the page again and retry.".to_owned(),
            ),
            PageError::Login(error) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Nobody can sign in now",
                format!("The server says: {error}."),
                "Try again in a while.".to_owned(),
            ),
            PageError::TooManyLogins => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many people sign in at once",
                "Your name and password were not looked at.".to_owned(),
                "Try again in a moment.".to_owned(),
            ),
            PageError::TooManyAttempts { retry_after_seconds } => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many attempts to sign in",
                "There were too many wrong passwords for this account or from your address. This one was not looked at."
                    .to_owned(),
                format!("Try again in {}.", wait(retry_after_seconds)),
            ),
            PageError::OpenLine => (
                StatusCode::FORBIDDEN,
                "Nobody signs in over this line",
                "This is plain HTTP from another machine, and anyone on the way could take the session.".to_owned(),
                "Open the page by HTTPS, or on the machine that runs Annals.".to_owned(),
            ),
            PageError::OidcOff => (
                StatusCode::NOT_FOUND,
                "There is no such way to sign in",
                "This deployment has no other site to sign in with.".to_owned(),
                String::new(),
            ),
            PageError::OidcNoAddress => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Nobody can sign in this way now",
                "The server does not know the address under which people reach it by HTTPS.".to_owned(),
                "Its operator sets it with --access-url, such as https://annals.example.".to_owned(),
            ),
            PageError::OidcAway { name } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Nobody can sign in this way now",
                format!("{name} does not answer as it should."),
                "Try again in a moment. If it stays so, the operator finds the cause in the server's own log."
                    .to_owned(),
            ),
            PageError::OidcFailed { name } => (
                StatusCode::UNAUTHORIZED,
                "You are not signed in",
                format!("Signing in with {name} did not succeed. The attempt has been recorded."),
                "Start again from the sign-in page. If it stays so, ask a site manager whether you have an account here."
                    .to_owned(),
            ),
            PageError::Failed(error) => {
                // The one place that knows statuses, and that writes the cause into the operator's log.
                let status = error.into_response().status();
                (
                    status,
                    "Something went wrong on the server",
                    "The page could not be made. Recording goes on; nothing that was acknowledged is lost.".to_owned(),
                    "Try again. If it stays so, the operator finds the cause in the server's own log.".to_owned(),
                )
            }
        };
        (status, (title.to_owned(), text, advice))
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let retry_after = match &self {
            PageError::TooManyAttempts { retry_after_seconds } => Some(*retry_after_seconds),
            PageError::TooManyLogins | PageError::OidcAway { .. } => Some(1),
            _ => None,
        };
        let offers_sign_out = matches!(self, PageError::Forbidden(_));
        let link = match self {
            PageError::Forbidden(_) => None,
            PageError::BadSetupLink
            | PageError::Login(_)
            | PageError::TooManyAttempts { .. }
            | PageError::OpenLine
            | PageError::OidcOff
            | PageError::OidcNoAddress
            | PageError::OidcAway { .. }
            | PageError::OidcFailed { .. } => Some(("Sign in", "/login")),
            _ => Some(("Back to the log", "/audit")),
        };
        let (status, (title, text, advice)) = self.message();
        let page = MessagePage {
            version: VERSION,
            title: &title,
            text: &text,
            advice: &advice,
            link,
            offers_sign_out,
        };
        let mut response = render(status, &page);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A time to wait, in words.
fn wait(seconds: u32) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, [(header::VARY, "HX-Request")], Html(text)).into_response(),
        Err(error) => ApiError::from(error).into_response(),
    }
}
