/* Functions of floats.  Those that models spend their time in work in floats; the others work in doubles and round
 * once, at which a few digits more than a float's are enough. */
#ifndef FDL_FUNCTIONS_H
#define FDL_FUNCTIONS_H
#include "fdl_exact.h"

FDL_FN float fdl_signed_f32(float size, float x) { return fdl_float(fdl_bits(size) | (fdl_bits(x) & 0x80000000u)); }

/* x = n * log(2) + r by Cody and Waite's two constants; the sum with 1.5 * 2^23 rounds, and keeps n in its last bits.
 * exp(r) = 1 + q. */
FDL_FN float fdl_reduced_from_f32(float x, float magic, float *shifted) {
  *shifted = FDL_FMA_F32(x, 1.44269504f, magic);
  const float n = *shifted - magic;
  return FDL_FMA_F32(n, -1.4286068e-6f, FDL_FMA_F32(n, -0.693145752f, x));
}
FDL_FN float fdl_reduced_f32(float x, float *shifted) { return fdl_reduced_from_f32(x, 12582912.0f, shifted); }
FDL_FN float fdl_power_f32(float x, float *power) { /* r, and 2^n: with a sum that keeps n + 127 */
  float shifted;
  const float r = fdl_reduced_from_f32(x, 12583039.0f, &shifted);
  *power = fdl_float(fdl_bits(shifted) << 23);
  return r;
}
FDL_FN float fdl_exp_p_f32(float r) { /* q = r + p * r * r */
  float p = 0.000197473462f;
  p = FDL_FMA_F32(p, r, 0.00139326579f);
  p = FDL_FMA_F32(p, r, 0.00833356194f);
  p = FDL_FMA_F32(p, r, 0.0416664891f);
  p = FDL_FMA_F32(p, r, 0.166666657f);
  return FDL_FMA_F32(p, r, 0.5f);
}
FDL_FN float fdl_exp_q_f32(float r) { return FDL_FMA_F32(fdl_exp_p_f32(r), r * r, r); }
FDL_FN float fdl_exp_short_q_f32(float r) { /* two digits less, where exp is a small part of the result */
  float p = 0.00138209667f;
  p = FDL_FMA_F32(p, r, 0.00836866908f);
  p = FDL_FMA_F32(p, r, 0.0416682623f);
  p = FDL_FMA_F32(p, r, 0.166665211f);
  p = FDL_FMA_F32(p, r, 0.49999994f);
  return FDL_FMA_F32(p, r * r, r);
}

/* exp: the exponent is added to the bits of 1 + q; results below the normal range are zero, as in all compiled code */
FDL_FN float fdl_exp_f32(float x) {
  float shifted, r = fdl_reduced_f32(x, &shifted);
  float y = fdl_float(fdl_bits(1.0f + fdl_exp_q_f32(r)) + (fdl_bits(shifted) << 23));
  y = x < -87.3365448f ? 0.0f : y;
  return x <= 88.7228317f ? y : x + FDL_INF_F32; /* NaN stays */
}
FDL_FN float fdl_exp2_f32(float x) {
  const float shifted = x + 12582912.0f, f = x - (shifted - 12582912.0f);
  float p = 0.000153288725f;
  p = FDL_FMA_F32(p, f, 0.00133909704f);
  p = FDL_FMA_F32(p, f, 0.00961850025f);
  p = FDL_FMA_F32(p, f, 0.0555035956f);
  p = FDL_FMA_F32(p, f, 0.240226477f);
  p = FDL_FMA_F32(p, f, 0.693147182f);
  float y = fdl_float(fdl_bits(FDL_FMA_F32(p, f, 1.0f)) + (fdl_bits(shifted) << 23));
  y = x < -126.0f ? 0.0f : y;
  return x < 128.0f ? y : x + FDL_INF_F32;
}

/* expm1 = 2^n q + (2^n - 1), q and the sum with what their rounding lost; by half of 2^n, so that the largest n is no
 * overflow */
