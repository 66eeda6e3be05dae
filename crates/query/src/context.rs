//! What a query is checked against.

/// What a query is checked against: the clock, the caller and the known values.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The present, for `now-7d` and `today`.
    pub now: jiff::Timestamp,
    /// The caller's username, for `username:me`, when known.
    pub me: Option<&'a str>,
    /// The known values of the closed keys.
    pub vocabulary: &'a Vocabulary,
}

/// The known values of the closed keys, in any order and any case.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// Known values of `resource_type`. A bare word among them means that type.
    pub resource_types: Vec<String>,
    /// Known values of `action`.
    pub actions: Vec<String>,
    /// Known values of `build_reason`.
    pub build_reasons: Vec<String>,
    /// Whether unknown resource types and actions are accepted.
    pub open: bool,
}

/// The values of `outcome`.
pub(crate) const OUTCOMES: [&str; 3] = ["success", "denied", "failure"];

/// The values of `actor_type`.
pub(crate) const ACTOR_TYPES: [&str; 4] = ["user", "service", "system", "anonymous"];
