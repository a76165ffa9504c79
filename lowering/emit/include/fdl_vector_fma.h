/* Products and sums of whole vectors with one rounding, where the machine has that: what matrix products are made of.
 */
#ifndef FDL_VECTOR_FMA_H
#define FDL_VECTOR_FMA_H
#include "fdl_fma.h"
#include "fdl_vector.h"

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
#if FDL_VECTOR_BYTES == 64 && defined(__AVX512F__)
FDL_VECTOR_FMA_ONE(f32, float) {
  __asm__("vfmadd231ps %1%{1to16%}, %2, %0" : "+v"(c) : "m"(*x), "v"(b));
  return c;
}
FDL_VECTOR_FMA_ONE(f64, double) {
  __asm__("vfmadd231pd %1%{1to8%}, %2, %0" : "+v"(c) : "m"(*x), "v"(b));
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
