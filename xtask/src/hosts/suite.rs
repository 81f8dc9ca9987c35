//! A foreign test suite, run bare and under the launcher.

use crate::step::{self, Done, cargo, target_dir};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// Test names, and how they ended.
pub type Results = BTreeMap<String, String>;

/// The name under which [`Results`] have the end of the run itself.
pub const END: &str = "(the run)";

/// How often what differs is run again, bare and traced: enough to tell what a busy machine does from what we do.
const AGAIN: usize = 3;

/// A suite, in parts that can be run by themselves.
pub struct Suite<'a> {
    pub name: String,
    pub parts: Vec<String>,
    /// Runs one part.
    pub run: &'a dyn Fn(&str, &Run) -> Result<Results, String>,
    /// Tests that are meant to differ, by the end of their names, each with the reason.
    pub known: &'a [(&'a str, &'a str)],
}

/// How a suite is run: with what in front of its program, and where.
pub struct Run {
    launcher: Vec<String>,
    /// An empty directory, made for this run.
    pub directory: PathBuf,
}

impl Run {
    fn new(name: &str, launcher: &[String]) -> Result<Self, String> {
        let directory = target_dir().join("hosts").join(name);
        // Left over from the last run.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(Self { launcher: launcher.to_vec(), directory })
    }

    /// The program, with the launcher in front or without, and with nothing of what is set for those who start this:
    /// neither signals that are ignored nor variables that a suite tests.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("env");
        command.arg("--default-signal").args(&self.launcher).arg(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["PYTHON", "PERL", "OTEL_", "DD_", "CARGO", "RUST"].iter().any(|ours| name.starts_with(ours)) {
                command.env_remove(&*name);
            }
        }
        command.stdin(Stdio::null()).env("XDG_STATE_HOME", self.directory.join("state")).current_dir(&self.directory);
        command
    }

    /// Runs it with its output in a file, and says how it ended.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn status(&self, command: &mut Command) -> Result<ExitStatus, String> {
        use std::os::unix::process::CommandExt;
        let output = self.output();
        let file = fs::File::create(&output).map_err(|error| format!("{}: {error}", output.display()))?;
        command.stderr(file.try_clone().map_err(|error| error.to_string())?).stdout(file);
        // What a suite sends to its group is not for us.
        command.process_group(0).status().map_err(|error| format!("{command:?}: {error}"))
    }

    /// Where the output is.
    pub fn output(&self) -> PathBuf {
        self.directory.join("output")
    }
}

