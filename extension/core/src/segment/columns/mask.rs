//! Filters as masks.

use std::ops::{Bound, RangeBounds};

use super::value::{STRINGS, WHOLE, encode, encode_time, shorten};
use super::{Column, Columns, Lookup};
use crate::filter::{Filter, Found, Node, Op, Scalar};
use crate::segment::{Damaged, Mask, Pages};

/// The rows that pass a filter, as far as columns can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// Slots that pass. Slots without a row count as rows without attributes.
    pub certain: Mask,
    /// Further slots whose rows must be tested themselves ([`Filter::passes`]). None in all but rare cases: a
    /// filter by a string of more than 512 bytes of which rows have the first 512, or by a key that the builder left
    /// out.
    pub check: Option<Mask>,
}

/// The rows that pass lie between two sets.
struct Between {
    lower: Mask,
    /// None when it is `lower`.
    upper: Option<Mask>,
}

/// Codes of the values that pass a comparison, or may pass it; ascending, both ends included.
#[derive(Default)]
struct Codes {
    certain: Vec<(u32, u32)>,
    check: Vec<(u32, u32)>,
}

impl Columns {
    /// The rows that pass a filter, exactly as [`Filter::matches`] says on their attributes.
    ///
    /// A comparison costs a binary search in the dictionary and one pass over the codes, an `in` one search for
    /// each of its values.
    ///
    /// # Errors
    /// [`Damaged`] pages.
    pub fn mask(&self, pages: &impl Pages, filter: &Filter) -> Result<Masked, Damaged> {
        let Between { lower, upper } = self.between(pages, filter.root())?;
        let check = upper.map(|mut upper| {
            upper.and_not(&lower);
            upper
        });
        let check = check.filter(|check| check.words().iter().any(|word| *word != 0));
        Ok(Masked { certain: lower, check })
    }

    /// The rows that were created within a range of microseconds. Rows without a time are not.
    ///
    /// # Errors
    /// [`Damaged`] pages.
    pub fn mask_created(&self, pages: &impl Pages, range: impl RangeBounds<i64>) -> Result<Mask, Damaged> {
        let column = self.created(pages);
        let dictionary = column.dictionary();
        let (mut from, mut to) = (Vec::new(), Vec::new());
        let first = match range.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(micros) => {
                encode_time(*micros, &mut from);
                dictionary.below(&from)?
            }
            Bound::Excluded(micros) => {
                encode_time(*micros, &mut from);
                dictionary.up_to(&from)?
            }
        };
        let end = match range.end_bound() {
            Bound::Unbounded => dictionary.distinct,
            Bound::Included(micros) => {
                encode_time(*micros, &mut to);
                dictionary.up_to(&to)?
            }
            Bound::Excluded(micros) => {
                encode_time(*micros, &mut to);
                dictionary.below(&to)?
            }
        };
        let mut ranges = Vec::new();
        push(&mut ranges, first, end);
        column.codes().mask(&ranges)
    }

    fn between(&self, pages: &impl Pages, node: &Node) -> Result<Between, Damaged> {
        match node {
            Node::Compare { key, op, value } => {
                self.leaf(pages, key, *op == Op::Ne, |column, codes| match op {
                    Op::Eq | Op::Ne => column.equal(value, codes),
                    Op::Gt | Op::Gte | Op::Lt | Op::Lte => column.ordered(*op, value, codes),
                })
            }
            Node::Member { key, negated, values } => self.leaf(pages, key, *negated, |column, codes| {
                values.iter().try_for_each(|value| column.equal(value, codes))
            }),
            Node::All(nodes) => self.combine(pages, nodes, Mask::all(self.slots()), Mask::and),
            Node::Any(nodes) => self.combine(pages, nodes, Mask::none(self.slots()), Mask::or),
        }
    }

    fn combine<P: Pages>(
        &self,
        pages: &P,
        nodes: &[Node],
        start: Mask,
        with: fn(&mut Mask, &Mask),
    ) -> Result<Between, Damaged> {
        let mut all = Between { lower: start, upper: None };
        for node in nodes {
            let next = self.between(pages, node)?;
            if all.upper.is_some() || next.upper.is_some() {
                let mut upper = all.upper.take().unwrap_or_else(|| all.lower.clone());
                with(&mut upper, next.upper.as_ref().unwrap_or(&next.lower));
                all.upper = Some(upper);
            }
            with(&mut all.lower, &next.lower);
        }
        Ok(all)
    }

    fn leaf<P: Pages>(
        &self,
        pages: &P,
        key: &str,
        negated: bool,
        find: impl FnOnce(&Column<'_, P>, &mut Codes) -> Result<(), Damaged>,
    ) -> Result<Between, Damaged> {
        let (none, all) = (Mask::none(self.slots()), Mask::all(self.slots()));
        let column = match self.column(pages, key)? {
            Lookup::Unknown => return Ok(Between { lower: none, upper: Some(all) }),
            Lookup::Missing => return Ok(Between { lower: if negated { all } else { none }, upper: None }),
            Lookup::Found(column) => column,
        };
        let mut codes = Codes::default();
        find(&column, &mut codes)?;
        let lower = column.codes().mask(&merge(codes.certain))?;
        let upper = if codes.check.is_empty() {
            None
        } else {
            let mut upper = column.codes().mask(&merge(codes.check))?;
            upper.or(&lower);
            Some(upper)
        };
        let complement = |mask: Mask| {
            let mut rest = all.clone();
            rest.and_not(&mask);
            rest
        };
        Ok(match (negated, upper) {
            (false, upper) => Between { lower, upper },
            (true, None) => Between { lower: complement(lower), upper: None },
            (true, Some(upper)) => Between { lower: complement(upper), upper: Some(complement(lower)) },
        })
    }
}

