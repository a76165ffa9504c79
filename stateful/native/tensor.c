/* Operations of tensors whose record is a hit: the twins are `apply` and `view_of` in stateful/core/tensor.py,
 * `_taking` in stateful/core/methods.py, and `put` in fdl/extend/storage.py, which say what they mean.
 *
 * Invariants: no transform runs, which Python has made sure of; a tensor is changed after its operation was recorded,
 * in one go.  What is made here has the slots that Python's constructors fill, and no others.
 */
#include <string.h>
#include "tensor.h"

PyObject *tensor_type;
struct tensors tensors;
static PyObject *storage_type, *view_type, *zero, *single_name, *varies_name, *dtype_name, *shape_name;
static struct {
  long array, version, exported;
} storages;
static struct {
  long base, steps, version, seen, array, node, index;
} views;

/* ---- Making tensors ---- */

static PyObject *new_storage(PyObject *array) {
  PyObject *storage = PyType_GenericAlloc((PyTypeObject *)storage_type, 0);
  SLOT(storage, storages.array) = keep(array), SLOT(storage, storages.version) = keep(zero);
  SLOT(storage, storages.exported) = keep(&_Py_NoneStruct);
  return storage;
}

/* Takes the references to storage and view */
static PyObject *new_tensor(PyObject *storage, PyObject *view, PyObject *node, long result) {
  PyObject *tensor = PyType_GenericAlloc((PyTypeObject *)tensor_type, 0);
  SLOT(tensor, tensors.storage) = storage, SLOT(tensor, tensors.view) = view;
  SLOT(tensor, tensors.edge) = keep(node), SLOT(tensor, tensors.result) = PyLong_FromLong(result);
  return tensor;
}

static PyObject *wrapped(PyObject *array, PyObject *node, long result) {
  return new_tensor(new_storage(array), keep(&_Py_NoneStruct), node, result);
}

PyObject *seen_through(PyObject *x, PyObject *step, PyObject *array, PyObject *node) {
  PyObject *parent = SLOT(x, tensors.view), *storage = SLOT(x, tensors.storage);
  const int first = parent == &_Py_NoneStruct;
  PyObject *base = first ? x : SLOT(parent, views.base), *last = PyTuple_Pack(1, step);
  PyObject *view = PyType_GenericAlloc((PyTypeObject *)view_type, 0);
  SLOT(view, views.steps) = first ? keep(last) : PySequence_Concat(SLOT(parent, views.steps), last);
  SLOT(view, views.base) = keep(base), SLOT(view, views.version) = keep(SLOT(storage, storages.version));
  SLOT(view, views.seen) = keep(SLOT(base, tensors.edge)), SLOT(view, views.array) = keep(array);
  SLOT(view, views.node) = keep(node), SLOT(view, views.index) = keep(zero);
  Py_DecRef(last);
  return new_tensor(keep(storage), view, &_Py_NoneStruct, 0);
}

/* ---- Recording ---- */

static struct {
  PyObject *grad_mode, *enabled_name, *order;
} modes; /* whether operations of a thread are taped, and numbers of nodes */

static int is_tracked(void) { return get(modes.grad_mode, modes.enabled_name) == &_Py_TrueStruct; }

int now(PyObject *x, Now *state) {
  PyObject *storage = SLOT(x, tensors.storage), *view = SLOT(x, tensors.view);
  *state = (Now){SLOT(storage, storages.array), SLOT(x, tensors.edge), SLOT(x, tensors.result)};
  if (view == &_Py_NoneStruct) return 1;
  *state = (Now){SLOT(view, views.array), SLOT(view, views.node), SLOT(view, views.index)};
  if (SLOT(storage, storages.exported) != &_Py_NoneStruct) DECLINE(shared, 0);
  if (PyLong_AsLongLong(SLOT(view, views.version)) != PyLong_AsLongLong(SLOT(storage, storages.version)) ||
      SLOT(view, views.seen) != SLOT(SLOT(view, views.base), tensors.edge))
    DECLINE(stale, 0);
  return 1;
}

/* Arrays and numbers of the operands, and the edges of those that require grad, whose bits `varying` gets; 0 where one
 * has to be refreshed */
