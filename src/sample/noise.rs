//! Where the random numbers of a picture come from. Each has sequences of its own, so that it does not depend on what
//! else is drawn beside it.

use rayon::prelude::*;

use crate::error::Result;
use crate::tensor::{DType, Device, Key, normal, stream};

/// Picture number `index` of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleId {
    pub seed: u64,
    pub index: u64,
}

/// Which random numbers a picture is drawn with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// Its own.
    Plain(SampleId),
    /// Its own, but for z in the steps from `x_t` on down: variant 0 has its own there too, every other one others. All
    /// variants share `x_t` and the posteriors' noise; what tells them apart is what z decides.
    Variant { id: SampleId, t: usize, variant: u64 },
    /// Between two pictures: x_T, every z and every noise on the great circle from the first's (weight 0) to the
    /// second's (weight 1), along which they stay as likely as the ends.
    Between { ends: [SampleId; 2], weight: f64 },
}

/// What the numbers are for; the steps are those from x_{t+1} to x_t.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// x_T.
    Start,
    /// The generator's latent in step t.
    Z(usize),
    /// The posterior's noise in step t.
    Noise(usize),
}

/// The numbers of all draws for one part, each of that shape, standard normal.
pub(super) fn numbers(draws: &[Draw], part: Part, shape: &[usize], dtype: DType) -> Result<Vec<f64>> {
    let each: Vec<_> = draws.par_iter().map(|draw| draw.numbers(part, shape, dtype)).collect::<Result<_>>()?;
    Ok(each.concat())
}

impl Draw {
    fn numbers(&self, part: Part, shape: &[usize], dtype: DType) -> Result<Vec<f64>> {
        let own = |id: SampleId, purpose: String| {
            let key = Key { seed: id.seed, stream: stream(&purpose, id.index) };
            Ok(normal(shape, key, dtype, &Device::Cpu)?.to_f64())
        };
        match (*self, part) {
            (Draw::Variant { id, t: fixed, variant }, Part::Z(t)) if t < fixed && variant > 0 => {
                own(id, format!("sample/z/{t}/variant/{variant}"))
            }
            (Draw::Plain(id) | Draw::Variant { id, .. }, _) => own(id, part.purpose()),
            (Draw::Between { ends: [from, to], weight }, _) => {
                Ok(great_circle(own(from, part.purpose())?, own(to, part.purpose())?, weight))
            }
        }
    }
}

impl Part {
    fn purpose(self) -> String {
        match self {
            Part::Start => "sample/x_T".into(),
            Part::Z(t) => format!("sample/z/{t}"),
            Part::Noise(t) => format!("sample/noise/{t}"),
        }
    }
}

/// Spherical interpolation (K. Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985): with the angle
/// phi between a and b, (sin((1 - w) phi) a + sin(w phi) b) / sin phi; on a straight line where they are parallel.
fn great_circle(a: Vec<f64>, b: Vec<f64>, w: f64) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let phi = (dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()).clamp(-1.0, 1.0).acos();
    let (of_a, of_b) = match phi.sin() {
        sin if sin > 1e-6 => (((1.0 - w) * phi).sin() / sin, (w * phi).sin() / sin),
        _ => (1.0 - w, w),
    };
    a.iter().zip(&b).map(|(a, b)| of_a * a + of_b * b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(draw: Draw, part: Part) -> Vec<f64> {
        draw.numbers(part, &[64], DType::F32).unwrap()
    }

    const A: SampleId = SampleId { seed: 3, index: 0 };
    const B: SampleId = SampleId { seed: 4, index: 7 };

    #[test]
    fn parts_steps_seeds_and_indices_have_their_own_numbers() {
        let parts = [Part::Start, Part::Z(0), Part::Z(1), Part::Noise(0), Part::Noise(1)];
        let ids = [A, B, SampleId { index: 1, ..A }];
        let all: Vec<_> = ids.iter().flat_map(|&id| parts.map(|part| of(Draw::Plain(id), part))).collect();
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b), "{i}");
        }
    }

    #[test]
    fn variants_change_z_below_the_fixed_step_alone() {
        let variant = |variant| Draw::Variant { id: A, t: 2, variant };
        for part in [Part::Start, Part::Z(3), Part::Z(2), Part::Noise(0), Part::Noise(1)] {
            assert_eq!(of(variant(5), part), of(Draw::Plain(A), part));
        }
        for part in [Part::Z(1), Part::Z(0)] {
            assert_eq!(of(variant(0), part), of(Draw::Plain(A), part));
            assert_ne!(of(variant(1), part), of(variant(0), part));
            assert_ne!(of(variant(2), part), of(variant(1), part));
        }
    }

    #[test]
    fn the_way_between_two_begins_and_ends_with_them_and_keeps_the_length() {
        let between = |weight| of(Draw::Between { ends: [A, B], weight }, Part::Start);
        let (a, b) = (of(Draw::Plain(A), Part::Start), of(Draw::Plain(B), Part::Start));
        assert_eq!((between(0.0), between(1.0)), (a.clone(), b.clone()));
        let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let (short, long) = (length(&a).min(length(&b)), length(&a).max(length(&b)));
        for weight in [0.25, 0.5, 0.75] {
            let length = length(&between(weight));
            assert!(length > 0.9 * short && length < 1.1 * long, "{weight}: {length} between {short} and {long}");
        }
        // A straight line through the middle would be this short.
        let middle: Vec<f64> = a.iter().zip(&b).map(|(a, b)| (a + b) / 2.0).collect();
        assert!(length(&middle) < 0.85 * short);
        assert_eq!(great_circle(vec![1.0, 2.0], vec![1.0, 2.0], 0.3), [1.0, 2.0]);
    }
}
