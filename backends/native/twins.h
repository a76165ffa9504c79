/* Methods of classes that are defined in Python: a call that is plain takes no Python, see `twins.c`. */
#ifndef FDL_TWINS_H
#define FDL_TWINS_H

#include "native.h"

/* A method: what it tries, on what, and the twin, which is asked where it declines */
typedef struct Method Method;
typedef PyObject *Trying(const Method *m, PyObject *x, PyObject *const *args, long count); /* None where it declines */
struct Method {
  Trying *trying;
  PyMethodDef definition;
  PyObject *twin, *function, *given; /* what is recorded, and what of its key is given */
  long others;                       /* operands besides the instance */
  int kind;                          /* of which kind it is among those that are tried alike */
};

/* A method of a class, to be put there under its name; its definition is filled in here.  0 with an error */
SHARED PyObject *new_method(PyObject *type, PyObject *name, Method method);
#endif
