use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

use super::*;
use crate::filter::{Attributes, Decimal, Filter, Found};
use crate::segment::{Mask, MemoryPages, PAGE_BYTES};

/// Rows with their slots, as a caller packs them.
fn pack(rows: &[(u32, Json)], slots: u32, mut builder: ColumnsBuilder) -> (MemoryPages, Columns) {
    for (slot, row) in rows {
        for (key, value) in row.as_object().unwrap() {
            if let Some(found) = Found::new(value) {
                builder.add(*slot, key, &found);
            }
        }
        builder.add_created(*slot, created(*slot));
    }
    // Pages of other parts come first.
    let mut pages = MemoryPages(vec![vec![0; 8]; 3]);
    let meta = builder.finish(&mut pages, slots);
    let mut bytes = Vec::new();
    meta.encode(&mut bytes);
    bytes.push(7);
    let mut rest = &bytes[..];
    assert_eq!(ColumnsMeta::decode(&mut rest), Ok(meta));
    assert_eq!(rest, [7]);
    let columns = Columns::load(ColumnsMeta::decode(&mut &bytes[..]).unwrap(), &pages).unwrap();
    (pages, columns)
}

fn created(slot: u32) -> i64 {
    i64::from(slot / 10) * 1_000_003 - 5_000_000
}

/// The attributes by slot; empty where there is no row.
fn by_slot(rows: &[(u32, Json)], slots: u32) -> Vec<Json> {
    let mut all = vec![json!({}); slots as usize];
    rows.iter().for_each(|(slot, row)| all[*slot as usize] = row.clone());
    all
}

fn passing(pages: &MemoryPages, columns: &Columns, filter: &Filter, rows: &[Json]) -> Vec<bool> {
    let masked = columns.mask(pages, filter).unwrap();
    let mask = masked.certain;
    (0..)
        .zip(rows)
        .map(|(slot, row)| {
            let check = masked.check.as_ref().is_some_and(|check| check.contains(slot));
            assert!(!(check && mask.contains(slot)));
            mask.contains(slot) || (check && filter.matches(row))
        })
        .collect()
}

fn long(end: &str) -> String {
    "x".repeat(511) + end
}

fn scalar() -> impl Strategy<Value = Json> {
    let texts = select(vec![
        "".to_owned(),
        "1".to_owned(),
        "true".to_owned(),
        "a".to_owned(),
        "é".to_owned(),
        "\u{ffff}".to_owned(),
        "\u{10000}".to_owned(),
        "x".to_owned(),
        long(""),
        long("a"),
        long("b"),
        long("aa"),
        long("ab"),
        long("é"),
        long("éa"),
        long(&"z".repeat(700)),
    ]);
    let numbers = select(vec![
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(-1.5),
        json!(-1.51),
        json!(-150),
        json!(1e300),
        json!(-1e300),
        json!(5e-324),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(9_007_199_254_740_993_i64),
        json!(9_007_199_254_740_992.0),
    ]);
    prop_oneof![
        texts.prop_map(Json::from),
        numbers,
        any::<bool>().prop_map(Json::from),
        (-3..30).prop_map(Json::from),
        any::<f64>().prop_map(|number| json!(if number.is_finite() { number } else { 0.0 })),
        "[a-c]{0,3}".prop_map(Json::from),
    ]
}

const KEYS: [&str; 5] = ["", "a", "b", "é", "rare"];

fn row() -> impl Strategy<Value = Json> {
    let value = prop_oneof![
        8 => scalar(),
        1 => select(vec![json!(null), json!([1]), json!({"a": 1})]),
    ];
    // The last key seldom.
    prop::collection::vec((0..49_usize, value), 0..5)
        .prop_map(|pairs| Json::Object(pairs.into_iter().map(|(k, v)| (KEYS[k / 12].into(), v)).collect()))
}

