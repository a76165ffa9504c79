/* Functions of doubles for which a double is not enough on the way: sin, cos, tan and pow.  Included by fdl_math.h.
 *
 * What the rounding of a sum or a product lost is a double itself, and is carried along.  That needs fused multiply-adds that round once: machines without them call the
 * C library's.
 */
#ifndef FDL_EXACT_H
#define FDL_EXACT_H

/* Sums and products of doubles with what their rounding lost (Dekker 1971, Knuth 4.2.2) */
FDL_FN double fdl_sum_exact(double a, double b, double *rest) {
  const double s = a + b, t = s - a;
  *rest = (a - (s - t)) + (b - t);
  return s;
}
FDL_FN double fdl_product_exact(double a, double b, double *rest) {
  const double p = a * b;
  *rest = FDL_EXACT(fma)(a, b, -p);
  return p;
}

/* Trigonometry of doubles: x = y * 2^(32 j), where y is whole unless j is 0, so that turns of 2^(32 j) * 2 / pi can go before they are multiplied: in four parts, what
 * remains of a number next to a multiple of pi / 2 is right as well (Payne and Hanek 1983) */
static const double fdl_turn_0[31] = {
  0x1.45f306dc9c883p-1, -0x1.b1bbead603d8bp+0, 0x1.fc2757d1f534ep+0, 0x1.f534ddc0db629p+0, 0x1.b6c52b3278872p-1, 0x1.3c439041fe516p+0, 0x1.fe5163abdebbcp+0,
  -0x1.0a21d4f246dc9p-3, 0x1.b7246e3a424ddp+0, -0x1.bdb22d1ff9b6dp+0, 0x1.924bba8274648p-6, -0x1.f62e6de301e21p+0, 0x1.fc3bd63962535p-1, 0x1.62534e7dd1047p-1,
  -0x1.177dca0ad144cp+0, 0x1.2ebb4484e99c7p+0, 0x1.d338e04d68bf0p-1, -0x1.4ba081bec66e3p+0, 0x1.3991d63983534p+0, 0x1.835339f49c846p+0, 0x1.3908bf177bf25p-1,
  -0x1.081b5f13801dap-2, -0x1.c00ed00043f4dp-1, -0x1.0fd33f8086877p-3, -0x1.0d0ee74a5f593p-4, -0x1.4beb25c125930p-1, -0x1.25930261b069fp-1, -0x1.b069ec9161738p-1,
  -0x1.61738132c3403p-1, -0x1.61a015d28ad84p+0, 0x1.7527bac7ebe5fp+0};
static const double fdl_turn_1[31] = {
  -0x1.6b01ec5417056p-55, 0x1.f47d4d377036ep-54, -0x1.1f924eb53361ep-55, 0x1.664f10e4107f9p-54, 0x1.07f9458eaf7afp-58, 0x1.d5ef5de2b0db9p-55, 0x1.586dc91b8e909p-54,
  0x1.d2126e9700325p-59, 0x1.700324977504fp-55, -0x1.15f62e6de301ep-56, 0x1.cfe1deb1cb12ap-60, -0x1.38d3b5963045ep-54, -0x1.822efb9415a29p-57, -0x1.0568a25dbd8b3p-55,
  0x1.213a671c09ad1p-54, 0x1.35a2fbf209cc9p-59, -0x1.bec66e29c67cbp-56, 0x1.8e60d4ce7d272p-54, -0x1.82d8dee81d108p-54, -0x1.d1081b5f13802p-58, 0x1.d8ffc4bffef03p-59,
  -0x1.0fd33f8086877p-67, 0x1.fde5e2316b415p-61, -0x1.d297d64b824b2p-58, 0x1.f6d367ecf27cbp-60, -0x1.30d834f648b0cp-56, 0x1.b74f463f669e6p-56, -0x1.32c3402ba515bp-57,
  0x1.16ba93dd63f5fp-55, -0x1.4e050683a130cp-54, 0x1.7b3d0739f78a5p-56};
static const double fdl_turn_2[31] = {
  -0x1.6447e493ad4cep-109, -0x1.d6a66c3bc6fbep-108, 0x1.c820ff28b1d5fp-111, 0x1.163abdebbc562p-108, -0x1.d4f246dc8e2dfp-115, 0x1.1b8e909374b80p-110,
  0x1.ba5c00c925dd4p-109, -0x1.a22bec5cdbc60p-113, -0x1.cdbc603c429c7p-109, -0x1.0a71a76b2c609p-111, -0x1.63045df7282b4p-114, 0x1.1afa975da2427p-111,
  0x1.a24274ce38136p-111, -0x1.c7eca5d040df6p-111, 0x1.f7e413991d63ap-108, -0x1.4e33e566305b2p-115, 0x1.9cfa4e422fc5ep-111, 0x1.17e2ef7e4a0ecp-110,
  -0x1.b5f13801da001p-110, 0x1.2fffbc0b301fep-113, -0x1.9fc04343b9d29p-114, -0x1.d297d64b824b2p-122, -0x1.2e092c98130d8p-116, -0x1.8130d834f648bp-112,
  0x1.36e9e8c7ecd3dp-117, 0x1.8fd9a797fa8b6p-110, -0x1.5d28ad8453814p-116, -0x1.14e050683a131p-114, 0x1.7c5ecf41ce7dep-110, 0x1.ce7de294a4baap-110,
  0x1.497535fdafd89p-111};
