/* The plain steps of reverse mode: the twin is `walk` in transforms/tape/walk.py, which says what they mean.
 *
 * Invariant: between two steps the containers of `walk` hold all that it needs to go on by itself.
 */
#include "walk.h"

PyObject *node_type, *leaf_type;
struct taped taped;
static struct {
  long edges, hooks, operands, order, taped, values;
} tape_nodes;
static PyObject *given, *order_name, *taped_name, *count_name;

PyObject *new_node(PyObject *hit, PyObject *edges, PyObject *operands, PyObject *order) {
  PyObject *node = PyType_GenericAlloc((PyTypeObject *)node_type, 0);
  if (!node) return 0;
  SLOT(node, tape_nodes.taped) = keep(PyTuple_GetItem(hit, 1)), SLOT(node, tape_nodes.edges) = keep(edges);
  SLOT(node, tape_nodes.operands) = keep(operands), SLOT(node, tape_nodes.values) = keep(PyTuple_GetItem(hit, 0));
  SLOT(node, tape_nodes.hooks) = keep(&_Py_NoneStruct), SLOT(node, tape_nodes.order) = PyIter_Next(order);
  return node;
}

/* Residuals and the cotangent of a node with one result, which varies, or nothing would lead to it; 0 where Python has
 * to pull it */
static PyObject *pulled_operands(PyObject *node, PyObject *cotangents) {
  if ((PyObject *)node->type != node_type) DECLINE(graph, 0);
  if (SLOT(node, tape_nodes.hooks) != &_Py_NoneStruct) DECLINE(hooked, 0);
  PyObject *function = SLOT(node, tape_nodes.taped), *operands = SLOT(node, tape_nodes.operands),
           *values = SLOT(node, tape_nodes.values), *sources = SLOT(function, taped.sources);
  if (PyLong_AsLong(SLOT(function, taped.count)) != 1) DECLINE(several, 0);
  if (operands == &_Py_NoneStruct) DECLINE(released, 0);
  const long n = PyTuple_Size(sources), split = PyList_Size(operands);
  PyObject *list = PyList_New(n + 1);
  for (long i = 0; i < n; i++) {
    const long place = PyLong_AsLong(PyTuple_GetItem(sources, i));
    PyList_SetItem(
        list, i, keep(place < split ? PyList_GetItem(operands, place) : PyList_GetItem(values, place - split)));
  }
  PyList_SetItem(list, n, keep(PyList_GetItem(cotangents, 0)));
  return list;
}

/* What of a walk a step changes */
typedef struct {
  PyObject *heap, *waiting, *leaves, *done, *add;
} Walk;

/* Let a node wait whose first cotangent comes; 0 with an error */
static int await(Walk *walk, PyObject *producer, long index, PyObject *ct) {
  PyObject *order = PyObject_GetAttr(producer, order_name), *function = PyObject_GetAttr(producer, taped_name),
           *count = function ? PyObject_GetAttr(function, count_name) : 0;
  int ok = 0;
  if (order && count) {
    const long n = PyLong_AsLong(count), when = PyLong_AsLong(order);
    PyObject *slots = PyList_New(n), *entry = PyTuple_Pack(2, order, producer);
    for (long i = 0; i < n; i++) PyList_SetItem(slots, i, keep(i == index ? ct : &_Py_NoneStruct));
    long place = PyList_Size(walk->heap);
    while (place && PyLong_AsLong(PyTuple_GetItem(PyList_GetItem(walk->heap, place - 1), 0)) > when) place--;
    ok = !PyDict_SetItem(walk->waiting, producer, slots) && !PyList_Insert(walk->heap, place, entry);
    Py_DecRef(slots), Py_DecRef(entry);
  }
  if (order) Py_DecRef(order);
  if (function) Py_DecRef(function);
  if (count) Py_DecRef(count);
  return ok;
}

