//! Durations, sizes and instants the way people read them: three digits and a unit, never wider than [`WIDTH`].

/// The widest text that [`human`] gives, in columns.
pub const WIDTH: usize = 7;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A duration in nanoseconds as text of at most seven columns: `812 ms`, `12.4 s`, `2m 05s`, `3d 04h`.
pub fn human(nanoseconds: u64, unicode: bool) -> String {
    let micro = if unicode { "µs" } else { "us" };
    match nanoseconds {
        0 => "0 s".to_owned(),
        1..MICROSECOND => format!("{nanoseconds} ns"),
        _ => [(MICROSECOND, micro), (MILLISECOND, "ms"), (SECOND, "s")]
            .into_iter()
            .find_map(|(unit, name)| three_digits(nanoseconds, unit, name))
            .unwrap_or_else(|| two_units(nanoseconds)),
    }
}

/// Three significant digits in this unit, or `None` where the rounded number belongs to a larger unit.
fn three_digits(nanoseconds: u64, unit: u64, name: &str) -> Option<String> {
    let limit = if unit == SECOND { 60.0 } else { 1000.0 };
    let value = nanoseconds as f64 / unit as f64;
    // Rounding may carry: 999.7 ms is a second, 9.996 ms is 10.0 ms.
    let text = [(2, 9.995), (1, 99.95), (0, 999.5)]
        .into_iter()
        .find_map(|(decimals, below)| (value < below).then(|| format!("{value:.decimals$}")))?;
    let rounded: f64 = text.parse().ok()?;
    (rounded < limit).then(|| format!("{text} {name}"))
}

/// Minutes and above: the two largest units.
fn two_units(nanoseconds: u64) -> String {
    let (hours, days) = ((nanoseconds / HOUR) % 24, nanoseconds / DAY);
    if days >= 100 {
        format!("{days}d")
    } else if days > 0 {
        format!("{days}d {hours:02}h")
    } else if nanoseconds >= HOUR {
        format!("{hours}h {:02}m", (nanoseconds / MINUTE) % 60)
    } else {
        let seconds = nanoseconds.saturating_add(SECOND / 2) / SECOND;
        match seconds / 60 {
            60 => "1h 00m".to_owned(),
            minutes => format!("{minutes}m {:02}s", seconds % 60),
        }
    }
}

/// A size in bytes with a binary unit, at most eight columns: `181 MiB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 999.5 {
            let decimals = usize::from(value < 9.95 && unit != "B");
            return format!("{value:.decimals$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.0} PiB")
}

/// The instant in UTC, to the second: `2026-02-03 04:05:06Z`.
pub fn timestamp(unix_nanoseconds: u64) -> String {
    let seconds = unix_nanoseconds / SECOND;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a civil date: years begin in March, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_digits_and_a_unit() {
        for (nanoseconds, text) in [
            (0, "0 s"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (9_994_000, "9.99 ms"),
            (9_996_000, "10.0 ms"),
            (812_300_000, "812 ms"),
            (12_440_000_000, "12.4 s"),
            (59_940_000_000, "59.9 s"),
            (59_960_000_000, "1m 00s"),
            (125 * SECOND, "2m 05s"),
            (HOUR - 1, "1h 00m"),
            (HOUR + 2 * MINUTE, "1h 02m"),
            (3 * DAY + 4 * HOUR, "3d 04h"),
            (u64::MAX, "213503d"),
        ] {
            assert_eq!(human(nanoseconds, true), text, "{nanoseconds}");
        }
        assert_eq!(human(1_500, false), "1.50 us");
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(190 << 20), "190 MiB");
        assert_eq!(bytes(1_023 << 20), "1.0 GiB");
    }

    #[test]
    fn instants_are_civil_utc() {
        assert_eq!(timestamp(0), "1970-01-01 00:00:00Z");
        assert_eq!(timestamp(951_782_400 * SECOND), "2000-02-29 00:00:00Z");
        assert_eq!(timestamp(1_709_251_199 * SECOND), "2024-02-29 23:59:59Z");
        assert_eq!(timestamp(1_795_502_400 * SECOND), "2026-11-24 06:40:00Z");
    }

    proptest! {
        #[test]
        fn every_duration_fits_the_column(nanoseconds in prop_oneof![any::<u64>(), 0..HOUR, 0..1000 * DAY]) {
            prop_assert!(human(nanoseconds, false).len() <= WIDTH);
        }
    }
}
