//! Random tensors. Randomness is an argument: the same key gives the same numbers on every device and with any
//! number of threads.

use super::{DType, Device, Key, Tensor};
use crate::Result;
use crate::backend::dispatch;

/// Standard normal noise for a tensor: its numbers, or the sequence they are, for a device to draw where it uses them.
#[derive(Clone)]
pub enum Noise {
    Given(Tensor),
    /// By a key's [pieces](Key::pieces), [8]: a device reads them where it draws, so they may change between two
    /// launches of recorded work.
    Drawn(Tensor),
}

impl Noise {
    /// The numbers, for a tensor like this one.
    pub fn numbers(&self, like: &Tensor) -> Result<Tensor> {
        match self {
            Noise::Given(numbers) => Ok(numbers.clone()),
            Noise::Drawn(key) => normal(like.shape(), Key::from_pieces(&key.to_f32()), like.dtype(), &like.device()),
        }
    }

    /// Where the noise will be used; shared if it is there already.
    pub fn to_device(&self, device: &Device) -> Result<Noise> {
        Ok(match self {
            Noise::Given(numbers) => Noise::Given(numbers.to_device(device)?),
            Noise::Drawn(key) => Noise::Drawn(key.to_device(device)?),
        })
    }

    /// What it is or is drawn from.
    pub fn tensor_mut(&mut self) -> &mut Tensor {
        let (Noise::Given(tensor) | Noise::Drawn(tensor)) = self;
        tensor
    }
}

impl From<Tensor> for Noise {
    fn from(numbers: Tensor) -> Noise {
        Noise::Given(numbers)
    }
}

impl From<&Tensor> for Noise {
    fn from(numbers: &Tensor) -> Noise {
        Noise::Given(numbers.clone())
    }
}

impl From<Key> for Noise {
    fn from(key: Key) -> Noise {
        Noise::Drawn(Tensor::from_f32(&key.pieces(), [8]))
    }
}

impl From<&Noise> for Noise {
    fn from(noise: &Noise) -> Noise {
        noise.clone()
    }
}

/// Standard normal numbers; element i is position i of the sequence `key`.
pub fn normal(shape: impl Into<Vec<usize>>, key: Key, dtype: DType, device: &Device) -> Result<Tensor> {
    let shape = shape.into();
    let len = shape.iter().product();
    Ok(Tensor::new(dispatch!(device, random::normal(; len, key, dtype))?, shape))
}

/// Uniform numbers in (0, 1]; element i is position i of the sequence `key`.
pub fn uniform(shape: impl Into<Vec<usize>>, key: Key, dtype: DType, device: &Device) -> Result<Tensor> {
    let shape = shape.into();
    let len = shape.iter().product();
    Ok(Tensor::new(dispatch!(device, random::uniform(; len, key, dtype))?, shape))
}

/// A stream number from what the numbers are for and where in the run they are used: FNV-1a of the name, then of
/// the counter, so that different purposes and steps draw from different sequences.
pub fn stream(purpose: &str, counter: u64) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01B3);
    let hash = purpose.bytes().fold(0xCBF2_9CE4_8422_2325, fnv);
    counter.to_le_bytes().into_iter().fold(hash, fnv)
}
