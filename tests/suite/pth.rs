//! Files of PyTorch: what they hold comes in, and hostile ones do nothing.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use ddgan::Error;
use ddgan::autograd::Var;
use ddgan::checkpoint::Tensors;
use ddgan::checkpoint::pth::{Pth, StateDict};
use ddgan::models::Generator;
use ddgan::sample::{Known, Source, Which};
use ddgan::tensor::{DType, Device, Tensor};
use ddgan::testing::fixtures::Fixture;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn open(path: &Path, raw: bool) -> ddgan::Result<Source> {
    Source::open(path, Which::Newest, raw, DType::F32, &Device::Cpu)
}

/// The generator computes what another implementation computed with the same parameters.
fn check_output(generator: &Generator, expected: &str) {
    let expected = Fixture::open(fixture(expected), DType::F32, &Device::Cpu).unwrap();
    let input = |name| Var::constant(expected.tensor(name).unwrap());
    let out = generator.forward(&input("x"), &expected.times("t").unwrap(), &input("z")).unwrap();
    let (got, want) = (out.into_value().to_f64(), expected.values("out").unwrap());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let error = (square(&mut got.iter().zip(&want).map(|(a, b)| a - b)) / square(&mut want.iter().copied())).sqrt();
    assert!(error < 1e-5, "{error}");
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    tensor.to_f64().iter().map(|v| v.to_bits()).collect()
}

/// Whether two generators have the same parameters, bit for bit.
fn same(a: &Source, b: &Source) -> bool {
    let (a, b) = (a.generator.params(), b.generator.params());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name() == b.name() && bits(&a.value()) == bits(&b.value()))
}

#[test]
fn a_netg_file_computes_what_pytorch_computes() {
    // The content.pth beside it tells the size of the pictures.
    let source = open(&fixture("netG_25.pth"), false).unwrap();
    assert!(source.averaged);
    assert!(source.note.as_ref().unwrap().contains("content.pth"), "{:?}", source.note);
    check_output(&source.generator, "netG_25_generator.safetensors");
}

#[test]
fn content_holds_raw_and_averaged_parameters() {
    let [averaged, raw] = [false, true].map(|raw| open(&fixture("content.pth"), raw).unwrap());
    assert_eq!((averaged.averaged, raw.averaged, raw.step), (true, false, 1234));
    check_output(&raw.generator, "content_generator.safetensors");
    assert!(!same(&averaged, &raw));
    let pth = Pth::open(fixture("content.pth")).unwrap();
    let mut ema = pth.content().unwrap().unwrap().generator_optimizer.kept("ema").unwrap();
    let bias = averaged.generator.params().iter().find(|p| p.name() == "z_transform.3.bias").unwrap();
    assert_eq!(bits(&bias.value()), bits(&ema.read("z_transform.3.bias").unwrap()));
}

/// Without a content.pth the options come from names and shapes, then from the user, then from what is published.
#[test]
fn what_a_file_does_not_tell_is_assumed_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netG_25.pth");
    fs::copy(fixture("netG_25.pth"), &path).unwrap();
    let source = open(&path, false).unwrap();
    let config = source.generator.config();
    // Attention stands at the second level, and published networks have it at 16x16.
    assert_eq!((config.image_size, &config.attn_resolutions[..]), (32, &[16][..]));
    assert_eq!((config.num_channels_dae, &config.ch_mult[..], config.num_res_blocks), (8, &[1, 2][..], 1));
    assert_eq!((config.nz, config.z_emb_dim, config.n_mlp), (12, 16, 2));
    let note = source.note.unwrap();
    for word in ["published defaults", "image_size 32", "num_timesteps 4", "beta_max 20"] {
        assert!(note.contains(word), "{note}");
    }
    let import = |set: &dyn Fn(&mut ddgan::sample::Model)| {
        Source::import(&path, false, &Known::defaults(), set, DType::F32, &Device::Cpu)
    };
    let source = import(&|model| {
        model.generator.image_size = 16;
        model.schedule.num_timesteps = 2;
    });
    let source = source.unwrap();
    assert_eq!(source.process.num_timesteps(), 2);
    assert_eq!(source.generator.config().attn_resolutions, [8]);
    check_output(&source.generator, "netG_25_generator.safetensors");
    let error = import(&|model| model.generator.num_channels_dae = 64).err().unwrap().to_string();
    assert!(error.contains("netG_25.pth") && error.contains("options that are given"), "{error}");
    assert!(import(&|model| model.generator.image_size = 31).is_err());
}

