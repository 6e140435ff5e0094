//! Marks in a GPU's stream of work, and the time between them.

use std::sync::Arc;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::Gpu;
use super::gpu::describe;
use crate::backend::trace::Timed;
use crate::{Error, Result};

pub struct Event(sys::CUevent);

// SAFETY: the driver's handles may be used from any thread.
unsafe impl Send for Event {}
unsafe impl Sync for Event {}

impl Event {
    /// Marks where the stream is. The GPU is the current one.
    pub fn record(stream: sys::CUstream) -> std::result::Result<Event, DriverError> {
        let event = Event(result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT)?);
        // SAFETY: both are alive.
        unsafe { result::event::record(event.0, stream) }?;
        Ok(event)
    }

    /// Seconds from this mark to a later one, which the GPU has reached.
    fn until(&self, later: &Event) -> std::result::Result<f64, DriverError> {
        // SAFETY: both were recorded.
        unsafe { result::event::elapsed(self.0, later.0) }.map(|milliseconds| 1e-3 * f64::from(milliseconds))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created above, used by nobody any more. An error here has nobody to go to.
        let _ = unsafe { result::event::destroy(self.0) };
    }
}

/// Seconds that the GPU takes for what `work` launches.
pub fn elapsed(gpu: &Gpu, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let error = |e| gpu.error("timing its work", e);
    gpu.bind()?;
    let begin = Event::record(gpu.stream()).map_err(error)?;
    work()?;
    let end = Event::record(gpu.stream()).map_err(error)?;
    gpu.synchronize()?;
    begin.until(&end).map_err(error)
}

/// A piece of work between two marks, and a mark before all of them.
pub struct Interval {
    pub clock: Arc<Event>,
    pub begin: Event,
    pub end: Event,
}

impl Timed for Interval {
    fn interval(&self) -> Result<[f64; 2]> {
        let read = || {
            // SAFETY: it was recorded.
            unsafe { result::event::synchronize(self.end.0) }?;
            let start = self.clock.until(&self.begin)?;
            Ok([start, start + self.begin.until(&self.end)?])
        };
        read().map_err(|error| Error::cuda(format!("reading a GPU's clock: {}", describe(error))))
    }
}
