//! System calls.

use crate::{any, bytes, probes, used};
use core::ptr::NonNull;
use ddtrace::sys::{self, Advice, Errno, RawUsage};

/// A buffer of unknown length.
macro_rules! buffer {
    () => {
        any(&mut [0u8; 16][..])
    };
}

probes! {
    calls {
        used((sys::getpid(), sys::getppid(), sys::getuid(), sys::getgid(), sys::gettid()));
        used(sys::signal_stack_left());
        used(sys::has_no_new_privileges());
        // SAFETY: never run.
        used(unsafe { sys::by_number(any(0), any([0; 6])) }.is_ok());
        used((sys::monotonic_ns(), sys::realtime_ns()));
        used(any(RawUsage::default()).usage());
        used(sys::usage_of_self());
        used(sys::thread_exists(any(0), any(0)));
        used(sys::soft_limit(any(0)));
        used(sys::ignores_children());
        used(sys::getrandom(buffer!()).is_ok());
        used(sys::auxiliary_vector(buffer!()).is_ok());
        used(any(Errno::EINTR) == Errno(any(0)));
    }

    connections {
        let fd = any(0);
        used(sys::peer_name(fd, buffer!()));
        used((sys::is_stream_socket(fd), sys::is_nonblocking(fd)));
        used(sys::tcp_bytes_written(fd));
    }

    files {
        let fd = any(0);
        used((sys::open_read(any(c"")), sys::open_at(fd, any(c""), any(0))));
        used((sys::read(fd, buffer!()), sys::read_full(fd, buffer!()), sys::read_at(fd, any(0), buffer!())));
        used(sys::file_status(fd).is_ok());
        used((sys::can_read(any(c"")), sys::has_attribute(fd, any(c""))));
        used(sys::readlink(any(c""), buffer!()).is_ok());
        used(sys::getcwd(buffer!()).is_ok());
        sys::give_way();
        sys::pause(any(core::ptr::null()), any(0));
        sys::wake_one(any(core::ptr::null()));
        sys::close(fd);
    }

    memory {
        let fd = any(0);
        used(sys::memfd_create(any(c"")).is_ok());
        used((sys::ftruncate(fd, any(0)), sys::fallocate(fd, any(0)), sys::add_seals(fd, any(0))));
        used(sys::duplicate_above(fd, any(0)).is_ok());
        used((sys::map_shared(fd, any(0)), sys::map_private(any(0)), sys::map_private_loosely(any(0))));
        used(sys::is_readable(any(0)));
        // SAFETY: never run.
        unsafe {
            used(sys::advise(any(NonNull::dangling()), any(0), any(Advice::DontFork)).is_ok());
            used(sys::protect(any(NonNull::dangling()), any(0), any(false)).is_ok());
            sys::unmap(any(NonNull::dangling()), any(0));
        }
    }

    sockets {
        used(sys::seqpacket_socket().is_ok());
        used(sys::connect_abstract(any(0), bytes()).is_ok());
        used(sys::send_with_fd(any(0), bytes(), any(0)).is_ok());
        used(sys::send(any(0), bytes()).is_ok());
    }

    exit_group {
        sys::exit_group(any(0));
    }
}
