//! Bars: when a span ran, and when it only waited for its children, in eighths of a column.

use super::axis::Axis;
use super::style::{Ink, Line, Style};

/// The bar column of one row.
pub struct Bar<'a> {
    axis: &'a Axis,
    style: &'a Style,
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, PartialEq)]
struct Cell {
    glyph: char,
    ink: Ink,
    /// Foreground and background exchanged: turns a block at the left of the cell into one at its right.
    reversed: bool,
}

const LEFT_BLOCKS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const LOWER_BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
const ASCII_SHADES: [char; 5] = [' ', '.', ':', '+', '#'];

impl<'a> Bar<'a> {
    /// An empty one with the lines of the ticks.
    pub fn new(axis: &'a Axis, style: &'a Style, tick_columns: &[usize]) -> Self {
        let empty = Cell { glyph: ' ', ink: Ink::Faint, reversed: false };
        let mut cells = vec![empty; axis.columns()];
        if style.unicode {
            for &column in tick_columns {
                cells[column].glyph = '┊';
            }
        }
        Self { axis, style, cells }
    }

    /// Draws a span: thick where it worked itself, that is in the sorted intervals of `own`, thin where it waited
    /// for children.
    pub fn span(&mut self, start: u64, end: u64, own: &[(u64, u64)], ink: Ink, running: bool) -> &mut Self {
        let last_eighth = self.cells.len() * 8;
        let from = ((self.axis.position(start) * 8.0) as usize).min(last_eighth - 1);
        let to = ((self.axis.position(end) * 8.0).round() as usize).clamp(from + 1, last_eighth);
        let (first, last) = (from / 8, (to - 1) / 8);
        let (own, ran) = (self.shares(own), self.shares(&[(start, end)]));
        for cell in first..=last {
            let left = from.saturating_sub(cell * 8);
            let right = (to - cell * 8).min(8);
            let worked = own[cell] >= ran[cell] * 0.5;
            self.cells[cell] = match (self.style.unicode, worked) {
                (true, true) => self.block(left, right, ink),
                (true, false) => plain(thin(left, right), ink),
                (false, true) => plain(if to - from < 8 { '|' } else { '#' }, ink),
                (false, false) => plain('-', ink),
            };
        }
        if running {
            self.cells[last] = plain(if self.style.unicode { '▸' } else { '>' }, ink);
        }
        self
    }

    /// Draws many spans at once: the darker a column, the more of its time at least one of them ran.
    pub fn group(&mut self, intervals: &[(u64, u64)], ink: Ink) -> &mut Self {
        let shades = if self.style.unicode { SHADES } else { ASCII_SHADES };
        for (column, share) in self.shares(&union(intervals)).into_iter().enumerate() {
            // What ran at all is seen.
            let level = if share > 0.0 { (share * 4.0).round().clamp(1.0, 4.0) as usize } else { 0 };
            if level > 0 {
                self.cells[column] = plain(shades[level], ink);
            }
        }
        for &(start, _) in intervals {
            let column = (self.axis.position(start) as usize).min(self.cells.len() - 1);
            if self.cells[column].ink == Ink::Faint {
                self.cells[column] = plain(shades[1], ink);
            }
        }
        self
    }

    /// Draws how many were at work in each column, out of `most`.
    pub fn levels(&mut self, at_work: &[f64], most: f64, ink: Ink) -> &mut Self {
        for (cell, &level) in self.cells.iter_mut().zip(at_work) {
            let share = (level / most.max(1.0)).clamp(0.0, 1.0);
            let eighths = if level > 0.02 { (share * 8.0).round().max(1.0) as usize } else { 0 };
            *cell = match eighths {
                0 => plain(' ', ink),
                _ if self.style.unicode => plain(LOWER_BLOCKS[eighths], ink),
                _ => plain(char::from_digit(level.round().clamp(0.0, 9.0) as u32, 10).unwrap_or('9'), ink),
            };
        }
        self
    }

    /// Adds the bar to a line.
    pub fn write(&self, line: &mut Line<'_>) {
        for run in self.cells.chunk_by(|a, b| a.ink == b.ink && a.reversed == b.reversed) {
            let text: String = run.iter().map(|cell| cell.glyph).collect();
            match run[0] {
                Cell { ink, reversed: true, .. } => line.push_reversed(ink, &text),
                Cell { ink, .. } => line.push(ink, &text),
            };
        }
    }

