//! The one place where failures become HTTP: status, code, body.
//!
//! Three readers. The caller gets Coder's body (`message`, `detail`, `validations`) with the members of RFC 9457 beside
//! it. The operator gets the whole chain of causes in the log, once. A body of status 5xx never holds a cause.

use std::any::Any;

use annals_engine::{
    AccessError, CursorError, EngineError, ExportError, ForbiddenError, IngestError, RegistrationError,
    SearchError, StreamError,
};
use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;

/// Anything that a handler may answer instead of what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("no or unknown credential")]
    Unauthenticated,
    #[error("this request came from another site's page")]
    ForeignOrigin,
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    #[error("there is nothing at `{path}`")]
    UnknownRoute { path: String },
    #[error("`{method}` is not possible here")]
    WrongMethod { method: String },
    #[error("there is no such event")]
    UnknownEvent,
    #[error("event {seq} is recorded, and no signed checkpoint covers it yet; ask again in a moment")]
    NoCheckpointYet { seq: u64 },
    #[error(
        "{count} events are more than the {max} of one file; take a narrower query, or `annals export --evidence` where the log is"
    )]
    TooMuchEvidence { count: u64, max: u64 },
    #[error(
        "nothing was signed yet; a server with the key of the log signs the first checkpoint within seconds of the first event"
    )]
    NothingSigned,
    #[error(
        "at most {max} events of a request get receipts at once, not {count}; leave `receipt` out and fetch them one by one"
    )]
    TooManyReceipts { count: usize, max: usize },
    #[error("query parameters have invalid values")]
    Parameters(Vec<Validation>),
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("the stream `{stream}` has no signed manifest {number}")]
    UnknownManifest { stream: String, number: String },
    #[error("a body of more than {bytes_max} bytes")]
    BodyTooLarge { bytes_max: usize },
    #[error("the body could not be read: {detail}")]
    BodyUnreadable { detail: String },
    #[error("content-encoding `{encoding}` is not known; use gzip or zstd")]
    UnknownEncoding { encoding: String },
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("a page could not be rendered")]
    Template(#[from] askama::Error),
    #[error("an answer could not be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("too many log-ins at once; try again in a moment")]
    TooManyLogins,
    #[error("too many exports at once; try again when one has ended")]
    TooManyExports,
    #[error("too many streams at once; try again when one has ended")]
    TooManyStreams,
    #[error("the work on this request panicked")]
    Panicked,
}

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> ApiError {
        match error {
            ExportError::Search(error) => ApiError::Search(error),
            ExportError::Record(error) => ApiError::Ingest(error),
            _ => ApiError::Panicked,
        }
    }
}

impl From<CursorError> for ApiError {
    fn from(error: CursorError) -> ApiError {
        ApiError::Parameters(vec![Validation::new("after", error.to_string())])
    }
}

/// One thing wrong with one part of a request.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Validation {
    /// A query key, a URL parameter, or a JSON Pointer into the body.
    pub(crate) field: String,
    /// What is wrong and what is expected.
    pub(crate) detail: String,
    /// Byte offsets of the bad part in the query text, end exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span: Option<[usize; 2]>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Validation {
    pub(crate) fn new(field: impl Into<String>, detail: impl Into<String>) -> Validation {
        Validation { field: field.into(), detail: detail.into(), span: None, hint: None }
    }
}

/// The body of every error.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// Stable address of the kind of problem.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The kind of problem in words; the same as `message`.
    pub(crate) title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// Coder's summary.
    pub(crate) message: String,
    /// What exactly happened and what to do next.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
    /// Each thing that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) validations: Vec<Validation>,
}

/// Status, stable code, message and detail of an error.
struct Outline {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    detail: String,
    validations: Vec<Validation>,
}

