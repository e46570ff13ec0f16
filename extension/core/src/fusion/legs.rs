//! Fusion of the vector leg and the keyword leg of one query.

use super::scale::{Scale, Usable};
use super::{Method, Refused, by_score, keyword_score, rank_constant, vector_score, weighted};

/// What one leg knows about a candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Found {
    /// Exact raw score: cosine similarity (-1..=1) or BM25 (0 and up). Known without a rank when the other leg
    /// found the candidate and this one only scored it. Not a finite number: taken as unknown.
    pub score: Option<f64>,
    /// Place in the leg's own list, from 1 on. 0 is taken as none.
    pub rank: Option<u32>,
}

/// A chunk that at least one leg found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The chunk; no two candidates have the same.
    pub chunk_id: i64,
    /// Vector leg; scores are cosines.
    pub vector: Found,
    /// Keyword leg; scores are BM25. 0 or less means that no term matched, and counts as unknown.
    pub keyword: Found,
}

/// Weights of the legs: finite, not negative, not both zero, their sum finite. Only their ratio matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Weight of the vector leg.
    pub vector: f64,
    /// Weight of the keyword leg.
    pub keyword: f64,
}

/// One leg's part in a fused score, which is the sum of `normalised * weight` over both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leg {
    /// The raw score as given, if it is a finite number.
    pub raw: Option<f64>,
    /// The score on the method's scale, 0..=1; 0 when the score (for `rrf` the rank) is unknown.
    pub normalised: f64,
    /// Share of the leg in the sum of weights, 0..=1.
    pub weight: f64,
    /// Place in the leg's own list, from 1 on.
    pub rank: Option<u32>,
}

/// A fused candidate, with all that is needed to explain its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The chunk.
    pub chunk_id: i64,
    /// Fused score, 0..=1.
    pub score: f64,
    /// Part of the vector leg.
    pub vector: Leg,
    /// Part of the keyword leg.
    pub keyword: Leg,
}

/// Fuses the candidates of one query: the score is [`weighted`] of the legs' scores as normalised by `method`.
/// Sorted by score descending, then by chunk id.
///
/// A leg of weight 0 is out: candidates that have a rank in it and none in the other are not hits, so that the
/// result is that of the other leg alone. Refused: weights that are negative, not finite or both zero, and an
/// illegal k of `rrf`.
pub fn fuse(candidates: &[Candidate], method: Method, weights: Weights) -> Result<Vec<Hit>, Refused> {
    let sum = weights.vector + weights.keyword;
    if weighted(0.0, 0.0, weights.vector, weights.keyword).is_none() {
        return Err(Refused::Weights);
    }
    if let Method::Rrf { k } = method {
        rank_constant(k)?;
    }
    let vector = Scale::new(method, vector_score, candidates.iter().map(|c| Usable::of_vector(c.vector)));
    let keyword = Scale::new(method, keyword_score, candidates.iter().map(|c| Usable::of_keyword(c.keyword)));
    let mut hits = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let (v, k) = (Usable::of_vector(candidate.vector), Usable::of_keyword(candidate.keyword));
        let ranked_in_a_leg = v.rank.is_some() || k.rank.is_some();
        let ranked_where_it_counts =
            v.rank.is_some() && weights.vector > 0.0 || k.rank.is_some() && weights.keyword > 0.0;
        if ranked_in_a_leg && !ranked_where_it_counts {
            continue;
        }
        let leg = |found: Found, usable: Usable, scale: &Scale, weight: f64| Leg {
            raw: found.score.filter(|score| score.is_finite()),
            normalised: scale.normalise(usable),
            weight: weight / sum,
            rank: usable.rank,
        };
        let vector = leg(candidate.vector, v, &vector, weights.vector);
        let keyword = leg(candidate.keyword, k, &keyword, weights.keyword);
        let score = weighted(vector.normalised, keyword.normalised, weights.vector, weights.keyword)
            .ok_or(Refused::Weights)?;
        hits.push(Hit { chunk_id: candidate.chunk_id, score, vector, keyword });
    }
    hits.sort_unstable_by(|a, b| by_score((a.score, a.chunk_id), (b.score, b.chunk_id)));
    Ok(hits)
}

/// Least scores of what is shown; applied to hits, so statistics and ranks stay those of all candidates.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Thresholds {
    /// Least [`vector_score`] of the cosine (0..=1), whatever the method.
    pub vector: Option<f64>,
    /// Least [`keyword_score`] of the BM25 score (0..<1), whatever the method.
    pub keyword: Option<f64>,
    /// Least fused score (0..=1).
    pub fused: Option<f64>,
}

