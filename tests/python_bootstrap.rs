//! `ddtrace-run bootstrap`: which instrumentations fit what a Python has, and how they get there.

use ddtrace_test_support::python::python;
use ddtrace_test_support::{Outcome, Sandbox, repository, target_dir};
use std::fs;
use std::path::PathBuf;

/// What is for every program.
const ALWAYS: [&str; 8] = ["asyncio", "dbapi", "exceptions", "logging", "sqlite3", "threading", "urllib", "wsgi"];

fn program(name: &str) -> String {
    repository().join("tests/python_instrumentations").join(name).display().to_string()
}

/// A sandbox with an environment of Python in it that has these.
fn sandbox(options: &[&str], installed: &[&str]) -> (Sandbox, PathBuf) {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let venv = sandbox.work().join("venv");
    let made = sandbox.run_bare([&["python3", "-m", "venv"], options, &["venv"]].concat());
    assert_eq!(made.code, Some(0), "{made:?}");
    let packages = fs::read_dir(venv.join("lib")).expect("a directory").flatten().next().expect("a Python").path();
    for each in installed {
        let info = packages.join("site-packages").join(each.replace("==", "-") + ".dist-info");
        fs::create_dir(&info).expect("a directory");
        let (name, release) = each.split_once("==").expect("a release");
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n");
        fs::write(info.join("METADATA"), metadata).expect("a file");
    }
    let wheels = sandbox.work().join("wheels");
    fs::create_dir(&wheels).expect("a directory");
    sandbox.set("PIP_NO_INDEX", "1").set("PIP_FIND_LINKS", wheels);
    (sandbox, venv)
}

fn wheels(sandbox: &Sandbox, kinds: &[&str]) {
    let names: Vec<_> = kinds.iter().map(|kind| format!("opentelemetry-instrumentation-{kind}==0.66b1")).collect();
    let mut argv = vec!["python3".to_owned(), program("wheels.py"), "wheels".to_owned()];
    argv.extend(names);
    assert_eq!(sandbox.run_bare(argv).code, Some(0));
}

