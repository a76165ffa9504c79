/* What a compiled program gets from the runtime library: a table of functions. */
#ifndef FDL_RUNTIME_H
#define FDL_RUNTIME_H

#define FDL_GEMM_ARGS(type) \
  long m, long n, long k, const type *a, long a_row, long a_col, const type *b, long b_row, long b_col, type *c, long c_row, int tid, int threads

typedef struct {
  void (*barrier)(void *team); /* all threads of the region meet */
  /* c[m, n] = sum of a[m, k] * b[k, n], k in order, one fused multiply-add a step; a thread does its share */
  void (*gemm_f32)(FDL_GEMM_ARGS(float));
  void (*gemm_f64)(FDL_GEMM_ARGS(double));
} fdl_runtime;

/* For programs of hundreds of calls: optimising one long list of calls takes seconds and gains nothing */
#define FDL_APART __attribute__((noinline))
#ifdef __clang__
#define FDL_PLAIN __attribute__((optnone, noinline))
#else
#define FDL_PLAIN __attribute__((optimize("O0")))
#endif

/* No iteration reads what another one writes, though pointers may be equal */
#ifdef __clang__
#define FDL_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define FDL_INDEPENDENT _Pragma("GCC ivdep")
#endif

typedef void (*fdl_program_fn)(const fdl_runtime *rt, void *team, void *const *io, char *arena, int tid, int threads);
#endif
