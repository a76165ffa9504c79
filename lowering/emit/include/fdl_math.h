/* Scalar functions that generated kernels call, for C and CUDA.
 *
 * Branch-free where a loop around them should vectorise.  Transcendental ones are in fdl_functions.h (floats) and
 * fdl_exact.h (doubles); docs/accuracy.md says how far each may be from the exact result.  Narrow floats live in
 * `float` registers and are rounded after each operation.  No function's error depends on whether the machine has fused
 * multiply-adds.
 */
#ifndef FDL_MATH_H
#define FDL_MATH_H
#include "fdl_fma.h"

#ifdef __CUDACC__
#define FDL_FN __device__ static __forceinline__
#else
#define FDL_FN static inline __attribute__((always_inline, unused))
#endif

typedef signed char fdl_i8;
typedef short fdl_i16;
typedef int fdl_i32;
typedef long long fdl_i64;
typedef unsigned char fdl_u8;
typedef unsigned short fdl_u16;
typedef unsigned int fdl_u32;
typedef unsigned long long fdl_u64;
typedef unsigned char fdl_b8;

FDL_FN fdl_u32 fdl_bits(float x) {
  union {
    float f;
    fdl_u32 u;
  } v;
  v.f = x;
  return v.u;
}
FDL_FN float fdl_float(fdl_u32 u) {
  union {
    float f;
    fdl_u32 u;
  } v;
  v.u = u;
  return v.f;
}

#ifdef __CUDACC__
#define FDL_INF_F32 fdl_float(0x7F800000u)
#define FDL_NAN_F32 fdl_float(0x7FC00000u)
#define FDL_INF_F64 __longlong_as_double(0x7FF0000000000000ll)
#define FDL_NAN_F64 __longlong_as_double(0x7FF8000000000000ll)
#else
#define FDL_INF_F32 __builtin_inff()
#define FDL_NAN_F32 __builtin_nanf("")
#define FDL_INF_F64 __builtin_inf()
#define FDL_NAN_F64 __builtin_nan("")
#endif

/* Functions with one right result are instructions; the others are calls, never worked out by the compiler */
#ifdef __CUDACC__
#define FDL_EXACT(name) name
#else
#define FDL_EXACT(name) __builtin_##name
#endif

#ifndef __CUDACC__
#define FDL_M1(name) double name(double);
#define FDL_M2(name)           \
  float name##f(float, float); \
  double name(double, double);
FDL_M1(lgamma)
FDL_M2(fmod)
#endif

/* Functions of a library under one naming scheme */
#define FDL_LIB1(op, f32, f64)                            \
  FDL_FN float fdl_##op##_f32(float x) { return f32(x); } \
  FDL_FN double fdl_##op##_f64(double x) { return f64(x); }
#define FDL_LIB2(op, f32, f64)                                        \
  FDL_FN float fdl_##op##_f32(float x, float y) { return f32(x, y); } \
  FDL_FN double fdl_##op##_f64(double x, double y) { return f64(x, y); }
FDL_LIB1(sqrt, FDL_EXACT(sqrtf), FDL_EXACT(sqrt))
FDL_LIB1(abs, FDL_EXACT(fabsf), FDL_EXACT(fabs)) FDL_LIB1(floor, FDL_EXACT(floorf), FDL_EXACT(floor))
    FDL_LIB1(ceil, FDL_EXACT(ceilf), FDL_EXACT(ceil)) FDL_LIB1(trunc, FDL_EXACT(truncf), FDL_EXACT(trunc))
        FDL_LIB1(round, FDL_EXACT(rintf), FDL_EXACT(rint)) FDL_LIB2(rem, fmodf, fmod)

            FDL_FN fdl_u64 fdl_bits64(double x) {
  union {
    double f;
    fdl_u64 u;
  } v;
  v.f = x;
  return v.u;
}
FDL_FN double fdl_double(fdl_u64 u) {
  union {
    double f;
    fdl_u64 u;
  } v;
  v.u = u;
  return v.f;
}

