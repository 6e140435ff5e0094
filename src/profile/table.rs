//! A profile for people to read.

use std::fmt;

use super::{Ceilings, Profile, Row};

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Profile { part, device, precision, batch, runs, wall_seconds, ceilings, rows, .. } = self;
        writeln!(f, "{part:?} on {device}, {precision}, batch {batch}: {:.3} ms, mean of {runs}", 1e3 * wall_seconds)?;
        writeln!(f, "{ceilings}\n")?;
        let [name, sizes] = ["operation", "sizes"];
        writeln!(
            f,
            "{name:<26} {sizes:<28} {:>6} {:>7} {:>9} {:>5} {:>8} {:>4} {:>9} {:>4} {:>9}",
            "calls", "kernels", "ms", "%", "GB/s", "%", "GFLOP/s", "%", "floor ms"
        )?;
        for row in rows {
            line(f, row, *wall_seconds, ceilings)?;
        }
        let measured = self.total(|row| row.seconds);
        let sum = Row {
            operation: "all operations".into(),
            sizes: String::new(),
            calls: self.total(|row| row.calls),
            launches: self.total(|row| row.launches),
            seconds: measured,
            bytes: self.total(|row| row.bytes),
            flops: self.total(|row| row.flops),
            floor: self.total(|row| row.floor),
            kernels: Vec::new(),
        };
        line(f, &sum, *wall_seconds, ceilings)?;
        let rest = wall_seconds - measured;
        writeln!(f, "between them {:>76.3} {:>5.1}", 1e3 * rest, 100.0 * rest / wall_seconds)
    }
}

fn line(f: &mut fmt::Formatter, row: &Row, wall: f64, ceilings: &Ceilings) -> fmt::Result {
    let Row { operation, sizes, calls, launches, seconds, bytes, flops, floor, .. } = row;
    let (per_byte, per_flop) = (bytes / seconds, flops / seconds);
    write!(
        f,
        "{operation:<26} {sizes:<28} {calls:>6.0} {launches:>7.0} {:>9.3} {:>5.1} {:>8.1} {:>4.0}",
        1e3 * seconds,
        100.0 * seconds / wall,
        per_byte / 1e9,
        100.0 * per_byte / ceilings.bytes_per_second,
    )?;
    match *flops > 0.0 {
        true => write!(f, " {:>9.1} {:>4.0}", per_flop / 1e9, 100.0 * per_flop / ceilings.flops_per_second)?,
        false => write!(f, " {:>9} {:>4}", "", "")?,
    }
    writeln!(f, " {:>9.4}", 1e3 * floor)
}

impl fmt::Display for Ceilings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Ceilings { bytes_per_second, flops_per_second } = self;
        write!(
            f,
            "Ceilings: copy {:.1} GB/s, matrix product {:.1} GFLOP/s",
            bytes_per_second / 1e9,
            flops_per_second / 1e9
        )
    }
}
