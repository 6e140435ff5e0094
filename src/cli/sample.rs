//! `ddgan sample`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{anyhow, bail, ensure};
use clap::{Arg, Args};

use super::PUBLISHED;
use super::device::DeviceOption;
use super::network::{NetworkOptions, variant};
use super::sampler::SamplerOptions;
use crate::data::ImageShape;
use crate::data::toys::Kind;
use crate::error::Error;
use crate::sample::grid::near_square;
use crate::sample::{self, Draw, Output, Plan, SampleId, Sampler, Samples, SeedList, Source, Timing, Which};
use crate::tensor::{DType, Precision};
use crate::train::{self, TrainConfig, published_folder};

/// Draw pictures with a trained generator.
///
/// A picture follows from its seed and its number alone: it is the same whatever the batch size and the number of
/// threads.
#[derive(Args)]
pub struct SampleArgs {
    /// A run's folder, or a checkpoint: safetensors, or .pth of the PyTorch implementation
    #[arg(value_name = "RUN", required_unless_present = "exp", conflicts_with = "exp")]
    source: Option<PathBuf>,
    /// The run in saved_info/dd_gan/DATASET/NAME, where the published commands put it
    #[arg(long, value_name = "NAME", requires = "dataset")]
    exp: Option<String>,
    /// The data set in that folder's name
    #[arg(long, value_name = "DATASET", requires = "exp")]
    dataset: Option<String>,
    /// The checkpoint after N steps [default: the newest]
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// The newest checkpoint after N whole epochs
    #[arg(long, value_name = "N", conflicts_with = "step")]
    epoch_id: Option<u64>,
    /// Use the parameters as they are, not their moving average
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    sampler: SamplerOptions,

    /// How many pictures [default: 64, of points 4096; 8 where each makes a row]
    #[arg(long, help_heading = "Pictures", value_name = "N", value_parser = at_least_1())]
    count: Option<u64>,
    /// Decides all noise: pictures number 0, 1, 2, ... of this seed
    #[arg(long, help_heading = "Pictures", default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Picture number 0 of each of these seeds, such as 1,2,5-10
    #[arg(long, help_heading = "Pictures", value_name = "LIST", conflicts_with_all = ["seed", "count"])]
    seeds: Option<SeedList>,
    /// The way from each of these seeds to the next, a row each
    #[arg(long, help_heading = "Pictures", value_name = "LIST", conflicts_with_all = ["seed", "seeds", "count"])]
    interpolate: Option<SeedList>,
    /// Pictures on such a way, both ends among them
    #[arg(long, help_heading = "Pictures", default_value_t = 8, value_name = "N", requires = "interpolate",
          value_parser = clap::value_parser!(u64).range(2..))]
    frames: u64,
    /// Each picture N times, a row each: from one fixed x_t on with another latent z
    #[arg(long, help_heading = "Pictures", value_name = "N", value_parser = at_least_1(), conflicts_with = "interpolate")]
    z_variants: Option<u64>,
    /// The t of that x_t, from 1 to the number of steps
    #[arg(long, help_heading = "Pictures", default_value_t = 1, value_name = "T", requires = "z_variants")]
    fixed_t: usize,
    /// How many pictures at once [default: 16, of points 512]
    #[arg(long, help_heading = "Pictures", value_name = "N", aliases = ["batch-size", "batch_size"],
          value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: Option<u32>,

    /// Where to write, more than once if wanted: NAME.png for a grid, NAME.npz for an array `samples` (numpy, uint8
    /// [N, H, W, C]), any other name for a folder with a PNG a picture; of points NAME.png for a plot beside the data,
    /// NAME.npz (float32 [N, 2]), NAME.csv [default: a grid or plot in the run's folder]
    #[arg(long, help_heading = "Output", value_name = "PATH")]
    out: Vec<PathBuf>,
    /// Where to write how the pictures come out of noise: two rows a picture, x_T to x_0 and below each x_t the x_0
    /// that was predicted from it
    #[arg(long, help_heading = "Output", value_name = "PATH")]
    trajectory: Option<PathBuf>,
    /// Columns of the grid [default: as many as rows]
    #[arg(long, help_heading = "Output", value_name = "N", value_parser = at_least_1())]
    columns: Option<u64>,
    /// Rows of the grid
    #[arg(long, help_heading = "Output", value_name = "N", value_parser = at_least_1(), conflicts_with = "columns")]
    rows: Option<u64>,
    /// Replace files that are there
    #[arg(long, help_heading = "Output")]
    overwrite: bool,

    /// What the generator computes in: f32, or bf16 on a GPU [default: f32]
    #[arg(long, value_name = "TYPE", default_value = "f32", hide_default_value = true, value_parser = variant::<Precision>)]
    precision: Precision,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    network: NetworkOptions,
    /// Changes nothing: it is the discriminator's
    #[arg(long, help_heading = PUBLISHED, value_name = "N")]
    t_emb_dim: Option<usize>,
    /// Not here: `ddgan eval RUN --inception FILE` measures the distance
    #[arg(long, help_heading = PUBLISHED)]
    compute_fid: bool,
    /// Not here: see --data and --stats of `ddgan eval`
    #[arg(long, help_heading = PUBLISHED, value_name = "PATH")]
    real_img_dir: Option<PathBuf>,
}

