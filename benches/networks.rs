//! The networks, the sampler and training steps at the published sizes.
//!
//! `cargo bench --bench networks -- forward` runs those whose name has `forward` in it. On a GPU as workloads/place.rs
//! says.

mod workloads;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use ddgan::tensor::Device;
use workloads::{LARGE_WORKLOADS, Place, WORKLOADS};

fn networks(c: &mut Criterion) {
    let mut group = c.benchmark_group("networks");
    // A training step at width 128 takes seconds: the fewest samples that criterion takes.
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    let large = if Place::get().device == Device::Cpu { &[][..] } else { &LARGE_WORKLOADS };
    for (name, build) in WORKLOADS.iter().chain(large) {
        // Made when it is measured, so that a filter on the command line spares the others' memory.
        let mut work = None;
        group.bench_function(*name, |b| {
            let run = work.get_or_insert_with(|| build().expect("a workload of valid sizes"));
            b.iter(|| run().expect("a step without errors"));
        });
    }
    group.finish();
}

criterion_group!(benches, networks);
criterion_main!(benches);
