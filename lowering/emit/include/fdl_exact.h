/* Functions of doubles.  Where a double is not enough on the way, what the rounding of a sum or a product lost is a
 * double itself, and is carried along.  That needs fused multiply-adds that round once: machines without them call the
 * C library's.  Polynomials are least squares that were weighted until the largest error was least, at Chebyshev nodes,
 * in 40 digits; their coefficients were rounded one after another, from the lowest power, and the others fit anew. */
#ifndef FDL_EXACT_H
#define FDL_EXACT_H

/* Sums, products, roots and quotients of doubles with what their rounding lost (Dekker 1971, Knuth 4.2.2) */
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
FDL_FN double fdl_root_exact(double a, double a_low, double *rest) {
  const double s = fdl_sqrt_f64(a);
  *rest = s == 0.0 ? 0.0 : (FDL_EXACT(fma)(-s, s, a) + a_low) / (s + s);
  return s;
}
FDL_FN double fdl_signed_f64(double size, double x) {
  return fdl_double(fdl_bits64(size) | (fdl_bits64(x) & 0x8000000000000000ull));
}

/* x + low = n * log(2) + r + r_low; n stands in the last bits of `shifted`, the sum with 1.5 * 2^52.  exp(r) = 1 + r +
 * c. */
FDL_FN double fdl_reduced_f64(double x, double low, double *shifted, double *r_low) {
  *shifted = FDL_FMA_F64(x, 0x1.71547652b82fep+0, 0x1.8p+52);
  const double n = *shifted - 0x1.8p+52, a = FDL_FMA_F64(n, -0x1.62e42fefa3000p-1, x),
               b = FDL_FMA_F64(n, -0x1.3de6af278ece6p-42, low), r = a + b;
  *r_low = b - (r - a);
  return r;
}
FDL_FN double fdl_exp_c_f64(double r) {
  double p = 0x1.afbe1c0bb243dp-26;
  p = FDL_FMA_F64(p, r, 0x1.28a77d9be1f12p-22);
  p = FDL_FMA_F64(p, r, 0x1.71dda52539aaep-19);
  p = FDL_FMA_F64(p, r, 0x1.a0199f98b2094p-16);
  p = FDL_FMA_F64(p, r, 0x1.a01a01db38d62p-13);
  p = FDL_FMA_F64(p, r, 0x1.6c16c182b23cap-10);
  p = FDL_FMA_F64(p, r, 0x1.1111111108ca0p-7);
  p = FDL_FMA_F64(p, r, 0x1.5555555550af0p-5);
  p = FDL_FMA_F64(p, r, 0x1.5555555555550p-3);
  p = FDL_FMA_F64(p, r, 0x1.000000000000ap-1);
  return r * r * p;
}
FDL_FN double fdl_exp_m_f64(double r, double r_low, double *rest) { /* exp(r + r_low) */
  const double c = fdl_exp_c_f64(r), s = 1.0 + r, m = s + c;
  *rest = FDL_FMA_F64(r_low, m, (c - (m - s)) + (r - (s - 1.0)));
  return m;
}

/* exp(x + low): the exponent is added to the bits of the mantissa; results below the normal range are zero, as in all
 * compiled code */
FDL_FN double fdl_exp_sum_f64(double x, double low) {
  double shifted, r_low, rest;
  const double r = fdl_reduced_f64(x, low, &shifted, &r_low), m = fdl_exp_m_f64(r, r_low, &rest);
  const fdl_u64 u = fdl_bits64(m + rest) + (fdl_bits64(shifted) << 52);
  double y = u >= 0x7FF0000000000000ull ? FDL_INF_F64 : fdl_double(u);
  y = x < -708.3964185322641 ? 0.0 : y;
  return x <= 709.782712893384 ? y : x + FDL_INF_F64; /* NaN stays */
}
FDL_FN double fdl_exp_f64(double x) { return fdl_exp_sum_f64(x, 0.0); }
FDL_FN double fdl_exp2_f64(double x) {
  double rest;
  const double shifted = x + 0x1.8p+52, f = x - (shifted - 0x1.8p+52), r = f * 0x1.62e42fefa39efp-1;
  const double r_low = FDL_FMA_F64(f, 0x1.abc9e3b39803fp-56, FDL_EXACT(fma)(f, 0x1.62e42fefa39efp-1, -r)),
               m = fdl_exp_m_f64(r, r_low, &rest);
  double y = fdl_double(fdl_bits64(m + rest) + (fdl_bits64(shifted) << 52));
  y = x < -1022.0 ? 0.0 : y;
  return x < 1024.0 ? y : x + FDL_INF_F64;
}

