//! What it takes to launch a kernel, and a typed function for each of kernels/*.cu.

use std::ffi::CStr;

use super::{Gpu, In, Number, Out};
use crate::Result;
#[allow(unused_imports)]
use crate::backend::{params::*, philox::Key};

include!(concat!(env!("OUT_DIR"), "/launch.rs"));

/// Kernels compiled from one file for one number type, for the driver to load.
pub struct Image {
    pub name: &'static str,
    pub bytes: &'static [u8],
}

/// A kernel, and where it is found.
pub(super) struct Kernel {
    pub name: &'static CStr,
    /// Its place in [`IMAGES`].
    pub image: usize,
    /// Its place among all kernels.
    pub slot: usize,
    /// Threads of a block.
    pub threads: u32,
}

/// How many blocks a kernel is launched with, and how much dynamic shared memory each has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub blocks: [u32; 3],
    /// Bytes.
    pub shared: u32,
}

impl Grid {
    pub fn new(x: usize, y: usize, z: usize) -> Self {
        let blocks = [x, y, z].map(|n| u32::try_from(n).expect("a grid of fewer than 2^32 blocks an axis"));
        Grid { blocks, shared: 0 }
    }

    pub fn shared(self, bytes: usize) -> Self {
        Grid { shared: u32::try_from(bytes).expect("shared memory is small"), ..self }
    }
}

impl From<usize> for Grid {
    fn from(x: usize) -> Self {
        Grid::new(x, 1, 1)
    }
}

impl From<[usize; 2]> for Grid {
    fn from([x, y]: [usize; 2]) -> Self {
        Grid::new(x, y, 1)
    }
}
