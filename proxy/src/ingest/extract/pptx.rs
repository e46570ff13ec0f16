//! PowerPoint presentations.

use super::flow::{Flow, Role};
use super::office::{Node, Package, attribute};
use super::{MAX_TEXT_BYTES, PAGE_BREAK};
use crate::ingest::text::Problem;

/// The text of a presentation, slide by slide in the order of the show, each with its notes.
pub fn text_of(bytes: Vec<u8>) -> Result<String, Problem> {
    let mut package = Package::open(bytes, "pptx")?;
    let main = package.main_part()?;
    let (mut ids, mut is_presentation) = (Vec::new(), false);
    package.walk(&main, |node| {
        match node {
            Node::Start("presentation", _) => is_presentation = true,
            Node::Start("sldId", element) => ids.extend(relation_id(element)),
            _ => {}
        }
        Ok(())
    })?;
    if !is_presentation {
        return Err(Problem::invalid("The file is no .pptx document.".into()));
    }
    let slides = package.relations(&main)?;
    let mut text = String::new();
    for slide in ids.iter().filter_map(|id| slides.get(id)) {
        let content = read_slide(&mut package, &slide.target)?;
        if content.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.extend(['\n', PAGE_BREAK, '\n']);
        }
        text.push_str(&content);
        if text.len() > MAX_TEXT_BYTES {
            return Err(Problem::too_long());
        }
    }
    Ok(text)
}

/// `r:id`, which stands beside an `id` without prefix.
fn relation_id(element: &quick_xml::events::BytesStart<'_>) -> Option<String> {
    let found = element
        .attributes()
        .flatten()
        .find(|found| found.key.prefix().is_some() && found.key.local_name().as_ref() == "id")?;
    Some(found.value.into_owned())
}

fn read_slide(package: &mut Package, part: &str) -> Result<String, Problem> {
    let mut slide = Slide::default();
    package.walk(part, |node| slide.read(node))?;
    let relations = package.relations(part)?;
    let notes = relations.into_values().find(|relation| relation.kind == "notesSlide");
    if let Some(notes) = notes {
        slide.in_notes = true;
        package.walk(&notes.target, |node| slide.read(node))?;
    }
    Ok(slide.flow.finish())
}

#[derive(Default)]
struct Slide {
    flow: Flow,
    in_notes: bool,
    in_text: bool,
    /// What the shape is for: `title`, `body`, `sldNum`; nothing for a picture or a text box.
    placeholder: Option<String>,
    /// Alternatives for old readers repeat what stands before them.
    fallbacks: usize,
}

impl Slide {
    fn read(&mut self, node: Node<'_>) -> Result<(), Problem> {
        match node {
            Node::Start("Fallback", _) => self.fallbacks += 1,
            Node::End("Fallback") => self.fallbacks = self.fallbacks.saturating_sub(1),
            _ if self.fallbacks > 0 => {}
            Node::Start("ph", element) => {
                self.placeholder = Some(attribute(element, "type").unwrap_or_else(|| "body".into()));
            }
            Node::End("sp") => {
                self.flow.end_paragraph(self.role());
                self.placeholder = None;
            }
            Node::Start("t", _) => self.in_text = self.is_content(),
            Node::End("t") => self.in_text = false,
            Node::Text(text) if self.in_text => self.flow.write(text)?,
            Node::Start("br", _) => self.flow.write("\n")?,
            // The paragraphs of a title are one heading.
            Node::End("p") if self.is_title() => self.flow.write(" ")?,
            Node::End("p") => self.flow.end_paragraph(Role::Body),
            Node::Start("tr", _) => self.flow.begin_row(),
            Node::Start("tc", _) => self.flow.begin_cell(),
            Node::End("tr") => self.flow.end_row(),
            Node::End("tbl") => self.flow.end_table(),
            _ => {}
        }
        Ok(())
    }

    fn is_title(&self) -> bool {
        !self.in_notes && matches!(self.placeholder.as_deref(), Some("title" | "ctrTitle"))
    }

    fn role(&self) -> Role {
        if self.is_title() { Role::Heading(1) } else { Role::Body }
    }

    /// Numbers, dates and footers are the same on each slide; notes pages also repeat the slide's picture and header.
    fn is_content(&self) -> bool {
        match self.placeholder.as_deref() {
            Some("sldNum" | "dt" | "ftr" | "hdr") => false,
            placeholder => !self.in_notes || placeholder == Some("body"),
        }
    }
}
