/* Looks at values of arrays, and their operators: the twins are methods of `Array` and `ConcreteArray` in
 * fdl/core/array.py, and `LazyTrace.recall` in transforms/lazy/trace.py, which say what they mean.
 *
 * Invariant: what a look computes is all that is pending, as every look does, so that programs are those of Python.
 */
#include "look.h"

static struct {
  PyObject *recorders, *recorder_name, *running, *dtypes, *typed, *parts, *kinds[3];
  const char *codes;
} asked; /* see `looking` */

/* This thread's recorder, borrowed, unless it looks at each operation first; 0 with an error */
static PyObject *own_recorder(void) {
  PyObject *recorder = get(asked.recorders, asked.recorder_name);
  if (recorder && SLOT(recorder, recorders.plain) != &_Py_TrueStruct && is_special(recorder)) DECLINE(special, 0);
  return recorder;
}

PyObject *plain_recorder(void) {
  PyObject *inside = PyObject_CallNoArgs(asked.running);
  if (!inside) return 0;
  Py_DecRef(inside);
  if (inside != &_Py_NoneStruct) DECLINE(special, 0);
  return own_recorder();
}

/* ---- Values ---- */

/* The data of an array, borrowed, computed if this thread has recorded it last; 0 where this is left to Python */
static PyObject *data_now(PyObject *array) {
  PyObject *data = SLOT(array, arrays.data);
  if ((PyObject *)data->type != segment_type) return data;
  PyObject *recorder = get(asked.recorders, asked.recorder_name);
  if (!recorder) return 0;
  if (segment_of(recorder) != data) DECLINE(pending, 0);
  return flushed(recorder) ? SLOT(array, arrays.data) : 0;
}

/* One element as a Python number; None where the type has no code */
static PyObject *number_of(char code, const void *element) {
  switch (code) {
  case 'f': return PyFloat_FromDouble(*(const float *)element);
  case 'd': return PyFloat_FromDouble(*(const double *)element);
  case 'b': return PyLong_FromLong(*(const signed char *)element);
  case 'B': return PyLong_FromLong(*(const unsigned char *)element);
  case 'h': return PyLong_FromLong(*(const short *)element);
  case 'H': return PyLong_FromLong(*(const unsigned short *)element);
  case 'i': return PyLong_FromLong(*(const int *)element);
  case 'I': return PyLong_FromLong(*(const unsigned *)element);
  case 'l': return PyLong_FromLongLong(*(const long long *)element);
  case 'L': return PyLong_FromUnsignedLongLong(*(const unsigned long long *)element);
  default: return keep(*(const char *)element ? &_Py_TrueStruct : &_Py_FalseStruct);
  }
}

static long width_of(char code) {
  switch (code) {
  case 'd':
  case 'l':
  case 'L': return 8;
  case 'f':
  case 'i':
  case 'I': return 4;
  case 'h':
  case 'H': return 2;
  default: return 1;
  }
}

/* The code of an array's elements, 0 where it has none */
static char code_of(PyObject *array) {
  PyObject *dtype = SLOT(SLOT(array, arrays.aval), avals.dtype);
  for (long i = 0; asked.codes[i]; i++)
    if (PyTuple_GetItem(asked.dtypes, i) == dtype) return asked.codes[i];
  return 0;
}

/* A number as it is used; takes its reference */
static PyObject *used_as(PyObject *number, int use) {
  if (!number || use == ITEM) return number;
  PyObject *used = use == INT     ? PyNumber_Long(number)
                   : use == FLOAT ? PyNumber_Float(number)
                                  : keep(PyObject_IsTrue(number) ? &_Py_TrueStruct : &_Py_FalseStruct);
  Py_DecRef(number);
  return used;
}

PyObject *looked_at(PyObject *array, int use) {
  if ((PyObject *)array->type != arrays.type) DECLINE(traced, nothing());
  PyObject *data = data_now(array);
  if (!data) return nothing();
  if (use == READY) return keep(array);
  const char code = code_of(array);
  Py_buffer view = {.obj = 0};
  const void *element = code ? data_of(data, &view) : 0;
  const long bytes = view.obj ? view.len : element ? ((Buffer *)data)->bytes : 0;
  PyObject *number = element && bytes == width_of(code) ? number_of(code, element) : 0;
  if (view.obj) PyBuffer_Release(&view);
  if (number) return used_as(number, use);
  PyErr_Clear();
  DECLINE(unreadable, nothing());
}

