/* Scalar functions that generated kernels call, for C and CUDA.
 *
 * Branch-free where a loop around them should vectorise.  Errors against the exact result, over the whole range: 1 ulp for sin and cos, and for float32 tan, pow
 * and atan2, 2 for exp, log, and
 * float64 pow and erf, 3 for expm1, log1p, tanh, logistic, float64 tan and atan2, and float32 erf (held by tests/lowering/test_mathematics.py); the others are the C library's.  Narrow floats live in `float`
 * registers and are rounded after each operation.  No function depends on the rounding of a fused multiply-add.
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

FDL_FN fdl_u32 fdl_bits(float x) { union { float f; fdl_u32 u; } v; v.f = x; return v.u; }
FDL_FN float fdl_float(fdl_u32 u) { union { float f; fdl_u32 u; } v; v.u = u; return v.f; }

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
#define FDL_M1(name) float name##f(float); double name(double);
#define FDL_M2(name) float name##f(float, float); double name(double, double);
FDL_M1(erfc) FDL_M1(lgamma)
FDL_M2(fmod)
#endif

/* Functions of the C library under one naming scheme */
#define FDL_LIB1(op, f32, f64) \
  FDL_FN float fdl_##op##_f32(float x) { return f32(x); } \
  FDL_FN double fdl_##op##_f64(double x) { return f64(x); }
#define FDL_LIB2(op, f32, f64) \
  FDL_FN float fdl_##op##_f32(float x, float y) { return f32(x, y); } \
  FDL_FN double fdl_##op##_f64(double x, double y) { return f64(x, y); }
FDL_LIB1(erfc, erfcf, erfc) FDL_LIB1(lgamma, lgammaf, lgamma)
FDL_LIB1(sqrt, FDL_EXACT(sqrtf), FDL_EXACT(sqrt)) FDL_LIB1(abs, FDL_EXACT(fabsf), FDL_EXACT(fabs))
FDL_LIB1(floor, FDL_EXACT(floorf), FDL_EXACT(floor)) FDL_LIB1(ceil, FDL_EXACT(ceilf), FDL_EXACT(ceil))
FDL_LIB1(trunc, FDL_EXACT(truncf), FDL_EXACT(trunc)) FDL_LIB1(round, FDL_EXACT(rintf), FDL_EXACT(rint))
FDL_LIB2(rem, fmodf, fmod)

FDL_FN fdl_u64 fdl_bits64(double x) { union { double f; fdl_u64 u; } v; v.f = x; return v.u; }
FDL_FN double fdl_double(fdl_u64 u) { union { double f; fdl_u64 u; } v; v.u = u; return v.f; }

/* x = n * log(2) + r by Cody and Waite's two constants; the sum with 1.5 * 2^23 (2^52) rounds, and keeps n in its last bits.  exp(r) = 1 + q. */
FDL_FN float fdl_reduced_f32(float x, float *shifted) {
  *shifted = FDL_FMA_F32(x, 1.44269504f, 12582912.0f);
  float n = *shifted - 12582912.0f;
  return FDL_FMA_F32(n, 2.12194440e-4f, FDL_FMA_F32(n, -0.693359375f, x));
}
FDL_FN float fdl_exp_q_f32(float r) { /* the polynomial of Cephes' expf */
  float p = 1.9875691500e-4f;
  p = FDL_FMA_F32(p, r, 1.3981999507e-3f);
  p = FDL_FMA_F32(p, r, 8.3334519073e-3f);
  p = FDL_FMA_F32(p, r, 4.1665795894e-2f);
  p = FDL_FMA_F32(p, r, 1.6666665459e-1f);
  p = FDL_FMA_F32(p, r, 5.0000001201e-1f);
  return FDL_FMA_F32(p, r * r, r);
}
FDL_FN double fdl_reduced_f64(double x, double *shifted) {
  *shifted = FDL_FMA_F64(x, 1.44269504088896338700, 6755399441055744.0);
  double n = *shifted - 6755399441055744.0;
  return FDL_FMA_F64(n, -1.90821492927058770002e-10, FDL_FMA_F64(n, -6.93147180369123816490e-01, x));
}
FDL_FN double fdl_exp_q_f64(double r) { /* the fraction of FDLIBM's exp */
  double t = r * r;
  double c = 4.13813679705723846039e-08;
  c = FDL_FMA_F64(c, t, -1.65339022054652515390e-06);
  c = FDL_FMA_F64(c, t, 6.61375632143793436117e-05);
  c = FDL_FMA_F64(c, t, -2.77777777770155933842e-03);
  c = FDL_FMA_F64(c, t, 1.66666666666666019037e-01);
  c = r - c * t;
  return r + r * c / (2.0 - c);
}

