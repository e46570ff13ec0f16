//! PDF.

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;

use pdf_extract::encryption::DecryptionError;
use pdf_extract::{
    ConvertToFmt, Document, Error, MediaBox, OutputDev, OutputError, PlainTextOutput, Transform, output_doc,
};

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
    let sink = Sink::default();
    let mut pages = Pages { output: PlainTextOutput::new(sink.clone()), sink: sink.clone() };
    output_doc(&document, &mut pages).map_err(|error| match error {
        OutputError::FormatError(_) => Problem::too_long(),
        error => damaged(&error),
    })?;
    Ok(tidy(&sink.0.borrow()))
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

/// A text that grows only so far.
#[derive(Clone, Default)]
struct Sink(Rc<RefCell<String>>);

impl Write for Sink {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        let mut text = self.0.borrow_mut();
        if text.len() + piece.len() > MAX_TEXT_BYTES {
            return Err(std::fmt::Error);
        }
        text.push_str(piece);
        Ok(())
    }
}

impl ConvertToFmt for Sink {
    type Writer = Self;
    fn convert(self) -> Self {
        self
    }
}

/// Plain text with breaks between pages.
struct Pages {
    output: PlainTextOutput<Sink>,
    sink: Sink,
}

type Page = (f64, f64, f64, f64);

impl OutputDev for Pages {
    fn begin_page(&mut self, number: u32, media: &MediaBox, art: Option<Page>) -> Result<(), OutputError> {
        self.sink.write_char(PAGE_BREAK)?;
        self.output.begin_page(number, media, art)
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        self.output.end_page()
    }

    fn output_character(
        &mut self,
        transform: &Transform,
        width: f64,
        spacing: f64,
        font_size: f64,
        character: &str,
    ) -> Result<(), OutputError> {
        // A page break of ours must be the only one.
        let character = if character.contains(PAGE_BREAK) { " " } else { character };
        self.output.output_character(transform, width, spacing, font_size, character)
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        self.output.begin_word()
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        self.output.end_word()
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        self.output.end_line()
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