/// Puts the flags that describe a network under one heading, out of `-h`.
pub fn gather_network(arg: Arg) -> Arg {
    match arg.get_help_heading() {
        Some("Data" | "Diffusion" | "Generator") => arg.help_heading("Network (a checkpoint knows its own)"),
        Some(PUBLISHED) => arg,
        _ => return arg,
    }
    .hide_short_help(true)
}

fn at_least_1() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..)
}

/// More pictures in one go are taken for a slip.
const MOST: u64 = 100_000_000;

pub fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let run = args.run();
    if args.compute_fid || args.real_img_dir.is_some() {
        let run = run.display();
        bail!("`sample` measures no FID: `ddgan eval {run} --inception FILE` does; leave --compute_fid out");
    }
    let device = args.device.open()?;
    let dtype = args.precision.on(&device)?;
    args.network.switches.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    // Options of the network, as the published program is given all of them.
    let options = |config: &mut TrainConfig| args.network.apply(config);
    let source = Source::open_as(&run, args.which(), args.raw, &train::for_model(&options), dtype, &device)?;
    let Source { dataset, generator, process, path, step, averaged, note, .. } = args.sampler.apply(source)?;
    if let Some(note) = note {
        eprintln!("{note}");
    }
    let (parameters, steps) = (if averaged { "averaged" } else { "raw" }, process.steps().len());
    eprintln!("{}: {parameters} parameters after {step} steps, {steps} steps a picture", path.display());

    let config = generator.config();
    let (height, width, channels) = (config.image_size, config.image_size, config.num_channels);
    let shape = ImageShape { height, width, channels };
    ensure!(config.nz > 0 || args.z_variants.is_none(), "--z-variants draws another z, and this generator has none");
    let points = shape == ImageShape::POINT;
    ensure!(!points || args.trajectory.is_none(), "--trajectory shows pictures, and this generator draws points");
    let (samples_are, default_count, default_batch) = if points { ("points", 4096, 512) } else { ("pictures", 64, 16) };
    let Selection { count, columns, draws } = args.selection(steps, default_count)?;
    let plan = Plan { shape, count, columns, beside: Kind::by_name(&dataset), overwrite: args.overwrite };
    let mut files = Files::open(args, &path, &plan, steps)?;

    let sampler = Sampler::new(&generator, &process, DType::F32, device);
    let (mut timing, started, mut done) = (Timing::default(), Instant::now(), 0);
    let mut draws = draws.peekable();
    while draws.peek().is_some() {
        let (numbers, batch): (Vec<u64>, Vec<Draw>) =
            draws.by_ref().take(args.batch.unwrap_or(default_batch) as usize).unzip();
        let before = Instant::now();
        let mut ways = Samples::new(shape);
        let images = match files.trajectory {
            Some(_) => sample::trajectory(&sampler, &batch, &mut ways),
            None => sampler.draw(&batch),
        };
        // A GPU has drawn them when they are here.
        let images = images.map_err(|error| advise(error, batch.len()))?.to_f32();
        let seconds = before.elapsed().as_secs_f64();
        sample::ensure_finite(&images)?;
        timing.add(batch.len(), seconds);
        done += batch.len();
        eprintln!("{} {samples_are} in {seconds:.3} s ({done} of {count})", batch.len());
        let mut samples = Samples::new(shape);
        samples.push(&images);
        files.push(&samples, &numbers, &ways)?;
    }
    if let Some(error) = sampler.recording_failed() {
        eprintln!("warning: every kernel was launched by itself, since recording them failed: {error}");
    }
    let seconds = started.elapsed().as_secs_f64();
    let paths = files.finish()?;
    super::print(&format!("{count} {samples_are} in {seconds:.2} s; {timing}\n{paths}"))?;
    Ok(ExitCode::SUCCESS)
}

