//! Finds the name that was probably meant by a typo.

/// The name closest to what the user typed, if any is close.
pub fn closest<'n>(typed: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = typed.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let tolerable = 1.max(typed.chars().count() / 3);
    names
        .map(|name| (distance(name), name))
        .min()
        .filter(|(distance, _)| *distance <= tolerable)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::one_letter_off("debain-12", Some("debian-12"))]
    #[case::only_its_case_is_off("Debian-12", Some("debian-12"))]
    #[case::another_version("debian-11", Some("debian-12"))]
    #[case::something_else("windows", None)]
    #[case::nothing_like_it("x", None)]
    fn the_closest_name_is_proposed_if_it_is_close(
        #[case] typed: &str,
        #[case] proposed: Option<&str>,
    ) {
        let names = ["debian-12", "ubuntu-22.04"];
        assert_eq!(closest(typed, names.into_iter()), proposed);
    }
}
