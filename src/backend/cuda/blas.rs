//! Matrix products by cuBLASLt, with a plan for each shape that is made once.
//!
//! Our matrices are row-major, the library's column-major: what is C = A B to us is C^T = B^T A^T to it, on the same
//! memory, so B is its first operand and nothing is transposed.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Mutex};

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;

use super::libraries::Library;
use super::{DType, Gpu, Storage};
use crate::backend::params::Gemm;
use crate::{Error, Result};

/// Room for what a product wants to keep aside. More does not make any faster.
const WORKSPACE: usize = 32 << 20;
/// Every tensor begins at a multiple of this.
const ALIGNMENT: u32 = 16;

/// The library, and the plans made so far.
pub struct Blas {
    handle: sys::cublasLtHandle_t,
    /// None for what the library does not do.
    plans: Mutex<HashMap<Shape, Option<Arc<Plan>>>>,
}

/// What a plan depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    sizes: [usize; 3],
    leading: [usize; 3],
    batch: usize,
    strides: [usize; 3],
    transposed: [bool; 2],
    dtype: DType,
    bias: bool,
}

struct Plan {
    desc: sys::cublasLtMatmulDesc_t,
    a: sys::cublasLtMatrixLayout_t,
    b: sys::cublasLtMatrixLayout_t,
    c: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
    workspace: usize,
}

// SAFETY: the library's functions may be called from any thread; what varies between two calls with one plan, the
// pointer to the bias, is set under the lock of `plans`.
unsafe impl Send for Blas {}
unsafe impl Sync for Blas {}
unsafe impl Send for Plan {}
unsafe impl Sync for Plan {}

impl Blas {
    /// None where the library is not found.
    pub fn open() -> Option<Result<Blas>> {
        Library::CublasLt.find().then(|| {
            let handle = result::create_handle().map_err(|e| error("starting", e))?;
            Ok(Blas { handle, plans: Mutex::default() })
        })
    }

    /// C = alpha op(A) op(B) + beta C, plus a bias [N] for every row. False, and nothing done, where the library has no
    /// algorithm for it.
    pub fn gemm(
        &self,
        gpu: &Arc<Gpu>,
        g: &Gemm,
        a: &Storage,
        b: &Storage,
        bias: Option<&Storage>,
        c: &mut Storage,
    ) -> Result<bool> {
        if [g.m, g.n, g.k, g.batch].contains(&0) {
            return Ok(false);
        }
        gpu.bind()?;
        let mut plans = self.plans.lock().unwrap();
        let shape = Shape {
            sizes: [g.m, g.n, g.k],
            leading: [g.lda, g.ldb, g.ldc],
            batch: g.batch,
            strides: [g.stride_a, g.stride_b, g.stride_c],
            transposed: [g.trans_a, g.trans_b],
            dtype: c.dtype(),
            bias: bias.is_some(),
        };
        let plan = match plans.get(&shape) {
            Some(plan) => plan.clone(),
            None => {
                let plan = match self.plan(&shape) {
                    Ok(plan) => Some(Arc::new(plan)),
                    Err(e) if e.0 == sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED => None,
                    Err(e) => return Err(error(&format!("planning {g:?}"), e)),
                };
                plans.insert(shape, plan.clone());
                plan
            }
        };
        let Some(plan) = plan else { return Ok(false) };
        let workspace = Storage::scratch(gpu, plan.workspace.div_ceil(4), DType::F32)?;
        let pointer = |s: &Storage| s.address() as *const c_void;
        let (alpha, beta) = (g.alpha as f32, g.beta as f32);
        // SAFETY: the plan is for these shapes, and the storages hold them; all live until the call returns, and their
        // memory goes to work that comes later on the same stream.
        let run = || unsafe {
            if let Some(bias) = bias {
                set(plan.desc, sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &pointer(bias))?;
            }
            result::matmul(
                self.handle,
                plan.desc,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                pointer(b),
                plan.b,
                pointer(a),
                plan.a,
                pointer(c),
                plan.c,
                pointer(c).cast_mut(),
                plan.c,
                &plan.algorithm,
                pointer(&workspace).cast_mut(),
                plan.workspace,
                gpu.stream().cast(),
            )
        };
        gpu.timed(|| "cuBLASLt".into(), || run().map_err(|e| error(&format!("{g:?}"), e)))?;
        Ok(true)
    }

    fn plan(&self, s: &Shape) -> std::result::Result<Plan, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        use sys::cublasLtMatmulPreferenceAttributes_t as Preference;
        let kind = match s.dtype {
            DType::BF16 => sys::cudaDataType_t::CUDA_R_16BF,
            _ => sys::cudaDataType_t::CUDA_R_32F,
        };
        let [m, n, k] = s.sizes;
        let [a_rows, a_columns] = if s.transposed[0] { [k, m] } else { [m, k] };
        let [b_rows, b_columns] = if s.transposed[1] { [n, k] } else { [k, n] };
        // SAFETY: everything that is set was created just before, and values have their attributes' types.
        unsafe {
            let layout = |rows: usize, columns: usize, which: usize| layout(kind, rows, columns, which, s);
            let desc = result::create_matmul_desc(
                sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                sys::cudaDataType_t::CUDA_R_32F,
            )?;
            let mut plan = Plan {
                desc,
                a: layout(a_rows, a_columns, 0)?,
                b: layout(b_rows, b_columns, 1)?,
                c: layout(m, n, 2)?,
                algorithm: std::mem::zeroed(),
                workspace: 0,
            };
            let [trans_a, trans_b] = s.transposed.map(i32::from);
            set(desc, Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &trans_b)?;
            set(desc, Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &trans_a)?;
            if s.bias {
                let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
                set(desc, Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
            }
            let preference = result::create_matmul_pref()?;
            let prefer = |attribute, value: *const c_void, size| {
                result::set_matmul_pref_attribute(preference, attribute, value, size)
            };
            let (room, aligned) = (WORKSPACE, ALIGNMENT);
            prefer(Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, (&raw const room).cast(), size_of_val(&room))?;
            for attribute in [
                Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
            ] {
                prefer(attribute, (&raw const aligned).cast(), size_of_val(&aligned))?;
            }
            let found =
                result::get_matmul_algo_heuristic(self.handle, desc, plan.b, plan.a, plan.c, plan.c, preference);
            result::destroy_matmul_pref(preference)?;
            let found = found?;
            (plan.algorithm, plan.workspace) = (found.algo, found.workspaceSize);
            Ok(plan)
        }
    }
}

