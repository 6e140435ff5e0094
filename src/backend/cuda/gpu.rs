//! A GPU with a stream of work of its own: finding it, loading kernels, launching them, copying.

use std::cell::Cell;
use std::ffi::c_void;
use std::fmt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::Storage;
use super::blas::Blas;
use super::conv2d::Tuner;
use super::event::{Event, Interval};
use super::launch::{COMPILER, Grid, IMAGES, Kernel, SLOTS};
use super::memory::{Block, Memory};
use super::pinned::Pool;
use crate::backend::trace;
use crate::backend::{Contest, Convolver, DeviceMemory};
use crate::{Error, Result};

/// The oldest GPUs that the kernels are compiled for: Ampere.
const OLDEST: [i32; 2] = [8, 0];
/// Dynamic shared memory that a kernel has without asking for more.
const SHARED_WITHOUT_ASKING: u32 = 48 << 10;

/// A handle of a GPU. What one handle does is done in order, on its own stream; two handles know nothing of each other.
pub struct Gpu {
    ordinal: usize,
    name: String,
    multiprocessors: usize,
    newest_version: usize,
    context: sys::CUcontext,
    stream: sys::CUstream,
    memory: Memory,
    pinned: Pool,
    /// Held while a graph is recorded, and by other threads that copy from the GPU, which must not be part of it.
    recording: Mutex<()>,
    blas: OnceLock<Option<Blas>>,
    /// None where our own kernels compute all convolutions.
    tuner: OnceLock<Option<Tuner>>,
    /// A mark before all work whose time is taken.
    clock: OnceLock<Arc<Event>>,
    modules: [OnceLock<Module>; IMAGES.len()],
    functions: [OnceLock<Function>; SLOTS],
}

struct Module(sys::CUmodule);

struct Function {
    function: sys::CUfunction,
    /// The most dynamic shared memory that was asked for.
    shared: AtomicU32,
}

// SAFETY: the driver's handles may be used from any thread that has made the context current.
unsafe impl Send for Gpu {}
unsafe impl Sync for Gpu {}

/// The number of GPUs; none without a driver.
pub fn count() -> usize {
    // SAFETY: looks for a library, no more. cudarc panics without it, so this comes before everything else.
    if !unsafe { sys::is_culib_present() } {
        return 0;
    }
    result::init().and_then(|()| result::device::get_count()).map_or(0, |n| n as usize)
}

impl Gpu {
    /// The GPU of that number, with a stream of its own.
    ///
    /// Of every kernel it uses the newest version up to `newest_version`: with 1 it is the oracle that later versions
    /// are compared with.
    ///
    /// Errors: no driver, no such GPU or one too old, a program without kernels.
    pub fn open(ordinal: usize, newest_version: usize) -> Result<Arc<Gpu>> {
        let refuse = |why: &str| Err(Error::cuda(format!("cuda:{ordinal} cannot be used: {why}")));
        // SAFETY: as in `count`.
        if !unsafe { sys::is_culib_present() } {
            return refuse("no NVIDIA driver was found (libcuda.so); --device cpu computes without");
        }
        match count() {
            0 => return refuse("the driver finds no GPU; --device cpu computes without"),
            n if ordinal >= n => return refuse(&format!("the last GPU is cuda:{}", n - 1)),
            _ => {}
        }
        if COMPILER.is_none() {
            return refuse(
                "this program has no CUDA kernels, because nvcc was not found when it was built; \
                 scripts/get-nvcc installs it, then build again",
            );
        }
        let open = || {
            let device = result::device::get(ordinal as i32)?;
            use sys::CUdevice_attribute as Attribute;
            // SAFETY: the device was just found; its context is retained, and never released.
            let attribute = |a| unsafe { result::device::get_attribute(device, a) };
            let capability = [
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ];
            let multiprocessors = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as usize;
            let name = result::device::get_name(device)?;
            let context = unsafe { result::primary_ctx::retain(device) }?;
            unsafe { result::ctx::set_current(context) }?;
            let stream = result::stream::create(result::stream::StreamKind::NonBlocking)?;
            let gpu = Gpu {
                ordinal,
                name,
                multiprocessors,
                newest_version,
                context,
                stream,
                memory: Memory::default(),
                pinned: Pool::default(),
                recording: Mutex::default(),
                blas: OnceLock::new(),
                tuner: OnceLock::new(),
                clock: OnceLock::new(),
                modules: [const { OnceLock::new() }; IMAGES.len()],
                functions: [const { OnceLock::new() }; SLOTS],
            };
            Ok((gpu, capability))
        };
        let (gpu, [major, minor]) = match open() {
            Ok(opened) => opened,
            Err(error) => return refuse(&describe(error)),
        };
        if [major, minor] < OLDEST {
            let [a, b] = OLDEST;
            return refuse(&format!("{} has compute capability {major}.{minor}; {a}.{b} is needed", gpu.name));
        }
        Ok(Arc::new(gpu))
    }

