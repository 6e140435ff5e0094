//! Plots: curves and marks over axes, each named beside its end, as SVG for a page or as a part of a picture.
//!
//! kuva draws the axes and the curves. Names beside the ends, instead of a legend, are ours.

use std::sync::Arc;

use kuva::backend::svg::SvgBackend;
use kuva::plot::{LinePlot, LineStyle, ScatterPlot};
use kuva::render::layout::{ComputedLayout, Layout, TickFormat};
use kuva::render::plots::Plot as Drawn;
use kuva::render::render::{Primitive, Scene, TextAnchor, render_multiple};
use kuva::render::theme::Theme;

use super::html::escape;

/// Values over values. What is not finite must not be in it.
pub struct Plot {
    /// What it shows.
    pub title: String,
    pub x: String,
    pub y: String,
    /// Whether the x axis is logarithmic; then every x is positive.
    pub log_x: bool,
    pub curves: Vec<Curve>,
}

#[derive(Clone, Debug)]
pub struct Curve {
    pub name: String,
    /// Which of the colours and dashes; those of a run are the same in every plot.
    pub style: usize,
    /// In the order of x.
    pub points: Vec<[f64; 2]>,
    /// Whether every point is marked.
    pub marked: bool,
}

/// The colours of curves, then of text, of the grid and behind it all.
pub struct Colors {
    pub curves: [&'static str; 6],
    pub text: &'static str,
    pub grid: &'static str,
    pub background: &'static str,
}

/// On a page, whose style sheet decides.
const PAGE: Colors = Colors {
    curves: ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"],
    text: "currentColor",
    grid: "var(--grid)",
    background: "none",
};

/// Six of the eight colours of Okabe and Ito, which people with any kind of colour vision tell apart.
pub const PAPER: Colors = Colors {
    curves: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"],
    text: "#222222",
    grid: "#dddddd",
    background: "#ffffff",
};

/// Pixels of text.
const TEXT: u32 = 12;
/// A name beside a curve takes this much of the height.
const NAME_HEIGHT: f64 = 15.0;
/// The mean width of a character, which is an estimate: the page's font is not known here.
const CHARACTER: f64 = 6.6;
/// Characters of a name that are shown.
const NAME_LENGTH: usize = 20;
/// A curve has no more points than can be told apart.
const MOST_POINTS: usize = 500;

impl Plot {
    /// For a page; scales with its place.
    pub fn svg(&self, width: f64, height: f64) -> String {
        let svg = SvgBackend::new().render_scene(&self.scene(&PAGE, width, height));
        let title = escape(&self.title);
        let head = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\" ");
        format!(
            "<figure class=\"plot\">\n<figcaption>{title}</figcaption>\n{}\n</figure>\n",
            svg.replacen("<svg ", &head, 1)
        )
    }

    /// Without the title.
    pub fn scene(&self, colors: &Colors, width: f64, height: f64) -> Scene {
        let named = self.curves.len() > 1 || self.curves.iter().any(|curve| curve.marked);
        let beside = if named { self.names_width().min(0.4 * width) } else { 24.0 };
        let theme = Theme {
            background: colors.background.into(),
            axis_color: colors.text.into(),
            tick_color: colors.text.into(),
            text_color: colors.text.into(),
            grid_color: colors.grid.into(),
            ..Theme::light()
        };
        let layout = || {
            let layout = Layout::new(self.x_range(), self.y_range()).with_width(width).with_height(height);
            let layout = layout.with_x_label(plain(&self.x)).with_y_label(plain(&self.y)).with_theme(theme.clone());
            let layout = layout.with_tick_size(TEXT).with_label_size(TEXT).with_body_size(TEXT);
            if self.log_x { layout.with_log_x().with_x_tick_format(TickFormat::Custom(Arc::new(tick))) } else { layout }
        };
        // The left margin depends on the numbers at the axis.
        let left = ComputedLayout::from_layout(&layout()).margin_left;
        let layout = layout().with_force_margins(left, beside);
        let place = ComputedLayout::from_layout(&layout);
        let drawn = self.curves.iter().flat_map(|curve| curve.drawn(colors)).collect();
        let mut scene = render_multiple(drawn, layout);
        scene.font_family = None;
        if named {
            self.add_names(&mut scene, &place, colors);
        }
        scene
    }

