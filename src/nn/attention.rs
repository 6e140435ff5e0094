//! Self-attention over the pixels of a feature map.

use super::{Conv2d, Fused, GroupNorm, Scope};
use crate::autograd::Var;
use crate::{Result, ops};

/// One head: x + NIN(attention(q, k, v)) with q, k, v pointwise projections of the normalised x.
pub struct Attention {
    norm: GroupNorm,
    query: Conv2d,
    key: Conv2d,
    value: Conv2d,
    out: Conv2d,
    /// What the sum of input and result is multiplied by.
    rescale: f64,
}

impl Attention {
    pub fn new(scope: &mut Scope, channels: usize, rescale: f64) -> Result<Self> {
        let norm = GroupNorm::new(&mut scope.child("GroupNorm_0"), channels)?;
        let mut nin = |name, init_scale| Conv2d::nin(&mut scope.child(name), channels, channels, init_scale);
        let (query, key, value) = (nin("NIN_0", 0.1), nin("NIN_1", 0.1), nin("NIN_2", 0.1));
        Ok(Attention { norm, query, key, value, out: nin("NIN_3", 0.0), rescale })
    }

    /// x [N, H, W, C] -> the same shape.
    pub fn forward(&self, x: &Var) -> Result<Var> {
        let &[n, height, width, c] = x.shape() else {
            return Err(crate::Error::shape("attention block", "[N, H, W, C]", x.shape()));
        };
        let h = self.norm.forward(x)?;
        let tokens = |projection: &Conv2d| ops::reshape(&projection.forward(&h)?, &[n, height * width, c]);
        let mixed = ops::attention(&tokens(&self.query)?, &tokens(&self.key)?, &tokens(&self.value)?)?;
        let mixed = ops::reshape(&mixed, &[n, height, width, c])?;
        self.out.forward_fused(&mixed, Fused::residual(x, self.rescale))
    }
}
