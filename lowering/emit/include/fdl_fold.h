/* Folds along a row, in an order that depends on lengths alone: element i of a block of 256 goes to lane i % 16 of
 * accumulator i / 16 % 4; the last vector of a block is filled up with the neutral element; a tree joins accumulators
 * and lanes when all blocks are in. */
#ifndef FDL_FOLD_H
#define FDL_FOLD_H
#include "fdl_math.h"

#define FDL_BLOCK 256   /* elements of the innermost loop that are computed, then folded */
#define FDL_ACROSS 1024 /* neighbouring columns that are folded together */
#define FDL_NEAR \
  32 /* neighbouring rows that are folded together, where they and not their elements are neighbours in memory */
#define FDL_PLUS(a, b) ((a) + (b))
#define FDL_LARGER_ONE(a, b) ((b) > (a) || ((b) != (b) && (a) == (a)) ? (b) : (a))

typedef float fdl_f32x16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef double fdl_f64x16 __attribute__((vector_size(128), aligned(8), may_alias));
typedef float fdl_f32x8 __attribute__((vector_size(32)));
typedef double fdl_f64x8 __attribute__((vector_size(64)));
typedef float fdl_f32x4 __attribute__((vector_size(16)));
typedef double fdl_f64x4 __attribute__((vector_size(32)));
typedef int fdl_f32x16_mask __attribute__((vector_size(64)));
typedef long long fdl_f64x16_mask __attribute__((vector_size(128)));

