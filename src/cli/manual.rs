//! Pages of the manual: read from their source, and shown at a terminal or as a man page.
//!
//! A page is a title, then blocks between blank lines:
//! - `# Words` is a heading, `- words` an item of a list.
//! - A block whose lines are indented by four spaces is shown as it is.
//! - A line above lines that are indented by two spaces is a term with its description.
//! - Anything else is a paragraph.

use roff::{Roff, bold, roman};
use textwrap::{Options, WordSplitter};

/// The topics of the manual, in the order in which the man page has them.
pub(super) const TOPICS: [(&str, &str); 12] = [
    ("config", include_str!("../help/config.txt")),
    ("trust", include_str!("../help/trust.txt")),
    ("permissions", include_str!("../help/permissions.txt")),
    ("images", include_str!("../help/images.txt")),
    ("templates", include_str!("../help/templates.txt")),
    ("settings", include_str!("../help/settings.txt")),
    ("addresses", include_str!("../help/addresses.txt")),
    ("exactly-one", include_str!("../help/exactly-one.txt")),
    ("cron", include_str!("../help/cron.txt")),
    ("json", include_str!("../help/json.txt")),
    ("exit-codes", include_str!("../help/exit-codes.txt")),
    (
        "troubleshooting",
        include_str!("../help/troubleshooting.txt"),
    ),
];

/// The source of a topic.
pub(super) fn topic(name: &str) -> Option<&'static str> {
    let mut topics = TOPICS.iter();
    topics
        .find(|(topic, _)| *topic == name)
        .map(|(_, source)| *source)
}

/// A part of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Block {
    Heading(String),
    Paragraph(String),
    Item(String),
    Term(String, String),
    Verbatim(String),
}

/// The title of a page and its blocks.
pub(super) fn read(source: &str) -> (&str, Vec<Block>) {
    let (title, body) = source.split_once('\n').unwrap_or((source, ""));
    let blocks = body.split("\n\n").map(|block| block.trim_matches('\n'));
    let blocks = blocks.filter(|block| !block.is_empty()).map(block);
    (title, blocks.collect())
}

fn block(source: &str) -> Block {
    if source.lines().all(|line| line.starts_with("    ")) {
        let lines: Vec<&str> = source.lines().map(|line| &line[4..]).collect();
        return Block::Verbatim(lines.join("\n"));
    }
    if let Some(heading) = source.strip_prefix("# ") {
        return Block::Heading(heading.to_owned());
    }
    if let Some(item) = source.strip_prefix("- ") {
        return Block::Item(in_one_line(item));
    }
    match source.split_once("\n  ") {
        Some((term, text)) => Block::Term(in_one_line(term), in_one_line(text)),
        None => Block::Paragraph(in_one_line(source)),
    }
}

/// Text with each line break and run of spaces as one space.
pub(super) fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A description in one line. argh doubles braces, because it passes the text to `format!`.
pub(super) fn unescaped(description: &str) -> String {
    in_one_line(&description.replace("{{", "{").replace("}}", "}"))
}

/// Wider terms have their description on the next line.
const WIDEST_TERM: usize = 25;

/// Wraps blocks to `columns`. Verbatim blocks and longer words may be wider.
pub(super) fn shown(blocks: &[Block], columns: usize) -> String {
    let mut out = String::new();
    let mut last = None;
    for (index, block) in blocks.iter().enumerate() {
        let is_listed = |block: &Block| matches!(block, Block::Item(_) | Block::Term(..));
        if last.is_some_and(|last| !(is_listed(last) && is_listed(block) || is_heading(last))) {
            out.push('\n');
        }
        let text = match block {
            Block::Heading(text) => format!("{text}:"),
            Block::Paragraph(text) => wrapped(text, columns, "", ""),
            Block::Item(text) => wrapped(text, columns, "- ", "  "),
            Block::Term(term, text) => described(term, text, widest_term(blocks, index), columns),
            Block::Verbatim(text) => textwrap::indent(text, "  "),
        };
        out += &text;
        out.push('\n');
        last = Some(block);
    }
    out
}

