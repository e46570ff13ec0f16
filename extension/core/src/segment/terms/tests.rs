use super::*;
use crate::bm25::{QueryTerms, idf, weight};
use crate::segment::MemoryPages;
use crate::tsvector::TsVector;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;

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

struct Segment {
    documents: BTreeMap<u32, Vec<u8>>,
    slots: u32,
    pages: MemoryPages,
    meta: TermsMeta,
    terms: Terms,
}

impl Segment {
    /// Of documents at their slots, added in the order of a hash of the slot.
    fn new(documents: BTreeMap<u32, Vec<u8>>) -> Self {
        let slots = documents.keys().last().map_or(0, |last| last + 1);
        let mut order: Vec<_> = documents.keys().copied().collect();
        order.sort_by_key(|slot| slot.wrapping_mul(0x9e37_79b9));
        let mut builder = TermsBuilder::new();
        order.iter().for_each(|slot| builder.add(*slot, TsVector::new(&documents[slot])));
        let mut pages = MemoryPages::default();
        let meta = builder.finish(&mut pages);
        let mut header = Vec::new();
        meta.encode(&mut header);
        let meta = TermsMeta::decode(&mut header.as_slice()).unwrap();
        let terms = Terms::load(meta, &pages).unwrap();
        Self { documents, slots, pages, meta, terms }
    }

    fn find(&self, query: &QueryTerms) -> Vec<Option<TermInfo>> {
        query.iter().map(|(lexeme, _)| self.terms.find(&self.pages, lexeme).unwrap()).collect()
    }

    /// Scores of all documents by reading every one.
    fn naive(&self, query: &QueryTerms, weights: &[f32], norms: &Norms) -> Vec<(u32, f32)> {
        let mut counts = vec![0; query.len()];
        let score = |document: &Vec<u8>| {
            let document = TsVector::new(document);
            query.counts(document, &mut counts);
            query.score(weights, &counts, document.total(), norms)
        };
        let scores: Vec<_> = self.documents.values().map(score).collect();
        self.documents.keys().copied().zip(scores).collect()
    }
}

fn documents(most: usize, far: u32) -> impl Strategy<Value = BTreeMap<u32, Vec<u8>>> {
    let word = prop_oneof![
        6 => (0u8..4).prop_map(|word| vec![word]),
        3 => (0u8..40).prop_map(|word| vec![b'w', word]),
        1 => vec(any::<u8>(), 0..6),
    ];
    let count = prop_oneof![8 => Just(1u16), 3 => 1u16..5, 1 => 1u16..=u16::MAX];
    btree_map(0..far, btree_map(word, count, 0..7).prop_map(|words| vector(&words)), 0..most)
}

fn mask(slots: u32, seed: u32, keep: u32) -> Mask {
    let mut mask = Mask::none(slots);
    let kept = |slot: &u32| (slot ^ seed).wrapping_mul(0x9e37_79b9) >> 16 & 0xff < keep;
    (0..slots).filter(kept).for_each(|slot| mask.insert(slot));
    mask
}

