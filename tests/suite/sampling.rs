//! Sampling: the library on tiny networks, and `ddgan sample` on a tiny run.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ddgan::data::ImageShape;
use ddgan::diffusion::{Process, ScheduleConfig};
use ddgan::models::{Generator, GeneratorConfig};
use ddgan::sample::{Draw, SampleId, Sampler, Samples, trajectory};
use ddgan::tensor::{DType, Device, Tensor};

use super::program::{TINY, ddgan, fail, png_size, stderr, succeed};

const T: usize = 3;

/// Wide enough for both plans of Winograd's algorithm, and for feature maps of one tile.
fn network() -> (Generator, Process) {
    let config = GeneratorConfig {
        image_size: 16,
        num_channels: 1,
        num_channels_dae: 96,
        ch_mult: vec![1, 1, 1],
        num_res_blocks: 1,
        attn_resolutions: vec![8],
        nz: 5,
        z_emb_dim: 8,
        n_mlp: 1,
        ..Default::default()
    };
    let generator = Generator::new(&config, 0, DType::F32, &Device::Cpu).unwrap();
    // Layers that begin next to zero would hide what goes on inside.
    for (i, param) in generator.params().iter().enumerate() {
        let values: Vec<f32> = (0..param.value().len()).map(|j| ((i + 7 * j) as f32).sin() * 0.1).collect();
        param.set(Tensor::from_f32(&values, param.shape())).unwrap();
    }
    let process = Process::new(&ScheduleConfig { num_timesteps: T, ..Default::default() }).unwrap();
    (generator, process)
}

fn sampler<'a>((generator, process): &'a (Generator, Process)) -> Sampler<'a> {
    Sampler::new(generator, process, DType::F32, Device::Cpu)
}

fn id(index: u64) -> SampleId {
    SampleId { seed: 11, index }
}

/// Picture by picture.
fn drawn(sampler: &Sampler, draws: &[Draw]) -> Vec<Vec<f32>> {
    sampler.draw(draws).unwrap().to_f32().chunks_exact(16 * 16).map(<[f32]>::to_vec).collect()
}

#[test]
fn a_picture_has_the_same_bits_in_every_batch() {
    let network = network();
    let sampler = sampler(&network);
    let draws: Vec<Draw> = (0..7).map(|i| Draw::Plain(id(i))).collect();
    let together = drawn(&sampler, &draws);
    assert!(together.windows(2).all(|pair| pair[0] != pair[1]));
    for batch in [1, 2, 5] {
        let apart: Vec<_> = draws.chunks(batch).flat_map(|draws| drawn(&sampler, draws)).collect();
        assert!(apart == together, "in batches of {batch}");
    }
    let by_range = ddgan::sample::draw(&network.0, &network.1, 11, 2..4, DType::F32, &Device::Cpu).unwrap();
    assert!(by_range.to_f32() == together[2..4].concat());
}

#[test]
fn variants_share_the_fixed_state_and_differ_from_there_on() {
    let network = network();
    let sampler = sampler(&network);
    let draws: Vec<Draw> = (0..3).map(|variant| Draw::Variant { id: id(4), t: 2, variant }).collect();
    let mut states = Vec::new();
    let last = sampler.trace(&draws, |x_t1, _| states.push(x_t1.to_f32())).unwrap().to_f32();
    states.push(last);
    // x_3 and x_2 are the same for all, x_1 and x_0 each variant's own.
    for (state, all_the_same) in states.iter().zip([true, true, false, false]) {
        let pictures: Vec<_> = state.chunks_exact(16 * 16).collect();
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            assert_eq!(pictures[a] == pictures[b], all_the_same, "{a} and {b}");
        }
    }
    assert!(states[T][..16 * 16] == drawn(&sampler, &[Draw::Plain(id(4))])[0], "variant 0 is the picture itself");
}

#[test]
fn an_interpolation_begins_and_ends_with_the_pictures_themselves() {
    let network = network();
    let sampler = sampler(&network);
    let way = [0.0, 0.5, 1.0].map(|weight| Draw::Between { ends: [id(0), id(1)], weight });
    let [from, middle, to] = &drawn(&sampler, &way)[..] else { panic!("three pictures") };
    assert!([from, to] == [&drawn(&sampler, &[Draw::Plain(id(0))])[0], &drawn(&sampler, &[Draw::Plain(id(1))])[0]]);
    assert!(middle != from && middle != to);
}

