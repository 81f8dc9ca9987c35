//! Whether the kernel starts a program as *secure* (`AT_SECURE`), which makes the dynamic loader forget LD_PRELOAD.

use std::ffi::CString;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getgid, getuid};

/// What a program gets that its caller has not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Privilege {
    /// It runs as the file's owner.
    SetUid(u32),
    /// It runs as the file's group.
    SetGid(u32),
    /// It has capabilities of its own.
    Capabilities,
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Privilege::SetUid(owner) => write!(f, "runs as its owner (setuid, user {owner})"),
            Privilege::SetGid(group) => write!(f, "runs as its group (setgid, group {group})"),
            Privilege::Capabilities => f.write_str("has file capabilities"),
        }
    }
}

/// Who starts the program: the real ids, since the kernel compares with these.
#[derive(Clone, Copy)]
struct Caller {
    uid: u32,
    gid: u32,
}

/// What a binary (not a script, whose bits the kernel ignores) gets when this process starts it.
pub(super) fn gained(path: &Path, metadata: &Metadata) -> Option<Privilege> {
    let caller = Caller { uid: getuid().as_raw(), gid: getgid().as_raw() };
    let capabilities = || has_capabilities(path);
    let privilege = by_mode(metadata.mode(), metadata.uid(), metadata.gid(), caller)
        .or_else(|| (caller.uid != 0 && capabilities()).then_some(Privilege::Capabilities))?;
    let is_ignored = nix::sys::prctl::get_no_new_privs().unwrap_or(false)
        || statvfs(path).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_NOSUID));
    (!is_ignored).then_some(privilege)
}

fn by_mode(mode: u32, owner: u32, group: u32, caller: Caller) -> Option<Privilege> {
    // Without the group's right to execute, the setgid bit meant mandatory locking.
    const SET_GID: u32 = libc::S_ISGID | libc::S_IXGRP;
    if mode & libc::S_ISUID != 0 && owner != caller.uid {
        Some(Privilege::SetUid(owner))
    } else if mode & SET_GID == SET_GID && group != caller.gid {
        Some(Privilege::SetGid(group))
    } else {
        None
    }
}

/// Whether the file has capabilities that a user gains by running it. The attribute can be read without the right to
/// read the file.
fn has_capabilities(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let mut value = [0u8; 24];
    // SAFETY: both names are NUL-terminated strings, and the kernel writes at most `value.len()` bytes into `value`.
    let length = unsafe {
        libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    usize::try_from(length).is_ok_and(|length| grants_capabilities(&value[..length.min(value.len())]))
}

/// Reads `struct vfs_cap_data` (`linux/capability.h`): the flag "effective" in the lowest bit, and after it pairs of
/// permitted and inheritable bits.
fn grants_capabilities(value: &[u8]) -> bool {
    let word = |at: usize| value.get(at..at + 4).is_some_and(|bytes| bytes.iter().any(|&byte| byte != 0));
    value.first().is_some_and(|flags| flags & 1 != 0) || word(4) || word(12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_count_for_others_only() {
        let joe = Caller { uid: 1000, gid: 100 };
        let root = Caller { uid: 0, gid: 0 };
        assert_eq!(by_mode(0o4755, 0, 0, joe), Some(Privilege::SetUid(0)));
        assert_eq!(by_mode(0o4755, 1000, 0, joe), None);
        assert_eq!(by_mode(0o4755, 0, 0, root), None);
        assert_eq!(by_mode(0o4755, 1000, 0, root), Some(Privilege::SetUid(1000)));
        assert_eq!(by_mode(0o2755, 0, 5, joe), Some(Privilege::SetGid(5)));
        assert_eq!(by_mode(0o2755, 0, 100, joe), None);
        assert_eq!(by_mode(0o2745, 0, 5, joe), None, "mandatory locking");
        assert_eq!(by_mode(0o755, 0, 5, joe), None);
    }

    #[test]
    fn capability_attributes_are_read() {
        // As `setcap cap_net_raw+ep` and `cap_net_raw+i` write them (version 2).
        let effective = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let inheritable = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(grants_capabilities(&effective));
        assert!(!grants_capabilities(&inheritable));
        assert!(!grants_capabilities(&[]));
        assert!(!has_capabilities(Path::new("/bin/sh")));
    }
}
