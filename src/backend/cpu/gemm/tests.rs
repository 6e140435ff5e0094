use super::*;
use crate::backend::cpu::testing::{in_pools, numbers, rel_error};

/// Products of every instruction set against plain f64 loops, and equal bits for 1, 2 and 3 threads.
fn check_gemm(g: Gemm) {
    let (a_len, b_len) = (g.batch * g.stride_a.max(g.m * g.k), g.batch * g.stride_b.max(g.k * g.n));
    let (a, b) = (numbers(a_len, 1), numbers(b_len, 2));
    let c_len = (g.batch - 1) * g.stride_c + (g.m.max(1) - 1) * g.ldc + g.n;
    // Without beta whatever C held must not come through.
    let c0 = if g.beta == 0.0 { vec![f32::NAN; c_len] } else { numbers(c_len, 3) };
    let wide = |x: &[f32]| x.iter().map(|&x| x as f64).collect::<Vec<_>>();
    let mut want = wide(&c0);
    naive::matmul(&g, &wide(&a), &wide(&b), &mut want);
    for isa in Isa::available() {
        let got = in_pools(|| {
            let mut c = c0.clone();
            gemm_with(isa, &g, &a, &b, &mut c);
            c
        });
        // What lies between the rows is not the product's.
        let inside: Vec<usize> = (0..c_len).filter(|i| i % g.ldc < g.n).collect();
        let got: Vec<f32> = inside.iter().map(|&i| got[i]).collect();
        let want: Vec<f64> = inside.iter().map(|&i| want[i]).collect();
        let error = rel_error(&got, &want);
        assert!(error < 3e-6, "{} {g:?}: {error:e}", isa.name());
    }
}

#[test]
fn ugly_sizes() {
    for m in [1, 2, 3, 5, 7, 64, 67] {
        for n in [1, 3, 4, 15, 17, 33] {
            for k in [1, 2, 13, 128] {
                check_gemm(Gemm::new(m, n, k));
                check_gemm(Gemm::new(m, n, k).trans_b());
                check_gemm(Gemm::new(m, n, k).trans_a());
            }
        }
    }
}

#[test]
fn large_enough_for_threads_and_for_more_than_one_block() {
    check_gemm(Gemm::new(200, 300, 100));
    check_gemm(Gemm::new(65, 513, 257).trans_b());
    check_gemm(Gemm::new(9, 40, 5000));
    check_gemm(Gemm::new(150, 300, 1100).trans_a());
    check_gemm(Gemm::new(7, 5, 6001).trans_a());
    check_gemm(Gemm::new(40, 41, 1025).trans_a().trans_b());
}

#[test]
fn alpha_beta_batches_and_strides() {
    for g in [Gemm::new(33, 20, 40), Gemm::new(33, 20, 40).trans_b(), Gemm::new(33, 20, 2000).trans_a()] {
        check_gemm(g.alpha(0.3).beta(1.0));
        check_gemm(g.alpha(-2.0).beta(0.5).batch(3));
        check_gemm(Gemm { lda: g.lda + 3, ldb: g.ldb + 5, ldc: 27, stride_a: 0, stride_b: 0, batch: 2, ..g }.strided());
    }
    check_gemm(Gemm::new(3, 4, 0).beta(2.0));
}

impl Gemm {
    /// Room for the rows' distances between the matrices of the batch.
    fn strided(self) -> Self {
        let rows = |trans, a, b| if trans { b } else { a };
        Gemm {
            stride_a: rows(self.trans_a, self.m, self.k) * self.lda,
            stride_b: rows(self.trans_b, self.k, self.n) * self.ldb,
            stride_c: self.m * self.ldc,
            ..self
        }
    }
}

#[test]
#[should_panic(expected = "too few")]
fn a_matrix_that_is_too_small_is_caught() {
    gemm(&Gemm::new(2, 2, 2), &[0.0; 3], &[0.0; 4], &mut [0.0; 4]);
}
