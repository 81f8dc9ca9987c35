//! The JSON of sampling rules, for traces and for single spans.
#![no_main]

use ddtrace::sampling::rules::{OwnedRules, check_json, parse_json, parse_span_json};
use ddtrace::sampling::{RuleSet, RuleSpan};
use ddtrace_fuzz::AnySpan;
use libfuzzer_sys::fuzz_target;

// What stands before the first line end is the span that the rules see; the rest is JSON.
fuzz_target!(|data: &[u8]| {
    let (span, json) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let Ok(json) = std::str::from_utf8(json) else { return };
    for (rules, warnings) in [parse_json(json), parse_span_json(json)] {
        assert!(check_json(json).is_ok() || (rules == OwnedRules::default() && warnings.len() == 1));
        let text = rules.to_compact();
        assert!(!text.contains('\0'), "no environment can carry {text:?}");
        let set = rules.as_set();
        for index in 0..set.len() {
            let rule = set.get(index).expect("a rule at each place");
            assert!((0.0..=1.0).contains(&rule.rate) && rule.max_per_second.is_none_or(|limit| limit >= 0.0));
        }
        // Handed on, they are the same.
        let mut room = vec![RuleSpan::EMPTY; RuleSet::room_for(text.as_bytes())];
        let read = RuleSet::from_compact(text.as_bytes(), &mut room);
        assert_eq!(read, set);
        let found = set.find(&AnySpan(span));
        assert_eq!(read.find(&AnySpan(span)), found);
        if let Some(found) = found {
            assert_eq!(set.get(found.index), Some(found));
        }
        assert!(rules.clone().with_last(0.5).as_set().find(&AnySpan(span)).is_some() || text.len() > 60_000);
    }
});
