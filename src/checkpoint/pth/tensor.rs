//! Tensors in a pickle of `torch.save`: a view, with offset and strides, of numbers that stand elsewhere in the file.

use std::io::{Read, Seek, SeekFrom};

use super::Pth;
use crate::error::{IoContext, Result};
use crate::pickle::{Object, Value};
use crate::tensor::Tensor;

/// The type of a number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    F16,
    BF16,
    F32,
    F64,
    U8,
    I8,
    I16,
    I32,
    I64,
    Bool,
}

impl Scalar {
    /// From the name of a class of storages, `FloatStorage`.
    fn of_storage(name: &str) -> Option<Scalar> {
        Some(match name.strip_suffix("Storage")? {
            "Half" => Scalar::F16,
            "BFloat16" => Scalar::BF16,
            "Float" => Scalar::F32,
            "Double" => Scalar::F64,
            // Bytes whose type the tensor tells.
            "Byte" | "Untyped" => Scalar::U8,
            "Char" => Scalar::I8,
            "Short" => Scalar::I16,
            "Int" => Scalar::I32,
            "Long" => Scalar::I64,
            "Bool" => Scalar::Bool,
            _ => return None,
        })
    }

    /// From the name of a type, `float32`.
    fn of_dtype(name: &str) -> Option<Scalar> {
        Some(match name {
            "float16" => Scalar::F16,
            "bfloat16" => Scalar::BF16,
            "float32" => Scalar::F32,
            "float64" => Scalar::F64,
            "uint8" => Scalar::U8,
            "int8" => Scalar::I8,
            "int16" => Scalar::I16,
            "int32" => Scalar::I32,
            "int64" => Scalar::I64,
            "bool" => Scalar::Bool,
            _ => return None,
        })
    }

    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Scalar::U8 | Scalar::I8 | Scalar::Bool => 1,
            Scalar::F16 | Scalar::BF16 | Scalar::I16 => 2,
            Scalar::F32 | Scalar::I32 => 4,
            Scalar::F64 | Scalar::I64 => 8,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, Scalar::F16 | Scalar::BF16 | Scalar::F32 | Scalar::F64)
    }
}

/// ("storage", class, key, device, number of elements), the pickle's reference to a storage.
pub struct StorageRef<'a> {
    pub key: &'a str,
    pub scalar: Scalar,
    pub elements: u64,
}

impl<'a> StorageRef<'a> {
    pub fn parse(value: Value<'a>) -> std::result::Result<StorageRef<'a>, String> {
        let parts: Vec<Value> = value.items().into_iter().flatten().collect();
        let [kind, class, key, _device, elements, view @ ..] = &parts[..] else {
            return Err(format!("refers to {} where a storage should be", value.describe()));
        };
        let (Some("storage"), Some(key), Some(elements)) = (kind.text(), key.text(), elements.int()) else {
            return Err(format!("refers to a {} where a storage should be", kind.describe()));
        };
        let name = class.global().filter(|(module, _)| *module == "torch" || module.starts_with("torch.")).map(|c| c.1);
        let Some(scalar) = name.and_then(Scalar::of_storage) else {
            return Err(format!("storage {key} is a {}, which is not supported", class.describe()));
        };
        if !view.iter().all(|view| view.is_none()) {
            return Err(format!("storage {key} is a view of another one, which is not supported"));
        }
        Ok(StorageRef { key, scalar, elements })
    }
}

/// More axes than any parameter has: any number of tensors can have the same sizes, and each keeps a copy.
const MAX_RANK: usize = 16;

/// Where in the file a tensor is.
#[derive(Clone, Debug)]
pub struct TensorAt {
    scalar: Scalar,
    /// Of its first number.
    position: u64,
    shape: Vec<usize>,
    /// The distance of neighbours along each axis, in numbers.
    strides: Vec<usize>,
}

impl TensorAt {
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn scalar(&self) -> Scalar {
        self.scalar
    }

