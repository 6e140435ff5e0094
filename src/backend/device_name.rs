//! Devices as users call them.

use super::Device;
use crate::{Error, Result};

/// What a user calls a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceName {
    /// The first GPU if it can be used, else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
}

impl DeviceName {
    /// Errors as [`Device::cuda`].
    pub fn open(self) -> Result<Device> {
        match self {
            DeviceName::Auto => Ok(Device::cuda(0).unwrap_or_default()),
            DeviceName::Cpu => Ok(Device::Cpu),
            DeviceName::Cuda(ordinal) => Device::cuda(ordinal),
        }
    }
}

impl std::str::FromStr for DeviceName {
    type Err = Error;

    fn from_str(text: &str) -> Result<DeviceName> {
        let unknown = || Error::config("expected auto, cpu, cuda or cuda:N");
        match text.split_once(':') {
            None if text == "auto" => Ok(DeviceName::Auto),
            None if text == "cpu" => Ok(DeviceName::Cpu),
            None if text == "cuda" => Ok(DeviceName::Cuda(0)),
            Some(("cuda", ordinal)) => Ok(DeviceName::Cuda(ordinal.parse().map_err(|_| unknown())?)),
            _ => Err(unknown()),
        }
    }
}
