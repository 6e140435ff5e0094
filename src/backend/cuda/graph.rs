//! Work that was recorded once and is launched as a whole: one call of the driver for thousands of kernels.

use std::ptr;
use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::Gpu;
use super::memory::{Block, Owned};
use crate::Result;

/// Works that were recorded together: their memory is the same, so one runs after another.
pub struct Graph {
    gpu: Arc<Gpu>,
    works: Vec<Work>,
    memory: Owned,
    /// What was uploaded while they were recorded, for them to copy from.
    constants: Vec<Block>,
}

struct Work {
    graph: sys::CUgraph,
    executable: sys::CUgraphExec,
}

// SAFETY: the driver's handles may be used from any thread, and a launch does not change them.
unsafe impl Send for Graph {}
unsafe impl Sync for Graph {}

impl Graph {
    /// Records what `work` launches for each number below `count`, instead of running it. When it is launched, the same
    /// kernels run with the same arguments: they read and write the very memory of the tensors that `work` saw and made.
    /// So what shall vary has to be in a tensor that is there before, and is overwritten between launches. What `work`
    /// uploads is a constant of the graph, which keeps a copy on the GPU.
    ///
    /// Run `work` once before: kernels are loaded and plans made at their first use, which cannot be recorded.
    ///
    /// Errors: those of `work`, which may neither wait for the GPU nor copy to the computer's memory.
    pub fn record<R>(
        gpu: &Arc<Gpu>,
        count: usize,
        mut work: impl FnMut(usize) -> Result<R>,
    ) -> Result<(Graph, Vec<R>)> {
        gpu.bind()?;
        let turn = gpu.turn_to_record();
        // Meanwhile nothing can be given back to the driver to make room.
        gpu.memory().release(gpu)?;
        gpu.memory().begin_recording();
        let mut works = Vec::new();
        let outcome: Result<Vec<R>> = (0..count).map(|i| Work::capture(gpu, &mut works, || work(i))).collect();
        let (memory, constants) = gpu.memory().end_recording();
        drop(turn);
        let (constants, contents): (Vec<_>, Vec<_>) = constants.into_iter().unzip();
        // From here on it cleans up after itself.
        let mut graph = Graph { gpu: gpu.clone(), works, memory, constants };
        let values = outcome?;
        for (constant, content) in graph.constants.iter().zip(&contents) {
            gpu.upload(constant, content)?;
        }
        for work in &mut graph.works {
            // SAFETY: a graph just recorded.
            work.executable = unsafe { result::graph::instantiate(work.graph, sys::CUgraphInstantiate_flags(0)) }
                .map_err(|e| gpu.error("preparing a graph", e))?;
        }
        Ok((graph, values))
    }

    /// Bytes of memory that are its own.
    pub fn bytes(&self) -> usize {
        self.gpu.memory().bytes_of(&self.memory)
    }

    /// Runs the recorded work of that number, after all that was launched before.
    pub fn launch(&self, number: usize) -> Result<()> {
        self.gpu.bind()?;
        // SAFETY: both live as long as self, and so does the memory that the kernels use.
        unsafe { result::graph::launch(self.works[number].executable, self.gpu.stream()) }
            .map_err(|e| self.gpu.error("launching a graph", e))
    }
}

impl Work {
    /// Adds what `work` launches to `works`, also of one that failed, for somebody to clean up.
    fn capture<R>(gpu: &Gpu, works: &mut Vec<Work>, work: impl FnOnce() -> Result<R>) -> Result<R> {
        // Memory may be allocated meanwhile, by this program's own promise that it lives as long as the graph.
        use sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED as MODE;
        let error = |e| gpu.error("recording a graph", e);
        // SAFETY: the stream lives as long as the GPU's handle.
        unsafe { result::stream::begin_capture(gpu.stream(), MODE) }.map_err(error)?;
        let outcome = work();
        // SAFETY: the capture that was begun above.
        let ended = unsafe { result::stream::end_capture(gpu.stream()) };
        let graph = *ended.as_ref().unwrap_or(&ptr::null_mut());
        works.push(Work { graph, executable: ptr::null_mut() });
        let value = outcome?;
        ended.map_err(error)?;
        Ok(value)
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // What was launched has to be done before the memory goes to others; errors were reported by then.
        let _ = self.gpu.synchronize();
        for &Work { graph, executable } in &self.works {
            // SAFETY: made in `record`, used by nobody any more.
            unsafe {
                if !executable.is_null() {
                    let _ = result::graph::exec_destroy(executable);
                }
                if !graph.is_null() {
                    let _ = result::graph::destroy(graph);
                }
            }
        }
        self.gpu.memory().disown(&self.memory);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DType, Storage, affine, mul, silu};
    use super::*;
    use crate::backend::cpu;

    fn gpu() -> Option<Arc<Gpu>> {
        match Gpu::open(0, usize::MAX) {
            Ok(gpu) => Some(gpu),
            Err(error) if cfg!(feature = "emulator") => panic!("{error}"),
            Err(error) => {
                eprintln!("skipped: {error}");
                None
            }
        }
    }

