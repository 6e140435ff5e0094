use nalgebra::DMatrix;

/// Feature vectors of samples, [N, D].
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    dim: usize,
    values: Vec<f32>,
}

impl Features {
    /// None yet, of D = `dim`, which is at least 1.
    pub fn new(dim: usize) -> Features {
        assert!(dim > 0, "features without a number");
        Features { dim, values: Vec::new() }
    }

    /// Adds samples, [N, D].
    pub fn push(&mut self, values: &[f32]) {
        assert!(values.len().is_multiple_of(self.dim), "{} numbers of features of {}", values.len(), self.dim);
        self.values.extend_from_slice(values);
    }

    /// D.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// N.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn iter(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.dim)
    }

    /// Some of the samples as the columns of a matrix, [D, N].
    pub(super) fn columns(&self, samples: impl ExactSizeIterator<Item = usize>) -> DMatrix<f64> {
        let count = samples.len();
        let row = |sample: usize| self.values[sample * self.dim..][..self.dim].iter().map(|&x| f64::from(x));
        DMatrix::from_iterator(self.dim, count, samples.flat_map(row))
    }
}
