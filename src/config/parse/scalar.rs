//! Truth values, numbers, sizes, times, names and lists.

use super::{Dialect, Read};
use crate::config::table::Names;
use crate::config::value::Value;
use std::format;
use std::string::{String, ToString};
use std::time::Duration;
use std::vec::Vec;

/// Datadog: `true` and `1` are true, everything else is false. OpenTelemetry: only `true` is true. Letter case does
/// not count in either. What was probably meant otherwise gets a complaint.
pub(super) fn boolean(dialect: Dialect, text: &str) -> Read {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    match dialect {
        Dialect::Otel if is("true") => Read::good(Value::Bool(true)),
        Dialect::Otel if is("false") => Read::good(Value::Bool(false)),
        Dialect::Otel => Read::doubtful(Value::Bool(false), "is neither true nor false"),
        _ if is("true") || text == "1" => Read::good(Value::Bool(true)),
        _ if is("false") || text == "0" => Read::good(Value::Bool(false)),
        _ => Read::doubtful(Value::Bool(false), "is neither true, 1, false nor 0"),
    }
}

pub(super) fn number(text: &str, min: u64, max: u64) -> Read {
    match whole(text) {
        Whole::Number(number) => clamped(number, min, max, Value::Number),
        Whole::Negative => Read::doubtful(Value::Number(min), format!("is below {min}")),
        Whole::Huge => Read::doubtful(Value::Number(max), format!("is above {max}")),
        Whole::None => Read::bad("is not a whole number"),
    }
}

/// A negative limit is no limit of zero, which would lose everything.
pub(super) fn limit(text: &str, max: u64) -> Read {
    match whole(text) {
        Whole::Negative => Read::bad("is negative"),
        _ => number(text, 0, max),
    }
}

pub(super) fn port(text: &str) -> Read {
    match text.trim().parse::<u16>() {
        Ok(port) if port > 0 => Read::good(Value::Number(port.into())),
        _ => Read::bad("is not a port from 1 to 65535"),
    }
}

/// Variables hold a number of bytes; files and the command line may also name a unit.
pub(super) fn bytes(dialect: Dialect, text: &str, min: u64, max: u64) -> Read {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len()));
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Read::bad("is not a size in bytes"),
    };
    if factor != 1 && dialect != Dialect::Plain {
        return Read::bad("is not a number of bytes (units are understood in ddtrace.toml only)");
    }
    match whole(digits) {
        Whole::Number(number) => clamped(number.saturating_mul(factor), min, max, Value::Bytes),
        Whole::Negative => Read::bad("is negative"),
        Whole::Huge => Read::doubtful(Value::Bytes(max), format!("is above {}", Value::Bytes(max))),
        Whole::None => Read::bad("is not a size in bytes"),
    }
}

/// Datadog: seconds, with a fraction. OpenTelemetry: whole milliseconds. Files and command line: seconds, or a number
/// with `ms`, `s`, `m` or `h`. The limits are milliseconds.
pub(super) fn duration(dialect: Dialect, text: &str, min: u64, max: u64) -> Read {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic() && c != 'e').unwrap_or(text.len()));
    let unit = match (dialect, unit) {
        (Dialect::Otel, "") => 1.0,
        (_, "") | (Dialect::Plain, "s") => 1_000.0,
        (Dialect::Plain, "ms") => 1.0,
        (Dialect::Plain, "m") => 60_000.0,
        (Dialect::Plain, "h") => 3_600_000.0,
        _ => return Read::bad(not_a_duration(dialect)),
    };
    let Ok(number) = number.trim().parse::<f64>() else { return Read::bad(not_a_duration(dialect)) };
    if !number.is_finite() || (dialect == Dialect::Otel && number.fract() != 0.0) {
        return Read::bad(not_a_duration(dialect));
    }
    if number < 0.0 {
        return Read::bad("is negative");
    }
    // Saturates, and cannot be NaN here.
    let micros = (number * unit * 1_000.0) as u64;
    let limit = |millis: u64| Value::Duration(Duration::from_millis(millis));
    if micros < min.saturating_mul(1_000) {
        Read::doubtful(limit(min), format!("is shorter than {}", limit(min)))
    } else if micros > max.saturating_mul(1_000) {
        Read::doubtful(limit(max), format!("is longer than {}", limit(max)))
    } else {
        Read::good(Value::Duration(Duration::from_micros(micros)))
    }
}

const fn not_a_duration(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Datadog => "is not a number of seconds",
        Dialect::Otel => "is not a whole number of milliseconds",
        Dialect::Plain => "is not a time such as 500ms, 2s or 1m",
    }
}

