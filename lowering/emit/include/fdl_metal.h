/* Scalar functions that generated Metal kernels call, where the language has none of its own under the wanted meaning.
 */
#ifndef FDL_METAL_H
#define FDL_METAL_H
typedef char fdl_i8;
typedef short fdl_i16;
typedef int fdl_i32;
typedef long fdl_i64;
typedef uchar fdl_u8;
typedef ushort fdl_u16;
typedef uint fdl_u32;
typedef ulong fdl_u64;
typedef uchar fdl_b8;
#define FDL_INF_F32 INFINITY
#define FDL_NAN_F32 NAN

inline fdl_u32 fdl_bits(float x) { return as_type<fdl_u32>(x); }
inline float fdl_float(fdl_u32 u) { return as_type<float>(u); }
inline float fdl_max_f32(float a, float b) { return a != a ? a : (a > b ? a : (b != b ? b : b)); }
inline float fdl_min_f32(float a, float b) { return a != a ? a : (a < b ? a : b); }
inline float fdl_sign_f32(float x) { return x > 0 ? 1.0f : (x < 0 ? -1.0f : x); }
inline float fdl_logistic_f32(float x) {
  float t = metal::exp(-metal::fabs(x)), s = 1 / (1 + t);
  return x < 0 ? t * s : s;
}
inline float fdl_softplus_f32(float x) {
  float t = metal::exp(-metal::fabs(x));
  return metal::fmax(x, 0.0f) + (t < 1e-2f ? t * (1 - t * (0.5f - t * (1 / 3.0f))) : metal::log(1 + t));
}
inline float fdl_cbrt_f32(float x) { return metal::copysign(metal::pow(metal::fabs(x), 1 / 3.0f), x); }
inline float fdl_hypot_f32(float x, float y) {
  float a = metal::fmax(metal::fabs(x), metal::fabs(y)),
        b = metal::fmin(metal::fabs(x), metal::fabs(y)) / (a > 0 ? a : 1);
  return a * metal::sqrt(1 + b * b);
}
inline float fdl_expm1_f32(float x) {
  float e = metal::exp(x);
  return metal::fabs(x) < 1e-2f ? x * (1 + x * (0.5f + x * (1 / 6.0f))) : e - 1;
}
inline float fdl_log1p_f32(float x) {
  return metal::fabs(x) < 1e-2f ? x * (1 - x * (0.5f - x * (1 / 3.0f))) : metal::log(1 + x);
}
inline float fdl_pow_f32(float x, float y) { return metal::pow(x, y); }
inline float fdl_rem_f32(float x, float y) { return metal::fmod(x, y); }
inline int fdl_max_i32(int a, int b) { return a > b ? a : b; }
inline int fdl_min_i32(int a, int b) { return a < b ? a : b; }
inline int fdl_f32_to_i32(float x) {
  return x != x ? 0 : (x >= 2147483648.0f ? 2147483647 : (x <= -2147483648.0f ? -2147483647 - 1 : int(x)));
}
#endif
