//! Text as Markdown, from the paragraphs and tables of an office document.

use super::MAX_TEXT_BYTES;
use crate::ingest::text::Problem;

/// How a paragraph is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Prose.
    #[default]
    Body,
    /// A heading of this level, from 1.
    Heading(usize),
    /// An item of a list.
    Item,
}

/// What is written so far.
#[derive(Default)]
pub struct Flow {
    text: String,
    paragraph: String,
    /// Rows that are open, each with its cells; a row within a cell of another one is text of that cell.
    rows: Vec<Vec<String>>,
    /// The last block was a list item or a row: one of the same follows without blank line.
    dense: bool,
}

impl Flow {
    /// Adds to the paragraph.
    pub fn write(&mut self, text: &str) -> Result<(), Problem> {
        if self.text.len() + self.paragraph.len() + text.len() > MAX_TEXT_BYTES {
            return Err(Problem::too_long());
        }
        // What XML forbids, or would be taken for a page break.
        self.paragraph.extend(text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')));
        Ok(())
    }

    /// Ends the paragraph.
    pub fn end_paragraph(&mut self, role: Role) {
        let paragraph = std::mem::take(&mut self.paragraph);
        let paragraph = paragraph.trim();
        if paragraph.is_empty() {
            return;
        }
        if let Some(cell) = self.rows.last_mut().and_then(|cells| cells.last_mut()) {
            if !cell.is_empty() {
                cell.push(' ');
            }
            // A row is one line.
            cell.push_str(&paragraph.replace('\n', " "));
            return;
        }
        match role {
            Role::Body => self.block("", paragraph, false),
            // A heading is one line.
            Role::Heading(level) => {
                self.block(
                    &format!("{} ", "#".repeat(level.clamp(1, 6))),
                    &paragraph.replace('\n', " "),
                    false,
                );
            }
            Role::Item => self.block("- ", paragraph, true),
        }
    }

    fn block(&mut self, mark: &str, paragraph: &str, dense: bool) {
        if !self.text.is_empty() {
            self.text.push_str(if dense && self.dense { "\n" } else { "\n\n" });
        }
        self.dense = dense;
        self.text.push_str(mark);
        self.text.push_str(paragraph);
    }

    /// Begins a row of a table.
    pub fn begin_row(&mut self) {
        self.rows.push(Vec::new());
    }

    /// Begins a cell of the row.
    pub fn begin_cell(&mut self) {
        if let Some(cells) = self.rows.last_mut() {
            cells.push(String::new());
        }
    }

    /// Ends the row.
    pub fn end_row(&mut self) {
        let Some(cells) = self.rows.pop() else { return };
        if cells.iter().all(String::is_empty) {
            return;
        }
        let row = cells.join(" | ");
        match self.rows.last_mut().and_then(|cells| cells.last_mut()) {
            Some(outer) => {
                if !outer.is_empty() {
                    outer.push(' ');
                }
                outer.push_str(&row);
            }
            None => self.block("", &row, true),
        }
    }

    /// Ends a table: the next one stands apart.
    pub fn end_table(&mut self) {
        self.dense = false;
    }

    /// The text.
    pub fn finish(mut self) -> String {
        self.end_paragraph(Role::Body);
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_markdown() {
        let mut flow = Flow::default();
        for (text, role) in [
            ("Title\nhere", Role::Heading(1)),
            ("Some words.", Role::Body),
            (" ", Role::Body),
            ("one", Role::Item),
            ("two", Role::Item),
        ] {
            flow.write(text).unwrap();
            flow.end_paragraph(role);
        }
        for cells in [["a", "b"], ["c", ""]] {
            flow.begin_row();
            for cell in cells {
                flow.begin_cell();
                flow.write(cell).unwrap();
                flow.end_paragraph(Role::Heading(1));
            }
            flow.end_row();
        }
        flow.end_table();
        flow.write("end\u{c}").unwrap();
        assert_eq!(flow.finish(), "# Title here\n\nSome words.\n\n- one\n- two\na | b\nc | \n\nend\n");
    }

    #[test]
    fn a_table_in_a_cell_is_text_of_the_cell() {
        let mut flow = Flow::default();
        flow.begin_row();
        flow.begin_cell();
        flow.begin_row();
        for inner in ["x", "y"] {
            flow.begin_cell();
            flow.write(inner).unwrap();
            flow.end_paragraph(Role::Body);
        }
        flow.end_row();
        flow.begin_cell();
        flow.write("z").unwrap();
        flow.end_paragraph(Role::Body);
        flow.end_row();
        assert_eq!(flow.finish(), "x | y | z\n");
    }
}
