//! Resizing to the byte as Pillow does: an antialiased separable filter in fixed point, rows first, then columns, each
//! pass rounded to bytes. Measures such as FID notice when training data are resized otherwise. (Since version 13
//! Pillow shrinks tall pictures columns first, which changes a few bytes by 1; published figures are older.)

use super::Picture;
use crate::data::ImageShape;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::ops::Range;

/// The filter, which is stretched by the scale where a picture shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    Box,
    /// Torchvision's default.
    #[default]
    Bilinear,
    Bicubic,
    Lanczos,
}

impl Filter {
    /// Where the filter ends on either side, in pixels of the smaller picture.
    fn support(self) -> f64 {
        match self {
            Filter::Box => 0.5,
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        match self {
            Filter::Box => f64::from(x > -0.5 && x <= 0.5),
            Filter::Bilinear => (1.0 - x.abs()).max(0.0),
            // Keys' cubic convolution with a = -1/2.
            Filter::Bicubic => match x.abs() {
                x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
                x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
                _ => 0.0,
            },
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

/// Fractional bits of a weight: 8 bits of a byte and 2 of overshoot leave 22 of 32.
const FRACTION: u32 = 32 - 8 - 2;

/// The part of one side of a picture that is computed, and what each of its pixels is the sum of.
struct Taps {
    /// Per pixel the first of the old pixels and their number.
    spans: Vec<(usize, usize)>,
    /// Per pixel `width` weights, of which the span's number count.
    weights: Vec<i32>,
    width: usize,
}

impl Taps {
    /// For the pixels `wanted` of a side that goes from `old` to `new` pixels.
    fn new(filter: Filter, old: usize, new: usize, wanted: Range<usize>) -> Taps {
        let scale = old as f64 / new as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let width = support.ceil() as usize * 2 + 1;
        let mut taps = Taps { spans: Vec::new(), weights: vec![0; wanted.len() * width], width };
        for (pixel, weights) in wanted.zip(taps.weights.chunks_exact_mut(width)) {
            let center = (pixel as f64 + 0.5) * scale;
            // `as` cuts off the fraction, and what is negative becomes 0.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(old);
            let value = |i: usize| filter.at((i as f64 - center + 0.5) * (1.0 / stretch));
            let sum: f64 = (first..end).map(value).sum();
            for (weight, i) in weights.iter_mut().zip(first..end) {
                let share = if sum == 0.0 { 0.0 } else { value(i) / sum };
                *weight = (share * f64::from(1 << FRACTION)).round() as i32;
            }
            taps.spans.push((first, end - first));
        }
        taps
    }

    /// Every pixel's first old pixel and its weights.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.width);
        self.spans.iter().zip(weights).map(|(&(first, count), weights)| (first, &weights[..count]))
    }

    /// The old pixels that are used.
    fn range(&self) -> Range<usize> {
        let start = self.spans.iter().map(|&(first, _)| first).min().unwrap_or(0);
        let end = self.spans.iter().map(|&(first, count)| first + count).max().unwrap_or(0);
        start..end
    }
}

impl Picture {
    /// Brings the shorter side to `size` and cuts the middle of the other: torchvision's `Resize(size)` and
    /// `CenterCrop(size)`. Only what remains is computed.
    pub fn fit(self, size: usize, filter: Filter) -> Picture {
        let ImageShape { height, width, .. } = self.shape;
        let short = height.min(width);
        let (new_height, new_width) = (height * size / short, width * size / short);
        let middle = |new: usize| {
            let start = half_to_even(new - size);
            start..start + size
        };
        self.resize([new_height, new_width], [middle(new_height), middle(new_width)], filter)
    }

    /// The rows and columns `wanted` of the picture in a new size.
    fn resize(self, [new_height, new_width]: [usize; 2], wanted: [Range<usize>; 2], filter: Filter) -> Picture {
        let ImageShape { height, width, channels } = self.shape;
        let [rows, columns] = wanted;
        let vertical = Taps::new(filter, height, new_height, rows);
        let horizontal = Taps::new(filter, width, new_width, columns);
        let used = vertical.range();

        let wide = width * channels;
        let narrow = horizontal.spans.len() * channels;
        let mut between = Vec::with_capacity(used.len() * narrow);
        for row in self.pixels[used.start * wide..used.end * wide].chunks_exact(wide) {
            for (first, weights) in horizontal.iter() {
                let old = &row[first * channels..];
                for channel in 0..channels {
                    let pixels = old[channel..].iter().step_by(channels);
                    let sum = weights.iter().zip(pixels).fold(HALF, |sum, (&w, &byte)| sum + w * i32::from(byte));
                    between.push(to_byte(sum));
                }
            }
        }
        let mut pixels = Vec::with_capacity(vertical.spans.len() * narrow);
        let mut sums = vec![0; narrow];
        for (first, weights) in vertical.iter() {
            sums.fill(HALF);
            let old = between[(first - used.start) * narrow..].chunks_exact(narrow);
            for (&weight, row) in weights.iter().zip(old) {
                sums.iter_mut().zip(row).for_each(|(sum, &byte)| *sum += weight * i32::from(byte));
            }
            pixels.extend(sums.iter().map(|&sum| to_byte(sum)));
        }
        let shape = ImageShape { height: vertical.spans.len(), width: horizontal.spans.len(), channels };
        Picture { shape, pixels }
    }
}

/// One half, so that cutting off the fraction rounds.
const HALF: i32 = 1 << (FRACTION - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> FRACTION).clamp(0, 255) as u8
}

/// n / 2 rounded as Python does: a half goes to the even neighbour.
fn half_to_even(n: usize) -> usize {
    n / 2 + usize::from(n % 4 == 3)
}