fn rows() -> impl Strategy<Value = (Vec<(u32, Json)>, u32)> {
    (prop::collection::vec((row(), any::<u32>(), 0..3_u32), 0..200), 0..40_u32).prop_map(|(rows, empty)| {
        let mut slot = 0;
        let mut rows: Vec<_> = rows
            .into_iter()
            .map(|(row, order, gap)| {
                slot += gap / 2 + 1;
                (order, (slot - 1, row))
            })
            .collect();
        rows.sort_by_key(|(order, _)| *order);
        (rows.into_iter().map(|(_, row)| row).collect(), slot + empty)
    })
}

fn filter() -> impl Strategy<Value = Json> {
    let key = select(vec!["", "a", "b", "é", "rare", "absent"]);
    let compare = (key.clone(), select(vec!["eq", "ne", "gt", "gte", "lt", "lte"]), scalar())
        .prop_map(|(key, op, value)| json!({"type": op, "key": key, "value": value}));
    let member = (key, select(vec!["in", "nin"]), prop::collection::vec(scalar(), 0..12))
        .prop_map(|(key, op, value)| json!({"type": op, "key": key, "value": value}));
    prop_oneof![3 => compare, 1 => member].prop_recursive(3, 12, 4, |inner| {
        (select(vec!["and", "or"]), prop::collection::vec(inner, 0..4))
            .prop_map(|(op, filters)| json!({"type": op, "filters": filters}))
    })
}

/// How often each value occurs, counted on the rows.
fn naive_counts(rows: &[Json], mask: Option<&Mask>, key: &str) -> BTreeMap<Value, u64> {
    let mut counts = BTreeMap::new();
    for (slot, row) in (0..).zip(rows) {
        if mask.is_none_or(|mask| mask.contains(slot))
            && let Some(found) = Attributes::get(row, key)
        {
            *counts.entry(Value::new(&found)).or_default() += 1;
        }
    }
    counts
}

