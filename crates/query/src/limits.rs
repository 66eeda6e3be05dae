//! How large a query may be. Every limit of this crate is here.

/// The longest query text, in bytes.
///
/// A query travels in the address of `GET /api/v2/audit?q=`. Common proxies accept request lines of 8,192 bytes;
/// half of that leaves room for percent-encoding and for the other parameters. It is also what bounds the work of
/// parsing, which is linear in the text.
pub const QUERY_BYTES_MAX: usize = 4096;

/// The most terms in one query. Each value of a list counts.
///
/// A term costs one index lookup in every segment. A log of 100 million events has about 400 segments, so 64 terms
/// are at most 25,600 lookups of a few microseconds: a tenth of a second in the worst case.
pub const QUERY_TERMS_MAX: usize = 64;

/// The deepest nesting of parentheses.
///
/// Nobody reads a query nested deeper than four or five. Parsing, printing and evaluating recurse once or twice per
/// level, so 16 keeps their stacks to a few kilobytes.
pub const QUERY_DEPTH_MAX: usize = 16;

/// The longest `resource_id`, in bytes, that is not a UUID.
///
/// Keys of other systems are integers, paths or ARNs; the longest ARNs in common use are about 170 bytes.
pub const RESOURCE_ID_BYTES_MAX: usize = 200;

/// The largest status code. HTTP status codes have three digits (RFC 9110, section 15).
pub(crate) const STATUS_CODE_MAX: i64 = 999;

/// The longest word for which a nearest right spelling is looked for; the search is quadratic in its length.
pub(crate) const SUGGESTION_BYTES_MAX: usize = 64;

/// The most known values that one hint lists.
pub(crate) const HINT_VALUES_MAX: usize = 12;
