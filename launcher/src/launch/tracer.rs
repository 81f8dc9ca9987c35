//! What the tracer inside of the program is told of the configuration.

use ddtrace::config::Config;
use ddtrace::settings::{Given, Shortened};

/// The variable that it is told by.
pub const VARIABLE: &str = "_DDTRACE_TRACER";

/// The variable's value, and whether tags and names of services were too long for it.
pub fn settings(config: &Config, service: &str) -> (String, Option<Shortened>) {
    Given {
        service,
        env: config.env.as_deref().unwrap_or_default(),
        version: config.version.as_deref().unwrap_or_default(),
        tags: &config.tags,
        trace_id_128_bit: config.trace_id_128_bit,
        native: config.native,
        propagation: &config.propagation,
        baggage_tags: &config.baggage_tag_keys,
        header_tags: &config.header_tags,
        client_address: config.client_address(),
        sampling: &config.sampling,
    }
    .to_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::config::{Sources, resolve};
    use ddtrace::settings::{Settings, VARIABLE as OF_PROCESSES};

    #[test]
    fn what_is_configured_arrives() {
        assert_eq!(VARIABLE.as_bytes(), OF_PROCESSES);
        let env = [
            ("DD_ENV", "prod"),
            ("DD_VERSION", "7"),
            ("DD_TRACE_PROPAGATION_STYLE", "b3multi,baggage"),
            ("DD_TRACE_BAGGAGE_TAG_KEYS", "user.id"),
            ("DD_TRACE_SAMPLING_RULES", r#"[{"resource":"GET *","sample_rate":0.5}]"#),
            ("DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED", "false"),
        ];
        let env = env.map(|(name, value)| (name.into(), value.into())).to_vec();
        let config = resolve(&Sources { env, root: "/nonexistent".into(), ..Sources::default() }).config;
        let (text, shortened) = settings(&config, "shop");
        assert_eq!(shortened, None);
        let read = Settings::parse(text.as_bytes()).expect("what is written is read");
        assert_eq!((read.service, read.env, read.version), (&b"shop"[..], &b"prod"[..], &b"7"[..]));
        assert_eq!(read.propagation, config.propagation);
        assert_eq!(read.propagation.inject.iter().count(), 2);
        assert!(!read.trace_id_128_bit && read.baggage_tags.contains(b"user.id"));
        assert_eq!(read.sampling.rules, config.sampling.rules.to_compact().as_bytes());
        assert!(!read.sampling.rules.is_empty());
    }
}
