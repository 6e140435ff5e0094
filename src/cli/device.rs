//! Where to compute.

use std::env;
use std::path::PathBuf;

use clap::Args;

use crate::backend::Convolver;
use crate::tensor::{Device, DeviceName};

#[derive(Args)]
pub struct DeviceOption {
    /// Where to compute: cpu, cuda, cuda:N, or auto, a GPU if one can be used [default: auto]
    #[arg(long, value_name = "DEVICE", default_value = "auto", hide_default_value = true)]
    device: DeviceName,
    /// Who computes convolutions on a GPU: own (our kernels), cudnn, or auto, the faster for each shape [default: own]
    #[arg(long, value_name = "WHO", default_value = "own", hide_default_value = true)]
    conv: Convolver,
}

impl DeviceOption {
    /// Errors: no such device, or one that cannot be used; no cuDNN where that was asked for.
    pub fn open(&self) -> anyhow::Result<Device> {
        self.open_with(self.conv)
    }

    /// Whatever was asked for, all who can compute a convolution are measured.
    pub fn open_to_compare(&self) -> anyhow::Result<Device> {
        self.open_with(Convolver::Compare)
    }

    fn open_with(&self, convolver: Convolver) -> anyhow::Result<Device> {
        let device = self.device.open()?;
        device.choose_convolver(convolver, cache_folder().as_deref())?;
        if device != Device::Cpu {
            eprintln!("{device}: {}", device.name());
        } else if self.device == DeviceName::Auto && Device::gpu_count() > 0 {
            let why = Device::cuda(0).map_or_else(|error| error.to_string(), |_| "it was not ready".into());
            eprintln!("computing on the CPU: {why}");
        }
        Ok(device)
    }
}

/// Where what can be measured again is kept; none without a home.
fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    // As the XDG Base Directory Specification has it, a relative path there is none.
    let caches = folder("XDG_CACHE_HOME").filter(|folder| folder.is_absolute());
    Some(caches.or_else(|| Some(folder("HOME")?.join(".cache")))?.join("ddgan"))
}