FDL_FN float fdl_expm1_f32(float x) {
  float c = x < -40.0f ? -40.0f : x;
  c = c > 89.0f ? 89.0f : c;
  const float shifted = FDL_FMA_F32(c, 1.44269504f, 12582912.0f), n = shifted - 12582912.0f,
              a = FDL_FMA_F32(n, -0.693145752f, c), r = FDL_FMA_F32(n, -1.4286068e-6f, a);
  const float p = fdl_exp_p_f32(r), square = r * r, q = FDL_FMA_F32(p, square, r),
              low = FDL_FMA_F32(p, square, r - q) + FDL_FMA_F32(n, -1.4286068e-6f, a - r);
  const float half = fdl_float((fdl_bits(shifted) << 23) + 0x3F000000u), whole = half - 0.5f,
              sum = FDL_FMA_F32(half, q, whole);
  float y = 2.0f * (sum + FDL_FMA_F32(half, low, FDL_FMA_F32(half, q, whole - sum) + ((half - whole) - 0.5f)));
  y = fdl_abs_f32(x) < 0x1p-25f ? x : y;
  return x <= 88.7228317f ? y : x + FDL_INF_F32;
}

/* tanh = 1 - 2 / (exp(2 |x|) + 1), an odd polynomial below 1 */
FDL_FN float fdl_tanh_f32(float x) {
  const fdl_i32 size = (fdl_i32)(fdl_bits(x) & 0x7FFFFFFFu);
  const float a = fdl_float((fdl_u32)size), z = x * x,
              c = fdl_float((fdl_u32)(size < 0x4111999A ? size : 0x4111999A)); /* 9.1 */
  float scale;
  const float r = fdl_power_f32(c + c, &scale),
              large = 1.0f - 2.0f / FDL_FMA_F32(scale, fdl_exp_short_q_f32(r), scale + 1.0f);
  float p = -0.000358406076f;
  p = FDL_FMA_F32(p, z, 0.00230125058f);
  p = FDL_FMA_F32(p, z, -0.0079460321f);
  p = FDL_FMA_F32(p, z, 0.021486681f);
  p = FDL_FMA_F32(p, z, -0.0538798459f);
  p = FDL_FMA_F32(p, z, 0.133323461f);
  p = FDL_FMA_F32(p, z, -0.333332956f);
  return fdl_signed_f32(a >= 1.0f ? large : FDL_FMA_F32(p * z, a, a), x); /* NaN is not large */
}

/* 1 / (1 + 2^n (1 + q)), with what the rounding of 1 + 2^n lost; what the sum's and the quotient's roundings lost would
 * cost a fifth of the loops around this.  Denormal results are flushed as they come out of the quotient. */
FDL_FN float fdl_logistic_f32(float x) {
  float c = x < -88.0f ? -88.0f : x, scale;
  c = c > 88.0f ? 88.0f : c;
  const float r = fdl_power_f32(-c, &scale), q = fdl_exp_short_q_f32(r), whole = 1.0f + scale;
  return 1.0f / (whole + FDL_FMA_F32(scale, q, 1.0f - (whole - scale)));
}

/* softplus = log1p(t) with t = exp(-|x|), and x where that is positive: log(1 + v) for t up to 1/2, and log(2) + log(1
 * + v) with v = (t - 1) / 2 beyond */
