//! Command lines in little room: the program, what it works on, and as much of the rest as fits.

use super::text::{clean, cut, width};
use std::ops::Range;

/// Arguments beyond these are never shown; a command line may have two million bytes.
const ARGUMENTS_READ: usize = 2_000;
const CHARACTERS_READ: usize = 1_000;
/// So many arguments are tried for the room that there is.
const UNITS_TRIED: usize = 64;
/// A cut word tells nothing if it is shorter.
const SHORTEST_CUT: usize = 5;

/// The command line in at most `columns`: argv\[0] without its directory, then the arguments as a shell would take
/// them. Where they do not all fit, those that tell most about the run stay, and `mark` stands for the others.
pub fn shorten(args: &[String], columns: usize, unicode: bool, mark: &str) -> String {
    let words: Vec<String> = args.iter().take(ARGUMENTS_READ).map(|arg| word(arg, unicode)).collect();
    let Some((program, rest)) = words.split_first() else {
        return String::new();
    };
    let program = cut(base_name(program), columns, mark);
    let full: usize = width(&program) + rest.iter().map(|word| 1 + width(word)).sum::<usize>();
    if full <= columns {
        return std::iter::once(program.as_str()).chain(rest.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    }

    let mut units = units(&args[..words.len()]);
    units.sort_by(|a, b| (&a.0, a.1.start).cmp(&(&b.0, b.1.start)));
    let telling = units.iter().any(|(rank, _)| *rank < Rank::Mode);
    let mut shown: Vec<Option<String>> = vec![None; words.len()];
    shown[0] = Some(program.clone());
    for (number, (rank, unit)) in units.into_iter().take(UNITS_TRIED).enumerate() {
        // Options picked from here and there would only be noise beside what tells something.
        let beside_shown = shown[unit.start - 1].is_some() || shown.get(unit.end).is_some_and(Option::is_some);
        if telling && (rank == Rank::Detail || rank == Rank::Mode && !beside_shown) {
            continue;
        }
        let last = unit.end - 1;
        let short = base_name(&words[last]);
        let shortened = if short.len() < words[last].len() { format!("{mark}/{short}") } else { String::new() };
        let fits = [&words[last], &shortened].into_iter().filter(|text| !text.is_empty()).any(|text| {
            shown[unit.clone()]
                .iter_mut()
                .zip(&words[unit.clone()])
                .for_each(|(show, word)| *show = Some(word.clone()));
            shown[last] = Some(text.clone());
            width(&join(&shown, mark)) <= columns
        });
        if !fits {
            shown[unit.clone()].fill(None);
            if number == 0 && rank == Rank::Subject {
                // What matters most is better cut than left out.
                let option = if unit.len() > 1 { format!(" {}", words[unit.start]) } else { String::new() };
                let skipped = if unit.start > 1 { format!(" {mark}") } else { String::new() };
                let whole = format!("{program}{skipped}{option} {short}");
                let enough = width(&program) + width(&skipped) + width(&option) + 1 + SHORTEST_CUT <= columns;
                return cut(&if enough { whole } else { format!("{program} {short}") }, columns, mark);
            }
        }
    }
    cut(&join(&shown, mark), columns, mark)
}

/// The words with one mark for each gap.
fn join(shown: &[Option<String>], mark: &str) -> String {
    let mut out = String::new();
    let mut gap = false;
    for word in shown {
        match word {
            Some(word) => {
                if gap && !out.ends_with(mark) {
                    out.extend([" ", mark]);
                }
                if !out.is_empty() {
                    out.push(' ');
                }
                out.push_str(word);
                gap = false;
            }
            None => gap = true,
        }
    }
    if gap && !out.ends_with(mark) {
        out.extend([" ", mark]);
    }
    out
}

/// The argument as one word of a shell, made safe to print.
fn word(arg: &str, unicode: bool) -> String {
    let end = arg.char_indices().nth(CHARACTERS_READ).map_or(arg.len(), |(at, _)| at);
    let text = clean(&arg[..end], unicode);
    let ordinary = |c: char| c.is_alphanumeric() || "%+,-./:=@_^[]{}~?*!".contains(c) || !c.is_ascii();
    if !text.is_empty() && text.chars().all(ordinary) {
        text
    } else if text.contains('\'') && !text.contains(['"', '$', '`', '\\']) {
        format!("\"{}\"", text.trim())
    } else {
        format!("'{}'", text.trim().replace('\'', "'\\''"))
    }
}

/// The last part of a path; the whole where that would be nothing.
fn base_name(word: &str) -> &str {
    match word.trim_end_matches('/').rsplit_once('/') {
        Some((_, name)) if !name.is_empty() && !word.starts_with(['\'', '"', '-']) => name,
        _ => word,
    }
}

/// How much an argument tells about this run among others of the same program, the most first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    /// A source file, the script of a shell, a module.
    Subject,
    /// A sub-command, a target, the file that is made.
    Product,
    /// Other words.
    Input,
    /// What kind of work it is: `-c`, `-S`.
    Mode,
    /// Other options, their values, and files of the system.
    Detail,
}

