use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fixtures::{Directory, patch, script, set_mode};
use super::*;

fn inspected(path: &Path) -> Target {
    inspect(path, Some(OsStr::new("/usr/bin:/bin")))
}

fn reason(path: &Path) -> Option<Reason> {
    untraceable(&inspected(path), &[], None)
}

#[test]
fn a_dynamic_program_is_traceable() {
    let directory = Directory::new();
    for options in [&["-pie"][..], &["-no-pie"]] {
        let program = directory.compile("cc", options, "prog");
        let target = inspected(&program);
        assert_eq!(target.libc, Libc::Glibc);
        assert_eq!(target.program, program);
        assert_eq!(
            (target.scripts.len(), target.privilege, target.runtime, &target.asan),
            (0, None, Runtime::None, &None)
        );
        let ProgramImage::Elf(image) = target.image else { panic!("{target:?}") };
        assert_eq!(image.kind, if options == ["-pie"] { ElfKind::Dyn } else { ElfKind::Exec });
        assert!(image.is_native());
        assert_eq!(untraceable(&target, &[], None), None);
    }
}

#[test]
fn static_programs_keep_the_preload_for_their_children() {
    let directory = Directory::new();
    for option in ["-static", "-static-pie"] {
        let program = directory.compile("cc", &[option], "prog");
        assert_eq!(inspected(&program).libc, Libc::Static, "{option}");
        let reason = reason(&program).expect(option);
        assert_eq!(reason, Reason::Static(program.clone()));
        assert!(reason.keeps_preload());
        let expected = format!(
            "{} is statically linked: nothing inside it can be seen; its own span is recorded from outside, and what it \
             starts is traced",
            program.display()
        );
        assert_eq!(reason.to_string(), expected);
    }
}

#[test]
fn pythons_that_do_not_load_the_tracer_are_known() {
    let directory = Directory::new();
    let python = directory.compile("cc", &[], "python3.11");
    let shim = script(&directory.path("python"), "#!/bin/sh\n", 0o755);
    let isolated = script(&directory.path("isolated"), &format!("#!{} -I\n", python.display()), 0o755);
    let plain = script(&directory.path("plain"), &format!("#!{}\n", python.display()), 0o755);
    let native = directory.compile("cc", &[], "prog");
    for (program, words, obstacle) in [
        (&python, &["-u", "app.py"][..], None),
        (&python, &["-Sc", "pass"], Some(Obstacle::NoSite)),
        (&shim, &["-E", "app.py"], Some(Obstacle::NoEnvironment)),
        (&isolated, &[], Some(Obstacle::Isolated)),
        (&plain, &["-I"], None),
        (&native, &["-I"], None),
    ] {
        let command: Vec<OsString> =
            [program.as_os_str()].into_iter().chain(words.iter().map(OsStr::new)).map(OsStr::to_owned).collect();
        assert_eq!(inspected(program).python_obstacle(&command), obstacle, "{command:?}");
    }
}

#[test]
fn musl_is_told_from_glibc() {
    if Command::new("musl-gcc").arg("--version").output().is_err() {
        // CI installs it; elsewhere the name of the loader, tested in the core, has to do.
        assert!(std::env::var_os("CI").is_none(), "musl-gcc is not installed");
        eprintln!("skipped: no musl-gcc");
        return;
    }
    let directory = Directory::new();
    let dynamic = directory.compile("musl-gcc", &[], "dynamic");
    assert_eq!(inspected(&dynamic).libc, Libc::Musl);
    assert_eq!(reason(&dynamic), None);
    let fixed = directory.compile("musl-gcc", &["-static"], "static");
    assert_eq!(reason(&fixed), Some(Reason::Static(fixed)));
}

#[test]
fn another_machine_or_class_is_named() {
    let directory = Directory::new();
    let program = directory.compile("cc", &[], "prog");
    patch(&program, 18, 8);
    patch(&program, 19, 0);
    let reason = reason(&program).expect("a reason");
    assert!(!reason.keeps_preload());
    let text = reason.to_string();
    assert!(text.contains(&format!("is a {}-bit program for MIPS, the tracer", usize::BITS)), "{text}");
    // The class decides how every other field is read: a header of the other class, nothing behind it.
    let other_class = if cfg!(target_pointer_width = "64") { 1 } else { 2 };
    patch(&program, 4, other_class);
    let Some(Reason::OtherMachine(_, image)) = self::reason(&program) else { panic!("class not seen") };
    assert_eq!(image.class64, other_class == 2);
}

