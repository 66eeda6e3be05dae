//! Older versions of objects, which a bucket may keep when an object is replaced or deleted.
//!
//! The library for objects does not list versions, but signs any address; what answers is read here.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use object_store::{ClientOptions, Error};
use serde::Deserialize;

/// How long a signed address is good for: longer than a request may take.
const SIGNED_FOR: Duration = Duration::from_secs(300);
/// Attempts at each request, and the wait before the second.
const ATTEMPTS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Options that both clients share.
const OPTIONS: [&str; 10] = [
    "allow_http",
    "allow_invalid_certificates",
    "disable_system_certificates",
    "connect_timeout",
    "proxy_url",
    "proxy_ca_certificate",
    "proxy_excludes",
    "read_timeout",
    "timeout",
    "user_agent",
];

/// Makes a client for the requests that the library does not know, with the same limits, proxies and certificates.
pub(super) fn client(builder: &AmazonS3Builder) -> Result<HttpClient, Error> {
    let mut options = ClientOptions::new();
    for name in OPTIONS {
        let key = name.parse()?;
        if let Some(value) = builder.get_config_value(&AmazonS3ConfigKey::Client(key)) {
            options = options.with_config(key, value);
        }
    }
    ReqwestConnector::default().connect(&options)
}

/// A version of an object, or the mark of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    pub(super) key: String,
    version_id: String,
    /// What a reader gets who names no version.
    pub(super) is_latest: bool,
    #[serde(skip)]
    pub(super) is_mark: bool,
}

/// Lists all versions of objects whose path begins so, marks of deletions last: without a mark what it hides would be there again. Nothing where the
/// place knows no versions.
pub(super) async fn list(
    store: &AmazonS3,
    http: &HttpClient,
    begin: &str,
) -> Result<Option<Vec<Version>>, Error> {
    let (mut versions, mut marks) = (Vec::new(), Vec::new());
    let mut from = None;
    loop {
        let Some(page) = list_page(store, http, begin, from).await? else { return Ok(None) };
        versions.extend(page.versions);
        marks.extend(page.marks.into_iter().map(|mark| Version { is_mark: true, ..mark }));
        if !page.is_truncated {
            versions.append(&mut marks);
            return Ok(Some(versions));
        }
        from = page.next_key.zip(page.next_version);
        if from.is_none() {
            return Err(failed("the list of versions does not say where it goes on"));
        }
    }
}

/// A page of the list of versions.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    is_truncated: bool,
    #[serde(rename = "NextKeyMarker")]
    next_key: Option<String>,
    #[serde(rename = "NextVersionIdMarker")]
    next_version: Option<String>,
    #[serde(rename = "Version")]
    versions: Vec<Version>,
    #[serde(rename = "DeleteMarker")]
    marks: Vec<Version>,
}

/// Reads a page of the list, or nothing where the place knows no versions.
async fn list_page(
    store: &AmazonS3,
    http: &HttpClient,
    begin: &str,
    from: Option<(String, String)>,
) -> Result<Option<Page>, Error> {
    let mut query = vec![("versions".to_owned(), String::new()), ("prefix".to_owned(), begin.to_owned())];
    if let Some((key, version)) = from {
        query.extend([("key-marker".to_owned(), key), ("version-id-marker".to_owned(), version)]);
    }
    let (status, body) = ask(store, http, Method::GET, &Path::default(), query).await?;
    match status {
        // Places without versions refuse the question in one of these ways.
        StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST => Ok(None),
        status if status.is_success() => {
            let text = String::from_utf8_lossy(&body);
            // A place that does not know the question may answer another one: a list of objects, or nothing.
            if !text.contains("<ListVersionsResult") && !text.contains("<ListObjectVersionsResult") {
                return Ok(None);
            }
            quick_xml::de::from_str(&text)
                .map(Some)
                .map_err(|error| failed(format!("the list of versions: {error}")))
        }
        status => Err(refused(status, &body)),
    }
}

/// Deletes a version for good.
pub(super) async fn delete(store: &AmazonS3, http: &HttpClient, version: &Version) -> Result<(), Error> {
    let path = Path::parse(&version.key).map_err(|error| failed(error.to_string()))?;
    let query = vec![("versionId".to_owned(), version.version_id.clone())];
    match ask(store, http, Method::DELETE, &path, query).await? {
        (status, _) if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
        (status, body) => Err(refused(status, &body)),
    }
}

/// Sends a request, again where the place is busy.
async fn ask(
    store: &AmazonS3,
    http: &HttpClient,
    method: Method,
    path: &Path,
    query: Vec<(String, String)>,
) -> Result<(StatusCode, bytes::Bytes), Error> {
    let options = SignedUrlOptions::new().with_query(query);
    let mut wait = FIRST_WAIT;
    for attempt in 1.. {
        let url = store.signed_url_opts(method.clone(), path, SIGNED_FOR, &options).await?;
        let request =
            Request::builder().method(method.clone()).uri(url.as_str()).body(HttpRequestBody::empty());
        let request = request.map_err(|error| failed(error.to_string()))?;
        let answer = match http.execute(request).await {
            Ok(response) => {
                let status = response.status();
                response.into_body().bytes().await.map(|body| (status, body))
            }
            Err(error) => Err(error),
        };
        let is_busy = match &answer {
            Ok((status, _)) => {
                *status == StatusCode::TOO_MANY_REQUESTS
                    || (status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED)
            }
            Err(_) => true,
        };
        if !is_busy || attempt == ATTEMPTS {
            return answer.map_err(|error| Error::Generic { store: "S3", source: error.into() });
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    unreachable!("the last attempt returns")
}

fn failed(what: impl Into<String>) -> Error {
    Error::Generic { store: "S3", source: what.into().into() }
}

/// A refusal as the library words those of its own requests, which is how they are sorted.
fn refused(status: StatusCode, body: &[u8]) -> Error {
    let said: String = String::from_utf8_lossy(body).chars().take(500).collect();
    failed(format!("the server answered with status code: {status}: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_and_marks_in_any_order() {
        let page: Page = quick_xml::de::from_str(
            "<ListVersionsResult><Name>b</Name><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
             <NextVersionIdMarker>v</NextVersionIdMarker>\
             <Version><Key>a</Key><VersionId>1</VersionId><IsLatest>false</IsLatest><Size>3</Size></Version>\
             <DeleteMarker><Key>a</Key><VersionId>2</VersionId><IsLatest>true</IsLatest></DeleteMarker>\
             <Version><Key>b</Key><VersionId>null</VersionId><IsLatest>true</IsLatest></Version></ListVersionsResult>",
        )
        .unwrap();
        assert!(page.is_truncated);
        assert_eq!((page.next_key.as_deref(), page.next_version.as_deref()), (Some("k"), Some("v")));
        assert_eq!(page.versions.len(), 2);
        assert_eq!((page.marks.len(), page.marks[0].version_id.as_str()), (1, "2"));
    }

    #[test]
    fn a_refusal_is_known_as_one() {
        let error = crate::ObjectError::new("a", "s3://b", refused(StatusCode::FORBIDDEN, b"AccessDenied"));
        assert!(matches!(error, crate::ObjectError::Denied { .. }), "{error}");
    }
}
