//! The built-ins of the dialect against what CUDA documents.

use half::bf16;

use crate::gpu::{Argument::Int, Gpu, Shape, difference, numbers, pointer};

#[test]
fn warp_functions() {
    let Some(g) = Gpu::with_builtins() else { return };
    let s = &g.stream;
    let out = g.scratch::<i32>(2 * 64 * 16);
    g.launch("warp_functions", Shape::new(2, 64), &[pointer(s, &out)]).unwrap();
    for (t, got) in s.clone_dtoh(&out).unwrap().chunks(16).enumerate() {
        let l = (t % 32) as i32;
        let ballot = (0..32).filter(|i| i % 3 == 0).map(|i| 1u32 << i).sum::<u32>() as i32;
        let want = [
            50,
            (l & !7 | (l + 3) & 7) * 10,
            if l < 2 { l } else { l - 2 } * 10,
            if l % 16 < 3 { l } else { l - 3 } * 10,
            if l > 29 { l } else { l + 2 } * 10,
            if l % 8 > 4 { l } else { l + 3 } * 10,
            (l ^ 5) * 10,
            ballot,
            1 + 2,
            (0xFu32 << (l / 4 * 4)) as i32,
            496 + 31,
            (l ^ 1) * 3,
            if l < 16 { l ^ 1 } else { (l ^ 2) * 100 },
            10,
            1 + 4,
            496,
        ];
        assert_eq!(got, want, "thread {t}");
    }
}

#[test]
fn bit_functions() {
    let Some(g) = Gpu::with_builtins() else { return };
    let s = &g.stream;
    let x = [0u32, 1, 0x8000_0000, 0xFFFF_FFFF, 0x1234_5678, 0x00F0_0000, 7, 0xDEAD_BEEF];
    let (input, out) = (s.clone_htod(&x).unwrap(), g.scratch::<u32>(64));
    g.launch("bit_functions", Shape::new(1, 32), &[pointer(s, &input), pointer(s, &out), Int(8)]).unwrap();
    for (i, got) in s.clone_dtoh(&out).unwrap().chunks(8).enumerate() {
        let (a, b) = (x[i], x[(i + 1) % 8]);
        let wide = (b as u64) << 32 | a as u64;
        let first_set = if a == 0 { 0 } else { a.trailing_zeros() + 1 };
        let high = ((a as u64 * b as u64) >> 32) as u32;
        let (left, right) = (((wide << 7) >> 32) as u32, (wide >> 7) as u32);
        assert_eq!(got, [a.count_ones(), a.leading_zeros(), first_set, a.reverse_bits(), high, left, right, a]);
    }
}

#[test]
fn approximations() {
    let Some(g) = Gpu::with_builtins() else { return };
    let s = &g.stream;
    let mut x: Vec<f32> = numbers(4000, 5).iter().enumerate().map(|(i, x)| x * 10f32.powi(i as i32 % 8 - 5)).collect();
    x.extend([1.0, -1.0, 126.0, -126.0, 300.0, -300.0, f32::INFINITY, f32::NEG_INFINITY]);
    let n = x.len();
    let (input, exp2, reciprocal) = (s.clone_htod(&x).unwrap(), g.scratch::<f32>(n), g.scratch::<f32>(n));
    let arguments = [pointer(s, &input), pointer(s, &exp2), pointer(s, &reciprocal), Int(n as i32)];
    g.launch("approximations", Shape::new(n.div_ceil(128) as u32, 128), &arguments).unwrap();
    let (exp2, reciprocal) = (s.clone_dtoh(&exp2).unwrap(), s.clone_dtoh(&reciprocal).unwrap());
    for i in 0..n {
        for (got, want) in [(exp2[i], x[i].exp2()), (reciprocal[i], x[i].recip())] {
            // Numbers below the smallest normal one may become 0.
            let close = (got - want).abs() <= 1e-6 * want.abs() + f32::MIN_POSITIVE;
            assert!(got == want || close, "{}: {got:e}, not {want:e}", x[i]);
        }
    }
}

