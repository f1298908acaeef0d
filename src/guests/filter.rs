//! Which guests of a list are shown.

use std::fmt;
use std::str::FromStr;

use glob::Pattern;

use crate::pve::types::{Guest, Node, Pool};

/// What a guest must have to be shown. Whatever is not given accepts every guest.
#[derive(Clone, Default)]
pub struct Filter {
    /// It must have all of these tags, in any case.
    pub tags: Vec<String>,
    /// Its status.
    pub status: Option<GuestStatus>,
    /// The node it is on.
    pub node: Option<Node>,
    /// The pool it is in.
    pub pool: Option<Pool>,
    /// The pattern of its name.
    pub name: Option<NamePattern>,
}

impl Filter {
    /// Whether a guest is shown.
    pub fn accepts(&self, guest: &Guest) -> bool {
        let has_status = |status: &GuestStatus| status.as_str() == guest.status;
        let is_named = |pattern: &NamePattern| pattern.matches(guest.name.as_deref());
        self.may_accept(guest)
            && self.status.as_ref().is_none_or(has_status)
            && self.name.as_ref().is_none_or(is_named)
    }

    /// Whether a guest may be shown, by what the cluster's list always has right: node, pool and tags.
    pub fn may_accept(&self, guest: &Guest) -> bool {
        let details = &guest.details;
        let has = |tag: &String| details.tags().any(|it| it.eq_ignore_ascii_case(tag));
        self.node.as_ref().is_none_or(|node| *node == guest.node)
            && (self.pool.is_none() || self.pool == details.pool)
            && self.tags.iter().all(has)
    }

    /// Whether it accepts every guest.
    pub fn accepts_all(&self) -> bool {
        self.to_string().is_empty()
    }
}

/// As options, without quoting: `--tag web --status running`.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Filter {
            tags,
            status,
            node,
            pool,
            name,
        } = self;
        let mut options: Vec<String> = tags.iter().map(|tag| format!("--tag {tag}")).collect();
        options.extend(status.iter().map(|it| format!("--status {}", it.as_str())));
        options.extend(node.iter().map(|node| format!("--node {node}")));
        options.extend(pool.iter().map(|pool| format!("--pool {pool}")));
        options.extend(name.iter().map(|NamePattern(it)| format!("--name {it}")));
        f.write_str(&options.join(" "))
    }
}

/// The status of a guest in a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestStatus {
    /// It runs, or is paused.
    Running,
    /// It does not run.
    Stopped,
    /// Its node is offline, or it was just created.
    Unknown,
}

impl GuestStatus {
    /// As the server writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            GuestStatus::Running => "running",
            GuestStatus::Stopped => "stopped",
            GuestStatus::Unknown => "unknown",
        }
    }
}

impl FromStr for GuestStatus {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<GuestStatus, Self::Err> {
        let all = [
            GuestStatus::Running,
            GuestStatus::Stopped,
            GuestStatus::Unknown,
        ];
        let named = all.into_iter().find(|status| status.as_str() == text);
        named.ok_or("expected running, stopped or unknown")
    }
}

/// A pattern of names: `*` stands for any characters, `?` for one, `[a-c]` for one of several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamePattern(Pattern);

