//! Pythons under the launcher: all of them start as without it, and all that can be traced get the tracer.

use ddtrace_test_support::programs::{has_program, python_of, pythons};
use ddtrace_test_support::python::python;
use ddtrace_test_support::sandbox::install;
use ddtrace_test_support::{Outcome, Sandbox, repository, target_dir};
use std::fs;
use std::path::Path;

/// Says whether the tracer could be imported, and nothing else.
const LENT: &str = "import sys\nsys.stdout.write('lent' if 'ddtrace_run' in repr(sys.meta_path[-1]) else 'not lent')\n";

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    fs::copy(repository().join("tests/python/state.py"), sandbox.work().join("state.py")).expect("a program");
    sandbox
}

/// The log of the sidecar, when all is over; the next begins with nothing in it.
fn take_log(sandbox: &Sandbox) -> String {
    sandbox.settle();
    let path = sandbox.local_store().with_file_name("sidecar.log");
    let log = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    log
}

/// In whatever way a Python is started, its program finds it as without the launcher.
#[test]
fn start_forms() {
    let sandbox = sandbox();
    fs::create_dir_all(sandbox.work().join("application")).unwrap();
    fs::copy(sandbox.work().join("state.py"), sandbox.work().join("application/__main__.py")).unwrap();
    for python in pythons() {
        let archive = Outcome::of(&mut sandbox.bare([&python, "-m", "zipapp", "application", "-o", "archive.pyz"]));
        assert_eq!(archive.code, Some(0), "{archive:?}");
        for options in [
            &["state.py", "-I", "argument"][..],
            &["./state.py"],
            &["-m", "state"],
            &["-m", "application"],
            &["application"],
            &["archive.pyz"],
            &["-c", "import state"],
            &["-W", "error", "-bb", "-X", "dev", "state.py"],
            &["-s", "-B", "-u", "state.py"],
            &["-O", "-X", "utf8", "state.py"],
            &["-I", "state.py"],
            &["-E", "state.py"],
        ] {
            let argv: Vec<&str> = [python.as_str()].into_iter().chain(options.iter().copied()).collect();
            let outcome = sandbox.assert_same(&argv);
            assert_eq!(outcome.code, Some(0), "{argv:?}: {outcome:?}");
        }
        let shell = format!("{python} < state.py; {python} - < state.py; PYTHONSAFEPATH=1 {python} state.py");
        sandbox.assert_same(&["sh", "-c", &shell]);
    }
}

/// Every version that can be traced gets the finder, in whatever way its program is started.
#[test]
fn the_tracer_is_there() {
    let sandbox = sandbox();
    let program = sandbox.write("lent.py", LENT);
    let program = program.to_str().unwrap();
    for python in pythons() {
        for argv in [
            vec![python.as_str(), "-c", LENT],
            vec![python.as_str(), "-W", "error", program],
            vec![python.as_str(), "-m", "lent"],
            vec!["sh", "-c", &format!("{python} < lent.py")],
        ] {
            assert_eq!(sandbox.run_traced(&argv).out(), "lent", "{argv:?}");
        }
        // The extension can be loaded, and whatever installed modules there are come first.
        let imports = "import ddtrace_run._native, ddtrace; print(ddtrace.__spec__.origin)";
        let outcome = sandbox.run_traced([&python, "-c", imports]);
        assert!(outcome.out().ends_with("/ddtrace_run/compat/ddtrace/__init__.py\n"), "{python}: {outcome:?}");
    }
}

/// Set aside by the options of the command: said, and not done.
#[test]
fn what_keeps_it_out_is_said() {
    let sandbox = sandbox();
    for python in pythons() {
        for (option, reason) in [
            ("-I", "-I makes Python ignore PYTHONPATH"),
            ("-E", "-E makes Python ignore PYTHONPATH"),
            ("-S", "-S makes Python start without its module site"),
        ] {
            let script = sandbox.write_program("isolated", format!("#!{python} {option}\n{LENT}"));
            let script = script.to_str().unwrap().to_owned();
            for argv in [vec!["--debug", &python, option, "-c", LENT], vec!["--debug", &script]] {
                let outcome = sandbox.run_traced(&argv);
                assert_eq!(outcome.out(), "not lent", "{argv:?}");
                assert!(outcome.err().contains(reason), "{argv:?}: {outcome:?}");
            }
        }
    }
}

