/* Factorisations of single matrices, row by row in memory.  Sums have an order that follows from sizes alone. */
#ifndef FDL_LINEAR_H
#define FDL_LINEAR_H
#include "fdl_fold.h"

enum {
  FDL_PANEL = 16,
  FDL_SWEEPS = 60
}; /* columns that are eliminated before the rest of a matrix hears of it; tries, until an iteration is given up */

#define FDL_ON_VECTORS(T, type)                                                                                  \
  /* a . b, in 32 lanes */                                                                                       \
  FDL_FN type fdl_inner_##T(const type *a, const type *b, long n) {                                              \
    fdl_vector_##T s[32 / fdl_width_##T] = {0};                                                                  \
    fdl_sixteen_##T sum;                                                                                         \
    long i = 0;                                                                                                  \
    for (; i + 32 <= n; i += 32)                                                                                 \
      FDL_UNROLLED for (int v = 0; v < 32 / fdl_width_##T; v++) {                                                \
        const long k = i + v * fdl_width_##T;                                                                    \
        s[v] += *(const fdl_vector_##T *)(a + k) * *(const fdl_vector_##T *)(b + k);                             \
      }                                                                                                          \
    type rest = 0;                                                                                               \
    for (; i < n; i++) rest += a[i] * b[i];                                                                      \
    FDL_UNROLLED for (int v = 0; v < 16 / fdl_width_##T; v++) sum.vectors[v] = s[v] + s[v + 16 / fdl_width_##T]; \
    return fdl_total_##T(sum.fours) + rest;                                                                      \
  }                                                                                                              \
  /* y -= f x */                                                                                                 \
  FDL_FN void fdl_less_##T(type *restrict y, type f, const type *restrict x, long n) {                           \
    for (long i = 0; i < n; i++) y[i] -= f * x[i];                                                               \
  }                                                                                                              \
  /* y -= f[0] x[0] + f[step] x[1] + ..., one after another; rows of x are `row` apart */                        \
  FDL_FN void fdl_less_rows_##T(                                                                                 \
      type *restrict y, const type *f, long step, const type *restrict x, long row, long rows, long n) {         \
    long p = 0;                                                                                                  \
    for (; p + 4 <= rows; p += 4) {                                                                              \
      const type f0 = f[p * step], f1 = f[(p + 1) * step], f2 = f[(p + 2) * step], f3 = f[(p + 3) * step];       \
      const type *restrict x0 = x + p * row, *restrict x1 = x0 + row, *restrict x2 = x1 + row,                   \
                           *restrict x3 = x2 + row;                                                              \
      for (long i = 0; i < n; i++) y[i] = (((y[i] - f0 * x0[i]) - f1 * x1[i]) - f2 * x2[i]) - f3 * x3[i];        \
    }                                                                                                            \
    for (; p < rows; p++) fdl_less_##T(y, f[p * step], x + p * row, n);                                          \
  }                                                                                                              \
  /* rows a and b turned: c a - s b, s a + c b */                                                                \
  FDL_FN void fdl_turn_rows_##T(type *restrict a, type *restrict b, type c, type s, long n) {                    \
    for (long i = 0; i < n; i++) {                                                                               \
      const type x = a[i], y = b[i];                                                                             \
      a[i] = c * x - s * y, b[i] = s * x + c * y;                                                                \
    }                                                                                                            \
  }                                                                                                              \
  /* x becomes a reflection's vector, of which the first element is 1 and not stored, but what x turns into: its \
   * factor (Golub and Van Loan 5.1.3) */                                                                        \
  FDL_FN type fdl_reflection_##T(type *x, long n) {                                                              \
    const type below = fdl_inner_##T(x + 1, x + 1, n - 1), first = x[0];                                         \
    if (!(below != 0)) return 0;                                                                                 \
    const type length = FDL_EXACT(sqrt)(first * first + below), to = first < 0 ? length : -length,               \
               scale = 1 / (first - to);                                                                         \
    for (long i = 1; i < n; i++) x[i] *= scale;                                                                  \
    x[0] = to;                                                                                                   \
    return (to - first) / to;                                                                                    \
  }                                                                                                              \
  FDL_FN void fdl_reflect_##T(type *y, const type *v, type factor, long n) {                                     \
    const type w = factor * (y[0] + fdl_inner_##T(v + 1, y + 1, n - 1));                                         \
    y[0] -= w;                                                                                                   \
    fdl_less_##T(y + 1, w, v + 1, n - 1);                                                                        \
  }                                                                                                              \
  /* columns of an m x n matrix, `t`, which are reflected one after another: R, over vectors of reflections */   \
  FDL_FN void fdl_triangularise_##T(type *t, type *factor, long m, long n) {                                     \
    for (long k = 0; k < n; k++) {                                                                               \
      factor[k] = k < m ? fdl_reflection_##T(t + k * m + k, m - k) : 0;                                          \
      for (long j = k + 1; j < n && factor[k] != 0; j++)                                                         \
        fdl_reflect_##T(t + j * m + k, t + k * m + k, factor[k], m - k);                                         \
    }                                                                                                            \
  }                                                                                                              \
  /* y = H_0 H_1 ... y */                                                                                        \
  FDL_FN void fdl_reflect_all_##T(type *y, const type *t, const type *factor, long m, long n, long from) {       \
    for (long k = from < n ? from : n - 1; k >= 0; k--)                                                          \
      if (factor[k] != 0) fdl_reflect_##T(y + k, t + k * m + k, factor[k], m - k);                               \
  }
