/* Methods of tensors that are one recorded function, or look at a value: a hit takes no Python at all.  What is asked
 * otherwise, the twin, is the method that Python defines, see `method` and `add_conversion` in
 * stateful/core/methods.py.
 */
#include "tensor.h"

/* What a method does with the result of its function, by `Answer` of stateful/core/methods.py: it gives it; gives that
 * of the operands in the other order; puts it in the place of the tensor, and gives that; or gives the tensor where
 * that has the dtype already, which is the static parameter */
enum { GIVES, REFLECTS, CHANGES, CONVERTS };

static PyObject *finish; /* lets a tensor take a result of another type */

static int is_number(PyObject *x) {
  return x->type == &PyFloat_Type || x->type == &PyLong_Type || x->type == &PyBool_Type;
}

/* Whether operands are plain: a tensor, and numbers or tensors; of other memory, where the tensor is changed */
static int plain_operands(const Method *m, PyObject *x, PyObject *const *args, long count) {
  if ((PyObject *)x->type != tensor_type) DECLINE(subclass, 0);
  if (!count || is_number(args[0])) return 1;
  if ((PyObject *)args[0]->type != tensor_type) DECLINE(operand, 0);
  if (m->kind == CHANGES && args[0] != x && SLOT(args[0], tensors.storage) == SLOT(x, tensors.storage))
    DECLINE(overlap, 0);
  return 1;
}

/* Static operands of a call, borrowed: of all, or of those with as many dimensions; 0 where there are too many */
static PyObject *statics_of(const Method *m, PyObject *x) {
  if (m->given->type != &PyList_Type) return m->given;
  Now state;
  if (!now(x, &state)) return 0;
  if ((PyObject *)state.array->type != arrays.type) DECLINE(traced, 0);
  const long dimensions = PyTuple_Size(SLOT(SLOT(state.array, arrays.aval), avals.shape));
  if (dimensions >= PyList_Size(m->given)) DECLINE(many, 0);
  return PyList_GetItem(m->given, dimensions);
}

/* The result of a hit, None, or 0 and an error; see `change` and `apply` */
static PyObject *tried(const Method *m, PyObject *x, PyObject *const *args, long count) {
  PyObject *recorder = ready_recorder(), *statics = statics_of(m, x);
  if (!recorder || !statics) return nothing();
  PyObject *operands = !count                ? PyTuple_Pack(1, x)
                       : m->kind == REFLECTS ? PyTuple_Pack(2, args[0], x)
                                             : PyTuple_Pack(2, x, args[0]);
  PyObject *result = m->kind == CHANGES ? change(recorder, m->function, operands, statics)
                                        : applied(recorder, m->function, operands, statics);
  Py_DecRef(operands);
  return result;
}

/* Whether a tensor has the dtype that a conversion asks for */
static int has_dtype(PyObject *x, PyObject *dtype) {
  Now state;
  return now(x, &state) && (PyObject *)state.array->type == arrays.type &&
         SLOT(SLOT(state.array, arrays.aval), avals.dtype) == dtype;
}

/* What a method answers by itself: a tensor, None, or 0 with an error */
static PyObject *answer(const Method *m, PyObject *x, PyObject *const *args, long count) {
  if (!plain_operands(m, x, args, count)) return nothing();
  if (m->kind == CONVERTS && has_dtype(x, PyTuple_GetItem(m->given, 0))) return keep(x);
  PyObject *result = tried(m, x, args, count);
  if (!result || result == &_Py_NoneStruct || m->kind != CHANGES) return result;
  PyObject *changed = result == &_Py_TrueStruct ? keep(x) : PyObject_CallFunctionObjArgs(finish, x, result, NULL);
  Py_DecRef(result);
  return changed;
}

/* ways(what lets a tensor take a result of another type) -> None */
static PyObject *learn_ways(PyObject *self, PyObject *taking) {
  (void)self;
  finish = keep(taking);
  return nothing();
}

/* method(name, what it does with the result, function, static, number of other operands, twin) -> a method of tensors
 */
