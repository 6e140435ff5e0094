//! Metrics against what numpy and scipy compute (tests/fixtures/metrics.py), and where they are undefined.

use ddgan::metrics::{
    Features, Gaussian, Moments, Predictions, covered, frechet_distance, kernel_distance, kl_to_uniform, neighbours,
    squared_mmd,
};
use serde_json::Value;

/// The formulas of metrics.py.
fn uniform(index: u64, seed: u64) -> f64 {
    let mut h = index.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
    h = (h ^ (h >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((h ^ (h >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn features(n: u64, d: u64, seed: u64, shift: f64) -> Features {
    let one = |i: u64, j: u64| {
        let u = |k| uniform(i * d + (j + k) % d, seed);
        ((1 + j % 4) as f64 * (u(0) + 0.5 * u(1) - 0.25 * u(2)) + shift) as f32
    };
    let values: Vec<f32> = (0..n).flat_map(|i| (0..d).map(move |j| one(i, j))).collect();
    let mut features = Features::new(d as usize);
    features.push(&values);
    features
}

fn predictions(n: u64, classes: u64, seed: u64) -> Predictions {
    let mut predictions = Predictions::new(classes as usize);
    for i in 0..n {
        let row: Vec<f64> = (0..classes).map(|c| uniform(i * classes + c, seed).powi(6) + 1e-3).collect();
        let sum: f64 = row.iter().sum();
        predictions.push(&row.iter().map(|p| (p / sum) as f32).collect::<Vec<_>>());
    }
    predictions
}

fn golden(part: &str) -> Value {
    let text = include_str!("../fixtures/metrics.json");
    serde_json::from_str::<Value>(text).unwrap()[part].take()
}

#[track_caller]
fn close(name: &str, got: f64, want: &Value) {
    let want = want.as_f64().unwrap();
    assert!((got - want).abs() <= 1e-4 * want.abs(), "{name}: got {got}, want {want}");
}

fn gaussian(features: &Features) -> Gaussian {
    Moments::of(features).gaussian().unwrap()
}

#[test]
fn distances_are_those_of_scipy() {
    for case in golden("features").as_array().unwrap() {
        let [n, m, d] = ["real", "generated", "dim"].map(|key| case[key].as_u64().unwrap());
        let (real, generated) = (features(n, d, 1, 0.0), features(m, d, 2, case["shift"].as_f64().unwrap()));
        close("fid", frechet_distance(&gaussian(&real), &gaussian(&generated)).unwrap(), &case["fid"]);
        close("fid", frechet_distance(&gaussian(&generated), &gaussian(&real)).unwrap(), &case["fid"]);
        close("squared_mmd", squared_mmd(&real, &generated).unwrap(), &case["squared_mmd"]);
        let found = neighbours(&real, &generated).unwrap();
        close("precision", found.precision, &case["precision"]);
        close("recall", found.recall, &case["recall"]);
        close("density", found.density, &case["density"]);
        close("coverage", found.coverage, &case["coverage"]);
    }
}

#[test]
fn predictions_are_judged_as_numpy_does() {
    let golden = golden("predictions");
    let predictions = predictions(golden["count"].as_u64().unwrap(), golden["classes"].as_u64().unwrap(), 5);
    let score = predictions.inception_score(10).unwrap();
    close("inception_score", score.mean, &golden["inception_score"]);
    close("deviation", score.deviation, &golden["deviation"]);
    let histogram = predictions.histogram();
    assert_eq!(serde_json::to_value(&histogram).unwrap(), golden["histogram"]);
    close("confident", predictions.confident(0.5), &golden["confident"]);
    close("kl", kl_to_uniform(&histogram).unwrap(), &golden["kl"]);
}

#[test]
fn batches_change_nothing_even_far_from_zero() {
    let values: Vec<f32> = features(50, 6, 3, 0.0).iter().flatten().map(|x| x + 1000.0).collect();
    let of_batches = |rows: usize| {
        let mut moments = Moments::new(6);
        for batch in values.chunks(rows * 6) {
            let mut features = Features::new(6);
            features.push(batch);
            moments.add(&features);
        }
        assert_eq!(moments.count(), 50);
        moments.gaussian().unwrap()
    };
    let whole = of_batches(50);
    for rows in [1, 7, 49] {
        let other = of_batches(rows);
        assert!((other.covariance() - whole.covariance()).amax() < 1e-9 * whole.covariance().amax(), "{rows}");
        assert!((other.mean() - whole.mean()).amax() < 1e-9, "{rows}");
    }
}

#[test]
fn what_is_the_same_has_no_distance() {
    let x = features(60, 80, 1, 0.0);
    assert!(frechet_distance(&gaussian(&x), &gaussian(&x)).unwrap() < 1e-6 * gaussian(&x).covariance().trace());
    let found = neighbours(&x, &x).unwrap();
    assert_eq!((found.precision, found.recall, found.coverage), (1.0, 1.0, 1.0));
    let far = features(60, 80, 2, 100.0);
    let found = neighbours(&x, &far).unwrap();
    assert_eq!((found.precision, found.recall, found.density, found.coverage), (0.0, 0.0, 0.0, 0.0));
}

/// As of pictures that are all alike: a covariance of zeros has no root to speak of.
#[test]
fn samples_that_are_all_the_same_have_a_distance() {
    let flat = |value: f32| {
        let mut features = Features::new(3);
        features.push(&[value; 3 * 8]);
        gaussian(&features)
    };
    assert_eq!(frechet_distance(&flat(1.0), &flat(3.0)).unwrap(), 12.0);
    let spread = gaussian(&features(50, 3, 1, 0.0));
    let want = (spread.mean().add_scalar(-1.0)).norm_squared() + spread.covariance().trace();
    for distance in [frechet_distance(&flat(1.0), &spread), frechet_distance(&spread, &flat(1.0))] {
        assert!((distance.unwrap() - want).abs() < 1e-12 * want);
    }
}

#[test]
fn subsets_follow_from_the_seed_and_may_be_the_whole() {
    let (x, y) = (features(40, 5, 1, 0.0), features(40, 5, 2, 0.2));
    let whole = kernel_distance(&x, &y, 0).unwrap();
    let mmd = squared_mmd(&x, &y).unwrap();
    assert_eq!((whole.subsets, whole.size), (100, 40));
    assert!((whole.mean - mmd).abs() < 1e-9 * mmd && whole.deviation < 1e-9 * mmd);
    let many = features(1500, 5, 3, 0.2);
    let of = |seed| kernel_distance(&many, &features(1200, 5, 4, 0.2), seed).unwrap();
    assert_eq!((of(1), of(1).size), (of(1), 1000));
    assert_ne!(of(1).mean, of(2).mean);
    // Two sets of one distribution: nothing but the noise of the estimate.
    assert!(of(1).mean.abs() < 3.0 * of(1).deviation, "{:?}", of(1));
}

#[test]
fn modes_are_counted() {
    assert_eq!(covered(&[3, 0, 1, 0]), 2);
    assert_eq!(kl_to_uniform(&[5, 5, 5, 5]).unwrap(), 0.0);
    assert!((kl_to_uniform(&[0, 9, 0, 0]).unwrap() - 4f64.ln()).abs() < 1e-12);
    assert!(kl_to_uniform(&[0, 0]).is_err());
}

#[test]
fn too_few_samples_are_an_error() {
    let (one, four) = (features(1, 3, 1, 0.0), features(4, 3, 1, 0.0));
    let error = Moments::of(&one).gaussian().unwrap_err().to_string();
    assert!(error.contains("at least 2 samples, there are 1"), "{error}");
    let error = neighbours(&features(9, 3, 1, 0.0), &four).unwrap_err().to_string();
    assert!(error.contains("more than 5 samples of each set, there are 4"), "{error}");
    assert!(squared_mmd(&one, &four).is_err() && kernel_distance(&four, &one, 0).is_err());
    assert!(predictions(9, 3, 1).inception_score(10).is_err());
    let other = gaussian(&features(9, 4, 1, 0.0));
    let error = frechet_distance(&gaussian(&four), &other).unwrap_err().to_string();
    assert!(error.contains("statistics of 3 features cannot be compared with those of 4"), "{error}");
}
