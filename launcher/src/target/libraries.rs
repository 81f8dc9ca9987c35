//! What the libraries of a program tell about it.

use super::runtime::{Runtime, version_in};

/// The shared runtime of AddressSanitizer, if it is among the libraries.
pub(super) fn asan_runtime(libraries: &[String]) -> Option<String> {
    libraries.iter().find(|library| ddtrace::elf::is_asan_runtime(library.as_bytes())).cloned()
}

/// The language runtime that a program brings with it as a library: `javac` is a Java program by `libjli.so`.
pub(super) fn runtime(libraries: &[String]) -> Runtime {
    libraries
        .iter()
        .find_map(|library| {
            let is = |stem: &str| library.strip_prefix(stem).is_some_and(|rest| !rest.starts_with(char::is_alphabetic));
            if is("libpython") {
                Some(Runtime::CPython(version_in(library)))
            } else if is("libjli") || is("libjvm") {
                Some(Runtime::Jvm)
            } else if is("libnode") {
                Some(Runtime::Node)
            } else if is("libruby") {
                Some(Runtime::Ruby)
            } else if is("libperl") {
                Some(Runtime::Perl)
            } else if is("libhostfxr") {
                Some(Runtime::Dotnet)
            } else {
                None
            }
        })
        .unwrap_or(Runtime::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(libraries: &[&str]) -> Vec<String> {
        libraries.iter().map(|&library| library.to_owned()).collect()
    }

    #[test]
    fn runtimes_are_known_by_their_library() {
        for (library, expected) in [
            ("libpython3.11.so.1.0", Runtime::CPython(Some((3, 11)))),
            ("libpython3.so", Runtime::CPython(None)),
            ("libjli.so", Runtime::Jvm),
            ("libnode.so.115", Runtime::Node),
            ("libruby-3.1.so.3.1", Runtime::Ruby),
            ("libperl.so.5.36", Runtime::Perl),
            ("libpythonic.so", Runtime::None),
        ] {
            assert_eq!(runtime(&of(&["libc.so.6", library])), expected, "{library}");
        }
    }

    #[test]
    fn the_sanitizer_is_named() {
        assert_eq!(asan_runtime(&of(&["libasan.so.8", "libc.so.6"])).as_deref(), Some("libasan.so.8"));
        assert_eq!(asan_runtime(&of(&["libtsan.so.2", "libubsan.so.1"])), None);
    }
}