#[test]
fn a_program_with_the_asan_runtime_is_started_without_the_preload() {
    let directory = Directory::new();
    let program = directory.compile("cc", &["-fsanitize=address"], "asan");
    let library = directory.compile("cc", &["-shared", "-fPIC", "-Dmain=f", "-nostdlib"], "preload.so");
    let target = inspected(&program);
    let asan = target.asan.clone().expect("libasan");
    assert!(asan.starts_with("libasan.so"), "{asan}");
    assert_eq!(untraceable(&target, &[], None), Some(Reason::AddressSanitizer(program.clone(), asan.clone())));
    assert!(!untraceable(&target, &[], None).unwrap().keeps_preload());

    // The facts the rule stands on: a library before the runtime ends the program, one behind it does not.
    let ends_well = |preload: &str| {
        Command::new(&program).env("LD_PRELOAD", preload).output().expect("the program").status.success()
    };
    let library = library.to_str().unwrap();
    assert!(ends_well(""));
    assert!(!ends_well(library));
    assert!(ends_well(&format!("{asan}:{library}")));
    let untraceable_with = |preload: &str| untraceable(&target, &[], Some(OsStr::new(preload))).is_some();
    assert!(!untraceable_with(&format!("/usr/lib/{asan}")));
    assert!(!untraceable_with(&format!(" {asan} libother.so")));
    assert!(untraceable_with(&format!("libother.so {asan}")));
}

#[test]
fn other_sanitizers_and_a_static_runtime_do_not_mind() {
    let directory = Directory::new();
    for options in [&["-fsanitize=undefined"][..], &["-fsanitize=address", "-static-libasan"]] {
        let program = directory.compile("cc", options, "prog");
        assert_eq!(reason(&program), None, "{options:?}");
    }
}

#[test]
fn scripts_lead_to_their_program() {
    let directory = Directory::new();
    let program = directory.compile("cc", &[], "prog");
    let mut last = program.clone();
    let mut scripts = Vec::new();
    for level in 1..=5 {
        let line = format!("#!{}\n", last.display());
        last = script(&directory.path(&format!("script{level}")), &line, 0o755);
        scripts.insert(0, last.clone());
        let target = inspected(&last);
        if level <= SCRIPTS_MAX {
            assert_eq!((target.program, target.scripts), (program.clone(), scripts.clone()), "level {level}");
            assert_eq!(target.libc, Libc::Glibc);
        } else {
            assert_eq!(target.image, ProgramImage::Other, "too many scripts");
        }
    }
    let itself = directory.path("itself");
    script(&itself, &format!("#!{}\n", itself.display()), 0o755);
    assert_eq!(inspected(&itself).scripts.len(), SCRIPTS_MAX);
}

#[test]
fn env_is_looked_through() {
    let directory = Directory::new();
    let program = directory.compile("cc", &[], "python3.42");
    symlink(&program, directory.path("python3")).unwrap();
    let script = script(&directory.path("app.py"), "#!/usr/bin/env -iS PATH=/nowhere python3 -u\n", 0o755);
    let target = inspect(&script, Some(directory.root().as_os_str()));
    assert!(!target.clears_environment, "env can't find the program, so it is env that runs");
    assert_eq!(target.program, PathBuf::from("/usr/bin/env"));

    fs::write(&script, "#!/usr/bin/env -S -u HOME python3 -u\n").unwrap();
    let target = inspect(&script, Some(directory.root().as_os_str()));
    assert_eq!(target.program, directory.path("python3"));
    assert_eq!(target.runtime, Runtime::CPython(Some((3, 42))), "by what the link leads to");
    assert_eq!(target.scripts, [script]);
}

#[test]
fn a_missing_interpreter_leaves_everything_open() {
    let directory = Directory::new();
    let script = script(&directory.path("script"), "#!/nowhere/python3\n", 0o755);
    let target = inspected(&script);
    assert_eq!((target.image, target.libc), (ProgramImage::Unreadable, Libc::Unknown));
    assert_eq!(target.runtime, Runtime::CPython(None));
    assert_eq!(untraceable(&target, &[], None), None);
}

#[test]
fn a_pipe_as_interpreter_is_not_waited_for() {
    let directory = Directory::new();
    let pipe = directory.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = script(&directory.path("script"), &format!("#!{}\n", pipe.display()), 0o755);
    assert_eq!(inspected(&script).image, ProgramImage::Unreadable);
}

#[test]
fn texts_without_a_first_line_are_for_the_shell() {
    let directory = Directory::new();
    let target = inspected(&script(&directory.path("script"), "echo hello\n", 0o755));
    assert_eq!((target.image, target.libc), (ProgramImage::Other, Libc::Unknown));
    assert_eq!(untraceable(&target, &[], None), None);
}