/// Compares the engine with the naive scorer over segments that are scored one after the other, last first.
fn check(
    segments: &[Segment],
    query: &QueryTerms,
    k: usize,
    keep: Option<(u32, u32)>,
    wanted_step: usize,
) -> Result<(), TestCaseError> {
    let total: usize = segments.iter().map(|segment| segment.documents.len()).sum();
    let norms = Norms::new(5.5);
    let found: Vec<_> = segments.iter().map(|segment| segment.find(query)).collect();
    let weights: Vec<_> = query
        .iter()
        .enumerate()
        .map(|(index, (_, tf))| {
            let df: u32 = found.iter().filter_map(|terms| terms[index]).map(|term| term.df).sum();
            weight(idf(total as f64, df.into()), tf)
        })
        .collect();
    let mut top = Top::new(k);
    let mut expected = Vec::new();
    for (number, (segment, found)) in segments.iter().zip(&found).enumerate().rev() {
        let mask = keep.map(|(seed, keep)| mask(segment.slots, seed, keep));
        let terms: Vec<_> =
            found.iter().zip(&weights).map(|(term, &weight)| Some(((*term)?, weight))).collect();
        let wanted: Vec<_> = (0..segment.slots).step_by(wanted_step).collect();
        let mut out = vec![7.0; 3];
        let (pages, norms) = (&segment.pages, &norms);
        let number = number as u32;
        segment
            .terms
            .score(pages, &terms, norms, segment.slots, mask.as_ref(), &wanted, &mut out, number, &mut top)
            .unwrap();
        let naive = segment.naive(query, &weights, norms);
        let by_slot: BTreeMap<_, _> = naive.iter().copied().collect();
        let expected_out: Vec<_> =
            wanted.iter().map(|slot| by_slot.get(slot).copied().unwrap_or(0.0)).collect();
        prop_assert_eq!(&out, &expected_out);
        expected.extend(
            naive
                .into_iter()
                .filter(|&(slot, score)| score > 0.0 && mask.as_ref().is_none_or(|mask| mask.contains(slot)))
                .map(|(slot, score)| Hit { score, segment: number, slot }),
        );
    }
    expected.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.segment, a.slot).cmp(&(b.segment, b.slot))));
    expected.truncate(k);
    prop_assert_eq!(top.into_sorted(), expected);
    Ok(())
}

fn query() -> impl Strategy<Value = QueryTerms> {
    let word = prop_oneof![
        3 => (0u8..4).prop_map(|word| vec![word]),
        2 => (0u8..40).prop_map(|word| vec![b'w', word]),
        1 => vec(any::<u8>(), 0..3),
    ];
    vec((word, 1u32..4), 0..6).prop_map(QueryTerms::new)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn top_hits_and_wanted_scores_equal_a_naive_scorer(
        near in documents(700, 1500),
        far in documents(300, 200_000),
        query in query(),
        k in 0usize..40,
        keep in proptest::option::of((any::<u32>(), prop_oneof![0u32..4, 0u32..256])),
        wanted_step in prop_oneof![1usize..50, Just(1_000_000)],
    ) {
        check(&[Segment::new(near), Segment::new(far)], &query, k, keep, wanted_step)?;
    }

    #[test]
    fn every_lexeme_is_found_with_its_slots(documents in documents(400, 3000), absent in vec(any::<u8>(), 0..4)) {
        let segment = Segment::new(documents);
        let mut lists: BTreeMap<&[u8], Vec<u32>> = BTreeMap::new();
        for (slot, document) in &segment.documents {
            TsVector::new(document).iter().for_each(|(word, _)| lists.entry(word).or_default().push(*slot));
        }
        prop_assert_eq!(segment.meta.terms() as usize, lists.len());
        if !lists.contains_key(absent.as_slice()) {
            prop_assert_eq!(segment.terms.find(&segment.pages, &absent), Ok(None));
        }
        let half = mask(segment.slots, 1, 128);
        for (word, slots) in lists {
            let term = segment.terms.find(&segment.pages, word).unwrap().unwrap();
            prop_assert_eq!(term.df as usize, slots.len());
            let mut found = Mask::none(segment.slots);
            segment.terms.slots_of(&segment.pages, term, &mut found).unwrap();
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), slots);
            found.and(&half);
            let live = segment.terms.live_df(&segment.pages, term, &half);
            prop_assert_eq!(live, Ok(found.count() as u32));
        }
    }

    #[test]
    fn damaged_pages_never_panic(
        documents in documents(500, 1000),
        flips in vec((any::<u16>(), any::<u16>(), any::<u8>()), 1..20),
        query in query(),
    ) {
        let mut segment = Segment::new(documents);
        if segment.pages.0.is_empty() {
            return Ok(());
        }
        let count = segment.pages.0.len();
        for (page, at, byte) in flips {
            let page = &mut segment.pages.0[usize::from(page) % count];
            let at = usize::from(at) % page.len();
            // Page ends and the first bytes hold the structure: hit them more often.
            let at = [at, at % 20, page.len() - 1 - at % 40 % page.len()][usize::from(byte) % 3];
            page[at] ^= byte | 1;
        }
        use_all(&segment, &query);
    }

    #[test]
    fn random_pages_never_panic(
        pages in vec(vec(prop_oneof![any::<u8>(), 0u8..4], 0..300), 0..6),
        sections in (0u32..4, 0u32..5, 0u32..4, any::<u32>()),
        query in query(),
    ) {
        let blocks = Section { first: sections.0, pages: sections.1 };
        let dictionary = Section { first: sections.2, pages: sections.3 % 4 };
        let meta = TermsMeta { terms: sections.3, blocks, dictionary };
        let pages = MemoryPages(pages);
        if let Ok(terms) = Terms::load(meta, &pages) {
            let segment = Segment { documents: BTreeMap::new(), slots: sections.3, pages, meta, terms };
            use_all(&segment, &query);
        }
        let _ = Terms::load(TermsMeta { dictionary: Section { first: 0, pages: u32::MAX }, ..meta }, &MemoryPages::default());
    }
}

