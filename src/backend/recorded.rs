//! Work that a GPU does again and again, launched as a whole, and numbers that are fetched from it while it goes on.

use super::{Device, Storage};
use crate::{Error, Result};

/// Works that were recorded once. They read and write the memory of the tensors that they saw and made: what varies is
/// brought there by `Tensor::assign` before a launch, and what they returned is overwritten by later ones. All else that
/// they took from the computer's memory stays as it was. What lies between is the same memory for all of them.
pub struct Recorded {
    #[cfg(feature = "cuda")]
    graph: super::cuda::Graph,
    #[cfg(not(feature = "cuda"))]
    nothing: std::convert::Infallible,
}

impl Recorded {
    /// Records what `work` would do for each number below `count`. It was done before: kernels are loaded at their first
    /// use, which is not recorded.
    ///
    /// Errors: those of `work`, which may not wait for the device; a CPU, which has nothing to gain.
    pub fn new<R>(device: &Device, count: usize, work: impl FnMut(usize) -> Result<R>) -> Result<(Recorded, Vec<R>)> {
        match device {
            Device::Cpu => {
                let _ = (count, work);
                Err(Error::config("work on a CPU is not recorded"))
            }
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => {
                let (graph, values) = super::cuda::Graph::record(gpu, count, work)?;
                Ok((Recorded { graph }, values))
            }
        }
    }

    /// Bytes of the device's memory that it keeps.
    pub fn bytes(&self) -> usize {
        #[cfg(feature = "cuda")]
        {
            self.graph.bytes()
        }
        #[cfg(not(feature = "cuda"))]
        match self.nothing {}
    }

    /// Does the work of that number, after all that was asked of the device before.
    pub fn launch(&self, number: usize) -> Result<()> {
        #[cfg(feature = "cuda")]
        {
            self.graph.launch(number)
        }
        #[cfg(not(feature = "cuda"))]
        {
            let _ = number;
            match self.nothing {}
        }
    }
}

/// A few numbers on their way to the computer's memory.
pub enum Fetch {
    Here(Vec<f64>),
    #[cfg(feature = "cuda")]
    Cuda(super::cuda::Fetch),
}

impl Fetch {
    pub fn begin(from: &Storage) -> Result<Fetch> {
        match from {
            Storage::Cpu(s) => Ok(Fetch::Here(s.to_f64())),
            #[cfg(feature = "cuda")]
            Storage::Cuda(s) => super::cuda::Fetch::begin(s).map(Fetch::Cuda),
        }
    }

    /// The numbers, when the device has come to where they were asked for.
    pub fn get(self) -> Result<Vec<f64>> {
        match self {
            Fetch::Here(values) => Ok(values),
            #[cfg(feature = "cuda")]
            Fetch::Cuda(fetch) => Ok(fetch.get()?.into_iter().map(f64::from).collect()),
        }
    }
}
