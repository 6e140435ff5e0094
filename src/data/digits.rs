//! Digits that the program draws itself, so that a first training needs no download: ten classes, drawn as strokes
//! with random proportions, slant, rotation, elastic warp, thickness and place, in the format of MNIST.
//!
//! A picture is a function of (seed, split, index), drawn when asked for. Only additions, multiplications, divisions
//! and square roots are used, which every machine rounds alike: the same bytes everywhere.

use super::rng::{Philox, Purpose};
use super::{Dataset, ImageShape, PADDED, SIDE, Split, pad_and_scale};
use crate::error::Result;
use glyphs::GLYPHS;
use rand::Rng;

mod glyphs;

/// 60,000 drawn digits to train and 10,000 to test, 28x28 grey, zero-padded to 32x32. Class = index mod 10.
pub struct Digits {
    split: Split,
    seed: u64,
}

impl Digits {
    pub fn new(split: Split, seed: u64) -> Digits {
        Digits { split, seed }
    }

    /// Draws picture `index` as 28x28 bytes, 0 = paper, 255 = ink.
    pub fn draw(&self, index: usize) -> [u8; SIDE * SIDE] {
        let purpose = match self.split {
            Split::Train => Purpose::DigitTrain,
            Split::Test => Purpose::DigitTest,
        };
        let mut hand = Hand(Philox::new(purpose.key(self.seed, index as u32)));
        let variants = GLYPHS[self.label(index) as usize];
        let glyph = variants[hand.below(variants.len())];
        let style = Style::draw(&mut hand);
        let mut strokes: Vec<Vec<Point>> =
            glyph.iter().map(|stroke| stroke.iter().map(|&p| style.place(p)).collect()).collect();
        keep_on_paper(&mut strokes, style.pen);
        let mut canvas = Canvas::new();
        for stroke in &strokes {
            canvas.stroke(stroke, [style.pen, style.pen * hand.around(1.0, 0.15)]);
        }
        canvas.ink()
    }
}

impl Dataset for Digits {
    fn name(&self) -> &str {
        "digits"
    }

    fn origin(&self) -> String {
        "drawn by the program".into()
    }

    fn len(&self) -> usize {
        match self.split {
            Split::Train => 60_000,
            Split::Test => 10_000,
        }
    }

    fn shape(&self) -> ImageShape {
        ImageShape { height: PADDED, width: PADDED, channels: 1 }
    }

    fn classes(&self) -> usize {
        10
    }

    fn label(&self, index: usize) -> u32 {
        (index % 10) as u32
    }

    fn image(&self, index: usize, out: &mut [f32]) -> Result<()> {
        pad_and_scale(&self.draw(index), out, 0, 1);
        Ok(())
    }
}

/// x to the right, y down.
type Point = [f32; 2];

/// The randomness of one picture.
struct Hand(Philox);

impl Hand {
    /// Uniform in [0, 1).
    fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// Bell-shaped about `mean` and never further from it than `reach`: the mean of three uniform numbers, whose
    /// standard deviation is a third of the reach. No outliers, hence no illegible pictures.
    fn around(&mut self, mean: f32, reach: f32) -> f32 {
        let sum = self.unit() + self.unit() + self.unit();
        mean + reach * (sum * (2.0 / 3.0) - 1.0)
    }
}

/// How one digit is written: maps glyph coordinates (about the middle, see `glyphs`) to pixels.
struct Style {
    /// Rows of the linear map: proportions, slant and rotation.
    linear: [Point; 2],
    shift: Point,
    /// Free-form deformation (Sederberg and Parry 1986): displacements in pixels at the 4x4 control points of a
    /// Bezier patch over the picture.
    warp: [[Point; 4]; 4],
    /// Half the width of the line, in pixels.
    pen: f32,
}

impl Style {
    fn draw(hand: &mut Hand) -> Style {
        let (width, height) = (hand.around(1.06, 0.32), hand.around(0.93, 0.14));
        let slant = hand.around(0.14, 0.42);
        // The rotation's sine and cosine from the tangent of half the angle: up to 0.24 rad = 14 degrees.
        let half = hand.around(0.0, 0.12);
        let (cos, sin) = ((1.0 - half * half) / (1.0 + half * half), 2.0 * half / (1.0 + half * half));
        // rotation * slant * proportions; a slant to the right moves what is above (y < 0) to the right.
        let linear = [[cos * width, (-slant * cos - sin) * height], [sin * width, (-slant * sin + cos) * height]];
        let shift = [hand.around(0.0, 2.0), hand.around(0.0, 1.5)];
        let mut warp = [[[0.0; 2]; 4]; 4];
        for displacement in warp.as_flattened_mut().as_flattened_mut() {
            *displacement = hand.around(0.0, 10.0);
        }
        Style { linear, shift, warp, pen: hand.around(1.3, 0.7) }
    }

