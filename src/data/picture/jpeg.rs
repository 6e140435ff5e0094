//! What JPEG leaves of a picture that Pillow saves with its default options and reads again: quality 75, colour at half
//! the resolution.
//!
//! All that loses anything (ITU-T T.81 and T.871) is done in the integers that libjpeg computes in, so the result is the
//! same to the last bit. The coding into bits and back loses nothing, and is left out.

use super::Picture;

/// A channel: brightness, or one of the two of colour.
struct Plane {
    width: usize,
    height: usize,
    samples: Vec<u8>,
}

/// Eight by eight numbers, row by row.
type Block = [i32; 64];

/// Side of a block.
const SIDE: usize = 8;

/// The steps of brightness at quality 50 (T.81, table K.1).
const LUMA: Block = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];
/// Those of colour (T.81, table K.2).
const CHROMA: Block = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99,
];

impl Picture {
    /// The picture that Pillow reads from the JPEG file which it saves this one as.
    pub fn through_jpeg(&self) -> Picture {
        let (width, height) = (self.shape.width, self.shape.height);
        let plane = |samples| Plane { width, height, samples };
        let pixels = if self.shape.channels == 1 {
            quantised(&plane(self.pixels.clone()), &LUMA).samples
        } else {
            let of = |channel: fn(&[u8; 3]) -> u8| plane(self.pixels.as_chunks().0.iter().map(channel).collect());
            let luma = quantised(&of(luma), &LUMA);
            let [cb, cr] = [of(blue), of(red)].map(|plane| widened(&quantised(&halved(&plane), &CHROMA), &luma));
            let colours = luma.samples.iter().zip(&cb).zip(&cr);
            colours.flat_map(|((&y, &cb), &cr)| to_rgb(y, cb, cr)).collect()
        };
        Picture { shape: self.shape, pixels }
    }
}

/// A weight in 16 bits after the point.
const fn fixed(x: f64) -> i32 {
    (x * 65536.0 + 0.5) as i32
}

const HALF: i32 = 1 << 15;

fn luma(&[r, g, b]: &[u8; 3]) -> u8 {
    ((fixed(0.299) * i32::from(r) + fixed(0.587) * i32::from(g) + fixed(0.114) * i32::from(b) + HALF) >> 16) as u8
}

/// Cb = (B - Y) / 1.772 + 128, rounded down where it is half-way.
fn blue(&[r, g, b]: &[u8; 3]) -> u8 {
    let sum = HALF * i32::from(b) - fixed(0.16874) * i32::from(r) - fixed(0.33126) * i32::from(g);
    ((sum + (128 << 16) + HALF - 1) >> 16) as u8
}

/// Cr = (R - Y) / 1.402 + 128, likewise.
fn red(&[r, g, b]: &[u8; 3]) -> u8 {
    let sum = HALF * i32::from(r) - fixed(0.41869) * i32::from(g) - fixed(0.08131) * i32::from(b);
    ((sum + (128 << 16) + HALF - 1) >> 16) as u8
}

fn to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let [y, cb, cr] = [i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128];
    let red = (fixed(1.402) * cr + HALF) >> 16;
    let green = (-fixed(0.34414) * cb - fixed(0.71414) * cr + HALF) >> 16;
    let blue = (fixed(1.772) * cb + HALF) >> 16;
    [red, green, blue].map(|colour| (y + colour).clamp(0, 255) as u8)
}

/// Half the size: the means of 2x2 samples, rounded down and up in turn. The last row and column are repeated to fill
/// them; along a row, to fill whole blocks as well.
fn halved(plane: &Plane) -> Plane {
    let (width, height) = (plane.width.div_ceil(2).next_multiple_of(SIDE), plane.height.div_ceil(2));
    let at =
        |y: usize, x: usize| i32::from(plane.samples[y.min(plane.height - 1) * plane.width + x.min(plane.width - 1)]);
    let mean = |i: usize| {
        let (y, x) = (2 * (i / width), 2 * (i % width));
        let bias = 1 + (x / 2 % 2) as i32;
        ((at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1) + bias) >> 2) as u8
    };
    Plane { width, height, samples: (0..width * height).map(mean).collect() }
}

/// Twice the size, as large as `full`: 9/16 of the nearest sample, 3/16 of its neighbours on either side, 1/16 of the one
/// across. Of at most two columns, the nearest alone.
fn widened(plane: &Plane, full: &Plane) -> Vec<u8> {
    // Without the columns that filled the last block.
    let (columns, rows) = (full.width.div_ceil(2), plane.height);
    let at = |y: usize, x: usize| i32::from(plane.samples[y * plane.width + x]);
    let neighbour =
        |i: usize, end: usize| if i.is_multiple_of(2) { (i / 2).saturating_sub(1) } else { (i / 2 + 1).min(end - 1) };
    let sample = |i: usize| {
        let (y, x) = (i / full.width, i % full.width);
        if columns <= 2 {
            return at(y / 2, x / 2) as u8;
        }
        let column = |x: usize| 3 * at(y / 2, x) + at(neighbour(y, rows), x);
        let rounding = 8 - (x % 2) as i32;
        ((3 * column(x / 2) + column(neighbour(x, columns)) + rounding) >> 4) as u8
    };
    (0..full.width * full.height).map(sample).collect()
}

