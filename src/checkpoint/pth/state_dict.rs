//! A network's state dict in a file of `torch.save`.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::{Pth, TensorAt};
use crate::checkpoint::Tensors;
use crate::checkpoint::published::bare_name;
use crate::error::{Error, Result};
use crate::pickle::Value;
use crate::tensor::Tensor;

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
            let name = name.text().ok_or_else(|| pth.error(format!("has a tensor called {}", name.describe())))?;
            let tensor = pth.tensor(value)?;
            let tensor =
                tensor.ok_or_else(|| pth.error(format!("`{name}` is {}, expected a tensor", value.describe())))?;
            Ok((bare_name(name).to_owned(), tensor))
        };
        Self::new(pth, entries.map(entry).collect::<Result<_>>()?)
    }

    /// Errors as [`StateDict::parse`].
    pub(super) fn new(pth: &'a Pth, entries: Vec<(String, TensorAt)>) -> Result<StateDict<'a>> {
        let places: HashMap<_, _> = entries.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
        if let Some((_, (name, _))) = entries.iter().enumerate().find(|(i, (name, _))| places[name] != *i) {
            return Err(pth.error(format!("has two tensors called `{name}`")));
        }
        let bytes = entries.iter().try_fold(0_u64, |sum, (_, tensor)| sum.checked_add(tensor.bytes()));
        if bytes.is_none_or(|bytes| bytes > pth.length) {
            // Parameters share storages, but no numbers.
            return Err(pth.error(format!("has {} bytes and claims tensors of more than that", pth.length)));
        }
        Ok(StateDict { pth, entries, places })
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
