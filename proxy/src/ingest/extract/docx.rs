//! Word documents.

use std::collections::HashMap;

use super::flow::{Flow, Role};
use super::office::{Node, Package, attribute};
use crate::ingest::text::Problem;

/// The text of a document: headings, paragraphs, lists, tables, then foot- and endnotes. Headers and footers repeat
/// themselves on each page and are left out.
pub fn text_of(bytes: Vec<u8>) -> Result<String, Problem> {
    let mut package = Package::open(bytes, "docx")?;
    let main = package.main_part()?;
    let relations = package.relations(&main)?;
    let part = |kind: &str| {
        let found = relations.values().find(|relation| relation.kind == kind);
        found.map(|relation| relation.target.clone())
    };
    let headings = match part("styles") {
        Some(styles) => read_headings(&mut package, &styles)?,
        None => HashMap::new(),
    };
    let mut body = Body { headings, ..Body::default() };
    let mut is_word = false;
    let found = package.walk(&main, |node| {
        is_word |= matches!(node, Node::Start("document", _));
        body.read(node)
    })?;
    if !found || !is_word {
        return Err(Problem::invalid("The file is no .docx document.".into()));
    }
    for notes in ["footnotes", "endnotes"].into_iter().filter_map(part) {
        package.walk(&notes, |node| body.read(node))?;
    }
    Ok(body.flow.finish())
}

/// Level of each paragraph style that is a heading. Their ids differ from language to language, the names do not.
fn read_headings(package: &mut Package, part: &str) -> Result<HashMap<String, usize>, Problem> {
    let mut headings = HashMap::new();
    let mut style = None;
    package.walk(part, |node| {
        match node {
            Node::Start("style", element) => style = attribute(element, "styleId"),
            Node::Start("name", element) => {
                let name = attribute(element, "val").unwrap_or_default().to_lowercase();
                let level = match name.as_str() {
                    "title" => Some(1),
                    name => name.strip_prefix("heading ").and_then(|level| level.parse().ok()),
                };
                if let (Some(level), Some(style)) = (level, &style) {
                    headings.insert(style.clone(), level);
                }
            }
            Node::Start("outlineLvl", element) => {
                let level = attribute(element, "val").and_then(|level| level.parse::<usize>().ok());
                // Level 9 is body text.
                if let (Some(level @ 0..9), Some(style)) = (level, &style) {
                    headings.entry(style.clone()).or_insert(level + 1);
                }
            }
            Node::End("style") => style = None,
            _ => {}
        }
        Ok(())
    })?;
    Ok(headings)
}

#[derive(Default)]
struct Body {
    headings: HashMap<String, usize>,
    flow: Flow,
    role: Role,
    in_text: bool,
    /// Runs, in which a `tab` is a character and not the definition of a stop.
    runs: usize,
    /// Alternatives for old readers repeat what stands before them.
    fallbacks: usize,
}

impl Body {
    fn read(&mut self, node: Node<'_>) -> Result<(), Problem> {
        match node {
            Node::Start("Fallback", _) => self.fallbacks += 1,
            Node::End("Fallback") => self.fallbacks = self.fallbacks.saturating_sub(1),
            _ if self.fallbacks > 0 => {}
            // A paragraph in a text box begins within another one.
            Node::Start("p", _) => self.end_paragraph(),
            Node::End("p") => self.end_paragraph(),
            Node::Start("pStyle", element) => {
                let level = attribute(element, "val").and_then(|id| self.headings.get(&id).copied());
                if let Some(level) = level {
                    self.role = Role::Heading(level);
                }
            }
            Node::Start("numPr", _) if self.role == Role::Body => self.role = Role::Item,
            Node::Start("r", _) => self.runs += 1,
            Node::End("r") => self.runs = self.runs.saturating_sub(1),
            Node::Start("t", _) => self.in_text = true,
            Node::End("t") => self.in_text = false,
            Node::Text(text) if self.in_text => self.flow.write(text)?,
            Node::Start("tab", _) if self.runs > 0 => self.flow.write("\t")?,
            Node::Start("br" | "cr", _) if self.runs > 0 => self.flow.write("\n")?,
            Node::Start("noBreakHyphen", _) => self.flow.write("-")?,
            Node::Start("tr", _) => self.flow.begin_row(),
            Node::Start("tc", _) => self.flow.begin_cell(),
            Node::End("tr") => self.flow.end_row(),
            Node::End("tbl") => self.flow.end_table(),
            _ => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self) {
        self.flow.end_paragraph(std::mem::take(&mut self.role));
    }
}
