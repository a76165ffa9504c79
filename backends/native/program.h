/* A compiled program, ready to run on arrays, see `program.c`; what Python calls is in `entry.c`. */
#ifndef FDL_PROGRAM_H
#define FDL_PROGRAM_H

#include "arrays.h"
#include "team.h"

typedef struct {
  fdl_program_fn function;
  int inputs, outputs, guards, parallel; /* after the outputs come guards: bytes that are 1 where a check has failed */
  long arena, own, *out_bytes;           /* bytes of all threads together, and of each */
  int *in_place;                         /* for each output the donated input whose memory it may take, or -1 */
  char *codes;                   /* for each 0-d input how a Python number is stored, see `number_code` in c.py */
  void *told; /* what the program is told before its arguments, 0 for nothing */
  PyObject *array_type, *refuse, *teller; /* whose instances are no numbers; who raises where a check has failed; whose
                                           * memory is told */
} Program;

/* Run a program on arrays and numbers, and fill `outs`.  1, or 0 with an error, or -1 where Python has to make an
 * operand readable first */
SHARED int run_arrays(const Program *p, PyObject *const *operands, Buffer **outs);
#endif
