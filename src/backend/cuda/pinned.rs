//! The computer's memory that a GPU copies to and from while the program goes on; with other memory it would wait.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::slice;
use std::sync::{Arc, Mutex};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::event::Event;
use super::{DType, Gpu, Storage};
use crate::Result;

/// As much of it as a GPU's handle takes; larger copies are waited for. The system cannot swap it out.
const MOST: usize = 64 << 20;
const SMALLEST: usize = 4 << 10;

/// A piece of pinned memory.
pub struct Pinned {
    address: *mut c_void,
    bytes: usize,
    /// Behind the last copy from or to it.
    copied: Event,
}

// SAFETY: memory and an event, which any thread may use; changed by their owner alone.
unsafe impl Send for Pinned {}

impl Pinned {
    fn allocate(bytes: usize) -> std::result::Result<Pinned, DriverError> {
        let copied = Event::without_time()?;
        // SAFETY: freed once, when dropped.
        let address = unsafe { result::malloc_host(bytes, 0) }?;
        Ok(Pinned { address, bytes, copied })
    }

    /// Marks the stream behind a copy.
    pub fn mark(&self, stream: sys::CUstream) -> std::result::Result<(), DriverError> {
        self.copied.mark(stream)
    }

    /// Its first bytes, while no copy is under way.
    pub fn bytes_mut(&mut self, bytes: usize) -> &mut [u8] {
        assert!(bytes <= self.bytes);
        // SAFETY: the allocation's own memory, borrowed with self. Bytes have no invalid values.
        unsafe { slice::from_raw_parts_mut(self.address.cast(), bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: allocated above. The driver waits for copies under way. An error has nobody to go to.
        let _ = unsafe { result::free_host(self.address) };
    }
}

/// Pieces to use again, by size, the one that was used longest ago first.
#[derive(Default)]
pub struct Pool(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: HashMap<usize, VecDeque<Pinned>>,
    allocated: usize,
}

impl Pool {
    /// A piece of at least so many bytes that no copy uses; none where there would be too much of it.
    pub fn take(&self, bytes: usize) -> Option<Pinned> {
        let bytes = bytes.next_power_of_two().max(SMALLEST);
        let mut state = self.0.lock().unwrap();
        if let Some(waiting) = state.waiting.get_mut(&bytes)
            && waiting.front().is_some_and(|piece| piece.copied.is_reached())
        {
            return waiting.pop_front();
        }
        if state.allocated + bytes > MOST {
            return None;
        }
        // Where the system has none to spare, copies are waited for.
        let piece = Pinned::allocate(bytes).ok()?;
        state.allocated += bytes;
        Some(piece)
    }

    /// Gives back a piece whose last copy may be under way, marked in the stream behind it.
    pub fn give(&self, piece: Pinned) {
        self.0.lock().unwrap().waiting.entry(piece.bytes).or_default().push_back(piece);
    }
}

/// Numbers on their way to the computer's memory.
pub struct Fetch {
    gpu: Arc<Gpu>,
    /// None once they were taken out.
    piece: Option<Pinned>,
    len: usize,
}

impl Fetch {
    /// Asks for a tensor of a few f32 as it is after all that was launched before, and does not wait for it.
    pub fn begin(from: &Storage) -> Result<Fetch> {
        assert_eq!(from.dtype(), DType::F32);
        let (gpu, len) = (from.gpu().clone(), from.len());
        gpu.bind()?;
        let no_memory = || crate::Error::cuda(format!("{gpu}: no pinned memory is left for {len} numbers"));
        let mut piece = gpu.pinned().take(from.bytes()).ok_or_else(no_memory)?;
        // SAFETY: pinned, and this piece's owner does not touch them before the mark behind the copy is reached.
        unsafe { gpu.download_later(from, piece.bytes_mut(from.bytes())) }?;
        piece.mark(gpu.stream()).map_err(|e| gpu.error("marking its work", e))?;
        Ok(Fetch { gpu, piece: Some(piece), len })
    }

    /// Waits for the numbers, and for nothing that was launched later.
    pub fn get(mut self) -> Result<Vec<f32>> {
        let mut piece = self.piece.take().expect("taken out once");
        self.gpu.bind()?;
        piece.copied.wait().map_err(|e| self.gpu.error("waiting for the GPU", e))?;
        let values = bytemuck::cast_slice(piece.bytes_mut(self.len * size_of::<f32>())).to_vec();
        self.gpu.pinned().give(piece);
        Ok(values)
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        if let Some(piece) = self.piece.take() {
            self.gpu.pinned().give(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::affine;
    use super::*;
    use crate::backend::cpu;

    /// What was asked for is what was there then, though it changes; and memory is used again.
    #[test]
    fn fetches_come_in_their_order_and_leave_their_memory() {
        let gpu = match Gpu::open(0, usize::MAX) {
            Ok(gpu) => gpu,
            Err(error) if cfg!(feature = "emulator") => panic!("{error}"),
            Err(error) => return eprintln!("skipped: {error}"),
        };
        let mut x =
            Storage::upload(&gpu, &cpu::Storage::F32(cpu::Buffer::from_slice(&[0.0, 1.0])), DType::F32).unwrap();
        for round in 0..5 {
            let first = Fetch::begin(&x).unwrap();
            x = affine::forward(&gpu, &x, 2.0, 1.0).unwrap();
            let second = Fetch::begin(&x).unwrap();
            let [second, first] = [second.get().unwrap(), first.get().unwrap()];
            assert_eq!(second, first.iter().map(|x| 2.0 * x + 1.0).collect::<Vec<_>>(), "round {round}");
        }
        assert!(gpu.pinned().0.lock().unwrap().allocated <= 3 * SMALLEST);
    }
}
