//! Little-endian numbers in headers and pages.

use super::page::{Damaged, PageSink, Section};

macro_rules! read {
    ($($name:ident),*) => { $(
        /// Takes a number off the front.
        pub fn $name(from: &mut &[u8]) -> Result<$name, Damaged> {
            let (bytes, rest) = from.split_first_chunk().ok_or(Damaged("bytes end early"))?;
            *from = rest;
            Ok($name::from_le_bytes(*bytes))
        }
    )* };
}
read!(u16, u32, i64);

/// Writes each of `pages` as a page of its own, item by item.
pub fn section<'a, T: 'a>(
    sink: &mut impl PageSink,
    pages: impl Iterator<Item = &'a [T]>,
    mut write: impl FnMut(&T, &mut Vec<u8>),
) -> Section {
    let mut section = Section::default();
    let mut page = Vec::new();
    for items in pages {
        page.clear();
        items.iter().for_each(|item| write(item, &mut page));
        let number = sink.push(&page);
        if section.pages == 0 {
            section.first = number;
        }
        section.pages += 1;
    }
    section
}
