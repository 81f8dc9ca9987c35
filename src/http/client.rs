//! Whose address is told of as the client's, where proxies are in between.

use super::{HeaderFields, Peer, first_of_list, forwarded_part, split_authority};

/// The headers in which proxies tell of it, in the order in which Datadog's tracers look for them.
const HEADERS: [&[u8]; 10] = [
    b"x-forwarded-for",
    b"x-real-ip",
    b"true-client-ip",
    b"x-client-ip",
    b"forwarded",
    b"forwarded-for",
    b"x-cluster-client-ip",
    b"fastly-client-ip",
    b"cf-connecting-ip",
    b"cf-connecting-ipv6",
];

/// By which rule the address is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientAddress<'a> {
    /// That of OpenTelemetry's conventions: whom `Forwarded` or `X-Forwarded-For` names first, else the other end of the connection.
    #[default]
    Conventional,
    /// That of Datadog's tracers: the first public address in the first header there is of those that proxies use, or in the
    /// one of this name (in lower case) alone. Where there is none the other end of the connection, unless the header has a
    /// private one and that is private as well.
    Resolved(&'a [u8]),
    /// It is not told of.
    Hidden,
}

impl ClientAddress<'_> {
    /// The address; empty where there is none to tell of.
    #[must_use]
    pub fn of<'a>(self, headers: &'a impl HeaderFields, peer: &Peer<'a>) -> &'a [u8] {
        let own = if peer.is_unix { b"" } else { peer.address };
        match self {
            ClientAddress::Hidden => b"",
            ClientAddress::Conventional => {
                let header = |name: &[u8]| headers.header(name).unwrap_or_default();
                let (forwarded, list) = (header(b"forwarded"), header(b"x-forwarded-for"));
                let named = if forwarded.is_empty() { b"" } else { forwarded_part(forwarded, b"for") };
                let named = if named.is_empty() { first_of_list(list) } else { named };
                if named.is_empty() { own } else { split_authority(named).0 }
            }
            ClientAddress::Resolved(b"") => {
                let first = HEADERS.iter().find_map(|name| headers.header(name));
                resolved(first.unwrap_or_default(), own)
            }
            ClientAddress::Resolved(name) => resolved(headers.header(name).unwrap_or_default(), own),
        }
    }
}

fn resolved<'a>(list: &'a [u8], own: &'a [u8]) -> &'a [u8] {
    let mut private: &[u8] = b"";
    for element in list.split(|byte| *byte == b',') {
        let address = address_of(element.trim_ascii());
        match is_public(address) {
            Some(true) => return address,
            Some(false) if private.is_empty() => private = address,
            _ => {}
        }
    }
    if private.is_empty() || is_public(own) == Some(true) { own } else { private }
}

/// The address in an element of such a header: as it is, with a port, or as `Forwarded` has it.
fn address_of(element: &[u8]) -> &[u8] {
    let element = if element.contains(&b'=') { forwarded_part(element, b"for") } else { element };
    // One of version 6 without brackets has colons of its own.
    if is_public(element).is_some() { element } else { split_authority(element).0 }
}

/// Whether an address can be reached from anywhere, by the registries of IANA; `None` for what is none.
#[inline(never)]
fn is_public(address: &[u8]) -> Option<bool> {
    if let Some(address) = parse_4(address) {
        return Some(is_public_4(address));
    }
    let address = parse_6(address)?;
    let [first, second, third] = [112, 96, 80].map(|shift| (address >> shift) & 0xffff);
    // Version 4 within version 6.
    if address >> 32 == 0xffff {
        return Some(is_public_4(address as u32));
    }
    // Nobody's and this host.
    let is_special = address < 2
        // Unique local, and of the link.
        || first & 0xfe00 == 0xfc00
        || first & 0xffc0 == 0xfe80
        // To be discarded, for translation at home, for protocols and documents, and of version 4.
        || (first == 0x100 && second == 0)
        || (first == 0x64 && second == 0xff9b && third == 1)
        || (first == 0x2001 && (second < 0x200 || second == 0xdb8))
        || first == 0x2002
        || (first == 0x3fff && second < 0x1000);
    Some(!is_special)
}

