//! English for actions that other systems name in their own words: `add_member` is "added member to".

/// A verb, its past tense, and the word that joins what follows it to the resource.
const VERBS: [(&str, &str, &str); 89] = [
    ("accept", "accepted", "of"),
    ("access", "accessed", "of"),
    ("activate", "activated", "of"),
    ("add", "added", "to"),
    ("allow", "allowed", "of"),
    ("approve", "approved", "of"),
    ("archive", "archived", "of"),
    ("assign", "assigned", "to"),
    ("authorize", "authorized", "of"),
    ("ban", "banned", "from"),
    ("bind", "bound", "to"),
    ("block", "blocked", "of"),
    ("cancel", "cancelled", "of"),
    ("change", "changed", "of"),
    ("clone", "cloned", "of"),
    ("close", "closed", "of"),
    ("complete", "completed", "of"),
    ("config", "configured", "of"),
    ("convert", "converted", "of"),
    ("copy", "copied", "of"),
    ("create", "created", "of"),
    ("deactivate", "deactivated", "of"),
    ("delete", "deleted", "of"),
    ("deny", "denied", "of"),
    ("destroy", "destroyed", "of"),
    ("disable", "disabled", "of"),
    ("dismiss", "dismissed", "of"),
    ("dispatch", "dispatched", "of"),
    ("download", "downloaded", "of"),
    ("edit", "edited", "of"),
    ("enable", "enabled", "of"),
    ("enroll", "enrolled", "of"),
    ("evaluate", "evaluated", "of"),
    ("evict", "evicted", "of"),
    ("expire", "expired", "of"),
    ("fetch", "fetched", "of"),
    ("grant", "granted", "of"),
    ("import", "imported", "to"),
    ("install", "installed", "in"),
    ("invite", "invited", "to"),
    ("issue", "issued", "for"),
    ("join", "joined", "of"),
    ("label", "labeled", "of"),
    ("leave", "left", "of"),
    ("lock", "locked", "of"),
    ("merge", "merged", "in"),
    ("move", "moved", "to"),
    ("open", "opened", "in"),
    ("override", "overrode", "of"),
    ("pin", "pinned", "in"),
    ("prerelease", "prereleased", "of"),
    ("privatize", "privatized", "of"),
    ("publicize", "publicized", "of"),
    ("publish", "published", "of"),
    ("pull", "pulled", "from"),
    ("push", "pushed", "to"),
    ("reactivate", "reactivated", "of"),
    ("reject", "rejected", "of"),
    ("release", "released", "of"),
    ("remove", "removed", "from"),
    ("rename", "renamed", "of"),
    ("reopen", "reopened", "of"),
    ("request", "requested", "of"),
    ("reset", "reset", "of"),
    ("restore", "restored", "of"),
    ("revoke", "revoked", "of"),
    ("rotate", "rotated", "of"),
    ("run", "ran", "of"),
    ("set", "set", "of"),
    ("share", "shared", "of"),
    ("show", "showed", "of"),
    ("start", "started", "of"),
    ("stop", "stopped", "of"),
    ("submit", "submitted", "of"),
    ("suspend", "suspended", "of"),
    ("transfer", "transferred", "of"),
    ("trash", "trashed", "in"),
    ("unarchive", "unarchived", "of"),
    ("unassign", "unassigned", "from"),
    ("unblock", "unblocked", "of"),
    ("unenroll", "unenrolled", "of"),
    ("unlabel", "unlabeled", "of"),
    ("unlock", "unlocked", "of"),
    ("unpin", "unpinned", "in"),
    ("unsuspend", "unsuspended", "of"),
    ("update", "updated", "of"),
    ("upload", "uploaded", "to"),
    ("verify", "verified", "of"),
    ("view", "viewed", "of"),
];

/// Words that are not written as they stand in names.
const SPELLINGS: [(&str, &str); 12] = [
    ("2sv", "2-step verification"),
    ("acls", "access rights"),
    ("api", "API"),
    ("dns", "DNS"),
    ("ip", "IP"),
    ("mfa", "MFA"),
    ("oauth", "OAuth"),
    ("saml", "SAML"),
    ("ssh", "SSH"),
    ("sso", "SSO"),
    ("url", "URL"),
    ("vpn", "VPN"),
];

