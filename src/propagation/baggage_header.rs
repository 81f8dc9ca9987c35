//! W3C Baggage: the header `baggage`.

use super::text::{Class, MAX_TEXT, decode_pair, encode, split_once, trim};
use super::{BaggageSink, BaggageSource, Carrier, CarrierMut, Dialect, EachMember};
use crate::context::{Bounded, DoesNotFit};

/// The header.
pub(super) const NAME: &str = "baggage";

/// How much baggage may still be taken.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub items: u16,
    pub bytes: usize,
}

impl Room {
    /// Whether a member of so many bytes may be taken; what comes after one that may not is not taken either.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        match (self.items.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(items), Some(rest)) => {
                *self = Room { items, bytes: rest };
                true
            }
            _ => {
                *self = Room { items: 0, bytes: 0 };
                false
            }
        }
    }
}

/// A member as it stands, without the blanks around its parts.
struct Member<'a> {
    key: &'a [u8],
    value: &'a [u8],
    properties: &'a [u8],
}

impl<'a> Member<'a> {
    fn split(text: &'a [u8]) -> Option<Member<'a>> {
        let (pair, properties) = split_once(text, b';').unwrap_or((text, b""));
        let (key, value) = split_once(pair, b'=')?;
        let member = Member { key: trim(key), value: trim(value), properties: trim(properties) };
        (!member.key.is_empty()).then_some(member)
    }

    /// Datadog's tracers take any bytes, but no empty value; the W3C grammar is the other way round.
    fn is_sound(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Datadog => !self.value.is_empty(),
            Dialect::OpenTelemetry => {
                Class::TOKEN.has_all(self.key) && Class::OCTET.has_all(self.value)
            }
        }
    }

    fn give(&self, each: &mut EachMember<'_>) {
        let _ = decode_pair(self.key, self.value, |key, value| each(key, value, self.properties));
    }
}

/// The members of a header that are sound by themselves.
pub(super) fn each_sound_member(header: &[u8], each: &mut EachMember<'_>) {
    for member in header.split(|byte| *byte == b',').filter_map(Member::split) {
        member.give(each);
    }
}

/// Reads all `baggage` headers. In Datadog's dialect one malformed member discards all of them, in OpenTelemetry's only
/// itself. Whether there was any.
pub(super) fn read(carrier: &dyn Carrier, dialect: Dialect, mut room: Room, sink: &mut dyn BaggageSink) -> bool {
    if dialect == Dialect::Datadog && !is_sound_as_a_whole(carrier) {
        return false;
    }
    let mut any = false;
    let mut separator = 0;
    carrier.values(NAME, &mut |header| {
        for text in header.split(|byte| *byte == b',').map(trim) {
            let Some(member) = Member::split(text).filter(|member| member.is_sound(dialect)) else { continue };
            if !room.take(text.len().saturating_add(separator)) {
                return;
            }
            separator = 1;
            any = true;
            member.give(&mut |key, value, properties| sink.member(key, value, properties));
        }
    });
    any
}

fn is_sound_as_a_whole(carrier: &dyn Carrier) -> bool {
    let mut sound = true;
    carrier.values(NAME, &mut |header| {
        let header = trim(header);
        let is_sound = |text| Member::split(text).is_some_and(|member| member.is_sound(Dialect::Datadog));
        sound &= header.is_empty() || header.split(|byte| *byte == b',').all(is_sound);
    });
    sound
}

/// Writes the header, if there is anything to write. Members beyond the limits are left out from the end.
pub(super) fn write(source: &dyn BaggageSource, dialect: Dialect, room: Room, carrier: &mut dyn CarrierMut) {
    let mut is_empty = true;
    source.members(&mut |_, _, _| is_empty = false);
    if !is_empty {
        write_members(source, dialect, room, carrier);
    }
}

/// By itself, as threads of programs may have small stacks, and seldom need this.
#[inline(never)]
fn write_members(source: &dyn BaggageSource, dialect: Dialect, mut room: Room, carrier: &mut dyn CarrierMut) {
    let mut header = Bounded::<MAX_TEXT>::new();
    source.members(&mut |key, value, properties| {
        // Datadog's tracers trim; to them, a member without a value makes all baggage invalid.
        let (key, value) = match dialect {
            Dialect::Datadog => (key.trim_ascii(), value.trim_ascii()),
            Dialect::OpenTelemetry => (key, value),
        };
        if key.is_empty() || (value.is_empty() && dialect == Dialect::Datadog) || room.items == 0 {
            return;
        }
        let before = header.len();
        let fits = push(&mut header, key, value, properties).is_ok();
        if !fits || !room.take(header.len().saturating_sub(before)) {
            room = Room { items: 0, bytes: 0 };
            header.truncate(before);
        }
    });
    if !header.is_empty() {
        carrier.set(NAME, header.as_bytes());
    }
}

fn push(
    header: &mut Bounded<MAX_TEXT>,
    key: &[u8],
    value: &[u8],
    properties: &[u8],
) -> Result<(), DoesNotFit> {
    if !header.is_empty() {
        header.push(b",")?;
    }
    encode(header, key, Class::KEY_AS_IS)?;
    header.push(b"=")?;
    encode(header, value, Class::VALUE_AS_IS)?;
    // They go out as they came in, so they must be such that they cannot be taken for something else.
    let properties = trim(properties);
    if !properties.is_empty() && Class::PRINTABLE.has_all(properties) && !properties.contains(&b',') {
        header.push(b";")?;
        header.push(properties)?;
    }
    Ok(())
}
