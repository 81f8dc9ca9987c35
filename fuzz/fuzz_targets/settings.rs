//! The bytes are `_DDTRACE_TRACER`, the settings that the launcher hands on to the tracer inside of a program.
//!
//! What is read lies inside of the text, and is within what those who use it believe.
#![no_main]

use ddtrace::sampling::{RuleSet, RuleSpan};
use ddtrace::settings::Settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(settings) = Settings::parse(data) else { return };
    for field in [settings.service, settings.env, settings.version, settings.sampling.rules] {
        assert!(field.is_empty() || data.as_ptr_range().contains(&field.as_ptr()));
    }
    for styles in [settings.propagation.inject, settings.propagation.extract] {
        let listed: Vec<_> = styles.iter().collect();
        assert!(listed.iter().enumerate().all(|(place, style)| !listed[..place].contains(style)));
    }
    let _ = settings.baggage_tags.contains(data);
    for name in data.split(|byte| !byte.is_ascii_lowercase()) {
        let _ = (settings.tags.get(name), settings.sampling.service_names.get(name));
    }
    let mut room = vec![RuleSpan::EMPTY; RuleSet::room_for(settings.sampling.rules)];
    let rules = RuleSet::from_compact(settings.sampling.rules, &mut room);
    assert!((0..rules.len()).all(|index| rules.get(index).is_some_and(|rule| (0.0..=1.0).contains(&rule.rate))));
});