/// What stands in a sentence for an action: after the name of who did it, and after "attempted to". `join` stands before
/// the name of the resource instead of a preposition.
pub(super) fn wording(phrase: &str, join: Option<&str>) -> (String, String) {
    let lower = phrase.to_lowercase();
    let words: Vec<&str> = lower.split([' ', '_', '.', '-', ':']).filter(|word| !word.is_empty()).collect();
    let verb_of = |word: &str| VERBS.iter().find(|(verb, past, _)| *verb == word || *past == word);
    let found = match words.as_slice() {
        [] => None,
        [first, rest @ ..] if verb_of(first).is_some() => verb_of(first).map(|verb| (verb, rest)),
        [rest @ .., last] => verb_of(last).map(|verb| (verb, rest)),
    };
    let spelt = |words: &[&str]| {
        let spelt = words
            .iter()
            .map(|word| SPELLINGS.iter().find(|(name, _)| name == word).map_or(*word, |(_, s)| s));
        spelt.collect::<Vec<_>>().join(" ")
    };
    let joined = |text: String, preposition: &str| match join {
        Some(join) if join.starts_with([':', ',']) => format!("{text}{join}"),
        Some(join) => format!("{text} {join}"),
        None => format!("{text} {preposition}"),
    };
    match (found, words.as_slice()) {
        (Some(((verb, past, _), [])), _) if join.is_none() => ((*past).to_owned(), (*verb).to_owned()),
        (Some(((verb, past, preposition), rest)), _) => {
            let rest = spelt(rest);
            let with = |verb: &str| joined(format!("{verb} {rest}").trim_end().to_owned(), preposition);
            (with(past), with(verb))
        }
        // A past tense that is not in the list.
        (None, [only]) if only.ends_with("ed") => ((*only).to_owned(), joined(format!("cause {only}"), "on")),
        (None, _) => {
            let words = spelt(&words);
            (joined(format!("caused {words}"), "on"), joined(format!("cause {words}"), "on"))
        }
    }
}

/// The built-in action that is nearest to another system's, for a registry without room for more.
pub(super) fn general(phrase: &str) -> &'static str {
    let lower = phrase.to_lowercase();
    let mut words = lower.split([' ', '_', '.', '-', ':']);
    let has =
        |words: &[&str]| words.iter().any(|verb| lower.split([' ', '_', '.', '-', ':']).any(|w| w == *verb));
    if has(&["get", "list", "read", "view", "show", "watch", "download", "clone", "fetch"]) {
        "read"
    } else if has(&["delete", "destroy", "remove", "deleted", "removed", "trash"]) {
        "delete"
    } else if words.any(|word| matches!(word, "create" | "created")) {
        "create"
    } else {
        "write"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_read_well() {
        for (phrase, done, attempt) in [
            ("add_member", "added member to", "add member to"),
            ("archived", "archived", "archive"),
            (
                "disable_two_factor_requirement",
                "disabled two factor requirement of",
                "disable two factor requirement of",
            ),
            ("saml_disabled", "disabled SAML of", "disable SAML of"),
            ("privilege.grant", "granted privilege of", "grant privilege of"),
            ("milestoned", "milestoned", "cause milestoned on"),
            ("push_commit", "pushed commit to", "push commit to"),
            ("rate_limit.warning", "caused rate limit warning on", "cause rate limit warning on"),
        ] {
            assert_eq!(wording(phrase, None), (done.to_owned(), attempt.to_owned()), "{phrase}");
        }
        assert_eq!(
            wording("CREATE_ROLE", Some(":")),
            ("created role:".to_owned(), "create role:".to_owned())
        );
        assert_eq!(
            ["get_x", "team.destroy", "create", "odd"].map(general),
            ["read", "delete", "create", "write"]
        );
    }
}
