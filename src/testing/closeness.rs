//! How near two lists of numbers are, as a whole and element by element.

/// |got - want| / max(|want|, floor) in the 2-norm; 0 if both are nothing at all. Not a number if any of `got` is not.
///
/// The floor keeps rounding errors in a list that should vanish from counting as an error of its whole size.
pub fn relative_error(got: &[f64], want: &[f64], floor: f64) -> f64 {
    if got.len() != want.len() {
        return f64::INFINITY;
    }
    let difference = norm(got.iter().zip(want).map(|(g, w)| g - w));
    let size = norm(want.iter().copied()).max(floor);
    if difference == 0.0 { 0.0 } else { difference / size }
}

/// The 2-norm.
pub fn norm(x: impl IntoIterator<Item = f64>) -> f64 {
    x.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// How far an element may be off: atol + rtol * |want|.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    pub atol: f64,
    pub rtol: f64,
}

/// Compares element by element. The error tells the element that is furthest beyond its tolerance.
pub fn check_close(what: &str, got: &[f64], want: &[f64], tolerance: Tolerance) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{what}: {} elements, want {}", got.len(), want.len()));
    }
    // How many times over the tolerance; what cannot be compared is furthest of all.
    let excess = |(&got, &want): (&f64, &f64)| {
        let allowed = tolerance.atol + tolerance.rtol * want.abs();
        let difference = (got - want).abs();
        match difference / allowed {
            _ if got == want => 0.0,
            ratio if ratio.is_nan() => f64::INFINITY,
            ratio => ratio,
        }
    };
    let worst = got.iter().zip(want).map(excess).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    match worst {
        Some((index, ratio)) if ratio > 1.0 => Err(format!(
            "{what}: element {index} is {:e}, want {:e}; {ratio:.3} times the tolerance of {:e} + {:e} * |want|",
            got[index], want[index], tolerance.atol, tolerance.rtol
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_error_of_right_and_wrong_answers() {
        assert_eq!(relative_error(&[3.0, 4.0], &[3.0, 4.0], 0.0), 0.0);
        assert_eq!(relative_error(&[3.0, 4.5], &[3.0, 4.0], 0.0), 0.1);
        assert_eq!(relative_error(&[0.0], &[0.0], 0.0), 0.0);
        assert_eq!(relative_error(&[1e-9], &[0.0], 0.0), f64::INFINITY);
        assert_eq!(relative_error(&[1e-9], &[0.0], 1e-3), 1e-6);
        assert_eq!(relative_error(&[1.0], &[1.0, 1.0], 1.0), f64::INFINITY);
        assert!(relative_error(&[1.0, f64::NAN], &[1.0, 1.0], 0.0).is_nan());
    }

    #[test]
    fn the_worst_element_is_named() {
        let tolerance = Tolerance { atol: 1e-3, rtol: 1e-2 };
        let want = [1.0, 0.0, -100.0, 5.0];
        assert_eq!(check_close("x", &[1.01, 0.0009, -101.0, 5.0], &want, tolerance), Ok(()));
        for (index, got) in [
            (1, [1.0, 0.002, -100.5, 5.0]),
            (2, [1.012, 0.0, -200.0, 5.0]),
            (3, [1.0, 0.0, -100.0, f64::NAN]),
            (0, [f64::INFINITY, 0.002, -100.0, 5.0]),
        ] {
            let error = check_close("x", &got, &want, tolerance).unwrap_err();
            assert!(error.contains(&format!("element {index} ")), "{error}");
        }
    }

    #[test]
    fn lengths_and_exactness() {
        let exact = Tolerance { atol: 0.0, rtol: 0.0 };
        assert_eq!(check_close("x", &[0.0, 1.0], &[0.0, 1.0], exact), Ok(()));
        assert!(check_close("x", &[0.0, 1.0 + 1e-15], &[0.0, 1.0], exact).is_err());
        assert!(check_close("x", &[0.0], &[0.0, 1.0], exact).is_err());
    }
}