    /// What its maker calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// The version of a kernel to launch, if `newest` is the newest there is.
    pub(super) fn version(&self, newest: usize) -> usize {
        newest.min(self.newest_version)
    }

    pub(super) fn multiprocessors(&self) -> usize {
        self.multiprocessors
    }

    /// Bytes of its memory that this handle has, in use or waiting to be used again.
    pub fn allocated(&self) -> usize {
        self.memory.allocated()
    }

    /// What this handle can still take of its memory, and all of that.
    pub fn available(&self) -> Result<DeviceMemory> {
        self.bind()?;
        let (free, total) = result::mem_get_info().map_err(|e| self.error("asking for its memory", e))?;
        Ok(DeviceMemory { free: free + self.memory.waiting(), total })
    }

    /// Waits until everything that was launched is done.
    pub fn synchronize(&self) -> Result<()> {
        self.bind()?;
        // SAFETY: the stream lives as long as self.
        unsafe { result::stream::synchronize(self.stream) }.map_err(|e| self.error("waiting for the GPU", e))
    }

    /// Blocks for an element-wise loop over a tensor (kernels/map.cuh): as many as its packs of 16 bytes need, and no
    /// more than fill the GPU a few times over. Only speed depends on it.
    pub(super) fn map_grid(&self, x: &Storage) -> Grid {
        const BYTES_A_BLOCK: usize = 256 * 16;
        Grid::from(x.bytes().div_ceil(BYTES_A_BLOCK).min(32 * self.multiprocessors))
    }

    /// The same for a loop over numbers four at a time (kernels/quads.cuh).
    pub(super) fn quad_grid(&self, x: &Storage) -> Grid {
        const NUMBERS_A_BLOCK: usize = 256 * 4;
        Grid::from(x.len().div_ceil(NUMBERS_A_BLOCK).min(32 * self.multiprocessors))
    }

    /// Launches a kernel; nothing for an empty grid.
    ///
    /// # Safety
    /// `arguments` point to values of the kernel's parameter types, in their order; pointers among them to memory of
    /// this GPU that is large enough for what the kernel does.
    pub(super) unsafe fn launch(&self, kernel: &Kernel, grid: Grid, arguments: &mut [*mut c_void]) -> Result<()> {
        let [x, y, z] = grid.blocks;
        if x == 0 || y == 0 || z == 0 {
            return Ok(());
        }
        self.bind()?;
        let function = self.function(kernel)?;
        if grid.shared > SHARED_WITHOUT_ASKING && grid.shared > function.shared.load(Ordering::Relaxed) {
            use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as SHARED;
            // SAFETY: the function was loaded from a module that lives as long as self.
            unsafe { result::function::set_function_attribute(function.function, SHARED, grid.shared as i32) }
                .map_err(|e| self.error(&format!("{} bytes of shared memory for {:?}", grid.shared, kernel.name), e))?;
            function.shared.store(grid.shared, Ordering::Relaxed);
        }
        let (blocks, threads) = ((x, y, z), (kernel.threads, 1, 1));
        self.timed(
            || kernel.name.to_string_lossy().into_owned(),
            || {
                // SAFETY: the caller's promise.
                unsafe {
                    result::launch_kernel(function.function, blocks, threads, grid.shared, self.stream, arguments)
                }
                .map_err(|e| self.error(&format!("launching {:?} in {:?} blocks", kernel.name, grid.blocks), e))
            },
        )
    }