/// The arguments after argv\[0] with their ranks; an option and its value are one.
fn units(args: &[String]) -> Vec<(Rank, Range<usize>)> {
    let script = is_interpreter(base_name(&args[0]));
    let mut units = Vec::new();
    let mut at = 1;
    while at < args.len() {
        let arg = args[at].as_str();
        let value = args.get(at + 1);
        let (rank, length) = match (arg, value) {
            // For these `-c` is followed by what they shall do; for compilers it stands alone.
            ("-c" | "-e" | "-m", Some(_)) if script => (Rank::Subject, 2),
            ("-o", Some(made)) => (if made.starts_with("/tmp/") { Rank::Detail } else { Rank::Product }, 2),
            (option, Some(_)) if takes_value(option) => (Rank::Detail, 2),
            (option, _) if option.starts_with('-') && option.len() == 2 => (Rank::Mode, 1),
            (option, _) if option.starts_with('-') && option.len() > 1 => (Rank::Detail, 1),
            (word, _) => (rank_of_word(word, at), 1),
        };
        units.push((rank, at..at + length));
        at += length;
    }
    // A source tells more than the name of what is made of it.
    if units.iter().any(|(rank, _)| *rank == Rank::Subject) {
        for (rank, unit) in &mut units {
            if args[unit.start] == "-o" {
                *rank = Rank::Detail;
            }
        }
    }
    units
}

fn rank_of_word(word: &str, at: usize) -> Rank {
    let of_the_system = ["/usr/", "/lib", "/etc/", "/opt/", "/tmp/", "/proc/", "/dev/"];
    match word {
        word if is_source(word) => {
            if word.starts_with("/tmp/") {
                Rank::Input
            } else {
                Rank::Subject
            }
        }
        word if of_the_system.iter().any(|directory| word.starts_with(directory)) => Rank::Detail,
        _ if at == 1 => Rank::Product,
        _ => Rank::Input,
    }
}

fn is_interpreter(program: &str) -> bool {
    let name = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    matches!(
        name,
        "sh" | "bash" | "dash" | "zsh" | "ksh" | "ash" | "python" | "perl" | "ruby" | "node" | "php" | "sed" | "awk"
    )
}

/// Options of compilers, linkers and makes that are followed by a value in a word of its own.
fn takes_value(option: &str) -> bool {
    matches!(
        option,
        "-I" | "-L"
            | "-D"
            | "-U"
            | "-l"
            | "-x"
            | "-z"
            | "-m"
            | "-T"
            | "-isystem"
            | "-iquote"
            | "-idirafter"
            | "-isysroot"
            | "-imultiarch"
            | "-imultilib"
            | "-include"
            | "-imacros"
            | "-iprefix"
            | "-dumpbase"
            | "-dumpbase-ext"
            | "-dumpdir"
            | "-auxbase"
            | "-auxbase-strip"
            | "-MF"
            | "-MT"
            | "-MQ"
            | "-MD"
            | "-MMD"
            | "-Xlinker"
            | "-Xpreprocessor"
            | "-Xassembler"
            | "-arch"
            | "-target"
            | "-plugin"
            | "-dynamic-linker"
            | "-soname"
            | "-rpath"
            | "-mllvm"
            | "-Xclang"
            | "-resource-dir"
            | "-internal-isystem"
            | "-internal-externc-isystem"
            | "-main-file-name"
            | "--crate-type"
            | "--edition"
            | "--emit"
            | "--cfg"
            | "--check-cfg"
            | "--extern"
            | "--out-dir"
            | "-C"
            | "--cap-lints"
    )
}

