//! What is shown of commands of Redis: the name and the first argument, which is a key or the name of a subcommand, and a
//! mark for each of the others.

/// The longest first argument that is shown, in bytes.
pub const MAX_ARGUMENT: usize = 64;
/// More arguments than so many are not marked one by one.
pub const MOST_MARKS: u32 = 8;

/// Commands of which no argument is shown: they carry passwords, scripts or whatever the program likes.
const CLOSED: [&[u8]; 12] = [
    b"AUTH",
    b"HELLO",
    b"EVAL",
    b"EVALSHA",
    b"EVAL_RO",
    b"EVALSHA_RO",
    b"FCALL",
    b"FCALL_RO",
    b"ECHO",
    b"PING",
    b"MIGRATE",
    b"ACL",
];

/// Whether a command's first argument, of this length, is shown.
#[must_use]
pub fn shows_argument(command: &[u8], length: u64) -> bool {
    length <= MAX_ARGUMENT as u64 && !CLOSED.iter().any(|name| command.eq_ignore_ascii_case(name))
}

/// What stands for the argument with this number, the first one being 1 and shown or not: a mark, one for all that
/// follow, or nothing.
#[must_use]
pub fn mark(argument: u32) -> &'static [u8] {
    match argument {
        index if index < MOST_MARKS => b" ?",
        MOST_MARKS => b" ...",
        _ => b"",
    }
}
