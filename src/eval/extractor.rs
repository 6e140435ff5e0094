use crate::data::ImageShape;
use crate::error::Result;
use crate::tensor::Device;

/// What turns pictures into features and classes.
pub trait Extractor {
    /// For people.
    fn describe(&self) -> String;

    /// By this name statistics of its features are known; no other extractor has it.
    fn identity(&self) -> String;

    /// Where it computes.
    fn device(&self) -> Device;

    /// Numbers in the features of a picture of this shape.
    fn features(&self, shape: ImageShape) -> usize;

    /// The classes that each of its predictions is about.
    fn classes(&self) -> usize;

    /// Predictions of one picture: one of the whole, or one of each channel.
    fn predictions(&self, shape: ImageShape) -> usize;

    /// The data set whose classes these are; `None` if it judges any pictures, by classes of its own.
    fn dataset(&self) -> Option<&str>;

    /// What is to be kept in mind with all numbers that come from it.
    fn warning(&self) -> Option<String> {
        None
    }

    /// Judges pictures [N, H, W, C] in [-1, 1].
    ///
    /// Errors: pictures of a shape that it cannot judge.
    fn judge(&self, images: &[f32], shape: ImageShape) -> Result<Verdicts>;
}

/// What an extractor says of N pictures with P predictions each.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdicts {
    /// [N, D]
    pub features: Vec<f32>,
    /// [N, P, classes], each row of sum 1.
    pub probabilities: Vec<f32>,
}
