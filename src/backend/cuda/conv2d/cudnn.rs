//! Convolutions by cuDNN, channels last, with descriptors for each shape that are made once.
//!
//! It pads both sides alike, and adds neither bias nor residual on the way to memory: kernels/conv2d.cu does that in a
//! pass of its own. What it computes in f32 has no TF32 in it, like our kernels.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex};

use cudarc::cudnn::result::{self, CudnnError};
use cudarc::cudnn::sys;

use super::{Finish, Pass, Task};
use crate::backend::cuda::{DType, Gpu, In, Library, Storage, by_number, launch};
use crate::backend::params::{Conv2d, Divisor};
use crate::{Error, Result};

type Outcome<T> = std::result::Result<T, CudnnError>;

/// Room that an algorithm may take aside.
const MOST_ROOM: usize = 512 << 20;

/// The library, started for one GPU and its stream.
pub struct Cudnn(Mutex<State>);

struct State {
    handle: sys::cudnnHandle_t,
    /// None for what it cannot compute.
    plans: HashMap<(Conv2d, DType), Option<Arc<Plan>>>,
}

/// How tensors lie in memory, and the bytes that each algorithm takes aside.
struct Plan {
    x: Tensor,
    y: Tensor,
    w: Filter,
    conv: Convolution,
    room: HashMap<(Pass, u32), usize>,
}

// SAFETY: the handle is used by one thread at a time, which holds the lock, and descriptors do not change.
unsafe impl Send for Cudnn {}
unsafe impl Sync for Cudnn {}

/// The algorithms that add up in a fixed order, by NVIDIA's documentation (the same numbers give the same bits), and
/// take channels last; the likely faster first. They are products of matrices, as ours are: what is exact to f32 stays
/// so, unlike with transforms.
fn algorithms(pass: Pass) -> &'static [u32] {
    match pass {
        Pass::Forward => &[1, 0],
        Pass::InputGrad | Pass::WeightGrad => &[1],
    }
}

fn forward_algorithm(number: u32) -> sys::cudnnConvolutionFwdAlgo_t {
    match number {
        0 => sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
        _ => sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
    }
}
const INPUT_GRAD: sys::cudnnConvolutionBwdDataAlgo_t =
    sys::cudnnConvolutionBwdDataAlgo_t::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
const WEIGHT_GRAD: sys::cudnnConvolutionBwdFilterAlgo_t =
    sys::cudnnConvolutionBwdFilterAlgo_t::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

impl Cudnn {
    /// Errors: the library is not found, is too old or too new, or does not start.
    pub fn open(gpu: &Gpu) -> Result<Cudnn> {
        if !Library::Cudnn.find() {
            let what = match Library::cudnn_version() {
                0 => "cuDNN was not found; it comes with the Python package nvidia-cudnn-cu13".to_owned(),
                _ => format!("cuDNN is {}", Library::Cudnn.state()),
            };
            return Err(Error::cuda(format!("{what}. `--conv own` computes without")));
        }
        gpu.bind()?;
        let handle = result::create_handle().map_err(|e| error("starting", e))?;
        let cudnn = Cudnn(Mutex::new(State { handle, plans: HashMap::new() }));
        // SAFETY: the stream lives as long as the GPU's handle, which owns this.
        unsafe { result::set_stream(handle, gpu.stream().cast()) }.map_err(|e| error("taking a stream", e))?;
        Ok(cudnn)
    }

    /// The algorithms that can compute this.
    pub fn algorithms(&self, gpu: &Gpu, task: &Task, g: &Conv2d) -> Result<Vec<u32>> {
        let plan = self.0.lock().unwrap().plan(gpu, g, task.dtype())?;
        let can = |plan: Arc<Plan>| {
            let pass = task.pass();
            algorithms(pass).iter().copied().filter(|&number| plan.room.contains_key(&(pass, number))).collect()
        };
        Ok(plan.map_or_else(Vec::new, can))
    }

