//! Who records into a segment: its first frame, so that a later sidecar can export what was left in it.

use std::borrow::Cow;

use ddtrace::span::{Resource, Value};

/// The resource of the spans, and the clock of the records.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// What makes the spans. All its attributes are texts.
    pub resource: Resource,
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC` when the segment was made, in nanoseconds.
    pub clock_offset: i128,
}

impl Origin {
    /// Writes it: the offset, then names and values, each ended by NUL.
    pub fn format(&self) -> Vec<u8> {
        let mut bytes = self.clock_offset.to_le_bytes().to_vec();
        for (key, value) in &self.resource.attributes {
            if let Value::String(text) = value {
                for part in [key.as_ref(), text.as_ref()] {
                    bytes.extend(part.bytes().filter(|byte| *byte != 0));
                    bytes.push(0);
                }
            }
        }
        bytes
    }

    /// Reads it.
    pub fn parse(bytes: &[u8]) -> Option<Origin> {
        let (offset, rest) = bytes.split_first_chunk::<16>()?;
        let mut parts = rest.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
        let mut attributes = Vec::new();
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            attributes.push((Cow::Owned(key), value.into()));
        }
        Some(Origin { resource: Resource { attributes }, clock_offset: i128::from_le_bytes(*offset) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_back() {
        let attributes = vec![(Cow::Borrowed("service.name"), Value::from("shop")), ("a".into(), Value::from(""))];
        let origin = Origin { resource: Resource { attributes }, clock_offset: -5 };
        assert_eq!(Origin::parse(&origin.format()), Some(origin));
        assert_eq!(Origin::parse(&[0; 15]), None);
    }
}
