//! What wrong kernels and wrong launches look like: all of them must be seen, as an error or as wrong numbers.

use cudarc::driver::DriverError;

use crate::gpu::{Argument, Argument::*, CHECKED, Gpu, Shape, difference, numbers, pointer};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    /// The launch, or a copy after it, gives an error.
    Error(&'static str),
    /// The numbers are wrong: comparing with the CPU finds it.
    Wrong,
    /// Nothing is to be seen.
    Nothing,
}
use Seen::*;

const ADDRESS: Seen = Error("ILLEGAL_ADDRESS");
const FAILED: Seen = Error("LAUNCH_FAILED");
const MISALIGNED: Seen = Error("MISALIGNED_ADDRESS");
const INVALID: Seen = Error("INVALID_VALUE");

/// The result of one launch against what is wanted of it.
fn judge(result: Result<Vec<f32>, DriverError>, want: &[f32]) -> Seen {
    const NAMES: [&str; 6] =
        ["ILLEGAL_ADDRESS", "LAUNCH_FAILED", "MISALIGNED_ADDRESS", "INVALID_VALUE", "ASSERT", "NOT_FOUND"];
    match result {
        Ok(got) if difference(&got, want) < 1e-4 => Nothing,
        Ok(_) => Wrong,
        Err(error) => {
            let name = format!("{:?}", error.0);
            Error(NAMES.into_iter().find(|n| name == format!("CUDA_ERROR_{n}")).expect("one of those"))
        }
    }
}

/// Launches `kernel(out [n], in [inputs]?, ints ..)` and compares out with what is wanted.
struct Case {
    kernel: &'static str,
    inputs: usize,
    ints: Vec<i32>,
    shape: Shape,
    want: Vec<f32>,
}

fn input() -> Vec<f32> {
    numbers(1024, 11)
}

fn case(kernel: &'static str, inputs: usize, ints: &[i32], (blocks, threads): (u32, u32), want: Vec<f32>) -> Case {
    Case { kernel, inputs, ints: ints.to_vec(), shape: Shape::new(blocks, threads), want }
}

impl Case {
    fn shared(mut self, bytes: u32) -> Case {
        self.shape.2 = bytes;
        self
    }

    fn run(&self) -> Seen {
        let Some(g) = Gpu::with_mistakes() else { return Nothing };
        let s = &g.stream;
        let (out, input) = (g.scratch::<f32>(self.want.len()), s.clone_htod(&input()[..self.inputs]).unwrap());
        let mut arguments = vec![pointer(s, &out)];
        if self.inputs > 0 {
            arguments.push(pointer(s, &input));
        }
        arguments.extend(self.ints.iter().map(|&i| Int(i)));
        let result = g.launch(self.kernel, self.shape, &arguments);
        judge(result.and_then(|()| s.clone_dtoh(&out)), &self.want)
    }
}