/// What the steps of `table` leave of every block. The last row and column are repeated to fill blocks.
fn quantised(plane: &Plane, table: &Block) -> Plane {
    // Quality 75 halves the steps.
    let steps = table.map(|step| (step * 50 + 50) / 100);
    let mut samples = vec![0; plane.samples.len()];
    for top in (0..plane.height).step_by(SIDE) {
        for left in (0..plane.width).step_by(SIDE) {
            let place = |i: usize| {
                let (y, x) = (top + i / SIDE, left + i % SIDE);
                y.min(plane.height - 1) * plane.width + x.min(plane.width - 1)
            };
            let mut block: Block = std::array::from_fn(|i| i32::from(plane.samples[place(i)]) - 128);
            // Rows, then columns; the transform's results are 8 times the standard's.
            both_ways(&mut block, cosines, [11, 15]);
            for (x, step) in block.iter_mut().zip(steps) {
                let divisor = 8 * step;
                *x = x.signum() * ((x.abs() + divisor / 2) / divisor) * step;
            }
            transpose(&mut block);
            both_ways(&mut block, samples_of, [11, 18]);
            transpose(&mut block);
            for (i, x) in block.into_iter().enumerate() {
                if top + i / SIDE < plane.height && left + i % SIDE < plane.width {
                    samples[place(i)] = (x + 128).clamp(0, 255) as u8;
                }
            }
        }
    }
    Plane { samples, ..*plane }
}

/// A transform of every row, then of every column, each result divided by two to the power of the pass's shift.
fn both_ways(block: &mut Block, transform: fn(&[i32; 8]) -> [i32; 8], shifts: [i32; 2]) {
    for shift in shifts {
        for row in block.as_chunks_mut::<SIDE>().0 {
            *row = transform(row).map(|x| (x + (1 << (shift - 1))) >> shift);
        }
        transpose(block);
    }
}

fn transpose(block: &mut Block) {
    let from = *block;
    *block = std::array::from_fn(|i| from[i % SIDE * SIDE + i / SIDE]);
}

/// A factor in 13 bits after the point.
const fn factor(x: f64) -> i32 {
    (x * 8192.0 + 0.5) as i32
}

/// The discrete cosine transform of eight numbers with 11 multiplications (Loeffler, Ligtenberg and Moschytz, 1989),
/// times sqrt(8) and 2^13.
fn cosines(x: &[i32; 8]) -> [i32; 8] {
    let sum = |i: usize| x[i] + x[7 - i];
    let difference = |i: usize| x[i] - x[7 - i];
    let (a, b, c, d) = (sum(0) + sum(3), sum(1) + sum(2), sum(1) - sum(2), sum(0) - sum(3));
    let turned = (c + d) * factor(0.541196100);
    let odd = odd_half([difference(3), difference(2), difference(1), difference(0)]);
    [
        (a + b) << 13,
        odd[3],
        turned + d * factor(0.765366865),
        odd[2],
        (a - b) << 13,
        odd[1],
        turned - c * factor(1.847759065),
        odd[0],
    ]
}

/// The inverse of [`cosines`], times sqrt(8) and 2^13.
fn samples_of(x: &[i32; 8]) -> [i32; 8] {
    let turned = (x[2] + x[6]) * factor(0.541196100);
    let (a, b) = ((x[0] + x[4]) << 13, (x[0] - x[4]) << 13);
    let (c, d) = (turned - x[6] * factor(1.847759065), turned + x[2] * factor(0.765366865));
    let even = [a + d, b + c, b - c, a - d];
    let odd = odd_half([x[7], x[5], x[3], x[1]]);
    std::array::from_fn(|i| if i < 4 { even[i] + odd[3 - i] } else { even[7 - i] - odd[i - 4] })
}

/// The part of either transform that has the odd frequencies.
fn odd_half([a, b, c, d]: [i32; 4]) -> [i32; 4] {
    let all = (a + b + c + d) * factor(1.175875602);
    let (ad, bc) = ((a + d) * -factor(0.899976223), (b + c) * -factor(2.562915447));
    let (ac, bd) = (all - (a + c) * factor(1.961570560), all - (b + d) * factor(0.390180644));
    [
        a * factor(0.298631336) + ad + ac,
        b * factor(2.053119869) + bc + bd,
        c * factor(3.072711026) + bc + ac,
        d * factor(1.501321110) + ad + bd,
    ]
}
