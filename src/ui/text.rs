//! Text from the server: cleaned for people, unchanged in JSON for scripts.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

/// Removes characters with which text from the server could forge a line, move the cursor or change the
/// reading direction.
pub fn clean(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| {
        // Direction marks, line separators, and invisible characters.
        let is_invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}');
        c.is_control() || is_invisible
    };
    if text.contains(is_harmful) {
        Cow::Owned(text.replace(is_harmful, ""))
    } else {
        Cow::Borrowed(text)
    }
}

/// Writes a value as one line of JSON. Nothing is cleaned, because a script needs the text as the server
/// sent it, and JSON escapes line breaks itself.
pub fn json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::harmless("web-1 é 日本", "web-1 é 日本")]
    #[case::escape_sequence("\u{1b}[31mred", "[31mred")]
    #[case::forged_line("web\nVM 1 is fine\r", "webVM 1 is fine")]
    #[case::second_control_block("a\u{9b}b", "ab")]
    #[case::reading_direction("a\u{202e}b\u{2066}c\u{61c}d\u{200f}e", "abcde")]
    #[case::line_separators("a\u{2028}b\u{2029}c\u{85}d", "abcd")]
    #[case::invisible("web\u{200b}-\u{ad}1\u{feff}\u{e0041}\u{2060}", "web-1")]
    fn text_from_the_server_cannot_forge_anything(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(clean(text), expected);
    }
}
