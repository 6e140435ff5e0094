use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;

/// x where x > 0, slope x elsewhere. VJP: dy where x > 0, slope dy elsewhere; linear in dy and constant in x almost
/// everywhere, so it has derivatives of any order.
pub fn leaky_relu(x: &Var, slope: f64) -> Result<Var> {
    let y = dispatch!(x.device(), leaky_relu::forward(x.storage(); slope))?;
    let saved = x.clone();
    Ok(Var::from_op("leaky_relu", Tensor::new(y, x.shape()), &[x], move |g, _| {
        Ok(vec![Some(select(saved.value(), g, slope)?)])
    }))
}

fn select(x: &Tensor, g: &Var, slope: f64) -> Result<Var> {
    let dx = dispatch!(g.device(), leaky_relu::backward(x.storage(), g.storage(); slope))?;
    let x = x.clone();
    Ok(Var::from_op("leaky_relu", Tensor::new(dx, g.shape()), &[g], move |gg, _| {
        Ok(vec![Some(select(&x, gg, slope)?)])
    }))
}
