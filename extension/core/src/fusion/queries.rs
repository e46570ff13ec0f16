//! One ranking of several queries.

use super::{RRF_K, Refused, by_score, rank_constant, reciprocal};
use std::collections::HashMap;

/// How the scores of a chunk under several queries become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum How {
    /// The greatest `w * score`, where weights are relative to the greatest one: with equal weights, the score
    /// under the query that the chunk fits best.
    Max,
    /// The weighted mean `sum(w * score) / sum(w)`; a query under which the score is unknown adds 0.
    Sum,
    /// Reciprocal rank fusion: the weighted mean of `(k + 1) / (k + rank)`. Ranks count from 1 through all known
    /// scores of a query, descending, equal scores by chunk id; unknown ones add 0.
    Rrf {
        /// Finite and at least 0.
        k: f64,
    },
}

impl How {
    /// The way of this name (`max`, `sum` or `rrf`); `k` is only used by `rrf`, and [`RRF_K`] when missing.
    /// Refused: any other name, and a k that is negative or not finite.
    pub fn parse(name: &str, k: Option<f64>) -> Result<Self, Refused> {
        match name {
            "max" => Ok(Self::Max),
            "sum" => Ok(Self::Sum),
            "rrf" => Ok(Self::Rrf { k: rank_constant(k.unwrap_or(RRF_K))? }),
            _ => Err(Refused::Name),
        }
    }
}

/// The result of one query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueryScores<'a> {
    /// Finite and not negative.
    pub weight: f64,
    /// Chunks whose score under this query is known, in any order: what the query found, and, so that no chunk
    /// loses by missing in a list, what the other queries found and was scored under this one too. Scores are
    /// clamped to 0..=1; one that is not a finite number is unknown. Of a repeated chunk the best score counts.
    pub scores: &'a [(i64, f64)],
}

/// A chunk of the combined ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Combined {
    /// The chunk.
    pub chunk_id: i64,
    /// Combined score, 0..=1.
    pub score: f64,
    /// Its score under each positive query, in their order, where known.
    pub positive: Vec<Option<f64>>,
    /// Its score under each negative query, in their order, where known.
    pub negative: Vec<Option<f64>>,
}

/// Combines the results of several queries. `how` combines the positive ones; from that each negative query
/// takes `weight * score` away, and what falls below 0 becomes 0. So the weights of positive queries are
/// relative, those of negative ones absolute: 1 takes the whole score away. A chunk whose score under a negative
/// query is unknown loses nothing to it.
///
/// The result has every chunk with a known score under a positive query whose weight is not 0, sorted by score
/// descending, then by chunk id. Terms of a sum are added from the smallest up, so that the same scores in
/// another order of queries of equal weight tie exactly.
///
/// Refused: a weight that is negative or not finite, sums of weights that are not finite, no positive query with
/// a weight above 0, and an illegal k.
pub fn combine(
    positives: &[QueryScores],
    negatives: &[QueryScores],
    how: How,
) -> Result<Vec<Combined>, Refused> {
    let total = sum_of_weights(positives)?;
    sum_of_weights(negatives)?;
    if total <= 0.0 {
        return Err(Refused::Weights);
    }
    if let How::Rrf { k } = how {
        rank_constant(k)?;
    }
    let mut chunks: HashMap<i64, Combined> = HashMap::new();
    for query in positives.iter().filter(|query| query.weight > 0.0) {
        for (chunk_id, _) in known(query) {
            chunks.entry(chunk_id).or_insert_with(|| Combined {
                chunk_id,
                score: 0.0,
                positive: vec![None; positives.len()],
                negative: vec![None; negatives.len()],
            });
        }
    }
    place(&mut chunks, positives, |chunk| &mut chunk.positive);
    place(&mut chunks, negatives, |chunk| &mut chunk.negative);

    let mut chunks: Vec<Combined> = chunks.into_values().collect();
    let greatest = positives.iter().map(|query| query.weight).fold(0.0, f64::max);
    // Terms of each chunk: its score or its rank's share under each query, times the weight.
    let mut terms = vec![vec![0.0; positives.len()]; chunks.len()];
    for (column, query) in positives.iter().enumerate() {
        let scores = chunks.iter().map(|chunk| (chunk.chunk_id, chunk.positive[column]));
        let scale = if how == How::Max { query.weight / greatest } else { query.weight };
        let values = if let How::Rrf { k } = how { shares(scores, k) } else { scores.map(|s| s.1).collect() };
        for (row, value) in terms.iter_mut().zip(values) {
            row[column] = scale * value.unwrap_or(0.0);
        }
    }
    for (chunk, row) in chunks.iter_mut().zip(terms) {
        let combined = if how == How::Max { row.into_iter().fold(0.0, f64::max) } else { sum(row) / total };
        let taken = negatives.iter().zip(&chunk.negative).map(|(query, s)| query.weight * s.unwrap_or(0.0));
        chunk.score = (combined - sum(taken.collect())).clamp(0.0, 1.0);
    }
    chunks.sort_unstable_by(|a, b| by_score((a.score, a.chunk_id), (b.score, b.chunk_id)));
    Ok(chunks)
}