impl<P: Pages> Column<'_, P> {
    fn equal(&self, value: &Scalar, codes: &mut Codes) -> Result<(), Damaged> {
        let mut bytes = encoded(value);
        let cut = bytes.len() > WHOLE;
        shorten(&mut bytes);
        if let Some(index) = self.dictionary().find(&bytes)? {
            push(if cut { &mut codes.check } else { &mut codes.certain }, index, index + 1);
        }
        Ok(())
    }

    fn ordered(&self, op: Op, value: &Scalar, codes: &mut Codes) -> Result<(), Damaged> {
        let bytes = encoded(value);
        let (first, end) = match bytes.first() {
            _ if matches!(value, Scalar::Bool(_)) => return Ok(()),
            Some(&STRINGS) => (self.record.strings, self.record.distinct),
            _ => (self.record.numbers, self.record.strings),
        };
        let dictionary = self.dictionary();
        let (below, above) = match bytes.get(..WHOLE) {
            // Of those that were cut, only the rows know on which side they are.
            Some(begin) if bytes.len() > WHOLE => {
                let (below, above) = (dictionary.up_to(begin)?, dictionary.up_to_all_of(begin)?);
                push(&mut codes.check, below, above);
                (below, above)
            }
            _ => {
                let place = match op {
                    Op::Gte | Op::Lt => dictionary.below(&bytes)?,
                    _ => dictionary.up_to(&bytes)?,
                };
                (place, place)
            }
        };
        match op {
            Op::Gt | Op::Gte => push(&mut codes.certain, above.max(first), end),
            _ => push(&mut codes.certain, first, below.min(end)),
        }
        Ok(())
    }
}

fn encoded(value: &Scalar) -> Vec<u8> {
    let mut bytes = Vec::new();
    let found = match value {
        Scalar::String(text) => Found::String(text.as_str().into()),
        Scalar::Number(literal) => Found::Number(literal.decimal.clone()),
        Scalar::Bool(flag) => Found::Bool(*flag),
    };
    encode(&found, &mut bytes);
    bytes
}

/// Adds the codes of the values from index `first` to before `end`.
fn push(codes: &mut Vec<(u32, u32)>, first: u32, end: u32) {
    if first < end {
        codes.push((first.saturating_add(1), end));
    }
}

/// Ascending, disjoint ranges.
fn merge(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, last| {
        let meets = next.0 <= last.1.saturating_add(1);
        if meets {
            last.1 = last.1.max(next.1);
        }
        meets
    });
    ranges
}
