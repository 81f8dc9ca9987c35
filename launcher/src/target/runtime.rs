//! Which language runtime a program is.

use std::ffi::OsStr;
use std::fmt;

/// The runtimes that have a way of their own to be traced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runtime {
    /// None of these: native code.
    None,
    /// CPython, with major and minor version if the file's name or its library tells.
    CPython(Option<(u8, u8)>),
    /// Node.js.
    Node,
    /// A Java virtual machine.
    Jvm,
    /// CRuby.
    Ruby,
    /// .NET.
    Dotnet,
    /// PHP.
    Php,
    /// Perl.
    Perl,
    /// Go: no runtime to load anything into, and its input and output pass every library by.
    Go,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Runtime::None => "native",
            Runtime::CPython(Some((major, minor))) => return write!(f, "CPython {major}.{minor}"),
            Runtime::CPython(None) => "CPython",
            Runtime::Node => "Node.js",
            Runtime::Jvm => "Java",
            Runtime::Ruby => "Ruby",
            Runtime::Dotnet => ".NET",
            Runtime::Php => "PHP",
            Runtime::Perl => "Perl",
            Runtime::Go => "Go",
        })
    }
}

/// The runtime whose command has this file name, versions behind it allowed (`python3.11`, `php-fpm8.2`).
pub(super) fn by_name(file_name: &OsStr) -> Runtime {
    let Some(name) = file_name.to_str() else { return Runtime::None };
    // `python3.13t` is free-threaded, `python3.11d` a debug build, `python3.11-dbg` Debian's.
    let stem = name.trim_end_matches("-dbg").trim_end_matches(['d', 't']);
    let stem = stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    if matches!(stem, "python") {
        return Runtime::CPython(version_in(name));
    }
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    match stem {
        "node" | "nodejs" => Runtime::Node,
        "java" => Runtime::Jvm,
        "ruby" => Runtime::Ruby,
        "dotnet" => Runtime::Dotnet,
        "php" | "php-fpm" | "php-cgi" => Runtime::Php,
        "perl" => Runtime::Perl,
        _ => Runtime::None,
    }
}

/// The first `MAJOR.MINOR` in a name.
pub(super) fn version_in(name: &str) -> Option<(u8, u8)> {
    let start = name.find(|c: char| c.is_ascii_digit())?;
    let (major, rest) = name[start..].split_once('.')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_known_by_their_command() {
        for (name, expected) in [
            ("python", Runtime::CPython(None)),
            ("python3", Runtime::CPython(None)),
            ("python3.11", Runtime::CPython(Some((3, 11)))),
            ("python3.13t", Runtime::CPython(Some((3, 13)))),
            ("python3.11-dbg", Runtime::CPython(Some((3, 11)))),
            ("python2.7", Runtime::CPython(Some((2, 7)))),
            ("node", Runtime::Node),
            ("nodejs", Runtime::Node),
            ("java", Runtime::Jvm),
            ("ruby3.1", Runtime::Ruby),
            ("php8.2", Runtime::Php),
            ("php-fpm8.2", Runtime::Php),
            ("perl5.36.0", Runtime::Perl),
            ("dotnet", Runtime::Dotnet),
            ("pythonw", Runtime::None),
            ("python3-config", Runtime::None),
            ("perldoc", Runtime::None),
            ("node-gyp", Runtime::None),
            ("sh", Runtime::None),
        ] {
            assert_eq!(by_name(OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn versions() {
        assert_eq!(version_in("python3.11d"), Some((3, 11)));
        assert_eq!(version_in("python3."), None);
        assert_eq!(version_in("python3.999"), None);
        assert_eq!(version_in("python"), None);
    }
}
