/* Folds along a row, in an order that depends on lengths alone: element i goes to lane i % 64, after a neutral element;
 * a tree joins the lanes when all elements are in.  Lanes lie in vectors of the machine's width. */
#ifndef FDL_FOLD_H
#define FDL_FOLD_H
#include "fdl_math.h"
#include "fdl_runtime.h"
#include "fdl_vector.h"

#define FDL_BLOCK 256   /* elements of the innermost loop that are computed, then folded */
#define FDL_LANES 64    /* of which FDL_BLOCK is a multiple */
#define FDL_ACROSS 1024 /* neighbouring columns that are folded together */
#define FDL_NEAR \
  32 /* neighbouring rows that are folded together, where they and not their elements are neighbours in memory */
#define FDL_PLUS(a, b) ((a) + (b))
#define FDL_LARGER_ONE(a, b) ((b) > (a) || ((b) != (b) && (a) == (a)) ? (b) : (a))

/* What becomes of lanes: `larger` takes the larger one, or the first NaN, or the first of two zeros.  A tree of maxima
 * takes the last of two zeros, so it begins with neighbours. */
#define FDL_TREES(T, type, integer)                                                               \
  typedef type fdl_##T##x4 __attribute__((vector_size(4 * sizeof(type))));                        \
  typedef integer fdl_##T##x4_mask __attribute__((vector_size(4 * sizeof(type))));                \
  typedef union {                                                                                 \
    fdl_vector_##T vectors[16 / fdl_width_##T];                                                   \
    fdl_##T##x4 fours[4];                                                                         \
  } fdl_sixteen_##T;                                                                              \
  FDL_FN fdl_vector_##T fdl_larger_##T(fdl_vector_##T a, fdl_vector_##T b) {                      \
    const fdl_mask_##T take = ~(b <= a) & (a == a);                                               \
    return (fdl_vector_##T)(((fdl_mask_##T)b & take) | ((fdl_mask_##T)a & ~take));                \
  }                                                                                               \
  FDL_FN fdl_##T##x4 fdl_max_of_pairs_##T(fdl_##T##x4 near, fdl_##T##x4 far) {                    \
    const fdl_##T##x4 a = __builtin_shufflevector(near, far, 0, 2, 4, 6);                         \
    const fdl_##T##x4 b = __builtin_shufflevector(near, far, 1, 3, 5, 7);                         \
    const fdl_##T##x4_mask keep = (a > b) | (a != a);                                             \
    return (fdl_##T##x4)(((fdl_##T##x4_mask)a & keep) | ((fdl_##T##x4_mask)b & ~keep));           \
  }                                                                                               \
  FDL_FN type fdl_highest_##T(const fdl_##T##x4 *s) {                                             \
    const fdl_##T##x4 a = fdl_max_of_pairs_##T(s[0], s[1]), b = fdl_max_of_pairs_##T(s[2], s[3]); \
    const fdl_##T##x4 four = fdl_max_of_pairs_##T(a, b), two = fdl_max_of_pairs_##T(four, four);  \
    return fdl_max_of_pairs_##T(two, two)[0];                                                     \
  }                                                                                               \
  FDL_FN type fdl_total_##T(const fdl_##T##x4 *s) {                                               \
    const fdl_##T##x4 b = (s[0] + s[2]) + (s[1] + s[3]);                                          \
    return (b[0] + b[2]) + (b[1] + b[3]);                                                         \
  }
FDL_TREES(f32, float, int)
FDL_TREES(f64, double, long long)

/* All lanes of a row; of their vectors so many are folded at a time as registers hold beside what joins them */
#define FDL_VECTORS(T) (FDL_LANES / fdl_width_##T)
#define FDL_AT_A_TIME(T) (FDL_VECTORS(T) < 8 ? FDL_VECTORS(T) : 8)
#define FDL_ROW(op, T, type, join, tree, neutral)                                                               \
  typedef struct {                                                                                              \
    fdl_vector_##T lanes[FDL_VECTORS(T)];                                                                       \
  } fdl_row_##op##_##T;                                                                                         \
  FDL_FN fdl_row_##op##_##T fdl_begin_##op##_##T(void) {                                                        \
    fdl_row_##op##_##T r;                                                                                       \
    FDL_UNROLLED for (int v = 0; v < FDL_VECTORS(T); v++) r.lanes[v] = fdl_all_##T(neutral);                    \
    return r;                                                                                                   \
  }                                                                                                             \
  FDL_FN fdl_row_##op##_##T fdl_block_##op##_##T(fdl_row_##op##_##T r, const type *x, long n) {                 \
    const long whole = n & -FDL_LANES, vectors = (n - whole) / fdl_width_##T;                                   \
    for (int first = 0; first < FDL_VECTORS(T); first += FDL_AT_A_TIME(T)) {                                    \
      fdl_vector_##T s[FDL_AT_A_TIME(T)];                                                                       \
      FDL_UNROLLED for (int v = 0; v < FDL_AT_A_TIME(T); v++) s[v] = r.lanes[first + v];                        \
      for (const type *from = x; from < x + whole; from += FDL_LANES) {                                         \
        FDL_UNROLLED for (int v = 0; v < FDL_AT_A_TIME(T); v++)                                                 \
          s[v] = join(T, s[v], *(const fdl_vector_##T *)(from + (first + v) * fdl_width_##T));                  \
      }                                                                                                         \
      FDL_UNROLLED for (int v = 0; v < FDL_AT_A_TIME(T); v++) r.lanes[first + v] = s[v];                        \
    }                                                                                                           \
    if (whole < n) {                                                                                            \
      const type *rest = x + whole, *last = rest + vectors * fdl_width_##T;                                     \
      const fdl_vector_##T part = fdl_part_##T(last, x + n - last, neutral);                                    \
      FDL_UNROLLED for (int v = 0; v < FDL_VECTORS(T); v++) {                                                   \
        if (v < vectors) r.lanes[v] = join(T, r.lanes[v], *(const fdl_vector_##T *)(rest + v * fdl_width_##T)); \
        else if (v == vectors) r.lanes[v] = join(T, r.lanes[v], part);                                          \
      }                                                                                                         \
    }                                                                                                           \
    return r;                                                                                                   \
  }                                                                                                             \
  FDL_FN type fdl_end_##op##_##T(fdl_row_##op##_##T r) {                                                        \
    enum { quarter = FDL_VECTORS(T) / 4 };                                                                      \
    fdl_sixteen_##T s;                                                                                          \
    FDL_UNROLLED for (int v = 0; v < quarter; v++) {                                                            \
      const fdl_vector_##T near = join(T, r.lanes[v], r.lanes[v + quarter]);                                    \
      const fdl_vector_##T far = join(T, r.lanes[v + 2 * quarter], r.lanes[v + 3 * quarter]);                   \
      s.vectors[v] = join(T, near, far);                                                                        \
    }                                                                                                           \
    return tree##_##T(s.fours);                                                                                 \
  }
#define FDL_JOIN_ADD(T, a, b) ((a) + (b))
#define FDL_JOIN_MAX(T, a, b) fdl_larger_##T(a, b)
FDL_ROW(add, f32, float, FDL_JOIN_ADD, fdl_total, 0.0f)
FDL_ROW(add, f64, double, FDL_JOIN_ADD, fdl_total, 0.0)
FDL_ROW(max, f32, float, FDL_JOIN_MAX, fdl_highest, -FDL_INF_F32)
FDL_ROW(max, f64, double, FDL_JOIN_MAX, fdl_highest, -FDL_INF_F64)

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