/// What a report in JUnit's format says, and how the run ended: without a report, with the last lines of its output.
pub fn junit(report: &Path, run: &Run, status: ExitStatus) -> Results {
    let Ok(text) = fs::read(report) else {
        let said = fs::read(run.output()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        return Results::from([(END.to_owned(), format!("{status}, no report: {}", last.join("\n")))]);
    };
    let text = String::from_utf8_lossy(&text);
    let field = |case: &str, field: &str| {
        Some(case.split_once(&format!(" {field}=\""))?.1.split('"').next().unwrap_or_default().to_owned())
    };
    let mut results = Results::new();
    for case in text.split("<testcase").skip(1) {
        let head = case.split('>').next().unwrap_or_default();
        let class = field(head, "classname").map(|class| class + ".").unwrap_or_default();
        let name = class + &field(head, "name").unwrap_or_default();
        let end = ["failure", "error", "skipped"].into_iter().find(|end| case.contains(&format!("<{end}")));
        results.insert(name, end.unwrap_or("passed").to_owned());
    }
    results.insert(END.to_owned(), status.to_string());
    results
}

/// Runs a suite bare and under the launcher, part by part. A part that differs is run again, both ways, as a busy machine
/// makes tests fail by itself.
///
/// # Errors
/// With what differs.
pub fn compare(suite: &Suite, options: &[&str]) -> Done {
    step::run("the launcher", cargo().args(["build", "--locked", "--package", "ddtrace-run"]))?;
    let launcher = target_dir().join("debug/ddtrace-run").display().to_string();
    let traced: Vec<String> = [launcher.as_str()].iter().chain(options).map(|word| (*word).to_owned()).collect();
    eprintln!("==> {}: bare, and under the launcher", suite.name);
    let start = Instant::now();
    let run = |part: &str, traced: &[String]| {
        let way = if traced.is_empty() { "bare" } else { "traced" };
        let place = format!("{}/{}.{way}", suite.name, part).replace(' ', "-");
        (suite.run)(part, &Run::new(&place, traced)?)
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut known, mut unsteady, mut different) = (Vec::new(), Vec::new(), Vec::new());
    for part in &suite.parts {
        let mut ends = vec![[run(part, &[])?, run(part, &traced)?]];
        for (_, end) in ends[0][0].iter().filter(|(test, _)| !test.ends_with(END)) {
            // Some go on with what was wrong.
            let end = end.split(':').next().unwrap_or_default();
            *counts.entry(end.to_owned()).or_default() += 1;
        }
        let reason = |test: &str| suite.known.iter().find(|(end, _)| test.ends_with(end)).map(|(_, reason)| *reason);
        let (meant, mut others): (Vec<_>, Vec<_>) =
            differing(&ends[0]).into_iter().partition(|test| reason(test).is_some());
        if !meant.is_empty() && others.iter().all(|test| test.ends_with(END)) {
            // The run ends as its tests do.
            others.clear();
        }
        known.extend(meant.iter().map(|test| format!("{test}: {}", reason(test).unwrap_or_default())));
        if others.is_empty() {
            continue;
        }
        for _ in 0..AGAIN {
            ends.push([run(part, &[])?, run(part, &traced)?]);
        }
        for test in others {
            let all = |way: usize| ends.iter().map(|both| end_of(&both[way], &test)).collect::<Vec<_>>();
            let (bare, traced) = (all(0), all(1));
            let told = format!("{test}: bare {}; traced {}", bare.join(", "), traced.join(", "));
            if is_ours(&bare, &traced) { different.push(told) } else { unsteady.push(told) }
        }
    }
    let counts: Vec<String> = counts.iter().map(|(end, count)| format!("{count} {end}")).collect();
    let tests = if counts.is_empty() { "no tests".to_owned() } else { counts.join(", ") };
    eprintln!(
        "    {}: {tests}; {} of them otherwise under the launcher; {:.0} s",
        suite.name,
        different.len(),
        start.elapsed().as_secs_f64()
    );
    for (what, tests) in [("meant to differ", known), ("not the same at each try", unsteady)] {
        tests.iter().for_each(|test| eprintln!("    {what}: {test}"));
    }
    if counts.is_empty() {
        return Err(format!("{}: not one test was run", suite.name));
    }
    match different.is_empty() {
        true => Ok(()),
        false => Err(format!("{}: not the same under the launcher: {:#?}", suite.name, different)),
    }
}

/// Whether a test that ended otherwise at the first try does so because of us: where it always ends in one way bare, by one
/// more such end; else by almost all of them.
fn is_ours(bare: &[String], traced: &[String]) -> bool {
    let is_steady = bare.iter().all(|end| *end == bare[0]);
    let differ = bare.iter().zip(traced).filter(|(bare, traced)| bare != traced).count();
    differ > if is_steady { 1 } else { AGAIN - 1 }
}

fn end_of(results: &Results, test: &str) -> String {
    results.get(test).cloned().unwrap_or_else(|| "not run".to_owned())
}

fn differing([bare, traced]: &[Results; 2]) -> Vec<String> {
    let tests: BTreeSet<&String> = bare.keys().chain(traced.keys()).collect();
    tests.into_iter().filter(|test| end_of(bare, test) != end_of(traced, test)).cloned().collect()
}
