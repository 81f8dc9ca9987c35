//! Programs that confine themselves: the tracer must not do what they may not do any more.

use ddtrace_test_support::programs::{compile, compile_with};
use ddtrace_test_support::sandbox::{Sandbox, install};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"))
}

#[test]
fn behind_a_system_call_filter_nothing_is_called() {
    let sandbox = sandbox();
    let program = compile(&sandbox, "sandbox");
    for way in ["prctl", "syscall", "syscall-prctl"] {
        for (end, code) in [("return", 7), ("_exit", 7), ("exec", 0)] {
            let outcome = sandbox.assert_same(&[&program, way, end]);
            assert_eq!(outcome.code, Some(code), "{way} {end}: {outcome:?}");
        }
    }
    for (end, status) in [("vfork-exec", "0"), ("vfork-_exit", "0x700")] {
        let outcome = sandbox.assert_same(&[&program, "prctl", end]);
        let said = format!("filtered\nthe filtered child: {status}\nthe other child: 0x300\n");
        assert_eq!((outcome.code, outcome.out()), (Some(0), said), "{end}");
    }
    let spans = sandbox.spans();
    // What a vfork child did to itself does not silence its parent.
    assert_eq!(spans.iter().filter(|span| span.exit_code() == Some(3)).count(), 2, "{spans:?}");
    let spans: Vec<_> = spans.into_iter().filter(|span| span.exit_code() != Some(3)).collect();
    let seen = spans.iter().filter(|span| span.name == "sandbox" || span.name == "true").count();
    assert_eq!(seen, spans.len(), "the processes are spans all the same: {spans:?}");
}

#[test]
fn behind_a_system_call_filter_connections_are_the_programs_alone() {
    let mut sandbox = sandbox();
    let program = compile(&sandbox, "filtered_connections");
    for native in ["false", "true"] {
        sandbox.set("DD_TRACE_NATIVE_ENABLED", native);
        let outcome = sandbox.assert_same(&[&program]);
        assert_eq!((outcome.code, outcome.out()), (Some(0), "fine\n".into()), "native={native}: {outcome:?}");
    }
}

#[test]
fn without_proc_every_libc_still_works() {
    let sandbox = sandbox();
    // As root; elsewhere both runs fail in the same way. musl gives constructors no arguments to find things by.
    let old_kernel = compile_with(&sandbox, "old_kernel", "cc", &["-static"]);
    for compiler in ["cc", "musl-gcc"] {
        let program = compile_with(&sandbox, "processes", compiler, &[]);
        let unlisted = sandbox.path().join("unlisted");
        without_debug_entry(&program, &unlisted);
        for program in [&program, unlisted.to_str().expect("a plain path")] {
            for way in ["fork", "spawn", "shell"] {
                let script = "umount -l /proc; exec \"$@\"";
                let inside = ["unshare", "-m", "sh", "-c", script, "sh"];
                let run = |before: &[&str]| sandbox.assert_same(&[&inside, before, &[program, way]].concat());
                let outcome = run(&[]);
                // Nor does an older kernel tell what musl keeps to itself.
                assert_eq!(run(&[&old_kernel]), outcome);
                assert_eq!(sandbox.assert_same(&[program, way]), outcome);
            }
        }
    }
}

#[test]
fn without_proc_each_process_is_known_by_its_own_name() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_PROCESS_SPANS", "true");
    // Needs root, as the tests of mount namespaces beside it do.
    let script = "umount -l /proc; exec bash -c 'sleep 0; /bin/true; exit 3'";
    assert_eq!(sandbox.run_traced(["unshare", "-m", "sh", "-c", script]).code, Some(3));
    let paths: Vec<String> = sandbox
        .spans()
        .iter()
        .filter_map(|span| Some(span.attributes.get("process.executable.path")?.as_str()?.to_owned()))
        .collect();
    for path in ["/usr/bin/sleep", "/bin/true"] {
        assert!(paths.iter().any(|known| known == path), "{path}: {paths:?}");
    }
    assert!(paths.iter().any(|path| path.ends_with("/bash")), "{paths:?}");
}

