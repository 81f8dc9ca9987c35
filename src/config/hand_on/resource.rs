//! `OTEL_RESOURCE_ATTRIBUTES` for the children: keeps the items it has and gets those it lacks.

use crate::config::Config;
use crate::config::parse::{is_whole, resource_items};
use crate::config::pick::Picks;
use crate::config::sources::Layer;
use crate::config::table::Id;
use std::borrow::Cow;
use std::format;
use std::string::String;
use std::vec::Vec;

pub(super) const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The variable, if it is to be changed. `present` is the one in the environment; its inner `None` is text that is not
/// UTF-8.
pub(super) fn attributes(present: Option<Option<&str>>, picks: &Picks, config: &Config) -> Option<(String, String)> {
    let present = match present {
        Some(Some(text)) if is_whole(text) => text,
        // What an SDK is going to refuse is left for it to complain about.
        Some(_) => return None,
        None => "",
    };
    let items = resource_items(present).map(|(item, key, _)| (key, Cow::Borrowed(item))).collect();
    let mut attributes = Attributes { items, changed: false };
    for id in [Id::Env, Id::Version] {
        let pick = picks.get(id);
        if let Some(value) = picks.text(id) {
            attributes.add(pick.setting.resource, value, pick.layer);
        }
    }
    for (key, value) in &config.tags {
        attributes.add(&[key], value, picks.get(Id::Tags).layer);
    }
    attributes.changed.then(|| {
        let items: Vec<&str> = attributes.items.iter().map(|(_, item)| item.as_ref()).collect();
        (VARIABLE.into(), items.join(","))
    })
}

struct Attributes<'a> {
    /// Keys and items as they are written.
    items: Vec<(&'a str, Cow<'a, str>)>,
    changed: bool,
}

impl<'a> Attributes<'a> {
    /// Puts a value in under the first of the keys, which all mean the same, unless one of them is there and stays.
    fn add(&mut self, keys: &[&'a str], value: &str, layer: Layer) {
        let Some(key) = keys.first().filter(|key| survives_as_key(key)) else { return };
        let there = self.items.iter().any(|(present, _)| keys.contains(present));
        if matches!(layer, Layer::OtelEnv | Layer::Default)
            || value.is_empty()
            || (there && !layer.overrules_environment())
        {
            return;
        }
        self.items.retain(|(present, _)| !keys.contains(present));
        self.items.push((key, Cow::Owned(format!("{key}={}", encoded(value)))));
        self.changed = true;
    }
}

/// Whether all SDKs read the key as it is: opentelemetry-python decodes only values, opentelemetry-rust nothing.
fn survives_as_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic() && !b",=%\"".contains(&byte))
}

/// Percent-encodes what must be, and nothing else, as not every SDK decodes.
fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (position, byte) in value.bytes().enumerate() {
        let inner_blank = byte == b' ' && position != 0 && position != last;
        if inner_blank || (byte.is_ascii_graphic() && !b",=%".contains(&byte)) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_must_be_is_encoded() {
        for (value, expected) in [
            ("core-team_1.2/x:y", "core-team_1.2/x:y"),
            ("a b", "a b"),
            (" a ", "%20a%20"),
            ("a,b=c%", "a%2Cb%3Dc%25"),
            ("ä", "%C3%A4"),
            ("a\nb", "a%0Ab"),
        ] {
            assert_eq!(encoded(value), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in "\\PC{0,20}") {
            let text = format!("k={}", encoded(&value));
            prop_assert!(is_whole(&text));
            prop_assert!(!encoded(&value).contains(','));
        }
    }
}
