//! A GPU's memory, recycled.
//!
//! A training step allocates the same sizes over and over, so a freed block waits for the next request of its very
//! size. All work of a device handle is on one stream: what the next owner writes comes after what the last one read.
//! Exact sizes also mean that nothing lies behind a tensor's end, and the stand-in driver sees every step over it.
//!
//! A graph uses the memory that it was recorded with whenever it is launched. So what is taken while one is recorded
//! belongs to it until it is dropped, and is recycled within it only; its constants, which it holds as blocks, are not
//! recycled at all.

use std::collections::HashMap;
use std::mem::take;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

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
            self.gpu.memory().0.lock().unwrap().give(self.address, self.bytes);
        }
    }
}

/// Free addresses, by the size of what lies there.
type Free = HashMap<usize, Vec<sys::CUdeviceptr>>;

/// The memory of a GPU that is not in use, and what graphs hold.
#[derive(Default)]
pub struct Memory(Mutex<State>);

#[derive(Default)]
struct State {
    free: Free,
    recording: Option<Recording>,
    /// What belongs to graphs, and whether a block still holds it.
    of_graphs: HashMap<sys::CUdeviceptr, Held>,
    /// Bytes that the driver gave and has not got back.
    allocated: usize,
}

/// What a graph that is being recorded has taken, of that what is free again, and constants with their content.
struct Recording {
    by: ThreadId,
    taken: Vec<sys::CUdeviceptr>,
    free: Free,
    constants: Vec<(Block, Vec<u8>)>,
}

#[derive(Clone, Copy)]
struct Held {
    bytes: usize,
    by_block: bool,
}

/// What belongs to one graph.
pub struct Owned(Vec<sys::CUdeviceptr>);

impl State {
    fn give(&mut self, address: sys::CUdeviceptr, bytes: usize) {
        match (self.of_graphs.get_mut(&address), &mut self.recording) {
            (Some(held), recording) => {
                held.by_block = false;
                if let Some(recording) = recording {
                    recording.free.entry(bytes).or_default().push(address);
                }
            }
            (None, _) => self.free.entry(bytes).or_default().push(address),
        }
    }

    /// Memory that waits for a request of this size.
    fn recycle(&mut self, bytes: usize) -> Option<sys::CUdeviceptr> {
        let pop = |free: &mut Free| free.get_mut(&bytes).and_then(Vec::pop);
        self.recording.as_mut().and_then(|recording| pop(&mut recording.free)).or_else(|| pop(&mut self.free))
    }

    /// A block now holds what lies there, and the graph that is recorded keeps it.
    fn hold(&mut self, address: sys::CUdeviceptr, bytes: usize) {
        if let Some(recording) = &mut self.recording
            && self.of_graphs.insert(address, Held { bytes, by_block: true }).is_none()
        {
            recording.taken.push(address);
        }
    }
}

impl Memory {
    /// A block of arbitrary content; in debug builds all ones, so that what a kernel forgets to write shows as NaN.
    pub fn take(gpu: &Arc<Gpu>, bytes: usize) -> Result<Block> {
        gpu.bind()?;
        if bytes == 0 {
            return Ok(Block { gpu: gpu.clone(), address: 0, bytes });
        }
        let recycled = gpu.memory().0.lock().unwrap().recycle(bytes);
        let address = match recycled {
            Some(address) => address,
            None => gpu.memory().allocate(gpu, bytes)?,
        };
        gpu.memory().0.lock().unwrap().hold(address, bytes);
        let block = Block { gpu: gpu.clone(), address, bytes };
        if cfg!(debug_assertions) {
            gpu.fill_bytes(&block, 0xFF)?;
        }
        Ok(block)
    }