    /// Calls what launches a kernel; where operations are recorded (backend/trace.rs), between two marks.
    pub(super) fn timed(&self, name: impl FnOnce() -> String, launch: impl FnOnce() -> Result<()>) -> Result<()> {
        if !trace::is_on() || self.memory.is_recording() {
            return launch();
        }
        let mark = || Event::record(self.stream).map_err(|e| self.error("marking its work", e));
        if self.clock.get().is_none() {
            let _ = self.clock.set(Arc::new(mark()?));
        }
        let clock = self.clock.get().expect("just set").clone();
        let begin = mark()?;
        launch()?;
        trace::launched(name(), Box::new(Interval { clock, begin, end: mark()? }));
        Ok(())
    }

    fn function(&self, kernel: &Kernel) -> Result<&Function> {
        let slot = &self.functions[kernel.slot];
        if let Some(function) = slot.get() {
            return Ok(function);
        }
        let image = &IMAGES[kernel.image];
        let module = match self.modules[kernel.image].get() {
            Some(module) => module,
            None => {
                // SAFETY: a whole image, which says its own length. A second thread may load it too; one is kept.
                let module = unsafe { result::module::load_data(image.bytes.as_ptr().cast()) };
                let module = module.map_err(|e| self.error(&format!("loading {}", image.name), e))?;
                self.modules[kernel.image].get_or_init(|| Module(module))
            }
        };
        // SAFETY: the module lives as long as self.
        let function = unsafe { result::module::get_function(module.0, kernel.name.to_owned()) };
        let function =
            function.map_err(|e| self.error(&format!("looking for {:?} in {}", kernel.name, image.name), e))?;
        Ok(slot.get_or_init(|| Function { function, shared: AtomicU32::new(0) }))
    }

    /// Copies into a block of the same size. Where a graph is recorded, what is copied becomes part of it.
    pub(super) fn upload(&self, to: &Block, bytes: &[u8]) -> Result<()> {
        assert_eq!(bytes.len(), to.bytes());
        if bytes.is_empty() {
            return Ok(());
        }
        if self.memory.is_recording() {
            // When the graph is launched, the computer's memory holds something else, and `to` may by then have been
            // used for another tensor: the graph copies from a block that is its alone.
            let constant = Memory::take_constant(to.gpu(), bytes.len())?;
            self.copy(to, &constant)?;
            self.memory.keep(constant, bytes);
            return Ok(());
        }
        self.bind()?;
        let error = |e| self.error("copying to the GPU", e);
        let Some(mut piece) = self.pinned.take(bytes.len()) else {
            // SAFETY: the sizes agree. The driver has read pageable memory when the call returns.
            return unsafe { result::memcpy_htod_async(to.address(), bytes, self.stream) }.map_err(error);
        };
        let staged = piece.bytes_mut(bytes.len());
        staged.copy_from_slice(bytes);
        // SAFETY: the sizes agree, and the pool gives the piece to nobody before the copy is done.
        let copied = unsafe { result::memcpy_htod_async(to.address(), staged, self.stream) };
        let marked = copied.and_then(|()| piece.mark(self.stream));
        self.pinned.give(piece);
        marked.map_err(error)
    }

    /// Copies a block out, after all that was launched before.
    pub(super) fn download(&self, from: &Block, bytes: &mut [u8]) -> Result<()> {
        assert_eq!(bytes.len(), from.bytes());
        if self.memory.is_recording_here() {
            return Err(Error::cuda(format!("{self}: a copy from the GPU cannot be recorded in a graph")));
        }
        let _turn = self.turn_to_record();
        if !bytes.is_empty() {
            self.bind()?;
            // SAFETY: the sizes agree, and `bytes` is borrowed until the stream is done.
            unsafe { result::memcpy_dtoh_async(bytes, from.address(), self.stream) }
                .map_err(|e| self.error("copying from the GPU", e))?;
        }
        self.synchronize()
    }

    /// Begins to copy a storage to pinned memory.
    ///
    /// # Safety
    /// `bytes` are pinned and nobody's until the stream has come here.
    pub(super) unsafe fn download_later(&self, from: &Storage, bytes: &mut [u8]) -> Result<()> {
        assert_eq!(bytes.len(), from.bytes());
        self.bind()?;
        // SAFETY: the sizes agree; the caller's promise.
        unsafe { result::memcpy_dtoh_async(bytes, from.address(), self.stream) }
            .map_err(|e| self.error("copying from the GPU", e))
    }

