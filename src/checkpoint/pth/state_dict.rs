//! A network's state dict in a file of `torch.save`.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::{Pth, TensorAt};
use crate::checkpoint::Tensors;
use crate::checkpoint::published::bare_name;
use crate::error::{Error, Result};
use crate::pickle::Value;
use crate::tensor::Tensor;

/// Longer than any parameter's name.
const MAX_NAME: usize = 1024;

/// Tensors by name, in the order of the file, without the `module.` of data-parallel training.
pub struct StateDict<'a> {
    pth: &'a Pth,
    entries: Vec<(String, TensorAt)>,
    /// Where in `entries` each name is.
    places: HashMap<String, usize>,
}

impl<'a> StateDict<'a> {
    /// Errors: no dict of tensors, a name that occurs twice, more numbers than the file holds.
    pub fn parse(pth: &'a Pth, dict: Value<'a>) -> Result<StateDict<'a>> {
        let entries = dict
            .entries()
            .ok_or_else(|| pth.error(format!("holds {} where a network's state dict should be", dict.describe())))?;
        let entry = |(name, value): (Value, Value)| {
            let text = name.text().filter(|name| name.len() <= MAX_NAME);
            let name = text.ok_or_else(|| pth.error(format!("has a tensor called {}", name.describe())))?;
            let tensor = pth.tensor(value)?;
            let tensor =
                tensor.ok_or_else(|| pth.error(format!("`{name}` is {}, expected a tensor", value.describe())))?;
            Ok((bare_name(name).to_owned(), tensor))
        };
        Self::new(pth, entries.map(entry))
    }

    /// Errors as [`StateDict::parse`]; the first ends it, before memory is taken for what follows.
    pub(super) fn new(
        pth: &'a Pth,
        entries: impl Iterator<Item = Result<(String, TensorAt)>>,
    ) -> Result<StateDict<'a>> {
        let mut dict = StateDict { pth, entries: Vec::new(), places: HashMap::new() };
        let mut bytes = 0_u64;
        for entry in entries {
            let (name, tensor) = entry?;
            bytes = bytes.saturating_add(tensor.bytes());
            if bytes > pth.length {
                // Parameters share storages, but no numbers.
                return Err(pth.error(format!("has {} bytes and claims tensors of more than that", pth.length)));
            }
            if dict.places.insert(name.clone(), dict.entries.len()).is_some() {
                return Err(pth.error(format!("has two tensors called `{name}`")));
            }
            dict.entries.push((name, tensor));
        }
        Ok(dict)
    }

    /// Names and places, in the order of the file.
    pub fn entries(&self) -> &[(String, TensorAt)] {
        &self.entries
    }

    /// The place of one tensor.
    pub fn get(&self, name: &str) -> Option<&TensorAt> {
        self.places.get(name).map(|&place| &self.entries[place].1)
    }
}

impl Tensors for StateDict<'_> {
    fn path(&self) -> &Path {
        &self.pth.path
    }

    fn names(&self) -> BTreeSet<String> {
        self.entries.iter().map(|(name, _)| name.clone()).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.get(name).map(TensorAt::shape)
    }

    fn is_float(&self, name: &str) -> bool {
        self.get(name).is_some_and(|tensor| tensor.scalar().is_float())
    }

    fn read(&mut self, name: &str) -> Result<Tensor> {
        let tensor = self.get(name).ok_or_else(|| Error::format(&self.pth.path, format!("has no tensor `{name}`")))?;
        self.pth.read(tensor)
    }
}
