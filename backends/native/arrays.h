/* Arrays: instances of `ConcreteArray`, made and read without a look-up of their slots by name, see `arrays.c`. */
#ifndef FDL_ARRAYS_H
#define FDL_ARRAYS_H

#include "buffers.h"

/* Where slots lie in arrays of `type`, which is 0 where not all were found; and their names, by which others are read
 */
SHARED extern struct arrays {
  PyObject *type, *unmarked;
  long aval, data, mark;
  PyObject *aval_name, *data_name, *mark_name;
} arrays;

static inline PyObject *aval_of(PyObject *x) { /* borrowed, or 0 with an error */
  return (PyObject *)x->type == arrays.type ? SLOT(x, arrays.aval) : get(x, arrays.aval_name);
}
static inline PyObject *data_in(PyObject *x) { /* a new reference, or 0 with an error */
  return (PyObject *)x->type == arrays.type ? keep(SLOT(x, arrays.data)) : PyObject_GetAttr(x, arrays.data_name);
}
static inline void set_data(PyObject *x, PyObject *data) { PyObject_SetAttr(x, arrays.data_name, data); }

/* An array that is not marked by any recorder, or 0 with an error */
SHARED PyObject *new_array(PyObject *type, PyObject *aval, PyObject *data);
/* The same of arrays of `arrays.type`, marked; takes the reference to the mark */
SHARED PyObject *marked_array(PyObject *aval, PyObject *data, PyObject *mark);
#endif