    /// A block from one eighth of a cell to another, or the nearest to it that there is.
    fn block(&self, left: usize, right: usize, ink: Ink) -> Cell {
        match (left, right) {
            (0, right) => plain(LEFT_BLOCKS[right], ink),
            // Reversed, the block at the left is a gap.
            (left, 8) if self.style.colour => Cell { glyph: LEFT_BLOCKS[left], ink, reversed: true },
            (0..=2, 8) => plain('█', ink),
            (3..=6, 8) => plain('▐', ink),
            (_, 8) => plain('▕', ink),
            (left, right) if right - left <= 2 => plain(if left + right < 6 { '▏' } else { '│' }, ink),
            (left, right) => plain(if left + right < 8 { '▌' } else { '▐' }, ink),
        }
    }

    /// The share of each column that the intervals, which do not overlap, fill.
    fn shares(&self, intervals: &[(u64, u64)]) -> Vec<f64> {
        shares(self.axis, intervals)
    }
}

fn plain(glyph: char, ink: Ink) -> Cell {
    Cell { glyph, ink, reversed: false }
}

fn thin(left: usize, right: usize) -> char {
    match (left, right) {
        (4.., 8) => '╺',
        (0, ..=4) => '╸',
        _ => '━',
    }
}

/// For each column of the axis the sum of what the intervals fill of it; above one where they overlap.
pub fn shares(axis: &Axis, intervals: &[(u64, u64)]) -> Vec<f64> {
    let mut filled = vec![0.0; axis.columns()];
    for &(start, end) in intervals {
        let (from, to) = (axis.position(start), axis.position(end));
        let last = (to as usize).min(filled.len() - 1);
        for (column, share) in filled.iter_mut().enumerate().take(last + 1).skip(from as usize) {
            *share += (to.min(column as f64 + 1.0) - from.max(column as f64)).max(0.0);
        }
    }
    filled
}

/// The intervals without overlaps, sorted.
pub fn union(intervals: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut sorted = intervals.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (start, end) in sorted {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(colour: bool, unicode: bool, with: impl FnOnce(&mut Bar<'_>)) -> String {
        let style = Style { width: 40, colour, unicode };
        let axis = Axis::new(0, 80, 10);
        let mut bar = Bar::new(&axis, &style, &[]);
        with(&mut bar);
        let mut line = Line::new(&style);
        bar.write(&mut line);
        let mut out = String::new();
        line.finish(&mut out);
        out.trim_end_matches('\n').to_owned()
    }

    fn whole(start: u64, end: u64, colour: bool, unicode: bool) -> String {
        draw(colour, unicode, |bar| {
            bar.span(start, end, &[(start, end)], Ink::Ordinary, false);
        })
    }

    #[test]
    fn edges_are_drawn_in_eighths() {
        assert_eq!(whole(0, 80, false, true), "██████████");
        assert_eq!(whole(0, 21, false, true), "██▋");
        assert_eq!(whole(12, 24, false, true), " ▐█");
        assert_eq!(whole(13, 24, true, true), " \u{1b}[34;7m▋\u{1b}[0m\u{1b}[34m█\u{1b}[0m");
        assert_eq!(whole(3, 4, false, true), "│");
    }

    #[test]
    fn the_shortest_span_is_seen_even_at_the_end() {
        assert_eq!(whole(80, 80, false, true), "         ▕");
        assert_eq!(whole(0, 0, false, true), "▏");
        assert_eq!(whole(80, 80, false, false), "         |");
    }

    #[test]
    fn waiting_for_children_is_thin() {
        let waiting = |unicode| {
            draw(false, unicode, |bar| {
                bar.span(0, 80, &[(0, 16), (72, 80)], Ink::Ordinary, false);
            })
        };
        assert_eq!(waiting(true), "██━━━━━━━█");
        assert_eq!(waiting(false), "##-------#");
    }

    #[test]
    fn what_still_runs_has_an_arrow() {
        let running = draw(false, true, |bar| {
            bar.span(40, 80, &[(40, 80)], Ink::CutShort, true);
        });
        assert_eq!(running, "     ████▸");
    }

    #[test]
    fn groups_are_shaded_by_how_much_of_the_time_they_ran() {
        let group = draw(false, true, |bar| {
            bar.group(&[(0, 8), (4, 8), (16, 18), (24, 28), (79, 79)], Ink::Ordinary);
        });
        assert_eq!(group, "█ ░▒     ░");
    }

    #[test]
    fn unions_have_no_overlaps() {
        assert_eq!(union(&[(5, 9), (0, 2), (1, 3), (9, 10)]), [(0, 3), (5, 10)]);
    }
}
