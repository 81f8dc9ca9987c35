//! Process descriptors: they tell of a process's end without being its parent, and are safe against reused ids.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Opens the process with this id.
pub fn open(pid: u32) -> nix::Result<OwnedFd> {
    // SAFETY: no pointers; a new descriptor (close-on-exec by the kernel's own rule) comes back or an error.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    owned(fd as i32)
}

/// The process at the other end of a Unix socket, even if it is gone by now (Linux 6.5).
pub fn of_peer(socket: &impl AsRawFd) -> nix::Result<OwnedFd> {
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

/// How a process ended, as `wait(2)` gives it; known after its parent has waited for it (Linux 6.15).
pub fn exit_status(pidfd: &OwnedFd) -> Option<u32> {
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
