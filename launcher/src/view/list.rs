//! The traces of a file, a line each: what to give to `--trace`.

use super::duration::{self, human};
use super::label::title;
use super::read::Summary;
use super::style::{Ink, Line, Style};
use super::text;

/// Digits at the end of an id that tell traces apart in practice. Its beginning may be a time.
const FEWEST_DIGITS: usize = 8;

fn last_digits(id: &str, digits: usize) -> &str {
    &id[id.len().saturating_sub(digits)..]
}

/// One line for each trace, the latest last.
pub fn render(summaries: &[Summary], style: &Style) -> String {
    let ids: Vec<String> = summaries.iter().map(|summary| summary.id.to_string()).collect();
    let digits = (FEWEST_DIGITS..=32)
        .find(|&digits| {
            let mut short: Vec<&str> = ids.iter().map(|id| last_digits(id, digits)).collect();
            short.sort_unstable();
            short.windows(2).all(|pair| pair[0] != pair[1])
        })
        .unwrap_or(32);
    let mut out = String::new();
    for (summary, id) in summaries.iter().zip(&ids) {
        let mut line = Line::new(style);
        line.push(Ink::Strong, last_digits(id, digits));
        if style.width >= 80 {
            line.push(Ink::Faint, &format!("  {}", duration::timestamp(summary.start_ns)));
        }
        let wall = summary.end_ns.saturating_sub(summary.start_ns);
        line.push(Ink::Plain, &text::right(&human(wall, style.unicode), duration::WIDTH + 2));
        let noun = if summary.spans == 1 { " span " } else { " spans" };
        line.push(Ink::Plain, &text::right(&summary.spans.to_string(), 7)).push(Ink::Faint, noun);
        match summary.failed {
            0 => line.push(Ink::Plain, "             "),
            failed => line.push(Ink::Failed, &format!("{} failed", text::right(&failed.to_string(), 6))),
        };
        line.push(Ink::Plain, "  ");
        let room = line.room();
        line.push(Ink::Plain, &title(&summary.first, room, style));
        line.finish(&mut out);
    }
    out
}
