//! The CPU: every operation in f32 (fast) and in f64 (plain loops, the oracle for gradient checks).
