//! What the launcher tells the tracer inside of a program: the part of the configuration that matters there, as one text
//! that an environment variable can carry.
//!
//! Fifteen fields with 0x1f between: the format's number, service, environment, version, tags ([`Pairs`]), flags, the limits (three numbers),
//! the styles that are written and those that are read (names with commas between), the keys of baggage and the headers
//! that become tags (both with 0x1e between), the header that the client's address is in, and the rest is the text of [`HandedOn`]. Numbers are hexadecimal. No field but the last has a
//! control character of its own.

use crate::http::ClientAddress;
use crate::ids::parse_hex_u64;
use crate::propagation::{Dialect, ExtractBehaviour, Propagation, Style, Styles};
use crate::sampling::{Base, HandedOn, Pairs};

/// The variable's name.
pub const VARIABLE: &[u8] = b"_DDTRACE_TRACER";

/// How the path of the directory ends that the launcher puts in front of `PYTHONPATH`: Pythons run the `sitecustomize.py`
/// in it when they start.
pub const PYTHON_BOOTSTRAP: &[u8] = b"/ddtrace_run/bootstrap";

/// The longest text, in bytes: the longest rules with room for all else, within what the kernel takes as one variable
/// (128 KiB). A traced process keeps a copy, in memory that takes no room until it is used.
pub const MAX_LENGTH: usize = 96 * 1024;

const FORMAT: &[u8] = b"4";
const FIELD_END: u8 = 0x1f;
const KEY_END: u8 = 0x1e;

/// Trace ids have 128 bits.
const LONG_IDS: u64 = 1;
/// [`Propagation::extract_first`].
const EXTRACT_FIRST: u64 = 2;
/// [`Dialect::OpenTelemetry`].
const OPEN_TELEMETRY: u64 = 4;
/// [`ExtractBehaviour::Restart`].
const RESTART: u64 = 8;
/// [`ExtractBehaviour::Ignore`].
const IGNORE: u64 = 16;
/// [`Propagation::http_baggage`].
const HTTP_BAGGAGE: u64 = 32;
/// [`Native::On`].
const NATIVE: u64 = 64;
/// [`Native::Auto`].
const NATIVE_AUTO: u64 = 128;
/// [`ClientAddress::Resolved`].
const CLIENT_RESOLVED: u64 = 256;
/// [`ClientAddress::Hidden`].
const CLIENT_HIDDEN: u64 = 512;

/// Which programs' connections are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Native {
    /// No program's.
    Off,
    /// Those of programs that are not in a language whose libraries are traced by what is put into them: Python.
    #[default]
    Auto,
    /// Every program's.
    On,
}

/// The settings of the tracer inside of a process.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings<'a> {
    /// The service; empty where it is not known.
    pub service: &'a [u8],
    /// The deployment environment; empty for none.
    pub env: &'a [u8],
    /// The version of the service; empty for none.
    pub version: &'a [u8],
    /// Tags of every span, which sampling rules see as well.
    pub tags: Pairs<'a>,
    /// Whether new trace ids have 128 bits.
    pub trace_id_128_bit: bool,
    /// Whether the program's connections are looked at for requests.
    pub native: Native,
    /// How contexts are written and read.
    pub propagation: Propagation,
    /// Which members of the baggage become tags of local roots.
    pub baggage_tags: BaggageTags<'a>,
    /// Which headers become tags.
    pub header_tags: HeaderTags<'a>,
    /// Whose address is told of as the client's.
    pub client_address: ClientAddress<'a>,
    /// How traces are sampled.
    pub sampling: HandedOn<'a>,
}

/// The keys of baggage that become tags `baggage.<key>` of local roots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BaggageTags<'a>(&'a [u8]);

impl BaggageTags<'_> {
    /// Whether a key is among them. `*` stands for all.
    #[must_use]
    pub fn contains(self, key: &[u8]) -> bool {
        self.0.split(|byte| *byte == KEY_END).any(|wanted| wanted == b"*" || (!wanted.is_empty() && wanted == key))
    }
}

/// The headers of requests and answers that become tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeaderTags<'a>(&'a [u8]);

impl<'a> HeaderTags<'a> {
    /// Each header's name and the tag's; the latter is empty where the conventions name it.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.0.split(|byte| *byte == KEY_END).filter(|entry| !entry.is_empty()).map(header_tag)
    }
}

