//! The tape: reverse-mode differentiation of any order.
//!
//! A [`Var`] is a tensor that remembers how it was made. An operation gives each result a node with the vector-
//! Jacobian product (VJP) of its inputs, written in operations on `Var`s; walking the nodes backwards with recording
//! on makes the gradient itself differentiable. The tape knows no operation but addition, which sums the gradients
//! of a value that was used more than once.

mod add;
mod grad;

pub use add::add;
pub use grad::{Graph, grad};

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::Result;
use crate::backend::Storage;
use crate::tensor::{DType, Device, Tensor};

/// Gradients of an operation's inputs from the gradient of its output. `wanted[i]` tells whether anyone needs input
/// i's; the answer has one entry an input, `None` where it was not wanted or is zero.
type Vjp = Box<dyn Fn(&Var, &[bool]) -> Result<Vec<Option<Var>>> + Send + Sync>;

struct Node {
    id: u64,
    op: &'static str,
    /// The nodes of the inputs, `None` for constants. Values are held by the VJP alone, so that dropping it frees them.
    parents: Vec<Option<Arc<Node>>>,
    vjp: Mutex<Option<Vjp>>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Node {
    fn new(op: &'static str, parents: Vec<Option<Arc<Node>>>, vjp: Option<Vjp>) -> Arc<Node> {
        // Ids grow along every path from inputs to outputs: descending order is a valid order to walk back.
        Arc::new(Node { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), op, parents, vjp: Mutex::new(vjp) })
    }

    /// Drops the saved values and hands over the parents.
    fn release(&mut self, orphans: &mut Vec<Arc<Node>>) {
        // Parents first: while `orphans` holds them, dropping the VJP's references to them drops no node.
        orphans.extend(self.parents.drain(..).flatten());
        if let Ok(vjp) = self.vjp.get_mut() {
            *vjp = None;
        }
    }
}

impl Drop for Node {
    /// Takes a chain of nodes apart in a loop: dropped one inside the other, a deep graph would overflow the stack.
    fn drop(&mut self) {
        let mut orphans = Vec::new();
        self.release(&mut orphans);
        while let Some(node) = orphans.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                node.release(&mut orphans);
            }
        }
    }
}

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
}

/// Runs `f` without recording: what it computes are constants.
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    with_recording(false, f)
}

fn with_recording<R>(on: bool, f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            RECORDING.set(self.0);
        }
    }
    let _restore = Restore(RECORDING.replace(on));
    f()
}

/// A tensor and, unless it is a constant, its place on the tape.
#[derive(Clone)]
pub struct Var {
    value: Tensor,
    node: Option<Arc<Node>>,
}

impl Var {
    /// A value without history.
    pub fn constant(value: Tensor) -> Var {
        Var { value, node: None }
    }

    /// A value that gradients can be asked for: a parameter, or an input.
    pub fn leaf(value: Tensor) -> Var {
        Var { value, node: Some(Node::new("leaf", Vec::new(), None)) }
    }

    /// The result of an operation on `inputs`. `vjp` is kept only if recording is on and some input has a history.
    /// It must not capture the result itself, which would never be freed: recompute from the inputs.
    pub fn from_op<F>(op: &'static str, value: Tensor, inputs: &[&Var], vjp: F) -> Var
    where
        F: Fn(&Var, &[bool]) -> Result<Vec<Option<Var>>> + Send + Sync + 'static,
    {
        if !RECORDING.get() || inputs.iter().all(|v| v.node.is_none()) {
            return Var::constant(value);
        }
        let parents = inputs.iter().map(|v| v.node.clone()).collect();
        Var { value, node: Some(Node::new(op, parents, Some(Box::new(vjp)))) }
    }

    pub fn value(&self) -> &Tensor {
        &self.value
    }

    pub(crate) fn storage(&self) -> &Storage {
        self.value.storage()
    }

    pub fn into_value(self) -> Tensor {
        self.value
    }

    /// The same value without history.
    pub fn detach(&self) -> Var {
        Var::constant(self.value.clone())
    }

    /// Whether an operation on this value would be recorded now.
    pub fn is_tracked(&self) -> bool {
        RECORDING.get() && self.node.is_some()
    }

    pub fn shape(&self) -> &[usize] {
        self.value.shape()
    }

    pub fn dtype(&self) -> DType {
        self.value.dtype()
    }

    pub fn device(&self) -> Device {
        self.value.device()
    }
}

impl std::fmt::Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let op = self.node.as_ref().map_or("constant", |n| n.op);
        write!(f, "Var({op}) {:?} {}", self.shape(), self.dtype())
    }
}
