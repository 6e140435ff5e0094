//! Matrix products of cuBLASLt, in the layouts that the library uses.

use std::ffi::c_void;
use std::mem::size_of_val;
use std::ptr::{from_ref, null_mut};

use cudarc::cublaslt::{result, sys};
use cudarc::driver::DevicePtr;
use half::bf16;

use crate::gpu::{EMULATED, Gpu, difference, numbers};

struct Product {
    m: usize,
    n: usize,
    k: usize,
    trans_a: bool,
    trans_b: bool,
    batch: usize,
    bias: bool,
    beta: f32,
}

/// Row-major C [M,N] = op(A) op(B) + beta C + bias [N] is column-major C^T = op(B)^T op(A)^T.
fn multiply(g: &Gpu, p: &Product, a: &[f32], b: &[f32], c: &[f32], bias: &[f32], half: bool) -> Vec<f32> {
    use sys::cublasLtMatmulDescAttributes_t as Desc;
    use sys::cublasLtMatmulPreferenceAttributes_t as Preference;
    use sys::cublasLtMatrixLayoutAttribute_t as Attribute;
    let s = &g.stream;
    let bytes = |x: &[f32]| -> Vec<u8> {
        match half {
            true => x.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
            false => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    };
    let [da, db, dc, dbias] = [a, b, c, bias].map(|x| s.clone_htod(&bytes(x)).unwrap());
    let pointer = |x: &cudarc::driver::CudaSlice<u8>| DevicePtr::device_ptr(x, s).0 as *mut c_void;
    let kind = if half { sys::cudaDataType_t::CUDA_R_16BF } else { sys::cudaDataType_t::CUDA_R_32F };
    let scale = sys::cudaDataType_t::CUDA_R_32F;
    let workspace = g.scratch::<u8>(4 << 20);
    // SAFETY: the layouts are of the buffers made above.
    unsafe {
        let layout = |rows: usize, columns: usize| {
            let layout = result::create_matrix_layout(kind, columns as u64, rows as u64, columns as i64).unwrap();
            let (count, stride) = (p.batch as i32, (rows * columns) as i64);
            let set = |name, value: *const c_void, size| {
                result::set_matrix_layout_attribute(layout, name, value, size).unwrap();
            };
            set(Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, from_ref(&count).cast(), 4);
            set(Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, from_ref(&stride).cast(), 8);
            layout
        };
        let la = if p.trans_a { layout(p.k, p.m) } else { layout(p.m, p.k) };
        let lb = if p.trans_b { layout(p.n, p.k) } else { layout(p.k, p.n) };
        let lc = layout(p.m, p.n);
        let desc = result::create_matmul_desc(sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, scale).unwrap();
        let set = |name, value: *const c_void, size| {
            result::set_matmul_desc_attribute(desc, name, value, size).unwrap();
        };
        let (first, second) = (i32::from(p.trans_b), i32::from(p.trans_a));
        set(Desc::CUBLASLT_MATMUL_DESC_TRANSA, from_ref(&first).cast(), 4);
        set(Desc::CUBLASLT_MATMUL_DESC_TRANSB, from_ref(&second).cast(), 4);
        if p.bias {
            let (epilogue, pointer) = (sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS, pointer(&dbias));
            set(Desc::CUBLASLT_MATMUL_DESC_EPILOGUE, from_ref(&epilogue).cast(), size_of_val(&epilogue));
            set(Desc::CUBLASLT_MATMUL_DESC_BIAS_POINTER, from_ref(&pointer).cast(), 8);
        }
        let preference = result::create_matmul_pref().unwrap();
        let prefer = |name, value: *const c_void, size| {
            result::set_matmul_pref_attribute(preference, name, value, size).unwrap();
        };
        let (room, aligned) = (workspace.len(), 16u32);
        prefer(Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, from_ref(&room).cast(), 8);
        for name in [
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ] {
            prefer(name, from_ref(&aligned).cast(), 4);
        }
        let handle = result::create_handle().unwrap();
        let found = result::get_matmul_algo_heuristic(handle, desc, lb, la, lc, lc, preference).unwrap();
        let (alpha, room) = (1.0f32, pointer(&workspace));
        let (alpha, beta) = (from_ref(&alpha).cast(), from_ref(&p.beta).cast());
        let (a, b, c) = (pointer(&da), pointer(&db), pointer(&dc));
        let stream = s.cu_stream().cast();
        let size = found.workspaceSize;
        result::matmul(handle, desc, alpha, beta, b, lb, a, la, c, lc, c, lc, &found.algo, room, size, stream).unwrap();
        if EMULATED {
            // One element further would be outside of A.
            let beyond = a.cast::<u8>().add(16).cast();
            let wrong = result::matmul(
                handle,
                desc,
                alpha,
                beta,
                b,
                lb,
                beyond,
                la,
                c,
                lc,
                c,
                lc,
                &found.algo,
                room,
                size,
                stream,
            );
            assert!(wrong.is_err());
            let none = result::matmul(
                handle,
                desc,
                alpha,
                beta,
                b,
                lb,
                a,
                la,
                c,
                lc,
                c,
                lc,
                &found.algo,
                null_mut(),
                0,
                stream,
            );
            assert!(none.is_err(), "a workspace smaller than promised");
        }
        for l in [la, lb, lc] {
            result::destroy_matrix_layout(l).unwrap();
        }
        result::destroy_matmul_desc(desc).unwrap();
        result::destroy_matmul_pref(preference).unwrap();
        result::destroy_handle(handle).unwrap();
    }
    let bytes = s.clone_dtoh(&dc).unwrap();
    match half {
        true => bytes.chunks(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        false => bytes.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
    }
}

#[test]
fn products() {
    let Some(g) = Gpu::with_builtins() else { return };
    // SAFETY: only looks whether the library is there.
    let found = unsafe { sys::is_culib_present() };
    if !EMULATED && !found {
        return eprintln!("skipped: libcublasLt was not found");
    }
    for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
        for (half, bias, beta) in [(false, false, 0.0), (true, false, 0.0), (false, true, 0.0), (false, false, 0.5)] {
            let p = Product { m: 8, n: 24, k: 40, trans_a, trans_b, batch: 3, bias, beta };
            let round = |x: f32| if half { bf16::from_f32(x).to_f32() } else { x };
            let random = |n: usize, seed| -> Vec<f32> { numbers(n, seed).into_iter().map(round).collect() };
            let [a, b, c, bias] = [(p.m * p.k, 1), (p.k * p.n, 2), (p.m * p.n, 3), (p.n, 4)]
                .map(|(n, seed)| random(if seed == 4 { n } else { n * p.batch }, seed));
            let want: Vec<f32> = (0..p.batch * p.m * p.n)
                .map(|at| {
                    let (i, m, n) = (at / (p.m * p.n), at / p.n % p.m, at % p.n);
                    let a = |k: usize| a[i * p.m * p.k + if trans_a { k * p.m + m } else { m * p.k + k }];
                    let b = |k: usize| b[i * p.k * p.n + if trans_b { n * p.k + k } else { k * p.n + n }];
                    let sum: f32 = (0..p.k).map(|k| a(k) * b(k)).sum();
                    sum + p.beta * c[at] + if p.bias { bias[n] } else { 0.0 }
                })
                .collect();
            let got = multiply(&g, &p, &a, &b, &c, &bias, half);
            let tolerance = if half { 5e-2 } else { 1e-4 };
            assert!(difference(&got, &want) < tolerance, "{trans_a} {trans_b} bf16 {half} bias {} beta {beta}", p.bias);
        }
    }
}