#[test]
fn a_trajectory_shows_states_above_predictions() {
    let network = network();
    let sampler = sampler(&network);
    let draws = [Draw::Plain(id(0)), Draw::Plain(id(1))];
    let shape = ImageShape { height: 16, width: 16, channels: 1 };
    let mut ways = Samples::new(shape);
    let last = trajectory(&sampler, &draws, &mut ways).unwrap();
    assert!(last.to_f32() == sampler.draw(&draws).unwrap().to_f32());

    let mut want = Samples::new(shape);
    for draw in draws {
        let (mut states, mut predictions) = (Vec::new(), Vec::new());
        let last = sampler.trace(&[draw], |x_t1, step| {
            states.push(x_t1.to_f32());
            predictions.push(step.x0.to_f32());
        });
        states.push(last.unwrap().to_f32());
        predictions.push(vec![-1.0; 16 * 16]);
        want.push(&states.concat());
        want.push(&predictions.concat());
    }
    assert!(ways == want);
}

/// A run with checkpoints after 1, 2 and 3 steps, T = 2.
static RUN: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let flags = "--max_steps 3 --lr_g 0.05 --ema-decay 0.1 --checkpoint-every 1 --keep-checkpoints 9 --outdir run";
    succeed(dir.path(), &format!("train {TINY} {flags}"));
    let run = dir.path().join("run");
    (dir, run)
});

/// `ddgan sample` on that run, in `folder`; what it said at the end.
fn sample(folder: &Path, arguments: &str) -> String {
    succeed(folder, &format!("sample {} {arguments}", RUN.1.display()))
}

fn refuse(folder: &Path, arguments: &str, words: &[&str]) {
    fail(folder, &format!("sample {} {arguments}", RUN.1.display()), words);
}

/// The array of an npz.
fn array(path: PathBuf) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    npyz::NpyFile::new(archive.by_index(0).unwrap()).unwrap().into_vec().unwrap()
}

fn pixels(path: PathBuf) -> Vec<u8> {
    let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    pixels
}

/// The numbers of the pictures in a folder.
fn names(folder: PathBuf) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const PICTURE: usize = 32 * 32;

#[test]
fn all_forms_of_output_hold_the_same_pictures_whatever_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    let said =
        sample(dir.path(), "--count 5 --batch 2 --columns 3 --out grid.png --out all.npz --out each --threads 1");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[1..], ["grid.png", "all.npz", "each"]);
    assert!(lines[0].contains("5 pictures in") && lines[0].contains("the others in"), "{said}");
    assert!(lines[0].contains("(median of 1)") && lines[0].contains("images/s"), "{said}");

    let pictures = array(at("all.npz"));
    assert_eq!(pictures.len(), 5 * PICTURE);
    assert_eq!(names(at("each")), ["000000.png", "000001.png", "000002.png", "000003.png", "000004.png"]);
    let each: Vec<u8> = (0..5).flat_map(|i| pixels(at(&format!("each/00000{i}.png")))).collect();
    assert!(each == pictures);
    assert_eq!(png_size(&at("grid.png")), [3 * 34 + 2, 2 * 34 + 2]);
    let grid = pixels(at("grid.png"));
    assert!(grid[(36 * 104 + 36)..][..32] == pictures[4 * PICTURE..][..32], "the fifth picture is second in its row");

    let again = |flags: &str| {
        sample(dir.path(), &format!("--count 5 --overwrite --out again.npz {flags}"));
        array(at("again.npz"))
    };
    assert!(again("--batch 5 --threads 3") == pictures);
    assert!(again("--batch_size 3") == pictures);
    assert!(again("--seed 1") != pictures);
    assert!(again("--raw") != pictures);
    assert!(again("--step 2") != pictures);

    sample(dir.path(), "--count 5 --rows 5 --out column.png");
    assert_eq!(png_size(&at("column.png")), [36, 5 * 34 + 2]);
}

#[test]
fn seeds_have_their_own_pictures_and_names() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    sample(dir.path(), "--seeds 7,1-2 --out seeds --out seeds.npz");
    assert_eq!(names(at("seeds")), ["000001.png", "000002.png", "000007.png"]);
    sample(dir.path(), "--seed 7 --count 1 --out seven.npz");
    let (seven, all) = (array(at("seven.npz")), array(at("seeds.npz")));
    assert!(pixels(at("seeds/000007.png")) == seven && all[..PICTURE] == seven);
    assert_eq!(all.len(), 3 * PICTURE);

    // A row from each seed to the next, which begins where the one before ended.
    sample(dir.path(), "--interpolate 7,1,2 --frames 4 --out way.npz --out way.png");
    let way = array(at("way.npz"));
    let frame = |row: usize, i: usize| &way[(4 * row + i) * PICTURE..][..PICTURE];
    assert!(frame(0, 0) == seven && frame(0, 3) == frame(1, 0) && frame(1, 3) == &all[2 * PICTURE..]);
    assert_eq!(png_size(&at("way.png")), [4 * 34 + 2, 2 * 34 + 2]);

    // Variant 0 is the picture itself; a row each.
    sample(dir.path(), "--seeds 7,1 --z-variants 3 --fixed-t 2 --out z.npz --out z.png");
    let variants = array(at("z.npz"));
    let variant = |row: usize, i: usize| &variants[(3 * row + i) * PICTURE..][..PICTURE];
    assert!(variant(0, 0) == seven && variant(1, 0) == &all[PICTURE..2 * PICTURE]);
    assert!(variant(0, 1) != seven && variant(0, 2) != variant(0, 1));
    assert_eq!(png_size(&at("z.png")), [3 * 34 + 2, 2 * 34 + 2]);
}

