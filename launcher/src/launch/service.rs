//! A service name for those who gave none: inferred from the program.

use std::ffi::OsString;
use std::path::Path;

/// Interpreters whose first plain argument is the program that matters.
const INTERPRETERS: [&str; 14] =
    ["python", "pypy", "node", "nodejs", "ruby", "perl", "php", "bash", "dash", "sh", "zsh", "deno", "bun", "java"];

/// The name of the program, without directory and well-known ending; for an interpreter the name of its script.
pub fn infer(command: &[OsString]) -> String {
    let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let Some((program, arguments)) = words.split_first() else { return "unknown_service".to_owned() };
    let program = base_name(program);
    let is_interpreter =
        INTERPRETERS.contains(&program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-'));
    let inferred = if is_interpreter { script_name(arguments) } else { None };
    let name = inferred.unwrap_or(program);
    if name.is_empty() { "unknown_service".to_owned() } else { name }
}

fn script_name(arguments: &[String]) -> Option<String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            // A module of Python, an archive of Java: the next word is the name.
            "-m" | "-jar" => return rest.next().map(|name| stem(&base_name(name))),
            // Code on the command line has no name.
            "-c" | "-e" => return None,
            option if option.starts_with('-') => {}
            script => return Some(stem(&base_name(script))),
        }
    }
    None
}

fn base_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn stem(name: &str) -> String {
    let endings = [".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".php", ".sh", ".jar"];
    let stem = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    stem.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_scripts_give_their_names() {
        for (command, service) in [
            ("make -j2", "make"),
            ("/usr/sbin/nginx -g daemon", "nginx"),
            ("python app.py", "app"),
            ("/usr/bin/python3.11 -u src/shop.py --port 1", "shop"),
            ("python -m http.server", "http.server"),
            ("python3 -c pass", "python3"),
            ("node server.js", "server"),
            ("java -Xmx1g -jar /opt/shop.jar", "shop"),
            ("sh -c true", "sh"),
            ("bash build.sh", "build"),
            ("./my.app", "my.app"),
        ] {
            let command: Vec<OsString> = command.split(' ').map(OsString::from).collect();
            assert_eq!(infer(&command), service, "{command:?}");
        }
        assert_eq!(infer(&[]), "unknown_service");
        assert_eq!(infer(&["".into()]), "unknown_service");
    }
}
