//! The time axis that all bars share: from nanoseconds to columns, and round ticks.

use super::duration::SECOND;

/// Where a time lies on the axis. Columns are counted in eighths, the finest that a character can show.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    start: u64,
    /// Nanoseconds shown, at least one.
    length: u64,
    columns: usize,
}

/// A mark on the axis.
#[derive(Debug, PartialEq, Eq)]
pub struct Tick {
    /// The column.
    pub column: usize,
    /// What it says.
    pub label: String,
}

const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Axis {
    /// From `start` to `end` in so many columns, at least one.
    pub fn new(start: u64, end: u64, columns: usize) -> Self {
        Self { start, length: end.saturating_sub(start).max(1), columns: columns.max(1) }
    }

    /// Its width.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The position of a time in columns, within the axis.
    pub fn position(&self, time: u64) -> f64 {
        self.position_after(time.saturating_sub(self.start))
    }

    fn position_after(&self, offset: u64) -> f64 {
        let share = offset as f64 / self.length as f64;
        (share * self.columns as f64).min(self.columns as f64)
    }

    /// Round marks, far enough apart for their labels.
    pub fn ticks(&self, unicode: bool) -> Vec<Tick> {
        let apart = 10;
        let step = round_step(self.length as f64 * apart as f64 / self.columns as f64);
        (0..=self.length / step)
            .map(|n| n * step)
            .map(|offset| Tick {
                column: self.position_after(offset) as usize,
                label: label(offset, step, self.length, unicode),
            })
            .take_while(|tick| tick.column < self.columns)
            .collect()
    }
}

/// The smallest round number of nanoseconds that is not below `least`.
fn round_step(least: f64) -> u64 {
    let decimal = (0..=10).flat_map(|power| [1, 2, 5].map(|digit| digit * 10u64.pow(power)));
    let clock = [15, 30].map(|n| n * SECOND).into_iter();
    let clock = clock.chain([1, 2, 5, 10, 15, 30].map(|n| n * MINUTE));
    let clock = clock.chain([1, 2, 4, 6, 12].map(|n| n * HOUR));
    let days = (0..=4).flat_map(|power| [1, 2, 5].map(|digit| digit * 10u64.pow(power) * DAY));
    decimal
        .filter(|&step| step <= 10 * SECOND)
        .chain(clock)
        .chain(days)
        .find(|&step| step as f64 >= least)
        .unwrap_or(u64::MAX)
}

/// A time since the start in the unit of the axis: `250 ms`, `1.5 s`, `2m30`, `1h15`.
fn label(offset: u64, step: u64, length: u64, unicode: bool) -> String {
    if offset == 0 {
        return "0".to_owned();
    }
    let last = length / step * step;
    let two = |large: u64, name: char, small: u64| match (offset / large, offset % large / small) {
        (whole, 0) => format!("{whole}{name}"),
        (whole, rest) => format!("{whole}{name}{rest:02}"),
    };
    if last >= 2 * DAY {
        return if step >= DAY { format!("{}d", offset / DAY) } else { two(DAY, 'd', HOUR) };
    }
    if last >= HOUR && offset >= HOUR {
        return two(HOUR, 'h', MINUTE);
    }
    if last >= MINUTE {
        return if offset >= MINUTE { two(MINUTE, 'm', SECOND) } else { format!("{}s", offset / SECOND) };
    }
    let (unit, name) = match last {
        SECOND.. => (SECOND, "s"),
        1_000_000.. => (1_000_000, "ms"),
        1_000.. => (1_000, if unicode { "µs" } else { "us" }),
        _ => (1, "ns"),
    };
    let decimals = (0..).find(|&places| (step * 10u64.pow(places)).is_multiple_of(unit)).unwrap_or(0) as usize;
    format!("{:.decimals$} {name}", offset as f64 / unit as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(length: u64, columns: usize) -> Vec<String> {
        Axis::new(0, length, columns).ticks(true).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(12_400_000_000, 60), ["0", "5.0 s", "10.0 s"].map(|l| l.replace(".0", "")));
        assert_eq!(labels(1_300_000_000, 50), ["0", "0.5 s", "1.0 s"]);
        assert_eq!(labels(700_000, 40), ["0", "200 µs", "400 µs", "600 µs"]);
        assert_eq!(labels(100 * SECOND, 50), ["0", "30s", "1m", "1m30"]);
        assert_eq!(labels(5 * HOUR, 60), ["0", "1h", "2h", "3h", "4h"]);
        assert_eq!(labels(90 * DAY, 30), ["0", "50d"]);
        assert_eq!(labels(3, 80), ["0", "1 ns", "2 ns"]);
        assert_eq!(labels(0, 80), ["0"]);
    }

    #[test]
    fn positions_stay_on_the_axis() {
        let axis = Axis::new(100, 200, 50);
        assert_eq!(axis.position(150), 25.0);
        assert_eq!(axis.position(0), 0.0);
        assert_eq!(axis.position(u64::MAX), 50.0);
    }

    proptest! {
        #[test]
        fn ticks_never_overlap(start in prop_oneof![any::<u64>(), Just(u64::MAX)], length: u64, columns in 1usize..280) {
            let axis = Axis::new(start, start.saturating_add(length), columns);
            let ticks = axis.ticks(true);
            prop_assert!(!ticks.is_empty());
            for pair in ticks.windows(2) {
                prop_assert!(pair[0].column + pair[0].label.chars().count() < pair[1].column, "{:?}", pair);
            }
        }
    }
}
