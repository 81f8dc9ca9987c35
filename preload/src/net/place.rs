//! Where traffic is seen.

use super::connection::{Connection, ConnectionRef};
use super::session;

/// Where traffic is seen: at a descriptor, or, without its encryption, at a session of a TLS library.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Descriptor(i32),
    /// Known by its address.
    Session(usize),
}

impl From<i32> for Place {
    fn from(fd: i32) -> Place {
        Place::Descriptor(fd)
    }
}

impl Place {
    /// What is known of the connection, if anything is.
    pub(super) fn connection(self) -> Option<ConnectionRef> {
        match self {
            Place::Descriptor(fd) => super::connection(fd),
            Place::Session(session) => session::connection(session),
        }
    }

    /// The descriptor, which can be asked for the peer; -1 where there is none.
    pub(super) fn descriptor(self) -> i32 {
        match self {
            Place::Descriptor(fd) => fd,
            Place::Session(_) => -1,
        }
    }

    /// The connection is not understood. What is left of a head that is being sent must still be sent rightly.
    pub(super) fn give_up(self, connection: &Connection) {
        if connection.is_sending() {
            return;
        }
        match self {
            Place::Descriptor(fd) => super::forget(fd),
            Place::Session(session) => session::forget(session),
        }
    }
}
