//! Headers for the targets of propagation: what a request brings, and what is sent on.

use ddtrace::propagation::{
    Carrier, CarrierMut, Dialect, ExtractBehaviour, Propagation, Style, Styles, baggage::Baggage,
};

/// Headers in order, several of one name among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    /// Lines of `name: value`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Headers {
        let line = |line: &[u8]| {
            let colon = line.windows(2).position(|pair| pair == b": ")?;
            Some((line[..colon].to_ascii_lowercase(), line[colon + 2..].to_vec()))
        };
        Headers(text.split(|byte| *byte == b'\n').filter_map(line).collect())
    }

    /// The first value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(present, _)| present == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// Checks what a receiver may expect of what was written.
    ///
    /// # Panics
    /// When a value could not stand in a header.
    pub fn check(&self) {
        for (name, value) in &self.0 {
            let is_safe = |text: &[u8]| text.iter().all(|byte| matches!(byte, 0x20..=0x7e));
            // Only a member of baggage may be empty.
            let may_be_empty = name.starts_with(b"uberctx-") || name.starts_with(b"ot-baggage-");
            assert!(is_safe(name) && is_safe(value) && (may_be_empty || !value.is_empty()), "{:?}", (name.escape_ascii(), value.escape_ascii()));
        }
        if let Some(state) = self.get("tracestate") {
            assert!(state.len() <= 519 && state.split(|byte| *byte == b',').count() <= 32);
        }
        assert!(self.get("baggage").is_none_or(|baggage| baggage.len() <= 8192));
        assert!(self.get("x-datadog-tags").is_none_or(|tags| tags.len() <= 512));
    }
}

impl Carrier for Headers {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.0.iter().filter(|(present, _)| present == name.as_bytes()).for_each(|(_, value)| each(value));
    }

    fn with_prefix(&self, prefix: &str, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.0 {
            if let Some(rest) = name.strip_prefix(prefix.as_bytes()) {
                each(rest, value);
            }
        }
    }
}

impl CarrierMut for Headers {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.0.retain(|(present, _)| present != name.as_bytes());
        self.0.push((name.as_bytes().to_vec(), value.to_vec()));
    }
}

/// How to propagate, from a line of text: a character of options, then one for each style, in order.
#[must_use]
pub fn propagation(line: &[u8]) -> Propagation {
    let (options, chosen) = line.split_first().unwrap_or((&0, &[]));
    let styles: Styles = chosen.iter().map(|byte| Style::ALL[usize::from(*byte) % Style::ALL.len()]).collect();
    let options = options.wrapping_sub(b'0');
    Propagation {
        inject: styles,
        extract: styles,
        dialect: if options & 1 == 0 { Dialect::Datadog } else { Dialect::OpenTelemetry },
        extract_first: options & 2 != 0,
        behaviour: match options >> 2 & 3 {
            1 => ExtractBehaviour::Restart,
            2 => ExtractBehaviour::Ignore,
            _ => ExtractBehaviour::Continue,
        },
        ..Propagation::default()
    }
}

/// The first line, and what follows.
#[must_use]
pub fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, b""),
    }
}

/// The baggage that is in the headers.
#[must_use]
pub fn baggage(propagation: &Propagation, headers: &Headers) -> Baggage {
    let mut baggage = Baggage::default();
    let found = propagation.extract(headers, &mut baggage);
    assert!(found.has_baggage || baggage.is_empty());
    baggage
}
