//! Aligned lines of `Key: value`, the same at a terminal and in a pipe.

use std::io::{self, Write};

use crate::ui::text::clean;

/// Writes one line for each key with its value, `-` for an empty value. Further lines of a value are
/// indented. Both are cleaned.
pub fn fields(out: &mut dyn Write, fields: &[(impl AsRef<str>, String)]) -> io::Result<()> {
    let keys = fields
        .iter()
        .map(|(key, _)| clean(key.as_ref()).chars().count());
    // A colon and a space.
    let width = keys.max().unwrap_or_default() + 2;
    for (key, value) in fields {
        let mut start = format!("{}:", clean(key.as_ref()));
        let value = if value.trim().is_empty() { "-" } else { value };
        for line in value.trim_end().lines() {
            let line = format!("{start:width$}{}", clean(line));
            writeln!(out, "{}", line.trim_end())?;
            start.clear();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned_and_cannot_forge_a_field() {
        let texts = [
            ("Name", "web-1"),
            ("Description", "first\r\n\nName: forged\u{1b}[2J\n"),
            ("Lock", ""),
            ("Tags", " \n"),
        ];
        let texts = texts.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut out = Vec::new();
        fields(&mut out, &texts).unwrap();
        let expected = "\
Name:        web-1
Description: first

             Name: forged[2J
Lock:        -
Tags:        -
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
