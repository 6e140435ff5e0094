//! The page of one run.

use std::path::PathBuf;

use super::curves::of_run;
use super::html::{escape, facts, notices, page, section};
use super::measured::{METRICS, Measured, duration, number, thousands};
use super::picture::Embedded;
use super::record::Record;
use super::table::Table;
use super::trajectory::{evenly, trajectory};
use crate::error::Result;
use crate::tensor::Device;

/// A page, and what is missing in it.
pub struct RunPage {
    pub html: String,
    pub notices: Vec<String>,
}

/// Grids that the slider goes through at most.
const MOST_GRIDS: usize = 40;
/// Pixels of a plot; narrow, so that its text can be read on a phone.
pub const PLOT: [f64; 2] = [420.0, 260.0];

/// Everything that the folder of a run tells, and how the sample of `seed` comes out of noise.
///
/// Errors: a configuration that TOML has no form for. What the folder has not, and why there is no sample, the page says.
pub fn run_page(record: &Record, seed: u64, device: &Device) -> Result<RunPage> {
    let mut told = record.notices.clone();
    let mut parts = vec![overview(record)];
    match slider(record, &mut told) {
        Some(slider) => parts.push(section("Pictures over time", &slider)),
        None => told.push(format!(
            "There are no grids of pictures yet: the first comes after {} steps (grid_every).",
            record.config.grid_every
        )),
    }
    if record.lines.is_empty() {
        told.push(format!(
            "There are no statistics yet: the first line comes after step 1, then one every {} (stats_every).",
            record.config.stats_every
        ));
    } else {
        let plots: String = of_run(record).iter().map(|plot| plot.svg(PLOT[0], PLOT[1])).collect();
        let note = "<p class=\"note\">Over steps, each value the mean of the steps since the one before; the outermost \
                    hundredth of the values lies beyond the axes.</p>\n";
        parts.push(section("Training", &format!("<div class=\"plots\">\n{plots}</div>\n{note}")));
    }
    match trajectory(&record.folder, seed, device) {
        Ok(html) => parts.push(section("From noise to a sample", &html)),
        // While a run trains its checkpoints come and go.
        Err(error) => told.push(format!("No sample could be drawn: {error}.")),
    }
    parts.push(section("Evaluation", &evaluations(record)));
    let config = record.config.to_toml()?;
    let config = format!("<details><summary>config.toml</summary>\n<pre>{}</pre>\n</details>\n", escape(&config));
    parts.push(section("Configuration", &config));

    let title = record.name();
    let head = format!("<h1>{}</h1>\n{}", escape(&title), notices(&told));
    Ok(RunPage { html: page(&title, &(head + &parts.concat())), notices: told })
}

fn overview(record: &Record) -> String {
    let config = &record.config;
    let [generator, discriminator] = record.parameters.map(thousands);
    let pace: Vec<f64> = record.lines.iter().filter_map(|line| line.images_per_s).collect();
    let mut list = vec![
        ("method", record.method().to_owned()),
        ("data", config.dataset.clone()),
        ("denoising steps T", config.schedule.num_timesteps.to_string()),
        ("steps done", thousands(record.steps().into())),
        ("samples seen", thousands(record.images().into())),
        ("time", duration(record.seconds())),
        ("speed", median(pace).map_or("unknown".into(), |pace| format!("{} images/s", number(pace)))),
        ("batch", config.batch_size.to_string()),
        ("generator", format!("{generator} parameters")),
    ];
    if record.parameters[1] > 0 {
        list.push(("discriminator", format!("{discriminator} parameters")));
    }
    if let Some(line) = record.lines.last() {
        list.push(("epoch", format!("{} of {}", line.epoch + 1, config.num_epoch)));
    }
    facts(&list)
}

pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The grids one behind the other. Without the script, and on paper, the last one is seen.
fn slider(record: &Record, told: &mut Vec<String>) -> Option<String> {
    let mut files: Vec<(String, &PathBuf)> =
        record.grids.iter().map(|(step, path)| (format!("step {}", thousands((*step).into())), path)).collect();
    files.extend(record.samples.iter().map(|path| ("the end".to_owned(), path)));
    let shown: Vec<&(String, &PathBuf)> = evenly(files.len(), MOST_GRIDS).map(|i| &files[i]).collect();
    let mut frames = Vec::new();
    for (caption, path) in shown {
        match Embedded::read(path) {
            Ok(picture) => frames.push((caption, picture)),
            Err(error) => told.push(format!("A grid is left out: {error}.")),
        }
    }
    let last = frames.len().checked_sub(1)?;
    let (newest, _) = frames[last];
    let mut html = String::from("<figure class=\"frames\">\n");
    if last > 0 {
        html += &format!(
            "<label><input type=\"range\" min=\"0\" max=\"{last}\" value=\"{last}\" aria-label=\"which grid\">\
             <output>{}</output></label>\n",
            escape(newest)
        );
    }
    for (i, (caption, picture)) in frames.iter().enumerate() {
        let hidden = if i < last { " hidden" } else { "" };
        let (caption, picture) = (escape(caption), picture.html(&format!("samples, {caption}")));
        html += &format!("<div data-caption=\"{caption}\"{hidden}>{picture}</div>\n");
    }
    Some(
        html + &format!("<figcaption>{}</figcaption>\n</figure>\n", escape(frames_note(record, files.len(), last + 1))),
    )
}

fn frames_note(record: &Record, there: usize, shown: usize) -> &'static str {
    match (record.draws_points(), shown < there) {
        (true, _) => {
            "Data on the left, in grey; drawn from the averaged parameters on the right, always from the same noise."
        }
        (false, true) => {
            "From the averaged parameters, always from the same noise; some grids in between are left out."
        }
        (false, false) => "From the averaged parameters, always from the same noise.",
    }
}

fn evaluations(record: &Record) -> String {
    if record.evaluations.is_empty() {
        let command = format!("ddgan eval {}", record.folder.display());
        return format!("<p>None yet. This makes one:</p>\n<pre>{}</pre>\n", escape(&command));
    }
    record.evaluations.iter().map(evaluation).collect()
}

fn evaluation(measured: &Measured) -> String {
    let ruler = measured.ruler();
    let mut table = Table::new(["", "value"]);
    for metric in METRICS {
        if let Some(value) = measured.shown(metric.key) {
            let name = if metric.key == "fid" { ruler.distance() } else { metric.name };
            table.row(name, [value]);
        }
    }
    if let Some(seconds) = measured.seconds_per_100() {
        let sampling = measured.sampling.as_ref().expect("it has the seconds");
        table.row("100 samples in", [duration(seconds)]);
        table.row("drawn on", [sampling.device.clone().unwrap_or("unknown".into())]);
    }
    let step = measured.step.map_or(String::new(), |step| format!("after {} steps", thousands(step.into())));
    let count = measured.count.map_or(String::new(), |count| format!("{} samples", thousands(count.into())));
    let parts = [measured.label(), step, count];
    let caption = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let heading = format!("<h3>{}</h3>\n<p>{}</p>\n", escape(&ruler.describe()), escape(&caption));
    heading + &notices(&measured.warnings) + &table.html()
}
