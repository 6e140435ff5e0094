//! A GPU's memory, recycled.
//!
//! A training step allocates the same sizes over and over, so a freed block waits for the next request of its very
//! size. All work of a device handle is on one stream: what the next owner writes comes after what the last one read.
//! Exact sizes also mean that nothing lies behind a tensor's end, and the stand-in driver sees every step over it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cudarc::driver::{result, sys};

use super::Gpu;
use crate::{Error, Result};

/// A piece of a GPU's memory, at least 16 bytes aligned; given back when dropped.
pub struct Block {
    gpu: Arc<Gpu>,
    address: sys::CUdeviceptr,
    bytes: usize,
}

impl Block {
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    pub fn address(&self) -> sys::CUdeviceptr {
        self.address
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut free = self.gpu.memory().free.lock().unwrap();
            free.entry(self.bytes).or_default().push(self.address);
        }
    }
}

/// The free blocks of a GPU, by size.
#[derive(Default)]
pub struct Memory {
    free: Mutex<HashMap<usize, Vec<sys::CUdeviceptr>>>,
}

impl Memory {
    /// A block of arbitrary content; in debug builds all ones, so that what a kernel forgets to write shows as NaN.
    pub fn take(gpu: &Arc<Gpu>, bytes: usize) -> Result<Block> {
        gpu.bind()?;
        if bytes == 0 {
            return Ok(Block { gpu: gpu.clone(), address: 0, bytes });
        }
        let recycled = gpu.memory().free.lock().unwrap().get_mut(&bytes).and_then(Vec::pop);
        let address = match recycled {
            Some(address) => address,
            None => gpu.memory().allocate(gpu, bytes)?,
        };
        let block = Block { gpu: gpu.clone(), address, bytes };
        if cfg!(debug_assertions) {
            gpu.fill_bytes(&block, 0xFF)?;
        }
        Ok(block)
    }

    fn allocate(&self, gpu: &Gpu, bytes: usize) -> Result<sys::CUdeviceptr> {
        use sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY as FULL;
        // SAFETY: the context is current, and the block is freed once, in `release`.
        let allocate = || unsafe { result::malloc_sync(bytes) };
        let first = allocate();
        let second = match first {
            Err(error) if error.0 == FULL => {
                self.release(gpu)?;
                allocate()
            }
            other => other,
        };
        second.map_err(|error| match result::mem_get_info() {
            Ok((free, total)) if error.0 == FULL => {
                Error::OutOfMemory { device: gpu.to_string(), asked: bytes, free, total }
            }
            _ => gpu.error(&format!("allocating {bytes} bytes"), error),
        })
    }

    /// Hands the free blocks back to the driver.
    pub fn release(&self, gpu: &Gpu) -> Result<()> {
        let free = std::mem::take(&mut *self.free.lock().unwrap());
        for address in free.into_values().flatten() {
            // SAFETY: a free block belongs to this list alone. The driver waits for the work that still uses it.
            unsafe { result::free_sync(address) }.map_err(|e| gpu.error("freeing memory", e))?;
        }
        Ok(())
    }
}
