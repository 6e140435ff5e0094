use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::{Node, Var, Vjp, add, with_recording};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What becomes of the graph that a gradient is taken through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Graph {
    /// Taken apart on the way, so that saved values are freed as soon as they were used. It cannot be walked again.
    Free,
    /// Left as it is.
    Keep,
    /// Left as it is, and the gradients are recorded too: they can be differentiated again.
    Create,
}

/// The gradients of sum(y * grad_y) with respect to `xs`; `grad_y` is 1 everywhere if not given. `None` for an x
/// that has no influence on y. Visits only the nodes that lead from y to one of the xs.
///
/// Errors: a graph that was freed, or an operation that has no derivative of the order asked for.
pub fn grad(y: &Var, grad_y: Option<&Var>, xs: &[&Var], graph: Graph) -> Result<Vec<Option<Var>>> {
    let seed = match grad_y {
        Some(g) if g.shape() == y.shape() => g.clone(),
        Some(g) => return Err(Error::shape("grad", format!("a gradient of shape {:?}", y.shape()), g.shape())),
        None => Var::constant(Tensor::full(1.0, y.shape(), y.dtype(), &y.device())?),
    };
    let Some(root) = &y.node else {
        return Ok(vec![None; xs.len()]);
    };
    let targets: HashSet<u64> = xs.iter().filter_map(|x| x.node.as_ref()).map(|n| n.id).collect();
    with_recording(graph == Graph::Create, || {
        let mut todo = nodes_that_lead_to(&targets, root);
        let on_path: HashSet<u64> = todo.keys().copied().collect();
        let mut gradients: HashMap<u64, Var> = HashMap::from([(root.id, seed)]);
        // Descending ids: when a node's turn comes, all that was made from it has had its own.
        while let Some((id, node)) = todo.pop_last() {
            let gradient = if targets.contains(&id) { gradients.get(&id).cloned() } else { gradients.remove(&id) };
            let Some(gradient) = gradient else { continue };
            let wanted: Vec<bool> =
                node.parents.iter().map(|p| p.as_ref().is_some_and(|p| on_path.contains(&p.id))).collect();
            if !wanted.contains(&true) {
                continue;
            }
            let contributions = call_vjp(&node, graph, |vjp| vjp(&gradient, &wanted))?;
            debug_assert_eq!(contributions.len(), wanted.len(), "{} answers for another number of inputs", node.op);
            drop(gradient);
            for ((parent, contribution), wanted) in node.parents.iter().zip(contributions).zip(wanted) {
                let (Some(parent), Some(contribution), true) = (parent, contribution, wanted) else { continue };
                let sum = match gradients.remove(&parent.id) {
                    Some(earlier) => add(&earlier, &contribution)?,
                    None => contribution,
                };
                gradients.insert(parent.id, sum);
            }
        }
        Ok(xs.iter().map(|x| x.node.as_ref().and_then(|n| gradients.get(&n.id).cloned())).collect())
    })
}

/// The nodes behind `root` from which a target can be reached, by id. A target reaches itself.
fn nodes_that_lead_to(targets: &HashSet<u64>, root: &Arc<Node>) -> BTreeMap<u64, Arc<Node>> {
    let mut reachable: BTreeMap<u64, Arc<Node>> = BTreeMap::new();
    let mut stack = vec![root.clone()];
    while let Some(node) = stack.pop() {
        stack.extend(node.parents.iter().flatten().filter(|p| !reachable.contains_key(&p.id)).cloned());
        reachable.insert(node.id, node);
    }
    // Ascending ids: parents are decided before the nodes made from them.
    let mut leads = BTreeMap::new();
    for (id, node) in reachable {
        if targets.contains(&id) || node.parents.iter().flatten().any(|p| leads.contains_key(&p.id)) {
            leads.insert(id, node);
        }
    }
    leads
}

fn call_vjp<R>(node: &Node, graph: Graph, f: impl FnOnce(&Vjp) -> Result<R>) -> Result<R> {
    let mut slot = node.vjp.lock().expect("no VJP panicked");
    let Some(vjp) = slot.take() else {
        return Err(Error::Autograd {
            op: node.op,
            what: "the graph was freed by an earlier gradient; take that one with Graph::Keep".into(),
        });
    };
    let result = f(&vjp);
    if graph != Graph::Free {
        *slot = Some(vjp);
    }
    result
}