static PyObject *values_of(PyObject *operands, int tracked, PyObject *edges, long *varying) {
  const long n = PySequence_Size(operands);
  if (n > MOST_OPERANDS) DECLINE(many, 0);
  PyObject *values = PyList_New(n);
  for (long i = 0; i < n; i++) {
    PyObject *x = PySequence_GetItem(operands, i), *value = x;
    if (PyType_IsSubtype(x->type, (PyTypeObject *)tensor_type)) {
      Now state;
      if (!now(x, &state)) {
        Py_DecRef(x);
        Py_DecRef(values);
        return 0;
      }
      value = keep(state.array);
      if (tracked && state.node != &_Py_NoneStruct) {
        PyObject *edge = PyTuple_Pack(2, state.node, state.index);
        PyList_Append(edges, edge);
        Py_DecRef(edge);
        *varying |= 1L << i;
      }
      Py_DecRef(x);
    }
    PyList_SetItem(values, i, value);
  }
  return values;
}

/* A hit of `function(*values, *static)`, as of `recorded` */
static PyObject *called(PyObject *recorder, PyObject *function, PyObject *statics, PyObject *values, long varying) {
  PyObject *bits = PyLong_FromLong(varying), *head = PyTuple_Pack(3, function, statics, bits);
  Py_DecRef(bits);
  return recorded(recorder, head, values, 0);
}

/* Whether result `i` of a hit that is taped has a derivative */
static int varies(PyObject *hit, long i) {
  return PyTuple_GetItem(get(PyTuple_GetItem(hit, 1), varies_name), i) == &_Py_TrueStruct;
}

/* The tensor of a hit, or a tuple of them */
static PyObject *tensors_of(PyObject *hit, PyObject *edges, PyObject *values, long varying) {
  PyObject *outs = PyTuple_GetItem(hit, 0), *info = PyTuple_GetItem(hit, 1);
  PyObject *node = varying ? new_node(hit, edges, values, modes.order) : keep(&_Py_NoneStruct), *made;
  if (get(info, single_name) == &_Py_TrueStruct) {
    made = wrapped(PyList_GetItem(outs, 0), varying && varies(hit, 0) ? node : &_Py_NoneStruct, 0);
  } else { /* what is taped has residuals behind its results */
    const long n = varying ? PyTuple_Size(get(info, varies_name)) : PyList_Size(outs);
    made = PyTuple_New(n);
    for (long i = 0; i < n; i++)
      PyTuple_SetItem(made, i, wrapped(PyList_GetItem(outs, i), varying && varies(hit, i) ? node : &_Py_NoneStruct, i));
  }
  Py_DecRef(node);
  return made;
}

PyObject *applied(PyObject *recorder, PyObject *function, PyObject *operands, PyObject *statics) {
  PyObject *edges = PyList_New(0), *result = 0;
  long varying = 0;
  PyObject *values = values_of(operands, is_tracked(), edges, &varying),
           *hit = values ? called(recorder, function, statics, values, varying) : nothing();
  if (hit == &_Py_NoneStruct) result = keep(hit);
  else if (hit) result = tensors_of(hit, edges, values, varying);
  if (values) Py_DecRef(values);
  if (hit) Py_DecRef(hit);
  Py_DecRef(edges);
  return result;
}

PyObject *ready_recorder(void) {
  PyObject *recorder = plain_recorder();
  if (recorder && SLOT(recorder, recorders.wanted) == &_Py_TrueStruct && is_tracked() && !flushed(recorder)) return 0;
  return recorder;
}

/* apply(function, operands, static) -> tensor, or tuple of tensors, or None */
static PyObject *apply(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 3) return fail("apply: expected 3 arguments");
  PyObject *recorder = ready_recorder();
  return recorder ? applied(recorder, args[0], args[1], args[2]) : nothing();
}

PyObject *viewed(PyObject *recorder, PyObject *x, PyObject *step) {
  PyObject *numbers = PyTuple_GetItem(step, 4), *result = 0;
  Now state;
  if (!now(x, &state)) return nothing();
  const long varying = state.node != &_Py_NoneStruct, n = PyTuple_Size(numbers);
  if (varying && !is_tracked()) DECLINE(untracked, nothing());
  if (varying && SLOT(x, tensors.view) != &_Py_NoneStruct && SLOT(x, tensors.edge) != &_Py_NoneStruct)
    DECLINE(leaf, nothing());
  PyObject *values = PyList_New(n + 1);
  PyList_SetItem(values, 0, keep(state.array));
  for (long i = 0; i < n; i++) PyList_SetItem(values, i + 1, keep(PyTuple_GetItem(numbers, i)));
  PyObject *hit = called(recorder, PyTuple_GetItem(step, 0), PyTuple_GetItem(step, 3), values, varying);
  if (hit == &_Py_NoneStruct) result = keep(hit);
  else if (hit) {
    PyObject *node = keep(&_Py_NoneStruct);
    if (varying && varies(hit, 0)) {
      PyObject *edges = PyList_New(1);
      PyList_SetItem(edges, 0, PyTuple_Pack(2, state.node, state.index));
      Py_DecRef(node);
      node = new_node(hit, edges, values, modes.order);
      Py_DecRef(edges);
    }
    result = seen_through(x, step, PyList_GetItem(PyTuple_GetItem(hit, 0), 0), node);
    Py_DecRef(node);
  }
  Py_DecRef(values);
  if (hit) Py_DecRef(hit);
  return result;
}