/// A header that becomes a tag, and the tag's name, as the configuration has them: `header` or `header:tag`.
#[must_use]
pub fn header_tag(entry: &[u8]) -> (&[u8], &[u8]) {
    let colon = entry.iter().position(|byte| *byte == b':').unwrap_or(entry.len());
    let (header, tag) = entry.split_at_checked(colon).unwrap_or((entry, b""));
    (header.trim_ascii(), tag.get(1..).unwrap_or_default().trim_ascii())
}

impl Default for Settings<'_> {
    /// What holds where nothing was handed on: Datadog's defaults.
    fn default() -> Self {
        Settings {
            service: b"",
            env: b"",
            version: b"",
            tags: Pairs::NONE,
            trace_id_128_bit: true,
            native: Native::Auto,
            propagation: Propagation::default(),
            baggage_tags: BaggageTags(b""),
            header_tags: HeaderTags(b""),
            client_address: ClientAddress::Conventional,
            sampling: HandedOn {
                base: Base::Agent,
                rate_limit: 100,
                respects_parent: true,
                rules: b"",
                span_rules: b"",
                service_names: Pairs::NONE,
            },
        }
    }
}

impl<'a> Settings<'a> {
    /// Reads the text; `None` for what another release or a stranger wrote.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Settings<'a>> {
        let mut fields = text.splitn(15, |byte| *byte == FIELD_END);
        if fields.next()? != FORMAT {
            return None;
        }
        let (service, env, version) = (fields.next()?, fields.next()?, fields.next()?);
        let tags = Pairs::of_text(fields.next()?);
        let flags = parse_hex_u64(fields.next()?)?;
        let mut limit = || u16::try_from(parse_hex_u64(fields.next()?)?).ok();
        let (tags_max_length, baggage_max_items, baggage_max_bytes) = (limit()?, limit()?, limit()?);
        let (inject, extract) = (styles(fields.next()?), styles(fields.next()?));
        let behaviour = match flags & (RESTART | IGNORE) {
            0 => ExtractBehaviour::Continue,
            RESTART => ExtractBehaviour::Restart,
            _ => ExtractBehaviour::Ignore,
        };
        Some(Settings {
            service,
            env,
            version,
            tags,
            trace_id_128_bit: flags & LONG_IDS != 0,
            native: match flags & (NATIVE | NATIVE_AUTO) {
                0 => Native::Off,
                NATIVE_AUTO => Native::Auto,
                _ => Native::On,
            },
            propagation: Propagation {
                inject,
                extract,
                dialect: if flags & OPEN_TELEMETRY != 0 { Dialect::OpenTelemetry } else { Dialect::Datadog },
                extract_first: flags & EXTRACT_FIRST != 0,
                behaviour,
                tags_max_length,
                http_baggage: flags & HTTP_BAGGAGE != 0,
                baggage_max_items,
                baggage_max_bytes,
            },
            baggage_tags: BaggageTags(fields.next()?),
            header_tags: HeaderTags(fields.next()?),
            client_address: match (fields.next()?, flags & (CLIENT_RESOLVED | CLIENT_HIDDEN)) {
                (_, 0) => ClientAddress::Conventional,
                (header, CLIENT_RESOLVED) => ClientAddress::Resolved(header),
                _ => ClientAddress::Hidden,
            },
            sampling: HandedOn::parse(fields.next()?)?,
        })
    }
}

fn styles(names: &[u8]) -> Styles {
    names.split(|byte| *byte == b',').filter_map(Style::from_name).collect()
}

