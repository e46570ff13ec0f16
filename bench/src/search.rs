//! `vs_search` against SQL that gives the same rows, in the same session.

use crate::database::{Connection, Query, Store};
use crate::report::{Bound, Row};
use crate::stats::Summary;
use crate::timing::{self, Answer, Contestants};
use crate::{Error, Options};
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};

const JOIN: &str = include_str!("../sql/postings_join.sql");
const UNNEST: &str = include_str!("../sql/postings_unnest.sql");
const RANK: &str = include_str!("../sql/postings_rank.sql");
const KEYWORD: &str = include_str!("../sql/keyword.sql");
const HYBRID: &str = include_str!("../sql/hybrid.sql");

/// A mode of search and the SQL that competes in it.
pub struct Mode {
    /// As `vs_search` calls it.
    pub name: &'static str,
    ours: &'static str,
    /// Given nothing but the text.
    ours_from_text: Option<&'static str>,
    /// SQL that anybody could write: name, statement, and what stands for $POSTINGS$ in it.
    peers: &'static [(&'static str, &'static str, &'static str)],
    /// Whether every place must have the peer's score. A vector leg may miss a chunk.
    exact: bool,
}

/// Every mode.
pub const MODES: [Mode; 3] = [
    Mode {
        name: "vector_only",
        ours: "SELECT * FROM vs_search($1, embedding => $3, mode => 'vector_only')",
        ours_from_text: Some("SELECT * FROM vs_search($1, $2, mode => 'vector_only')"),
        peers: &[
            ("narrow", include_str!("../sql/vector.sql"), ""),
            ("plain", include_str!("../sql/vector_plain.sql"), ""),
        ],
        exact: false,
    },
    Mode {
        name: "keyword_only",
        ours: "SELECT * FROM vs_search($1, $2, mode => 'keyword_only')",
        ours_from_text: None,
        peers: &[("rank", KEYWORD, RANK), ("join", KEYWORD, JOIN), ("unnest", KEYWORD, UNNEST)],
        exact: true,
    },
    Mode {
        name: "hybrid",
        ours: "SELECT * FROM vs_search($1, $2, $3)",
        ours_from_text: Some("SELECT * FROM vs_search($1, $2)"),
        peers: &[("rank", HYBRID, RANK), ("join", HYBRID, JOIN), ("unnest", HYBRID, UNNEST)],
        exact: false,
    },
];

/// Queries that find out which peer is the fastest.
const TRIAL: usize = 20;
/// Least mean share of a peer's chunks that an answer with a vector leg must have.
const RECALL: f64 = 0.9;
/// Scores that close are equal: ours sums BM25 in single precision.
const CLOSE: f64 = 1e-5;
/// Not above this share of the best hand-written SQL's time.
const BOUND: f64 = 1.15;

struct System {
    name: String,
    sql: String,
    ours: bool,
}

struct Field<'a> {
    connection: &'a mut Connection,
    store: &'a Store,
    queries: &'a [Query],
    systems: Vec<System>,
    exact: bool,
}

impl Field<'_> {
    async fn rows(&mut self, system: usize, query: usize) -> Result<Vec<PgRow>, Error> {
        let (system, query) = (&self.systems[system], &self.queries[query]);
        // Prepared at the first call and cached under its text.
        let statement = sqlx::query(AssertSqlSafe(system.sql.as_str()));
        let statement = if system.ours {
            statement.bind(&self.store.id).bind(&query.text).bind(&query.embedding)
        } else {
            statement
                .bind(self.store.number)
                .bind(&query.embedding)
                .bind(&query.words)
                .bind(&query.weights)
                .bind(&query.any)
        };
        Ok(statement.fetch_all(&mut *self.connection).await?)
    }

    /// Compares the first system's answers, which are ours, with every other one's: place by place, or by recall.
    async fn check(&mut self, queries: usize) -> Result<(), Error> {
        let mut recalls = vec![0.0; self.systems.len()];
        for query in 0..queries {
            let ours = hits(&self.rows(0, query).await?)?;
            for (system, sum) in recalls.iter_mut().enumerate().skip(1) {
                let expected = hits(&self.rows(system, query).await?)?;
                *sum += recall(&expected, &ours);
                if let Some(difference) = difference(&expected, &ours).filter(|_| self.exact) {
                    let (text, name) = (&self.queries[query].text, &self.systems[system].name);
                    return Err(Error::Different(format!("'{name}' for '{text}': {difference}")));
                }
            }
        }
        for (system, sum) in self.systems.iter().zip(recalls).skip(1) {
            let recall = sum / queries.max(1) as f64;
            if recall < RECALL {
                return Err(Error::Different(format!("'{}': recall {recall:.3}", system.name)));
            }
        }
        Ok(())
    }
}

impl Contestants for Field<'_> {
    fn count(&self) -> usize {
        self.systems.len()
    }

    fn answer(&mut self, contestant: usize, query: usize) -> Answer<'_> {
        Box::pin(async move { self.rows(contestant, query).await.map(drop) })
    }
}