/// Calls everything; errors are welcome.
fn use_all(segment: &Segment, query: &QueryTerms) {
    let Ok(terms) = Terms::load(segment.meta, &segment.pages) else { return };
    let (pages, slots) = (&segment.pages, segment.slots);
    let found = query.iter().map(|(lexeme, _)| terms.find(pages, lexeme).ok().flatten());
    let made_up = [(1, 0, 0), (9, 0, 2), (u32::MAX, 0, 2), (300, 1, 40), (0, 0, 0)];
    let made_up = made_up.map(|(df, page, offset)| Some(TermInfo { df, page, offset }));
    let found: Vec<_> = found.chain(made_up).collect();
    let mut mask = Mask::all(slots.min(5000));
    let (mut out, mut top) = (Vec::new(), Top::new(5));
    for term in found.iter().flatten() {
        let _ = terms.live_df(pages, *term, &mask);
        let _ = terms.slots_of(pages, *term, &mut mask);
        let norms = Norms::new(3.0);
        let _ =
            terms.score(pages, &[Some((*term, 1.0))], &norms, slots, None, &[0, 7], &mut out, 0, &mut top);
    }
    for take in 2..=found.len() {
        let some: Vec<_> = found[..take].iter().map(|term| term.map(|term| (term, 1.5))).collect();
        let masks = [None, Some(&mask)];
        for mask in masks {
            let _ = terms.score(pages, &some, &Norms::new(3.0), slots, mask, &[1, 9], &mut out, 1, &mut top);
        }
    }
}

#[test]
fn long_lexemes_great_counts_and_empty_documents() {
    let long = |last: u8| [vec![b'x'; 2046], vec![last]].concat();
    let mut documents = BTreeMap::new();
    for slot in 0..200u32 {
        let words = match slot % 4 {
            0 => BTreeMap::new(),
            1 => BTreeMap::from([(long(slot as u8), 65_535), (Vec::new(), 1)]),
            2 => BTreeMap::from([(long(7), 65_535), (vec![0; 2047], 65_535), (vec![0; 2046], 3)]),
            _ => BTreeMap::from([(long(7), 1), (vec![255; 2047], 2)]),
        };
        documents.insert(slot * 3000, vector(&words));
    }
    let segments = [Segment::new(documents), Segment::new(BTreeMap::new())];
    for words in [vec![long(7)], vec![long(7), Vec::new(), vec![0; 2047]], vec![long(200), long(5), vec![1]]]
    {
        let query = QueryTerms::new(words.into_iter().map(|word| (word, 1)));
        check(&segments, &query, 17, None, 1000).unwrap();
    }
}

#[test]
fn equal_documents_tie_and_come_in_order_of_slots() {
    let document = vector(&BTreeMap::from([(b"a".to_vec(), 1), (b"b".to_vec(), 2), (b"c".to_vec(), 1)]));
    let segments =
        [3u32, 1].map(|step| Segment::new((0..1000).map(|slot| (slot * step, document.clone())).collect()));
    let query = QueryTerms::new([b"a", b"b", b"c"].map(|word| (word.to_vec(), 1)));
    for k in [1, 10, 999, 1500, 3000] {
        check(&segments, &query, k, None, 100).unwrap();
        check(&segments, &query, k, Some((5, 100)), 100).unwrap();
    }
    check(&segments, &QueryTerms::new([(b"b".to_vec(), 1)]), 700, Some((5, 100)), 100).unwrap();
}
