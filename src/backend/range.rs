//! Named stretches of time on NVIDIA's timelines (Nsight Systems), with the feature `nvtx`; nothing without it.

use std::marker::PhantomData;

/// From its making until it is dropped, on the thread that it was made on.
pub struct Range(PhantomData<*const ()>);

impl Range {
    /// The name is asked for only where it is shown.
    pub fn new(name: impl FnOnce() -> String) -> Range {
        #[cfg(feature = "nvtx")]
        nvtx::range_push!("{}", name());
        #[cfg(not(feature = "nvtx"))]
        let _ = name;
        Range(PhantomData)
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        #[cfg(feature = "nvtx")]
        nvtx::range_pop!();
    }
}
