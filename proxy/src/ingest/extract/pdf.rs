//! PDF.

use pdf_extract::encryption::DecryptionError;
use pdf_extract::{Document, Error, MediaBox, OutputDev, OutputError, Transform, output_doc};

use super::{MAX_TEXT_BYTES, PAGE_BREAK};
use crate::ingest::text::Problem;

/// Readers look for the mark at the start, which may have something before it, in this many bytes.
const MARK_WITHIN: usize = 1024;

/// The text of a PDF, page by page.
pub fn text_of(bytes: &[u8]) -> Result<String, Problem> {
    let start = &bytes[..bytes.len().min(MARK_WITHIN)];
    if !start.windows(5).any(|window| window == b"%PDF-") {
        return Err(Problem::invalid("The file is not a PDF.".into()));
    }
    let mut document = Document::load_mem(bytes).map_err(|error| damaged(&error))?;
    if document.is_encrypted() {
        // Many are encrypted only to forbid printing: everybody may read those.
        document.decrypt("").map_err(|error| match error {
            Error::Decryption(DecryptionError::IncorrectPassword) => {
                Problem::invalid("The PDF is protected by a password.".into())
            }
            error => damaged(&error),
        })?;
    }
    let mut pages = Pages::default();
    output_doc(&document, &mut pages).map_err(|error| match error {
        OutputError::FormatError(_) => Problem::too_long(),
        error => damaged(&error),
    })?;
    Ok(tidy(&pages.text))
}

fn damaged(error: &dyn std::fmt::Display) -> Problem {
    let reason: String = error.to_string().chars().take(200).collect();
    Problem::invalid(format!("The PDF is damaged: {reason}."))
}

/// Lines without blanks at their ends, paragraphs with one blank line between them, no empty pages.
fn tidy(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    for page in raw.split(PAGE_BREAK).filter(|page| !page.trim().is_empty()) {
        if !text.is_empty() {
            text.extend(['\n', PAGE_BREAK, '\n']);
        }
        let mut blank = false;
        for line in page.trim().lines().map(str::trim_end) {
            if line.is_empty() {
                blank = true;
                continue;
            }
            if std::mem::take(&mut blank) {
                text.push('\n');
            }
            text.extend(line.chars().filter(|c| !c.is_control() || *c == '\t'));
            text.push('\n');
        }
    }
    text
}

/// Writes characters where they stand: a PDF knows only places, and most have no blanks or line breaks.
///
/// The library's own plain text loses the break between lines of different sizes.
#[derive(Default)]
struct Pages {
    text: String,
    /// A string of the page's program begins: only between two of them can there be a gap.
    at_start: bool,
    last: Option<Place>,
}

/// Where a character ends.
#[derive(Clone, Copy)]
struct Place {
    end: f64,
    baseline: f64,
    size: f64,
}

impl Pages {
    fn write(&mut self, text: &str) -> Result<(), OutputError> {
        if self.text.len() + text.len() > MAX_TEXT_BYTES {
            return Err(OutputError::FormatError(std::fmt::Error));
        }
        self.text.push_str(text);
        Ok(())
    }

    /// What stands between two characters.
    fn gap(last: Place, start: f64, baseline: f64, size: f64) -> &'static str {
        let size = size.max(last.size);
        let down = (baseline - last.baseline).abs();
        match () {
            () if down > 1.8 * size => "\n\n",
            // The next line, or a column that stands beside.
            () if down > 0.5 * size || start < last.end - 2.0 * size => "\n",
            // The narrowest blanks take a fifth of the font's size.
            () if start > last.end + 0.15 * size => " ",
            () => "",
        }
    }
}

type Page = (f64, f64, f64, f64);

impl OutputDev for Pages {
    fn begin_page(&mut self, _: u32, _: &MediaBox, _: Option<Page>) -> Result<(), OutputError> {
        self.last = None;
        self.write("\u{c}")
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn output_character(
        &mut self,
        transform: &Transform,
        width: f64,
        _: f64,
        font_size: f64,
        character: &str,
    ) -> Result<(), OutputError> {
        // Lengths of the unit vectors on paper, whatever way the text is turned or mirrored.
        let across = transform.m11.hypot(transform.m12);
        let size = font_size * transform.m21.hypot(transform.m22);
        let (start, baseline) = (transform.m31, transform.m32);
        if let Some(last) = self.last
            && std::mem::take(&mut self.at_start)
        {
            let gap = Self::gap(last, start, baseline, size);
            if !self.text.ends_with(' ') || gap != " " {
                self.write(gap)?;
            }
        }
        self.last = Some(Place { end: start + width * font_size * across, baseline, size });
        // A page break of ours must be the only one.
        self.write(if character.contains(PAGE_BREAK) { " " } else { character })
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        self.at_start = true;
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pdf_says_so() {
        for bytes in [&b""[..], b"plain text", b"PK\x03\x04"] {
            assert_eq!(text_of(bytes), Err(Problem::invalid("The file is not a PDF.".into())));
        }
        let broken = text_of(b"%PDF-1.7\nand nothing else").unwrap_err();
        assert!(format!("{broken:?}").contains("The PDF is damaged"), "{broken:?}");
    }

    #[test]
    fn pages_are_tidied() {
        assert_eq!(tidy("\u{c}\n\n  a  \n\n\n\nb\u{7}\nc\n\u{c} \n\u{c}d"), "a\n\nb\nc\n\n\u{c}\nd\n");
    }
}
