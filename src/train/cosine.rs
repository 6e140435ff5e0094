/// Where the learning rate ends.
const ETA_MIN: f64 = 1e-5;

/// The learning rate in an epoch, counted from 0 (Loshchilov and Hutter, 2017, without restarts):
///
/// lr = eta_min + (base - eta_min) (1 + cos(pi epoch / num_epoch)) / 2,   eta_min = 1e-5
pub fn cosine_annealing(base: f64, epoch: u64, num_epoch: u64) -> f64 {
    let angle = std::f64::consts::PI * epoch as f64 / num_epoch as f64;
    ETA_MIN + (base - ETA_MIN) * (1.0 + angle.cos()) / 2.0
}