/// `sitecustomize` and `usercustomize` of the user's own, also those that fail.
#[test]
fn hooks_of_the_users_own() {
    let sandbox = sandbox();
    let hooks = sandbox.work().join("hooks");
    let user = sandbox.path().join("home/site");
    for python in pythons() {
        let place = "import site; print(site.getusersitepackages())";
        let mut command = sandbox.bare([&python, "-c", place]);
        let packages = Outcome::of(command.env("PYTHONUSERBASE", &user)).out();
        for (name, code) in [
            (
                "sitecustomize",
                "import sys; print('hook', __file__, __name__, sys.path, sorted(sys.modules['sitecustomize'].__dict__))",
            ),
            ("sitecustomize", "raise RuntimeError('on purpose')"),
            ("sitecustomize", "raise ImportError('on purpose', name='other')"),
            ("sitecustomize", "import no_such_module"),
            ("sitecustomize", "import sys; sys.exit('on purpose')"),
            ("sitecustomize", "import os; print('ends'); os._exit(3)"),
            ("sitecustomize", "syntax error"),
            ("usercustomize", "import sys; print('user', __file__, sys.path)"),
            ("usercustomize", "raise RuntimeError('on purpose')"),
        ] {
            for directory in [hooks.as_path(), packages.trim().as_ref()] {
                fs::create_dir_all(directory).unwrap();
                fs::write(directory.join(name).with_extension("py"), code).unwrap();
                let run = |mut command: std::process::Command| {
                    Outcome::of(command.env("PYTHONPATH", &hooks).env("PYTHONUSERBASE", &user))
                };
                let argv =
                    [python.as_str(), "-B", "-c", "import sys; print(sys.path, sys.modules.get('sitecustomize'))"];
                let (mut bare, mut traced) = (run(sandbox.bare(argv)), run(sandbox.traced(argv)));
                if code.contains("sys.exit") {
                    // Python cannot start then, and says through which files it came there.
                    (bare.stderr, traced.stderr) = (Vec::new(), Vec::new());
                }
                assert_eq!(traced, bare, "{python}: {code}");
                fs::remove_file(directory.join(name).with_extension("py")).unwrap();
            }
        }
    }
}

/// Processes that a Python starts, and Pythons that others start, whatever they set for them.
#[test]
fn children_have_it_too() {
    let sandbox = sandbox();
    sandbox.write("lent.py", LENT);
    sandbox.write(
        "pools.py",
        "import multiprocessing, sys\n\
         def lent(_): return 'ddtrace_run' in repr(sys.meta_path[-1])\n\
         if __name__ == '__main__':\n\
         \x20   for way in ('fork', 'spawn', 'forkserver'):\n\
         \x20       with multiprocessing.get_context(way).Pool(2) as pool: print(way, all(pool.map(lent, range(4))))\n",
    );
    for python in pythons() {
        for script in [
            format!("{python} -c 'import subprocess, sys; subprocess.run([sys.executable, \"lent.py\"])'"),
            format!("{python} -c 'import os, sys; os.execv(sys.executable, [sys.executable, \"lent.py\"])'"),
            format!("{python} -c 'import os, sys; os.execve(sys.executable, [sys.executable, \"lent.py\"], {{}})'"),
            format!("PYTHONPATH=/nonexistent {python} lent.py"),
            format!("PYTHONPATH=/nonexistent:$PYTHONPATH {python} lent.py"),
            format!("env -u PYTHONPATH {python} lent.py"),
            format!("env -i {python} lent.py"),
            format!("(cd / && {python} {}/lent.py)", sandbox.work().display()),
        ] {
            assert_eq!(sandbox.run_traced(["sh", "-c", &script]).out(), "lent", "{script}");
        }
        // What a program sets for its children they find, behind ours, which is gone when they look.
        let set = format!("PYTHONPATH=/a::/b/ {python} -c 'import sys; print(sys.path)'");
        sandbox.assert_same(&["sh", "-c", &set]);
        let outcome = sandbox.run_traced([&python, "pools.py"]);
        assert_eq!(outcome.out(), "fork True\nspawn True\nforkserver True\n", "{python}: {outcome:?}");
    }
}

