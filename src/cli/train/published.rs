//! What the published program's command line has beside the keys of a configuration.

use anyhow::bail;
use clap::Args;

use crate::cli::PUBLISHED;
use crate::train::TrainConfig;

#[derive(Args)]
pub struct PublishedOptions {
    /// The run's folder is saved_info/dd_gan/DATASET/NAME
    #[arg(long, help_heading = PUBLISHED, value_name = "NAME", conflicts_with = "outdir")]
    pub exp: Option<String>,
    /// Processes, of which each had a batch of --batch-size. Here one process does the work of all
    #[arg(long, help_heading = PUBLISHED, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    num_process_per_node: Option<u32>,
    /// Machines: only 1 works
    #[arg(long, help_heading = PUBLISHED, value_name = "N")]
    num_proc_node: Option<u32>,
    /// The number of this machine: only 0 works
    #[arg(long, help_heading = PUBLISHED, value_name = "N")]
    node_rank: Option<u32>,
    /// The number of this process on its machine: only 0 works
    #[arg(long, help_heading = PUBLISHED, value_name = "N")]
    local_rank: Option<u32>,
    /// Changes nothing: there is no other machine to talk to
    #[arg(long, help_heading = PUBLISHED, value_name = "HOST")]
    master_address: Option<String>,
    /// Changes nothing: a run can always be resumed
    #[arg(long, help_heading = PUBLISHED)]
    save_content: bool,
    /// Changes nothing: a run can be resumed from every checkpoint; see --checkpoint-every
    #[arg(long, help_heading = PUBLISHED, value_name = "N")]
    save_content_every: Option<u64>,
    /// The same as --major-every
    #[arg(long, help_heading = PUBLISHED, value_name = "N")]
    save_ckpt_every: Option<u64>,
}

impl PublishedOptions {
    /// `as_published` tells that the batch size is the published program's, of one process.
    ///
    /// Errors: more than one machine; more than one process where the batch is already that of all.
    pub fn apply(&self, config: &mut TrainConfig, as_published: bool) -> anyhow::Result<()> {
        let ranks = [
            ("num_proc_node", self.num_proc_node, 1),
            ("node_rank", self.node_rank, 0),
            ("local_rank", self.local_rank, 0),
        ];
        for (flag, value, only) in ranks {
            if value.is_some_and(|value| value != only) {
                bail!(
                    "--{flag} {}: this program trains in one process on one machine; leave the flag out, and make \
                     --batch_size, which the published program counts for each process, that of all processes",
                    value.unwrap_or(only)
                );
            }
        }
        match self.num_process_per_node {
            None | Some(1) => {}
            Some(processes) if as_published => {
                let of_each = config.batch_size;
                config.batch_size = of_each.saturating_mul(processes as usize);
                let all = config.batch_size;
                eprintln!(
                    "--num_process_per_node {processes}: one process does the work of all here, with a batch of \
                     {processes} x {of_each} = {all}"
                );
            }
            Some(processes) => bail!(
                "--num_process_per_node {processes}: one process does all the work here, and the batch_size of presets \
                 and files, {}, is the whole batch; leave the flag out",
                config.batch_size
            ),
        }
        if let Some(epochs) = self.save_ckpt_every {
            config.major_every = epochs;
        }
        Ok(())
    }
}
