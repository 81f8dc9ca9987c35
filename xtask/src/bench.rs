//! What the launcher costs, bare and under side by side. Numbers are for people: nothing is asserted, since the
//! machine decides as much as the code.

use crate::setup;
use crate::step::{self, Done, cargo, target_dir};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// So many processes does the tree have.
const PROCESSES: u32 = 200;

/// Two commands that do the same, one of them under the launcher.
struct Comparison {
    title: &'static str,
    bare: String,
    under: String,
    runs: u32,
    /// What the difference is divided by, and the word for it.
    per: (u32, &'static str),
    /// Variables of both runs besides the plain environment.
    environment: &'static [(&'static str, &'static str)],
}

/// Builds the release binary and measures.
///
/// # Errors
/// When the build or `hyperfine` fails.
pub fn run() -> Done {
    setup::run()?;
    step::run("release build", cargo().args(["build", "--locked", "--release", "--bin", "ddtrace-run"]))?;
    let launcher = target_dir().join("release/ddtrace-run");
    let scratch = target_dir().join("bench");
    let loop_of = format!("sh -c 'i=0; while [ $i -lt {PROCESSES} ]; do /bin/true; i=$((i+1)); done'");
    let quoted = format!("'{}'", launcher.display());
    let comparisons = [
        Comparison {
            title: "start of a program (budget: 2 ms)",
            bare: "/bin/true".to_owned(),
            under: format!("{quoted} /bin/true"),
            runs: 500,
            per: (1, "start"),
            environment: &[],
        },
        Comparison {
            title: "start of a program that becomes a span (budget: 2 ms)",
            bare: "/bin/true".to_owned(),
            under: format!("{quoted} /bin/true"),
            runs: 500,
            per: (1, "start"),
            environment: &[("DD_TRACE_PROCESS_SPANS", "true")],
        },
        Comparison {
            title: "a process inside the tree (budget: 0.5 ms)",
            bare: loop_of.clone(),
            under: format!("{quoted} {loop_of}"),
            runs: 20,
            per: (PROCESSES, "process"),
            environment: &[("DD_TRACE_PROCESS_SPANS", "true")],
        },
    ];
    let mut table =
        vec![format!("{:<56} {:>10} {:>10} {:>7} {:>20}", "median", "bare", "under", "ratio", "difference")];
    for comparison in &comparisons {
        let (bare, under) = measure(comparison, &scratch)?;
        let (count, word) = comparison.per;
        table.push(format!(
            "{:<56} {:>7.2} ms {:>7.2} ms {:>7.2} {:>12.3} ms/{word}",
            comparison.title,
            bare * 1e3,
            under * 1e3,
            under / bare,
            (under - bare) * 1e3 / f64::from(count),
        ));
    }
    println!("{}", table.join("\n"));
    Ok(())
}

/// The medians of both commands in seconds.
fn measure(comparison: &Comparison, scratch: &Path) -> Result<(f64, f64), String> {
    let home = fresh(scratch)?;
    let result = home.join("result.csv");
    let mut hyperfine = Command::new("hyperfine");
    hyperfine.args(["--shell=none", "--style=basic", "--warmup=20", "--runs", &comparison.runs.to_string()]);
    hyperfine.arg("--export-csv").arg(&result).args([&comparison.bare, &comparison.under]);
    // Neither the settings of the person who measures nor their stored traces take part.
    hyperfine.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &home).env("TMPDIR", &home);
    hyperfine.env("DD_TRACE_EXPORTER", "local").envs(comparison.environment.iter().copied());
    step::run(comparison.title, &mut hyperfine)?;
    let table = fs::read_to_string(&result).map_err(|error| format!("{}: {error}", result.display()))?;
    match medians(&table).as_slice() {
        [bare, under] => Ok((*bare, *under)),
        other => Err(format!("hyperfine gave {} medians instead of two", other.len())),
    }
}

fn fresh(directory: &Path) -> Result<PathBuf, String> {
    let told = |error: std::io::Error| format!("{}: {error}", directory.display());
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(told)?;
    }
    fs::create_dir_all(directory).map_err(told)?;
    Ok(directory.to_owned())
}

/// The column `median` of hyperfine's table. The first column may have commas in it, the numbers have none: so it is
/// counted from the end.
fn medians(table: &str) -> Vec<f64> {
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let Some(from_end) = header.iter().rev().position(|name| *name == "median") else { return Vec::new() };
    lines.filter_map(|line| line.rsplit(',').nth(from_end)?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::medians;

    #[test]
    fn medians_are_found_whatever_the_command_is() {
        let table = "command,mean,stddev,median,user,system,min,max\n/bin/true,1,2,0.001,4,5,6,7\n\"a, 'b, c'\",1,2,0.002,4,5,6,7\n";
        assert_eq!(medians(table), [0.001, 0.002]);
        assert!(medians("").is_empty());
    }
}
