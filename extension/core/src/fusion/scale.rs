//! The scale of one leg: from its raw scores and ranks to 0..=1, as [`Method`] defines it.

use super::{Found, Method, reciprocal};

/// Raw scores count as at most this (and at least its negative), so that squares of them stay finite.
const RAW_LIMIT: f64 = 1e100;

/// What is left of a [`Found`] when everything that means "unknown" is none.
#[derive(Clone, Copy)]
pub(super) struct Usable {
    pub score: Option<f64>,
    pub rank: Option<u32>,
}

impl Usable {
    pub fn of_vector(found: Found) -> Self {
        let score = found.score.filter(|score| score.is_finite());
        Self {
            score: score.map(|score| score.clamp(-RAW_LIMIT, RAW_LIMIT)),
            rank: found.rank.filter(|&rank| rank > 0),
        }
    }

    pub fn of_keyword(found: Found) -> Self {
        let usable = Self::of_vector(found);
        Self { score: usable.score.filter(|&score| score > 0.0), ..usable }
    }
}

/// Normalises the scores of one leg.
pub(super) enum Scale {
    Absolute(fn(f64) -> f64),
    Range {
        min: f64,
        max: f64,
    },
    Deviations {
        mean: f64,
        deviation: f64,
        /// Through the logistic function, else by the range of three deviations either side.
        logistic: bool,
    },
    /// A list without spread: everything in it has the score `at`, which becomes `value`.
    Point {
        at: f64,
        value: f64,
    },
    Reciprocal {
        k: f64,
    },
    /// No list, no statistics.
    Empty,
}

impl Scale {
    pub fn new(method: Method, absolute: fn(f64) -> f64, leg: impl Iterator<Item = Usable>) -> Self {
        let value = match method {
            Method::Weighted => return Self::Absolute(absolute),
            Method::Rrf { k } => return Self::Reciprocal { k },
            Method::MinMax => 1.0,
            Method::Dbsf | Method::ZScore => 0.5,
        };
        let mut listed: Vec<f64> = leg.filter(|found| found.rank.is_some()).filter_map(|f| f.score).collect();
        // Sums in a fixed order: the result must not depend on the order of the candidates.
        listed.sort_unstable_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (listed.first(), listed.last()) else { return Self::Empty };
        if min == max {
            return Self::Point { at: min, value };
        }
        if method == Method::MinMax {
            return Self::Range { min, max };
        }
        let mean = listed.iter().sum::<f64>() / listed.len() as f64;
        let squares: f64 = listed.iter().map(|score| (score - mean).powi(2)).sum();
        let deviation = (squares / (listed.len() - 1) as f64).sqrt();
        // Squares of tiny differences may vanish.
        if deviation > 0.0 {
            Self::Deviations { mean, deviation, logistic: method == Method::ZScore }
        } else {
            Self::Point { at: mean, value }
        }
    }

    pub fn normalise(&self, found: Usable) -> f64 {
        if let Self::Reciprocal { k } = self {
            return found.rank.map_or(0.0, |rank| reciprocal(*k, f64::from(rank)));
        }
        let Some(score) = found.score else { return 0.0 };
        match self {
            Self::Absolute(scale) => scale(score),
            Self::Range { min, max } => ((score - min) / (max - min)).clamp(0.0, 1.0),
            Self::Deviations { mean, deviation, logistic } => {
                let z = (score - mean) / deviation;
                if *logistic { 1.0 / (1.0 + (-z).exp()) } else { (0.5 + z / 6.0).clamp(0.0, 1.0) }
            }
            Self::Point { at, value } if score == *at => *value,
            Self::Point { at, .. } if score > *at => 1.0,
            Self::Point { .. } | Self::Empty | Self::Reciprocal { .. } => 0.0,
        }
    }
}
