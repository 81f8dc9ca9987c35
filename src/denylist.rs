//! Programs that are never instrumented, and how a user adds to them.
//!
//! Build tools are deliberately not among them: every process of a build is to be a span.
//!
//! In-process code: no allocation, no reachable panic.

use crate::elf::base_name;

/// The built-in list, in the form in which users write theirs; each line has its reason.
const BUILT_IN: &[u8] = concat!(
    // Debuggers, tracers and profilers: what they measure would be us, and many replace the loader's work themselves.
    "gdb,gdbserver,gdbtui,gdb-multiarch,lldb,lldb-*,strace,ltrace,rr,perf,perf_*,valgrind,valgrind.bin,",
    "callgrind_*,bpftrace,uftrace,tracexec,criu,",
    // Tools of the dynamic loader: their output is what the loader would load, and that has to be without us.
    "ldd,ldconfig,ldconfig.real,prelink,",
    // Helpers that change or check privileges, and the keepers of secrets that they start.
    "sudo,sudoedit,sudoreplay,visudo,su,doas,pkexec,runuser,newgrp,/bin/login,/usr/bin/login,unix_chkpwd,newuidmap,newgidmap,",
    "polkit-agent-helper-1,ssh-agent,gpg-agent,scdaemon,dirmngr,keyboxd,gnome-keyring-daemon,",
    // The system itself. By full path where the name could as well be that of somebody's own program.
    "/sbin/init,/usr/sbin/init,systemd,systemd-*,(sd-pam),/lib/systemd/*,/usr/lib/systemd/*,sshd,sshd-*,agetty,",
    "getty,auditd,polkitd,dbus-daemon,dbus-broker,dbus-broker-launch,udevd,udevadm,",
    // Container runtimes: the programs inside have other mounts, where our library's path leads nowhere.
    "runc,crun,youki,runsc,kata-runtime,dockerd,docker-init,docker-proxy,containerd,containerd-*,conmon,conmonrs,crio,",
    "kubelet,buildkitd,rootlesskit,bwrap,",
    // What receives telemetry: its own would come back to it without end.
    "/opt/datadog-agent/*,trace-agent,process-agent,security-agent,system-probe,otelcol,otelcol-*,ddapm-test-agent",
)
.as_bytes();

/// Whether the program at `path` is one of those never to be instrumented.
///
/// `extra` is the user's addition: entries separated by commas, blanks around them ignored. An entry with a slash is
/// compared with the whole path, any other with the part behind the last slash; a `*` at its end stands for anything.
/// Upper and lower case differ, as they do in file names.
#[must_use]
pub fn is_denied(path: &[u8], extra: &[u8]) -> bool {
    list_has(BUILT_IN, path) || list_has(extra, path)
}

fn list_has(list: &[u8], path: &[u8]) -> bool {
    let name = base_name(path);
    list.split(|&byte| byte == b',').any(|entry| {
        let entry = entry.trim_ascii();
        let subject = if entry.contains(&b'/') { path } else { name };
        match entry.split_last() {
            None => false,
            Some((b'*', beginning)) => subject.starts_with(beginning),
            Some(_) => subject == entry,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn programs_that_must_be_left_alone_are_denied() {
        for path in [
            "/usr/bin/gdb",
            "gdb",
            "/usr/bin/lldb-14",
            "/usr/bin/strace",
            "/usr/bin/ldd",
            "/sbin/ldconfig",
            "/usr/bin/sudo",
            "/sbin/init",
            "/usr/lib/systemd/systemd-journald",
            "/lib/systemd/systemd",
            "/usr/sbin/sshd",
            "/usr/bin/runc",
            "/usr/bin/containerd-shim-runc-v2",
            "/opt/datadog-agent/embedded/bin/trace-agent",
            "/opt/datadog-agent/bin/agent/agent",
        ] {
            assert!(is_denied(path.as_bytes(), b""), "{path}");
        }
    }

    #[test]
    fn builds_and_names_that_only_look_alike_are_traced() {
        for path in [
            "/usr/bin/make",
            "/usr/bin/gcc",
            "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
            "/usr/bin/ld",
            "/usr/bin/ld.gold",
            "/usr/bin/git",
            "/bin/sh",
            "/usr/bin/env",
            "/usr/bin/gdbus",
            "/usr/bin/perl",
            "/usr/bin/ssh",
            "/usr/bin/subst",
            "/usr/bin/docker",
            "/home/joe/init",
            "./agent",
            "/usr/bin/tini",
            "/usr/bin/perfect",
            "sudo/",
            "",
        ] {
            assert!(!is_denied(path.as_bytes(), b""), "{path}");
        }
    }

    #[test]
    fn users_add_names_paths_and_beginnings() {
        let extra = b" mytool, /opt/vendor/* ,/usr/bin/special,lic*,,";
        assert!(is_denied(b"/anywhere/mytool", extra));
        assert!(is_denied(b"/opt/vendor/bin/x", extra));
        assert!(is_denied(b"/usr/bin/special", extra));
        assert!(!is_denied(b"/usr/local/bin/special", extra));
        assert!(is_denied(b"/bin/license-server", extra));
        assert!(!is_denied(b"/bin/lib", extra));
        assert!(!is_denied(b"/bin/mytool2", extra));
        assert!(!is_denied(b"", extra), "an empty entry matches nothing");
        assert!(is_denied(b"/bin/true", b"*"));
    }

    proptest! {
        #[test]
        fn every_name_can_be_added(name in "[a-zA-Z0-9_.+-]{1,20}", others in "[a-z,* /]{0,30}") {
            let path = std::format!("/some/{name}");
            let by_name = std::format!("{others},{name}");
            let by_path = std::format!("{path},{others}");
            prop_assert!(is_denied(path.as_bytes(), by_name.as_bytes()));
            prop_assert!(is_denied(path.as_bytes(), by_path.as_bytes()));
        }
    }
}
