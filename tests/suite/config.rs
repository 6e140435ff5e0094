//! Configurations: presets, published defaults, ranges of every key, and the layers that they are made of.

use ddgan::models::discriminator::DiscriminatorSize;
use ddgan::train::{Footprint, Layer, PRESETS, TrainConfig, preset, published_defaults};
use proptest::prelude::*;

#[test]
fn presets_are_valid_and_survive_their_files() {
    for (name, _) in PRESETS {
        let config = preset(name).unwrap();
        config.validate().unwrap();
        assert_eq!(TrainConfig::from_toml(&config.to_toml().unwrap()).unwrap(), config);
    }
    assert!(preset("nist").unwrap_err().to_string().contains("digits, mnist, stackmnist"));
}

/// Parameters as counted in the published program.
#[test]
fn presets_have_the_published_networks() {
    let counts = |name: &str| {
        let Footprint { generator, discriminator, .. } = Footprint::of(&preset(name).unwrap()).unwrap();
        (generator, discriminator)
    };
    assert_eq!(counts("cifar10"), (48_432_515, 12_741_633));
    assert_eq!(counts("stackmnist"), (48_432_515, 12_741_633));
    assert_eq!(counts("celeba256"), (39_726_979, 27_737_217));
    assert_eq!(counts("lsun256"), (39_726_979, 27_737_217));
}

#[test]
fn published_defaults_are_those_of_the_data_set() {
    let small = published_defaults("cifar10").unwrap();
    assert_eq!((small.batch_size, small.num_epoch, small.use_ema), (128, 1200, false));
    assert_eq!((small.lr_g, small.lr_d, small.r1_gamma, small.lazy_reg), (1.5e-4, 1e-4, 0.05, 1));
    for name in ["lsun", "celeba_256"] {
        let large = published_defaults(name).unwrap();
        large.validate().unwrap();
        assert_eq!((large.generator.image_size, large.discriminator.size), (256, DiscriminatorSize::Large));
        assert_eq!(large.dataset, name);
    }
    assert_eq!(published_defaults("digits"), None);
}

/// Peaks of trainings that were measured on a CPU, in MiB.
#[test]
fn memory_is_estimated_as_it_was_measured() {
    for (width, ngf, batch_size, measured) in [(128, 64, 16, 1883.0), (32, 32, 64, 1136.0)] {
        let mut config = TrainConfig { batch_size, ..preset("stackmnist").unwrap() };
        (config.generator.num_channels_dae, config.discriminator.ngf) = (width, ngf);
        let got = Footprint::of(&config).unwrap().bytes / (1 << 20) as f64;
        assert!((0.9..1.1).contains(&(got / measured)), "got {got}, measured {measured}");
    }
}

