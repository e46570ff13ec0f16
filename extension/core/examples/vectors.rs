//! Measures the vector codes of a segment: build time, scan time and recall.
//!
//! `cargo run --release -p vectorstore-core --example vectors -- [ROWS] [DIMS] [FILE]`. Without a file the rows are a
//! mixture of 2,000 Gaussians; a
//! file holds little-endian f32 rows, of which the last 200 are the queries.

use std::time::{Duration, Instant};

use vectorstore_core::segment::vectors::{
    Candidates, CodeQuery, Layout, Plan, ScanStats, VectorWriter, Vectors, VectorsMeta, default_probes,
};
use vectorstore_core::segment::{Mask, MemoryPages};

const QUERIES: usize = 200;
const CENTRES: usize = 2000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    fn normal(&mut self) -> f32 {
        let bits = self.next() ^ (self.next() >> 32);
        (0..4).map(|part| (bits >> (16 * part) & 0xffff) as f32 / 65_536.0 - 0.5).sum::<f32>() * 1.732
    }
}

/// Rows around centres of unequal weight that gather around 50 topics, all with a spectrum that falls off.
fn synthetic(rows: usize, dims: usize) -> Vec<f32> {
    let mut random = Random(42);
    let spectrum: Vec<f32> = (0..dims).map(|dim| (1.0 + dim as f32).powf(-0.35)).collect();
    let topics: Vec<f32> = (0..50 * dims).map(|at| random.normal() * spectrum[at % dims]).collect();
    let centres: Vec<f32> = (0..CENTRES * dims)
        .map(|at| 0.6 * (topics[at / dims % 50 * dims + at % dims] + random.normal() * spectrum[at % dims]))
        .collect();
    let mut vectors = Vec::with_capacity(rows * dims);
    for _ in 0..rows {
        let pick = (random.next() >> 40) as f64 / f64::from(1 << 24);
        let centre = &centres[(pick * pick * CENTRES as f64) as usize % CENTRES * dims..][..dims];
        vectors.extend(centre.iter().zip(&spectrum).map(|(centre, size)| centre + random.normal() * size));
    }
    vectors
}

fn unit(vectors: &mut [f32], dims: usize) {
    for row in vectors.chunks_exact_mut(dims) {
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-20);
        row.iter_mut().for_each(|value| *value /= length);
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest = a.len() / 16 * 16;
    sums.iter().sum::<f32>() + a[rest..].iter().zip(&b[rest..]).map(|(a, b)| a * b).sum::<f32>()
}

struct Built {
    pages: MemoryPages,
    meta: VectorsMeta,
    rows: Vec<u32>,
}

fn build(dims: usize, vectors: &[f32], flat: bool) -> Built {
    let rows = vectors.len() / dims;
    let plan_rows = if flat { 1 } else { rows };
    let wanted = Plan::sample_rows(dims, plan_rows.max(1)).max(if flat { 1024.min(rows) } else { 0 });
    let sample: Vec<f32> =
        (0..wanted).flat_map(|index| vectors[index * rows / wanted * dims..][..dims].to_vec()).collect();
    let start = Instant::now();
    let plan = Plan::train(dims, plan_rows, &sample);
    let trained = start.elapsed();
    let start = Instant::now();
    let mut lists = Vec::new();
    for block in vectors.chunks(1024 * dims) {
        lists.extend(plan.assign_many(block));
    }
    let assigned = start.elapsed();
    let mut counts = vec![0u32; plan.lists() as usize];
    lists.iter().for_each(|&list| counts[list as usize] += 1);
    let layout = Layout::new(&counts);
    counts.sort_unstable();
    let mut next: Vec<u32> = (0..plan.lists()).map(|list| layout.first_slot(list)).collect();
    let mut slots = vec![u32::MAX; layout.slots() as usize];
    println!(
        "{rows} rows x {dims}, {} lists, sample {wanted}: train {trained:.2?}, assign {assigned:.2?}; list sizes min {} p50 {} p99 {} max {}; holes {:.1} %",
        plan.lists(),
        counts[0],
        counts[counts.len() / 2],
        counts[counts.len() * 99 / 100],
        counts[counts.len() - 1],
        100.0 * (1.0 - rows as f64 / slots.len() as f64),
    );
    let start = Instant::now();
    let mut writer = VectorWriter::new(plan, layout);
    for (row, (&list, vector)) in lists.iter().zip(vectors.chunks_exact(dims)).enumerate() {
        let slot = next[list as usize];
        next[list as usize] += 1;
        slots[slot as usize] = row as u32;
        writer.put(slot, list, vector);
    }
    let encoded = start.elapsed();
    let mut pages = MemoryPages::default();
    let start = Instant::now();
    let meta = writer.finish(&mut pages);
    println!(
        "encode {encoded:.2?}, finish {:.2?}; {} pages of codes = {:.1} bytes a row, {} of lists",
        start.elapsed(),
        meta.codes.pages,
        f64::from(meta.codes.pages) * 8096.0 / rows as f64,
        meta.directory.pages,
    );
    Built { pages, meta, rows: slots }
}

/// Slots of the 10 rows nearest to each query among those of the mask.
fn truth(built: &Built, vectors: &[f32], queries: &[f32], dims: usize, mask: Option<&Mask>) -> Vec<Vec<u32>> {
    let mut slots: Vec<(u32, u32)> = built.rows.iter().zip(0u32..).map(|(&row, slot)| (row, slot)).collect();
    slots.retain(|(row, slot)| *row != u32::MAX && mask.is_none_or(|mask| mask.contains(*slot)));
    slots.sort_unstable();
    let mut best: Vec<Vec<(f32, u32)>> = vec![Vec::new(); queries.len() / dims];
    for (row, slot) in slots {
        let vector = &vectors[row as usize * dims..][..dims];
        for (query, best) in queries.chunks_exact(dims).zip(&mut best) {
            let score = dot(query, vector);
            if best.len() < 10 || score > best[9].0 {
                let at = best.partition_point(|(other, _)| *other >= score);
                best.insert(at, (score, slot));
                best.truncate(10);
            }
        }
    }
    best.into_iter().map(|best| best.into_iter().map(|(_, slot)| slot).collect()).collect()
}