/// Runs a table of (mistake, what the plain build sees, what the checked build sees).
#[track_caller]
fn check(table: Vec<(&str, Case, Seen, Seen)>) {
    if Gpu::with_mistakes().is_none() {
        return;
    }
    let mut differences = Vec::new();
    for (mistake, case, plain, checked) in table {
        let (seen, expected) = (case.run(), if CHECKED { checked } else { plain });
        if seen != expected {
            differences.push(format!("{mistake}: {seen:?}, expected {expected:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn reversed(n: usize) -> Vec<f32> {
    input()[..n].chunks(256).flat_map(|c| c.iter().rev().copied().collect::<Vec<_>>()).collect()
}

fn sums(n: usize) -> Vec<f32> {
    let x = input();
    (0..n).map(|i| x[i] + x[i + 1]).collect()
}

#[test]
fn bounds_of_global_memory() {
    let ones = |n| vec![1.0; n];
    check(vec![
        ("writes past the end of 1024 bytes", case("write_past_end", 0, &[256], (2, 256), ones(256)), ADDRESS, ADDRESS),
        ("writes past the end of 1020 bytes", case("write_past_end", 0, &[255], (1, 256), ones(255)), ADDRESS, ADDRESS),
        ("reads past the end of 1024 bytes", case("read_past_end", 256, &[256], (1, 256), sums(256)), ADDRESS, ADDRESS),
        ("reads past the end of 1020 bytes", case("read_past_end", 255, &[255], (1, 256), sums(255)), Wrong, ADDRESS),
        ("writes before the start", case("write_before", 0, &[256], (1, 256), ones(256)), ADDRESS, ADDRESS),
        ("rows and columns", case("wrong_stride", 0, &[40, 300], (47, 256), ones(40 * 300)), ADDRESS, ADDRESS),
    ]);
}

#[test]
fn shapes_of_launches() {
    let too_little = case("dynamic_shared", 0, &[], (1, 256), vec![1.0; 256]);
    check(vec![
        ("none: reverse", case("reverse", 1024, &[], (4, 256), reversed(1024)), Nothing, Nothing),
        ("grid too small", case("reverse", 1024, &[], (3, 256), reversed(1024)), Wrong, Wrong),
        ("grid too large", case("reverse", 1024, &[], (5, 256), reversed(1024)), ADDRESS, ADDRESS),
        ("block too small", case("reverse", 256, &[], (1, 128), reversed(256)), Wrong, FAILED),
        ("block of 1025", case("reverse", 256, &[], (1, 1025), reversed(256)), INVALID, INVALID),
        ("no blocks", case("reverse", 256, &[], (0, 256), reversed(256)), INVALID, INVALID),
        ("4 bytes of shared memory too few", too_little.shared(1020), ADDRESS, ADDRESS),
        (
            "16 bytes of shared memory too few",
            case("dynamic_shared", 0, &[], (1, 256), vec![1.0; 256]).shared(1008),
            ADDRESS,
            ADDRESS,
        ),
        (
            "more than 48 KiB without asking",
            case("dynamic_shared", 0, &[], (1, 256), vec![1.0; 256]).shared(50_000),
            INVALID,
            INVALID,
        ),
    ]);
}

#[test]
fn synchronisation() {
    let x = input();
    let sums = (0..256).map(|i| (0..4).map(|t| x[t * 256 + 255 - i]).sum()).collect();
    let copied = x[..128].iter().rev().copied().collect();
    let total = vec![x[..32].iter().sum(); 32];
    let descending = (0..32).map(|i| 31.0 - i as f32).collect();
    check(vec![
        ("no barrier between write and read", case("no_barrier", 256, &[], (1, 256), reversed(256)), Wrong, FAILED),
        ("no barrier before the next write", case("no_barrier_in_loop", 1024, &[4], (1, 256), sums), Wrong, FAILED),
        ("counts on lock step", case("lock_step", 32, &[], (1, 32), total), Wrong, FAILED),
        ("a shuffle for a barrier", case("shuffle_for_barrier", 0, &[], (1, 32), descending), Nothing, FAILED),
        ("a counter without atomicAdd", case("lost_update", 0, &[], (1, 64), vec![64.0; 64]), Nothing, FAILED),
        ("none: halves of words", case("halves_in_place", 0, &[0], (1, 64), vec![1.0; 32]), Nothing, Nothing),
        ("another's half of a word", case("halves_in_place", 0, &[2], (1, 64), vec![1.0; 32]), Nothing, FAILED),
        ("barriers in both branches", case("divergent_barrier", 0, &[], (1, 32), vec![1.0; 32]), FAILED, FAILED),
        ("a shuffle of all in a branch", case("shuffle_in_branch", 0, &[], (1, 32), vec![0.0; 32]), FAILED, FAILED),
        (
            "a shuffle of all after an exit",
            case("shuffle_after_exit", 0, &[20], (1, 32), vec![0.0; 32]),
            FAILED,
            FAILED,
        ),
        ("reads what was never written", case("uninitialised_shared", 0, &[], (1, 64), vec![1.0; 64]), Wrong, FAILED),
        ("cp.async without a wait", case("no_copy_wait", 128, &[], (1, 32), copied), Wrong, FAILED),
    ]);
}

#[test]
fn single_threads() {
    let zeros = || vec![0.0; 32];
    let shared = case("shared_index", 0, &[32], (1, 64), vec![1.0; 64]);
    check(vec![
        ("index past a shared array", shared, ADDRESS, ADDRESS),
        ("index past a local array", case("local_index", 0, &[4], (1, 32), zeros()), ADDRESS, ADDRESS),
        ("a misaligned float4", case("misaligned", 160, &[], (1, 32), zeros()), MISALIGNED, MISALIGNED),
        ("division by zero", case("divide", 0, &[0], (1, 32), zeros()), FAILED, FAILED),
        ("a failed assertion", case("asserts", 0, &[31], (1, 32), zeros()), Error("ASSERT"), Error("ASSERT")),
        ("a stack that overflows", case("large_stack", 0, &[1], (1, 32), zeros()), FAILED, FAILED),
    ]);
}

/// Without the typed functions that the build writes, this is what the driver sees.
#[test]
fn arguments() {
    let Some(g) = Gpu::with_mistakes() else { return };
    let s = &g.stream;
    let (m, n, k) = (64, 16, 48);
    let (a, b) = (numbers(m * k, 1), numbers(n * k, 2));
    let entry = |i: usize| (0..k).map(|j| a[i / n * k + j] * b[i % n * k + j]).sum();
    let want: Vec<f32> = (0..m * n).map(entry).collect();
    let (da, db) = (s.clone_htod(&a).unwrap(), s.clone_htod(&b).unwrap());
    let out = |n: usize| g.scratch::<f32>(n);
    let run = |arguments: &dyn Fn(Argument) -> Vec<Argument>, len: usize| {
        let c = out(len);
        let result = g.launch("product", Shape::new(4, 256), &arguments(pointer(s, &c)));
        judge(result.and_then(|()| s.clone_dtoh(&c)), &want[..len])
    };
    let (a, b, [m, n, k]) = (pointer(s, &da), pointer(s, &db), [m, n, k].map(|x| Int(x as i32)));
    let freed = pointer(s, &s.clone_htod(&[0f32; 4096]).unwrap());
    let on_host = [0f32; 16];
    let host = Pointer(on_host.as_ptr() as u64);
    assert_eq!(run(&|c| vec![c, a, b, m, n, k], want.len()), Nothing);
    for (mistake, seen, expected) in [
        ("two pointers swapped", run(&|c| vec![c, b, a, m, n, k], want.len()), ADDRESS),
        ("a pointer and an int swapped", run(&|c| vec![c, a, m, b, n, k], want.len()), INVALID),
        ("two ints swapped", run(&|c| vec![c, a, b, k, n, m], want.len()), ADDRESS),
        ("an argument too few", run(&|c| vec![c, a, b, m, n], want.len()), INVALID),
        ("a host's pointer", run(&|c| vec![c, host, b, m, n, k], want.len()), INVALID),
        ("a freed pointer", run(&|c| vec![c, freed, b, m, n, k], want.len()), INVALID),
        ("an output too small", run(&|c| vec![c, a, b, m, n, k], want.len() - 1), ADDRESS),
        // Seen by nobody here: the width of an argument. The typed functions are for that.
        ("a long for an int", run(&|c| vec![c, a, b, Long(64 | 7 << 32), n, k], want.len()), Nothing),
    ] {
        assert_eq!(seen, expected, "{mistake}");
    }
    assert_eq!(format!("{:?}", g.function("no_such_kernel").unwrap_err().0), "CUDA_ERROR_NOT_FOUND");
}

#[test]
fn races_between_blocks() {
    let Some(g) = Gpu::with_mistakes() else { return };
    let s = &g.stream;
    let out = s.alloc_zeros::<f32>(1).unwrap();
    let result = g.launch("blocks_race", Shape::new(8, 1), &[pointer(s, &out)]);
    let expected = if CHECKED { FAILED } else { Nothing };
    assert_eq!(judge(result.and_then(|()| s.clone_dtoh(&out)), &[8.0]), expected);
}

/// What a naive check would report.
#[test]
fn right_kernels_are_not_reported() {
    let Some(g) = Gpu::with_mistakes() else { return };
    let s = &g.stream;
    let zeros = || s.alloc_zeros::<f32>(64).unwrap();
    let out = zeros();
    g.launch("blocks_atomic", Shape::new(8, 32), &[pointer(s, &out)]).unwrap();
    assert_eq!(s.clone_dtoh(&out).unwrap()[0], 256.0);
    let (out, part, count) = (zeros(), zeros(), s.alloc_zeros::<u32>(1).unwrap());
    let arguments = [pointer(s, &out), pointer(s, &part), pointer(s, &count)];
    g.launch("last_block", Shape::new(8, 32), &arguments).unwrap();
    assert_eq!(s.clone_dtoh(&out).unwrap()[0], 36.0);
    g.launch("halves", Shape::new(1, 64), &[pointer(s, &out)]).unwrap();
    g.launch("warp_shared", Shape::new(1, 64), &[pointer(s, &out)]).unwrap();
}
