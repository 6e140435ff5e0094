//! How pictures come out of noise.

use super::Samples;
use super::noise::Draw;
use super::sampler::Sampler;
use crate::error::Result;
use crate::tensor::Tensor;

/// The pictures of two rows of a trajectory, T + 1 in each.
pub fn trajectory_len(num_timesteps: usize) -> usize {
    2 * (num_timesteps + 1)
}

/// As [`Sampler::draw`], and adds the way of each draw to `pictures` in two rows: x_T, x_{T-1}, ..., x_0, and below
/// each x_t the x_0 that the generator predicted from it. The last place, below x_0, is black. Noise goes beyond
/// [-1, 1] and is clamped.
pub fn trajectory(sampler: &Sampler, draws: &[Draw], pictures: &mut Samples) -> Result<Tensor> {
    let (mut states, mut predictions) = (Vec::new(), Vec::new());
    let last = sampler.trace(draws, |x_t1, step| {
        states.push(x_t1.to_f32());
        predictions.push(step.x0.to_f32());
    })?;
    states.push(last.to_f32());
    predictions.push(vec![-1.0; last.len()]);
    let len = last.len() / draws.len();
    for i in 0..draws.len() {
        for row in [&states, &predictions] {
            row.iter().for_each(|batch| pictures.push(&batch[i * len..][..len]));
        }
    }
    Ok(last)
}