#[test]
fn a_folder_of_the_published_program_is_a_run() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in
        [("netG_25.pth", "netG_25.pth"), ("netG_25_legacy.pth", "netG_100.pth"), ("content.pth", "content.pth")]
    {
        fs::copy(fixture(from), dir.path().join(to)).unwrap();
    }
    let find = |which| Source::open(dir.path(), which, false, DType::F32, &Device::Cpu).map(|source| source.path);
    assert!(find(Which::Newest).unwrap().ends_with("netG_100.pth"));
    assert!(find(Which::Epoch(25)).unwrap().ends_with("netG_25.pth"));
    assert!(find(Which::Epoch(26)).is_err());
    assert!(find(Which::Step(25)).is_err());
}

/// The stream of PyTorch before 1.6, and the views of stacks that the published moving average leaves.
#[test]
fn the_old_container_and_shared_storages() {
    let [old, new] = ["netG_25_legacy.pth", "netG_25.pth"].map(|name| open(&fixture(name), false).unwrap());
    assert!(same(&old, &new));
}

#[test]
fn every_type_and_every_view() {
    let pth = Pth::open(fixture("torch_types.pth")).unwrap();
    let mut tensors = StateDict::parse(&pth, pth.root()).unwrap();
    let mut check = |name: &str, shape: &[usize], values: &[u8]| {
        let tensor = tensors.read(name).unwrap();
        let values: Vec<f64> = values.iter().map(|&v| v.into()).collect();
        assert_eq!((tensor.shape(), tensor.to_f64()), (shape, values), "{name}");
    };
    for name in ["float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64"] {
        check(name, &[2, 3], &[0, 1, 2, 3, 4, 5]);
    }
    check("bool", &[2], &[0, 1]);
    check("scalar", &[], &[7]);
    check("empty", &[0, 3], &[]);
    check("at_an_offset", &[2, 3], &[6, 7, 8, 9, 10, 11]);
    check("transposed", &[3, 2], &[0, 3, 1, 4, 2, 5]);
    check("columns", &[4, 2], &[1, 2, 7, 8, 13, 14, 19, 20]);
    check("parameter", &[2, 3], &[12, 13, 14, 15, 16, 17]);
    check("channels_last", &[1, 2, 3, 4], &std::array::from_fn::<u8, 24, _>(|i| i as u8));
    assert!(tensors.is_float("bfloat16") && !tensors.is_float("int64"));
}

#[test]
fn a_generator_alone_comes_back_with_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["first.safetensors", "second.safetensors"].map(|name| dir.path().join(name));
    let source = open(&fixture("netG_25.pth"), false).unwrap();
    source.save(&first).unwrap();
    let back = open(&first, false).unwrap();
    assert!(same(&source, &back) && back.averaged && back.note.is_none());
    assert_eq!((back.generator.config(), &back.schedule), (source.generator.config(), &source.schedule));
    back.save(&second).unwrap();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    // Names and layouts are PyTorch's.
    let bytes = fs::read(&first).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("all_modules.2.weight").unwrap().shape(), [8, 3, 3, 3]);

    // Parameters alone, as `safetensors.torch.save_file(network.state_dict())` writes them.
    let tensors: Vec<_> = file.iter().map(|(name, view)| (format!("module.{name}"), view)).collect();
    let plain = dir.path().join("plain.safetensors");
    safetensors::serialize_to_file(tensors, None, &plain).unwrap();
    fs::copy(fixture("content.pth"), dir.path().join("content.pth")).unwrap();
    assert!(same(&source, &open(&plain, false).unwrap()));
}

/// A zip archive as torch.save makes it.
fn archive(pickle: &[u8], storages: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    let mut add = |name: String, bytes: &[u8]| {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    add("x/data.pkl".into(), pickle);
    for (key, bytes) in storages {
        add(format!("x/{key}"), bytes);
    }
    zip.finish().unwrap().into_inner()
}

fn text(value: &str) -> Vec<u8> {
    [b"X", &(value.len() as u32).to_le_bytes()[..], value.as_bytes()].concat()
}

/// {"w": a tensor} with the given claims about its storage and its view of it.
fn tensor(class: &str, elements: &str, offset: &str, sizes: &str, strides: &str) -> Vec<u8> {
    let numbers = |values: &str| values.split_whitespace().map(|v| format!("I{v}\n")).collect::<String>();
    let storage = [
        b"((".to_vec(),
        text("storage"),
        format!("c{class}\n").into_bytes(),
        text("0"),
        text("cpu"),
        format!("I{elements}\ntQ").into_bytes(),
    ];
    let view = format!("I{offset}\n({}t({}tI00\nccollections\nOrderedDict\n)RtRu.", numbers(sizes), numbers(strides));
    [b"}(".to_vec(), text("w"), b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), storage.concat(), view.into_bytes()]
        .concat()
}