/* A quarter of expm1(x) for x in [-80, 711], so that the largest n is no overflow: 2^n - 1 + 2^n r + 2^n c */
FDL_FN double fdl_expm1_quarter(double x, double *rest) {
  double shifted, r_low;
  const double r = fdl_reduced_f64(x, 0.0, &shifted, &r_low), c = fdl_exp_c_f64(r);
  const double quarter = fdl_double((fdl_bits64(shifted) << 52) + 0x3FD0000000000000ull), whole = quarter - 0.25,
               part = quarter * r;
  const double sum = whole + part, less = (part - (sum - whole)) + quarter * (c + r_low), e = sum + less;
  *rest = less - (e - sum);
  return e;
}
FDL_FN double fdl_expm1_f64(double x) {
  double c = x < -80.0 ? -80.0 : x, rest;
  c = c > 710.0 ? 710.0 : c;
  double y = 4.0 * fdl_expm1_quarter(c, &rest);
  y = fdl_abs_f64(x) < 0x1p-54 ? x : y;
  return x <= 709.782712893384 ? y : x + FDL_INF_F64;
}
/* e / (e + k) and its rest, with e in two parts */
FDL_FN double fdl_quotient_plus(double e, double e_low, double k, double *rest) {
  double d_low;
  const double d = fdl_sum_exact(e, k, &d_low), y = e / d;
  *rest = (FDL_EXACT(fma)(-y, d, e) + (e_low - y * (d_low + e_low))) / d;
  return y;
}
FDL_FN double fdl_sinh_f64(double x) { /* (e + e / (e + 1)) / 2 with e = expm1(|x|) */
  double a = fdl_abs_f64(x), low, rest;
  const double e = fdl_expm1_quarter(a > 711.0 ? 711.0 : a, &low), y = fdl_quotient_plus(e, low, 0.25, &rest),
               out = 2.0 * (e + FDL_FMA_F64(0.25, y, FDL_FMA_F64(0.25, rest, low)));
  a = a < 0x1p-27 ? a : a <= 710.4758600739439 ? out : a + FDL_INF_F64;
  return fdl_signed_f64(a, x);
}
FDL_FN double fdl_cosh_f64(double x) { /* h + 1 / (4 h) with h = exp(|x|) / 2 */
  double a = fdl_abs_f64(x), shifted, r_low, rest;
  const double r = fdl_reduced_f64(a > 711.0 ? 711.0 : a, 0.0, &shifted, &r_low), m = fdl_exp_m_f64(r, r_low, &rest);
  const double h = 2.0 * (fdl_double((fdl_bits64(shifted) << 52) + 0x3FD0000000000000ull) * (m + rest)),
               y = h + 0.25 / h;
  return a <= 710.4758600739439 ? y : a + FDL_INF_F64;
}
FDL_FN double fdl_tanh_f64(double x) { /* e / (e + 2) with e = expm1(2 |x|) */
  double a = fdl_abs_f64(x), low, rest;
  const double e = fdl_expm1_quarter(a > 22.0 ? 44.0 : a + a, &low), y = fdl_quotient_plus(e, low, 0.5, &rest);
  a = a < 0x1p-28 ? a : y + rest;
  return x != x ? x : fdl_signed_f64(a, x);
}

/* exp(-|x|) in two parts, and the quotient 1 / (1 + exp(-|x|)) in two parts */
FDL_FN double fdl_fall_f64(double x, double *rest) {
  double a = -fdl_abs_f64(x), shifted, r_low;
  a = a < -709.0 ? -709.0 : a;
  const double r = fdl_reduced_f64(a, 0.0, &shifted, &r_low), m = fdl_exp_m_f64(r, r_low, rest),
               scale = fdl_double((fdl_bits64(shifted) << 52) + 0x3FF0000000000000ull);
  *rest *= scale;
  return x < -708.3964185322641 ? 0.0 : scale * m;
}
FDL_FN double fdl_logistic_f64(double x) {
  double rest;
  const double t = fdl_fall_f64(x, &rest), d = 1.0 + t, s = 1.0 / d,
               low = s * FDL_FMA_F64(-s, (t - (d - 1.0)) + rest, FDL_EXACT(fma)(-s, d, 1.0));
  return x < 0.0 ? FDL_FMA_F64(t, s, FDL_FMA_F64(t, low, rest * s)) : s + low;
}

/* log of doubles by exponent, mantissa m in [sqrt(1/2), sqrt(2)) and the series of atanh in s = (m - 1) / (m + 1);
 * denormals count as zero */
FDL_FN double fdl_log_ends_f64(double x, double y) {
  y = x == FDL_INF_F64 ? x : y;
  y = x < 2.2250738585072014e-308 ? -FDL_INF_F64 : y;
  y = x < 0.0 ? FDL_NAN_F64 : y;
  return x != x ? x : y;
}
FDL_FN double fdl_log_f64(double x) {
  const fdl_u64 u = fdl_bits64(x) + (0x3FF0000000000000ull - 0x3FE6A09E667F3BCDull);
  const double n = fdl_double((u >> 52) | 0x4330000000000000ull) - (4503599627370496.0 + 1023.0);
  const double f = fdl_double((u & 0x000FFFFFFFFFFFFFull) + 0x3FE6A09E667F3BCDull) - 1.0;
  const double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  double p = 0x1.2f03bf8ca676cp-3;
  p = FDL_FMA_F64(p, z, 0x1.39a1e86e2b283p-3);
  p = FDL_FMA_F64(p, z, 0x1.74663cef2be95p-3);
  p = FDL_FMA_F64(p, z, 0x1.c71c521450edcp-3);
  p = FDL_FMA_F64(p, z, 0x1.24924941e14c8p-2);
  p = FDL_FMA_F64(p, z, 0x1.999999997ff1ap-2);
  p = FDL_FMA_F64(p, z, 0x1.5555555555592p-1);
  const double y = FDL_FMA_F64(
      n, 0x1.62e42fefa3000p-1, f - (half - FDL_FMA_F64(s, FDL_FMA_F64(p, z, half), n * 0x1.3de6af278ece6p-42)));
  return fdl_log_ends_f64(x, y);
}

