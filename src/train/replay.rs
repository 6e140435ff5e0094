//! Whole training steps as a GPU recorded them, each one launch.

use super::prepared::Varying;
use super::step::Trainer;
use crate::error::{Error, Result};
use crate::models::Generator;
use crate::tensor::{Device, Fetch, Recorded, Tensor};

/// How steps of whole batches are made.
#[derive(Default)]
pub(super) enum Way {
    /// Operation by operation.
    #[default]
    Steps,
    Replay(Box<Replay>),
    /// Operation by operation for good: recording failed, or is not wanted.
    Never(Option<Error>),
}

pub(super) struct Replay {
    /// What the recorded steps compute from, where they read it.
    varying: Varying,
    /// The kinds of steps: whether they have R1.
    kinds: Vec<bool>,
    /// The losses of the last launch of each kind.
    losses: Vec<Tensor>,
    steps: Recorded,
    /// Where the recorded steps write the parameters and what goes with them.
    places: Vec<u64>,
}

impl Trainer {
    /// Whether the step that comes can be, and now is, recorded: a whole batch on a GPU, with networks that are where
    /// they were and that nobody else holds, as somebody who saves them does.
    pub(super) fn is_ready_to_replay(&mut self, varying: &Varying, batch: usize) -> bool {
        if self.device() == Device::Cpu || batch != self.config.batch_size || matches!(self.way, Way::Never(_)) {
            return false;
        }
        let places = self.places();
        if let Way::Replay(replay) = &self.way
            && places.as_ref() == Some(&replay.places)
        {
            return true;
        }
        // Its memory is free for the step that is made without it, or for another recording.
        self.way = Way::Steps;
        let kinds = self.kinds();
        // What was done once has loaded its kernels.
        let (Some(places), true) = (places, kinds.iter().all(|kind| self.kinds_done.contains(kind))) else {
            return false;
        };
        match Replay::record(self, varying, kinds, places) {
            Ok(replay) => self.way = Way::Replay(Box::new(replay)),
            Err(error) => self.way = Way::Never(Some(error)),
        }
        matches!(self.way, Way::Replay(_))
    }

    /// Before a step that is made beside what is recorded: gives that up where the step may need its memory.
    pub(super) fn make_room(&mut self) -> Result<()> {
        if let Way::Replay(replay) = &self.way
            && self.device().memory()?.is_some_and(|memory| memory.free < replay.steps.bytes())
        {
            self.way = Way::Steps;
        }
        Ok(())
    }

    /// The kinds of steps that there are: with R1 and without.
    fn kinds(&self) -> Vec<bool> {
        match (self.uses_r1(), self.config.lazy_reg) {
            (false, _) => vec![false],
            (true, 1) => vec![true],
            (true, _) => vec![true, false],
        }
    }

    /// Where everything is that a step changes; `None` if somebody shares some of it, who must not see it change.
    fn places(&self) -> Option<Vec<u64>> {
        let (of_discriminators, averages) = (self.discriminator_params(), self.ema.iter().flat_map(Generator::params));
        let params = self.generator.params().iter().chain(&of_discriminators).chain(averages);
        let params = params.filter(|param| param.is_trainable()).map(|param| param.own_place());
        let states = [&self.generator_optimizer, &self.discriminator_optimizer].into_iter().flat_map(|o| o.states());
        let moments = states.flat_map(|state| [state.m.own_place(), state.v.own_place()]);
        params.chain(moments).chain([self.health.own_place()]).collect()
    }
}

impl Replay {
    fn record(trainer: &mut Trainer, varying: &Varying, kinds: Vec<bool>, places: Vec<u64>) -> Result<Replay> {
        let varying = varying.own()?;
        let (steps, losses) = Recorded::new(&trainer.device(), kinds.len(), |i| trainer.compute(&varying, kinds[i]))?;
        assert_eq!(trainer.places().as_ref(), Some(&places), "a step changes parameters in place");
        Ok(Replay { varying, kinds, losses, steps, places })
    }

    /// A step's losses to come.
    pub fn step(&mut self, varying: Varying, with_r1: bool) -> Result<Fetch> {
        self.varying.assign(varying)?;
        let kind = self.kinds.iter().position(|&kind| kind == with_r1).expect("all kinds were recorded");
        self.steps.launch(kind)?;
        self.losses[kind].fetch()
    }
}
