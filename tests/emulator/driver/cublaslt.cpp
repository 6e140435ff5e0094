// cuBLASLt's matrix products as plain loops: D = alpha op(A) op(B) + beta C, column-major, in batches, with a bias for
// each row of D if asked for. Sums are in double.
//
// Refused, as by the library: layouts that do not fit together, and pointers less aligned than the preference told.
#include <cstdint>
#include <cstring>

#include "memory.h"
#include "numbers.h"
#include "report.h"
#include "stream.h"

namespace {

enum Status { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum Type { F32 = 0, BF16 = 14 };  // of cudaDataType
enum Epilogue { DEFAULT = 1, BIAS = 4 };

struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t ld;
  int32_t batch = 1;
  int64_t stride = 0;  // between two matrices of the batch
};

struct Desc {
  int32_t trans_a = 0, trans_b = 0;
  uint32_t epilogue = DEFAULT;
  const void* bias = nullptr;
};

struct Preference {
  uint64_t workspace = 0;
  uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

// The library's own, as far as callers see into them.
struct Algo {
  uint64_t data[8];
};
struct HeuristicResult {
  Algo algo;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};
constexpr size_t WORKSPACE = 1 << 20;  // asked for, and filled with NaN: nobody else may count on it

template <class T>
int set(T* field, const void* value, size_t size) {
  if (size != sizeof(T)) return INVALID_VALUE;
  memcpy(field, value, size);
  return SUCCESS;
}

struct Shape {
  int64_t m, n, k;
};

// Whether the layouts fit together.
bool shape_of(const Desc& d, const Layout& a, const Layout& b, const Layout& c, const Layout& out, Shape* s) {
  const auto sound = [](const Layout& l) {
    return (l.type == F32 || l.type == BF16) && l.ld >= int64_t(l.rows) && l.rows > 0 && l.columns > 0 && l.batch > 0;
  };
  if (!sound(a) || !sound(b) || !sound(c) || !sound(out)) return false;
  *s = {int64_t(d.trans_a ? a.columns : a.rows), int64_t(d.trans_b ? b.rows : b.columns),
        int64_t(d.trans_a ? a.rows : a.columns)};
  return int64_t(d.trans_b ? b.columns : b.rows) == s->k && int64_t(out.rows) == s->m &&
         int64_t(out.columns) == s->n && c.rows == out.rows && c.columns == out.columns && a.type == b.type &&
         c.type == out.type && a.batch == out.batch && b.batch == out.batch && c.batch == out.batch;
}

bool in_memory(const void* p, const Layout& l, const char* what) {
  const int64_t last = l.stride * (l.batch - 1) + l.ld * int64_t(l.columns - 1) + int64_t(l.rows);
  return emu::memory().contains(reinterpret_cast<uintptr_t>(p), size_t(last) * emu::number_size(l.type == BF16), what);
}

}  // namespace

#define LT extern "C" __attribute__((visibility("default"))) int

LT cublasLtCreate(void** handle) { return *handle = new char, SUCCESS; }
LT cublasLtDestroy(void* handle) { return delete static_cast<char*>(handle), SUCCESS; }

LT cublasLtMatrixLayoutCreate(Layout** l, int type, uint64_t rows, uint64_t columns, int64_t ld) {
  *l = new Layout{type, rows, columns, ld};
  return SUCCESS;
}
LT cublasLtMatrixLayoutDestroy(Layout* l) { return delete l, SUCCESS; }
LT cublasLtMatrixLayoutSetAttribute(Layout* l, int attribute, const void* value, size_t size) {
  switch (attribute) {
    case 5: return set(&l->batch, value, size);
    case 6: return set(&l->stride, value, size);
    default: return NOT_SUPPORTED;
  }
}

LT cublasLtMatmulDescCreate(Desc** d, int compute, int scale) {
  *d = new Desc;
  return (compute == 68 || compute == 77) && scale == F32 ? SUCCESS : NOT_SUPPORTED;  // f32, and TF32 for it
}
LT cublasLtMatmulDescDestroy(Desc* d) { return delete d, SUCCESS; }
LT cublasLtMatmulDescSetAttribute(Desc* d, int attribute, const void* value, size_t size) {
  switch (attribute) {
    case 3: return set(&d->trans_a, value, size);
    case 4: return set(&d->trans_b, value, size);
    case 7: return set(&d->epilogue, value, size);
    case 8: return set(&d->bias, value, size);
    default: return NOT_SUPPORTED;
  }
}

LT cublasLtMatmulPreferenceCreate(Preference** p) { return *p = new Preference, SUCCESS; }
LT cublasLtMatmulPreferenceDestroy(Preference* p) { return delete p, SUCCESS; }
LT cublasLtMatmulPreferenceSetAttribute(Preference* p, int attribute, const void* value, size_t size) {
  switch (attribute) {
    case 1: return set(&p->workspace, value, size);
    case 5: case 6: case 7: case 8: return set(&p->alignment[attribute - 5], value, size);
    default: return NOT_SUPPORTED;
  }
}

LT cublasLtMatmulAlgoGetHeuristic(void*, const Desc* d, const Layout* a, const Layout* b, const Layout* c,
                                  const Layout* out, const Preference* p, int wanted, HeuristicResult* results,
                                  int* found) {
  Shape s;
  *found = 0;
  if (!shape_of(*d, *a, *b, *c, *out, &s)) return INVALID_VALUE;
  if (wanted < 1 || (d->epilogue != DEFAULT && d->epilogue != BIAS)) return NOT_SUPPORTED;
  HeuristicResult r = {};
  r.algo.data[0] = p->workspace < WORKSPACE ? 0 : WORKSPACE;
  for (int i = 0; i < 4; ++i) r.algo.data[1 + i] = p->alignment[i];
  r.workspace = r.algo.data[0];
  results[0] = r;
  *found = 1;
  return SUCCESS;
}

LT cublasLtMatmul(void*, const Desc* desc, const float* alpha, const void* a, const Layout* la, const void* b,
                  const Layout* lb, const float* beta, const void* c, const Layout* lc, void* out, const Layout* lout,
                  const Algo* algo, void* workspace, size_t workspace_size, CUstream stream) {
  Shape s;
  if (!shape_of(*desc, *la, *lb, *lc, *lout, &s) || !algo) return INVALID_VALUE;
  const void* pointers[4] = {a, b, c, out};
  for (int i = 0; i < 4; ++i) {
    if (reinterpret_cast<uintptr_t>(pointers[i]) % algo->data[1 + i] == 0) continue;
    emu::report("cuBLASLt: pointer %d of A, B, C, D is not aligned to %d, as the preference told", i,
                int(algo->data[1 + i]));
    return INVALID_VALUE;
  }
  if (workspace_size < algo->data[0]) return INVALID_VALUE;
  if (!in_memory(a, *la, "cuBLASLt: A") || !in_memory(b, *lb, "cuBLASLt: B") || !in_memory(out, *lout, "cuBLASLt: D") ||
      (*beta != 0.0f && !in_memory(c, *lc, "cuBLASLt: C")) ||
      !emu::memory().contains(reinterpret_cast<uintptr_t>(workspace), algo->data[0], "cuBLASLt: workspace"))
    return EXECUTION_FAILED;
  const Layout bias{lout->type, uint64_t(s.m), 1, s.m};
  if (desc->epilogue == BIAS && !in_memory(desc->bias, bias, "cuBLASLt: bias")) return EXECUTION_FAILED;

  const auto run = [=, d = *desc, A = *la, B = *lb, C = *lc, D = *lout, alpha = double(*alpha), beta = double(*beta),
                    used = algo->data[0]] {
    if (used) memset(workspace, emu::POISON, used);
    for (int64_t i = 0; i < D.batch; ++i)
      for (int64_t n = 0; n < s.n; ++n)
        for (int64_t m = 0; m < s.m; ++m) {
          double sum = 0.0;
          for (int64_t k = 0; k < s.k; ++k)
            sum += emu::load_number(a, A.type == BF16, i * A.stride + (d.trans_a ? m * A.ld + k : k * A.ld + m)) *
                   emu::load_number(b, B.type == BF16, i * B.stride + (d.trans_b ? k * B.ld + n : n * B.ld + k));
          sum *= alpha;
          if (beta != 0.0) sum += beta * emu::load_number(c, C.type == BF16, i * C.stride + n * C.ld + m);
          if (d.epilogue == BIAS) sum += emu::load_number(d.bias, D.type == BF16, m);
          emu::store_number(out, D.type == BF16, i * D.stride + n * D.ld + m, sum);
        }
    return CUDA_SUCCESS;
  };
  return emu::enqueue(stream, run) == CUDA_SUCCESS ? SUCCESS : EXECUTION_FAILED;
}
