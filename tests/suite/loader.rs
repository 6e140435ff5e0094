//! What the loader delivers, step by step.

use ddgan::data::{Batch, Dataset, ImageShape, Loader, LoaderOptions};
use ddgan::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// Pictures of 1x2 that hold their own number on the left.
struct Numbers {
    len: usize,
    broken: Option<usize>,
}

impl Dataset for Numbers {
    fn name(&self) -> &str {
        "numbers"
    }
    fn origin(&self) -> String {
        "this test".into()
    }
    fn len(&self) -> usize {
        self.len
    }
    fn shape(&self) -> ImageShape {
        ImageShape { height: 1, width: 2, channels: 1 }
    }
    fn classes(&self) -> usize {
        self.len
    }
    fn label(&self, index: usize) -> u32 {
        index as u32
    }
    fn image(&self, index: usize, out: &mut [f32]) -> Result<()> {
        if self.broken == Some(index) {
            return Err(Error::format("numbers", format!("picture {index} is broken")));
        }
        out.copy_from_slice(&[index as f32, -1.0]);
        Ok(())
    }
}

const OPTIONS: LoaderOptions = LoaderOptions { batch_size: 4, seed: 3, flip: false, threads: 1 };

fn batches(len: usize, options: LoaderOptions, start: u64, count: usize) -> Vec<Batch> {
    let mut loader = Loader::new(Arc::new(Numbers { len, broken: None }), options, start).unwrap();
    // One batch whose buffers go round, as in a training.
    let mut batch = Batch::default();
    let copies = (0..count).map(|_| {
        loader.next(&mut batch).unwrap();
        Batch { images: batch.images.clone(), labels: batch.labels.clone(), ..batch }
    });
    copies.collect()
}

#[test]
fn an_epoch_holds_every_picture_once_and_a_short_last_batch() {
    let all = batches(10, OPTIONS, 0, 9);
    let sizes: Vec<_> = all.iter().map(|b| (b.epoch, b.index, b.len())).collect();
    let want: Vec<_> = (0..3).flat_map(|epoch| [(epoch, 0, 4), (epoch, 1, 4), (epoch, 2, 2)]).collect();
    assert_eq!(sizes, want);
    let orders: Vec<Vec<u32>> =
        all.chunks(3).map(|epoch| epoch.iter().flat_map(|b| b.labels.clone()).collect()).collect();
    for order in &orders {
        let mut sorted = order.clone();
        sorted.sort();
        assert!(sorted.into_iter().eq(0..10));
    }
    assert_ne!(orders[0], orders[1]);
    assert_ne!(orders[1], orders[2]);
    for batch in &all {
        assert!(batch.images.chunks(2).zip(&batch.labels).all(|(image, &label)| image == [label as f32, -1.0]));
    }
}

#[test]
fn a_loader_can_start_at_any_step() {
    for options in [OPTIONS, LoaderOptions { flip: true, ..OPTIONS }] {
        let all = batches(10, options, 0, 20);
        for start in 0..15 {
            assert_eq!(batches(10, options, start as u64, 5), all[start..start + 5], "from step {start}");
        }
    }
    assert_ne!(batches(10, OPTIONS, 0, 3), batches(10, LoaderOptions { seed: 4, ..OPTIONS }, 0, 3));
}

#[test]
fn batches_do_not_depend_on_the_number_of_threads() {
    let options = LoaderOptions { batch_size: 50, flip: true, ..OPTIONS };
    let one = batches(300, options, 0, 9);
    for threads in [2, 5] {
        assert_eq!(batches(300, LoaderOptions { threads, ..options }, 0, 9), one, "{threads} threads");
    }
}

#[test]
fn a_batch_may_be_larger_than_the_set() {
    let sizes: Vec<usize> = batches(3, OPTIONS, 0, 4).iter().map(Batch::len).collect();
    assert_eq!(sizes, [3; 4]);
}

/// Of 1,000 pictures in 8 epochs, half are mirrored; each now and then.
#[test]
fn flips_are_fair() {
    let options = LoaderOptions { batch_size: 100, flip: true, ..OPTIONS };
    let mut flipped: HashMap<u32, usize> = HashMap::new();
    for batch in batches(1000, options, 0, 80) {
        for (image, &label) in batch.images.chunks(2).zip(&batch.labels) {
            assert!(image == [label as f32, -1.0] || image == [-1.0, label as f32]);
            *flipped.entry(label).or_default() += usize::from(image[0] == -1.0);
        }
    }
    // Binomial: 4000 with a standard deviation of 45; 2 * 1000 / 2^8 = 8 pictures are always or never mirrored.
    assert!(flipped.values().sum::<usize>().abs_diff(4000) < 180);
    assert!(flipped.values().filter(|&&n| n == 0 || n == 8).count() < 25);
}

#[test]
fn a_picture_that_cannot_be_read_is_an_error_at_its_batch() {
    let labels: Vec<u32> = batches(10, OPTIONS, 0, 3).iter().flat_map(|b| b.labels.clone()).collect();
    let broken = Some(labels[5] as usize);
    let mut loader = Loader::new(Arc::new(Numbers { len: 10, broken }), OPTIONS, 0).unwrap();
    let mut batch = Batch::default();
    loader.next(&mut batch).unwrap();
    assert!(loader.next(&mut batch).unwrap_err().to_string().contains("is broken"));
}

#[test]
fn what_cannot_be_loaded_is_refused() {
    let new = |len, batch_size| {
        Loader::new(Arc::new(Numbers { len, broken: None }), LoaderOptions { batch_size, ..OPTIONS }, 0)
    };
    assert!(matches!(new(10, 0), Err(Error::Config(_))));
    assert!(matches!(new(0, 4), Err(Error::Config(_))));
}
