//! Headers of a request, by which a client's address is found.
#![no_main]

use ddtrace::http::{ClientAddress, HeaderFields, Peer};
use ddtrace_fuzz::headers::Headers;
use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;

struct Fields(Headers);

impl HeaderFields for Fields {
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.get(std::str::from_utf8(name).ok()?)
    }
}

fuzz_target!(|data: &[u8]| {
    let fields = Fields(Headers::parse(data));
    for own in ["10.0.0.1", "8.8.8.8", "::1"] {
        let peer = Peer { address: own.as_bytes(), port: None, is_unix: false };
        for rule in [ClientAddress::Resolved(b""), ClientAddress::Resolved(b"x-own")] {
            let told = rule.of(&fields, &peer);
            let told = std::str::from_utf8(told).expect("it is a text");
            assert!(told.parse::<IpAddr>().is_ok(), "{told:?} is no address");
            assert!(told == own || data.windows(told.len()).any(|part| part == told.as_bytes()));
        }
        assert!(ClientAddress::Hidden.of(&fields, &peer).is_empty());
        let _ = ClientAddress::Conventional.of(&fields, &peer);
    }
});