/* log(a + a_low) for positive numbers of the normal range, and what its rounding lost: twice the series of atanh in s =
 * (m - 1) / (m + 1), its first two terms in two parts */
FDL_FN double fdl_log_exact(double a, double a_low, double *low) {
  const fdl_u64 u = fdl_bits64(a) + (0x3FF0000000000000ull - 0x3FE6A09E667F3BCDull);
  const double n = fdl_double((u >> 52) | 0x4330000000000000ull) - (4503599627370496.0 + 1023.0);
  const double m = fdl_double((u & 0x000FFFFFFFFFFFFFull) + 0x3FE6A09E667F3BCDull), f = m - 1.0, d = m + 1.0;
  double e, t, w, c;
  const double s = f / d, left = FDL_EXACT(fma)(-s, d, f) - s * (m - (d - 1.0)),
               tail = left / d; /* s + tail is f / (m + 1) */
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
  const double h = fdl_sum_exact(h2, a1 + (a2 + (2.0 * (tail + v_low) + (n * 0x1.3de6af278ece6p-42 + a_low / a))), &a3);
  *low = a3;
  return h;
}
FDL_FN double fdl_log1p_f64(double x) { /* 1 + x as rounded, and what the rounding lost */
  double low, rest;
  const double u = fdl_sum_exact(1.0, x > 0x1p1000 ? 1.0 : x, &rest);
  double y = fdl_log_exact(u > 0.0 ? u : 1.0, rest, &low);
  y = x > 0x1p1000 ? fdl_log_f64(x) : x == -1.0 ? -FDL_INF_F64 : x < -1.0 ? FDL_NAN_F64 : y;
  return (fdl_abs_f64(x) < 0x1p-54) | (x != x) ? x : y;
}
#define FDL_LOG_BASE(op, high, tail)                                                     \
  FDL_FN double fdl_##op##_f64(double x) {                                               \
    double low, lost;                                                                    \
    const double l = fdl_log_exact(x, 0.0, &low), y = fdl_product_exact(l, high, &lost); \
    return fdl_log_ends_f64(x, y + FDL_FMA_F64(l, tail, FDL_FMA_F64(low, high, lost)));  \
  }
FDL_LOG_BASE(log2, 0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56)
FDL_LOG_BASE(log10, 0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57)

FDL_FN double fdl_softplus_f64(double x) { /* log1p of exp(-|x|), and x where that is positive */
  double rest, low, lost;
  const double t = fdl_fall_f64(x, &rest), u = 1.0 + t, l = fdl_log_exact(u, (t - (u - 1.0)) + rest, &low),
               y = fdl_sum_exact(x > 0.0 ? x : 0.0, l, &lost);
  const double out = y + (lost + low);
  return x == FDL_INF_F64 ? x : x != x ? x : out;
}

/* Inverse hyperbolic functions by the logarithm of numbers in two parts.  Far out, the root of x * x + 1 is x, and 2 x
 * might be infinite. */
FDL_FN double fdl_log_far(double y, double y_low, int far) {
  double low, lost;
  const double l = fdl_log_exact(y, y_low, &low), s = fdl_sum_exact(l, far ? 0x1.62e42fefa39efp-1 : 0.0, &lost);
  return s + (lost + low);
}
FDL_FN double fdl_asinh_f64(double x) {
  const double size = fdl_abs_f64(x);
  const int far = size > 0x1p60;
  const double a = far ? 1.0 : size;
  double lost, low, root_low, rest;
  const double square = fdl_product_exact(a, a, &lost), sum = fdl_sum_exact(1.0, square, &low),
               root = fdl_root_exact(sum, low + lost, &root_low);
  const double y = fdl_sum_exact(root, a, &rest), out = fdl_log_far(far ? size : y, far ? 0.0 : rest + root_low, far);
  return fdl_signed_f64(size < 0x1p-28 ? size : size <= 1.7976931348623157e308 ? out : size, x);
}
FDL_FN double fdl_acosh_f64(double x) {
  const int far = x > 0x1p60;
  const double a = far ? 1.0 : x;
  double less_low, more_low, lost, root_low, rest;
  const double less = fdl_sum_exact(a, -1.0, &less_low), more = fdl_sum_exact(a, 1.0, &more_low),
               square = fdl_product_exact(less, more, &lost);
  const double root = fdl_root_exact(square, lost + (less * more_low + less_low * more), &root_low),
               y = fdl_sum_exact(a, root, &rest);
  const double out = fdl_log_far(far ? x : y, far ? 0.0 : rest + root_low, far);
  return x < 1.0 ? FDL_NAN_F64 : x <= 1.7976931348623157e308 ? out : x;
}
FDL_FN double fdl_atanh_f64(double x) {
  const double size = fdl_abs_f64(x), a = size < 1.0 ? size : 0.0, d = 1.0 - a, n = 1.0 + a, q = n / d;
  const double q_low = (FDL_EXACT(fma)(-q, d, n) + ((a - (n - 1.0)) + q * (a - (1.0 - d)))) / d;
  double low, y = fdl_log_exact(q, q_low, &low);
  y = 0.5 * (y + low);
  y = size < 0x1p-28 ? size : size < 1.0 ? y : size == 1.0 ? FDL_INF_F64 : FDL_NAN_F64;
  return fdl_signed_f64(y, x);
}

