//! Addresses of sockets, as the kernel writes them and as attributes show them.

use ddtrace::context::Bounded;
use ddtrace::decimal::Decimal;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// The address of a TCP or Unix socket, as attributes show it: it is told with each request, and does not change.
#[derive(Clone)]
pub(crate) struct Address {
    family: u16,
    port: u16,
    /// Of IPv4 the mapped one.
    ip: [u8; 16],
    text: Text,
}

/// An address as text; a path has at most so many bytes.
pub(crate) type Text = Bounded<108>;

impl Address {
    pub(crate) const UNKNOWN: Address = Address { family: 0, port: 0, ip: [0; 16], text: Text::new() };

    /// What the kernel or the program wrote; `None` where it is of another family.
    pub(crate) fn of(sockaddr: &[u8]) -> Option<Address> {
        let family = u16::from_le_bytes(*sockaddr.first_chunk()?);
        if family == AF_UNIX {
            let path = sockaddr.get(2..sockaddr.len().min(110))?;
            let mut text = Text::new();
            // Names that are no paths begin with a NUL.
            let _ = text.push(path.split(|byte| *byte == 0).next().unwrap_or_default());
            return Some(Address { family, ip: [0; 16], port: 0, text });
        }
        let most = match family {
            AF_INET => 16,
            AF_INET6 => 28,
            _ => return None,
        };
        // What is missing is zero.
        let mut bytes = [0u8; 28];
        for (to, from) in bytes.iter_mut().take(most).zip(sockaddr) {
            *to = *from;
        }
        let [_, _, high, low, a, b, c, d, v6 @ ..] = bytes;
        let ip = match v6 {
            _ if family == AF_INET => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d],
            [v6 @ .., _, _, _, _] => v6,
        };
        let mut text = Text::new();
        match &ip {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4 @ ..] => put_v4(&mut text, v4),
            v6 => put_v6(&mut text, v6),
        }
        Some(Address { family, port: u16::from_be_bytes([high, low]), ip, text })
    }

    pub(crate) fn is_known(&self) -> bool {
        self.family != 0
    }

    pub(crate) fn is_unix(&self) -> bool {
        self.family == AF_UNIX
    }

    /// The port, of TCP.
    pub(crate) fn port(&self) -> Option<u16> {
        matches!(self.family, AF_INET | AF_INET6).then_some(self.port)
    }

    /// Whether this is the end of a TCP connection with that IPv6 address, of IPv4 the mapped one, and port.
    pub(crate) fn is(&self, address: &[u8; 16], port: u16) -> bool {
        self.port() == Some(port) && self.ip == *address
    }

    /// The IP address, or the path of a Unix socket (which may be empty).
    pub(crate) fn text(&self) -> &Text {
        &self.text
    }
}

fn put_v4(text: &mut Text, bytes: &[u8]) {
    for (position, byte) in bytes.iter().enumerate() {
        if position > 0 {
            let _ = text.push(b".");
        }
        let _ = text.push(Decimal::of(u64::from(*byte)).as_bytes());
    }
}

/// The form of RFC 5952: lower case, no leading zeros, the longest run of zeros as `::`.
fn put_v6(text: &mut Text, bytes: &[u8]) {
    let (groups, _) = bytes.as_chunks::<2>();
    let is_zero = |index: usize| groups.get(index).is_some_and(|group| *group == [0, 0]);
    let run = |start: usize| (start..8).take_while(|index| is_zero(*index)).count();
    let (mut longest, mut begins) = (1, 8);
    for start in 0..8usize {
        if run(start) > longest {
            (longest, begins) = (run(start), start);
        }
    }
    let ends = begins.saturating_add(if begins == 8 { 0 } else { longest });
    for (index, group) in groups.iter().enumerate() {
        if index == begins {
            let _ = text.push(b"::");
        }
        if (begins..ends).contains(&index) {
            continue;
        }
        if index > 0 && index != ends {
            let _ = text.push(b":");
        }
        let number = u16::from_be_bytes(*group);
        let mut is_leading = true;
        for shift in [12, 8, 4, 0] {
            let digit = (number >> shift & 0xf) as u8;
            is_leading = is_leading && digit == 0 && shift != 0;
            if !is_leading {
                let letter =
                    if digit < 10 { b'0'.wrapping_add(digit) } else { b'a'.wrapping_sub(10).wrapping_add(digit) };
                let _ = text.push(&[letter]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::string::ToString;
    use std::vec::Vec;

    fn v6(address: Ipv6Addr) -> Address {
        let bytes = [&[10, 0, 0x1f, 0x90, 0, 0, 0, 0][..], &address.octets(), &[0; 4]].concat();
        Address::of(&bytes).unwrap()
    }

    #[test]
    fn unix_sockets_and_others() {
        let unix = |path: &[u8]| Address::of(&[&[1, 0][..], path].concat()).unwrap();
        assert_eq!(unix(b"/run/x.sock\0").text().as_str(), "/run/x.sock");
        assert_eq!(unix(b"\0abstract").text().as_str(), "");
        assert!(unix(b"").is_unix() && unix(b"").port().is_none());
        assert!(Address::of(&[16, 0, 0, 0]).is_none() && Address::of(&[2]).is_none());
        assert_eq!(Address::UNKNOWN.text().as_str(), "");
        assert_eq!(Address::of(&[2, 0, 0, 80]).unwrap().text().as_str(), "0.0.0.0", "what is missing is zero");
    }

    proptest! {
        #[test]
        fn ip_addresses_are_as_the_standard_library_shows_them(v4: u32, groups: Vec<bool>, bits: u128) {
            let v4 = Ipv4Addr::from(v4);
            let address = Address::of(&[&[2, 0, 0x1f, 0x90][..], &v4.octets()].concat()).unwrap();
            prop_assert_eq!(address.text().as_str().to_string(), v4.to_string());
            prop_assert_eq!(address.port(), Some(8080));
            let mapped = v4.to_ipv6_mapped().octets();
            prop_assert!(address.is(&mapped, 8080) && !address.is(&mapped, 8081) && !address.is(&[0xff; 16], 8080));
            let mask = (0..8).fold(0u128, |mask, group| {
                let kept = if groups.get(group).copied().unwrap_or(false) { 0xffff } else { 0 };
                mask << 16 | kept
            });
            let address = Ipv6Addr::from(bits & mask);
            let expected = address.to_ipv4_mapped().map_or_else(|| address.to_string(), |mapped| mapped.to_string());
            // The library shows `::1.2.3.4` for what is IPv4-compatible, which nobody uses any more.
            if !expected.contains('.') || address.to_ipv4_mapped().is_some() {
                prop_assert_eq!(v6(address).text().as_str().to_string(), expected);
            }
            prop_assert_eq!(v6(address).port(), Some(8080));
            prop_assert!(v6(address).is(&address.octets(), 8080) && !v6(address).is(&address.octets(), 80));
        }
    }
}