#ifdef __CUDACC__ /* whose own mathematics is within the same bounds */
FDL_LIB1(exp, expf, exp)
FDL_LIB1(exp2, exp2f, exp2) FDL_LIB1(expm1, expm1f, expm1) FDL_LIB1(log, logf, log) FDL_LIB1(log2, log2f, log2)
    FDL_LIB1(log10, log10f, log10) FDL_LIB1(log1p, log1pf, log1p) FDL_LIB1(sin, sinf, sin) FDL_LIB1(cos, cosf, cos)
        FDL_LIB1(tan, tanf, tan) FDL_LIB1(asin, asinf, asin) FDL_LIB1(acos, acosf, acos) FDL_LIB1(sinh, sinhf, sinh)
            FDL_LIB1(cosh, coshf, cosh) FDL_LIB1(tanh, tanhf, tanh) FDL_LIB1(asinh, asinhf, asinh) FDL_LIB1(acosh,
                acoshf, acosh) FDL_LIB1(atanh, atanhf, atanh) FDL_LIB1(cbrt, cbrtf, cbrt) FDL_LIB1(rsqrt, rsqrtf, rsqrt)
                FDL_LIB1(erf, erff, erf) FDL_LIB1(erfc, erfcf, erfc) FDL_LIB1(lgamma, lgammaf, lgamma)
                    FDL_LIB2(pow, powf, pow) FDL_LIB2(atan2, atan2f, atan2) FDL_LIB2(hypot, hypotf, hypot)
#define FDL_OF_EXP(T, type)                                 \
  FDL_FN type fdl_logistic_##T(type x) {                    \
    type t = fdl_exp_##T(-fdl_abs_##T(x)), s = 1 / (1 + t); \
    return x < 0 ? t * s : s;                               \
  }                                                         \
  FDL_FN type fdl_softplus_##T(type x) { return (x > 0 ? x : 0) + fdl_log1p_##T(fdl_exp_##T(-fdl_abs_##T(x))); }
                        FDL_OF_EXP(f32, float) FDL_OF_EXP(f64, double)
#else
#include "fdl_functions.h"
#endif

#define FDL_FLOATING(T, type)                                                             \
  FDL_FN type fdl_sign_##T(type x) { return x > 0 ? (type)1 : (x < 0 ? (type) - 1 : x); } \
  FDL_FN fdl_b8 fdl_is_finite_##T(type x) { return x - x == 0; }                          \
  FDL_FN type fdl_max_##T(type a, type b) {                                               \
    type m = a > b ? a : b;                                                               \
    return a != a ? a : m;                                                                \
  }                                                                                       \
  FDL_FN type fdl_min_##T(type a, type b) {                                               \
    type m = a < b ? a : b;                                                               \
    return a != a ? a : m;                                                                \
  }
                            FDL_FLOATING(f32, float) FDL_FLOATING(f64, double)

