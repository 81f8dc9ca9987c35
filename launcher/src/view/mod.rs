//! The waterfall: a trace as a tree with bars on a common time axis, for the terminal.
//!
//! `read` takes spans from a stream or a file, `convert` keeps of each what is shown, `model` makes trees of them,
//! `analysis` finds out what mattered, `fold` decides which spans get a row, `waterfall` draws. All that comes from
//! outside passes `text::clean` before it is drawn: a process name must not be able to give orders to the terminal.

mod analysis;
mod axis;
mod bar;
mod command;
mod convert;
mod duration;
#[cfg(test)]
mod fixture;
mod fold;
mod insight;
mod label;
mod list;
pub mod model;
pub mod options;
mod otlp_json;
pub mod read;
pub mod style;
#[cfg(test)]
mod tests;
mod text;
pub mod waterfall;

pub use options::ViewOptions;
use read::{Contents, ReadError};
use std::io::Read;
use std::path::Path;
pub use style::Style;

/// What is to be shown of a file.
#[derive(Debug)]
pub struct FileView {
    /// The picture, for standard output.
    pub picture: String,
    /// What could not be read, a line each, for standard error.
    pub problems: Vec<String>,
}

/// The waterfall of OTLP JSON lines as they come, up to the end of the stream, set apart from what the program has
/// written above it.
///
/// # Errors
/// When the stream cannot be read.
pub fn of_stream(stream: impl Read, style: &Style, options: &ViewOptions) -> Result<String, ReadError> {
    match read::from_stream(stream, "the trace", options) {
        Ok(contents) => Ok(format!("\n{}", waterfall::render(&contents.traces, style, options))),
        Err(ReadError::Empty { bad_lines: 0 }) => {
            Ok("ddtrace-run: no spans were recorded, so there is nothing to show\n".to_owned())
        }
        Err(error) => Err(error),
    }
}

/// The waterfall, or the list, of what is in a file of OTLP JSON lines; `-` is standard input.
///
/// # Errors
/// When there is nothing to show; the text of the error goes after the file's name.
pub fn of_file(path: &Path, style: &Style, options: &ViewOptions) -> Result<FileView, ReadError> {
    Ok(drawn(read::from_file(path, options)?, style, options))
}

/// The waterfall, or the list, of what is in the local store, of which this is the newer file.
///
/// # Errors
/// When there is nothing to show; the text of the error goes after the file's name.
pub fn of_store(path: &Path, style: &Style, options: &ViewOptions) -> Result<FileView, ReadError> {
    Ok(drawn(read::from_store(path, options)?, style, options))
}

fn drawn(contents: Contents, style: &Style, options: &ViewOptions) -> FileView {
    let picture = if options.list {
        list::render(&contents.summaries, style)
    } else {
        waterfall::render(&contents.traces, style, options)
    };
    FileView { picture, problems: contents.problems }
}