static PyObject *make_method(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 6) return fail("method: expected 6 arguments");
  return new_method(tensor_type, args[0],
      (Method){answer, .kind = (int)PyLong_AsLong(args[1]), .function = args[2], .given = args[3],
          .others = PyLong_AsLong(args[4]), .twin = args[5]});
}

/* ---- Looks at values ---- */

static PyObject *see_value(const Method *m, PyObject *x, PyObject *const *args, long count) {
  (void)args, (void)count;
  Now state;
  return now(x, &state) ? looked_at(state.array, m->kind) : nothing();
}

/* looks(name, use, twin) -> a method of tensors that looks at the value */
static PyObject *make_look(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 3) return fail("looks: expected 3 arguments");
  return new_method(tensor_type, args[0], (Method){see_value, .kind = (int)PyLong_AsLong(args[1]), .twin = args[2]});
}

/* ---- Parts at numbers ---- */

static struct {
  PyTypeObject *step;
  PyObject *before, *statics; /* fields of a step before the static operands; these by dimensions and numbers */
} picking;

/* The step to the part at numbers, as `_picked` in stateful/functions/indexing.py makes it; 0 where that has not */
static PyObject *step_at(PyObject *places, PyObject *aval) {
  PyObject *count = PyLong_FromLong(PyTuple_Size(places)),
           *dimensions = PyLong_FromLong(PyTuple_Size(SLOT(aval, avals.shape))),
           *key = PyTuple_Pack(2, count, dimensions), *statics = PyDict_GetItemWithError(picking.statics, key);
  Py_DecRef(count), Py_DecRef(dimensions), Py_DecRef(key);
  if (!statics) DECLINE(unknown, 0);
  PyObject *step = PyType_GenericAlloc(picking.step, 6);
  for (long i = 0; i < 3; i++) PyTuple_SetItem(step, i, keep(PyTuple_GetItem(picking.before, i)));
  PyTuple_SetItem(step, 3, keep(statics)), PyTuple_SetItem(step, 4, keep(places));
  PyTuple_SetItem(step, 5, keep(&_Py_NoneStruct));
  return step;
}

static PyObject *pick_tensor(const Method *m, PyObject *x, PyObject *const *args, long count) {
  (void)m, (void)count;
  Now state;
  PyObject *recorder = plain_recorder(), *result = 0;
  if (!recorder || !now(x, &state)) return nothing();
  if ((PyObject *)x->type != tensor_type) DECLINE(subclass, nothing());
  if ((PyObject *)state.array->type != arrays.type) DECLINE(traced, nothing());
  PyObject *aval = SLOT(state.array, arrays.aval), *places = places_in(args[0], aval),
           *step = places ? step_at(places, aval) : 0;
  if (step && (state.node != &_Py_NoneStruct || (PyObject *)SLOT(state.array, arrays.data)->type == segment_type))
    result = viewed(recorder, x, step);
  else if (step) {
    PyObject *part = part_at(state.array, places);
    result = part && part != &_Py_NoneStruct ? seen_through(x, step, part, &_Py_NoneStruct) : keep(part);
    if (part) Py_DecRef(part);
  }
  if (step) Py_DecRef(step);
  if (places) Py_DecRef(places);
  return result ? result : nothing();
}

/* picks(name, class of steps, fields before the static operands, these by numbers and dimensions, twin) -> a method
 * that gives views of parts at numbers */
static PyObject *make_picks(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 5) return fail("picks: expected 5 arguments");
  picking.step = (PyTypeObject *)keep(args[1]), picking.before = keep(args[2]), picking.statics = keep(args[3]);
  return new_method(tensor_type, args[0], (Method){pick_tensor, .twin = args[4], .others = 1});
}

PyMethodDef methods_functions[] = {{"method", (void *)make_method, METH_FASTCALL, 0},
    {"picks", (void *)make_picks, METH_FASTCALL, 0}, {"looks", (void *)make_look, METH_FASTCALL, 0},
    {"ways", (void *)learn_ways, METH_O, 0}, {0}};
