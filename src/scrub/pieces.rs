//! A scrubbed argument: the original, and which parts of it are not to be shown.

/// What stands for a secret; the text that Datadog's tracers put into query strings.
pub const REDACTED: &[u8] = b"<redacted>";

/// The most secrets hidden one by one in one argument; from one more on, the rest of the argument is hidden as a whole.
const CUTS_MAX: usize = 8;

/// One argument without its secrets, as pieces of the original with [`REDACTED`] between them. At most 80 bytes longer
/// than the original.
#[derive(Clone, Debug)]
pub struct Scrubbed<'a> {
    arg: &'a [u8],
    /// Beginnings and ends, in order and without overlap; the unused ones lie at the end of the argument, empty.
    cuts: [(usize, usize); CUTS_MAX],
    count: usize,
}

impl<'a> Scrubbed<'a> {
    pub(super) fn unchanged(arg: &'a [u8]) -> Self {
        Scrubbed { arg, cuts: [(arg.len(), arg.len()); CUTS_MAX], count: 0 }
    }

    /// Hides `start..end`, which must not begin before the end of what was hidden earlier.
    pub(super) fn hide(&mut self, start: usize, end: usize) {
        if start >= end {
            return;
        }
        if let Some(cut) = self.cuts.get_mut(self.count) {
            *cut = (start, end);
            self.count += 1;
        } else if let Some((_, last_end)) = self.cuts.last_mut() {
            *last_end = self.arg.len();
        }
    }

    /// Hides everything from `start` on.
    pub(super) fn hide_rest(&mut self, start: usize) {
        self.hide(start, self.arg.len());
    }

    /// Whether nothing was hidden.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.count == 0
    }

    /// The length of all pieces together, in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody copies an argument by whether it is empty")]
    pub fn len(&self) -> usize {
        self.pieces().fold(0, |sum, piece| sum.saturating_add(piece.len()))
    }

    /// The pieces to copy one after the other; none is empty.
    #[must_use]
    pub fn pieces(&self) -> Pieces<'a> {
        Pieces { arg: self.arg, cuts: self.cuts, left: self.count, next: 0, at: 0, redacted_is_due: false }
    }
}

/// The pieces of a [`Scrubbed`] argument.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    arg: &'a [u8],
    cuts: [(usize, usize); CUTS_MAX],
    left: usize,
    next: usize,
    at: usize,
    redacted_is_due: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.redacted_is_due {
            self.redacted_is_due = false;
            return Some(REDACTED);
        }
        let cut = self.cuts.get(self.next).filter(|_| self.next < self.left).copied();
        let (start, end) = cut.unwrap_or((self.arg.len(), self.arg.len()));
        let piece = self.arg.get(self.at..start).unwrap_or_default();
        self.at = end;
        if cut.is_some() {
            self.next += 1;
            self.redacted_is_due = true;
        }
        match piece {
            [] if cut.is_some() => self.next(),
            [] => None,
            piece => Some(piece),
        }
    }
}
