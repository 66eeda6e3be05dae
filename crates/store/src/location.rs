//! Where the database is: a directory, or a PostgreSQL server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::postgres::{PostgresUrl, PostgresUrlError};

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseLocation {
    /// The directory of an embedded SQLite database, `DIR/annals.db`.
    Directory(PathBuf),
    /// A database of a PostgreSQL server, 15 or newer.
    Postgres(PostgresUrl),
}

/// Why a text names no database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// Nothing is written.
    #[error("the place of the database is empty; name a directory or `postgres://USER@HOST/DATABASE`")]
    Empty,
    /// A `postgres://` address cannot be read.
    #[error("the address of the database cannot be used")]
    Postgres(#[from] PostgresUrlError),
    /// Another kind of address.
    #[error(
        "`{scheme}://` is no database that Annals knows; name a directory or `postgres://USER@HOST/DATABASE`"
    )]
    UnknownScheme {
        /// What stands before `://`.
        scheme: String,
    },
}

/// Reads `postgres://...` and `postgresql://...` as a server, anything else without `://` as a directory.
impl FromStr for DatabaseLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<DatabaseLocation, LocationError> {
        match text.split_once("://") {
            _ if text.is_empty() => Err(LocationError::Empty),
            None => Ok(DatabaseLocation::Directory(PathBuf::from(text))),
            Some(("postgres" | "postgresql", _)) => Ok(DatabaseLocation::Postgres(text.parse()?)),
            Some((scheme, _)) => Err(LocationError::UnknownScheme { scheme: scheme.to_owned() }),
        }
    }
}

/// Never shows a password.
impl fmt::Display for DatabaseLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseLocation::Directory(dir) => dir.display().fmt(f),
            DatabaseLocation::Postgres(url) => url.fmt(f),
        }
    }
}

/// Never shows a password.
impl fmt::Debug for DatabaseLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<DatabaseLocation>() {
            Ok(location) => format!("{location} {location:?}"),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                format!("{error}: {cause}")
            }
        }
    }

    #[test]
    fn a_location_is_a_directory_or_a_server_and_hides_the_password() {
        assert_eq!(shown("some/dir"), "some/dir some/dir");
        let url = "postgres://annals@db.example:5433/log";
        assert_eq!(
            shown("postgres://annals:hunter2@db.example:5433/log?sslmode=verify-full"),
            format!("{url} {url}")
        );
        assert!(shown("postgresql://h/log?user=u&password=hunter2").starts_with("postgres://u@h:5432/log "));
        assert!(!shown("postgres://u:hunter2@h:port/log").contains("hunter2"));
        assert!(shown("mysql://u:hunter2@h/log").contains("`mysql://` is no database"));
        assert!(shown("").contains("empty"));
        assert!(shown("postgres://h/log?sslmode=sometimes").contains("`sslmode=sometimes` is unknown"));
        assert!(shown("postgres:///log").contains("host"));
    }
}
