//! Did you mean…?

use super::table::settings;
use std::string::String;
use std::vec::Vec;

/// The key of `ddtrace.toml` that was probably meant by an unknown one.
pub fn key_like(unknown: &str) -> Option<&'static str> {
    if let Some(setting) =
        settings().find(|setting| setting.dd.contains(&unknown) || setting.otel.iter().any(|otel| otel.name == unknown))
    {
        return Some(setting.key);
    }
    let spelled = unknown.to_ascii_lowercase().replace('-', "_");
    let tables = settings().filter_map(|setting| setting.key.split_once('.').map(|(table, _)| table));
    let (distance, key) = settings()
        .map(|setting| setting.key)
        .chain(tables)
        .map(|key| (distance(&spelled, key), key))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + spelled.len() / 5).then_some(key).or_else(|| last_part_like(&spelled))
}

/// `endpoint` for `otlp.endpoint`, where only one key ends so.
fn last_part_like(spelled: &str) -> Option<&'static str> {
    let mut same = settings().map(|setting| setting.key).filter(|key| {
        key.rsplit_once('.').is_some_and(|(_, last)| last == spelled) || key.replace('.', "_") == spelled
    });
    same.next().filter(|_| same.next().is_none())
}

/// How many letters must be put in, taken out or replaced; keys beyond any likeness are far.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (to, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// The end of a message about an unknown key.
pub(crate) fn hint(unknown: &str) -> String {
    key_like(unknown).map_or_else(String::new, |key| std::format!("; did you mean {key:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("agent.prt", "agent.port", 1)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn likely_keys_are_found() {
        for (unknown, expected) in [
            ("servce", Some("service")),
            ("agent.prt", Some("agent.port")),
            ("DD_SERVICE", Some("service")),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", Some("otlp.endpoint")),
            ("process-spans", Some("process_spans")),
            ("agent_url", Some("agent.url")),
            ("traces_endpoint", Some("otlp.traces_endpoint")),
            ("agnet", Some("agent")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(key_like(unknown), expected, "{unknown}");
        }
    }
}