/// What helps where a batch does not fit.
pub fn advise(error: Error, batch: usize) -> anyhow::Error {
    match error {
        Error::OutOfMemory { .. } if batch > 1 => anyhow!("{error}; try fewer pictures at once: --batch {}", batch / 2),
        other => other.into(),
    }
}

/// Everything that is written.
struct Files {
    pictures: Vec<Output>,
    trajectory: Option<Output>,
}

impl Files {
    fn open(args: &SampleArgs, checkpoint: &Path, plan: &Plan, steps: usize) -> anyhow::Result<Files> {
        let mut out = args.out.clone();
        if out.is_empty() && args.trajectory.is_none() {
            out.push(args.default_out(checkpoint));
        }
        let all: Vec<&PathBuf> = out.iter().chain(&args.trajectory).collect();
        if let Some(twice) = (1..all.len()).find(|&i| all[..i].contains(&all[i])) {
            bail!("{} would be written twice", all[twice].display());
        }
        let open_trajectory = |path: &PathBuf| {
            let count = plan.count.saturating_mul(sample::trajectory_len(steps) as u64);
            Output::open(path, &Plan { count, columns: steps + 1, ..*plan })
        };
        Ok(Files {
            pictures: out.iter().map(|path| Output::open(path, plan)).collect::<Result<_, _>>()?,
            trajectory: args.trajectory.as_ref().map(open_trajectory).transpose()?,
        })
    }

    fn push(&mut self, samples: &Samples, numbers: &[u64], ways: &Samples) -> anyhow::Result<()> {
        for output in &mut self.pictures {
            output.push(samples, numbers)?;
        }
        match &mut self.trajectory {
            Some(output) => Ok(output.push_next(ways)?),
            None => Ok(()),
        }
    }

    /// The paths, a line each.
    fn finish(self) -> anyhow::Result<String> {
        let mut paths = String::new();
        for output in self.pictures.into_iter().chain(self.trajectory) {
            paths += &format!("{}\n", output.finish()?.display());
        }
        Ok(paths)
    }
}

/// What is drawn: numbers and draws, how many, and the columns of their grid.
struct Selection {
    count: u64,
    columns: usize,
    draws: Box<dyn Iterator<Item = (u64, Draw)>>,
}

impl SampleArgs {
    fn run(&self) -> PathBuf {
        match (&self.source, &self.dataset, &self.exp) {
            (None, Some(dataset), Some(exp)) => published_folder(dataset, exp),
            (source, ..) => source.clone().expect("clap requires one of the two"),
        }
    }

