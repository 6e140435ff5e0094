//! Group norm with a scale and shift for each channel and SiLU: see `ops/group_norm.rs` for the formulas, and
//! kernels/group_norm.cu for the versions.

use std::sync::Arc;

use super::launch::Grid;
use super::{DType, Gpu, Storage, by_number, launch};
use crate::Result;
use crate::backend::params::{Divisor, GroupNorm, GroupTiles};

/// Threads of a block, and the most groups of a tile, as in kernels/group_norm.cuh.
const THREADS: usize = 256;
const GROUPS: usize = 64;
/// Rows of a chunk.
const CHUNK: usize = 256;
/// What a tile has of a row at least: a sector of the GPU's memory.
const SECTOR: usize = 32;
/// What a tile has in all, so that its threads have work.
const TILE: usize = 16 << 10;
/// Dynamic shared memory that every supported GPU has, beside what the kernels have anyway.
const SHARED: usize = 80 << 10;

/// How a tensor is cut into tiles of whole groups. Depends on the sizes alone, as the order of sums does.
struct Tiles {
    sizes: GroupTiles,
    /// Over all samples.
    count: usize,
    /// All channels come in packs of 16 bytes.
    packed: bool,
}

impl Tiles {
    /// Tiles of so many rows. None if a row of a single group is too long for a block.
    fn new(p: &GroupNorm, number: usize, rows: usize) -> Option<Tiles> {
        let pack = 16 / number;
        let packed = p.c.is_multiple_of(pack);
        // Whole groups, of whole packs.
        let step = (1..).map(|i| i * p.group_size()).find(|w| !packed || w.is_multiple_of(pack))?;
        let wanted = SECTOR.max(TILE / rows.max(1)) / number;
        let most = (GROUPS * p.group_size()).min(THREADS * if packed { pack } else { 1 });
        let width = (wanted.next_multiple_of(step)).min(most / step * step).min(p.c);
        (width > 0 && p.c < 1 << 31).then(|| {
            let across = p.c.div_ceil(width);
            let [group_size, of_sample] = [p.group_size(), across].map(Divisor::new);
            let sizes = GroupTiles { width: width as u32, group_size, across: of_sample };
            Tiles { sizes, count: p.n * across, packed }
        })
    }

    /// Tiles of all rows, if so many bytes a number fit in shared memory; and their bytes.
    fn whole(p: &GroupNorm, number: usize, bytes: usize) -> Option<(Tiles, usize)> {
        let tiles = Tiles::new(p, number, p.hw)?;
        let shared = p.hw * tiles.sizes.width as usize * bytes;
        (shared <= SHARED).then_some((tiles, shared))
    }

    fn chunks(p: &GroupNorm, number: usize) -> Option<Tiles> {
        Tiles::new(p, number, CHUNK.min(p.hw))
    }
}

/// y, and [N, G, 2]: mean and 1/standard deviation of each group, in f32.
pub fn forward(
    gpu: &Arc<Gpu>,
    x: &Storage,
    scale: &Storage,
    shift: &Storage,
    p: &GroupNorm,
) -> Result<(Storage, Storage)> {
    let mut y = Storage::scratch(gpu, x.len(), x.dtype())?;
    let mut stats = Storage::scratch(gpu, p.n * p.groups * 2, DType::F32)?;
    let (groups, map_grid) = ((p.n * p.groups).div_ceil(THREADS), gpu.map_grid(x));
    by_number!(x.dtype(), T => {
        let whole = Tiles::whole(p, size_of::<T>(), size_of::<T>()).filter(|_| gpu.version(3) > 2);
        if let Some((tiles, shared)) = whole {
            let fused = if tiles.packed { launch::group_norm_forward_fused::<T> } else { launch::group_norm_forward::<T> };
            let grid = Grid::from(tiles.count).shared(shared);
            fused(gpu, grid, y.write(), stats.write(), x.read(), scale.read(), shift.read(), *p, tiles.sizes)?;
            return Ok((y, stats));
        }
        let Some(tiles) = Tiles::chunks(p, size_of::<T>()).filter(|_| gpu.version(3) > 1) else {
            launch::group_norm_stats_v1::<T>(gpu, groups, stats.write(), x.read(), *p)?;
            launch::group_norm_forward_v1::<T>(
                gpu, map_grid, y.write(), x.read(), scale.read(), shift.read(), stats.read(), *p,
            )?;
            return Ok((y, stats));
        };
        let chunks = p.hw.div_ceil(CHUNK);
        let grid = [tiles.count, chunks];
        let mut parts = Storage::scratch(gpu, p.n * chunks * p.groups * 2, DType::F32)?;
        let sums = if tiles.packed { launch::group_norm_chunks_packed::<T> } else { launch::group_norm_chunks::<T> };
        sums(gpu, grid, parts.write(), x.read(), *p, tiles.sizes, CHUNK)?;
        launch::group_norm_stats(gpu, groups, stats.write(), parts.read(), *p, chunks, CHUNK)?;
        let (y, x, scale, shift, stats) = (y.write(), x.read(), scale.read(), shift.read(), stats.read());
        if tiles.packed {
            launch::group_norm_forward_packed::<T>(gpu, grid, y, x, scale, shift, stats, *p, tiles.sizes, CHUNK)
        } else {
            launch::group_norm_forward_v1::<T>(gpu, map_grid, y, x, scale, shift, stats, *p)
        }
    })?;
    Ok((y, stats))
}