/* Integer operations, defined where C leaves them open */
#define FDL_INTEGRAL(T, type, bits, is_signed)                                                                        \
  FDL_FN type fdl_div_##T(type a, type b) {                                                                           \
    if (b == 0) return (type) - 1;                                                                                    \
    if (is_signed && b == (type) - 1) return (type)(0 - a);                                                           \
    return (type)(a / b);                                                                                             \
  }                                                                                                                   \
  FDL_FN type fdl_rem_##T(type a, type b) {                                                                           \
    if (b == 0) return a;                                                                                             \
    if (is_signed && b == (type) - 1) return 0;                                                                       \
    return (type)(a % b);                                                                                             \
  }                                                                                                                   \
  FDL_FN type fdl_pow_##T(type a, type b) {                                                                           \
    if (is_signed && b < 0) return a == 1 ? (type)1 : (a == (type) - 1 ? ((b & 1) ? (type) - 1 : (type)1) : (type)0); \
    type out = 1;                                                                                                     \
    for (; b; b = (type)(b >> 1)) {                                                                                   \
      if (b & 1) out = (type)(out * a);                                                                               \
      a = (type)(a * a);                                                                                              \
    }                                                                                                                 \
    return out;                                                                                                       \
  }                                                                                                                   \
  FDL_FN type fdl_max_##T(type a, type b) { return a > b ? a : b; }                                                   \
  FDL_FN type fdl_min_##T(type a, type b) { return a < b ? a : b; }                                                   \
  FDL_FN type fdl_abs_##T(type a) { return a < 0 ? (type)(0 - a) : a; }                                               \
  FDL_FN type fdl_sign_##T(type a) { return (type)((a > 0) - (a < 0)); }                                              \
  FDL_FN type fdl_shift_left_##T(type a, type b) { return b < 0 || b >= bits ? (type)0 : (type)((fdl_u64)a << b); }   \
  FDL_FN type fdl_shift_right_##T(type a, type b) {                                                                   \
    return b < 0 || b >= bits ? (type)(a < 0 ? -1 : 0) : (type)(a >> b);                                              \
  }
                                FDL_INTEGRAL(i8, fdl_i8, 8, 1) FDL_INTEGRAL(i16, fdl_i16, 16, 1) FDL_INTEGRAL(i32,
                                    fdl_i32, 32, 1) FDL_INTEGRAL(i64, fdl_i64, 64, 1) FDL_INTEGRAL(u8, fdl_u8, 8, 0)
                                    FDL_INTEGRAL(u16, fdl_u16, 16, 0) FDL_INTEGRAL(u32, fdl_u32, 32, 0)
                                        FDL_INTEGRAL(u64, fdl_u64, 64, 0) FDL_FN fdl_b8 fdl_max_b8(fdl_b8 a, fdl_b8 b) {
  return a | b;
}
FDL_FN fdl_b8 fdl_min_b8(fdl_b8 a, fdl_b8 b) { return a & b; }

/* Float to integer: truncates, saturates, NaN is 0 */
#define FDL_TO_INT(S, stype, T, type, low, high) \
  FDL_FN type fdl_##S##_to_##T(stype x) {        \
    if (x != x) return 0;                        \
    if (x >= (stype)(high)) return (type)(high); \
    if (x <= (stype)(low)) return (type)(low);   \
    return (type)x;                              \
  }
#define FDL_TO_INTS(S, stype)                                                                                       \
  FDL_TO_INT(S, stype, i8, fdl_i8, -128, 127)                                                                       \
  FDL_TO_INT(S, stype, i16, fdl_i16, -32768, 32767) FDL_TO_INT(S, stype, i32, fdl_i32, -2147483647 - 1, 2147483647) \
      FDL_TO_INT(S, stype, i64, fdl_i64, -9223372036854775807LL - 1, 9223372036854775807LL)                         \
          FDL_TO_INT(S, stype, u8, fdl_u8, 0, 255) FDL_TO_INT(S, stype, u16, fdl_u16, 0, 65535)                     \
              FDL_TO_INT(S, stype, u32, fdl_u32, 0, 4294967295u)                                                    \
                  FDL_TO_INT(S, stype, u64, fdl_u64, 0, 18446744073709551615ULL)
FDL_TO_INTS(f32, float)
FDL_TO_INTS(f64, double)

/* Narrow floats: decode, encode with rounding to nearest even */
FDL_FN float fdl_load_bf16(fdl_u16 h) { return fdl_float((fdl_u32)h << 16); }
FDL_FN fdl_u16 fdl_store_bf16(float x) {
  fdl_u32 u = fdl_bits(x);
  fdl_u32 rounded = (u + 0x7FFFu + ((u >> 16) & 1u)) >> 16;
  return (fdl_u16)(x != x ? 0x7FC0u | (u >> 16 & 0x8000u) : rounded);
}

