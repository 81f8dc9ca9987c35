//! W3C `tracestate`: the members of all vendors, of which `dd` is Datadog's and `ot` OpenTelemetry's.

use super::text::{Class, split_once, trim};
use super::{Carrier, CarrierMut, Dialect, Outgoing, dd_member};
use crate::context::{Bounded, MAX_OT_MEMBER, MAX_TRACE_STATE, Priority, TraceContext};

/// The header.
pub(super) const NAME: &str = "tracestate";

/// The most members.
const MAX_MEMBERS: usize = 32;
/// The longest key and the longest value, in bytes.
const MAX_PART: usize = 256;
/// Longer members go first when the header is too long, in bytes.
const LONG_MEMBER: usize = 128;
/// Room for our own members, which may not be dropped, and for what is kept of the others.
const MAX_HEADER: usize = MAX_TRACE_STATE + 1 + 2 * 4 + MAX_PART + MAX_OT_MEMBER;

/// Writes the header, if there is anything to write: Datadog's member, OpenTelemetry's, then the others in their order.
///
/// In Datadog's dialect the others give way to ours; in OpenTelemetry's ours are left out where the others are 31 or 32.
pub(super) fn write(outgoing: &Outgoing<'_>, dialect: Dialect, with_tid: bool, carrier: &mut dyn CarrierMut) {
    let others = outgoing.trace.trace_state.as_bytes();
    // Nothing that could end a header may come from a program's own trace state.
    let others = if Class::PRINTABLE.has_all(others) { others } else { b"" };
    let members = members_of(others).count();
    let mut room_for_ours = match dialect {
        Dialect::Datadog => MAX_MEMBERS,
        Dialect::OpenTelemetry => MAX_MEMBERS.saturating_sub(members),
    };
    let mut header = Bounded::<MAX_HEADER>::new();
    let mut ours = 0usize;
    let dd = dd_member::write(outgoing, with_tid);
    for (key, value) in [(&b"dd="[..], dd.as_bytes()), (b"ot=", outgoing.trace.ot.as_bytes())] {
        if room_for_ours > 0 && is_value(value) && !value.contains(&b',') {
            let comma: &[u8] = if header.is_empty() { b"" } else { b"," };
            // All three fit by the size of the header.
            let _ = header.push(comma).and(header.push(key)).and(header.push(value));
            room_for_ours = room_for_ours.saturating_sub(1);
            ours = ours.saturating_add(1);
        }
    }
    let comma = usize::from(!header.is_empty());
    let room = Room {
        bytes: MAX_TRACE_STATE.saturating_sub(header.len()).saturating_sub(comma),
        members: MAX_MEMBERS.saturating_sub(ours),
    };
    let has_no_empty_ones = members == others.split(|byte| *byte == b',').count();
    if has_no_empty_ones && others.len() <= room.bytes && members <= room.members {
        let comma: &[u8] = if header.is_empty() { b"" } else { b"," };
        let _ = header.push(comma).and(header.push(others));
    } else {
        keep_within(room, &|each| members_of(others).for_each(each), &mut header);
    }
    if !header.is_empty() {
        carrier.set(NAME, header.as_bytes());
    }
}

