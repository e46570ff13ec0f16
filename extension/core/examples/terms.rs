//! Measures the postings of a segment: build time, size, and the time of a search.
//!
//! `cargo run --release -p vectorstore-core --example terms -- [DOCUMENTS]`

use std::collections::BTreeMap;
use std::time::Instant;

use vectorstore_core::bm25::{Norms, QueryTerms, idf, weight};
use vectorstore_core::segment::terms::{Terms, TermsBuilder, TermsMeta, Top};
use vectorstore_core::segment::{Mask, MemoryPages};
use vectorstore_core::tsvector::TsVector;

/// The bytes of a `tsvector` with any lexemes; a frequency is all that the count of positions says.
fn vector(words: &BTreeMap<Vec<u8>, u16>) -> Vec<u8> {
    let (mut entries, mut lexemes) = (Vec::new(), Vec::<u8>::new());
    for (word, count) in words {
        lexemes.resize(lexemes.len().next_multiple_of(2), 0);
        entries.extend(((lexemes.len() as u32) << 12 | (word.len() as u32) << 1 | 1).to_le_bytes());
        lexemes.extend(word);
        lexemes.resize(lexemes.len().next_multiple_of(2), 0);
        lexemes.extend(count.to_le_bytes());
    }
    [(words.len() as i32).to_le_bytes().to_vec(), entries, lexemes].concat()
}

fn mask(slots: u32, seed: u32, keep: u32) -> Mask {
    let mut mask = Mask::none(slots);
    let kept = |slot: &u32| (slot ^ seed).wrapping_mul(0x9e37_79b9) >> 16 & 0xff < keep;
    (0..slots).filter(kept).for_each(|slot| mask.insert(slot));
    mask
}

/// A generator of random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A word of a Zipf distribution over 130,000 ranks, of which 100,000 documents use about 56,000.
    fn word(&mut self) -> Vec<u8> {
        let rank = (130_000f64.ln() * self.next()).exp() as u64;
        // Long and short words in an order that has nothing to do with their frequency.
        let mut mixed = (rank + 77).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let letter = |_| {
            mixed = mixed.rotate_right(5);
            b'a' + (mixed % 26) as u8
        };
        (0..4 + rank % 8).map(letter).collect()
    }

    fn document(&mut self, tokens: usize) -> BTreeMap<Vec<u8>, u16> {
        let mut words = BTreeMap::new();
        (0..tokens).for_each(|_| *words.entry(self.word()).or_default() += 1);
        words
    }
}

fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn collection(count: usize) -> (MemoryPages, TermsMeta) {
    let mut random = Random(7);
    let mut builder = TermsBuilder::new();
    let (mut adding, mut postings) = (0.0, 0);
    let before = resident_kb();
    for start in (0..count).step_by(10_000) {
        let documents: Vec<_> = (0..10_000)
            .map(|_| {
                let tokens = 8 + (random.next() * 22.0) as usize;
                vector(&random.document(tokens))
            })
            .collect();
        let clock = Instant::now();
        for (index, document) in documents.iter().enumerate() {
            let slot = (start + index).wrapping_mul(77_773) % count;
            builder.add(slot as u32, TsVector::new(document));
            postings += TsVector::new(document).len();
        }
        adding += clock.elapsed().as_secs_f64();
    }
    let held = builder.bytes();
    let mut pages = MemoryPages::default();
    let clock = Instant::now();
    let meta = builder.finish(&mut pages);
    let bytes: usize = pages.0.iter().map(Vec::len).sum();
    println!(
        "{count} documents, {postings} postings, {} terms: add {adding:.2} s, finish {:.2} s, held {} kB, peak +{} kB\n\
         {} kB in {} pages, {:.2} bytes a posting",
        meta.terms(),
        clock.elapsed().as_secs_f64(),
        held / 1024,
        resident_kb() - before,
        bytes / 1024,
        meta.pages(),
        bytes as f64 / postings as f64
    );
    (pages, meta)
}

fn percentiles(label: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("  {label:42} p50 {:.4} p90 {:.4} p99 {:.4} ms", at(0.5), at(0.9), at(0.99));
}

