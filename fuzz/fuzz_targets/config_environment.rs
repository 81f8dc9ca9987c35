//! Values of environment variables, several at once.
#![no_main]

use ddtrace::config::Sources;
use ddtrace::config::table::settings;
use ddtrace_fuzz::{Root, checked};
use libfuzzer_sys::fuzz_target;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;

/// An empty root, so that this machine's own files play no part.
static ROOT: LazyLock<Root> = LazyLock::new(Root::new);
static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    settings().flat_map(|s| s.dd.iter().copied().chain(s.otel.iter().map(|otel| otel.name))).collect()
});

// Each line is one variable: a byte that chooses its name, and its value.
fuzz_target!(|data: &[u8]| {
    let variable = |line: &[u8]| {
        let (choice, value) = line.split_first()?;
        let name = NAMES.get(usize::from(*choice) % NAMES.len())?;
        (!value.contains(&0)).then(|| (name.into(), OsStr::from_bytes(value).into()))
    };
    let env = data.split(|byte| *byte == b'\n').filter_map(variable).collect();
    checked(&Sources { env, root: ROOT.path().into(), ..Sources::default() });
});