/// A dict of entries.
fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(name, value)| [text(name), value.clone()].concat());
    [b"}(".to_vec(), entries.collect(), b"u".to_vec()].concat()
}

/// A `content.pth` of networks with one parameter of one number.
pub fn tiny_content() -> Vec<u8> {
    archive(&tiny_pickle(), &[("data/0", &[0; 4])], CompressionMethod::Stored)
}

/// The same in the container of PyTorch before 1.6.
pub fn tiny_legacy() -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
    let machine = [&dict(&[("little_endian", b"\x88".to_vec())])[..], b"."].concat();
    let keys = [&b"("[..], &text("0"), b"l."].concat();
    [&magic[..], &machine, &tiny_pickle(), &keys, &1_u64.to_le_bytes(), &[0; 4]].concat()
}

fn tiny_pickle() -> Vec<u8> {
    let network = tensor("torch\nFloatStorage", "1", "0", "1", "1");
    let network = network[..network.len() - 1].to_vec();
    let number = network[2 + text("w").len()..network.len() - 1].to_vec();
    let of = |value: &str| value.replace(' ', "\n").into_bytes();
    let state = ["exp_avg", "exp_avg_sq", "ema"].map(|key| (key, number.clone()));
    let state = dict(&[&[("step", of("I9 "))][..], &state[..]].concat());
    let group = dict(&[
        ("lr", of("F1e-4 ")),
        ("betas", of("(F0.5 F0.9 t")),
        ("eps", of("F1e-8 ")),
        ("weight_decay", of("I0 ")),
        ("params", of("(I0 l")),
    ]);
    let states = [b"}(I0\n".to_vec(), state, b"u".to_vec()].concat();
    let optimizer = dict(&[("state", states), ("param_groups", [b"(", &group[..], b"l"].concat())]);
    let args = dict(&[("dataset", text("cifar10")), ("nz", of("I100 ")), ("ch_mult", of("(I1 I2 l"))]);
    let root = dict(&[
        ("epoch", of("I3 ")),
        ("global_step", of("I9 ")),
        ("args", [b"cargparse\nNamespace\n)\x81", &args[..], b"b"].concat()),
        ("netG_dict", network.clone()),
        ("netD_dict", network),
        ("optimizerG", optimizer.clone()),
        ("optimizerD", optimizer),
        ("schedulerG", dict(&[("T_max", of("I12 "))])),
    ]);
    [&root[..], b"."].concat()
}

/// The error that a file with this content ends with, which names the file.
fn refusal(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hostile.pth");
    fs::write(&path, bytes).unwrap();
    let opened = Pth::open(&path).and_then(|pth| pth.generator()?.read("w"));
    let message = opened.expect_err("a hostile file must be refused").to_string();
    assert!(message.contains("hostile.pth"), "{message}");
    message
}

