//! What is wrong with what somebody asked of a stream: told beside the form, or no matter of it.

use std::collections::BTreeMap;

use annals_engine::{StreamError, StreamSecretsError};
use axum::http::StatusCode;

use super::form::setting_field;
use crate::error::ApiError;
use crate::pages::manage::sentence;
use crate::pages::page_error::PageError;
use crate::pages::searches::query_faults;

/// Sentences by the field that they are about; those under the empty name are about the whole.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<String, Vec<String>>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, fault: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(fault.into());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what is said of a field.
    pub(super) fn take(&mut self, field: &str) -> Vec<String> {
        self.0.remove(field).unwrap_or_default()
    }

    /// Takes what no field took, as one text.
    pub(super) fn take_rest(&mut self) -> String {
        std::mem::take(&mut self.0).into_values().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Puts an error of the engine beside the field that it is about, and says with which status the form is shown again.
    ///
    /// # Errors
    /// [`PageError`] for what is no matter of the form.
    pub(super) fn add_error(&mut self, error: StreamError) -> Result<StatusCode, PageError> {
        match &error {
            StreamError::BadName | StreamError::NameTaken { .. } => {
                self.add("name", sentence(&error.to_string()));
            }
            StreamError::BadNumber { .. } => self.add("parallel", sentence(&error.to_string())),
            StreamError::Query(errors) => {
                for fault in query_faults(errors) {
                    self.add("query", fault);
                }
            }
            StreamError::Settings(faults) => {
                for fault in faults {
                    self.add(&setting_field(&fault.name), sentence(&fault.what));
                }
            }
            StreamError::SecretsMissing { names } => {
                for name in names {
                    let fault =
                        "Give it again: where the stream goes was changed, and secrets go nowhere unasked.";
                    self.add(&setting_field(name), fault);
                }
            }
            _ => {
                let (status, fault) = refusal(error)?;
                self.add("", fault);
                return Ok(status);
            }
        }
        Ok(StatusCode::UNPROCESSABLE_ENTITY)
    }
}

/// What a person is told where they asked, and with which status.
///
/// # Errors
/// [`PageError`] for what nobody at the page can put right.
pub(super) fn refusal(error: StreamError) -> Result<(StatusCode, String), PageError> {
    match error {
        StreamError::Forbidden(_)
        | StreamError::Unknown { .. }
        | StreamError::Engine(_)
        | StreamError::Search(_)
        | StreamError::Secrets(StreamSecretsError::File { .. } | StreamSecretsError::Malformed { .. }) => {
            Err(error.into())
        }
        StreamError::Operators { .. } | StreamError::OfFile { .. } | StreamError::OperatorsKind { .. } => {
            Ok((StatusCode::FORBIDDEN, sentence(&error.to_string())))
        }
        StreamError::Query(errors) => Ok((StatusCode::UNPROCESSABLE_ENTITY, query_faults(&errors).join(" "))),
        error => Ok((StatusCode::UNPROCESSABLE_ENTITY, sentence(&error.to_string()))),
    }
}

impl From<StreamError> for PageError {
    fn from(error: StreamError) -> PageError {
        match error {
            StreamError::Forbidden(error) => error.into(),
            StreamError::Engine(error) => error.into(),
            StreamError::Search(error) => error.into(),
            StreamError::Unknown { .. } => PageError::UnknownThing,
            error => PageError::from(ApiError::from(error)),
        }
    }
}
