//! Takes one barrier or wait out of a kernel at a time: the comparison with the CPU has to notice, or the source has to
//! say `redundant` on that line. Takes minutes:
//!
//!     cargo test --features emulator --test mutants -- --ignored --nocapture

#[allow(dead_code)]
#[path = "../../build/compile.rs"]
mod compile;
#[allow(dead_code)]
#[path = "../../build/emulator.rs"]
mod emulator;
#[allow(dead_code)]
#[path = "../../build/scan.rs"]
mod scan;

use std::fs;
use std::path::{Path, PathBuf};

use ddgan::tensor::{DType, Device};
use ddgan::testing::cases::{self, Case};
use ddgan::testing::parity::{self, VERSIONS};

const MARKS: [&str; 4] = ["__syncthreads();", "__syncwarp();", "gpu::cp_async_wait<", "gpu::named_barrier("];
const SEEDS: [&str; 3] = ["1", "2", "3"];

/// A line of a kernel that can be taken out.
struct Site {
    file: String,
    line: usize,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sites() -> Vec<Site> {
    let entries = fs::read_dir(root().join("kernels")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = entries.filter(|name| name != "gpu.cuh").collect();
    files.sort();
    let mut sites = Vec::new();
    for file in files {
        let text = fs::read_to_string(root().join("kernels").join(&file)).unwrap();
        for (line, text) in text.lines().enumerate() {
            let code = text.split("//").next().unwrap();
            if MARKS.iter().any(|mark| code.contains(mark)) {
                sites.push(Site { file: file.clone(), line, text: text.trim().to_owned() });
            }
        }
    }
    sites
}

/// Whether a source includes a file, itself or through headers.
fn includes(source: &Path, file: &str) -> bool {
    let text = fs::read_to_string(source).unwrap();
    let headers = text.lines().filter_map(|line| line.trim().strip_prefix("#include \"")?.strip_suffix('"'));
    source.file_name().unwrap() == file
        || headers.map(|h| source.with_file_name(h)).any(|h| h.is_file() && includes(&h, file))
}

/// The kernels with one line's barrier taken out, compiled. Returns the sources that changed.
fn build(site: &Site, folder: &Path, checked: bool) -> Vec<scan::Source> {
    let (kernels, images) = (folder.join("kernels"), folder.join("images"));
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(&kernels).unwrap();
    fs::create_dir_all(&images).unwrap();
    for entry in fs::read_dir(root().join("kernels")).unwrap() {
        let path = entry.unwrap().path();
        let mut text = fs::read_to_string(&path).unwrap();
        if path.file_name().unwrap() == site.file.as_str() {
            let line = text.lines().nth(site.line).unwrap();
            let mark = MARKS.iter().filter_map(|mark| line.find(mark)).min().unwrap();
            let end = mark + line[mark..].find(';').unwrap();
            let changed = format!("{}{}", &line[..mark], &line[end..]);
            let lines = text.lines().enumerate().map(|(i, l)| if i == site.line { &changed } else { l });
            text = lines.collect::<Vec<_>>().join("\n");
        }
        fs::write(kernels.join(path.file_name().unwrap()), text).unwrap();
    }
    let mut sources = scan::sources(&kernels);
    sources.retain(|source| includes(&source.path, &site.file));
    emulator::build_modules(root(), &images, &sources.iter().collect::<Vec<_>>(), checked);
    sources
}

/// What is wrong with the kernels that the driver now loads, if any of their operations' cases tells.
fn first_failure(sources: &[scan::Source]) -> Option<String> {
    let all: Vec<Case> = cases::all().into_iter().filter(|case| !case.real).collect();
    let concerned: Vec<&Case> =
        all.iter().filter(|case| sources.iter().any(|source| source.stem.starts_with(case.op))).collect();
    let concerned = if concerned.is_empty() { all.iter().collect() } else { concerned };
    for version in 1..=VERSIONS {
        let device = Device::cuda_with_versions(0, version).unwrap();
        for dtype in [DType::F32, DType::BF16] {
            let failure = concerned.iter().find_map(|case| parity::check(case, dtype, &device).err());
            if failure.is_some() {
                return failure;
            }
        }
    }
    None
}

#[test]
#[ignore = "takes minutes"]
fn every_barrier_is_needed() {
    let folder: PathBuf = tempfile::tempdir().unwrap().keep();
    let set = |name: &str, value: &Path| {
        // SAFETY: this program has one test, and no other thread reads the environment meanwhile.
        unsafe { std::env::set_var(name, value) }
    };
    set("EMULATOR_IMAGES", &folder.join("images"));
    let mut unexpected = Vec::new();
    println!("| taken out | plain, {} seeds | checked |\n|---|---|---|", SEEDS.len());
    for site in sites() {
        let place = format!("{}:{} {}", site.file, site.line + 1, site.text);
        let sources = build(&site, &folder, false);
        let caught = SEEDS
            .iter()
            .filter(|seed| {
                set("EMULATOR_SEED", Path::new(seed));
                first_failure(&sources).is_some()
            })
            .count();
        let checked = first_failure(&build(&site, &folder, true)).is_some();
        println!("| {place} | {caught} | {} |", if checked { "caught" } else { "missed" });
        let redundant = site.text.contains("redundant");
        if redundant == (caught > 0 || checked) {
            unexpected.push(format!("{place}: {}", if redundant { "is needed after all" } else { "not missed" }));
        }
    }
    let _ = fs::remove_dir_all(&folder);
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
}
