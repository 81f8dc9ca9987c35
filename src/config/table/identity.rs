//! Who is traced: service, environment, version, tags, host, source.

use super::{HandOn, Id, Kind, Names, Setting, plain};

const SCHEMAS: Names = Names { names: &["v0", "v1"], aliases: &[] };

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        id: Id::Service,
        key: "service",
        unset: "inferred from the program",
        dd: &["DD_SERVICE"],
        otel: &[plain("OTEL_SERVICE_NAME")],
        tag: "service",
        resource: &["service.name"],
        hand_on: HandOn::Both,
        help: "Name of the service that the program is",
        example: "\"shop\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::Env,
        key: "env",
        unset: "none",
        dd: &["DD_ENV"],
        tag: "env",
        resource: &["deployment.environment.name", "deployment.environment"],
        hand_on: HandOn::Both,
        help: "Deployment environment, such as `prod` or `staging`",
        example: "\"prod\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::Version,
        key: "version",
        unset: "none",
        dd: &["DD_VERSION"],
        tag: "version",
        resource: &["service.version"],
        hand_on: HandOn::Both,
        help: "Version of the service",
        example: "\"1.4.2\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::Tags,
        key: "tags",
        kind: Kind::Tags,
        unset: "none",
        dd: &["DD_TAGS"],
        otel: &[plain("OTEL_RESOURCE_ATTRIBUTES")],
        hand_on: HandOn::Both,
        help: "Further tags (resource attributes) of every span; a set `DD_TAGS` hides all of `OTEL_RESOURCE_ATTRIBUTES`",
        example: "{ team = \"core\", region = \"eu\" }",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ServiceMapping,
        key: "service_mapping",
        kind: Kind::Tags,
        unset: "none",
        dd: &["DD_SERVICE_MAPPING"],
        hand_on: HandOn::Datadog,
        help: "New names for services, applied to every span when all else is known",
        example: "{ postgres = \"shop-db\" }",
        ..Setting::BLANK
    },
    Setting {
        id: Id::SpanAttributeSchema,
        key: "span_attribute_schema",
        kind: Kind::Choice(&SCHEMAS),
        default: "v0",
        dd: &["DD_TRACE_SPAN_ATTRIBUTE_SCHEMA"],
        hand_on: HandOn::Datadog,
        help: "With `v1`, `peer_service.defaults` is on; names are the same in both",
        example: "\"v1\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::PeerServiceDefaults,
        key: "peer_service.defaults",
        kind: Kind::Bool,
        unset: "false, with `span_attribute_schema = \"v1\"` true",
        dd: &["DD_TRACE_PEER_SERVICE_DEFAULTS_ENABLED"],
        hand_on: HandOn::Datadog,
        help: "Whether client and producer spans without `peer.service` get one, from what they say of the other side",
        example: "true",
        ..Setting::BLANK
    },
    Setting {
        id: Id::PeerServiceMapping,
        key: "peer_service.mapping",
        kind: Kind::Tags,
        unset: "none",
        dd: &["DD_TRACE_PEER_SERVICE_MAPPING"],
        hand_on: HandOn::Datadog,
        help: "New names for peer services",
        example: "{ \"10.0.0.7\" = \"ledger\" }",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ReportHostname,
        key: "report_hostname",
        kind: Kind::Bool,
        default: "false",
        dd: &["DD_TRACE_REPORT_HOSTNAME"],
        hand_on: HandOn::Datadog,
        help: "Whether the name of the host is reported with each trace",
        example: "true",
        ..Setting::BLANK
    },
    Setting {
        id: Id::Hostname,
        key: "hostname",
        unset: "the name of the host",
        dd: &["DD_HOSTNAME"],
        hand_on: HandOn::Datadog,
        help: "Name to report for the host",
        example: "\"web-1\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::GitMetadata,
        key: "git.enabled",
        kind: Kind::Bool,
        default: "true",
        dd: &["DD_TRACE_GIT_METADATA_ENABLED"],
        hand_on: HandOn::Datadog,
        help: "Whether Datadog is told what the program was built from",
        example: "false",
        ..Setting::BLANK
    },
    Setting {
        id: Id::GitRepositoryUrl,
        key: "git.repository_url",
        kind: Kind::Repository,
        unset: "none",
        dd: &["DD_GIT_REPOSITORY_URL"],
        tag: "git.repository_url",
        hand_on: HandOn::Datadog,
        help: "Repository that the program was built from; credentials in it are removed",
        example: "\"https://github.com/example/shop\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::GitCommitSha,
        key: "git.commit_sha",
        unset: "none",
        dd: &["DD_GIT_COMMIT_SHA"],
        tag: "git.commit.sha",
        hand_on: HandOn::Datadog,
        help: "Commit that the program was built from",
        example: "\"0123456789abcdef0123456789abcdef01234567\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::MainPackage,
        key: "git.main_package",
        unset: "none",
        dd: &["DD_MAIN_PACKAGE"],
        tag: "python_main_package",
        hand_on: HandOn::Datadog,
        help: "Main package of the program, for the link to its source",
        example: "\"shop\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ProcessTags,
        key: "process_tags",
        kind: Kind::Bool,
        default: "true",
        dd: &["DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED"],
        hand_on: HandOn::Datadog,
        help: "Whether Datadog is told how the program was entered: names of script and directories",
        example: "false",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ExternalEnv,
        key: "external_env",
        unset: "none",
        dd: &["DD_EXTERNAL_ENV"],
        help: "Sent unchanged to the Agent as `Datadog-External-Env` (set by Datadog's admission controller)",
        example: "\"it-false,cn-shop,pu-0123\"",
        ..Setting::BLANK
    },
];
