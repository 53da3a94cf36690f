//! Texts from files and arguments as a terminal may show them: a message is one line, and no control character of a name gets through.

use std::borrow::Cow;
use std::fmt::Write;

/// Longest message that is shown whole, bytes.
const MOST_OF_A_MESSAGE: usize = 3000;
/// Most characters of a value in a message.
const MOST_OF_A_VALUE: usize = 120;

/// Whether a terminal would act on a character, or it would turn around what stands beside it.
fn acts(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text in one line: white space that breaks lines, with the blanks beside it, is one blank; other control characters are escaped
/// (`\u{1b}`).
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    for part in text.split(['\n', '\r', '\t']) {
        let part = if part.len() == text.len() { part } else { part.trim_matches(' ') };
        if !line.is_empty() && !part.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
        part.chars().for_each(|c| push(&mut line, c));
    }
    Cow::Owned(line)
}

/// The lines of a text with control characters escaped, but for tabulators and the colours that this program gives them.
pub fn for_terminal(text: &str) -> Cow<'_, str> {
    let stays = |c| c == '\n' || c == '\t';
    if !text.contains(|c| acts(c) && !stays(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = colour_len(rest);
        if colour > 0 || stays(c) {
            let length = colour.max(1);
            shown.push_str(&rest[..length]);
            rest = &rest[length..];
        } else {
            push(&mut shown, c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Cow::Owned(shown)
}

/// A text of JSON with the characters that a terminal would act on escaped as JSON does; serde_json leaves some as they are.
pub fn json_for_terminal(json: &str) -> Cow<'_, str> {
    let stays = |c| c == '\n' || !acts(c);
    if json.chars().all(stays) {
        return Cow::Borrowed(json);
    }
    let escaped = |c: char| if stays(c) { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    Cow::Owned(json.chars().map(escaped).collect())
}

/// The beginning of a value in one line, where the whole is long.
pub fn clipped(value: &str) -> String {
    let line = one_line(value);
    match line.char_indices().nth(MOST_OF_A_VALUE) {
        Some((end, _)) => format!("{} ..", line[..end].trim_end()),
        None => line.into_owned(),
    }
}

/// A message without its middle, where a name or value in it is so long that nobody could read on: its beginning names the file, its end the
/// reason.
pub fn shortened(line: Cow<'_, str>) -> Cow<'_, str> {
    let half = MOST_OF_A_MESSAGE / 2;
    if line.len() <= MOST_OF_A_MESSAGE {
        return line;
    }
    let head = (0..=half).rev().find(|end| line.is_char_boundary(*end)).unwrap_or_default();
    let tail = (line.len() - half..=line.len()).find(|start| line.is_char_boundary(*start));
    Cow::Owned(format!("{} .. {}", &line[..head], &line[tail.unwrap_or(line.len())..]))
}

fn push(text: &mut String, c: char) {
    if acts(c) {
        // Writing to a text cannot fail.
        let _ = write!(text, "{}", c.escape_unicode());
    } else {
        text.push(c);
    }
}

/// Bytes of the sequence `ESC [ digits ; digits m` at the start of a text; 0 where there is none.
fn colour_len(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return 0 };
    let numbers = rest.find(|c: char| !(c.is_ascii_digit() || c == ';')).unwrap_or(rest.len());
    if rest[numbers..].starts_with('m') { numbers + 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        assert_eq!(one_line("as it was, café"), "as it was, café");
        assert_eq!(one_line("a\n    b:\t\r\n  c\n"), "a b: c");
        assert_eq!(one_line("\nfirst\n"), "first");
        assert_eq!(one_line("x\u{1b}]0;pwned\u{7}y"), "x\\u{1b}]0;pwned\\u{7}y");
        assert_eq!(one_line("c1 \u{9b}31m, turned \u{202e}txt"), "c1 \\u{9b}31m, turned \\u{202e}txt");
    }

    #[test]
    fn colours_and_lines_of_a_table_stay() {
        let table = "\u{1b}[32mname\u{1b}[0m\n\u{1b}[1;31m3\u{1b}[0m\n";
        assert_eq!(for_terminal(table), table);
        assert_eq!(for_terminal("\u{1b}[2J\u{1b}[32mé\u{1b}"), "\\u{1b}[2J\u{1b}[32mé\\u{1b}");
        assert_eq!(for_terminal("a\rb\tc"), "a\\u{d}b\tc");
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({ "name": "a\u{9b}31m\u{7f}\u{202e}b\n" });
        let text = value.to_string();
        assert!(text.contains('\u{9b}'), "serde_json leaves it");
        let shown = json_for_terminal(&text);
        assert!(shown.is_ascii(), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert_eq!(json_for_terminal("{\"é\": 1}\n"), "{\"é\": 1}\n");
    }

    #[test]
    fn a_long_message_keeps_its_ends() {
        assert_eq!(shortened(Cow::Borrowed("a.h5: is damaged")), "a.h5: is damaged");
        for letter in ["x", "\u{1f9e0}"] {
            let message =
                shortened(Cow::Owned(format!("/data/{}.h5: there is no such file", letter.repeat(5000))));
            assert!(
                message.starts_with("/data/") && message.ends_with(".h5: there is no such file"),
                "{message}"
            );
            assert!(message.len() <= MOST_OF_A_MESSAGE + 4, "{}", message.len());
        }
    }

    #[test]
    fn a_long_value_is_clipped() {
        assert_eq!(clipped("1.5"), "1.5");
        let long = clipped(&"é\n".repeat(200));
        assert!(long.ends_with(" ..") && long.chars().count() <= MOST_OF_A_VALUE + 3, "{long}");
    }
}