#[test]
fn denied_programs_are_named() {
    let directory = Directory::new();
    let program = directory.compile("cc", &[], "gdb");
    assert_eq!(reason(&program), Some(Reason::Denied(program.clone())));
    let by_script = script(&directory.path("script"), &format!("#!{}\n", program.display()), 0o755);
    assert_eq!(reason(&by_script), Some(Reason::Denied(program.clone())));
    let target = inspected(&directory.compile("cc", &[], "mine"));
    assert_eq!(untraceable(&target, &["other".to_owned()], None), None);
    let denied = untraceable(&target, &["other".to_owned(), "mi*".to_owned()], None).expect("denied");
    assert!(!denied.keeps_preload());
    assert!(denied.to_string().contains("is on the list of programs that are never instrumented"), "{denied}");
}

/// Runs as a user without rights, in a thread of its own: the ids are the thread's for the kernel.
fn as_nobody<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    const NOBODY: libc::c_long = 65534;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if nix::unistd::geteuid().is_root() {
                // SAFETY: the system call takes three numbers and changes nothing but this thread's ids.
                let result = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
                assert_eq!(result, 0, "setresuid");
            }
            act()
        });
        thread.join().expect("no panic")
    })
}

#[test]
fn setuid_and_setgid_programs_of_others_are_privileged() {
    let directory = Directory::new();
    set_mode(directory.root(), 0o755);
    let program = directory.compile("cc", &[], "prog");
    if !nix::unistd::geteuid().is_root() || nix::sys::prctl::get_no_new_privs() == Ok(true) {
        // The owner's own setuid bit changes nothing.
        set_mode(&program, 0o4755);
        assert_eq!(inspected(&program).privilege, None);
        return;
    }
    set_mode(&program, 0o4755);
    assert_eq!(inspected(&program).privilege, None, "root gains nothing from root");
    let target = as_nobody(|| inspected(&program));
    assert_eq!(target.privilege, Some(Privilege::SetUid(0)));
    let reason = untraceable(&target, &[], None).expect("a reason");
    assert!(!reason.keeps_preload());
    assert!(reason.to_string().contains("runs as its owner (setuid, user 0)"), "{reason}");
    nix::unistd::chown(&program, Some(1000.into()), Some(1000.into())).unwrap();
    set_mode(&program, 0o2755);
    assert_eq!(inspected(&program).privilege, Some(Privilege::SetGid(1000)));
    let script = script(&directory.path("script"), "#!/bin/sh\n", 0o4755);
    assert_eq!(as_nobody(|| inspected(&script)).privilege, None, "the kernel ignores a script's bits");
}

#[test]
fn file_capabilities_make_a_program_privileged() {
    let directory = Directory::new();
    set_mode(directory.root(), 0o755);
    let program = directory.compile("cc", &[], "prog");
    // cap_net_raw+ep, version 2.
    let value = [1u8, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let path = std::ffi::CString::new(program.to_str().unwrap()).unwrap();
    let name = c"security.capability";
    // SAFETY: two NUL-terminated strings, and a buffer with its length.
    let result = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if result != 0 {
        // Only root may, and not on every file system; reading the attribute is tested beside its code.
        assert_eq!(inspected(&program).privilege, None);
        return;
    }
    assert_eq!(inspected(&program).privilege, None, "root has them anyway");
    assert_eq!(as_nobody(|| inspected(&program)).privilege, Some(Privilege::Capabilities));
}

#[test]
fn a_program_that_may_be_run_but_not_read_is_run() {
    let directory = Directory::new();
    set_mode(directory.root(), 0o755);
    let program = directory.compile("cc", &[], "python3.9");
    set_mode(&program, 0o111);
    let (found, target) = as_nobody(|| (find(program.as_os_str(), None), inspected(&program)));
    assert_eq!(found, Ok(program));
    assert_eq!((target.image, target.libc), (ProgramImage::Unreadable, Libc::Unknown));
    assert_eq!(target.runtime, Runtime::CPython(Some((3, 9))));
    assert_eq!(untraceable(&target, &[], None), None);
}

#[test]
fn the_loader_as_a_program_preloads() {
    let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"].map(Path::new);
    let Some(loader) = loader.into_iter().find(|loader| loader.exists()) else {
        eprintln!("skipped: no loader of glibc for x86-64 or AArch64");
        return;
    };
    assert_eq!(inspected(loader).libc, Libc::Glibc);
    assert_eq!(reason(loader), None);
}
