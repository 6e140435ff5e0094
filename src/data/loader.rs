//! Shuffled batches, decoded ahead of time by threads of their own.
//!
//! What a step is given is a pure function of (data set, batch size, seed, step), whatever the number of threads:
//! nothing needs to be saved but the step, and a resumed run sees exactly what the one that was not stopped would have
//! seen.

use super::rng::{Philox, Purpose};
use super::{Dataset, ImageShape};
use crate::backend::philox::philox4x32;
use crate::error::{Error, Result};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

/// Batches that wait decoded: enough to ride out a slow read, small beside the network's activations.
const PREFETCH: usize = 3;

#[derive(Clone, Copy, Debug)]
pub struct LoaderOptions {
    pub batch_size: usize,
    pub seed: u64,
    /// Mirror every picture left to right with probability 1/2. Not for digits.
    pub flip: bool,
    /// Threads that decode; 0 for as many as suit the machine.
    pub threads: usize,
}

/// One batch. The last one of an epoch holds what is left and may be smaller than the others.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    pub epoch: u64,
    /// Number of the batch within its epoch.
    pub index: u64,
    /// [N, H, W, C] in [-1, 1]
    pub images: Vec<f32>,
    /// [N]
    pub labels: Vec<u32>,
}

impl Batch {
    /// N, the number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Delivers the batches of step `start`, `start + 1`, ... of an endless training.
pub struct Loader {
    batches_per_epoch: u64,
    filled: Receiver<Result<Batch>>,
    /// Batches that were used, back to the thread: in the steady state nothing is allocated.
    used: Sender<Batch>,
    worker: Option<JoinHandle<()>>,
}

impl Loader {
    /// Starts to decode at once.
    ///
    /// Errors: a batch size of 0, a data set without pictures.
    pub fn new(data: Arc<dyn Dataset>, options: LoaderOptions, start: u64) -> Result<Loader> {
        if options.batch_size == 0 {
            return Err(Error::config("the batch size is 0; it must be at least 1"));
        }
        if data.is_empty() || u32::try_from(data.len()).is_err() {
            let (name, n) = (data.name(), data.len());
            return Err(Error::config(format!("data set `{name}` has {n} pictures; expected 1 to {}", u32::MAX)));
        }
        let batches_per_epoch = batches_per_epoch(data.len(), options.batch_size);
        let (filled_sender, filled) = sync_channel(PREFETCH);
        let (used, used_receiver) = channel();
        // A few for many: a thread decodes hundreds of large pictures a second, and the others compute.
        let threads =
            if options.threads > 0 { options.threads } else { (rayon::current_num_threads() / 4).clamp(1, 8) };
        let no_thread = |e: &dyn std::error::Error| Error::config(format!("cannot start the loader's threads: {e}"));
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("decoder {i}"));
        let epochs = Epochs::new(data, options, pool.build().map_err(|e| no_thread(&e))?);
        let worker = thread::Builder::new()
            .name("loader".into())
            .spawn(move || decode_ahead(epochs, start, &filled_sender, &used_receiver))
            .map_err(|e| no_thread(&e))?;
        Ok(Loader { batches_per_epoch, filled, used, worker: Some(worker) })
    }

    pub fn batches_per_epoch(&self) -> u64 {
        self.batches_per_epoch
    }

    /// Puts the next batch into `batch` and takes its old buffers back for later ones.
    ///
    /// Errors: a picture that cannot be read. The loader has ended then and must not be asked again.
    pub fn next(&mut self, batch: &mut Batch) -> Result<()> {
        let Ok(next) = self.filled.recv() else {
            let worker = self.worker.take().expect("the loader was asked again after it had ended");
            match worker.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => panic!("the loader was asked again after an error"),
            }
        };
        let used = std::mem::replace(batch, next?);
        // The thread may have ended after an error that is still to be received; then nobody needs the buffers.
        let _ = self.used.send(used);
        Ok(())
    }
}

/// Steps in one pass over `len` pictures, with the short last one.
pub fn batches_per_epoch(len: usize, batch_size: usize) -> u64 {
    len.div_ceil(batch_size) as u64
}

/// Runs until the loader is dropped or a picture cannot be read.
fn decode_ahead(mut epochs: Epochs, start: u64, filled: &SyncSender<Result<Batch>>, used: &Receiver<Batch>) {
    for step in start.. {
        let mut batch = used.try_recv().unwrap_or_default();
        let result = epochs.fill(step, &mut batch).map(|()| batch);
        let failed = result.is_err();
        if filled.send(result).is_err() || failed {
            return;
        }
    }
}

/// The batches by step.
struct Epochs {
    data: Arc<dyn Dataset>,
    options: LoaderOptions,
    /// The threads that decode.
    pool: ThreadPool,
    /// The order of the pictures in `epoch`.
    order: Vec<u32>,
    epoch: Option<u64>,
}

impl Epochs {
    fn new(data: Arc<dyn Dataset>, options: LoaderOptions, pool: ThreadPool) -> Epochs {
        Epochs { data, options, pool, order: Vec::new(), epoch: None }
    }

    /// The batch of a step: number `step % batches_per_epoch` of epoch `step / batches_per_epoch`. Of several errors
    /// the first picture's is reported.
    fn fill(&mut self, step: u64, batch: &mut Batch) -> Result<()> {
        let LoaderOptions { batch_size, seed, flip, .. } = self.options;
        let per_epoch = batches_per_epoch(self.data.len(), batch_size);
        (batch.epoch, batch.index) = (step / per_epoch, step % per_epoch);
        self.enter(batch.epoch);

        let first = batch.index as usize * batch_size;
        let members = &self.order[first..self.order.len().min(first + batch_size)];
        let (data, shape) = (&*self.data, self.data.shape());
        batch.labels.clear();
        batch.labels.extend(members.iter().map(|&member| data.label(member as usize)));
        batch.images.resize(members.len() * shape.len(), 0.0);
        let flips = Purpose::Flip.key(seed, batch.epoch as u32);
        let decode = |(place, (&member, image)): (usize, (&u32, &mut [f32]))| {
            data.image(member as usize, image)?;
            if flip && philox4x32(flips, (first + place) as u64)[0] & 1 == 1 {
                mirror(image, shape);
            }
            Ok(())
        };
        let images = batch.images.par_chunks_exact_mut(shape.len());
        let results = members.par_iter().zip(images).enumerate().map(decode);
        self.pool.install(|| results.find_first(Result::is_err)).unwrap_or(Ok(()))
    }

    fn enter(&mut self, epoch: u64) {
        if self.epoch != Some(epoch) {
            self.order.clear();
            self.order.extend(0..self.data.len() as u32);
            self.order.shuffle(&mut Philox::new(Purpose::Shuffle.key(self.options.seed, epoch as u32)));
            self.epoch = Some(epoch);
        }
    }
}

fn mirror(image: &mut [f32], shape: ImageShape) {
    let ImageShape { width, channels, .. } = shape;
    for row in image.chunks_exact_mut(width * channels) {
        for x in 0..width / 2 {
            for c in 0..channels {
                row.swap(x * channels + c, (width - 1 - x) * channels + c);
            }
        }
    }
}
