use super::fast::{forward, input_grad, weight_grad};
use super::finish::Finish;
use super::{Epilogue, direct, winograd};
use crate::backend::cpu::naive;
use crate::backend::cpu::simd::{Isa, isa};
use crate::backend::cpu::testing::{in_pools, numbers, rel_error};
use crate::backend::params::Conv2d;

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x as f64).collect()
}

/// The output and both gradients of every instruction set against plain f64 loops; equal bits for 1, 2 and 3 threads.
fn check_conv(g: Conv2d) {
    let (x, w, dy) = (numbers(g.x_len(), 1), numbers(g.w_len(), 2), numbers(g.y_len(), 3));
    let (bias, time_bias, residual) = (numbers(g.k, 4), numbers(g.n * g.k, 5), numbers(g.y_len(), 6));
    let (x64, w64, dy64) = (wide(&x), wide(&w), wide(&dy));
    let full = Epilogue {
        bias: Some(&bias[..]),
        time_bias: Some(&time_bias[..]),
        residual: Some(&residual[..]),
        scale: std::f32::consts::FRAC_1_SQRT_2,
    };
    let (bias64, time_bias64, residual64) = (wide(&bias), wide(&time_bias), wide(&residual));
    let full64 = Epilogue {
        bias: Some(&bias64[..]),
        time_bias: Some(&time_bias64[..]),
        residual: Some(&residual64[..]),
        scale: full.scale as f64,
    };
    let mut y64 = vec![f64::NAN; g.y_len()];
    naive::conv2d_forward(&x64, &w64, &g, &Epilogue::default(), &mut y64);
    let mut y64_full = vec![f64::NAN; g.y_len()];
    naive::conv2d_forward(&x64, &w64, &g, &full64, &mut y64_full);
    let mut dx64 = vec![f64::NAN; g.x_len()];
    naive::conv2d_input_grad(&dy64, &w64, &g, &mut dx64);
    let mut dw64 = vec![f64::NAN; g.w_len()];
    naive::conv2d_weight_grad(&x64, &dy64, &g, &mut dw64);

    for isa in Isa::available() {
        let check = |what: &str, want: &[f64], f: &(dyn Fn(&mut [f32]) + Sync)| {
            let got = in_pools(|| {
                let mut out = vec![f32::NAN; want.len()];
                f(&mut out);
                out
            });
            let error = rel_error(&got, want);
            assert!(error < 3e-6, "{what}, {}, {g:?}: {error:e}", isa.name());
        };
        // Both algorithms, whichever the shape would get.
        check("direct", &y64, &|y| direct::forward(isa, &x, &w, &g, Finish::plain(g.k, y)));
        check("direct with everything", &y64_full, &|y| direct::forward(isa, &x, &w, &g, Finish::new(&g, &full, y)));
        check("direct, input gradient", &dx64, &|dx| direct::input_grad(isa, &dy, &w, &g, Finish::plain(g.c, dx)));
        check("direct, weight gradient", &dw64, &|dw| direct::weight_grad(isa, &x, &dy, &g, dw));
        if winograd::fits(&g) {
            check("winograd", &y64, &|y| winograd::forward(isa, &x, &w, &g, Finish::plain(g.k, y)));
            check("winograd with everything", &y64_full, &|y| {
                winograd::forward(isa, &x, &w, &g, Finish::new(&g, &full, y))
            });
            check("winograd, input gradient", &dx64, &|dx| {
                winograd::input_grad(isa, &dy, &w, &g, Finish::plain(g.c, dx))
            });
            check("winograd, weight gradient", &dw64, &|dw| winograd::weight_grad(isa, &x, &dy, &g, dw));
        }
    }
}

#[test]
fn channels_of_all_kinds() {
    for c in [1, 3, 6, 12, 24, 33] {
        for k in [1, 3, 12, 17, 40] {
            check_conv(Conv2d::new([2, 5, 7, c], [k, 3, 3, c], 1, [1; 4]));
            check_conv(Conv2d::new([2, 5, 7, c], [k, 1, 1, c], 1, [0; 4]));
        }
    }
    check_conv(Conv2d::new([1, 4, 4, 513], [16, 3, 3, 513], 1, [1; 4]));
    check_conv(Conv2d::new([1, 4, 4, 16], [513, 3, 3, 16], 1, [1; 4]));
}

#[test]
fn sizes_strides_and_paddings() {
    for (h, w) in [(1, 1), (1, 9), (4, 4), (6, 5), (8, 8), (11, 13)] {
        for pad in [[0; 4], [1; 4], [2; 4], [0, 1, 0, 2], [3, 0, 1, 2]] {
            for (r, s) in [(1, 1), (3, 3), (2, 5), (4, 4)] {
                for stride in [1, 2, 3] {
                    if h + pad[0] + pad[1] >= r && w + pad[2] + pad[3] >= s {
                        check_conv(Conv2d::new([2, h, w, 5], [6, r, s, 5], stride, pad));
                    }
                }
            }
        }
    }
}