impl ApiError {
    fn outline(&self) -> Outline {
        let outline = |status, code, message| Outline {
            status,
            code,
            message,
            detail: String::new(),
            validations: Vec::new(),
        };
        let told =
            |status, code, message| Outline { detail: self.to_string(), ..outline(status, code, message) };
        match self {
            ApiError::Unauthenticated => Outline {
                detail: "send `Authorization: Bearer TOKEN`; make one with `annals token create`".to_owned(),
                ..outline(StatusCode::UNAUTHORIZED, "unauthenticated", "You are not logged in.")
            },
            ApiError::ForeignOrigin => told(StatusCode::FORBIDDEN, "foreign-origin", "Forbidden."),
            ApiError::Forbidden(_)
            | ApiError::Ingest(IngestError::Forbidden(_))
            | ApiError::Search(SearchError::Forbidden(_))
            | ApiError::Registration(RegistrationError::Forbidden(_))
            | ApiError::Access(AccessError::Forbidden(_))
            | ApiError::Stream(StreamError::Forbidden(_)) => {
                told(StatusCode::FORBIDDEN, "forbidden", "Forbidden.")
            }
            ApiError::UnknownRoute { .. } => told(StatusCode::NOT_FOUND, "unknown-route", "Not found."),
            ApiError::UnknownEvent => told(StatusCode::NOT_FOUND, "unknown-event", "Not found."),
            ApiError::UnknownManifest { .. } => told(StatusCode::NOT_FOUND, "unknown-manifest", "Not found."),
            ApiError::Stream(error) => self.stream_outline(error),
            ApiError::NoCheckpointYet { .. } => {
                told(StatusCode::SERVICE_UNAVAILABLE, "no-checkpoint", "No checkpoint covers the event yet.")
            }
            ApiError::TooMuchEvidence { .. } => {
                told(StatusCode::UNPROCESSABLE_ENTITY, "too-many-events", "Too many events for one file.")
            }
            ApiError::NothingSigned => {
                told(StatusCode::NOT_FOUND, "no-checkpoint", "There is no checkpoint yet.")
            }
            ApiError::TooManyReceipts { .. } => {
                told(StatusCode::UNPROCESSABLE_ENTITY, "too-many-receipts", "Too many receipts at once.")
            }
            ApiError::WrongMethod { .. } => {
                told(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "Method not allowed.")
            }
            ApiError::TooManyLogins => {
                told(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many log-ins at once.")
            }
            ApiError::TooManyExports => {
                told(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many exports at once.")
            }
            ApiError::TooManyStreams => {
                told(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many streams at once.")
            }
            ApiError::Parameters(validations) => Outline {
                validations: validations.clone(),
                ..outline(StatusCode::BAD_REQUEST, "parameters", "Query parameters have invalid values.")
            },
            ApiError::Search(SearchError::Query(errors)) => Outline {
                validations: errors.errors.iter().map(query_validation).collect(),
                ..outline(StatusCode::BAD_REQUEST, "query", "Invalid audit search query.")
            },
            ApiError::Search(SearchError::TooManyBuckets { .. }) => Outline {
                validations: vec![Validation::new("bucket", self.to_string())],
                ..outline(StatusCode::BAD_REQUEST, "parameters", "Query parameters have invalid values.")
            },
            ApiError::Search(SearchError::BehindTheEnd { .. }) => Outline {
                validations: vec![Validation::new("after_seq", self.to_string())],
                ..outline(StatusCode::BAD_REQUEST, "parameters", "Query parameters have invalid values.")
            },
            ApiError::Search(SearchError::NotCounted(_) | SearchError::TooManyValues { .. }) => Outline {
                validations: vec![Validation::new("key", self.to_string())],
                ..outline(StatusCode::BAD_REQUEST, "parameters", "Query parameters have invalid values.")
            },
            ApiError::Ingest(error) => self.ingest_outline(error),
            ApiError::BodyTooLarge { .. } => told(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", TOO_LARGE),
            ApiError::BodyUnreadable { .. } => {
                told(StatusCode::BAD_REQUEST, "body", "The body could not be read.")
            }
            ApiError::UnknownEncoding { .. } => {
                told(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", "Unknown content encoding.")
            }
            ApiError::Registration(RegistrationError::Document(errors)) => Outline {
                validations: errors
                    .iter()
                    .map(|error| Validation::new(error.place.to_string(), error.to_string()))
                    .collect(),
                ..outline(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "registry",
                    "The document does not fit the registry.",
                )
            },
            ApiError::Access(error) if !matches!(error, AccessError::Engine(_)) => {
                told(StatusCode::UNPROCESSABLE_ENTITY, "set-up", "That cannot be done.")
            }
            ApiError::Engine(error)
            | ApiError::Search(SearchError::Engine(error))
            | ApiError::Registration(RegistrationError::Engine(error))
            | ApiError::Access(AccessError::Engine(error))
                if error.is_unavailable() =>
            {
                outline(StatusCode::SERVICE_UNAVAILABLE, "unavailable", UNAVAILABLE)
            }
            ApiError::Engine(EngineError::Pruned { .. })
            | ApiError::Search(SearchError::Engine(EngineError::Pruned { .. })) => {
                told(StatusCode::GONE, "pruned", "What that needs is gone from the log.")
            }
            ApiError::Search(_)
            | ApiError::Registration(_)
            | ApiError::Access(_)
            | ApiError::Engine(_)
            | ApiError::Template(_)
            | ApiError::Json(_)
            | ApiError::Panicked => outline(StatusCode::INTERNAL_SERVER_ERROR, "internal", INTERNAL),
        }
    }

    fn stream_outline(&self, error: &StreamError) -> Outline {
        let outline = |status, code, message, detail| Outline {
            status,
            code,
            message,
            detail,
            validations: Vec::new(),
        };
        let detail = error.to_string();
        match error {
            StreamError::Unknown { .. } => {
                outline(StatusCode::NOT_FOUND, "unknown-stream", "Not found.", detail)
            }
            StreamError::Operators { .. }
            | StreamError::OfFile { .. }
            | StreamError::OperatorsKind { .. } => {
                outline(StatusCode::FORBIDDEN, "forbidden", "Forbidden.", detail)
            }
            StreamError::Engine(error) | StreamError::Search(SearchError::Engine(error))
                if error.is_unavailable() =>
            {
                outline(StatusCode::SERVICE_UNAVAILABLE, "unavailable", UNAVAILABLE, String::new())
            }
            StreamError::Engine(_) | StreamError::Search(_) | StreamError::Secrets(_) => {
                outline(StatusCode::INTERNAL_SERVER_ERROR, "internal", INTERNAL, String::new())
            }
            _ => outline(StatusCode::UNPROCESSABLE_ENTITY, "stream", "That cannot be done.", detail),
        }
    }

    fn ingest_outline(&self, error: &IngestError) -> Outline {
        let outline = |status, code, message, detail| Outline {
            status,
            code,
            message,
            detail,
            validations: Vec::new(),
        };
        let detail = error.to_string();
        match error {
            IngestError::Syntax(_) => {
                outline(StatusCode::BAD_REQUEST, "syntax", "The body is not valid JSON.", detail)
            }
            IngestError::BodyTooLarge { .. } | IngestError::BatchTooLarge { .. } => {
                outline(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", TOO_LARGE, detail)
            }
            IngestError::Faults { faults, more, .. } => {
                let more =
                    if *more > 0 { format!("; {more} more faults are not listed") } else { String::new() };
                Outline {
                    validations: faults.iter().map(fault_validation).collect(),
                    ..outline(
                        StatusCode::UNPROCESSABLE_ENTITY,
                        "events",
                        "Some events cannot be taken; nothing was recorded.",
                        format!("{detail}; nothing was recorded{more}; `?partial=true` takes the good ones"),
                    )
                }
            }
            IngestError::Conflict { ids } => Outline {
                validations: ids
                    .iter()
                    .map(|id| Validation::new("/id", format!("`{id}` is in the log with other content")))
                    .collect(),
                ..outline(
                    StatusCode::CONFLICT,
                    "conflict",
                    "An event id is in use; nothing was recorded.",
                    detail,
                )
            },
            IngestError::Backpressure => {
                outline(StatusCode::SERVICE_UNAVAILABLE, "backpressure", "The log is busy.", detail)
            }
            IngestError::Stopping => {
                outline(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The log is stopping.", detail)
            }
            IngestError::Refused(_) => {
                let detail = "it was put back, cut or forked, or its key is missing; its operator decides how it goes on";
                outline(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "refused",
                    "The log takes no events.",
                    detail.to_owned(),
                )
            }
            IngestError::Unlicensed(_) => {
                outline(StatusCode::FORBIDDEN, "unlicensed", "A license is needed.", detail)
            }
            IngestError::DiskFull => {
                outline(StatusCode::INSUFFICIENT_STORAGE, "disk-full", "The disk is full.", detail)
            }
            IngestError::Engine(error) if error.is_unavailable() => {
                outline(StatusCode::SERVICE_UNAVAILABLE, "unavailable", UNAVAILABLE, String::new())
            }
            _ => outline(StatusCode::INTERNAL_SERVER_ERROR, "internal", INTERNAL, String::new()),
        }
    }

    /// The database or the object store does not answer now.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self {
            ApiError::Engine(error) | ApiError::Search(SearchError::Engine(error)) => error.is_unavailable(),
            _ => false,
        }
    }

    /// Whether the cause belongs into the operator's log.
    fn is_ours(status: StatusCode, code: &str) -> bool {
        matches!(status, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::INSUFFICIENT_STORAGE)
            || code == "unavailable"
    }
}

const INTERNAL: &str = "An internal server error occurred.";
const UNAVAILABLE: &str = "The database or the object store does not answer; try again in a moment.";
const TOO_LARGE: &str = "The request is too large.";

fn query_validation(error: &annals_query::QueryError) -> Validation {
    Validation {
        field: error.field.clone(),
        detail: error.detail.clone(),
        span: Some([error.span.start, error.span.end]),
        hint: error.hint.clone(),
    }
}

fn fault_validation(fault: &annals_model::event::Fault) -> Validation {
    Validation {
        field: format!("/{}{}", fault.index, fault.pointer),
        detail: fault.detail.clone(),
        span: None,
        hint: fault.hint.clone(),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Outline { status, code, message, detail, validations } = self.outline();
        if ApiError::is_ours(status, code) {
            let causes = std::iter::successors(std::error::Error::source(&self), |cause| cause.source());
            let causes: Vec<String> = causes.map(ToString::to_string).collect();
            error!(error = %self, causes = causes.join(": "), "request failed");
        }
        let problem = Problem {
            kind: format!("/problems/{code}"),
            title: message.to_owned(),
            status: status.as_u16(),
            message: message.to_owned(),
            detail,
            validations,
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Answers a path that no route has.
pub(crate) async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::UnknownRoute { path: uri.path().chars().take(200).collect() }
}

/// Answers a method that a route does not have.
pub(crate) async fn wrong_method(method: Method) -> ApiError {
    ApiError::WrongMethod { method: method.to_string() }
}

/// Answers for a handler that panicked; the panic hook has written where.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::Panicked.into_response()
}