FDL_ON_VECTORS(f32, float)
FDL_ON_VECTORS(f64, double)

#define FDL_FACTORS(T, type)                                                                                          \
  /* x with op(a) x = b, b and x n x m: the triangle that `lower` names, transposed or not, with ones on the diagonal \
   * or not */                                                                                                        \
  static void fdl_triangular_solve_##T(                                                                               \
      const type *a, const type *b, type *x, long n, long m, long lower, long transposed, long unit) {                \
    const int down = !lower == !!transposed;                                                                          \
    const long along = transposed ? n : 1;                                                                            \
    for (long k = 0; k < n; k++) {                                                                                    \
      const long i = down ? k : n - 1 - k, first = down ? 0 : i + 1;                                                  \
      type *const row = x + i * m;                                                                                    \
      __builtin_memcpy(row, b + i * m, m * sizeof *x);                                                                \
      const type *const factors = transposed ? a + first * n + i : a + i * n + first;                                 \
      if (m == 1 && !transposed) row[0] -= fdl_inner_##T(factors, x + first, k);                                      \
      else fdl_less_rows_##T(row, factors, along, x + first * m, m, k, m);                                            \
      if (!unit)                                                                                                      \
        for (long j = 0; j < m; j++) row[j] /= a[i * n + i];                                                          \
    }                                                                                                                 \
  }                                                                                                                   \
  /* Elimination with the largest elements of columns as pivots, some columns at a time (Golub and Van Loan 3.2.11):  \
   * both triangles, the order of rows, its sign */                                                                   \
  static void fdl_lu_##T(const type *from, type *a, fdl_i32 *order, type *sign, long n) {                             \
    __builtin_memcpy(a, from, n * n * sizeof *a);                                                                     \
    for (long i = 0; i < n; i++) order[i] = (fdl_i32)i;                                                               \
    *sign = 1;                                                                                                        \
    for (long k0 = 0; k0 < n; k0 += FDL_PANEL) {                                                                      \
      const long k1 = n - k0 < FDL_PANEL ? n : k0 + FDL_PANEL;                                                        \
      for (long k = k0; k < k1; k++) {                                                                                \
        long p = k;                                                                                                   \
        type best = fdl_abs_##T(a[k * n + k]);                                                                        \
        for (long i = k + 1; i < n; i++) {                                                                            \
          const type size = fdl_abs_##T(a[i * n + k]);                                                                \
          if (size > best || (size != size && best == best)) p = i, best = size;                                      \
        }                                                                                                             \
        if (p != k) {                                                                                                 \
          for (long j = 0; j < n; j++) {                                                                              \
            const type x = a[k * n + j];                                                                              \
            a[k * n + j] = a[p * n + j], a[p * n + j] = x;                                                            \
          }                                                                                                           \
          const fdl_i32 row = order[k];                                                                               \
          order[k] = order[p], order[p] = row, *sign = -*sign;                                                        \
        }                                                                                                             \
        const type top = a[k * n + k] == 0 ? 1 : a[k * n + k]; /* a column of zeros has nothing to take away */       \
        for (long i = k + 1; i < n; i++) {                                                                            \
          const type f = a[i * n + k] /= top;                                                                         \
          for (long j = k + 1; j < k1; j++) a[i * n + j] -= f * a[k * n + j];                                         \
        }                                                                                                             \
      }                                                                                                               \
      for (long i = k0 + 1; i < n; i++)                                                                               \
        fdl_less_rows_##T(a + i * n + k1, a + i * n + k0, 1, a + k0 * n + k1, n, (i < k1 ? i : k1) - k0, n - k1);     \
    }                                                                                                                 \
  }                                                                                                                   \
  /* The lower factor of the symmetric matrix whose lower triangle is given */                                        \
  static void fdl_cholesky_##T(const type *a, type *l, long n) {                                                      \
    for (long i = 0; i < n; i++) {                                                                                    \
      for (long j = 0; j <= i; j++) {                                                                                 \
        const type rest = a[i * n + j] - fdl_inner_##T(l + i * n, l + j * n, j);                                      \
        l[i * n + j] = j < i ? rest / l[j * n + j] : FDL_EXACT(sqrt)(rest);                                           \
      }                                                                                                               \
      for (long j = i + 1; j < n; j++) l[i * n + j] = 0;                                                              \
    }                                                                                                                 \
  }                                                                                                                   \
  /* m x n: Q with `columns` columns, and as many rows of R */                                                        \
  static void fdl_qr_##T(const type *a, type *q, type *r, type *scratch, long m, long n, long columns) {              \
    type *const t = scratch, *const y = t + m * n, *const factor = y + m;                                             \
    for (long i = 0; i < m; i++)                                                                                      \
      for (long j = 0; j < n; j++) t[j * m + i] = a[i * n + j];                                                       \
    fdl_triangularise_##T(t, factor, m, n);                                                                           \
    for (long i = 0; i < columns; i++) {                                                                              \
      for (long j = 0; j < m; j++) y[j] = i == j;                                                                     \
      fdl_reflect_all_##T(y, t, factor, m, n, i);                                                                     \
      for (long j = 0; j < m; j++) q[j * columns + i] = y[j];                                                         \
      for (long j = 0; j < n; j++) r[i * n + j] = j < i ? 0 : t[j * m + i];                                           \
    }                                                                                                                 \
  }
