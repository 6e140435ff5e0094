//! Evaluations that may be put side by side.

use super::compare::Comparison;
use super::measured::{METRICS, Measured, Ruler, duration, number, thousands};
use super::plot::{Curve, Plot};
use super::table::Table;

/// Evaluations that the same was measured with, each with the number of its run.
pub struct Group<'a> {
    pub ruler: Ruler,
    pub members: Vec<(usize, &'a Measured)>,
}

impl Group<'_> {
    /// The members' names: of a run that was evaluated in several ways, with the way.
    pub fn names(&self, comparison: &Comparison) -> Vec<String> {
        let name = |&(run, measured): &(usize, &Measured)| {
            let (name, label) = (&comparison.runs[run].0, measured.label());
            let several = self.members.iter().filter(|(other, _)| *other == run).count() > 1;
            if several && !label.is_empty() { format!("{name} ({label})") } else { name.clone() }
        };
        self.members.iter().map(name).collect()
    }

    /// The metrics that at least one has.
    pub fn table(&self, comparison: &Comparison) -> Table {
        let mut table = Table::new([String::new()].into_iter().chain(self.names(comparison)));
        let mut row = |name: &str, value: &dyn Fn(&Measured) -> Option<String>| {
            let cells: Vec<Option<String>> = self.members.iter().map(|(_, measured)| value(measured)).collect();
            if cells.iter().any(Option::is_some) {
                table.row(name, cells.into_iter().map(|cell| cell.unwrap_or("missing".into())));
            }
        };
        for metric in METRICS {
            let name = if metric.key == "fid" { self.ruler.distance() } else { metric.name };
            row(name, &|m| m.shown(metric.key));
        }
        row("network evaluations (NFE)", &|m| Some(m.nfe()?.to_string()));
        row("100 samples in", &|m| m.seconds_per_100().map(duration));
        row("images/s", &|m| Some(number(m.sampling.as_ref()?.images_per_s?)));
        row("drawn on", &|m| {
            let sampling = m.sampling.as_ref()?;
            let threads = sampling.threads.map_or(String::new(), |threads| format!(", {threads} threads"));
            Some(format!("{}{threads}", sampling.device.as_ref()?))
        });
        row("after steps", &|m| Some(thousands(m.step?.into())));
        row("samples judged", &|m| Some(thousands(m.count?.into())));
        table
    }

    /// A metric over the time to draw 100 pictures, a curve a run through all of its ways to draw.
    fn over_time(&self, comparison: &Comparison, key: &str, name: &str) -> Option<Plot> {
        let mut curves: Vec<Curve> = Vec::new();
        for (run, measured) in &self.members {
            let (Some(seconds), Some(value)) = (measured.seconds_per_100(), measured.value(key)) else { continue };
            match curves.iter_mut().find(|curve| curve.style == *run) {
                Some(curve) => curve.points.push([seconds, value]),
                None => {
                    let name = comparison.runs[*run].0.clone();
                    curves.push(Curve { name, style: *run, points: vec![[seconds, value]], marked: true });
                }
            }
        }
        curves.iter_mut().for_each(|curve| curve.points.sort_by(|a, b| a[0].total_cmp(&b[0])));
        let (title, x) = (format!("{name} over sampling time"), "seconds for 100 samples".into());
        (!curves.is_empty()).then(|| Plot { title, x, y: name.into(), log_x: true, curves })
    }

    /// The distance over sampling time; of points, which have none, what is known of their modes.
    pub fn plots(&self, comparison: &Comparison) -> Vec<Plot> {
        if let Some(plot) = self.over_time(comparison, "fid", self.ruler.distance()) {
            return vec![plot];
        }
        let of_points = METRICS.iter().filter(|metric| ["kl", "high_quality"].contains(&metric.key));
        of_points.filter_map(|metric| self.over_time(comparison, metric.key, metric.name)).collect()
    }

    /// What makes these numbers less comparable than they look.
    pub fn warnings(&self, comparison: &Comparison) -> Vec<String> {
        let differ = |value: &dyn Fn(&Measured) -> String| {
            let mut values: Vec<String> = self.members.iter().map(|(_, measured)| value(measured)).collect();
            values.sort();
            values.dedup();
            (values.len() > 1).then(|| values.join(", "))
        };
        let mut warnings = Vec::new();
        let is_member = |run: usize| self.members.iter().any(|(member, _)| *member == run);
        let left_out: Vec<&str> = comparison
            .runs
            .iter()
            .enumerate()
            .filter(|(i, _)| !is_member(*i))
            .map(|(_, (name, _))| name.as_str())
            .collect();
        if !left_out.is_empty() {
            warnings.push(format!("Not measured like this: {}.", left_out.join(", ")));
        }
        if let Some(counts) = differ(&|m| m.count.map_or("unknown".into(), |count| count.to_string())) {
            let what = match self.ruler.extractor {
                Some(_) => "the Frechet distance is the larger the fewer they are",
                None => "the KL of modes is the larger the fewer they are",
            };
            let same = "Evaluate all with the same --count.";
            warnings.push(format!("Different numbers of samples were judged ({counts}): {what}. {same}"));
        }
        let device = |m: &Measured| m.sampling.as_ref().and_then(|s| Some((s.device.clone()?, s.threads)));
        if let Some(devices) = differ(&|m| match device(m) {
            Some((device, threads)) => {
                format!("{device}{}", threads.map_or(String::new(), |n| format!(", {n} threads")))
            }
            None => "unknown".into(),
        }) {
            warnings.push(format!("They were drawn on different devices ({devices}): the times cannot be compared."));
        }
        let mut own: Vec<String> = self.members.iter().flat_map(|(_, measured)| measured.warnings.clone()).collect();
        own.sort();
        own.dedup();
        warnings.extend(own);
        warnings
    }
}
