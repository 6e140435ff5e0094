//! All steps of a batch in one launch.

use super::noise::{Draw, Part};
use super::sampler::Sampler;
use crate::error::Result;
use crate::nn::Param;
use crate::tensor::{Recorded, Tensor};

/// The steps of batches of one size, as a GPU recorded them. What is the same in all of them, as the embeddings of t
/// and the posterior's coefficients, belongs to the recording.
pub(super) struct Replay {
    /// The numbers of a batch, which the steps read where they are.
    inputs: Vec<(Part, Tensor)>,
    /// The pictures of the last launch.
    pictures: Tensor,
    /// The parameters that the steps read. As long as they are held, a change of one is made on a copy, and seen.
    parameters: Vec<Tensor>,
    steps: Recorded,
}

impl Replay {
    /// A batch of that size was drawn before.
    pub fn record(sampler: &Sampler, batch: usize) -> Result<Replay> {
        let zeros = |part| Ok((part, Tensor::zeros(sampler.shape(batch, part), sampler.dtype, &sampler.device)?));
        let inputs = sampler.parts().map(zeros).collect::<Result<Vec<_>>>()?;
        let parameters = sampler.generator.params().iter().map(Param::value).collect();
        let input = |part: Part| {
            let (_, input) = inputs.iter().find(|(of, _)| *of == part).expect("an input for each part");
            Ok(input.clone())
        };
        let (steps, mut pictures) = Recorded::new(&sampler.device, 1, |_| sampler.walk(input, |_, _| ()))?;
        let pictures = pictures.pop().expect("those of the one work");
        Ok(Replay { inputs, pictures, parameters, steps })
    }

    /// Whether a batch of that size can be drawn, and with the parameters that the generator has now.
    pub fn fits(&self, sampler: &Sampler, batch: usize) -> bool {
        let unchanged = |(param, held): (&Param, &Tensor)| param.value().shares_memory(held);
        self.pictures.shape()[0] == batch && sampler.generator.params().iter().zip(&self.parameters).all(unchanged)
    }

    pub fn draw(&mut self, sampler: &Sampler, draws: &[Draw]) -> Result<Tensor> {
        for (part, input) in &mut self.inputs {
            input.assign(&sampler.numbers(draws, *part)?)?;
        }
        self.steps.launch(0)?;
        // The next launch writes to the same memory.
        self.pictures.deep_clone()
    }
}
