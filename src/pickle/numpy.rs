//! Arrays of numpy inside pickles.

use super::{Object, Value};
use std::borrow::Cow;

/// An array of plain numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    /// Byte order, kind and size of an element as numpy writes them: `|u1`, `<f8`.
    pub dtype: String,
    pub shape: Vec<usize>,
    /// Whether the first dimension runs fastest, instead of the last.
    pub fortran_order: bool,
    /// As many elements as the shape says.
    pub data: Cow<'a, [u8]>,
}

impl<'a> Value<'a> {
    /// An array of numpy. `None` too if its data are not as long as its shape says, or are objects.
    pub fn array(self) -> Option<Array<'a>> {
        let Object { callable, args, state } = self.object()?;
        let (data, dtype, shape, fortran_order) = match callable.global()? {
            // An empty array that is given (version, shape, dtype, fortran_order, data).
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                let [_, shape, dtype, fortran_order, data] = state?.tuple()?;
                // Python 2 has written the truth as an integer.
                let fortran_order = fortran_order.bool().or_else(|| Some(fortran_order.int::<u8>()? != 0))?;
                (data, dtype, shape, fortran_order)
            }
            // Protocol 5.
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => {
                let [data, dtype, shape, order] = args.tuple()?;
                (data, dtype, shape, order.text()? == "F")
            }
            _ => return None,
        };
        let shape: Vec<usize> = shape.items()?.map(Value::int).collect::<Option<_>>()?;
        let data = data.bytes()?;
        let (dtype, size) = dtype.dtype()?;
        let bytes = shape.iter().try_fold(size, |product, &n| product.checked_mul(n))?;
        (bytes == data.len()).then_some(Array { dtype, shape, fortran_order, data })
    }

    /// dtype("u1", align, copy) that is given (version, byte order, ..): name and size of an element.
    fn dtype(self) -> Option<(String, usize)> {
        let Object { callable, args, state } = self.object()?;
        let ("numpy", "dtype") = callable.global()? else { return None };
        let (kind, order) = (args.items()?.next()?.text()?, state?.items()?.nth(1)?.text()?);
        Some((format!("{order}{kind}"), kind.get(1..)?.parse().ok()?))
    }
}
