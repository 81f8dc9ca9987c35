//! b

use crate::store::Active;
use pyo3::prelude::*;

pub(crate) struct Binding;

impl Binding {
    pub(crate) fn get(_py: Python<'_>) -> Option<&'static Binding> {
        None
    }

    pub(crate) fn active<'py>(&self, _py: Python<'py>) -> PyResult<Option<Active<'py>>> {
        Ok(None)
    }

    pub(crate) fn activate<'py>(&self, _py: Python<'py>, _active: &Active<'py>) -> PyResult<()> {
        Ok(())
    }
}
