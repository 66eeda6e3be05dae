//! `GET /api/v2/audit/histogram` and `/facets`: exact counts over time and by value.

use annals_engine::{Bucket, HistogramRequest, Key};
use annals_model::time::Time;
use axum::extract::{Query, State};
use serde::Serialize;

use crate::App;
use crate::api::parameters::Parameters;
use crate::auth::{Caller, counting};
use crate::error::{ApiError, Problem};

/// Values of one answer, if nothing is said.
const FACETS_DEFAULT: usize = 10;
/// Values of one answer at most.
const FACETS_MAX: usize = 1_000;

/// Matching events over time.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Histogram {
    /// Length of the buckets, such as `1h`.
    bucket: String,
    /// Every bucket from the first to the last, empty ones too.
    buckets: Vec<HistogramBucket>,
    /// Events in all buckets.
    count: u64,
    /// How words of the query were read, where that may surprise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// One span of time.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct HistogramBucket {
    /// Its start.
    #[schema(value_type = String, format = "date-time")]
    start: Time,
    /// Matching events in it, exactly.
    count: u64,
}

/// Counts events over time.
#[utoipa::path(
    get, path = "/api/v2/audit/histogram", tag = "audit",
    params(
        ("q" = Option<String>, Query, description = "Query text"),
        ("bucket" = Option<String>, Query, description = "Length of a bucket, such as `15m`, `1h`, `1d`, `1w`; chosen to give about 60 if absent"),
        ("from" = Option<String>, Query, description = "Begin, RFC 3339; the first matching event if absent"),
        ("to" = Option<String>, Query, description = "End, exclusive, RFC 3339; the last matching event if absent"),
    ),
    responses(
        (status = 200, description = "Counts, exact", body = Histogram),
        (status = 400, description = "The query or a parameter is wrong", body = Problem),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_histogram(
    State(app): State<App>,
    Caller(principal): Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<axum::Json<Histogram>, ApiError> {
    principal.may_read()?;
    let mut parameters = Parameters::new(pairs);
    let query = parameters.text("q");
    let bucket = parameters.parsed::<Bucket>("bucket", "a length of time such as `15m`, `1h` or `1d`");
    let expected = "a time such as 2026-01-31T00:00:00Z";
    let from_us = parameters.parsed::<Moment>("from", expected).map(|moment| moment.0.as_micros());
    let to_us = parameters.parsed::<Moment>("to", expected).map(|moment| moment.0.as_micros());
    parameters.finish()?;
    let found = counting(&app, move |engine| {
        engine.histogram(&principal, &HistogramRequest { query: &query, bucket, from_us, to_us })
    })
    .await??;
    let buckets = found.buckets.into_iter();
    let buckets = buckets
        .map(|(start_us, count)| HistogramBucket { start: Time::from_micros_saturating(start_us), count });
    Ok(axum::Json(Histogram {
        bucket: found.bucket.to_string(),
        buckets: buckets.collect(),
        count: found.count,
        notes: found.notes,
    }))
}

struct Moment(Time);

impl std::str::FromStr for Moment {
    type Err = ();

    fn from_str(text: &str) -> Result<Moment, ()> {
        Time::parse(text).map(Moment).map_err(drop)
    }
}

/// The most frequent values of a key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FacetValues {
    /// The key, as written in a query.
    key: &'static str,
    /// Most frequent first; in lower case, as queries compare them.
    values: Vec<FacetValue>,
    /// Distinct values among the matching events.
    distinct: u64,
    /// How words of the query were read, where that may surprise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// One value.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FacetValue {
    /// The value.
    value: String,
    /// Matching events that have it, exactly.
    count: u64,
}

/// Counts the values of a key.
#[utoipa::path(
    get, path = "/api/v2/audit/facets", tag = "audit",
    params(
        ("q" = Option<String>, Query, description = "Query text"),
        ("key" = String, Query, description = "Key whose values are counted, such as `username` or `action`"),
        ("limit" = Option<u32>, Query, description = "Values, 1 to 1000; 0 or absent: 10"),
    ),
    responses(
        (status = 200, description = "Counts, exact", body = FacetValues),
        (status = 400, description = "The query or a parameter is wrong", body = Problem),
        (status = 401, description = "No or unknown credential", body = Problem),
        (status = 403, description = "The caller may not read the log", body = Problem),
    ),
    security(("token" = []), ("coder_token" = []), ("session" = [])),
)]
pub(crate) async fn show_facets(
    State(app): State<App>,
    Caller(principal): Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<axum::Json<FacetValues>, ApiError> {
    principal.may_read()?;
    let mut parameters = Parameters::new(pairs);
    let query = parameters.text("q");
    let key = parameters.required::<FacetKey>("key", "a key of the query language such as `username`");
    let limit = parameters.limit_of(FACETS_DEFAULT, FACETS_MAX);
    let FacetKey(key) = parameters.finish_with(key)?;
    let (found, notes) =
        counting(&app, move |engine| engine.facets(&principal, &query, key, limit)).await??;
    let values = found.top.into_iter().map(|(value, count)| FacetValue { value, count }).collect();
    Ok(axum::Json(FacetValues { key: key.name(), values, distinct: found.distinct, notes }))
}

struct FacetKey(Key);

impl std::str::FromStr for FacetKey {
    type Err = ();

    fn from_str(text: &str) -> Result<FacetKey, ()> {
        Key::from_name(text).map(FacetKey).ok_or(())
    }
}
