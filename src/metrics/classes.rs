//! What a classifier says of samples.

use crate::error::{Error, Result};

/// Class probabilities of samples, [N, classes]; each row sums to 1.
#[derive(Clone, Debug)]
pub struct Predictions {
    classes: usize,
    values: Vec<f32>,
}

/// Mean and standard deviation over the parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InceptionScore {
    pub mean: f64,
    pub deviation: f64,
}

impl Predictions {
    /// None yet.
    pub fn new(classes: usize) -> Predictions {
        assert!(classes > 0, "predictions without classes");
        Predictions { classes, values: Vec::new() }
    }

    /// Adds samples, [N, classes].
    pub fn push(&mut self, probabilities: &[f32]) {
        assert!(probabilities.len().is_multiple_of(self.classes), "not a whole number of predictions");
        self.values.extend_from_slice(probabilities);
    }

    pub fn classes(&self) -> usize {
        self.classes
    }

    /// N.
    pub fn len(&self) -> usize {
        self.values.len() / self.classes
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn iter(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.classes)
    }

    /// The most probable class of every sample, and its probability.
    pub fn best(&self) -> impl Iterator<Item = (usize, f32)> {
        self.iter().map(|row| {
            let better = |best: (usize, f32), (class, &p): (usize, &f32)| if p > best.1 { (class, p) } else { best };
            row.iter().enumerate().fold((0, f32::MIN), better)
        })
    }

    /// How many samples were taken for each class.
    pub fn histogram(&self) -> Vec<u64> {
        let mut counts = vec![0; self.classes];
        self.best().for_each(|(class, _)| counts[class] += 1);
        counts
    }

    /// The share of samples whose class is more probable than `threshold`; 0 of none.
    pub fn confident(&self, threshold: f32) -> f64 {
        self.best().filter(|(_, p)| *p > threshold).count() as f64 / self.len().max(1) as f64
    }

    /// The Inception Score (Salimans et al., NeurIPS 2016): exp E KL(p(y | x) | p(y)), over `parts` of the samples in
    /// their order, 10 as published.
    ///
    /// Errors: fewer samples than parts.
    pub fn inception_score(&self, parts: usize) -> Result<InceptionScore> {
        if self.len() < parts {
            let what =
                format!("the Inception Score over {parts} parts takes as many samples, there are {}", self.len());
            return Err(Error::config(what));
        }
        let rows: Vec<&[f32]> = self.iter().collect();
        let score = |part: usize| {
            let rows = &rows[part * rows.len() / parts..(part + 1) * rows.len() / parts];
            let n = rows.len() as f64;
            let marginal: Vec<f64> =
                (0..self.classes).map(|class| rows.iter().map(|row| f64::from(row[class])).sum::<f64>() / n).collect();
            let kl: f64 = rows.iter().map(|row| kl(row.iter().map(|&p| f64::from(p)), &marginal)).sum();
            (kl / n).exp()
        };
        let scores: Vec<f64> = (0..parts).map(score).collect();
        let mean = scores.iter().sum::<f64>() / parts as f64;
        let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / parts as f64;
        Ok(InceptionScore { mean, deviation: variance.sqrt() })
    }
}

/// The sum of p ln(p / q), where 0 ln 0 = 0.
fn kl(p: impl Iterator<Item = f64>, q: &[f64]) -> f64 {
    p.zip(q).filter(|(p, _)| *p > 0.0).map(|(p, q)| p * (p / q).ln()).sum()
}

/// How many modes have samples.
pub fn covered(histogram: &[u64]) -> usize {
    histogram.iter().filter(|&&count| count > 0).count()
}

/// KL(samples over modes | uniform) in nats: 0 if all modes have equally many, ln(modes) if one has all.
///
/// Errors: no samples.
pub fn kl_to_uniform(histogram: &[u64]) -> Result<f64> {
    let total: u64 = histogram.iter().sum();
    if total == 0 {
        return Err(Error::config("no samples to count modes of"));
    }
    let uniform = vec![1.0 / histogram.len() as f64; histogram.len()];
    Ok(kl(histogram.iter().map(|&count| count as f64 / total as f64), &uniform))
}