static const double fdl_turn_3[31] = {
  0x1.e21c820ff28b2p-163, -0x1.ae9c5421443aap-168, -0x1.443a9e48db91cp-168, -0x1.236e4716f6c8bp-162, 0x1.374b801924bbbp-170, 0x1.924bba8274648p-166,
  0x1.3a32439fc3bd6p-165, -0x1.e214e34ed658cp-168, 0x1.894d39f74411bp-163, 0x1.1046bea5d7689p-165, -0x1.44bb7b16638fep-168, 0x1.338e04d68befdp-165,
  -0x1.741037d8cdc54p-165, -0x1.9b8a719f2b318p-166, -0x1.f2b3182d8dee8p-162, 0x1.08bf177bf2507p-169, -0x1.036be27003b40p-167, 0x1.ff897ffde0598p-164,
  0x1.e05980fef2f12p-164, -0x1.a1dce94beb25cp-169, -0x1.f592e092c9813p-168, -0x1.8130d834f648bp-176, -0x1.a7b24585ce04dp-171, -0x1.738132c3402bap-169,
  -0x1.00ae9456c229cp-171, -0x1.5b08a7028341dp-165, -0x1.a0e84c2f8c608p-172, 0x1.0739f78a5292fp-168, 0x1.4a525d4d7f6bfp-165, -0x1.404a04ee072a3p-164,
  -0x1.ca8bdea7f33eep-170};
FDL_FN double fdl_less_turns(double quarters) { return quarters - 4.0 * FDL_EXACT(rint)(0.25 * quarters); }
FDL_FN double fdl_quarters_f64(double x, double *low, fdl_u64 *n) {
  const fdl_u64 u = fdl_bits64(x);
  fdl_i64 j = ((fdl_i64)(u >> 52 & 2047u) - 1075) >> 5;
  j &= ~(j >> 63);
  const double y = fdl_double(u - ((fdl_u64)j << 57)) + (x - x); /* NaN of infinities */
  double p_low, q_low, r_low, r1, r2, r3, r4, l1, l2, l3, rest;
  const double p = fdl_product_exact(y, fdl_turn_0[j], &p_low), q = fdl_product_exact(y, fdl_turn_1[j], &q_low), r = fdl_product_exact(y, fdl_turn_2[j], &r_low);
  const double near = fdl_sum_exact(fdl_sum_exact(fdl_less_turns(p), fdl_less_turns(p_low), &r1), fdl_less_turns(q), &r2), shifted = near + 6755399441055744.0;
  *n = fdl_bits64(shifted);
  const double high = fdl_sum_exact(fdl_sum_exact(near - (shifted - 6755399441055744.0), q_low, &r3), r, &r4);
  const double middle = fdl_sum_exact(fdl_sum_exact(fdl_sum_exact(r1, r2, &l1), r3, &l2), r4, &l3);
  const double sum = fdl_sum_exact(high, middle, &r1), part = fdl_sum_exact(sum, r1 + (((l1 + l2) + l3) + (r_low + y * fdl_turn_3[j])), &r2);
  const double angle = fdl_product_exact(part, 0x1.921fb54442d18p+0, &rest);
  *low = FDL_EXACT(fma)(part, 0x1.1a62633145c07p-54, FDL_EXACT(fma)(r2, 0x1.921fb54442d18p+0, rest));
  return angle;
}
FDL_FN double fdl_sine_quarter_f64(double r, double low) { /* FDLIBM's polynomials, as the next one */
  const double z = r * r, v = z * r;
  double p = 1.58969099521155010221e-10;
  p = FDL_FMA_F64(p, z, -2.50507602534068634195e-08);
  p = FDL_FMA_F64(p, z, 2.75573137070700676789e-06);
  p = FDL_FMA_F64(p, z, -1.98412698298579493134e-04);
  p = FDL_FMA_F64(p, z, 8.33333333332248946124e-03);
  return r - ((z * (0.5 * low - v * p) - low) - v * -1.66666666666666324348e-01);
}
FDL_FN double fdl_cosine_quarter_f64(double r, double low) {
  const double z = r * r, half = 0.5 * z, w = 1.0 - half;
  double p = -1.13596475577881948265e-11;
  p = FDL_FMA_F64(p, z, 2.08757232129817482790e-09);
  p = FDL_FMA_F64(p, z, -2.75573143513906633035e-07);
  p = FDL_FMA_F64(p, z, 2.48015872894767294178e-05);
  p = FDL_FMA_F64(p, z, -1.38888888888741095749e-03);
  p = FDL_FMA_F64(p, z, 4.16666666666666019037e-02);
  return w + (((1.0 - w) - half) + (z * (z * p) - r * low));
}
FDL_FN double fdl_sin_f64(double x) {
  fdl_u64 n;
  double low;
  const double r = fdl_quarters_f64(x, &low, &n), y = n & 1 ? fdl_cosine_quarter_f64(r, low) : fdl_sine_quarter_f64(r, low);
  return fdl_abs_f64(x) < 1e-8 ? x : (n & 2 ? -y : y);
}
FDL_FN double fdl_cos_f64(double x) {
  fdl_u64 n;
  double low;
  const double r = fdl_quarters_f64(x, &low, &n), y = n & 1 ? fdl_sine_quarter_f64(r, low) : fdl_cosine_quarter_f64(r, low);
  return (n + 1) & 2 ? -y : y;
}
FDL_FN double fdl_tan_f64(double x) {
  fdl_u64 n;
  double low;
  const double r = fdl_quarters_f64(x, &low, &n), s = fdl_sine_quarter_f64(r, low), c = fdl_cosine_quarter_f64(r, low);
  return fdl_abs_f64(x) < 1e-8 ? x : (n & 1 ? -c : s) / (n & 1 ? s : c);
}

