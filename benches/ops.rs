//! Every operation on the networks' real shapes: the forward pass, and the gradients of all inputs.
//!
//! `cargo bench --bench ops -- conv2d` runs those whose name has `conv2d` in it.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ddgan::autograd::{Graph, Var, grad, no_grad};
use ddgan::tensor::DType;
use ddgan::testing::cases::{self, Case};

fn operations(c: &mut Criterion) {
    for case in cases::all().into_iter().filter(|case| case.real) {
        let mut group = c.benchmark_group(case.to_string());
        group.sample_size(10);
        group.throughput(work(&case));
        let inputs: Vec<Var> = case.inputs(DType::F32).into_iter().map(Var::leaf).collect();
        group.bench_function("forward", |b| b.iter(|| no_grad(|| black_box(case.run(&inputs)).unwrap())));

        // The graph is kept, so that an iteration is the gradients alone.
        let wanted: Vec<&Var> = inputs.iter().collect();
        let y = case.run(&inputs).unwrap();
        let dy = y.detach();
        group.bench_function("gradients", |b| {
            b.iter(|| black_box(grad(&y, Some(&dy), &wanted, Graph::Keep)).unwrap());
        });
        group.finish();
    }
}

/// Arithmetic where that is the cost (shown as G elements a second: GFLOP/s of the direct algorithm's forward pass),
/// bytes of the inputs elsewhere.
fn work(case: &Case) -> Throughput {
    if case.flops > 0.0 {
        Throughput::Elements(case.flops as u64)
    } else {
        let elements: usize = case.shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
        Throughput::Bytes(4 * elements as u64)
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