/* A float with `e` exponent and `m` mantissa bits; `finite_only`: all ones is the only NaN, and overflow goes to it */
FDL_FN float fdl_decode(fdl_u32 h, int e, int m, int finite_only) {
  fdl_u32 sign = h >> (e + m) & 1u, exponent = h >> m & ((1u << e) - 1u), mantissa = h & ((1u << m) - 1u);
  int bias = (1 << (e - 1)) - 1;
  float value;
  if (exponent == (1u << e) - 1u && (!finite_only || mantissa == (1u << m) - 1u))
    value = !finite_only && mantissa == 0 ? FDL_INF_F32 : FDL_NAN_F32;
  else if (exponent == 0) value = (float)mantissa * fdl_float((fdl_u32)(127 + 1 - bias - m) << 23);
  else value = fdl_float((exponent + (fdl_u32)(127 - bias)) << 23 | mantissa << (23 - m));
  return sign ? -value : value;
}
FDL_FN fdl_u32 fdl_encode(float x, int e, int m, int finite_only) {
  fdl_u32 u = fdl_bits(x), sign = u >> 31 << (e + m), magnitude = u & 0x7FFFFFFFu;
  int bias = (1 << (e - 1)) - 1;
  fdl_u32 top = ((1u << e) - 1u) << m, infinity = finite_only ? top | ((1u << m) - 1u) : top;
  if (magnitude > 0x7F800000u) return sign | (finite_only ? infinity : top | 1u << (m - 1));
  int exponent = (int)(magnitude >> 23) - 127;
  if (exponent < 1 - bias - m - 1) return sign;
  int shift = 23 - m + (exponent < 1 - bias ? 1 - bias - exponent : 0);
  fdl_u32 mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
  fdl_u32 kept = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u), half = 1u << (shift - 1);
  kept += rest > half || (rest == half && (kept & 1u));
  fdl_u32 out = exponent < 1 - bias ? kept : ((fdl_u32)(exponent + bias - 1) << m) + kept;
  return sign | (out >= infinity ? infinity : out);
}
FDL_FN float fdl_load_f16(fdl_u16 h) { return fdl_decode(h, 5, 10, 0); }
FDL_FN fdl_u16 fdl_store_f16(float x) { return (fdl_u16)fdl_encode(x, 5, 10, 0); }
FDL_FN float fdl_load_f8e4m3fn(fdl_u8 h) { return fdl_decode(h, 4, 3, 1); }
FDL_FN fdl_u8 fdl_store_f8e4m3fn(float x) { return (fdl_u8)fdl_encode(x, 4, 3, 1); }
FDL_FN float fdl_load_f8e5m2(fdl_u8 h) { return fdl_decode(h, 5, 2, 0); }
FDL_FN fdl_u8 fdl_store_f8e5m2(float x) { return (fdl_u8)fdl_encode(x, 5, 2, 0); }
#define FDL_ROUND(T) \
  FDL_FN float fdl_round_##T(float x) { return fdl_load_##T(fdl_store_##T(x)); }
FDL_ROUND(bf16)
FDL_ROUND(f16) FDL_ROUND(f8e4m3fn) FDL_ROUND(f8e5m2)

    /* Philox 4x32-10 (Salmon et al., SC 2011): word `place % 4` of block `place / 4` */
    FDL_FN fdl_u32 fdl_philox(fdl_i64 place, fdl_u32 c2, fdl_u32 c3, fdl_u32 k0, fdl_u32 k1) {
  fdl_u64 block = (fdl_u64)place >> 2;
  fdl_u32 c0 = (fdl_u32)block, c1 = (fdl_u32)(block >> 32);
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 10 /* a loop around it is vectorised where nothing is left of this one */
#endif
  for (int round = 0; round < 10; round++) {
    fdl_u64 p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
    c0 = (fdl_u32)(p1 >> 32) ^ c1 ^ k0;
    c1 = (fdl_u32)p1;
    c2 = (fdl_u32)(p0 >> 32) ^ c3 ^ k1;
    c3 = (fdl_u32)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  int word = (int)(place & 3);
  return word == 0 ? c0 : word == 1 ? c1 : word == 2 ? c2 : c3;
}
#endif
