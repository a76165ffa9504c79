/* The hit path of the recorder: its twin is `Recorder.bind` in transforms/lazy/recorder.py, which says what it means.
 *
 * Invariants: nothing runs user code, and so nothing is met while the recorder is busy; what was begun is taken back
 * before a call is left to Python.  Only plain arrays, whose memory is of the library or NumPy's alone, and numbers are
 * operands here.
 */
#include "recorder.h"

struct segments segments;
struct avals avals;
PyObject *ndarray_type, *literal_type;
static struct {
  long children, over, first, out_avals, info;
} trie_nodes;
static struct {
  long number, aval;
} literals;
static PyObject *float_token, *int_token, *bool_token, *busy_name, *segment_name, *journal_name;

/* Take values back from `from` on */
static void forget(PyObject *values, long from) {
  const long end = PyList_Size(values);
  for (long i = from; i < end; i++) {
    PyObject *x = PyList_GetItem(values, i);
    if ((PyObject *)x->type == arrays.type) put(&SLOT(x, arrays.mark), keep(arrays.unmarked));
  }
  PyList_SetSlice(values, from, end, 0);
}

/* The key's item for an array, see `item_of` */
static PyObject *item_of_array(PyObject *x, long long base, PyObject *values) {
  const long long mark = PyLong_AsLongLong(SLOT(x, arrays.mark)), slot = mark - base, count = PyList_Size(values);
  if (slot >= 0 && slot < count && PyList_GetItem(values, slot) == x) return PyLong_FromLongLong(slot);
  PyObject *data = SLOT(x, arrays.data);
  if (slot >= 0) DECLINE(marked, 0);
  if (mark < 0) DECLINE(shared, 0);
  if (data->type != BufferType && (PyObject *)data->type != ndarray_type) DECLINE(pending, 0);
  if (PyList_Append(values, x)) return 0;
  put(&SLOT(x, arrays.mark), PyLong_FromLongLong(base + count));
  return keep(SLOT(SLOT(x, arrays.aval), avals.token));
}

/* The key's item for an operand (a new reference); what is new joins `values`.  0 where Python has to look at it */
static PyObject *item_of(PyObject *x, long long base, PyObject *values) {
  PyObject *number = x, *token = 0;
  if ((PyObject *)x->type == arrays.type) return item_of_array(x, base, values);
  if (x->type == &PyFloat_Type) token = float_token;
  else if (x->type == &PyBool_Type) token = bool_token;
  else if (x->type == &PyLong_Type) {
    if (PyLong_AsLongLong(x) == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      DECLINE(wide, 0);
    }
    token = int_token;
  } else if ((PyObject *)x->type == literal_type) {
    number = SLOT(x, literals.number);
    token = SLOT(SLOT(x, literals.aval), avals.token);
  } else DECLINE(operand, 0);
  return PyList_Append(values, number) ? 0 : keep(token);
}

/* The key of an operation whose operands are new or have a slot; what is new joins `values`.  0 as of `item_of` */
static PyObject *key_of(PyObject *head, PyObject *operands, long long base, PyObject *values) {
  const long n = PySequence_Size(operands);
  PyObject *key = PyTuple_New(n + 1);
  PyTuple_SetItem(key, 0, keep(head));
  for (long i = 0; i < n; i++) {
    PyObject *x = PySequence_GetItem(operands, i), *item = x ? item_of(x, base, values) : 0;
    if (x) Py_DecRef(x);
    if (!item) {
      Py_DecRef(key);
      return 0;
    }
    PyTuple_SetItem(key, i + 1, item);
  }
  return key;
}

/* The trie's node for an operation after `node`, borrowed; 0 as of `item_of` */
static PyObject *child_of(PyObject *node, PyObject *head, PyObject *operands, long long base, PyObject *values) {
  PyObject *key = key_of(head, operands, base, values);
  if (!key) return 0;
  PyObject *child = PyDict_GetItemWithError(SLOT(node, trie_nodes.children), key);
  Py_DecRef(key);
  if (!child) DECLINE(unknown, 0);
  return child;
}

/* The results of a hit, pending in the segment */
static PyObject *results_of(PyObject *child, PyObject *segment, long long base, PyObject *values) {
  PyObject *out_avals = SLOT(child, trie_nodes.out_avals);
  const long long mark = base + PyLong_AsLongLong(SLOT(child, trie_nodes.first));
  const long count = PyTuple_Size(out_avals);
  PyObject *outs = PyList_New(count);
  for (long i = 0; i < count; i++) {
    PyObject *array = marked_array(PyTuple_GetItem(out_avals, i), segment, PyLong_FromLongLong(mark + i));
    if (!array) {
      Py_DecRef(outs);
      return 0;
    }
    PyList_Append(values, array);
    PyList_SetItem(outs, i, array);
  }
  return outs;
}