#define FDL_JOIN_ADD(T, a, b) ((a) + (b))
/* The larger one, or the first NaN */
#define FDL_JOIN_MAX(T, a, b) fdl_larger_##T(a, b)
#define FDL_LARGER(T, vector)                                                \
  FDL_FN vector fdl_larger_##T(vector a, vector b) {                         \
    const vector##_mask take = (b > a) | ((b != b) & (a == a));              \
    return (vector)(((vector##_mask)b & take) | ((vector##_mask)a & ~take)); \
  }
FDL_LARGER(f32, fdl_f32x16)
FDL_LARGER(f64, fdl_f64x16)

#define FDL_ROW(op, T, type, join, tree, neutral)                                               \
  typedef struct {                                                                              \
    fdl_##T##x16 s0, s1, s2, s3;                                                                \
  } fdl_row_##op##_##T;                                                                         \
  FDL_FN fdl_row_##op##_##T fdl_begin_##op##_##T(void) {                                        \
    const fdl_##T##x16 zero = {0}, v = zero + (neutral);                                        \
    fdl_row_##op##_##T r = {v, v, v, v};                                                        \
    return r;                                                                                   \
  }                                                                                             \
  FDL_FN fdl_row_##op##_##T fdl_block_##op##_##T(fdl_row_##op##_##T r, const type *x, long n) { \
    long i = 0;                                                                                 \
    for (; i + 64 <= n; i += 64) {                                                              \
      r.s0 = join(T, r.s0, *(const fdl_##T##x16 *)(x + i));                                     \
      r.s1 = join(T, r.s1, *(const fdl_##T##x16 *)(x + i + 16));                                \
      r.s2 = join(T, r.s2, *(const fdl_##T##x16 *)(x + i + 32));                                \
      r.s3 = join(T, r.s3, *(const fdl_##T##x16 *)(x + i + 48));                                \
    }                                                                                           \
    if (i < n) {                                                                                \
      type tail[64];                                                                            \
      for (long j = 0; j < 64; j++) tail[j] = (neutral);                                        \
      for (long j = 0; i + j < n; j++) tail[j] = x[i + j];                                      \
      r.s0 = join(T, r.s0, *(const fdl_##T##x16 *)tail);                                        \
      if (n - i > 16) r.s1 = join(T, r.s1, *(const fdl_##T##x16 *)(tail + 16));                 \
      if (n - i > 32) r.s2 = join(T, r.s2, *(const fdl_##T##x16 *)(tail + 32));                 \
      if (n - i > 48) r.s3 = join(T, r.s3, *(const fdl_##T##x16 *)(tail + 48));                 \
    }                                                                                           \
    return r;                                                                                   \
  }                                                                                             \
  FDL_FN type fdl_end_##op##_##T(fdl_row_##op##_##T r) {                                        \
    const fdl_##T##x16 s = join(T, join(T, r.s0, r.s1), join(T, r.s2, r.s3));                   \
    return tree(T, type, s);                                                                    \
  }
#define FDL_TREE_ADD(T, type, s) fdl_tree_##T(s)
#define FDL_TREE(T, type)                                                                                        \
  FDL_FN type fdl_tree_##T(fdl_##T##x16 s) {                                                                     \
    const fdl_##T##x8 a = __builtin_shufflevector(s, s, 0, 1, 2, 3, 4, 5, 6, 7) +                                \
                          __builtin_shufflevector(s, s, 8, 9, 10, 11, 12, 13, 14, 15);                           \
    const fdl_##T##x4 b = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7); \
    return (b[0] + b[2]) + (b[1] + b[3]);                                                                        \
  }
FDL_TREE(f32, float)
FDL_TREE(f64, double)
#define FDL_TREE_MAX(T, type, s) fdl_highest_##T(s)
#define FDL_HIGHEST(T, type)                                \
  FDL_FN type fdl_highest_##T(fdl_##T##x16 s) {             \
    type m = s[0];                                          \
    for (long l = 1; l < 16; l++) m = fdl_max_##T(m, s[l]); \
    return m;                                               \
  }
FDL_HIGHEST(f32, float)
FDL_HIGHEST(f64, double)
FDL_ROW(add, f32, float, FDL_JOIN_ADD, FDL_TREE_ADD, 0.0f)
FDL_ROW(add, f64, double, FDL_JOIN_ADD, FDL_TREE_ADD, 0.0)
FDL_ROW(max, f32, float, FDL_JOIN_MAX, FDL_TREE_MAX, -FDL_INF_F32)
FDL_ROW(max, f64, double, FDL_JOIN_MAX, FDL_TREE_MAX, -FDL_INF_F64)

/* The end of rows side by side: lane l of accumulator s of each row lies in lanes[16 * s + l], and is joined in the
 * same order as in a row by itself */
#define FDL_ROWS_ACROSS(op, T, type, one, tree)                                                       \
  FDL_FN void fdl_across_##op##_##T(type lanes[64][FDL_NEAR], type *total) {                          \
    for (long l = 0; l < 16; l++)                                                                     \
      for (long i = 0; i < FDL_NEAR; i++) {                                                           \
        const type a = lanes[l][i], b = lanes[l + 16][i], c = lanes[l + 32][i], d = lanes[l + 48][i]; \
        const type ab = one(a, b), cd = one(c, d);                                                    \
        lanes[l][i] = one(ab, cd);                                                                    \
      }                                                                                               \
    tree(T, type)                                                                                     \
  }
#define FDL_ACROSS_ADD(T, type)                                                                                 \
  for (long i = 0; i < FDL_NEAR; i++) {                                                                         \
    type b[4];                                                                                                  \
    for (long l = 0; l < 4; l++) b[l] = (lanes[l][i] + lanes[l + 8][i]) + (lanes[l + 4][i] + lanes[l + 12][i]); \
    total[i] = (b[0] + b[2]) + (b[1] + b[3]);                                                                   \
  }
#define FDL_ACROSS_MAX(T, type)                               \
  for (long i = 0; i < FDL_NEAR; i++) total[i] = lanes[0][i]; \
  for (long l = 1; l < 16; l++)                               \
    for (long i = 0; i < FDL_NEAR; i++) total[i] = fdl_max_##T(total[i], lanes[l][i]);
FDL_ROWS_ACROSS(add, f32, float, FDL_PLUS, FDL_ACROSS_ADD)
FDL_ROWS_ACROSS(add, f64, double, FDL_PLUS, FDL_ACROSS_ADD)
FDL_ROWS_ACROSS(max, f32, float, FDL_LARGER_ONE, FDL_ACROSS_MAX)
FDL_ROWS_ACROSS(max, f64, double, FDL_LARGER_ONE, FDL_ACROSS_MAX)
#endif
