//! Alternating measurement: the systems take turns query by query, each in a random order of its own. Without
//! that the second one would find the first one's rows in the processor's caches.

use crate::Error;
use crate::stats::{Random, Summary};
use futures_util::future::LocalBoxFuture;
use std::time::Instant;

/// Answers the query with this number; what it returns is thrown away. It is `'a` for the borrow of what runs it.
pub type Answer<'a> = LocalBoxFuture<'a, Result<(), Error>>;

/// Something that answers queries.
pub trait Contestants {
    /// How many there are.
    fn count(&self) -> usize;
    /// Lets one of them answer one query.
    fn answer(&mut self, contestant: usize, query: usize) -> Answer<'_>;
}

/// What one contestant took, in milliseconds.
pub struct Times {
    /// Of all answers.
    pub all: Summary,
    /// Median of each query's rounds, in the order of the queries.
    pub by_query: Vec<f64>,
}

/// Milliseconds of each contestant.
pub async fn alternate(
    contestants: &mut impl Contestants,
    queries: usize,
    rounds: usize,
    seed: u64,
) -> Result<Vec<Times>, Error> {
    let count = contestants.count();
    let mut times = vec![vec![Vec::with_capacity(rounds); queries]; count];
    let mut turn = Random::new(seed, 2);
    for round in 0..rounds {
        let mut orders: Vec<_> = (0..count)
            .map(|c| Random::new(seed, (10 + round * count + c) as u64).order(queries).into_iter())
            .collect();
        for _ in 0..queries {
            for contestant in turn.order(count) {
                let Some(query) = orders[contestant].next() else { continue };
                let begin = Instant::now();
                contestants.answer(contestant, query).await?;
                times[contestant][query].push(begin.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let sum_up = |times: &Vec<Vec<f64>>| {
        let by_query: Option<_> = times.iter().map(|series| Some(Summary::of(series)?.median)).collect();
        Some(Times { all: Summary::of(&times.concat())?, by_query: by_query? })
    };
    let sums: Option<Vec<_>> = times.iter().map(sum_up).collect();
    sums.ok_or_else(|| Error::Setup("there was nothing to measure".into()))
}
