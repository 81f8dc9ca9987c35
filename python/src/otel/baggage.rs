//! Baggage of both APIs.

use crate::shared::Shared;
use pyo3::prelude::*;

pub(crate) fn set(_py: Python<'_>, _shared: &Shared, _item: Option<(&str, &str)>) -> PyResult<()> {
    Ok(())
}

pub(crate) fn bring(_py: Python<'_>, _shared: &Shared) -> PyResult<()> {
    Ok(())
}
