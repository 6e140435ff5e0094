//! What is computed, and how long it takes: every operation that `dispatch!` calls while somebody records. Where nobody
//! does, it costs a look at a flag. With the feature `nvtx` NVIDIA's tools see every operation, recorded or not.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use super::params::{Adam, Attention, Conv2d, Gemm, GroupNorm, Pool2d, Resample};
use super::philox::Key;
use super::range::Range;
use super::{DType, Device, Storage};
use crate::Result;

/// An operation that was recorded.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The stem of its files and the function in them: `conv2d`, `forward`.
    pub op: &'static str,
    pub kernel: &'static str,
    /// Its sizes, if they are more than how many numbers it reads and writes.
    pub sizes: String,
    /// Seconds after the recording began.
    pub start: f64,
    /// On a GPU those of its kernels.
    pub seconds: f64,
    /// Read and written, every tensor once.
    pub bytes: f64,
    /// Multiplications and additions of convolutions, matrix products and attention, computed directly. Memory is the
    /// cost of all others: 0.
    pub flops: f64,
    /// Of kernels of a GPU.
    pub launches: Vec<Launch>,
}

/// A kernel that a GPU ran.
#[derive(Clone, Debug)]
pub struct Launch {
    pub kernel: String,
    /// By the GPU's clock, which is set where the first kernel of the recording was launched.
    pub start: f64,
    pub seconds: f64,
}

/// When a kernel ran.
pub trait Timed {
    /// Begin and end in seconds, after a moment that is the same for all kernels. Waits for the end.
    fn interval(&self) -> Result<[f64; 2]>;
}

struct Recording {
    began: Instant,
    operations: Vec<Operation>,
    /// Each with the number of its operation.
    launches: Vec<(usize, String, Box<dyn Timed>)>,
}

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

/// Whether operations of this thread are recorded.
pub fn is_on() -> bool {
    ON.get()
}

/// Runs `work`, and tells what operations it called on this thread.
///
/// Errors: those of `work`, and of the GPU that it computed on.
pub fn record<R>(work: impl FnOnce() -> Result<R>) -> Result<(R, Vec<Operation>)> {
    struct Stop;
    impl Drop for Stop {
        fn drop(&mut self) {
            ON.set(false);
            RECORDING.take();
        }
    }
    let stop = Stop;
    RECORDING.set(Some(Recording { began: Instant::now(), operations: Vec::new(), launches: Vec::new() }));
    ON.set(true);
    let value = work()?;
    let Recording { mut operations, launches, .. } = RECORDING.take().expect("recordings are not nested");
    drop(stop);
    let mut offset = None;
    for (operation, kernel, timed) in launches {
        let Some(operation) = operations.get_mut(operation) else { continue };
        let [begin, end] = timed.interval()?;
        let offset = *offset.get_or_insert(operation.start - begin);
        operation.launches.push(Launch { kernel, start: begin + offset, seconds: end - begin });
        operation.seconds += end - begin;
    }
    Ok((value, operations))
}

/// A stretch of time for NVIDIA's tools to show, until it is dropped: see the feature `nvtx`.
pub fn range(name: impl FnOnce() -> String) -> Range {
    Range::new(name)
}

/// Runs `work` as if nobody recorded: what it launches is no part of the operation under way.
pub fn paused<R>(work: impl FnOnce() -> R) -> R {
    struct Resume(bool);
    impl Drop for Resume {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }
    let _resume = Resume(ON.replace(false));
    work()
}

/// Adds a kernel to the operation under way.
pub fn launched(kernel: String, timed: Box<dyn Timed>) {
    RECORDING.with_borrow_mut(|recording| {
        if let Some(Recording { operations, launches, .. }) = recording {
            launches.push((operations.len(), kernel, timed));
        }
    });
}

/// An operation under way, if it is recorded. `dispatch!` shows it what the operation is given.
pub struct Span {
    open: Option<Open>,
    _range: Range,
}

struct Open {
    began: Instant,
    on_gpu: bool,
    operation: Operation,
}

impl Span {
    pub fn begin(device: &Device, op: &'static str, kernel: &'static str) -> Span {
        let open = ON.get().then(|| Open {
            began: Instant::now(),
            on_gpu: *device != Device::Cpu,
            operation: Operation {
                op,
                kernel,
                sizes: String::new(),
                start: 0.0,
                seconds: 0.0,
                bytes: 0.0,
                flops: 0.0,
                launches: Vec::new(),
            },
        });
        Span { open, _range: range(|| format!("{op}::{kernel}")) }
    }

