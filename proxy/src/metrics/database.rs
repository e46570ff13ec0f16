//! What the database counts for all processes: the answer of `vectorstore.api_metrics()`.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use serde_json::Value;

/// One answer, or none when the database is down. What it does not say is left out.
#[derive(Debug)]
pub(super) struct Database {
    answer: Option<Value>,
}

/// Numbers without a label: type, name, help, place in the answer.
const PLAIN: [(MetricType, &str, &str, &str); 12] = [
    (
        MetricType::Counter,
        "rate_limit_dry_run",
        "Requests over a limit that is only logged",
        "/rate_limited/dry_run",
    ),
    (MetricType::Counter, "embedding_cache_hits", "Hits of the embedding cache", "/embedding_cache/hits"),
    (
        MetricType::Gauge,
        "embedding_cache_rows",
        "Rows of the embedding cache, of a big one an estimate",
        "/embedding_cache/rows",
    ),
    (
        MetricType::Gauge,
        "embedding_cache_bytes",
        "Size of the embedding cache, of a big one an estimate",
        "/embedding_cache/bytes",
    ),
    (MetricType::Gauge, "stores", "Vector stores", "/stores"),
    (MetricType::Gauge, "chunks", "Chunks of all vector stores", "/chunks"),
    (MetricType::Gauge, "bytes", "Bytes of all vector stores", "/bytes"),
    (MetricType::Gauge, "statistics_entries", "Counters in shared memory", "/stats/entries"),
    (MetricType::Gauge, "statistics_capacity", "Room for counters in shared memory", "/stats/capacity"),
    (
        MetricType::Gauge,
        "rate_limit_buckets",
        "Buckets of rate limits in shared memory, which has room for as many as for counters",
        "/stats/buckets",
    ),
    (
        MetricType::Counter,
        "statistics_overflow",
        "Calls that found no room for their counters, or for the bucket of a rate limit",
        "/stats/overflow",
    ),
    (
        MetricType::Gauge,
        "statistics_flush_age_seconds",
        "Time since statistics were written",
        "/stats/flush_age_seconds",
    ),
];

impl Database {
    pub(super) fn new(answer: Option<&Value>) -> Self {
        Self { answer: answer.cloned() }
    }

    fn number(&self, place: &str) -> Option<f64> {
        self.answer.as_ref()?.pointer(place)?.as_f64()
    }
}

impl Collector for Database {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let up = i64::from(self.answer.is_some());
        encoder
            .encode_descriptor(
                "vectorstore_database_up",
                "Whether the database answers",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&up)?;
        for (kind, name, help, place) in PLAIN {
            let Some(value) = self.number(place) else { continue };
            let name = format!("vectorstore_{name}");
            let mut encoder = encoder.encode_descriptor(&name, help, None, kind)?;
            match kind {
                MetricType::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)?,
                _ => encoder.encode_gauge(&value)?,
            }
        }
        self.encode_groups(&mut encoder)?;
        self.encode_operations(&mut encoder)
    }
}

impl Database {
    /// Families with one label of few values.
    fn encode_groups(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut family =
            |kind: MetricType, name: &str, help: &str, label: &str, group: &str, values: &[&'static str]| {
                let known: Vec<(&'static str, f64)> = values
                    .iter()
                    .filter_map(|value| Some((*value, self.number(&format!("/{group}/{value}"))?)))
                    .collect();
                if known.is_empty() {
                    return Ok(());
                }
                let mut encoder = encoder.encode_descriptor(name, help, None, kind)?;
                for (value, number) in known {
                    let labels = [(label, value)];
                    let mut encoder = encoder.encode_family(&labels)?;
                    match kind {
                        MetricType::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&number, None)?,
                        _ => encoder.encode_gauge(&number)?,
                    }
                }
                Ok(())
            };
        let help = "Requests refused because of a rate limit";
        family(
            MetricType::Counter,
            "vectorstore_rate_limited",
            help,
            "type",
            "rate_limited",
            &["requests", "tokens"],
        )?;
        let help = "Writes refused because of a quota";
        family(
            MetricType::Counter,
            "vectorstore_quota_refused",
            help,
            "type",
            "quota_refused",
            &["stores", "chunks", "bytes"],
        )?;
        family(
            MetricType::Gauge,
            "vectorstore_jobs",
            "Files to be processed",
            "state",
            "jobs",
            &["waiting", "running"],
        )
    }

