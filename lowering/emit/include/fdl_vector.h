/* Vectors of the machine's width, for code that does not leave it to the compiler to make vectors of scalars.  No
 * result depends on the width: a number of lanes that is said elsewhere lies in more or fewer vectors.
 */
#ifndef FDL_VECTOR_H
#define FDL_VECTOR_H

#ifndef FDL_VECTOR_BYTES
#if defined(__AVX512F__)
#define FDL_VECTOR_BYTES 64
#elif defined(__AVX__)
#define FDL_VECTOR_BYTES 32
#else
#define FDL_VECTOR_BYTES 16
#endif
#endif

#define FDL_VECTOR_FN static inline __attribute__((always_inline, unused))
#define FDL_X2 x, x
#define FDL_X4 FDL_X2, FDL_X2
#define FDL_X8 FDL_X4, FDL_X4
#if FDL_VECTOR_BYTES == 64
#define FDL_ALL_F32 FDL_X8, FDL_X8
#define FDL_ALL_F64 FDL_X8
#elif FDL_VECTOR_BYTES == 32
#define FDL_ALL_F32 FDL_X8
#define FDL_ALL_F64 FDL_X4
#else
#define FDL_ALL_F32 FDL_X4
#define FDL_ALL_F64 FDL_X2
#endif
typedef float fdl_vector_f32 __attribute__((vector_size(FDL_VECTOR_BYTES), aligned(4), may_alias));
typedef double fdl_vector_f64 __attribute__((vector_size(FDL_VECTOR_BYTES), aligned(8), may_alias));
enum { fdl_width_f32 = FDL_VECTOR_BYTES / 4, fdl_width_f64 = FDL_VECTOR_BYTES / 8 };
typedef int fdl_mask_f32 __attribute__((vector_size(FDL_VECTOR_BYTES)));
typedef long long fdl_mask_f64 __attribute__((vector_size(FDL_VECTOR_BYTES)));
FDL_VECTOR_FN fdl_vector_f32 fdl_all_f32(float x) { return (fdl_vector_f32){FDL_ALL_F32}; }
FDL_VECTOR_FN fdl_vector_f64 fdl_all_f64(double x) { return (fdl_vector_f64){FDL_ALL_F64}; }

/* The first `count` elements of a vector, not all of them, from memory; the others are filled.  Where the machine has
 * no such loads the vector is put together in memory, and read before it is there: that costs 15 ns. */
#define FDL_PART(T, type) FDL_VECTOR_FN fdl_vector_##T fdl_part_##T(const type *x, long count, type filling)
#if FDL_VECTOR_BYTES == 64 && defined(__AVX512F__)
FDL_PART(f32, float) { return __builtin_ia32_loadups512_mask(x, fdl_all_f32(filling), (1u << count) - 1u); }
FDL_PART(f64, double) { return __builtin_ia32_loadupd512_mask(x, fdl_all_f64(filling), (1u << count) - 1u); }
#elif FDL_VECTOR_BYTES == 32 && defined(__AVX__)
typedef float fdl_eight __attribute__((vector_size(32)));
typedef double fdl_four __attribute__((vector_size(32)));
FDL_PART(f32, float) {
  const fdl_mask_f32 there = (fdl_mask_f32){0, 1, 2, 3, 4, 5, 6, 7} < (int)count;
  const fdl_mask_f32 loaded = (fdl_mask_f32)__builtin_ia32_maskloadps256((const fdl_eight *)x, there);
  return (fdl_vector_f32)(loaded | ((fdl_mask_f32)fdl_all_f32(filling) & ~there));
}
FDL_PART(f64, double) {
  const fdl_mask_f64 there = (fdl_mask_f64){0, 1, 2, 3} < count;
  const fdl_mask_f64 loaded = (fdl_mask_f64)__builtin_ia32_maskloadpd256((const fdl_four *)x, there);
  return (fdl_vector_f64)(loaded | ((fdl_mask_f64)fdl_all_f64(filling) & ~there));
}
#else
FDL_PART(f32, float) {
  fdl_vector_f32 part = fdl_all_f32(filling);
  __builtin_memcpy(&part, x, count * sizeof *x);
  return part;
}
FDL_PART(f64, double) {
  fdl_vector_f64 part = fdl_all_f64(filling);
  __builtin_memcpy(&part, x, count * sizeof *x);
  return part;
}
#endif
#endif