    fn which(&self) -> Which {
        match (self.step, self.epoch_id) {
            (Some(step), _) => Which::Step(step),
            (None, Some(epoch)) => Which::Epoch(epoch),
            (None, None) => Which::Newest,
        }
    }

    /// For a process of `steps` steps; `default_count` pictures where nothing says how many.
    fn selection(&self, steps: usize, default_count: u64) -> anyhow::Result<Selection> {
        let t = self.fixed_t;
        ensure!((1..=steps).contains(&t), "--fixed-t is {t}, expected 1 to {steps}, the number of denoising steps");
        let many_rows = self.z_variants.is_some() || self.trajectory.is_some() && self.out.is_empty();
        let ids = self
            .seeds
            .as_ref()
            .map_or(self.count.unwrap_or(if many_rows { 8 } else { default_count }), SeedList::count);
        let (count, row) = match (&self.interpolate, self.z_variants) {
            (Some(seeds), _) => {
                ensure!(seeds.count() > 1, "--interpolate {seeds} has one seed; it takes two or more, such as 1,2");
                ((seeds.count() - 1).saturating_mul(self.frames), Some(self.frames))
            }
            (None, Some(variants)) => (ids.saturating_mul(variants), Some(variants)),
            (None, None) => (ids, None),
        };
        ensure!(count <= MOST, "that would be {count} pictures; at most {MOST} are drawn in one go");

        let seed = self.seed;
        let ids: Box<dyn Iterator<Item = (u64, SampleId)>> = match &self.seeds {
            Some(seeds) => Box::new(seeds.iter().map(|seed| (seed, SampleId { seed, index: 0 }))),
            None => Box::new((0..ids).map(move |index| (index, SampleId { seed, index }))),
        };
        let draws: Box<dyn Iterator<Item = (u64, Draw)>> = match (&self.interpolate, self.z_variants) {
            (Some(seeds), _) => Box::new((0..).zip(ways(seeds, self.frames))),
            (None, Some(variants)) => {
                let of = move |(_, id)| (0..variants).map(move |variant| Draw::Variant { id, t, variant });
                Box::new((0..).zip(ids.flat_map(of)))
            }
            (None, None) => Box::new(ids.map(|(number, id)| (number, Draw::Plain(id)))),
        };
        let columns = match (self.columns, self.rows, row) {
            (Some(columns), ..) => columns as usize,
            (None, Some(rows), _) => count.div_ceil(rows) as usize,
            (None, None, Some(row)) => row as usize,
            (None, None, None) => near_square(count as usize),
        };
        Ok(Selection { count, columns, draws })
    }

    /// In the run's folder or beside the checkpoint file.
    fn default_out(&self, checkpoint: &Path) -> PathBuf {
        let checkpoint_name = checkpoint.file_stem().unwrap_or_default().to_string_lossy();
        let what = match (&self.interpolate, &self.seeds) {
            (Some(seeds), _) => format!("interpolate-{seeds}"),
            (None, Some(seeds)) => format!("seeds-{seeds}"),
            (None, None) => format!("seed-{}", self.seed),
        };
        let variants = if self.z_variants.is_some() { "-z-variants" } else { "" };
        let name = format!("sample-{checkpoint_name}-{what}{variants}.png");
        let run = self.run();
        if run.is_dir() { run.join(name) } else { run.with_file_name(name) }
    }
}

/// `frames` draws from each seed to the next, both ends among them.
fn ways(seeds: &SeedList, frames: u64) -> impl Iterator<Item = Draw> + use<> {
    let id = |seed| SampleId { seed, index: 0 };
    seeds.iter().zip(seeds.iter().skip(1)).flat_map(move |(from, to)| {
        let weight = move |i| i as f64 / (frames - 1) as f64;
        (0..frames).map(move |i| Draw::Between { ends: [id(from), id(to)], weight: weight(i) })
    })
}
