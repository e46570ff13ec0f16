//! Whole segments: written, read back, scanned, damaged.

use proptest::prelude::*;

use super::query::unit_scale;
use super::rotation::split_mix;
use super::*;
use crate::segment::{MemoryPages, PageSink};

/// A number of about the normal distribution.
fn normal(state: &mut u64) -> f32 {
    let bits = split_mix(state);
    (0..4).map(|part| (bits >> (16 * part) & 0xffff) as f32 / 65_536.0 - 0.5).sum::<f32>() * 1.732
}

fn random(rows: usize, dims: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    (0..rows * dims).map(|_| normal(&mut state)).collect()
}

struct Built {
    pages: MemoryPages,
    meta: VectorsMeta,
    /// Row at each slot.
    rows: Vec<Option<u32>>,
}

/// Builds as the extension does: train, assign, lay out, put in row order.
fn build(dims: usize, plan_rows: usize, vectors: &[f32]) -> Built {
    let plan = Plan::train(dims, plan_rows, vectors);
    let lists = plan.assign_many(vectors);
    let mut counts = vec![0; plan.lists() as usize];
    lists.iter().for_each(|&list| counts[list as usize] += 1);
    let layout = Layout::new(&counts);
    let mut next: Vec<u32> = (0..plan.lists()).map(|list| layout.first_slot(list)).collect();
    let mut rows = vec![None; layout.slots() as usize];
    let mut writer = VectorWriter::new(plan, layout);
    for (row, (&list, vector)) in lists.iter().zip(vectors.chunks_exact(dims)).enumerate() {
        let slot = next[list as usize];
        next[list as usize] += 1;
        rows[slot as usize] = Some(row as u32);
        writer.put(slot, list, vector);
    }
    let mut pages = MemoryPages::default();
    pages.push(b"another section");
    let meta = writer.finish(&mut pages);
    Built { pages, meta, rows }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    product * unit_scale(a) * unit_scale(b)
}

/// Share of the 10 rows nearest to each query that are among `limit` candidates.
fn recall(built: &Built, vectors: &[f32], queries: &[f32], limit: usize, mask: Option<&Mask>) -> f64 {
    let dims = built.meta.dims as usize;
    let segment = Vectors::load(&built.meta, &built.pages).unwrap();
    let (mut found, mut all) = (0, 0);
    for query in queries.chunks_exact(dims) {
        let mut exact: Vec<(f32, u32)> = built
            .rows
            .iter()
            .enumerate()
            .filter(|(slot, _)| mask.is_none_or(|mask| mask.contains(*slot as u32)))
            .filter_map(|(slot, row)| {
                Some((cosine(query, &vectors[(*row)? as usize * dims..][..dims]), slot as u32))
            })
            .collect();
        exact.sort_by(|a, b| b.0.total_cmp(&a.0));
        exact.truncate(10);
        let mut candidates = Candidates::new(limit);
        segment.scan(&built.pages, &CodeQuery::new(query), 0, 0, mask, 3, &mut candidates).unwrap();
        let candidates = candidates.into_sorted();
        assert!(
            candidates.iter().all(|row| row.segment == 3 && mask.is_none_or(|mask| mask.contains(row.slot)))
        );
        all += exact.len();
        found += exact.iter().filter(|(_, slot)| candidates.iter().any(|row| row.slot == *slot)).count();
    }
    found as f64 / all as f64
}

#[test]
fn shapes() {
    assert_eq!(Shape::new(384), Shape { width: 384, bits: 384 });
    assert_eq!(Shape::new(384).group_bytes(), 1600);
    assert_eq!(Shape::new(3), Shape { width: 128, bits: 128 });
    assert_eq!(Shape::new(257), Shape { width: 264, bits: 264 });
    assert_eq!(Shape::new(16_000), Shape { width: 16_000, bits: 2048 });
    assert!(PAGE_BYTES.is_multiple_of(GROUP));
    assert!(2 * 127 * (MAX_BITS / 8) <= usize::from(u16::MAX));
}