FDL_FN float fdl_softplus_f32(float x) {
  float a = -fdl_abs_f32(x), scale;
  a = a < -87.5f ? -87.5f : a;
  const float r = fdl_power_f32(a, &scale), q = fdl_exp_q_f32(r), m = 1.0f + q, t = scale * m,
              t_low = scale * (q - (m - 1.0f));
  const float doubled = t > 0.5f ? 0.693145752f : 0.0f, v = t > 0.5f ? 0.5f * t - 0.5f : t, z = v * v,
              above = x > 0.0f ? x : 0.0f;
  float p = -0.0428591594f;
  p = FDL_FMA_F32(p, v, 0.101781957f);
  p = FDL_FMA_F32(p, v, -0.130662531f);
  p = FDL_FMA_F32(p, v, 0.144935757f);
  p = FDL_FMA_F32(p, v, -0.16659537f);
  p = FDL_FMA_F32(p, v, 0.199916646f);
  p = FDL_FMA_F32(p, v, -0.249997526f);
  p = FDL_FMA_F32(p, v, 0.333334088f);
  const float base = doubled + above, base_low = above - (base - doubled), sum = base + v, sum_low = v - (sum - base);
  const float more =
      FDL_FMA_F32(v * z, p, FDL_FMA_F32(t_low, FDL_FMA_F32(t, -0.5f, 1.0f), t > 0.5f ? 1.4286068e-6f : 0.0f));
  const float out = sum + (FDL_FMA_F32(-0.5f, z, more) + (base_low + sum_low));
  return x == FDL_INF_F32 ? x : out;
}