#[test]
fn views_that_do_not_fit_their_storage() {
    const STORED: CompressionMethod = CompressionMethod::Stored;
    let float = "torch\nFloatStorage";
    let file = |elements, offset, sizes, strides| {
        archive(&tensor(float, elements, offset, sizes, strides), &[("data/0", &[0; 24])], STORED)
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pth");
    for (offset, sizes, strides) in
        [("0", "2 3", "3 1"), ("2", "2 2", "2 1"), ("5", "", ""), ("6", "0", "1"), ("0", "3 2", "1 3")]
    {
        fs::write(&path, file("6", offset, sizes, strides)).unwrap();
        Pth::open(&path).unwrap().generator().unwrap().read("w").unwrap();
    }
    for (offset, sizes, strides) in [
        ("0", "7", "1"),
        ("1", "2 3", "3 1"),
        ("7", "0", "1"),
        ("0", "2 3", "4 1"),
        ("0", "2 2", "1 1"),
        ("0", "5", "0"),
        ("0", "2 3", "3"),
        ("0", "1000000000000", "1"),
        ("0", "9223372036854775807 9223372036854775807", "1 1"),
        ("18446744073709551615", "2", "1"),
    ] {
        let said = refusal(&file("6", offset, sizes, strides));
        assert!(said.contains("does not fit its storage 0 of 6 numbers"), "{offset} {sizes} {strides}: {said}");
    }
    assert!(refusal(&file("6", "0", "2 3", "-3 1")).contains("strides"));
    assert!(refusal(&file("6", "-1", "2 3", "3 1")).contains("offset"));
    assert!(refusal(&file("1000000000000", "0", "1", "1")).contains("storage 0 should have 1000000000000 numbers"));
    let said =
        refusal(&archive(&tensor("torch\nComplexFloatStorage", "3", "0", "3", "1"), &[("data/0", &[0; 24])], STORED));
    assert!(said.contains("ComplexFloatStorage"), "{said}");
    assert!(refusal(&archive(&tensor(float, "6", "0", "6", "1"), &[], STORED)).contains("storage 0"));
}

#[test]
fn nothing_is_executed() {
    for (function, name) in [("posix\nsystem", "posix.system"), ("builtins\neval", "builtins.eval")] {
        // As the result, and as a value that is thrown away.
        let system = [b"c".to_vec(), format!("{function}\n(").into_bytes(), text("id"), b"tR".to_vec()].concat();
        for pickle in [[&system[..], b"."].concat(), [&system[..], b"0}."].concat()] {
            let said = refusal(&archive(&pickle, &[], CompressionMethod::Stored));
            assert!(said.contains(&format!("calls {name}")), "{said}");
        }
    }
}

#[test]
fn archives_that_are_none_or_too_large() {
    const STORED: CompressionMethod = CompressionMethod::Stored;
    let good = tensor("torch\nFloatStorage", "6", "0", "6", "1");
    let bomb = vec![0; 4 << 20];
    let said = refusal(&archive(&good, &[("data/0", &bomb)], CompressionMethod::Deflated));
    assert!(said.contains("compress"), "{said}");
    let said = refusal(&archive(&good, &[("data/0", &[0; 24]), ("byteorder", b"big")], STORED));
    assert!(said.contains("big-endian"), "{said}");
    assert!(refusal(b"PK\x03\x04 and no more").contains("zip archive"));
    assert!(refusal(b"a text").contains("torch.save"));
    assert!(refusal(b"").contains("torch.save"));

    // The directory claims that an entry is 4 GB long.
    let mut bytes = archive(&good, &[("data/0", &[0; 24])], STORED);
    let entry = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    bytes[entry + 20..entry + 28].copy_from_slice(&[0xf0, 0xff, 0xff, 0xff, 0xf0, 0xff, 0xff, 0xff]);
    assert!(refusal(&bytes).contains("x/data/0 goes beyond its end"));

    // Fifty tensors in one storage would need more memory than the file is long.
    let large = tensor("torch\nFloatStorage", "1000", "0", "1000", "1");
    let value = &large[2 + text("w").len()..large.len() - 2];
    let many: Vec<u8> = (0..50).flat_map(|i| [text(&i.to_string()), value.to_vec()].concat()).collect();
    let said = refusal(&archive(&[b"}(", &many[..], b"u."].concat(), &[("data/0", &[0; 4000])], STORED));
    assert!(said.contains("claims tensors of more"), "{said}");
}

/// In a pickle one long value can be used again and again; what is made of it must not be copied each time.
#[test]
fn values_that_are_used_often_take_no_memory() {
    const STORED: CompressionMethod = CompressionMethod::Stored;
    let float = "torch\nFloatStorage";
    let long = "x".repeat(5000);
    let named = [&b"}("[..], &text(&long), b"q\x00h\x00\x93u."].concat();
    assert!(refusal(&archive(&named, &[], STORED)).contains("a global's name has more than 256 bytes"));

    let value = tensor(float, "1", "0", "1", "1");
    let value = &value[2 + text("w").len()..value.len() - 2];
    let said = refusal(&archive(&[b"}(", &text(&long)[..], value, b"u."].concat(), &[("data/0", &[0; 4])], STORED));
    assert!(said.contains("a tensor called a string of 5000 bytes"), "{said}");
    let twice = [text("v"), value.to_vec()].concat().repeat(2);
    let said = refusal(&archive(&[b"}(", &twice[..], b"u."].concat(), &[("data/0", &[0; 4])], STORED));
    assert!(said.contains("two tensors called `v`"), "{said}");
    let axes = "1 ".repeat(17);
    assert!(refusal(&archive(&tensor(float, "1", "0", &axes, &axes), &[("data/0", &[0; 4])], STORED)).contains("16"));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("content.pth");
    for file in [tiny_content(), tiny_legacy()] {
        fs::write(&path, file).unwrap();
        let pth = Pth::open(&path).unwrap();
        let content = pth.content().unwrap().unwrap();
        assert_eq!((content.global_step, content.generator_optimizer.steps, content.args.len()), (9, 9, 3));
    }
}

#[test]
fn files_cut_short_are_errors() {
    for name in ["netG_25.pth", "netG_25_legacy.pth", "torch_types.pth"] {
        let bytes = fs::read(fixture(name)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.pth");
        for end in (0..bytes.len()).step_by(bytes.len() / 40) {
            fs::write(&path, &bytes[..end]).unwrap();
            let error = Pth::open(&path).expect_err("cut short");
            assert!(matches!(error, Error::Format { .. }), "{name} up to {end}: {error}");
        }
    }
}