FDL_FN double fdl_pow_f64(
    double x, double y) { /* exp(y log |x|), then C99's special cases; x below the normal range counts as zero */
  const double a = fdl_abs_f64(x);
  const int whole = fdl_trunc_f64(y) == y, odd = whole & (fdl_trunc_f64(0.5 * y) != 0.5 * y);
  double low, lost;
  double l = fdl_log_exact(a, 0.0, &low);
  l = a < 2.2250738585072014e-308 ? -FDL_INF_F64 : l;
  l = a <= 1.7976931348623157e308 ? l : a; /* infinity, NaN */
  const double e = fdl_product_exact(y, l, &lost);
  double out = fdl_exp_sum_f64(e, lost + y * low);
  out = a == 1.0 ? 1.0 : out;
  out = (x < 0.0) & (a < FDL_INF_F64) & !whole ? FDL_NAN_F64 : out;
  out = fdl_double(fdl_bits64(out) ^ ((fdl_bits64(x) & 0x8000000000000000ull) & (0ull - (fdl_u64)odd)));
  return (y == 0.0) | (x == 1.0) ? 1.0 : out;
}

/* Trigonometry of doubles: x = y * 2^(32 j), where y is whole unless j is 0, so that turns of 2^(32 j) * 2 / pi can go
 * before they are multiplied: in four parts, what remains of a number next to a multiple of pi / 2 is right as well
 * (Payne and Hanek 1983) */
static const double fdl_turn_0[31] = {0x1.45f306dc9c883p-1, -0x1.b1bbead603d8bp+0, 0x1.fc2757d1f534ep+0,
    0x1.f534ddc0db629p+0, 0x1.b6c52b3278872p-1, 0x1.3c439041fe516p+0, 0x1.fe5163abdebbcp+0, -0x1.0a21d4f246dc9p-3,
    0x1.b7246e3a424ddp+0, -0x1.bdb22d1ff9b6dp+0, 0x1.924bba8274648p-6, -0x1.f62e6de301e21p+0, 0x1.fc3bd63962535p-1,
    0x1.62534e7dd1047p-1, -0x1.177dca0ad144cp+0, 0x1.2ebb4484e99c7p+0, 0x1.d338e04d68bf0p-1, -0x1.4ba081bec66e3p+0,
    0x1.3991d63983534p+0, 0x1.835339f49c846p+0, 0x1.3908bf177bf25p-1, -0x1.081b5f13801dap-2, -0x1.c00ed00043f4dp-1,
    -0x1.0fd33f8086877p-3, -0x1.0d0ee74a5f593p-4, -0x1.4beb25c125930p-1, -0x1.25930261b069fp-1, -0x1.b069ec9161738p-1,
    -0x1.61738132c3403p-1, -0x1.61a015d28ad84p+0, 0x1.7527bac7ebe5fp+0};
static const double fdl_turn_1[31] = {-0x1.6b01ec5417056p-55, 0x1.f47d4d377036ep-54, -0x1.1f924eb53361ep-55,
    0x1.664f10e4107f9p-54, 0x1.07f9458eaf7afp-58, 0x1.d5ef5de2b0db9p-55, 0x1.586dc91b8e909p-54, 0x1.d2126e9700325p-59,
    0x1.700324977504fp-55, -0x1.15f62e6de301ep-56, 0x1.cfe1deb1cb12ap-60, -0x1.38d3b5963045ep-54,
    -0x1.822efb9415a29p-57, -0x1.0568a25dbd8b3p-55, 0x1.213a671c09ad1p-54, 0x1.35a2fbf209cc9p-59,
    -0x1.bec66e29c67cbp-56, 0x1.8e60d4ce7d272p-54, -0x1.82d8dee81d108p-54, -0x1.d1081b5f13802p-58,
    0x1.d8ffc4bffef03p-59, -0x1.0fd33f8086877p-67, 0x1.fde5e2316b415p-61, -0x1.d297d64b824b2p-58, 0x1.f6d367ecf27cbp-60,
    -0x1.30d834f648b0cp-56, 0x1.b74f463f669e6p-56, -0x1.32c3402ba515bp-57, 0x1.16ba93dd63f5fp-55,
    -0x1.4e050683a130cp-54, 0x1.7b3d0739f78a5p-56};
