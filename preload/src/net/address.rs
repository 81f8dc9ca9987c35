//! Addresses of sockets, as the kernel writes them and as attributes show them.

use ddtrace::context::Bounded;
use ddtrace::decimal::Decimal;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A `sockaddr` of TCP or of a Unix socket.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    bytes: [u8; 112],
    length: u8,
}

/// An address as text.
pub(crate) type Text = Bounded<112>;

impl Address {
    pub(crate) const UNKNOWN: Address = Address { bytes: [0; 112], length: 0 };

    /// What the kernel or the program wrote; `None` where it is of another family.
    pub(crate) fn of(sockaddr: &[u8]) -> Option<Address> {
        let family = u16::from_le_bytes(*sockaddr.first_chunk()?);
        let most = match family {
            AF_UNIX => 110,
            AF_INET => 16,
            AF_INET6 => 28,
            _ => return None,
        };
        let used = sockaddr.get(..sockaddr.len().min(most))?;
        let mut address = Address { bytes: [0; 112], length: used.len() as u8 };
        address.bytes.get_mut(..used.len())?.copy_from_slice(used);
        Some(address)
    }

    fn family(&self) -> u16 {
        let [low, high, ..] = self.bytes;
        if self.length == 0 { 0 } else { u16::from_le_bytes([low, high]) }
    }

    pub(crate) fn is_known(&self) -> bool {
        self.length != 0
    }

    pub(crate) fn is_unix(&self) -> bool {
        self.family() == AF_UNIX
    }

    /// The port, of TCP.
    pub(crate) fn port(&self) -> Option<u16> {
        let [_, _, high, low, ..] = self.bytes;
        matches!(self.family(), AF_INET | AF_INET6).then(|| u16::from_be_bytes([high, low]))
    }

    /// Whether this is the end of a TCP connection with that IPv6 address, of IPv4 the mapped one, and port.
    pub(crate) fn is(&self, address: &[u8; 16], port: u16) -> bool {
        let is_there = match self.family() {
            AF_INET => match address {
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4 @ ..] => self.bytes.get(4..8) == Some(v4),
                _ => false,
            },
            AF_INET6 => self.bytes.get(8..24) == Some(address),
            _ => false,
        };
        is_there && self.port() == Some(port)
    }

    /// The IP address, or the path of a Unix socket (which may be empty).
    pub(crate) fn text(&self) -> Text {
        let mut text = Text::new();
        match self.family() {
            AF_INET => self.bytes.get(4..8).map_or((), |bytes| put_v4(&mut text, bytes)),
            AF_INET6 => match self.bytes.get(8..24) {
                Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, mapped @ ..]) => put_v4(&mut text, mapped),
                Some(bytes) => put_v6(&mut text, bytes),
                None => {}
            },
            AF_UNIX => {
                let path = self.bytes.get(2..usize::from(self.length)).unwrap_or_default();
                // Names that are no paths begin with a NUL.
                let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
                let _ = text.push(path);
            }
            _ => {}
        }
        text
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
