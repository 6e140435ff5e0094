//! The options of a generator from the names and shapes of its parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ddgan::checkpoint::Tensors;
use ddgan::checkpoint::published::published_shape;
use ddgan::models::ncsnpp::{Combine, EmbeddingType, ProgressiveInput, ProgressiveOutput, ResBlockType};
use ddgan::models::{Generator, GeneratorConfig};
use ddgan::tensor::Tensor;

/// Names and shapes without numbers.
struct Shapes(BTreeMap<String, Vec<usize>>);

impl Shapes {
    fn of(config: &GeneratorConfig) -> Shapes {
        let shape = |p: &ddgan::nn::Param| (p.name().to_owned(), published_shape(p.name(), p.shape()));
        Shapes(Generator::outline(config).unwrap().iter().map(shape).collect())
    }
}

impl Tensors for Shapes {
    fn path(&self) -> &Path {
        Path::new("shapes.pth")
    }

    fn names(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(Vec::as_slice)
    }

    fn is_float(&self, _: &str) -> bool {
        true
    }

    fn read(&mut self, _: &str) -> ddgan::Result<Tensor> {
        unreachable!("only names and shapes are asked for")
    }
}

fn infer(shapes: &Shapes, image_size: Option<usize>) -> ddgan::Result<GeneratorConfig> {
    GeneratorConfig::infer(shapes, &GeneratorConfig::default(), image_size)
}

#[test]
fn the_published_networks_without_any_hint() {
    let cifar10 = GeneratorConfig { n_mlp: 4, ..Default::default() };
    assert_eq!(infer(&Shapes::of(&cifar10), None).unwrap(), cifar10);
    let ch_mult = vec![1, 1, 2, 2, 4, 4];
    let celeba = GeneratorConfig { image_size: 256, num_channels_dae: 64, ch_mult, ..Default::default() };
    assert_eq!(infer(&Shapes::of(&celeba), None).unwrap(), celeba);
}

/// Every combination of the options that change names or shapes.
#[test]
fn every_option_that_shows() {
    let small = GeneratorConfig {
        image_size: 16,
        num_channels: 1,
        num_channels_dae: 8,
        ch_mult: vec![1, 2, 2],
        num_res_blocks: 1,
        attn_resolutions: vec![8, 4],
        nz: 3,
        z_emb_dim: 6,
        n_mlp: 1,
        ..Default::default()
    };
    let mut configs = vec![
        GeneratorConfig { conditional: false, ..small.clone() },
        GeneratorConfig { embedding_type: EmbeddingType::Fourier, ..small.clone() },
        GeneratorConfig { n_mlp: 0, attn_resolutions: vec![], ..small.clone() },
        GeneratorConfig { num_res_blocks: 3, ch_mult: vec![2], attn_resolutions: vec![], ..small.clone() },
        GeneratorConfig { num_res_blocks: 4, ch_mult: vec![1, 3], attn_resolutions: vec![16], ..small.clone() },
    ];
    let inputs = [ProgressiveInput::None, ProgressiveInput::InputSkip, ProgressiveInput::Residual];
    let outputs = [ProgressiveOutput::None, ProgressiveOutput::OutputSkip, ProgressiveOutput::Residual];
    for resblock_type in [ResBlockType::Biggan, ResBlockType::BigganOneadagn, ResBlockType::Ddpm] {
        for progressive_input in inputs {
            for progressive in outputs {
                for fir in [true, false] {
                    let config =
                        GeneratorConfig { resblock_type, progressive_input, progressive, fir, ..small.clone() };
                    configs.push(GeneratorConfig { progressive_combine: Combine::Cat, ..config.clone() });
                    configs.push(GeneratorConfig { resamp_with_conv: false, ..config.clone() });
                    configs.push(config);
                }
            }
        }
    }
    for config in configs {
        let shapes = Shapes::of(&config);
        let inferred = infer(&shapes, Some(16)).unwrap();
        assert!(inferred.fits(&shapes), "{config:?}\n{inferred:?}");
        // What does not show is as published.
        let GeneratorConfig { fir, resamp_with_conv, progressive_combine, .. } = config.clone();
        let inferred = GeneratorConfig { fir, resamp_with_conv, progressive_combine, ..inferred };
        assert_eq!(inferred, config);
    }
}

#[test]
fn other_networks_are_errors() {
    let error = |shapes: &Shapes, image_size| infer(shapes, image_size).unwrap_err().to_string();
    let mut shapes = Shapes::of(&GeneratorConfig::default());
    let said = error(&shapes, Some(36));
    assert!(said.contains("shapes.pth") && said.contains("36"), "{said}");
    shapes.0.remove("all_modules.20.NIN_1.W");
    shapes.0.insert("all_modules.39.bias".into(), vec![4]);
    let said = error(&shapes, None);
    assert!(said.contains("2 of them differ") && said.contains("all_modules.20.NIN_1.W"), "{said}");
    shapes.0.clear();
    assert!(error(&shapes, None).contains("no generator"));
    // A width that a tensor without numbers claims.
    shapes.0.insert("all_modules.0.weight".into(), vec![usize::MAX, 1, 0, 0]);
    shapes.0.insert("z_transform.1.weight".into(), vec![usize::MAX, usize::MAX]);
    shapes.0.insert("all_modules.3.Conv_0.weight".into(), vec![]);
    shapes.0.insert("all_modules.3.Dense_0.bias".into(), vec![usize::MAX]);
    error(&shapes, None);
}
