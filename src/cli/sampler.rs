//! How a diffusion model is drawn from.

use clap::Args;

use super::network::variant;
use crate::diffusion::SamplerKind;
use crate::error::Result;
use crate::sample::Source;

#[derive(Args)]
pub struct SamplerOptions {
    /// How a DDPM draws: ancestral, with noise in every step, or ddim, without [default: ancestral]
    #[arg(long, value_name = "KIND", value_parser = variant::<SamplerKind>)]
    sampler: Option<SamplerKind>,
    /// How many steps a DDPM makes, evenly spread over those it was trained for [default: all]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
}

impl SamplerOptions {
    pub fn is_given(&self) -> bool {
        self.sampler.is_some() || self.steps.is_some()
    }

    /// Errors: a generator that draws in one way alone; no steps, or more than there are.
    pub fn apply(&self, source: Source) -> Result<Source> {
        if !self.is_given() {
            return Ok(source);
        }
        let process = source.process.sampled(self.sampler.unwrap_or(SamplerKind::Ancestral), self.steps)?;
        Ok(Source { process, ..source })
    }
}