/// The error of an estimate falls with the root of the dimensions (RaBitQ, theorem 3.2), and estimates are unbiased.
#[test]
fn estimates_are_near() {
    for dims in [1, 2, 3, 7, 8, 9, 31, 64, 100, 128, 129, 384, 1000, 1536, 3072, 16_000] {
        let (vectors, query) = (random(50, dims, 5), random(1, dims, 6));
        let built = build(dims, 50, &vectors);
        let segment = Vectors::load(&built.meta, &built.pages).unwrap();
        let mut candidates = Candidates::new(100);
        let stats =
            segment.scan(&built.pages, &CodeQuery::new(&query), 0, 0, None, 0, &mut candidates).unwrap();
        assert_eq!(stats, ScanStats { lists: 1, codes: 64 });
        let candidates = candidates.into_sorted();
        assert_eq!(candidates.len(), 50);
        let errors: Vec<f32> = candidates
            .iter()
            .map(|row| {
                let at = built.rows[row.slot as usize].unwrap() as usize;
                row.estimate - cosine(&query, &vectors[at * dims..][..dims])
            })
            .collect();
        let bits = Shape::new(dims).bits as f32;
        let rms = (errors.iter().map(|error| error * error).sum::<f32>() / 50.0).sqrt();
        assert!(rms < 1.2 / bits.sqrt() + 0.004, "{dims}: {rms}");
        let mean = errors.iter().sum::<f32>() / 50.0;
        assert!(mean.abs() < 0.6 / bits.sqrt() + 0.004, "{dims}: {mean}");
    }
}

/// Errors are within the spread that is said to be theirs, and single slots are estimated as in a scan.
#[test]
fn spreads_hold() {
    for dims in [2, 24, 129, 384, 1536, 3072] {
        let rows = 600;
        let (vectors, queries) = clustered(rows, 20, dims);
        let built = build(dims, 20_000, &vectors);
        let segment = Vectors::load(&built.meta, &built.pages).unwrap();
        let (mut beyond, mut squares) = (0, 0.0);
        for query in queries.chunks_exact(dims) {
            let code = CodeQuery::new(query);
            let mut all = Candidates::new(rows);
            segment.scan(&built.pages, &code, u32::MAX, 0, None, 2, &mut all).unwrap();
            let mut all = all.into_sorted();
            assert_eq!(all.len(), rows);
            for row in &all {
                let at = built.rows[row.slot as usize].unwrap() as usize;
                let error = cosine(query, &vectors[at * dims..][..dims]) - row.estimate;
                squares += f64::from(error / row.spread).powi(2);
                beyond += usize::from(error > 4.0 * row.spread);
            }
            all.sort_by_key(|row| row.slot);
            all.retain(|row| row.slot % 3 == 1);
            let slots: Vec<u32> = all.iter().map(|row| row.slot).collect();
            assert_eq!(segment.estimate(&built.pages, &code, 2, &slots).unwrap(), all);
        }
        let deviation = (squares / (20 * rows) as f64).sqrt();
        assert!(deviation > 0.3 && deviation < 1.2, "{dims}: {deviation}");
        assert!(beyond <= 20 * rows / 1000, "{dims}: {beyond}");
    }
}

/// Rows, and queries of the same kind, around random centres that weigh half as much as the noise.
fn clustered(rows: usize, centres: usize, dims: usize) -> (Vec<f32>, Vec<f32>) {
    let centres = random(centres, dims, 8);
    let mut vectors = random(rows + 20, dims, 9);
    for (row, vector) in vectors.chunks_exact_mut(dims).enumerate() {
        let centre = centres.chunks_exact(dims).cycle().nth(row * 7).into_iter().flatten();
        vector.iter_mut().zip(centre).for_each(|(value, centre)| *value += 0.7 * centre);
    }
    let queries = vectors.split_off(rows * dims);
    (vectors, queries)
}

