//! `ddgan eval` of points in the plane.

use std::fs;
use std::path::Path;

use ddgan::data::ImageShape;
use ddgan::sample::{Output, Plan, Samples};
use serde_json::Value;

use super::program::{fail, succeed};

/// An NPZ file of points, as `ddgan sample` writes it.
fn write_points(path: &Path, values: &[f32]) {
    let mut samples = Samples::new(ImageShape::POINT);
    samples.push(values);
    let count = samples.len() as u64;
    let plan = Plan { shape: ImageShape::POINT, count, columns: 1, beside: None, overwrite: false };
    let mut output = Output::open(path, &plan).unwrap();
    output.push_next(&samples).unwrap();
    output.finish().unwrap();
}

#[test]
fn points_are_judged_by_their_modes() {
    let dir = tempfile::tempdir().unwrap();
    let json = |arguments: &str| -> Value {
        serde_json::from_str(&succeed(dir.path(), &format!("eval {arguments} --json"))).unwrap()
    };
    // Two at the first mode, one near the second, one nowhere.
    write_points(&dir.path().join("four.npz"), &[1.41, 0.0, 1.42, 0.0, 1.0, 1.01, 0.0, 0.0]);
    let four = json("four.npz --data ring8 --count 4");
    assert_eq!((&four["modes"], &four["modes_total"], &four["high_quality"]), (&2.into(), &8.into(), &0.75.into()));
    let entropy = 3_f64.ln() - 2.0 / 3.0 * 2_f64.ln();
    assert!((four["kl"].as_f64().unwrap() - (8_f64.ln() - entropy)).abs() < 1e-12, "{four}");
    assert_eq!((&four["count"], &four["of_data"]["modes"]), (&4.into(), &4.into()));
    for key in ["extractor", "dim", "fid", "confident", "classes", "warnings", "sampling"] {
        assert!(four.get(key).is_none(), "{key}: {four}");
    }
    let warned = json("four.npz --data ring8");
    assert!(warned["warnings"].to_string().contains("there are 4 points, 10000 were asked for"), "{warned}");

    let tiny = "--num-channels-dae 8 --ngf 8 --batch-size 8 --grid-pictures 4";
    succeed(dir.path(), &format!("train ring8 --outdir run --max-steps 1 {tiny}"));
    let run = json("run --count 2500 --seed 4");
    assert_eq!((&run["step"], &run["averaged"], &run["seed"]), (&1.into(), &true.into(), &4.into()));
    assert_eq!((&run["data"], &run["data_count"]), (&"data set ring8".into(), &2500.into()));
    assert!((run["of_data"]["high_quality"].as_f64().unwrap() - 0.989).abs() < 0.01, "{run}");
    assert_eq!((&run["sampling"]["nfe"], &run["sampling"]["batch"]), (&4.into(), &1000.into()));
    succeed(dir.path(), "sample run --count 2500 --seed 4 --out points.npz");
    for subject in ["points.npz --data ring8", "run/checkpoints/step-000001.safetensors --seed 4"] {
        let found = json(&format!("{subject} --count 2500"));
        for key in ["modes", "modes_total", "high_quality", "kl", "of_data"] {
            assert_eq!(found[key], run[key], "{subject}: {key}");
        }
    }
    let table = succeed(dir.path(), "eval run --count 100 --data gaussians25 --test");
    for words in ["100 points, seed 0", "high quality", "/25   data 25", "the generator learnt ring8"] {
        assert!(table.contains(words), "no `{words}` in {table}");
    }
    let lines = fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 3);

    for (arguments, words) in [
        ("four.npz", &["name the data set", "--data NAME"][..]),
        ("four.npz --data digits", &["`digits` is no data set of points", "ring8"]),
        ("four.npz --data swissroll", &["swissroll has no modes"]),
        ("run --classifier x.safetensors", &["--classifier is for pictures"]),
        ("run --save-stats x.npz", &["--save-stats is for pictures"]),
    ] {
        fail(dir.path(), &format!("eval {arguments}"), words);
    }
}