FDL_FACTORS(f32, float)
FDL_FACTORS(f64, double)

/* Places of n values in order */
static void fdl_ranked(const double *x, long *place, long n, int descending) {
  for (long i = 0; i < n; i++) {
    long j = i;
    for (; j && (descending ? x[place[j - 1]] < x[i] : x[place[j - 1]] > x[i]); j--) place[j] = place[j - 1];
    place[j] = i;
  }
}

/* 1 or -1, which makes the largest of n elements positive: signs of vectors are free, and this makes them one answer */
static double fdl_upright(const double *x, long n) {
  double most = 0;
  for (long i = 0; i < n; i++) most = fdl_abs_f64(x[i]) > most ? fdl_abs_f64(x[i]) : most;
  for (long i = 0; i < n; i++)
    if (fdl_abs_f64(x[i]) > most * (1 - 1e-4)) return x[i] < 0 ? -1 : 1; /* of nearly equal ones the first */
  return 1;
}

static double fdl_hypotenuse(double x, double y) { return FDL_EXACT(sqrt)(x * x + y * y); }

/* Eigenvalues d, and eigenvectors as rows of w, of a tridiagonal matrix (diagonal d, beside it e), times what is in w:
 * implicit QL steps (Golub and Van Loan 8.3.3) */
static void fdl_tridiagonal(double *d, double *e, double *w, long n) {
  for (long l = 0; l < n; l++)
    for (int tries = 0; tries < FDL_SWEEPS; tries++) {
      long m = l;
      while (m < n - 1 && !(fdl_abs_f64(e[m]) <= 1.2e-16 * (fdl_abs_f64(d[m]) + fdl_abs_f64(d[m + 1])))) m++;
      if (m == l) break;
      const double half = (d[l + 1] - d[l]) / (2 * e[l]), root = fdl_hypotenuse(half, 1);
      double g = d[m] - d[l] + e[l] / (half < 0 ? half - root : half + root), s = 1, c = 1, p = 0;
      long i = m - 1;
      for (; i >= l; i--) {
        const double f = s * e[i], b = c * e[i], r = fdl_hypotenuse(f, g);
        e[i + 1] = r;
        if (r == 0) break;
        s = f / r, c = g / r;
        const double above = d[i + 1] - p, mixed = (d[i] - above) * s + 2 * c * b;
        p = s * mixed;
        d[i + 1] = above + p, g = c * mixed - b;
        fdl_turn_rows_f64(w + i * n, w + (i + 1) * n, c, s, n);
      }
      if (i >= l) d[i + 1] -= p;
      else d[l] -= p, e[l] = g;
      e[m] = 0;
    }
}

