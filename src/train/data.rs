//! The data set of a training, which must fit its networks and what was trained before.

use std::sync::Arc;

use super::TrainConfig;
use crate::data::{self, DataSpec, Dataset, Fit};
use crate::error::{Error, Result};

/// The data set of a configuration, whose pictures must fit the networks.
pub(super) fn open_data(config: &TrainConfig) -> Result<Arc<dyn Dataset>> {
    let (size, channels) = (config.generator.image_size, config.generator.num_channels);
    let fit = Fit { size: Some(size), channels: Some(channels), filter: config.resize_filter };
    let (name, data_dir) = (config.dataset.clone(), config.data_dir.clone());
    let data = data::open(&DataSpec { name, data_dir, fit, ..Default::default() })?;
    let shape = data.shape();
    if [shape.height, shape.width, shape.channels] != [size, size, channels] {
        return Err(Error::config(format!(
            "the pictures of {} are {}x{} with {} channels, the networks are for {size}x{size} with {channels}; \
             set image_size and num_channels",
            config.dataset, shape.height, shape.width, shape.channels,
        )));
    }
    Ok(data)
}

/// The order of the pictures depends on how many there are.
pub(super) fn check_size(data: &dyn Dataset, expected: Option<u64>) -> Result<()> {
    match expected {
        Some(expected) if expected != data.len() as u64 => Err(Error::config(format!(
            "{} has {} pictures ({}), this run began with {expected}: give it the same data (--data-dir), or start a \
             new run without --resume",
            data.name(),
            data.len(),
            data.origin(),
        ))),
        _ => Ok(()),
    }
}
