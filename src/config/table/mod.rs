//! The table of settings: each is declared once, and parsing, help, documentation, the example file and `--info`
//! all come from here.
//!
//! To add a setting: add its [`Id`], its row in the file of its group, and take its value in `assemble.rs`; then
//! renew the documents (`UPDATE_DOCS=1 cargo test -p ddtrace config::docs`).

mod destination;
mod identity;
mod limits;
mod obfuscation;
mod operation;
mod otlp;
mod propagation;
mod sampling;
mod spans;

/// Names a setting; the order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described by the help line of its row")]
#[repr(u8)]
pub enum Id {
    Service,
    Env,
    Version,
    Tags,
    ServiceMapping,
    SpanAttributeSchema,
    PeerServiceDefaults,
    PeerServiceMapping,
    ReportHostname,
    Hostname,
    GitMetadata,
    GitRepositoryUrl,
    GitCommitSha,
    MainPackage,
    ProcessTags,
    ExternalEnv,
    Enabled,
    Exporter,
    AgentUrl,
    AgentHost,
    AgentPort,
    AgentTimeout,
    AgentMaxPayload,
    FlushInterval,
    OtlpEndpoint,
    OtlpTracesEndpoint,
    OtlpProtocol,
    OtlpHeaders,
    OtlpCompression,
    OtlpTimeout,
    OtlpCertificate,
    OtlpClientKey,
    OtlpClientCertificate,
    OtlpInsecure,
    ProcessSpans,
    TraceId128Bit,
    PartialFlush,
    PartialFlushMinSpans,
    Denylist,
    InjectClearedEnv,
    PythonProvider,
    OtelProvider,
    LogsInjection,
    NativeSpanEvents,
    Native,
    HeaderTags,
    ClientIp,
    ClientIpHeader,
    ServerErrorStatuses,
    SamplingRules,
    SamplingRate,
    SamplingRateLimit,
    SpanSamplingRules,
    SpanSamplingRulesFile,
    Sampler,
    SamplerArgument,
    PropagationStyles,
    PropagationInject,
    PropagationExtract,
    PropagationExtractFirst,
    PropagationBehaviour,
    TagsMaxLength,
    HttpBaggage,
    BaggageTagKeys,
    BaggageMaxItems,
    BaggageMaxBytes,
    ObfuscateQueryString,
    ObfuscateSql,
    ServerQueryString,
    ClientQueryString,
    AttributeCount,
    AttributeLength,
    SpanAttributeCount,
    SpanAttributeLength,
    EventCount,
    LinkCount,
    EventAttributeCount,
    LinkAttributeCount,
    Debug,
    LogLevel,
    LogFile,
    StateDir,
    LocalMaxBytes,
    SpoolMaxBytes,
    MemoryMaxBytes,
    ShutdownTimeout,
}

/// How many settings there are.
pub const COUNT: usize = Id::ShutdownTimeout as usize + 1;

/// What values a setting takes, and how they are spelled in each dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A truth value.
    Bool,
    /// A whole number; one outside of the range is taken to its nearer end.
    Number {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A whole number; a negative one is as good as none, one that is too large is taken to the largest.
    Limit {
        /// The largest.
        max: u64,
    },
    /// A TCP port, 1 to 65535.
    Port,
    /// A size in bytes; one outside of the range is taken to its nearer end.
    Bytes {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A span of time: seconds in `DD_*`, milliseconds in `OTEL_*`; outside of the range is taken to its nearer end.
    Duration {
        /// The shortest, in milliseconds.
        min: u64,
        /// The longest, in milliseconds.
        max: u64,
    },
    /// A share from 0 to 1; one outside of the range is taken to its nearer end.
    Rate,
    /// A whole number, below 0 for no limit.
    PerSecond,
    /// A JSON list of sampling rules; in files a list of tables as well.
    Rules,
    /// One of several names, in any letter case.
    Choice(&'static Names),
    /// Several of several names, in any letter case.
    Choices(&'static Names),
    /// Texts, separated by commas.
    List,
    /// A path of the file system.
    Path,
    /// Keys and values: the grammar of `DD_TAGS`, of `OTEL_RESOURCE_ATTRIBUTES`, or a table.
    Tags,
    /// Names and values of request headers.
    Headers,
    /// The address of a Datadog Agent.
    AgentUrl,
    /// A host name or address.
    Host,
    /// The address of an OTLP receiver.
    Endpoint,
    /// The address of a source repository, shown and kept without credentials.
    Repository,
}

/// The names that a [`Kind::Choice`] accepts.
#[derive(Debug, PartialEq, Eq)]
pub struct Names {
    /// The names that are documented.
    pub names: &'static [&'static str],
    /// Other spellings, and which of the names they mean.
    pub aliases: &'static [(&'static str, &'static str)],
}

/// A variable of OpenTelemetry and how it speaks about a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtelName {
    /// The variable.
    pub name: &'static str,
    /// How its value is understood.
    pub reading: Reading,
}

/// How the value of an `OTEL_*` variable is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As a value of the setting's kind.
    Plain,
    /// As the opposite truth value (`OTEL_SDK_DISABLED`).
    Inverted,
    /// As exporters, of which `none` means "not enabled".
    ExporterSwitch,
    /// As exporters.
    ExporterChoice,
    /// As exporters of which some name a protocol as well (`otlp_proto_grpc`).
    ExporterProtocol,
    /// As a log level of which only `debug` says something (Datadog's mapping to `DD_TRACE_DEBUG`).
    DebugLevel,
}