/* bind(segment, head, operands) -> (results, info), or None */
static PyObject *bind(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 3) return fail("bind: expected 3 arguments");
  PyObject *segment = args[0], *node = SLOT(segment, segments.node), *values = SLOT(segment, segments.values);
  if (PyLong_AsLong(SLOT(node, trie_nodes.over))) DECLINE(over, nothing());
  const long long base = PyLong_AsLongLong(SLOT(segment, segments.base));
  const long before = PyList_Size(values);
  PyObject *child = child_of(node, args[1], args[2], base, values),
           *outs = child ? results_of(child, segment, base, values) : 0;
  if (!outs) {
    forget(values, before);
    return nothing();
  }
  put(&SLOT(segment, segments.node), keep(child));
  PyObject *result = PyTuple_Pack(2, outs, SLOT(child, trie_nodes.info));
  Py_DecRef(outs);
  return result;
}

PyObject *segment_of(PyObject *recorder) { return get(recorder, segment_name); }
PyObject *journal_of(PyObject *recorder) { return get(recorder, journal_name); }

PyObject *recorded(PyObject *recorder, PyObject *head, PyObject *operands) {
  if (get(recorder, busy_name) != &_Py_FalseStruct) {
    Py_DecRef(head);
    DECLINE(busy, nothing());
  }
  PyObject *const arguments[] = {segment_of(recorder), head, operands};
  PyObject_SetAttr(recorder, busy_name, &_Py_TrueStruct);
  PyObject *hit = bind(0, arguments, 3);
  PyObject_SetAttr(recorder, busy_name, &_Py_FalseStruct);
  Py_DecRef(head);
  return hit;
}

/* held(values, slots, limit) -> tuple of bools: which of these values somebody holds besides `limit` references */
static PyObject *held(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 3) return fail("held: expected 3 arguments");
  const long n = PyList_Size(args[1]), limit = PyLong_AsLong(args[2]);
  PyObject *result = PyTuple_New(n);
  for (long i = 0; i < n; i++) {
    PyObject *x = PyList_GetItem(args[0], PyLong_AsLong(PyList_GetItem(args[1], i)));
    PyTuple_SetItem(result, i, keep(x && x->refcount > limit ? &_Py_TrueStruct : &_Py_FalseStruct));
  }
  return result;
}

/* prune(dict) -> None: forgets keys that nobody else holds */
static PyObject *prune(PyObject *self, PyObject *dict) {
  (void)self;
  PyObject *key, *value, *dead = PyList_New(0);
  for (long position = 0; PyDict_Next(dict, &position, &key, &value);)
    if (key->refcount == 1) PyList_Append(dead, key);
  for (long i = 0; i < PyList_Size(dead); i++) PyDict_DelItem(dict, PyList_GetItem(dead, i));
  Py_DecRef(dead);
  return nothing();
}

/* recording(ndarray type, tokens of float, int, bool, probes of segment, node, aval, literal with their sizes) ->
 * whether `bind` can be used */
static PyObject *recording(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 12) return fail("recording: expected 12 arguments");
  ndarray_type = keep(args[0]), literal_type = keep((PyObject *)args[10]->type);
  float_token = keep(args[1]), int_token = keep(args[2]), bool_token = keep(args[3]);
  busy_name = PyUnicode_InternFromString("busy"), segment_name = PyUnicode_InternFromString("segment");
  journal_name = PyUnicode_InternFromString("journal");
  static const Slot segment[] = {{"node", &segments.node}, {"base", &segments.base}, {"values", &segments.values}, {0}};
  static const Slot node[] = {{"children", &trie_nodes.children}, {"over", &trie_nodes.over},
      {"first", &trie_nodes.first}, {"out_avals", &trie_nodes.out_avals}, {"info", &trie_nodes.info}, {0}};
  static const Slot aval[] = {{"token", &avals.token}, {0}};
  static const Slot literal[] = {{"number", &literals.number}, {"aval", &literals.aval}, {0}};
  const int all = arrays.type && find_slots(args[4], args[5], segment) && find_slots(args[6], args[7], node) &&
                  find_slots(args[8], args[9], aval) && find_slots(args[10], args[11], literal);
  return PyLong_FromLong(all);
}

PyMethodDef recorder_functions[] = {{"bind", (void *)bind, METH_FASTCALL, 0}, {"held", (void *)held, METH_FASTCALL, 0},
    {"prune", (void *)prune, METH_O, 0}, {"recording", (void *)recording, METH_FASTCALL, 0}, {0}};