#[cfg(feature = "std")]
mod write;
#[cfg(feature = "std")]
pub use write::{Given, Shortened};

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::sampling::SamplingConfig;
    use crate::sampling::rules::parse_json;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;
    use std::{format, vec};

    fn given<'a>(propagation: &'a Propagation, tags: &'a [String], sampling: &'a SamplingConfig) -> Given<'a> {
        Given {
            service: "shop",
            env: "prod",
            version: "1.2",
            tags: &[],
            trace_id_128_bit: true,
            native: Native::On,
            propagation,
            baggage_tags: tags,
            header_tags: tags,
            client_address: ClientAddress::Resolved(b"x-own"),
            sampling,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let sampling = SamplingConfig {
            rules: parse_json(r#"[{"service":"a*","sample_rate":0.25,"tags":{"k":"v"}},{"sample_rate":1}]"#).0,
            rate_limit: -1,
            base: Base::Rate(0.5),
            respects_parent: false,
            ..SamplingConfig::default()
        };
        let tags = vec![String::from("user.id"), String::from("a,b")];
        for behaviour in [ExtractBehaviour::Continue, ExtractBehaviour::Restart, ExtractBehaviour::Ignore] {
            let propagation = Propagation {
                inject: Style::ALL.into_iter().collect(),
                extract: [Style::B3, Style::Baggage].into_iter().collect(),
                dialect: Dialect::OpenTelemetry,
                extract_first: true,
                behaviour,
                tags_max_length: 0,
                http_baggage: behaviour == ExtractBehaviour::Restart,
                baggage_max_items: 7,
                baggage_max_bytes: 65535,
            };
            let team = [(String::from("team"), String::from("core"))];
            let (text, shortened) = Given { tags: &team, ..given(&propagation, &tags, &sampling) }.to_text();
            assert_eq!(shortened, None);
            assert!(!text.contains('\0'), "an environment carries no NUL");
            let read = Settings::parse(text.as_bytes()).unwrap();
            assert_eq!((read.service, read.env, read.version), (&b"shop"[..], &b"prod"[..], &b"1.2"[..]));
            assert_eq!(read.tags.get(b"team"), Some(&b"core"[..]));
            assert_eq!(read.propagation, propagation);
            assert!(read.trace_id_128_bit && read.native == Native::On);
            assert!(read.baggage_tags.contains(b"a,b") && !read.baggage_tags.contains(b"a"));
            let headers: Vec<_> = read.header_tags.iter().collect();
            assert_eq!(headers, [(&b"user.id"[..], &b""[..]), (b"a,b", b"")]);
            assert_eq!(read.client_address, ClientAddress::Resolved(b"x-own"));
            assert_eq!(Some(read.sampling), HandedOn::parse(sampling.to_compact().as_bytes()), "it has no rules for spans");
            assert_eq!(read.sampling.rules, sampling.rules.to_compact().as_bytes());
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_configuration() {
        let (text, _) = Given {
            service: "",
            env: "",
            version: "",
            tags: &[],
            trace_id_128_bit: true,
            native: Native::Auto,
            propagation: &Propagation::default(),
            baggage_tags: &[],
            header_tags: &[],
            client_address: ClientAddress::Conventional,
            sampling: &SamplingConfig::default(),
        }
        .to_text();
        assert_eq!(Settings::parse(text.as_bytes()), Some(Settings::default()));
    }

    #[test]
    fn no_key_is_no_tag_and_a_star_is_all() {
        assert!(!BaggageTags(b"").contains(b""));
        assert!(!BaggageTags(b"").contains(b"a"));
        assert!(BaggageTags(b"*").contains(b"a"));
        let headers: Vec<_> = HeaderTags(b"x-id\x1eX-Tenant: tenant\x1e\x1ea:b:c").iter().collect();
        assert_eq!(headers, [(&b"x-id"[..], &b""[..]), (b"X-Tenant", b"tenant"), (b"a", b"b:c")]);
    }

    #[test]
    fn the_longest_rules_have_room_and_tags_without_it_are_left_out() {
        let rules = vec![format!(r#"{{"service":"{}","sample_rate":0}}"#, "s".repeat(2000)); 32].join(",");
        let rules = parse_json(&format!("[{rules}]")).0;
        assert!(rules.to_compact().len() > 60_000);
        let sampling = SamplingConfig { rules, ..SamplingConfig::default() };
        let propagation = Propagation::default();
        let long = "x".repeat(1000);
        let keys = vec![long.clone(); 100];
        let all = Given { service: &long, env: &long, version: &long, ..given(&propagation, &keys, &sampling) };
        let (text, shortened) = all.to_text();
        assert!(shortened.is_none() && text.len() < MAX_LENGTH);
        let tags = vec![(long.clone(), long.clone()); 40];
        let (text, shortened) = Given { tags: &tags, ..all }.to_text();
        assert_eq!(shortened, Some(Shortened));
        assert!(text.len() < MAX_LENGTH);
        let read = Settings::parse(text.as_bytes()).unwrap();
        assert_eq!((read.tags, read.sampling.rules), (Pairs::NONE, sampling.rules.to_compact().as_bytes()));
    }

    #[test]
    fn a_service_has_no_separator() {
        let (propagation, sampling) = (Propagation::default(), SamplingConfig::default());
        let (text, _) = Given { service: "a\u{1f}b\u{1e}c", ..given(&propagation, &[], &sampling) }.to_text();
        assert_eq!(Settings::parse(text.as_bytes()).unwrap().service, b"a_b_c");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Settings::parse(&bytes);
            let fields: Vec<u8> = [&b"4\x1f"[..], &bytes].concat();
            let _ = Settings::parse(&fields);
        }
    }
}
