//! Group norm with a scale and shift for each channel and SiLU: see `ops/group_norm.rs` for the formulas, and
//! kernels/group_norm.cu for the versions.

use std::sync::Arc;

use super::launch::Grid;
use super::{DType, Gpu, Storage, by_number, launch};
use crate::Result;
use crate::backend::params::GroupNorm;

/// Threads of a block, and the most groups of a tile, as in kernels/group_norm.cu.
const THREADS: usize = 256;
const GROUPS: usize = 64;
/// Rows of a chunk.
const CHUNK: usize = 256;
/// What a tile has of a row at least: a sector of the GPU's memory.
const SECTOR: usize = 32;
/// What a tile has in all, so that its threads have work.
const TILE: usize = 8 << 10;
/// Dynamic shared memory that every supported GPU has, beside what the kernels have anyway.
const SHARED: usize = 80 << 10;

/// How a tensor is cut into tiles of whole groups. Depends on the sizes alone, as the order of sums does.
struct Tiles {
    /// Channels of a tile; the last may be narrower.
    width: usize,
    /// Over all samples.
    count: usize,
    /// All channels come in packs of 16 bytes.
    packed: bool,
}

impl Tiles {
    /// None if a row of a single group is too long for a block.
    fn new(p: &GroupNorm, number: usize) -> Option<Tiles> {
        let pack = 16 / number;
        let packed = p.c.is_multiple_of(pack);
        // Whole groups, of whole packs.
        let step = (1..).map(|i| i * p.group_size()).find(|w| !packed || w.is_multiple_of(pack))?;
        let wanted = SECTOR.max(TILE / p.hw.max(1)) / number;
        let most = (GROUPS * p.group_size()).min(THREADS * if packed { pack } else { 1 });
        let width = (wanted.next_multiple_of(step)).min(most / step * step).min(p.c);
        (width > 0).then(|| Tiles { width, count: p.n * p.c.div_ceil(width), packed })
    }

    /// Bytes of a tile of all rows.
    fn bytes(&self, p: &GroupNorm, number: usize) -> usize {
        p.hw * self.width * number
    }
}

fn size(dtype: DType) -> usize {
    if dtype == DType::F32 { 4 } else { 2 }
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
    let groups = (p.n * p.groups).div_ceil(THREADS);
    let tiles = Tiles::new(p, size(x.dtype())).filter(|_| gpu.version(3) > 1);
    by_number!(x.dtype(), T => {
        let Some(tiles) = tiles else {
            launch::group_norm_stats_v1::<T>(gpu, groups, stats.write(), x.read(), *p)?;
            launch::group_norm_forward_v1::<T>(
                gpu, gpu.map_grid(x), y.write(), x.read(), scale.read(), shift.read(), stats.read(), *p,
            )?;
            return Ok((y, stats));
        };
        let (width, shared) = (tiles.width as i32, tiles.bytes(p, size_of::<T>()));
        if gpu.version(3) > 2 && shared <= SHARED {
            let fused = if tiles.packed { launch::group_norm_forward_fused::<T> } else { launch::group_norm_forward::<T> };
            let grid = Grid::from(tiles.count).shared(shared);
            fused(gpu, grid, y.write(), stats.write(), x.read(), scale.read(), shift.read(), *p, width)?;
            return Ok((y, stats));
        }
        let chunks = p.hw.div_ceil(CHUNK);
        let mut parts = Storage::scratch(gpu, p.n * chunks * p.groups * 2, DType::F32)?;
        let sums = if tiles.packed { launch::group_norm_chunks_packed::<T> } else { launch::group_norm_chunks::<T> };
        sums(gpu, [tiles.count, chunks], parts.write(), x.read(), *p, width, CHUNK)?;
        launch::group_norm_stats(gpu, groups, stats.write(), parts.read(), *p, chunks, CHUNK)?;
        let outputs = if tiles.packed { launch::group_norm_forward_packed::<T> } else { launch::group_norm_forward_v1::<T> };
        outputs(gpu, gpu.map_grid(x), y.write(), x.read(), scale.read(), shift.read(), stats.read(), *p)
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
    let groups = (p.n * p.groups).div_ceil(THREADS);
    let tiles = Tiles::new(p, size(x.dtype())).filter(|_| gpu.version(3) > 1);
    by_number!(x.dtype(), T => {
        let (x, dy, scale, shift, stats) = (x.read(), dy.read(), scale.read(), shift.read(), stats.read());
        let tile_bytes = tiles.as_ref().map(|tiles| tiles.bytes(p, size_of::<T>()));
        if let (Some(tiles), true) = (&tiles, gpu.version(3) > 2 && tile_bytes.is_some_and(|b| 2 * b <= SHARED)) {
            let fused = if tiles.packed { launch::group_norm_backward_fused::<T> } else { launch::group_norm_backward::<T> };
            let grid = Grid::from(tiles.count).shared(2 * tiles.bytes(p, size_of::<T>()));
            let outputs = (dx.write(), dscale.write(), dshift.write());
            fused(gpu, grid, outputs.0, outputs.1, outputs.2, x, scale, shift, stats, dy, *p, tiles.width as i32)?;
            return Ok((dx, dscale, dshift));
        }
        let mut means = Storage::scratch(gpu, p.n * p.groups * 2, DType::F32)?;
        match &tiles {
            None => launch::group_norm_sums_v1::<T>(
                gpu, groups, dscale.write(), dshift.write(), means.write(), x, scale, shift, stats, dy, *p,
            )?,
            Some(tiles) => {
                let chunks = p.hw.div_ceil(CHUNK);
                let mut parts = Storage::scratch(gpu, p.n * chunks * p.c * 2, DType::F32)?;
                let sums = if tiles.packed {
                    launch::group_norm_gradient_chunks_packed::<T>
                } else {
                    launch::group_norm_gradient_chunks::<T>
                };
                let (grid, width) = ([tiles.count, chunks], tiles.width as i32);
                sums(gpu, grid, parts.write(), x, scale, shift, stats, dy, *p, width, CHUNK)?;
                launch::group_norm_sums::<T>(
                    gpu, groups, dscale.write(), dshift.write(), means.write(), scale, parts.read(), *p, chunks,
                )?;
            }
        }
        let grid = gpu.map_grid(&dx);
        let outputs = match &tiles {
            Some(Tiles { packed: true, .. }) => launch::group_norm_backward_packed::<T>,
            _ => launch::group_norm_backward_v1::<T>,
        };
        outputs(gpu, grid, dx.write(), x, scale, shift, stats, means.read(), dy, *p)
    })?;
    Ok((dx, dscale, dshift))
}
