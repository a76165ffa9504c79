/* Folds of a block of consecutive elements, in an order that depends on the block's length alone: 16 lanes, four sums each, a tree, then the tail. */
#ifndef FDL_FOLD_H
#define FDL_FOLD_H
#include "fdl_math.h"

#define FDL_BLOCK 256 /* elements of the innermost loop that are folded at once */
#define FDL_CHUNK 128 /* steps of a column's fold before they join the total */

typedef float fdl_f32x16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef double fdl_f64x16 __attribute__((vector_size(128), aligned(8), may_alias));

#define FDL_FOLD_SUM(T, type, vector) \
  FDL_FN type fdl_fold_add_##T(const type *x, long n) { \
    type total = 0; \
    long i = 0; \
    if (n >= 16) { \
      vector s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}; \
      for (; i + 64 <= n; i += 64) { \
        s0 += *(const vector *)(x + i); \
        s1 += *(const vector *)(x + i + 16); \
        s2 += *(const vector *)(x + i + 32); \
        s3 += *(const vector *)(x + i + 48); \
      } \
      for (; i + 16 <= n; i += 16) s0 += *(const vector *)(x + i); \
      s0 = (s0 + s1) + (s2 + s3); \
      total = (((s0[0] + s0[8]) + (s0[4] + s0[12])) + ((s0[2] + s0[10]) + (s0[6] + s0[14]))) \
            + (((s0[1] + s0[9]) + (s0[5] + s0[13])) + ((s0[3] + s0[11]) + (s0[7] + s0[15]))); \
    } \
    for (; i < n; i++) total += x[i]; \
    return total; \
  }
FDL_FOLD_SUM(f32, float, fdl_f32x16)
FDL_FOLD_SUM(f64, double, fdl_f64x16)

/* The order of a maximum, or of wrapping integers, changes no bit: any loop will do */
#define FDL_FOLD_PLAIN(op, T, type, combine) \
  FDL_FN type fdl_fold_##op##_##T(const type *x, long n) { \
    type total = x[0]; \
    for (long i = 1; i < n; i++) total = (type)combine(total, x[i]); \
    return total; \
  }
#define FDL_PLUS(a, b) ((a) + (b))
#define FDL_FOLD_INT(T, type) \
  FDL_FOLD_PLAIN(add, T, type, FDL_PLUS) \
  FDL_FOLD_PLAIN(max, T, type, fdl_max_##T)
FDL_FOLD_INT(i8, fdl_i8) FDL_FOLD_INT(i16, fdl_i16) FDL_FOLD_INT(i32, fdl_i32) FDL_FOLD_INT(i64, fdl_i64)
FDL_FOLD_INT(u8, fdl_u8) FDL_FOLD_INT(u16, fdl_u16) FDL_FOLD_INT(u32, fdl_u32) FDL_FOLD_INT(u64, fdl_u64)
FDL_FOLD_PLAIN(max, b8, fdl_b8, fdl_max_b8)

#define FDL_FOLD_MAX(T, type) \
  FDL_FN type fdl_fold_max_##T(const type *x, long n) { \
    type m[16], total; \
    long i = 16; \
    if (n < 16) { \
      total = x[0]; \
      for (i = 1; i < n; i++) total = fdl_max_##T(total, x[i]); \
      return total; \
    } \
    for (long l = 0; l < 16; l++) m[l] = x[l]; \
    for (; i + 16 <= n; i += 16) \
      for (long l = 0; l < 16; l++) m[l] = fdl_max_##T(m[l], x[i + l]); \
    total = m[0]; \
    for (long l = 1; l < 16; l++) total = fdl_max_##T(total, m[l]); \
    for (; i < n; i++) total = fdl_max_##T(total, x[i]); \
    return total; \
  }
FDL_FOLD_MAX(f32, float)
FDL_FOLD_MAX(f64, double)
#endif
