//! `content.pth`, from which the published program continues a training, and `netG_N.pth`, from which it samples.

use serde_json::{Map, Value as Json};

use super::{Pth, StateDict, TensorAt};
use crate::error::Result;
use crate::pickle::{Object, Value};

/// All that a training of the published program saves.
pub struct Content<'a> {
    /// The epoch to continue with, counted from 0.
    pub epoch: u64,
    /// Steps done.
    pub global_step: u64,
    /// The options of the program, under their published names.
    pub args: Map<String, Json>,
    pub generator: StateDict<'a>,
    pub generator_optimizer: Optimizer<'a>,
    pub discriminator: StateDict<'a>,
    pub discriminator_optimizer: Optimizer<'a>,
    /// The length of the learning rates' decay in epochs, if they decay.
    pub decay_epochs: Option<u64>,
}

/// Adam's state, and the moving average of the parameters, which the published program keeps there.
pub struct Optimizer<'a> {
    pth: &'a Pth,
    /// The names of all parameters, in the order of the state dict.
    names: Vec<String>,
    /// What there is for each parameter; nothing for one that never had a gradient.
    states: Vec<Option<Value<'a>>>,
    /// Updates made.
    pub steps: u64,
    /// Learning rate in the first epoch.
    pub lr: f64,
    pub betas: [f64; 2],
}

impl Pth {
    /// Errors: a `content.pth` with parts missing or malformed. `None` if the file is something else.
    pub fn content(&self) -> Result<Option<Content<'_>>> {
        let root = self.root();
        let Some(generator) = root.get("netG_dict") else { return Ok(None) };
        let part = |key: &str| root.get(key).ok_or_else(|| self.error(format!("has `netG_dict`, but no `{key}`")));
        let counter = |key: &str| {
            let value = part(key)?;
            value.int().ok_or_else(|| self.error(format!("its `{key}` is {}, expected a number", value.describe())))
        };
        let generator = StateDict::parse(self, generator)?;
        let discriminator = StateDict::parse(self, part("netD_dict")?)?;
        Ok(Some(Content {
            epoch: counter("epoch")?,
            global_step: counter("global_step")?,
            args: options(part("args")?),
            generator_optimizer: Optimizer::parse(self, part("optimizerG")?, &generator)?,
            discriminator_optimizer: Optimizer::parse(self, part("optimizerD")?, &discriminator)?,
            generator,
            discriminator,
            decay_epochs: root.get("schedulerG").and_then(|scheduler| scheduler.get("T_max")).and_then(Value::int),
        }))
    }

    /// The generator's parameters as they are: the file's only state dict, or that of a `content.pth`.
    pub fn generator(&self) -> Result<StateDict<'_>> {
        let root = self.root();
        StateDict::parse(self, root.get("netG_dict").unwrap_or(root))
    }
}

