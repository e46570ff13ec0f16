//! Office documents: a ZIP archive of XML parts that refer to each other.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Cursor, Read};

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::ingest::text::Problem;

/// Bytes that the parts we read may have together when unpacked. A few kilobytes can claim to be petabytes.
const MAX_UNPACKED_BYTES: u64 = 256 * 1024 * 1024;

/// Depth of elements; word processors nest some thirty.
const MAX_DEPTH: usize = 256;

/// An opened document.
pub struct Package {
    archive: ZipArchive<Cursor<Vec<u8>>>,
    left: u64,
}

/// What one part says about another one.
#[derive(Debug)]
pub struct Relation {
    /// The last word of its type.
    pub kind: String,
    /// The other part.
    pub target: String,
}

/// What an XML part consists of.
pub enum Node<'a> {
    /// An element begins.
    Start(&'a str, &'a BytesStart<'a>),
    /// An element ends.
    End(&'a str),
    /// Text.
    Text(&'a str),
}

impl Package {
    /// Opens a document.
    pub fn open(bytes: Vec<u8>, kind: &str) -> Result<Self, Problem> {
        const OLE: &[u8] = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";
        if bytes.starts_with(OLE) {
            let message = format!(
                "The file is no .{kind} document: it is in an older format, or protected by a password."
            );
            return Err(Problem::invalid(message));
        }
        if !bytes.starts_with(b"PK") {
            return Err(Problem::invalid(format!("The file is no .{kind} document.")));
        }
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
        Ok(Self { archive, left: MAX_UNPACKED_BYTES })
    }

    /// The part that the document begins with.
    pub fn main_part(&mut self) -> Result<String, Problem> {
        let relations = self.relations("")?;
        let main = relations.into_values().find(|relation| relation.kind == "officeDocument");
        main.map(|relation| relation.target).ok_or_else(|| damaged(&"it has no main part"))
    }

    /// What a part refers to, by id; parts without references have none.
    pub fn relations(&mut self, part: &str) -> Result<HashMap<String, Relation>, Problem> {
        let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
        let rels = resolve(folder, &format!("_rels/{name}.rels"));
        let mut relations = HashMap::new();
        self.walk(&rels, |node| {
            if let Node::Start("Relationship", element) = node
                && attribute(element, "TargetMode").as_deref() != Some("External")
                && let (Some(id), Some(kind), Some(target)) =
                    (attribute(element, "Id"), attribute(element, "Type"), attribute(element, "Target"))
            {
                let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                relations.insert(id, Relation { kind, target: resolve(folder, &target) });
            }
            Ok(())
        })?;
        Ok(relations)
    }

    /// Reads a part from start to end; returns whether it exists.
    pub fn walk(
        &mut self,
        part: &str,
        on: impl FnMut(Node<'_>) -> Result<(), Problem>,
    ) -> Result<bool, Problem> {
        let file = match self.archive.by_name(part) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => return Ok(false),
            Err(error) => return Err(damaged(&error)),
        };
        let mut limited = BufReader::new(file.take(self.left));
        let read = walk_xml(&mut limited, on);
        self.left = limited.into_inner().limit();
        // Before the error, which would be that the part ends in the middle.
        if self.left == 0 {
            return Err(Problem::invalid(format!(
                "The file unpacks to more than {MAX_UNPACKED_BYTES} bytes."
            )));
        }
        read.map(|()| true)
    }
}

fn walk_xml(xml: impl BufRead, mut on: impl FnMut(Node<'_>) -> Result<(), Problem>) -> Result<(), Problem> {
    let mut reader = Reader::from_reader(xml);
    reader.config_mut().expand_empty_elements = true;
    let (mut buffer, mut depth) = (Vec::new(), 0_usize);
    loop {
        match reader.read_event_into(&mut buffer).map_err(|error| damaged(&error))? {
            Event::Start(element) => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Problem::invalid("The file is nested too deeply.".into()));
                }
                on(Node::Start(element.local_name().as_ref(), &element))?;
            }
            Event::End(element) => {
                depth = depth.saturating_sub(1);
                on(Node::End(element.local_name().as_ref()))?;
            }
            Event::Text(text) => on(Node::Text(&text.xml10_content()))?,
            Event::CData(text) => on(Node::Text(&text.xml10_content()))?,
            // Entities that a document defines itself are not followed: they can grow without bound.
            Event::GeneralRef(entity) => match entity.resolve_char_ref().map_err(|error| damaged(&error))? {
                Some(c) => on(Node::Text(c.encode_utf8(&mut [0; 4])))?,
                None => on(Node::Text(resolve_predefined_entity(&entity).unwrap_or(" ")))?,
            },
            Event::Eof if depth > 0 => return Err(damaged(&"a part ends early")),
            Event::Eof => return Ok(()),
            _ => {}
        }
        buffer.clear();
    }
}

/// The attribute with this local name.
pub fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.attributes().flatten().find(|found| found.key.local_name().as_ref() == name)?;
    Some(found.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}

fn damaged(reason: &dyn std::fmt::Display) -> Problem {
    let reason: String = reason.to_string().chars().take(200).collect();
    Problem::invalid(format!("The document is damaged: {reason}."))
}

/// The name in the archive of what a part in this folder calls `target`.
fn resolve(folder: &str, target: &str) -> String {
    let (folder, target) = target.strip_prefix('/').map_or((folder, target), |absolute| ("", absolute));
    let mut path: Vec<&str> = Vec::new();
    for piece in folder.split('/').chain(target.split('/')) {
        match piece {
            "" | "." => {}
            ".." => drop(path.pop()),
            piece => path.push(piece),
        }
    }
    path.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_relative_to_their_part() {
        assert_eq!(resolve("", "_rels/.rels"), "_rels/.rels");
        assert_eq!(resolve("ppt/slides", "../notesSlides/n1.xml"), "ppt/notesSlides/n1.xml");
        assert_eq!(resolve("word", "/word/document2.xml"), "word/document2.xml");
        assert_eq!(resolve("a", "../../../b.xml"), "b.xml");
    }

    #[test]
    fn what_is_no_archive_says_so() {
        let message =
            |bytes: &[u8]| format!("{:?}", Package::open(bytes.to_vec(), "docx").err().expect("an error"));
        assert!(message(b"").contains("no .docx document"));
        assert!(message(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1...").contains("older format"));
        assert!(message(b"PK\x03\x04...").contains("damaged"));
    }
}
