/* The hit path of the recorder: its twin is `Recorder.bind` in transforms/lazy/recorder.py, which says what it means.
 *
 * Invariants: nothing runs user code, and so nothing is met while the recorder is busy; what was begun is taken back
 * before a call is left to Python.  Only plain arrays, whose memory is of the library or NumPy's alone, and numbers are
 * operands here.
 */
#include "recorder.h"

struct segments segments;
struct avals avals;
struct recorders recorders;
PyObject *ndarray_type, *literal_type, *segment_type;
static struct {
  long children, endings, over, first, out_avals, info;
} trie_nodes;
static struct {
  long leaves, results, candidates, checked, known;
} endings;
static struct {
  long program, outputs, donated;
} choices;
static struct {
  long compiled, pieces, sightings, due;
} programs;
static struct {
  long number, aval;
} literals;
static PyObject *float_token, *int_token, *bool_token, *into_name, *calls_name, *epochs, *counting, *empty;
static PyObject *config, *tier_name, *eager_name, *acquire_name, *release_name, *tiers;

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

/* The token of a number's type, borrowed; 0 where Python has to look at it */
static PyObject *token_of(PyObject *x) {
  if (x->type == &PyFloat_Type) return float_token;
  if (x->type == &PyBool_Type) return bool_token;
  if ((PyObject *)x->type == literal_type) return SLOT(SLOT(x, literals.aval), avals.token);
  if (x->type != &PyLong_Type) DECLINE(operand, 0);
  if (PyLong_AsLongLong(x) == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    DECLINE(wide, 0);
  }
  return int_token;
}

/* The key's item for an operand (a new reference), a number of the type of the token `typed` or of its own; what is new
 * joins `values`.  0 where Python has to look at it */
static PyObject *item_of(PyObject *x, PyObject *typed, long long base, PyObject *values) {
  if ((PyObject *)x->type == arrays.type) return item_of_array(x, base, values);
  PyObject *token = token_of(x), *number = (PyObject *)x->type == literal_type ? SLOT(x, literals.number) : x;
  return !token || PyList_Append(values, number) ? 0 : keep(typed ? typed : token);
}

