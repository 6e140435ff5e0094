//! A network's parameters: named tensors that an optimizer replaces while the layers keep a handle to them.

use std::fmt::Display;
use std::sync::{Arc, Mutex};

use super::init::Init;
use crate::autograd::Var;
use crate::tensor::{DType, Device, Tensor};
use crate::{Error, Result, ops};

/// A named tensor of a network. Clones are handles to the same parameter.
#[derive(Clone)]
pub struct Param(Arc<Inner>);

struct Inner {
    name: String,
    shape: Vec<usize>,
    trainable: bool,
    /// `None` only while `update` works on the tensor.
    var: Mutex<Option<Var>>,
}

const HELD: &str = "no update of a parameter panicked";

impl Param {
    /// A parameter that gradients can be asked for.
    pub fn new(name: impl Into<String>, value: Tensor) -> Self {
        let shape = value.shape().to_vec();
        Self::make(name.into(), shape, value, true)
    }

    fn make(name: String, shape: Vec<usize>, value: Tensor, trainable: bool) -> Self {
        let var = Mutex::new(Some(track(value, trainable)));
        Param(Arc::new(Inner { name, shape, trainable, var }))
    }

    /// The published name, without the `module.` that data-parallel training puts before it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The shape in memory: convolution weights are [K, R, S, C].
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Whether an optimizer may change it. A network's fixed tensors (the frequencies of a Fourier embedding) are
    /// parameters too, because checkpoints carry them; their `var` is a constant.
    pub fn is_trainable(&self) -> bool {
        self.0.trainable
    }

    /// The parameter as a leaf of the tape. The same leaf until the value changes.
    pub fn var(&self) -> Var {
        self.0.var.lock().expect(HELD).clone().expect(HELD)
    }

    /// The parameter for a computation in `dtype`; its gradient is of the parameter's own type.
    pub fn var_in(&self, dtype: DType) -> Result<Var> {
        ops::cast(&self.var(), dtype)
    }

    pub fn value(&self) -> Tensor {
        self.var().into_value()
    }

    /// Where the value is in its device's memory, if nobody else holds it.
    pub fn own_place(&self) -> Option<u64> {
        self.0.var.lock().expect(HELD).as_ref().expect(HELD).value().own_place()
    }

    /// Replaces the value. Errors if the new one has another shape, type or device.
    pub fn set(&self, value: Tensor) -> Result<()> {
        let mut slot = self.0.var.lock().expect(HELD);
        let old = slot.as_ref().expect(HELD);
        if value.shape() != old.shape() || value.dtype() != old.dtype() || value.device() != old.device() {
            let expected = format!("{:?} {} for {}", old.shape(), old.dtype(), self.name());
            return Err(Error::shape("Param::set", expected, value));
        }
        *slot = Some(track(value, self.0.trainable));
        Ok(())
    }

    /// Moves the value to a device; what is trainable becomes `dtype`, what is not keeps all of its digits.
    pub fn move_to(&self, dtype: DType, device: &Device) -> Result<()> {
        let dtype = if self.0.trainable { dtype } else { dtype.wide() };
        let moved = self.value().to(dtype, device)?;
        *self.0.var.lock().expect(HELD) = Some(track(moved, self.0.trainable));
        Ok(())
    }

    /// Lets `f` change the values of parameters, no two of them the same: in place where nobody else holds the tensor,
    /// else on a copy. What was computed from the old values keeps them.
    pub fn update<R>(params: &[&Param], f: impl FnOnce(&mut [Tensor]) -> R) -> R {
        let mut slots: Vec<_> = params.iter().map(|param| param.0.var.lock().expect(HELD)).collect();
        let mut values: Vec<_> = slots.iter_mut().map(|slot| slot.take().expect(HELD).into_value()).collect();
        let result = f(&mut values);
        for ((param, slot), value) in params.iter().zip(&mut slots).zip(values) {
            assert_eq!(value.shape(), param.shape(), "{} must keep its shape", param.name());
            **slot = Some(track(value, param.0.trainable));
        }
        result
    }
}

fn track(value: Tensor, trainable: bool) -> Var {
    if trainable { Var::leaf(value) } else { Var::constant(value) }
}

impl std::fmt::Debug for Param {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Param {} {:?}", self.name(), self.shape())
    }
}

/// Numbers in all of the parameters.
pub fn count(params: &[Param]) -> u128 {
    params.iter().map(|param| param.shape().iter().map(|&n| n as u128).product::<u128>()).sum()
}

/// Where layers register their parameters while a network is built: the order of registration is the published
/// order, the path of scopes the published name.
pub struct Scope<'a> {
    path: String,
    values: Option<Values>,
    params: &'a mut Vec<Param>,
}

/// What the first values of parameters depend on.
#[derive(Clone, Copy)]
struct Values {
    seed: u64,
    dtype: DType,
}

impl<'a> Scope<'a> {
    /// The scope of a whole network, whose parameters are appended to `params`. The CPU draws them, for bf16 in f32.
    pub fn root(seed: u64, dtype: DType, params: &'a mut Vec<Param>) -> Self {
        Scope { path: String::new(), values: Some(Values { seed, dtype: dtype.wide() }), params }
    }

    /// The scope of a network of which only the names and shapes of its parameters are wanted: they hold no numbers, so
    /// that a network which no memory could hold can be counted. It must not be run.
    pub fn outline(params: &'a mut Vec<Param>) -> Self {
        Scope { path: String::new(), values: None, params }
    }

    /// The scope of the part called `name`.
    pub fn child(&mut self, name: impl Display) -> Scope<'_> {
        Scope { path: self.path_of(&name), values: self.values, params: self.params }
    }

    /// Registers a trainable parameter. Its first value depends on the seed and its full name alone.
    pub fn param(&mut self, name: &str, shape: &[usize], init: Init) -> Param {
        self.register(name, shape, init, true)
    }

    /// Registers a tensor that belongs to the checkpoint but is never trained.
    pub fn fixed(&mut self, name: &str, shape: &[usize], init: Init) -> Param {
        self.register(name, shape, init, false)
    }

    fn register(&mut self, name: &str, shape: &[usize], init: Init, trainable: bool) -> Param {
        let name = self.path_of(&name);
        let value = match self.values {
            Some(Values { seed, dtype }) => init.tensor(shape, &name, seed, dtype),
            None => Tensor::from_f32(&[], [0]),
        };
        let param = Param::make(name, shape.to_vec(), value, trainable);
        self.params.push(param.clone());
        param
    }

    /// The full name of the part or parameter called `name`.
    pub fn path_of(&self, name: &impl Display) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }

    /// The full name of this part.
    pub fn path(&self) -> &str {
        &self.path
    }
}