struct Measured {
    recall: f64,
    ceiling: f64,
    time: Duration,
    stats: ScanStats,
}

/// Recall of the 10 nearest after an exact comparison of `limit` candidates, and of all rows of the visited lists; the
/// median time of a scan with the preparation of its query.
fn measure(
    built: &Built,
    queries: &[f32],
    truth: &[Vec<u32>],
    (probes, want, limit): (u32, usize, usize),
    mask: Option<&Mask>,
) -> Measured {
    let dims = built.meta.dims as usize;
    let segment = Vectors::load(&built.meta, &built.pages).expect("sound pages");
    let (mut times, mut found, mut seen, mut all, mut stats) = (Vec::new(), 0, 0, 0, ScanStats::default());
    for (query, truth) in queries.chunks_exact(dims).zip(truth) {
        let mut run = |limit| {
            let start = Instant::now();
            let mut candidates = Candidates::new(limit);
            let query = CodeQuery::new(query);
            stats = segment
                .scan(&built.pages, &query, probes, want, mask, 0, &mut candidates)
                .expect("sound pages");
            let best = candidates.into_sorted();
            (start.elapsed(), best)
        };
        let everything = run(usize::MAX).1;
        let (_, best) = run(limit);
        times.push((0..3).map(|_| run(limit).0).min().unwrap_or_default());
        let everything: std::collections::HashSet<u32> = everything.iter().map(|row| row.slot).collect();
        seen += truth.iter().filter(|slot| everything.contains(slot)).count();
        found += truth.iter().filter(|slot| best.iter().any(|row| row.slot == **slot)).count();
        all += truth.len();
    }
    times.sort_unstable();
    let share = |part: usize| part as f64 / all.max(1) as f64;
    Measured { recall: share(found), ceiling: share(seen), time: times[times.len() / 2], stats }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, other: usize| arguments.get(at).map_or(other, |text| text.parse().expect("a number"));
    let (rows, dims) = (number(0, 100_000), number(1, 384));
    let mut vectors = match arguments.get(2) {
        Some(file) => {
            let bytes = std::fs::read(file).expect("the file of vectors");
            bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
        }
        None => synthetic(rows + QUERIES, dims),
    };
    let rows = rows.min(vectors.len() / dims - QUERIES);
    vectors.drain(..vectors.len() - (rows + QUERIES) * dims);
    unit(&mut vectors, dims);
    let queries = vectors.split_off(rows * dims);

    let start = Instant::now();
    let repeats = 1000;
    for query in queries.chunks_exact(dims).cycle().take(repeats) {
        std::hint::black_box(CodeQuery::new(query));
    }
    println!("query tables: {:.2?}", start.elapsed() / repeats as u32);

    for flat in [true, false] {
        if flat && rows > 300_000 {
            continue;
        }
        let built = build(dims, &vectors, flat);
        let lists = built.meta.lists;
        let exact = truth(&built, &vectors, &queries, dims, None);
        let mut probes = if flat { vec![1] } else { vec![16, 32, default_probes(lists), 128, lists] };
        probes.retain(|probes| *probes <= lists);
        for probes in probes {
            for limit in [50, 100, 200, 400] {
                let m = measure(&built, &queries, &exact, (probes, 0, limit), None);
                println!(
                    "lists {probes:4} R {limit:3}: recall {:.3} ceiling {:.3}, {:.3} ms, {:.2} ns a code ({} codes)",
                    m.recall,
                    m.ceiling,
                    m.time.as_secs_f64() * 1e3,
                    m.time.as_secs_f64() * 1e9 / m.stats.codes as f64,
                    m.stats.codes,
                );
            }
        }
        println!("default lists: {}", default_probes(lists));
        let shares: &[f64] =
            if rows > 300_000 { &[0.1, 0.01] } else { &[0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.002] };
        for &share in shares {
            for clustered in [false, true] {
                let mut mask = Mask::none(built.rows.len() as u32);
                let mut random = Random(7);
                // A clustered mask takes all rows that are more like one random direction than the others are.
                let direction: Vec<f32> = (0..dims).map(|_| random.normal()).collect();
                let mut scores: Vec<(f32, u32)> = (0u32..)
                    .zip(&built.rows)
                    .filter(|(_, row)| **row != u32::MAX)
                    .map(|(slot, row)| {
                        let along = dot(&direction, &vectors[*row as usize * dims..][..dims]);
                        (if clustered { along } else { random.normal() }, slot)
                    })
                    .collect();
                scores.sort_by(|a, b| b.0.total_cmp(&a.0));
                scores[..(share * scores.len() as f64) as usize]
                    .iter()
                    .for_each(|(_, slot)| mask.insert(*slot));
                let exact = truth(&built, &vectors, &queries, dims, Some(&mask));
                for (probes, want) in [(default_probes(lists), 1000), (0, 1000)] {
                    let m = measure(&built, &queries, &exact, (probes, want, 100), Some(&mask));
                    println!(
                        "mask {share:5} {} probes {probes:4} want {want}: recall {:.3} ceiling {:.3}, {:.3} ms, {} lists, {} codes",
                        if clustered { "clustered" } else { "random   " },
                        m.recall,
                        m.ceiling,
                        m.time.as_secs_f64() * 1e3,
                        m.stats.lists,
                        m.stats.codes,
                    );
                }
            }
        }
    }
}
