use crate::Result;
use crate::tensor::{DType, Device, Tensor};

/// The sinusoidal embedding of time steps (Vaswani et al., 2017): [N] -> [N, dim], sin(t f_i) then cos(t f_i) with
/// f_i = 10000^(-i / (dim/2 - 1)), and a zero at the end if dim is odd. `t` is used as it is, unscaled.
pub fn sinusoidal_embedding(t: &[f64], dim: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    let half = dim / 2;
    let frequency = |i: usize| (-(10_000f64.ln()) * i as f64 / (half.max(2) - 1) as f64).exp();
    let mut values = Vec::with_capacity(t.len() * dim);
    for &t in t {
        values.extend((0..half).map(|i| (t * frequency(i)).sin()));
        values.extend((0..half).map(|i| (t * frequency(i)).cos()));
        values.extend((2 * half..dim).map(|_| 0.0));
    }
    Tensor::from_values(&values, [t.len(), dim], dtype, device)
}

/// The Gaussian Fourier embedding (Tancik et al., 2020): [N] -> [N, 2 F], sin(2 pi w x) then cos(2 pi w x) with the F
/// fixed random frequencies w, which are in the computer's memory; of their type.
pub fn fourier_embedding(x: &[f64], w: &Tensor, device: &Device) -> Result<Tensor> {
    let frequencies = w.to_f64();
    let mut values = Vec::with_capacity(x.len() * 2 * frequencies.len());
    for &x in x {
        let phase = |w: &f64| x * w * std::f64::consts::TAU;
        values.extend(frequencies.iter().map(|w| phase(w).sin()));
        values.extend(frequencies.iter().map(|w| phase(w).cos()));
    }
    Tensor::from_values(&values, [x.len(), 2 * frequencies.len()], w.dtype(), device)
}