/// Pythons that cannot be traced run as ever, and the log says why, once.
#[test]
fn others_are_left_alone() {
    let sandbox = sandbox();
    let mut reasons = Vec::new();
    if let Some(old) = python_of("3.7") {
        reasons.push((old, "it is older than Python 3.9, the oldest that can be traced"));
    }
    if has_program("pypy3") {
        reasons.push(("pypy3".to_owned(), "it is pypy, and only CPython can be traced"));
    }
    // Nobody packages one for the systems that the tests run on; where somebody has one, it is tried.
    for free in ["python3.13t", "python3.14t"].into_iter().filter(|python| has_program(python)) {
        reasons.push((free.to_owned(), "it is a free-threaded build, for which there is no tracer yet"));
    }
    assert!(reasons.len() >= 2 || std::env::var_os("CI").is_none(), "what `cargo xtask setup` installs: {reasons:?}");
    for (python, reason) in reasons {
        let program = "import sys; print(sys.path, len(sys.meta_path))";
        sandbox.assert_same(&[&python, "-c", program]);
        let outcome = sandbox.run_traced(["sh", "-c", &format!("{python} -c pass; {python} -c pass")]);
        assert_eq!((outcome.out().as_str(), outcome.err().as_str()), ("", ""));
        let log = take_log(&sandbox);
        // Two runs, and in the second two processes.
        assert_eq!(log.matches(reason).count(), 2, "{log}");
        let loud = sandbox.run_traced(["--debug", &python, "-c", "pass"]);
        assert!(loud.err().contains(reason), "{loud:?}");
    }
}

/// In sub-interpreters there is nothing of ours, and those that come and go do no harm.
#[test]
fn sub_interpreters_are_left_alone() {
    let sandbox = sandbox();
    let program = sandbox.write(
        "interpreters.py",
        "try: import _interpreters as interpreters\n\
         except ImportError: import _xxsubinterpreters as interpreters\n\
         run = getattr(interpreters, 'run_string', None)\n\
         code = 'import sys; print([n for n in [*map(str, sys.meta_path), *sys.modules] if \"ddtrace\" in n], len(sys.path))'\n\
         for turn in range(3):\n\
         \x20   interpreter = interpreters.create()\n\
         \x20   print(run(interpreter, code), flush=True)\n\
         \x20   interpreters.destroy(interpreter)\n\
         print('ends')\n",
    );
    for python in pythons() {
        let outcome = sandbox.assert_same(&[&python, program.to_str().unwrap()]);
        assert!(outcome.out().ends_with("ends\n"), "{outcome:?}");
    }
}

/// An installed `ddtrace` answers to its name, unless ours is asked for; then one line says so.
#[test]
fn an_installed_ddtrace_is_not_shadowed() {
    let mut sandbox = sandbox();
    let package = sandbox.work().join("ddtrace");
    fs::create_dir(&package).unwrap();
    fs::write(package.join("__init__.py"), "print('the installed one')\n").unwrap();
    let argv =
        |python: &str| [python.to_owned(), "-c".to_owned(), "import ddtrace; print(ddtrace.__file__)".to_owned()];
    for python in pythons() {
        let outcome = sandbox.assert_same(&argv(&python));
        assert!(outcome.out().starts_with("the installed one"), "{outcome:?}");
    }
    sandbox.set("DD_TRACE_PYTHON_PROVIDER", "ddtrace-run");
    for python in pythons() {
        let outcome = sandbox.run_traced(argv(&python));
        assert!(outcome.out().ends_with("/ddtrace_run/compat/ddtrace/__init__.py\n"), "{outcome:?}");
        let log = take_log(&sandbox);
        let line = format!("{} is installed, but `import ddtrace` gives the tracer of ddtrace-run", package.display());
        assert_eq!(log.matches(&line).count(), 1, "{log}");
    }
    sandbox.set("DD_TRACE_PYTHON_PROVIDER", "none");
    for python in pythons() {
        assert_eq!(sandbox.run_traced([&python, "-c", LENT]).out(), "not lent", "{python}");
    }
}

/// A directory that is no package does not hide a lent name, as it would not hide an installed package.
#[test]
fn a_directory_of_that_name_is_no_package() {
    let sandbox = sandbox();
    for name in ["ddtrace", "ddtrace_api", "dd_trace_api"] {
        fs::create_dir(sandbox.work().join(name)).unwrap();
    }
    let program = "import ddtrace, dd_trace_api; print(ddtrace.tracer is not None, dd_trace_api.tracer is not None)";
    for python in pythons() {
        let outcome = sandbox.run_traced([&python, "-c", program]);
        assert_eq!((outcome.out().as_str(), outcome.err().as_str()), ("True True\n", ""), "{python}");
    }
}

/// A program that uses a lent name runs where tracing is switched off, too.
#[test]
fn names_are_lent_without_tracing() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_ENABLED", "false");
    let program = "from ddtrace import tracer\nwith tracer.trace('work') as span: print('runs')";
    for python in pythons() {
        let outcome = sandbox.run_traced([&python, "-W", "error", "-c", program]);
        assert_eq!((outcome.out().as_str(), outcome.err().as_str()), ("runs\n", ""), "{python}");
    }
    assert!(!sandbox.local_store().exists());
}

