//! Texts that people read, on one line each: names of files may hold line breaks and a terminal's commands.

use std::borrow::Cow;

/// The text with its control characters written out, as Rust writes them.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let written = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(written).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_and_no_command() {
        assert_eq!(plain("schöne größe.jpg"), "schöne größe.jpg");
        assert_eq!(plain("x\n[ERROR] y\u{1b}[31m\u{9b}z"), "x\\n[ERROR] y\\u{1b}[31m\\u{9b}z");
    }
}
