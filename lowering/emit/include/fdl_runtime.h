/* What a compiled program gets from the runtime library: a table of functions. */
#ifndef FDL_RUNTIME_H
#define FDL_RUNTIME_H

/* How a matrix lies in memory: the number of a row, or of a column, comes apart into digits, the last one running
 * fastest, and each digit has a step.  One digit is a plain stride; a window of an image, or rows of several axes, have
 * more. */
typedef struct {
  long size, step;
} fdl_digit;
typedef struct {
  int rows, columns;
  fdl_digit row[6], column[6];
} fdl_axes;

/* Steps to consecutive rows or columns, from number `first` on */
static inline void fdl_steps_of(long *out, const fdl_digit *digits, int count, long first, long many) {
  long digit[6], place = 0;
  for (int d = count - 1; d >= 0; d--)
    digit[d] = first % digits[d].size, first /= digits[d].size, place += digit[d] * digits[d].step;
  for (long i = 0; i < many; i++) {
    out[i] = place;
    for (int d = count - 1; d >= 0; d--) {
      place += digits[d].step;
      if (++digit[d] < digits[d].size) break;
      place -= digits[d].size * digits[d].step;
      digit[d] = 0;
    }
  }
}

/* What is done with the rows of a product as soon as they are complete, in `count` parts of them, one after another */
typedef struct {
  void (*part)(void *const *context, long lo, long hi);
  void *const *context;
  long count;
} fdl_after;

#define FDL_GEMM_ARGS2(type, sum)                                                                               \
  long m, long n, long k, const type *a, const fdl_axes *a_axes, const type *b, const fdl_axes *b_axes, sum *c, \
      long c_row, int tid, int threads
#define FDL_GEMM_ARGS(type) FDL_GEMM_ARGS2(type, type), const fdl_after *after

typedef struct {
  void (*barrier)(void *team); /* all threads of the region meet */
  /* c[m, n] = sum of a[m, k] * b[k, n], k in order, one fused multiply-add a step; a thread does its share.
   * Says whether `after`, which may be null, is done as well, by each thread for parts count * tid / threads to count *
   * (tid + 1) / threads */
  int (*gemm_f32)(FDL_GEMM_ARGS(float));
  int (*gemm_f64)(FDL_GEMM_ARGS(double));
  /* sums of narrow elements are wide, and in the order in which the machine adds neighbours along k */
  void (*gemm_bf16)(FDL_GEMM_ARGS2(unsigned short, float));
  void (*gemm_i8)(FDL_GEMM_ARGS2(signed char, int));
} fdl_runtime;

/* For programs of hundreds of calls: optimising one long list of calls takes seconds and gains nothing */
#define FDL_APART __attribute__((noinline, visibility("hidden")))
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

/* A product by itself: gcc 12 fuses it with sums and differences of results side by side, whatever its flags say */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define FDL_ROUNDED(x) __builtin_assoc_barrier(x)
#else
#define FDL_ROUNDED(x) (x)
#endif

/* Few iterations, written out: small arrays that a loop hands on then live in registers */
#define FDL_UNROLLED _Pragma("GCC unroll 16")

/* Asks for memory that will be needed soon, which may lie past an array's end */
#define FDL_AHEAD(base, elements) \
  __builtin_prefetch((const void *)((unsigned long)(base) + sizeof *(base) * (unsigned long)(elements)))

typedef void (*fdl_program_fn)(const fdl_runtime *rt, void *team, void *const *io, char *arena, int tid, int threads);
#endif
