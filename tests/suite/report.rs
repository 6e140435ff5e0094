//! `ddgan report` and `ddgan compare`: the pages of tiny runs.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::program::{TINY, command, ddgan, fail, png_size, stderr, succeed};

/// A network for points that trains in a moment.
const POINTS: &str = "gaussians25 --num_channels_dae 8 --n_mlp 2 --nz 2 --z_emb_dim 4 --set discriminator.ngf=8 \
                      --batch_size 16 --grid-pictures 50 --stats-every 1";

/// Two runs of digits, `one` and `two`, and one of points, `points`.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    succeed(dir.path(), &format!("train {TINY} --max_steps 3 --grid-every 1 --outdir one"));
    succeed(dir.path(), &format!("train {TINY} --max_steps 2 --seed 7 --num_timesteps 4 --outdir two"));
    succeed(dir.path(), &format!("train {POINTS} --max_steps 3 --grid-every 2 --outdir points"));
    dir
});

/// A copy of a run that a test may change.
fn copy(run: &str, into: &Path) {
    for folder in ["", "grids", "checkpoints"] {
        fs::create_dir_all(into.join(folder)).unwrap();
        for entry in fs::read_dir(FOLDER.path().join(run).join(folder)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), into.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
}

/// The page, which must load nothing and be whole.
fn page(path: &Path) -> String {
    let html = fs::read_to_string(path).unwrap();
    for link in ["src=\"", "href=\"", "url("] {
        for (at, _) in html.match_indices(link) {
            let target = &html[at + link.len()..];
            assert!(target.starts_with("data:image/") || target.starts_with("#kuva-clip-"), "{}", &target[..40]);
        }
    }
    assert!(!html.replace("http://www.w3.org/2000/svg", "").contains("://"), "an address on the net");
    for tag in ["html", "main", "section", "figure", "svg", "table", "script", "div"] {
        let opened = html.matches(&format!("<{tag}")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "<{tag}>");
    }
    html
}

fn contains(html: &str, words: &[&str]) {
    words.iter().for_each(|word| assert!(html.contains(word), "no `{word}`"));
}

#[test]
fn a_page_shows_all_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    copy("one", &run);
    let said = succeed(dir.path(), "report run");
    assert_eq!(said, "run/report.html\n");
    let html = page(&run.join("report.html"));
    // Three grids and the last one; x_2, x_1, x_0 and two predictions.
    assert_eq!(html.matches("data:image/png").count(), 4 + 5);
    contains(
        &html,
        &["x<sub>2</sub>", "predicted x<sub>0</sub>", "type=\"range\"", "max=\"3\"", "Discriminator</figcap"],
    );
    contains(&html, &["Generator</figcaption>", "R1</figcaption>", "Learning rates", "Speed", "num_channels_dae = 8"]);
    contains(&html, &["ddgan eval run", "after 3 steps", "<dd>9</dd>"]);
    assert!(!html.contains("class=\"notice\""), "nothing is missing");
    // Again, as while it trains; elsewhere only if nothing is there.
    succeed(dir.path(), "report run");
    fail(dir.path(), "report run --out run/config.toml", &["run/config.toml is there already", "--overwrite"]);
    succeed(dir.path(), "report run --out elsewhere.html --seed 3");
    assert_ne!(fs::read_to_string(dir.path().join("elsewhere.html")).unwrap(), html);
}

#[test]
fn a_page_of_points() {
    succeed(FOLDER.path(), "report points --out points.html");
    let html = page(&FOLDER.path().join("points.html"));
    // A plot after step 2 and the last one, clouds instead of pictures.
    assert_eq!(html.matches("data:image/png").count(), 2);
    contains(&html, &["x<sub>4</sub>", "aria-label=\"predicted x_0\"", "400 points", "Data on the left"]);
}

