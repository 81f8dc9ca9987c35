//! Where traces to look at come from: a file of OTLP JSON lines, or a stream of them.

use super::convert::view_span;
use super::model::{Trace, ViewSpan};
use super::options::ViewOptions;
use super::otlp_json::read_line;
use crate::export::OLDER_LOCAL_STORE;
use ddtrace::ids::TraceId;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// What a file has to show.
#[derive(Debug)]
pub struct Contents {
    /// The traces that the options chose, by start; none where they ask for a list.
    pub traces: Vec<Trace>,
    /// The same in short.
    pub summaries: Vec<Summary>,
    /// What could not be read, a line each.
    pub problems: Vec<String>,
}

/// One trace of a file, in short.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The trace id.
    pub id: TraceId,
    /// The earliest start.
    pub start_ns: u64,
    /// The latest end.
    pub end_ns: u64,
    /// How many spans were recorded.
    pub spans: usize,
    /// How many of them failed.
    pub failed: usize,
    /// The span that started first, which is the root unless that is missing.
    pub first: ViewSpan,
    /// Where its first line begins: in which of the files, and at which byte of it.
    first_line: (usize, u64),
}

/// Why a file shows nothing.
#[derive(Debug)]
pub enum ReadError {
    /// It could not be read.
    Io(io::Error),
    /// There are no spans in it; how many of its lines are not OTLP JSON.
    Empty {
        /// Lines that could not be read.
        bad_lines: usize,
    },
    /// No trace has such an id.
    NoSuchTrace(String),
    /// Several traces have an id that begins or ends so.
    Ambiguous(String, Vec<TraceId>),
}

impl ReadError {
    /// Whether nothing is wrong with what was read, only that it has not what was asked for, or does not exist.
    pub fn is_absence(&self) -> bool {
        match self {
            ReadError::Io(error) => error.kind() == io::ErrorKind::NotFound,
            ReadError::Empty { bad_lines } => *bad_lines == 0,
            ReadError::NoSuchTrace(_) => true,
            ReadError::Ambiguous(..) => false,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => write!(f, "cannot be read: {error}"),
            ReadError::Empty { bad_lines: 0 } => f.write_str("has no spans yet"),
            ReadError::Empty { bad_lines } => {
                write!(f, "has no spans: {bad_lines} of its lines are not traces in OTLP's JSON encoding")
            }
            ReadError::NoSuchTrace(id) => {
                write!(f, "has no trace whose id begins or ends with {id:?}; --list shows all")
            }
            ReadError::Ambiguous(id, matches) => {
                write!(f, "has {} traces whose id begins or ends with {id:?}:", matches.len())?;
                matches.iter().take(5).try_for_each(|id| write!(f, " {id}"))
            }
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}

/// What does not come from a regular file is kept in memory, up to this many bytes.
const PIPE_LIMIT: u64 = 1 << 30;
/// Longer lines are skipped.
const LINE_LIMIT: u64 = 1 << 28;
/// So many bad lines are told one by one.
const PROBLEMS_TOLD: usize = 5;

/// Something with lines in it, and what it is called.
struct Source<R> {
    name: String,
    reader: R,
}

/// The traces of a file that the options choose; `-` is standard input.
///
/// The file is read line by line: once for an index of its traces, and again from the first line of those chosen.
///
/// # Errors
/// Says what is wrong, to be put after the file's name.
pub fn from_file(path: &Path, options: &ViewOptions) -> Result<Contents, ReadError> {
    if path.as_os_str() == "-" {
        return from_stream(File::open("/dev/stdin")?, "standard input", options);
    }
    let file = File::open(path)?;
    if file.metadata()?.is_file() {
        from_lines(&mut [Source::of_file(path, file)], options)
    } else {
        from_stream(file, &path.display().to_string(), options)
    }
}

/// As [`from_file`], for the local store: its file and, where there is one, the file with what is older.
///
/// # Errors
/// Says what is wrong, to be put after the file's name.
pub fn from_store(path: &Path, options: &ViewOptions) -> Result<Contents, ReadError> {
    let older = path.with_file_name(OLDER_LOCAL_STORE);
    // The newer is opened first: while it is being replaced, it is the older one a moment later, and read as such.
    let opened = [File::open(path), File::open(&older)];
    if let [Err(error), Err(_)] = opened {
        return Err(error.into());
    }
    let opened = opened.into_iter().zip([path, &older]);
    let mut sources: Vec<_> = opened.filter_map(|(file, path)| Some(Source::of_file(path, file.ok()?))).collect();
    sources.reverse();
    from_lines(&mut sources, options)
}

/// As [`from_file`], for what can be read only once and is called so.
///
/// # Errors
/// Says what is wrong, to be put after the stream's name.
pub fn from_stream(stream: impl Read, name: &str, options: &ViewOptions) -> Result<Contents, ReadError> {
    let mut bytes = Vec::new();
    stream.take(PIPE_LIMIT).read_to_end(&mut bytes)?;
    from_lines(&mut [Source { name: name.to_owned(), reader: Cursor::new(bytes) }], options)
}

impl Source<BufReader<File>> {
    fn of_file(path: &Path, file: File) -> Self {
        Source { name: path.display().to_string(), reader: BufReader::with_capacity(1 << 16, file) }
    }
}

fn from_lines(sources: &mut [Source<impl BufRead + Seek>], options: &ViewOptions) -> Result<Contents, ReadError> {
    let mut index: HashMap<TraceId, Summary> = HashMap::new();
    let mut problems = Vec::new();
    let mut bad_lines = 0;
    for (number, Source { name, reader }) in sources.iter_mut().enumerate() {
        each_line(reader, |line_number, offset, line| {
            match line.and_then(|line| spans(line).map_err(|e| in_its_line(&e))) {
                Ok(spans) => spans.into_iter().for_each(|span| enter(&mut index, span, (number, offset))),
                Err(problem) => {
                    bad_lines += 1;
                    if bad_lines <= PROBLEMS_TOLD {
                        problems.push(format!("{name}: line {line_number} is skipped: {problem}"));
                    }
                }
            }
        })?;
    }
    if bad_lines > PROBLEMS_TOLD {
        problems.push(format!("{} more lines are skipped", bad_lines - PROBLEMS_TOLD));
    }
    let mut summaries: Vec<Summary> = index.into_values().collect();
    if summaries.is_empty() {
        return Err(ReadError::Empty { bad_lines });
    }
    summaries.sort_by_key(|summary| (summary.start_ns, summary.id));

    let summaries = choose(&summaries, options)?.to_vec();
    let mut wanted = Vec::new();
    if !options.list
        && let Some(first) = summaries.iter().map(|summary| summary.first_line).min()
    {
        let ids: HashSet<TraceId> = summaries.iter().map(|summary| summary.id).collect();
        for (number, Source { reader, .. }) in sources.iter_mut().enumerate().skip(first.0) {
            reader.seek(SeekFrom::Start(if number == first.0 { first.1 } else { 0 }))?;
            each_line(reader, |_, _, line| {
                if let Some(spans) = line.ok().and_then(|line| spans(line).ok()) {
                    wanted.extend(spans.into_iter().filter(|span| ids.contains(&span.trace_id)));
                }
            })?;
        }
    }
    Ok(Contents { traces: Trace::build(wanted), summaries, problems })
}

fn spans(line: &[u8]) -> Result<Vec<ViewSpan>, serde_json::Error> {
    let from = read_line(line)?;
    Ok(from.iter().flat_map(|from| from.spans().map(|span| view_span(span, from.resource()))).collect())
}

/// The parser knows one line only, and calls it the first.
fn in_its_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

/// Calls back with number, offset and content of every line that is not blank; or with what is wrong with it.
fn each_line(
    reader: &mut (impl BufRead + Seek),
    mut with: impl FnMut(usize, u64, Result<&[u8], String>),
) -> io::Result<()> {
    let mut offset = reader.stream_position()?;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let mut length = reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            break;
        }
        if length == LINE_LIMIT && !line.ends_with(b"\n") {
            length += reader.skip_until(b'\n')? as u64;
            with(number, offset, Err(format!("longer than {} MiB", LINE_LIMIT >> 20)));
        } else if !line.trim_ascii().is_empty() {
            with(number, offset, Ok(&line));
        }
        offset += length;
    }
    Ok(())
}

