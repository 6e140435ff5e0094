//! Memory for tensors and workspaces: 64-byte aligned and recycled.
//!
//! A training step allocates the same sizes over and over. Fresh pages from the operating system cost a fault each,
//! so a dropped buffer goes to a free list and the next one of its size class takes it over.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Mutex;

const ALIGN: usize = 64;
/// Free memory kept for reuse; more than this goes back to the operating system.
const KEEP_BYTES: usize = 1 << 30;

struct Pool {
    /// Free blocks by capacity in bytes.
    free: BTreeMap<usize, Vec<Block>>,
    free_bytes: usize,
}

struct Block(NonNull<u8>);
// SAFETY: a block in the pool is owned by the pool alone.
unsafe impl Send for Block {}

static POOL: Mutex<Pool> = Mutex::new(Pool { free: BTreeMap::new(), free_bytes: 0 });

/// Size classes: eight a power of two, so that at most an eighth is wasted.
fn capacity_for(bytes: usize) -> usize {
    let bytes = bytes.max(ALIGN);
    let step = (bytes.next_power_of_two() / 16).max(ALIGN);
    bytes.div_ceil(step) * step
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, ALIGN).expect("a tensor's size fits in isize")
}

fn take(bytes: usize) -> (NonNull<u8>, usize) {
    let capacity = capacity_for(bytes);
    {
        let mut pool = POOL.lock().unwrap();
        // A block a little too large is better than a new one.
        let fit = pool.free.range(capacity..=capacity + capacity / 4).next().map(|(&c, _)| c);
        if let Some(c) = fit {
            let blocks = pool.free.get_mut(&c).unwrap();
            let block = blocks.pop().unwrap();
            if blocks.is_empty() {
                pool.free.remove(&c);
            }
            pool.free_bytes -= c;
            return (block.0, c);
        }
    }
    let layout = layout(capacity);
    // SAFETY: the layout's size is at least ALIGN. Zeroed, so every byte a buffer ever shows has been written.
    let p = unsafe { alloc_zeroed(layout) };
    (NonNull::new(p).unwrap_or_else(|| handle_alloc_error(layout)), capacity)
}

fn give(p: NonNull<u8>, capacity: usize) {
    let mut pool = POOL.lock().unwrap();
    if pool.free_bytes + capacity <= KEEP_BYTES {
        pool.free_bytes += capacity;
        pool.free.entry(capacity).or_default().push(Block(p));
    } else {
        drop(pool);
        // SAFETY: allocated in `take` with this very layout, and owned by nobody else.
        unsafe { dealloc(p.as_ptr(), layout(capacity)) }
    }
}

/// A slice of plain numbers on the heap. Derefs to `[T]`.
pub struct Buffer<T: bytemuck::Pod> {
    p: NonNull<u8>,
    capacity: usize,
    len: usize,
    _t: PhantomData<T>,
}

// SAFETY: a buffer owns its memory, and T is plain data.
unsafe impl<T: bytemuck::Pod + Send> Send for Buffer<T> {}
unsafe impl<T: bytemuck::Pod + Sync> Sync for Buffer<T> {}

impl<T: bytemuck::Pod> Buffer<T> {
    /// `len` numbers of arbitrary value (whatever an earlier buffer left): for outputs that are written whole.
    pub fn scratch(len: usize) -> Self {
        const { assert!(align_of::<T>() <= ALIGN) };
        let (p, capacity) = take(len * size_of::<T>());
        let mut buffer = Buffer { p, capacity, len, _t: PhantomData };
        if cfg!(debug_assertions) {
            // A kernel that forgets to write an element shows up as NaN, not as last step's plausible number.
            bytemuck::cast_slice_mut::<T, u8>(&mut buffer).fill(0xFF);
        }
        buffer
    }

    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::scratch(len);
        bytemuck::cast_slice_mut::<T, u8>(&mut buffer).fill(0);
        buffer
    }

    pub fn from_slice(values: &[T]) -> Self {
        let mut buffer = Self::scratch(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl<T: bytemuck::Pod> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `capacity >= len * size_of::<T>()` bytes at an aligned address, all initialised, owned by self.
        unsafe { std::slice::from_raw_parts(self.p.as_ptr().cast(), self.len) }
    }
}

impl<T: bytemuck::Pod> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and &mut self is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.p.as_ptr().cast(), self.len) }
    }
}

impl<T: bytemuck::Pod> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::from_slice(&values.into_iter().collect::<Vec<T>>())
    }
}

impl<T: bytemuck::Pod> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::from_slice(self)
    }
}

impl<T: bytemuck::Pod> Drop for Buffer<T> {
    fn drop(&mut self) {
        give(self.p, self.capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_waste_at_most_an_eighth() {
        for bytes in (1..5000).chain([1 << 20, (1 << 20) + 1, 123_456_789]) {
            let c = capacity_for(bytes);
            assert!(c >= bytes && c.is_multiple_of(ALIGN));
            assert!(c <= bytes + (bytes / 8).max(ALIGN), "{bytes} -> {c}");
        }
    }

    #[test]
    fn zeros_are_zero_after_reuse() {
        for _ in 0..3 {
            let mut b = Buffer::<f32>::zeros(1031);
            assert!(b.iter().all(|&x| x == 0.0));
            b.fill(3.0);
        }
    }

    #[test]
    fn empty_and_aligned() {
        let b = Buffer::<f64>::scratch(0);
        assert!(b.is_empty());
        assert_eq!(Buffer::<f32>::scratch(5).as_ptr() as usize % ALIGN, 0);
    }
}