#[test]
fn what_is_missing_or_damaged_is_told() {
    let dir = tempfile::tempdir().unwrap();
    fail(dir.path(), "report nowhere", &["nowhere", "no such folder"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    fail(dir.path(), "report empty", &["empty is no run's folder", "ddgan train"]);
    fail(dir.path(), "compare empty empty", &["empty is no run's folder"]);
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::copy(FOLDER.path().join("one/config.toml"), run.join("config.toml")).unwrap();
    succeed(dir.path(), "report run");
    let html = page(&run.join("report.html"));
    contains(&html, &["no grids of pictures yet", "no statistics yet", "No sample could be drawn"]);

    copy("one", &run);
    let stats = fs::read_to_string(run.join("stats.jsonl")).unwrap();
    fs::write(run.join("stats.jsonl"), format!("nonsense\n{}", &stats[..stats.len() - 20])).unwrap();
    fs::write(run.join("grids/step-000002.png"), b"no picture").unwrap();
    fs::write(run.join("checkpoints/step-000003.safetensors"), b"no checkpoint").unwrap();
    let output = ddgan(dir.path(), "report run");
    assert!(output.status.success(), "{}", stderr(&output));
    let told = [
        "run/stats.jsonl: 1 damaged lines are left out",
        "run/stats.jsonl: its last line is cut off",
        "step-000002.png: is no picture",
        "No sample could be drawn: run/checkpoints/step-000003.safetensors",
    ];
    contains(&stderr(&output), &told);
    contains(&page(&run.join("report.html")), &told);
    fs::write(run.join("config.toml"), "batch_size = -1").unwrap();
    fail(dir.path(), "report run", &["run/config.toml", "batch_size = -1"]);
}

/// A line of `metrics.jsonl`.
fn measured(extractor: &str, fid: f64, nfe: u64, seconds: f64) -> String {
    format!(
        "{{\"step\":3,\"averaged\":true,\"count\":500,\"data\":\"data set digits\",\"data_count\":1500,\
         \"extractor\":\"{extractor}\",\"fid\":{fid},\"modes\":9,\"modes_total\":10,\"coverage\":0.5,\
         \"unknown\":[1],\"sampling\":{{\"nfe\":{nfe},\"batch\":100,\"seconds_per_batch\":{seconds},\
         \"images_per_s\":10.5,\"device\":\"cpu\",\"threads\":2}}}}\n"
    )
}

#[test]
fn a_comparison_puts_side_by_side_what_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    ["one", "two", "points"].iter().for_each(|run| copy(run, &at(run)));
    let lines = measured("our classifier", 400.25, 2, 0.5) + &measured("our classifier", 300.5, 2, 0.25);
    let fewer = measured("our classifier", 55.5, 2, 0.25).replace("1500", "100");
    fs::write(at("one/metrics.jsonl"), lines + &measured("Inception-v3", 77.5, 2, 0.25) + &fewer).unwrap();
    let lines = measured("our classifier", 200.75, 4, 0.5) + &measured("our classifier", 250.0, 2, 0.3);
    fs::write(at("two/metrics.jsonl"), lines).unwrap();
    let output = ddgan(dir.path(), "compare one two points");
    assert!(output.status.success(), "{}", stderr(&output));
    let told = ["learnt different data sets: digits, gaussians25", "ddgan eval points"];
    contains(&stderr(&output), &told);
    let html = page(&at("compare.html"));
    contains(&html, &told);
    // Each ruler has its own part; the newer evaluation of a kind counts.
    let ours = html.find("by our classifier</h2>").unwrap();
    let inception = html.find("by Inception-v3</h2>").unwrap();
    assert!(ours < inception);
    contains(&html[ours..inception], &["300.5", "200.8", "250.0", "9 of 10", "two (4 NFE)"]);
    contains(&html[ours..inception], &["Frechet distance over sampling time", "Not measured like this: points."]);
    contains(&html[inception..], &["FID over sampling time", "77.50", "Not measured like this: two, points."]);
    assert!(!html[ours..inception].contains("77.50") && !html.contains("400.3"));
    let fewer = html.find("(100 pictures), by our classifier</h2>").unwrap();
    assert!(fewer > inception && html[fewer..].contains("55.50"));
    // Where the configurations differ.
    contains(&html, &["<th>schedule.num_timesteps</th><td>2</td><td>4</td><td>4</td>", "<th>seed</th>"]);
    assert!(!html.contains("<th>lazy_reg</th><td>15</td><td>15</td>"));
    let [width, height] = png_size(&at("compare.png"));
    assert!(width == 1800 && height > 1000, "{width} x {height}");

    fail(dir.path(), "compare one two", &["compare.html is there already", "--overwrite"]);
    succeed(dir.path(), "compare one two --overwrite --out b.html --png b.png");
    fail(dir.path(), "compare one ./one --overwrite", &["one is named twice"]);
    assert_eq!(ddgan(dir.path(), "compare one").status.code(), Some(2));
}

#[test]
fn names_from_outside_stay_text() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = "<script>alert(1)</script>&\"'$x^2$";
    let run = dir.path().join(hostile.replace('/', "\\"));
    copy("one", &run);
    copy("two", &dir.path().join("two"));
    let extractor = hostile.replace('"', "\\\"");
    fs::write(run.join("metrics.jsonl"), measured(&extractor, 1.0, 2, 0.5)).unwrap();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    fs::write(run.join("config.toml"), format!("data_dir = '''{hostile}'''\n{config}")).unwrap();
    let run = run.file_name().unwrap().to_str().unwrap();
    for arguments in ["compare two", "report --out report.html"] {
        let output = command(dir.path(), arguments).arg(run).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    for name in ["compare.html", "report.html"] {
        let html = page(&dir.path().join(name));
        assert!(!html.contains("<script>alert"), "{name}");
        contains(&html, &["&lt;script&gt;alert(1)&lt;", "&amp;&quot;&#39;$x^2$"]);
    }
}
