//! Logging, places on disk and limits of the launcher and its sidecar.

use super::{HandOn, Id, Kind, Names, Reading, Setting, plain, read_as};

// The other spellings are those of Python's `logging` and of OpenTelemetry's SDKs.
const LEVELS: Names = Names {
    names: &["off", "error", "warn", "info", "debug", "trace"],
    aliases: &[("none", "off"), ("warning", "warn"), ("critical", "error"), ("fatal", "error")],
};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        id: Id::Debug,
        key: "debug",
        kind: Kind::Bool,
        default: "false",
        dd: &["DD_TRACE_DEBUG"],
        otel: &[read_as("OTEL_LOG_LEVEL", Reading::DebugLevel)],
        hand_on: HandOn::Datadog,
        help: "Whether everything that helps to find a fault is told; wins over `log.level`",
        example: "true",
        ..Setting::BLANK
    },
    Setting {
        id: Id::LogLevel,
        key: "log.level",
        kind: Kind::Choice(&LEVELS),
        default: "warn",
        dd: &["DD_TRACE_LOG_LEVEL"],
        otel: &[plain("OTEL_LOG_LEVEL")],
        help: "How much the launcher and its sidecar log",
        example: "\"info\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::LogFile,
        key: "log.file",
        kind: Kind::Path,
        unset: "a file in the state directory",
        dd: &["DD_TRACE_LOG_FILE"],
        help: "File that the sidecar logs to",
        example: "\"/var/log/ddtrace.log\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::StateDir,
        key: "state_dir",
        kind: Kind::Path,
        unset: "`$XDG_STATE_HOME/ddtrace`, else `~/.local/state/ddtrace`",
        dd: &["DD_TRACE_STATE_DIR"],
        help: "Directory of the local store, of what waits for delivery, and of the log",
        example: "\"/var/lib/ddtrace\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::LocalMaxBytes,
        key: "local.max_bytes",
        kind: Kind::Bytes { min: 64 << 10, max: 1 << 40 },
        default: "64MiB",
        dd: &["DD_TRACE_LOCAL_MAX_BYTES"],
        help: "Size at which the local store drops its oldest half",
        example: "\"64MiB\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::SpoolMaxBytes,
        key: "spool.max_bytes",
        kind: Kind::Bytes { min: 4 << 20, max: 1 << 40 },
        default: "512MiB",
        dd: &["DD_TRACE_SPOOL_MAX_BYTES"],
        help: "Most that may wait on disk; beyond it the oldest is dropped",
        example: "\"1GiB\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::MemoryMaxBytes,
        key: "memory.max_bytes",
        kind: Kind::Bytes { min: 24 << 20, max: 1 << 40 },
        default: "64MiB",
        dd: &["DD_TRACE_MEMORY_MAX_BYTES"],
        help: "Most memory that the sidecar takes; beyond it the spans that are open for longest are sent unfinished",
        example: "\"128MiB\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ShutdownTimeout,
        key: "shutdown_timeout",
        kind: Kind::Duration { min: 0, max: 3_600_000 },
        default: "2s",
        dd: &["DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS"],
        help: "How long `--supervise` and `--view` wait for delivery after the end of the program; without them, how long \
               the sidecar goes on trying, and again after each answer of a receiver",
        example: "\"10s\"",
        ..Setting::BLANK
    },
];
