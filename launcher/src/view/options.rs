//! What of a trace is shown, and how much of it.

use clap::ValueEnum;
use ddtrace::ids::TraceId;

/// Rows of the tree when nobody says otherwise: with head and foot it makes about sixty lines.
const DEFAULT_LIMIT: usize = 36;

/// The options of `ddtrace-run view`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct ViewOptions {
    /// Show every span; fold nothing
    #[arg(short, long)]
    pub all: bool,

    /// Fold the least important spans so that the tree has at most this many rows
    #[arg(long, value_name = "ROWS", value_parser = one_or_more, default_value_t = DEFAULT_LIMIT, conflicts_with = "all")]
    pub limit: usize,

    /// Fold spans shorter than this, such as 10ms or 1.5s, unless they failed
    #[arg(long, value_name = "DURATION", value_parser = nanoseconds, default_value = "0", hide_default_value = true)]
    pub min_duration: u64,

    /// The order of the children of a span: start, duration
    #[arg(
        long,
        value_enum,
        value_name = "ORDER",
        default_value_t,
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub sort: Sort,

    /// Show the trace whose id begins or ends with these hexadecimal digits
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,

    /// Show this many of the latest traces instead of one, or with --list instead of all
    #[arg(long, value_name = "COUNT", value_parser = one_or_more, conflicts_with = "trace")]
    pub last: Option<usize>,

    /// List the traces, a line each, instead of drawing one
    #[arg(long, conflicts_with = "trace")]
    pub list: bool,

    /// Whether the waterfall is that of a run that has just ended, and its reader has typed no `view` yet.
    #[arg(skip)]
    pub after_run: bool,
}

impl ViewOptions {
    /// For the waterfall after a run.
    pub fn for_run() -> Self {
        Self { after_run: true, ..Self::default() }
    }

    /// How the reader of a folded waterfall gets the whole one.
    pub fn unfold_with(&self, trace: TraceId) -> String {
        // Later runs may have come in between, and it may not be stored here at all, so the trace is named. The low
        // half of the id is random in every common scheme; the high half may begin with a time.
        if self.after_run {
            format!("ddtrace-run view --all --trace {:08x}", trace.0 as u32)
        } else {
            "--all".to_owned()
        }
    }
}

impl Default for ViewOptions {
    fn default() -> Self {
        Self {
            all: false,
            limit: DEFAULT_LIMIT,
            min_duration: 0,
            sort: Sort::default(),
            trace: None,
            last: None,
            list: false,
            after_run: false,
        }
    }
}

/// The order of siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub enum Sort {
    /// As they started
    #[default]
    Start,
    /// The longest first
    Duration,
}

/// Reads a number that makes sense as an amount of something to be shown.
fn one_or_more(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it must be a whole number, one or more".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// Reads a duration with its unit.
fn nanoseconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == 'µ');
    let factor = match &text[digits.len()..] {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        "" if digits == "0" => 0.0,
        "" => return Err("it needs a unit: ns, us, ms, s, m or h".to_owned()),
        unit => return Err(format!("`{unit}` is not one of the units ns, us, ms, s, m, h")),
    };
    match digits.trim_end().parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok((number * factor) as u64),
        _ => Err(format!("`{digits}` is not a number of zero or more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, Command, FromArgMatches};
    use proptest::prelude::*;

    #[test]
    fn the_defaults_of_the_command_line_are_those_of_the_code() {
        let matches = ViewOptions::augment_args(Command::new("view")).get_matches_from(["view"]);
        let options = ViewOptions::from_arg_matches(&matches).expect("the defaults are valid");
        assert_eq!(format!("{options:?}"), format!("{:?}", ViewOptions::default()));
    }

    #[test]
    fn durations_need_a_unit_that_is_known() {
        assert_eq!(nanoseconds("10ms"), Ok(10_000_000));
        assert_eq!(nanoseconds("1.5 s"), Ok(1_500_000_000));
        assert_eq!(nanoseconds("7µs"), Ok(7_000));
        assert_eq!(nanoseconds("0"), Ok(0));
        assert!(nanoseconds("10").unwrap_err().contains("needs a unit"));
        assert!(nanoseconds("10 parsecs").unwrap_err().contains("`parsecs`"));
        assert!(nanoseconds("-1s").unwrap_err().contains("`-1`"));
        assert!(nanoseconds("ms").is_err());
    }

    #[test]
    fn nothing_cannot_be_asked_for() {
        assert_eq!(one_or_more("12"), Ok(12));
        for text in ["0", "-1", "1.5", "many", "", "99999999999999999999999"] {
            assert!(one_or_more(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_folded_rest_of_a_run_is_found_by_the_end_of_its_id() {
        let id = TraceId(0x6b01_46fc_0000_0000_d13d_f987_0e05_b62b);
        assert_eq!(ViewOptions::for_run().unfold_with(id), "ddtrace-run view --all --trace 0e05b62b");
        assert_eq!(ViewOptions::default().unfold_with(id), "--all");
    }

    proptest! {
        #[test]
        fn any_text_is_a_duration_or_an_error(text in any::<String>()) {
            let _ = nanoseconds(&text);
        }
    }
}
