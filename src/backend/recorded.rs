//! Work that a GPU does again and again, launched as a whole.

use super::Device;
use crate::{Error, Result};

/// Work that was recorded once. It reads and writes the memory of the tensors that it saw and made: what varies is
/// brought there by `Tensor::overwrite` before a launch, and what it returned is overwritten by the next one. All else
/// that it took from the computer's memory stays as it was.
pub struct Recorded {
    #[cfg(feature = "cuda")]
    graph: super::cuda::Graph,
    #[cfg(not(feature = "cuda"))]
    nothing: std::convert::Infallible,
}

impl Recorded {
    /// Records what `work` would do. It was done before: kernels are loaded at their first use, which is not recorded.
    ///
    /// Errors: those of `work`, which may not wait for the device; a CPU, which has nothing to gain.
    pub fn new<R>(device: &Device, work: impl FnOnce() -> Result<R>) -> Result<(Recorded, R)> {
        match device {
            Device::Cpu => {
                drop(work);
                Err(Error::config("work on a CPU is not recorded"))
            }
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => {
                let (graph, value) = super::cuda::Graph::record(gpu, work)?;
                Ok((Recorded { graph }, value))
            }
        }
    }

    /// Does it, after all that was asked of the device before.
    pub fn launch(&self) -> Result<()> {
        #[cfg(feature = "cuda")]
        {
            self.graph.launch()
        }
        #[cfg(not(feature = "cuda"))]
        match self.nothing {}
    }
}