/// To which dialects' variables a value is written for the children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOn {
    /// To none.
    Never,
    /// To the `DD_*` variable.
    Datadog,
    /// To the `OTEL_*` variable.
    Otel,
    /// To both.
    Both,
}

impl HandOn {
    /// Whether `DD_*` is written.
    #[must_use]
    pub const fn datadog(self) -> bool {
        matches!(self, Self::Datadog | Self::Both)
    }

    /// Whether `OTEL_*` is written.
    #[must_use]
    pub const fn otel(self) -> bool {
        matches!(self, Self::Otel | Self::Both)
    }
}

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its identity.
    pub id: Id,
    /// Its key in `ddtrace.toml` and on the command line; dots are tables.
    pub key: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// The default as it would be written in `ddtrace.toml`, without quotes; empty where there is none.
    pub default: &'static str,
    /// What happens where there is neither a value nor a default.
    pub unset: &'static str,
    /// Its Datadog variables, strongest first.
    pub dd: &'static [&'static str],
    /// Its OpenTelemetry variables, strongest first.
    pub otel: &'static [OtelName],
    /// The key within `DD_TAGS` that gives it where nothing else does.
    pub tag: &'static str,
    /// The keys within `OTEL_RESOURCE_ATTRIBUTES` that give it where nothing else does, strongest first.
    pub resource: &'static [&'static str],
    /// Whether its value is never shown.
    pub secret: bool,
    /// Where it is written for the children.
    pub hand_on: HandOn,
    /// One line of help.
    pub help: &'static str,
    /// A value for the example file, in TOML.
    pub example: &'static str,
}

impl Setting {
    /// A row to fill: no variables, no default, not secret, not handed on.
    const BLANK: Self = Self {
        id: Id::Service,
        key: "",
        kind: Kind::Text,
        default: "",
        unset: "",
        dd: &[],
        otel: &[],
        tag: "",
        resource: &[],
        secret: false,
        hand_on: HandOn::Never,
        help: "",
        example: "",
    };
}

const fn plain(name: &'static str) -> OtelName {
    OtelName { name, reading: Reading::Plain }
}

const fn read_as(name: &'static str, reading: Reading) -> OtelName {
    OtelName { name, reading }
}

/// Settings that belong together.
#[derive(Debug)]
pub struct Group {
    /// Heading in the documents.
    pub title: &'static str,
    /// The settings.
    pub settings: &'static [Setting],
}

/// All settings.
pub const GROUPS: [Group; 9] = [
    Group { title: "What is traced: names and tags", settings: identity::SETTINGS },
    Group { title: "Where spans go", settings: destination::SETTINGS },
    Group { title: "OTLP receiver", settings: otlp::SETTINGS },
    Group { title: "Which spans there are", settings: spans::SETTINGS },
    Group { title: "Which traces are kept", settings: sampling::SETTINGS },
    Group { title: "How context travels", settings: propagation::SETTINGS },
    Group { title: "What is hidden in spans", settings: obfuscation::SETTINGS },
    Group { title: "Limits of spans", settings: limits::SETTINGS },
    Group { title: "Operation", settings: operation::SETTINGS },
];

/// All settings in the order of their [`Id`]s.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings.iter())
}

/// The setting with this key of `ddtrace.toml`.
#[must_use]
pub fn by_key(key: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_lie_in_the_order_of_their_ids() {
        assert_eq!(settings().count(), COUNT);
        for (position, setting) in settings().enumerate() {
            assert_eq!(setting.id as usize, position, "{}", setting.key);
        }
    }

    #[test]
    fn keys_and_variables_are_unique_and_well_formed() {
        let mut keys = BTreeSet::new();
        let mut dd = BTreeSet::new();
        for setting in settings() {
            assert!(keys.insert(setting.key), "{} twice", setting.key);
            assert!(!setting.help.is_empty() && !setting.help.ends_with('.') && !setting.help.contains('\n'));
            assert!(
                setting.default.is_empty() != setting.unset.is_empty(),
                "{}: a default or a word for none",
                setting.key
            );
            assert!(!setting.example.is_empty(), "{} has no example", setting.key);
            for name in setting.dd {
                assert!(name.starts_with("DD_") && dd.insert(*name), "{name}");
            }
            for otel in setting.otel {
                assert!(otel.name.starts_with("OTEL_"), "{}", otel.name);
            }
        }
    }

    #[test]
    fn no_key_is_a_table_of_another() {
        for setting in settings() {
            let table = std::format!("{}.", setting.key);
            assert!(settings().all(|other| !other.key.starts_with(&table)), "{}", setting.key);
        }
    }
}
