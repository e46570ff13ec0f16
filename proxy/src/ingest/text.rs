//! The text of a file: which files have one, and how it is decoded.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use vectorstore_core::chunk::ChunkKind;

use super::extract::MAX_TEXT_BYTES;

/// How the text is found in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Prose.
    Text,
    /// Markdown: cut at headings first.
    Markdown,
    /// Program text and data: cut at lines first.
    Code,
    /// Tables: rows keep the names of their columns.
    Csv,
    /// JSON: cut at lines, of which it is given some.
    Json,
    /// HTML: its text is extracted.
    Html,
    /// PDF.
    Pdf,
    /// Word.
    Docx,
    /// PowerPoint.
    Pptx,
}

impl Kind {
    /// How the text is cut.
    pub fn chunking(self) -> ChunkKind {
        match self {
            Self::Text | Self::Pdf => ChunkKind::Text,
            Self::Markdown | Self::Html | Self::Docx | Self::Pptx => ChunkKind::Markdown,
            Self::Code | Self::Csv | Self::Json => ChunkKind::Code,
        }
    }

    /// Whether a library has to take it apart, which happens in a process of its own.
    pub fn needs_child(self) -> bool {
        matches!(self, Self::Html | Self::Pdf | Self::Docx | Self::Pptx)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Code => "code",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Html => "html",
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Pptx => "pptx",
        }
    }
}

/// Why a file cannot be searched: the `last_error` of a failed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    code: Code,
    message: String,
}

/// The kinds of problems that OpenAI knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Code {
    UnsupportedFile,
    InvalidFile,
    ServerError,
}

impl Problem {
    /// A kind of file without text that we could find.
    pub fn unsupported(filename: &str) -> Self {
        let extension = extension_of(filename);
        let shown = if extension.is_empty() {
            "without extension".to_owned()
        } else {
            format!("of type '.{extension}'")
        };
        Self { code: Code::UnsupportedFile, message: format!("Files {shown} are not supported.") }
    }

    /// The bytes are not what the name promises.
    pub fn invalid(message: String) -> Self {
        Self { code: Code::InvalidFile, message }
    }

    /// There is more text than a file may have.
    pub fn too_long() -> Self {
        Self::invalid(format!("The text of the file is longer than {MAX_TEXT_BYTES} bytes."))
    }

    /// A fault of ours: trying again may help.
    pub fn server(message: String) -> Self {
        Self { code: Code::ServerError, message }
    }

    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        self.code == Code::ServerError
    }

    /// The name that OpenAI has for it.
    pub fn code(&self) -> &'static str {
        match self.code {
            Code::UnsupportedFile => "unsupported_file",
            Code::InvalidFile => "invalid_file",
            Code::ServerError => "server_error",
        }
    }

    /// What was wrong, for people.
    pub fn message(&self) -> &str {
        &self.message
    }
}

fn extension_of(filename: &str) -> String {
    let extension = filename.rsplit_once('.').map(|(_, extension)| extension).unwrap_or_default();
    extension.chars().take(16).collect::<String>().to_ascii_lowercase()
}

/// What kind of text a file has, by its name; `None` when it has none.
pub fn kind_of(filename: &str) -> Option<Kind> {
    Some(match extension_of(filename).as_str() {
        "txt" | "text" | "log" | "rst" | "tex" => Kind::Text,
        "md" | "markdown" => Kind::Markdown,
        "html" | "htm" | "xhtml" => Kind::Html,
        "pdf" => Kind::Pdf,
        "docx" => Kind::Docx,
        "pptx" => Kind::Pptx,
        "csv" | "tsv" => Kind::Csv,
        "json" => Kind::Json,
        "bash" | "c" | "cc" | "cfg" | "cpp" | "cs" | "css" | "go" | "h" | "hpp" | "ini" | "java" | "js"
        | "jsonl" | "jsx" | "kt" | "lua" | "mjs" | "php" | "pl" | "proto" | "ps1" | "py" | "r" | "rb"
        | "rs" | "scala" | "sh" | "sql" | "swift" | "toml" | "ts" | "tsx" | "xml" | "yaml" | "yml" => {
            Kind::Code
        }
        _ => return None,
    })
}

/// Decodes UTF-8 (with or without byte order mark), ASCII, and UTF-16 with byte order mark.
pub fn decode(bytes: Vec<u8>) -> Result<String, Problem> {
    let undecodable = || Problem::invalid("The file is not text in UTF-8, UTF-16 or ASCII.".to_owned());
    let text = match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => decode_utf16(rest, u16::from_le_bytes).ok_or_else(undecodable)?,
        [0xFE, 0xFF, rest @ ..] => decode_utf16(rest, u16::from_be_bytes).ok_or_else(undecodable)?,
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).map_err(|_| undecodable())?,
        _ => String::from_utf8(bytes).map_err(|_| undecodable())?,
    };
    // U+0000 is valid UTF-8, but a sign of binary data, and nothing that Postgres could store.
    if text.contains('\0') { Err(undecodable()) } else { Ok(text) }
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    char::decode_utf16(units.iter().map(|pair| unit(*pair))).collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        assert_eq!(kind_of("a.TXT"), Some(Kind::Text));
        assert_eq!(kind_of("read.me.md"), Some(Kind::Markdown));
        assert_eq!(kind_of("x.py"), Some(Kind::Code));
        assert_eq!(kind_of("x.htm"), Some(Kind::Html));
        assert_eq!(kind_of("x.PDF"), Some(Kind::Pdf));
        for name in ["x.doc", "x.odt", "x", "x.", "", ".txt.exe", "x.tx t"] {
            assert_eq!(kind_of(name), None, "{name}");
        }
    }

    #[test]
    fn kinds_have_the_names_that_the_command_line_reads() {
        for kind in Kind::value_variants() {
            assert_eq!(Kind::from_str(kind.name(), false).as_ref(), Ok(kind));
        }
    }

    #[test]
    fn utf16_needs_its_mark() {
        let utf16 = |mark: &[u8], encode: fn(u16) -> [u8; 2]| {
            mark.iter().copied().chain("grüße 🦀".encode_utf16().flat_map(encode)).collect::<Vec<u8>>()
        };
        assert_eq!(decode(utf16(&[0xFF, 0xFE], u16::to_le_bytes)).unwrap(), "grüße 🦀");
        assert_eq!(decode(utf16(&[0xFE, 0xFF], u16::to_be_bytes)).unwrap(), "grüße 🦀");
        assert!(decode(utf16(&[], u16::to_le_bytes)).is_err());
        assert!(decode(vec![0xFF, 0xFE, 0x41]).is_err());
        assert!(decode(vec![0xFF, 0xFE, 0x00, 0xD8]).is_err());
    }

    #[test]
    fn utf8_may_have_a_mark() {
        assert_eq!(decode(b"\xEF\xBB\xBFhi".to_vec()).unwrap(), "hi");
        assert_eq!(decode("grüße".as_bytes().to_vec()).unwrap(), "grüße");
        assert_eq!(decode(Vec::new()).unwrap(), "");
        for bad in [&b"gr\xfc\xdfe"[..], b"a\0b", b"\x89PNG\r\n\x1a\n\0"] {
            assert_eq!(decode(bad.to_vec()).unwrap_err().code, Code::InvalidFile);
        }
    }
}
