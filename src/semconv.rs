//! Attribute names, once: those of the semantic conventions and the few of our own.
//!
//! Inside records an attribute is a number, [`Key`]; outside it is its name.

macro_rules! keys {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $constant:ident, $name:literal;)*) => {
        /// An attribute as records carry it. Numbers are part of the ring's format: never reused.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u16)]
        pub enum Key {
            $($(#[$doc])* $variant = $number,)*
        }

        $($(#[$doc])* pub const $constant: &str = $name;)*

        impl Key {
            /// Every key.
            pub const ALL: &[Key] = &[$(Key::$variant,)*];

            /// The attribute's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Key::$variant => $constant,)*
                }
            }

            /// The key with this number, if there is one.
            #[must_use]
            pub fn from_number(number: u16) -> Option<Key> {
                match number {
                    $($number => Some(Key::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

keys! {
    /// The span's name. Not exported as an attribute.
    Name = 1, NAME, "name";
    /// W3C `tracestate` of the span. Not exported as an attribute.
    TraceState = 2, TRACE_STATE, "tracestate";
    /// Datadog's operation name. Not exported as an attribute.
    OperationName = 3, OPERATION_NAME, "operation.name";
    /// Datadog's span type. Not exported as an attribute.
    SpanType = 4, SPAN_TYPE, "span.type";
    /// The service, where it is not the resource's. Not exported as an attribute.
    Service = 5, SERVICE, "service.name";
    /// Datadog's resource, where it is not the span's name. Not exported as an attribute.
    ResourceName = 6, RESOURCE_NAME, "resource.name";
    /// Why a span failed. Not exported as an attribute.
    StatusMessage = 7, STATUS_MESSAGE, "status.message";
    /// Name of the instrumentation scope. Not exported as an attribute.
    ScopeName = 8, SCOPE_NAME, "otel.scope.name";
    /// Version of the instrumentation scope. Not exported as an attribute.
    ScopeVersion = 9, SCOPE_VERSION, "otel.scope.version";
    /// Base name of the executable.
    ExecutableName = 10, PROCESS_EXECUTABLE_NAME, "process.executable.name";
    /// Path of the executable.
    ExecutablePath = 11, PROCESS_EXECUTABLE_PATH, "process.executable.path";
    /// The arguments with `argv[0]`, secrets replaced.
    CommandArgs = 12, PROCESS_COMMAND_ARGS, "process.command_args";
    /// How many arguments there were.
    ArgsCount = 13, PROCESS_ARGS_COUNT, "process.args_count";
    /// The directory the program was started in.
    WorkingDirectory = 14, PROCESS_WORKING_DIRECTORY, "process.working_directory";
    /// The process id.
    Pid = 15, PROCESS_PID, "process.pid";
    /// The parent's process id.
    ParentPid = 16, PROCESS_PARENT_PID, "process.parent_pid";
    /// The exit code; 128 + n for a death by signal n.
    ExitCode = 17, PROCESS_EXIT_CODE, "process.exit.code";
    /// What went wrong: a signal's name, or the exit code as text.
    ErrorType = 18, ERROR_TYPE, "error.type";
    /// User CPU time in seconds.
    CpuUser = 19, PROCESS_CPU_TIME_USER, "process.cpu.time.user";
    /// System CPU time in seconds.
    CpuSystem = 20, PROCESS_CPU_TIME_SYSTEM, "process.cpu.time.system";
    /// Largest resident set in bytes.
    MemoryPeak = 21, PROCESS_MEMORY_PEAK, "process.memory.peak";
    /// Why nothing inside of the process can be seen.
    Untraceable = 22, PROCESS_UNTRACEABLE, "ddtrace_run.untraceable";
    /// How many times the process was replaced by another program.
    ExecCount = 23, PROCESS_EXEC_COUNT, "ddtrace_run.exec_count";
    /// True where the process was still running when its trace was sent: the span's end is when it was last seen.
    Unfinished = 24, PROCESS_UNFINISHED, "ddtrace_run.unfinished";
    /// When the process went on with another program, `CLOCK_MONOTONIC` nanoseconds; if nothing comes of it, it says nothing.
    /// Not exported as an attribute.
    ExecTime = 25, EXEC_TIME, "exec_time";
    /// True where the program before this one in the process has ended by that. Not exported as an attribute.
    Replaced = 26, REPLACED, "replaced";
    /// Datadog's sampling priority, once it is decided. On local roots.
    SamplingPriority = 40, SAMPLING_PRIORITY, "_sampling_priority_v1";
    /// The rate of the rule that decided. On local roots.
    RuleRate = 41, RULE_RATE, "_dd.rule_psr";
    /// The limiter's effective rate. On local roots.
    LimitRate = 42, LIMIT_RATE, "_dd.limit_psr";
    /// The Agent's rate that decided. On local roots.
    AgentRate = 43, AGENT_RATE, "_dd.agent_psr";
    /// The `_dd.p.*` tags as they stand in `x-datadog-tags`, `_dd.p.dm` among them. On local roots.
    TraceTags = 44, TRACE_TAGS, "x-datadog-tags";
    /// Where the trace began. On local roots.
    Origin = 45, ORIGIN, "_dd.origin";
    /// The last span of a Datadog tracer before the sender, 16 hexadecimal digits. On local roots.
    LastParent = 46, LAST_PARENT, "_dd.parent_id";
    /// What of the incoming context could not be read, or of the outgoing one not be written. On local roots.
    PropagationError = 47, PROPAGATION_ERROR, "_dd.propagation_error";
    /// A whole attribute: the name's length (u16), the name, the value. See [`crate::record::Name`].
    Attribute = 60, ATTRIBUTE, "attribute";
    /// An event of the span: see [`crate::record::Detail`].
    Event = 61, EVENT, "event";
    /// A link to another span: see [`crate::record::Detail`].
    Link = 62, LINK, "link";
    /// How many attributes did not fit the limits.
    DroppedAttributes = 63, DROPPED_ATTRIBUTES, "otel.dropped_attributes_count";
    /// How many events did not fit the limits.
    DroppedEvents = 64, DROPPED_EVENTS, "otel.dropped_events_count";
    /// How many links did not fit the limits.
    DroppedLinks = 65, DROPPED_LINKS, "otel.dropped_links_count";
    /// Whether Datadog's backend makes statistics of the span: `_dd.measured`.
    Measured = 66, MEASURED, "_dd.measured";
    /// Whether the span is where its service was entered: `_dd.top_level`.
    TopLevel = 67, TOP_LEVEL, "_dd.top_level";
    /// True where the program has taken the span back: nobody is to see it. Not exported as an attribute.
    Withdrawn = 68, WITHDRAWN, "withdrawn";
    /// When the span started, where that was told otherwise before: nanoseconds since the Unix epoch. Not exported as an
    /// attribute.
    StartTime = 69, START_TIME, "start_time";
}

/// Datadog's tag for a span's role.
pub const SPAN_KIND: &str = "span.kind";

/// Datadog's word for a role, by its number in OTLP ("SpanKind"); what is unknown is `internal`.
#[must_use]
pub fn kind_name(number: u8) -> &'static str {
    match number {
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "internal",
    }
}

/// The role, by its number in OTLP, that this word of Datadog's says, if it is one.
#[must_use]
pub fn kind_number(name: &[u8]) -> Option<u8> {
    match name {
        b"internal" => Some(1),
        b"server" => Some(2),
        b"client" => Some(3),
        b"producer" => Some(4),
        b"consumer" => Some(5),
        _ => None,
    }
}

/// Whether an attribute of this name sets a field of the span, and is no tag of it; tags of Datadog's own set nothing.
#[must_use]
pub fn is_field(name: &[u8]) -> bool {
    matches!(name, b"service.name" | b"resource.name" | b"operation.name" | b"span.type") || name.starts_with(b"datadog.")
}

/// Whether a span of this role, by its number in OTLP, is of a request that reached the program: a server's or a consumer's.
/// Such a one continues what the request brought, and nothing else.
#[must_use]
pub fn is_request(number: u8) -> bool {
    matches!(number, 2 | 5)
}

/// An attribute that is none: the application wants the trace kept, whatever the value is.
pub const MANUAL_KEEP: &str = "manual.keep";
/// As [`MANUAL_KEEP`]: it wants the trace dropped.
pub const MANUAL_DROP: &str = "manual.drop";

macro_rules! datadog_names {
    ($($attribute:literal => $tag:literal,)*) => {
        /// Attributes of the stable HTTP conventions that Datadog's tags have older names for: the attribute, the tag.
        pub const DATADOG_NAMES: &[(&str, &str)] = &[$(($attribute, $tag),)*];

        /// The tag that an attribute of [`DATADOG_NAMES`] is.
        #[cfg(feature = "std")]
        pub(crate) fn datadog_name(attribute: &str) -> Option<&'static str> {
            match attribute {
                $($attribute => Some($tag),)*
                _ => None,
            }
        }
    };
}

datadog_names! {
    "client.address" => "http.client_ip",
    "http.request.body.size" => "http.request.content_length",
    "http.request.header.referrer" => "http.referrer",
    "http.request.method" => "http.method",
    "http.response.body.size" => "http.response.content_length",
    "http.response.status_code" => "http.status_code",
    "network.protocol.version" => "http.version",
    "server.address" => "http.server_name",
    "url.full" => "http.url",
    "user_agent.original" => "http.useragent",
}

/// What the attribute of a request's header begins with; the header's name follows.
pub const REQUEST_HEADER: &str = "http.request.header.";
/// What Datadog's tag for it begins with.
pub const DATADOG_REQUEST_HEADER: &str = "http.request.headers.";
/// As [`REQUEST_HEADER`], of a response.
pub const RESPONSE_HEADER: &str = "http.response.header.";
/// As [`DATADOG_REQUEST_HEADER`], of a response.
pub const DATADOG_RESPONSE_HEADER: &str = "http.response.headers.";

/// What the instrumentation scope of an integration of ours begins with; the integration's name follows.
pub const INTEGRATION_SCOPE: &str = "ddtrace-run.";

/// What the name of a span begins with that is of a task behind an answer, as the instrumentation of FastAPI has it: there are no
/// conventions. The function's name follows.
pub const BACKGROUND_TASK: &str = "BackgroundTask ";

macro_rules! names {
    ($($constant:ident = $name:literal;)*) => {
        $(#[doc = concat!("`", $name, "`")] pub const $constant: &[u8] = $name.as_bytes();)*

        /// The name as a text that need not be kept by whoever has it, if it is one of these.
        #[cfg(feature = "std")]
        #[must_use]
        pub fn known(name: &[u8]) -> Option<&'static str> {
            match name {
                $($constant => Some($name),)*
                _ => None,
            }
        }
    };
}

/// Attributes of the semantic conventions, as bytes: what connections tell is written into records without a look at it.
pub mod network {
    names! {
        CLIENT_ADDRESS = "client.address";
        DB_NAMESPACE = "db.namespace";
        DB_OPERATION_NAME = "db.operation.name";
        DB_QUERY_SUMMARY = "db.query.summary";
        DB_QUERY_TEXT = "db.query.text";
        DB_RESPONSE_STATUS_CODE = "db.response.status_code";
        DB_SYSTEM_NAME = "db.system.name";
        HTTP_REQUEST_BODY_SIZE = "http.request.body.size";
        HTTP_REQUEST_METHOD = "http.request.method";
        HTTP_REQUEST_METHOD_ORIGINAL = "http.request.method_original";
        HTTP_RESPONSE_BODY_SIZE = "http.response.body.size";
        HTTP_RESPONSE_STATUS_CODE = "http.response.status_code";
        NETWORK_CLIENT_IP = "network.client.ip";
        NETWORK_PEER_ADDRESS = "network.peer.address";
        NETWORK_PEER_PORT = "network.peer.port";
        NETWORK_PROTOCOL_VERSION = "network.protocol.version";
        NETWORK_TRANSPORT = "network.transport";
        SERVER_ADDRESS = "server.address";
        SERVER_PORT = "server.port";
        URL_FULL = "url.full";
        URL_PATH = "url.path";
        URL_QUERY = "url.query";
        URL_SCHEME = "url.scheme";
        USER_AGENT_ORIGINAL = "user_agent.original";
    }
}