    /// How many bytes its numbers are. No more than the file has.
    pub fn bytes(&self) -> u64 {
        (self.shape.iter().product::<usize>() * self.scalar.size()) as u64
    }
}

/// The name and the arguments of a call.
fn call(value: Value<'_>) -> Option<(&str, Vec<Value<'_>>)> {
    let Object { callable, args, .. } = value.object()?;
    Some((callable.global()?.1, args.items()?.collect()))
}

impl Pth {
    /// A value as a tensor; `None` if it is something else.
    ///
    /// Errors: sizes, strides or an offset that lead out of its storage, elements that share a place, types that are
    /// not supported.
    pub fn tensor(&self, value: Value) -> Result<Option<TensorAt>> {
        let parameter = |(function, args): &(&str, Vec<Value>)| *function == "_rebuild_parameter" && !args.is_empty();
        let called = match call(value) {
            Some(called) if parameter(&called) => call(called.1[0]),
            called => called,
        };
        let (storage, offset, shape, strides, dtype) = match called.as_ref().map(|(f, args)| (*f, &args[..])) {
            Some(("_rebuild_tensor", &[storage, offset, shape, strides])) => (storage, offset, shape, strides, None),
            Some(("_rebuild_tensor_v2", &[storage, offset, shape, strides, ..])) => {
                (storage, offset, shape, strides, None)
            }
            Some(("_rebuild_tensor_v3", &[storage, offset, shape, strides, _, _, dtype, ..])) => {
                (storage, offset, shape, strides, Some(dtype))
            }
            _ => return Ok(None),
        };
        let numbers = |value: Value| {
            let items = value.items().filter(|items| items.len() <= MAX_RANK)?;
            items.map(Value::int).collect::<Option<Vec<usize>>>()
        };
        let (Some(offset), Some(shape), Some(strides)) = (offset.int(), numbers(shape), numbers(strides)) else {
            let what = "has a tensor whose offset, sizes or strides are no numbers from 0 up, or more than";
            return Err(self.error(format!("{what} {MAX_RANK}")));
        };
        self.view(storage, offset, shape, strides, dtype).map(Some)
    }

    /// The tensor with these sizes and strides that begins `offset` elements into a storage.
    fn view(
        &self,
        storage: Value,
        offset: u64,
        shape: Vec<usize>,
        strides: Vec<usize>,
        dtype: Option<Value>,
    ) -> Result<TensorAt> {
        let storage = storage.persistent().ok_or_else(|| self.error("has a tensor without a storage"))?;
        let StorageRef { key, scalar: stored, elements } = StorageRef::parse(storage).map_err(|e| self.error(e))?;
        let Some(place) = self.storages.get(key) else {
            return Err(self.error(format!("storage {key}, which a tensor needs, is missing")));
        };
        let bytes = place.end - place.start;
        if elements.checked_mul(stored.size() as u64) != Some(bytes) {
            let what = format!(
                "storage {key} should have {elements} numbers of {} bytes, it has {bytes} bytes",
                stored.size()
            );
            return Err(self.error(what));
        }
        let scalar = match dtype {
            None => stored,
            Some(dtype) => dtype
                .global()
                .and_then(|(_, name)| Scalar::of_dtype(name))
                .ok_or_else(|| self.error(format!("has a tensor of {}, which is not supported", dtype.describe())))?,
        };
        let size = scalar.size() as u64;
        let misfit = || {
            let what = format!("a tensor of sizes {shape:?}, strides {strides:?} and offset {offset}");
            self.error(format!("{what} does not fit its storage {key} of {} numbers", bytes / size))
        };
        let span = span(&shape, &strides).ok_or_else(misfit)?;
        let end = offset.checked_add(span).filter(|&end| end <= bytes / size).ok_or_else(misfit)?;
        let position = place.start + (end - span) * size;
        Ok(TensorAt { scalar, position, shape, strides })
    }

