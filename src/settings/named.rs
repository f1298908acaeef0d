//! `--cores`, `--memory`, `--tags` and `--description`: other names for `--set`.

use super::check::{check, mebibytes};
use super::error::Error;
use super::options::words_of;
use super::tags::TAGS;

/// A value of `--cores`.
pub fn cores(text: &str) -> Result<String, String> {
    value_of("cores", text)
}

/// A value of `--memory`, a number of MiB or a size with its unit. Returns the number of MiB.
pub fn memory(text: &str) -> Result<String, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number {
        Some(text.to_owned())
    } else {
        mebibytes(text)
    };
    let number = number.filter(|number| check("memory", number).is_ok());
    number.ok_or_else(|| {
        "expected a size of at least 16 MiB, like 8G or 8192 (a whole number of MiB)".to_owned()
    })
}

/// A value of `--tags`.
pub fn tags(text: &str) -> Result<String, String> {
    if words_of(text).next().is_none() {
        return Err("expected tags separated by ',' or ';'".to_owned());
    }
    value_of(TAGS, text)
}

/// A value of `--description`, any text.
pub fn description(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    value_of("description", text)
}

fn value_of(key: &str, text: &str) -> Result<String, String> {
    match check(key, text) {
        Ok(()) => Ok(text.to_owned()),
        Err(Error::WrongValue { expected, .. }) => Err(format!("expected {expected}")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOT_A_SIZE: &str =
        "expected a size of at least 16 MiB, like 8G or 8192 (a whole number of MiB)";

    #[rstest]
    #[case::mebibytes("8192", Ok("8192"))]
    #[case::gibibytes("8G", Ok("8192"))]
    #[case::fraction("1.5G", Ok("1536"))]
    #[case::small_letter("512m", Ok("512"))]
    #[case::long_unit("2GiB", Ok("2048"))]
    #[case::kibibytes("32768K", Ok("32"))]
    #[case::not_whole_mebibytes("20000K", Err(NOT_A_SIZE))]
    #[case::too_little("8", Err(NOT_A_SIZE))]
    #[case::too_little_with_unit("8M", Err(NOT_A_SIZE))]
    #[case::key("current=8192", Err(NOT_A_SIZE))]
    #[case::more("+8G", Err(NOT_A_SIZE))]
    #[case::two_options("8192,cores=2", Err(NOT_A_SIZE))]
    #[case::empty("", Err(NOT_A_SIZE))]
    fn memory_is_a_number_of_mebibytes_or_a_size(
        #[case] text: &str,
        #[case] expected: Result<&str, &str>,
    ) {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(memory(text), expected);
    }

    #[rstest]
    #[case::cores(cores, "4", Ok("4"))]
    #[case::no_cores(cores, "0", Err("expected a whole number, at least 1"))]
    #[case::tags_with_commas(tags, "web,prod", Ok("web,prod"))]
    #[case::tags_with_semicolons(tags, "web;prod", Ok("web;prod"))]
    #[case::separators_alone(tags, ",;", Err("expected tags separated by ',' or ';'"))]
    #[case::tags_in_lines(tags, "web\nprod", Err("expected one line"))]
    #[case::description(description, "a\nb", Ok("a\nb"))]
    #[case::description_is_no_file(description, "@notes", Ok("@notes"))]
    #[case::empty_description(description, " ", Err("must not be empty"))]
    fn a_value_is_checked(
        #[case] parse: fn(&str) -> Result<String, String>,
        #[case] text: &str,
        #[case] expected: Result<&str, &str>,
    ) {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(parse(text), expected);
    }
}