static const double fdl_turn_2[31] = {-0x1.6447e493ad4cep-109, -0x1.d6a66c3bc6fbep-108, 0x1.c820ff28b1d5fp-111,
    0x1.163abdebbc562p-108, -0x1.d4f246dc8e2dfp-115, 0x1.1b8e909374b80p-110, 0x1.ba5c00c925dd4p-109,
    -0x1.a22bec5cdbc60p-113, -0x1.cdbc603c429c7p-109, -0x1.0a71a76b2c609p-111, -0x1.63045df7282b4p-114,
    0x1.1afa975da2427p-111, 0x1.a24274ce38136p-111, -0x1.c7eca5d040df6p-111, 0x1.f7e413991d63ap-108,
    -0x1.4e33e566305b2p-115, 0x1.9cfa4e422fc5ep-111, 0x1.17e2ef7e4a0ecp-110, -0x1.b5f13801da001p-110,
    0x1.2fffbc0b301fep-113, -0x1.9fc04343b9d29p-114, -0x1.d297d64b824b2p-122, -0x1.2e092c98130d8p-116,
    -0x1.8130d834f648bp-112, 0x1.36e9e8c7ecd3dp-117, 0x1.8fd9a797fa8b6p-110, -0x1.5d28ad8453814p-116,
    -0x1.14e050683a131p-114, 0x1.7c5ecf41ce7dep-110, 0x1.ce7de294a4baap-110, 0x1.497535fdafd89p-111};
static const double fdl_turn_3[31] = {0x1.e21c820ff28b2p-163, -0x1.ae9c5421443aap-168, -0x1.443a9e48db91cp-168,
    -0x1.236e4716f6c8bp-162, 0x1.374b801924bbbp-170, 0x1.924bba8274648p-166, 0x1.3a32439fc3bd6p-165,
    -0x1.e214e34ed658cp-168, 0x1.894d39f74411bp-163, 0x1.1046bea5d7689p-165, -0x1.44bb7b16638fep-168,
    0x1.338e04d68befdp-165, -0x1.741037d8cdc54p-165, -0x1.9b8a719f2b318p-166, -0x1.f2b3182d8dee8p-162,
    0x1.08bf177bf2507p-169, -0x1.036be27003b40p-167, 0x1.ff897ffde0598p-164, 0x1.e05980fef2f12p-164,
    -0x1.a1dce94beb25cp-169, -0x1.f592e092c9813p-168, -0x1.8130d834f648bp-176, -0x1.a7b24585ce04dp-171,
    -0x1.738132c3402bap-169, -0x1.00ae9456c229cp-171, -0x1.5b08a7028341dp-165, -0x1.a0e84c2f8c608p-172,
    0x1.0739f78a5292fp-168, 0x1.4a525d4d7f6bfp-165, -0x1.404a04ee072a3p-164, -0x1.ca8bdea7f33eep-170};
FDL_FN double fdl_less_turns(double quarters) { return quarters - 4.0 * FDL_EXACT(rint)(0.25 * quarters); }
FDL_FN double fdl_quarters_f64(double x, double *low, fdl_u64 *n) {
  const fdl_u64 u = fdl_bits64(x);
  fdl_i64 j = ((fdl_i64)(u >> 52 & 2047u) - 1075) >> 5;
  j &= ~(j >> 63);
  const double y = fdl_double(u - ((fdl_u64)j << 57)) + (x - x); /* NaN of infinities */
  double p_low, q_low, r_low, r1, r2, r3, r4, l1, l2, l3, rest;
  const double p = fdl_product_exact(y, fdl_turn_0[j], &p_low), q = fdl_product_exact(y, fdl_turn_1[j], &q_low),
               r = fdl_product_exact(y, fdl_turn_2[j], &r_low);
  const double near =
                   fdl_sum_exact(fdl_sum_exact(fdl_less_turns(p), fdl_less_turns(p_low), &r1), fdl_less_turns(q), &r2),
               shifted = near + 6755399441055744.0;
  *n = fdl_bits64(shifted);
  const double high = fdl_sum_exact(fdl_sum_exact(near - (shifted - 6755399441055744.0), q_low, &r3), r, &r4);
  const double middle = fdl_sum_exact(fdl_sum_exact(fdl_sum_exact(r1, r2, &l1), r3, &l2), r4, &l3);
  const double sum = fdl_sum_exact(high, middle, &r1),
               part = fdl_sum_exact(sum, r1 + (((l1 + l2) + l3) + (r_low + y * fdl_turn_3[j])), &r2);
  const double angle = fdl_product_exact(part, 0x1.921fb54442d18p+0, &rest);
  *low = FDL_EXACT(fma)(part, 0x1.1a62633145c07p-54, FDL_EXACT(fma)(r2, 0x1.921fb54442d18p+0, rest));
  return angle;
}
FDL_FN double fdl_sine_quarter_f64(double r, double low, double *rest) { /* FDLIBM's polynomials, as the next one */
  const double z = r * r, v = z * r;
  double p = 1.58969099521155010221e-10;
  p = FDL_FMA_F64(p, z, -2.50507602534068634195e-08);
  p = FDL_FMA_F64(p, z, 2.75573137070700676789e-06);
  p = FDL_FMA_F64(p, z, -1.98412698298579493134e-04);
  p = FDL_FMA_F64(p, z, 8.33333333332248946124e-03);
  const double less = (z * (0.5 * low - v * p) - low) - v * -1.66666666666666324348e-01, s = r - less;
  *rest = (r - s) - less;
  return s;
}
FDL_FN double fdl_cosine_quarter_f64(double r, double low, double *rest) {
  const double z = r * r, half = 0.5 * z, w = 1.0 - half;
  double p = -1.13596475577881948265e-11;
  p = FDL_FMA_F64(p, z, 2.08757232129817482790e-09);
  p = FDL_FMA_F64(p, z, -2.75573143513906633035e-07);
  p = FDL_FMA_F64(p, z, 2.48015872894767294178e-05);
  p = FDL_FMA_F64(p, z, -1.38888888888741095749e-03);
  p = FDL_FMA_F64(p, z, 4.16666666666666019037e-02);
  const double more = ((1.0 - w) - half) + (z * (z * p) - r * low), c = w + more;
  *rest = (w - c) + more;
  return c;
}
FDL_FN double fdl_sin_f64(double x) {
  fdl_u64 n;
  double low, lost;
  const double r = fdl_quarters_f64(x, &low, &n),
               y = n & 1 ? fdl_cosine_quarter_f64(r, low, &lost) : fdl_sine_quarter_f64(r, low, &lost);
  return fdl_abs_f64(x) < 1e-8 ? x : (n & 2 ? -y : y);
}
FDL_FN double fdl_cos_f64(double x) {
  fdl_u64 n;
  double low, lost;
  const double r = fdl_quarters_f64(x, &low, &n),
               y = n & 1 ? fdl_sine_quarter_f64(r, low, &lost) : fdl_cosine_quarter_f64(r, low, &lost);
  return (n + 1) & 2 ? -y : y;
}
FDL_FN double fdl_tan_f64(double x) {
  fdl_u64 n;
  double low, s_low, c_low;
  const double r = fdl_quarters_f64(x, &low, &n), s = fdl_sine_quarter_f64(r, low, &s_low),
               c = fdl_cosine_quarter_f64(r, low, &c_low);
  const double above = n & 1 ? -c : s, below = n & 1 ? s : c, above_low = n & 1 ? -c_low : s_low,
               below_low = n & 1 ? s_low : c_low;
  const double inverse = 1.0 / below, q = above * inverse,
               y = FDL_FMA_F64(FDL_EXACT(fma)(-q, below, above) + (above_low - q * below_low), inverse, q);
  return fdl_abs_f64(x) < 1e-8 ? x : y;
}

