// cuDNN's convolutions as plain loops, channels last: the output and both gradients, with alpha and beta. Sums are in
// double; where TF32 is allowed, operands are rounded to it, so that tests see what is computed with less than f32.
//
// Refused, as by the library: shapes that do not fit together, algorithms that do not take channels last, a workspace
// smaller than asked for. EMULATOR_CUDNN is the library's version, 91700 by default; 0 stands for none.
#include "memory.h"
#include "numbers.h"
#include "report.h"
#include "stream.h"

namespace dnn {

enum Status { SUCCESS = 0, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
enum Type { FLOAT = 0, BFLOAT16 = 9 };
enum Format { NHWC = 1 };
enum Math { DEFAULT_MATH = 0, FMA_MATH = 3 };
constexpr int CROSS_CORRELATION = 1;

struct Handle {
  CUstream stream = nullptr;
};
// A tensor [n, h, w, c], or a filter with its outputs for n.
struct Shape {
  int type = -1, n = 0, c = 0, h = 0, w = 0;
  bool half() const { return type == BFLOAT16; }
  int64_t at(int64_t i, int64_t y, int64_t x, int64_t channel) const { return ((i * h + y) * w + x) * c + channel; }
  int64_t size() const { return int64_t(n) * h * w * c; }
};
struct Convolution {
  int pad_h = 0, pad_w = 0, stride_h = 0, stride_w = 0, math = DEFAULT_MATH;
};

static int set(Shape* s, int format, int type, int n, int c, int h, int w) {
  if (format != NHWC || (type != FLOAT && type != BFLOAT16)) return NOT_SUPPORTED;
  if (n < 1 || c < 1 || h < 1 || w < 1) return BAD_PARAM;
  *s = Shape{type, n, c, h, w};
  return SUCCESS;
}

// Whether x, w and y are those of one convolution.
static bool fits(const Shape& x, const Shape& w, const Convolution& v, const Shape& y) {
  const auto outputs = [](int size, int pad, int filter, int stride) { return (size + 2 * pad - filter) / stride + 1; };
  return v.stride_h > 0 && x.type == w.type && x.type == y.type && x.c == w.c && y.c == w.n && x.n == y.n &&
         y.h == outputs(x.h, v.pad_h, w.h, v.stride_h) && y.w == outputs(x.w, v.pad_w, w.w, v.stride_w);
}

// Asked for, and filled with NaN: nobody else may count on it. One algorithm of the two needs none.
static size_t room(int algorithm, const Shape& y) { return algorithm == 0 ? 0 : size_t(y.size()) * 4; }

// The library's only algorithms that take channels last and add in a fixed order.
static int ask(const Shape* x, const Shape* w, const Convolution* v, const Shape* y, int algorithm, bool forward,
               size_t* bytes) {
  if (!fits(*x, *w, *v, *y)) return BAD_PARAM;
  if (algorithm != 1 && !(forward && algorithm == 0)) return NOT_SUPPORTED;
  *bytes = room(algorithm, *y);
  return SUCCESS;
}

struct Operand {
  const void* p;
  const Shape* shape;
  const char* what;
};

static bool in_memory(const Operand& o) {
  if (reinterpret_cast<uintptr_t>(o.p) % 16 != 0) return emu::report("%s is not aligned to 16 bytes", o.what), false;
  return emu::memory().contains(reinterpret_cast<uintptr_t>(o.p),
                                size_t(o.shape->size()) * emu::number_size(o.shape->half()), o.what);
}

// A number of an operand, as the tensor cores see it if they may take it for TF32.
static double operand(const void* p, const Shape& s, int64_t i, int math) {
  const double value = emu::load_number(p, s.half(), i);
  if (s.half() || math == FMA_MATH) return value;
  float x = float(value);
  uint32_t bits;
  memcpy(&bits, &x, 4);
  bits = (bits + 0x1000) & 0xFFFFE000;
  memcpy(&x, &bits, 4);
  return x;
}

// out = alpha f + beta out for each of its numbers, where f adds up what `sum` gives it.
template <class Sum>
static int launch(Handle* handle, const Operand& a, const Operand& b, const Operand& out, void* workspace, size_t given,
                  size_t needed, const void* alpha, const void* beta, Sum sum) {
  if (given < needed) return BAD_PARAM;
  if (!in_memory(a) || !in_memory(b) || !in_memory(out)) return EXECUTION_FAILED;
  if (needed && !emu::memory().contains(reinterpret_cast<uintptr_t>(workspace), needed, "cuDNN: workspace"))
    return EXECUTION_FAILED;
  const double by = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  const auto run = [=, shape = *out.shape, to = const_cast<void*>(out.p)] {
    if (needed) memset(workspace, emu::POISON, needed);
    for (int64_t i = 0; i < shape.size(); ++i) {
      const double old = keep != 0.0 ? keep * emu::load_number(to, shape.half(), i) : 0.0;
      emu::store_number(to, shape.half(), i, by * sum(i) + old);
    }
    return CUDA_SUCCESS;
  };
  return emu::enqueue(handle->stream, run) == CUDA_SUCCESS ? SUCCESS : EXECUTION_FAILED;
}

#define DNN extern "C" __attribute__((visibility("default"))) int

extern "C" __attribute__((visibility("default"))) size_t cudnnGetVersion() {
  return size_t(emu::setting("EMULATOR_CUDNN", 91700));
}

DNN cudnnCreate(Handle** h) { return *h = new Handle, SUCCESS; }
DNN cudnnDestroy(Handle* h) { return delete h, SUCCESS; }
DNN cudnnSetStream(Handle* h, CUstream stream) { return h->stream = stream, SUCCESS; }

DNN cudnnCreateTensorDescriptor(Shape** s) { return *s = new Shape, SUCCESS; }
DNN cudnnDestroyTensorDescriptor(Shape* s) { return delete s, SUCCESS; }
DNN cudnnSetTensor4dDescriptor(Shape* s, int format, int type, int n, int c, int h, int w) {
  return set(s, format, type, n, c, h, w);
}
DNN cudnnCreateFilterDescriptor(Shape** s) { return *s = new Shape, SUCCESS; }
DNN cudnnDestroyFilterDescriptor(Shape* s) { return delete s, SUCCESS; }
DNN cudnnSetFilter4dDescriptor(Shape* s, int type, int format, int k, int c, int h, int w) {
  return set(s, format, type, k, c, h, w);
}

DNN cudnnCreateConvolutionDescriptor(Convolution** v) { return *v = new Convolution, SUCCESS; }
DNN cudnnDestroyConvolutionDescriptor(Convolution* v) { return delete v, SUCCESS; }
DNN cudnnSetConvolution2dDescriptor(Convolution* v, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h,
                                    int dilation_w, int mode, int compute) {
  if (pad_h < 0 || pad_w < 0 || stride_h < 1 || stride_w < 1) return BAD_PARAM;
  if (dilation_h != 1 || dilation_w != 1 || mode != CROSS_CORRELATION || compute != FLOAT)
    return NOT_SUPPORTED;
  *v = Convolution{pad_h, pad_w, stride_h, stride_w, v->math};
  return SUCCESS;
}
DNN cudnnSetConvolutionMathType(Convolution* v, int math) {
  if (math < DEFAULT_MATH || math > FMA_MATH) return BAD_PARAM;
  return v->math = math, SUCCESS;
}

DNN cudnnGetConvolutionForwardWorkspaceSize(Handle*, const Shape* x, const Shape* w, const Convolution* v,
                                            const Shape* y, int algorithm, size_t* bytes) {
  return ask(x, w, v, y, algorithm, true, bytes);
}
DNN cudnnGetConvolutionBackwardDataWorkspaceSize(Handle*, const Shape* w, const Shape* dy, const Convolution* v,
                                                 const Shape* dx, int algorithm, size_t* bytes) {
  return ask(dx, w, v, dy, algorithm, false, bytes);
}
DNN cudnnGetConvolutionBackwardFilterWorkspaceSize(Handle*, const Shape* x, const Shape* dy, const Convolution* v,
                                                   const Shape* dw, int algorithm, size_t* bytes) {
  return ask(x, dw, v, dy, algorithm, false, bytes);
}

DNN cudnnConvolutionForward(Handle* handle, const void* alpha, const Shape* x_shape, const void* x,
                            const Shape* w_shape, const void* w, const Convolution* conv, int algorithm,
                            void* workspace, size_t given, const void* beta, const Shape* y_shape, void* y) {
  size_t needed;
  if (const int e = ask(x_shape, w_shape, conv, y_shape, algorithm, true, &needed)) return e;
  const auto sum = [=, X = *x_shape, W = *w_shape, V = *conv, Y = *y_shape](int64_t i) {
    const int64_t k = i % Y.c, q = i / Y.c % Y.w, p = i / Y.c / Y.w % Y.h, n = i / Y.c / Y.w / Y.h;
    double sum = 0.0;
    for (int64_t r = 0; r < W.h; ++r)
      for (int64_t s = 0; s < W.w; ++s) {
        const int64_t row = p * V.stride_h + r - V.pad_h, column = q * V.stride_w + s - V.pad_w;
        if (row < 0 || row >= X.h || column < 0 || column >= X.w) continue;
        for (int64_t c = 0; c < X.c; ++c)
          sum += operand(x, X, X.at(n, row, column, c), V.math) * operand(w, W, W.at(k, r, s, c), V.math);
      }
    return sum;
  };
  return launch(handle, {x, x_shape, "cuDNN: x"}, {w, w_shape, "cuDNN: w"}, {y, y_shape, "cuDNN: y"}, workspace,
                     given, needed, alpha, beta, sum);
}

DNN cudnnConvolutionBackwardData(Handle* handle, const void* alpha, const Shape* w_shape, const void* w,
                                 const Shape* dy_shape, const void* dy, const Convolution* conv, int algorithm,
                                 void* workspace, size_t given, const void* beta, const Shape* dx_shape, void* dx) {
  size_t needed;
  if (const int e = ask(dx_shape, w_shape, conv, dy_shape, algorithm, false, &needed)) return e;
  const auto sum = [=, X = *dx_shape, W = *w_shape, V = *conv, Y = *dy_shape](int64_t i) {
    const int64_t c = i % X.c, column = i / X.c % X.w, row = i / X.c / X.w % X.h, n = i / X.c / X.w / X.h;
    double sum = 0.0;
    for (int64_t r = 0; r < W.h; ++r)
      for (int64_t s = 0; s < W.w; ++s) {
        const int64_t p = row + V.pad_h - r, q = column + V.pad_w - s;
        if (p < 0 || p % V.stride_h || p / V.stride_h >= Y.h || q < 0 || q % V.stride_w || q / V.stride_w >= Y.w)
          continue;
        for (int64_t k = 0; k < Y.c; ++k)
          sum += operand(dy, Y, Y.at(n, p / V.stride_h, q / V.stride_w, k), V.math) *
                 operand(w, W, W.at(k, r, s, c), V.math);
      }
    return sum;
  };
  return launch(handle, {w, w_shape, "cuDNN: w"}, {dy, dy_shape, "cuDNN: dy"}, {dx, dx_shape, "cuDNN: dx"},
                     workspace, given, needed, alpha, beta, sum);
}

DNN cudnnConvolutionBackwardFilter(Handle* handle, const void* alpha, const Shape* x_shape, const void* x,
                                   const Shape* dy_shape, const void* dy, const Convolution* conv, int algorithm,
                                   void* workspace, size_t given, const void* beta, const Shape* dw_shape, void* dw) {
  size_t needed;
  if (const int e = ask(x_shape, dw_shape, conv, dy_shape, algorithm, false, &needed)) return e;
  const auto sum = [=, X = *x_shape, W = *dw_shape, V = *conv, Y = *dy_shape](int64_t i) {
    const int64_t c = i % W.c, s = i / W.c % W.w, r = i / W.c / W.w % W.h, k = i / W.c / W.w / W.h;
    double sum = 0.0;
    for (int64_t n = 0; n < Y.n; ++n)
      for (int64_t p = 0; p < Y.h; ++p)
        for (int64_t q = 0; q < Y.w; ++q) {
          const int64_t row = p * V.stride_h + r - V.pad_h, column = q * V.stride_w + s - V.pad_w;
          if (row < 0 || row >= X.h || column < 0 || column >= X.w) continue;
          sum += operand(x, X, X.at(n, row, column, c), V.math) * operand(dy, Y, Y.at(n, p, q, k), V.math);
        }
    return sum;
  };
  return launch(handle, {x, x_shape, "cuDNN: x"}, {dy, dy_shape, "cuDNN: dy"}, {dw, dw_shape, "cuDNN: dw"},
                     workspace, given, needed, alpha, beta, sum);
}

}  // namespace dnn