fn sum_of_weights(queries: &[QueryScores]) -> Result<f64, Refused> {
    let total = sum(queries.iter().map(|query| query.weight).collect());
    let legal = total.is_finite() && queries.iter().all(|query| query.weight >= 0.0);
    legal.then_some(total).ok_or(Refused::Weights)
}

fn known<'a>(query: &QueryScores<'a>) -> impl Iterator<Item = (i64, f64)> + use<'a> {
    let finite = query.scores.iter().copied().filter(|(_, score)| score.is_finite());
    finite.map(|(chunk_id, score)| (chunk_id, score.clamp(0.0, 1.0)))
}

/// Writes the scores of each query into its place in the chunks' lists.
fn place(
    chunks: &mut HashMap<i64, Combined>,
    queries: &[QueryScores],
    list: fn(&mut Combined) -> &mut Vec<Option<f64>>,
) {
    for (column, query) in queries.iter().enumerate() {
        for (chunk_id, score) in known(query) {
            if let Some(chunk) = chunks.get_mut(&chunk_id) {
                let best = &mut list(chunk)[column];
                *best = Some(best.map_or(score, |other| other.max(score)));
            }
        }
    }
}

/// Share of each chunk's rank among the known scores.
fn shares(scores: impl Iterator<Item = (i64, Option<f64>)>, k: f64) -> Vec<Option<f64>> {
    let scores: Vec<_> = scores.collect();
    let mut ranked: Vec<(f64, i64, usize)> =
        scores.iter().enumerate().filter_map(|(row, &(id, score))| Some((score?, id, row))).collect();
    ranked.sort_unstable_by(|a, b| by_score((a.0, a.1), (b.0, b.1)));
    let mut shares = vec![None; scores.len()];
    for (place, (_, _, row)) in ranked.into_iter().enumerate() {
        shares[row] = Some(reciprocal(k, (place + 1) as f64));
    }
    shares
}

