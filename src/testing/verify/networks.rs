//! One forward and backward pass of a network.

use super::{Group, Judged, by_name, compare, compare_one};
use crate::Result;
use crate::autograd::{Graph, Var, grad};
use crate::models::{Discriminator, DiscriminatorConfig, Generator, GeneratorConfig};
use crate::nn::Param;
use crate::testing::fixtures::Fixture;
use crate::train::losses;

pub fn generator(fixture: &Fixture) -> Result<Vec<Group>> {
    let config: GeneratorConfig = fixture.config()?;
    let network = Generator::new(&config, 0, fixture.dtype(), fixture.device())?;
    fixture.load("param.", network.params())?;
    let x = Var::leaf(fixture.tensor("x")?);
    let z = Var::leaf(fixture.tensor("z")?);
    let out = network.forward(&x, &fixture.times("t")?, &z)?;
    let mut groups = vec![compare_one(fixture, "out", Judged::Output, out.value())?];
    if fixture.has("grad_out") {
        let params: Vec<Var> = network.params().iter().map(Param::var).collect();
        let wanted: Vec<&Var> = [&x, &z].into_iter().chain(&params).collect();
        let grad_out = Var::constant(fixture.tensor("grad_out")?);
        let mut of_inputs = grad(&out, Some(&grad_out), &wanted, Graph::Free)?;
        let of_params = of_inputs.split_off(2);
        for (name, gradient) in ["grad_x", "grad_z"].into_iter().zip(of_inputs) {
            let gradient = gradient.expect("the output depends on every input");
            groups.push(compare_one(fixture, name, Judged::Gradient, gradient.value())?);
        }
        groups.push(compare(fixture, "grad.", Judged::Gradient, &by_name(network.params(), of_params))?);
    }
    Ok(groups)
}

pub fn discriminator(fixture: &Fixture) -> Result<Vec<Group>> {
    let config: DiscriminatorConfig = fixture.config()?;
    let network = Discriminator::new(&config, 0, fixture.dtype(), fixture.device())?;
    fixture.load("param.", network.params())?;
    let x = Var::leaf(fixture.tensor("x")?);
    let x_t = Var::constant(fixture.tensor("x_t")?);
    let logits = network.forward(&x, &fixture.times("t")?, &x_t)?;
    let mut groups = vec![compare_one(fixture, "out", Judged::Output, logits.value())?];

    let params: Vec<Var> = network.params().iter().map(Param::var).collect();
    let wanted: Vec<&Var> = params.iter().chain([&x]).collect();
    let mut gradients = grad(&losses::real(&logits)?, None, &wanted, Graph::Keep)?;
    let of_x = gradients.pop().flatten().expect("the loss depends on x");
    groups.push(compare_one(fixture, "grad_x", Judged::Gradient, of_x.value())?);
    groups.push(compare(fixture, "grad.", Judged::Gradient, &by_name(network.params(), gradients))?);

    // Of weight 2, the penalty gamma / 2 E |dD/dx|^2 is the mean itself.
    let r1 = losses::r1(&logits, &x, 2.0)?;
    groups.push(compare_one(fixture, "r1", Judged::Output, r1.value())?);
    let gradients = grad(&r1, None, &params.iter().collect::<Vec<_>>(), Graph::Free)?;
    groups.push(compare(fixture, "r1_grad.", Judged::Gradient, &by_name(network.params(), gradients))?);
    Ok(groups)
}