/// Measures one mode: finds the fastest peer in a short trial, then runs it against ours.
pub async fn measure(
    connection: &mut Connection,
    store: &Store,
    queries: &[Query],
    mode: Mode,
    options: &Options,
) -> Result<Vec<Row>, Error> {
    let ours = || System { name: "vs_search".into(), sql: mode.ours.into(), ours: true };
    let peer = |&(name, sql, postings): &(&str, &str, &str)| System {
        name: format!("by hand ({name})"),
        sql: sql.replace("$POSTINGS$", postings),
        ours: false,
    };
    let trial = TRIAL.min(queries.len());
    let systems = std::iter::once(ours()).chain(mode.peers.iter().map(peer)).collect();
    let mut field = Field { connection, store, queries, systems, exact: mode.exact };
    field.check(trial).await?;
    let trial = timing::alternate(&mut field, trial, 1, options.seed).await?;
    let best =
        (1..trial.len()).min_by(|&a, &b| trial[a].all.median.total_cmp(&trial[b].all.median)).unwrap_or(1);
    let tried: serde_json::Map<_, _> =
        field.systems.iter().zip(&trial).map(|(s, t)| (s.name.clone(), json!(t.all.median))).collect();

    let mut systems = vec![ours(), field.systems.swap_remove(best)];
    if let Some(sql) = mode.ours_from_text {
        systems.push(System { name: "text only".into(), sql: sql.into(), ours: true });
    }
    field.systems = systems;
    field.check(queries.len()).await?;
    let times = timing::alternate(&mut field, queries.len(), options.rounds, options.seed).await?;

    let name = format!("vs_search {}", mode.name);
    let row = |name: String, ours: Summary, peer: Summary, bound, details| Row {
        name,
        unit: "ms",
        ours: ours.median,
        peer: Some(peer.median),
        figure: ours.median / peer.median,
        bound,
        details: json!({ "ours": details_of(ours), "peer": details_of(peer), "more": details }),
    };
    let details = json!({ "peer": field.systems[1].name, "trial_medians": tried });
    let mut rows = vec![row(name.clone(), times[0].all, times[1].all, Some(Bound::AtMost(BOUND)), details)];
    for (system, time) in field.systems.iter().zip(&times).skip(2) {
        rows.push(if system.ours {
            row(format!("{name}, {}", system.name), time.all, times[1].all, None, json!({}))
        } else {
            row(format!("{name} : {}", system.name), times[0].all, time.all, None, json!({}))
        });
    }
    Ok(rows)
}

fn details_of(summary: Summary) -> serde_json::Value {
    json!({ "median": summary.median, "p99": summary.p99, "spread": summary.spread })
}

/// Ids and scores of an answer.
fn hits(rows: &[PgRow]) -> Result<Vec<(String, f64)>, Error> {
    rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("score")?))).collect()
}

/// Share of the expected chunks that were found; one with the score of a missing one stands for it.
fn recall(expected: &[(String, f64)], found: &[(String, f64)]) -> f64 {
    let Some(last) = expected.last() else { return 1.0 };
    let is_there = |hit: &&(String, f64)| found.iter().any(|(id, _)| *id == hit.0);
    let same = expected.iter().filter(is_there).count();
    let tied =
        |hit: &&(String, f64)| (hit.1 - last.1).abs() <= CLOSE && expected.iter().all(|(id, _)| *id != hit.0);
    let stand_ins = found.iter().filter(tied).count();
    (same + stand_ins).min(expected.len()) as f64 / expected.len() as f64
}

/// How two answers differ. Scores must agree place by place to the width of single precision; chunks whose scores are that close may
/// change places, and at the end of the list stand for each other.
fn difference(expected: &[(String, f64)], found: &[(String, f64)]) -> Option<String> {
    if expected.len() != found.len() {
        return Some(format!("{} rows instead of {}", found.len(), expected.len()));
    }
    for (place, (a, b)) in expected.iter().zip(found).enumerate() {
        if (a.1 - b.1).abs() > CLOSE {
            return Some(format!("place {place} has the score {} instead of {}", b.1, a.1));
        }
    }
    let last = expected.last()?.1;
    for (id, score) in expected {
        let there =
            found.iter().any(|(other, other_score)| id == other && (score - other_score).abs() <= CLOSE);
        if !there && (score - last).abs() > CLOSE {
            return Some(format!("{id} with the score {score} is missing"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(hits: &[(&str, f64)]) -> Vec<(String, f64)> {
        hits.iter().map(|&(id, score)| (id.into(), score)).collect()
    }

    #[test]
    fn equal_answers_and_ties_are_equal() {
        let a = answer(&[("a", 0.9), ("b", 0.5), ("c", 0.5)]);
        assert_eq!(difference(&a, &a), None);
        assert_eq!(difference(&a, &answer(&[("a", 0.9), ("c", 0.5), ("b", 0.5)])), None);
        assert_eq!(difference(&a, &answer(&[("a", 0.900_000_5), ("b", 0.5), ("d", 0.5)])), None);
        assert_eq!(difference(&[], &[]), None);
    }

    #[test]
    fn recall_counts_chunks_and_forgives_ties_at_the_end() {
        let a = answer(&[("a", 0.9), ("b", 0.5)]);
        assert_eq!(recall(&a, &a), 1.0);
        assert_eq!(recall(&a, &answer(&[("a", 0.9), ("c", 0.5)])), 1.0);
        assert_eq!(recall(&a, &answer(&[("a", 0.9), ("c", 0.4)])), 0.5);
        assert_eq!(recall(&a, &[]), 0.0);
        assert_eq!(recall(&[], &[]), 1.0);
    }

    #[test]
    fn other_scores_other_chunks_and_missing_rows_differ() {
        let a = answer(&[("a", 0.9), ("b", 0.5)]);
        assert!(difference(&a, &answer(&[("a", 0.9)])).is_some());
        assert!(difference(&a, &answer(&[("a", 0.9), ("b", 0.500_1)])).is_some());
        assert!(difference(&a, &answer(&[("x", 0.9), ("b", 0.5)])).is_some());
    }
}
