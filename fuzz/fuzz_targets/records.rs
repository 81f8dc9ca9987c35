//! Records as a hostile process may have written them.
#![no_main]

use ddtrace::record::{Field, FieldValue, RECORD_HEADER, records};
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
        assert!(record.as_bytes().len() >= RECORD_HEADER);
        let again: Vec<_> = records(record.as_bytes()).collect();
        // Not compared where a number is none, which is not equal to itself.
        assert_eq!(again.len(), 1, "a record that was kept is read as before");
        read += RECORD_HEADER + record.fields().map(|field| size(&field)).sum::<usize>();
    }
    assert!(read <= data.len(), "more was read than is there");
});

/// How many bytes a field takes at least.
fn size(field: &Field<'_>) -> usize {
    let value = match &field.value {
        FieldValue::Text(text) | FieldValue::TextContinued(text) => text.len(),
        FieldValue::Integer(_) | FieldValue::Float(_) => 8,
        FieldValue::Bool(_) => 1,
        FieldValue::TextList(items) => items.iter().map(|item| item.len() + 1).sum(),
        FieldValue::IntegerList(items) => items.len() * 8,
        FieldValue::FloatList(items) => items.len() * 8,
        FieldValue::BoolList(items) => items.len(),
        FieldValue::Removed => 0,
        FieldValue::Event(event) => 8 + event.name.len() + event.fields().map(|field| size(&field)).sum::<usize>(),
        FieldValue::Link(link) => 25 + link.trace_state.len() + link.fields().map(|field| size(&field)).sum::<usize>(),
    };
    // Number, type, length.
    8 + field.name.len() + value
}
