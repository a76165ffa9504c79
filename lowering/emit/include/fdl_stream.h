/* Copies to memory past the caches: whole lines, whose old content nobody reads first. */
#ifndef FDL_STREAM_H
#define FDL_STREAM_H

#include "fdl_vector.h"

typedef float fdl_wide __attribute__((vector_size(FDL_VECTOR_BYTES), may_alias));
typedef float fdl_wide_anywhere __attribute__((vector_size(FDL_VECTOR_BYTES), aligned(1), may_alias));

#ifdef __clang__
#define FDL_PUT(to, x) __builtin_nontemporal_store(x, to)
#elif FDL_VECTOR_BYTES == 64 && defined(__AVX512F__)
#define FDL_PUT(to, x) __builtin_ia32_movntps512((float *)(to), x)
#elif FDL_VECTOR_BYTES == 32 && defined(__AVX__)
#define FDL_PUT(to, x) __builtin_ia32_movntps256((float *)(to), x)
#elif FDL_VECTOR_BYTES == 16 && defined(__SSE__)
#define FDL_PUT(to, x) __builtin_ia32_movntps((float *)(to), x)
#else
#define FDL_PUT(to, x) (*(to) = (x))
#endif

static void fdl_stream(void *restrict to, const void *restrict from, long bytes) {
  char *out = (char *)to;
  const char *in = (const char *)from;
  const long before = -(unsigned long)out & 63, first = before < bytes ? before : bytes;
  __builtin_memcpy(out, in, first);
  out += first, in += first, bytes -= first;
  for (; bytes >= 64; out += 64, in += 64, bytes -= 64)
    for (int part = 0; part < 64; part += FDL_VECTOR_BYTES) {
      const fdl_wide x = *(const fdl_wide_anywhere *)(in + part);
      FDL_PUT((fdl_wide *)(out + part), x);
    }
  __builtin_memcpy(out, in, bytes);
}

/* Other threads see what was streamed after they meet */
static void fdl_streamed(void) {
#ifdef __SSE__
  __builtin_ia32_sfence();
#endif
}
#endif