static PyObject *look_at(const Method *m, PyObject *x, PyObject *const *args, long count) {
  (void)args, (void)count;
  return looked_at(x, m->kind);
}

/* look(class of arrays, name, use, twin) -> a method that looks at the value */
static PyObject *look(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 4) return fail("look: expected 4 arguments");
  return new_method(args[0], args[1], (Method){look_at, .twin = args[3], .kind = (int)PyLong_AsLong(args[2])});
}

/* ---- Parts of what is known ---- */

/* Put an index along an axis, counted from 0, into a tuple; whether it is within */
static int put_place(PyObject *places, long axis, PyObject *index, PyObject *shape) {
  if (index->type != &PyLong_Type) return 0;
  long place = PyLong_AsLong(index);
  const long n = PyLong_AsLong(PyTuple_GetItem(shape, axis));
  if (place < 0) place += n;
  if (PyErr_Occurred() || place < 0 || place >= n) {
    PyErr_Clear();
    return 0;
  }
  return !PyTuple_SetItem(places, axis, PyLong_FromLong(place));
}

PyObject *places_in(PyObject *index, PyObject *aval) {
  PyObject *shape = SLOT(aval, avals.shape);
  const int several = index->type == &PyTuple_Type;
  const long count = several ? PyTuple_Size(index) : 1;
  if (!count || count > PyTuple_Size(shape)) DECLINE(place, 0);
  PyObject *places = PyTuple_New(count);
  for (long axis = 0; axis < count; axis++)
    if (!put_place(places, axis, several ? PyTuple_GetItem(index, axis) : index, shape)) {
      Py_DecRef(places);
      DECLINE(place, 0);
    }
  return places;
}

PyObject *part_at(PyObject *array, PyObject *places) {
  PyObject *data = SLOT(array, arrays.data), *aval = SLOT(array, arrays.aval);
  if ((PyObject *)data->type != ndarray_type || PyLong_AsLongLong(SLOT(array, arrays.mark)) < 0)
    DECLINE(unreadable, nothing());
  PyObject *count = PyLong_FromLong(PyTuple_Size(places)), *key = PyTuple_Pack(2, SLOT(aval, avals.token), count),
           *own = PyDict_GetItemWithError(asked.parts, key);
  Py_DecRef(count), Py_DecRef(key);
  if (!own) DECLINE(unknown, nothing());
  PyObject *rest = PyTuple_Pack(1, &_Py_EllipsisObject), *whole = PySequence_Concat(places, rest),
           *part = PyObject_GetItem(data, whole), *result = 0;
  if (part) result = marked_array(own, part, keep(arrays.unmarked)), Py_DecRef(part);
  Py_DecRef(rest), Py_DecRef(whole);
  return result;
}

static PyObject *pick(const Method *m, PyObject *x, PyObject *const *args, long count) {
  (void)m, (void)count;
  PyObject *places = plain_recorder() ? places_in(args[0], SLOT(x, arrays.aval)) : 0;
  if (!places) return nothing();
  PyObject *part = part_at(x, places);
  Py_DecRef(places);
  return part;
}

/* picker(class of arrays, name, twin) -> a method that gives parts at numbers */
static PyObject *picker(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 3) return fail("picker: expected 3 arguments");
  return new_method(args[0], args[1], (Method){pick, .twin = args[2], .others = 1});
}

/* ---- Operations ---- */

/* What stands for an operand in `typed`, borrowed: the token of an array, the kind of a number; 0 where Python has to
 * look at it */
static PyObject *kind_of(PyObject *x) {
  if ((PyObject *)x->type == arrays.type) return SLOT(SLOT(x, arrays.aval), avals.token);
  if (x->type == &PyFloat_Type) return asked.kinds[0];
  if (x->type == &PyBool_Type) return asked.kinds[2];
  if (x->type != &PyLong_Type) DECLINE(operand, 0);
  const long long value = PyLong_AsLongLong(x);
  if (value == (int)value && !(value == -1 && PyErr_Occurred())) return asked.kinds[1];
  PyErr_Clear();
  DECLINE(wide, 0);
}

static int lies_within(long long value, PyObject *low, PyObject *high) {
  return PyLong_AsLongLong(low) <= value && value <= PyLong_AsLongLong(high);
}

/* The tokens of types that operands have, numbers among them, beside each other, borrowed: as `aligned` of
 * fdl/ops/promotion.py found them before.  0 where it has not, or a number is out of its type's bounds */
