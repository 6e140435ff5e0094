//! The losses of a step, when a GPU has come to them.

use crate::error::{Error, Result};
use crate::tensor::Fetch;

/// The losses of the discriminator's half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiscriminatorLosses {
    pub real: f64,
    pub fake: f64,
    /// gamma / 2 E |dD/dx_t|^2, on the steps that have it.
    pub r1: Option<f64>,
    /// All of the same of the discriminator of x_0, if there is one.
    pub x0: Option<f64>,
}

/// The losses of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// A DDPM has none.
    pub discriminator: Option<DiscriminatorLosses>,
    /// Of a DDPM, the error of the predicted noise.
    pub generator: f64,
}

/// A step that was launched.
pub struct Pending {
    /// What [`DiscriminatorLosses::of`] takes for each part of the batch, then the generator's loss of each.
    pub(super) losses: Fetch,
    /// The parts' shares of the batch.
    pub(super) weights: Vec<f64>,
    pub(super) with_r1: bool,
    /// Its number, counted from 1 as statistics do.
    pub(super) step: u64,
}

impl Pending {
    /// Waits for the step.
    ///
    /// Errors: a loss that is not finite.
    pub fn losses(self) -> Result<Losses> {
        let Pending { losses, weights, with_r1, step } = self;
        let values = losses.get()?;
        let (of_discriminator, of_generator) = values.split_at(values.len() - weights.len());
        let mut discriminator: Option<DiscriminatorLosses> = None;
        if !of_discriminator.is_empty() {
            let parts = of_discriminator.chunks(of_discriminator.len() / weights.len());
            for (part, &weight) in parts.zip(&weights) {
                let part = DiscriminatorLosses::of(part, with_r1, step)?.weighted(weight);
                discriminator = Some(discriminator.map_or(part, |sum| sum.plus(&part)));
            }
        }
        let name = if discriminator.is_some() { "loss_g" } else { "loss" };
        let mut generator = 0.0;
        for (loss, weight) in of_generator.iter().zip(&weights) {
            generator += weight * finite(name, *loss, step)?;
        }
        Ok(Losses { discriminator, generator })
    }
}

impl DiscriminatorLosses {
    /// From those of the discriminator, then of the one of x_0: of each real, fake and perhaps R1.
    ///
    /// Errors: one that is not finite.
    pub(super) fn of(values: &[f64], with_r1: bool, step: u64) -> Result<DiscriminatorLosses> {
        let of_one = |values: &[f64]| {
            let real = finite("loss_d_real", values[0], step)?;
            let r1 = values.get(2).map(|&r1| finite("loss_r1", r1, step)).transpose()?;
            Ok::<_, Error>((real, finite("loss_d_fake", values[1], step)?, r1))
        };
        let mut of_each = values.chunks(if with_r1 { 3 } else { 2 }).map(of_one);
        let (real, fake, r1) = of_each.next().expect("a discriminator's losses")?;
        let x0 = of_each.next().transpose()?.map(|(real, fake, r1)| real + fake + r1.unwrap_or(0.0));
        Ok(DiscriminatorLosses { real, fake, r1, x0 })
    }

    fn weighted(self, weight: f64) -> DiscriminatorLosses {
        let DiscriminatorLosses { real, fake, r1, x0 } = self;
        let scaled = |loss: f64| weight * loss;
        DiscriminatorLosses { real: scaled(real), fake: scaled(fake), r1: r1.map(scaled), x0: x0.map(scaled) }
    }

    /// With those of another part, which has the same ones.
    fn plus(self, other: &DiscriminatorLosses) -> DiscriminatorLosses {
        let sum = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b);
        let (real, fake) = (self.real + other.real, self.fake + other.fake);
        DiscriminatorLosses { real, fake, r1: sum(self.r1, other.r1), x0: sum(self.x0, other.x0) }
    }
}

/// Errors: a loss of a step, counted from 1, that is not finite.
pub(super) fn finite(name: &str, loss: f64, step: u64) -> Result<f64> {
    if loss.is_finite() {
        return Ok(loss);
    }
    Err(Error::Training { step, what: format!("{name} is {loss}: the training has diverged") })
}
