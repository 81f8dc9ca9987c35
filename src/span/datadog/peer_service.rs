//! Which service is on the other side of a request: `peer.service` of client and producer spans.

use crate::span::{Span, SpanKind, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::string::String;

const PEER_SERVICE: &str = "peer.service";
/// Which attribute the name was taken from.
const SOURCE: &str = "_dd.peer.service.source";
/// The name that the user has replaced.
const REMAPPED_FROM: &str = "_dd.peer.service.remapped_from";

/// What tells the name where nobody has said it, the strongest first: the tags of Datadog's tracers, each with what
/// OpenTelemetry's conventions call it.
const PRECURSORS: [&str; 8] = [
    "messaging.kafka.bootstrap.servers",
    "db.name",
    "db.namespace",
    "mongodb.db",
    "rpc.service",
    "out.host",
    "server.address",
    "net.peer.name",
];

/// How peer services are named (`DD_TRACE_PEER_SERVICE_DEFAULTS_ENABLED`, `DD_TRACE_PEER_SERVICE_MAPPING`).
#[derive(Clone, Debug, Default)]
pub struct PeerServices {
    /// Whether a name is looked for in other attributes.
    pub defaults: bool,
    /// Names that are replaced, and by what.
    pub mapping: HashMap<String, String>,
}

impl PeerServices {
    /// Names the peer of a client's or a producer's span.
    pub fn apply(&self, span: &mut Span) {
        if !matches!(span.kind, SpanKind::Client | SpanKind::Producer) || (!self.defaults && self.mapping.is_empty()) {
            return;
        }
        let text = |key: &str| match span.attribute(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let said = text(PEER_SERVICE).map(|name| (PEER_SERVICE, name));
        let told = || PRECURSORS.iter().find_map(|key| Some((*key, text(key)?)));
        let Some((source, name)) = said.or_else(|| self.defaults.then(told).flatten()) else { return };
        let renamed = self.mapping.get(name.as_ref()).cloned();
        if self.defaults {
            set(span, SOURCE, Cow::Borrowed(source));
        }
        match renamed {
            Some(renamed) => {
                set(span, REMAPPED_FROM, name);
                set(span, PEER_SERVICE, Cow::Owned(renamed));
            }
            None => set(span, PEER_SERVICE, name),
        }
    }
}

fn set(span: &mut Span, key: &'static str, value: Cow<'static, str>) {
    span.attributes.retain(|(present, _)| present != key);
    span.attributes.push((Cow::Borrowed(key), Value::String(value)));
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attribute, span};
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn named(services: &PeerServices, kind: SpanKind, attributes: &[(&'static str, &'static str)]) -> Vec<String> {
        let attributes = attributes.iter().map(|(key, value)| attribute(key, *value)).collect();
        let mut span = Span { kind, attributes, ..span() };
        services.apply(&mut span);
        let text = |key: &str| match span.attribute(key) {
            Some(Value::String(text)) => text.clone().into_owned(),
            _ => String::new(),
        };
        [PEER_SERVICE, SOURCE, REMAPPED_FROM].map(text).to_vec()
    }

    #[test]
    fn the_strongest_attribute_names_the_peer() {
        let defaults = PeerServices { defaults: true, mapping: HashMap::new() };
        let database = [("out.host", "10.0.0.7"), ("db.name", "shop")];
        assert_eq!(named(&defaults, SpanKind::Client, &database), ["shop", "db.name", ""]);
        assert_eq!(named(&defaults, SpanKind::Producer, &database[..1]), ["10.0.0.7", "out.host", ""]);
        assert_eq!(named(&defaults, SpanKind::Server, &database), vec![""; 3]);
        assert_eq!(named(&defaults, SpanKind::Client, &[("a", "b"), ("db.name", "")]), vec![""; 3]);
        let said = [("db.name", "shop"), ("peer.service", "ledger")];
        assert_eq!(named(&defaults, SpanKind::Client, &said), ["ledger", "peer.service", ""]);
        assert_eq!(named(&PeerServices::default(), SpanKind::Client, &database), vec![""; 3]);
    }

    #[test]
    fn names_are_replaced_and_told() {
        let mapping = HashMap::from([("shop".into(), "ledger".into())]);
        let both = PeerServices { defaults: true, mapping };
        assert_eq!(named(&both, SpanKind::Client, &[("db.name", "shop")]), ["ledger", "db.name", "shop"]);
        let only_mapping = PeerServices { defaults: false, ..both };
        assert_eq!(named(&only_mapping, SpanKind::Client, &[("db.name", "shop")]), vec![""; 3]);
        assert_eq!(named(&only_mapping, SpanKind::Client, &[("peer.service", "shop")]), ["ledger", "", "shop"]);
    }
}