/// Sum from the smallest up.
fn sum(mut terms: Vec<f64>) -> f64 {
    terms.sort_unstable_by(f64::total_cmp);
    // Not `sum`, which begins with -0.0.
    terms.into_iter().fold(0.0, |sum, term| sum + term)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WAYS: [How; 3] = [How::Max, How::Sum, How::Rrf { k: 60.0 }];

    fn query(weight: f64, scores: &[(i64, f64)]) -> QueryScores<'_> {
        QueryScores { weight, scores }
    }

    fn scores(positives: &[QueryScores], negatives: &[QueryScores], how: How) -> Vec<(i64, f64)> {
        let combined = combine(positives, negatives, how).unwrap();
        combined.iter().map(|chunk| (chunk.chunk_id, chunk.score)).collect()
    }

    #[test]
    fn each_way_is_as_defined() {
        let queries = [query(1.0, &[(1, 0.5), (2, 1.0)]), query(3.0, &[(1, 0.5), (3, 0.25)])];
        assert_eq!(scores(&queries, &[], How::Max), [(1, 0.5), (2, 1.0 / 3.0), (3, 0.25)]);
        assert_eq!(scores(&queries, &[], How::Sum), [(1, 0.5), (2, 0.25), (3, 0.1875)]);
        // k = 1: rank 1 is 1, rank 2 is 2/3.
        let rrf = scores(&queries, &[], How::Rrf { k: 1.0 });
        assert_eq!(rrf.iter().map(|hit| hit.0).collect::<Vec<_>>(), [1, 3, 2]);
        for (hit, expected) in rrf.iter().zip([(2.0 / 3.0 + 3.0) / 4.0, 0.5, 0.25]) {
            assert!((hit.1 - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn negatives_take_their_score_away() {
        let likes = [query(1.0, &[(1, 0.9), (2, 0.8), (3, 0.7)])];
        let dislikes = [query(0.5, &[(1, 1.0), (9, 1.0)]), query(2.0, &[(2, 0.5)])];
        let combined = combine(&likes, &dislikes, How::Sum).unwrap();
        assert_eq!(
            combined.iter().map(|c| (c.chunk_id, c.score)).collect::<Vec<_>>(),
            [(3, 0.7), (1, 0.4), (2, 0.0)]
        );
        assert_eq!(combined[1].positive, [Some(0.9)]);
        assert_eq!(combined[1].negative, [Some(1.0), None]);
    }

    #[test]
    fn ranks_in_another_order_tie_exactly() {
        let rows = [[0.9, 0.8, 0.7], [0.7, 0.9, 0.8], [0.8, 0.7, 0.9]];
        let lists: Vec<Vec<(i64, f64)>> =
            rows.iter().map(|row| [3, 1, 2].into_iter().zip(*row).collect()).collect();
        let queries: Vec<_> = lists.iter().map(|list| query(0.1, list)).collect();
        for how in [How::Sum, How::Rrf { k: 60.0 }] {
            let combined = scores(&queries, &[], how);
            assert!(combined.iter().all(|hit| hit.1 == combined[0].1));
            assert_eq!(combined.iter().map(|hit| hit.0).collect::<Vec<_>>(), [1, 2, 3]);
        }
    }

    #[test]
    fn a_query_of_weight_zero_is_out() {
        let queries = [query(1.0, &[(1, 0.5)]), query(0.0, &[(1, 1.0), (2, 1.0)])];
        for how in WAYS {
            assert_eq!(scores(&queries, &[], how), scores(&queries[..1], &[], how));
        }
    }

    #[test]
    fn illegal_requests_are_refused() {
        let list = [(1, 0.5)];
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(combine(&[query(weight, &list)], &[], How::Max), Err(Refused::Weights));
        }
        assert_eq!(combine(&[], &[query(1.0, &list)], How::Sum), Err(Refused::Weights));
        assert_eq!(combine(&[query(1.0, &list)], &[query(-1.0, &list)], How::Sum), Err(Refused::Weights));
        let nan = How::Rrf { k: f64::NAN };
        assert_eq!(combine(&[query(1.0, &list)], &[], nan), Err(Refused::RankConstant));
        assert_eq!(How::parse("max", None), Ok(How::Max));
        assert_eq!(How::parse("sum", None), Ok(How::Sum));
        assert_eq!(How::parse("rrf", Some(2.0)), Ok(How::Rrf { k: 2.0 }));
        assert_eq!(How::parse("mean", None), Err(Refused::Name));
    }

    fn any_query() -> impl Strategy<Value = (f64, Vec<(i64, f64)>)> {
        let score = prop_oneof![4 => (0u32..9).prop_map(|n| f64::from(n) / 8.0), 1 => any::<f64>()];
        let weight = prop_oneof![Just(0.0), Just(1.0), 0.0..3.0f64];
        (weight, proptest::collection::vec((0i64..12, score), 0..12))
    }

    fn borrowed(queries: &[(f64, Vec<(i64, f64)>)]) -> Vec<QueryScores<'_>> {
        queries.iter().map(|(weight, list)| query(*weight, list)).collect()
    }

    proptest! {
        #[test]
        fn any_input_gives_sorted_scores_in_range(
            positives in proptest::collection::vec(any_query(), 1..5),
            negatives in proptest::collection::vec(any_query(), 0..3),
            way in 0..3usize
        ) {
            match combine(&borrowed(&positives), &borrowed(&negatives), WAYS[way]) {
                Err(refused) => {
                    prop_assert_eq!(refused, Refused::Weights);
                    prop_assert!(positives.iter().all(|query| query.0 == 0.0));
                }
                Ok(hits) => {
                    prop_assert!(hits.iter().all(|hit| (0.0..=1.0).contains(&hit.score)));
                    prop_assert!(
                        hits.is_sorted_by(|a, b| a.score > b.score || a.score == b.score && a.chunk_id < b.chunk_id)
                    );
                }
            }
        }

        #[test]
        fn one_query_keeps_its_scores((weight, list) in any_query()) {
            prop_assume!(weight > 0.0 && list.iter().all(|hit| hit.1.is_finite()));
            for hit in combine(&[query(weight, &list)], &[], How::Max).unwrap() {
                prop_assert_eq!(Some(hit.score), hit.positive[0]);
            }
        }
    }
}
