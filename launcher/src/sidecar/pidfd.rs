//! Process descriptors: they tell of a process's end without being its parent, and are safe against reused ids.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use super::zombie;

/// So many descriptors are left for receivers, files, and those who come: the half of what is allowed at most.
const RESERVED: u64 = 64;

/// Opens the process with this id.
fn open(pid: u32) -> nix::Result<OwnedFd> {
    // SAFETY: no pointers; a new descriptor (close-on-exec by the kernel's own rule) comes back or an error.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    owned(fd as i32)
}

/// The process at the other end of a Unix socket, even if it is gone by now (Linux 6.5).
fn of_peer(socket: &impl AsRawFd) -> nix::Result<OwnedFd> {
    const SO_PEERPIDFD: i32 = 77;
    let mut fd: i32 = -1;
    let mut length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: value and length are valid for writing an int.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_PEERPIDFD, (&raw mut fd).cast(), &raw mut length)
    };
    if result < 0 {
        return Err(nix::Error::last());
    }
    owned(fd)
}

fn owned(fd: i32) -> nix::Result<OwnedFd> {
    if fd < 0 {
        return Err(nix::Error::last());
    }
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// How a process is watched for its end.
#[derive(Debug)]
pub enum Watch {
    /// By its descriptor.
    Descriptor(OwnedFd),
    /// There are no descriptors left, the kernel has none (before Linux 5.3), or a filter refuses them: by a look at its id
    /// now and then. The time at which it began tells it from another that gets the same id.
    Looks(u64),
}

impl Watch {
    /// Watches the first process of a run, which is there.
    ///
    /// # Errors
    ///
    /// There are no descriptors, and nothing can be seen in `/proc`.
    pub fn of_first(pid: u32) -> nix::Result<Watch> {
        match open(pid) {
            Ok(pidfd) => Ok(Watch::Descriptor(pidfd)),
            Err(error) => Watch::without(error, pid).ok_or(error),
        }
    }

    /// Watches the process with this id; `None` where it is gone.
    pub fn of(pid: u32) -> Option<Watch> {
        match open(pid) {
            Ok(pidfd) => Watch::by(pidfd, pid),
            Err(error) => Watch::without(error, pid),
        }
    }

    /// Watches the process at the other end of a Unix socket; `None` where it is gone.
    pub fn of_peer(socket: &impl AsRawFd, pid: u32) -> Option<Watch> {
        match of_peer(socket) {
            Ok(pidfd) => Watch::by(pidfd, pid),
            Err(_) => Watch::of(pid),
        }
    }

    /// By a descriptor, unless too few are left for all else that the sidecar has to open.
    pub fn by(pidfd: OwnedFd, pid: u32) -> Option<Watch> {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        if (pidfd.as_raw_fd() as u64) < limit.saturating_sub(RESERVED.min(limit / 2)) {
            return Some(Watch::Descriptor(pidfd));
        }
        Watch::without(Errno::EMFILE, pid)
    }

    fn without(error: Errno, pid: u32) -> Option<Watch> {
        match error {
            Errno::ESRCH | Errno::EINVAL => None,
            _ => Some(Watch::Looks(zombie::began(pid)?)),
        }
    }

    /// The descriptor, if it is watched by one.
    pub fn descriptor(&self) -> Option<&OwnedFd> {
        match self {
            Watch::Descriptor(pidfd) => Some(pidfd),
            Watch::Looks(_) => None,
        }
    }

    /// How the process ended, where the kernel can tell.
    pub fn exit_status(&self) -> Option<u32> {
        match self {
            Watch::Descriptor(pidfd) => exit_status(pidfd),
            Watch::Looks(_) => None,
        }
    }
}

/// How a process ended, as `wait(2)` gives it; known after its parent has waited for it (Linux 6.15).
fn exit_status(pidfd: &OwnedFd) -> Option<u32> {
    /// `struct pidfd_info` of the first version.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const PIDFD_GET_INFO: libc::c_ulong = 0xc040_ff0b;
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
    // SAFETY: the ioctl writes at most the 64 bytes that its number carries, the size of Info.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_that_is_gone_can_still_be_asked() {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        assert_eq!(exit_status(&pidfd), None, "nobody has waited for it");
        child.wait().unwrap();
        // Kernels before 6.15 never tell; then the parent's own word is what there is.
        if let Some(status) = exit_status(&pidfd) {
            assert_eq!(status, 7 << 8);
        }
    }
}