/// The members of a list, without blanks around them and without empty ones.
fn members_of(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// How much may be kept.
#[derive(Clone, Copy)]
struct Room {
    bytes: usize,
    members: usize,
}

/// Gives all members to a function, as often as it is called.
type Members<'a> = dyn Fn(&mut dyn FnMut(&[u8])) + 'a;

/// Adds of the members what fits: whole ones, short ones rather than long ones, the first rather than the last.
fn keep_within<const N: usize>(
    room: Room,
    members: &Members<'_>,
    out: &mut Bounded<N>,
) {
    let (mut all_short, mut count) = (0usize, 0usize);
    members(&mut |member| {
        count = count.saturating_add(1);
        if member.len() <= LONG_MEMBER && count <= room.members {
            all_short = all_short.saturating_add(member.len()).saturating_add(1);
        }
    });
    // One comma more than between members is counted, as it is in front of the first.
    let bytes = room.bytes.saturating_add(1);
    let (mut used, mut long, mut place) = (0usize, 0usize, 0usize);
    let mut full = false;
    members(&mut |member| {
        place = place.saturating_add(1);
        let length = member.len().saturating_add(1);
        if place > room.members || full {
            return;
        }
        let is_long = member.len() > LONG_MEMBER;
        let fits = if is_long {
            all_short.saturating_add(long).saturating_add(length) <= bytes
        } else {
            used.saturating_add(length) <= bytes
        };
        if fits {
            used = used.saturating_add(length);
            long = long.saturating_add(if is_long { length } else { 0 });
            let comma: &[u8] = if out.is_empty() { b"" } else { b"," };
            let _ = out.push(comma).and(out.push(member));
        }
        full = !fits && !is_long;
    });
}

/// Reads all `tracestate` headers into a fresh context; gives the priority in Datadog's member. One malformed member or
/// more than 32 of them discard everything.
pub(super) fn read(carrier: &dyn Carrier, context: &mut TraceContext) -> Option<Priority> {
    let mut read = Reading { members: 0, sound: true, fits: true, has_dd: false, priority: None };
    carrier.values(NAME, &mut |list| {
        for member in members_of(list) {
            read.member(member, context);
        }
    });
    if !read.sound || read.members > MAX_MEMBERS {
        context.trace_state.clear();
        context.ot.clear();
        context.origin.clear();
        context.tags.clear();
        context.last_parent = Default::default();
        return None;
    }
    if !read.fits {
        context.trace_state.clear();
        let room = Room { bytes: MAX_TRACE_STATE, members: MAX_MEMBERS };
        keep_within(room, &|each| foreign(carrier, each), &mut context.trace_state);
    }
    read.priority
}

/// The members that are neither Datadog's nor OpenTelemetry's.
fn foreign(carrier: &dyn Carrier, each: &mut dyn FnMut(&[u8])) {
    carrier.values(NAME, &mut |list| {
        members_of(list).filter(|member| !member.starts_with(b"dd=") && !member.starts_with(b"ot=")).for_each(&mut *each);
    });
}

/// The whole of the headers as one, for a span link; shortened where it must be. Nothing where [`read`] takes nothing.
pub(super) fn whole(carrier: &dyn Carrier, out: &mut Bounded<MAX_TRACE_STATE>) {
    out.clear();
    let all = |each: &mut dyn FnMut(&[u8])| {
        let is_broken_dd = |member: &&[u8]| member.strip_prefix(b"dd=").is_some_and(|value| !is_value(value));
        carrier.values(NAME, &mut |list| members_of(list).filter(|member| !is_broken_dd(member)).for_each(&mut *each));
    };
    let (mut members, mut sound) = (0usize, true);
    all(&mut |member| {
        members = members.saturating_add(1);
        sound &= split_once(member, b'=').is_some_and(|(key, value)| is_key(key) && is_value(value));
    });
    if !sound || members > MAX_MEMBERS {
        return;
    }
    let room = Room { bytes: MAX_TRACE_STATE, members: MAX_MEMBERS };
    keep_within(room, &all, out);
}

struct Reading {
    members: usize,
    sound: bool,
    fits: bool,
    has_dd: bool,
    priority: Option<Priority>,
}

impl Reading {
    fn member(&mut self, member: &[u8], context: &mut TraceContext) {
        self.members = self.members.saturating_add(1);
        let part = split_once(member, b'=');
        // Datadog's member is read by Datadog's rules: malformed, it discards nothing but itself.
        if let Some((b"dd", value)) = part {
            // Of several the first is the newest.
            if !core::mem::replace(&mut self.has_dd, true) && is_value(value) {
                self.priority = dd_member::read(value, context);
            }
            return;
        }
        let Some((key, value)) = part.filter(|(key, value)| is_key(key) && is_value(value)) else {
            self.sound = false;
            return;
        };
        match key {
            b"ot" if context.ot.is_empty() => {
                let _ = context.ot.set(value);
            }
            b"ot" => {}
            _ if self.fits => {
                let comma: &[u8] = if context.trace_state.is_empty() { b"" } else { b"," };
                self.fits = context.trace_state.push(comma).and(context.trace_state.push(member)).is_ok();
            }
            _ => {}
        }
    }
}

/// Level 2: lower-case letters, digits and `_-*/@`; the first a letter or a digit.
fn is_key(key: &[u8]) -> bool {
    key.len() <= MAX_PART
        && key.first().is_some_and(|first| Class::STATE_KEY_FIRST.has(*first))
        && Class::STATE_KEY.has_all(key)
}

/// Printable but for `,` and `=`; a blank may lead, and one at the end was trimmed.
fn is_value(value: &[u8]) -> bool {
    !value.is_empty() && value.len() <= MAX_PART && Class::PRINTABLE.has_all(value) && !value.contains(&b'=')
}
