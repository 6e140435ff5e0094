//! The page of a comparison.

use std::path::PathBuf;

use super::compare::Comparison;
use super::curves::of_runs;
use super::group::Group;
use super::html::{escape, notices, page, section};
use super::picture::Embedded;
use super::record::Record;
use super::run_page::PLOT;

impl Comparison {
    pub fn page(&self) -> String {
        let title = self.runs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" · ");
        let mut told = self.notices();
        let mut parts = vec![section("The runs", &self.overview().html())];
        parts.push(section("Samples", &self.grids(&mut told)));
        parts.extend(self.groups().iter().map(|group| self.group(group)));
        let missing = self.missing();
        if !missing.is_empty() {
            let item = |(name, command): &(&str, String)| {
                format!("<p>{}: no evaluation yet. This makes one:</p>\n<pre>{}</pre>\n", escape(name), escape(command))
            };
            parts.push(section("Missing", &missing.iter().map(item).collect::<String>()));
        }
        let losses: String = of_runs(&self.named()).iter().map(|plot| plot.svg(PLOT[0], PLOT[1])).collect();
        if !losses.is_empty() {
            let note = "<p class=\"note\">Losses tell whether a training is stable, not whose pictures are better; those of \
                        different methods are different things.</p>\n";
            parts.push(section("Losses", &format!("<div class=\"plots\">\n{losses}</div>\n{note}")));
        }
        let differences = self.differences();
        parts.push(section(
            "Configurations",
            &match differences.is_empty() {
                true => "<p>They are the same.</p>\n".into(),
                false => format!("<p>The keys that differ:</p>\n{}", differences.html()),
            },
        ));
        let head = format!("<h1>{}</h1>\n{}", escape(&title), notices(&told));
        page(&title, &(head + &parts.concat()))
    }

    fn grids(&self, told: &mut Vec<String>) -> String {
        let figure = |(i, (name, record)): (usize, &(String, Record))| {
            let picture = match last_grid(record).map(|path| Embedded::read(path)) {
                Some(Ok(picture)) => picture.html(&format!("samples of {name}")),
                Some(Err(error)) => {
                    told.push(format!("A grid is left out: {error}."));
                    String::new()
                }
                None => "<p>No grid of pictures yet.</p>".into(),
            };
            let (name, swatch) = (escape(name), swatch(i));
            format!(
                "<figure>\n<figcaption>{swatch}{name}, step {}</figcaption>\n{picture}\n</figure>\n",
                record.steps()
            )
        };
        let figures: String = self.runs.iter().enumerate().map(figure).collect();
        format!("<div class=\"grids\">\n{figures}</div>\n")
    }

    fn group(&self, group: &Group) -> String {
        let plots: String = group.plots(self).iter().map(|plot| plot.svg(PLOT[0], PLOT[1])).collect();
        let plots = if plots.is_empty() { plots } else { format!("<div class=\"plots\">\n{plots}</div>\n") };
        let whose = match &group.ruler.extractor {
            Some(_) => format!("<p class=\"note\">{}</p>\n", escape(&group.ruler.describe())),
            None => String::new(),
        };
        let content = whose + &notices(&group.warnings(self)) + &group.table(self).html() + &plots;
        section(&group.ruler.heading(), &content)
    }
}

/// The picture that a run ends with, or its newest grid.
pub fn last_grid(record: &Record) -> Option<&PathBuf> {
    record.samples.as_ref().or(record.grids.last().map(|(_, path)| path))
}

/// The colour of a run in all plots.
fn swatch(style: usize) -> String {
    format!("<span class=\"swatch\" style=\"background: var(--c{})\"></span>", style % 6)
}