/// Whether the name is that of something that people write, and so know.
fn is_source(arg: &str) -> bool {
    let Some((_, extension)) = base_name(arg).rsplit_once('.') else {
        return false;
    };
    matches!(
        extension,
        "c" | "cc"
            | "cpp"
            | "cxx"
            | "C"
            | "h"
            | "hpp"
            | "m"
            | "mm"
            | "s"
            | "S"
            | "f"
            | "f90"
            | "rs"
            | "go"
            | "zig"
            | "d"
            | "swift"
            | "java"
            | "kt"
            | "scala"
            | "cs"
            | "py"
            | "rb"
            | "pl"
            | "pm"
            | "php"
            | "lua"
            | "js"
            | "mjs"
            | "cjs"
            | "ts"
            | "tsx"
            | "jsx"
            | "sh"
            | "bash"
            | "awk"
            | "y"
            | "l"
            | "ml"
            | "hs"
            | "erl"
            | "ex"
            | "r"
            | "R"
            | "jl"
            | "proto"
            | "cu"
            | "asm"
            | "md"
            | "tex"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn short(line: &str, columns: usize) -> String {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        shorten(&args, columns, true, "…")
    }

    const CC1: &str = "/usr/libexec/gcc/x86_64-linux-gnu/12/cc1 -quiet -imultiarch x86_64-linux-gnu \
        -D _LARGEFILE64_SOURCE=1 adler32.c -quiet -dumpbase adler32.c -dumpbase-ext .c -mtune=generic -O3 -o /tmp/ccXYZ.s";
    const LD: &str = "/usr/bin/ld -plugin /usr/lib/liblto_plugin.so -dynamic-linker /lib64/ld-linux.so.2 \
        -o minigzip /usr/lib/crt1.o test/minigzip.o -lc";

    #[test]
    fn the_file_worked_on_stays_while_there_is_room() {
        assert_eq!(short(CC1, 12), "cc1 … adler…");
        assert_eq!(short(CC1, 8), "cc1 adl…");
        assert_eq!(short(CC1, 20), "cc1 … adler32.c …");
        assert_eq!(short(CC1, 40), "cc1 … adler32.c …", "no options picked at random");
        assert_eq!(short("tar --create --file --verbose --verbose", 24), "tar --create --file …");
        assert_eq!(short(LD, 24), "ld … -o minigzip …");
    }

    #[test]
    fn what_fits_is_shown_whole_and_quoted() {
        assert_eq!(short("/bin/make -j2 all", 40), "make -j2 all");
        let args = ["sh", "-c", "echo 'a b';\n\trm -f x", ""].map(str::to_owned);
        assert_eq!(shorten(&args, 60, true, "…"), "sh -c \"echo 'a b'; rm -f x\" ''");
        assert_eq!(shorten(&args, 16, true, "…"), "sh -c \"echo 'a…");
        assert_eq!(shorten(&[], 16, true, "…"), "");
    }

    #[test]
    fn long_paths_lose_their_directories_first() {
        assert_eq!(short("cc -c /home/somebody/src/project/deflate.c", 22), "cc -c …/deflate.c");
        assert_eq!(
            short("python3 /home/somebody/src/project/manage.py runserver", 30),
            "python3 …/manage.py runserver"
        );
    }

    #[test]
    fn escapes_in_arguments_are_words_not_orders() {
        let args = ["a\x1b[2J", "b\x07"].map(str::to_owned);
        assert_eq!(shorten(&args, 30, true, "…"), "a^[[2J b^G");
    }

    proptest! {
        #[test]
        fn any_command_line_fits(args in proptest::collection::vec(any::<String>(), 0..12), columns in 1usize..80, unicode: bool) {
            let mark = if unicode { "…" } else { ".." };
            let line = shorten(&args, columns, unicode, mark);
            prop_assert!(width(&line) <= columns, "{line:?}");
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
