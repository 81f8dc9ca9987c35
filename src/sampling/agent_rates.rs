//! The sampling rates that an Agent answers with.

use super::AgentRates;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

/// What every key begins with, and what stands between its service and its environment.
const SERVICE: &[u8] = b"service:";
const ENV: &[u8] = b",env:";

/// Rates by service and environment, and the version that an Agent gave them. Looked up without an allocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentRateTable {
    /// `<service>,env:<env>` and rates; shorter keys first.
    rates: Vec<(Box<[u8]>, f64)>,
    /// The rate of everything else.
    default: Option<f64>,
    version: Option<String>,
}

impl AgentRateTable {
    /// What to send as `Datadog-Rates-Payload-Version`, so that an unchanged table need not be sent again.
    #[must_use]
    pub fn version(&self) -> &str {
        self.version.as_deref().unwrap_or("0")
    }

    /// Takes over an Agent's answer. What is no table of rates leaves everything as it was: `{}` says "unchanged", and
    /// an answer that cannot be read says nothing.
    pub fn update(&mut self, body: &[u8], version: Option<&str>) {
        let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else { return };
        let Some(table) = answer.get("rate_by_service").and_then(|table| table.as_object()) else { return };
        let rate = |value: &serde_json::Value| value.as_f64().filter(|rate| (0.0..=1.0).contains(rate));
        let entry = |(key, value): (&String, _)| Some((key.as_bytes().strip_prefix(SERVICE)?.into(), rate(value)?));
        self.rates = table.iter().filter_map(entry).collect();
        self.rates.sort_by_key(|(key, _)| key.len());
        self.default = self.get(b"", b"");
        self.version = version.map(Into::into);
    }

    /// What follows `service:` in the keys of the Agent, and the rates; shorter keys first.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], f64)> {
        self.rates.iter().map(|(key, rate)| (&**key, *rate))
    }

    fn get(&self, service: &[u8], env: &[u8]) -> Option<f64> {
        let length = service.len() + ENV.len() + env.len();
        let is_wanted = |key: &[u8]| {
            key.strip_prefix(service).and_then(|rest| rest.strip_prefix(ENV)).is_some_and(|rest| rest == env)
        };
        let first = self.rates.partition_point(|(key, _)| key.len() < length);
        let mut candidates = self.rates.iter().skip(first).take_while(|(key, _)| key.len() == length);
        candidates.find(|(key, _)| is_wanted(key)).map(|(_, rate)| *rate)
    }
}

impl AgentRates for AgentRateTable {
    fn rate(&self, service: &[u8], env: &[u8]) -> Option<f64> {
        self.get(service, env).or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_the_one_before() {
        let mut table = AgentRateTable::default();
        assert_eq!((table.rate(b"shop", b"prod"), table.version()), (None, "0"));
        table.update(br#"{"rate_by_service":{"service:shop,env:prod":0.5,"service:,env:":1}}"#, Some("v1"));
        assert_eq!(table.rate(b"shop", b"prod"), Some(0.5));
        assert_eq!(table.rate(b"shop", b"dev"), Some(1.0), "the default");
        assert_eq!(table.version(), "v1");
        table.update(br#"{"rate_by_service":{"service:,env:":0.25}}"#, None);
        assert_eq!(table.rate(b"shop", b"prod"), Some(0.25));
        assert_eq!(table.rates.len(), 1);
    }

    #[test]
    fn keys_are_compared_as_a_whole() {
        let mut table = AgentRateTable::default();
        table.update(
            br#"{"rate_by_service":{"service:shop,env:":0.1,"service:shop,env:prod":0.2,"service:shoq,env:prod":0.3,
                "service:a,env:b,env:c":0.4,"service:,env:prod":0.5,"service:Shop,env:prod":0.6}}"#,
            None,
        );
        for (service, env, rate) in [
            ("shop", "", Some(0.1)),
            ("shop", "prod", Some(0.2)),
            ("shoq", "prod", Some(0.3)),
            ("a,env:b", "c", Some(0.4)),
            ("a", "b,env:c", Some(0.4)),
            ("", "prod", Some(0.5)),
            ("Shop", "prod", Some(0.6)),
            ("sho", "prod", None),
            ("shop", "pro", None),
            ("other", "prod", None),
        ] {
            assert_eq!(table.rate(service.as_bytes(), env.as_bytes()), rate, "{service:?} {env:?}");
        }
    }

    #[test]
    fn what_is_no_table_changes_nothing_and_impossible_rates_are_skipped() {
        let mut table = AgentRateTable::default();
        table.update(br#"{"rate_by_service":{"service:,env:":0.5}}"#, Some("v1"));
        let before = table.clone();
        for body in [&b"{}"[..], b"OK\n", b"", b"[1]", br#"{"rate_by_service":7}"#] {
            table.update(body, Some("v2"));
            assert_eq!(table, before);
        }
        table.update(br#"{"rate_by_service":{"service:a,env:":1.5,"service:b,env:":"x","service:,env:":0}}"#, None);
        assert_eq!(table.rate(b"a", b""), Some(0.0));
        assert_eq!(table.rates.len(), 1);
    }
}
