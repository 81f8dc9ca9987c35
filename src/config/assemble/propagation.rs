//! How contexts are written and read, from what was chosen.

use super::super::pick::{Pick, Picks};
use super::super::sources::Layer;
use super::super::table::Id;
use crate::propagation::{Dialect, ExtractBehaviour, Propagation, Style, Styles};

pub(super) fn propagation(picks: &Picks) -> Propagation {
    let (inject, extract) = (side(picks, Id::PropagationInject), side(picks, Id::PropagationExtract));
    let number = |id| picks.number(id).and_then(|number| number.try_into().ok()).unwrap_or(u16::MAX);
    Propagation {
        inject: styles(picks, inject),
        extract: styles(picks, extract),
        dialect: dialect(extract),
        extract_first: picks.flag(Id::PropagationExtractFirst),
        behaviour: match picks.name(Id::PropagationBehaviour) {
            "restart" => ExtractBehaviour::Restart,
            "ignore" => ExtractBehaviour::Ignore,
            _ => ExtractBehaviour::Continue,
        },
        tags_max_length: number(Id::TagsMaxLength),
        http_baggage: picks.flag(Id::HttpBaggage),
        baggage_max_items: number(Id::BaggageMaxItems),
        baggage_max_bytes: number(Id::BaggageMaxBytes),
    }
}

/// The strongest source that says anything decides; within one, the styles of one side go before those of both.
fn side(picks: &Picks, id: Id) -> &Pick {
    let (side, both) = (picks.get(id), picks.get(Id::PropagationStyles));
    if side.value.is_some() && side.layer <= both.layer { side } else { both }
}

/// The rules differ mostly in how contexts are read, so those who name what is read decide.
fn dialect(extract: &Pick) -> Dialect {
    if extract.layer == Layer::OtelEnv { Dialect::OpenTelemetry } else { Dialect::Datadog }
}

/// `none` anywhere means none to OpenTelemetry; to Datadog's tracers it is a style that does nothing.
fn styles(picks: &Picks, pick: &Pick) -> Styles {
    let names = picks.names(pick.setting.id);
    if dialect(pick) == Dialect::OpenTelemetry && names.contains(&"none") {
        return Styles::NONE;
    }
    names.iter().filter_map(|name| Style::from_name(name.as_bytes())).collect()
}
