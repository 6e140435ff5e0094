//! Points in the plane, and their scatter plot beside the data.

use crate::data::picture::Picture;
use crate::data::toys::Kind;
use crate::data::{ImageShape, Split, Toy};

/// Points, x and y.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points(Vec<[f32; 2]>);

/// Height and width of a panel, and the space between two.
const PANEL: usize = 512;
const GAP: usize = 16;
/// What a panel shows, as a multiple of the largest coordinate.
const MARGIN: f32 = 1.15;
const RADIUS: f32 = 1.5;
const OPACITY: f32 = 0.5;
const GREY: [f32; 3] = [90.0, 90.0, 90.0];
const BLUE: [f32; 3] = [31.0, 100.0, 190.0];

impl Points {
    /// Adds points, [N, 2].
    pub fn push(&mut self, values: &[f32]) {
        let (points, []) = values.as_chunks::<2>() else { panic!("not a whole number of points") };
        self.0.extend(points);
    }

    pub fn append(&mut self, other: &Points) {
        self.0.extend(&other.0);
    }

    pub fn as_slice(&self) -> &[[f32; 2]] {
        &self.0
    }

    /// As many points of the data on the left, grey, and these on the right, blue, to the same scale; without data these
    /// alone. What lies far out is drawn at the edge.
    pub fn scatter(&self, data: Option<Kind>) -> Picture {
        let data = data.map(|kind| {
            let toy = Toy::new(kind, Split::Train, 0);
            (0..self.0.len()).map(|i| toy.point(i)).collect::<Vec<_>>()
        });
        let shown = data.as_ref().unwrap_or(&self.0);
        let reach = shown.iter().flatten().filter(|x| x.is_finite()).fold(1e-6, |max: f32, x| max.max(x.abs()));
        let panels: Vec<(&[[f32; 2]], [f32; 3])> =
            data.iter().map(|data| (&data[..], GREY)).chain([(&self.0[..], BLUE)]).collect();
        let mut canvas = Canvas::new(panels.len() * (PANEL + GAP) - GAP, PANEL);
        for (i, (points, color)) in panels.into_iter().enumerate() {
            canvas.panel(i * (PANEL + GAP), points, reach * MARGIN, color);
        }
        let shape = ImageShape { height: PANEL, width: canvas.width, channels: 3 };
        Picture { shape, pixels: canvas.bytes() }
    }
}

/// RGB, 0 to 255, rows from the top; white at first.
struct Canvas {
    width: usize,
    pixels: Vec<[f32; 3]>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Canvas {
        Canvas { width, pixels: vec![[255.0; 3]; width * height] }
    }

    /// A framed square with `left` as its first column that shows -reach to reach, y upwards.
    fn panel(&mut self, left: usize, points: &[[f32; 2]], reach: f32, color: [f32; 3]) {
        const LAST: f32 = (PANEL - 1) as f32;
        for i in 0..PANEL {
            for (x, y) in [(i, 0), (i, PANEL - 1), (0, i), (PANEL - 1, i)] {
                self.pixels[y * self.width + left + x] = [200.0; 3];
            }
        }
        for point in points {
            let [x, y] = [point[0], -point[1]].map(|c| ((c / reach + 1.0) / 2.0 * LAST).clamp(0.0, LAST));
            // NaN stays NaN through the clamp.
            if x.is_finite() && y.is_finite() {
                self.dot(left, x, y, color);
            }
        }
    }

    /// A disc whose rim is smoothed over one pixel.
    fn dot(&mut self, left: usize, x: f32, y: f32, color: [f32; 3]) {
        let near = |c: f32| (c - RADIUS - 1.0).max(0.0) as usize..=((c + RADIUS + 1.0) as usize).min(PANEL - 1);
        for row in near(y) {
            for column in near(x) {
                let distance = (column as f32 - x).hypot(row as f32 - y);
                let opacity = OPACITY * (RADIUS + 0.5 - distance).clamp(0.0, 1.0);
                let pixel = &mut self.pixels[row * self.width + left + column];
                pixel.iter_mut().zip(color).for_each(|(p, c)| *p += opacity * (c - *p));
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.pixels.as_flattened().iter().map(|p| p.round() as u8).collect()
    }
}