    /// Reads a tensor's numbers: 16-bit ones as f32, integers as f64.
    pub fn read(&self, tensor: &TensorAt) -> Result<Tensor> {
        let TensorAt { scalar, position, ref shape, ref strides } = *tensor;
        let span = span(shape, strides).expect("checked when the tensor was found");
        let mut bytes = vec![0; span as usize * scalar.size()];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(position)).and_then(|_| file.read_exact(&mut bytes)).at(&self.path, "read")?;
        let places = places(shape, strides);
        let f32s = |decode: &dyn Fn(usize) -> f32| {
            Tensor::from_f32(&places.iter().map(|&i| decode(i)).collect::<Vec<_>>(), shape.as_slice())
        };
        let f64s = |decode: &dyn Fn(usize) -> f64| {
            Tensor::from_f64(&places.iter().map(|&i| decode(i)).collect::<Vec<_>>(), shape.as_slice())
        };
        Ok(match scalar {
            Scalar::F16 => f32s(&|i| half(u16::from_le_bytes(element(&bytes, i)))),
            Scalar::BF16 => f32s(&|i| f32::from_bits(u32::from(u16::from_le_bytes(element(&bytes, i))) << 16)),
            Scalar::F32 => f32s(&|i| f32::from_le_bytes(element(&bytes, i))),
            Scalar::F64 => f64s(&|i| f64::from_le_bytes(element(&bytes, i))),
            Scalar::U8 | Scalar::Bool => f64s(&|i| bytes[i].into()),
            Scalar::I8 => f64s(&|i| (bytes[i] as i8).into()),
            Scalar::I16 => f64s(&|i| i16::from_le_bytes(element(&bytes, i)).into()),
            Scalar::I32 => f64s(&|i| i32::from_le_bytes(element(&bytes, i)).into()),
            Scalar::I64 => f64s(&|i| i64::from_le_bytes(element(&bytes, i)) as f64),
        })
    }
}

/// The bytes of element i of `SIZE` bytes.
fn element<const SIZE: usize>(bytes: &[u8], i: usize) -> [u8; SIZE] {
    bytes.as_chunks().0[i]
}

/// How many numbers a view spans from its first to its last; `None` if that is more than can be counted, or if two
/// elements share a place, so that there could be more elements than numbers.
fn span(shape: &[usize], strides: &[usize]) -> Option<u64> {
    if shape.len() != strides.len() {
        return None;
    }
    if shape.contains(&0) {
        // Even then the product of the others must be a number.
        return shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size.max(1))).map(|_| 0);
    }
    let mut axes: Vec<(usize, usize)> = strides.iter().copied().zip(shape.iter().copied()).collect();
    axes.sort_unstable();
    axes.into_iter().filter(|&(_, size)| size > 1).try_fold(1_u64, |span, (stride, size)| {
        // Neighbours along this axis stand further apart than all that the smaller strides span.
        let stride = u64::try_from(stride).ok().filter(|&stride| stride >= span)?;
        stride.checked_mul(size as u64 - 1)?.checked_add(span)
    })
}

/// Where each element of a view is, in numbers from the first, in row-major order.
fn places(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    shape.iter().zip(strides).fold(vec![0], |places, (&size, &stride)| {
        places.iter().flat_map(|place| (0..size).map(move |i| place + i * stride)).collect()
    })
}

/// A number of IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let (sign, exponent, mantissa) = (u32::from(bits >> 15) << 31, u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    match exponent {
        0 => f32::from_bits(sign | (mantissa as f32 * 2.0_f32.powi(-24)).to_bits()),
        31 => f32::from_bits(sign | 0xff << 23 | mantissa << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | mantissa << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_span_what_they_should() {
        assert_eq!(span(&[], &[]), Some(1));
        assert_eq!(span(&[2, 3], &[3, 1]), Some(6));
        assert_eq!(span(&[3, 2], &[1, 3]), Some(6));
        assert_eq!(span(&[2, 3], &[8, 2]), Some(13));
        assert_eq!(span(&[4, 1], &[1, 0]), Some(4));
        assert_eq!(span(&[0, 7], &[0, 0]), Some(0));
        assert_eq!(span(&[2, 3], &[2, 1]), None, "rows overlap");
        assert_eq!(span(&[5], &[0]), None, "all at one place");
        assert_eq!(span(&[2], &[1, 1]), None);
        assert_eq!(span(&[usize::MAX, 3], &[3, 1]), None);
        assert_eq!(span(&[usize::MAX, 3, 0], &[0, 0, 0]), None);
        assert_eq!(places(&[3, 2], &[1, 3]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(places(&[0, 7], &[0, 0]), [0_usize; 0]);
    }

    #[test]
    fn sixteen_bits() {
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.33325195), (0x7bff, 65504.0), (0x0400, 6.1035156e-5)]
        {
            assert_eq!(half(bits), value);
        }
        assert_eq!(half(0x0001), 2.0_f32.powi(-24));
        assert_eq!(half(0x8000).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
    }
}
