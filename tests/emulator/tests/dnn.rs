//! cuDNN's convolutions: what the library refuses, and what TF32 costs. That they compute what the CPU does is tested
//! with the operation.

use std::ffi::c_void;
use std::ptr::from_ref;

use cudarc::cudnn::{result, sys};
use cudarc::driver::DevicePtr;

use crate::gpu::{EMULATED, Gpu, numbers};

const FORWARD: sys::cudnnConvolutionFwdAlgo_t =
    sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
const FLOAT: sys::cudnnDataType_t = sys::cudnnDataType_t::CUDNN_DATA_FLOAT;
const NHWC: sys::cudnnTensorFormat_t = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;

#[test]
fn what_does_not_fit_is_refused_and_tf32_shows() {
    let Some(g) = Gpu::with_builtins() else { return };
    if !EMULATED {
        return eprintln!("skipped: the library itself is trusted");
    }
    let s = &g.stream;
    let (x, w) = (numbers(3 * 5 * 8, 1), numbers(8, 2));
    let [dx, dw, dy, room] = [&x[..], &w[..], &[0.0; 15], &[0.0; 1024]].map(|values| s.clone_htod(values).unwrap());
    let pointer = |slice: &cudarc::driver::CudaSlice<f32>| DevicePtr::device_ptr(slice, s).0 as *mut c_void;
    // SAFETY: the descriptors are of the buffers made above, but where the stand-in is to see that they are not.
    unsafe {
        let handle = result::create_handle().unwrap();
        result::set_stream(handle, s.cu_stream().cast()).unwrap();
        let tensor = |shape| {
            let tensor = result::create_tensor_descriptor().unwrap();
            result::set_tensor4d_descriptor(tensor, NHWC, FLOAT, shape).unwrap();
            tensor
        };
        let (x_desc, y_desc, wrong) = (tensor([1, 8, 3, 5]), tensor([1, 1, 3, 5]), tensor([1, 1, 3, 4]));
        let w_desc = result::create_filter_descriptor().unwrap();
        result::set_filter4d_descriptor(w_desc, FLOAT, NHWC, [1, 8, 1, 1]).unwrap();
        let conv = result::create_convolution_descriptor().unwrap();
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        result::set_convolution2d_descriptor(conv, 0, 0, 1, 1, 1, 1, mode, FLOAT).unwrap();
        let refused = result::set_convolution2d_descriptor(conv, 0, 0, 1, 1, 2, 1, mode, FLOAT);
        assert!(refused.is_err(), "dilation");
        let nchw = result::set_tensor4d_descriptor(wrong, sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW, FLOAT, [1; 4]);
        assert!(nchw.is_err());

        let ask = |y| result::get_convolution_forward_workspace_size(handle, x_desc, w_desc, conv, y, FORWARD);
        assert!(ask(wrong).is_err(), "4 columns out of 5");
        let bytes = ask(y_desc).unwrap();
        assert!(bytes > 0 && bytes <= 4096);
        let (one, zero) = (1.0f32, 0.0f32);
        let run = |x: *mut c_void, bytes: usize| {
            let (one, zero) = (from_ref(&one).cast(), from_ref(&zero).cast());
            let (w, room, y) = (pointer(&dw), pointer(&room), pointer(&dy));
            result::convolution_forward(handle, one, x_desc, x, w_desc, w, conv, FORWARD, room, bytes, zero, y_desc, y)
        };
        assert!(run(pointer(&dx), bytes - 1).is_err(), "a workspace smaller than promised");
        assert!(run(pointer(&dx).cast::<u8>().add(16).cast(), bytes).is_err(), "past the end of x");
        let error = |math| {
            result::set_convolution_math_type(conv, math).unwrap();
            run(pointer(&dx), bytes).unwrap();
            let y = s.clone_dtoh(&dy).unwrap();
            let want = x.chunks(8).map(|x| x.iter().zip(&w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>());
            y.iter().zip(want).map(|(y, want)| (f64::from(*y) - want).abs()).fold(0.0, f64::max)
        };
        let exact = error(sys::cudnnMathType_t::CUDNN_FMA_MATH);
        let rough = error(sys::cudnnMathType_t::CUDNN_DEFAULT_MATH);
        assert!(exact < 1e-6 && rough > 1e-5 && rough < 1e-2, "{exact:e}, with TF32 {rough:e}");

        for tensor in [x_desc, y_desc, wrong] {
            result::destroy_tensor_descriptor(tensor).unwrap();
        }
        result::destroy_filter_descriptor(w_desc).unwrap();
        result::destroy_convolution_descriptor(conv).unwrap();
        result::destroy_handle(handle).unwrap();
    }
}