    fn marked(&self) -> bool {
        self.curves.iter().all(|curve| curve.marked)
    }

    /// Names with the bit of line before them and the space about them.
    fn names_width(&self) -> f64 {
        let longest =
            self.curves.iter().map(|curve| shortened(&curve.name, NAME_LENGTH).chars().count()).max().unwrap_or(0);
        longest as f64 * CHARACTER + 34.0
    }

    fn x_range(&self) -> (f64, f64) {
        let xs = || self.curves.iter().flat_map(|curve| &curve.points).map(|p| p[0]);
        let (low, high) = xs().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        match self.log_x {
            true => (low, high),
            false => widened(low.min(0.0), high),
        }
    }

    /// The outermost hundredth of the values is left out: the first steps of a training would hide all that follows.
    fn y_range(&self) -> (f64, f64) {
        let mut ys: Vec<f64> = self.curves.iter().flat_map(|curve| &curve.points).map(|p| p[1]).collect();
        ys.sort_by(f64::total_cmp);
        let cut = if self.marked() { 0 } else { ys.len() / 100 };
        let (Some(&low), Some(&high)) = (ys.get(cut), ys.get(ys.len().saturating_sub(1 + cut))) else {
            return (0.0, 1.0);
        };
        // An axis from 0 where that does not squeeze the curves.
        let from_zero = low >= 0.0 && (low < 0.5 * high || self.marked());
        let margin = 0.06 * (high - low);
        widened(if from_zero { 0.0 } else { low - margin }, high + margin)
    }

    fn add_names(&self, scene: &mut Scene, place: &ComputedLayout, colors: &Colors) {
        let (top, bottom) = (place.margin_top, place.height - place.margin_bottom);
        let right = place.width - place.margin_right;
        // (the end's height, which curve), from the top.
        let mut ends: Vec<(f64, &Curve)> = self
            .curves
            .iter()
            .filter_map(|curve| Some((place.map_y(curve.points.last()?[1]).clamp(top, bottom), curve)))
            .collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let wanted: Vec<f64> = ends.iter().map(|end| end.0).collect();
        for ((_, curve), y1) in ends.iter().zip(spread(&wanted, NAME_HEIGHT, top + 6.0, bottom - 6.0)) {
            let (stroke, stroke_dasharray) = (colors.of(curve.style).into(), dashes(curve.style).dasharray());
            let (x1, x2) = (right + 6.0, right + 22.0);
            scene.add(Primitive::Line { x1, y1, x2, y2: y1, stroke, stroke_width: 2.5, stroke_dasharray });
            scene.add(Primitive::Text {
                x: right + 26.0,
                y: y1 + 4.0,
                content: plain(&shortened(&curve.name, NAME_LENGTH)),
                size: TEXT,
                anchor: TextAnchor::Start,
                rotate: None,
                bold: false,
                color: Some(colors.text.into()),
            });
        }
    }
}

impl Curve {
    fn drawn(&self, colors: &Colors) -> Vec<Drawn> {
        let (points, color) = (self.thinned(), colors.of(self.style));
        let pairs = || points.iter().map(|&[x, y]| (x, y));
        let mut drawn: Vec<Drawn> = Vec::new();
        if points.len() > 1 {
            let line = LinePlot::new().with_data(pairs()).with_color(color).with_line_style(dashes(self.style));
            drawn.push(line.with_stroke_width(1.6).into());
        }
        if self.marked || points.len() == 1 {
            drawn.push(ScatterPlot::new().with_data(pairs()).with_color(color).with_size(5.0).into());
        }
        drawn
    }