/// The value is the shortest text of the rate.
pub(super) fn rate(text: &str) -> Read {
    match text.trim().parse::<f64>() {
        Ok(rate) if (0.0..=1.0).contains(&rate) => Read::good(Value::Text(rate.to_string())),
        Ok(rate) if !rate.is_nan() => {
            Read::doubtful(Value::Text(rate.clamp(0.0, 1.0).to_string()), "is not between 0 and 1")
        }
        _ => Read::bad("is not a number from 0 to 1"),
    }
}

pub(super) fn per_second(text: &str) -> Read {
    match whole(text) {
        Whole::Number(number) => match number.try_into() {
            Ok(number) => Read::good(Value::Integer(number)),
            Err(_) => Read::doubtful(Value::Integer(i64::MAX), format!("is above {}", i64::MAX)),
        },
        Whole::Negative => Read::good(Value::Integer(-1)),
        Whole::Huge => Read::doubtful(Value::Integer(i64::MAX), format!("is above {}", i64::MAX)),
        Whole::None => Read::bad("is not a whole number"),
    }
}

pub(super) fn choice(names: &'static Names, text: &str) -> Read {
    named(names, text).map_or_else(
        || Read::bad(format!("is none of {}", names.names.join(", "))),
        |name| Read::good(Value::Name(name)),
    )
}

/// Unknown names are left out, and complained about. No name at all is `none`, where that is one of them.
pub(super) fn choices(names: &'static Names, text: &str) -> Read {
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        match named(names, item) {
            Some(name) if known.contains(&name) => {}
            Some(name) => known.push(name),
            None => unknown.push(format!("{item:?}")),
        }
    }
    if known.is_empty() && unknown.is_empty() {
        known.extend(names.names.iter().find(|name| **name == "none"));
    }
    let complaint = (!unknown.is_empty())
        .then(|| format!("has {}, which is none of {}", unknown.join(", "), names.names.join(", ")));
    Read { value: (!known.is_empty()).then_some(Value::Names(known)), complaint }
}

fn named(names: &'static Names, text: &str) -> Option<&'static str> {
    let text = text.trim();
    let same = |name: &&&'static str| name.eq_ignore_ascii_case(text);
    names
        .names
        .iter()
        .find(same)
        .copied()
        .or_else(|| names.aliases.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(text)).map(|(_, name)| *name))
}

pub(super) fn list(text: &str) -> Read {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Read::good(Value::List(items.map(ToString::to_string).collect::<Vec<String>>()))
}

enum Whole {
    Number(u64),
    Negative,
    Huge,
    None,
}

fn whole(text: &str) -> Whole {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Whole::None;
    }
    match digits.parse::<u64>() {
        Ok(0) => Whole::Number(0),
        _ if negative => Whole::Negative,
        Ok(number) => Whole::Number(number),
        Err(_) => Whole::Huge,
    }
}

