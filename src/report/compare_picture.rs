//! A comparison as one picture, for a README or slides: the grids side by side, then the plots.

use image::RgbImage;
use image::imageops::{FilterType, overlay, resize};
use kuva::backend::raster::RasterBackend;
use kuva::render::render::{Primitive, Scene, TextAnchor};

use super::compare::Comparison;
use super::compare_page::last_grid;
use super::curves::of_runs;
use super::picture::{png, read};
use super::plot::{PAPER, Plot, plain, shortened};
use crate::error::{Error, Result};

/// Of the whole, before it is scaled.
const WIDTH: f64 = 1200.0;
const GAP: f64 = 24.0;
/// Of a heading.
const HEADING: f64 = 34.0;
const PLOT_HEIGHT: f64 = 320.0;
/// Grids in a row.
const MOST_COLUMNS: usize = 4;
const SCALE: f32 = 1.5;

impl Comparison {
    /// The bytes of a PNG. Grids that cannot be read are left out.
    ///
    /// Errors: it cannot be drawn.
    pub fn picture(&self) -> Result<Vec<u8>> {
        let grids: Vec<(&str, Option<RgbImage>)> = self
            .runs
            .iter()
            .map(|(name, record)| (name.as_str(), last_grid(record).and_then(|path| Some(read(path).ok()?.1))))
            .collect();
        let mut scene = Scene::new(WIDTH, 0.0).with_background(Some(PAPER.background));
        scene.text_color = Some(PAPER.text.into());
        let placed = place_grids(&mut scene, &grids);
        for pair in self.all_plots().chunks(2) {
            let top = scene.height;
            for (column, plot) in pair.iter().enumerate() {
                add_plot(&mut scene, plot, column, top);
            }
            scene.height = top + HEADING + PLOT_HEIGHT + GAP;
        }
        let failed = |what: String| Error::config(format!("the picture of the comparison cannot be drawn: {what}"));
        let drawn = RasterBackend::new().with_scale(SCALE).render_scene(&scene).map_err(failed)?;
        let drawn = image::load_from_memory(&drawn).map_err(|e| failed(e.to_string()))?;
        let mut canvas = drawn.to_rgb8();
        for (pixels, [x, y, width, height]) in placed {
            let [x, y, width, height] = [x, y, width, height].map(|length| (length * f64::from(SCALE)).round() as i64);
            let filter = if width > i64::from(pixels.width()) { FilterType::Nearest } else { FilterType::CatmullRom };
            overlay(&mut canvas, &resize(pixels, width as u32, height as u32, filter), x, y);
        }
        Ok(png(&canvas))
    }

    fn all_plots(&self) -> Vec<Plot> {
        let mut plots = Vec::new();
        for group in self.groups() {
            // A page says under a heading whose features these are; here it must be in the title.
            let by = group.ruler.by().map_or(String::new(), |by| format!(", {by}"));
            let title = |title: String| title + &by;
            plots.extend(group.plots(self).into_iter().map(|plot| Plot { title: title(plot.title), ..plot }));
        }
        plots.extend(of_runs(&self.named()));
        plots
    }
}

/// Names the grids in the scene, grows it, and tells where each is to go: x, y, width and height.
fn place_grids<'a>(scene: &mut Scene, grids: &'a [(&str, Option<RgbImage>)]) -> Vec<(&'a RgbImage, [f64; 4])> {
    let columns = grids.len().clamp(1, MOST_COLUMNS);
    let width = (WIDTH - GAP * (columns + 1) as f64) / columns as f64;
    let mut placed = Vec::new();
    for (row, names) in grids.chunks(columns).enumerate() {
        let (top, mut below) = (scene.height, 0.0_f64);
        for (column, (name, pixels)) in names.iter().enumerate() {
            let x = GAP + column as f64 * (width + GAP);
            let color = PAPER.curves[(row * columns + column) % PAPER.curves.len()];
            add_heading(scene, name, [x, top, width], Some(color));
            if let Some(pixels) = pixels {
                // A single grid need not fill the picture.
                let width = width.min(560.0);
                let height = width * f64::from(pixels.height()) / f64::from(pixels.width());
                placed.push((pixels, [x, top + HEADING, width, height]));
                below = below.max(height);
            }
        }
        scene.height = top + HEADING + below + GAP;
    }
    placed
}

/// With the bit of colour that stands for a run.
fn add_heading(scene: &mut Scene, text: &str, [x, top, width]: [f64; 3], color: Option<&str>) {
    /// Of text, and the mean width of a character.
    const SIZE: u32 = 15;
    const CHARACTER: f64 = 8.7;
    let indent = if color.is_some() { 28.0 } else { 0.0 };
    if let Some(color) = color {
        let (y, width, height, fill) = (top + 17.0, 20.0, 5.0, color.into());
        scene.add(Primitive::Rect { x, y, width, height, fill, stroke: None, stroke_width: None, opacity: None });
    }
    let content = plain(&shortened(text, ((width - indent) / CHARACTER) as usize));
    let (x, y, anchor, color) = (x + indent, top + 25.0, TextAnchor::Start, Some(PAPER.text.into()));
    scene.add(Primitive::Text { x, y, content, size: SIZE, anchor, rotate: None, bold: false, color });
}

fn add_plot(scene: &mut Scene, plot: &Plot, column: usize, top: f64) {
    let width = (WIDTH - 3.0 * GAP) / 2.0;
    let x = GAP + column as f64 * (width + GAP);
    add_heading(scene, &plot.title, [x, top, width], None);
    let transform = Some(format!("translate({x},{})", top + HEADING));
    scene.add(Primitive::GroupStart { transform, title: None, extra_attrs: None });
    scene.elements.extend(plot.scene(&PAPER, width, PLOT_HEIGHT).elements);
    scene.add(Primitive::GroupEnd);
}
