//! Sees to it that the structs which kernels take are the same in CUDA and in Rust.

use std::fs;
use std::path::Path;

use crate::scan::without_comments;

/// Where the structs of kernels/params.cuh stand in Rust.
pub const RUST_SOURCES: [&str; 2] = ["src/backend/params.rs", "src/backend/philox.rs"];
const CUDA_SOURCE: &str = "kernels/params.cuh";

struct Struct {
    name: String,
    /// (type in CUDA's words, name), in their order.
    fields: Vec<(String, String)>,
}

/// Compares every struct of params.cuh, field by field.
pub fn check(root: &Path) {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let rust: Vec<Struct> = RUST_SOURCES.iter().flat_map(|path| rust_structs(&read(path))).collect();
    for cuda in cuda_structs(&read(CUDA_SOURCE)) {
        let name = &cuda.name;
        let twin = rust.iter().find(|s| s.name == *name);
        let twin =
            twin.unwrap_or_else(|| panic!("{CUDA_SOURCE}: {name} is not a #[repr(C)] struct of {RUST_SOURCES:?}"));
        assert!(
            cuda.fields == twin.fields,
            "{CUDA_SOURCE}: the fields of {name} differ from Rust's:\n{:?}\n{:?}",
            cuda.fields,
            twin.fields
        );
    }
}

/// `struct Name { type a; type b[4]; };`
fn cuda_structs(text: &str) -> Vec<Struct> {
    let text = without_comments(text);
    let bodies = text.split("struct ").skip(1).filter_map(|s| s.split_once('{'));
    let parse = |(name, rest): (&str, &str)| {
        let body = rest.split('}').next().unwrap_or_default();
        let fields = body.split(';').filter_map(|field| field.trim().rsplit_once(' '));
        let field = |(kind, name): (&str, &str)| match name.split_once('[') {
            Some((name, length)) => (format!("{kind}[{length}"), name.to_owned()),
            // An address in Rust.
            None if kind.ends_with('*') => ("unsigned long long".to_owned(), name.to_owned()),
            None => (kind.trim().to_owned(), name.to_owned()),
        };
        Struct { name: name.trim().to_owned(), fields: fields.map(field).collect() }
    };
    bodies.map(parse).collect()
}

/// `#[repr(C)] pub struct Name { pub a: type, pub b: [type; 4], }`
fn rust_structs(text: &str) -> Vec<Struct> {
    let text = without_comments(text);
    let parse = |after: &str| {
        let (name, rest) = after.split_once("pub struct ")?.1.split_once('{')?;
        let body = rest.split('}').next()?;
        let fields = body.split(",\n").filter_map(|field| field.trim().strip_prefix("pub ")?.split_once(": "));
        let field = |(name, kind): (&str, &str)| (cuda_type(kind.trim_end_matches(',')), name.to_owned());
        Some(Struct { name: name.trim().to_owned(), fields: fields.map(field).collect() })
    };
    text.split("#[repr(C)]").skip(1).filter_map(parse).collect()
}

fn cuda_type(rust: &str) -> String {
    if let Some((element, length)) =
        rust.strip_prefix('[').and_then(|r| r.strip_suffix(']')).and_then(|r| r.split_once("; "))
    {
        return format!("{}[{length}]", cuda_type(element));
    }
    match rust {
        "f32" => "float",
        "f64" => "double",
        "i32" => "int",
        "u32" => "unsigned",
        "i64" | "isize" => "long long",
        "u64" => "unsigned long long",
        "usize" => "size_t",
        other => other,
    }
    .to_owned()
}
