//! What reads, writes, connects and closes.

use super::call;
use crate::table::Function;
use core::ffi::c_void;
use ddtrace::sys::number;

type Buffer = *mut c_void;

/// What the kernel says of signal masks: their size, which the C library adds.
const MASK: usize = 8;

macro_rules! calls {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $number:ident($($passed:expr),*);)*) => {
        $(unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            // SAFETY: the host's own call.
            unsafe { call(number::$number, six([$($passed as usize),*])) as $result }
        })*
    };
}

calls! {
    read(fd: i32, buffer: Buffer, count: usize) -> isize = READ(fd, buffer, count);
    read_chk(fd: i32, buffer: Buffer, count: usize, size: usize) -> isize = READ(fd, buffer, count.min(size));
    readv(fd: i32, vectors: Buffer, count: i32) -> isize = READV(fd, vectors, count);
    recv(fd: i32, buffer: Buffer, count: usize, flags: i32) -> isize = RECVFROM(fd, buffer, count, flags);
    recv_chk(fd: i32, buffer: Buffer, count: usize, size: usize, flags: i32) -> isize =
        RECVFROM(fd, buffer, count.min(size), flags);
    recvfrom(fd: i32, buffer: Buffer, count: usize, flags: i32, address: Buffer, length: Buffer) -> isize =
        RECVFROM(fd, buffer, count, flags, address, length);
    recvfrom_chk(fd: i32, buffer: Buffer, count: usize, size: usize, flags: i32, address: Buffer, length: Buffer) -> isize =
        RECVFROM(fd, buffer, count.min(size), flags, address, length);
    recvmsg(fd: i32, message: Buffer, flags: i32) -> isize = RECVMSG(fd, message, flags);
    recvmmsg(fd: i32, messages: Buffer, count: u32, flags: i32, timeout: Buffer) -> i32 =
        RECVMMSG(fd, messages, count, flags, timeout);
    write(fd: i32, buffer: Buffer, count: usize) -> isize = WRITE(fd, buffer, count);
    writev(fd: i32, vectors: Buffer, count: i32) -> isize = WRITEV(fd, vectors, count);
    send(fd: i32, buffer: Buffer, count: usize, flags: i32) -> isize = SENDTO(fd, buffer, count, flags);
    sendto(fd: i32, buffer: Buffer, count: usize, flags: i32, address: Buffer, length: u32) -> isize =
        SENDTO(fd, buffer, count, flags, address, length);
    sendmsg(fd: i32, message: Buffer, flags: i32) -> isize = SENDMSG(fd, message, flags);
    sendmmsg(fd: i32, messages: Buffer, count: u32, flags: i32) -> i32 = SENDMMSG(fd, messages, count, flags);
    sendfile(out: i32, from: i32, offset: Buffer, count: usize) -> isize = SENDFILE(out, from, offset, count);
    splice(from: i32, from_offset: Buffer, to: i32, to_offset: Buffer, count: usize, flags: u32) -> isize =
        SPLICE(from, from_offset, to, to_offset, count, flags);
    connect(fd: i32, address: Buffer, length: u32) -> i32 = CONNECT(fd, address, length);
    accept(fd: i32, address: Buffer, length: Buffer) -> i32 = ACCEPT(fd, address, length);
    accept4(fd: i32, address: Buffer, length: Buffer, flags: i32) -> i32 = ACCEPT4(fd, address, length, flags);
    shutdown(fd: i32, how: i32) -> i32 = SHUTDOWN(fd, how);
    close(fd: i32) -> i32 = CLOSE(fd);
    dup(fd: i32) -> i32 = DUP(fd);
    dup2(fd: i32, new: i32) -> i32 = DUP2(fd, new);
    dup3(fd: i32, new: i32, flags: i32) -> i32 = DUP3(fd, new, flags);
    fcntl(fd: i32, command: i32, argument: usize) -> i32 = FCNTL(fd, command, argument);
    poll(entries: Buffer, count: u64, timeout: i32) -> i32 = POLL(entries, count, timeout);
    ppoll(entries: Buffer, count: u64, timeout: Buffer, mask: Buffer) -> i32 =
        PPOLL(entries, count, timeout, mask, MASK);
    select(count: i32, reads: Buffer, writes: Buffer, others: Buffer, timeout: Buffer) -> i32 =
        SELECT(count, reads, writes, others, timeout);
    epoll_create(size: i32) -> i32 = EPOLL_CREATE(size);
    epoll_create1(flags: i32) -> i32 = EPOLL_CREATE1(flags);
    epoll_ctl(set: i32, change: i32, fd: i32, event: Buffer) -> i32 = EPOLL_CTL(set, change, fd, event);
    epoll_wait(fd: i32, events: Buffer, most: i32, timeout: i32) -> i32 = EPOLL_WAIT(fd, events, most, timeout);
    epoll_pwait(fd: i32, events: Buffer, most: i32, timeout: i32, mask: Buffer) -> i32 =
        EPOLL_PWAIT(fd, events, most, timeout, mask, MASK);
    epoll_pwait2(fd: i32, events: Buffer, most: i32, timeout: Buffer, mask: Buffer) -> i32 =
        EPOLL_PWAIT2(fd, events, most, timeout, mask, MASK);
}

