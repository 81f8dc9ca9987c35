//! Functions of libraries that a program may have or not, and in several copies: those for TLS.
//!
//! They are not interposed by exporting their names, as all else is: a program that looks whether it has such a library
//! would find that it has, and of several copies the right one for a call would not be known. Instead the words are changed
//! by which each object calls what it imports ([`crate::host::Import`]), to hooks that are there once for each copy. An object of which
//! it is not certain which copy it calls is left alone, and so are addresses that are looked up by `dlsym`.
//!
//! That is done when the program starts, and whenever it makes a connection after it has called `dlopen`, of which we know
//! in the same way. A forked child may find the loader's lock taken, for ever, by a thread that it does not have; so it
//! looks only after a `dlopen` of its own, and its parent before it forks.

mod found;

use crate::hooks::{gnutls, openssl};
use crate::host::{Iterate, Name, each_mapped};
use crate::table;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use found::Found;

/// How many copies of a library can be told apart in a process.
const COPIES: usize = 4;

/// The address of a hook.
#[repr(transparent)]
struct Address(*const ());

// SAFETY: the address of code, the same for all threads.
unsafe impl Sync for Address {}

macro_rules! libraries {
    (
        hooked { $($variant:ident = $name:literal by $module:ident::$hook:ident,)* }
        asked { $($asked:ident = $asked_name:literal,)* }
    ) => {
        /// A function of such a library.
        #[derive(Clone, Copy)]
        #[repr(usize)]
        pub(crate) enum Function { $($variant,)* $($asked,)* }

        const NAMES: &[Name] = &[$(Name::new($name),)* $(Name::new($asked_name),)*];
        const TEXTS: [&[u8]; 0 $(+ { let _ = $name; 1 })*] = [$($name.as_bytes(),)*];

        /// The hooks, for each copy.
        static HOOKS: [[Address; TEXTS.len()]; COPIES] = [
            [$(Address($module::$hook::<0> as *const ()),)*],
            [$(Address($module::$hook::<1> as *const ()),)*],
            [$(Address($module::$hook::<2> as *const ()),)*],
            [$(Address($module::$hook::<3> as *const ()),)*],
        ];
    };
}

libraries! {
    hooked {
        SslNew = "SSL_new" by openssl::SSL_new,
        SslFree = "SSL_free" by openssl::SSL_free,
        SslClear = "SSL_clear" by openssl::SSL_clear,
        SslSetFd = "SSL_set_fd" by openssl::SSL_set_fd,
        SslSetRfd = "SSL_set_rfd" by openssl::SSL_set_rfd,
        SslSetWfd = "SSL_set_wfd" by openssl::SSL_set_wfd,
        SslConnect = "SSL_connect" by openssl::SSL_connect,
        SslAccept = "SSL_accept" by openssl::SSL_accept,
        SslDoHandshake = "SSL_do_handshake" by openssl::SSL_do_handshake,
        SslShutdown = "SSL_shutdown" by openssl::SSL_shutdown,
        SslRead = "SSL_read" by openssl::SSL_read,
        SslReadEx = "SSL_read_ex" by openssl::SSL_read_ex,
        SslReadEarlyData = "SSL_read_early_data" by openssl::SSL_read_early_data,
        SslWrite = "SSL_write" by openssl::SSL_write,
        SslWriteEx = "SSL_write_ex" by openssl::SSL_write_ex,
        SslWriteEx2 = "SSL_write_ex2" by openssl::SSL_write_ex2,
        SslWriteEarlyData = "SSL_write_early_data" by openssl::SSL_write_early_data,
        SslSendfile = "SSL_sendfile" by openssl::SSL_sendfile,
        GnutlsInit = "gnutls_init" by gnutls::gnutls_init,
        GnutlsDeinit = "gnutls_deinit" by gnutls::gnutls_deinit,
        GnutlsHandshake = "gnutls_handshake" by gnutls::gnutls_handshake,
        GnutlsBye = "gnutls_bye" by gnutls::gnutls_bye,
        GnutlsRecordRecv = "gnutls_record_recv" by gnutls::gnutls_record_recv,
        GnutlsRecordRecvSeq = "gnutls_record_recv_seq" by gnutls::gnutls_record_recv_seq,
        GnutlsRecordRecvPacket = "gnutls_record_recv_packet" by gnutls::gnutls_record_recv_packet,
        GnutlsRecordRecvEarlyData = "gnutls_record_recv_early_data" by gnutls::gnutls_record_recv_early_data,
        GnutlsRecordSend = "gnutls_record_send" by gnutls::gnutls_record_send,
        GnutlsRecordSend2 = "gnutls_record_send2" by gnutls::gnutls_record_send2,
        GnutlsRecordSendRange = "gnutls_record_send_range" by gnutls::gnutls_record_send_range,
        GnutlsRecordSendFile = "gnutls_record_send_file" by gnutls::gnutls_record_send_file,
        GnutlsRecordSendEarlyData = "gnutls_record_send_early_data" by gnutls::gnutls_record_send_early_data,
    }
    asked {
        SslIsServer = "SSL_is_server",
        SslGetShutdown = "SSL_get_shutdown",
        SslGet0AlpnSelected = "SSL_get0_alpn_selected",
        GnutlsAlpnGetSelectedProtocol = "gnutls_alpn_get_selected_protocol",
    }
}