/* exp: the exponent is added to the bits of 1 + q; results below the normal range are zero, as in all compiled code */
FDL_FN float fdl_exp_f32(float x) {
  float shifted, r = fdl_reduced_f32(x, &shifted);
  float y = fdl_float(fdl_bits(1.0f + fdl_exp_q_f32(r)) + (fdl_bits(shifted) << 23));
  y = x < -87.3365448f ? 0.0f : y;
  return x <= 88.7228317f ? y : x + FDL_INF_F32; /* NaN stays */
}
FDL_FN double fdl_exp_f64(double x) {
  double shifted, r = fdl_reduced_f64(x, &shifted);
  double y = fdl_double(fdl_bits64(1.0 + fdl_exp_q_f64(r)) + (fdl_bits64(shifted) << 52));
  y = x < -708.3964185322641 ? 0.0 : y;
  return x <= 709.782712893384 ? y : x + FDL_INF_F64;
}

/* expm1 = 2^n * q + (2^n - 1), by half of 2^n, so that the largest n is no overflow */
FDL_FN float fdl_expm1_f32(float x) {
  float c = x < -40.0f ? -40.0f : x;
  c = c > 89.0f ? 89.0f : c;
  float shifted, r = fdl_reduced_f32(c, &shifted), q = fdl_exp_q_f32(r);
  float half = fdl_float((fdl_bits(shifted) << 23) + 0x3F000000u);
  float y = 2.0f * FDL_FMA_F32(half, q, half - 0.5f);
  y = x == 0.0f ? x : y;
  return x <= 88.7228317f ? y : x + FDL_INF_F32;
}
FDL_FN double fdl_expm1_f64(double x) {
  double c = x < -80.0 ? -80.0 : x;
  c = c > 710.0 ? 710.0 : c;
  double shifted, r = fdl_reduced_f64(c, &shifted), q = fdl_exp_q_f64(r);
  double half = fdl_double((fdl_bits64(shifted) << 52) + 0x3FE0000000000000ull);
  double y = 2.0 * FDL_FMA_F64(half, q, half - 0.5);
  y = x == 0.0 ? x : y;
  return x <= 709.782712893384 ? y : x + FDL_INF_F64;
}

/* tanh = e / (e + 2) with e = expm1(2 |x|) */
FDL_FN float fdl_tanh_f32(float x) {
  float a = fdl_abs_f32(x);
  a = a > 9.1f ? 9.1f : a;
  float shifted, r = fdl_reduced_f32(a + a, &shifted), q = fdl_exp_q_f32(r);
  float scale = fdl_float((fdl_bits(shifted) << 23) + 0x3F800000u);
  float e = FDL_FMA_F32(scale, q, scale - 1.0f);
  return fdl_float(fdl_bits(e / (e + 2.0f)) | (fdl_bits(x) & 0x80000000u));
}
FDL_FN double fdl_tanh_f64(double x) {
  double a = fdl_abs_f64(x);
  a = a > 19.1 ? 19.1 : a;
  double shifted, r = fdl_reduced_f64(a + a, &shifted), q = fdl_exp_q_f64(r);
  double scale = fdl_double((fdl_bits64(shifted) << 52) + 0x3FF0000000000000ull);
  double e = FDL_FMA_F64(scale, q, scale - 1.0);
  return fdl_double(fdl_bits64(e / (e + 2.0)) | (fdl_bits64(x) & 0x8000000000000000ull));
}