fn check_facets(pages: &MemoryPages, columns: &Columns, rows: &[Json], mask: Option<&Mask>, key: &str) {
    let naive = naive_counts(rows, mask, key);
    let mut sorted: Vec<_> = naive.clone().into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let facet = columns.facet(pages, key, mask, usize::MAX).unwrap().unwrap();
    assert_eq!(facet.values, sorted);
    assert_eq!((facet.distinct, facet.rows), (naive.len() as u64, naive.values().sum()));
    let top = columns.facet(pages, key, mask, 3).unwrap().unwrap();
    assert_eq!(top.values, sorted[..sorted.len().min(3)]);
    assert_eq!((top.distinct, top.rows), (facet.distinct, facet.rows));

    let boundaries: Vec<Value> = naive.keys().step_by(3).cloned().collect();
    let expected: Vec<u64> = boundaries
        .windows(2)
        .map(|pair| naive.range(pair[0].clone()..pair[1].clone()).map(|(_, count)| count).sum())
        .collect();
    assert_eq!(columns.facet_ranges(pages, key, mask, &boundaries).unwrap(), Some(expected));

    let slots: Vec<u32> = (0..rows.len() as u32 + 2).rev().step_by(2).chain([1, 1]).collect();
    let values = columns.values_at(pages, key, &slots).unwrap().unwrap();
    for (slot, value) in slots.iter().zip(values) {
        let found = rows.get(*slot as usize).and_then(|row| Attributes::get(row, key));
        assert_eq!(value, found.as_ref().map(Value::new), "slot {slot}");
        if let Some((value, found)) = value.zip(found) {
            assert!(value.is_cut() || value.found() == found);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn masks_are_what_the_filter_says((rows, slots) in rows(), filters in prop::collection::vec(filter(), 6)) {
        let (pages, columns) = pack(&rows, slots, ColumnsBuilder::new());
        let all = by_slot(&rows, slots);
        for filter in filters {
            let filter = Filter::parse(&filter).unwrap();
            let expected: Vec<bool> = all.iter().map(|row| filter.matches(row)).collect();
            prop_assert_eq!(passing(&pages, &columns, &filter, &all), expected, "{:?}", filter);
        }
    }

    #[test]
    fn keys_that_were_given_up_are_left_to_the_rows((rows, slots) in rows(), filter in filter()) {
        let (pages, columns) = pack(&rows, slots, ColumnsBuilder::with_budget(3_000));
        let all = by_slot(&rows, slots);
        let filter = Filter::parse(&filter).unwrap();
        let expected: Vec<bool> = all.iter().map(|row| filter.matches(row)).collect();
        prop_assert_eq!(passing(&pages, &columns, &filter, &all), expected);
    }

    #[test]
    fn facets_are_counts((rows, slots) in rows(), chosen in any::<[u32; 13]>()) {
        let (pages, columns) = pack(&rows, slots, ColumnsBuilder::new());
        let all = by_slot(&rows, slots);
        let mut mask = Mask::all(slots);
        mask.words_mut().iter_mut().zip(chosen).for_each(|(word, chosen)| *word &= chosen);
        for key in KEYS.into_iter().chain(["absent"]) {
            check_facets(&pages, &columns, &all, None, key);
            check_facets(&pages, &columns, &all, Some(&mask), key);
        }
    }

    #[test]
    fn values_keep_their_order_and_identity(left in scalar(), right in scalar()) {
        let (found, other) = (Found::new(&left).unwrap(), Found::new(&right).unwrap());
        let (value, second) = (Value::new(&found), Value::new(&other));
        prop_assert!(value.is_cut() || value.found() == found);
        prop_assert_eq!(value == second, found == other);
        match (&found, &other) {
            (Found::Number(a), Found::Number(b)) => prop_assert_eq!(value.cmp(&second), a.cmp(b)),
            (Found::String(a), Found::String(b)) if !(value.is_cut() && second.is_cut()) => {
                prop_assert_eq!(value.cmp(&second), a.cmp(b));
            }
            _ => {}
        }
    }

    #[test]
    fn decimals_survive_being_stored(whole in "-?[0-9]{1,90}", fraction in "[0-9]{0,90}", power in -200..200) {
        let found = |text: &str| Found::Number(Decimal::parse(text).unwrap());
        let number = found(&format!("{whole}.{fraction}e{power}"));
        let value = Value::new(&number);
        prop_assert_eq!(&value.found(), &number);
        let other = found(&whole);
        let order = match (&number, &other) {
            (Found::Number(a), Found::Number(b)) => a.cmp(b),
            _ => unreachable!(),
        };
        prop_assert_eq!(value.cmp(&Value::new(&other)), order);
    }

    #[test]
    fn damage_is_no_panic(
        (rows, slots) in rows(),
        flips in prop::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..6),
        cut in prop::option::of((any::<usize>(), any::<usize>())),
        filter in filter(),
    ) {
        let (mut pages, columns) = pack(&rows, slots, ColumnsBuilder::new());
        let mut meta = Vec::new();
        columns.meta.encode(&mut meta);
        let count = pages.0.len();
        for (page, place, value) in flips {
            // The meta as often as a page of the columns.
            let bytes = if page % 4 == 0 { &mut meta } else { &mut pages.0[page / 4 % count] };
            let length = bytes.len();
            bytes[place % length] = value;
        }
        if let Some((page, length)) = cut {
            let page = &mut pages.0[page % count];
            page.truncate(length % (page.len() + 1));
        }
        use_everything(&meta, &pages, &Filter::parse(&filter).unwrap());
    }

    #[test]
    fn noise_is_no_panic(
        meta in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 51),
        noise in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..200), 0..8),
        filter in filter(),
    ) {
        use_everything(&meta, &MemoryPages(noise), &Filter::parse(&filter).unwrap());
    }
}