#[test]
fn recall_of_one_list() {
    let dims = 384;
    let (vectors, queries) = clustered(5000, 100, dims);
    let built = build(dims, 5000, &vectors);
    assert_eq!(built.meta.lists, 1);
    let hundred = recall(&built, &vectors, &queries, 100, None);
    assert!(hundred >= 0.95, "{hundred}");
    let more = recall(&built, &vectors, &queries, 400, None);
    assert!(more >= 0.99, "{more}");
    let mut mask = Mask::none(built.rows.len() as u32);
    (0..5000).step_by(7).for_each(|slot| mask.insert(slot));
    let masked = recall(&built, &vectors, &queries, 100, Some(&mask));
    assert!(masked >= 0.95, "{masked}");
}

#[test]
fn recall_of_many_lists() {
    let dims = 64;
    let (vectors, queries) = clustered(20_000, 300, dims);
    let built = build(dims, 40_000, &vectors);
    assert_eq!(built.meta.lists, 200);
    let few = recall(&built, &vectors, &queries, 400, None);
    assert!(few >= 0.85, "{few}");
    let mut mask = Mask::none(built.rows.len() as u32);
    (0..mask.words().len() as u32 * 32).step_by(20).for_each(|slot| mask.insert(slot));
    let masked = recall(&built, &vectors, &queries, 400, Some(&mask));
    assert!(masked >= 0.95, "{masked}");
}

#[test]
fn lists_and_masks() {
    let dims = 24;
    let vectors = random(6000, dims, 1);
    let built = build(dims, 40_000, &vectors);
    let segment = Vectors::load(&built.meta, &built.pages).unwrap();
    assert_eq!((built.meta.lists, segment.layout().lists()), (200, 200));
    let present = segment.present();
    assert_eq!(present.count(), 6000);
    assert!(built.rows.iter().enumerate().all(|(slot, row)| present.contains(slot as u32) == row.is_some()));
    assert_eq!(segment.slots() as usize, built.rows.len());
    assert!(segment.cached_bytes() > 200 * 24 * 4 && segment.cached_bytes() < 200 * 28 * 4 + 400);

    // Asked for everything, every row comes back once, and no hole.
    let query = CodeQuery::new(&vectors[..dims]);
    let mut candidates = Candidates::new(10_000);
    let stats = segment.scan(&built.pages, &query, 200, 0, None, 0, &mut candidates).unwrap();
    assert_eq!(stats.lists, 200);
    let mut slots: Vec<u32> = candidates.into_sorted().iter().map(|row| row.slot).collect();
    slots.sort_unstable();
    assert_eq!(slots, present.iter().collect::<Vec<_>>());

    // One list, then as many as it takes to see enough rows of the mask.
    let scan = |probes, want, mask: Option<&Mask>| {
        let mut candidates = Candidates::new(10_000);
        let stats = segment.scan(&built.pages, &query, probes, want, mask, 0, &mut candidates).unwrap();
        (stats, candidates.into_sorted().len())
    };
    assert_eq!(scan(1, 0, None).0.lists, 1);
    let (stats, rows) = scan(1, 1000, None);
    assert!(stats.lists > 10 && stats.lists < 100 && (1000..1500).contains(&rows));
    let mut few = Mask::none(segment.slots());
    present.iter().step_by(600).for_each(|slot| few.insert(slot));
    let (stats, rows) = scan(1, 1000, Some(&few));
    assert_eq!((stats.lists, stats.codes, rows), (200, 320, 10));
    assert_eq!(scan(0, 0, Some(&few)).0.lists, 200);
    let short = Mask::none(5);
    assert_eq!(scan(3, 0, Some(&short)), (ScanStats { lists: 3, codes: 0 }, 0));
}