fn is_public_4(address: u32) -> bool {
    let [first, second, third, _] = address.to_be_bytes();
    let is_special = match first {
        // This network, this host, private ones, and what is reserved.
        0 | 10 | 127 | 240.. => true,
        // Carriers' own.
        100 => second & 0xc0 == 64,
        169 => second == 254,
        172 => second & 0xf0 == 16,
        // Private ones, protocols, documents, benchmarks.
        192 => second == 168 || (second == 0 && matches!(third, 0 | 2)),
        198 => second & 0xfe == 18 || (second == 51 && third == 100),
        203 => second == 0 && third == 113,
        _ => false,
    };
    !is_special
}

/// An address of version 4. That of the standard library can panic, for all that the compiler sees.
#[inline(never)]
fn parse_4(text: &[u8]) -> Option<u32> {
    let (mut address, mut count) = (0, 0);
    for part in text.split(|byte| *byte == b'.') {
        let number = number(part, 10, 3).filter(|number| *number < 256 && (part.len() == 1 || !part.starts_with(b"0")))?;
        address = (address << 8) | number;
        count += 1;
    }
    (count == 4).then_some(address)
}

/// An address of version 6, without a zone.
fn parse_6(text: &[u8]) -> Option<u128> {
    let Some(gap) = text.windows(2).position(|pair| pair == b"::") else {
        let (address, count) = groups(text)?;
        return (count == 8).then_some(address);
    };
    let (before, after) = text.split_at_checked(gap)?;
    let ((high, before), (low, after)) = (groups_or_none(before)?, groups_or_none(after.get(2..)?)?);
    (before + after < 8).then(|| high.checked_shl(16 * (8 - before)).unwrap_or(0) | low)
}

fn groups_or_none(text: &[u8]) -> Option<(u128, u32)> {
    if text.is_empty() { Some((0, 0)) } else { groups(text) }
}

/// Groups of 16 bits, of which the last two may be written as version 4, and how many they are.
#[inline(never)]
fn groups(text: &[u8]) -> Option<(u128, u32)> {
    let (mut address, mut count, mut is_over) = (0, 0, false);
    for part in text.split(|byte| *byte == b':') {
        if is_over || count > 7 {
            return None;
        }
        if let Some(last) = parse_4(part) {
            address = (address << 32) | u128::from(last);
            count += 2;
            is_over = true;
        } else {
            address = (address << 16) | u128::from(number(part, 16, 4)?);
            count += 1;
        }
    }
    (count <= 8).then_some((address, count))
}

