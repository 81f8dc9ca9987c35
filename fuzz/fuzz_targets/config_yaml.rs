//! Datadog's stable configuration files.
#![no_main]

use ddtrace::config::{FLEET_FILE, LOCAL_FILE, Sources};
use ddtrace_fuzz::{Root, checked};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static ROOT: LazyLock<Root> = LazyLock::new(Root::new);

fuzz_target!(|data: &[u8]| {
    // Two documents, so that one can overrule the other.
    let middle = data.windows(5).position(|window| window == b"\n---\n").unwrap_or(data.len());
    let (local, fleet) = data.split_at(middle);
    ROOT.put(LOCAL_FILE, local);
    ROOT.put(FLEET_FILE, fleet.strip_prefix(b"\n---\n").unwrap_or(fleet));
    checked(&Sources {
        env: vec![("REGION".into(), "eu".into())],
        program: ["python3", "app.py", "-Dmode=prod", "--level=1"].map(Into::into).into(),
        language: Some("python".into()),
        root: ROOT.path().into(),
        ..Sources::default()
    });
});
