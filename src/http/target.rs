//! Where a request goes to, and what proxies say of it.

/// The parts of a request target (RFC 9112, section 3.2).
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Of the absolute form and of CONNECT.
    pub authority: &'a [u8],
    /// From the first slash on.
    pub path: &'a [u8],
    /// Behind the question mark.
    pub query: &'a [u8],
}

impl<'a> Target<'a> {
    /// Takes a target apart.
    #[must_use]
    pub fn of(target: &'a [u8]) -> Target<'a> {
        let (authority, rest) = match target.first() {
            Some(b'/' | b'*') | None => (&b""[..], target),
            _ => {
                let scheme = target.windows(3).position(|window| window == b"://");
                let after = scheme.and_then(|at| target.get(at.wrapping_add(3)..)).unwrap_or(target);
                let end = after.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(after.len());
                let (authority, rest) = after.split_at_checked(end).unwrap_or((after, b""));
                // What is before the last @ names the user.
                (authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default(), rest)
            }
        };
        let rest = rest.split(|byte| *byte == b'#').next().unwrap_or_default();
        match rest.iter().position(|byte| *byte == b'?').and_then(|mark| rest.split_at_checked(mark)) {
            Some((path, query)) => Target { authority, path, query: query.get(1..).unwrap_or_default() },
            None => Target { authority, path: rest, query: b"" },
        }
    }
}

/// A host and its port, if one is there.
#[must_use]
pub fn split_authority(authority: &[u8]) -> (&[u8], Option<u16>) {
    let (host, rest) = match authority.strip_prefix(b"[") {
        Some(v6) => match v6.iter().position(|byte| *byte == b']').and_then(|end| v6.split_at_checked(end)) {
            Some((host, rest)) => (host, rest.get(1..).unwrap_or_default()),
            None => return (authority, None),
        },
        None => match authority.iter().position(|byte| *byte == b':') {
            // Several colons without brackets are an IPv6 address, as `X-Forwarded-For` has them.
            Some(colon) if authority.iter().filter(|byte| **byte == b':').count() == 1 => {
                authority.split_at_checked(colon).unwrap_or((authority, b""))
            }
            _ => (authority, &b""[..]),
        },
    };
    let port = rest.strip_prefix(b":").and_then(crate::decimal::parse_u64).and_then(|port| u16::try_from(port).ok());
    (host, port)
}

/// The first item of a list in a header.
#[must_use]
pub fn first_of_list(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii()
}

/// A part of the first element of `Forwarded` (RFC 7239); empty where it has none.
#[must_use]
pub fn forwarded_part<'a>(value: &'a [u8], wanted: &[u8]) -> &'a [u8] {
    let element = value.split(|byte| *byte == b',').next().unwrap_or_default();
    let part = element.split(|byte| *byte == b';').find_map(|pair| {
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (sides.next()?.trim_ascii(), sides.next()?.trim_ascii());
        name.eq_ignore_ascii_case(wanted).then_some(value)
    });
    let part = part.unwrap_or_default();
    part.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(part)
}
