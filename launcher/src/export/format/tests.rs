use super::*;
use crate::export::testing::{batch, chunk, resource, rich_span};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;

fn rich_batch() -> Batch {
    let mut whole = batch(&[1, 2, 3]);
    whole.chunks.push(chunk(resource("cart"), (4..40).map(|id| rich_span(id, 3)).collect()));
    whole.chunks.push(chunk(resource("cart"), vec![rich_span(40, 3)]));
    whole
}

/// Splits down to single spans; gives how many there are.
fn split_down(format: Format, payload: &[u8], spans: u64) -> u64 {
    match format.halves(payload) {
        None => {
            assert_eq!(spans, 1);
            1
        }
        Some((first, second)) => {
            assert_eq!(first.spans + second.spans, spans);
            assert!(first.body.len() < payload.len() && second.body.len() < payload.len());
            split_down(format, &first.body, first.spans) + split_down(format, &second.body, second.spans)
        }
    }
}

#[test]
fn halves_have_all_spans_down_to_single_ones() {
    for format in [Format::Datadog, Format::Otlp] {
        let payload = format.encode(&rich_batch(), AgentOptions::default()).unwrap();
        assert_eq!(split_down(format, &payload, 40), 40, "{format:?}");
    }
}

#[test]
fn halves_are_in_order_and_nothing_in_them_has_changed() {
    let payload = Format::Otlp.encode(&rich_batch(), AgentOptions::default()).unwrap();
    let (first, second) = Format::Otlp.halves(&payload).unwrap();
    let decode = |body: &[u8]| ExportTraceServiceRequest::decode(body).unwrap().resource_spans;
    assert_eq!([decode(&first.body), decode(&second.body)].concat(), decode(&payload));

    let payload = Format::Datadog.encode(&rich_batch(), AgentOptions::default()).unwrap();
    let (first, second) = Format::Datadog.halves(&payload).unwrap();
    assert_eq!((payload[0], first.body[0], second.body[0]), (0x93, 0x91, 0x92));
    assert_eq!([&first.body[1..], &second.body[1..]].concat(), payload[1..]);
}

/// The number of spans, and their bytes down to the single ones, in order.
fn single(format: Format, payload: &[u8]) -> Vec<Vec<u8>> {
    match format.halves(payload) {
        None => vec![payload.to_vec()],
        Some((first, second)) => [single(format, &first.body), single(format, &second.body)].concat(),
    }
}

#[test]
fn without_its_first_spans_a_payload_has_the_others_as_they_were() {
    for format in [Format::Datadog, Format::Otlp] {
        let payload = format.encode(&rich_batch(), AgentOptions::default()).unwrap();
        let all = single(format, &payload);
        assert_eq!(all.len(), 40);
        for gone in 0..40 {
            let rest = format.after(&payload, gone as u64).unwrap();
            assert_eq!(single(format, &rest), all[gone..], "{format:?} without {gone}");
        }
        assert_eq!(format.after(&payload, 0).as_deref(), Some(&payload[..]));
        assert_eq!(format.after(&payload, 41), None);
    }
}

proptest! {
    #[test]
    fn what_is_malformed_is_not_split_and_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for format in [Format::Datadog, Format::Otlp] {
            let _ = format.halves(&bytes);
            let _ = format.after(&bytes, 3);
        }
    }

    #[test]
    fn what_was_damaged_does_no_harm(place: prop::sample::Index, byte: u8) {
        for format in [Format::Datadog, Format::Otlp] {
            let mut payload = format.encode(&rich_batch(), AgentOptions::default()).unwrap();
            let place = place.index(payload.len());
            payload[place] = byte;
            if let Some(rest) = format.after(&payload, 3) {
                prop_assert!(rest.len() < 2 * payload.len());
            }
            if let Some((first, second)) = format.halves(&payload) {
                prop_assert!(first.body.len() + second.body.len() < 3 * payload.len());
            }
        }
    }
}