#[test]
fn bfloat16() {
    let Some(g) = Gpu::with_builtins() else { return };
    let s = &g.stream;
    let mut x: Vec<f32> = numbers(4000, 3).iter().enumerate().map(|(i, x)| x * 10f32.powi(i as i32 % 12 - 7)).collect();
    x.extend([0.0, -0.0, 1.0, 1e30, f32::INFINITY, f32::MAX, 1e-40, 1.003_906_2, 1.011_718_7]);
    let n = x.len();
    let (input, rounded, sum) = (s.clone_htod(&x).unwrap(), g.scratch::<u16>(n), g.scratch::<u16>(n));
    let arguments = [pointer(s, &input), pointer(s, &rounded), pointer(s, &sum), Int(n as i32)];
    g.launch("bfloat16", Shape::new(n.div_ceil(128) as u32, 128), &arguments).unwrap();
    let (rounded, sum) = (s.clone_dtoh(&rounded).unwrap(), s.clone_dtoh(&sum).unwrap());
    for i in 0..n {
        let (a, b) = (bf16::from_f32(x[i]), bf16::from_f32(x[(i + 1) % n]));
        assert_eq!(rounded[i], a.to_bits(), "{}", x[i]);
        let want = bf16::from_f32(a.to_f32() + b.to_f32());
        assert!(sum[i] == want.to_bits() || want.is_nan() && bf16::from_bits(sum[i]).is_nan());
    }
}

#[test]
fn atomics() {
    let Some(g) = Gpu::with_builtins() else { return };
    let s = &g.stream;
    let (f, i, u) = (s.alloc_zeros::<f32>(7), s.alloc_zeros::<i32>(3), s.alloc_zeros::<u32>(3));
    let (f, i, u) = (f.unwrap(), i.unwrap(), u.unwrap());
    let arguments = [pointer(s, &f), pointer(s, &i), pointer(s, &u), Int(700)];
    g.launch("atomics", Shape::new(6, 128), &arguments).unwrap();
    assert_eq!(s.clone_dtoh(&f).unwrap(), [100.0; 7]);
    assert_eq!(s.clone_dtoh(&i).unwrap(), [699 * 350, 699, -699]);
    assert_eq!(s.clone_dtoh(&u).unwrap(), [0, u32::MAX, 2100]);
}

#[test]
fn named_barriers() {
    let Some(g) = Gpu::with_builtins() else { return };
    let out = g.scratch::<f32>(128);
    g.launch("named_barriers", Shape::new(1, 128), &[pointer(&g.stream, &out)]).unwrap();
    let want: Vec<f32> = (0..128).map(|t| (63 - t % 64 + 2 + t / 64) as f32).collect();
    assert_eq!(g.stream.clone_dtoh(&out).unwrap(), want);
}

#[test]
fn grid_axes() {
    let Some(g) = Gpu::with_builtins() else { return };
    let out = g.scratch::<i32>(24 * 8);
    g.launch("grid_axes", Shape([2, 3, 4], 8, 0), &[pointer(&g.stream, &out)]).unwrap();
    let want: Vec<i32> = (0..24).flat_map(|b| (0..8).map(move |t| b * 1000 + t)).collect();
    assert_eq!(g.stream.clone_dtoh(&out).unwrap(), want);
}

#[test]
fn tensor_core() {
    let Some(g) = Gpu::with_builtins() else { return };
    let s = &g.stream;
    let round = |x: Vec<f32>| -> Vec<bf16> { x.into_iter().map(bf16::from_f32).collect() };
    let (a, b) = (round(numbers(16 * 16, 1)), round(numbers(8 * 16, 2)));
    let bits = |x: &[bf16]| s.clone_htod(&x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()).unwrap();
    let (da, db, d) = (bits(&a), bits(&b), g.scratch::<f32>(2 * 16 * 8));
    g.launch("tensor_core", Shape::new(1, 32), &[pointer(s, &d), pointer(s, &da), pointer(s, &db)]).unwrap();
    let entry = |i: usize| (0..16).map(|k| a[i / 8 * 16 + k].to_f32() * b[i % 8 * 16 + k].to_f32()).sum();
    let want: Vec<f32> = (0..16 * 8).chain(0..16 * 8).map(entry).collect();
    assert!(difference(&s.clone_dtoh(&d).unwrap(), &want) < 1e-5);
}

#[test]
fn language() {
    let Some(g) = Gpu::with_builtins() else { return };
    let s = &g.stream;
    let (out, input) = (g.scratch::<f32>(4), s.clone_htod(&[2.5f32]).unwrap());
    g.launch("language", Shape::new(1, 4), &[pointer(s, &out), pointer(s, &input)]).unwrap();
    assert_eq!(s.clone_dtoh(&out).unwrap(), [0.0, 2.0, 4.0, 6.0]);
}