static PyObject *typed_beside(PyObject *operands) {
  const long n = PyTuple_Size(operands);
  PyObject *tokens = PyTuple_New(n), *found;
  for (long i = 0; i < n; i++) {
    PyObject *token = kind_of(PyTuple_GetItem(operands, i));
    if (!token) {
      Py_DecRef(tokens);
      return 0;
    }
    PyTuple_SetItem(tokens, i, keep(token));
  }
  found = PyDict_GetItemWithError(asked.typed, tokens);
  Py_DecRef(tokens);
  if (!found) DECLINE(unknown, 0);
  for (long i = 0; PyTuple_Size(found) > n && i < n; i++) {
    PyObject *x = PyTuple_GetItem(operands, i);
    if (x->type == &PyLong_Type &&
        !lies_within(PyLong_AsLongLong(x), PyTuple_GetItem(found, n), PyTuple_GetItem(found, n + 1)))
      DECLINE(wide, 0);
  }
  return found;
}

/* Results of an operation without parameters that ran on just these types before, or None */
static PyObject *recalled(PyObject *recorder, PyObject *head, PyObject *operands) {
  const long n = PyTuple_Size(operands);
  PyObject *typed = 0;
  for (long i = 0; i < n; i++)
    if ((PyObject *)PyTuple_GetItem(operands, i)->type != arrays.type) {
      typed = typed_beside(operands);
      if (!typed) return nothing();
      break;
    }
  PyObject *hit = recorded(recorder, keep(head), operands, typed);
  if (!hit || hit == &_Py_NoneStruct) return hit;
  PyObject *results = keep(PyTuple_GetItem(hit, 0));
  Py_DecRef(hit);
  return results;
}

/* recall(primitive, operands) -> list of results, or None */
static PyObject *recall(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 2) return fail("recall: expected 2 arguments");
  PyObject *recorder = own_recorder();
  if (!recorder) return nothing();
  PyObject *none = PyTuple_New(0), *head = PyTuple_Pack(2, args[0], none), *results = recalled(recorder, head, args[1]);
  Py_DecRef(none), Py_DecRef(head);
  return results;
}

static PyObject *operate(const Method *m, PyObject *x, PyObject *const *args, long count) {
  PyObject *recorder = plain_recorder();
  if (!recorder) return nothing();
  PyObject *operands = !count    ? PyTuple_Pack(1, x)
                       : m->kind ? PyTuple_Pack(2, args[0], x)
                                 : PyTuple_Pack(2, x, args[0]),
           *results = recalled(recorder, m->function, operands);
  Py_DecRef(operands);
  if (!results || results == &_Py_NoneStruct) return results;
  PyObject *result = keep(PyList_GetItem(results, 0));
  Py_DecRef(results);
  return result;
}

/* operator(class of arrays, name, head under which it is recorded, number of other operands, whether they come first,
 * twin) -> a method that applies an operation */
static PyObject *operator(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 6) return fail("operator: expected 6 arguments");
  return new_method(args[0], args[1],
      (Method){operate, .twin = args[5], .function = args[2], .others = PyLong_AsLong(args[3]),
          .kind = args[4] == &_Py_TrueStruct});
}

/* looking(recorders, what gives the trace that runs, dtypes and their codes, types beside each other, types of parts)
 * -> None; the last two are `TYPED` of fdl/ops/promotion.py and `PARTS` of fdl/ops/axes.py */
static PyObject *looking(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 6) return fail("looking: expected 6 arguments");
  asked.recorders = keep(args[0]), asked.running = keep(args[1]), asked.dtypes = keep(args[2]);
  asked.codes = PyUnicode_AsUTF8AndSize(keep(args[3]), 0), asked.typed = keep(args[4]), asked.parts = keep(args[5]);
  asked.recorder_name = PyUnicode_InternFromString("recorder");
  for (long i = 0; i < 3; i++) asked.kinds[i] = PyLong_FromLong(i);
  return nothing();
}

PyMethodDef look_functions[] = {{"look", (void *)look, METH_FASTCALL, 0}, {"recall", (void *)recall, METH_FASTCALL, 0},
    {"picker", (void *)picker, METH_FASTCALL, 0}, {"operator", (void *)operator, METH_FASTCALL, 0},
    {"looking", (void *)looking, METH_FASTCALL, 0}, {0}};