    pub fn tensor<T: Numbers>(&mut self, tensor: T) -> T {
        if let Some(Open { operation, .. }) = &mut self.open {
            operation.bytes += tensor.bytes();
        }
        tensor
    }

    pub fn parameter<P: Work>(&mut self, parameter: P) -> P {
        if let Some(Open { operation, .. }) = &mut self.open {
            operation.flops += parameter.flops(operation.kernel);
            operation.sizes += &parameter.sizes();
        }
        parameter
    }

    pub fn end<T: Numbers>(self, result: &Result<T>) {
        let (Some(Open { began, on_gpu, mut operation }), Ok(written)) = (self.open, result) else { return };
        if !on_gpu {
            operation.seconds = began.elapsed().as_secs_f64();
        }
        operation.bytes += written.bytes();
        RECORDING.with_borrow_mut(|recording| {
            let Some(recording) = recording else { return };
            operation.start = (began - recording.began).as_secs_f64();
            recording.operations.push(operation);
        });
    }
}

/// What is read or written.
pub trait Numbers {
    fn bytes(&self) -> f64;
}

impl Numbers for Storage {
    fn bytes(&self) -> f64 {
        (self.len() * self.dtype().bytes()) as f64
    }
}

impl Numbers for &Storage {
    fn bytes(&self) -> f64 {
        Storage::bytes(self)
    }
}

impl Numbers for &mut Storage {
    /// Read and written.
    fn bytes(&self) -> f64 {
        2.0 * Storage::bytes(self)
    }
}

impl Numbers for () {
    fn bytes(&self) -> f64 {
        0.0
    }
}

impl<T: Numbers> Numbers for Option<T> {
    fn bytes(&self) -> f64 {
        self.as_ref().map_or(0.0, T::bytes)
    }
}

impl<T: Numbers> Numbers for Vec<T> {
    fn bytes(&self) -> f64 {
        self.iter().map(T::bytes).sum()
    }
}

impl<A: Numbers, B: Numbers> Numbers for (A, B) {
    fn bytes(&self) -> f64 {
        self.0.bytes() + self.1.bytes()
    }
}

impl<A: Numbers, B: Numbers, C: Numbers> Numbers for (A, B, C) {
    fn bytes(&self) -> f64 {
        self.0.bytes() + self.1.bytes() + self.2.bytes()
    }
}

/// What a parameter tells about the work that it asks for.
pub trait Work {
    /// Of the function `kernel` of the operation.
    fn flops(&self, _kernel: &str) -> f64 {
        0.0
    }

    fn sizes(&self) -> String {
        String::new()
    }
}

impl Work for &Conv2d {
    fn flops(&self, _: &str) -> f64 {
        Conv2d::flops(self)
    }

    fn sizes(&self) -> String {
        let Conv2d { n, h, w, c, k, r, s, stride, .. } = self;
        let stride = if *stride == 1 { String::new() } else { format!(" /{stride}") };
        format!("{n}x{h}x{w}x{c} > {k}, {r}x{s}{stride}")
    }
}

impl Work for &Gemm {
    fn flops(&self, _: &str) -> f64 {
        Gemm::flops(self)
    }

    fn sizes(&self) -> String {
        format!("{}x{}x{}", self.m, self.n, self.k)
    }
}

impl Work for &Attention {
    fn flops(&self, kernel: &str) -> f64 {
        // q k^T and the product with v; backwards the scores once more, and two products for either's gradients.
        let products = if kernel == "backward" { 5.0 } else { 2.0 };
        2.0 * products * (self.n * self.t) as f64 * (self.t * self.c) as f64
    }

    fn sizes(&self) -> String {
        format!("{}x{}x{}", self.n, self.t, self.c)
    }
}

impl Work for &GroupNorm {
    fn sizes(&self) -> String {
        format!("{}x{}x{}", self.n, self.hw, self.c)
    }
}

impl Work for &Resample {
    fn sizes(&self) -> String {
        let Resample { n, h, w, c, p, q, .. } = self;
        format!("{n}x{h}x{w}x{c} > {p}x{q}")
    }
}

impl Work for &Pool2d {
    fn sizes(&self) -> String {
        let Pool2d { n, h, w, c, p, q, .. } = self;
        format!("{n}x{h}x{w}x{c} > {p}x{q}")
    }
}

impl Work for [usize; 3] {
    fn sizes(&self) -> String {
        format!("{}x{}x{}", self[0], self[1], self[2])
    }
}

macro_rules! tells_nothing {
    ($($type:ty),*) => {
        $(impl Work for $type {})*
    };
}
tells_nothing!(f64, usize, DType, Key, &Adam, &[f64]);
