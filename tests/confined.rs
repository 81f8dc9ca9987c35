//! Programs that confine themselves: the tracer must not do what they may not do any more.

use ddtrace_test_support::programs::{compile, compile_with};
use ddtrace_test_support::sandbox::Sandbox;

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"))
}

#[test]
fn behind_a_system_call_filter_nothing_is_called() {
    let sandbox = sandbox();
    let program = compile(&sandbox, "sandbox");
    for way in ["prctl", "syscall"] {
        for (end, code) in [("return", 7), ("_exit", 7), ("exec", 0)] {
            let outcome = sandbox.assert_same(&[&program, way, end]);
            assert_eq!(outcome.code, Some(code), "{way} {end}: {outcome:?}");
        }
    }
    let spans = sandbox.spans();
    let seen = spans.iter().filter(|span| span.name == "sandbox" || span.name == "true").count();
    assert_eq!(seen, spans.len(), "the processes are spans all the same: {spans:?}");
}

#[test]
fn without_proc_every_libc_still_works() {
    let sandbox = sandbox();
    // As root; elsewhere both runs fail in the same way. musl gives constructors no arguments to find things by.
    for (compiler, flags) in [("cc", &[][..]), ("musl-gcc", &[])] {
        let program = compile_with(&sandbox, "processes", compiler, flags);
        for way in ["fork", "spawn", "shell"] {
            sandbox.assert_same(&["unshare", "-m", "sh", "-c", "umount -l /proc; exec $0 $1", &program, way]);
        }
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