/* log: x = 2^n (1 + t) with 1 + t in [sqrt(1/2), sqrt(2)), log(1 + t) = t + s; denormals count as zero */
FDL_FN float fdl_mantissa_f32(float x, float *n) {
  const fdl_u32 u = fdl_bits(x) + (0x3F800000u - 0x3F3504F3u); /* carries into the exponent from sqrt(1/2) on */
  *n = (float)((fdl_i32)(u >> 23) - 127);
  return fdl_float((u & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f;
}
FDL_FN float fdl_log_s_f32(float t, float more) { /* s + more */
  const float z = t * t;
  float p = 0.0673196465f;
  p = FDL_FMA_F32(p, t, -0.116601102f);
  p = FDL_FMA_F32(p, t, 0.118863247f);
  p = FDL_FMA_F32(p, t, -0.124082774f);
  p = FDL_FMA_F32(p, t, 0.142202303f);
  p = FDL_FMA_F32(p, t, -0.166678518f);
  p = FDL_FMA_F32(p, t, 0.20002073f);
  p = FDL_FMA_F32(p, t, -0.250000119f);
  p = FDL_FMA_F32(p, t, 0.333333135f);
  return FDL_FMA_F32(-0.5f * t, t, FDL_FMA_F32(t * z, p, more));
}
FDL_FN float fdl_log_ends_f32(float x, float y) {
  y = x == FDL_INF_F32 ? x : y;
  y = x < 1.17549435e-38f ? -FDL_INF_F32 : y;
  y = x < 0.0f ? FDL_NAN_F32 : y;
  return x != x ? x : y;
}
FDL_FN float fdl_log_f32(float x) {
  float n, t = fdl_mantissa_f32(x, &n);
  return fdl_log_ends_f32(x, FDL_FMA_F32(n, 0.693145752f, t + fdl_log_s_f32(t, n * 1.4286068e-6f)));
}
FDL_FN float fdl_log2_f32(float x) { /* times 1.4375 + 0.0051950409 */
  float n, t = fdl_mantissa_f32(x, &n), s = fdl_log_s_f32(t, 0.0f);
  return fdl_log_ends_f32(x, n + FDL_FMA_F32(t, 1.4375f, FDL_FMA_F32(s, 1.44269504f, t * 0.0051950409f)));
}
FDL_FN float fdl_log10_f32(float x) {
  float n, t = fdl_mantissa_f32(x, &n), s = fdl_log_s_f32(t, 0.0f);
  return fdl_log_ends_f32(x, FDL_FMA_F32(n, 0.30103302f,
                                 FDL_FMA_F32(t, 0.434294492f,
                                     FDL_FMA_F32(t, -1.010305e-8f, FDL_FMA_F32(s, 0.434294492f, n * -3.0243555e-6f)))));
}
FDL_FN float fdl_log1p_f32(float x) { /* 2^n (1 + t) is 1 + x as rounded, c what the rounding lost, over 2^n */
  const float u = 1.0f + x, lost = x < 1.0f ? x - (u - 1.0f) : 1.0f - (u - x);
  float n, t = fdl_mantissa_f32(u, &n);
  const float c = x < 0x1p+30f ? lost * fdl_float(0x3F800000u - ((fdl_u32)(fdl_i32)n << 23)) : 0.0f;
  float y = FDL_FMA_F32(n, 0.693145752f,
      t + fdl_log_s_f32(t, FDL_FMA_F32(c, FDL_FMA_F32(t, FDL_FMA_F32(t, 0.75f, -1.0f), 1.0f), n * 1.4286068e-6f)));
  y = x == FDL_INF_F32 ? x : y;
  y = x <= -1.0f ? (x < -1.0f ? FDL_NAN_F32 : -FDL_INF_F32) : y;
  return (x == 0.0f) | (x != x) ? x : y;
}

/* Trigonometry of floats in double precision: x = n * pi / 2 + r.  Whole numbers from 2^24 on are m * 2^k with 24 bits
 * of m, and 2^k is replaced by what it leaves of whole turns: `high` has 29 bits, so that m * high is exact, `low` what
 * it lacks; the first entry is 1, for what is smaller, the last one NaN, for infinities.  pi / 2 is two numbers of 27
 * bits and a rest (Cody and Waite). */
static const double fdl_turn_high[106] = {1.0, 2.0, -0x1.243f6a8p+1, 0x1.b7812bp+0, -0x1.6cbe3fap+1, 0x1.2b0bad8p-1,
    0x1.2b0bad4p+0, 0x1.2b0bad6p+1, -0x1.9c501fcp+0, 0x1.87ef4acp+1, -0x1.460d4ep-3, -0x1.460d4fp-2, -0x1.460d4fp-1,
    -0x1.460d4ecp+0, -0x1.460d4eep+1, 0x1.304999cp+0, 0x1.304999cp+1, -0x1.87586ep+0, -0x1.87586dep+1, 0x1.58e8ecp-3,
    0x1.58e8ecp-2, 0x1.58e8ecp-1, 0x1.58e8ecp+0, 0x1.58e8ec2p+1, -0x1.c9b6498p-1, -0x1.c9b6498p+0, 0x1.5a8921p+1,
    -0x1.bcb4a2p-1, -0x1.bcb4a24p+0, 0x1.678ac84p+1, -0x1.54a768p-1, -0x1.54a767cp+0, -0x1.54a767ep+1, 0x1.ebc26b8p-1,
    0x1.ebc26b8p+0, -0x1.387cffp+1, 0x1.668ad94p+0, 0x1.668ad94p+1, -0x1.5ca6ep-1, -0x1.5ca6ep+0, -0x1.5ca6dfep+1,
    0x1.abc6abp-1, 0x1.abc6aacp+0, -0x1.7878bfcp+1, 0x1.9a6f59p-2, 0x1.9a6f588p-1, 0x1.9a6f588p+0, -0x1.89d012p+1,
    0x1.09f468p-3, 0x1.09f468p-2, 0x1.09f468p-1, 0x1.09f4684p+0, 0x1.09f4684p+1, -0x1.10569ap+1, 0x1.0392366p+1,
    -0x1.1d1afdcp+1, 0x1.d412de4p+0, -0x1.502c8c4p+1, 0x1.07cca44p+0, 0x1.07cca42p+1, -0x1.14a6222p+1, 0x1.f5e64c4p+0,
    -0x1.2e591e4p+1, 0x1.8f1a5c4p+0, 0x1.8f1a5c4p+1, -0x1.82ac8p-5, -0x1.82ac84p-4, -0x1.82ac84p-3, -0x1.82ac83p-2,
    -0x1.82ac838p-1, -0x1.82ac838p+0, -0x1.82ac838p+1, 0x1.ee663ap-3, 0x1.ee663ap-2, 0x1.ee66398p-1, 0x1.ee66398p+0,
    -0x1.35d931p+1, 0x1.711a11p+0, 0x1.711a112p+1, -0x1.082d218p-1, -0x1.082d218p+0, -0x1.082d21ap+1, 0x1.13e5276p+1,
    -0x1.f8ea37cp+0, 0x1.2b5532cp+1, -0x1.9b2a0a4p+0, 0x1.8915606p+1, -0x1.214a9cp-3, -0x1.214a9cp-2, -0x1.214a9b8p-1,
    -0x1.214a9b8p+0, -0x1.214a9bap+1, 0x1.c35466cp+0, -0x1.60eb03cp+1, 0x1.89a58c8p-1, 0x1.89a58c4p+0, 0x1.89a58c4p+1,
    -0x1.0f452p-3, -0x1.0f452p-2, -0x1.0f45208p-1, -0x1.0f45204p+0, -0x1.0f45204p+1, 0x1.05b529ep+1, -0x1.18d516ap+1,
    0x1.e52a7a8p+0, FDL_NAN_F64};
static const double fdl_turn_low[106] = {0.0, 0.0, -0x1.10b4611a62633p-28, -0x1.10b4611a62633p-28,
    0x1.9bc5b961b1acep-29, -0x1.5385e583ebeffp-28, 0x1.58f434f828201p-28, -0x1.4e17960fafbfep-28, 0x1.4c71cb18f8747p-30,
    0x1.b6ed46a6de9d7p-28, -0x1.a2d9d3cca5286p-28, 0x1.7498b0cd6b5e8p-29, 0x1.7498b0cd6b5e8p-28, -0x1.16ce9e652943p-28,
    0x1.d262c335ad7a1p-28, 0x1.6af3cf0b7aae9p-29, 0x1.6af3cf0b7aae9p-28, 0x1.c5333cfc92f9ep-28, -0x1.d666181b6831p-30,
    0x1.2c0aa86572557p-31, 0x1.2c0aa86572557p-30, 0x1.2c0aa86572557p-29, 0x1.2c0aa86572557p-28, -0x1.a7eaaf351b553p-28,
    -0x1.8226fe126436p-30, -0x1.8226fe126436p-29, -0x1.c5ca73e0074b5p-30, -0x1.f3999b0a6608ep-28, 0x1.8ccc9eb33ee4bp-32,
    0x1.424df4f0ca3fdp-28, 0x1.73e788c7321c6p-28, -0x1.1830ee719bc74p-28, 0x1.cf9e231cc8718p-28, 0x1.5fe14ea7e68c5p-29,
    0x1.5fe14ea7e68c5p-28, 0x1.af0e3c356ab57p-28, 0x1.bb436614df386p-30, 0x1.bb436614df386p-29, 0x1.551e09f4f9aa6p-29,
    0x1.551e09f4f9aa6p-28, -0x1.55c3ec160cab4p-28, -0x1.9ad37711b6f35p-28, 0x1.94b223b92432cp-29, 0x1.07fb853d839f2p-29,
    -0x1.e75019a819fdbp-28, 0x1.8afe657e60255p-31, 0x1.8afe657e60255p-30, -0x1.2cd4b96cc9422p-30, 0x1.e928118ff7087p-30,
    0x1.e928118ff7087p-29, 0x1.e928118ff7087p-28, -0x1.6d7ee7008f78ap-31, -0x1.6d7ee7008f78ap-30,
    -0x1.c773d49aaa1f8p-28, 0x1.81ccb7e50e243p-28, 0x1.f2e50eafb9e54p-28, 0x1.ecfcfcf3ac5b5p-29, 0x1.b89137b293f04p-29,
    -0x1.36ba673309ac9p-28, 0x1.928b3199eca6ep-28, -0x1.eb9dfde689157p-28, 0x1.3978654d50385p-28, 0x1.623c69803e0d8p-28,
    -0x1.56965f290c0efp-31, -0x1.56965f290c0efp-30, -0x1.bbff90aee86abp-28, 0x1.1001bd445e555p-29,
    0x1.1001bd445e555p-28, -0x1.dffc857743555p-28, 0x1.001bd445e5556p-30, 0x1.001bd445e5556p-29, 0x1.001bd445e5556p-28,
    -0x1.de27ecb3a5e43p-29, -0x1.de27ecb3a5e43p-28, 0x1.0ec09a62d0debp-30, 0x1.0ec09a62d0debp-29,
    -0x1.f3c6b791847c5p-36, 0x1.0cccd3ab3f5a4p-28, -0x1.e66658a9814b9p-28, -0x1.bb0224dac9f4ap-29,
    -0x1.bb0224dac9f4ap-28, 0x1.13f76c94d82d9p-29, -0x1.db543250c56f4p-28, -0x1.8eb98b77da837p-29,
    -0x1.f814a975e080fp-30, 0x1.f3414a2aad5c6p-28, 0x1.ee6deadf7a37dp-29, 0x1.bb73138a2fa93p-29, 0x1.bb73138a2fa93p-28,
    -0x1.1233b1d7415b4p-29, -0x1.1233b1d7415b4p-28, 0x1.db989c517d499p-28, 0x1.8fcb337ab9ec9p-29, 0x1.fc5b49815e257p-30,
    -0x1.f11dfa24ee8a1p-28, 0x1.dc40bb622ebdap-32, 0x1.dc40bb622ebdap-31, -0x1.33486483ad679p-29,
    -0x1.33486483ad679p-28, 0x1.996f36f8a530ep-28, -0x1.9a43241d6b3c8p-29, -0x1.9a43241d6b3c8p-28,
    0x1.dc2e18df8bea3p-28, -0x1.58582f5b4a8edp-28, -0x1.9ffbfd9c32ba7p-28, FDL_NAN_F64};
FDL_FN double fdl_quarters(
    float x, fdl_u64 *n) { /* r in [-pi / 4, pi / 4], and the number of quarters of a turn in the last bits of n */
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

FDL_FN float fdl_pow_f32(
    float x, float y) { /* exp(y log |x|), then C99's special cases; x below the normal range counts as zero */
  const float a = fdl_abs_f32(x);
  const int whole = fdl_trunc_f32(y) == y, odd = whole & (fdl_trunc_f32(0.5f * y) != 0.5f * y);
  float out = (float)fdl_exp_f64((double)y * fdl_log_f64((double)a));
  out = a == 1.0f ? 1.0f : out;
  out = (x < 0.0f) & (a < FDL_INF_F32) & !whole ? FDL_NAN_F32 : out;
  out = fdl_float(fdl_bits(out) ^ ((fdl_bits(x) & 0x80000000u) & (0u - (fdl_u32)odd)));
  return (y == 0.0f) | (x == 1.0f) ? 1.0f : out;
}

FDL_FN float fdl_sinh_f32(float x) {
  const double a = fdl_abs_f32(x), e = fdl_exp_f64(a), y = 0.5 * (e - 1.0 / e);
  return fdl_signed_f32((float)(a < 0x1p-10 ? FDL_FMA_F64(a * a * a, 1.0 / 6, a) : y), x);
}
FDL_FN float fdl_cosh_f32(float x) {
  const double e = fdl_exp_f64((double)fdl_abs_f32(x));
  return (float)(0.5 * (e + 1.0 / e));
}
FDL_FN float fdl_asinh_f32(float x) {
  const double a = fdl_abs_f32(x), y = fdl_log_f64(a + fdl_sqrt_f64(FDL_FMA_F64(a, a, 1.0)));
  return fdl_signed_f32((float)(a < 0x1p-10 ? FDL_FMA_F64(a * a * a, -1.0 / 6, a) : y), x);
}
FDL_FN float fdl_acosh_f32(float x) {
  const double a = x;
  return x < 1.0f ? FDL_NAN_F32 : (float)fdl_log_f64(a + fdl_sqrt_f64((a - 1.0) * (a + 1.0)));
}
FDL_FN float fdl_atanh_f32(float x) {
  const double a = fdl_abs_f32(x), y = 0.5 * fdl_log_f64((1.0 + a) / (1.0 - a));
  return fdl_signed_f32((float)(a < 0x1p-10 ? FDL_FMA_F64(a * a * a, 1.0 / 3, a) : y), x);
}
FDL_FN float fdl_atan2_f32(float y, float x) { return (float)fdl_angle((double)y, 0.0, (double)x, 0.0, 0); }
FDL_FN float fdl_asin_f32(float x) {
  const double a = x;
  return (float)fdl_angle(a, 0.0, fdl_sqrt_f64(FDL_FMA_F64(-a, a, 1.0)), 0.0, 0);
}
FDL_FN float fdl_acos_f32(float x) {
  const double a = x;
  return (float)fdl_angle(fdl_sqrt_f64(FDL_FMA_F64(-a, a, 1.0)), 0.0, a, 0.0, 0);
}
FDL_FN float fdl_cbrt_f32(float x) { return (float)fdl_cube_root((double)x, 0); }
FDL_FN float fdl_rsqrt_f32(float x) { /* and by how much its square times x is off 1 */
  const float y = 1.0f / fdl_sqrt_f32(x), p = x * y, lost = FDL_EXACT(fmaf)(x, y, -p);
  const float better = FDL_FMA_F32(0.5f * y, FDL_EXACT(fmaf)(-p, y, 1.0f) - lost * y, y);
  return better == better ? better : y;
}
FDL_FN float fdl_hypot_f32(float x, float y) {
  const double a = x, b = y, out = fdl_sqrt_f64(FDL_FMA_F64(a, a, b * b));
  return (fdl_abs_f32(x) == FDL_INF_F32) | (fdl_abs_f32(y) == FDL_INF_F32) ? FDL_INF_F32 : (float)out;
}

/* erf: x times a polynomial of x * x below 1, 1 - exp of a polynomial of |x| - 1 above */
FDL_FN float fdl_erf_f32(float x) {
  float a = fdl_abs_f32(x), z = x * x;
  a = a > 4.0f ? 4.0f : a;
  float p = 7.847259127e-05f;
  p = FDL_FMA_F32(p, z, -8.008189323e-04f);
  p = FDL_FMA_F32(p, z, 5.188098889e-03f);
  p = FDL_FMA_F32(p, z, -2.685369110e-02f);
  p = FDL_FMA_F32(p, z, 1.128358225e-01f);
  p = FDL_FMA_F32(p, z, -3.761262557e-01f);
  float small = FDL_FMA_F32(x, FDL_FMA_F32(p, z, 1.28379166e-01f), x);
  const float u = a - 1.0f;
  float h = -0.000187223719f;
  h = FDL_FMA_F32(h, u, 0.00183277938f);
  h = FDL_FMA_F32(h, u, -0.00990052335f);
  h = FDL_FMA_F32(h, u, 0.041507002f);
  h = FDL_FMA_F32(h, u, 0.843116462f);
  h = FDL_FMA_F32(h, u, 2.63896704f);
  const float g = FDL_FMA_F32(h, u, 1.8496056f), g_low = FDL_FMA_F32(h, u, 1.8496056f - g) - 5.0369486e-08f;
  float shifted, r = fdl_reduced_f32(-g, &shifted) - g_low;
  float y = a < 1.0f ? small : 1.0f - fdl_float(fdl_bits(1.0f + fdl_exp_short_q_f32(r)) + (fdl_bits(shifted) << 23));
  y = fdl_float(fdl_bits(y) | (fdl_bits(x) & 0x80000000u)); /* of zero, too */
  return x != x ? x : y;
}
FDL_FN float fdl_erfc_f32(float x) { return (float)fdl_erfc_f64((double)x); }
FDL_FN float fdl_lgamma_f32(float x) { return (float)lgamma((double)x); }
#endif
