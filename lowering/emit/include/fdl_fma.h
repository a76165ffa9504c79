/* A product and a sum with one rounding, where the machine has that: written out, so that no compiler, no flag and no
 * tuning decides.  Machines without round twice, always.
 *
 * Scalars for all of fdl's C and CUDA; fdl_vector.h has whole vectors.
 */
#ifndef FDL_FMA_H
#define FDL_FMA_H

#if defined(__CUDACC__)
#define FDL_FMA_F32(a, b, c) fmaf(a, b, c)
#define FDL_FMA_F64(a, b, c) fma(a, b, c)
#elif defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__aarch64__)
#define FDL_FUSES
#define FDL_FMA_F32(a, b, c) __builtin_fmaf(a, b, c)
#define FDL_FMA_F64(a, b, c) __builtin_fma(a, b, c)
#else
#define FDL_FMA_F32(a, b, c) ((a) * (b) + (c))
#define FDL_FMA_F64(a, b, c) ((a) * (b) + (c))
#endif
#endif