/* log: exponent and mantissa in [sqrt(1/2), sqrt(2)), the polynomial of Cephes' logf; denormals count as zero */
FDL_FN float fdl_log_f32(float x) {
  fdl_u32 u = fdl_bits(x) + (0x3F800000u - 0x3F3504F3u); /* carries into the exponent from sqrt(1/2) on */
  float n = (float)((fdl_i32)(u >> 23) - 127);
  float t = fdl_float((u & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f;
  float z = t * t;
  float p = 7.0376836292e-2f;
  p = FDL_FMA_F32(p, t, -1.1514610310e-1f);
  p = FDL_FMA_F32(p, t, 1.1676998740e-1f);
  p = FDL_FMA_F32(p, t, -1.2420140846e-1f);
  p = FDL_FMA_F32(p, t, 1.4249322787e-1f);
  p = FDL_FMA_F32(p, t, -1.6668057665e-1f);
  p = FDL_FMA_F32(p, t, 2.0000714765e-1f);
  p = FDL_FMA_F32(p, t, -2.4999993993e-1f);
  p = FDL_FMA_F32(p, t, 3.3333331174e-1f);
  float y = FDL_FMA_F32(n, -2.12194440e-4f, t * z * p);
  float out = FDL_FMA_F32(n, 0.693359375f, t + FDL_FMA_F32(-0.5f, z, y));
  out = x == FDL_INF_F32 ? x : out;
  out = x < 1.17549435e-38f ? -FDL_INF_F32 : out;
  out = x < 0.0f ? FDL_NAN_F32 : out;
  return x != x ? x : out;
}
FDL_FN double fdl_log_f64(double x) { /* FDLIBM's polynomial in s = f / (2 + f) */
  fdl_u64 u = fdl_bits64(x) + (0x3FF0000000000000ull - 0x3FE6A09E667F3BCDull);
  double n = fdl_double((u >> 52) | 0x4330000000000000ull) - (4503599627370496.0 + 1023.0);
  double f = fdl_double((u & 0x000FFFFFFFFFFFFFull) + 0x3FE6A09E667F3BCDull) - 1.0;
  double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  double p = 1.479819860511658591e-01;
  p = FDL_FMA_F64(p, z, 1.531383769920937332e-01);
  p = FDL_FMA_F64(p, z, 1.818357216161805012e-01);
  p = FDL_FMA_F64(p, z, 2.222219843214978396e-01);
  p = FDL_FMA_F64(p, z, 2.857142874366239149e-01);
  p = FDL_FMA_F64(p, z, 3.999999999940941908e-01);
  p = FDL_FMA_F64(p, z, 6.666666666666735130e-01);
  double out = n * 6.93147180369123816490e-01 - ((half - (s * (half + p * z) + n * 1.90821492927058770002e-10)) - f);
  out = x == FDL_INF_F64 ? x : out;
  out = x < 2.2250738585072014e-308 ? -FDL_INF_F64 : out;
  out = x < 0.0 ? FDL_NAN_F64 : out;
  return x != x ? x : out;
}

/* log1p = log(u) + c / u: u is 1 + x as rounded, c what the rounding lost */
#define FDL_LOG1P(T, type, infinity) \
  FDL_FN type fdl_log1p_##T(type x) { \
    type u = 1 + x; \
    type c = u > 1 ? (x < 1 ? x - (u - 1) : 1 - (u - x)) : x - (u - 1); \
    type y = fdl_log_##T(u) + (u == 0 ? 0 : c / u); \
    y = x == 0 ? x : y; \
    return x == infinity ? x : y; \
  }
FDL_LOG1P(f32, float, FDL_INF_F32)
FDL_LOG1P(f64, double, FDL_INF_F64)

/* Trigonometry of floats in double precision: x = n * pi / 2 + r.  Whole numbers from 2^24 on are m * 2^k with 24 bits of m, and 2^k is replaced by what it leaves of
 * whole turns: `high` has 29 bits, so that m * high is exact, `low` what it lacks; the first entry is 1, for what is smaller, the last one NaN, for infinities.  pi / 2 is
 * two numbers of 27 bits and a rest (Cody and Waite). */
#ifdef __CUDACC__
FDL_FN float fdl_sin_f32(float x) { return sinf(x); }
FDL_FN float fdl_cos_f32(float x) { return cosf(x); }
FDL_FN float fdl_tan_f32(float x) { return tanf(x); }
FDL_FN float fdl_pow_f32(float x, float y) { return powf(x, y); }
FDL_FN double fdl_sin_f64(double x) { return sin(x); }
FDL_FN double fdl_cos_f64(double x) { return cos(x); }
FDL_FN double fdl_tan_f64(double x) { return tan(x); }
FDL_FN double fdl_pow_f64(double x, double y) { return pow(x, y); }
#else
static const double fdl_turn_high[106] = {
  1.0, 2.0, -0x1.243f6a8p+1, 0x1.b7812bp+0, -0x1.6cbe3fap+1, 0x1.2b0bad8p-1, 0x1.2b0bad4p+0, 0x1.2b0bad6p+1, -0x1.9c501fcp+0, 0x1.87ef4acp+1, -0x1.460d4ep-3, -0x1.460d4fp-2,
  -0x1.460d4fp-1, -0x1.460d4ecp+0, -0x1.460d4eep+1, 0x1.304999cp+0, 0x1.304999cp+1, -0x1.87586ep+0, -0x1.87586dep+1, 0x1.58e8ecp-3, 0x1.58e8ecp-2, 0x1.58e8ecp-1,
  0x1.58e8ecp+0, 0x1.58e8ec2p+1, -0x1.c9b6498p-1, -0x1.c9b6498p+0, 0x1.5a8921p+1, -0x1.bcb4a2p-1, -0x1.bcb4a24p+0, 0x1.678ac84p+1, -0x1.54a768p-1, -0x1.54a767cp+0,
  -0x1.54a767ep+1, 0x1.ebc26b8p-1, 0x1.ebc26b8p+0, -0x1.387cffp+1, 0x1.668ad94p+0, 0x1.668ad94p+1, -0x1.5ca6ep-1, -0x1.5ca6ep+0, -0x1.5ca6dfep+1, 0x1.abc6abp-1,
  0x1.abc6aacp+0, -0x1.7878bfcp+1, 0x1.9a6f59p-2, 0x1.9a6f588p-1, 0x1.9a6f588p+0, -0x1.89d012p+1, 0x1.09f468p-3, 0x1.09f468p-2, 0x1.09f468p-1, 0x1.09f4684p+0, 0x1.09f4684p+1,
  -0x1.10569ap+1, 0x1.0392366p+1, -0x1.1d1afdcp+1, 0x1.d412de4p+0, -0x1.502c8c4p+1, 0x1.07cca44p+0, 0x1.07cca42p+1, -0x1.14a6222p+1, 0x1.f5e64c4p+0, -0x1.2e591e4p+1,
  0x1.8f1a5c4p+0, 0x1.8f1a5c4p+1, -0x1.82ac8p-5, -0x1.82ac84p-4, -0x1.82ac84p-3, -0x1.82ac83p-2, -0x1.82ac838p-1, -0x1.82ac838p+0, -0x1.82ac838p+1, 0x1.ee663ap-3,
  0x1.ee663ap-2, 0x1.ee66398p-1, 0x1.ee66398p+0, -0x1.35d931p+1, 0x1.711a11p+0, 0x1.711a112p+1, -0x1.082d218p-1, -0x1.082d218p+0, -0x1.082d21ap+1, 0x1.13e5276p+1,
  -0x1.f8ea37cp+0, 0x1.2b5532cp+1, -0x1.9b2a0a4p+0, 0x1.8915606p+1, -0x1.214a9cp-3, -0x1.214a9cp-2, -0x1.214a9b8p-1, -0x1.214a9b8p+0, -0x1.214a9bap+1, 0x1.c35466cp+0,
  -0x1.60eb03cp+1, 0x1.89a58c8p-1, 0x1.89a58c4p+0, 0x1.89a58c4p+1, -0x1.0f452p-3, -0x1.0f452p-2, -0x1.0f45208p-1, -0x1.0f45204p+0, -0x1.0f45204p+1, 0x1.05b529ep+1,
  -0x1.18d516ap+1, 0x1.e52a7a8p+0, FDL_NAN_F64};
static const double fdl_turn_low[106] = {
  0.0, 0.0, -0x1.10b4611a62633p-28, -0x1.10b4611a62633p-28, 0x1.9bc5b961b1acep-29, -0x1.5385e583ebeffp-28, 0x1.58f434f828201p-28, -0x1.4e17960fafbfep-28,
  0x1.4c71cb18f8747p-30, 0x1.b6ed46a6de9d7p-28, -0x1.a2d9d3cca5286p-28, 0x1.7498b0cd6b5e8p-29, 0x1.7498b0cd6b5e8p-28, -0x1.16ce9e652943p-28, 0x1.d262c335ad7a1p-28,
  0x1.6af3cf0b7aae9p-29, 0x1.6af3cf0b7aae9p-28, 0x1.c5333cfc92f9ep-28, -0x1.d666181b6831p-30, 0x1.2c0aa86572557p-31, 0x1.2c0aa86572557p-30, 0x1.2c0aa86572557p-29,
  0x1.2c0aa86572557p-28, -0x1.a7eaaf351b553p-28, -0x1.8226fe126436p-30, -0x1.8226fe126436p-29, -0x1.c5ca73e0074b5p-30, -0x1.f3999b0a6608ep-28, 0x1.8ccc9eb33ee4bp-32,
  0x1.424df4f0ca3fdp-28, 0x1.73e788c7321c6p-28, -0x1.1830ee719bc74p-28, 0x1.cf9e231cc8718p-28, 0x1.5fe14ea7e68c5p-29, 0x1.5fe14ea7e68c5p-28, 0x1.af0e3c356ab57p-28,
  0x1.bb436614df386p-30, 0x1.bb436614df386p-29, 0x1.551e09f4f9aa6p-29, 0x1.551e09f4f9aa6p-28, -0x1.55c3ec160cab4p-28, -0x1.9ad37711b6f35p-28, 0x1.94b223b92432cp-29,
  0x1.07fb853d839f2p-29, -0x1.e75019a819fdbp-28, 0x1.8afe657e60255p-31, 0x1.8afe657e60255p-30, -0x1.2cd4b96cc9422p-30, 0x1.e928118ff7087p-30, 0x1.e928118ff7087p-29,
  0x1.e928118ff7087p-28, -0x1.6d7ee7008f78ap-31, -0x1.6d7ee7008f78ap-30, -0x1.c773d49aaa1f8p-28, 0x1.81ccb7e50e243p-28, 0x1.f2e50eafb9e54p-28, 0x1.ecfcfcf3ac5b5p-29,
  0x1.b89137b293f04p-29, -0x1.36ba673309ac9p-28, 0x1.928b3199eca6ep-28, -0x1.eb9dfde689157p-28, 0x1.3978654d50385p-28, 0x1.623c69803e0d8p-28, -0x1.56965f290c0efp-31,
  -0x1.56965f290c0efp-30, -0x1.bbff90aee86abp-28, 0x1.1001bd445e555p-29, 0x1.1001bd445e555p-28, -0x1.dffc857743555p-28, 0x1.001bd445e5556p-30, 0x1.001bd445e5556p-29,
  0x1.001bd445e5556p-28, -0x1.de27ecb3a5e43p-29, -0x1.de27ecb3a5e43p-28, 0x1.0ec09a62d0debp-30, 0x1.0ec09a62d0debp-29, -0x1.f3c6b791847c5p-36, 0x1.0cccd3ab3f5a4p-28,
  -0x1.e66658a9814b9p-28, -0x1.bb0224dac9f4ap-29, -0x1.bb0224dac9f4ap-28, 0x1.13f76c94d82d9p-29, -0x1.db543250c56f4p-28, -0x1.8eb98b77da837p-29, -0x1.f814a975e080fp-30,
  0x1.f3414a2aad5c6p-28, 0x1.ee6deadf7a37dp-29, 0x1.bb73138a2fa93p-29, 0x1.bb73138a2fa93p-28, -0x1.1233b1d7415b4p-29, -0x1.1233b1d7415b4p-28, 0x1.db989c517d499p-28,
  0x1.8fcb337ab9ec9p-29, 0x1.fc5b49815e257p-30, -0x1.f11dfa24ee8a1p-28, 0x1.dc40bb622ebdap-32, 0x1.dc40bb622ebdap-31, -0x1.33486483ad679p-29, -0x1.33486483ad679p-28,
  0x1.996f36f8a530ep-28, -0x1.9a43241d6b3c8p-29, -0x1.9a43241d6b3c8p-28, 0x1.dc2e18df8bea3p-28, -0x1.58582f5b4a8edp-28, -0x1.9ffbfd9c32ba7p-28, FDL_NAN_F64};
FDL_FN double fdl_quarters(float x, fdl_u64 *n) { /* r in [-pi / 4, pi / 4], and the number of quarters of a turn in the last bits of n */
  const fdl_u32 u = fdl_bits(x);
  fdl_i64 k = (fdl_i64)(u >> 23 & 255u) - 150;
  k &= ~(k >> 63);
  const double m = fdl_float(u - ((fdl_u32)k << 23)), a = m * fdl_turn_high[k], b = m * fdl_turn_low[k];
  const double shifted = a * 0.63661977236758134 + 6755399441055744.0, whole = shifted - 6755399441055744.0;
  *n = fdl_bits64(shifted);
  return ((a - whole * 0x1.921fb54p+0) + (b - whole * 0x1.10b461p-30)) - whole * 0x1.a62633145c06ep-58;
}
FDL_FN double fdl_sine_quarter(double r) { /* least squares on Chebyshev nodes, as the next one */
  const double z = r * r;
  double p = 2.724990252595907e-06;
  p = FDL_FMA_F64(p, z, -0.00019840086614277856);
  p = FDL_FMA_F64(p, z, 0.00833333187464824);
  p = FDL_FMA_F64(p, z, -0.16666666663855825);
  return FDL_FMA_F64(p * z, r, r);
}
FDL_FN double fdl_cosine_quarter(double r) {
  const double z = r * r;
  double p = -2.730093524840833e-07;
  p = FDL_FMA_F64(p, z, 2.4800600234177076e-05);
  p = FDL_FMA_F64(p, z, -0.001388888767186812);
  p = FDL_FMA_F64(p, z, 0.04166666666432132);
  return FDL_FMA_F64(FDL_FMA_F64(p, z, -0.5), z, 1.0);
}
FDL_FN float fdl_sin_f32(float x) {
  fdl_u64 n;
  const double r = fdl_quarters(x, &n), y = n & 1 ? fdl_cosine_quarter(r) : fdl_sine_quarter(r);
  const float out = (float)(n & 2 ? -y : y);
  return x == 0.0f ? x : out;
}
FDL_FN float fdl_cos_f32(float x) {
  fdl_u64 n;
  const double r = fdl_quarters(x, &n), y = n & 1 ? fdl_sine_quarter(r) : fdl_cosine_quarter(r);
  return (float)((n + 1) & 2 ? -y : y);
}
FDL_FN float fdl_tan_f32(float x) {
  fdl_u64 n;
  const double r = fdl_quarters(x, &n), s = fdl_sine_quarter(r), c = fdl_cosine_quarter(r);
  const float out = (float)((n & 1 ? -c : s) / (n & 1 ? s : c));
  return x == 0.0f ? x : out;
}

/* pow = exp(y log |x|) in double precision, then C99's special cases; x below the normal range counts as zero */
FDL_FN float fdl_pow_f32(float x, float y) {
  const float a = fdl_abs_f32(x);
  const int whole = fdl_trunc_f32(y) == y, odd = whole & (fdl_trunc_f32(0.5f * y) != 0.5f * y);
  float out = (float)fdl_exp_f64((double)y * fdl_log_f64((double)a));
  out = a == 1.0f ? 1.0f : out;
  out = (x < 0.0f) & (a < FDL_INF_F32) & !whole ? FDL_NAN_F32 : out;
  out = fdl_float(fdl_bits(out) ^ ((fdl_bits(x) & 0x80000000u) & (0u - (fdl_u32)odd)));
  return (y == 0.0f) | (x == 1.0f) ? 1.0f : out;
}
#include "fdl_exact.h"
#endif

/* The angle of (x, y): the smaller side over the larger one, turned back by an eighth of a turn where that is large, FDLIBM's polynomial of atan, and the octant.  Both sides
 * zero are like (1, 0), both infinite like (1, 1). */
FDL_FN double fdl_atan2_f64(double y, double x) {
  double a = fdl_abs_f64(x), b = fdl_abs_f64(y);
  const int both = (a == FDL_INF_F64) & (b == FDL_INF_F64), steep = b > a;
  a = both ? 1.0 : a, b = both ? 1.0 : b;
  double small = steep ? a : b, large = steep ? b : a;
  large = large == 0.0 ? 1.0 : large;
  const int turned = small > 0.41421356237309503 * large;
  const double t = (turned ? small - large : small) / (turned ? small + large : large), z = t * t, w = z * z;
  double even = 1.62858201153657823623e-02;
  even = FDL_FMA_F64(even, w, 4.97687799461593236017e-02);
  even = FDL_FMA_F64(even, w, 6.66107313738753120669e-02);
  even = FDL_FMA_F64(even, w, 9.09088713343650656196e-02);
  even = FDL_FMA_F64(even, w, 1.42857142725034663711e-01);
  even = FDL_FMA_F64(even, w, 3.33333333333329318027e-01);
  double odd = -3.65315727442169155270e-02;
  odd = FDL_FMA_F64(odd, w, -5.83357013379057348645e-02);
  odd = FDL_FMA_F64(odd, w, -7.69187620504482999495e-02);
  odd = FDL_FMA_F64(odd, w, -1.11111104054623557880e-01);
  odd = FDL_FMA_F64(odd, w, -1.99999999998764832476e-01);
  double r = t - t * (z * even + w * odd);
  r = turned ? 0.78539816339744830962 + (r + 3.06161699786838301793e-17) : r;
  r = steep ? 1.57079632679489661923 - (r - 6.12323399573676603587e-17) : r;
  r = fdl_bits64(x) >> 63 ? 3.14159265358979323846 - (r - 1.22464679914735317723e-16) : r;
  r = fdl_double(fdl_bits64(r) | (fdl_bits64(y) & 0x8000000000000000ull));
  return (x != x) | (y != y) ? x + y : r;
}
FDL_FN float fdl_atan2_f32(float y, float x) { return (float)fdl_atan2_f64((double)y, (double)x); }

/* erf: x times a polynomial of x * x below 1, 1 - exp of a polynomial above; both fit at Chebyshev nodes */
FDL_FN float fdl_erf_f32(float x) {
  float a = fdl_abs_f32(x), z = x * x;
  a = a > 4.0f ? 4.0f : a;
  float p = 7.847259127e-05f;
  p = FDL_FMA_F32(p, z, -8.008189323e-04f);
  p = FDL_FMA_F32(p, z, 5.188098889e-03f);
  p = FDL_FMA_F32(p, z, -2.685369110e-02f);
  p = FDL_FMA_F32(p, z, 1.128358225e-01f);
  p = FDL_FMA_F32(p, z, -3.761262557e-01f);
  float small = FDL_FMA_F32(p, z * x, FDL_FMA_F32(x, 1.28379166e-01f, x));
  float g = -1.614061609e-06f;
  g = FDL_FMA_F32(g, a, 4.559062257e-05f);
  g = FDL_FMA_F32(g, a, -5.927695389e-04f);
  g = FDL_FMA_F32(g, a, 4.740222347e-03f);
  g = FDL_FMA_F32(g, a, -2.636471738e-02f);
  g = FDL_FMA_F32(g, a, 1.099782452e-01f);
  g = FDL_FMA_F32(g, a, 6.319370936e-01f);
  g = FDL_FMA_F32(g, a, 1.130166676e+00f);
  g = FDL_FMA_F32(g, a, -3.032129754e-04f);
  float y = a < 1.0f ? small : 1.0f - fdl_exp_f32(-g);
  y = fdl_float(fdl_bits(y) | (fdl_bits(x) & 0x80000000u)); /* of zero, too */
  return x != x ? x : y;
}
FDL_FN double fdl_erf_f64(double x) {
  double a = fdl_abs_f64(x), z = x * x;
  a = a > 6.0 ? 6.0 : a;
  double p = 5.957176147748911e-11;
  p = FDL_FMA_F64(p, z, -1.1372848856791674e-09);
  p = FDL_FMA_F64(p, z, 1.4659775274047436e-08);
  p = FDL_FMA_F64(p, z, -1.6350312701054695e-07);
  p = FDL_FMA_F64(p, z, 1.6461000484121368e-06);
  p = FDL_FMA_F64(p, z, -1.4925595266831182e-05);
  p = FDL_FMA_F64(p, z, 0.0001205533111164271);
  p = FDL_FMA_F64(p, z, -0.000854832698083379);
  p = FDL_FMA_F64(p, z, 0.0052239776248180145);
  p = FDL_FMA_F64(p, z, -0.026866170645076792);
  p = FDL_FMA_F64(p, z, 0.11283791670954879);
  p = FDL_FMA_F64(p, z, -0.3761263890318375);
  const double small = FDL_FMA_F64(p, z * x, FDL_FMA_F64(x, 0.1283791670955126, x));
  const double t = (a - 3.5) * 0.4;
  double g = 7.159677424539575e-09;
  g = FDL_FMA_F64(g, t, -1.8019347257583866e-08);
  g = FDL_FMA_F64(g, t, -4.239998243092615e-09);
  g = FDL_FMA_F64(g, t, 3.763040107372945e-08);
  g = FDL_FMA_F64(g, t, -2.0037511430812822e-08);
  g = FDL_FMA_F64(g, t, 7.64411331566818e-08);
  g = FDL_FMA_F64(g, t, -3.9018039170275555e-07);
  g = FDL_FMA_F64(g, t, 9.678311639437117e-07);
  g = FDL_FMA_F64(g, t, -1.914247497267893e-06);
  g = FDL_FMA_F64(g, t, 3.387990651103627e-06);
  g = FDL_FMA_F64(g, t, -4.56748228287393e-06);
  g = FDL_FMA_F64(g, t, 1.4917592686842429e-06);
  g = FDL_FMA_F64(g, t, 1.8474935013349413e-05);
  g = FDL_FMA_F64(g, t, -9.090481707720762e-05);
  g = FDL_FMA_F64(g, t, 0.00030781949005153524);
  g = FDL_FMA_F64(g, t, -0.000893575902216765);
  g = FDL_FMA_F64(g, t, 0.0023739972871857783);
  g = FDL_FMA_F64(g, t, -0.005953704546707301);
  g = FDL_FMA_F64(g, t, 0.014384548330034056);
  g = FDL_FMA_F64(g, t, -0.034128411075984806);
  g = FDL_FMA_F64(g, t, 0.0816509097178122);
  g = FDL_FMA_F64(g, t, -0.20779340786114012);
  g = FDL_FMA_F64(g, t, 0.6652489709129772);
  g = FDL_FMA_F64(g, t, 1.862437402148174);
  double y = a < 1.0 ? small : 1.0 - fdl_exp_f64(-FDL_FMA_F64(a, a, g));
  y = fdl_double(fdl_bits64(y) | (fdl_bits64(x) & 0x8000000000000000ull)); /* of zero, too */
  return x != x ? x : y;
}

#define FDL_LOGISTIC(T, type) \
  FDL_FN type fdl_logistic_##T(type x) { \
    type t = fdl_exp_##T(-fdl_abs_##T(x)); \
    type s = 1 / (1 + t); \
    return x < 0 ? t * s : s; \
  }
