//! Programs that others wrote, bare and under the launcher: the hosts of `tests/hosts`, and whole test suites, whose
//! results must be the same.

mod cpython;
mod debian;
mod go;
mod pypi;
mod suite;

use crate::setup;
use crate::step::{self, Done, cargo};

/// The test's own table: which packages bring the hosts is said there once.
#[path = "../../tests/hosts/table.rs"]
#[expect(dead_code, reason = "only the packages are of use here")]
mod table;

/// How many times 500 processes are killed, each time in another order.
const KILLS: usize = 10;

/// What can be asked for by its name.
type Part = (&'static str, fn() -> Done);

const PARTS: &[Part] = &[
    ("programs", programs),
    ("kills", kills),
    ("cpython", cpython::run),
    ("pypi", pypi::run),
    ("debian", debian::run),
    ("go", go::run),
];

/// The named parts, or everything.
///
/// # Errors
/// When something cannot be installed, or behaves otherwise than bare; all parts are run before.
pub fn run(parts: &[&str]) -> Done {
    if let Some(unknown) = parts.iter().find(|part| PARTS.iter().all(|(name, _)| name != *part)) {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        return Err(format!("hosts: there is no part {unknown}; there are {}", names.join(", ")));
    }
    setup::run()?;
    let mut failed = Vec::new();
    for (_, part) in PARTS.iter().filter(|(name, _)| parts.is_empty() || parts.contains(name)) {
        if let Err(message) = part() {
            eprintln!("xtask: {message}");
            failed.push(message);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// What takes a minute or two.
///
/// # Errors
/// As [`run`].
pub fn few() -> Done {
    cpython::few()
}

fn test(name: &str) -> std::process::Command {
    let mut test = cargo();
    test.args(["test", "--locked", "--package", "ddtrace-run", "--test", name]);
    test
}

fn programs() -> Done {
    let packages: Vec<&str> = table::HOSTS.iter().flat_map(|host| host.packages).copied().collect();
    setup::install(&packages)?;
    step::run("hosts", test("hosts").env("DDTRACE_TEST_ALL_HOSTS", "1"))
}

/// Not all at once: what a sidecar that competes with builds has to put together after the end is waited for.
fn kills() -> Done {
    for run in 1..=KILLS {
        step::run(&format!("kills, {run} of {KILLS}"), test("kills").env("DDTRACE_TEST_KILLS", "500"))?;
    }
    Ok(())
}