impl NamePattern {
    /// Whether a name matches as a whole, case-sensitively. An unknown name matches only `*`.
    fn matches(&self, name: Option<&str>) -> bool {
        match name {
            Some(name) => self.0.matches(name),
            None => self.0.as_str() == "*",
        }
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<NamePattern, Self::Err> {
        const EXPECTED: &str = "expected a pattern like 'web-*', 'web-?' or 'web-[1-3]'";

        let pattern = Pattern::new(text).ok().filter(|_| !text.is_empty());
        pattern.map(NamePattern).ok_or_else(|| EXPECTED.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::types::{GuestDetails, GuestKind, Vmid};
    use rstest::rstest;

    fn guest() -> Guest {
        Guest {
            vmid: Vmid(101),
            kind: GuestKind::Qemu,
            name: Some("web-1".into()),
            node: Node("pve1".into()),
            status: "running".into(),
            template: false,
            lock: None,
            details: GuestDetails {
                tags: Some("prod;web".into()),
                pool: Some(Pool("lab".into())),
                ..GuestDetails::default()
            },
        }
    }

    /// A filter from options and their values.
    fn filter(options: &str) -> Filter {
        let mut filter = Filter::default();
        let words: Vec<&str> = options.split_whitespace().collect();
        for pair in words.chunks(2) {
            match pair[0] {
                "--tag" => filter.tags.push(pair[1].to_owned()),
                "--status" => filter.status = Some(pair[1].parse().unwrap()),
                "--node" => filter.node = Some(Node(pair[1].to_owned())),
                "--pool" => filter.pool = Some(Pool(pair[1].to_owned())),
                "--name" => filter.name = Some(pair[1].parse().unwrap()),
                other => panic!("{other}"),
            }
        }
        assert_eq!(filter.to_string(), options);
        filter
    }

    /// Whether the guest may be accepted by its row, and whether it is.
    #[rstest]
    #[case::nothing("", (true, true))]
    #[case::tag("--tag web", (true, true))]
    #[case::tag_in_capitals("--tag Web", (true, true))]
    #[case::all_tags("--tag web --tag prod", (true, true))]
    #[case::one_tag_too_many("--tag web --tag db", (false, false))]
    #[case::part_of_a_tag("--tag we", (false, false))]
    #[case::status("--status running", (true, true))]
    #[case::other_status("--status stopped", (true, false))]
    #[case::node("--node pve1", (true, true))]
    #[case::other_node("--node pve2", (false, false))]
    #[case::pool("--pool lab", (true, true))]
    #[case::other_pool("--pool la", (false, false))]
    #[case::name("--name web-*", (true, true))]
    #[case::other_name("--name db-*", (true, false))]
    #[case::all("--tag web --status running --node pve1 --pool lab --name web-1", (true, true))]
    #[case::all_but_one("--tag web --status running --node pve2 --pool lab --name web-1", (false, false))]
    fn a_guest_must_fit_all_parts(#[case] options: &str, #[case] expected: (bool, bool)) {
        let (filter, guest) = (filter(options), guest());
        assert_eq!(
            (filter.may_accept(&guest), filter.accepts(&guest)),
            expected
        );
    }

    #[test]
    fn a_guest_without_tags_and_pool_does_not_fit_those() {
        let guest = Guest {
            details: GuestDetails::default(),
            ..guest()
        };
        let seen = ["--tag web", "--pool lab", "--node pve1"].map(|it| filter(it).accepts(&guest));
        assert_eq!(seen, [false, false, true]);
    }

    #[rstest]
    #[case::whole("web-1", "web-1", true)]
    #[case::not_a_part("web", "web-1", false)]
    #[case::star("web-*", "web-1", true)]
    #[case::star_for_nothing("web-1*", "web-1", true)]
    #[case::star_and_dots("web*", "web-1.lan.example", true)]
    #[case::question_mark("web-?", "web-1", true)]
    #[case::question_mark_for_one_only("web-?", "web-10", false)]
    #[case::one_of_several("web-[1-3]", "web-2", true)]
    #[case::none_of_several("web-[!1-3]", "web-2", false)]
    #[case::case_sensitive("Web-*", "web-1", false)]
    fn a_pattern_matches_whole_names(
        #[case] pattern: &str,
        #[case] name: &str,
        #[case] expected: bool,
    ) {
        let pattern: NamePattern = pattern.parse().unwrap();
        assert_eq!(pattern.matches(Some(name)), expected);
    }

    #[rstest]
    #[case::anything("*", true)]
    #[case::something("?*", false)]
    fn an_unknown_name_matches_only_any_name(#[case] pattern: &str, #[case] expected: bool) {
        let pattern: NamePattern = pattern.parse().unwrap();
        assert_eq!(pattern.matches(None), expected);
    }

    #[rstest]
    #[case::empty("")]
    #[case::open_bracket("web-[1")]
    #[case::three_stars("***")]
    fn a_pattern_that_means_nothing_is_refused(#[case] text: &str) {
        assert!(text.parse::<NamePattern>().is_err());
    }
}