impl Thresholds {
    /// Whether the hit reaches every threshold that is set. An unknown score of a leg counts 0, so only a
    /// threshold of 0 or less lets it through. Nothing reaches NaN.
    pub fn admit(&self, hit: &Hit) -> bool {
        let reached = |score: f64, least: Option<f64>| least.is_none_or(|least| score >= least);
        reached(hit.vector.raw.map_or(0.0, vector_score), self.vector)
            && reached(hit.keyword.raw.map_or(0.0, keyword_score), self.keyword)
            && reached(hit.score, self.fused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVEN: Weights = Weights { vector: 1.0, keyword: 1.0 };
    const METHODS: [Method; 5] =
        [Method::Weighted, Method::MinMax, Method::Dbsf, Method::ZScore, Method::Rrf { k: 60.0 }];

    fn found(score: f64, rank: u32) -> Found {
        Found { score: Some(score), rank: (rank > 0).then_some(rank) }
    }

    fn candidate(chunk_id: i64, vector: Found, keyword: Found) -> Candidate {
        Candidate { chunk_id, vector, keyword }
    }

    fn vectors(scores: &[f64]) -> Vec<Candidate> {
        let rows = scores.iter().zip(1u32..);
        rows.map(|(&s, n)| candidate(i64::from(n), found(s, n), Found::default())).collect()
    }

    fn normalised(candidates: &[Candidate], method: Method) -> Vec<f64> {
        let mut hits = fuse(candidates, method, EVEN).unwrap();
        hits.sort_by_key(|hit| hit.chunk_id);
        hits.iter().map(|hit| hit.vector.normalised).collect()
    }

    #[test]
    fn each_method_has_its_scale() {
        let rows = vectors(&[0.9, 0.5, 0.1]);
        assert_eq!(normalised(&rows, Method::Weighted), [0.95, 0.75, 0.55]);
        assert_eq!(normalised(&rows, Method::MinMax), [1.0, 0.5, 0.0]);
        // Mean 0.5 and deviation 0.4: one deviation is a sixth of the range.
        let close = |a: Vec<f64>, b: [f64; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(normalised(&rows, Method::Dbsf), [4.0 / 6.0, 0.5, 2.0 / 6.0]));
        let e = std::f64::consts::E;
        assert!(close(normalised(&rows, Method::ZScore), [e / (1.0 + e), 0.5, 1.0 / (1.0 + e)]));
        assert_eq!(normalised(&rows, Method::Rrf { k: 1.0 }), [1.0, 2.0 / 3.0, 0.5]);
    }

    #[test]
    fn lists_without_spread_are_defined() {
        for rows in [vectors(&[0.1]), vectors(&[0.1, 0.1, 0.1])] {
            assert!(normalised(&rows, Method::MinMax).iter().all(|&x| x == 1.0));
            assert!(normalised(&rows, Method::Dbsf).iter().all(|&x| x == 0.5));
            assert!(normalised(&rows, Method::ZScore).iter().all(|&x| x == 0.5));
        }
        let mut rows = vectors(&[0.3]);
        rows.push(candidate(2, found(0.4, 0), found(1.0, 1)));
        rows.push(candidate(3, found(0.2, 0), found(1.0, 2)));
        assert_eq!(normalised(&rows, Method::MinMax), [1.0, 1.0, 0.0]);
        assert_eq!(normalised(&rows, Method::ZScore), [0.5, 1.0, 0.0]);
        // Differences whose squares are zero.
        assert_eq!(normalised(&vectors(&[1e-200, -1e-200]), Method::Dbsf), [1.0, 0.0]);
    }

    #[test]
    fn rescored_candidates_do_not_shape_the_scale() {
        let mut rows = vectors(&[0.8, 0.6]);
        rows.push(candidate(3, found(0.7, 0), found(4.0, 1)));
        rows.push(candidate(4, found(-0.5, 0), found(3.0, 2)));
        rows.push(candidate(5, found(0.95, 0), found(2.0, 3)));
        let scores = normalised(&rows, Method::MinMax);
        assert_eq!((scores[0], scores[1], scores[3], scores[4]), (1.0, 0.0, 0.0, 1.0));
        assert!((scores[2] - 0.5).abs() < 1e-12);
        assert_eq!(normalised(&rows, Method::Dbsf)[3], 0.0);
        assert_eq!(normalised(&rows, Method::Rrf { k: 60.0 })[2..], [0.0, 0.0, 0.0]);
    }

    #[test]
    fn unknown_keyword_scores_count_nothing() {
        for keyword in [Found::default(), found(0.0, 0), found(-3.0, 0), found(f64::NAN, 0)] {
            let mut rows = vectors(&[0.9]);
            rows[0].keyword = keyword;
            rows.push(candidate(2, Found::default(), found(9.0, 1)));
            rows.push(candidate(3, Found::default(), found(5.0, 2)));
            for method in METHODS {
                let hits = fuse(&rows, method, EVEN).unwrap();
                let first = hits.iter().find(|hit| hit.chunk_id == 1).unwrap();
                assert_eq!(first.keyword.normalised, 0.0);
            }
        }
    }

    #[test]
    fn first_in_both_legs_is_one_in_rrf() {
        let rows = [candidate(7, found(0.2, 1), found(0.1, 1))];
        let hits = fuse(&rows, Method::Rrf { k: 60.0 }, Weights { vector: 0.7, keyword: 0.3 }).unwrap();
        assert_eq!(hits[0].score, 1.0);
        assert!((hits[0].vector.weight - 0.7).abs() < 1e-12);
        let illegal = fuse(&rows, Method::Rrf { k: -1.0 }, EVEN);
        assert_eq!(illegal, Err(Refused::RankConstant));
    }

    #[test]
    fn weight_zero_leaves_the_other_leg_alone() {
        let rows = [
            candidate(1, found(0.9, 1), found(2.0, 0)),
            candidate(2, found(0.1, 0), found(9.0, 1)),
            candidate(3, found(0.5, 2), found(5.0, 2)),
        ];
        let alone =
            [candidate(1, rows[0].vector, Found::default()), candidate(3, rows[2].vector, Found::default())];
        for method in METHODS {
            let weights = Weights { vector: 2.0, keyword: 0.0 };
            let scores = |rows: &[Candidate]| -> Vec<_> {
                fuse(rows, method, weights).unwrap().iter().map(|hit| (hit.chunk_id, hit.score)).collect()
            };
            assert_eq!(scores(&rows), scores(&alone));
        }
    }

    #[test]
    fn illegal_weights_are_refused() {
        for (vector, keyword) in
            [(0.0, 0.0), (-1.0, 2.0), (f64::NAN, 1.0), (1.0, f64::INFINITY), (1e308, 1e308)]
        {
            assert_eq!(fuse(&[], Method::MinMax, Weights { vector, keyword }), Err(Refused::Weights));
        }
        assert_eq!(fuse(&[], Method::MinMax, EVEN), Ok(Vec::new()));
    }

    #[test]
    fn thresholds_are_on_the_absolute_scales() {
        let rows =
            [candidate(1, found(0.5, 1), found(10.0, 1)), candidate(2, found(0.9, 2), Found::default())];
        let hits = fuse(&rows, Method::Rrf { k: 60.0 }, EVEN).unwrap();
        let admitted = |thresholds: Thresholds| -> Vec<i64> {
            hits.iter().filter(|hit| thresholds.admit(hit)).map(|hit| hit.chunk_id).collect()
        };
        assert_eq!(admitted(Thresholds::default()), [1, 2]);
        assert_eq!(admitted(Thresholds { vector: Some(0.75), ..Default::default() }), [1, 2]);
        assert_eq!(admitted(Thresholds { vector: Some(0.76), ..Default::default() }), [2]);
        assert_eq!(admitted(Thresholds { keyword: Some(0.5), ..Default::default() }), [1]);
        assert_eq!(admitted(Thresholds { keyword: Some(0.0), ..Default::default() }), [1, 2]);
        assert_eq!(admitted(Thresholds { fused: Some(1.0), ..Default::default() }), [1]);
        assert_eq!(admitted(Thresholds { fused: Some(f64::NAN), ..Default::default() }), [0i64; 0]);
    }

    fn any_found() -> impl Strategy<Value = Found> {
        let score = prop_oneof![3 => (-2i32..40).prop_map(|n| f64::from(n) / 4.0), 1 => any::<f64>()];
        let rank = prop_oneof![3 => 0u32..9, 1 => any::<u32>()];
        (proptest::option::of(score), proptest::option::of(rank))
            .prop_map(|(score, rank)| Found { score, rank })
    }

    fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
        proptest::collection::vec((any_found(), any_found()), 0..20).prop_map(|rows| {
            rows.into_iter().zip(1..).map(|((vector, keyword), id)| candidate(id, vector, keyword)).collect()
        })
    }

    proptest! {
        #[test]
        fn any_input_gives_sorted_scores_in_range(
            rows in any_candidates(), method in 0..METHODS.len(), vector in 0.0..3.0f64, keyword in 0.001..3.0f64
        ) {
            let hits = fuse(&rows, METHODS[method], Weights { vector, keyword }).unwrap();
            for hit in &hits {
                for score in [hit.score, hit.vector.normalised, hit.keyword.normalised, hit.vector.weight] {
                    prop_assert!((0.0..=1.0).contains(&score), "{hit:?}");
                }
                let sum = hit.vector.normalised * hit.vector.weight + hit.keyword.normalised * hit.keyword.weight;
                prop_assert!((sum - hit.score).abs() < 1e-12);
            }
            prop_assert!(hits.is_sorted_by(|a, b| a.score > b.score || a.score == b.score && a.chunk_id < b.chunk_id));
        }

        #[test]
        fn a_better_raw_score_is_never_worse(rows in any_candidates(), method in 0..4usize) {
            let hits = fuse(&rows, METHODS[method], EVEN).unwrap();
            for a in &hits {
                for b in &hits {
                    if let (Some(x), Some(y)) = (a.vector.raw, b.vector.raw) && x > y {
                        prop_assert!(a.vector.normalised >= b.vector.normalised);
                    }
                }
            }
        }

        #[test]
        fn the_order_of_candidates_does_not_matter(rows in any_candidates(), method in 0..METHODS.len()) {
            let fused = |rows: &[Candidate]| fuse(rows, METHODS[method], EVEN).unwrap();
            let reversed: Vec<_> = rows.iter().rev().copied().collect();
            prop_assert_eq!(fused(&rows), fused(&reversed));
        }
    }
}