fn clamped(number: u64, min: u64, max: u64, make: fn(u64) -> Value) -> Read {
    if number < min {
        Read::doubtful(make(min), format!("is below {}", make(min)))
    } else if number > max {
        Read::doubtful(make(max), format!("is above {}", make(max)))
    } else {
        Read::good(make(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn truth_values_follow_the_rule_of_their_dialect() {
        // text, Datadog, complaint, OpenTelemetry, complaint
        for (text, dd, dd_doubt, otel, otel_doubt) in [
            ("true", true, false, true, false),
            ("TRUE", true, false, true, false),
            ("1", true, false, false, true),
            ("false", false, false, false, false),
            ("False", false, false, false, false),
            ("0", false, false, false, true),
            ("yes", false, true, false, true),
            ("on", false, true, false, true),
            ("t", false, true, false, true),
            ("TRUE ", false, true, false, true),
        ] {
            for (dialect, truth, doubt) in [(Dialect::Datadog, dd, dd_doubt), (Dialect::Otel, otel, otel_doubt)] {
                let read = boolean(dialect, text);
                assert_eq!(read.value, Some(Value::Bool(truth)), "{dialect:?} {text:?}");
                assert_eq!(read.complaint.is_some(), doubt, "{dialect:?} {text:?}");
            }
        }
        assert!(boolean(Dialect::Datadog, "").complaint.is_some());
    }

    #[test]
    fn durations_have_the_unit_of_their_dialect() {
        for (dialect, text, millis) in [
            (Dialect::Datadog, "2.5", Some(2_500)),
            (Dialect::Datadog, " 1 ", Some(1_000)),
            (Dialect::Datadog, "1e1", Some(10_000)),
            (Dialect::Datadog, "nan", None),
            (Dialect::Datadog, "inf", None),
            (Dialect::Datadog, "1s", None),
            (Dialect::Datadog, "-1", None),
            (Dialect::Datadog, "", None),
            (Dialect::Otel, "1500", Some(1_500)),
            (Dialect::Otel, "0", Some(0)),
            (Dialect::Otel, "-5", None),
            (Dialect::Otel, "1.5", None),
            (Dialect::Otel, "10s", None),
            (Dialect::Plain, "500ms", Some(500)),
            (Dialect::Plain, "2s", Some(2_000)),
            (Dialect::Plain, "1.5 s", Some(1_500)),
            (Dialect::Plain, "2m", Some(120_000)),
            (Dialect::Plain, "3", Some(3_000)),
            (Dialect::Plain, "3 days", None),
        ] {
            let expected = millis.map(|millis| Value::Duration(Duration::from_millis(millis)));
            let read = duration(dialect, text, 0, 600_000);
            assert_eq!(read.value, expected, "{dialect:?} {text:?}");
            assert_eq!(read.complaint.is_none(), millis.is_some(), "{dialect:?} {text:?}");
        }
        let clamped = duration(Dialect::Datadog, "0", 10, 1_000);
        assert_eq!(clamped, Read::doubtful(Value::Duration(Duration::from_millis(10)), "is shorter than 10ms"));
        let clamped = duration(Dialect::Datadog, "1e300", 10, 1_000);
        assert_eq!(clamped, Read::doubtful(Value::Duration(Duration::from_secs(1)), "is longer than 1s"));
    }

    #[test]
    fn numbers_outside_of_the_range_go_to_its_nearer_end() {
        assert_eq!(number("300", 1, 500), Read::good(Value::Number(300)));
        assert_eq!(number("0", 1, 500), Read::doubtful(Value::Number(1), "is below 1"));
        assert_eq!(number("-7", 1, 500), Read::doubtful(Value::Number(1), "is below 1"));
        assert_eq!(number("99999999999999999999999", 1, 500), Read::doubtful(Value::Number(500), "is above 500"));
        for text in ["x", "", "1.5", "0x10", "- 1", "1_000"] {
            assert_eq!(number(text, 1, 500), Read::bad("is not a whole number"), "{text:?}");
        }
    }

    #[test]
    fn rates_and_limits() {
        for (text, value, doubtful) in [
            ("0.25", Some("0.25"), false),
            (" 1.0 ", Some("1"), false),
            ("1e-7", Some("0.0000001"), false),
            ("0", Some("0"), false),
            ("1.5", Some("1"), true),
            ("-1", Some("0"), true),
            ("inf", Some("1"), true),
            ("NaN", None, true),
            ("half", None, true),
            ("50%", None, true),
        ] {
            let read = rate(text);
            assert_eq!(read.value, value.map(|value| Value::Text(value.into())), "{text}");
            assert_eq!(read.complaint.is_some(), doubtful, "{text}");
        }
        for (text, value) in [("100", Some(100)), ("0", Some(0)), ("-1", Some(-1)), ("-50", Some(-1)), ("1.5", None)] {
            assert_eq!(per_second(text).value, value.map(Value::Integer), "{text}");
        }
        assert_eq!(per_second("99999999999999999999").value, Some(Value::Integer(i64::MAX)));
    }

    #[test]
    fn ports() {
        assert_eq!(port("8126"), Read::good(Value::Number(8126)));
        for text in ["0", "65536", "abc", "-1", ""] {
            assert_eq!(port(text), Read::bad("is not a port from 1 to 65535"), "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        let top = 1 << 40;
        for (text, expected) in
            [("20MiB", 20 << 20), ("64 KiB", 64 << 10), ("1k", 1 << 10), ("5MB", 5_000_000), ("77", 77)]
        {
            assert_eq!(bytes(Dialect::Plain, text, 0, top).value, Some(Value::Bytes(expected)), "{text}");
        }
        assert_eq!(bytes(Dialect::Datadog, "1048576", 0, top), Read::good(Value::Bytes(1 << 20)));
        assert!(bytes(Dialect::Datadog, "1MiB", 0, top).value.is_none());
        assert!(bytes(Dialect::Plain, "lots", 0, top).value.is_none());
        assert_eq!(bytes(Dialect::Plain, "99999999GiB", 0, top).value, Some(Value::Bytes(top)));
    }

    #[test]
    fn choices_keep_what_is_known() {
        const NAMES: Names = Names { names: &["otlp", "local"], aliases: &[("file", "local")] };
        assert_eq!(choices(&NAMES, "OTLP, file,otlp"), Read::good(Value::Names(vec!["otlp", "local"])));
        let read = choices(&NAMES, "otlp,zipkin");
        assert_eq!(read, Read::doubtful(Value::Names(vec!["otlp"]), "has \"zipkin\", which is none of otlp, local"));
        assert_eq!(choices(&NAMES, "x").value, None);
        assert_eq!(choices(&NAMES, " , "), Read::NOTHING);
    }
}
