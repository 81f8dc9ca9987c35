//! Contexts of traces: what is in them, and the numbers in which they are written.

use crate::{any, bytes, probes, used};
use ddtrace::context::{
    Bounded, MAX_OT_MEMBER, MAX_TRACE_STATE, Mechanism, Priority, PropagationError, SpanContext, TraceContext,
    TraceTags, link_flags,
};
use ddtrace::decimal::{Decimal, parse_i32, parse_u64};
use ddtrace::ids::{TraceId, parse_hex_any_case};

/// A context with unknown content.
pub(crate) fn context() -> TraceContext {
    let mut context = any(TraceContext::default());
    context.span = any(SpanContext::default());
    context.last_parent = any(context.last_parent);
    used(context.origin.set(bytes()));
    used(context.tags.set(bytes(), bytes()));
    used(context.trace_state.set(bytes()));
    used(context.ot.set(bytes()));
    any(context)
}

probes! {
    bounded {
        let mut text = any(Bounded::<MAX_TRACE_STATE>::new());
        used((text.push(bytes()), text.set(bytes())));
        text.truncate(any(0));
        used(text.replace_invalid(any(0)));
        used((text.as_bytes(), text.as_str(), text.len(), text.room(), text.is_empty()));
        used(text.clone() == text);
        text.clear();
        used(any(Bounded::<MAX_OT_MEMBER>::default()));
    }

    span_context {
        let context = context();
        used(context.span.trace_flags());
        used(link_flags(any(3), any(true)));
        used(context.clone() == context);
        used(context.carries_the_same(&crate::context::context()));
        used(any(Priority::USER_KEEP).keeps());
        used(any(Mechanism::MANUAL));
        used(any(PropagationError::Decoding).name());
    }

    trace_tags {
        let mut tags = any(TraceTags::new());
        used((tags.set(bytes(), bytes()), tags.get(bytes()), tags.is_empty(), tags.as_bytes()));
        tags.iter().for_each(used);
        tags.remove(bytes());
        tags.clear();
        used(any(tags));
    }

    decimals {
        used((Decimal::of(any(0)).as_bytes(), Decimal::of_signed(any(0)).as_bytes()));
        used((parse_u64(bytes()), parse_i32(bytes())));
        used((parse_hex_any_case(bytes()), TraceId::new_64(any(0))));
    }
}