#[test]
fn the_trajectory_ends_with_the_picture() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    sample(dir.path(), "--count 3 --batch 2 --trajectory way.png --out all.npz");
    // x_2, x_1, x_0 over the two predictions and a black place; three times.
    assert_eq!(png_size(&at("way.png")), [3 * 34 + 2, 6 * 34 + 2]);
    let (way, pictures) = (pixels(at("way.png")), array(at("all.npz")));
    let place = |row: usize, column: usize| {
        let start = (row * 34 + 2) * 104 + column * 34 + 2;
        (0..32).flat_map(|y| way[start + y * 104..][..32].to_vec()).collect::<Vec<u8>>()
    };
    for (i, picture) in pictures.chunks_exact(PICTURE).enumerate() {
        assert!(place(2 * i, 2) == picture, "x_0 of picture {i}");
        assert!(place(2 * i + 1, 1) == picture, "the last prediction is the picture");
        assert!(place(2 * i + 1, 2).iter().all(|&byte| byte == 0));
        assert!(place(2 * i, 0) != place(2 * i, 1) && place(2 * i + 1, 0) != place(2 * i + 1, 1));
    }
    let said = sample(dir.path(), "--trajectory alone.png");
    assert_eq!(said.lines().skip(1).collect::<Vec<_>>(), ["alone.png"]);
    assert_eq!(png_size(&at("alone.png")), [3 * 34 + 2, 16 * 34 + 2]);
}

#[test]
fn a_runs_checkpoints_are_picked_by_step_and_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let said = |flags: &str| stderr(&ddgan(dir.path(), &format!("sample {} --count 1 {flags}", RUN.1.display())));
    assert!(said("--step 2 --out a.png").contains("step-000002.safetensors: averaged parameters after 2 steps"));
    assert!(said("--epoch_id 0 --out b.png").contains("step-000003.safetensors"));
    refuse(dir.path(), "--step 4", &["no checkpoint of step 4", "step 1, 2, 3"]);
    refuse(dir.path(), "--epoch_id 60", &["no checkpoint of epoch 60", "epoch 0"]);
    refuse(dir.path(), "--out pictures.gif", &["pictures.gif", ".npz", "a folder"]);
    let file = RUN.1.join("checkpoints/step-000003.safetensors");
    fail(dir.path(), &format!("sample {} --step 3", file.display()), &["single checkpoint", "run's folder"]);
    succeed(dir.path(), &format!("sample {} --count 1 --out c.png", file.display()));
    assert!(fs::read(dir.path().join("b.png")).unwrap() == fs::read(dir.path().join("c.png")).unwrap());
}

#[test]
fn the_published_spelling_finds_the_published_folder() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("saved_info/dd_gan/digits/exp1");
    fs::create_dir_all(run.join("checkpoints")).unwrap();
    fs::copy(RUN.1.join("checkpoints/step-000003.safetensors"), run.join("checkpoints/step-000003.safetensors"))
        .unwrap();
    let published = "sample --dataset digits --exp exp1 --epoch_id 0 --batch_size 4 --image_size 32 --num_channels_dae 8 \
        --num_timesteps 2 --num_res_blocks 1 --nz 4 --z_emb_dim 8 --t_emb_dim 8 --n_mlp 1";
    let said = succeed(dir.path(), published);
    let name = "saved_info/dd_gan/digits/exp1/sample-step-000003-seed-0.png";
    assert_eq!(said.lines().last(), Some(name));
    assert_eq!(png_size(&dir.path().join(name)), [8 * 34 + 2, 8 * 34 + 2]);
    // The network that is told must be the checkpoint's.
    for (flags, words) in [
        ("--num_timesteps 4", ["schedule.num_timesteps is 2, not 4", "step-000003.safetensors"]),
        ("--ch_mult 1 2 2 2", ["generator.ch_mult is [1,1], not [1,2,2,2]", "leave them out"]),
        ("--fir", ["warning: --fir switches OFF", "generator.fir is true, not false"]),
        ("--nz 5 --n_mlp 3", ["generator.nz is 4, not 5", "generator.n_mlp is 1, not 3"]),
    ] {
        fail(dir.path(), &format!("{published} {flags} --out x.png"), &words);
    }
    assert!(!dir.path().join("x.png").exists());
    fail(dir.path(), "sample --dataset digits --exp exp2", &["saved_info/dd_gan/digits/exp2"]);
}

