//! What native code of this process knows of spans, and what it is told of those of this tracer.

use super::{Outlet, Recorder};
use crate::interface::{CurrentSpan, DecidedInfo, Header, LentSpan, MOST_PLACES, Part, Place, RequestInfo, Text};
use crate::propagation::CarrierMut;
use core::net::SocketAddr;
use std::string::String;
use std::vec::Vec;

impl Recorder {
    /// The handle of what native code has active on this thread, or else of the request that the thread serves; 0 for none.
    pub(crate) fn native_surroundings(&self) -> u64 {
        match &self.outlet {
            Outlet::Preload(preload) => preload.surroundings(),
            Outlet::Own(_) | Outlet::Nowhere => 0,
            #[cfg(test)]
            Outlet::Memory(memory) => memory.native.lock().unwrap().is_some().into(),
        }
    }

    /// What a handle stands for.
    pub(crate) fn describe_native(&self, number: u64) -> Option<CurrentSpan> {
        match &self.outlet {
            Outlet::Preload(preload) => preload.describe(number),
            Outlet::Own(_) | Outlet::Nowhere => None,
            #[cfg(test)]
            Outlet::Memory(memory) => *memory.native.lock().unwrap(),
        }
    }

    /// All that the trace of a handle carries, in the form of
    /// [`Propagation::between_tracers`](crate::propagation::Propagation::between_tracers).
    pub(crate) fn hand_over_native(&self, number: u64, headers: &mut dyn CarrierMut) {
        match &self.outlet {
            Outlet::Preload(preload) => preload.hand_over(number, headers),
            Outlet::Own(_) | Outlet::Nowhere => {}
            #[cfg(test)]
            Outlet::Memory(memory) => {
                memory
                    .native_headers
                    .lock()
                    .unwrap()
                    .iter()
                    .for_each(|(name, value)| headers.set(name, value.as_bytes()));
            }
        }
    }

    /// The request with this handle, or with 0 the one that this thread serves, if it is nobody's yet.
    #[must_use]
    pub fn native_request(&self, number: u64) -> Option<RequestInfo> {
        match &self.outlet {
            Outlet::Preload(preload) => preload.request(number),
            Outlet::Own(_) | Outlet::Nowhere => None,
            #[cfg(test)]
            Outlet::Memory(memory) => *memory.request.lock().unwrap(),
        }
    }

    /// The handle of the request that has come in over the connection from there, and is open; 0 for none.
    #[must_use]
    pub fn native_request_from(&self, peer: SocketAddr) -> u64 {
        match &self.outlet {
            Outlet::Preload(preload) => preload.request_from(peer),
            Outlet::Own(_) | Outlet::Nowhere => 0,
            #[cfg(test)]
            Outlet::Memory(_) => 0,
        }
    }

    /// Connections are to tell nothing more of this: `LEFT_…` of the interface.
    pub(crate) fn leave_natively(&self, what: u32) {
        if let Outlet::Preload(preload) = &self.outlet {
            preload.leave(what);
        }
    }

    /// Takes over the span of a request. Gives a handle for its trace; 0 where somebody was faster.
    pub(crate) fn take_over_native(&self, number: u64) -> u64 {
        match &self.outlet {
            Outlet::Preload(preload) => preload.take_over(number),
            Outlet::Own(_) | Outlet::Nowhere => 0,
            #[cfg(test)]
            Outlet::Memory(memory) => memory.request.lock().unwrap().take().map_or(0, |request| request.span),
        }
    }

    /// Has native code know a span. `headers` are what its trace has brought along. Gives a handle, or 0.
    pub(crate) fn lend(&self, mut span: LentSpan, headers: &[(String, Vec<u8>)]) -> u64 {
        let Outlet::Preload(preload) = &self.outlet else { return 0 };
        let text = |bytes: &[u8]| Text { bytes: bytes.as_ptr().cast(), length: bytes.len() };
        let headers: Vec<Header> =
            headers.iter().map(|(name, value)| Header { name: text(name.as_bytes()), value: text(value) }).collect();
        (span.headers, span.count) = (headers.as_ptr(), headers.len());
        preload.lend(&span)
    }

    /// Makes what was lent the active one of this thread for native code; 0 is nothing.
    pub(crate) fn activate_native(&self, number: u64) {
        if let Outlet::Preload(preload) = &self.outlet {
            preload.activate(number);
        }
    }

    /// Native code is to look into this list for what is active in the place in which the calling thread is.
    ///
    /// # Safety
    ///
    /// The list stays where it is, and ends, until the thread tells of another one; what its places point to stays for as
    /// long as it is in there.
    pub(crate) unsafe fn native_places(&self, places: Option<&[Place; MOST_PLACES]>) {
        if let Outlet::Preload(preload) = &self.outlet {
            // SAFETY: the caller's promise.
            unsafe { preload.places(places) };
        }
    }

    /// What was lent or taken over is over.
    pub(crate) fn give_back(&self, number: u64) {
        if let Outlet::Preload(preload) = &self.outlet {
            preload.give_back(number);
        }
    }

    /// Tells what the sampling rules are to see of what was lent or taken over.
    pub(crate) fn label_native(&self, number: u64, part: Part, text: &[u8]) {
        if let Outlet::Preload(preload) = &self.outlet {
            preload.set(number, part, text);
        }
    }

    /// Tells native code what is decided about the trace of what was lent or taken over; `None` only asks. Gives whether no
    /// other decision is final there.
    pub(crate) fn decide_native(&self, number: u64, decided: Option<&DecidedInfo>) -> bool {
        match &self.outlet {
            Outlet::Preload(preload) => preload.decide(number, decided),
            Outlet::Own(_) | Outlet::Nowhere => true,
            #[cfg(test)]
            Outlet::Memory(memory) => {
                let mut told = memory.decided.lock().unwrap();
                if let (Some(decided), true) = (decided, *memory.is_final_there.lock().unwrap() == 0) {
                    told.push((number, *decided));
                }
                *memory.is_final_there.lock().unwrap() == 0
            }
        }
    }
}