/* The angle of (x, y), whose low parts belong to sides that are not negative: the smaller side over the larger one,
 * turned back by an eighth of a turn where that is large, and the octant.  Both sides zero are like (1, 0), both
 * infinite like (1, 1); sides are scaled to where their sum is finite and the quotient's remainder is normal.  Without
 * `exact`, for floats, remainders count nothing and a shorter polynomial will do. */
FDL_FN double fdl_angle(double y, double y_low, double x, double x_low, int exact) {
  const double a = fdl_abs_f64(x), b = fdl_abs_f64(y);
  const int steep = b > a;
  double small = steep ? a : b, large = steep ? b : a, small_low = steep ? x_low : y_low,
         large_low = steep ? y_low : x_low;
  const double unit = large > 0x1p1000 ? 0x1p-200 : large < 0x1p-800 ? 0x1p200 : 1.0;
  const int endless = large == FDL_INF_F64;
  small = endless ? (small == large ? 1.0 : 0.0) : small * unit;
  large = endless | (large == 0.0) ? 1.0 : large * unit;
  const int turned = small > 0.41421356237309503 * large;
  const double above = turned ? small - large : small, below = turned ? small + large : large;
  double t = above / below, t_low = 0.0;
  if (exact) {
    small_low *= unit, large_low *= unit;
    const double inverse = 1.0 / below;
    const double above_low = turned ? (small - (above + large)) + (small_low - large_low) : small_low,
                 below_low = turned ? (small - (below - large)) + (small_low + large_low) : large_low;
    t = above * inverse;
    t_low = (FDL_EXACT(fma)(-t, below, above) + (above_low - t * below_low)) * inverse;
  }
  const double z = t * t;
  double p = exact ? 0x1.257c0a159eb2dp-6 : -0x1.84f9c642712e0p-5;
  if (exact) {
    p = FDL_FMA_F64(p, z, -0x1.37de60d0b8875p-5);
    p = FDL_FMA_F64(p, z, 0x1.9cd66d057da22p-5);
    p = FDL_FMA_F64(p, z, -0x1.df1029e937fb9p-5);
    p = FDL_FMA_F64(p, z, 0x1.10ebc85d2f5eep-4);
    p = FDL_FMA_F64(p, z, -0x1.3b111a93ab3dbp-4);
    p = FDL_FMA_F64(p, z, 0x1.745cf8f1d0707p-4);
    p = FDL_FMA_F64(p, z, -0x1.c71c70e6c965fp-4);
    p = FDL_FMA_F64(p, z, 0x1.24924922af0cep-3);
    p = FDL_FMA_F64(p, z, -0x1.999999999589bp-3);
    p = FDL_FMA_F64(p, z, 0x1.555555555553dp-2);
  } else {
    p = FDL_FMA_F64(p, z, 0x1.5b465b4c3ee80p-4);
    p = FDL_FMA_F64(p, z, -0x1.c4682bb295c7dp-4);
    p = FDL_FMA_F64(p, z, 0x1.247f081a8ff75p-3);
    p = FDL_FMA_F64(p, z, -0x1.99991a55bdaf2p-3);
    p = FDL_FMA_F64(p, z, 0x1.555554c8aa65fp-2);
  }
  double rest = FDL_FMA_F64(-t, z * p, FDL_FMA_F64(-z, t_low, t_low)), eighths = turned ? 1.0 : 0.0;
  eighths = steep ? 2.0 - eighths : eighths, t = steep ? -t : t, rest = steep ? -rest : rest;
  const int left = (fdl_i64)fdl_bits64(x) < 0;
  eighths = left ? 4.0 - eighths : eighths, t = left ? -t : t, rest = left ? -rest : rest;
  const double whole = eighths * 0x1.921fb54442d18p-1, sum = whole + t,
               out = sum + ((t - (sum - whole)) + FDL_FMA_F64(eighths, 0x1.1a62633145c07p-55, rest));
  return (x != x) | (y != y) ? x + y : fdl_signed_f64(out, y);
}
FDL_FN double fdl_atan2_f64(double y, double x) { return fdl_angle(y, 0.0, x, 0.0, 1); }
FDL_FN double fdl_opposite(double x, double *low) { /* sqrt(1 - x^2) in two parts */
  double less_low, more_low, lost;
  const double less = fdl_sum_exact(1.0, -x, &less_low), more = fdl_sum_exact(1.0, x, &more_low),
               square = fdl_product_exact(less, more, &lost);
  return fdl_root_exact(square, lost + (less * more_low + less_low * more), low);
}
FDL_FN double fdl_asin_f64(double x) {
  double low;
  const double side = fdl_opposite(x, &low);
  return fdl_angle(x, 0.0, side, low, 1);
}
FDL_FN double fdl_acos_f64(double x) {
  double low;
  const double side = fdl_opposite(x, &low);
  return fdl_angle(side, low, x, 0.0, 1);
}

