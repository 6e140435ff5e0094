//! What the tests of the CPU's kernels share.

/// Numbers in -0.5..1 that look random and are the same everywhere; not centred, so that no sum of theirs cancels.
pub fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32 * 1.5 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

/// |got - want| / |want| in the 2-norm; NaN where anything is NaN.
pub fn rel_error(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let difference: f64 = got.iter().zip(want).map(|(&g, &w)| (g as f64 - w).powi(2)).sum();
    let norm: f64 = want.iter().map(|w| w * w).sum();
    if difference == 0.0 { 0.0 } else { (difference / norm).sqrt() }
}

/// The result of `f` with one thread, after making sure that two and three threads give the same bits.
pub fn in_pools(f: impl Fn() -> Vec<f32> + Send + Sync) -> Vec<f32> {
    let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&f);
    let one = with(1);
    for threads in [2, 3] {
        let other = with(threads);
        let equal = one.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(equal && one.len() == other.len(), "{threads} threads give another result than one");
    }
    one
}
