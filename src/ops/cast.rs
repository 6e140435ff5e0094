use crate::Result;
use crate::autograd::Var;
use crate::tensor::DType;

/// The same numbers in another type; x itself if it has that type. VJP: the cast back. Of any order.
///
/// Errors: bf16 on a CPU.
pub fn cast(x: &Var, dtype: DType) -> Result<Var> {
    let from = x.dtype();
    if from == dtype {
        return Ok(x.clone());
    }
    Ok(Var::from_op("cast", x.value().cast(dtype)?, &[x], move |g, _| Ok(vec![Some(cast(g, from)?)])))
}