/* log(a) for positive numbers of the normal range, and what its rounding lost: twice the series of atanh in s = (m - 1) / (m + 1), its first two terms in two parts */
FDL_FN double fdl_log_exact(double a, double *low) {
  const fdl_u64 u = fdl_bits64(a) + (0x3FF0000000000000ull - 0x3FE6A09E667F3BCDull);
  const double n = fdl_double((u >> 52) | 0x4330000000000000ull) - (4503599627370496.0 + 1023.0);
  const double m = fdl_double((u & 0x000FFFFFFFFFFFFFull) + 0x3FE6A09E667F3BCDull), f = m - 1.0, d = m + 1.0;
  double e, t, w, c;
  const double s = f / d, left = FDL_EXACT(fma)(-s, d, f) - s * (m - (d - 1.0)), tail = left / d; /* s + tail is f / (m + 1) */
  const double z = fdl_product_exact(s, s, &e), z_low = FDL_EXACT(fma)(2.0 * s, tail, e);
  double p = 1.0 / 25;
  p = FDL_FMA_F64(p, z, 1.0 / 23);
  p = FDL_FMA_F64(p, z, 1.0 / 21);
  p = FDL_FMA_F64(p, z, 1.0 / 19);
  p = FDL_FMA_F64(p, z, 1.0 / 17);
  p = FDL_FMA_F64(p, z, 1.0 / 15);
  p = FDL_FMA_F64(p, z, 1.0 / 13);
  p = FDL_FMA_F64(p, z, 1.0 / 11);
  p = FDL_FMA_F64(p, z, 1.0 / 9);
  p = FDL_FMA_F64(p, z, 1.0 / 7);
  p = FDL_FMA_F64(p, z, 1.0 / 5);
  const double g = fdl_sum_exact(1.0 / 3, p * z, &t); /* 1 / 3 + z / 5 + ..., and its rest */
  const double rest = t + 0x1.5555555555555p-56;
  const double q = fdl_product_exact(z, g, &w), q_low = w + (z * rest + z_low * g);
  const double v = fdl_product_exact(s, q, &c), v_low = c + (s * q_low + tail * q); /* s^3 / 3 + ... */
  double a1, a2, a3;
  const double h1 = fdl_sum_exact(n * 0x1.62e42fefa3000p-1, 2.0 * s, &a1);
  const double h2 = fdl_sum_exact(h1, 2.0 * v, &a2);
  const double h = fdl_sum_exact(h2, a1 + (a2 + (2.0 * (tail + v_low) + n * 0x1.3de6af278ece6p-42)), &a3);
  *low = a3;
  return h;
}

FDL_FN double fdl_pow_f64(double x, double y) {
  const double a = fdl_abs_f64(x);
  const int whole = fdl_trunc_f64(y) == y, odd = whole & (fdl_trunc_f64(0.5 * y) != 0.5 * y);
  double low, lost;
  double l = fdl_log_exact(a, &low);
  l = a < 2.2250738585072014e-308 ? -FDL_INF_F64 : l;
  l = a <= 1.7976931348623157e308 ? l : a; /* infinity, NaN */
  const double e = fdl_product_exact(y, l, &lost), more = lost + y * low;
  double out = fdl_exp_f64(e);
  out = fdl_abs_f64(e) < 1000.0 ? FDL_EXACT(fma)(out, more, out) : out; /* where out * more alone may be below the normal range */
  out = a == 1.0 ? 1.0 : out;
  out = (x < 0.0) & (a < FDL_INF_F64) & !whole ? FDL_NAN_F64 : out;
  out = fdl_double(fdl_bits64(out) ^ ((fdl_bits64(x) & 0x8000000000000000ull) & (0ull - (fdl_u64)odd)));
  return (y == 0.0) | (x == 1.0) ? 1.0 : out;
}
#endif
