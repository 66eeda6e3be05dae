//! The right spelling of a wrong word.

/// Returns the name whose spelling is nearest to `text`, if any is near enough to be worth proposing.
///
/// `spellings` are pairs of a spelling and the name it stands for. Near enough is one edit in three letters; of
/// equally near spellings the first wins.
pub(super) fn nearest_of<'a>(
    text: &str,
    spellings: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Option<&'a str> {
    let wanted = folded(text);
    let edits_max = (wanted.chars().count() / 3).max(1);
    spellings
        .into_iter()
        .map(|(spelling, name)| (strsim::osa_distance(&wanted, &folded(spelling)), name))
        .filter(|&(edits, _)| edits <= edits_max)
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, name)| name)
}

/// Returns the one of `names` nearest to `text`.
pub fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_of(text, names.into_iter().map(|name| (name, name)))
}

/// Lower case, and all the ways to join words alike.
fn folded(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, '-' | ' ' | '.') { '_' } else { c })
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(nearest(text, ["workspace", "workspace_build", "user", "git_ssh_key"]), expect, "{text}");
    }

    #[test]
    fn proposes_what_is_near_and_nothing_else() {
        check("worskpace", Some("workspace"));
        check("Workspace Build", Some("workspace_build"));
        check("usr", Some("user"));
        check("git-ssh-keys", Some("git_ssh_key"));
        check("invoice", None);
        check("", None);
    }
}
