/* Tensors, for their methods, see `tensor.c`. */
#ifndef FDL_TENSOR_H
#define FDL_TENSOR_H

#include "../../transforms/native/walk.h"

SHARED extern PyObject *tensor_type;
SHARED extern struct tensors {
  long storage, view, edge, result;
} tensors;

/* What a tensor is now: its array, its node (None where it needs no gradient) and the number of its result, all
 * borrowed */
typedef struct {
  PyObject *array, *node, *index;
} Now;
SHARED int now(PyObject *x, Now *state); /* 0 where Python has to refresh a view */

/* The functions of `tensor.c`, as Python calls them: None where a call is left to it */
SHARED PyObject *apply(PyObject *self, PyObject *const *args, long count);
SHARED PyObject *change(PyObject *self, PyObject *const *args, long count);
#endif