#[test]
fn a_loader_that_tells_nobody_its_list_is_asked_itself() {
    let sandbox = sandbox();
    let program = compile(&sandbox, "processes");
    let unlisted = sandbox.path().join("unlisted");
    without_debug_entry(&program, &unlisted);
    let unlisted = unlisted.to_str().expect("a plain path");
    for way in ["fork", "vfork", "spawn", "shell", "daemon", "forkpty"] {
        sandbox.assert_same(&[unlisted, way]);
        sandbox.assert_same(&["/lib64/ld-linux-x86-64.so.2", unlisted, way]);
    }
    let spans = sandbox.spans();
    let forks = spans.iter().filter(|span| span.exit_code() == Some(5)).count();
    assert!(forks >= 2, "the hooks record: {spans:?}");
}

/// A copy of a program in which the loader finds no place to tell debuggers where its list is: linkers can be told to
/// leave `DT_DEBUG` out.
fn without_debug_entry(program: &str, copy: &Path) {
    let mut bytes = std::fs::read(program).expect("it was compiled");
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let (first, count) = (word(&bytes, 32) as usize, usize::from(u16::from_le_bytes([bytes[56], bytes[57]])));
    let headers = (0..count).map(|index| first + 56 * index);
    let dynamic = headers.into_iter().find(|at| bytes[*at..at + 4] == 2u32.to_le_bytes()).expect("PT_DYNAMIC");
    let (start, length) = (word(&bytes, dynamic + 8) as usize, word(&bytes, dynamic + 32) as usize);
    let debug = (start..start + length).step_by(16).find(|at| word(&bytes, *at) == 21).expect("DT_DEBUG");
    // In the range of what means something to the system that it was made for.
    bytes[debug..debug + 8].copy_from_slice(&0x6fff_fef8u64.to_le_bytes());
    std::fs::write(copy, bytes).expect("the sandbox can be written");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(copy, mode).expect("it is ours");
}

#[test]
fn programs_with_rights_of_their_own_are_told_by_their_parents() {
    let sandbox = sandbox();
    let work = sandbox.work();
    let file = |name: &str| work.join(name).to_str().expect("a plain path").to_owned();
    let (capable, set_group) = (file("capable"), file("set-group"));
    // As root, who alone can give such rights away; the program is then another user's child.
    let script =
        "chmod 755 $1 && cp /bin/true $2 && setcap cap_net_raw+ep $2 && cp /bin/true $3 && chgrp 1 $3 && chmod 2755 $3";
    let dir = sandbox.path().to_str().expect("a plain path");
    if sandbox.run_bare(["sh", "-c", script, "sh", dir, &capable, &set_group]).code != Some(0) {
        return;
    }
    // A checkout need not be open to other users.
    let built = Path::new(sandbox.launcher()).parent().expect("a directory");
    let launcher = sandbox.path().join("bin/ddtrace-run");
    for file in ["ddtrace-run", "libddtrace_preload.so"] {
        install(&built.join(file), &launcher.with_file_name(file));
    }
    let opened = sandbox.run_bare(["sh", "-c", "chmod -R a+rX $0; chmod -R a+rwX $0/home $0/tmp $0/work", dir]);
    assert_eq!(opened.code, Some(0), "{opened:?}");
    let run = format!("{} sh -c '{capable}; {set_group}; exit 0'", launcher.display());
    let outcome = sandbox.run_bare(["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "sh", "-c", &run]);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
    let spans = sandbox.spans();
    for name in ["capable", "set-group"] {
        let span = spans.iter().find(|span| span.name == name);
        let span = span.unwrap_or_else(|| panic!("{name} is known by its name: {spans:#?}"));
        assert_eq!(span.exit_code(), Some(0));
    }
}

#[test]
fn in_another_root_nothing_is_complained_of() {
    let sandbox = sandbox();
    let root = sandbox.write_program("root/bin/placeholder", "");
    let root = root.parent().and_then(|bin| bin.parent()).expect("two folders down").to_owned();
    // A dynamic program with its libraries, and nothing else: the tracer's library is not there.
    let copy = "set -e; cd \"$0\"; mkdir -p bin lib/x86_64-linux-gnu lib64; cp /bin/true bin/; \
                cp /lib/x86_64-linux-gnu/libc.so.6 lib/x86_64-linux-gnu/; cp /lib64/ld-linux-x86-64.so.2 lib64/";
    let root = root.to_str().expect("a plain path");
    assert_eq!(sandbox.run_bare(["sh", "-c", copy, root]).code, Some(0));
    // As root, or in a user namespace where those are allowed; elsewhere both runs fail in the same way.
    let enter = ["unshare", "--map-root-user", "chroot", root, "/bin/true"];
    sandbox.assert_same(&enter);
}
