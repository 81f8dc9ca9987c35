//! The `#!` line, read as the kernel reads it (`fs/binfmt_script.c`).

/// What a `#!` line asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Script<'a> {
    /// The interpreter's path, never empty. Relative ones are relative to the working directory; PATH is not searched.
    pub interpreter: &'a [u8],
    /// Everything behind it as **one** argument, blanks inside included.
    pub argument: Option<&'a [u8]>,
}

/// The kernel looks at 256 bytes (`BINPRM_BUF_SIZE`; 128 before Linux 5.1) ...
const LINE_BUFFER: usize = 256;
/// ... of which the last can only be the newline.
const LINE_MAX: usize = LINE_BUFFER - 1;

impl<'a> Script<'a> {
    /// Reads the line at the beginning of a file; `None` if the kernel would not run it as a script: no `#!`, nothing
    /// behind it, or an interpreter's name that may have been cut off.
    pub(super) fn parse(head: &'a [u8]) -> Option<Self> {
        let (window, whole_file) = match head.split_at_checked(LINE_BUFFER) {
            Some((window, _)) => (window, false),
            // The kernel's buffer is filled up with zeros behind the end of the file.
            None => (head, true),
        };
        let text = window.strip_prefix(b"#!")?;
        let (line, ended) = match text.iter().position(|&byte| byte == b'\n') {
            Some(end) => (text.get(..end)?, true),
            None if whole_file => (text, true),
            None => (text.get(..LINE_MAX - 2)?, false),
        };
        let line = line.trim_prefix_blanks();
        let name_end = line.iter().position(|&byte| is_blank(byte) || byte == 0);
        if name_end.is_none() && !ended {
            return None;
        }
        let (interpreter, rest) = line.split_at_checked(name_end.unwrap_or(line.len()))?;
        if interpreter.is_empty() {
            return None;
        }
        // A zero byte ends a string for the kernel: no argument behind it, nothing of an argument behind it.
        let argument = match rest.first() {
            None | Some(0) => None,
            Some(_) => rest.trim_prefix_blanks().trim_suffix_blanks().split(|&byte| byte == 0).next(),
        };
        Some(Script { interpreter, argument: argument.filter(|argument| !argument.is_empty()) })
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Blanks and tabs only: `trim_ascii` would take the carriage return of a DOS line end, which the kernel keeps.
trait Blanks {
    fn trim_prefix_blanks(&self) -> &Self;
    fn trim_suffix_blanks(&self) -> &Self;
}

impl Blanks for [u8] {
    fn trim_prefix_blanks(mut self: &Self) -> &Self {
        while let Some((&first, rest)) = self.split_first()
            && is_blank(first)
        {
            self = rest;
        }
        self
    }

    fn trim_suffix_blanks(mut self: &Self) -> &Self {
        while let Some((&last, rest)) = self.split_last()
            && is_blank(last)
        {
            self = rest;
        }
        self
    }
}
