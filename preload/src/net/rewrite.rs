//! Headers put into a request that the program sends: which bytes of its own go out, and ours between them, over as many
//! calls as it takes.
//!
//! The program must not notice. It is told how many of *its* bytes were taken; what was cut out counts as taken when what
//! stands before it is. A call that ends in the midst of our bytes is completed before anything else of the program's.

/// The most header lines that can be replaced.
const MOST_CUTS: usize = 16;

/// Bytes that are not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cut {
    start: usize,
    end: usize,
}

/// A part of what goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Segment {
    /// The program's bytes, counted from where its call begins.
    Host { start: usize, end: usize },
    /// Ours, counted from their beginning.
    Own { start: usize, end: usize },
    /// The program's, which are not sent.
    Skipped { end: usize },
}

/// A head that is being sent, with lines cut out and others put in. Places are counted from the first byte of the call
/// that completed the head.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    cuts: [Cut; MOST_CUTS],
    cut_count: usize,
    insert_at: usize,
    /// How many bytes are put in, and how many of them have been sent.
    own: usize,
    own_sent: usize,
    /// How many of the program's bytes have been taken.
    taken: usize,
    /// Where the head ends; nothing is changed behind it.
    end: usize,
}

impl Rewrite {
    /// Nothing.
    pub(crate) const NONE: Rewrite = Rewrite {
        cuts: [Cut { start: 0, end: 0 }; MOST_CUTS],
        cut_count: 0,
        insert_at: 0,
        own: 0,
        own_sent: 0,
        taken: 0,
        end: 0,
    };

    /// Puts `own` bytes in at `insert_at`, before the end of the head at `end`.
    pub(crate) fn new(insert_at: usize, own: usize, end: usize) -> Option<Rewrite> {
        (insert_at < end).then_some(Rewrite { insert_at, own, end, ..Rewrite::NONE })
    }

    /// Cuts a part out, which lies behind those before and ahead of the insertion. Whether there was room to note it.
    pub(crate) fn cut(&mut self, start: usize, end: usize) -> bool {
        let behind = self.cuts().last().map_or(0, |last| last.end);
        match self.cuts.get_mut(self.cut_count) {
            Some(place) if behind <= start && start < end && end <= self.insert_at => {
                *place = Cut { start, end };
                self.cut_count = self.cut_count.wrapping_add(1);
                true
            }
            _ => false,
        }
    }

    fn cuts(&self) -> &[Cut] {
        self.cuts.get(..self.cut_count).unwrap_or_default()
    }

    /// Whether nothing of it has been sent: the program may still send something else.
    pub(crate) fn is_unsent(&self) -> bool {
        self.taken == 0 && self.own_sent == 0
    }

    /// The most pieces that so many buffers become: each cut takes one apart, and ours go between two.
    pub(crate) fn most_pieces(&self, buffers: usize) -> usize {
        buffers.saturating_add(self.cut_count).saturating_add(2)
    }

    /// Which of our bytes come next, before any more of the program's; `None` where its own do.
    pub(crate) fn own_is_next(&self) -> Option<(usize, usize)> {
        (self.taken == self.insert_at && self.own_sent < self.own).then_some((self.own_sent, self.own))
    }

    /// So many of our bytes went out by themselves.
    pub(crate) fn own_went_out(&mut self, sent: usize) {
        self.own_sent = self.own_sent.saturating_add(sent).min(self.own);
    }

    /// How many of the program's bytes have been taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Where the head ends.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Whether the whole head has been sent.
    pub(crate) fn is_done(&self) -> bool {
        self.taken >= self.end
    }

    /// Calls `each` with the parts of what goes out for the program's next `length` bytes, as long as it likes them.
    pub(crate) fn segments(&self, length: usize, mut each: impl FnMut(Segment) -> bool) {
        let (mut at, stop) = (self.taken, self.taken.saturating_add(length));
        let own = Segment::Own { start: self.own_sent, end: self.own };
        let mut own_left = self.own_sent < self.own;
        // Each round goes over one part: at most two for each cut, and three.
        while at < stop {
            if at == self.insert_at && own_left {
                own_left = false;
                if !each(own) {
                    return;
                }
            }
            let next = |place: usize| if place > at { place } else { stop };
            let inside = self.cuts().iter().find(|cut| cut.start <= at && at < cut.end);
            let (end, is_cut) = match inside {
                Some(cut) => (cut.end.min(stop), true),
                None => {
                    let border = self.cuts().iter().map(|cut| next(cut.start)).min().unwrap_or(stop);
                    (border.min(if own_left { next(self.insert_at) } else { stop }).min(stop), false)
                }
            };
            let (start, from) = (at.wrapping_sub(self.taken), end.wrapping_sub(self.taken));
            let segment = if is_cut { Segment::Skipped { end: from } } else { Segment::Host { start, end: from } };
            if !each(segment) {
                return;
            }
            at = end;
        }
    }