fn is_heading(block: &Block) -> bool {
    matches!(block, Block::Heading(_))
}

/// The width of the widest of the terms around that one.
fn widest_term(blocks: &[Block], index: usize) -> usize {
    let width = |block: &Block| match block {
        Block::Term(term, _) => Some(textwrap::core::display_width(term)),
        _ => None,
    };
    let before = blocks[..index].iter().rev().map_while(width);
    let after = blocks[index..].iter().map_while(width);
    before.chain(after).max().unwrap_or_default()
}

fn described(term: &str, text: &str, widest: usize, columns: usize) -> String {
    if widest > WIDEST_TERM {
        let indent = " ".repeat(6);
        return format!("  {term}\n{}", wrapped(text, columns, &indent, &indent));
    }
    let beside = format!("  {term:widest$}  ");
    let below = " ".repeat(widest + 4);
    wrapped(text, columns, &beside, &below)
        .trim_end()
        .to_owned()
}

/// A command in quotes stays in one line, so that it can be copied.
fn wrapped(text: &str, columns: usize, first: &str, further: &str) -> String {
    const NO_BREAK: &str = "\u{a0}";
    let options = Options::new(columns)
        .initial_indent(first)
        .subsequent_indent(further)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    let mut parts: Vec<String> = text.split('\'').map(str::to_owned).collect();
    let programs = ["homelab ", "qm ", "pveum ", "pvesm ", "pvenode "];
    let last = parts.len() - 1;
    for part in parts.iter_mut().take(last).skip(1) {
        if programs.iter().any(|program| part.starts_with(program)) {
            *part = part.replace(' ', NO_BREAK);
        }
    }
    textwrap::fill(&parts.join("'"), options).replace(NO_BREAK, " ")
}

/// Adds blocks to a section of a man page that has just begun.
pub(super) fn add_to_man_page(page: &mut Roff, blocks: &[Block]) {
    let mut is_beginning = true;
    for block in blocks {
        if matches!(block, Block::Paragraph(_) | Block::Verbatim(_)) && !is_beginning {
            page.control("PP", []);
        }
        is_beginning = is_heading(block);
        match block {
            Block::Heading(text) => page.control("SS", [text.as_str()]),
            Block::Paragraph(text) => page.text([roman(text)]),
            Block::Item(text) => page.control("IP", ["-", "2"]).text([roman(text)]),
            Block::Term(term, text) => {
                let page = page.control("TP", []).text([bold(term)]);
                page.text([roman(text)])
            }
            Block::Verbatim(text) => {
                page.control("RS", ["4"]).control("nf", []);
                page.text([roman(text)]);
                page.control("fi", []).control("RE", [])
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "The title

A paragraph in
two lines: see 'homelab help'.

# Words

- first item that is
  long

- second

NAME
  what it is

LONGER, \"name\"
  what that is

    $ as it is
      indented

The end.
";

    #[test]
    fn a_page_is_wrapped_to_the_width() {
        let (title, blocks) = read(SOURCE);
        let expected = "A paragraph in two
lines: see
'homelab help'.

Words:
- first item that is
  long
- second
  NAME            what
                  it
                  is
  LONGER, \"name\"  what
                  that
                  is

  $ as it is
    indented

The end.
";
        assert_eq!(
            (title, shown(&blocks, 22).as_str()),
            ("The title", expected)
        );
    }

    #[test]
    fn a_long_term_has_its_description_below() {
        let blocks = [Block::Term(
            "A_VERY_LONG_NAME_OF_A_SETTING".to_owned(),
            "what it is".to_owned(),
        )];
        let expected = "  A_VERY_LONG_NAME_OF_A_SETTING\n      what it\n      is\n";
        assert_eq!(shown(&blocks, 14), expected);
    }
}