/// Whatever comes back, it comes back.
fn use_everything(meta: &[u8], pages: &MemoryPages, filter: &Filter) {
    let Ok(meta) = ColumnsMeta::decode(&mut &meta[..]) else { return };
    // A plausible number of slots keeps the test quick; a larger one only makes larger masks.
    if meta.slots > 100_000 {
        return;
    }
    let Ok(columns) = Columns::load(meta, pages) else { return };
    let _ = columns.mask(pages, filter);
    let _ = columns.mask_created(pages, 0..1_000_000_000);
    let _ = columns.created_ranges(pages, None, &[0, 1_000_000]);
    let _ = columns.keys(pages, 100);
    for key in KEYS {
        for value in columns.facet(pages, key, None, 100).ok().flatten().unwrap_or_default().values {
            let _ = value.0.found();
        }
        let _ = columns.facet(pages, key, Some(&Mask::all(7)), 2);
        let _ = columns.facet_ranges(pages, key, None, &[Value::new(&Found::Bool(true))]);
        let _ = columns.values_at(pages, key, &[0, 5, 1_000, u32::MAX]);
    }
}

/// Enough rows for codes of every width, dictionaries and lists of many pages, and shared pages.
#[test]
fn large_columns() {
    let slots = 70_020;
    let rows: Vec<(u32, Json)> = (0..70_000_u32)
        .map(|i| {
            let slot = i.wrapping_mul(48_611) % 70_000;
            let mut row = json!({
                "id": format!("file-{:08}-{}", i, "y".repeat(20)), "code": i % 1_000, "flag": i % 2 == 0, "few": i % 7,
            });
            if i % 40 == 0 {
                row["sparse"] = json!(f64::from(i) / 8.0);
            }
            if i % 100 == 0 {
                row[format!("key{i}")] = json!(i);
            }
            (slot, row)
        })
        .collect();
    let (pages, columns) = pack(&rows, slots, ColumnsBuilder::new());
    assert!(pages.0.iter().all(|page| page.len() <= PAGE_BYTES));
    // 700 keys of a single row share pages.
    assert!(pages.0.len() < 600, "{} pages", pages.0.len());
    assert!(columns.cached_bytes() < 1_000, "{}", columns.cached_bytes());
    let all = by_slot(&rows, slots);
    for filter in [
        json!({"id": format!("file-00000017-{}", "y".repeat(20))}),
        json!({"type": "lt", "key": "id", "value": "file-00010000"}),
        json!({"type": "gte", "key": "code", "value": 990.5}),
        json!({"type": "nin", "key": "code", "value": (0..999).collect::<Vec<_>>()}),
        json!({"type": "in", "key": "few", "value": [0, 2, 4, 6, 8, "0", true, false, 1e9, -1]}),
        json!({"type": "ne", "key": "flag", "value": true}),
        json!({"type": "gt", "key": "sparse", "value": 4_000}),
        json!({"type": "in", "key": "sparse", "value": (0..100).map(|i| i * 5).collect::<Vec<_>>()}),
        json!({"key500": 500}),
        json!({"type": "ne", "key": "key69900", "value": 1}),
        json!({"key501": 501}),
        json!({"type": "and", "filters": [{"flag": true}, {"few": 3}, {"type": "lt", "key": "code", "value": 10}]}),
    ] {
        let filter = Filter::parse(&filter).unwrap();
        let masked = columns.mask(&pages, &filter).unwrap();
        assert_eq!(masked.check, None);
        assert!(
            (0..).zip(&all).all(|(slot, row)| masked.certain.contains(slot) == filter.matches(row)),
            "{filter:?}"
        );
    }
    let mut mask = Mask::none(slots);
    (0..slots).step_by(11).for_each(|slot| mask.insert(slot));
    let mut few = Mask::none(slots);
    (0..slots).step_by(9_999).for_each(|slot| few.insert(slot));
    for key in ["id", "code", "flag", "sparse", "key500"] {
        for mask in [None, Some(&mask), Some(&few)] {
            check_facets(&pages, &columns, &all, mask, key);
        }
    }
    let keys = columns.keys(&pages, usize::MAX).unwrap();
    assert_eq!(keys.len(), 705);
    assert!(keys.is_sorted() && keys.contains(&("sparse".to_owned(), 1_750)));
}