/// Options that a file of PyTorch does not hold come from the flags.
#[test]
fn files_of_the_published_program_take_its_flags() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("saved_info/dd_gan/cifar10/old");
    fs::create_dir_all(&folder).unwrap();
    let fixture = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    fs::copy(fixture("netG_25.pth"), folder.join("netG_25.pth")).unwrap();
    let published = "sample --dataset cifar10 --exp old --epoch_id 25 --count 2 --image_size 16 --num_channels_dae 8 \
        --num_timesteps 2 --num_res_blocks 1 --nz 12 --z_emb_dim 16 --n_mlp 2 --ch_mult 1 2";
    succeed(dir.path(), &format!("{published} --out two.npz --trajectory two.png"));
    // T = 2: three places in a row.
    assert_eq!(png_size(&dir.path().join("two.png")), [3 * 18 + 2, 4 * 18 + 2]);
    let file = folder.join("netG_25.pth");
    succeed(
        dir.path(),
        &format!("sample {} --count 2 --image_size 16 --num_timesteps 2 --out again.npz", file.display()),
    );
    assert!(fs::read(dir.path().join("two.npz")).unwrap() == fs::read(dir.path().join("again.npz")).unwrap());
    fail(dir.path(), &format!("{published} --num_channels_dae 16"), &["netG_25.pth", "options that are given"]);
    fail(dir.path(), &format!("{published} --raw"), &["netG_25.pth", "averaged parameters alone"]);
    fail(dir.path(), &published.replace("25", "26"), &["no checkpoint of epoch 26", "those of epoch 25"]);
}

#[test]
fn bad_requests_end_with_one_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("taken.png"), "mine").unwrap();
    fs::create_dir(dir.path().join("full")).unwrap();
    fs::write(dir.path().join("full/notes"), "mine").unwrap();
    refuse(dir.path(), "--out taken.png", &["taken.png is there already", "--overwrite"]);
    refuse(dir.path(), "--out full", &["full is a folder with files in it", "--overwrite"]);
    refuse(dir.path(), "--out none/x.png", &["none/x.png: cannot write"]);
    refuse(dir.path(), "--out taken.png/x", &["taken.png/x: cannot make the folder"]);
    refuse(dir.path(), "--out a.png --out a.png", &["a.png", "twice"]);
    refuse(dir.path(), "--out a.npz --trajectory a.npz", &["a.npz", "twice"]);
    refuse(dir.path(), "--seeds 1-99999999999 --out x", &["99999999999 pictures", "at most"]);
    refuse(dir.path(), "--seeds 0-18446744073709551615 --out x", &["at most"]);
    refuse(dir.path(), "--interpolate 0-99999999 --frames 9999999999999999 --out x", &["at most"]);
    refuse(dir.path(), "--count 100000000", &["too large", ".npz"]);
    refuse(dir.path(), "--interpolate 3", &["--interpolate 3", "two or more"]);
    refuse(dir.path(), "--z-variants 2 --fixed-t 3", &["--fixed-t is 3", "1 to 2"]);
    refuse(dir.path(), "--z-variants 2 --fixed-t 0", &["--fixed-t is 0"]);
    assert_eq!(fs::read(dir.path().join("taken.png")).unwrap(), b"mine");
    assert_eq!(names(dir.path().into()), ["full", "taken.png"], "a refused request left something");

    for (arguments, word) in [
        ("--count 0", "1.."),
        ("--batch 0", "1..=65536"),
        ("--seeds 1,x", "`x` is no seed"),
        ("--seeds 9-3", "write 3-9"),
        ("--seeds 1,1", "twice"),
        ("--seeds 1 --seed 2", "cannot be used with"),
        ("--step 1 --epoch-id 1", "cannot be used with"),
        ("--frames 3", "--interpolate"),
        ("--fixed-t 1", "--z-variants"),
        ("--interpolate 1,2 --frames 1", "2.."),
        ("--columns 0", "1.."),
    ] {
        let output = ddgan(dir.path(), &format!("sample run {arguments}"));
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{arguments}: {}", stderr(&output));
    }
    let output = ddgan(dir.path(), "sample --exp x");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--dataset"));
}
