//! What a span hangs under, and how it lets go of that.
//!
//! A span has its parent for as long as that is open. If each had its parent for ever, work that goes on from where it has
//! ended (a task that starts the next one, a consumer that continues the message before) would keep all spans that ever were.

use super::{Span, local_root};
use crate::context::Context;
use crate::otel::span::OtelSpan;
use crate::store::{self, Active};
use pyo3::prelude::*;
use std::cell::{Cell, RefCell};
use std::mem::{replace, take};

/// What a span is under.
#[derive(Debug, Default)]
pub(crate) enum Above {
    #[default]
    Nothing,
    Span(Py<Span>),
    Context(Py<Context>),
}

impl Above {
    fn of(active: Active<'_>) -> Above {
        match active {
            Active::Nothing => Above::Nothing,
            Active::Span(span) => Above::Span(span.unbind()),
            Active::Context(context) => Above::Context(context.unbind()),
        }
    }
}

/// The spans that a span has.
pub(super) struct Kin {
    above: Above,
    /// The first span of its trace in this process, once what it was started under is let go of.
    root: Option<Py<Span>>,
    /// What stood in the context of OpenTelemetry's API before it.
    replaced: Option<Py<OtelSpan>>,
}

impl Kin {
    pub(super) fn under(above: Above) -> Kin {
        Kin { above, root: None, replaced: None }
    }
}

impl Drop for Kin {
    fn drop(&mut self) {
        if let Above::Span(above) = take(&mut self.above) {
            let_go(above.into_any());
        }
        if let Some(replaced) = self.replaced.take() {
            let_go(replaced.into_any());
        }
    }
}

/// Lets go of a span, and of those above it that go with it: one after the other, as within each other there may be more of
/// them than a stack has room for.
fn let_go(object: Py<PyAny>) {
    thread_local! {
        static IS_GOING: Cell<bool> = const { Cell::new(false) };
        static WAITING: RefCell<Vec<Py<PyAny>>> = const { RefCell::new(Vec::new()) };
    }
    // Nothing is borrowed while an object goes: that comes back here. Where a thread has ended so far that it has none of
    // these any more, it goes at once.
    if IS_GOING.try_with(Cell::get).unwrap_or(false) {
        let _ = WAITING.try_with(|waiting| waiting.borrow_mut().push(object));
        return;
    }
    let _ = IS_GOING.try_with(|going| going.set(true));
    let mut next = Some(object);
    while let Some(object) = next {
        drop(object);
        next = WAITING.try_with(|waiting| waiting.borrow_mut().pop()).ok().flatten();
    }
    let _ = IS_GOING.try_with(|going| going.set(false));
}

impl Span {
    /// What it is under: what it was started under, or, once both have ended, the nearest above that which was open then.
    pub(crate) fn above<'py>(&self, py: Python<'py>) -> Active<'py> {
        match &self.kin().above {
            Above::Nothing => Active::Nothing,
            Above::Span(above) => Active::Span(above.bind(py).clone()),
            Above::Context(context) => Active::Context(context.bind(py).clone()),
        }
    }

    /// What is active after it.
    pub(crate) fn after<'py>(&self, py: Python<'py>) -> Active<'py> {
        match self.above(py) {
            Active::Context(context) if context.get().is_for_one_span() => Active::Nothing,
            above => above,
        }
    }

    /// What it was started under; `None` once that is let go of.
    pub(crate) fn started_under<'py>(&self, py: Python<'py>) -> Option<Active<'py>> {
        if self.root(py).is_some() { None } else { Some(self.above(py)) }
    }

    /// The first span of its trace in this process, if it knows that by heart.
    pub(super) fn root<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Span>> {
        self.kin().root.as_ref().map(|root| root.bind(py).clone())
    }

    /// What stood in the context of OpenTelemetry's API before it.
    pub(crate) fn replaced<'py>(&self, py: Python<'py>) -> Option<Bound<'py, OtelSpan>> {
        self.kin().replaced.as_ref().map(|replaced| replaced.bind(py).clone())
    }

    /// Says so, the first time.
    pub(crate) fn set_replaced(&self, replaced: Bound<'_, OtelSpan>) {
        self.kin().replaced.get_or_insert(replaced.unbind());
    }

    /// It has ended and is active no more: it lets go of what it has put something in the place of, and of spans above it
    /// that have ended as well.
    pub(super) fn settle(slf: &Bound<'_, Span>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        // Let go of when nothing is locked, and bound, to be let go of at once.
        let replaced = this.kin().replaced.take().map(|replaced| replaced.into_bound(py));
        drop(replaced);
        if let Active::Span(above) = this.above(py)
            && above.get().is_finished()
        {
            let root = local_root(slf);
            let open = Above::of(store::after(slf, Some(this.home.context().unwrap_or_default()))?);
            let mut kin = this.kin();
            kin.root = Some(root.unbind());
            let before = replace(&mut kin.above, open);
            drop(kin);
            if let Above::Span(before) = before {
                drop(before.into_bound(py));
            }
        }
        Ok(())
    }
}
