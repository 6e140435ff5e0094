use super::{Case, FIRST};
use crate::ops::{self, GroupNormOptions};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (x, groups, real) in [
        ([1, 1, 1, 2], 1, false),
        ([2, 3, 5, 12], 3, false),
        // More rows than a block.
        ([1, 13, 11, 6], 3, false),
        ([3, 2, 2, 7], 7, false),
        // Whole packs of 16 bytes, on GPUs a way of its own: groups within a pack, beyond one, and a narrower last tile.
        ([2, 3, 5, 16], 8, false),
        ([2, 17, 16, 24], 2, false),
        ([1, 19, 27, 40], 5, false),
        ([16, 32, 32, 128], 32, true),
        ([16, 16, 16, 256], 32, true),
    ] {
        for (per_sample, silu) in [(false, false), (true, true), (true, false), (false, true)] {
            if real && !per_sample {
                continue;
            }
            let affine = if per_sample { vec![x[0], x[3]] } else { vec![x[3]] };
            let name = format!("{x:?} in {groups}, per sample {per_sample}, silu {silu}");
            let options = GroupNormOptions { groups, eps: 1e-6, silu };
            let shapes = vec![x.to_vec(), affine.clone(), affine];
            let case =
                Case::new("group_norm", name, shapes, FIRST, move |x| ops::group_norm(&x[0], &x[1], &x[2], &options));
            cases.push(Case { real, ..case });
        }
    }
    cases
}