    /// Means of as many neighbours as there must be one of.
    fn thinned(&self) -> Vec<[f64; 2]> {
        let of = self.points.len().div_ceil(MOST_POINTS).max(1);
        let mean = |points: &[[f64; 2]], i: usize| points.iter().map(|p| p[i]).sum::<f64>() / points.len() as f64;
        self.points.chunks(of).map(|points| [mean(points, 0), mean(points, 1)]).collect()
    }
}

impl Colors {
    fn of(&self, style: usize) -> &'static str {
        self.curves[style % self.curves.len()]
    }
}

fn dashes(style: usize) -> LineStyle {
    match style / PAPER.curves.len() % 3 {
        0 => LineStyle::Solid,
        1 => LineStyle::Dashed,
        _ => LineStyle::Dotted,
    }
}

/// A number on a logarithmic axis, which is one digit and zeros.
fn tick(value: f64) -> String {
    match value {
        1e-4..1e6 => format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').into(),
        _ => format!("{value:.0e}"),
    }
}

/// A range that is not empty.
fn widened(low: f64, high: f64) -> (f64, f64) {
    if high > low { (low, high) } else { (low - 0.5 * low.abs().max(1e-6), high + 0.5 * high.abs().max(1e-6)) }
}

/// Text that kuva takes as it is: between dollars it would see mathematics.
pub fn plain(text: &str) -> String {
    text.replace('$', "\\$").replace(char::is_control, " ")
}

/// Not more than so many characters.
pub fn shortened(name: &str, most: usize) -> String {
    match name.char_indices().nth(most) {
        Some(_) => name.chars().take(most - 1).chain(['…']).collect(),
        None => name.into(),
    }
}

/// Places near those that are wanted, in rising order, at least `gap` apart and between `from` and `to` if that holds all.
fn spread(wanted: &[f64], gap: f64, from: f64, to: f64) -> Vec<f64> {
    let mut places = wanted.to_vec();
    let mut least = from;
    for place in &mut places {
        *place = place.max(least);
        least = *place + gap;
    }
    let mut most = to;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_lie_on_each_other() {
        assert_eq!(spread(&[5.0, 50.0, 90.0], 10.0, 0.0, 100.0), [5.0, 50.0, 90.0]);
        assert_eq!(spread(&[5.0, 5.0, 6.0], 10.0, 0.0, 100.0), [5.0, 15.0, 25.0]);
        assert_eq!(spread(&[98.0, 99.0, 99.0], 10.0, 0.0, 100.0), [80.0, 90.0, 100.0]);
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!([0.02, 0.1, 1.0, 50.0, 2000.0, 1e-9].map(tick), ["0.02", "0.1", "1", "50", "2000", "1e-9"]);
    }

    #[test]
    fn curves_of_any_kind_are_drawn() {
        let curve = |name: &str, points: Vec<[f64; 2]>| Curve { name: name.into(), style: 7, points, marked: false };
        let plot = |curves: Vec<Curve>, log_x: bool| {
            let plot = Plot { title: "<t>".into(), x: "step".into(), y: "loss".into(), log_x, curves };
            plot.svg(400.0, 240.0)
        };
        let long = (1..5000).map(|i| [f64::from(i), f64::from(i % 7) - 3.0]).collect();
        let svg =
            plot(vec![curve("a <b> $x$ of a name that is too long", long), curve("one", vec![[1.0, 1.0]])], false);
        assert!(svg.contains("a &lt;b&gt; $x$ of a name…") && svg.contains("&lt;t&gt;"), "{svg}");
        assert!(svg.len() < 40_000, "{} bytes", svg.len());
        for points in [vec![[0.0, 0.0]], vec![[1.0, 2.0], [1.0, 2.0]], vec![[1e-9, 1e-14], [1e12, 1e30]]] {
            for log_x in [false, true] {
                let points = if log_x { points.iter().map(|&[x, y]| [x + 1e-9, y]).collect() } else { points.clone() };
                let svg = plot(vec![curve("", points.clone()), Curve { marked: true, ..curve("x", points) }], log_x);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
}