fn requirements(outcome: &Outcome) -> Vec<String> {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let release = |line: &str| line.strip_prefix("opentelemetry-instrumentation-").map(str::to_owned);
    outcome.out().lines().map(|line| release(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

#[test]
fn a_requirements_file() {
    let (sandbox, venv) =
        sandbox(&["--without-pip"], &["Flask==3.0.0", "requests==1.0", "opentelemetry_api==1.44.2", "click==8.1.3rc1"]);
    let python = venv.join("bin/python").display().to_string();
    let outcome = sandbox.run_traced(["bootstrap", "--python", &python]);
    let expected: Vec<_> = ["click", "flask"].iter().chain(&ALWAYS).map(|kind| format!("{kind}==0.65b2")).collect();
    assert_eq!(requirements(&outcome), expected);
    let left_out = "left out: opentelemetry-instrumentation-requests is for requests>=2,<3, and 1.0 is installed";
    assert!(outcome.err().contains(left_out) && outcome.err().contains(&python), "{outcome:?}");
    // By the directory of the environment, by the program, by PATH.
    let script = sandbox.write_program("shop", format!("#!{python}\n")).display().to_string();
    let same = |argv: &[&str]| assert_eq!(requirements(&sandbox.run_traced(argv)), expected, "{argv:?}");
    same(&["bootstrap", "--python", "venv"]);
    same(&["bootstrap", "-a", "requirements", &python, "app.py", "-a", "install"]);
    same(&["bootstrap", &script, "--port", "80"]);
    let mut by_path = sandbox.traced(["bootstrap"]);
    let path = format!("{}:/usr/bin:/bin", venv.join("bin").display());
    assert_eq!(requirements(&Outcome::of(by_path.env("PATH", path))), expected);
    // Nothing was traced.
    assert!(sandbox.spans().is_empty());
    // And nothing can be installed.
    let outcome = sandbox.run_traced(["bootstrap", "-a", "install", "--python", "venv"]);
    assert_eq!(outcome.code, Some(1));
    let all = expected.iter().map(|each| format!("opentelemetry-instrumentation-{each}")).collect::<Vec<_>>().join(" ");
    assert!(
        outcome.err().ends_with(&format!(
            "this environment has no pip, and there is no uv in PATH: nothing is installed. Either of these puts that right:\n\
             ddtrace-run:   {python} -m ensurepip\n\
             ddtrace-run:   uv pip install --python {python} {all}\n"
        )),
        "{outcome:?}"
    );
}

#[test]
fn releases_that_fit() {
    for (installed, release) in [
        ("opentelemetry_instrumentation==0.60b1", "==0.60b1"),
        ("opentelemetry_api==1.17.0", "==0.38b0"),
        ("opentelemetry_api==1.45.1", "==0.66b1"),
        ("opentelemetry_api==1.2.0", ""),
        ("other==1.0", "==0.66b1"),
    ] {
        let (sandbox, _) = sandbox(&["--without-pip"], &[installed]);
        let lines = requirements(&sandbox.run_traced(["bootstrap", "--python", "venv"]));
        assert_eq!(lines.last(), Some(&format!("wsgi{release}")), "{installed}");
    }
}

#[test]
fn what_is_installed() {
    let (sandbox, venv) = sandbox(&[], &["Flask==3.0.0", "opentelemetry_api==1.45.1"]);
    let state = |line: &str| {
        let (name, rest) = line.split_once("==0.66b1: ").unwrap_or_else(|| panic!("{line}"));
        let state = rest.split_once(", for ").unwrap_or_else(|| panic!("{line}")).0;
        (name.trim_start_matches("opentelemetry-instrumentation-").to_owned(), state.to_owned())
    };
    let install = |options: &[&str], code: i32| {
        let argv = [&["bootstrap", "--action=install", "--python", "venv"], options].concat();
        let outcome = sandbox.run_traced(argv);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        let missing = "ddtrace-run: 1 of 9 could not be installed: opentelemetry-instrumentation-wsgi==0.66b1\n";
        assert_eq!(outcome.err().ends_with(missing), code == 1, "{outcome:?}");
        outcome.out().lines().map(state).collect::<Vec<_>>()
    };
    let all = |state: &str| -> Vec<_> {
        ["flask"].iter().chain(&ALWAYS).map(|kind| ((*kind).to_owned(), state.to_owned())).collect()
    };
    let pip = venv.join("bin/pip").display().to_string();
    let list = || sandbox.run_bare([&pip, "list", "--disable-pip-version-check"]).out();
    let before = list();
    assert_eq!(install(&["--dry-run"], 0), all("to be installed"));
    assert_eq!(list(), before);
    // One that cannot be had keeps none of the others away.
    wheels(&sandbox, &["flask", "asyncio", "dbapi", "exceptions", "logging", "sqlite3", "threading", "urllib"]);
    let mut expected = all("installed");
    expected.last_mut().expect("the last").1 = "FAILED".to_owned();
    assert_eq!(install(&[], 1), expected);
    wheels(&sandbox, &["wsgi"]);
    let mut expected = all("installed already");
    expected.last_mut().expect("the last").1 = "installed".to_owned();
    assert_eq!(install(&[], 0), expected);
    assert_eq!(install(&[], 0), all("installed already"));
    assert!(list().contains("opentelemetry-instrumentation-wsgi "), "{}", list());
}

/// A release comes to an index package by package: what cannot be had is said, and what can be done.
#[test]
fn a_release_that_the_index_does_not_have() {
    let (sandbox, venv) = sandbox(&[], &["opentelemetry_api==1.45.2", "opentelemetry_sdk==1.45.2"]);
    let outcome = sandbox.run_traced(["bootstrap", "-a", "install", "--python", "venv"]);
    let python = venv.join("bin/python").display().to_string();
    let all = ALWAYS.map(|kind| format!("opentelemetry-instrumentation-{kind}==0.66b2")).join(" ");
    let advice = format!(
        "ddtrace-run: 8 of 8 could not be installed: {all}\n\
         ddtrace-run: What stands above says why. Where the index has them in no release 0.66b2, try again later, or take all \
         of them in one\n\
         ddtrace-run: that it has, such as 0.66b1, with which ddtrace-run has been tried:\n\
         ddtrace-run:   {python} -m pip install opentelemetry-api==1.45.1 opentelemetry-sdk==1.45.1 \
         opentelemetry-instrumentation==0.66b1\n\
         ddtrace-run:   ddtrace-run bootstrap -a install --python {python}\n"
    );
    assert!(outcome.code == Some(1) && outcome.err().ends_with(&advice), "{outcome:?}");
}

/// Who reads the first lines alone gets no more, and what is to be installed is installed.
#[test]
fn readers_that_go_away() {
    let (sandbox, venv) = sandbox(&[], &[]);
    wheels(&sandbox, &ALWAYS);
    let launcher = sandbox.launcher().to_owned();
    for options in ["", "-a install"] {
        // The reader is gone before the first line.
        let script = format!(
            "{{ sleep 0.3; {launcher} bootstrap {options} --python venv; echo $? > code; }} 2> said | true; cat code said"
        );
        let outcome = sandbox.run_bare(["bash", "-c", &script]);
        let python = venv.join("bin/python").display().to_string();
        let said = outcome.out();
        assert!(said.starts_with(&format!("0\nddtrace-run: 8 packages for {python} ")), "{options}: {outcome:?}");
        assert_eq!(said.lines().count(), 2, "{options}: {outcome:?}");
    }
    let there = Outcome::of(&mut sandbox.traced(["bootstrap", "-a", "install", "--python", "venv"])).out();
    assert_eq!(there.lines().filter(|line| line.contains("installed already")).count(), ALWAYS.len(), "{there}");
}

/// Environments that uv has made have no pip in them.
#[test]
fn environments_of_uv() {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let uv = target_dir().join("instr-venv/bin/uv").display().to_string();
    let found = sandbox.work().join("wheels");
    fs::create_dir(&found).expect("a directory");
    sandbox.set("UV_OFFLINE", "1").set("UV_NO_INDEX", "1").set("UV_FIND_LINKS", found);
    wheels(&sandbox, &ALWAYS);
    assert_eq!(sandbox.run_bare([uv.as_str(), "venv", "--quiet", "venv"]).code, Some(0));
    for (name, value) in [("UV", uv.clone()), ("PATH", format!("{}:/usr/bin:/bin", uv.trim_end_matches("/uv")))] {
        sandbox.set(name, value);
        let outcome = sandbox.run_traced(["bootstrap", "-a", "install", "--python", "venv"]);
        assert_eq!((outcome.code, outcome.out().lines().count()), (Some(0), ALWAYS.len()), "{name}: {outcome:?}");
        assert!(
            outcome.out().lines().all(|line| line.contains(": installed, for every program")),
            "{name}: {outcome:?}"
        );
        assert!(!outcome.err().contains("Traceback"), "{name}: {outcome:?}");
        sandbox.unset("UV");
        assert_eq!(sandbox.run_bare([uv.as_str(), "venv", "--quiet", "--clear", "venv"]).code, Some(0));
    }
}

/// What uv would run a program by, it alone knows.
#[test]
fn programs_that_uv_runs() {
    let (mut sandbox, venv) = sandbox(&["--without-pip"], &["Flask==3.0.0"]);
    let uv = target_dir().join("instr-venv/bin/uv").display().to_string();
    let project = sandbox.work().join("project");
    fs::create_dir(&project).expect("a directory");
    fs::rename(&venv, project.join(".venv")).expect("it is moved");
    fs::write(project.join("pyproject.toml"), "[project]\nname = 'shop'\nversion = '1'\ndependencies = ['flask']\n")
        .expect("a file");
    fs::write(project.join("alone.py"), "\n# /// script\n# dependencies = []\n# ///\n").expect("a file");
    sandbox.set("UV_OFFLINE", "1").set("UV_NO_INDEX", "1");
    for words in [
        &["--project", "project", "shop", "--port", "80"][..],
        &["--project=project", "--no-sync", "--group", "dev", "-m", "flask", "run"],
        &["--directory", "project", "app.py", "--with", "y"],
    ] {
        let outcome = sandbox.run_traced([&["bootstrap", &uv, "run"], words].concat());
        assert_eq!(requirements(&outcome)[0], "flask==0.66b1", "{words:?}: {outcome:?}");
    }
    for word in ["--with", "project/alone.py"] {
        let outcome = sandbox.run_traced(["bootstrap", &uv, "run", word, "x"]);
        let said = format!("uv run {word}: its Python is not known before it runs, say it by --python");
        assert!(outcome.code != Some(0) && outcome.err().contains(&said), "{outcome:?}");
    }
    let outcome = sandbox.run_traced(["bootstrap", &uv, "run", "--project", "nowhere", "shop"]);
    assert!(outcome.code == Some(127) && outcome.err().contains("nowhere"), "{outcome:?}");
    assert!(!project.join("uv.lock").exists());
}

/// A program's shim says nothing of its Python: pyenv knows it.
#[test]
fn shims_of_pyenv() {
    let Some(pyenv) = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|entry| entry.join("pyenv")).find(|pyenv| pyenv.is_file()))
    else {
        println!("pyenv is not installed here");
        return;
    };
    let (mut sandbox, venv) = sandbox(&["--without-pip"], &["Flask==3.0.0"]);
    let root = sandbox.work().join("pyenv");
    let versions = root.join("versions");
    fs::create_dir_all(&versions).expect("a directory");
    std::os::unix::fs::symlink(&venv, versions.join("mine")).expect("a link");
    let script = venv.join("bin/shop");
    fs::write(&script, format!("#!{}\n", venv.join("bin/python").display())).expect("a file");
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    sandbox.set("PYENV_ROOT", &root);
    assert_eq!(sandbox.run_bare([pyenv.as_os_str(), "rehash".as_ref()]).code, Some(0));
    sandbox.unset("PYENV_ROOT").set("PATH", format!("{}:/usr/bin:/bin", root.join("shims").display()));
    sandbox.set("PYENV_VERSION", "mine");
    for argv in [&["bootstrap"][..], &["bootstrap", "shop", "--port", "80"], &["bootstrap", "python3", "app.py"]] {
        let outcome = sandbox.run_traced(argv);
        assert_eq!(requirements(&outcome)[0], "flask==0.66b1", "{argv:?}: {outcome:?}");
    }
    sandbox.set("PYENV_VERSION", "another");
    let outcome = sandbox.run_traced(["bootstrap", "shop"]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(127), ""), "{outcome:?}");
    assert!(outcome.err().contains("version `another' is not installed"), "{outcome:?}");
}

#[test]
fn the_table_is_that_of_opentelemetry_bootstrap() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let table = repository().join("python/ddtrace_run/_bootstrap.py").display().to_string();
    let outcome = sandbox.run_bare([python("instr-venv"), program("table.py"), table]);
    assert_eq!((outcome.out().as_str(), outcome.err().as_str()), ("compared\n", ""));
}