fn enter(index: &mut HashMap<TraceId, Summary>, span: ViewSpan, line: (usize, u64)) {
    let (start_ns, end_ns, failed) = (span.start_ns, span.end_ns.max(span.start_ns), usize::from(span.failed));
    match index.get_mut(&span.trace_id) {
        Some(known) => {
            known.end_ns = known.end_ns.max(end_ns);
            known.spans += 1;
            known.failed += failed;
            // A parent often starts in the very nanosecond of its first child, and lasts longer.
            if (start_ns, u64::MAX - end_ns) < (known.start_ns, u64::MAX - known.first.end_ns) {
                known.start_ns = start_ns;
                known.first = span;
            }
        }
        None => {
            let id = span.trace_id;
            index.insert(id, Summary { id, start_ns, end_ns, spans: 1, failed, first: span, first_line: line });
        }
    }
}

fn choose<'a>(summaries: &'a [Summary], options: &ViewOptions) -> Result<&'a [Summary], ReadError> {
    let Some(asked) = &options.trace else {
        let all = if options.list { summaries.len() } else { 1 };
        return Ok(&summaries[summaries.len().saturating_sub(options.last.unwrap_or(all))..]);
    };
    let digits = asked.trim().to_ascii_lowercase();
    let is_meant = |at: &usize| {
        let id = summaries[*at].id.to_string();
        id.starts_with(&digits) || id.ends_with(&digits)
    };
    let matches: Vec<usize> = (0..summaries.len()).filter(is_meant).collect();
    match matches[..] {
        [] => Err(ReadError::NoSuchTrace(asked.clone())),
        [at] => Ok(&summaries[at..=at]),
        _ => Err(ReadError::Ambiguous(asked.clone(), matches.iter().map(|&at| summaries[at].id).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::ids::SpanId;

    fn line(trace: u64, span: u64, parent: u64, start: u64) -> String {
        let end = start + 5;
        format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{trace:032x}","spanId":"{span:016x}",
            "parentSpanId":"{parent:016x}","name":"s{span}","startTimeUnixNano":"{start}","endTimeUnixNano":"{end}"}}]}}]}}]}}"#
        )
        .replace('\n', "")
    }

    fn read(lines: &[String], options: &ViewOptions) -> Result<Contents, ReadError> {
        from_lines(&mut [Source { name: "it".to_owned(), reader: Cursor::new(lines.join("\n")) }], options)
    }

    #[test]
    fn the_last_trace_is_put_together_from_all_its_lines() {
        let lines = [line(1, 1, 0, 10), line(2, 2, 3, 22), line(1, 4, 1, 90), line(2, 3, 0, 20)];
        let contents = read(&lines, &ViewOptions::default()).expect("readable");
        assert_eq!(contents.traces.len(), 1);
        assert_eq!(contents.traces[0].spans.iter().map(|s| s.span_id).collect::<Vec<_>>(), [SpanId(3), SpanId(2)]);
        assert_eq!(contents.summaries.len(), 1);
        assert_eq!((contents.summaries[0].spans, contents.summaries[0].first.name.as_str()), (2, "s3"));
    }

    #[test]
    fn options_choose_other_traces() {
        let lines = [line(0xa1, 1, 0, 10), line(0xa2, 2, 0, 20), line(0xb3, 3, 0, 30)];
        let ids = |options: &ViewOptions| {
            read(&lines, options)
                .map(|c| c.traces.iter().map(|t| t.id.0).collect::<Vec<_>>())
                .map_err(|e| e.to_string())
        };
        assert_eq!(ids(&ViewOptions { last: Some(2), ..ViewOptions::default() }), Ok(vec![0xa2, 0xb3]));
        assert_eq!(ids(&ViewOptions { list: true, ..ViewOptions::default() }), Ok(vec![]));
        let listed = |last| {
            let options = ViewOptions { list: true, last, ..ViewOptions::default() };
            read(&lines, &options).expect("readable").summaries.iter().map(|s| s.id.0).collect::<Vec<_>>()
        };
        assert_eq!(listed(None), [0xa1, 0xa2, 0xb3]);
        assert_eq!(listed(Some(2)), [0xa2, 0xb3]);
        let trace = |id: &str| ids(&ViewOptions { trace: Some(id.into()), ..ViewOptions::default() });
        assert_eq!(trace(&format!("{:032X}", 0xa1)), Ok(vec![0xa1]));
        assert_eq!(trace("b3"), Ok(vec![0xb3]), "the end will do");
        assert!(trace("ff").unwrap_err().contains("no trace whose id begins or ends with \"ff\""));
        assert!(trace("000").unwrap_err().contains("has 3 traces"));
    }

    #[test]
    fn a_trace_that_the_store_has_cut_in_two_is_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = directory.path().join("traces.jsonl");
        let spans = |options: &ViewOptions| {
            let contents = from_store(&store, options).map_err(|error| error.to_string())?;
            Ok::<_, String>(contents.traces.iter().map(|trace| trace.spans.len()).collect::<Vec<_>>())
        };
        let latest = ViewOptions::default();
        assert!(spans(&latest).unwrap_err().contains("cannot be read"), "neither file is there");
        std::fs::write(store.with_file_name(OLDER_LOCAL_STORE), [line(1, 1, 0, 10), line(2, 2, 0, 20)].join("\n"))
            .expect("written");
        assert_eq!(spans(&latest), Ok(vec![1]), "the newer one may be about to be begun");
        std::fs::write(&store, [line(2, 3, 2, 22), line(3, 4, 0, 30)].join("\n")).expect("written");
        assert_eq!(spans(&ViewOptions { last: Some(2), ..ViewOptions::default() }), Ok(vec![2, 1]));
        assert_eq!(spans(&latest), Ok(vec![1]));
    }

    #[test]
    fn bad_lines_are_told_by_number_and_skipped() {
        let mut lines = vec!["{".to_owned(), String::new(), line(1, 1, 0, 10)];
        lines.extend((0..9).map(|_| "nonsense".to_owned()));
        let contents = read(&lines, &ViewOptions::default()).expect("one line is good");
        assert_eq!(contents.traces[0].spans.len(), 1);
        assert!(
            contents.problems[0].starts_with("it: line 1 is skipped: EOF while parsing"),
            "{:?}",
            contents.problems
        );
        assert_eq!(contents.problems[1], "it: line 4 is skipped: expected ident at column 2");
        assert_eq!(contents.problems.last().map(String::as_str), Some("5 more lines are skipped"));
    }

    #[test]
    fn a_file_without_spans_says_so() {
        let empty = read(&[], &ViewOptions::default()).map(|_| ()).unwrap_err();
        assert_eq!(empty.to_string(), "has no spans yet");
        let other = read(&["x".to_owned()], &ViewOptions::default()).map(|_| ()).unwrap_err();
        assert!(other.to_string().contains("1 of its lines are not traces"));
        assert!(from_file(Path::new("/nonexistent/file"), &ViewOptions::default()).is_err());
    }
}
