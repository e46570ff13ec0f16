//! Memory, processor time and files of this process, under the names that all Prometheus clients use.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Read from `/proc` at each scrape.
#[derive(Debug)]
pub(super) struct Process {
    started: f64,
}

impl Process {
    pub(super) fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        Self { started }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge("process_start_time_seconds", "When the process began, in Unix seconds", self.started)?;
        if let Some(pages) = stat(24) {
            let bytes = pages * rustix::param::page_size() as f64;
            gauge("process_resident_memory_bytes", "Resident memory", bytes)?;
        }
        if let Some(threads) = stat(20) {
            gauge("process_threads", "Threads", threads)?;
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            // One of them is the folder itself.
            gauge("process_open_fds", "Open files and sockets", files.count().saturating_sub(1) as f64)?;
        }
        if let (Some(user), Some(system)) = (stat(14), stat(15)) {
            let seconds = ConstCounter::new((user + system) / rustix::param::clock_ticks_per_second() as f64);
            let help = "User and system processor time";
            seconds.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                seconds.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

/// A field of `/proc/self/stat`, counted from 1 as the manual does.
fn stat(field: usize) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, with whatever in it.
    let rest = text.rsplit_once(") ")?.1;
    rest.split(' ').nth(field.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_memory_and_threads() {
        assert!(stat(24).unwrap() * 4096.0 > 1e6);
        assert!(stat(20).unwrap() >= 1.0);
    }
}