/// The layout of row-major matrices, which are [columns, rows] to the library. `which` of A, B, C.
///
/// # Safety
/// None that the caller could break; it calls foreign functions.
unsafe fn layout(
    kind: sys::cudaDataType_t,
    rows: usize,
    columns: usize,
    which: usize,
    s: &Shape,
) -> std::result::Result<sys::cublasLtMatrixLayout_t, CublasError> {
    use sys::cublasLtMatrixLayoutAttribute_t as Attribute;
    let layout = result::create_matrix_layout(kind, columns as u64, rows as u64, s.leading[which] as i64)?;
    let (count, stride) = (s.batch as i32, s.strides[which] as i64);
    // SAFETY: just created; the attributes' types.
    unsafe {
        let batch = Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
        result::set_matrix_layout_attribute(layout, batch, (&raw const count).cast(), size_of_val(&count))?;
        let offset = Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET;
        result::set_matrix_layout_attribute(layout, offset, (&raw const stride).cast(), size_of_val(&stride))?;
    }
    Ok(layout)
}

/// # Safety
/// `T` is the attribute's type.
unsafe fn set<T>(
    desc: sys::cublasLtMatmulDesc_t,
    attribute: sys::cublasLtMatmulDescAttributes_t,
    value: &T,
) -> std::result::Result<(), CublasError> {
    unsafe { result::set_matmul_desc_attribute(desc, attribute, ptr::from_ref(value).cast(), size_of::<T>()) }
}

fn error(what: &str, error: CublasError) -> Error {
    Error::cuda(format!("cuBLASLt: {what}: {:?}", error.0))
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: created for this plan alone. An error here has nobody to go to.
        unsafe {
            for layout in [self.a, self.b, self.c] {
                let _ = result::destroy_matrix_layout(layout);
            }
            let _ = result::destroy_matmul_desc(self.desc);
        }
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: created in `open`, used by nobody any more.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu;

    /// Every transposition, batches, a bias, alpha and beta, in sizes that are no multiple of anything.
    #[test]
    fn products_are_those_of_the_cpu() {
        let gpu = match Gpu::open(0, usize::MAX) {
            Ok(gpu) => gpu,
            Err(error) if cfg!(feature = "emulator") => panic!("{error}"),
            Err(error) => return eprintln!("skipped: {error}"),
        };
        let Some(blas) = Blas::open() else { return eprintln!("skipped: no cuBLASLt") };
        let blas = blas.unwrap();
        let random =
            |len: usize, stream| cpu::random::normal(len, crate::backend::philox::Key { seed: 5, stream }, DType::F32);
        let numbers = |s: &cpu::Storage| <f32 as cpu::Float>::slice(s).to_vec();
        let (m, n, k) = (5, 7, 11);
        for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let g = Gemm::new(m, n, k);
            let g = if trans_a { g.trans_a() } else { g };
            let g = if trans_b { g.trans_b() } else { g };
            for g in [g, g.batch(3), g.alpha(0.5), g.alpha(-1.5).beta(0.25)] {
                let [a, b, c] = [(m * k, 0), (k * n, 1), (m * n, 2)].map(|(len, stream)| random(g.batch * len, stream));
                let mut want = numbers(&c);
                <f32 as cpu::Float>::gemm(&g, &numbers(&a), &numbers(&b), &mut want);
                for with_bias in [false, true] {
                    let bias = random(n, 3);
                    let upload = |s| Storage::upload(&gpu, s, DType::F32).unwrap();
                    let (a, b, mut c, on_gpu) = (upload(&a), upload(&b), upload(&c), upload(&bias));
                    // The second time with the plan of the first.
                    let fresh = c.duplicate().unwrap();
                    assert!(blas.gemm(&gpu, &g, &a, &b, with_bias.then_some(&on_gpu), &mut c).unwrap());
                    let mut again = fresh;
                    assert!(blas.gemm(&gpu, &g, &a, &b, with_bias.then_some(&on_gpu), &mut again).unwrap());
                    let [got, again] = [&c, &again].map(|s| numbers(&s.download().unwrap()));
                    assert_eq!(got, again);
                    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                        let want = want + if with_bias { numbers(&bias)[i % n] } else { 0.0 };
                        assert!((got - want).abs() < 1e-5, "{g:?}, bias {with_bias}, element {i}: {got}, want {want}");
                    }
                }
            }
        }
    }
}