/* A symmetric matrix `a`, made tridiagonal by reflections (Golub and Van Loan 8.3.1), whose product becomes the rows of
 * w */
static void fdl_symmetric(double *a, double *d, double *e, double *w, double *p, long n) {
  for (long k = 0; k + 2 < n; k++) {
    double *const v = a + k * n + k + 1;
    const long m = n - k - 1;
    d[k] = fdl_reflection_f64(v, m), e[k] = v[0]; /* factors wait where the diagonal will be */
    if (d[k] == 0) continue;
    v[0] = 1;
    for (long i = 0; i < m; i++) p[i] = d[k] * fdl_inner_f64(a + (k + 1 + i) * n + k + 1, v, m);
    fdl_less_f64(p, 0.5 * d[k] * fdl_inner_f64(p, v, m), v, m);
    for (long i = 0; i < m; i++) {
      double *const row = a + (k + 1 + i) * n + k + 1, x = v[i], y = p[i];
      for (long j = 0; j < m; j++) row[j] = (row[j] - x * p[j]) - y * v[j];
    }
  }
  if (n > 1) e[n - 2] = a[(n - 2) * n + n - 1];
  e[n - 1] = 0;
  for (long i = 0; i < n; i++) {
    double *const row = w + i * n;
    for (long j = 0; j < n; j++) row[j] = i == j;
    for (long k = (i < n - 1 ? i : n - 2) - 1; k >= 0; k--)
      if (d[k] != 0) fdl_reflect_f64(row + k + 1, a + k * n + k + 1, d[k], n - k - 1);
  }
  for (long i = 0; i < n; i++) d[i] = a[i * n + i];
}

/* Rows of an n x n matrix turned in pairs until they are orthogonal (Hestenes 1958), and rows of w with them; `size`
 * has room for their squares */
static void fdl_orthogonalise(double *x, double *w, double *size, long n) {
  for (int sweep = 0, turned = 1; turned && sweep < FDL_SWEEPS; sweep++) {
    turned = 0;
    for (long i = 0; i < n; i++) size[i] = fdl_inner_f64(x + i * n, x + i * n, n);
    for (long i = 0; i < n; i++)
      for (long j = i + 1; j < n; j++) {
        double *const a = x + i * n, *const b = x + j * n;
        const double aa = size[i], bb = size[j], ab = fdl_inner_f64(a, b, n);
        if (!(fdl_abs_f64(ab) > 1e-15 * FDL_EXACT(sqrt)(aa) * FDL_EXACT(sqrt)(bb))) continue;
        turned = 1;
        const double theta = (bb - aa) / (2 * ab), root = fdl_hypotenuse(theta, 1),
                     t = 1 / (theta < 0 ? theta - root : theta + root), c = 1 / fdl_hypotenuse(t, 1);
        fdl_turn_rows_f64(a, b, c, c * t, n);
        fdl_turn_rows_f64(w + i * n, w + j * n, c, c * t, n);
        size[i] = aa - t * ab, size[j] = bb + t * ab;
      }
  }
}

/* Rows of x turned by the eigenvectors of x x^T, the largest first, which leaves little to turn; `scratch` has room for
 * two such matrices and five columns */
static void fdl_turn_by_squares(double *x, double *w, double *scratch, long n) {
  double *const a = scratch, *const v = a + n * n, *const d = v + n * n, *const e = d + n, *const p = e + n;
  long *const place = (long *)(p + n);
  for (long i = 0; i < n; i++)
    for (long j = 0; j <= i; j++) a[i * n + j] = a[j * n + i] = fdl_inner_f64(x + i * n, x + j * n, n);
  fdl_symmetric(a, d, e, v, p, n);
  fdl_tridiagonal(d, e, v, n);
  fdl_ranked(d, place, n, 1);
  for (long i = 0; i < n; i++) {
    __builtin_memcpy(w + i * n, v + place[i] * n, n * sizeof *w);
    for (long j = 0; j < n; j++) a[i * n + j] = 0, p[j] = -w[i * n + j];
    fdl_less_rows_f64(a + i * n, p, 1, x, n, n, n);
  }
  __builtin_memcpy(x, a, n * n * sizeof *x);
}

