//! Java's `.properties` syntax.
//!
//! One `key separator value` per logical line; the separator is `=`, `:` or blanks. `#` and `!`
//! begin a comment line. A line that ends in an odd number of backslashes goes on in the next
//! one, whose leading blanks are dropped. `\t`, `\n`, `\r`, `\f` and `\u` with four hexadecimal digits
//! are escapes; any other backslash stands for the character after it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::str::Chars;

/// One assignment, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// Number of the line on which the assignment begins, from 1.
    pub line: usize,
    pub key: String,
    pub value: String,
}

/// A file that is not properties.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: a \\u escape needs four hexadecimal digits of a character")]
pub struct PropertiesError {
    pub line: usize,
}

/// Reads a whole file. A key that stands there twice comes out twice, in order: the last one holds.
///
/// # Errors
/// A malformed `\u` escape, the only thing this syntax can get wrong.
pub fn parse_properties(text: &str) -> Result<Vec<Property>, PropertiesError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut properties = Vec::new();
    let mut lines = natural_lines(text).into_iter().enumerate();
    while let Some((at, first)) = lines.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = String::from(first);
        while ends_in_continuation(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(is_blank));
        }
        let line = at + 1;
        let (key, value) = split(&logical);
        properties.push(Property {
            line,
            key: unescape(key, line)?,
            value: unescape(value, line)?,
        });
    }
    Ok(properties)
}

/// One line that reads back as this assignment, in ASCII alone: Java reads such files as Latin-1.
pub fn property_line(key: &str, value: &str) -> String {
    let mut line = String::with_capacity(key.len() + value.len() + 2);
    key.chars().for_each(|c| escape(c, is_blank(c), &mut line));
    line.push('=');
    // Only blanks at the beginning would be taken for a part of the separator.
    let mut leads = true;
    for c in value.chars() {
        leads &= is_blank(c);
        escape(c, leads, &mut line);
    }
    line.push('\n');
    line
}

fn escape(c: char, blank_counts: bool, line: &mut String) {
    let short = match c {
        '\t' => Some('t'),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\u{c}' => Some('f'),
        ' ' if blank_counts => Some(' '),
        '\\' | '=' | ':' | '#' | '!' => Some(c),
        _ => None,
    };
    match short {
        Some(short) => line.extend(['\\', short]),
        None if matches!(c, ' '..='~') => line.push(c),
        None => {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                line.push_str(&format!("\\u{unit:04X}"));
            }
        }
    }
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Lines ended by `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\n', '\r']) {
        lines.push(&rest[..end]);
        let after = &rest[end..];
        rest = after.strip_prefix("\r\n").unwrap_or(&after[1..]);
    }
    lines.push(rest);
    lines
}

fn ends_in_continuation(line: &str) -> bool {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    backslashes % 2 == 1
}

/// Cuts at the first separator that is not escaped. Blanks around one `=` or `:` belong to it.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, c)| {
            let ends = !escaped && (is_blank(c) || matches!(c, '=' | ':'));
            escaped = c == '\\' && !escaped;
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

fn unescape(text: &str, line: usize) -> Result<String, PropertiesError> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => plain.push(unicode_escape(&mut chars).ok_or(PropertiesError { line })?),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Ok(plain)
}

/// The character of one `\u` escape, or of two that form a surrogate pair.
fn unicode_escape(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    let high = code_unit(chars)?;
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high);
    }
    if chars.next()? != '\\' || chars.next()? != 'u' {
        return None;
    }
    let low = code_unit(chars)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x10000 + ((high - 0xd800) << 10) + low)
}

fn code_unit(chars: &mut Peekable<Chars<'_>>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit * 16 + chars.next()?.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let read = match parse_properties(text) {
            Ok(properties) => properties
                .iter()
                .map(|p| format!("{}: {:?} = {:?}\n", p.line, p.key, p.value))
                .collect::<String>(),
            Err(error) => format!("{error}\n"),
        };
        expected.assert_eq(&read);
    }

    #[test]
    fn separators_comments_and_blanks() {
        check(
            "# comment\n! comment\n\n a=1\nb : 2\n\tc   3\nd\ne==\nf = = \n key\\ with\\=all\\: = v # kept\r\ng=7\rh=8",
            expect![[r#"
                4: "a" = "1"
                5: "b" = "2"
                6: "c" = "3"
                7: "d" = ""
                8: "e" = "="
                9: "f" = "= "
                10: "key with=all:" = "v # kept"
                11: "g" = "7"
                12: "h" = "8"
            "#]],
        );
    }

    #[test]
    fn a_line_goes_on_after_an_odd_number_of_backslashes() {
        check(
            "list=a,\\\n    b,\\\n  c\nnot\\\\=x\\\\\nnext=1\n#comment\\\nafter=2\nlast=end\\",
            expect![[r#"
                1: "list" = "a,b,c"
                4: "not\\" = "x\\"
                5: "next" = "1"
                7: "after" = "2"
                8: "last" = "end"
            "#]],
        );
    }

    #[test]
    fn escapes() {
        check(
            "a=\\t\\n\\r\\f\\u0041\\\\\\q\nb=\\uD83D\\uDE00\nc=caf\\u00e9",
            expect![[r#"
                1: "a" = "\t\n\r\u{c}A\\q"
                2: "b" = "😀"
                3: "c" = "café"
            "#]],
        );
        check(
            "a=1\nb=\\u12",
            expect![[r"
                line 2: a \u escape needs four hexadecimal digits of a character
            "]],
        );
        check(
            "b=\\uD83D",
            expect![[r"
                line 1: a \u escape needs four hexadecimal digits of a character
            "]],
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let line = property_line("a key=\u{c}", " \t lead, # mid \\ é 😀\n\u{7f}");
        expect![[r#"
            a\ key\=\f=\ \t\ lead, \# mid \\ \u00E9 \uD83D\uDE00\n\u007F
        "#]]
        .assert_eq(&line);
        check(
            &line,
            expect![[r#"
                1: "a key=\u{c}" = " \t lead, # mid \\ é 😀\n\u{7f}"
            "#]],
        );
    }
}