/* The key of an operation whose operands are new or have a slot; what is new joins `values`.  0 as of `item_of` */
static PyObject *key_of(PyObject *head, PyObject *operands, PyObject *typed, long long base, PyObject *values) {
  const long n = PySequence_Size(operands);
  PyObject *key = PyTuple_New(n + 1);
  PyTuple_SetItem(key, 0, keep(head));
  for (long i = 0; i < n; i++) {
    PyObject *x = PySequence_GetItem(operands, i),
             *item = x ? item_of(x, typed ? PyTuple_GetItem(typed, i) : 0, base, values) : 0;
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
static PyObject *child_of(
    PyObject *node, PyObject *head, PyObject *operands, PyObject *typed, long long base, PyObject *values) {
  PyObject *key = key_of(head, operands, typed, base, values);
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

/* (results, info) of an operation, or None; see `recorded` */
static PyObject *bound(PyObject *segment, PyObject *head, PyObject *operands, PyObject *typed) {
  PyObject *node = SLOT(segment, segments.node), *values = SLOT(segment, segments.values);
  if (SLOT(node, trie_nodes.over) != &_Py_FalseStruct) DECLINE(over, nothing());
  const long long base = PyLong_AsLongLong(SLOT(segment, segments.base));
  const long before = PyList_Size(values);
  PyObject *child = child_of(node, head, operands, typed, base, values),
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

/* bind(segment, head, operands) -> (results, info), or None */
static PyObject *bind(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  return count == 3 ? bound(args[0], args[1], args[2], 0) : fail("bind: expected 3 arguments");
}

static void set_flag(PyObject *recorder, long slot, int value) {
  put(&SLOT(recorder, slot), keep(value ? &_Py_TrueStruct : &_Py_FalseStruct));
}

PyObject *recorded(PyObject *recorder, PyObject *head, PyObject *operands, PyObject *typed) {
  PyObject *hit = 0;
  if (SLOT(recorder, recorders.busy) != &_Py_FalseStruct) {
    BECAUSE(busy);
    hit = nothing();
  } else {
    set_flag(recorder, recorders.busy, 1);
    hit = bound(segment_of(recorder), head, operands, typed);
    set_flag(recorder, recorders.busy, 0);
  }
  Py_DecRef(head);
  return hit;
}

static PyObject *held_in(PyObject *values, PyObject *slots, long limit) {
  const long n = PyList_Size(slots);
  PyObject *result = PyTuple_New(n);
  for (long i = 0; i < n; i++) {
    PyObject *x = PyList_GetItem(values, PyLong_AsLong(PyList_GetItem(slots, i)));
    PyTuple_SetItem(result, i, keep(x && x->refcount > limit ? &_Py_TrueStruct : &_Py_FalseStruct));
  }
  return result;
}

/* held(values, slots, limit) -> tuple of bools: which of these values somebody holds besides `limit` references */
static PyObject *held(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 3) return fail("held: expected 3 arguments");
  return held_in(args[0], args[1], PyLong_AsLong(args[2]));
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

/* ---- Flushing ---- */

/* What is chosen at an ending for what is alive, borrowed; 0 where nothing was */
static PyObject *choice_at(PyObject *ending, PyObject *values) {
  PyObject *live = held_in(values, SLOT(ending, endings.results), 1);
  PyObject *kept = held_in(values, SLOT(ending, endings.candidates), 1), *key = PyTuple_Pack(2, live, kept);
  PyObject *choice = PyDict_GetItemWithError(SLOT(ending, endings.known), key);
  Py_DecRef(live), Py_DecRef(kept), Py_DecRef(key);
  return choice;
}

/* The tier of now; OTHER where nothing may run compiled */
static enum tier { AUTO, COMPILED, NATIVE, OTHER } tier_now(void) {
  PyObject *tier = get(config, tier_name);
  for (long i = 0; i < OTHER; i++)
    if (PyTuple_GetItem(tiers, i) == tier) return i;
  return OTHER;
}

/* What runs a program for the next time, as `Program._executable` says, borrowed; 0 where it has not been made.
 * `whole` becomes whether it was compiled as a whole */
static PyObject *executable_of(PyObject *program, PyObject *donated, int *whole) {
  const enum tier tier = tier_now();
  const long sighting = PyLong_AsLong(SLOT(program, programs.sightings)) + 1;
  *whole = !(tier == NATIVE || (tier == AUTO && sighting < PyLong_AsLong(SLOT(program, programs.due))));
  return *whole ? PyDict_GetItemWithError(SLOT(program, programs.compiled), donated)
                : SLOT(program, programs.pieces);
}

/* Run what is chosen, if it is compiled, and count it as `Program.run` does; whether it ran */
static int run_choice(PyObject *choice, PyObject *segment, PyObject *ending) {
  PyObject *program = SLOT(choice, choices.program), *outputs = SLOT(choice, choices.outputs);
  int whole;
  PyObject *found = executable_of(program, SLOT(choice, choices.donated), &whole);
  PyObject *into = found ? get(found, into_name) : 0;
  if (!into) {
    PyErr_Clear();
    DECLINE(unknown, 0);
  }
  put(&SLOT(segment, segments.outputs), keep(outputs));
  PyObject *leaves = SLOT(ending, endings.leaves), *values = SLOT(segment, segments.values);
  PyObject *done = PyObject_CallFunctionObjArgs(into, values, leaves, outputs, (PyObject *)0);
  if (done) Py_DecRef(done);
  if (done != &_Py_NoneStruct) {
    PyErr_Clear();
    DECLINE(unreadable, 0);
  }
  PyObject **sightings = &SLOT(program, programs.sightings), *calls = get(counting, calls_name);
  put(sightings, PyLong_FromLong(PyLong_AsLong(*sightings) + 1));
  if (!whole) return 1;
  calls = PyLong_FromLong(PyLong_AsLong(calls) + 1);
  PyObject_SetAttr(counting, calls_name, calls);
  Py_DecRef(calls);
  return 1;
}

/* A new part of the recording, as `Segment.__init__` makes it, after one of the same thread */
static PyObject *next_segment(PyObject *recorder, PyObject *before) {
  PyObject *segment = PyType_GenericAlloc(before->type, 0), *epoch = PyIter_Next(epochs);
  SLOT(segment, segments.base) = PyLong_FromLongLong(PyLong_AsLongLong(epoch) << 32);
  Py_DecRef(epoch);
  SLOT(segment, segments.recorder) = keep(recorder);
  SLOT(segment, segments.node) = keep(SLOT(recorder, recorders.root));
  SLOT(segment, segments.owner) = keep(SLOT(before, segments.owner));
  SLOT(segment, segments.values) = PyList_New(0), SLOT(segment, segments.outputs) = PyList_New(0);
  SLOT(segment, segments.lines) = PyList_New(0), SLOT(segment, segments.journals) = PyList_New(0);
  SLOT(segment, segments.settled) = keep(empty), SLOT(segment, segments.error) = keep(&_Py_NoneStruct);
  SLOT(segment, segments.ran) = keep(&_Py_FalseStruct);
  return segment;
}

/* Whether a part of the recording that has run is nobody's but the recorder's, so that the next one can take its place
 */
static int is_free(PyObject *segment) {
  return segment->refcount == 1 && PySet_Size(SLOT(segment, segments.settled)) == 0 &&
         !PyList_Size(SLOT(segment, segments.lines)) && !PyList_Size(SLOT(segment, segments.journals));
}

/* Begin a new part of the recording, after one that has run.  What is dead goes first, and with it what it refers to */
static void begin_next(PyObject *recorder, PyObject *segment) {
  put(&SLOT(segment, segments.values), PyList_New(0));
  if (is_free(segment)) {
    PyObject *epoch = PyIter_Next(epochs);
    put(&SLOT(segment, segments.base), PyLong_FromLongLong(PyLong_AsLongLong(epoch) << 32));
    put(&SLOT(segment, segments.node), keep(SLOT(recorder, recorders.root)));
    put(&SLOT(segment, segments.outputs), PyList_New(0));
    Py_DecRef(epoch);
  } else {
    put(&SLOT(segment, segments.ran), keep(&_Py_TrueStruct));
    put(&SLOT(recorder, recorders.segment), next_segment(recorder, segment));
  }
  PyObject *journal = journal_of(recorder);
  if (PyDict_Size(journal) || journal->refcount > 1) put(&SLOT(recorder, recorders.journal), PyDict_New());
}

/* Run what is pending, if its program is compiled and checks nothing, and begin a new part; 0 where this is left to
 * Python */
static int run_pending(PyObject *recorder) {
  PyObject *segment = segment_of(recorder), *values = SLOT(segment, segments.values), *journal = journal_of(recorder);
  PyObject *known = SLOT(SLOT(segment, segments.node), trie_nodes.endings);
  PyObject *ending = PyDict_GetItemWithError(known, SLOT(segment, segments.settled));
  if (!ending) DECLINE(unknown, 0);
  if (SLOT(ending, endings.checked) != &_Py_FalseStruct) DECLINE(checked, 0);
  if (PyDict_Size(journal)) Py_DecRef(prune(0, journal));
  PyObject *choice = choice_at(ending, values);
  if (!choice) DECLINE(unknown, 0);
  if (!run_choice(choice, segment, ending)) return 0;
  begin_next(recorder, segment);
  return 1;
}

/* flush(recorder) -> True, or None: see `run_pending` */
static PyObject *flush(PyObject *self, PyObject *recorder) {
  (void)self;
  return run_pending(recorder) ? keep(&_Py_TrueStruct) : nothing();
}

int is_special(PyObject *recorder) {
  return SLOT(recorder, recorders.special) != &_Py_FalseStruct || get(config, eager_name) != &_Py_FalseStruct;
}

int flushed(PyObject *recorder) {
  if (SLOT(recorder, recorders.busy) != &_Py_FalseStruct) DECLINE(busy, 0);
  if (is_special(recorder)) DECLINE(special, 0);
  if (tier_now() == OTHER) return 0; /* all is Python's then */
  PyObject *lock = keep(SLOT(recorder, recorders.lock)),
           *held = PyObject_CallMethodObjArgs(lock, acquire_name, (PyObject *)0);
  int ran = 0;
  if (held) {
    set_flag(recorder, recorders.busy, 1);
    ran = run_pending(recorder);
    if (ran) {
      set_flag(recorder, recorders.volatile_, 0), set_flag(recorder, recorders.wanted, 0);
      set_flag(recorder, recorders.plain, 1);
    }
    set_flag(recorder, recorders.busy, 0);
    Py_DecRef(held);
    held = PyObject_CallMethodObjArgs(lock, release_name, (PyObject *)0);
  }
  if (held) Py_DecRef(held);
  Py_DecRef(lock);
  return ran;
}

/* recording(ndarray type, tokens of float, int, bool, numbers of parts, module that counts calls, settings, tiers in
 * the order of `tier_now`, probes of segment, node, aval, literal, ending, choice, program, recorder with their sizes)
 * -> whether `bind` and `flush` can be used */
static PyObject *recording(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 24) return fail("recording: expected 24 arguments");
  ndarray_type = keep(args[0]), config = keep(args[6]), tiers = keep(args[7]);
  segment_type = keep((PyObject *)args[8]->type), literal_type = keep((PyObject *)args[14]->type);
  float_token = keep(args[1]), int_token = keep(args[2]), bool_token = keep(args[3]);
  epochs = keep(args[4]), counting = keep(args[5]);
  into_name = PyUnicode_InternFromString("into"), calls_name = PyUnicode_InternFromString("calls");
  tier_name = PyUnicode_InternFromString("tier"), eager_name = PyUnicode_InternFromString("eager"),
  acquire_name = PyUnicode_InternFromString("acquire");
  release_name = PyUnicode_InternFromString("release"), empty = PyFrozenSet_New(0);
  static const Slot segment[] = {{"node", &segments.node}, {"base", &segments.base}, {"values", &segments.values},
      {"recorder", &segments.recorder}, {"owner", &segments.owner}, {"settled", &segments.settled},
      {"lines", &segments.lines}, {"journals", &segments.journals}, {"error", &segments.error},
      {"outputs", &segments.outputs}, {"ran", &segments.ran}, {0}};
  static const Slot node[] = {{"children", &trie_nodes.children}, {"endings", &trie_nodes.endings},
      {"over", &trie_nodes.over}, {"first", &trie_nodes.first}, {"out_avals", &trie_nodes.out_avals},
      {"info", &trie_nodes.info}, {0}};
  static const Slot aval[] = {{"token", &avals.token}, {"dtype", &avals.dtype}, {"shape", &avals.shape}, {0}};
  static const Slot literal[] = {{"number", &literals.number}, {"aval", &literals.aval}, {0}};
  static const Slot ending[] = {{"leaves", &endings.leaves}, {"results", &endings.results},
      {"candidates", &endings.candidates}, {"checked", &endings.checked}, {"known", &endings.known}, {0}};
  static const Slot choice[] = {
      {"program", &choices.program}, {"outputs", &choices.outputs}, {"donated", &choices.donated}, {0}};
  static const Slot program[] = {{"compiled", &programs.compiled}, {"pieces", &programs.pieces},
      {"sightings", &programs.sightings}, {"due", &programs.due}, {0}};
  static const Slot recorder[] = {{"segment", &recorders.segment}, {"journal", &recorders.journal},
      {"root", &recorders.root}, {"busy", &recorders.busy}, {"plain", &recorders.plain},
      {"special", &recorders.special}, {"wanted", &recorders.wanted}, {"volatile", &recorders.volatile_},
      {"lock", &recorders.lock}, {0}};
  static const Slot *const slots[] = {segment, node, aval, literal, ending, choice, program, recorder};
  int all = arrays.type != 0;
  for (int i = 0; all && i < 8; i++) all = find_slots(args[8 + 2 * i], args[9 + 2 * i], slots[i]);
  return PyLong_FromLong(all);
}

PyMethodDef recorder_functions[] = {{"bind", (void *)bind, METH_FASTCALL, 0}, {"held", (void *)held, METH_FASTCALL, 0},
    {"prune", (void *)prune, METH_O, 0}, {"flush", (void *)flush, METH_O, 0},
    {"recording", (void *)recording, METH_FASTCALL, 0}, {0}};
