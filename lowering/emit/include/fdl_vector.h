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
#endif
