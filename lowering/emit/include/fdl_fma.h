/* A product and a sum with one rounding, where the machine has that: written out, so that no compiler, no flag and no
 * tuning decides.  Machines without round twice, always.
 *
 * Scalars for all of fdl's C and CUDA.  Whole vectors, of FDL_VECTOR_BYTES, for matrix products: compilers make vectors
 * of scalars where they think it best.
 */
#ifndef FDL_FMA_H
#define FDL_FMA_H

#if defined(__CUDACC__)
#define FDL_FMA_F32(a, b, c) fmaf(a, b, c)
#define FDL_FMA_F64(a, b, c) fma(a, b, c)
#elif defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__aarch64__)
#define FDL_FUSES
#define FDL_FMA_F32(a, b, c) __builtin_fmaf(a, b, c)
#define FDL_FMA_F64(a, b, c) __builtin_fma(a, b, c)
#else
#define FDL_FMA_F32(a, b, c) ((a) * (b) + (c))
#define FDL_FMA_F64(a, b, c) ((a) * (b) + (c))
#endif

#ifdef FDL_VECTOR_BYTES
#define FDL_VECTOR_FN static inline __attribute__((always_inline, unused))
#define FDL_X2 x, x
#define FDL_X4 FDL_X2, FDL_X2
#define FDL_X8 FDL_X4, FDL_X4
#if FDL_VECTOR_BYTES == 64
#define FDL_ALL_F32 FDL_X8, FDL_X8
#define FDL_ALL_F64 FDL_X8
#define FDL_LANES_F32 "16"
#define FDL_LANES_F64 "8"
#elif FDL_VECTOR_BYTES == 32
#define FDL_ALL_F32 FDL_X8
#define FDL_ALL_F64 FDL_X4
#else
#define FDL_ALL_F32 FDL_X4
#define FDL_ALL_F64 FDL_X2
#endif
typedef float fdl_vector_f32 __attribute__((vector_size(FDL_VECTOR_BYTES), aligned(4), may_alias));
typedef double fdl_vector_f64 __attribute__((vector_size(FDL_VECTOR_BYTES), aligned(8), may_alias));
FDL_VECTOR_FN fdl_vector_f32 fdl_all_f32(float x) { return (fdl_vector_f32){FDL_ALL_F32}; }
FDL_VECTOR_FN fdl_vector_f64 fdl_all_f64(double x) { return (fdl_vector_f64){FDL_ALL_F64}; }

/* a * b + c.  As instructions, which overwrite c: compilers that may choose another operand copy accumulators to and
 * fro. */
#if defined(__FMA__) && defined(__AVX512F__)
#define FDL_REGISTER "v"
#elif defined(__FMA__)
#define FDL_REGISTER "x"
#endif
#if defined(__FMA__) && defined(__clang__) /* which would put all that it may into memory */
#define FDL_REGISTER_OR_MEMORY FDL_REGISTER
#elif defined(__FMA__)
#define FDL_REGISTER_OR_MEMORY FDL_REGISTER "m"
#endif
#define FDL_VECTOR_FMA(T) FDL_VECTOR_FN fdl_vector_##T fdl_fma_##T(fdl_vector_##T a, fdl_vector_##T b, fdl_vector_##T c)
#if !defined(FDL_FUSES)
FDL_VECTOR_FMA(f32) { return a * b + c; }
FDL_VECTOR_FMA(f64) { return a * b + c; }
#elif defined(__FMA__)
FDL_VECTOR_FMA(f32) {
  __asm__("vfmadd231ps %2, %1, %0" : "+" FDL_REGISTER(c) : FDL_REGISTER(a), FDL_REGISTER_OR_MEMORY(b));
  return c;
}
FDL_VECTOR_FMA(f64) {
  __asm__("vfmadd231pd %2, %1, %0" : "+" FDL_REGISTER(c) : FDL_REGISTER(a), FDL_REGISTER_OR_MEMORY(b));
  return c;
}
#elif defined(__aarch64__)
FDL_VECTOR_FMA(f32) {
  __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(c) : "w"(a), "w"(b));
  return c;
}
FDL_VECTOR_FMA(f64) {
  __asm__("fmla %0.2d, %1.2d, %2.2d" : "+w"(c) : "w"(a), "w"(b));
  return c;
}
#else
FDL_VECTOR_FMA(f32) {
  return (fdl_vector_f32){FDL_FMA_F32(a[0], b[0], c[0]), FDL_FMA_F32(a[1], b[1], c[1]), FDL_FMA_F32(a[2], b[2], c[2]),
      FDL_FMA_F32(a[3], b[3], c[3])};
}
FDL_VECTOR_FMA(f64) { return (fdl_vector_f64){FDL_FMA_F64(a[0], b[0], c[0]), FDL_FMA_F64(a[1], b[1], c[1])}; }
#endif

/* *x * b + c, where the number is used once */
#define FDL_VECTOR_FMA_ONE(T, type) \
  FDL_VECTOR_FN fdl_vector_##T fdl_fma_one_##T(const type *x, fdl_vector_##T b, fdl_vector_##T c)
#if defined(FDL_LANES_F32) && defined(__AVX512F__)
FDL_VECTOR_FMA_ONE(f32, float) {
  __asm__("vfmadd231ps %1%{1to" FDL_LANES_F32 "%}, %2, %0" : "+v"(c) : "m"(*x), "v"(b));
  return c;
}
FDL_VECTOR_FMA_ONE(f64, double) {
  __asm__("vfmadd231pd %1%{1to" FDL_LANES_F64 "%}, %2, %0" : "+v"(c) : "m"(*x), "v"(b));
  return c;
}
#else
FDL_VECTOR_FMA_ONE(f32, float) { return fdl_fma_f32(fdl_all_f32(*x), b, c); }
FDL_VECTOR_FMA_ONE(f64, double) { return fdl_fma_f64(fdl_all_f64(*x), b, c); }
#endif

/* What each step of a loop reads keeps its register until the step's end: else gcc lends it to an accumulator, which is
 * copied there and back */
#ifdef FDL_REGISTER
#define FDL_KEEP(x) __asm__("" : : FDL_REGISTER(x))
#else
#define FDL_KEEP(x)
#endif
#endif
#endif
