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
        event.mark(stream)?;
        Ok(event)
    }

    /// One that marks nothing yet and takes no time.
    pub fn without_time() -> std::result::Result<Event, DriverError> {
        Ok(Event(result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)?))
    }

    /// Marks where the stream is now, instead of what it marked before.
    pub fn mark(&self, stream: sys::CUstream) -> std::result::Result<(), DriverError> {
        // SAFETY: both are alive.
        unsafe { result::event::record(self.0, stream) }
    }

    /// Whether the GPU has been there; or nothing is marked.
    pub fn is_reached(&self) -> bool {
        // SAFETY: it is alive.
        unsafe { result::event::query(self.0) }.is_ok()
    }

    pub fn wait(&self) -> std::result::Result<(), DriverError> {
        // SAFETY: it is alive.
        unsafe { result::event::synchronize(self.0) }
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
            self.end.wait()?;
            let start = self.clock.until(&self.begin)?;
            Ok([start, start + self.begin.until(&self.end)?])
        };
        read().map_err(|error| Error::cuda(format!("reading a GPU's clock: {}", describe(error))))
    }
}