fn six<const COUNT: usize>(arguments: [usize; COUNT]) -> [usize; 6] {
    let mut all = [0; 6];
    all.iter_mut().zip(arguments).for_each(|(place, argument)| *place = argument);
    all
}

/// As [`super::stand_in`].
pub(super) fn stand_in(function: Function) -> Option<usize> {
    Some(match function {
        Function::Read => read as *const () as usize,
        Function::ReadChk => read_chk as *const () as usize,
        Function::Readv => readv as *const () as usize,
        Function::Recv => recv as *const () as usize,
        Function::RecvChk => recv_chk as *const () as usize,
        Function::Recvfrom => recvfrom as *const () as usize,
        Function::RecvfromChk => recvfrom_chk as *const () as usize,
        Function::Recvmsg => recvmsg as *const () as usize,
        Function::Recvmmsg => recvmmsg as *const () as usize,
        Function::Write => write as *const () as usize,
        Function::Writev => writev as *const () as usize,
        Function::Send => send as *const () as usize,
        Function::Sendto => sendto as *const () as usize,
        Function::Sendmsg => sendmsg as *const () as usize,
        Function::Sendmmsg => sendmmsg as *const () as usize,
        Function::Sendfile | Function::Sendfile64 => sendfile as *const () as usize,
        Function::Splice => splice as *const () as usize,
        Function::Connect => connect as *const () as usize,
        Function::Accept => accept as *const () as usize,
        Function::Accept4 => accept4 as *const () as usize,
        Function::Shutdown => shutdown as *const () as usize,
        Function::Close => close as *const () as usize,
        Function::Dup => dup as *const () as usize,
        Function::Dup2 => dup2 as *const () as usize,
        Function::Dup3 => dup3 as *const () as usize,
        Function::Fcntl | Function::Fcntl64 => fcntl as *const () as usize,
        // The size of the array comes last, and is not passed on.
        Function::Poll | Function::PollChk => poll as *const () as usize,
        Function::Ppoll | Function::PpollChk => ppoll as *const () as usize,
        Function::Select => select as *const () as usize,
        Function::EpollCreate => epoll_create as *const () as usize,
        Function::EpollCreate1 => epoll_create1 as *const () as usize,
        Function::EpollCtl => epoll_ctl as *const () as usize,
        Function::EpollWait => epoll_wait as *const () as usize,
        Function::EpollPwait => epoll_pwait as *const () as usize,
        Function::EpollPwait2 => epoll_pwait2 as *const () as usize,
        // The others of `super`, and what does more than a call of the kernel's, or is none.
        Function::Execve
        | Function::Execveat
        | Function::Execvpe
        | Function::Fexecve
        | Function::Fork
        | Function::UnderscoreFork
        | Function::Waitpid
        | Function::Wait
        | Function::Wait3
        | Function::Wait4
        | Function::Waitid
        | Function::Prctl
        | Function::Mlockall
        | Function::Syscall
        | Function::PosixSpawn
        | Function::PosixSpawnp
        | Function::Forkpty
        | Function::Fdopen
        | Function::Daemon
        | Function::UnderscoreExit
        | Function::CapitalExit
        | Function::QuickExit
        | Function::Pselect
        | Function::ErrnoLocation
        | Function::ClockGettime
        | Function::DlIteratePhdr
        | Function::Dlsym => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    /// A connection is made, written to, read from and closed without any function of the C library.
    #[test]
    fn the_kernel_alone_serves_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"question").unwrap();
        let mut buffer = [0u8; 16];
        let (mut address, mut length) = ([0u8; 16], 16u32);
        // SAFETY: buffers of their sizes; the descriptors are this test's own.
        unsafe {
            let fd = accept4(listener.as_raw_fd(), address.as_mut_ptr().cast(), (&raw mut length).cast(), 0);
            assert!(fd >= 0 && length == 16);
            assert_eq!(recv_chk(fd, buffer.as_mut_ptr().cast(), 64, 16, 0), 8);
            assert_eq!(&buffer[..8], b"question");
            let copy = dup(fd);
            assert_eq!(fcntl(copy, 1, 0), 0, "it has no FD_CLOEXEC");
            assert_eq!(send(copy, b"ans".as_ptr().cast_mut().cast(), 3, 0), 3);
            assert_eq!(write(fd, b"wer".as_ptr().cast_mut().cast(), 3), 3);
            assert_eq!((close(copy), shutdown(fd, 1), close(fd), close(fd)), (0, 0, 0, -1));
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    }
}
