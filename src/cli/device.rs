//! Where to compute.

use clap::Args;

use crate::tensor::{Device, DeviceName};

#[derive(Args)]
pub struct DeviceOption {
    /// Where to compute: cpu, cuda, cuda:N, or auto, which is a GPU if there is one that can be used
    #[arg(long, value_name = "DEVICE", default_value = "auto", hide_default_value = true)]
    device: DeviceName,
}

impl DeviceOption {
    /// Errors: no such device, or one that cannot be used.
    pub fn open(&self) -> anyhow::Result<Device> {
        let device = self.device.open()?;
        if device != Device::Cpu {
            eprintln!("{device}: {}", device.name());
        } else if self.device == DeviceName::Auto && Device::gpu_count() > 0 {
            let why = Device::cuda(0).map_or_else(|error| error.to_string(), |_| "it was not ready".into());
            eprintln!("computing on the CPU: {why}");
        }
        Ok(device)
    }
}
