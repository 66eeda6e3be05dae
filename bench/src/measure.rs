//! Clocks and counters: time, CPU, memory, bytes on disk, and how busy others kept the machine.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Times of one kind of work.
#[derive(Debug, Clone, Default)]
pub struct Times {
    millis: Vec<f64>,
}

impl Times {
    /// Adds one.
    pub fn push(&mut self, time: Duration) {
        self.millis.push(time.as_secs_f64() * 1e3);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.millis.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.millis.is_empty()
    }

    /// The time in milliseconds that this share of the work took at most; of few samples the 99th percentile is the longest.
    pub fn at(&self, share: f64) -> f64 {
        let mut sorted = self.millis.clone();
        sorted.sort_by(f64::total_cmp);
        let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
        sorted.get(at).copied().unwrap_or(f64::NAN)
    }
}

/// CPU seconds of this process so far, all threads, ended ones included.
pub fn own_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds of another process so far, from /proc; with those of its ended children if asked.
///
/// # Errors
/// If there is no such process.
pub fn cpu_seconds(pid: u32, with_children: bool) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().context("a stat line")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let last = if with_children { 14 } else { 12 };
    let mut ticks = 0.0;
    for field in fields.get(11..=last).context("a stat line")? {
        ticks += field.parse::<f64>()?;
    }
    // Linux counts in hundredths of a second on every common architecture.
    Ok(ticks / 100.0)
}

/// CPU seconds of a process, the processes it started, and those of them that ended.
///
/// # Errors
/// If there is no such process.
pub fn family_cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let mut sum = cpu_seconds(pid, true)?;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end between the listing and the look.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{child}/stat")) else { continue };
        let parent =
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        if parent == Some(pid) {
            sum += cpu_seconds(child, true).unwrap_or(0.0);
        }
    }
    Ok(sum)
}

/// Anonymous memory of a process, from /proc: what is not a cache of files.
///
/// # Errors
/// If there is no such process.
pub fn anonymous_bytes(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).context("RssAnon in status")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kilobytes * 1024.0)
}

/// Bytes of a file, or of all files under a directory.
pub fn disk_bytes(path: &Path) -> u64 {
    let Ok(meta) = std::fs::metadata(path) else { return 0 };
    if meta.is_file() {
        return meta.len();
    }
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| disk_bytes(&entry.path())).sum()
}

/// How much of the machine was used by whom, over a stretch of time.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    since: Instant,
    busy_before: f64,
}

impl Machine {
    /// Begins to watch.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn watch() -> anyhow::Result<Machine> {
        Ok(Machine { since: Instant::now(), busy_before: busy_seconds()? })
    }

    /// CPU seconds all processes used a second since then, less those given: of others, in cores.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn cores_of_others(&self, own_seconds: f64) -> anyhow::Result<f64> {
        let elapsed = self.since.elapsed().as_secs_f64();
        Ok(((busy_seconds()? - self.busy_before - own_seconds) / elapsed).max(0.0))
    }
}

/// CPU seconds of the machine so far that were not idle: time stolen by its host counts too.
fn busy_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().context("a line of /proc/stat")?;
    let ticks: Vec<f64> = first.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy: f64 =
        ticks.iter().take(8).enumerate().filter(|(at, _)| *at != 3 && *at != 4).map(|(_, ticks)| ticks).sum();
    Ok(busy / 100.0)
}
