//! Writing the settings: the launcher's side.

use super::{
    CLIENT_HIDDEN, CLIENT_RESOLVED, EXTRACT_FIRST, FIELD_END, HTTP_BAGGAGE, IGNORE, KEY_END, LONG_IDS, MAX_LENGTH, NATIVE, NATIVE_AUTO, Native,
    OPEN_TELEMETRY, RESTART,
};
use crate::http::ClientAddress;
use crate::propagation::{Dialect, ExtractBehaviour, Propagation, Style, Styles};
use crate::sampling::{Pairs, SamplingConfig};
use crate::sampling::rules::OwnedRules;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// More keys of baggage, or headers, than this are nobody's.
const MOST_KEYS: usize = 32;

/// The text has no room for the user's tags and the names of services.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortened;

/// What is handed on.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// [`Settings::service`](super::Settings::service).
    pub service: &'a str,
    /// [`Settings::env`](super::Settings::env).
    pub env: &'a str,
    /// [`Settings::version`](super::Settings::version).
    pub version: &'a str,
    /// [`Settings::tags`](super::Settings::tags).
    pub tags: &'a [(String, String)],
    /// [`Settings::trace_id_128_bit`](super::Settings::trace_id_128_bit).
    pub trace_id_128_bit: bool,
    /// [`Settings::native`](super::Settings::native).
    pub native: Native,
    /// [`Settings::propagation`](super::Settings::propagation).
    pub propagation: &'a Propagation,
    /// [`Settings::baggage_tags`](super::Settings::baggage_tags); the first 32 count.
    pub baggage_tags: &'a [String],
    /// [`Settings::header_tags`](super::Settings::header_tags); the first 32 count.
    pub header_tags: &'a [String],
    /// [`Settings::client_address`](super::Settings::client_address).
    pub client_address: ClientAddress<'a>,
    /// [`Settings::sampling`](super::Settings::sampling).
    pub sampling: &'a SamplingConfig,
}

impl Given<'_> {
    /// The text that [`Settings::parse`](super::Settings::parse) reads, at most [`MAX_LENGTH`] bytes. What would make it
    /// longer is left out, tags and names of services, which only sampling goes by. Rules for single spans are the sidecar's, and
    /// never in it.
    #[must_use]
    pub fn to_text(&self) -> (String, Option<Shortened>) {
        let sampling = SamplingConfig { span_rules: OwnedRules::default(), ..self.sampling.clone() };
        let text = self.with_sampling(&sampling);
        if text.len() <= MAX_LENGTH {
            return (text, None);
        }
        let sampling = SamplingConfig { service_names: String::new(), ..sampling };
        (Given { tags: &[], ..*self }.with_sampling(&sampling), Some(Shortened))
    }

    fn with_sampling(&self, sampling: &SamplingConfig) -> String {
        let propagation = self.propagation;
        let mut flags = 0;
        for (flag, is_set) in [
            (LONG_IDS, self.trace_id_128_bit),
            (NATIVE, self.native == Native::On),
            (NATIVE_AUTO, self.native == Native::Auto),
            (EXTRACT_FIRST, propagation.extract_first),
            (OPEN_TELEMETRY, propagation.dialect == Dialect::OpenTelemetry),
            (RESTART, propagation.behaviour == ExtractBehaviour::Restart),
            (IGNORE, propagation.behaviour == ExtractBehaviour::Ignore),
            (HTTP_BAGGAGE, propagation.http_baggage),
            (CLIENT_RESOLVED, matches!(self.client_address, ClientAddress::Resolved(_))),
            (CLIENT_HIDDEN, self.client_address == ClientAddress::Hidden),
        ] {
            if is_set {
                flags |= flag;
            }
        }
        let list = |texts: &[String]| {
            let texts: Vec<String> = texts.iter().take(MOST_KEYS).map(|text| printable(text)).collect();
            texts.join(&char::from(KEY_END).to_string())
        };
        let client_header = match self.client_address {
            ClientAddress::Resolved(header) => String::from_utf8_lossy(header),
            _ => "".into(),
        };
        let limits = [propagation.tags_max_length, propagation.baggage_max_items, propagation.baggage_max_bytes];
        let [tags, items, bytes] = limits.map(|limit| format!("{limit:x}"));
        [
            "4",
            &printable(self.service),
            &printable(self.env),
            &printable(self.version),
            &Pairs::to_text(self.tags),
            &format!("{flags:x}"),
            &tags,
            &items,
            &bytes,
            &names(propagation.inject),
            &names(propagation.extract),
            &list(self.baggage_tags),
            &list(self.header_tags),
            &printable(&client_header),
            &sampling.to_compact(),
        ]
        .join(&char::from(FIELD_END).to_string())
    }
}

fn names(styles: Styles) -> String {
    styles.iter().map(Style::name).collect::<Vec<_>>().join(",")
}

/// No separator can be in it, and no backend takes a control character. 256 bytes are more than any of them keeps.
fn printable(text: &str) -> String {
    let mut printable: String = text.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    printable.truncate(printable.floor_char_boundary(256));
    printable
}