/// Times queries; each is a list of lexemes.
fn run(
    label: &str,
    slots: u32,
    pages: &MemoryPages,
    terms: &Terms,
    queries: &[Vec<Vec<u8>>],
    mask: Option<&Mask>,
) {
    // The best of several rounds of each query: other work on the machine must not count.
    let (mut times, mut postings) = (vec![f64::INFINITY; queries.len()], 0u64);
    let mut out = Vec::new();
    for round in 0..5 {
        for (words, time) in queries.iter().zip(&mut times) {
            let query = QueryTerms::new(words.iter().map(|word| (word.clone(), 1)));
            let clock = Instant::now();
            let found = query.iter().map(|(lexeme, tf)| {
                let term = terms.find(pages, lexeme).unwrap()?;
                Some((term, weight(idf(slots.into(), term.df.into()), tf)))
            });
            let found: Vec<_> = found.collect();
            let mut top = Top::new(60);
            let norms = Norms::new(18.5);
            terms.score(pages, &found, &norms, slots, mask, &[], &mut out, 0, &mut top).unwrap();
            std::hint::black_box(top.into_sorted());
            *time = time.min(clock.elapsed().as_secs_f64() * 1000.0);
            if round == 0 {
                postings += found.iter().flatten().map(|(term, _)| u64::from(term.df)).sum::<u64>();
            }
        }
    }
    let mean = postings / times.len().max(1) as u64;
    percentiles(&format!("{label} ({mean} postings)"), times);
}

fn measure(count: usize) {
    let (pages, meta) = collection(count);
    let slots = count as u32;
    let clock = Instant::now();
    let terms = Terms::load(meta, &pages).unwrap();
    println!(
        "  load {:.3} ms, cached {} bytes",
        clock.elapsed().as_secs_f64() * 1000.0,
        terms.cached_bytes()
    );
    let mut random = Random(99);
    // Questions have fewer of the commonest words than documents: stop words are left out.
    let mut queries = |from: usize, to: usize| -> Vec<Vec<Vec<u8>>> {
        let one = |random: &mut Random| {
            let length = from + (random.next().powi(2) * (to - from + 1) as f64) as usize;
            (0..length).map(|_| random.word()).collect()
        };
        (0..500).map(|_| one(&mut random)).collect()
    };
    let mixed = queries(5, 20);
    run("5-20 terms, half at most 9", slots, &pages, &terms, &mixed, None);
    run("2-5 terms", slots, &pages, &terms, &queries(2, 5), None);
    run("12-20 terms", slots, &pages, &terms, &queries(12, 20), None);
    for (label, keep) in [("mask 50 %", 128), ("mask 1 %", 3), ("mask 0.4 %", 1)] {
        run(label, slots, &pages, &terms, &mixed, Some(&mask(slots, 3, keep)));
    }
    let single = |low: u32, high: u32| -> Vec<Vec<Vec<u8>>> {
        let mut random = Random(5);
        let words = (0..20_000).map(|_| random.word());
        let fits = |word: &Vec<u8>| {
            terms.find(&pages, word).unwrap().is_some_and(|term| (low..=high).contains(&term.df))
        };
        words.filter(fits).take(100).map(|word| vec![word]).collect()
    };
    run("one term, df 1-8", slots, &pages, &terms, &single(1, 8), None);
    run("one term, df 9-200", slots, &pages, &terms, &single(9, 200), None);
    run("one term, df > 4 %", slots, &pages, &terms, &single(slots / 25, slots), None);
    let pairs: Vec<_> = single(1, 30).into_iter().zip(single(9, 200)).map(|(a, b)| [a, b].concat()).collect();
    run("two rare terms", slots, &pages, &terms, &pairs, None);
}

fn counts_in_single_documents() {
    let mut random = Random(3);
    let documents: Vec<_> = (0..2000).map(|_| vector(&random.document(18))).collect();
    let query = QueryTerms::new((0..9).map(|_| (random.word(), 1)));
    let (mut counts, mut best) = (vec![0; query.len()], f64::INFINITY);
    let mut held = 0;
    for _ in 0..200 {
        let clock = Instant::now();
        held = documents.iter().map(|document| query.counts(TsVector::new(document), &mut counts)).sum();
        best = best.min(clock.elapsed().as_secs_f64());
    }
    println!("counts: {:.1} ns a document of 18 tokens, {held} found", best * 1e9 / documents.len() as f64);
}

fn main() {
    let documents = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    measure(documents);
    counts_in_single_documents();
}
