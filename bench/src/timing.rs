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

/// Milliseconds of each contestant.
pub async fn alternate(
    contestants: &mut impl Contestants,
    queries: usize,
    rounds: usize,
    seed: u64,
) -> Result<Vec<Summary>, Error> {
    let count = contestants.count();
    let mut times = vec![Vec::with_capacity(queries * rounds); count];
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
                times[contestant].push(begin.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let summaries: Option<Vec<_>> = times.iter().map(|series| Summary::of(series)).collect();
    summaries.ok_or_else(|| Error::Setup("there was nothing to measure".into()))
}