/* see(tensor, step) -> view of a tensor through a step (read, write, numpy, static, numbers), or None */
static PyObject *see(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 2) return fail("see: expected 2 arguments");
  PyObject *recorder = plain_recorder();
  if (!recorder) return nothing();
  if (!PyType_IsSubtype(args[0]->type, (PyTypeObject *)tensor_type)) DECLINE(composite, nothing());
  return viewed(recorder, args[0], args[1]);
}

/* ---- Changing cells ---- */

/* Whether a cell may be given a pending array without Python: nobody shares its memory */
static int plain_cell(PyObject *cell) {
  if (SLOT(cell, storages.exported) != &_Py_NoneStruct) DECLINE(shared, 0);
  if ((PyObject *)SLOT(cell, storages.array)->type != arrays.type) DECLINE(traced, 0);
  return 1;
}

/* Put a pending array of this segment into a plain cell, whose old one the journal remembers; 0 with an error */
static int put_cell(PyObject *segment, PyObject *journal, PyObject *cell, PyObject *array) {
  if (!PyDict_GetItemWithError(journal, cell)) {
    PyObject *old = SLOT(cell, storages.array), *values = SLOT(segment, segments.values);
    const long long slot = PyLong_AsLongLong(SLOT(old, arrays.mark)) - PyLong_AsLongLong(SLOT(segment, segments.base));
    const int here = slot >= 0 && slot < PyList_Size(values) && PyList_GetItem(values, slot) == old;
    PyObject *entry = here ? PyLong_FromLongLong(slot) : keep(old);
    const int failed = PyDict_SetItem(journal, cell, entry);
    Py_DecRef(entry);
    if (failed) return 0;
  }
  put(&SLOT(cell, storages.array), keep(array));
  put(&SLOT(cell, storages.version), PyLong_FromLongLong(PyLong_AsLongLong(SLOT(cell, storages.version)) + 1));
  return 1;
}

/* Whether a cell has got its array; not where it is left to Python, or with an error */
static int put_next(PyObject *segment, PyObject *journal, PyObject *cell, PyObject *array) {
  if (!plain_cell(cell)) return 0;
  if (SLOT(array, arrays.data) != segment) DECLINE(computed, 0);
  return put_cell(segment, journal, cell, array);
}

/* put(segment, journal, cells, arrays) -> how many cells, from the first, got their array: it stops at one that is left
 * to Python */
static PyObject *put_all(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 4) return fail("put: expected 4 arguments");
  const long n = PyList_Size(args[2]);
  long i = 0;
  while (i < n && put_next(args[0], args[1], PyList_GetItem(args[2], i), PyList_GetItem(args[3], i))) i++;
  return PyErr_Occurred() ? 0 : PyLong_FromLong(i);
}

/* Let a tensor take the value and the edge of a hit: True, or the result where it has another type; 0 with an error */
static PyObject *taken(PyObject *recorder, PyObject *x, PyObject *hit, PyObject *node) {
  PyObject *storage = SLOT(x, tensors.storage), *array = PyList_GetItem(PyTuple_GetItem(hit, 0), 0);
  if (SLOT(array, arrays.aval) != SLOT(SLOT(storage, storages.array), arrays.aval)) return wrapped(array, node, 0);
  if (!put_cell(segment_of(recorder), journal_of(recorder), storage, array)) return 0;
  if (is_tracked()) put(&SLOT(x, tensors.edge), keep(node)), put(&SLOT(x, tensors.result), keep(zero));
  return keep(&_Py_TrueStruct);
}