FDL_LOGISTIC(f32, float)
FDL_LOGISTIC(f64, double)

#define FDL_FLOATING(T, type) \
  FDL_FN type fdl_rsqrt_##T(type x) { return 1 / fdl_sqrt_##T(x); } \
  FDL_FN type fdl_sign_##T(type x) { return x > 0 ? (type)1 : (x < 0 ? (type)-1 : x); } \
  FDL_FN fdl_b8 fdl_is_finite_##T(type x) { return x - x == 0; } \
  FDL_FN type fdl_max_##T(type a, type b) { type m = a > b ? a : b; return a != a ? a : m; } \
  FDL_FN type fdl_min_##T(type a, type b) { type m = a < b ? a : b; return a != a ? a : m; }
FDL_FLOATING(f32, float)
FDL_FLOATING(f64, double)

/* Integer operations, defined where C leaves them open */
#define FDL_INTEGRAL(T, type, bits, is_signed) \
  FDL_FN type fdl_div_##T(type a, type b) { \
    if (b == 0) return (type)-1; \
    if (is_signed && b == (type)-1) return (type)(0 - a); \
    return (type)(a / b); \
  } \
  FDL_FN type fdl_rem_##T(type a, type b) { \
    if (b == 0) return a; \
    if (is_signed && b == (type)-1) return 0; \
    return (type)(a % b); \
  } \
  FDL_FN type fdl_pow_##T(type a, type b) { \
    if (is_signed && b < 0) return a == 1 ? (type)1 : (a == (type)-1 ? ((b & 1) ? (type)-1 : (type)1) : (type)0); \
    type out = 1; \
    for (; b; b = (type)(b >> 1)) { if (b & 1) out = (type)(out * a); a = (type)(a * a); } \
    return out; \
  } \
  FDL_FN type fdl_max_##T(type a, type b) { return a > b ? a : b; } \
  FDL_FN type fdl_min_##T(type a, type b) { return a < b ? a : b; } \
  FDL_FN type fdl_abs_##T(type a) { return a < 0 ? (type)(0 - a) : a; } \
  FDL_FN type fdl_sign_##T(type a) { return (type)((a > 0) - (a < 0)); } \
  FDL_FN type fdl_shift_left_##T(type a, type b) { return b < 0 || b >= bits ? (type)0 : (type)((fdl_u64)a << b); } \
  FDL_FN type fdl_shift_right_##T(type a, type b) { return b < 0 || b >= bits ? (type)(a < 0 ? -1 : 0) : (type)(a >> b); }