impl<'a> Optimizer<'a> {
    /// Errors: another optimizer than Adam without weight decay, or one of other parameters than the network's.
    fn parse(pth: &'a Pth, optimizer: Value<'a>, network: &StateDict) -> Result<Optimizer<'a>> {
        let bad = |what: &str| pth.error(format!("its optimizer {what}"));
        let groups: Vec<Value> = optimizer.get("param_groups").and_then(Value::items).into_iter().flatten().collect();
        let &[group] = &groups[..] else { return Err(bad("should have one group of parameters")) };
        let number = |value: Value| value.float().or_else(|| Some(value.int::<i64>()? as f64));
        let get = |key| group.get(key).and_then(number);
        let betas = group.get("betas").and_then(Value::tuple).map(|betas: [Value; 2]| betas.map(number));
        let (Some(lr), Some([Some(beta1), Some(beta2)])) = (get("initial_lr").or_else(|| get("lr")), betas) else {
            return Err(bad("is none of Adam, which has `lr` and `betas`"));
        };
        let amsgrad = group.get("amsgrad").and_then(Value::bool).unwrap_or(false);
        if get("eps") != Some(1e-8) || get("weight_decay").unwrap_or(0.0) != 0.0 || amsgrad {
            return Err(bad("has options other than the published ones: eps 1e-8, weight_decay 0, no amsgrad"));
        }
        let names: Vec<String> = network.entries().iter().map(|(name, _)| name.clone()).collect();
        let count = group.get("params").and_then(Value::items).map_or(0, |params| params.len());
        if count != names.len() {
            return Err(bad(&format!("is for {count} parameters, the network has {}", names.len())));
        }
        let mut states = vec![None; count];
        for (index, state) in optimizer.get("state").and_then(Value::entries).into_iter().flatten() {
            let slot = index.int::<usize>().and_then(|index| states.get_mut(index));
            *slot.ok_or_else(|| bad(&format!("has a state for parameter {}", index.describe())))? = Some(state);
        }
        let mut optimizer = Optimizer { pth, names, states, steps: 0, lr, betas: [beta1, beta2] };
        optimizer.steps = optimizer.count_steps()?;
        Ok(optimizer)
    }

    /// The updates that Adam counts for every parameter alike: an integer, or since PyTorch 1.12 a tensor.
    fn count_steps(&self) -> Result<u64> {
        let mut counts = Vec::new();
        for step in self.states.iter().flatten().filter_map(|state| state.get("step")) {
            counts.push(match self.pth.tensor(step)? {
                Some(tensor) if tensor.shape().iter().product::<usize>() == 1 => self.pth.read(&tensor)?.item() as u64,
                _ => step.int().ok_or_else(|| self.pth.error(format!("its Adam counts {}", step.describe())))?,
            });
        }
        counts.dedup();
        match counts[..] {
            [] => Ok(0),
            [steps] => Ok(steps),
            _ => Err(self.pth.error("its Adam counts other updates for some parameters than for others")),
        }
    }

    /// What it keeps under `key` (`exp_avg`, `exp_avg_sq`, `ema`) for each parameter; not for one that never had a
    /// gradient.
    pub fn kept(&self, key: &str) -> Result<StateDict<'a>> {
        let mut entries = Vec::new();
        for (name, state) in self.names.iter().zip(&self.states) {
            if let Some(value) = state.and_then(|state| state.get(key)) {
                let tensor = self.pth.tensor(value)?;
                let wrong =
                    || self.pth.error(format!("its `{key}` of {name} is {}, expected a tensor", value.describe()));
                entries.push((name.clone(), tensor.ok_or_else(wrong)?));
            }
        }
        StateDict::new(self.pth, entries.into_iter().map(Ok))
    }
}

impl<'a> Content<'a> {
    /// The moving average of the generator's parameters, if there is one. A parameter that is never trained is its own.
    pub fn average(&self) -> Result<Option<StateDict<'a>>> {
        let average = self.generator_optimizer.kept("ema")?;
        if average.entries().is_empty() {
            return Ok(None);
        }
        let of = |(name, raw): &(String, TensorAt)| Ok((name.clone(), average.get(name).unwrap_or(raw).clone()));
        StateDict::new(self.generator_optimizer.pth, self.generator.entries().iter().map(of)).map(Some)
    }
}

/// The published program has some 60 options of a few words, and lists of up to 6. Options are copied, and one value
/// can be that of any number of them, so longer ones are left out.
const MAX_OPTIONS: usize = 1000;
const MAX_TEXT: usize = 4096;
const MAX_LIST: usize = 64;

/// The numbers, strings, and lists of such, in an argparse.Namespace.
fn options(namespace: Value) -> Map<String, Json> {
    let state = namespace.object().and_then(|Object { state, .. }| state);
    let options = state.and_then(Value::entries).into_iter().flatten().take(MAX_OPTIONS);
    options.filter_map(|(name, value)| Some((short_text(name)?.to_owned(), option(value)?))).collect()
}

fn short_text(value: Value<'_>) -> Option<&str> {
    value.text().filter(|text| text.len() <= MAX_TEXT)
}

fn option(value: Value) -> Option<Json> {
    let scalar = |value: Value| {
        let number = value.bool().map(Json::from).or_else(|| value.int::<i64>().map(Json::from));
        number.or_else(|| value.float().map(Json::from)).or_else(|| short_text(value).map(Json::from))
    };
    match scalar(value) {
        Some(scalar) => Some(scalar),
        // An object has items too, but is no list.
        None if value.object().is_some() => None,
        None => {
            let items = value.items().filter(|items| items.len() <= MAX_LIST)?;
            items.map(scalar).collect::<Option<Vec<_>>>().map(Json::from)
        }
    }
}
