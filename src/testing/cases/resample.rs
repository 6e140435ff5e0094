use super::{ANY, Case};
use crate::ops::{self, Resample};

pub fn cases() -> Vec<Case> {
    let filter = [1.0, 3.0, 3.0, 1.0];
    let uneven = [1.0, 2.0, 4.0];
    let kinds = [
        ("up", Resample::fir_up2(&filter)),
        ("down", Resample::fir_down2(&filter)),
        ("smooth", Resample::fir_pad(&filter, [2, 2, 2, 2])),
        ("uneven up", Resample::fir_up2(&uneven)),
        ("uneven down", Resample::fir_down2(&uneven)),
        ("uneven smooth", Resample::fir_pad(&uneven, [0, 1, 2, 1])),
        ("nearest", Resample::nearest_up2()),
        ("average", Resample::average_down2()),
    ];
    let mut cases = Vec::new();
    for (name, kind) in kinds {
        // The last has whole packs of 16 bytes, on GPUs a way of its own.
        for x in [[1, 2, 2, 1], [2, 5, 7, 3], [1, 4, 6, 2], [2, 4, 6, 16]] {
            let kind = kind.clone();
            cases.push(Case::new("resample", format!("{name} {x:?}"), vec![x.to_vec()], ANY, move |x| {
                ops::fir_resample(&x[0], &kind)
            }));
        }
        if ["up", "down"].contains(&name) {
            let x = vec![16, 32, 32, 128];
            let case =
                Case::new("resample", format!("{name} {x:?}"), vec![x], ANY, move |x| ops::fir_resample(&x[0], &kind));
            cases.push(case.real());
        }
    }
    cases
}
