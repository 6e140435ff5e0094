//! Derivatives of every operation against finite differences, f32 against f64, and the tape itself.

use ddgan::autograd::{Graph, Var, grad, no_grad};
use ddgan::tensor::{self, DType, Device, Key, Tensor};
use ddgan::testing::{cases, check_gradients};
use ddgan::{Error, Result, ops};

#[test]
fn every_operation_has_the_derivatives_it_claims() {
    let failures: Vec<String> = cases::all()
        .iter()
        .filter(|case| !case.real && case.order > 0)
        .filter_map(|case| {
            let f = |x: &[Var]| case.run(x);
            check_gradients(&f, &case.inputs(DType::F64), case.order, 1).err().map(|e| format!("{case}: {e}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// An operation that claims only first derivatives refuses the second by name, and never gives a silent zero.
#[test]
fn operations_without_a_second_derivative_say_so() {
    let first_order: Vec<_> = cases::all().into_iter().filter(|c| !c.real && c.order == 1).collect();
    assert!(!first_order.is_empty());
    for case in first_order {
        let f = |x: &[Var]| case.run(x);
        match check_gradients(&f, &case.inputs(DType::F64), 2, 1) {
            Err(Error::Autograd { op, .. }) => assert_eq!(op, case.op),
            other => panic!("{case}: {other:?}"),
        }
    }
}

/// y = x^3 with a wrong derivative: every kind of mistake must be found.
#[test]
fn the_gradient_check_finds_wrong_gradients() {
    fn cube(x: &Var, derivative: fn(&Var) -> Result<Option<Var>>) -> Result<Var> {
        let y = no_grad(|| ops::power(x, 3.0))?;
        let saved = x.clone();
        Ok(Var::from_op("cube", y.into_value(), &[x], move |g, _| {
            Ok(vec![derivative(&saved)?.map(|d| ops::mul(g, &d)).transpose()?])
        }))
    }
    let x = [Tensor::from_f64(&[0.5, 1.0, 1.5, 2.0, 2.5], [5])];
    let check = |derivative, order| check_gradients(&|x| cube(&x[0], derivative), &x, order, 3);

    check(|x| Ok(Some(ops::affine(&ops::mul(x, x)?, 3.0, 0.0)?)), 3).expect("the right one passes");
    check(|x| Ok(Some(ops::affine(&ops::mul(x, x)?, 3.0001, 0.0)?)), 1).expect_err("wrong by a factor");
    check(|_| Ok(None), 1).expect_err("missing");
    let one_wrong = |x: &Var| {
        let mut d: Vec<f64> = x.value().to_f64().iter().map(|x| 3.0 * x * x).collect();
        d[3] += 1e-4;
        Ok(Some(Var::constant(Tensor::from_f64(&d, [5]))))
    };
    check(one_wrong, 1).expect_err("wrong in one element");
    let not_differentiable = |x: &Var| Ok(Some(ops::affine(&ops::mul(x, x)?, 3.0, 0.0)?.detach()));
    check(not_differentiable, 1).expect("right to the first order");
    check(not_differentiable, 2).expect_err("the second derivative is lost");
}

/// The fast f32 kernels against the plain f64 loops, forward and all gradients, on real and ugly shapes.
#[test]
fn f32_agrees_with_f64() {
    let evaluate = |case: &cases::Case, dtype: DType| -> Result<Vec<Tensor>> {
        let inputs: Vec<Var> = case.inputs(dtype).into_iter().map(Var::leaf).collect();
        let y = case.run(&inputs)?;
        let dy = tensor::normal(y.shape(), Key { seed: 1, stream: 1 }, DType::F32, &Device::Cpu)?.cast(dtype)?;
        let dy = Var::constant(dy);
        let gradients = grad(&y, Some(&dy), &inputs.iter().collect::<Vec<_>>(), Graph::Free)?;
        Ok([dy, y].into_iter().chain(gradients.into_iter().flatten()).map(Var::into_value).collect())
    };
    let mut failures = Vec::new();
    for case in cases::all() {
        // Minutes each in plain f64 loops. The convolution's own tests compare such layers at smaller batches.
        if case.real && case.flops > 1e9 {
            continue;
        }
        let (single, double) = (evaluate(&case, DType::F32).unwrap(), evaluate(&case, DType::F64).unwrap());
        assert_eq!(single.len(), double.len());
        let incoming = norm(double[0].to_f64());
        for (i, (a, b)) in single.iter().zip(&double).enumerate().skip(1) {
            // f32 rounds at 6e-8; sums of some thousands of terms lose two digits more. A gradient that nearly cancels
            // (as through a normalisation of two numbers) is as exact as the terms that cancel.
            let scale = norm(b.to_f64()).max(incoming);
            let error = norm(a.to_f64().iter().zip(b.to_f64()).map(|(a, b)| a - b)) / scale;
            if error > 1e-5 || error.is_nan() {
                failures.push(format!("{case}: result {i} differs by {error:e}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn norm(v: impl IntoIterator<Item = f64>) -> f64 {
    v.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn scalar(x: f64) -> Tensor {
    Tensor::from_f64(&[x], [])
}

#[test]
fn a_value_used_twice_gets_both_gradients() {
    let x = Var::leaf(scalar(3.0));
    let square = ops::mul(&x, &x).unwrap();
    let y = ops::add(&ops::mul(&square, &x).unwrap(), &square).unwrap(); // x^3 + x^2
    let dx = grad(&y, None, &[&x], Graph::Free).unwrap().remove(0).unwrap();
    assert_eq!(dx.value().item(), 3.0 * 9.0 + 2.0 * 3.0);
}

#[test]
fn a_kept_graph_can_be_walked_again_and_a_freed_one_says_so() {
    let x = Var::leaf(scalar(2.0));
    let y = ops::mul(&x, &x).unwrap();
    for _ in 0..2 {
        let dx = grad(&y, None, &[&x], Graph::Keep).unwrap().remove(0).unwrap();
        assert_eq!(dx.value().item(), 4.0);
        assert!(!dx.is_tracked());
    }
    grad(&y, None, &[&x], Graph::Free).unwrap();
    let error = grad(&y, None, &[&x], Graph::Free).unwrap_err().to_string();
    assert!(error.contains("mul") && error.contains("freed"), "{error}");
}

#[test]
fn only_what_leads_to_the_wanted_inputs_is_visited() {
    let (x, w) = (Var::leaf(scalar(2.0)), Var::leaf(scalar(5.0)));
    // An operation with a derivative for x alone; asking for w's would be an error.
    let y = Var::from_op("picky", scalar(10.0), &[&x, &w], |g, wanted| {
        assert_eq!(wanted, [true, false], "visited for an input that nobody wanted");
        Ok(vec![Some(g.clone()), None])
    });
    assert_eq!(grad(&y, None, &[&x], Graph::Keep).unwrap().remove(0).unwrap().value().item(), 1.0);
    let unrelated = Var::leaf(scalar(1.0));
    assert!(grad(&y, None, &[&unrelated], Graph::Keep).unwrap()[0].is_none());
}

#[test]
fn no_grad_records_nothing_and_ends_with_its_closure() {
    let x = Var::leaf(scalar(2.0));
    assert!(!no_grad(|| ops::mul(&x, &x)).unwrap().is_tracked());
    assert!(ops::mul(&x, &x).unwrap().is_tracked());
}

/// Dropped one inside the other, so long a chain would overflow a test thread's stack.
#[test]
fn a_long_chain_is_freed() {
    let x = Var::leaf(scalar(1.0));
    let mut y = x.clone();
    for _ in 0..200_000 {
        y = ops::affine(&y, 1.0, 0.0).unwrap();
    }
    drop(y);
}

#[test]
fn mistakes_in_shapes_name_the_operation() {
    let var = |shape: &[usize]| Var::constant(Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap());
    let conv = ops::conv2d(&var(&[1, 4, 4, 3]), &var(&[2, 3, 3, 5]), &ops::Conv2dOptions::same(3), &Default::default());
    let error = conv.unwrap_err().to_string();
    assert!(error.contains("conv2d") && error.contains("3 channels"), "{error}");
    let error = ops::add(&var(&[2]), &var(&[3])).unwrap_err().to_string();
    assert!(error.contains("add") && error.contains("[2]") && error.contains("[3]"), "{error}");
    let options = ops::GroupNormOptions { groups: 3, eps: 1e-6, silu: false };
    let error = ops::group_norm(&var(&[1, 2, 2, 4]), &var(&[4]), &var(&[4]), &options).unwrap_err().to_string();
    assert!(error.contains("group_norm") && error.contains("3 groups"), "{error}");
}
