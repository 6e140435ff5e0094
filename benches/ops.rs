//! Every operation on the networks' real shapes: the forward pass, and the gradients of all inputs.
//!
//! `cargo bench --bench ops -- conv2d` runs those whose name has `conv2d` in it. On a GPU as workloads/place.rs says.

#[path = "workloads/place.rs"]
mod place;

use std::cell::LazyCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ddgan::Result;
use ddgan::autograd::{Graph, Var, grad, no_grad};
use ddgan::tensor::{DType, Tensor};
use ddgan::testing::cases::{self, Case};
use place::Place;

fn operations(c: &mut Criterion) {
    for case in cases::all().into_iter().filter(|case| case.real) {
        let mut group = c.benchmark_group(case.to_string());
        group.sample_size(10);
        group.throughput(work(&case));
        let place = Place::get();
        let here = |t| Var::leaf(Tensor::to(&t, place.dtype(), &place.device).expect("room for the inputs"));
        // Made when they are measured: a filter on the command line may leave them out.
        let inputs = LazyCell::new(|| case.inputs(DType::F32).into_iter().map(here).collect::<Vec<Var>>());
        group.bench_function("forward", |b| b.iter_custom(|times| time(times, || no_grad(|| case.run(&inputs)))));

        // The graph is kept, so that an iteration is the gradients alone.
        let outputs = LazyCell::new(|| case.run(&inputs).unwrap());
        group.bench_function("gradients", |b| {
            let (y, dy) = (&*outputs, outputs.detach());
            let wanted: Vec<&Var> = inputs.iter().collect();
            b.iter_custom(|times| time(times, || grad(y, Some(&dy), &wanted, Graph::Keep)));
        });
        group.finish();
    }
}

/// Until the device has run `work` so often, one after another.
fn time<R>(times: u64, work: impl Fn() -> Result<R>) -> Duration {
    let device = &Place::get().device;
    device.synchronize().expect("a device that works");
    let started = Instant::now();
    for _ in 0..times {
        black_box(work().expect("a case of valid sizes"));
    }
    device.synchronize().expect("a device that works");
    started.elapsed()
}

/// Arithmetic where that is the cost (shown as G elements a second: GFLOP/s of the direct algorithm's forward pass),
/// bytes of the inputs elsewhere.
fn work(case: &Case) -> Throughput {
    if case.flops > 0.0 {
        Throughput::Elements(case.flops as u64)
    } else {
        let elements: usize = case.shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
        Throughput::Bytes((Place::get().dtype().bytes() * elements) as u64)
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
