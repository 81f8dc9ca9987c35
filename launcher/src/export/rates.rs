//! The sampling rates that an Agent answers with.

use std::collections::HashMap;

/// Rates by service and environment, and the version that an Agent gave them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateTable {
    rates: HashMap<String, f64>,
    version: Option<String>,
}

impl RateTable {
    /// The rate, 0 to 1, for new traces of a service: its own, else the Agent's default; `None` before any answer.
    pub fn rate(&self, service: &str, env: &str) -> Option<f64> {
        let own = self.rates.get(&format!("service:{service},env:{env}"));
        own.or_else(|| self.rates.get("service:,env:")).copied()
    }

    /// What to send as `Datadog-Rates-Payload-Version`, so that an unchanged table need not be sent again.
    pub fn version(&self) -> &str {
        self.version.as_deref().unwrap_or("0")
    }

    /// Takes over an Agent's answer. What is no table of rates leaves everything as it was: `{}` says "unchanged", and
    /// an answer that cannot be read says nothing.
    pub fn update(&mut self, body: &[u8], version: Option<&str>) {
        let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else { return };
        let Some(table) = answer.get("rate_by_service").and_then(|table| table.as_object()) else { return };
        let rate = |value: &serde_json::Value| value.as_f64().filter(|rate| (0.0..=1.0).contains(rate));
        self.rates = table.iter().filter_map(|(key, value)| Some((key.clone(), rate(value)?))).collect();
        self.version = version.map(str::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_the_one_before() {
        let mut table = RateTable::default();
        assert_eq!((table.rate("shop", "prod"), table.version()), (None, "0"));
        table.update(br#"{"rate_by_service":{"service:shop,env:prod":0.5,"service:,env:":1}}"#, Some("v1"));
        assert_eq!(table.rate("shop", "prod"), Some(0.5));
        assert_eq!(table.rate("shop", "dev"), Some(1.0), "the default");
        assert_eq!(table.version(), "v1");
        table.update(br#"{"rate_by_service":{"service:,env:":0.25}}"#, None);
        assert_eq!(table.rate("shop", "prod"), Some(0.25));
        assert_eq!(table.rates.len(), 1);
    }

    #[test]
    fn what_is_no_table_changes_nothing_and_impossible_rates_are_skipped() {
        let mut table = RateTable::default();
        table.update(br#"{"rate_by_service":{"service:,env:":0.5}}"#, Some("v1"));
        let before = table.clone();
        for body in [&b"{}"[..], b"OK\n", b"", b"[1]", br#"{"rate_by_service":7}"#] {
            table.update(body, Some("v2"));
            assert_eq!(table, before);
        }
        table.update(br#"{"rate_by_service":{"service:a,env:":1.5,"service:b,env:":"x","service:,env:":0}}"#, None);
        assert_eq!(table.rate("a", ""), Some(0.0));
        assert_eq!(table.rates.len(), 1);
    }
}
