//! `_dd.tags.process`: what Datadog wants to know of a process to tell services apart that nobody named.

use std::path::Path;

use super::service::{EntryKind, EntryPoint};

/// The tags of a process that was entered at `entry`, by `program`, in `directory`.
///
/// `named`: whether the user has named the service; else `service` is what was inferred.
pub fn of(entry: Option<&EntryPoint>, program: &Path, directory: &Path, service: &str, named: bool) -> String {
    let script = entry.and_then(|entry| entry.path.as_deref()).map(|path| directory.join(path));
    let file = match entry.map(|entry| entry.kind) {
        // Where a module lies only its interpreter knows.
        Some(EntryKind::Module) => None,
        _ => Some(script.as_deref().unwrap_or(program)),
    };
    let tags = [
        ("entrypoint.basedir", file.and_then(Path::parent).and_then(base_name)),
        ("entrypoint.name", entry.map(|entry| entry.name.clone())),
        ("entrypoint.type", entry.map(|entry| entry.kind.name().to_owned())),
        ("entrypoint.workdir", base_name(directory)),
        ("svc.auto", (!named).then(|| service.to_owned())),
        ("svc.user", named.then(|| String::from("true"))),
    ];
    let known = tags.into_iter().filter_map(|(key, value)| Some((key, value.filter(|value| !value.is_empty())?)));
    known.map(|(key, value)| format!("{key}:{}", normalised(&value))).collect::<Vec<_>>().join(",")
}

fn base_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// Lower case; what would end a tag, or begin another, is an underscore.
fn normalised(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    value.to_lowercase().chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::service::entry_point;
    use std::ffi::OsString;

    #[test]
    fn the_entry_and_the_directories_are_told() {
        for (command, program, directory, named, expected) in [
            (
                &["python3", "ex.py"][..],
                "/usr/bin/python3",
                "/tmp/T",
                true,
                "entrypoint.basedir:t,entrypoint.name:ex,entrypoint.type:script,entrypoint.workdir:t,svc.user:true",
            ),
            (
                &["python3", "/srv/my shop/app.py"],
                "/usr/bin/python3",
                "/",
                false,
                "entrypoint.basedir:my_shop,entrypoint.name:app,entrypoint.type:script,svc.auto:the_name",
            ),
            (
                &["python3", "-m", "http.server"],
                "/usr/bin/python3",
                "/home/joe",
                false,
                "entrypoint.name:http.server,entrypoint.type:module,entrypoint.workdir:joe,svc.auto:the_name",
            ),
            (
                &["./shop", "--port=1"],
                "/srv/Shop/shop",
                "/srv/Shop",
                true,
                "entrypoint.basedir:shop,entrypoint.name:shop,entrypoint.type:executable,entrypoint.workdir:shop,svc.user:true",
            ),
        ] {
            let words: Vec<OsString> = command.iter().map(OsString::from).collect();
            let entry = entry_point(&words);
            let tags = of(entry.as_ref(), Path::new(program), Path::new(directory), "The,Name", named);
            assert_eq!(tags, expected, "{command:?}");
        }
    }
}