/* Hand a cotangent to the producer of an operand; 0 with an error */
static int give(Walk *walk, PyObject *edge, PyObject *ct) {
  PyObject *producer = PyTuple_GetItem(edge, 0);
  const int leaf = (PyObject *)producer->type == leaf_type;
  const long index = leaf ? 0 : PyLong_AsLong(PyTuple_GetItem(edge, 1));
  PyObject *found = PyDict_GetItemWithError(leaf ? walk->leaves : walk->waiting, producer);
  if (!leaf && !found) return await(walk, producer, index, ct);
  PyObject *old = leaf ? found : PyList_GetItem(found, index);
  PyObject *sum = old && old != &_Py_NoneStruct ? PyObject_CallFunctionObjArgs(walk->add, old, ct, NULL) : keep(ct);
  if (!sum) return 0;
  if (!leaf) return !PyList_SetItem(found, index, sum);
  const int failed = PyDict_SetItem(walk->leaves, producer, sum);
  Py_DecRef(sum);
  return !failed;
}

/* Hand on what a pulled node gives; 0 with an error */
static int hand_on(Walk *walk, PyObject *node, PyObject *hit) {
  PyObject *outs = PyTuple_GetItem(hit, 0), *nonzero = PyTuple_GetItem(hit, 1), *edges = SLOT(node, tape_nodes.edges);
  for (long i = 0, out = 0; i < PyTuple_Size(nonzero); i++)
    if (PyTuple_GetItem(nonzero, i) == &_Py_TrueStruct &&
        !give(walk, PyList_GetItem(edges, i), PyList_GetItem(outs, out++)))
      return 0;
  return !PyList_Append(walk->done, node);
}

/* steps(recorder, heap, waiting, leaves, done, add) -> None: pulls nodes from the end of the heap until one is left to
 * Python */
static PyObject *steps(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 6) return fail("steps: expected 6 arguments");
  Walk walk = {args[1], args[2], args[3], args[4], args[5]};
  for (long top; (top = PyList_Size(walk.heap) - 1) >= 0;) {
    PyObject *node = PyTuple_GetItem(PyList_GetItem(walk.heap, top), 1),
             *cotangents = PyDict_GetItemWithError(walk.waiting, node);
    PyObject *operands = cotangents ? pulled_operands(node, cotangents) : 0;
    if (!operands) return nothing();
    PyObject *hit = recorded(args[0], PyTuple_Pack(2, SLOT(node, tape_nodes.taped), given), operands, 0);
    Py_DecRef(operands);
    if (!hit || hit == &_Py_NoneStruct) return hit;
    keep(node);
    PyList_SetSlice(walk.heap, top, top + 1, 0);
    PyDict_DelItem(walk.waiting, node);
    const int ok = hand_on(&walk, node, hit);
    Py_DecRef(hit), Py_DecRef(node);
    if (!ok) return 0;
  }
  return nothing();
}

/* taping(probes of node and taped function with their sizes, leaf type) -> whether `steps` can be used */
static PyObject *taping(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 5) return fail("taping: expected 5 arguments");
  leaf_type = keep(args[4]), given = PyTuple_Pack(1, &_Py_TrueStruct);
  order_name = PyUnicode_InternFromString("order"), taped_name = PyUnicode_InternFromString("taped");
  count_name = PyUnicode_InternFromString("count");
  static const Slot node[] = {{"edges", &tape_nodes.edges}, {"hooks", &tape_nodes.hooks},
      {"operands", &tape_nodes.operands}, {"order", &tape_nodes.order}, {"taped", &tape_nodes.taped},
      {"values", &tape_nodes.values}, {0}};
  static const Slot function[] = {{"sources", &taped.sources}, {"count", &taped.count}, {"varies", &taped.varies}, {0}};
  if (!find_slots(args[0], args[1], node) || !find_slots(args[2], args[3], function)) return PyLong_FromLong(0);
  node_type = keep((PyObject *)args[0]->type);
  return PyLong_FromLong(1);
}

PyMethodDef walk_functions[] = {
    {"steps", (void *)steps, METH_FASTCALL, 0}, {"taping", (void *)taping, METH_FASTCALL, 0}, {0}};
