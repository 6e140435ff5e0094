//! Profiles in the format of Chrome's tracing, which Perfetto (ui.perfetto.dev) opens.

use serde_json::{Value, json};

use super::Profile;
use crate::backend::trace::Operation;

/// Each profile is a process; its operations are one thread, the kernels of a GPU another. Times are in microseconds.
pub fn chrome_trace(profiles: &[Profile]) -> Value {
    let mut events = Vec::new();
    for (pid, profile) in profiles.iter().enumerate() {
        let name = format!("{:?} on {}", profile.part, profile.device);
        events.push(json!({"name": "process_name", "ph": "M", "pid": pid, "args": {"name": name}}));
        for (tid, name) in ["operations", "kernels"].into_iter().enumerate() {
            events.push(json!({"name": "thread_name", "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}));
        }
        events.extend(profile.operations.iter().flat_map(|operation| of_operation(pid, operation)));
    }
    json!({"traceEvents": events, "displayTimeUnit": "ms"})
}

fn of_operation(pid: usize, operation: &Operation) -> Vec<Value> {
    let Operation { op, kernel, sizes, start, seconds, bytes, flops, launches } = operation;
    let event = |name: &str, tid: usize, start: f64, seconds: f64, args: Value| {
        json!({"name": name, "cat": op, "ph": "X", "pid": pid, "tid": tid, "ts": 1e6 * start, "dur": 1e6 * seconds,
            "args": args})
    };
    // On a GPU an operation lasts from its first kernel to its last.
    let [start, seconds] = match (launches.first(), launches.last()) {
        (Some(first), Some(last)) => [first.start, last.start + last.seconds - first.start],
        _ => [*start, *seconds],
    };
    let args = json!({"sizes": sizes, "bytes": bytes, "flops": flops});
    let mut events = vec![event(&format!("{op}::{kernel}"), 0, start, seconds, args)];
    events.extend(launches.iter().map(|launch| event(&launch.kernel, 1, launch.start, launch.seconds, json!({}))));
    events
}
