/* Rows in order: stable sorting by digits, the largest elements, running sums.  One function call works on one row. */
#ifndef FDL_ORDER_H
#define FDL_ORDER_H
#include "fdl_math.h"

#define FDL_FEW_SORTED \
  64 /* elements that are sorted by insertion, and largest ones that are kept in order while the others pass */

/* Keys: unsigned numbers in the order of the elements.  The zeros are one key; NaN is the largest one. */
FDL_FN fdl_u32 fdl_key_f32(float x) {
  const fdl_u32 u = fdl_bits(x == 0.0f ? 0.0f : x);
  return x != x ? 0xFFFFFFFFu : u ^ (u >> 31 ? 0xFFFFFFFFu : 0x80000000u);
}
FDL_FN fdl_u64 fdl_key_f64(double x) {
  const fdl_u64 u = fdl_bits64(x == 0.0 ? 0.0 : x);
  return x != x ? ~0ull : u ^ (u >> 63 ? ~0ull : 1ull << 63);
}
#define FDL_INTEGER_KEY(T, type, U, flip) \
  FDL_FN U fdl_key_##T(type x) { return (U)x ^ (flip); }
FDL_INTEGER_KEY(i8, fdl_i8, fdl_u32, 1u << 31)
FDL_INTEGER_KEY(i16, fdl_i16, fdl_u32, 1u << 31) FDL_INTEGER_KEY(i32, fdl_i32, fdl_u32, 1u << 31)
    FDL_INTEGER_KEY(u8, fdl_u8, fdl_u32, 0) FDL_INTEGER_KEY(u16, fdl_u16, fdl_u32, 0)
        FDL_INTEGER_KEY(u32, fdl_u32, fdl_u32, 0) FDL_INTEGER_KEY(i64, fdl_i64, fdl_u64, 1ull << 63)
            FDL_INTEGER_KEY(u64, fdl_u64, fdl_u64, 0)

    /* Among the largest, NaN is infinity */
    FDL_FN float fdl_numbers_f32(float x) {
  return x != x ? FDL_INF_F32 : x;
}
FDL_FN double fdl_numbers_f64(double x) { return x != x ? FDL_INF_F64 : x; }
#define FDL_NUMBERS(T, type) \
  FDL_FN type fdl_numbers_##T(type x) { return x; }
FDL_NUMBERS(i8, fdl_i8)
FDL_NUMBERS(i16, fdl_i16) FDL_NUMBERS(i32, fdl_i32) FDL_NUMBERS(i64, fdl_i64) FDL_NUMBERS(u8, fdl_u8)
    FDL_NUMBERS(u16, fdl_u16) FDL_NUMBERS(u32, fdl_u32) FDL_NUMBERS(u64, fdl_u64)

/* The places of n keys in order: digits of 8 bits, the last one first, each in a stable pass (Knuth 5.2.5); digits that
 * all keys share need none.  `spare` has room for as many keys and places again. */
#define FDL_SORT_KEYS(U)                                                                         \
  static void fdl_sort_keys_##U(U *key, fdl_i32 *out, U *spare, fdl_i32 *spare_places, long n) { \
    for (long i = 0; i < n; i++) out[i] = (fdl_i32)i;                                            \
    if (n < FDL_FEW_SORTED) {                                                                    \
      for (long i = 1; i < n; i++) {                                                             \
        const U k = key[i];                                                                      \
        long j = i;                                                                              \
        for (; j && key[j - 1] > k; j--) key[j] = key[j - 1], out[j] = out[j - 1];               \
        key[j] = k, out[j] = (fdl_i32)i;                                                         \
      }                                                                                          \
      return;                                                                                    \
    }                                                                                            \
    enum { DIGITS = sizeof(U) };                                                                 \
    unsigned count[DIGITS][256];                                                                 \
    __builtin_memset(count, 0, sizeof count);                                                    \
    for (long i = 0; i < n; i++)                                                                 \
      for (int d = 0; d < DIGITS; d++) count[d][key[i] >> 8 * d & 255]++;                        \
    fdl_i32 *from = out, *to = spare_places;                                                     \
    for (int d = 0; d < DIGITS; d++) {                                                           \
      if (count[d][key[0] >> 8 * d & 255] == (unsigned)n) continue;                              \
      unsigned next = 0;                                                                         \
      for (int b = 0; b < 256; b++) {                                                            \
        const unsigned c = count[d][b];                                                          \
        count[d][b] = next, next += c;                                                           \
      }                                                                                          \
      for (long i = 0; i < n; i++) {                                                             \
        const unsigned place = count[d][key[i] >> 8 * d & 255]++;                                \
        spare[place] = key[i], to[place] = from[i];                                              \
      }                                                                                          \
      U *const k = key;                                                                          \
      fdl_i32 *const p = from;                                                                   \
      key = spare, spare = k, from = to, to = p;                                                 \
    }                                                                                            \
    if (from != out) __builtin_memcpy(out, from, n * sizeof *out);                               \
  }
        FDL_SORT_KEYS(fdl_u32) FDL_SORT_KEYS(fdl_u64)

