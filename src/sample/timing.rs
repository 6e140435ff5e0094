//! How long batches take.

/// The seconds of batches, the first apart: it also finds memory, fills caches and wakes threads.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    /// Pictures in the first batch, and its seconds.
    first: Option<(usize, f64)>,
    /// Of the later batches of the same size.
    warm: Vec<f64>,
}

impl Timing {
    /// Adds a batch. One that is smaller than the first, as the last one may be, counts for nothing.
    pub fn add(&mut self, pictures: usize, seconds: f64) {
        match self.first {
            None => self.first = Some((pictures, seconds)),
            Some((batch, _)) if pictures == batch => self.warm.push(seconds),
            Some(_) => {}
        }
    }

    /// The median of the batches after the first, `None` if there was only one.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.warm.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            n if n % 2 == 0 => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
            _ => Some(sorted[middle]),
        }
    }

    /// How many batches the median is of.
    pub fn batches(&self) -> usize {
        self.warm.len()
    }

    /// Pictures a second: those of a batch in the median time, or in the first one's if there is no other. 0 before the
    /// first.
    pub fn images_per_s(&self) -> f64 {
        self.first.map_or(0.0, |(pictures, seconds)| pictures as f64 / self.median().unwrap_or(seconds))
    }
}

impl std::fmt::Display for Timing {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Some((pictures, first)) = self.first else { return f.write_str("no pictures") };
        write!(f, "the first batch of {pictures} in {first:.3} s")?;
        if let Some(median) = self.median() {
            write!(f, ", the others in {median:.3} s (median of {})", self.warm.len())?;
        }
        write!(f, ": {:.2} images/s", self.images_per_s())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_batch_and_the_smaller_last_one_are_left_out() {
        let mut timing = Timing::default();
        assert_eq!((timing.median(), timing.images_per_s()), (None, 0.0));
        timing.add(8, 4.0);
        assert_eq!(timing.to_string(), "the first batch of 8 in 4.000 s: 2.00 images/s");
        for seconds in [3.0, 1.0, 2.0] {
            timing.add(8, seconds);
        }
        timing.add(5, 0.1);
        assert_eq!((timing.median(), timing.images_per_s()), (Some(2.0), 4.0));
        timing.add(8, 5.0);
        assert_eq!(timing.median(), Some(2.5));
        let said = "the first batch of 8 in 4.000 s, the others in 2.500 s (median of 4): 3.20 images/s";
        assert_eq!(timing.to_string(), said);
    }
}