    /// A block for a constant of the graph that is recorded: nothing that it records writes there.
    pub fn take_constant(gpu: &Arc<Gpu>, bytes: usize) -> Result<Block> {
        let waiting = gpu.memory().0.lock().unwrap().free.get_mut(&bytes).and_then(Vec::pop);
        let address = waiting.map_or_else(|| gpu.memory().allocate(gpu, bytes), Ok)?;
        Ok(Block { gpu: gpu.clone(), address, bytes })
    }

    /// Gives a constant to the graph that is recorded.
    pub fn keep(&self, constant: Block, content: &[u8]) {
        let mut state = self.0.lock().unwrap();
        state.recording.as_mut().expect("a graph is recorded").constants.push((constant, content.to_vec()));
    }

    /// Bytes that are in use or wait to be used again.
    pub fn allocated(&self) -> usize {
        self.0.lock().unwrap().allocated
    }

    /// Bytes that wait to be used again.
    pub fn waiting(&self) -> usize {
        self.0.lock().unwrap().free.iter().map(|(bytes, addresses)| bytes * addresses.len()).sum()
    }

    fn allocate(&self, gpu: &Gpu, bytes: usize) -> Result<sys::CUdeviceptr> {
        use sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY as FULL;
        // SAFETY: the context is current, and the block is freed once, in `release`.
        let allocate = || unsafe { result::malloc_sync(bytes) };
        let allocated = match allocate() {
            Err(error) if error.0 == FULL && !self.is_recording() => {
                self.release(gpu)?;
                allocate()
            }
            other => other,
        };
        let address = allocated.map_err(|error| match result::mem_get_info() {
            Ok((free, total)) if error.0 == FULL => {
                Error::OutOfMemory { device: gpu.to_string(), asked: bytes, free, total }
            }
            _ => gpu.error(&format!("allocating {bytes} bytes"), error),
        })?;
        self.0.lock().unwrap().allocated += bytes;
        Ok(address)
    }

    /// Hands the free blocks back to the driver.
    pub fn release(&self, gpu: &Gpu) -> Result<()> {
        let free = take(&mut self.0.lock().unwrap().free);
        for (bytes, addresses) in free {
            for address in addresses {
                // SAFETY: a free block belongs to this list alone. The driver waits for the work that still uses it.
                unsafe { result::free_sync(address) }.map_err(|e| gpu.error("freeing memory", e))?;
                self.0.lock().unwrap().allocated -= bytes;
            }
        }
        Ok(())
    }

    pub fn is_recording(&self) -> bool {
        self.0.lock().unwrap().recording.is_some()
    }

    /// Whether this thread records.
    pub fn is_recording_here(&self) -> bool {
        self.0.lock().unwrap().recording.as_ref().is_some_and(|recording| recording.by == thread::current().id())
    }

    /// From now on a graph keeps what is taken.
    pub fn begin_recording(&self) {
        let mut state = self.0.lock().unwrap();
        let recording =
            Recording { by: thread::current().id(), taken: Vec::new(), free: Free::new(), constants: Vec::new() };
        assert!(state.recording.replace(recording).is_none(), "one graph is recorded at a time");
    }

    /// What was taken since [`Memory::begin_recording`], and the constants with what they shall hold.
    pub fn end_recording(&self) -> (Owned, Vec<(Block, Vec<u8>)>) {
        let recording = self.0.lock().unwrap().recording.take().expect("a graph is recorded");
        (Owned(recording.taken), recording.constants)
    }

    /// Bytes that belong to a graph.
    pub fn bytes_of(&self, owned: &Owned) -> usize {
        let state = self.0.lock().unwrap();
        owned.0.iter().map(|address| state.of_graphs[address].bytes).sum()
    }

    /// The graph is gone; what blocks still hold is freed when they are.
    pub fn disown(&self, owned: &Owned) {
        let mut state = self.0.lock().unwrap();
        for &address in &owned.0 {
            if let Some(Held { bytes, by_block: false }) = state.of_graphs.remove(&address) {
                state.free.entry(bytes).or_default().push(address);
            }
        }
    }
}
