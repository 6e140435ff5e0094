//! Fixtures of whole training steps.

use serde::Deserialize;

use super::{Group, Judged, by_name, compare};
use crate::Result;
use crate::diffusion::ScheduleConfig;
use crate::models::{DiscriminatorConfig, GeneratorConfig};
use crate::nn::Param;
use crate::tensor::Key;
use crate::testing::fixtures::Fixture;
use crate::train::{HalfInputs, TrainConfig, Trainer};

#[derive(Deserialize)]
struct TrainStepConfig {
    generator: GeneratorConfig,
    discriminator: DiscriminatorConfig,
    steps: u64,
    lr_g: f64,
    lr_d: f64,
    beta1: f64,
    beta2: f64,
    ema_decay: f64,
    r1_gamma: f64,
    lazy_reg: u64,
    #[serde(flatten)]
    schedule: ScheduleConfig,
}

/// Trains as many steps as the fixture has, each from what this program made of the one before.
pub fn train_step(fixture: &Fixture) -> Result<Vec<Group>> {
    let given: TrainStepConfig = fixture.config()?;
    let TrainStepConfig { beta1, beta2, ema_decay, r1_gamma, lazy_reg, .. } = given;
    let config = TrainConfig {
        discriminator: DiscriminatorConfig { num_channels: given.generator.num_channels, ..given.discriminator },
        generator: given.generator,
        schedule: given.schedule,
        use_ema: true,
        beta1,
        beta2,
        ema_decay,
        r1_gamma,
        lazy_reg,
        ..Default::default()
    };
    let mut trainer = Trainer::new(&config, fixture.dtype(), fixture.device())?;
    fixture.load("g.param.", trainer.generator().params())?;
    fixture.load("d.param.", trainer.discriminator().params())?;

    let mut groups = Vec::new();
    for step in 0..given.steps {
        let real = fixture.tensor(&format!("step{step}.real"))?;

        let inputs = half_inputs(fixture, &format!("step{step}.d"))?;
        let (losses, gradients) = trainer.discriminator_gradients(&real, &inputs)?;
        let computed = by_name(trainer.discriminator().params(), gradients.clone());
        let of_discriminator = compare(fixture, &format!("step{step}.d.grad."), Judged::Gradient, &computed)?;
        trainer.update_discriminator(&gradients, given.lr_d)?;

        let inputs = half_inputs(fixture, &format!("step{step}.g"))?;
        let (loss, gradients) = trainer.generator_gradients(&real, &inputs)?;
        let computed = by_name(trainer.generator().params(), gradients.clone());
        let of_generator = compare(fixture, &format!("step{step}.g.grad."), Judged::Gradient, &computed)?;
        trainer.update_generator(&gradients, given.lr_g)?;
        trainer.next_step();

        let r1 = losses.r1.unwrap_or(0.0);
        let losses = [("d_real", losses.real), ("d_fake", losses.fake), ("r1", r1), ("g", loss)];
        let losses = losses.map(|(name, loss)| (name.to_owned(), vec![loss]));
        groups.push(compare(fixture, &format!("step{step}.loss_"), Judged::Output, &losses)?);
        groups.extend([of_discriminator, of_generator]);
    }
    for (prefix, params) in [
        ("after.d.param.", trainer.discriminator().params()),
        ("after.g.param.", trainer.generator().params()),
        ("after.g.ema.", trainer.averaged_generator().params()),
    ] {
        let values = |param: &Param| (param.name().to_owned(), param.value().to_f64());
        groups.push(compare(fixture, prefix, Judged::Gradient, &params.iter().map(values).collect::<Vec<_>>())?);
    }
    Ok(groups)
}

fn half_inputs(fixture: &Fixture, half: &str) -> Result<HalfInputs> {
    let tensor = |name: &str| fixture.tensor(&format!("{half}.{name}"));
    Ok(HalfInputs {
        t: fixture.indices(&format!("{half}.t"))?,
        noise_t: tensor("noise_t")?.into(),
        noise_t1: tensor("noise_t1")?.into(),
        z: tensor("z")?,
        noise_post: tensor("noise_post")?.into(),
        // Fixtures have no dropout.
        dropout: Key { seed: 0, stream: 0 },
    })
}
