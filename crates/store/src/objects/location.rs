//! Where segment objects are kept.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where segment objects are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectsLocation {
    /// A local directory.
    Directory(PathBuf),
    /// A bucket of Amazon S3 or of a server that speaks its protocol.
    ///
    /// Endpoint, region and keys come from the usual environment variables: `AWS_ENDPOINT_URL`, `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, or from the machine's role. An endpoint without
    /// TLS needs `AWS_ALLOW_HTTP=true`.
    S3 {
        /// Name of the bucket, which must exist.
        bucket: String,
        /// What the names of our objects begin with, without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// Why a text names no place for objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectsLocationError {
    /// Nothing is written.
    #[error("the place of the segments is empty; name a directory or `s3://BUCKET/PREFIX`")]
    Empty,
    /// No bucket stands after `s3://`.
    #[error("`{text}` names no bucket; write `s3://BUCKET/PREFIX`")]
    NoBucket {
        /// What is written.
        text: String,
    },
    /// Another kind of address.
    #[error(
        "`{scheme}://` is no place for segments that Annals knows; name a directory or `s3://BUCKET/PREFIX`"
    )]
    UnknownScheme {
        /// What stands before `://`.
        scheme: String,
    },
}

/// Reads `s3://BUCKET/PREFIX` as a bucket, anything else without `://` as a directory.
impl FromStr for ObjectsLocation {
    type Err = ObjectsLocationError;

    fn from_str(text: &str) -> Result<ObjectsLocation, ObjectsLocationError> {
        match text.split_once("://") {
            _ if text.is_empty() => Err(ObjectsLocationError::Empty),
            None => Ok(ObjectsLocation::Directory(PathBuf::from(text))),
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(ObjectsLocationError::NoBucket { text: text.to_owned() });
                }
                let prefix = prefix.trim_matches('/').to_owned();
                Ok(ObjectsLocation::S3 { bucket: bucket.to_owned(), prefix })
            }
            Some((scheme, _)) => Err(ObjectsLocationError::UnknownScheme { scheme: scheme.to_owned() }),
        }
    }
}

impl fmt::Display for ObjectsLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectsLocation::Directory(dir) => dir.display().fmt(f),
            ObjectsLocation::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            ObjectsLocation::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_directory_or_a_bucket() {
        for (text, expected) in [
            ("s3://logs", "s3://logs"),
            ("s3://logs/", "s3://logs"),
            ("s3://logs/a/b/", "s3://logs/a/b"),
            ("/var/lib/annals/segments", "/var/lib/annals/segments"),
        ] {
            assert_eq!(text.parse::<ObjectsLocation>().unwrap().to_string(), expected);
        }
        for (text, expected) in [("", "empty"), ("s3:///x", "no bucket"), ("gs://x", "`gs://` is no place")] {
            let error = text.parse::<ObjectsLocation>().unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }
}
