//! Loops over rows of channels, as many channels at a time as the widest vectors hold. A plain loop over a row's channels
//! leaves rows of 16 or 48 of them to scalar code: compilers unroll it for longer ones.

use super::Float;

pub(super) const LANES: usize = 16;

/// Some neighbouring channels of a row; those beyond the row's end are zero.
pub(super) type Lanes<T> = [T; LANES];

/// Calls `f(first, count)` for `channels` in blocks of LANES and what is left. Inlined for both, so that whole blocks are
/// loaded and stored as vectors.
#[inline(always)]
pub(super) fn for_lanes(channels: usize, mut f: impl FnMut(usize, usize)) {
    let whole = channels / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        f(first, LANES);
    }
    if whole < channels {
        f(whole, channels - whole);
    }
}

#[inline(always)]
pub(super) fn load<T: Float>(row: &[T], first: usize, count: usize) -> Lanes<T> {
    let mut lanes = [T::ZERO; LANES];
    lanes[..count].copy_from_slice(&row[first..first + count]);
    lanes
}

#[inline(always)]
pub(super) fn store<T: Float>(row: &mut [T], first: usize, count: usize, lanes: &Lanes<T>) {
    row[first..first + count].copy_from_slice(&lanes[..count]);
}