    /// Calls, errors and times of the functions of the database.
    fn encode_operations(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let operations = self.answer.as_ref().and_then(|answer| answer["operations"].as_array());
        let Some(operations) = operations.filter(|operations| !operations.is_empty()) else { return Ok(()) };
        let named = || operations.iter().filter_map(|one| Some((one["operation"].as_str()?, one)));
        for (name, help, field) in [
            ("vectorstore_database_calls", "Calls of functions of the database", "calls"),
            ("vectorstore_database_errors", "Calls of functions of the database that failed", "errors"),
        ] {
            let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (operation, numbers) in named() {
                let labels = [("operation", operation)];
                let value = numbers[field].as_u64().unwrap_or_default();
                encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
            }
        }
        let help = "Time in functions of the database";
        let mut encoder = encoder.encode_descriptor(
            "vectorstore_database_call_seconds",
            help,
            None,
            MetricType::Histogram,
        )?;
        for (operation, numbers) in named() {
            let labels = [("operation", operation)];
            let calls = numbers["calls"].as_u64().unwrap_or_default();
            let buckets = buckets(&numbers["buckets"], calls);
            let seconds = numbers["seconds"].as_f64().unwrap_or_default();
            encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(seconds, calls, &buckets, None)?;
        }
        Ok(())
    }
}

/// Upper bounds and each bucket's own count, from counts up to each bound; the last bucket, without a bound, has what is
/// left of all calls.
fn buckets(given: &Value, calls: u64) -> Vec<(f64, u64)> {
    let given = given.as_array().into_iter().flatten();
    let mut below = 0;
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    for (bound, count) in given.filter_map(|pair| Some((pair[0].as_f64()?, pair[1].as_u64()?))) {
        buckets.push((bound, count.saturating_sub(below)));
        below = count.max(below);
    }
    buckets.push((f64::INFINITY, calls.saturating_sub(below)));
    buckets
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode_registry;
    use prometheus_client::registry::Registry;
    use serde_json::json;

    use super::*;

    fn text(answer: Option<Value>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Database::new(answer.as_ref())));
        let mut text = String::new();
        encode_registry(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn buckets_are_cumulative_and_end_with_all_calls() {
        let text = text(Some(json!({
            "operations": [{"operation": "search", "calls": 7, "errors": 1, "seconds": 0.5, "buckets": [[0.001, 2], [0.01, 6]]}],
            "rate_limited": {"requests": 3, "tokens": 4, "dry_run": 2},
            "quota_refused": {"stores": 0, "chunks": 6, "bytes": 0}, "jobs": {"waiting": 5, "running": 1}, "stores": 12,
        })));
        for line in [
            "vectorstore_database_up 1\n",
            "vectorstore_database_calls_total{operation=\"search\"} 7\n",
            "vectorstore_database_errors_total{operation=\"search\"} 1\n",
            "vectorstore_database_call_seconds_bucket{le=\"0.001\",operation=\"search\"} 2\n",
            "vectorstore_database_call_seconds_bucket{le=\"0.01\",operation=\"search\"} 6\n",
            "vectorstore_database_call_seconds_bucket{le=\"+Inf\",operation=\"search\"} 7\n",
            "vectorstore_database_call_seconds_sum{operation=\"search\"} 0.5\n",
            "vectorstore_rate_limited_total{type=\"requests\"} 3.0\n",
            "vectorstore_rate_limited_total{type=\"tokens\"} 4.0\n",
            "vectorstore_quota_refused_total{type=\"chunks\"} 6.0\n",
            "vectorstore_rate_limit_dry_run_total 2.0\n",
            "vectorstore_jobs{state=\"waiting\"} 5.0\n",
            "vectorstore_stores 12.0\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains("embedding_cache"), "what is not said is left out");
    }

    #[test]
    fn without_a_database_only_that_is_said() {
        let text = text(None);
        assert!(text.contains("vectorstore_database_up 0\n"));
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 1);
    }
}