FDL_INTEGRAL(i8, fdl_i8, 8, 1) FDL_INTEGRAL(i16, fdl_i16, 16, 1) FDL_INTEGRAL(i32, fdl_i32, 32, 1) FDL_INTEGRAL(i64, fdl_i64, 64, 1)
FDL_INTEGRAL(u8, fdl_u8, 8, 0) FDL_INTEGRAL(u16, fdl_u16, 16, 0) FDL_INTEGRAL(u32, fdl_u32, 32, 0) FDL_INTEGRAL(u64, fdl_u64, 64, 0)
FDL_FN fdl_b8 fdl_max_b8(fdl_b8 a, fdl_b8 b) { return a | b; }
FDL_FN fdl_b8 fdl_min_b8(fdl_b8 a, fdl_b8 b) { return a & b; }

/* Float to integer: truncates, saturates, NaN is 0 */
#define FDL_TO_INT(S, stype, T, type, low, high) \
  FDL_FN type fdl_##S##_to_##T(stype x) { \
    if (x != x) return 0; \
    if (x >= (stype)(high)) return (type)(high); \
    if (x <= (stype)(low)) return (type)(low); \
    return (type)x; \
  }
#define FDL_TO_INTS(S, stype) \
  FDL_TO_INT(S, stype, i8, fdl_i8, -128, 127) FDL_TO_INT(S, stype, i16, fdl_i16, -32768, 32767) \
  FDL_TO_INT(S, stype, i32, fdl_i32, -2147483647 - 1, 2147483647) \
  FDL_TO_INT(S, stype, i64, fdl_i64, -9223372036854775807LL - 1, 9223372036854775807LL) \
  FDL_TO_INT(S, stype, u8, fdl_u8, 0, 255) FDL_TO_INT(S, stype, u16, fdl_u16, 0, 65535) \
  FDL_TO_INT(S, stype, u32, fdl_u32, 0, 4294967295u) FDL_TO_INT(S, stype, u64, fdl_u64, 0, 18446744073709551615ULL)
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
  else if (exponent == 0)
    value = (float)mantissa * fdl_float((fdl_u32)(127 + 1 - bias - m) << 23);
  else
    value = fdl_float((exponent + (fdl_u32)(127 - bias)) << 23 | mantissa << (23 - m));
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
#define FDL_ROUND(T) FDL_FN float fdl_round_##T(float x) { return fdl_load_##T(fdl_store_##T(x)); }
FDL_ROUND(bf16) FDL_ROUND(f16) FDL_ROUND(f8e4m3fn) FDL_ROUND(f8e5m2)

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
