//! Comparison with `tests/python/reference_fusion.py`, whose output is `tests/golden/fusion.json`.

use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    fuse: Vec<FuseCase>,
    combine: Vec<CombineCase>,
    groups: Vec<GroupCase>,
}

/// Chunk id, cosine, rank of the vector leg, BM25, rank of the keyword leg.
type Row = (i64, Option<f64>, Option<u32>, Option<f64>, Option<u32>);

#[derive(Deserialize)]
struct FuseCase {
    method: String,
    k: Option<f64>,
    weights: [f64; 2],
    candidates: Vec<Row>,
    /// Chunk id, fused score, normalised scores of both legs.
    hits: Vec<(i64, f64, f64, f64)>,
    /// Least vector, keyword and fused score.
    thresholds: [Option<f64>; 3],
    admitted: Vec<i64>,
}

#[derive(Deserialize)]
struct CombineCase {
    how: String,
    k: Option<f64>,
    positives: Vec<(f64, Vec<(i64, f64)>)>,
    negatives: Vec<(f64, Vec<(i64, f64)>)>,
    hits: Vec<(i64, f64)>,
}

#[derive(Deserialize)]
struct GroupCase {
    ranked: Vec<(i64, Option<String>)>,
    k: usize,
    group_size: usize,
    hits: Vec<i64>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/fusion.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn fused_scores_are_those_of_the_reference() {
    let cases = golden().fuse;
    assert!(cases.len() >= 100);
    for (number, case) in cases.iter().enumerate() {
        let candidates: Vec<Candidate> = (case.candidates.iter())
            .map(|&(chunk_id, cosine, vector_rank, bm25, keyword_rank)| Candidate {
                chunk_id,
                vector: Found { score: cosine, rank: vector_rank },
                keyword: Found { score: bm25, rank: keyword_rank },
            })
            .collect();
        let weights = Weights { vector: case.weights[0], keyword: case.weights[1] };
        let hits = fuse(&candidates, Method::parse(&case.method, case.k).unwrap(), weights).unwrap();
        assert_eq!(hits.len(), case.hits.len(), "case {number}");
        for (hit, &(chunk_id, score, vector, keyword)) in hits.iter().zip(&case.hits) {
            assert_eq!(hit.chunk_id, chunk_id, "case {number}");
            assert!(close(hit.score, score), "case {number}: {hit:?}, expected {score}");
            assert!(close(hit.vector.normalised, vector), "case {number}: {hit:?}, expected {vector}");
            assert!(close(hit.keyword.normalised, keyword), "case {number}: {hit:?}, expected {keyword}");
        }
        let [vector, keyword, fused] = case.thresholds;
        let thresholds = Thresholds { vector, keyword, fused };
        let admitted = hits.iter().filter(|hit| thresholds.admit(hit)).map(|hit| hit.chunk_id);
        assert_eq!(admitted.collect::<Vec<_>>(), case.admitted, "case {number}");
    }
}

#[test]
fn combined_scores_are_those_of_the_reference() {
    let cases = golden().combine;
    assert!(cases.len() >= 50);
    for (number, case) in cases.iter().enumerate() {
        let how = How::parse(&case.how, case.k).unwrap();
        let hits = combine(&borrowed(&case.positives), &borrowed(&case.negatives), how).unwrap();
        assert_eq!(hits.len(), case.hits.len(), "case {number}");
        for (hit, &(chunk_id, score)) in hits.iter().zip(&case.hits) {
            assert_eq!(hit.chunk_id, chunk_id, "case {number}: {hit:?}");
            assert!(close(hit.score, score), "case {number}: {hit:?}, expected {score}");
        }
    }
}

fn borrowed(queries: &[(f64, Vec<(i64, f64)>)]) -> Vec<QueryScores<'_>> {
    queries.iter().map(|(weight, scores)| QueryScores { weight: *weight, scores }).collect()
}

#[test]
fn groups_are_those_of_the_reference() {
    let cases = golden().groups;
    assert!(cases.len() >= 20);
    for case in cases {
        let hits = group_limit(&case.ranked, |hit| hit.1.clone(), case.k, case.group_size);
        assert_eq!(hits.iter().map(|hit| hit.0).collect::<Vec<_>>(), case.hits);
    }
}
