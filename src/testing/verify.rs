//! Checks a golden fixture of any kind: computes again what it holds and tells how far off each result is.

mod networks;
mod process;
mod train_step;

use std::path::Path;

use super::closeness::{norm, relative_error};
use super::fixtures::Fixture;
use crate::Result;
use crate::autograd::Var;
use crate::nn::Param;
use crate::tensor::{DType, Device, Tensor};

/// The largest relative 2-norm errors that pass.
#[derive(Clone, Copy, Debug)]
pub struct Tolerances {
    pub outputs: f64,
    /// Of gradients and of what an optimizer made from them.
    pub gradients: f64,
}

impl Default for Tolerances {
    fn default() -> Self {
        Tolerances { outputs: 1e-4, gradients: 1e-3 }
    }
}

impl Tolerances {
    /// The largest error that passes.
    pub fn of(&self, judged: Judged) -> f64 {
        match judged {
            Judged::Output => self.outputs,
            Judged::Gradient => self.gradients,
        }
    }
}

/// What a group of tensors is judged as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    Output,
    Gradient,
}

/// Tensors that are reported together.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    pub judged: Judged,
    /// How many tensors were compared.
    pub tensors: usize,
    /// The largest relative 2-norm error of any of them, and whose it is.
    pub error: f64,
    pub worst: String,
}

impl Group {
    /// Whether the error is within tolerance; one that is not a number never is.
    pub fn passes(&self, tolerances: &Tolerances) -> bool {
        self.error <= tolerances.of(self.judged)
    }
}

/// All groups of one fixture.
#[derive(Clone, Debug)]
pub struct Report {
    pub kind: String,
    pub groups: Vec<Group>,
}

impl Report {
    /// The groups over tolerance.
    pub fn failures(&self, tolerances: &Tolerances) -> Vec<&Group> {
        self.groups.iter().filter(|group| !group.passes(tolerances)).collect()
    }
}

/// Computes in `dtype` on `device` what the fixture at `path` holds and compares.
///
/// Errors: a file that is no fixture or of an unknown kind, parameters that do not fit the network it describes.
pub fn verify(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Report> {
    let fixture = Fixture::open(path, dtype, device)?;
    let groups = match fixture.kind() {
        "generator" => networks::generator(&fixture)?,
        "discriminator" => networks::discriminator(&fixture)?,
        "schedule" => process::schedule(&fixture)?,
        "sample" => process::sample(&fixture)?,
        "train_step" => train_step::train_step(&fixture)?,
        other => return Err(fixture.error(format!("holds an unknown kind of computation, `{other}`"))),
    };
    Ok(Report { kind: fixture.kind().to_owned(), groups })
}

/// In a group, a tensor smaller than this part of the largest one is measured against that part: a gradient that
/// vanishes in exact arithmetic (of the bias of attention's keys, say, which softmax ignores) is nothing but rounding.
const NEGLIGIBLE: f64 = 1e-3;

/// Compares what was computed, by name, with the tensors of those names after `prefix` in the fixture.
fn compare(fixture: &Fixture, prefix: &str, judged: Judged, got: &[(String, Vec<f64>)]) -> Result<Group> {
    let mut expected = Vec::new();
    for (name, got) in got {
        let full_name = format!("{prefix}{name}");
        // What has no entry has no influence: its gradient is zero.
        let zero = judged == Judged::Gradient && !fixture.has(&full_name);
        expected.push(if zero { vec![0.0; got.len()] } else { fixture.values(&full_name)? });
    }
    let largest = expected.iter().map(|want| norm(want.iter().copied())).fold(0.0, f64::max);
    let mut group =
        Group { name: prefix.trim_end_matches('.').to_owned(), judged, tensors: 0, error: 0.0, worst: String::new() };
    for ((name, got), want) in got.iter().zip(&expected) {
        let error = relative_error(got, want, NEGLIGIBLE * largest);
        group.tensors += 1;
        if group.worst.is_empty() || error > group.error || error.is_nan() {
            group.error = error;
            group.worst = name.clone();
        }
    }
    Ok(group)
}

fn compare_one(fixture: &Fixture, name: &str, judged: Judged, got: &Tensor) -> Result<Group> {
    let mut group = compare(fixture, name, judged, &[(String::new(), got.to_f64())])?;
    group.worst = name.to_owned();
    Ok(group)
}

/// The gradients of y by parameter name; zeros where a parameter has no influence.
fn by_name(params: &[Param], gradients: Vec<Option<Var>>) -> Vec<(String, Vec<f64>)> {
    let values = |param: &Param, gradient: Option<Var>| match gradient {
        Some(gradient) => gradient.value().to_f64(),
        None => vec![0.0; param.shape().iter().product()],
    };
    params.iter().zip(gradients).map(|(p, g)| (p.name().to_owned(), values(p, g))).collect()
}
