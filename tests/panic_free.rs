//! No function of the core that runs inside traced processes can panic: a library that calls them all links without any
//! way into a panic (`tests/panic-probe`).

use ddtrace_test_support::repository;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Links the probe as `launcher/build.rs` links the preload.
fn link_probe(more: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    // What is set for the build of this test is not meant for that one.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_cargo = text.starts_with("CARGO_") && text != "CARGO_HOME";
        if of_cargo || text.contains("RUSTFLAGS") || text.contains("RUSTC") {
            cargo.env_remove(&name);
        }
    }
    cargo
        .current_dir(repository())
        .args(["rustc", "--locked", "--package", "ddtrace-panic-probe", "--lib", "--crate-type", "cdylib"])
        .args(["--profile", "preload", "--target-dir", concat!(env!("CARGO_TARGET_TMPDIR"), "/panic-probe")])
        .args(["--", "--cfg", "probe_so", "-Clink-arg=-nostdlib", "-Clink-arg=-nostartfiles"])
        .arg("-Clink-arg=-Wl,-z,defs")
        .args(more)
        .output()
        .expect("cargo can be started")
}

/// One test, as both builds share a directory; the second is what makes the first a proof.
#[test]
fn the_probe_links_and_a_reachable_panic_would_stop_it() {
    let proof = link_probe(&[]);
    assert!(proof.status.success(), "a panic is reachable:\n{}", String::from_utf8_lossy(&proof.stderr));
    let counter_check = link_probe(&["--cfg", "deliberate_panic"]);
    let told = String::from_utf8_lossy(&counter_check.stderr);
    assert!(!counter_check.status.success(), "a deliberate panic went unnoticed");
    assert!(
        told.contains("undefined symbol: a_panic_is_reachable") || told.contains("`a_panic_is_reachable'"),
        "{told}"
    );
}

#[test]
fn the_probe_calls_every_function() {
    let probe: String = sources(&repository().join("tests/panic-probe")).map(|(_, text)| text).collect();
    let mut functions = 0;
    let mut missing = BTreeSet::new();
    for module in in_process_modules() {
        let path = repository().join("src").join(&module);
        let file = path.with_extension("rs");
        let single = file.exists().then(|| (file.clone(), read(&file)));
        for (path, text) in single.into_iter().chain(sources(&path).filter(|(path, _)| is_in_process(path))) {
            for call in calls_of(&text) {
                functions += 1;
                if !probe.contains(&call) {
                    missing.insert(format!("{}: {call}…)", path.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "not called by tests/panic-probe: {missing:#?}");
    assert!(functions > 70, "only {functions} functions were found: src/ is not read as it should be");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Rust files of a directory, of those below as well; nothing where there is none.
fn sources(directory: &Path) -> impl Iterator<Item = (PathBuf, String)> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.expect("an entry of a directory").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.into_iter().map(|path| (path.clone(), read(&path)))
}

/// The modules that `src/lib.rs` declares to run inside traced processes.
fn in_process_modules() -> Vec<String> {
    let lib = read(&repository().join("src/lib.rs"));
    let (_, rest) = lib.split_once("\nin_process! {").expect("the declaration of the modules");
    let (list, _) = rest.split_once('}').expect("its end");
    list.split(',').map(|module| module.trim().to_owned()).filter(|module| !module.is_empty()).collect()
}

/// Whether a file of such a module is one of the library that traced processes have: not the reading side, not what
/// needs `std`, not the tests, and not the system call itself, which is private.
fn is_in_process(path: &Path) -> bool {
    let others = [
        "ring/reader.rs",
        "record/encoded.rs",
        "record/read.rs",
        "sys/x86_64.rs",
        "sampling/agent_rates.rs",
        "sampling/config.rs",
        "sampling/rules.rs",
        "sampling/rules/json.rs",
        "settings/write.rs",
        "propagation/w3c_form.rs",
    ];
    !path.ends_with("tests.rs") && !others.iter().any(|other| path.ends_with(other))
}

/// How the public functions of a file would be called: `name(`, `Type::name(` or `.name(`.
fn calls_of(text: &str) -> Vec<String> {
    let (text, _) = text.split_once("#[cfg(test)]").unwrap_or((text, ""));
    let mut owner = "";
    let mut calls = Vec::new();
    let mut needs_std = false;
    let mut for_loom = false;
    for line in text.lines() {
        // A block of those that only the model checker gets.
        match line {
            "#[cfg(feature = \"loom\")]" => for_loom = true,
            "}" => for_loom = false,
            _ => {}
        }
        if for_loom {
            continue;
        }
        match line.trim_start() {
            "#[cfg(feature = \"std\")]" => needs_std = true,
            attribute if attribute.starts_with('#') => {}
            _ if std::mem::take(&mut needs_std) => continue,
            _ => {}
        }
        if line.trim_start().starts_with("impl") {
            let header = line.trim_end_matches(['{', ' ']);
            owner = header.rsplit(' ').next().unwrap_or_default().split('<').next().unwrap_or_default();
        }
        let declared = line.trim_start().strip_prefix("pub ").and_then(|rest| {
            ["fn ", "const fn ", "unsafe fn "].iter().find_map(|keywords| rest.strip_prefix(keywords))
        });
        let Some(name) = declared.and_then(|rest| rest.split(['(', '<']).next()) else { continue };
        calls.push(match line {
            // A macro's, which gives it its name.
            _ if name.starts_with('$') => continue,
            line if !line.starts_with(' ') => format!("{name}("),
            line if line.contains("self") => format!(".{name}("),
            _ => format!("{owner}::{name}("),
        });
    }
    calls
}

#[test]
fn calls_are_told_from_declarations() {
    let text = "#[cfg(feature = \"loom\")]\nimpl Model {\n    pub fn zeroed() {\n}\nimpl<'a> Thing<'a> {\n    pub const fn new() -> Self {\n    pub fn len(&self) -> usize {\n}\n\
                pub unsafe fn free(x: u8) {\npub fn each<T>(\n    fn private() {\n\
                #[cfg(feature = \"std\")]\n#[must_use]\npub fn with_std() {\n\n#[cfg(test)]\npub fn test() {";
    assert_eq!(calls_of(text), ["Thing::new(", ".len(", "free(", "each("]);
}
