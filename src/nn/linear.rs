//! y = x W^T + b.

use super::{Init, Param, Scope};
use crate::autograd::Var;
use crate::{Result, ops};

/// A linear layer: `weight` [K, C], `bias` [K].
pub struct Linear {
    weight: Param,
    bias: Param,
}

impl Linear {
    /// C `inputs` to K `outputs`, bias 0.
    pub fn new(scope: &mut Scope, inputs: usize, outputs: usize, init: Init) -> Self {
        Self::with_bias(scope, inputs, outputs, init, Init::Zeros)
    }

    pub fn with_bias(scope: &mut Scope, inputs: usize, outputs: usize, init: Init, bias: Init) -> Self {
        let weight = scope.param("weight", &[outputs, inputs], init);
        Linear { weight, bias: scope.param("bias", &[outputs], bias) }
    }

    /// x [M, C] -> [M, K].
    pub fn forward(&self, x: &Var) -> Result<Var> {
        ops::linear(x, &self.weight.var_in(x.dtype())?, Some(&self.bias.var_in(x.dtype())?))
    }
}