/* Roots.  Of a cube: x = m * 2^(3 j) with m in [1, 8), and w = 1 / cbrt(m) from a polynomial by two cubic steps (one
 * for floats), which divide nothing; then w * w * m, corrected by its cube. */
FDL_FN double fdl_cube_step(double v, double w) {
  const double left = FDL_FMA_F64(-v * w, w * w, 1.0);
  return FDL_FMA_F64(w * left, FDL_FMA_F64(left, 2.0 / 9, 1.0 / 3), w);
}
FDL_FN double fdl_cube_root(double x, int exact) {
  const fdl_u64 u = fdl_bits64(x) & 0x7FFFFFFFFFFFFFFFull;
  const double e = fdl_double((u >> 52) | 0x4330000000000000ull) - 4503599627370496.0,
               j = FDL_EXACT(floor)((e + 0.5) * (1.0 / 3)), r = e - 3.0 * j;
  const double m = fdl_double((u & 0x000FFFFFFFFFFFFFull) | 0x3FF0000000000000ull), v = m * (r == 0.0      ? 1.0
                                                                                                : r == 1.0 ? 2.0
                                                                                                           : 4.0);
  double w = -0x1.99157634ddb2cp-5;
  w = FDL_FMA_F64(w, m, 0x1.45622aa9c2fc7p-2);
  w = FDL_FMA_F64(w, m, -0x1.9eb31a9ff3310p-1);
  w = FDL_FMA_F64(w, m, 0x1.8ab917ae67496p+0);
  w *= r == 0.0 ? 1.0 : r == 1.0 ? 0x1.965fea53d6e3dp-1 : 0x1.428a2f98d728bp-1;
  w = fdl_cube_step(v, w);
  w = exact ? fdl_cube_step(v, w) : w;
  double y = v * w * w;
  if (exact) {
    double lost, rest;
    const double square = fdl_product_exact(y, y, &lost), cube = fdl_product_exact(square, y, &rest);
    y = FDL_FMA_F64((v - cube) - FDL_FMA_F64(lost, y, rest), w * w * (1.0 / 3), y);
  }
  y = fdl_double(fdl_bits64(y) + ((fdl_bits64(j + 4503599627370496.0) - 341) << 52));
  return (x == 0.0) | !(fdl_abs_f64(x) <= 1.7976931348623157e308) ? x : fdl_signed_f64(y, x);
}
FDL_FN double fdl_cbrt_f64(double x) { return fdl_cube_root(x, 1); }
FDL_FN double fdl_rsqrt_f64(double x) { /* and by how much its square times x is off 1 */
  double lost;
  const double y = 1.0 / fdl_sqrt_f64(x), p = fdl_product_exact(x, y, &lost),
               better = FDL_FMA_F64(0.5 * y, FDL_EXACT(fma)(-p, y, 1.0) - lost * y, y);
  return better == better ? better : y;
}
FDL_FN double fdl_hypot_f64(
    double x, double y) { /* sides are scaled to where squares are normal numbers, or count nothing */
  const double a = fdl_abs_f64(x), b = fdl_abs_f64(y), most = a > b ? a : b,
               unit = most > 0x1p500    ? 0x1p-600
                      : most < 0x1p-400 ? 0x1p600
                                        : 1.0;
  const double back = most > 0x1p500    ? 0x1p600
                      : most < 0x1p-400 ? 0x1p-600
                                        : 1.0,
               p = a * unit, q = b * unit, s = (p > q ? p : q), t = (p > q ? q : p);
  const double out = fdl_sqrt_f64(FDL_FMA_F64(s, s, t * t)) * back;
  return (a == FDL_INF_F64) | (b == FDL_INF_F64) ? FDL_INF_F64 : (x != x) | (y != y) ? x + y : out;
}

