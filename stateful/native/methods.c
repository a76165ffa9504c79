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

PyMethodDef methods_functions[] = {{"method", (void *)make_method, METH_FASTCALL, 0},
    {"looks", (void *)make_look, METH_FASTCALL, 0}, {"ways", (void *)learn_ways, METH_O, 0}, {0}};
