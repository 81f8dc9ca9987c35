//! Records as a hostile process may have written them.
#![no_main]

use ddtrace::record::{FieldValue, RECORD_HEADER, records};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut read = 0;
    let mut ended = false;
    for record in records(data) {
        assert!(!ended, "nothing comes after what is malformed");
        let Ok(record) = record else {
            ended = true;
            continue;
        };
        read += RECORD_HEADER;
        for field in record.fields() {
            // Number, type, length.
            read += 8;
            read += match field.value {
                FieldValue::Text(text) => text.len(),
                FieldValue::Integer(_) | FieldValue::Float(_) => 8,
                FieldValue::Bool(_) => 1,
                FieldValue::TextList(items) => items.iter().map(|item| item.len() + 1).sum(),
            };
        }
    }
    assert!(read <= data.len(), "more was read than is there");
});
