//! The schedule against the published tables and against Bayes' rule.

use ddgan::checkpoint::safetensors::Reader;
use ddgan::diffusion::{Schedule, ScheduleConfig};

fn variance_preserving(num_timesteps: usize) -> ScheduleConfig {
    ScheduleConfig { num_timesteps, ..Default::default() }
}

/// The fixtures are f32, and some of their numbers went through a dozen f32 operations: 1e-6 of the largest entry, a
/// table's entries being of one kind. The smallest, a_s_cum[T] = 0.0066, agrees to 1e-5 of itself.
#[test]
fn published_tables() {
    for name in ["schedule_T2_vp", "schedule_T4_vp", "schedule_T8_geo"] {
        let path = format!("{}/tests/fixtures/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let mut fixture = Reader::open(path).unwrap();
        let config: ScheduleConfig = serde_json::from_str(fixture.metadata("config").unwrap()).unwrap();
        let ours = Schedule::new(&config).unwrap();
        let tables = [
            ("betas", &ours.betas),
            ("sigmas", &ours.sigmas),
            ("a_s", &ours.a_s),
            ("a_s_cum", &ours.a_s_cum),
            ("sigmas_cum", &ours.sigmas_cum),
            ("posterior_variance", &ours.posterior_variance),
            ("posterior_log_variance_clipped", &ours.posterior_log_variance_clipped),
            ("posterior_mean_coef1", &ours.posterior_mean_coef1),
            ("posterior_mean_coef2", &ours.posterior_mean_coef2),
        ];
        assert_eq!(fixture.names().len(), tables.len(), "{name}");
        for (table, got) in tables {
            let want = fixture.read(table).unwrap().to_f64();
            assert_eq!(got.len(), want.len(), "{name} {table}");
            let scale = want.iter().fold(0.0, |scale: f64, w| scale.max(w.abs()));
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                assert!((got - want).abs() <= 1e-6 * scale, "{name} {table}[{i}]: got {got}, want {want}");
                assert!((got - want).abs() <= 1e-5 * want.abs(), "{name} {table}[{i}]: got {got}, want {want}");
            }
        }
    }
}

/// Numbers computed once from the published formulas in their mixture of f64 and f32; one step is the hardest case,
/// because f32 keeps three digits of 1 - beta.
#[test]
fn one_step_and_eight() {
    let one = Schedule::new(&variance_preserving(1)).unwrap();
    assert!((one.a_s_cum[1] - 0.006_573_687_31).abs() < 1e-9, "{}", one.a_s_cum[1]);
    let eight = Schedule::new(&variance_preserving(8)).unwrap();
    assert!((eight.a_s_cum[8] - 0.006_571_947_6).abs() < 1e-8, "{}", eight.a_s_cum[8]);
    assert!((eight.posterior_mean_coef2[3] - 0.477_790_594).abs() < 1e-7);
}

/// "x_0" of a pair is the data itself, and the last step returns the prediction, up to what beta and 1 - beta lose
/// in f32.
#[test]
fn the_ends_add_no_noise() {
    for steps in [1, 2, 4, 7, 100] {
        let s = Schedule::new(&variance_preserving(steps)).unwrap();
        assert_eq!((s.a_s_cum[0], s.sigmas_cum[0]), (1.0, 0.0));
        let rounding = f32::EPSILON as f64 / s.betas[1];
        assert!((s.posterior_mean_coef1[0] - 1.0).abs() <= rounding, "{}", s.posterior_mean_coef1[0]);
        assert_eq!((s.posterior_mean_coef2[0], s.posterior_variance[0]), (0.0, 0.0));
        assert!(s.sigmas_cum[steps] > 0.9999);
    }
}

/// The posterior of scalars by brute force: p(x_t | x_{t+1}, x_0) is proportional to q(x_t | x_0) q(x_{t+1} | x_t),
/// whose mean and variance come from sums over a fine grid.
#[test]
fn posterior_is_bayes_rule() {
    let s = Schedule::new(&variance_preserving(4)).unwrap();
    let (x0, x_next) = (0.7, -0.4);
    for t in 1..4 {
        let log_density = |x: f64, mean: f64, deviation: f64| -0.5 * ((x - mean) / deviation).powi(2);
        let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
        for i in -80_000..80_000 {
            let x = i as f64 * 1e-4;
            let weight = (log_density(x, s.a_s_cum[t] * x0, s.sigmas_cum[t])
                + log_density(x_next, s.a_s[t + 1] * x, s.sigmas[t + 1]))
            .exp();
            mass += weight;
            first += weight * x;
            second += weight * x * x;
        }
        let mean = first / mass;
        let variance = second / mass - mean * mean;
        let want = s.posterior_mean_coef1[t] * x0 + s.posterior_mean_coef2[t] * x_next;
        assert!((mean - want).abs() < 1e-6, "t {t}: mean {mean}, table {want}");
        assert!((variance - s.posterior_variance[t]).abs() < 1e-6, "t {t}: variance {variance}");
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_reason() {
    let refuse = |config: ScheduleConfig, reason: &str| {
        let error = Schedule::new(&config).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    refuse(variance_preserving(0), "schedule.num_timesteps is 0");
    refuse(ScheduleConfig { beta_min: 0.0, ..Default::default() }, "beta_min");
    refuse(ScheduleConfig { beta_max: f64::NAN, ..Default::default() }, "beta_max");
    refuse(ScheduleConfig { beta_max: 1e6, ..Default::default() }, "beta");
    refuse(ScheduleConfig { use_geometric: true, ..Default::default() }, "below 1");
}