    fn record<R>(gpu: &Arc<Gpu>, work: impl Fn() -> Result<R>) -> Result<(Graph, R)> {
        Graph::record(gpu, 1, |_| work()).map(|(graph, mut values)| (graph, values.remove(0)))
    }

    fn values(s: &Storage) -> Vec<f32> {
        <f32 as cpu::Float>::slice(&s.download().unwrap()).to_vec()
    }

    fn upload(gpu: &Arc<Gpu>, x: &[f32]) -> Storage {
        Storage::upload(gpu, &cpu::Storage::F32(cpu::Buffer::from_slice(x)), DType::F32).unwrap()
    }

    #[test]
    fn a_graph_computes_from_what_memory_holds_when_it_is_launched() {
        let Some(gpu) = gpu() else { return };
        let mut x = upload(&gpu, &[1.0, 2.0, 3.0]);
        // 2 (x + 1) + 1, by way of memory that is free again while it is recorded.
        let work = |x: &Storage| affine::forward(&gpu, &affine::forward(&gpu, x, 1.0, 1.0)?, 2.0, 1.0);
        assert_eq!(values(&work(&x).unwrap()), [5.0, 7.0, 9.0]);
        let (graph, y) = record(&gpu, || work(&x)).unwrap();
        for x0 in [10.0, 20.0] {
            x.overwrite(&cpu::Storage::F32(cpu::Buffer::from_slice(&[x0, 0.0, -1.0]))).unwrap();
            // Tensors of that size come and go; none of them gets the graph's memory.
            for _ in 0..3 {
                affine::forward(&gpu, &affine::forward(&gpu, &x, 0.0, 9.0).unwrap(), 1.0, 0.0).unwrap();
            }
            graph.launch(0).unwrap();
            assert_eq!(values(&y), [2.0 * x0 + 3.0, 3.0, 1.0]);
        }
        // Without the graph its memory is like any other, but for what tensors still hold.
        drop(graph);
        let z = affine::forward(&gpu, &x, 0.0, 5.0).unwrap();
        assert_eq!((values(&z), values(&y)), (vec![5.0; 3], vec![43.0, 3.0, 1.0]));
    }

    /// Memory of one constant goes to the next tensor, which must not spoil it for the next launch.
    #[test]
    fn what_is_uploaded_while_it_is_recorded_is_a_constant() {
        let Some(gpu) = gpu() else { return };
        let mut x = upload(&gpu, &[1.0, 2.0]);
        let work = |x: &Storage| {
            let y = mul::forward(&gpu, x, &upload(&gpu, &[10.0, 100.0]))?;
            mul::forward(&gpu, &y, &upload(&gpu, &[-1.0, 0.5]))
        };
        assert_eq!(values(&work(&x).unwrap()), [-10.0, 100.0]);
        let (graph, y) = record(&gpu, || work(&x)).unwrap();
        let allocated = gpu.allocated();
        for x0 in [3.0, 4.0, 5.0] {
            x.overwrite(&cpu::Storage::F32(cpu::Buffer::from_slice(&[x0, -2.0]))).unwrap();
            graph.launch(0).unwrap();
            assert_eq!(values(&y), [-10.0 * x0, -100.0]);
        }
        drop((graph, y));
        // All of it is there to be used again.
        let held: Vec<Storage> = (0..allocated / x.bytes() - 1).map(|_| upload(&gpu, &[0.0, 0.0])).collect();
        assert_eq!((gpu.allocated(), held.len() > 2), (allocated, true));
    }

    /// Two works of one graph compute in the same memory, and keep apart what they hand out.
    #[test]
    fn works_that_are_recorded_together_share_memory() {
        let Some(gpu) = gpu() else { return };
        let x = upload(&gpu, &[1.0; 1000]);
        let work = |i: usize| {
            let y =
                (0..9).try_fold(affine::forward(&gpu, &x, 1.0, 1.0)?, |y, _| affine::forward(&gpu, &y, 1.0, 1.0))?;
            affine::forward(&gpu, &y, 1.0, i as f64)
        };
        work(0).unwrap();
        let before = gpu.allocated();
        let (graph, y) = Graph::record(&gpu, 3, work).unwrap();
        for i in [2, 0, 1, 1] {
            graph.launch(i).unwrap();
            assert_eq!(values(&y[i]), vec![11.0 + i as f32; 1000]);
        }
        // A result each; all else was there.
        assert!(gpu.allocated() <= before + 3 * x.bytes(), "{} after {before}", gpu.allocated());
    }

    #[test]
    fn what_cannot_be_recorded_says_so() {
        let Some(gpu) = gpu() else { return };
        let x = upload(&gpu, &[1.0]);
        silu::forward(&gpu, &x).unwrap();
        let error = record(&gpu, || x.download()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("recorded"), "{error}");
        // The GPU works on.
        assert_eq!(values(&affine::forward(&gpu, &x, 3.0, 0.0).unwrap()), [3.0]);
    }
}
