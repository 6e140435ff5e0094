//! Operations whose kernels are still to be written: asking for one on a GPU is an error that names it.

macro_rules! missing {
    ($($op:ident { $($kernel:ident($($argument:ident),*) -> $out:ty;)* })*) => {$(
        pub mod $op {
            use std::sync::Arc;

            #[allow(unused_imports)]
            use crate::backend::cuda::{Gpu, Storage};
            use crate::{Error, Result};

            $(#[allow(clippy::too_many_arguments)]
            pub fn $kernel<$($argument),*>(_: &Arc<Gpu>, $(_: $argument),*) -> Result<$out> {
                Err(Error::cuda(concat!(stringify!($op), "::", stringify!($kernel), " has no CUDA kernel yet")))
            })*
        }
    )*};
}

missing! {
    attention {
        forward(A, B, C, D) -> Storage;
        backward(A, B, C, D, E) -> (Storage, Storage, Storage);
    }
    concat {
        forward(A, B, C, D) -> Storage;
        slice(A, B, C, D) -> Storage;
        embed(A, B, C, D) -> Storage;
    }
    conv2d {
        forward(A, B, C, D, E, F, G) -> Storage;
        input_grad(A, B, C) -> Storage;
        weight_grad(A, B, C) -> Storage;
    }
    dropout { forward(A, B, C) -> Storage; }
    forward_noise { pair(A, B, C, D) -> (Storage, Storage); }
    group_norm {
        forward(A, B, C, D) -> (Storage, Storage);
        backward(A, B, C, D, E, F) -> (Storage, Storage, Storage);
    }
    posterior_sample { forward(A, B, C, D) -> Storage; }
    resample { forward(A, B, C) -> Storage; }
    scale_samples { forward(A, B) -> Storage; }
}
