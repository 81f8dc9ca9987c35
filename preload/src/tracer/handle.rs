//! The numbers that stand for spans and contexts outside.

use super::pool::Key;

/// What a handle leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Handle {
    /// A span.
    Span(Key),
    /// A context, as it came in.
    Context(Key),
}

/// Bit of a number: it is a context's. Below it is the slot, from 1 on.
const CONTEXT: u64 = 1 << 15;
const _: () = assert!((super::span::SPANS as u64) < CONTEXT && (super::trace::TRACES as u64) < CONTEXT);

impl Handle {
    /// The number. `epoch` is the process's: those of its parent, which a forked child inherits, lead nowhere.
    pub(crate) fn number(self, epoch: u16) -> u64 {
        let (Handle::Span(key) | Handle::Context(key)) = self;
        let kind = if matches!(self, Handle::Context(_)) { CONTEXT } else { 0 };
        let place = u64::from(key.index.wrapping_add(1)) & (CONTEXT - 1);
        u64::from(key.generation) << 32 | u64::from(epoch) << 16 | kind | place
    }

    /// What a number stands for; `None` for 0, and for what is of another process.
    pub(crate) fn of(number: u64, epoch: u16) -> Option<Handle> {
        let index = ((number & (CONTEXT - 1)) as u32).checked_sub(1)?;
        if (number >> 16) as u16 != epoch {
            return None;
        }
        let key = Key { index, generation: (number >> 32) as u32 };
        Some(if number & CONTEXT != 0 { Handle::Context(key) } else { Handle::Span(key) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_by_the_same_process_only() {
        for key in [Key { index: 0, generation: 0 }, Key { index: 16383, generation: u32::MAX }] {
            for handle in [Handle::Span(key), Handle::Context(key)] {
                for epoch in [0, 1, u16::MAX] {
                    let number = handle.number(epoch);
                    assert_ne!(number, 0);
                    assert_eq!(Handle::of(number, epoch), Some(handle));
                    assert_eq!(Handle::of(number, epoch.wrapping_add(1)), None);
                }
            }
        }
        assert_eq!(Handle::of(0, 0), None);
        assert_eq!(Handle::of(1 << 40, 0), None);
    }
}
