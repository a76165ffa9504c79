/* Tensors, for their methods, see `tensor.c`. */
#ifndef FDL_TENSOR_H
#define FDL_TENSOR_H

#include "../../transforms/native/look.h"
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

/* As `plain_recorder`; in grad mode what was complete, as an optimizer's step is, has run */
SHARED PyObject *ready_recorder(void);
/* The tensor of a call of a function that came before, or a tuple of tensors, or None where it is left to Python */
SHARED PyObject *applied(PyObject *recorder, PyObject *function, PyObject *operands, PyObject *statics);
/* The view of a tensor through a further step (read, write, numpy, static, numbers), or None */
SHARED PyObject *viewed(PyObject *recorder, PyObject *x, PyObject *step);
/* The same, where `array` is its value and `node` its edge */
SHARED PyObject *seen_through(PyObject *x, PyObject *step, PyObject *array, PyObject *node);
/* True where the first operand has taken the value of the result, which has its type; the result where it has another
 * one; or None */
SHARED PyObject *change(PyObject *recorder, PyObject *function, PyObject *operands, PyObject *statics);
#endif
