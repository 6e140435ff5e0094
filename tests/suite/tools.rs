//! `ddgan data` and `ddgan doctor`, as programs and people see them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use super::program::{ddgan, fail, stderr, stdout, succeed};

/// An MNIST of `n` black pictures with the labels 0, 1, .., 9, 0, ...
fn write_mnist(folder: &Path, prefix: &str, n: u32) {
    let header = |dims: &[u32]| {
        let sizes = dims.iter().flat_map(|d| d.to_be_bytes());
        [0, 0, 8, dims.len() as u8].into_iter().chain(sizes).collect::<Vec<u8>>()
    };
    fs::create_dir_all(folder).unwrap();
    let images = [header(&[n, 28, 28]), vec![0; 784 * n as usize]].concat();
    fs::write(folder.join(format!("{prefix}-images-idx3-ubyte")), images).unwrap();
    let labels = [header(&[n]), (0..n).map(|i| (i % 10) as u8).collect()].concat();
    fs::write(folder.join(format!("{prefix}-labels-idx1-ubyte")), labels).unwrap();
}

/// What the program says about a data set.
fn finding<'a>(said: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    said.as_array().unwrap().iter().find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn data_info_tells_what_is_there_and_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("sets");
    write_mnist(&home.join("mnist"), "train", 25);
    let said = succeed(dir.path(), "data info sets");
    for line in ["25 of 32x32", "classes of 3, 3, 3, 3, 3, 2", "test   not there", "ddgan data fetch mnist"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("train-images-idx3-ubyte") && said.contains("NOT the published content"), "{said}");

    let said: serde_json::Value = serde_json::from_str(&succeed(dir.path(), "data info sets --json")).unwrap();
    let mnist = finding(&said, "mnist");
    assert_eq!(mnist["train"]["status"], "found");
    assert_eq!(mnist["train"]["shape"], serde_json::json!([32, 32, 1]));
    assert_eq!(mnist["train"]["counts"].as_array().unwrap().len(), 10);
    assert_eq!(mnist["test"]["status"], "missing");
    assert_eq!(mnist["files"][0]["as_published"], false);
    assert_eq!(finding(&said, "cifar10")["train"]["status"], "missing");
    assert_eq!(finding(&said, "gaussians25")["train"]["counts"].as_array().unwrap().len(), 25);
    fail(dir.path(), "data info nowhere", &["nowhere", "no such"]);
}

#[test]
fn data_info_tells_what_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("sets");
    write_mnist(&home.join("mnist"), "t10k", 12);
    fs::write(home.join("mnist/t10k-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 9]).unwrap();
    let output = ddgan(dir.path(), "data info sets");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains("BROKEN") && said.contains("t10k-labels-idx1-ubyte") && said.contains("cut short"), "{said}");

    // Pictures: one good, one that is none by its content.
    let pictures = dir.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(pictures.join("a.png")).unwrap(), 2, 2);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[0; 4]).unwrap();
    fs::write(pictures.join("b.png"), "no picture").unwrap();
    let said = succeed(dir.path(), "data info pictures");
    assert!(said.contains("folder\n  train  2 of 2x2, 1 channel ("), "{said}");
    let said = stdout(&ddgan(dir.path(), "data info pictures --check"));
    assert!(said.contains("1 of 2 pictures cannot be read") && said.contains("b.png"), "{said}");
}

#[test]
fn data_fetch_says_what_to_do_when_nothing_comes() {
    let dir = tempfile::tempdir().unwrap();
    // A port that nobody listens at any more.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let arguments = format!("data fetch mnist --data-dir sets --url http://{closed}");
    fail(dir.path(), &arguments, &["mnist could not be downloaded", "train-images-idx3-ubyte.gz", "--url", "sets"]);
    assert_eq!(ddgan(dir.path(), "data fetch nist").status.code(), Some(2));

    // A server that has other files under these names.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
        }
    });
    let arguments = format!("data fetch cifar10 --data-dir sets --url http://{address}");
    fail(dir.path(), &arguments, &["cifar10", "cifar-10-binary.tar.gz", "is not what was asked for"]);
}

#[test]
fn doctor_tells_what_a_bug_report_needs() {
    let dir = tempfile::tempdir().unwrap();
    let said = succeed(dir.path(), "doctor --threads 2");
    let program = [env!("CARGO_PKG_VERSION"), "rustc", "kernels      "];
    for word in program.into_iter().chain(["computes with 2 of", "cpu", "digits: train 60000", "environment"]) {
        assert!(said.contains(word), "{word}: {said}");
    }
    let said: serde_json::Value = serde_json::from_str(&succeed(dir.path(), "doctor --json")).unwrap();
    let sets = said["processor"]["instruction_sets"].as_array().unwrap();
    assert!(sets.contains(&said["processor"]["instruction_set"]) && sets.contains(&"scalar".into()), "{said}");
    assert!(said["data"].as_array().unwrap().iter().any(|set| set["name"] == "mnist"));
    assert_eq!(said["terminal"]["stdout"], false);
}
