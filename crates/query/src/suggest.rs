//! The nearest right spelling.

use crate::limits::SUGGESTION_BYTES_MAX;
use strsim::osa_distance;

/// Returns the candidate nearest to a misspelt word, if any is near enough to be meant.
///
/// Near enough is one edit for every three characters, or one word beginning with the other.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.is_empty() || word.len() > SUGGESTION_BYTES_MAX {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    let is_near = |distance: usize, candidate: &str| {
        distance <= limit || (word.len() >= 3 && (candidate.starts_with(word) || word.starts_with(candidate)))
    };
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| is_near(*distance, candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the key that a word commonly used elsewhere stands for.
pub(crate) fn synonym(word: &str) -> Option<&'static str> {
    Some(match word {
        "user" | "actor" | "user_name" | "login" | "who" | "by" => "username",
        "mail" | "user_email" | "actor_email" => "email",
        "actor_id" | "user.id" | "actor.id" => "user_id",
        "type" | "resource" | "kind" | "target_type" => "resource_type",
        "target" | "name" | "resource_name" => "resource_target",
        "target_id" | "resource.id" => "resource_id",
        "event" | "verb" | "operation" | "event_type" => "action",
        "org" | "organization_id" | "organisation" | "tenant" => "organization",
        "request" | "trace_id" | "correlation_id" => "request_id",
        "event_id" | "uuid" => "id",
        "reason" => "build_reason",
        "address" | "ip_address" | "client_ip" | "source_ip" | "remote_addr" | "cidr" => "ip",
        "agent" | "ua" | "useragent" | "browser" => "user_agent",
        "status" | "code" | "http_status" => "status_code",
        "result" => "outcome",
        "field" | "changes" | "diff" | "changed_field" => "changed",
        "sequence" | "index" | "offset" => "seq",
        "date" | "when" | "timestamp" | "created" | "created_at" | "@timestamp" => "time",
        "from" | "after" | "start" | "earliest" => "since",
        "to" | "before" | "end" | "latest" => "until",
        "message" | "search" | "q" | "any" => "text",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let actions = ["create", "delete", "write"];
        assert_eq!(nearest("craete", actions), Some("create"));
        assert_eq!(nearest("del", actions), Some("delete"));
        assert_eq!(nearest("created", actions), Some("create"));
        assert_eq!(nearest("start", actions), None);
        assert_eq!(nearest("", actions), None);
    }
}