    fn place(&self, [x, y]: Point) -> Point {
        const MIDDLE: f32 = (SIDE as f32 - 1.0) / 2.0;
        let (u, v) = (bernstein(x / SIDE as f32 + 0.5), bernstein(y / SIDE as f32 + 0.5));
        [0, 1].map(|axis| {
            let mut p = MIDDLE + self.shift[axis] + self.linear[axis][0] * x + self.linear[axis][1] * y;
            for (row, v) in self.warp.iter().zip(v) {
                for (displacement, u) in row.iter().zip(u) {
                    p += v * u * displacement[axis];
                }
            }
            p
        })
    }
}

/// Moves strokes that a pen of this half width would draw over the picture's edge back inside, as little as needed.
fn keep_on_paper(strokes: &mut [Vec<Point>], pen: f32) {
    let (low, high) = (pen, SIDE as f32 - 1.0 - pen);
    for axis in 0..2 {
        let coordinates = || strokes.iter().flatten().map(|p| p[axis]);
        let (least, most) = (coordinates().fold(high, f32::min), coordinates().fold(low, f32::max));
        let shift = (low - least).max(0.0) - (most - high).max(0.0);
        strokes.iter_mut().flatten().for_each(|p| p[axis] += shift);
    }
}

/// The four cubic Bernstein polynomials.
fn bernstein(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    [s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t]
}

/// For every pixel the signed distance to the nearest edge of the ink, negative inside; capped at `FAR`.
struct Canvas {
    distance: [f32; SIDE * SIDE],
}

/// Width in pixels over which the ink fades out at its edge.
const EDGE: f32 = 1.3;
const FAR: f32 = EDGE;

impl Canvas {
    fn new() -> Canvas {
        Canvas { distance: [FAR; SIDE * SIDE] }
    }

    /// Draws a Catmull-Rom spline through the points with a pen whose half width runs from `pen[0]` to `pen[1]`.
    /// Equal first and last points close the curve smoothly.
    fn stroke(&mut self, points: &[Point], pen: [f32; 2]) {
        const PIECES: usize = 5;
        let last = points.len() - 1;
        let closed = last > 2 && points[0] == points[last];
        // The neighbours beyond the ends: round the corner of a closed curve, mirrored at the end of an open one.
        let before = if closed { points[last - 1] } else { mirrored(points[1], points[0]) };
        let after = if closed { points[1] } else { mirrored(points[last - 1], points[last]) };
        let at = |i: usize| if i == 0 { before } else { *points.get(i - 1).unwrap_or(&after) };
        let width = |t: f32| pen[0] + (pen[1] - pen[0]) * t / last as f32;

        let mut from = points[0];
        for span in 0..last {
            let (a, b, c, d) = (at(span), at(span + 1), at(span + 2), at(span + 3));
            for piece in 1..=PIECES {
                let t = piece as f32 / PIECES as f32;
                let to = catmull_rom(a, b, c, d, t);
                self.segment(from, to, width(span as f32 + t));
                from = to;
            }
        }
    }

    /// Lowers the distances about the segment from a to b, drawn with a round pen.
    fn segment(&mut self, a: Point, b: Point, pen: f32) {
        let reach = pen + FAR;
        let bounds = |axis: usize| {
            let (low, high) = (a[axis].min(b[axis]) - reach, a[axis].max(b[axis]) + reach);
            // `as` saturates: what lies outside the picture gives an empty range or one that ends at its edge.
            low.ceil() as usize..((high.floor() + 1.0) as usize).min(SIDE)
        };
        let along = [b[0] - a[0], b[1] - a[1]];
        let length2 = (along[0] * along[0] + along[1] * along[1]).max(1e-12);
        for y in bounds(1) {
            for x in bounds(0) {
                let p = [x as f32 - a[0], y as f32 - a[1]];
                let t = ((p[0] * along[0] + p[1] * along[1]) / length2).clamp(0.0, 1.0);
                let (dx, dy) = (p[0] - t * along[0], p[1] - t * along[1]);
                let distance = (dx * dx + dy * dy).sqrt() - pen;
                let pixel = &mut self.distance[y * SIDE + x];
                *pixel = pixel.min(distance);
            }
        }
    }

    fn ink(&self) -> [u8; SIDE * SIDE] {
        self.distance.map(|d| (255.0 * (0.5 - d / EDGE).clamp(0.0, 1.0) + 0.5) as u8)
    }
}

/// The point that continues the line from p to q as far again.
fn mirrored(p: Point, q: Point) -> Point {
    [0, 1].map(|axis| 2.0 * q[axis] - p[axis])
}

/// The cubic from b (t = 0) to c (t = 1) with the tangents (c - a) / 2 and (d - b) / 2 there.
fn catmull_rom(a: Point, b: Point, c: Point, d: Point, t: f32) -> Point {
    [0, 1].map(|i| {
        let (a, b, c, d) = (a[i], b[i], c[i], d[i]);
        0.5 * (2.0 * b + t * ((c - a) + t * ((2.0 * a - 5.0 * b + 4.0 * c - d) + t * (3.0 * (b - c) + d - a))))
    })
}