#define FDL_ORDER(T, type, U)                                                                           \
  static void fdl_argsort_##T(const type *x, fdl_i32 *out, fdl_i64 *scratch, long n, long descending) { \
    U *const key = (U *)scratch;                                                                        \
    for (long i = 0; i < n; i++) key[i] = descending ? (U)~fdl_key_##T(x[i]) : fdl_key_##T(x[i]);       \
    fdl_sort_keys_##U(key, out, key + n, (fdl_i32 *)(key + 2 * n), n);                                  \
  }                                                                                                     \
  static void fdl_top_k_##T(const type *x, fdl_i32 *out, fdl_i64 *scratch, long n, long k) {            \
    U *const key = (U *)scratch;                                                                        \
    if (k > FDL_FEW_SORTED) {                                                                           \
      fdl_i32 *const places = (fdl_i32 *)(key + 2 * n) + n;                                             \
      for (long i = 0; i < n; i++) key[i] = (U)~fdl_key_##T(fdl_numbers_##T(x[i]));                     \
      fdl_sort_keys_##U(key, places, key + n, (fdl_i32 *)(key + 2 * n), n);                             \
      __builtin_memcpy(out, places, k * sizeof *out);                                                   \
      return;                                                                                           \
    }                                                                                                   \
    long have = 0;                                                                                      \
    for (long i = 0; i < n && k; i++) {                                                                 \
      const U own = fdl_key_##T(fdl_numbers_##T(x[i]));                                                 \
      if (have == k && own <= key[k - 1]) continue;                                                     \
      long j = have < k ? have++ : k - 1;                                                               \
      for (; j && key[j - 1] < own; j--) key[j] = key[j - 1], out[j] = out[j - 1];                      \
      key[j] = own, out[j] = (fdl_i32)i;                                                                \
    }                                                                                                   \
  }
            FDL_ORDER(f32, float, fdl_u32) FDL_ORDER(f64, double, fdl_u64) FDL_ORDER(i8, fdl_i8, fdl_u32)
                FDL_ORDER(i16, fdl_i16, fdl_u32) FDL_ORDER(i32, fdl_i32, fdl_u32) FDL_ORDER(i64, fdl_i64, fdl_u64)
                    FDL_ORDER(u8, fdl_u8, fdl_u32) FDL_ORDER(u16, fdl_u16, fdl_u32) FDL_ORDER(u32, fdl_u32, fdl_u32)
                        FDL_ORDER(u64, fdl_u64, fdl_u64)

/* Running sums down n rows of `inner` columns, some columns side by side */
#define FDL_CUMSUM(T, type, wide)                                                           \
  static void fdl_cumsum_##T(const type *x, type *out, long n, long inner, long reverse) {  \
    enum { SIDE = 32 };                                                                     \
    if (inner == 1) {                                                                       \
      wide sum = 0;                                                                         \
      if (reverse)                                                                          \
        for (long i = n - 1; i >= 0; i--) out[i] = (type)(sum += (wide)x[i]);               \
      else                                                                                  \
        for (long i = 0; i < n; i++) out[i] = (type)(sum += (wide)x[i]);                    \
      return;                                                                               \
    }                                                                                       \
    for (long j0 = 0; j0 < inner; j0 += SIDE) {                                             \
      const long width = inner - j0 < SIDE ? inner - j0 : SIDE;                             \
      wide sum[SIDE] = {0};                                                                 \
      for (long i = 0; i < n; i++) {                                                        \
        const long row = (reverse ? n - 1 - i : i) * inner + j0;                            \
        for (long j = 0; j < width; j++) out[row + j] = (type)(sum[j] += (wide)x[row + j]); \
      }                                                                                     \
    }                                                                                       \
  }
                            FDL_CUMSUM(f32, float, double) FDL_CUMSUM(f64, double, double)
                                FDL_CUMSUM(i8, fdl_i8, fdl_u64) FDL_CUMSUM(i16, fdl_i16, fdl_u64)
                                    FDL_CUMSUM(i32, fdl_i32, fdl_u64) FDL_CUMSUM(i64, fdl_i64, fdl_u64)
                                        FDL_CUMSUM(u8, fdl_u8, fdl_u64) FDL_CUMSUM(u16, fdl_u16, fdl_u64)
                                            FDL_CUMSUM(u32, fdl_u32, fdl_u64) FDL_CUMSUM(u64, fdl_u64, fdl_u64)
#endif
