//! Tags are a set of words, which the server stores in lower case, in alphabetical order and separated by
//! `;`. Other users and tools add to them.

use std::collections::BTreeSet;

use super::options::words_of;

/// The option with the tags.
pub(super) const TAGS: &str = "tags";

/// Whether both are the same set of tags.
pub(super) fn is_same_tags(requested: &str, current: &str) -> bool {
    in_lower_case(requested) == in_lower_case(current)
}

/// The current tags, followed by the requested ones that are missing.
pub(super) fn with_tags_of(requested: &str, current: &str) -> String {
    let present = in_lower_case(current);
    let missing = words_of(requested).filter(|tag| !present.contains(&tag.to_lowercase()));
    let all: Vec<&str> = words_of(current).chain(missing).collect();
    all.join(";")
}

fn in_lower_case(text: &str) -> BTreeSet<String> {
    words_of(text).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::in_another_order("web;prod", "prod;web", true)]
    #[case::with_commas_and_spaces("web, prod b", "b;prod;web", true)]
    #[case::in_capitals("Web", "web", true)]
    #[case::twice("web;web", "web", true)]
    #[case::one_less("web", "prod;web", false)]
    #[case::one_more("web;prod", "web", false)]
    fn tags_are_a_set(#[case] requested: &str, #[case] current: &str, #[case] expected: bool) {
        assert_eq!(is_same_tags(requested, current), expected);
    }

    #[rstest]
    #[case::none_before("web, db", "", "web;db")]
    #[case::others_before("web", "backup;prod", "backup;prod;web")]
    #[case::some_before("Prod web", "backup;prod", "backup;prod;web")]
    #[case::all_before("prod", "backup;prod", "backup;prod")]
    fn tags_are_added(#[case] requested: &str, #[case] current: &str, #[case] expected: &str) {
        assert_eq!(with_tags_of(requested, current), expected);
    }
}
