//! Counts and values of a column.

use super::value::{Value, encode_time};
use super::{Column, Columns, Lookup};
use crate::segment::{Damaged, Mask, Pages};

/// How often the values of a key occur.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facet {
    /// The most frequent values, ties in the order of the values.
    pub values: Vec<(Value, u64)>,
    /// Number of distinct values, those left out included.
    pub distinct: u64,
    /// Number of rows that have a value.
    pub rows: u64,
}

impl Columns {
    /// Counts the values of a key among the rows of a mask (all rows without one), and gives the `top` most
    /// frequent. Memory: 4 bytes for each value of the dictionary, or each row of the mask if those are fewer.
    /// None when the builder left the key out: then the rows must be counted themselves.
    ///
    /// # Errors
    /// [`Damaged`] pages.
    pub fn facet(
        &self,
        pages: &impl Pages,
        key: &str,
        mask: Option<&Mask>,
        top: usize,
    ) -> Result<Option<Facet>, Damaged> {
        let column = match self.column(pages, key)? {
            Lookup::Unknown => return Ok(None),
            Lookup::Missing => return Ok(Some(Facet::default())),
            Lookup::Found(column) => column,
        };
        let mut counts = column.counts(mask)?;
        let mut facet = Facet { values: Vec::new(), distinct: counts.len() as u64, rows: 0 };
        facet.rows = counts.iter().map(|(_, count)| u64::from(*count)).sum();
        let order = |a: &(u32, u32), b: &(u32, u32)| b.1.cmp(&a.1).then(a.0.cmp(&b.0));
        if top < counts.len() {
            counts.select_nth_unstable_by(top, order);
            counts.truncate(top);
        }
        counts.sort_unstable_by_key(|(code, _)| *code);
        let indexes: Vec<u32> = counts.iter().map(|(code, _)| code - 1).collect();
        let values = column.dictionary().values(&indexes)?;
        let mut values: Vec<_> = values.into_iter().zip(counts).collect();
        values.sort_unstable_by(|(_, a), (_, b)| order(a, b));
        facet.values = values.into_iter().map(|(value, (_, count))| (value, u64::from(count))).collect();
        Ok(Some(facet))
    }

    /// Counts the rows of a mask whose value of a key lies between boundaries, for histograms of numbers and of
    /// times (as numbers, or as strings that sort by time): one count from each boundary (included) to before the
    /// next. The boundaries ascend; their number less one is that of the counts. None when the builder left the key
    /// out.
    ///
    /// # Errors
    /// [`Damaged`] pages.
    pub fn facet_ranges(
        &self,
        pages: &impl Pages,
        key: &str,
        mask: Option<&Mask>,
        boundaries: &[Value],
    ) -> Result<Option<Vec<u64>>, Damaged> {
        Ok(match self.column(pages, key)? {
            Lookup::Unknown => None,
            Lookup::Missing => Some(vec![0; boundaries.len().saturating_sub(1)]),
            Lookup::Found(column) => Some(column.ranges(mask, boundaries.iter().map(Value::stored))?),
        })
    }

    /// [`Columns::facet_ranges`] of the times of creation, in microseconds.
    ///
    /// # Errors
    /// [`Damaged`] pages.
    pub fn created_ranges(
        &self,
        pages: &impl Pages,
        mask: Option<&Mask>,
        boundaries: &[i64],
    ) -> Result<Vec<u64>, Damaged> {
        let boundaries: Vec<Vec<u8>> = boundaries
            .iter()
            .map(|micros| {
                let mut bytes = Vec::new();
                encode_time(*micros, &mut bytes);
                bytes
            })
            .collect();
        self.created(pages).ranges(mask, boundaries.iter().map(Vec::as_slice))
    }

    /// The values of a key at the given slots, in their order. None when the builder left the key out.
    ///
    /// # Errors
    /// [`Damaged`] pages.
    pub fn values_at(
        &self,
        pages: &impl Pages,
        key: &str,
        slots: &[u32],
    ) -> Result<Option<Vec<Option<Value>>>, Damaged> {
        Ok(match self.column(pages, key)? {
            Lookup::Unknown => None,
            Lookup::Missing => Some(vec![None; slots.len()]),
            Lookup::Found(column) => Some(column.values_at(slots)?),
        })
    }
}

impl<P: Pages> Column<'_, P> {
    /// The codes that occur, each with its count, in no order.
    fn counts(&self, mask: Option<&Mask>) -> Result<Vec<(u32, u32)>, Damaged> {
        let (codes, distinct) = (self.codes(), self.record.distinct);
        let unknown = Damaged("code without a value");
        let rows = mask.map_or(usize::MAX, Mask::count);
        if rows < distinct as usize / 4 {
            let mut seen = Vec::new();
            codes.each(mask, |code| {
                if code != 0 {
                    seen.push(code);
                }
            })?;
            seen.sort_unstable();
            if seen.last().is_some_and(|code| *code > distinct) {
                return Err(unknown);
            }
            return Ok(seen.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u32)).collect());
        }
        self.dictionary().check_distinct()?;
        let mut counts = vec![0_u32; distinct as usize + 1];
        let mut outside = false;
        codes.each(mask, |code| match counts.get_mut(code as usize) {
            Some(count) => *count += 1,
            None => outside = true,
        })?;
        if outside {
            return Err(unknown);
        }
        Ok((0..).zip(counts).skip(1).filter(|(_, count)| *count > 0).collect())
    }

    fn ranges<'b>(
        &self,
        mask: Option<&Mask>,
        boundaries: impl Iterator<Item = &'b [u8]>,
    ) -> Result<Vec<u64>, Damaged> {
        let dictionary = self.dictionary();
        let ends = boundaries.map(|value| dictionary.below(value)).collect::<Result<Vec<u32>, _>>()?;
        let mut sums = vec![0; ends.len().saturating_sub(1)];
        for (code, count) in self.counts(mask)? {
            // Boundaries up to the value, whose index is the code less one.
            let range = ends.partition_point(|end| *end < code).checked_sub(1);
            if let Some(sum) = range.and_then(|range| sums.get_mut(range)) {
                *sum += u64::from(count);
            }
        }
        Ok(sums)
    }

    fn values_at(&self, slots: &[u32]) -> Result<Vec<Option<Value>>, Damaged> {
        let codes = self.codes().at(slots)?;
        let mut indexes: Vec<u32> = codes.iter().filter_map(|code| code.checked_sub(1)).collect();
        indexes.sort_unstable();
        indexes.dedup();
        let values = self.dictionary().values(&indexes)?;
        let value = |code: &u32| {
            let place = indexes.binary_search(&code.checked_sub(1)?).ok()?;
            values.get(place).cloned()
        };
        Ok(codes.iter().map(value).collect())
    }
}