#[test]
fn large_enough_for_threads_and_for_more_than_one_block() {
    check_conv(Conv2d::new([3, 17, 16, 20], [70, 3, 3, 20], 1, [1; 4]));
    check_conv(Conv2d::new([3, 17, 16, 64], [33, 3, 3, 64], 2, [0, 1, 0, 1]));
    check_conv(Conv2d::new([2, 40, 30, 12], [12, 3, 3, 12], 1, [1; 4]));
    check_conv(Conv2d::new([5, 16, 16, 40], [72, 1, 1, 40], 1, [0; 4]));
}

/// Transforms could lose digits where sums cancel, so here numbers are centred, as in a network. Measured on AVX-512,
/// AVX2 and plain: 1.0e-6 for sums over 128 channels, 1.4e-6 over 256, 2.1e-6 over 512; weight gradients 8e-7.
#[test]
fn winograd_error_on_real_layers() {
    let centred = |len, seed| numbers(len, seed).into_iter().map(|x| x - 0.25).collect::<Vec<f32>>();
    for g in [
        Conv2d::new([1, 32, 32, 128], [128, 3, 3, 128], 1, [1; 4]),
        Conv2d::new([1, 16, 16, 256], [256, 3, 3, 256], 1, [1; 4]),
        Conv2d::new([2, 8, 8, 512], [256, 3, 3, 512], 1, [1; 4]),
    ] {
        let (x, w, dy) = (centred(g.x_len(), 1), centred(g.w_len(), 2), centred(g.y_len(), 3));
        let (x64, w64, dy64) = (wide(&x), wide(&w), wide(&dy));
        let (mut y64, mut dx64, mut dw64) = (vec![0.0; g.y_len()], vec![0.0; g.x_len()], vec![0.0; g.w_len()]);
        naive::conv2d_forward(&x64, &w64, &g, &Epilogue::default(), &mut y64);
        naive::conv2d_input_grad(&dy64, &w64, &g, &mut dx64);
        naive::conv2d_weight_grad(&x64, &dy64, &g, &mut dw64);
        for isa in Isa::available() {
            let (mut y, mut dx, mut dw) = (vec![0.0; g.y_len()], vec![0.0; g.x_len()], vec![0.0; g.w_len()]);
            winograd::forward(isa, &x, &w, &g, Finish::plain(g.k, &mut y));
            winograd::input_grad(isa, &dy, &w, &g, Finish::plain(g.c, &mut dx));
            winograd::weight_grad(isa, &x, &dy, &g, &mut dw);
            let errors = [rel_error(&y, &y64), rel_error(&dx, &dx64), rel_error(&dw, &dw64)];
            assert!(errors.iter().all(|&e| e < 3e-6), "{}, {g:?}: {errors:?}", isa.name());
        }
    }
}

/// A picture is the same whatever the batch it is drawn in. Both of Winograd's plans, with one range of channels and
/// several; sizes at which a single image has one tile; strides.
#[test]
fn an_image_has_the_same_bits_alone_and_in_a_batch() {
    for [size, c, k, r, stride] in [
        [16, 72, 24, 3, 1],
        [8, 130, 40, 3, 1],
        [4, 200, 96, 3, 1],
        [3, 96, 96, 3, 1],
        [9, 20, 30, 3, 2],
        [8, 33, 17, 1, 1],
    ] {
        let batch = |n| Conv2d::new([n, size, size, c], [k, r, r, c], stride, [r / 2; 4]);
        let (one, all) = (batch(1), batch(20));
        let (x, w) = (numbers(all.x_len(), 1), numbers(all.w_len(), 2));
        for isa in Isa::available() {
            let mut together = vec![f32::NAN; all.y_len()];
            forward(isa, &x, &w, &all, &Epilogue::default(), &mut together);
            for (image, want) in x.chunks_exact(one.x_len()).zip(together.chunks_exact(one.y_len())) {
                let mut alone = vec![f32::NAN; one.y_len()];
                forward(isa, image, &w, &one, &Epilogue::default(), &mut alone);
                assert!(alone == want, "{}, {one:?}", isa.name());
            }
        }
    }
}

#[test]
fn an_empty_batch_is_no_work() {
    let g = Conv2d::new([0, 5, 5, 3], [4, 3, 3, 3], 1, [1; 4]);
    let w = numbers(g.w_len(), 1);
    let mut dw = vec![f32::NAN; g.w_len()];
    forward(isa(), &[], &w, &g, &Epilogue::default(), &mut []);
    input_grad(isa(), &[], &w, &g, &mut []);
    weight_grad(isa(), &[], &[], &g, &mut dw);
    assert!(dw.iter().all(|&x| x == 0.0));
}

#[test]
#[should_panic(expected = "numbers for")]
fn a_tensor_of_the_wrong_size_is_caught() {
    let g = Conv2d::new([1, 5, 5, 3], [4, 3, 3, 3], 1, [1; 4]);
    forward(isa(), &[0.0; 74], &[0.0; 108], &g, &Epilogue::default(), &mut [0.0; 100]);
}