    /// Nobody records a graph while it is held, but who holds it.
    pub(super) fn turn_to_record(&self) -> MutexGuard<'_, ()> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn copy(&self, to: &Block, from: &Block) -> Result<()> {
        assert_eq!(to.bytes(), from.bytes());
        if to.bytes() == 0 {
            return Ok(());
        }
        self.bind()?;
        // SAFETY: the sizes agree, both are this GPU's, and two blocks do not overlap.
        unsafe { result::memcpy_dtod_async(to.address(), from.address(), to.bytes(), self.stream) }
            .map_err(|e| self.error("copying on the GPU", e))
    }

    pub(super) fn fill_bytes(&self, block: &Block, value: u8) -> Result<()> {
        self.bind()?;
        // SAFETY: the block's own size.
        unsafe { result::memset_d8_async(block.address(), value, block.bytes(), self.stream) }
            .map_err(|e| self.error("filling memory", e))
    }

    /// cuBLASLt, if it is found.
    pub(super) fn blas(&self) -> Result<Option<&Blas>> {
        if self.blas.get().is_none() {
            self.bind()?;
            let opened = Blas::open().transpose()?;
            return Ok(self.blas.get_or_init(|| opened).as_ref());
        }
        Ok(self.blas.get().and_then(Option::as_ref))
    }

    /// Says who computes convolutions; our own kernels do where nobody is chosen. `cache` is the folder for what is
    /// measured.
    ///
    /// Errors: cuDNN was asked for and cannot be had, or somebody was chosen before.
    pub fn choose_convolver(&self, convolver: Convolver, cache: Option<&Path>) -> Result<()> {
        let tuner = Tuner::open(self, convolver, cache)?;
        self.tuner.set(tuner).map_err(|_| Error::cuda(format!("{self}: who computes convolutions was chosen before")))
    }

    pub(super) fn tuner(&self) -> Option<&Tuner> {
        self.tuner.get()?.as_ref()
    }

    /// The convolutions that were computed so far, and how long each of those who can takes.
    pub fn contests(&self) -> Vec<Contest> {
        self.tuner().map_or_else(Vec::new, Tuner::contests)
    }

    pub(super) fn stream(&self) -> sys::CUstream {
        self.stream
    }

    pub(super) fn pinned(&self) -> &Pool {
        &self.pinned
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Makes this GPU the current one of the calling thread, as all the driver's functions expect.
    pub(super) fn bind(&self) -> Result<()> {
        thread_local! {
            static CURRENT: Cell<sys::CUcontext> = const { Cell::new(ptr::null_mut()) };
        }
        if CURRENT.get() != self.context {
            // SAFETY: the context is retained as long as self lives.
            unsafe { result::ctx::set_current(self.context) }.map_err(|e| self.error("making it current", e))?;
            CURRENT.set(self.context);
        }
        Ok(())
    }

    pub(super) fn error(&self, what: &str, error: DriverError) -> Error {
        Error::cuda(format!("{self} ({}): {what}: {}", self.name, describe(error)))
    }
}

/// The driver's name for an error, and its sentence. The driver is there: it made the error.
pub(super) fn describe(error: DriverError) -> String {
    let text = |s: std::result::Result<&std::ffi::CStr, _>| s.map_or("?".into(), |s| s.to_string_lossy().into_owned());
    format!("{}, {}", text(error.error_name()), text(error.error_string()))
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // What fails here was reported where it went wrong; there is nobody left to tell.
        let _ = self.synchronize();
        let _ = self.memory.release(self);
        drop(self.tuner.take());
        for module in self.modules.iter_mut().filter_map(OnceLock::take) {
            // SAFETY: nothing runs any more, and nobody can launch.
            let _ = unsafe { result::module::unload(module.0) };
        }
        // SAFETY: created in `open`, used by nobody any more. The context stays: threads still have it as current.
        let _ = unsafe { result::stream::destroy(self.stream) };
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "cuda:{}", self.ordinal)
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self} ({})", self.name)
    }
}

impl PartialEq for Gpu {
    /// The same handle: tensors of two handles of one GPU must not meet.
    fn eq(&self, other: &Gpu) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for Gpu {}
