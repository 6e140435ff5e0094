//! Streams, events, pinned memory and graphs.

use cudarc::driver::{CudaContext, result, sys};

use crate::gpu::{Argument::Int, EMULATED, Gpu, Shape, numbers, pointer};

const MODE: sys::CUstreamCaptureMode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;

#[test]
fn graphs_replay_with_what_memory_holds_then() {
    let Some(g) = Gpu::with_builtins() else { return };
    let s = &g.stream;
    let n = 32;
    let mut pinned = unsafe { s.context().alloc_pinned::<u32>(n) }.unwrap();
    pinned.as_mut_slice().unwrap().fill(1);
    let (mut input, out) = (s.alloc_zeros::<u32>(n).unwrap(), s.alloc_zeros::<u32>(n * 8).unwrap());
    let arguments = [pointer(s, &input), pointer(s, &out), Int(n as i32)];
    g.launch("bit_functions", Shape::new(1, 32), &arguments).unwrap(); // loads the module before the capture
    s.memset_zeros(&mut s.clone_dtod(&out).unwrap()).unwrap();
    s.synchronize().unwrap();

    s.begin_capture(MODE).unwrap();
    s.memcpy_htod(&pinned, &mut input).unwrap();
    g.launch("bit_functions", Shape::new(1, 32), &arguments).unwrap();
    let graph = s.end_capture(sys::CUgraphInstantiate_flags(0)).unwrap().unwrap();

    let start = s.record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).unwrap();
    for value in [3u32, 0xFF] {
        pinned.as_mut_slice().unwrap().fill(value);
        graph.launch().unwrap();
        s.synchronize().unwrap();
        assert_eq!(s.clone_dtoh(&out).unwrap()[0], value.count_ones());
    }
    let end = s.record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).unwrap();
    assert!(start.elapsed_ms(&end).unwrap() > 0.0);
}

#[test]
fn captures_have_rules() {
    let Some(g) = Gpu::with_builtins() else { return };
    let s = &g.stream;
    let event = s.record_event(None).unwrap();
    s.begin_capture(MODE).unwrap();
    let (waited, synchronized) = (s.wait(&event), s.synchronize());
    let _ = s.end_capture(sys::CUgraphInstantiate_flags(0));
    assert_eq!(format!("{:?}", waited.unwrap_err().0), "CUDA_ERROR_STREAM_CAPTURE_ISOLATION");
    assert_eq!(format!("{:?}", synchronized.unwrap_err().0), "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED");
}

/// With EMULATOR_LAZY=1 a stream runs only when something waits for it. In a process of its own, since the variable is
/// read once.
#[test]
fn missing_waits_show_in_lazy_streams() {
    if !EMULATED {
        return;
    }
    if std::env::var_os("EMULATOR_LAZY").is_some() {
        return lazy();
    }
    let this = std::env::current_exe().unwrap();
    let mut child = std::process::Command::new(this);
    child.args(["--exact", "runtime::missing_waits_show_in_lazy_streams"]).env("EMULATOR_LAZY", "1");
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn lazy() {
    let context = CudaContext::new(0).unwrap();
    // SAFETY: the missing waits are the point.
    unsafe { context.disable_event_tracking() };
    let s = context.new_stream().unwrap();
    let x = numbers(1000, 5);

    // A pinned buffer is overwritten while the copy from it waits.
    for wait in [true, false] {
        let mut pinned = unsafe { context.alloc_pinned::<f32>(1000) }.unwrap();
        pinned.as_mut_slice().unwrap().copy_from_slice(&x);
        let memory = pinned.as_mut_ptr().unwrap();
        let mut d = s.alloc_zeros::<f32>(1000).unwrap();
        s.memcpy_htod(&pinned, &mut d).unwrap();
        if wait {
            s.synchronize().unwrap();
        }
        // SAFETY: `pinned` lives; a write that comes too early is the point.
        unsafe { std::slice::from_raw_parts_mut(memory, 1000) }.fill(2.0);
        assert_eq!(s.clone_dtoh(&d).unwrap() == x, wait);
    }

    // One stream reads what another has not written yet.
    let other = context.new_stream().unwrap();
    for join in [true, false] {
        let (from, mut to) = (s.clone_htod(&x).unwrap(), unsafe { s.alloc::<f32>(1000) }.unwrap());
        let mut middle = unsafe { s.alloc::<f32>(1000) }.unwrap();
        s.synchronize().unwrap();
        s.memcpy_dtod(&from, &mut middle).unwrap();
        if join {
            other.join(&s).unwrap();
        }
        other.memcpy_dtod(&middle, &mut to).unwrap();
        assert_eq!(other.clone_dtoh(&to).unwrap() == x, join);
        s.synchronize().unwrap();
    }

    // A copy into pinned memory is read too early.
    let d = s.clone_htod(&x).unwrap();
    let mut pinned = unsafe { context.alloc_pinned::<f32>(1000) }.unwrap();
    let memory = pinned.as_mut_ptr().unwrap();
    let from = cudarc::driver::DevicePtr::device_ptr(&d, &s).0;
    // SAFETY: `pinned` lives, and has room for a thousand.
    let first = unsafe {
        result::memcpy_dtoh_async(std::slice::from_raw_parts_mut(memory, 1000), from, s.cu_stream()).unwrap();
        *memory
    };
    assert!(first.is_nan());
    s.synchronize().unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { *memory }, x[0]);
}