    /// Takes in that `sent` bytes went out of what the program's next `length` bytes were made to. Gives how many of the
    /// program's were taken.
    pub(crate) fn advance(&mut self, length: usize, sent: usize) -> usize {
        let (mut left, mut host, mut own_sent) = (sent, 0usize, self.own_sent);
        self.segments(length, |segment| match segment {
            Segment::Host { start, end } => {
                let taken = left.min(end.wrapping_sub(start));
                left = left.wrapping_sub(taken);
                host = start.wrapping_add(taken);
                host == end
            }
            Segment::Own { start, end } => {
                let taken = left.min(end.wrapping_sub(start));
                left = left.wrapping_sub(taken);
                own_sent = start.wrapping_add(taken);
                own_sent == end
            }
            Segment::Skipped { end } => {
                host = end;
                true
            }
        });
        self.own_sent = own_sent;
        self.taken = self.taken.wrapping_add(host);
        host
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::io::{ErrorKind, Read, Write};
    use std::os::unix::net::UnixStream;
    use std::vec::Vec;

    const OWN: &[u8] = b"traceparent: 00-1-2-01\r\nbaggage: a=b\r\n";

    /// What goes out for the program's next bytes.
    fn outgoing(rewrite: &Rewrite, host: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        rewrite.segments(host.len(), |segment| {
            match segment {
                Segment::Host { start, end } => out.extend(&host[start..end]),
                Segment::Own { start, end } => out.extend(&OWN[start..end]),
                Segment::Skipped { .. } => {}
            }
            true
        });
        out
    }

    /// Sends `message` in calls of at most `offer` bytes, of which each takes as many as `takes` says; gives what arrives.
    fn send(rewrite: &mut Rewrite, message: &[u8], offers: &[usize], mut take: impl FnMut(&[u8]) -> usize) -> usize {
        let (mut at, mut rounds) = (0, 0);
        let mut offers = offers.iter().copied().cycle();
        while at < message.len() {
            rounds += 1;
            assert!(rounds < 50_000_000, "it makes no progress");
            let end = message.len().min(at.saturating_add(offers.next().unwrap_or(usize::MAX).max(1)));
            if let Some((start, end)) = rewrite.own_is_next() {
                rewrite.own_went_out(take(&OWN[start..end]));
                if rewrite.own_is_next().is_some() {
                    continue;
                }
            }
            let part = &message[at..end];
            let out = outgoing(rewrite, part);
            let sent = if out.is_empty() { 0 } else { take(&out) };
            let taken = rewrite.advance(part.len(), sent);
            assert!(taken <= part.len() && (sent == out.len()) == (taken == part.len()));
            assert!(taken > 0 || sent == 0, "the program would be told of an error that there was none");
            at += taken;
        }
        rounds
    }

    /// A message of lines of which some are cut out: the head with them, how it is to be rewritten, what is to arrive.
    fn rewritten(lines: &[(usize, bool)], body: usize) -> (Vec<u8>, Rewrite, Vec<u8>) {
        let (mut message, mut expected, mut cuts) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (length, is_cut)) in lines.iter().enumerate() {
            let line = [&vec![b'a' + number as u8; *length][..], b"\r\n"].concat();
            if *is_cut {
                cuts.push((message.len(), message.len() + line.len()));
            } else {
                expected.extend(&line);
            }
            message.extend(line);
        }
        let insert_at = message.len();
        expected.extend(OWN);
        let rest = [b"\r\n", &vec![b'.'; body][..]].concat();
        let mut rewrite = Rewrite::new(insert_at, OWN.len(), insert_at + 2).unwrap();
        for (start, end) in cuts {
            assert!(rewrite.cut(start, end));
        }
        message.extend(&rest);
        expected.extend(&rest);
        (message, rewrite, expected)
    }

    #[test]
    fn every_point_where_a_call_can_stop() {
        let (message, rewrite, expected) = rewritten(&[(5, false), (3, true), (2, true), (7, false), (4, true)], 9);
        for first in 0..=expected.len() {
            for second in 0..=expected.len() {
                let mut limits = [first, second].into_iter();
                let (mut rewrite, mut arrived) = (rewrite.clone(), Vec::<u8>::new());
                send(&mut rewrite, &message, &[usize::MAX], |out| {
                    let taken = limits.next().unwrap_or(usize::MAX).min(out.len());
                    arrived.extend(&out[..taken]);
                    taken
                });
                assert_eq!(arrived, expected, "stopped after {first} and {second}");
                assert!(rewrite.is_done());
            }
        }
    }

    #[test]
    fn cuts_must_lie_in_order_and_before_the_insertion() {
        let mut rewrite = Rewrite::new(20, 5, 22).unwrap();
        assert!(rewrite.cut(4, 8) && !rewrite.cut(6, 9) && !rewrite.cut(8, 8) && !rewrite.cut(19, 21));
        assert!(rewrite.cut(8, 9) && rewrite.is_unsent());
        assert!(Rewrite::new(2, 5, 2).is_none());
    }

    /// A real socket whose buffers are as small as the system makes them, and a reader that is slow.
    #[test]
    fn through_a_socket_with_tiny_buffers() {
        let long: Vec<_> = (0..12).map(|number| (number * 700, number % 3 == 1)).collect();
        let (message, mut rewrite, expected) = rewritten(&long, 50_000);
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let reader = std::thread::spawn(move || {
            let (mut all, mut piece) = (Vec::<u8>::new(), [0; 333]);
            while let Ok(count @ 1..) = far.read(&mut piece) {
                all.extend(&piece[..count]);
            }
            all
        });
        send(&mut rewrite, &message, &[1, 1000, 17, usize::MAX], |out| match near.write(out) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::yield_now();
                0
            }
            Err(error) => panic!("{error}"),
        });
        drop(near);
        assert!(reader.join().unwrap() == expected);
    }

    proptest! {
        #[test]
        fn what_arrives_is_what_was_meant(
            lines in vec((0..30usize, any::<bool>()), 1..16),
            body in 0..20usize,
            offers in vec(1..80usize, 1..9),
            takes in vec(0..50usize, 1..9),
        ) {
            prop_assume!(takes.iter().any(|take| *take > 0));
            let (message, mut rewrite, expected) = rewritten(&lines, body);
            let (mut arrived, mut takes) = (Vec::<u8>::new(), takes.into_iter().cycle());
            send(&mut rewrite, &message, &offers, |out| {
                let taken = takes.next().unwrap_or(1).min(out.len());
                arrived.extend(&out[..taken]);
                taken
            });
            prop_assert_eq!(arrived, expected);
        }
    }
}
