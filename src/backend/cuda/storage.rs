//! The numbers of one tensor in a GPU's memory, structs there, and the pointers to them that kernels take.

use std::marker::PhantomData;
use std::sync::Arc;

use super::memory::{Block, Memory};
use super::{DType, Gpu, Number, by_number};
use crate::Result;
use crate::backend::cpu;

pub struct Storage {
    block: Block,
    dtype: DType,
    len: usize,
}

/// A pointer to numbers that a kernel reads, alive as long as they are.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct In<'a, T>(u64, PhantomData<&'a T>);

/// A pointer to numbers that a kernel writes; nobody else has one meanwhile.
#[repr(transparent)]
pub struct Out<'a, T>(u64, PhantomData<&'a mut T>);

impl<T> In<'_, T> {
    /// For arguments that may be left out: the kernel compares with null.
    pub const NULL: Self = In(0, PhantomData);
}

impl Storage {
    /// `len` numbers for a kernel to write, all of them.
    pub fn scratch(gpu: &Arc<Gpu>, len: usize, dtype: DType) -> Result<Storage> {
        let size = by_number!(dtype, T => Ok(size_of::<T>()))?;
        Ok(Storage { block: Memory::take(gpu, len * size)?, dtype, len })
    }

    /// The CPU's numbers in a GPU's memory, as f32 or bf16.
    pub fn upload(gpu: &Arc<Gpu>, values: &cpu::Storage, dtype: DType) -> Result<Storage> {
        let mut storage = Storage::scratch(gpu, values.len(), dtype)?;
        storage.overwrite(values)?;
        Ok(storage)
    }

    /// Replaces the numbers by as many of the CPU's.
    pub fn overwrite(&mut self, values: &cpu::Storage) -> Result<()> {
        by_number!(self.dtype, T => {
            let values: Vec<T> = match values {
                cpu::Storage::F32(b) => b.iter().map(|&x| T::from_f32(x)).collect(),
                cpu::Storage::F64(b) => b.iter().map(|&x| T::from_f32(x as f32)).collect(),
            };
            self.gpu().upload(&self.block, bytemuck::cast_slice(&values))
        })
    }

    /// The numbers as f32 in the computer's memory. Waits for all work that was launched before.
    pub fn download(&self) -> Result<cpu::Storage> {
        by_number!(self.dtype, T => {
            let mut values = vec![<T as bytemuck::Zeroable>::zeroed(); self.len];
            self.gpu().download(&self.block, bytemuck::cast_slice_mut(&mut values))?;
            let mut buffer = cpu::Buffer::<f32>::scratch(self.len);
            buffer.iter_mut().zip(values).for_each(|(b, x)| *b = Number::to_f32(x));
            Ok(cpu::Storage::F32(buffer))
        })
    }

    pub fn duplicate(&self) -> Result<Storage> {
        let copy = Storage { block: Memory::take(self.gpu(), self.block.bytes())?, dtype: self.dtype, len: self.len };
        self.gpu().copy(&copy.block, &self.block)?;
        Ok(copy)
    }

    /// Copies another storage of the same type and length into this one's memory.
    pub fn assign(&mut self, from: &Storage) -> Result<()> {
        assert_eq!((self.dtype, self.len), (from.dtype, from.len));
        self.gpu().copy(&self.block, &from.block)
    }

    pub fn gpu(&self) -> &Arc<Gpu> {
        self.block.gpu()
    }

    pub fn bytes(&self) -> usize {
        self.block.bytes()
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it begins in the GPU's memory.
    pub fn address(&self) -> u64 {
        self.block.address()
    }

    /// For a kernel to read.
    pub fn read<T: Number>(&self) -> In<'_, T> {
        assert_eq!(self.dtype, T::DTYPE, "a kernel for another number type");
        In(self.block.address(), PhantomData)
    }

    /// For a kernel to write.
    pub fn write<T: Number>(&mut self) -> Out<'_, T> {
        assert_eq!(self.dtype, T::DTYPE, "a kernel for another number type");
        Out(self.block.address(), PhantomData)
    }
}

/// Structs for a kernel to read.
pub struct Table<T> {
    block: Block,
    of: PhantomData<T>,
}

impl<T: bytemuck::Pod> Table<T> {
    pub fn upload(gpu: &Arc<Gpu>, rows: &[T]) -> Result<Table<T>> {
        let block = Memory::take(gpu, size_of_val(rows))?;
        gpu.upload(&block, bytemuck::cast_slice(rows))?;
        Ok(Table { block, of: PhantomData })
    }

    pub fn read(&self) -> In<'_, T> {
        In(self.block.address(), PhantomData)
    }
}
