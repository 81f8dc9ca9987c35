//! The interposed functions, by what they are about. Each only reads its C arguments; the work is done elsewhere.

mod descriptors;
mod exec;
pub(crate) mod exit;
mod fork;
pub(crate) mod gnutls;
mod memory;
pub(crate) mod openssl;
mod receive;
mod sandbox;
mod send;
mod sockets;
mod spawn;
mod wait;
mod waits;

/// Defines hooks of a library of which there may be several copies: one for each copy, whose number is the parameter that
/// stands first here.
macro_rules! each_copy {
    (
        $(#[$doc:meta])*
        unsafe fn $name:ident($copy:ident $(, $argument:ident: $type:ty)* $(,)?) $(-> $result:ty)? $body:block
    ) => {
        $(#[$doc])*
        pub(crate) unsafe extern "C" fn $name<const COPY: usize>($($argument: $type),*) $(-> $result)? {
            // Behind the others, so that those stay in their registers.
            #[inline(never)]
            unsafe fn hook($($argument: $type,)* $copy: usize) $(-> $result)? $body
            // SAFETY: the promise of who calls the outer one.
            unsafe { hook($($argument,)* COPY) }
        }
    };
}
use each_copy;
