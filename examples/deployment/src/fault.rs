//! What goes wrong, and what the caller is told of it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request is not granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    BadRequest(String),
    #[error("log in first: POST /api/v2/users/login, then send `Authorization: Bearer TOKEN`")]
    Unauthorized,
    #[error("wrong name or password")]
    WrongPassword,
    #[error("you may not do this")]
    Forbidden,
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    Conflict(String),
    #[error("not done, since it could not be recorded: {0}")]
    NotAudited(#[from] annals_client::EmitError),
    #[error("an event cannot be made")]
    Event(#[from] annals_client::EventError),
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    #[error("a stored value cannot be read or written")]
    Stored(#[from] serde_json::Error),
    #[error("the password cannot be hashed")]
    Password(String),
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = match &self {
            Fault::BadRequest(_) => StatusCode::BAD_REQUEST,
            Fault::Unauthorized | Fault::WrongPassword => StatusCode::UNAUTHORIZED,
            Fault::Forbidden => StatusCode::FORBIDDEN,
            Fault::NotFound(_) => StatusCode::NOT_FOUND,
            Fault::Conflict(_) => StatusCode::CONFLICT,
            Fault::NotAudited(_) => StatusCode::SERVICE_UNAVAILABLE,
            Fault::Event(_) | Fault::Database(_) | Fault::Stored(_) | Fault::Password(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        if status.is_server_error() {
            tracing::error!(error = &self as &dyn std::error::Error, "a request failed");
        }
        (status, Json(json!({"message": self.to_string()}))).into_response()
    }
}