    /// By an algorithm that can.
    pub fn compute(&self, gpu: &Arc<Gpu>, task: &Task, g: &Conv2d, algorithm: u32) -> Result<Storage> {
        let mut state = self.0.lock().unwrap();
        let (pass, plan) = (task.pass(), state.plan(gpu, g, task.dtype())?);
        let unable = || Error::cuda(format!("cuDNN has no algorithm {algorithm} for {pass} of {g:?}"));
        let plan = plan.ok_or_else(unable)?;
        let room = *plan.room.get(&(pass, algorithm)).ok_or_else(unable)?;
        let mut out = Storage::scratch(gpu, task.len(g), task.dtype())?;
        let aside = Storage::scratch(gpu, room.div_ceil(4), DType::F32)?;
        gpu.timed(
            || format!("cuDNN {pass} {algorithm}"),
            || {
                // SAFETY: the plan is for these shapes, and the storages hold them; their memory goes to work that
                // comes later on the same stream.
                unsafe { state.launch(&plan, task, algorithm, &out, (&aside, room)) }
                    .map_err(|e| error(&format!("{pass} of {g:?}"), e))
            },
        )?;
        drop(state);
        if let Task::Forward { finish, .. } = task
            && finish.terms().contains(&true)
        {
            add_terms(gpu, finish, g, &mut out)?;
        }
        Ok(out)
    }
}

/// y = (y + bias + time bias + residual) * scale.
fn add_terms(gpu: &Arc<Gpu>, finish: &Finish, g: &Conv2d, y: &mut Storage) -> Result<()> {
    let &Finish { bias, time_bias, residual, scale } = finish;
    let grid = gpu.map_grid(y);
    by_number!(y.dtype(), T => {
        let packs = Divisor::new((g.k * size_of::<T>() / 16).max(1));
        let [bias, time_bias, residual] =
            [bias, time_bias, residual].map(|term| term.map_or(In::NULL, |term| term.read::<T>()));
        launch::conv2d_finish::<T>(gpu, grid, y.write(), bias, time_bias, residual, g.into(), packs, scale)
    })
}

impl State {
    fn plan(&mut self, gpu: &Gpu, g: &Conv2d, dtype: DType) -> Result<Option<Arc<Plan>>> {
        if let Some(plan) = self.plans.get(&(*g, dtype)) {
            return Ok(plan.clone());
        }
        gpu.bind()?;
        let plan = Plan::new(self.handle, g, dtype).map_err(|e| error(&format!("planning {g:?}"), e))?.map(Arc::new);
        self.plans.insert((*g, dtype), plan.clone());
        Ok(plan)
    }

    /// # Safety
    /// The plan is for the task's shapes, `out` for its result, and `aside` has room for its bytes.
    unsafe fn launch(
        &self,
        plan: &Plan,
        task: &Task,
        algorithm: u32,
        out: &Storage,
        aside: (&Storage, usize),
    ) -> Outcome<()> {
        let Plan { x: x_desc, y: y_desc, w: w_desc, conv, .. } = plan;
        let pointer = |s: &Storage| s.address() as *mut c_void;
        let (out, room, bytes) = (pointer(out), pointer(aside.0), aside.1);
        let (one, zero) = (1.0f32, 0.0f32);
        let (one, zero) = ((&raw const one).cast(), (&raw const zero).cast());
        // SAFETY: the caller's promise.
        unsafe {
            match *task {
                Task::Forward { x, w, finish } => {
                    let (x, w, algorithm) = (pointer(x), pointer(w), forward_algorithm(algorithm));
                    // Without terms there is no pass afterwards that would multiply.
                    let scale = if finish.terms().contains(&true) { one } else { (&raw const finish.scale).cast() };
                    result::convolution_forward(
                        self.handle,
                        scale,
                        x_desc.0,
                        x,
                        w_desc.0,
                        w,
                        conv.0,
                        algorithm,
                        room,
                        bytes,
                        zero,
                        y_desc.0,
                        out,
                    )
                }
                Task::InputGrad { dy, w } => {
                    let (dy, w) = (pointer(dy), pointer(w));
                    result::convolution_backward_data(
                        self.handle,
                        one,
                        w_desc.0,
                        w,
                        y_desc.0,
                        dy,
                        conv.0,
                        INPUT_GRAD,
                        room,
                        bytes,
                        zero,
                        x_desc.0,
                        out,
                    )
                }
                Task::WeightGrad { x, dy } => {
                    let (x, dy) = (pointer(x), pointer(dy));
                    result::convolution_backward_filter(
                        self.handle,
                        one,
                        x_desc.0,
                        x,
                        y_desc.0,
                        dy,
                        conv.0,
                        WEIGHT_GRAD,
                        room,
                        bytes,
                        zero,
                        w_desc.0,
                        out,
                    )
                }
            }
        }
    }
}