/* Rows of length 1; those that vanish become any that are orthogonal to the others */
static void fdl_normalise(double *x, double *size, long n) {
  double largest = 0;
  for (long i = 0; i < n; i++) {
    size[i] = FDL_EXACT(sqrt)(fdl_inner_f64(x + i * n, x + i * n, n));
    largest = size[i] > largest ? size[i] : largest;
  }
  for (long i = 0; i < n; i++) {
    const double scale = size[i] > 1e-290 ? 1 / size[i] : 0;
    for (long j = 0; j < n; j++) x[i * n + j] *= scale;
  }
  for (long i = 0; i < n; i++)
    for (long k = 0; k < n && !(size[i] > 1e-290) && !(fdl_inner_f64(x + i * n, x + i * n, n) > 0.5); k++) {
      double *const row = x + i * n;
      for (long j = 0; j < n; j++) row[j] = j == k;
      for (int twice = 0; twice < 2; twice++) {
        for (long o = 0; o < n; o++)
          if (o != i) fdl_less_f64(row, fdl_inner_f64(row, x + o * n, n), x + o * n, n);
        const double length = FDL_EXACT(sqrt)(fdl_inner_f64(row, row, n)),
                     scale = length > 0.5 / (double)n ? 1 / length : 0;
        for (long j = 0; j < n; j++) row[j] *= scale;
      }
    }
}

/* In double precision, whatever the matrix has: steps are many, and matrices small */
#define FDL_SPECTRA(T, type)                                                                                         \
  /* Eigenvalues of (a + a^T) / 2, the smallest first, and eigenvectors as columns */                                \
  static void fdl_eigh_##T(const type *from, type *values, type *vectors, double *scratch, long n) {                 \
    double *const a = scratch, *const w = a + n * n, *const d = w + n * n, *const e = d + n, *const p = e + n;       \
    long *const place = (long *)(p + n);                                                                             \
    for (long i = 0; i < n; i++)                                                                                     \
      for (long j = 0; j < n; j++) a[i * n + j] = 0.5 * ((double)from[i * n + j] + (double)from[j * n + i]);         \
    fdl_symmetric(a, d, e, w, p, n);                                                                                 \
    fdl_tridiagonal(d, e, w, n);                                                                                     \
    fdl_ranked(d, place, n, 0);                                                                                      \
    for (long j = 0; j < n; j++) {                                                                                   \
      const double *const row = w + place[j] * n, sign = fdl_upright(row, n);                                        \
      values[j] = (type)d[place[j]];                                                                                 \
      for (long i = 0; i < n; i++) vectors[i * n + j] = (type)(sign * row[i]);                                       \
    }                                                                                                                \
  }                                                                                                                  \
  /* m x n with m >= n: A = Q R, and rows of R are turned until they are orthogonal (as Drmac and Veselic 2008): R = \
   * W^T S V^T */                                                                                                    \
  static void fdl_svd_##T(const type *from, type *s, type *u, type *vt, double *scratch, long m, long n) {           \
    double *const t = scratch, *const y = t + m * n, *const factor = y + m, *const x = factor + n,                   \
                  *const w = x + n * n, *const size = w + n * n;                                                     \
    long *const place = (long *)(size + n);                                                                          \
    double *const more = size + 2 * n;                                                                               \
    for (long i = 0; i < m; i++)                                                                                     \
      for (long j = 0; j < n; j++) t[j * m + i] = (double)from[i * n + j];                                           \
    fdl_triangularise_f64(t, factor, m, n);                                                                          \
    for (long i = 0; i < n; i++)                                                                                     \
      for (long j = 0; j < n; j++) x[i * n + j] = j < i ? 0 : t[j * m + i];                                          \
    fdl_turn_by_squares(x, w, more, n);                                                                              \
    fdl_orthogonalise(x, w, size, n);                                                                                \
    fdl_normalise(x, size, n);                                                                                       \
    fdl_ranked(size, place, n, 1);                                                                                   \
    for (long j = 0; j < n; j++) {                                                                                   \
      const long from_row = place[j];                                                                                \
      for (long i = 0; i < m; i++) y[i] = i < n ? w[from_row * n + i] : 0;                                           \
      fdl_reflect_all_f64(y, t, factor, m, n, n);                                                                    \
      const double sign = fdl_upright(y, m);                                                                         \
      s[j] = (type)size[from_row];                                                                                   \
      for (long i = 0; i < m; i++) u[i * n + j] = (type)(sign * y[i]);                                               \
      for (long i = 0; i < n; i++) vt[j * n + i] = (type)(sign * x[from_row * n + i]);                               \
    }                                                                                                                \
  }
FDL_SPECTRA(f32, float)
FDL_SPECTRA(f64, double)
#endif
