//! What is said of HTTP requests.

use crate::{any, bytes, probes, used};
use ddtrace::http::{
    Attributes, ClientAddress, ErrorStatuses, HTTP, HTTPS, HeaderFields, Peer, Request, Target, describe_client,
    describe_headers, describe_server, first_of_list, forwarded_part, is_error_status, is_telemetry, may_be_telemetry,
    split_authority,
};

struct Unknown;

impl Attributes for Unknown {
    fn text(&mut self, name: &[u8], text: &[u8]) {
        used((name, text));
    }

    fn pieces(&mut self, name: &[u8], pieces: &[&[u8]]) {
        used((name, pieces));
    }

    fn list(&mut self, name: &[u8], text: &[u8]) {
        used((name, text));
    }

    fn integer(&mut self, name: &[u8], number: i64) {
        used((name, number));
    }
}

impl HeaderFields for Unknown {
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        used(name);
        any(Some(bytes()))
    }
}

probes! {
    requests {
        let request = Request {
            method: bytes(),
            target: bytes(),
            version: bytes(),
            scheme: any(if any(true) { HTTP } else { HTTPS }),
            peer: Peer { address: bytes(), port: any(Some(0)), is_unix: any(true) },
        };
        used(request.name());
        let client =
            any([ClientAddress::Conventional, ClientAddress::Resolved(bytes()), ClientAddress::Hidden]);
        for client in client {
            describe_server(&mut Unknown, &request, &Unknown, client);
            used(client.of(&Unknown, &request.peer));
        }
        describe_client(&mut Unknown, &request, bytes());
        describe_headers(&mut Unknown, &Unknown, core::iter::once((bytes(), bytes())), any("x"));
        let target = Target::of(bytes());
        used((target.authority, target.path, target.query));
        used(is_telemetry(bytes(), bytes(), &Unknown));
        used(may_be_telemetry(bytes(), bytes()));
        used((first_of_list(bytes()), forwarded_part(bytes(), bytes()), split_authority(bytes())));
        let statuses = any(ErrorStatuses::NONE).with(any(0), any(0));
        used((statuses.contains(any(0)), is_error_status(any(0), any(true), &statuses)));
    }
}