#[test]
fn times_of_creation() {
    let rows: Vec<(u32, Json)> = (0..1_000).map(|slot| (slot, json!({"": 1}))).collect();
    let (pages, columns) = pack(&rows, 1_024, ColumnsBuilder::new());
    let slots = |mask: Mask| mask.iter().collect::<Vec<_>>();
    let expected = |test: &dyn Fn(i64) -> bool| (0..1_000).filter(|s| test(created(*s))).collect::<Vec<_>>();
    let (low, high) = (created(200), created(700));
    let mask = |range: (Bound<i64>, Bound<i64>)| slots(columns.mask_created(&pages, range).unwrap());
    use std::ops::Bound::{self, Excluded, Included, Unbounded};
    assert_eq!(mask((Included(low), Excluded(high))), expected(&|t| low <= t && t < high));
    assert_eq!(mask((Excluded(low), Included(high))), expected(&|t| low < t && t <= high));
    assert_eq!(mask((Unbounded, Included(low + 1))), expected(&|t| t <= low + 1));
    assert_eq!(mask((Excluded(-1), Unbounded)), expected(&|t| t > -1));
    assert_eq!(mask((Unbounded, Unbounded)).len(), 1_000);
    assert!(mask((Included(high), Included(low))).is_empty());
    assert_eq!(
        columns.created_ranges(&pages, None, &[i64::MIN, low, high, i64::MAX]).unwrap(),
        [200, 500, 300]
    );
    // The empty key is an ordinary one.
    let filter = Filter::parse(&json!({"": 1})).unwrap();
    assert_eq!(columns.mask(&pages, &filter).unwrap().certain.count(), 1_000);
}

#[test]
fn the_first_value_of_a_slot_counts() {
    for slots in [1_u32, 100, 10_000] {
        let mut builder = ColumnsBuilder::new();
        for (slot, value) in (0..slots).chain(0..slots).zip(0_i64..) {
            builder.add(slot, "filename", &Found::Number(Decimal::from(value)));
        }
        let mut pages = MemoryPages::default();
        let meta = builder.finish(&mut pages, slots);
        let columns = Columns::load(meta, &pages).unwrap();
        let wanted: Vec<u32> = (0..slots).collect();
        let values = columns.values_at(&pages, "filename", &wanted).unwrap().unwrap();
        for (slot, value) in (0_i64..).zip(values) {
            assert_eq!(value, Some(Value::new(&Found::Number(Decimal::from(slot)))));
        }
        assert_eq!(columns.facet(&pages, "filename", None, 1).unwrap().unwrap().distinct, u64::from(slots));
    }
}

#[test]
fn nothing_at_all() {
    let (pages, columns) = pack(&[], 0, ColumnsBuilder::new());
    let filter = Filter::parse(&json!({"type": "ne", "key": "a", "value": 1})).unwrap();
    assert_eq!(columns.mask(&pages, &filter).unwrap().certain, Mask::none(0));
    assert_eq!(columns.mask_created(&pages, ..).unwrap().count(), 0);
    assert_eq!(columns.facet(&pages, "a", None, 10).unwrap(), Some(Facet::default()));
}

#[test]
fn what_has_no_column_is_left_to_the_rows() {
    let mut builder = ColumnsBuilder::new();
    let key = "k".repeat(MAX_KEY_BYTES + 1);
    builder.add(1, &key, &Found::Bool(true));
    for i in 0..70_000 {
        builder.add(0, &format!("key{i}"), &Found::Bool(true));
    }
    let mut pages = MemoryPages::default();
    let columns = Columns::load(builder.finish(&mut pages, 2), &pages).unwrap();
    for (key, certain, check) in
        [(key.as_str(), 0, Some(Mask::all(2))), ("key69999", 0, Some(Mask::all(2))), ("key1", 1, None)]
    {
        let limits = crate::filter::Limits { key_chars: 5_000, ..Default::default() };
        let filter = Filter::parse_with(&json!({key: true}), &limits).unwrap();
        let masked = columns.mask(&pages, &filter).unwrap();
        assert_eq!((masked.certain.count(), &masked.check), (certain, &check));
        assert_eq!(columns.facet(&pages, key, None, 1).unwrap().is_none(), check.is_some());
    }
}
