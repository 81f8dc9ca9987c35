//! What cannot be seen of programs that can be traced: those that do without the libraries through which others are seen.

use std::fmt;

use super::Runtime;

/// What of a program passes the tracer by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlindSpot {
    /// It makes its system calls itself.
    Requests,
    /// It has an implementation of TLS of its own.
    EncryptedRequests,
}

impl fmt::Display for BlindSpot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BlindSpot::Requests => {
                "is made by Go, which makes system calls of its own: the requests that it serves and makes cannot be seen"
            }
            BlindSpot::EncryptedRequests => {
                "brings its own TLS: requests over encrypted connections cannot be seen, others can"
            }
        })
    }
}

/// What of a program of this runtime, which asks for these libraries, cannot be seen.
pub(super) fn of(runtime: Runtime, libraries: &[String]) -> Option<BlindSpot> {
    // Builds of distributions have it in shared libraries: of Node itself, or of OpenSSL.
    let is_shared = || libraries.iter().any(|name| name.starts_with("libnode.") || name.starts_with("libssl."));
    match runtime {
        Runtime::Go => Some(BlindSpot::Requests),
        Runtime::Jvm => Some(BlindSpot::EncryptedRequests),
        Runtime::Node if !is_shared() => Some(BlindSpot::EncryptedRequests),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_of_a_distribution_has_what_can_be_seen() {
        let spot = |runtime, libraries: &[&str]| {
            of(runtime, &libraries.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(spot(Runtime::Node, &["libdl.so.2", "libc.so.6"]), Some(BlindSpot::EncryptedRequests));
        assert_eq!(spot(Runtime::Node, &["libnode.so.115", "libc.so.6"]), None);
        assert_eq!(spot(Runtime::Node, &["libssl.so.3", "libc.so.6"]), None);
        assert_eq!(spot(Runtime::Jvm, &["libjli.so", "libc.so.6"]), Some(BlindSpot::EncryptedRequests));
        assert_eq!(spot(Runtime::Go, &["libc.so.6"]), Some(BlindSpot::Requests));
        assert_eq!(spot(Runtime::None, &["libc.so.6"]), None);
    }
}
