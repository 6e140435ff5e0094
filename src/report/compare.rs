//! Several runs side by side: what the page, the picture and the tables of a comparison are made from.

use std::path::PathBuf;

use super::group::Group;
use super::measured::{duration, thousands};
use super::record::Record;
use super::table::Table;
use crate::checkpoint;
use crate::error::{Error, Result};

/// Runs with names that tell them apart.
pub struct Comparison {
    pub runs: Vec<(String, Record)>,
}

impl Comparison {
    /// Errors: not the folder of a run; one that is named twice.
    pub fn read(folders: &[PathBuf]) -> Result<Comparison> {
        let records = folders.iter().map(|folder| Record::read(folder)).collect::<Result<Vec<_>>>()?;
        let real: Vec<PathBuf> =
            folders.iter().map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone())).collect();
        if let Some(twice) = (1..real.len()).find(|&i| real[..i].contains(&real[i])) {
            return Err(Error::config(format!("{} is named twice", folders[twice].display())));
        }
        Ok(Comparison { runs: names(&real).into_iter().zip(records).collect() })
    }

    pub fn named(&self) -> Vec<(String, &Record)> {
        self.runs.iter().map(|(name, record)| (name.clone(), record)).collect()
    }

    /// A head with the runs' names behind an empty cell.
    fn table(&self) -> Table {
        Table::new([""].into_iter().chain(self.runs.iter().map(|(name, _)| name.as_str())))
    }

    /// What the runs are and what they cost.
    pub fn overview(&self) -> Table {
        let mut table = self.table();
        let mut row = |name: &str, value: &dyn Fn(&Record) -> String| {
            table.row(name, self.runs.iter().map(|(_, record)| value(record)));
        };
        row("method", &|r| r.method().into());
        row("data", &|r| r.config.dataset.clone());
        row("denoising steps T", &|r| r.config.schedule.num_timesteps.to_string());
        row("parameters, generator", &|r| thousands(r.parameters[0]));
        row("parameters, discriminator", &|r| match r.parameters[1] {
            0 => "none".into(),
            count => thousands(count),
        });
        row("batch", &|r| r.config.batch_size.to_string());
        row("training steps", &|r| thousands(r.steps().into()));
        row("training samples", &|r| thousands(r.images().into()));
        row("training time", &|r| duration(r.seconds()));
        table
    }

    /// The keys of the configurations that are not the same everywhere.
    pub fn differences(&self) -> Table {
        let mut table = self.table();
        let Some(((_, first), rest)) = self.runs.split_first() else { return table };
        let differences: Vec<Vec<[String; 3]>> =
            rest.iter().map(|(_, record)| checkpoint::differences(&first.config, &record.config)).collect();
        let mut keys: Vec<&[String; 3]> = differences.iter().flatten().collect();
        keys.sort();
        keys.dedup_by(|a, b| a[0] == b[0]);
        for [key, own, _] in keys {
            let of = |differences: &Vec<[String; 3]>| {
                differences.iter().find(|[other, ..]| other == key).map_or(own, |[.., value]| value).clone()
            };
            table.row(key.clone(), [own.clone()].into_iter().chain(differences.iter().map(of)));
        }
        table
    }

    /// The evaluations, each beside those that the same was measured with.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for (run, (_, record)) in self.runs.iter().enumerate() {
            for measured in &record.evaluations {
                let (ruler, member) = (measured.ruler(), (run, measured));
                match groups.iter_mut().find(|group| group.ruler == ruler) {
                    Some(group) => group.members.push(member),
                    None => groups.push(Group { ruler, members: vec![member] }),
                }
            }
        }
        groups
    }

    /// A table for all that was measured with the same, a row each: where the configurations differ, what the training
    /// cost, what came of it. Without evaluations one table of the runs.
    pub fn markdown(&self) -> String {
        let groups = self.groups();
        let table = |group: &Group| {
            let members = group.members.iter().map(|&(run, _)| run).collect::<Vec<_>>();
            let mut table = self.costs(group.names(self), &members);
            table.extend(group.table(self));
            let warnings: String = group.warnings(self).iter().map(|warning| format!("\n{warning}\n")).collect();
            format!("{}:\n\n{}{warnings}", group.ruler.describe(), table.transposed("run").markdown())
        };
        if groups.is_empty() {
            let all: Vec<usize> = (0..self.runs.len()).collect();
            let names = self.runs.iter().map(|(name, _)| name.clone()).collect();
            return self.costs(names, &all).transposed("run").markdown();
        }
        groups.iter().map(table).collect::<Vec<_>>().join("\n")
    }

    /// Columns of some runs, perhaps several a run: the keys that differ, and what the training cost.
    fn costs(&self, names: Vec<String>, runs: &[usize]) -> Table {
        let mut table = Table::new([String::new()].into_iter().chain(names));
        for row in self.differences().rows() {
            table.row(row[0].clone(), runs.iter().map(|run| row[1 + run].clone()));
        }
        let mut row = |name: &str, value: &dyn Fn(&Record) -> String| {
            table.row(name, runs.iter().map(|&run| value(&self.runs[run].1)));
        };
        row("training samples", &|record| thousands(record.images().into()));
        row("training time", &|record| duration(record.seconds()));
        table
    }

    /// The runs that lack an evaluation, with the command that makes it.
    pub fn missing(&self) -> Vec<(&str, String)> {
        let without = self.runs.iter().filter(|(_, record)| record.evaluations.is_empty());
        without.map(|(name, record)| (name.as_str(), format!("ddgan eval {}", record.folder.display()))).collect()
    }

    /// What to beware of.
    pub fn notices(&self) -> Vec<String> {
        let mut notices: Vec<String> = self.runs.iter().flat_map(|(_, record)| record.notices.clone()).collect();
        let mut datasets: Vec<&str> = self.runs.iter().map(|(_, record)| record.config.dataset.as_str()).collect();
        datasets.sort();
        datasets.dedup();
        if datasets.len() > 1 {
            let list = datasets.join(", ");
            notices.push(format!("These runs learnt different data sets: {list}. Their numbers cannot be compared."));
        }
        notices
    }
}

/// The last parts of paths, as many as it takes to tell them apart.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = paths
        .iter()
        .map(|path| path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect())
        .collect();
    let tail = |parts: &Vec<String>, count: usize| parts[parts.len().saturating_sub(count)..].join("/");
    let longest = parts.iter().map(Vec::len).max().unwrap_or(0);
    let named = |count: usize| parts.iter().map(|parts| tail(parts, count)).collect::<Vec<_>>();
    let distinct = |names: &Vec<String>| (1..names.len()).all(|i| !names[..i].contains(&names[i]));
    (1..=longest).map(named).find(distinct).unwrap_or_else(|| named(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_short_as_they_can_be() {
        let of = |paths: &[&str]| names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["/runs/a", "/runs/b"]), ["a", "b"]);
        assert_eq!(of(&["/one/a", "/two/a", "/two/b"]), ["one/a", "two/a", "two/b"]);
        assert_eq!(of(&["/a"]), ["a"]);
    }
}
