//! `ddgan profile`: what it counts, and that it adds up.

use std::fs;

use ddgan::autograd::Var;
use ddgan::backend::trace;
use ddgan::ops;
use ddgan::tensor::{DType, Device, Tensor};
use serde_json::Value;

use crate::program::{fail, succeed};

#[test]
fn operations_are_recorded_with_their_bytes_and_flops() {
    let tensor = |shape: &[usize]| Var::constant(Tensor::full(1.0, shape, DType::F32, &Device::Cpu).unwrap());
    let [a, b, bias] = [tensor(&[5, 7]), tensor(&[3, 7]), tensor(&[3])];
    let (y, operations) = trace::record(|| ops::silu(&ops::linear(&a, &b, Some(&bias))?)).unwrap();
    assert_eq!(y.shape(), [5, 3]);
    let [product, silu] = &operations[..] else { panic!("{operations:?}") };
    assert_eq!((product.op, product.kernel, product.sizes.as_str()), ("matmul", "with_bias", "5x3x7"));
    assert_eq!((product.bytes, product.flops), (4.0 * (35 + 21 + 3 + 15) as f64, 2.0 * 105.0));
    assert_eq!((silu.op, silu.bytes, silu.flops), ("silu", 4.0 * 30.0, 0.0));
    assert!(silu.start >= product.start + product.seconds);
    // It ends with what was asked for, whatever became of that.
    assert!(trace::record(|| ops::linear(&a, &bias, None)).is_err());
    assert!(!trace::is_on());
}

#[test]
fn the_program_tells_where_the_time_goes() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = "profile digits --device cpu --batch 2 --runs 2 --ceilings 10,100 --json p.json --trace t.json \
                     --part denoise train_r1";
    let table = succeed(dir.path(), arguments);
    for words in ["conv2d::forward", "adam::step", "between them", "copy 10.0 GB/s", "TrainR1 on cpu"] {
        assert!(table.contains(words), "no `{words}` in\n{table}");
    }
    let read = |name| serde_json::from_str::<Value>(&fs::read_to_string(dir.path().join(name)).unwrap()).unwrap();
    let (profiles, trace) = (read("p.json"), read("t.json"));
    let profiles = profiles.as_array().unwrap();
    assert_eq!(profiles.len(), 2);
    let mut calls = 0.0;
    for profile in profiles {
        let rows = profile["rows"].as_array().unwrap();
        let total = |key: &str| rows.iter().map(|row| row[key].as_f64().unwrap()).sum::<f64>();
        let wall = profile["wall_seconds"].as_f64().unwrap();
        assert!(total("seconds") <= wall && total("seconds") > 0.5 * wall, "{} of {wall}", total("seconds"));
        calls += 2.0 * total("calls");
    }
    // The generator's first convolution, with its bias.
    let rows = profiles[0]["rows"].as_array().unwrap();
    let stem = rows.iter().find(|row| row["sizes"] == "2x32x32x1 > 16, 3x3").unwrap();
    let (pixels, weights) = (2.0 * 32.0 * 32.0, 16.0 * 9.0);
    assert_eq!((stem["operation"].as_str(), stem["calls"].as_f64()), (Some("conv2d::forward"), Some(1.0)));
    assert_eq!(stem["flops"].as_f64().unwrap(), 2.0 * pixels * weights);
    let bytes = 4.0 * (pixels * 17.0 + weights + 16.0);
    assert_eq!(stem["bytes"].as_f64().unwrap(), bytes);
    let floor = (bytes / 10e9).max(2.0 * pixels * weights / 100e9);
    assert!((stem["floor"].as_f64().unwrap() - floor).abs() < 1e-12);

    let events = trace["traceEvents"].as_array().unwrap();
    let complete: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert!(complete.len() as f64 >= calls, "{} events of {calls} calls", complete.len());
    for event in complete {
        assert!(event["name"].is_string() && event["ts"].as_f64().unwrap() >= 0.0, "{event}");
        assert!(event["dur"].as_f64().unwrap() >= 0.0, "{event}");
    }
}

#[test]
fn what_cannot_be_measured_says_so() {
    let dir = tempfile::tempdir().unwrap();
    fail(dir.path(), "profile --device cpu --precision bf16", &["precision is bf16"]);
    fail(dir.path(), "profile --device cpu --set generator.n_mlp=999 --ceilings 1,1", &["n_mlp"]);
}
