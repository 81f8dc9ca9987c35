//! What an Agent answers with: rates by service and environment, twice, as the second answer takes the first one's place.
#![no_main]

use ddtrace::sampling::{AgentRateTable, AgentRates};
use libfuzzer_sys::fuzz_target;

const ENV: &[u8] = b",env:";

fuzz_target!(|data: &[u8]| {
    let half = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (first, second) = data.split_at(half);
    let mut table = AgentRateTable::default();
    for (answer, version) in [(first, Some("1")), (second.get(1..).unwrap_or_default(), None)] {
        let before = table.clone();
        table.update(answer, version);
        // An answer that is not understood says nothing.
        assert!(serde_json::from_slice::<serde_json::Value>(answer).is_ok() || table == before);
        for (key, rate) in table.iter() {
            assert!((0.0..=1.0).contains(&rate));
            let at = key.windows(ENV.len()).position(|part| part == ENV);
            if let Some((service, env)) = at.map(|at| (&key[..at], &key[at + ENV.len()..])) {
                assert_eq!(table.rate(service, env), Some(rate), "each key is found under what it says");
            }
        }
        let others = table.rate(b"\xff nobody", b"\xff nowhere");
        assert_eq!(others, table.rate(b"", b""), "who is not named has the rate of all others");
    }
});