/// Nothing is imported before the program does it.
#[test]
fn nothing_heavy_is_imported() {
    let sandbox = sandbox();
    let program = "import sys; print(sorted(sys.modules))";
    for python in pythons() {
        let modules = |outcome: Outcome| -> Vec<String> {
            outcome.out().split('\'').skip(1).step_by(2).map(ToOwned::to_owned).collect()
        };
        let bare = modules(sandbox.run_bare([&python, "-c", program]));
        let mut traced = modules(sandbox.run_traced([&python, "-c", program]));
        traced.retain(|module| !bare.contains(module));
        assert_eq!(traced, ["ddtrace_run", "ddtrace_run._finder"], "{python}");
    }
}

/// Launcher, library and package lie where pip puts them: everything is found, also by programs that the launcher did not
/// start.
#[test]
fn installed_by_pip() {
    let mut sandbox = sandbox();
    let venv = sandbox.path().join("venv");
    let made = sandbox.run_bare(["python3", "-m", "venv", "--without-pip", venv.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let python = venv.join("bin/python3");
    let packages = sandbox.run_bare([python.to_str().unwrap(), "-c", "import site; print(site.getsitepackages()[0])"]);
    let packages = Path::new(packages.out().trim_end()).to_owned();
    let built = Path::new(env!("CARGO_BIN_EXE_ddtrace-run")).parent().unwrap().to_owned();
    install(&built.join("ddtrace-run"), &venv.join("bin/ddtrace-run"));
    install(&built.join("libddtrace_preload.so"), &venv.join("lib/ddtrace/libddtrace_preload.so"));
    install(&repository().join("python/ddtrace_run.pth"), &packages.join("ddtrace_run.pth"));
    let copied =
        sandbox.run_bare(["cp", "-rL", built.join("python/ddtrace_run").to_str().unwrap(), packages.to_str().unwrap()]);
    assert_eq!(copied.code, Some(0), "{copied:?}");

    let program = "with __import__('ddtrace').tracer.trace('work', resource='launched'): print('runs')";
    sandbox.use_launcher(venv.join("bin/ddtrace-run"));
    for python in [python.to_str().unwrap(), "python3"] {
        assert_eq!(sandbox.run_traced([python, "-c", program]).out(), "runs\n", "{python}");
    }
    let names = |sandbox: &Sandbox| sandbox.spans().into_iter().map(|span| span.name).collect::<Vec<_>>();
    assert_eq!(names(&sandbox), ["launched", "launched"]);

    // Not started by the launcher: a sidecar comes, serves children as well, and what a killed program recorded is kept.
    for module in ["ddtrace_run.auto", "ddtrace.auto"] {
        fs::remove_file(sandbox.local_store()).unwrap();
        let program = sandbox.write(
            "auto.py",
            format!(
                "import {module}\n\
                 from ddtrace import tracer\n\
                 import os, subprocess, sys\n\
                 child = \"from ddtrace import tracer\\nwith tracer.trace('work', resource='child'): pass\"\n\
                 with tracer.trace('work', resource='auto'): subprocess.run([sys.executable, '-c', child], check=True)\n\
                 os.kill(os.getpid(), 9)\n"
            ),
        );
        let outcome = sandbox.run_bare([&python, &program]);
        assert_eq!((outcome.signal, outcome.out(), outcome.err()), (Some(9), String::new(), String::new()));
        let mut names = names(&sandbox);
        names.sort();
        assert_eq!(names, ["auto", "child"], "{module}");
    }
}

/// Datadog's own launcher and tracer under ours: as without ours.
#[test]
fn datadogs_own_launcher_inside() {
    let sandbox = sandbox();
    let venv = target_dir().join("ddtrace-venv/bin");
    let (launcher, python) = (venv.join("ddtrace-run"), venv.join("python3"));
    let program = "import ddtrace, sys; print(ddtrace.__version__, type(ddtrace.tracer), sys.path, 'sitecustomize' in sys.modules)";
    let argv: Vec<&str> = [launcher.to_str().unwrap(), python.to_str().unwrap(), "-c", program].into();
    let outcome = sandbox.assert_same(&argv);
    assert!(outcome.out().contains("ddtrace._trace.tracer.Tracer"), "{outcome:?}");
}

/// Whoever watches what is executed sees nothing of ours while others are imported.
#[test]
fn nothing_of_ours_is_in_what_tracers_see() {
    let sandbox = sandbox();
    let program = "import sys\n\
        seen = set()\n\
        def look(frame, *_):\n\
        \x20   seen.add((frame.f_code.co_filename, frame.f_globals.get('__file__')))\n\
        sys.settrace(look)\n\
        import json, email.message, concurrent.futures\n\
        concurrent.futures.ThreadPoolExecutor(1).submit(int).result()\n\
        try: import no_such_module\n\
        except ImportError: pass\n\
        sys.settrace(None)\n\
        print(sorted(name for name, file in seen if 'ddtrace' in (file or '') or ('ddtrace' in name and '<' not in name)))\n";
    for python in pythons() {
        assert_eq!(sandbox.run_traced([&python, "-c", program]).out(), "[]\n", "{python}");
    }
}

/// A module that somebody is to be told of fails as it does without us.
#[test]
fn imports_that_fail_show_nothing_of_ours() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    fs::create_dir_all(sandbox.work().join("opentelemetry/trace")).expect("a package");
    for failure in ["raise ValueError('here')", "import no_such_module", "1 +"] {
        sandbox.write("opentelemetry/trace/__init__.py", failure);
        for python in pythons() {
            sandbox.assert_same(&[&python, "-B", "-c", "import opentelemetry.trace"]);
        }
    }
}

/// However a script is started, it is the same service.
#[test]
fn a_script_is_named_by_what_it_is() {
    let sandbox = sandbox();
    let python = python("otel-venv");
    let line = format!("#!{python}\nfrom ddtrace import tracer\ntracer.trace('x').finish()\n");
    let script = sandbox.write_program("shop.py", &line).display().to_string();
    let shell = sandbox.write_program("list.sh", "#!/bin/sh\ntrue\n").display().to_string();
    for (command, service) in [(vec![&*script], "shop"), (vec![&*python, &*script], "shop"), (vec![&*shell], "list.sh")]
    {
        sandbox.run_traced(["--process-spans=true"].iter().chain(&command)).assert_success();
        let spans = sandbox.spans();
        let services: Vec<_> = spans.iter().map(|span| span.resource["service.name"].as_str()).collect();
        assert!(
            !services.is_empty() && services.iter().all(|name| *name == Some(service)),
            "{command:?}: {services:?}"
        );
        fs::remove_file(sandbox.local_store()).expect("the store of this one");
    }
}

/// A program whose every line is covered stays so, whatever of ours runs in it.
#[test]
fn coverage_measures_the_program_alone() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    let program = "import concurrent.futures\n\
        from ddtrace import tracer\n\
        from opentelemetry import trace\n\
        with tracer.trace('a'), trace.get_tracer('x').start_as_current_span('b'):\n\
        \x20   concurrent.futures.ThreadPoolExecutor(1).submit(int).result()\n\
        wrapped = tracer.wrap()(int)\n\
        try:\n\
        \x20   with tracer.trace('fails'):\n\
        \x20       1 / 0\n\
        except ZeroDivisionError as error:\n\
        \x20   print(error)\n";
    sandbox.write("covered.py", program);
    let python = python("otel-venv");
    let outcome = sandbox.run_traced([&python, "-m", "coverage", "run", "covered.py"]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "division by zero\n"), "{outcome:?}");
    let report = sandbox.run_bare([&python, "-m", "coverage", "report", "--fail-under=100"]);
    assert_eq!(report.code, Some(0), "{report:?}");
    assert!(report.out().contains("covered.py") && !report.out().contains("ddtrace"), "{report:?}");
}

/// The interpreter's own tests of what we touch end as without us, be it well or not.
#[test]
fn the_interpreters_own_tests() {
    let Some(python) = python_of("3.13") else { return };
    let sandbox = sandbox();
    let mut argv: Vec<&str> = vec![&python, "-m", "test", "--timeout", "250"];
    argv.extend([
        "test_site",
        "test_import",
        "test_importlib",
        "test_runpy",
        "test_pkgutil",
        "test_trace",
        "test_warnings",
    ]);
    let summary = |outcome: Outcome| -> Vec<String> {
        let text = outcome.out();
        let lines = text.lines().skip_while(|line| !line.starts_with("== Tests result"));
        lines.filter(|line| !line.starts_with("Total duration")).map(ToOwned::to_owned).collect()
    };
    let bare = summary(sandbox.run_bare(&argv));
    assert!(bare.iter().any(|line| line.starts_with("Total tests: run=1,")), "{bare:#?}");
    assert_eq!(summary(sandbox.run_traced(&argv)), bare);
}
