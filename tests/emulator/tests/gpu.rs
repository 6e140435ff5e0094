//! Launching any kernel with any arguments, without the typed functions that the library has for its own.

use std::ffi::{CString, c_void};
use std::sync::Arc;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::{CudaContext, CudaStream, sys};

pub use cudarc::driver::CudaSlice;

pub const EMULATED: bool = cfg!(feature = "emulator");
pub const CHECKED: bool = cfg!(feature = "emulator_checked");

static BUILTINS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernels/builtins.fatbin"));
static MISTAKES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernels/mistakes.fatbin"));

pub struct Gpu {
    pub stream: Arc<CudaStream>,
    module: sys::CUmodule,
}

/// What a kernel is given.
#[derive(Clone, Copy)]
pub enum Argument {
    Pointer(u64),
    Int(i32),
    Long(u64),
}

/// Blocks along three axes, threads of a block, bytes of dynamic shared memory.
#[derive(Clone, Copy)]
pub struct Shape(pub [u32; 3], pub u32, pub u32);

impl Shape {
    pub fn new(blocks: u32, threads: u32) -> Self {
        Shape([blocks, 1, 1], threads, 0)
    }
}

impl Gpu {
    /// With the kernels of builtins.cu; none without a GPU.
    pub fn with_builtins() -> Option<Gpu> {
        // SAFETY: only looks whether the library is there.
        let driver = unsafe { sys::is_culib_present() };
        if driver && !BUILTINS.is_empty() && CudaContext::device_count().is_ok_and(|n| n > 0) {
            return Some(Gpu::load(BUILTINS));
        }
        let required = EMULATED || std::env::var("DDGAN_REQUIRE_CUDA").as_deref() == Ok("1");
        assert!(!required, "no driver, no GPU, or no kernels in this program");
        eprintln!("skipped: no driver, no GPU, or no kernels in this program");
        None
    }

    /// With the kernels of mistakes.cu; for the stand-in alone.
    pub fn with_mistakes() -> Option<Gpu> {
        EMULATED.then(|| Gpu::load(MISTAKES))
    }

    fn load(image: &[u8]) -> Gpu {
        let context = CudaContext::new(0).unwrap();
        // SAFETY: nothing here uses two streams without saying so.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().unwrap();
        // SAFETY: a whole image.
        let module = unsafe { result::module::load_data(image.as_ptr().cast()) }.unwrap();
        Gpu { stream, module }
    }

    pub fn function(&self, name: &str) -> Result<sys::CUfunction, DriverError> {
        // SAFETY: the module is never unloaded.
        unsafe { result::module::get_function(self.module, CString::new(name).unwrap()) }
    }

    pub fn launch(&self, name: &str, shape: Shape, arguments: &[Argument]) -> Result<(), DriverError> {
        let function = self.function(name).unwrap();
        let mut pointers: Vec<*mut c_void> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Pointer(v) | Argument::Long(v) => (&raw const *v).cast_mut().cast(),
                Argument::Int(v) => (&raw const *v).cast_mut().cast(),
            })
            .collect();
        // What is behind the last argument is no argument.
        pointers.push(std::ptr::null_mut());
        let Shape([x, y, z], threads, shared) = shape;
        self.stream.context().bind_to_thread()?;
        // SAFETY: not at all: finding mistakes is what this is for.
        unsafe {
            result::launch_kernel(function, (x, y, z), (threads, 1, 1), shared, self.stream.cu_stream(), &mut pointers)
        }
    }

    /// Numbers that no kernel has written yet.
    pub fn scratch<T: cudarc::driver::DeviceRepr>(&self, n: usize) -> CudaSlice<T> {
        // SAFETY: to be written by a kernel, or not.
        unsafe { self.stream.alloc(n) }.unwrap()
    }
}

pub fn pointer<T>(stream: &CudaStream, slice: &CudaSlice<T>) -> Argument {
    Argument::Pointer(cudarc::driver::DevicePtr::device_ptr(slice, stream).0)
}

/// Numbers in -1..1 that look random.
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// The largest difference; infinite where something is not a number.
pub fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let one = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() };
    a.iter().zip(b).map(one).fold(0.0, f32::max)
}
