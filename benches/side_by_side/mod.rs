//! Measures ways to do the same thing in one run, and prints them next to each other.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::time::Duration;

/// How many samples Criterion takes of each way, after it has warmed up.
const SAMPLES: usize = 30;

/// Ways to do one thing; the first is what the others are compared with.
pub struct SideBySide<'a> {
    title: &'static str,
    /// What one of the `per` things is called that a routine does each time.
    item: &'static str,
    per: u32,
    group: BenchmarkGroup<'a, WallTime>,
    /// Names and median nanoseconds of one item.
    medians: Vec<(&'static str, f64)>,
}

impl<'a> SideBySide<'a> {
    /// `per` items of the name `item` are done by each call of a routine.
    pub fn new(criterion: &'a mut Criterion, title: &'static str, per: u32, item: &'static str) -> Self {
        let mut group = criterion.benchmark_group(title);
        group.sample_size(SAMPLES).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
        group.throughput(Throughput::Elements(per.into()));
        SideBySide { title, item, per, group, medians: Vec::new() }
    }

    /// Measures a routine that is called as often as it is told and says how long that took, so that it can leave out
    /// what does not belong.
    pub fn measure_timed(&mut self, name: &'static str, mut routine: impl FnMut(u64) -> Duration) {
        let mut samples = Vec::new();
        self.group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let elapsed = routine(times);
                samples.push(elapsed.as_nanos() as f64 / times as f64);
                elapsed
            });
        });
        // Those before are of the warm-up. A filter on the command line may have left this one out.
        let mut counted = samples.split_off(samples.len().saturating_sub(SAMPLES));
        counted.sort_by(f64::total_cmp);
        if let Some(median) = counted.get(counted.len() / 2) {
            self.medians.push((name, median / f64::from(self.per)));
        }
    }

    /// Measures a routine.
    pub fn measure<T>(&mut self, name: &'static str, mut routine: impl FnMut() -> T) {
        self.measure_timed(name, |times| {
            let start = std::time::Instant::now();
            for _ in 0..times {
                std::hint::black_box(routine());
            }
            start.elapsed()
        });
    }

    /// Prints the table.
    pub fn finish(self) {
        self.group.finish();
        let Some((_, first)) = self.medians.first().copied() else { return };
        println!("\n{:<52} {:>16} {:>8}", self.title, format!("ns per {}", self.item), "ratio");
        for (name, median) in &self.medians {
            println!("  {name:<50} {median:>16.1} {:>8.2}", median / first);
        }
        println!();
    }
}
