//! The environment that the program gets.

use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::tracer;

/// An environment in the making: the launcher's own, in its order, with duplicates, plus what is set.
#[derive(Clone, Debug)]
pub struct Environment {
    entries: Vec<(OsString, OsString)>,
    /// What has no name, or no value, and is handed on as it is.
    odd: Vec<CString>,
}

/// What there is in this process's environment that sets no variable.
fn odd_entries() -> Vec<CString> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut odd = Vec::new();
    // SAFETY: the launcher has one thread, and nobody changes the array; it ends with null, and holds C strings.
    unsafe {
        let mut place = environ;
        while !place.is_null() && !(*place).is_null() {
            let entry = CStr::from_ptr(*place);
            // As `std::env` has it, which leaves these out: the name has a character at least.
            if entry.to_bytes().iter().skip(1).all(|byte| *byte != b'=') {
                odd.push(entry.to_owned());
            }
            place = place.add(1);
        }
    }
    odd
}

/// The inode of this process's pidfd, as `sd_listen_fds(3)` compares it.
fn own_pidfd_id() -> Option<u64> {
    // SAFETY: no pointers; a new descriptor, if it is one.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
    // SAFETY: just opened, and nobody else's.
    let fd = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) })?;
    fstat(&fd).ok().map(|status| status.st_ino)
}

impl Environment {
    /// The launcher's own.
    pub fn inherited() -> Self {
        Environment { entries: std::env::vars_os().collect(), odd: odd_entries() }
    }

    /// The entries.
    pub fn entries(&self) -> &[(OsString, OsString)] {
        &self.entries
    }

    /// The value that `getenv` gives.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.entries.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_os_str())
    }

    /// Sets a variable, in its place if it is there.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        let value = value.into();
        match self.entries.iter_mut().find(|(present, _)| present == name) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((name.into(), value)),
        }
    }

    /// Takes a variable away.
    pub fn remove(&mut self, name: &str) {
        self.entries.retain(|(present, _)| present != name);
    }

    /// Adds the library at the end of `LD_PRELOAD`: allocators and sanitizers expect to be first.
    pub fn preload(&mut self, library: &Path) {
        let library = library.as_os_str();
        let mut value = self.get("LD_PRELOAD").unwrap_or_default().to_owned();
        let listed = value.as_bytes().split(|byte| matches!(byte, b':' | b' ')).any(|item| item == library.as_bytes());
        if listed {
            return;
        }
        if !value.is_empty() {
            value.push(":");
        }
        value.push(library);
        self.set("LD_PRELOAD", value);
    }

    /// Takes the library out of `LD_PRELOAD`, wherever it is, and what tells of the run that it is for.
    pub fn leave_run(&mut self, library: &str) {
        self.remove(tracer::VARIABLE);
        self.remove("_DDTRACE_RUN");
        let Some(value) = self.get("LD_PRELOAD") else { return };
        let is_it = |item: &&[u8]| Path::new(OsStr::from_bytes(item)).file_name() != Some(OsStr::new(library));
        let left: Vec<&[u8]> = value.as_bytes().split(|byte| matches!(byte, b':' | b' ')).filter(is_it).collect();
        match OsString::from_vec(left.join(&b':')) {
            left if left.is_empty() => self.remove("LD_PRELOAD"),
            left => self.set("LD_PRELOAD", left),
        }
    }

    /// Puts the directory in front of `PYTHONPATH`.
    pub fn lead_python_path(&mut self, directory: &Path) {
        let directory = directory.as_os_str();
        let present = self.get("PYTHONPATH").unwrap_or_default().as_bytes();
        let mut value = directory.as_bytes().to_vec();
        if !present.is_empty() {
            for item in present.split(|byte| *byte == b':').filter(|item| *item != directory.as_bytes()) {
                value.push(b':');
                value.extend(item);
            }
        }
        self.set("PYTHONPATH", OsString::from_vec(value));
    }

    /// What a service manager has addressed to the launcher, by its process id, is the program's, which has another one: sockets,
    /// and how often it wants to be told that all is well.
    /// By the program.
    pub fn address_on(&mut self, launcher: Pid) {
        let is_meant = |this: &Self, name: &str| this.get(name).is_some_and(|value| *value == *launcher.to_string());
        // Beside the id of the process there may be one that is never used again.
        if is_meant(self, "LISTEN_PID") && self.get("LISTEN_PIDFDID").is_some() {
            match own_pidfd_id() {
                Some(id) => self.set("LISTEN_PIDFDID", id.to_string()),
                None => self.remove("LISTEN_PIDFDID"),
            }
        }
        for name in ["LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"] {
            if is_meant(self, name) {
                self.set(name, std::process::id().to_string());
            }
        }
    }

    /// As `execve` takes it.
    pub fn to_c(&self) -> Vec<CString> {
        let entry = |(name, value): &(OsString, OsString)| {
            let mut text = name.clone().into_vec();
            text.push(b'=');
            text.extend(value.as_bytes());
            CString::new(text).ok()
        };
        self.entries.iter().filter_map(entry).chain(self.odd.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(entries: &[(&str, &str)]) -> Environment {
        let entries = entries.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Environment { entries, odd: vec![c"=odd".to_owned()] }
    }

    #[test]
    fn the_library_comes_last_and_once() {
        let library = Path::new("/lib/x.so");
        for (before, after) in [("", "/lib/x.so"), ("/a.so", "/a.so:/lib/x.so"), ("/lib/x.so /a.so", "/lib/x.so /a.so")]
        {
            let mut environment = environment(&[("A", "1"), ("LD_PRELOAD", before)]);
            environment.preload(library);
            assert_eq!(environment.get("LD_PRELOAD"), Some(OsStr::new(after)));
        }
    }

    #[test]
    fn what_leaves_a_run_keeps_what_is_the_users() {
        for (before, after) in [("/lib/x.so", None), ("/a.so:/lib/x.so /b.so", Some("/a.so:/b.so")), ("", None)] {
            let mut environment = environment(&[("A", "1"), ("LD_PRELOAD", before), ("_DDTRACE_RUN", "1.ab")]);
            environment.leave_run("x.so");
            assert_eq!(environment.get("LD_PRELOAD"), after.map(OsStr::new), "{before}");
            assert_eq!((environment.get("_DDTRACE_RUN"), environment.get("A")), (None, Some(OsStr::new("1"))));
        }
    }

    #[test]
    fn the_directory_comes_first_and_once_and_all_else_stays() {
        for (before, after) in [
            ("", "/x"),
            ("/a:/b", "/x:/a:/b"),
            (":/a:", "/x::/a:"),
            ("/x:/a", "/x:/a"),
            ("/a:/x", "/x:/a"),
            ("/x", "/x"),
        ] {
            let mut environment = environment(&[("PYTHONPATH", before)]);
            environment.lead_python_path(Path::new("/x"));
            assert_eq!(environment.get("PYTHONPATH"), Some(OsStr::new(after)), "{before}");
        }
    }

    #[test]
    fn order_and_duplicates_stay() {
        let mut environment = environment(&[("A", "1"), ("B", "2"), ("A", "3")]);
        environment.set("B", "4");
        environment.set("C", "5");
        let texts: Vec<_> = environment.to_c().into_iter().map(|text| text.into_string().unwrap()).collect();
        assert_eq!(texts, ["A=1", "B=4", "A=3", "C=5", "=odd"]);
    }
}
