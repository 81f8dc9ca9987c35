//! Baggage that is passed on as it came, without being stored member by member.

use super::{BaggageSource, EachMember};
use super::baggage_header::each_sound_member;

/// The members of a `baggage` header's text. What is malformed among them is left out.
#[derive(Clone, Copy, Debug)]
pub struct HeaderBaggage<'a>(pub &'a [u8]);

impl BaggageSource for HeaderBaggage<'_> {
    fn members(&self, each: &mut EachMember<'_>) {
        each_sound_member(self.0, each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn sound_members_are_passed_on() {
        let mut seen = Vec::new();
        HeaderBaggage(b"a=1%2C2;p, broken,=x,b = c=d ").members(&mut |key, value, properties| {
            seen.push([key.to_vec(), value.to_vec(), properties.to_vec()]);
        });
        let expected: [[&[u8]; 3]; 2] = [[b"a", b"1,2", b"p"], [b"b", b"c=d", b""]];
        assert_eq!(seen, expected.map(|member| member.map(<[u8]>::to_vec)));
    }
}