#[test]
fn configurations_that_cannot_work_name_their_key() {
    let nan = f64::NAN;
    for (assignment, words) in [
        ("seed=9223372036854775807", "valid"),
        ("batch_size=0", "batch_size is 0"),
        ("batch_size=9000000000000000000", "batch_size is 9"),
        ("num_epoch=0", "num_epoch"),
        ("lazy_reg=0", "lazy_reg"),
        ("lr_d=-1.0", "lr_d"),
        ("lr_g=inf", "lr_g"),
        ("beta1=nan", "beta1"),
        ("beta2=1.0", "beta2"),
        ("ema_decay=1.5", "ema_decay"),
        ("r1_gamma=nan", "r1_gamma"),
        ("stats_every=0", "stats_every"),
        ("grid_every=0", "grid_every"),
        ("grid_pictures=9000000000", "grid_pictures"),
        ("checkpoint_every=0", "checkpoint_every"),
        ("keep_checkpoints=0", "keep_checkpoints"),
        ("schedule.num_timesteps=0", "schedule.num_timesteps is 0"),
        ("schedule.num_timesteps=1000000000000", "schedule.num_timesteps"),
        ("schedule.beta_min=nan", "beta_min"),
        ("schedule.beta_max=inf", "beta_max"),
        ("schedule.use_geometric=true", "below 1"),
        ("generator.image_size=4", "image_size"),
        ("generator.image_size=30", "halved"),
        ("generator.image_size=1000000000", "generator.image_size"),
        ("generator.num_channels=3", "discriminator.num_channels is 1, expected 3"),
        ("generator.num_channels_dae=18", "num_channels_dae"),
        ("generator.num_channels_dae=9000000000000000000", "generator.num_channels_dae"),
        ("generator.ch_mult=[]", "generator.ch_mult"),
        ("generator.ch_mult=[1, 0]", "generator.ch_mult"),
        ("generator.ch_mult=[1, 1, 1, 1, 1, 1, 1, 1, 1]", "ch_mult"),
        ("generator.num_res_blocks=0", "generator.num_res_blocks"),
        ("generator.attn_resolutions=[7]", "generator.attn_resolutions is [7]"),
        ("generator.nz=0", "valid"),
        ("generator.nz=9000000000000000000", "generator.nz"),
        ("generator.z_emb_dim=9000000000000000000", "generator.z_emb_dim"),
        ("generator.n_mlp=1000", "generator.n_mlp"),
        ("generator.dropout=1", "generator.dropout"),
        ("generator.dropout=nan", "generator.dropout"),
        ("generator.fourier_scale=nan", "generator.fourier_scale"),
        ("generator.fir_kernel=[1]", "generator.fir_kernel"),
        ("generator.fir_kernel=[1, nan]", "generator.fir_kernel"),
        ("generator.fir_kernel=[1, -1.0000000001]", "generator.fir_kernel"),
        ("discriminator.size=large", "64x64"),
        ("discriminator.ngf=0", "discriminator.ngf"),
        ("discriminator.ngf=9000000000000000000", "discriminator.ngf"),
        ("discriminator.t_emb_dim=1", "discriminator.t_emb_dim"),
        ("discriminator.image_size=64", "discriminator.image_size is 64, expected 32"),
    ] {
        let layer = Layer::assignment(assignment).unwrap();
        let config = preset("digits").unwrap().overlaid(&[layer]).unwrap();
        match config.validate() {
            Err(error) => assert!(error.to_string().contains(words), "{assignment}: {error}"),
            Ok(()) => assert_eq!(words, "valid", "{assignment} passed"),
        }
    }
    let beyond_toml = TrainConfig { seed: u64::MAX, ..Default::default() };
    assert!(beyond_toml.validate().unwrap_err().to_string().contains("seed"));
    assert!(TrainConfig { lr_g: nan, ..Default::default() }.validate().is_err());
}

/// Neither the parser nor what it builds may use up the stack.
#[test]
fn what_is_nested_too_deep_is_an_error() {
    let (lists, tables) = ("[".repeat(100_000), "a.".repeat(100_000));
    for text in [format!("seed = {lists}"), format!("{tables}a = 1"), format!("[{tables}a]")] {
        assert!(Layer::parse(&text).is_err());
    }
    for assignment in [format!("seed={lists}"), format!("{tables}a=1"), format!("generator={{{tables}a=1}}")] {
        assert!(Layer::assignment(&assignment).is_err());
    }
}

/// Values as a file may have them: numbers near every edge, strings, lists, and things that are no value.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (0_i64..300).prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|x| format!("{x:?}")),
        prop::collection::vec(0_i64..70, 0..20).prop_map(|list| format!("{list:?}")),
        prop::collection::vec(any::<f64>(), 0..5).prop_map(|list| format!("{list:?}")),
        "true|false|nan|-inf|\"[a-z_]{0,12}\"|[a-z_]{0,12}|\\PC{0,12}",
    ]
}

/// Keys that are there, in tables that are there, and others.
fn key() -> impl Strategy<Value = String> {
    let text = preset("digits").unwrap().to_toml().unwrap();
    let keys: Vec<String> = text.lines().filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect();
    let table = "|generator\\.|discriminator\\.|schedule\\.|[a-z]{1,5}\\.";
    (table, prop_oneof![9 => prop::sample::select(keys), 1 => "\\PC{0,12}"]).prop_map(|(table, key)| table + &key)
}

proptest! {
    /// Whatever a file says, there is a configuration or an error, and a valid configuration survives its own file.
    #[test]
    fn no_file_makes_the_program_panic(lines in prop::collection::vec((key(), value()), 0..6)) {
        let text: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        if let Ok(layer) = Layer::parse(&text) {
            let config = preset("digits").unwrap().overlaid(&[layer]).unwrap();
            if config.validate().is_ok() {
                prop_assert!(Footprint::of(&config).unwrap().bytes > 0.0);
                prop_assert_eq!(TrainConfig::from_toml(&config.to_toml().unwrap()).unwrap(), config);
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}|[a-z_.\\[\\]= \"'\n0-9]{0,60}") {
        let _ = Layer::parse(&text);
        let _ = Layer::assignment(&text);
    }

    #[test]
    fn no_assignment_makes_the_program_panic(key in key(), value in value()) {
        if let Ok(layer) = Layer::assignment(&format!("{key}={value}")) {
            let _ = preset("digits").unwrap().overlaid(&[layer]).unwrap().validate();
        }
    }
}
