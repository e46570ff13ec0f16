//! From scored candidates to the rows of the answer.

use crate::error::Error;
use crate::search::pool::Member;
use crate::search::request::{Mode, Query, Request, invalid};
use crate::search::run::{Plan, Run};
use serde_json::{Value, json};
use vectorstore_core::fusion::{
    Candidate, Found, Hit, Leg, Method, QueryScores, Weights, combine, fuse, group_limit, keyword_score,
    vector_score,
};

/// A chunk of the answer.
pub struct Ranked {
    /// Place of the candidate in the pool.
    pub place: usize,
    pub score: f64,
    pub vector_score: Option<f64>,
    pub keyword_score: Option<f64>,
    /// Its part under the query that it fits best.
    pub hit: Hit,
    pub query: usize,
}

/// Ranks the candidates: fuses the legs of every query, combines the queries, applies thresholds and groups.
pub fn rank(run: &Run) -> Result<Vec<Ranked>, Error> {
    let request = run.request;
    let (queries, members) = (&run.queries, &run.pool.members);
    let fused: Vec<Vec<Hit>> = (0..queries.len())
        .map(|at| fuse_query(request, at, &queries[at], members))
        .collect::<Result<_, _>>()?;
    let place_of = |chunk_id: i64| run.pool.find(chunk_id);
    let mut ranked: Vec<Ranked> = if let [hits] = fused.as_slice() {
        hits.iter()
            .filter_map(|hit| Some(ranked(queries, members, place_of(hit.chunk_id)?, 0, *hit, hit.score)))
            .collect()
    } else {
        combined(run, &fused)?
    };
    ranked.retain(|hit| {
        hit.score >= request.threshold
            && hit.vector_score.is_none_or(|score| score >= request.vector_threshold)
            && hit.keyword_score.is_none_or(|score| score >= request.keyword_threshold)
    });
    if request.group_by.is_some() {
        let groups = |hit: &Ranked| members[hit.place].group.clone();
        let kept: Vec<usize> = group_limit(&ranked, groups, request.list, request.group_size)
            .into_iter()
            .map(|hit| hit.place)
            .collect();
        ranked.retain(|hit| kept.contains(&hit.place));
    }
    ranked.truncate(request.list);
    Ok(ranked)
}

fn fuse_query(request: &Request, at: usize, query: &Query, members: &[Member]) -> Result<Vec<Hit>, Error> {
    let positive = members.iter().filter(|member| !member.gone);
    let candidates: Vec<Candidate> = positive
        .map(|member| Candidate {
            chunk_id: member.chunk_id,
            vector: Found { score: member.under[at].cosine, rank: member.under[at].vector_rank },
            // Not scored means that the query has no term.
            keyword: Found {
                score: Some(member.under[at].bm25.map_or(0.0, f64::from)),
                rank: member.under[at].keyword_rank,
            },
        })
        .collect();
    // A query with one leg answers on that leg's own scale.
    let (method, weights) = match query.mode {
        Mode::Hybrid => (request.method, request.weights),
        Mode::Vector => (Method::Weighted, Weights { vector: 1.0, keyword: 0.0 }),
        Mode::Keyword => (Method::Weighted, Weights { vector: 0.0, keyword: 1.0 }),
    };
    fuse(&candidates, method, weights).map_err(|_| Error::Weights)
}

fn ranked(queries: &[Query], members: &[Member], place: usize, query: usize, hit: Hit, score: f64) -> Ranked {
    let (mode, member) = (queries[query].mode, &members[place]);
    let cosine = member.under[query].cosine.filter(|_| mode != Mode::Keyword);
    let bm25 = member.under[query].bm25.map(f64::from).filter(|_| mode != Mode::Vector);
    Ranked {
        place,
        score,
        vector_score: cosine.map(vector_score),
        keyword_score: if mode == Mode::Vector { None } else { Some(keyword_score(bm25.unwrap_or(0.0))) },
        hit,
        query,
    }
}

/// One list of several queries. Every candidate is scored under every query, so none loses by missing in a list.
fn combined(run: &Run, fused: &[Vec<Hit>]) -> Result<Vec<Ranked>, Error> {
    let request = run.request;
    let scores: Vec<Vec<(i64, f64)>> =
        fused.iter().map(|hits| hits.iter().map(|hit| (hit.chunk_id, hit.score)).collect()).collect();
    let (positive, negative) = scores.split_at(scores.len() - request.negatives.min(scores.len()));
    let with = |weight: f64| move |scores| QueryScores { weight, scores };
    let positive: Vec<QueryScores> = positive.iter().map(Vec::as_slice).map(with(1.0)).collect();
    let negative: Vec<QueryScores> =
        negative.iter().map(Vec::as_slice).map(with(request.negative_weight)).collect();
    let list = combine(&positive, &negative, request.how)
        .map_err(|_| invalid("negative_weight must be finite and not negative.", "negative_weight"))?;
    let hits = list.into_iter().filter_map(|combined| {
        let place = run.pool.find(combined.chunk_id)?;
        // Explained by the query that it fits best.
        let (query, hit) = (0..positive.len())
            .filter_map(|at| {
                let hit = fused[at].iter().find(|hit| hit.chunk_id == combined.chunk_id)?;
                Some((at, *hit))
            })
            .reduce(|best, next| if next.1.score > best.1.score { next } else { best })?;
        Some(ranked(&run.queries, &run.pool.members, place, query, hit, combined.score))
    });
    Ok(hits.collect())
}

/// Why a chunk stands where it does.
pub fn explain(queries: &[Query], done: &Plan, ranked: &Ranked, matched: &[String]) -> Value {
    let query = &queries[ranked.query];
    let leg = |leg: &Leg, raw: &str, score: Option<f64>| {
        let mut value = json!({ raw: leg.raw, "score": score, "rank": leg.rank });
        if query.mode == Mode::Hybrid {
            value["weight"] = json!(leg.weight);
            value["normalised"] = json!(leg.normalised);
        }
        value
    };
    let mut value = json!({ "mode": query.mode.name(), "search": plan(done) });
    if query.mode != Mode::Keyword {
        value["vector"] = leg(&ranked.hit.vector, "cosine", ranked.vector_score);
    }
    if query.mode != Mode::Vector {
        value["keyword"] = leg(&ranked.hit.keyword, "bm25", ranked.keyword_score);
        value["keyword"]["terms"] = json!(matched);
    }
    if queries.len() > 1 {
        value["query"] = json!(ranked.query + 1);
    }
    value
}

fn plan(plan: &Plan) -> Value {
    let mut value = json!({
        "segments": plan.segments, "tail_rows": plan.tail_rows, "lists": plan.lists, "codes": plan.codes,
        "rows_read": plan.rows_read,
    });
    if plan.hnsw > 0 {
        value["hnsw"] = json!(plan.hnsw);
    }
    value
}
