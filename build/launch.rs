//! Writes the typed functions that launch the kernels: OUT_DIR/launch.rs, which src/backend/cuda/launch.rs includes.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::compile::Images;
use crate::scan::{Kernel, NUMBERS, Param, Source};

pub fn generate(out: &Path, sources: &[Source], images: Option<Images>) {
    let mut code = String::new();
    let number_of_images = sources.iter().map(|s| s.numbers().len()).sum::<usize>();
    let built = images.as_ref().map_or("None".to_owned(), |i| format!("Some({:?})", i.compiler));
    writeln!(
        code,
        "/// What compiled the kernels; none if they were not.\npub const COMPILER: Option<&str> = {built};"
    )
    .unwrap();
    writeln!(code, "/// One image for each kernels/*.cu and number type.").unwrap();
    writeln!(code, "pub static IMAGES: [Image; {number_of_images}] = [").unwrap();
    for source in sources {
        for number in source.numbers() {
            let name = source.image(number);
            let bytes = match &images {
                Some(images) => format!("include_bytes!({:?})", images.folder.join(format!("{name}.fatbin"))),
                None => "&[]".to_owned(),
            };
            writeln!(code, "    Image {{ name: {name:?}, bytes: {bytes} }},").unwrap();
        }
    }
    writeln!(code, "];").unwrap();
    let slots: usize = sources.iter().flat_map(|s| &s.kernels).map(slots_of).sum();
    writeln!(code, "/// Kernels, counting one that takes `T` once for each number type.").unwrap();
    writeln!(code, "pub const SLOTS: usize = {slots};").unwrap();

    let (mut first_image, mut first_slot) = (0, 0);
    for source in sources {
        for kernel in &source.kernels {
            function(&mut code, source, kernel, first_image, first_slot);
            first_slot += slots_of(kernel);
        }
        first_image += source.numbers().len();
    }
    let path = out.join("launch.rs");
    fs::write(&path, code).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

fn slots_of(kernel: &Kernel) -> usize {
    if kernel.is_generic() { NUMBERS.len() } else { 1 }
}

fn function(code: &mut String, source: &Source, kernel: &Kernel, image: usize, slot: usize) {
    let Kernel { name, threads, params } = kernel;
    let (bound, number) = if kernel.is_generic() {
        ("<T: Number>", "T::INDEX".to_owned())
    } else {
        ("", source.number_of(kernel).to_string())
    };
    let step = |first: usize| if source.is_generic() { format!("{first} + {number}") } else { first.to_string() };
    let slot_step = if kernel.is_generic() { format!("{slot} + {number}") } else { slot.to_string() };
    let list: String = params.iter().map(|p| format!(", {}: {}", p.name, rust_type(p))).collect();
    let pointers: String = params.iter().map(|p| format!("(&raw const {}).cast_mut().cast(), ", p.name)).collect();
    write!(
        code,
        r#"
/// `{name}` of kernels/{stem}.cu, in blocks of {threads} threads.
#[allow(clippy::too_many_arguments, clippy::identity_op, dead_code)]
pub fn {name}{bound}(gpu: &Gpu, grid: impl Into<Grid>{list}) -> Result<()> {{
    let kernel = Kernel {{ name: c"{name}", image: {image}, slot: {slot_step}, threads: {threads} }};
    // SAFETY: these are the kernel's parameters, in its order.
    unsafe {{ gpu.launch(&kernel, grid.into(), &mut [{pointers}]) }}
}}
"#,
        stem = source.stem,
        image = step(image),
    )
    .unwrap();
}

fn rust_type(param: &Param) -> String {
    let value = match param.kind.as_str() {
        "float" => "f32",
        "double" => "f64",
        "int" => "i32",
        "unsigned" | "unsigned int" | "uint32_t" => "u32",
        "long long" | "int64_t" => "i64",
        "unsigned long long" | "uint64_t" => "u64",
        "unsigned char" | "uint8_t" => "u8",
        "size_t" => "usize",
        "bf16" => "half::bf16",
        other => other, // T, bool, or a struct of params.cuh
    };
    match (param.pointer, param.constant) {
        (false, _) => value.to_owned(),
        (true, true) => format!("In<'_, {value}>"),
        (true, false) => format!("Out<'_, {value}>"),
    }
}