impl Plan {
    /// None for what the library cannot compute in any way.
    fn new(handle: sys::cudnnHandle_t, g: &Conv2d, dtype: DType) -> Outcome<Option<Plan>> {
        let [top, bottom, left, right] = g.pad;
        let lengths = [g.x_len(), g.y_len(), g.w_len()];
        if top != bottom || left != right || lengths.iter().any(|&n| n == 0 || c_int::try_from(n).is_err()) {
            return Ok(None);
        }
        let sizes = |sizes: [usize; 4]| sizes.map(|n| n as c_int);
        let [pad_h, pad_w, stride, _] = sizes([top, left, g.stride, 0]);
        use sys::cudnnMathType_t as Math;
        let (kind, math) = match dtype {
            DType::BF16 => (sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16, Math::CUDNN_TENSOR_OP_MATH),
            // The default would be TF32 on tensor cores.
            _ => (sys::cudnnDataType_t::CUDNN_DATA_FLOAT, Math::CUDNN_FMA_MATH),
        };
        let format = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let float = sys::cudnnDataType_t::CUDNN_DATA_FLOAT;
        let tensor = |shape: [usize; 4]| -> Outcome<Tensor> {
            let tensor = Tensor(result::create_tensor_descriptor()?);
            // SAFETY: just created.
            unsafe { result::set_tensor4d_descriptor(tensor.0, format, kind, sizes(shape)) }?;
            Ok(tensor)
        };
        let (x, y) = (tensor([g.n, g.c, g.h, g.w])?, tensor([g.n, g.k, g.p, g.q])?);
        let w = Filter(result::create_filter_descriptor()?);
        let conv = Convolution(result::create_convolution_descriptor()?);
        // SAFETY: just created.
        unsafe {
            result::set_filter4d_descriptor(w.0, kind, format, sizes([g.k, g.c, g.r, g.s]))?;
            result::set_convolution2d_descriptor(conv.0, pad_h, pad_w, stride, stride, 1, 1, mode, float)?;
            result::set_convolution_math_type(conv.0, math)?;
        }
        let mut plan = Plan { x, y, w, conv, room: HashMap::new() };
        for pass in [Pass::Forward, Pass::InputGrad, Pass::WeightGrad] {
            for &number in algorithms(pass) {
                // An error says that this algorithm cannot.
                if let Ok(bytes) = plan.ask_room(handle, pass, number)
                    && bytes <= MOST_ROOM
                {
                    plan.room.insert((pass, number), bytes);
                }
            }
        }
        Ok(Some(plan))
    }

    fn ask_room(&self, handle: sys::cudnnHandle_t, pass: Pass, number: u32) -> Outcome<usize> {
        let (x, y, w, conv) = (self.x.0, self.y.0, self.w.0, self.conv.0);
        // SAFETY: all of them are alive.
        unsafe {
            match pass {
                Pass::Forward => {
                    result::get_convolution_forward_workspace_size(handle, x, w, conv, y, forward_algorithm(number))
                }
                Pass::InputGrad => {
                    result::get_convolution_backward_data_workspace_size(handle, w, y, conv, x, INPUT_GRAD)
                }
                Pass::WeightGrad => {
                    result::get_convolution_backward_filter_workspace_size(handle, x, y, conv, w, WEIGHT_GRAD)
                }
            }
        }
    }
}

/// A descriptor that is given back when dropped.
macro_rules! descriptor {
    ($name:ident, $handle:ident, $destroy:ident) => {
        struct $name(sys::$handle);

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: created for this alone. An error here has nobody to go to.
                let _ = unsafe { result::$destroy(self.0) };
            }
        }

        // SAFETY: it does not change once it is set.
        unsafe impl Send for $name {}
        unsafe impl Sync for $name {}
    };
}
descriptor!(Tensor, cudnnTensorDescriptor_t, destroy_tensor_descriptor);
descriptor!(Filter, cudnnFilterDescriptor_t, destroy_filter_descriptor);
descriptor!(Convolution, cudnnConvolutionDescriptor_t, destroy_convolution_descriptor);

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: created in `open`, used by nobody any more.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

fn error(what: &str, error: CudnnError) -> Error {
    Error::cuda(format!("cuDNN: {what}: {:?}", error.0))
}