/// A library: how the names of its functions begin, and one that every copy has.
struct Library {
    prefix: &'static [u8],
    key: Function,
    /// As C has it.
    key_name: &'static [u8],
}

const LIBRARIES: [Library; 2] = [
    Library { prefix: b"SSL_", key: Function::SslWrite, key_name: b"SSL_write\0" },
    Library { prefix: b"gnutls_", key: Function::GnutlsRecordSend, key_name: b"gnutls_record_send\0" },
];
const DLOPEN: &[u8] = b"dlopen";
const DLOPEN_NAME: &[Name] = &[Name::new("dlopen")];
/// How all these names begin.
const LETTERS: &[u8] = b"Sgd";

/// The real functions of each copy. Once a copy is there it stays, as the hooks of its number may be called for as long as
/// the objects that call them are loaded.
static REAL: [[AtomicUsize; NAMES.len()]; COPIES] = [const { [const { AtomicUsize::new(0) }; NAMES.len()] }; COPIES];
static REAL_DLOPEN: AtomicUsize = AtomicUsize::new(0);
/// This process has called `dlopen`.
static HAS_LOADED: AtomicBool = AtomicBool::new(false);
/// How many objects had been loaded at the last look that has left nothing to do.
static SEEN: AtomicU64 = AtomicU64::new(u64::MAX);
/// A thread is looking.
static LOOKS: AtomicBool = AtomicBool::new(false);
/// How often there was something left to do. What never can be done is not tried for ever.
static LEFT: AtomicU32 = AtomicU32::new(0);
const MOST_LEFT: u32 = 16;

/// The real function of a copy, as a function pointer of type `F`.
///
/// # Safety
///
/// `F` is the function pointer type of `function`.
pub(crate) unsafe fn real<F: Copy>(copy: usize, function: Function) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    let address = REAL.get(copy)?.get(function as usize)?.load(Ordering::Acquire);
    // SAFETY: the address is that function's, F its type (the caller's promise).
    (address != 0).then(|| unsafe { core::mem::transmute_copy(&address) })
}

/// `dlopen`, which looks at where it is called from: so nothing may stand between it and its caller.
#[unsafe(naked)]
unsafe extern "C" fn dlopen() {
    naked_asm!(
        "mov byte ptr [rip + {has_loaded}], 1",
        "jmp qword ptr [rip + {real}]",
        has_loaded = sym HAS_LOADED,
        real = sym REAL_DLOPEN,
    )
}

/// Changes the imports of all objects that are there. Called once, from the constructor.
pub(crate) fn hook() {
    look(true);
}

/// The same for those that have come since.
pub(crate) fn hook_new() {
    if HAS_LOADED.load(Ordering::Relaxed) {
        look(false);
    }
}

/// In a forked child.
pub(crate) fn become_child() {
    HAS_LOADED.store(false, Ordering::Relaxed);
    LOOKS.store(false, Ordering::Relaxed);
}

fn look(is_alone: bool) {
    // SAFETY: the type of dl_iterate_phdr.
    let Some(iterate) = (unsafe { table::real::<Iterate>(table::Function::DlIteratePhdr) }) else { return };
    let mut adds = 0;
    each_mapped(iterate, &mut |object| {
        adds = object.adds;
        false
    });
    // Acquire and release: who looks next sees what the one before has found.
    if adds == SEEN.load(Ordering::Relaxed) || LOOKS.swap(true, Ordering::Acquire) {
        return;
    }
    let mut found = Found::default();
    let mut number = 0usize;
    each_mapped(iterate, &mut |object| {
        // The program itself may have a library in it, whose functions it calls past us: no part of that is of use.
        found.note(object, number == 0);
        number = number.wrapping_add(1);
        true
    });
    found.ask_for_names();
    let mut is_complete = true;
    each_mapped(iterate, &mut |object| {
        is_complete &= found.change(object, is_alone);
        true
    });
    if is_complete || LEFT.fetch_add(1, Ordering::Relaxed) >= MOST_LEFT {
        SEEN.store(found.adds, Ordering::Relaxed);
    }
    LOOKS.store(false, Ordering::Release);
}

fn word(copy: usize, function: usize) -> usize {
    REAL.get(copy).and_then(|row| row.get(function)).map_or(0, |word| word.load(Ordering::Acquire))
}

fn hook_of(copy: usize, function: usize) -> usize {
    HOOKS.get(copy).and_then(|row| row.get(function)).map_or(0, |hook| hook.0 as usize)
}
