//! Work shared out to threads.
//!
//! The rule for every kernel of the CPU: how work is cut into tasks, and in which order a task adds, depends on the
//! shape alone, never on how many threads there are. So results are the same on every machine with the same
//! instruction set.

use rayon::prelude::*;

/// Below this many multiply-adds waking another thread costs more than it helps.
const SERIAL: usize = 1 << 17;

/// Runs f(0), f(1), .. f(tasks - 1) on the current rayon pool, in any order. `work` is about how many multiply-adds (or
/// numbers moved) all of them make together.
pub fn for_each(tasks: usize, work: usize, f: impl Fn(usize) + Sync + Send) {
    if tasks == 1 || work < SERIAL || rayon::current_num_threads() == 1 {
        (0..tasks).for_each(f);
    } else {
        (0..tasks).into_par_iter().with_max_len(1).for_each(f);
    }
}

/// A pointer into a slice that several tasks write, each to its own part.
#[derive(Clone, Copy)]
pub struct Shared<T>(*mut T);

// SAFETY: whoever dereferences it promises that no two tasks touch the same element.
unsafe impl<T: Send> Send for Shared<T> {}
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub fn new(slice: &mut [T]) -> Self {
        Shared(slice.as_mut_ptr())
    }

    /// The address of element `i`.
    pub fn at(self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }

    /// Elements `start .. start + len`.
    ///
    /// # Safety
    /// They lie in the slice, which is still borrowed, and nobody else touches them meanwhile.
    pub unsafe fn slice<'a>(self, start: usize, len: usize) -> &'a mut [T] {
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}