#[test]
fn rows_without_direction() {
    let dims = 10;
    let mut vectors = random(40, dims, 1);
    vectors[..dims].fill(0.0);
    vectors[dims..2 * dims].fill(f32::NAN);
    vectors[2 * dims..3 * dims].fill(f32::MAX);
    for rows in [40, 40_000] {
        let built = build(dims, rows, &vectors);
        let segment = Vectors::load(&built.meta, &built.pages).unwrap();
        for query in [&[1.0; 10], &[0.0; 10], &[f32::NAN; 10], &[f32::INFINITY; 10]] {
            let mut candidates = Candidates::new(100);
            segment.scan(&built.pages, &CodeQuery::new(query), 40, 0, None, 0, &mut candidates).unwrap();
            let found = candidates.into_sorted();
            assert_eq!(found.len(), 40);
            assert!(found.iter().all(|row| row.estimate.abs() < 2.0));
        }
    }
}

#[test]
fn nothing_to_find() {
    let built = build(5, 0, &[]);
    let segment = Vectors::load(&built.meta, &built.pages).unwrap();
    assert_eq!((segment.slots(), segment.present().count()), (0, 0));
    let mut candidates = Candidates::new(10);
    segment.scan(&built.pages, &CodeQuery::new(&[1.0; 5]), 0, 10, None, 0, &mut candidates).unwrap();
    assert_eq!(candidates.into_sorted(), []);
    let mut none = Candidates::new(0);
    assert!(segment.scan(&built.pages, &CodeQuery::new(&[1.0; 4]), 0, 10, None, 0, &mut none).is_err());
}

#[test]
fn headers() {
    let meta = build(5, 40_000, &random(900, 5, 1)).meta;
    let mut bytes = Vec::new();
    meta.encode(&mut bytes);
    bytes.push(77);
    let mut from = &bytes[..];
    assert_eq!(VectorsMeta::decode(&mut from), Ok(meta));
    assert_eq!(from, [77]);
    for length in 0..25 {
        assert!(VectorsMeta::decode(&mut &bytes[..length]).is_err());
    }
}

/// Loads and scans what may be damaged; it may fail, but not panic.
fn survive(meta: &VectorsMeta, pages: &MemoryPages) {
    if let Ok(segment) = Vectors::load(meta, pages) {
        let query = CodeQuery::new(&vec![0.3; segment.dims()]);
        let mut candidates = Candidates::new(20);
        let _ = segment.scan(pages, &query, 0, 100, Some(&Mask::all(90)), 0, &mut candidates);
        let _ = segment.scan(pages, &query, 9, 0, None, 0, &mut candidates);
        let _ = segment.estimate(pages, &query, 0, &[0, 1, 40, 41, 90, 5000, u32::MAX]);
        assert!(candidates.into_sorted().len() <= 20);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_bytes(
        lists in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
        header in prop::option::of((0usize..25, any::<u8>())),
    ) {
        let mut built = build(17, if lists { 40_000 } else { 10 }, &random(700, 17, 1));
        for (page, at, value) in flips {
            let page = page.index(built.pages.0.len());
            let at = at.index(built.pages.0[page].len());
            built.pages.0[page][at] = value;
        }
        if let Some((page, length)) = cut {
            let page = page.index(built.pages.0.len());
            let length = length.index(built.pages.0[page].len());
            built.pages.0[page].truncate(length);
        }
        survive(&built.meta, &built.pages);
        let mut bytes = Vec::new();
        built.meta.encode(&mut bytes);
        if let Some((at, value)) = header {
            bytes[at] = value;
        }
        if let Ok(meta) = VectorsMeta::decode(&mut &bytes[..]) {
            survive(&meta, &built.pages);
        }
    }

    #[test]
    fn random_pages(
        header in prop::collection::vec(any::<u8>(), 24),
        (dims, lists, directory, codes) in (1u32..20, 1u32..9, 0u32..3, 0u32..3),
        pages in prop::collection::vec(prop::collection::vec(0u8..4, 0..400), 0..6),
    ) {
        let bytes: Vec<u8> = [1].into_iter().chain(header).collect();
        if let Ok(meta) = VectorsMeta::decode(&mut &bytes[..]) {
            survive(&meta, &MemoryPages(pages.clone()));
        }
        let (directory, codes) = (Section { first: 0, pages: directory }, Section { first: 1, pages: codes });
        survive(&VectorsMeta { dims, lists, directory, codes }, &MemoryPages(pages));
    }
}
