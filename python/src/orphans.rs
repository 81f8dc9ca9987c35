//! Whose children the orphans among a process's descendants become.

use pyo3::prelude::*;

/// Whether this process adopted them until now (`PR_SET_CHILD_SUBREAPER`), and from now on does or does not. Where the kernel
/// refuses it stays as it is.
#[pyfunction]
pub(crate) fn adopt_orphans(wanted: bool) -> bool {
    let mut adopts: libc::c_int = 0;
    // SAFETY: the number is writable as long as the call lasts; only an attribute of this process is changed.
    unsafe {
        libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut adopts);
        if (adopts != 0) != wanted {
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(wanted));
        }
    }
    adopts != 0
}