/// A number of so many digits at most.
fn number(text: &[u8], radix: u32, longest: usize) -> Option<u32> {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix);
    let number = text.iter().try_fold(0, |number: u32, byte| number.wrapping_mul(radix).checked_add(digit(byte)?));
    number.filter(|_| (1..=longest).contains(&text.len()))
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    struct Fields(Vec<(String, String)>);

    impl HeaderFields for Fields {
        fn header(&self, name: &[u8]) -> Option<&[u8]> {
            self.0.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, value)| value.as_bytes())
        }
    }

    fn client(rule: ClientAddress<'_>, headers: &[(&str, &str)], peer: &str) -> String {
        let headers = Fields(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect());
        let peer = Peer { address: peer.as_bytes(), port: Some(1), is_unix: false };
        String::from_utf8_lossy(rule.of(&headers, &peer)).into_owned()
    }

    #[test]
    fn public_addresses_come_before_private_ones() {
        for (value, peer, expected) in [
            ("8.8.8.8", "10.0.0.1", "8.8.8.8"),
            ("10.0.0.7, 8.8.8.8, 9.9.9.9", "10.0.0.1", "8.8.8.8"),
            (" 192.168.1.1 ,unknown", "10.0.0.1", "192.168.1.1"),
            ("192.168.1.1", "8.8.8.8", "8.8.8.8"),
            ("", "10.0.0.1", "10.0.0.1"),
            ("unknown, _hidden", "10.0.0.1", "10.0.0.1"),
            ("1.2.3.4:5678", "10.0.0.1", "1.2.3.4"),
            ("[2607:f8b0::1]:443", "10.0.0.1", "2607:f8b0::1"),
            ("2607:f8b0::1", "10.0.0.1", "2607:f8b0::1"),
            ("fe80::1, fd00::2, ::1", "127.0.0.1", "fe80::1"),
            ("::ffff:10.0.0.1, ::ffff:8.8.4.4", "127.0.0.1", "::ffff:8.8.4.4"),
            ("100.64.1.1, 198.18.0.1, 192.0.0.9, 203.0.113.1, 255.255.255.255, 0.1.1.1, 1.1.1.1", "::1", "1.1.1.1"),
            ("2001:db8::1, 2002::1, 100::1, 64:ff9b:1::1, 2001::1, 3fff::1, 2a00::1", "::1", "2a00::1"),
            ("256.1.1.1, 1.2.3, ::::, 01.2.3.4", "10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(client(ClientAddress::Resolved(b""), &[("x-real-ip", value)], peer), expected, "{value}");
            assert_eq!(client(ClientAddress::Resolved(b"x-own"), &[("x-own", value)], peer), expected, "{value}");
        }
    }

    #[test]
    fn the_first_header_counts_and_one_that_is_named_alone() {
        let headers = [("cf-connecting-ip", "9.9.9.9"), ("forwarded", "by=1.1.1.1;For=\"[2a00::1]:8\";proto=https"), ("x-own", "8.8.8.8")];
        assert_eq!(client(ClientAddress::Resolved(b""), &headers, "::1"), "2a00::1");
        assert_eq!(client(ClientAddress::Resolved(b""), &headers[..1], "::1"), "9.9.9.9");
        assert_eq!(client(ClientAddress::Resolved(b"x-own"), &headers, "::1"), "8.8.8.8");
        assert_eq!(client(ClientAddress::Resolved(b"x-other"), &headers, "::1"), "::1");
        assert_eq!(client(ClientAddress::Resolved(b""), &[("x-forwarded-for", ""), headers[0]], "::1"), "::1");
    }

    #[test]
    fn by_the_conventions_the_first_one_counts_and_what_is_hidden_is_hidden() {
        let headers = [("x-forwarded-for", "10.0.0.7, 8.8.8.8"), ("forwarded", "for=_secret:1, for=9.9.9.9")];
        assert_eq!(client(ClientAddress::Conventional, &headers, "::1"), "_secret");
        assert_eq!(client(ClientAddress::Conventional, &headers[..1], "::1"), "10.0.0.7");
        assert_eq!(client(ClientAddress::Conventional, &[], "::1"), "::1");
        assert_eq!(client(ClientAddress::Hidden, &headers, "::1"), "");
        let unix = Peer { address: b"/socket", port: None, is_unix: true };
        assert_eq!(ClientAddress::Resolved(b"").of(&Fields(Vec::new()), &unix), b"");
    }

    proptest! {
        /// What is an address is one for the standard library, and the other way round.
        #[test]
        fn addresses_are_those_of_the_standard_library(text in "[0-9a-f:.]{0,20}|([0-9a-f]{0,5}:){0,9}[0-9a-f.]{0,9}|([0-9]{1,4}\\.){3}[0-9]{1,3}") {
            let four = text.parse::<std::net::Ipv4Addr>().ok().map(u32::from);
            prop_assert_eq!(parse_4(text.as_bytes()), four, "{}", text);
            let six = text.parse::<std::net::Ipv6Addr>().ok().map(u128::from);
            prop_assert_eq!(parse_6(text.as_bytes()), six, "{}", text);
        }

        #[test]
        fn addresses_as_they_are_written_are_read(six in any::<std::net::Ipv6Addr>(), four in any::<std::net::Ipv4Addr>(), cut in 0..9u32) {
            let zeros = u128::from(six) & u128::MAX.checked_shl(16 * cut).unwrap_or(0);
            for address in [six, zeros.into(), (zeros >> (16 * (cut / 2))).into(), four.to_ipv6_mapped(), four.to_ipv6_compatible()] {
                prop_assert_eq!(parse_6(std::format!("{address}").as_bytes()), Some(u128::from(address)));
            }
            prop_assert_eq!(parse_4(std::format!("{four}").as_bytes()), Some(u32::from(four)));
        }

        /// Whatever somebody sends: it is an address of theirs, or that of the connection.
        #[test]
        fn what_is_told_is_an_address(value in "[0-9a-f:., \\[\\]\"=;for]{0,40}", at in 0..HEADERS.len()) {
            let name = String::from_utf8(HEADERS[at].to_vec()).unwrap();
            let told = client(ClientAddress::Resolved(b""), &[(&name, &value)], "10.0.0.1");
            prop_assert!(told.parse::<core::net::IpAddr>().is_ok(), "{told}");
            prop_assert!(told == "10.0.0.1" || value.contains(&told));
        }
    }
}
