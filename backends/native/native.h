/* What every part of the library starts from: references, slots of Python's objects, and how a call is left to Python.
 *
 * A part is a C file that lies beside the Python that it serves or repeats, and exports `<its name>_functions`;
 * `module.c` joins them.  A part on a lower floor includes nothing of a higher one, as in Python.
 */
#ifndef FDL_NATIVE_H
#define FDL_NATIVE_H

#include "stable_abi.h"

#define SHARED __attribute__((visibility("hidden"))) /* between parts of the library, and not with others */

/* ---- References ---- */

static inline PyObject *keep(PyObject *x) {
  Py_IncRef(x);
  return x;
}
static inline void put(PyObject **field, PyObject *value) { /* takes the reference */
  PyObject *old = *field;
  *field = value;
  if (old) Py_DecRef(old);
}
static inline PyObject *get(PyObject *x, PyObject *name) { /* borrowed: the owner keeps it */
  PyObject *found = PyObject_GetAttr(x, name);
  if (found) Py_DecRef(found);
  return found;
}
static inline PyObject *nothing(void) { return PyErr_Occurred() ? 0 : keep(&_Py_NoneStruct); }
static inline PyObject *fail(const char *message) {
  PyErr_SetString(PyExc_RuntimeError, message);
  return 0;
}

/* ---- Slots of Python's objects, read and filled without a look-up by name ----
 *
 * Python hands over a probe of a class, an instance with a value of its own in each slot, and the instance's size.
 */

#define SLOT(x, offset) (*(PyObject **)((char *)(x) + (offset)))

typedef struct {
  const char *name;
  long *offset;
} Slot;

/* Learn where slots, a list that ends in a name of 0, lie in instances of the probe's class; whether all were found */
SHARED int find_slots(PyObject *probe, PyObject *size, const Slot *slots);

/* ---- Calls that are left to Python ----
 *
 * Each place says why, by a name of `REASONS` in `backends/native/__init__.py`, and the library counts it: so tests can
 * hold the table there to this source, and reach each reason.
 */

typedef struct Reason {
  const char *name, *place; /* the function that says so */
  long count;
  struct Reason *next;
} Reason;
SHARED __attribute__((cold, noinline)) void count_reason(Reason *);

#define BECAUSE(why)                         \
  do {                                       \
    static Reason reason = {#why, __func__}; \
    count_reason(&reason);                   \
  } while (0)
#define DECLINE(why, answer) \
  do {                       \
    BECAUSE(why);            \
    return answer;           \
  } while (0)
#endif