PyObject *change(PyObject *recorder, PyObject *function, PyObject *operands, PyObject *statics) {
  PyObject *x = PyTuple_GetItem(operands, 0), *result = 0;
  const int tracked = is_tracked();
  if (SLOT(x, tensors.view) != &_Py_NoneStruct) DECLINE(view, nothing());
  if (tracked && (PyObject *)SLOT(x, tensors.edge)->type == leaf_type) DECLINE(leaf, nothing());
  if (!plain_cell(SLOT(x, tensors.storage))) return nothing();
  PyObject *edges = PyList_New(0);
  long varying = 0;
  PyObject *values = values_of(operands, tracked, edges, &varying),
           *hit = values ? called(recorder, function, statics, values, varying) : nothing();
  if (hit == &_Py_NoneStruct) result = keep(hit);
  else if (hit) {
    PyObject *node = varying && varies(hit, 0) ? new_node(hit, edges, values, modes.order) : keep(&_Py_NoneStruct);
    result = taken(recorder, x, hit, node);
    Py_DecRef(node);
  }
  if (values) Py_DecRef(values);
  if (hit) Py_DecRef(hit);
  Py_DecRef(edges);
  return result;
}

/* ---- Tensors of others' memory ---- */

/* A tensor with a copy of some memory, in memory of the pool; 0 with an error */
static PyObject *copy_of(const Py_buffer *view, PyObject *aval) {
  Buffer *data = new_buffer(view->len);
  PyObject *array = data ? marked_array(aval, &data->base, keep(arrays.unmarked)) : 0,
           *result = array ? wrapped(array, &_Py_NoneStruct, 0) : 0;
  if (array) memcpy(data->memory, view->buf, (size_t)view->len), Py_DecRef(array);
  if (data) Py_DecRef(&data->base);
  return result;
}

/* copied(ndarray, avals by dtype and shape) -> a tensor with its values, or None */
static PyObject *copied(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 2) return fail("copied: expected 2 arguments");
  if ((PyObject *)args[0]->type != ndarray_type) DECLINE(operand, nothing());
  PyObject *dtype = PyObject_GetAttr(args[0], dtype_name), *shape = PyObject_GetAttr(args[0], shape_name),
           *key = PyTuple_Pack(2, dtype, shape), *aval = PyDict_GetItemWithError(args[1], key), *result;
  Py_DecRef(dtype), Py_DecRef(shape), Py_DecRef(key);
  if (!aval) DECLINE(unknown, nothing());
  Py_buffer view = {.obj = 0};
  if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE)) {
    PyErr_Clear();
    DECLINE(unreadable, nothing());
  }
  result = copy_of(&view, aval);
  PyBuffer_Release(&view);
  return result;
}

/* tensors(probes of tensor, storage and view with their sizes, grad mode, order) -> whether the functions of this file
 * can be used */
static PyObject *learn_tensors(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 8) return fail("tensors: expected 8 arguments");
  modes.grad_mode = keep(args[6]), modes.order = keep(args[7]);
  modes.enabled_name = PyUnicode_InternFromString("enabled");
  tensor_type = keep((PyObject *)args[0]->type), storage_type = keep((PyObject *)args[2]->type);
  view_type = keep((PyObject *)args[4]->type), zero = PyLong_FromLong(0);
  single_name = PyUnicode_InternFromString("single"), varies_name = PyUnicode_InternFromString("varies");
  dtype_name = PyUnicode_InternFromString("dtype"), shape_name = PyUnicode_InternFromString("shape");
  static const Slot tensor[] = {{"_storage", &tensors.storage}, {"_view", &tensors.view}, {"_edge", &tensors.edge},
      {"_result", &tensors.result}, {0}};
  static const Slot storage[] = {
      {"array", &storages.array}, {"version", &storages.version}, {"exported", &storages.exported}, {0}};
  static const Slot view[] = {{"base", &views.base}, {"steps", &views.steps}, {"version", &views.version},
      {"seen", &views.seen}, {"array", &views.array}, {"node", &views.node}, {"index", &views.index}, {0}};
  return PyLong_FromLong(node_type && find_slots(args[0], args[1], tensor) && find_slots(args[2], args[3], storage) &&
                         find_slots(args[4], args[5], view));
}

PyMethodDef tensor_functions[] = {{"apply", (void *)apply, METH_FASTCALL, 0}, {"see", (void *)see, METH_FASTCALL, 0},
    {"put", (void *)put_all, METH_FASTCALL, 0}, {"copied", (void *)copied, METH_FASTCALL, 0},
    {"tensors", (void *)learn_tensors, METH_FASTCALL, 0}, {0}};