/* erf: x times a polynomial of x * x below 1, 1 - exp of a polynomial above; both fit at Chebyshev nodes */
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
  const double small = FDL_FMA_F64(x, FDL_FMA_F64(p, z, 0.1283791670955126), x);
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

/* erfc: 1 - erf where that is small; from 0.47 on exp(-x^2) p(t) / (1 + 2 |x|) with t = (|x| - 3) / (|x| + 3), all in
 * two parts, and 2 less that for negative x */
FDL_FN double fdl_erfc_f64(double x) {
  double a = fdl_abs_f64(x), square_low, r_low, rest, p_low, product_low, d_low, shifted, above_low, below_low;
  a = a > 27.0 ? 27.0 : a;
  const double square = fdl_product_exact(a, a, &square_low),
               r = fdl_reduced_f64(-square, -square_low, &shifted, &r_low), m = fdl_exp_m_f64(r, r_low, &rest);
  const double above = fdl_sum_exact(a, -3.0, &above_low), below = fdl_sum_exact(a, 3.0, &below_low), t = above / below;
  const double t_low = (FDL_EXACT(fma)(-t, below, above) + (above_low - t * below_low)) / below;
  double h = -0x1.2c85bcb964c42p-28;
  h = FDL_FMA_F64(h, t, -0x1.67098129a2cc8p-27);
  h = FDL_FMA_F64(h, t, 0x1.255eeaedb054bp-25);
  h = FDL_FMA_F64(h, t, 0x1.a61e385121308p-24);
  h = FDL_FMA_F64(h, t, -0x1.1fa560a228a7ap-23);
  h = FDL_FMA_F64(h, t, -0x1.49b938c681cfcp-21);
  h = FDL_FMA_F64(h, t, 0x1.7a336cc7b086cp-22);
  h = FDL_FMA_F64(h, t, 0x1.d1eb70ca068afp-19);
  h = FDL_FMA_F64(h, t, -0x1.87c9998ee3a5cp-21);
  h = FDL_FMA_F64(h, t, -0x1.513a2870fc966p-16);
  h = FDL_FMA_F64(h, t, 0x1.4c204006ddf19p-18);
  h = FDL_FMA_F64(h, t, 0x1.065a2f4164c51p-13);
  h = FDL_FMA_F64(h, t, -0x1.b912680314ac3p-14);
  h = FDL_FMA_F64(h, t, -0x1.98db50ce4ee6bp-11);
  h = FDL_FMA_F64(h, t, 0x1.ef1bdd31e0fe9p-10);
  h = FDL_FMA_F64(h, t, 0x1.4b884e42b61e5p-9);
  h = FDL_FMA_F64(h, t, -0x1.8574c40bb7afdp-6);
  h = FDL_FMA_F64(h, t, 0x1.17ca2877f1870p-4);
  h = FDL_FMA_F64(h, t, -0x1.e88b803a49658p-4);
  h = FDL_FMA_F64(h, t, 0x1.098366a5b46afp-3);
  h = FDL_FMA_F64(h, t, -0x1.85a15c58aa5b7p-5);
  h = FDL_FMA_F64(h, t, -0x1.15c084bb9e8f3p-3);
  const double p = fdl_sum_exact(0x1.40c522d7e4987p+0, h * t, &p_low), n = fdl_product_exact(m, p, &product_low),
               n_low = product_low + (rest * p + m * (p_low + h * t_low));
  const double d = fdl_sum_exact(1.0, a + a, &d_low), q = n / d,
               q_low = (FDL_EXACT(fma)(-q, d, n) + (n_low - q * d_low)) / d;
  const double scale = fdl_double((fdl_bits64(shifted) << 52) + 0x43F0000000000000ull),
               tail = scale * (q + q_low) * 0x1p-64; /* 2^64 more, which is taken back */
  const double w = x * x;
  double v = 5.957176147748911e-11;
  v = FDL_FMA_F64(v, w, -1.1372848856791674e-09);
  v = FDL_FMA_F64(v, w, 1.4659775274047436e-08);
  v = FDL_FMA_F64(v, w, -1.6350312701054695e-07);
  v = FDL_FMA_F64(v, w, 1.6461000484121368e-06);
  v = FDL_FMA_F64(v, w, -1.4925595266831182e-05);
  v = FDL_FMA_F64(v, w, 0.0001205533111164271);
  v = FDL_FMA_F64(v, w, -0.000854832698083379);
  v = FDL_FMA_F64(v, w, 0.0052239776248180145);
  v = FDL_FMA_F64(v, w, -0.026866170645076792);
  v = FDL_FMA_F64(v, w, 0.11283791670954879);
  v = FDL_FMA_F64(v, w, -0.3761263890318375);
  const double y = x < 0.0 ? 2.0 - tail : tail;
  return x != x ? x : fdl_abs_f64(x) < 0.47 ? 1.0 - FDL_FMA_F64(x, FDL_FMA_F64(v, w, 0.1283791670955126), x) : y;
}
FDL_FN double fdl_lgamma_f64(double x) { return lgamma(x); }
#endif
