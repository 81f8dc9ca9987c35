use super::*;
use std::string::String;
use std::vec::Vec;

#[test]
fn targets_of_all_forms() {
    let parts = |target: &'static [u8]| {
        let target = Target::of(target);
        [target.authority, target.path, target.query].map(|part| std::str::from_utf8(part).unwrap())
    };
    assert_eq!(parts(b"/a/b?c=d?e"), ["", "/a/b", "c=d?e"]);
    assert_eq!(parts(b"*"), ["", "*", ""]);
    assert_eq!(parts(b"http://u:p@x.org:8080/a?b#c"), ["x.org:8080", "/a", "b"]);
    assert_eq!(parts(b"http://x.org"), ["x.org", "", ""]);
    assert_eq!(parts(b"x.org:443"), ["x.org:443", "", ""]);
}

#[test]
fn hosts_and_ports() {
    assert_eq!(split_authority(b"x.org"), (&b"x.org"[..], None));
    assert_eq!(split_authority(b"x.org:80"), (&b"x.org"[..], Some(80)));
    assert_eq!(split_authority(b"[::1]:80"), (&b"::1"[..], Some(80)));
    assert_eq!(split_authority(b"[::1]"), (&b"::1"[..], None));
    assert_eq!(split_authority(b"2001:db8::1"), (&b"2001:db8::1"[..], None));
    assert_eq!(split_authority(b"x:99999"), (&b"x"[..], None));
    assert_eq!(split_authority(b"[::1"), (&b"[::1"[..], None));
}

#[test]
fn the_first_proxy_counts() {
    let value = b"for=\"[2001:db8::1]:4711\";Host=a.org:8080; proto=https, for=10.0.0.1;host=b";
    assert_eq!(forwarded_part(value, b"for"), b"[2001:db8::1]:4711");
    assert_eq!(forwarded_part(value, b"host"), b"a.org:8080");
    assert_eq!(forwarded_part(value, b"proto"), b"https");
    assert_eq!(forwarded_part(b"for=x", b"host"), b"");
    assert_eq!(first_of_list(b" a , b"), b"a");
}

#[test]
fn which_answers_are_errors() {
    let is = |status, is_server| is_error_status(status, is_server, &ErrorStatuses::DEFAULT);
    assert_eq!([499, 500, 599, 600, 1023, 1024, u16::MAX].map(|status| is(status, true)), [
        false, true, true, false, false, false, false
    ]);
    assert_eq!([399, 400, 404, 500].map(|status| is(status, false)), [false, true, true, true]);
    let some = ErrorStatuses::NONE.with(404, 404).with(500, 502);
    assert_eq!([403, 404, 405, 500, 502, 503].map(|status| some.contains(status)), [
        false, true, false, true, true, false
    ]);
}

/// What is told as `url.full`, of a request for `target` with this `Host`, to this peer.
fn url(target: &[u8], host: &[u8], address: &[u8], port: u16, scheme: Scheme) -> String {
    #[derive(Default)]
    struct Url(Vec<u8>);
    impl Attributes for Url {
        fn text(&mut self, _: &[u8], _: &[u8]) {}
        fn pieces(&mut self, name: &[u8], pieces: &[&[u8]]) {
            assert_eq!(name, URL_FULL);
            self.0 = pieces.concat();
        }
        fn list(&mut self, _: &[u8], _: &[u8]) {}
        fn integer(&mut self, _: &[u8], _: i64) {}
    }
    let peer = Peer { address, port: Some(port), is_unix: false };
    let mut told = Url::default();
    describe_client(&mut told, &Request { method: b"GET", target, version: b"1.1", scheme, peer }, host);
    String::from_utf8(told.0).unwrap()
}

#[test]
fn a_url_is_one_whatever_the_request_looks_like() {
    assert_eq!(url(b"/a?b", b"x.org:81", b"10.0.0.1", 81, HTTP), "http://x.org:81/a?b");
    assert_eq!(url(b"/a", b"", b"10.0.0.1", 8080, HTTP), "http://10.0.0.1:8080/a");
    assert_eq!(url(b"/a", b"", b"10.0.0.1", 443, HTTPS), "https://10.0.0.1/a");
    assert_eq!(url(b"/a", b"", b"::1", 8080, HTTP), "http://[::1]:8080/a");
    assert_eq!(url(b"*", b"x.org:81", b"10.0.0.1", 81, HTTP), "http://x.org:81");
    assert_eq!(url(b"*", b"", b"10.0.0.1", 81, HTTP), "http://10.0.0.1:81");
    assert_eq!(url(b"http://x.org/a", b"x.org", b"10.0.0.1", 81, HTTP), "http://x.org/a");
}

#[test]
fn a_websocket_over_what_a_proxy_says() {
    struct Proto(&'static str);
    impl HeaderFields for Proto {
        fn header(&self, name: &[u8]) -> Option<&[u8]> {
            [(&b"x-forwarded-proto"[..], self.0), (b"host", "x.org")]
                .iter()
                .find_map(|(known, value)| (*known == name && !value.is_empty()).then_some(value.as_bytes()))
        }
    }
    #[derive(Default)]
    struct Address(Vec<u8>, i64);
    impl Attributes for Address {
        fn text(&mut self, name: &[u8], text: &[u8]) {
            if name == URL_SCHEME {
                self.0 = text.into();
            }
        }
        fn pieces(&mut self, _: &[u8], _: &[&[u8]]) {}
        fn list(&mut self, _: &[u8], _: &[u8]) {}
        fn integer(&mut self, name: &[u8], number: i64) {
            if name == SERVER_PORT {
                self.1 = number;
            }
        }
    }
    for (scheme, said, expected) in [
        (WS, "", WS),
        (WSS, "", WSS),
        (WS, "https", WSS),
        (WS, "WSS", WSS),
        (WSS, "http", WS),
        (HTTP, "https", HTTPS),
        (HTTPS, "http", HTTP),
    ] {
        let request =
            Request { method: b"GET", target: b"/", version: b"1.1", scheme, peer: Peer::default() };
        let mut told = Address::default();
        describe_server(&mut told, &request, &Proto(said), ClientAddress::default());
        assert_eq!((told.0.as_slice(), told.1), (expected.0, i64::from(expected.1)), "{said}");
    }
}
