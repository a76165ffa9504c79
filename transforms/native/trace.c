/* Operations of functional reverse mode whose record is a hit: the twin is `TapeTrace.process` in
 * transforms/tape/trace.py, which says what they mean.
 */
#include "walk.h"

static PyObject *tracer_type;
static struct {
  long trace, source, aval, primal, node, index;
} tracers;

/* The primals of operands, and the edges of those that the trace has put on the tape, whose bits `varying` gets; 0
 * where Python has to look at one, or none is on the tape */
static PyObject *primals_of(PyObject *operands, PyObject *trace, PyObject *edges, long *varying) {
  const long n = PySequence_Size(operands);
  if (n > MOST_OPERANDS) DECLINE(many, 0);
  PyObject *values = PyList_New(n);
  int plain = 1;
  for (long i = 0; i < n; i++) {
    PyObject *x = PySequence_GetItem(operands, i), *value = x;
    if ((PyObject *)x->type == tracer_type && SLOT(x, tracers.trace) == trace) {
      PyObject *edge = PyTuple_Pack(2, SLOT(x, tracers.node), SLOT(x, tracers.index));
      PyList_Append(edges, edge);
      Py_DecRef(edge);
      *varying |= 1L << i;
      value = keep(SLOT(x, tracers.primal));
      Py_DecRef(x);
    } else plain &= (PyObject *)x->type == arrays.type || (PyObject *)x->type == literal_type;
    PyList_SetItem(values, i, value);
  }
  if (plain && *varying) return values;
  Py_DecRef(values);
  if (!plain) DECLINE(operand, 0);
  DECLINE(constant, 0);
}

/* A tracer of an array, whose reference it takes */
static PyObject *new_tracer(PyObject *trace, PyObject *primal, PyObject *node, long index) {
  PyObject *t = PyType_GenericAlloc((PyTypeObject *)tracer_type, 0);
  SLOT(t, tracers.trace) = keep(trace), SLOT(t, tracers.source) = keep(&_Py_NoneStruct);
  SLOT(t, tracers.aval) = keep(SLOT(primal, arrays.aval)), SLOT(t, tracers.primal) = primal;
  SLOT(t, tracers.node) = keep(node), SLOT(t, tracers.index) = PyLong_FromLong(index);
  return t;
}

/* follow(recorder, trace, function, operands, static, order) -> list of tracers and arrays, or None */
static PyObject *follow(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 6) return fail("follow: expected 6 arguments");
  long varying = 0;
  PyObject *edges = PyList_New(0), *values = primals_of(args[3], args[1], edges, &varying), *result = 0, *hit = 0;
  if (!values) {
    Py_DecRef(edges);
    return nothing();
  }
  PyObject *bits = PyLong_FromLong(varying);
  hit = recorded(args[0], PyTuple_Pack(3, args[2], args[4], bits), values, 0);
  Py_DecRef(bits);
  if (hit == &_Py_NoneStruct) result = keep(hit);
  else if (hit) {
    PyObject *outs = PyTuple_GetItem(hit, 0), *varies = SLOT(PyTuple_GetItem(hit, 1), taped.varies);
    PyObject *node = new_node(hit, edges, values, args[5]);
    const long n = PyTuple_Size(varies);
    result = PyList_New(n);
    for (long i = 0; i < n; i++) {
      PyObject *out = keep(PyList_GetItem(outs, i));
      PyList_SetItem(
          result, i, PyTuple_GetItem(varies, i) == &_Py_TrueStruct ? new_tracer(args[1], out, node, i) : out);
    }
    Py_DecRef(node);
  }
  Py_DecRef(values), Py_DecRef(edges);
  if (hit) Py_DecRef(hit);
  return result;
}

/* following(probe of tracer with its size) -> whether `follow` can be used */
static PyObject *following(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 2) return fail("following: expected 2 arguments");
  tracer_type = keep((PyObject *)args[0]->type);
  static const Slot tracer[] = {{"_trace", &tracers.trace}, {"source", &tracers.source}, {"aval", &tracers.aval},
      {"primal", &tracers.primal}, {"node", &tracers.node}, {"index", &tracers.index}, {0}};
  return PyLong_FromLong(node_type && find_slots(args[0], args[1], tracer));
}

PyMethodDef trace_functions[] = {
    {"follow", (void *)follow, METH_FASTCALL, 0}, {"following", (void *)following, METH_FASTCALL, 0}, {0}};
