//! Philox behind the `rand` crate's traits, so that its shuffles and distributions draw from our sequences.

use crate::backend::philox::{Key, philox4x32};
use rand::rand_core::{Infallible, TryRng, utils};

/// Reads the sequence `key` word by word from its start. Two readers of one key see the same words.
#[derive(Clone, Debug)]
pub struct Philox {
    key: Key,
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl Philox {
    pub fn new(key: Key) -> Self {
        Philox { key, block: 0, words: [0; 4], used: 4 }
    }
}

impl TryRng for Philox {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        if self.used == 4 {
            self.words = philox4x32(self.key, self.block);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        Ok(self.words[self.used - 1])
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        utils::next_u64_via_u32(self)
    }

    #[inline]
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        utils::fill_bytes_via_next_word(dst, || self.try_next_u32())
    }
}

/// What the data's random numbers are for. The purpose is the upper half of a Philox stream, an index the lower one,
/// so that no two purposes and no two indices share numbers.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Purpose {
    /// The order of an epoch; index = epoch.
    Shuffle = 0xDA7A_0001,
    /// Which pictures of an epoch are mirrored; index = epoch.
    Flip = 0xDA7A_0002,
    /// Which digits are stacked; index = 2 * channel + half.
    Stack = 0xDA7A_0003,
    /// The drawn digits of the training and of the test set; index = picture.
    DigitTrain = 0xDA7A_0004,
    DigitTest = 0xDA7A_0005,
    /// The points of a distribution in the plane; index = point.
    PointTrain = 0xDA7A_0006,
    PointTest = 0xDA7A_0007,
}

impl Purpose {
    pub fn key(self, seed: u64, index: u32) -> Key {
        Key { seed, stream: u64::from(self as u32) << 32 | u64::from(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use rand::seq::SliceRandom;

    #[test]
    fn words_are_those_of_the_sequence() {
        let key = Key { seed: 5, stream: 9 };
        let mut rng = Philox::new(key);
        let read: Vec<u32> = (0..9).map(|_| rng.next_u32()).collect();
        let direct: Vec<u32> = (0..3).flat_map(|block| philox4x32(key, block)).take(9).collect();
        assert_eq!(read, direct);
        let mut bytes = [0u8; 6];
        Philox::new(key).fill_bytes(&mut bytes);
        assert_eq!(bytes[..4], direct[0].to_le_bytes());
        assert_eq!(bytes[4..], direct[1].to_le_bytes()[..2]);
    }

    /// The order of the data rests on how `rand` turns words into a shuffle: a change there would break resumed runs.
    #[test]
    fn the_shuffle_is_the_recorded_one() {
        let mut order: Vec<u32> = (0..10).collect();
        order.shuffle(&mut Philox::new(Purpose::Shuffle.key(1, 0)));
        assert_eq!(order, [8, 7, 1, 2, 5, 0, 4, 3, 6, 9]);
    }
}
