//! Shell quoting, for commands that users paste.

/// `text` as one word of a shell, quoted if necessary.
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/.-_@:=+,%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    quoted(text)
}

/// `text` in quotes, as one word in bash and in zsh, even with the option `RC_QUOTES`.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("/home/ops/.local/x-1_y", "/home/ops/.local/x-1_y")]
    #[case::space("a b", "'a b'")]
    #[case::quote("it's", r"'it'\''s'")]
    #[case::history("root@pam!cli", "'root@pam!cli'")]
    #[case::empty("", "''")]
    fn text_becomes_one_word_of_a_shell(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(word(text), shown);
    }
}
