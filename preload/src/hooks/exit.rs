//! The ends that a process can tell of itself: what it used, and its exit code where it says one. All other ends
//! are told by its parent or the kernel; nothing depends on these hooks.

use crate::process::{self, Caller};
use crate::table::{Function, real};
use crate::thread;
use core::sync::atomic::Ordering;
use ddtrace::identity::Holder;
use ddtrace::ids::SpanId;
use ddtrace::record::RecordWriter;
use ddtrace::semconv::Key;
use ddtrace::sys;

type Exit = unsafe extern "C" fn(i32) -> !;

macro_rules! exits {
    ($($(#[$attribute:meta])* $name:ident = $function:ident,)*) => {
        $(
            /// # Safety
            ///
            /// As for the function of this name.
            #[cfg_attr(preload_so, unsafe(no_mangle))]
            $(#[$attribute])*
            pub(crate) unsafe extern "C" fn $name(code: i32) -> ! {
                ending(Some(code));
                thread::current().vfork_filtered.store(0, Ordering::Relaxed);
                // SAFETY: the type of the function.
                if let Some(real) = unsafe { real::<Exit>(Function::$function) } {
                    // SAFETY: the host's own argument.
                    unsafe { real(code) }
                }
                sys::exit_group(code)
            }
        )*
    };
}

exits! {
    _exit = UnderscoreExit,
    _Exit = CapitalExit,
    quick_exit = QuickExit,
}

/// Runs when `main` has returned or `exit` was called.
pub(crate) extern "C" fn destructor() {
    ending(None);
}

fn ending(code: Option<i32>) {
    let caller = process::caller();
    match caller {
        // A forked child without a ring has nothing to tell that its parent cannot, unless that throws its end away.
        Some(Caller::Itself) if process::has_ring() || sys::ignores_children() => process::record(|record| {
            record.close(process::identity().span_id, sys::monotonic_ns());
            exit_code(record, code);
            let usage = sys::usage_of_self();
            record.float(Key::CpuUser, seconds(usage.user_ns));
            record.float(Key::CpuSystem, seconds(usage.system_ns));
            record.integer(Key::MemoryPeak, usage.max_rss as i64);
        }),
        // A vfork child that runs no program after all.
        Some(Caller::VforkChild(pid)) => {
            let thread = thread::current();
            if thread.vfork_pid.load(Ordering::Relaxed) != pid {
                // It never tried to run a program: nobody has heard of it yet.
                let child = process::child_identity(Holder::Process(pid), None);
                thread.vfork_pid.store(pid, Ordering::Relaxed);
                thread.vfork_span.store(child.span_id.0, Ordering::Relaxed);
                process::record_child(&child, pid, |_| {});
            }
            process::record(|record| {
                record.close(SpanId(thread.vfork_span.load(Ordering::Relaxed)), sys::monotonic_ns());
                exit_code(record, code);
            });
        }
        _ => {}
    }
    if caller == Some(Caller::Itself) {
        process::tell_missed();
    }
}

fn exit_code(record: &mut RecordWriter, code: Option<i32>) {
    if let Some(code) = code {
        record.integer(Key::ExitCode, i64::from(code & 0xff));
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