/// dx [N, HW, C], dscale [N, C], dshift [N, C].
pub fn backward(
    gpu: &Arc<Gpu>,
    x: &Storage,
    scale: &Storage,
    shift: &Storage,
    stats: &Storage,
    dy: &Storage,
    p: &GroupNorm,
) -> Result<(Storage, Storage, Storage)> {
    let mut dx = Storage::scratch(gpu, x.len(), x.dtype())?;
    let mut dscale = Storage::scratch(gpu, p.n * p.c, x.dtype())?;
    let mut dshift = Storage::scratch(gpu, p.n * p.c, x.dtype())?;
    let (groups, map_grid) = ((p.n * p.groups).div_ceil(THREADS), gpu.map_grid(x));
    by_number!(x.dtype(), T => {
        let (x, dy, scale, shift, stats) = (x.read(), dy.read(), scale.read(), shift.read(), stats.read());
        let whole = Tiles::whole(p, size_of::<T>(), 2 * size_of::<T>()).filter(|_| gpu.version(3) > 2);
        if let Some((tiles, shared)) = whole {
            let fused = if tiles.packed { launch::group_norm_backward_fused::<T> } else { launch::group_norm_backward::<T> };
            let grid = Grid::from(tiles.count).shared(shared);
            let outputs = (dx.write(), dscale.write(), dshift.write());
            fused(gpu, grid, outputs.0, outputs.1, outputs.2, x, scale, shift, stats, dy, *p, tiles.sizes)?;
            return Ok((dx, dscale, dshift));
        }
        let mut means = Storage::scratch(gpu, p.n * p.groups * 2, DType::F32)?;
        let chunks = p.hw.div_ceil(CHUNK);
        let tiles = Tiles::chunks(p, size_of::<T>()).filter(|_| gpu.version(3) > 1);
        match &tiles {
            None => launch::group_norm_sums_v1::<T>(
                gpu, groups, dscale.write(), dshift.write(), means.write(), x, scale, shift, stats, dy, *p,
            )?,
            Some(tiles) => {
                let mut parts = Storage::scratch(gpu, p.n * chunks * p.c * 2, DType::F32)?;
                let sums = if tiles.packed {
                    launch::group_norm_gradient_chunks_packed::<T>
                } else {
                    launch::group_norm_gradient_chunks::<T>
                };
                let grid = [tiles.count, chunks];
                sums(gpu, grid, parts.write(), x, scale, shift, stats, dy, *p, tiles.sizes, CHUNK)?;
                launch::group_norm_sums::<T>(
                    gpu, groups, dscale.write(), dshift.write(), means.write(), scale, parts.read(), *p, chunks,
                )?;
            }
        }
        let (dx, means) = (dx.write(), means.read());
        match tiles {
            Some(Tiles { packed: true, count, sizes }) => launch::group_norm_backward_packed::<T>(
                gpu, [count, chunks], dx, x, scale, shift, stats, means, dy, *p, sizes, CHUNK,
            ),
            _ => launch::group_norm_backward_v1::<T>(gpu, map_grid, dx, x, scale, shift, stats, means, dy, *p),
        }
    })?;
    Ok((dx, dscale, dshift))
}
