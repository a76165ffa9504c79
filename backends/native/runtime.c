/* The runtime library: thread pool, buffer pool, and the entry from Python.
 *
 * Built once a machine.  It declares what it uses of Python's stable ABI itself, so that no Python.h is needed.
 * Invariants: workers only touch `region` between two values of its epoch; a buffer's memory belongs to one object; the
 * fast entry answers with a given object, and changes nothing, where a call is not of the signature that it was made
 * for.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <dlfcn.h>
#include "fdl_runtime.h"

/* ---- Denormals are flushed to zero for the time of a call ---- */

#if defined(__x86_64__) || defined(__i386__)
static unsigned flush_denormals(void) {
  unsigned old = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(old | 0x8040u);
  return old;
}
static void restore_denormals(unsigned old) { __builtin_ia32_ldmxcsr(old); }
static inline void pause_cpu(void) { __builtin_ia32_pause(); }
#elif defined(__aarch64__)
static unsigned flush_denormals(void) {
  unsigned long old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  __asm__ volatile("msr fpcr, %0" ::"r"(old | (1ul << 24)));
  return (unsigned)old;
}
static void restore_denormals(unsigned old) { __asm__ volatile("msr fpcr, %0" ::"r"((unsigned long)old)); }
static inline void pause_cpu(void) { __asm__ volatile("yield"); }
#else
static unsigned flush_denormals(void) { return 0; }
static void restore_denormals(unsigned old) { (void)old; }
static inline void pause_cpu(void) {}
#endif

/* ---- Threads ---- */

enum { MAX_THREADS = 256, SPINS = 4000 };

typedef struct {
  _Alignas(64) atomic_int arrived;
  _Alignas(64) atomic_int generation;
  int threads;
} team_t;

static struct {
  _Alignas(
      64) atomic_ulong epoch; /* count of regions * 2^16 + threads of the current one: a worker judges by one read */
  _Alignas(64) atomic_int running;
  fdl_program_fn program;
  void *const *io;
  char *arena;
  team_t team;
  int workers; /* threads that exist besides callers */
  pthread_mutex_t entry, sleep;
  pthread_cond_t wake;
} region = {.entry = PTHREAD_MUTEX_INITIALIZER, .sleep = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void barrier(void *team_) {
  team_t *team = team_;
  if (team->threads == 1) return;
  const int generation = atomic_load_explicit(&team->generation, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) == team->threads - 1) {
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&team->generation, generation + 1, memory_order_release);
    return;
  }
  for (int spins = 0; atomic_load_explicit(&team->generation, memory_order_acquire) == generation; spins++)
    if (spins < SPINS) pause_cpu();
    else sched_yield();
}

static fdl_runtime table = {
    .barrier = barrier}; /* products are libraries of their own, which come when a program needs them */

static long nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* Spin for some milliseconds, then sleep until the epoch moves on */
static unsigned long next_epoch(unsigned long seen) {
  unsigned long now;
  const long until = nanoseconds() + 4000000L;
  for (int spins = 1; (now = atomic_load_explicit(&region.epoch, memory_order_acquire)) == seen; spins++) {
    pause_cpu();
    if (spins % 2048 == 0) {
      sched_yield();
      if (nanoseconds() > until) break;
    }
  }
  if (now != seen) return now;
  pthread_mutex_lock(&region.sleep);
  while ((now = atomic_load_explicit(&region.epoch, memory_order_acquire)) == seen)
    pthread_cond_wait(&region.wake, &region.sleep);
  pthread_mutex_unlock(&region.sleep);
  return now;
}

static unsigned long born[MAX_THREADS]; /* the epoch at each worker's start: it joins the next one */

static void *work(void *number) {
  const int tid = (int)(long)number;
  unsigned long seen = born[tid];
  flush_denormals();
  for (;;) {
    seen = next_epoch(seen);
    const int threads = (int)(seen & 0xFFFF);
    if (tid < threads) {
      region.program(&table, &region.team, region.io, region.arena, tid, threads);
      atomic_fetch_sub_explicit(&region.running, 1, memory_order_acq_rel);
    }
  }
  return 0;
}

/* A forked child has none of its parent's workers */
static void after_fork(void) {
  region.workers = 0;
  atomic_store(&region.running, 0);
  pthread_mutex_init(&region.entry, 0);
  pthread_mutex_init(&region.sleep, 0);
  pthread_cond_init(&region.wake, 0);
}

static int start_workers(int threads) {
  while (region.workers < threads - 1) {
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    born[region.workers + 1] = atomic_load(&region.epoch);
    const int failed = pthread_create(&thread, &attr, work, (void *)(long)(region.workers + 1));
    pthread_attr_destroy(&attr);
    if (failed) break;
    region.workers++;
  }
  return region.workers + 1 < threads ? region.workers + 1 : threads;
}

static void run_region(fdl_program_fn program, void *const *io, char *arena, int threads) {
  const unsigned saved = flush_denormals();
  team_t alone = {.threads = 1};
  if (threads == 1) {
    program(&table, &alone, io, arena, 0, 1);
    restore_denormals(saved);
    return;
  }
  pthread_mutex_lock(&region.entry);
  threads = start_workers(threads);
  region.program = program;
  region.io = io;
  region.arena = arena;
  region.team.threads = threads;
  atomic_store(&region.team.arrived, 0);
  atomic_store_explicit(&region.running, threads - 1, memory_order_relaxed);
  pthread_mutex_lock(&region.sleep);
  const unsigned long count = atomic_load_explicit(&region.epoch, memory_order_relaxed) >> 16;
  atomic_store_explicit(&region.epoch, (count + 1) << 16 | (unsigned long)threads, memory_order_release);
  pthread_cond_broadcast(&region.wake);
  pthread_mutex_unlock(&region.sleep);
  program(&table, &region.team, io, arena, 0, threads);
  for (int spins = 0; atomic_load_explicit(&region.running, memory_order_acquire) > 0; spins++)
    if (spins < SPINS) pause_cpu();
    else sched_yield();
  pthread_mutex_unlock(&region.entry);
  restore_denormals(saved);
}

/* ---- What is used of Python's stable ABI ---- */

typedef struct PyObject {
  long refcount;
  struct PyTypeObject *type;
} PyObject;
typedef struct PyTypeObject PyTypeObject;
typedef struct {
  const char *name;
  void *function;
  int flags;
  const char *doc;
} PyMethodDef;
typedef struct {
  int slot;
  void *function;
} PyType_Slot;
typedef struct {
  const char *name;
  int basicsize, itemsize;
  unsigned flags;
  PyType_Slot *slots;
} PyType_Spec;
typedef struct {
  void *buf;
  PyObject *obj;
  long len, itemsize;
  int readonly, ndim;
  char *format;
  long *shape, *strides, *suboffsets;
  void *internal;
} Py_buffer;
typedef struct {
  PyObject base;
  void *init;
  long index;
  PyObject *copy;
} PyModuleDef_Base;
typedef struct {
  PyModuleDef_Base base;
  const char *name, *doc;
  long size;
  PyMethodDef *methods;
  void *slots, *traverse, *clear, *free;
} PyModuleDef;
enum {
  METH_FASTCALL = 0x80,
  METH_KEYWORDS = 0x2,
  METH_O = 0x8,
  Py_bf_getbuffer = 1,
  Py_tp_dealloc = 52,
  PyBUF_SIMPLE = 0
};

extern PyObject *PyExc_RuntimeError;
void Py_IncRef(PyObject *), Py_DecRef(PyObject *), PyErr_SetString(PyObject *, const char *), PyErr_Clear(void),
    PyBuffer_Release(Py_buffer *);
PyObject *PyType_FromSpec(PyType_Spec *), *PyType_GenericAlloc(PyTypeObject *, long),
    *PyModule_Create2(PyModuleDef *, int), *PyList_New(long);
PyObject *PyObject_GetAttr(PyObject *, PyObject *), *PyUnicode_InternFromString(const char *),
    *PyTuple_GetItem(PyObject *, long), *PyLong_FromLong(long);
PyObject *PyCFunction_NewEx(PyMethodDef *, PyObject *, PyObject *),
    *PyCapsule_New(void *, const char *, void (*)(PyObject *)), *PyTuple_New(long);
void *PyCapsule_GetPointer(PyObject *, const char *), *PyEval_SaveThread(void);
void PyEval_RestoreThread(void *), PyObject_Free(void *);
int PyObject_SetAttr(PyObject *, PyObject *, PyObject *), PyObject_GetBuffer(PyObject *, Py_buffer *, int),
    PyBuffer_FillInfo(Py_buffer *, PyObject *, void *, long, int, int);
int PyList_SetItem(PyObject *, long, PyObject *), PyModule_AddObject(PyObject *, const char *, PyObject *),
    PyTuple_SetItem(PyObject *, long, PyObject *);
long PyTuple_Size(PyObject *), PyLong_AsLong(PyObject *), PyList_Size(PyObject *);
long long PyLong_AsLongLong(PyObject *);
unsigned long long PyLong_AsUnsignedLongLongMask(PyObject *);
double PyFloat_AsDouble(PyObject *);
PyObject *PyErr_Occurred(void);
extern PyObject _Py_NoneStruct, _Py_TrueStruct, _Py_FalseStruct;
extern PyTypeObject PyFloat_Type, PyLong_Type, PyBool_Type, PyTuple_Type, PyList_Type, PyDict_Type;
long PyDict_Size(PyObject *);
PyObject *PyDict_New(void);
PyObject *PyDict_GetItemWithError(PyObject *, PyObject *), *PySequence_GetItem(PyObject *, long),
    *PyLong_FromLongLong(long long), *PyTuple_Pack(long, ...);
long PySequence_Size(PyObject *);
int PyList_Append(PyObject *, PyObject *), PyList_SetSlice(PyObject *, long, long, PyObject *),
    PyList_Insert(PyObject *, long, PyObject *);
int PyDict_Next(PyObject *, long *, PyObject **, PyObject **), PyDict_SetItem(PyObject *, PyObject *, PyObject *),
    PyDict_DelItem(PyObject *, PyObject *);
PyObject *PyObject_CallFunctionObjArgs(PyObject *, ...), *PyIter_Next(PyObject *),
    *PySequence_Concat(PyObject *, PyObject *);
int PyType_IsSubtype(PyTypeObject *, PyTypeObject *);
PyObject *PyList_GetItem(PyObject *, long);
const char *PyUnicode_AsUTF8AndSize(PyObject *, long *);
PyObject *PyErr_NoMemory(void);
PyObject *PyObject_Vectorcall(PyObject *, PyObject *const *, size_t, PyObject *), *PyObject_CallNoArgs(PyObject *),
    *PyDescr_NewMethod(PyTypeObject *, PyMethodDef *);

/* ---- Buffers: memory by size classes, kept when it is given back (all under the GIL) ---- */

enum { CLASSES = 48, KEPT = 16 };
static void *kept[CLASSES][KEPT];
static int kept_count[CLASSES];

static int size_class(long bytes) { /* powers of two, and their middles */
  if (bytes <= 64) return 0;
  const int power = 63 - __builtin_clzl((unsigned long)(bytes - 1));
  return 2 * (power - 5) - (bytes <= (3L << (power - 1)));
}
static long class_bytes(int c) { return c == 0 ? 64 : c % 2 ? 3L << (c / 2 + 4 + 1) : 64L << (c / 2); }

static void *take_memory(long bytes) {
  const int c = size_class(bytes);
  if (c < CLASSES && kept_count[c]) return kept[c][--kept_count[c]];
  void *memory = 0;
  const size_t size = (size_t)(c < CLASSES ? class_bytes(c) : bytes), large = 2 << 20;
  if (posix_memalign(&memory, size >= large ? large : 64, size)) return 0;
#ifdef MADV_HUGEPAGE
  if (size >= large) madvise(memory, size, MADV_HUGEPAGE); /* a fault a page of 4 KiB costs more than the work on it */
#endif
  return memory;
}
static void give_memory(void *memory, long bytes) {
  const int c = size_class(bytes);
  if (c < CLASSES && kept_count[c] < (c > 40 ? 1 : c > 34 ? 4 : KEPT)) kept[c][kept_count[c]++] = memory;
  else free(memory);
}

typedef struct {
  PyObject base;
  void *memory;
  long bytes;
} Buffer;
static PyTypeObject *BufferType;

static Buffer *new_buffer(long bytes) {
  Buffer *b = (Buffer *)PyType_GenericAlloc(BufferType, 0);
  if (!b) return 0;
  b->bytes = bytes;
  b->memory = take_memory(bytes);
  if (!b->memory) {
    Py_DecRef(&b->base);
    PyErr_NoMemory();
    return 0;
  }
  return b;
}
static void buffer_dealloc(PyObject *self) {
  PyTypeObject *type = self->type;
  Buffer *b = (Buffer *)self;
  if (b->memory) give_memory(b->memory, b->bytes);
  PyObject_Free(self);
  Py_DecRef((PyObject *)type);
}
static int buffer_get(PyObject *self, Py_buffer *view, int flags) {
  Buffer *b = (Buffer *)self;
  return PyBuffer_FillInfo(view, self, b->memory, b->bytes, 1, flags);
}

/* ---- Programs ---- */

/* The structure of a tree of arrays, as `pattern_of` in c.py says it: only classes that come apart the same way for
 * everybody */
enum { LEAF, TUPLE, LIST, DICT, NONE };
typedef struct Tree {
  int kind, count;
  PyObject *keys;
  struct Tree *children;
} Tree;

typedef struct {
  fdl_program_fn function;
  int inputs, outputs, guards, parallel,
      captured;                /* after the outputs come guards: bytes that are 1 where a check has failed */
  long arena, own, *out_bytes; /* bytes of all threads together, and of each */
  int *in_place;               /* for each output the donated input whose memory it may take, or -1 */
  char *codes;                 /* for each 0-d input how a Python number is stored, see `number_code` in c.py */
  char *gone;                  /* for each argument's leaf whether it is donated */
  Tree given, result;          /* of the fast entry */
  PyObject *array_type, *in_avals, *out_avals, *captures, *declined, *patterns, *donated, *refuse;
} Program;

static PyObject *keep(PyObject *x) {
  Py_IncRef(x);
  return x;
}

static int max_threads = 1;
static PyObject *s_aval, *s_data, *s_mark, *no_mark, *s_order, *s_taped, *s_count;

static PyObject *get(PyObject *x, PyObject *name) { /* borrowed: the owner keeps it */
  PyObject *found = PyObject_GetAttr(x, name);
  if (found) Py_DecRef(found);
  return found;
}

static PyObject *set_threads(PyObject *self, PyObject *count) {
  (void)self;
  max_threads = (int)PyLong_AsLong(count);
  return PyLong_FromLong(max_threads);
}

static PyObject *nothing(void) { return PyErr_Occurred() ? 0 : keep(&_Py_NoneStruct); }

static PyObject *fail(const char *message) {
  PyErr_SetString(PyExc_RuntimeError, message);
  return 0;
}

/* The address of an array's data; a view is opened where it is not one of our buffers.  0 and a Python error where
 * there is none. */
static void *data_of(PyObject *data, Py_buffer *view) {
  if (data->type == BufferType) return ((Buffer *)data)->memory;
  return PyObject_GetBuffer(data, view, PyBUF_SIMPLE) ? 0 : view->buf;
}

/* The memory of a donated input, where nobody holds it but its array and this call; else a fresh buffer */
static Buffer *output_buffer(Program *p, int i, PyObject *const *held) {
  const int from = i < p->outputs ? p->in_place[i] : -1;
  if (from >= 0 && held[from]->type == BufferType && held[from]->refcount == 2 &&
      ((Buffer *)held[from])->bytes == p->out_bytes[i]) {
    Py_IncRef(held[from]);
    return (Buffer *)held[from];
  }
  return new_buffer(p->out_bytes[i]);
}

/* Runs a program on `io`, whose last entries are filled with the results' buffers; the caller owns them */
static int launch(Program *p, void **io, PyObject *const *held, Buffer **outs) {
  const int all = p->outputs + p->guards;
  for (int i = 0; i < all; i++) {
    outs[i] = output_buffer(p, i, held);
    if (!outs[i]) {
      while (i--) Py_DecRef(&outs[i]->base);
      return 0;
    }
    io[p->inputs + i] = outs[i]->memory;
  }
  const int threads = p->parallel ? max_threads < MAX_THREADS ? max_threads : MAX_THREADS : 1;
  const long bytes = p->arena + p->own * threads;
  char *arena = bytes ? take_memory(bytes) : 0;
  if (bytes && !arena) {
    for (int i = 0; i < all; i++) Py_DecRef(&outs[i]->base);
    PyErr_NoMemory();
    return 0;
  }
  if (p->parallel) { /* long enough to let other Python threads run */
    void *state = PyEval_SaveThread();
    run_region(p->function, io, arena, threads);
    PyEval_RestoreThread(state);
  } else {
    run_region(p->function, io, arena, 1);
  }
  if (arena) give_memory(arena, bytes);
  return 1;
}

/* ---- Trees ---- */

static int make_tree(PyObject *pattern, Tree *t) { /* the pattern is kept by the program, and with it the keys */
  t->kind = (int)PyLong_AsLong(PyTuple_GetItem(pattern, 0));
  const int first = t->kind == DICT ? 2 : 1;
  t->keys = t->kind == DICT ? PyTuple_GetItem(pattern, 1) : 0;
  t->count = (int)PyTuple_Size(pattern) - first;
  t->children = calloc((size_t)t->count + 1, sizeof(Tree));
  for (int i = 0; i < t->count; i++)
    if (!t->children || !make_tree(PyTuple_GetItem(pattern, first + i), &t->children[i])) return 0;
  return t->children != 0;
}

static void free_tree(Tree *t) {
  for (int i = 0; t->children && i < t->count; i++) free_tree(&t->children[i]);
  free(t->children);
}

/* The leaves of `x`, borrowed; 0 where it has another structure */
static int take_apart(const Tree *t, PyObject *x, PyObject **leaves, long *n) {
  switch (t->kind) {
  case LEAF: leaves[(*n)++] = x; return 1;
  case NONE: return x == &_Py_NoneStruct;
  case TUPLE:
    if (x->type != &PyTuple_Type || PyTuple_Size(x) != t->count) return 0;
    for (int i = 0; i < t->count; i++)
      if (!take_apart(&t->children[i], PyTuple_GetItem(x, i), leaves, n)) return 0;
    return 1;
  case LIST:
    if (x->type != &PyList_Type || PyList_Size(x) != t->count) return 0;
    for (int i = 0; i < t->count; i++)
      if (!take_apart(&t->children[i], PyList_GetItem(x, i), leaves, n)) return 0;
    return 1;
  default:
    if (x->type != &PyDict_Type || PyDict_Size(x) != t->count) return 0;
    for (int i = 0; i < t->count; i++) {
      PyObject *child = PyDict_GetItemWithError(x, PyTuple_GetItem(t->keys, i));
      if (!child) {
        PyErr_Clear();
        return 0;
      }
      if (!take_apart(&t->children[i], child, leaves, n)) return 0;
    }
    return 1;
  }
}

/* The tree of these leaves; takes their references */
static PyObject *put_together(const Tree *t, PyObject **leaves, long *n) {
  PyObject *out;
  switch (t->kind) {
  case LEAF: return leaves[(*n)++];
  case NONE: return keep(&_Py_NoneStruct);
  case TUPLE:
    out = PyTuple_New(t->count);
    for (int i = 0; out && i < t->count; i++) PyTuple_SetItem(out, i, put_together(&t->children[i], leaves, n));
    return out;
  case LIST:
    out = PyList_New(t->count);
    for (int i = 0; out && i < t->count; i++) PyList_SetItem(out, i, put_together(&t->children[i], leaves, n));
    return out;
  default:
    out = PyDict_New();
    for (int i = 0; out && i < t->count; i++) {
      PyObject *child = put_together(&t->children[i], leaves, n);
      PyDict_SetItem(out, PyTuple_GetItem(t->keys, i), child);
      Py_DecRef(child);
    }
    return out;
  }
}

/* ---- Arrays: their slots are found by name, or where the recorder's probes have learned that they lie ---- */

static struct {
  PyObject *array, *ndarray, *literal, *float_token, *int_token, *bool_token;
} known;
static struct {
  long node, base, values, children, over, first, out_avals, info, token, number, literal_aval, aval, data, mark;
} at; /* offsets of slots */

#define FIELD(x, slot) (*(PyObject **)((char *)(x) + at.slot))

/* Where an attribute lies in an instance whose slots hold a value of their own each; 0 where that cannot be told */
static long offset_of(PyObject *instance, long size, const char *attribute) {
  PyObject *name = PyUnicode_InternFromString(attribute), *value = PyObject_GetAttr(instance, name);
  long found = 0;
  for (long offset = sizeof(PyObject); value && offset + (long)sizeof(void *) <= size; offset += sizeof(void *))
    if (*(PyObject **)((char *)instance + offset) == value) found = offset;
  Py_DecRef(name);
  if (value) Py_DecRef(value);
  return found;
}

/* arrays(probe of an array, its size): arrays' slots can be read and filled without a look-up by name */
static PyObject *learn_arrays(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 2) return fail("arrays: expected 2 arguments");
  const long size = PyLong_AsLong(args[1]);
  known.array = keep((PyObject *)args[0]->type);
  at.aval = offset_of(args[0], size, "aval"), at.data = offset_of(args[0], size, "_data"),
  at.mark = offset_of(args[0], size, "_mark");
  return keep(&_Py_NoneStruct);
}

static PyObject *slot_of(PyObject *array, PyObject *name, long offset) { /* a new reference */
  return offset && (PyObject *)array->type == known.array ? keep(*(PyObject **)((char *)array + offset))
                                                          : PyObject_GetAttr(array, name);
}

static PyObject *new_array(Program *p, int i, Buffer *data) {
  PyObject *array = PyType_GenericAlloc((PyTypeObject *)p->array_type, 0), *aval = PyTuple_GetItem(p->out_avals, i);
  if (array && p->array_type == known.array && at.aval && at.data &&
      at.mark) { /* the slots of a fresh object are empty */
    FIELD(array, aval) = keep(aval), FIELD(array, data) = keep(&data->base), FIELD(array, mark) = keep(no_mark);
  } else if (array) {
    PyObject_SetAttr(array, s_aval, aval);
    PyObject_SetAttr(array, s_data, &data->base);
    PyObject_SetAttr(array, s_mark, no_mark);
  }
  Py_DecRef(&data->base);
  return array;
}

/* Stores a Python number as a 0-d input; 0 where it is none, or of a dtype that has no code */
static int store_number(char code, PyObject *x, void *to) {
  switch (code) {
  case 'f': *(float *)to = (float)PyFloat_AsDouble(x); break;
  case 'd': *(double *)to = PyFloat_AsDouble(x); break;
  case 'i': *(int *)to = (int)PyLong_AsLongLong(x); break;
  case 'l': *(long long *)to = PyLong_AsLongLong(x); break;
  case 'I': *(unsigned *)to = (unsigned)PyLong_AsUnsignedLongLongMask(x); break;
  case '?': *(char *)to = (char)PyLong_AsLongLong(x); break;
  default: return 0;
  }
  return !PyErr_Occurred();
}

/* What checks have found; 0 with an error where one has failed, and results are given back */
static int guarded(Program *p, PyObject *const *arrays, Buffer **outs) {
  int failed = 0;
  for (int i = p->outputs; i < p->outputs + p->guards; i++)
    failed |= *(char *)outs[i]->memory, Py_DecRef(&outs[i]->base);
  if (!failed) return 1;
  for (int i = 0; i < p->outputs; i++) Py_DecRef(&outs[i]->base);
  PyObject *inputs = PyTuple_New(p->inputs);
  for (int i = 0; i < p->inputs; i++) PyTuple_SetItem(inputs, i, keep(arrays[i]));
  PyObject *never = PyObject_CallFunctionObjArgs(p->refuse, inputs, 0);
  Py_DecRef(inputs);
  if (never) Py_DecRef(never), fail("a check has failed");
  return 0;
}

/* Runs a program on arrays and numbers; `outs` are filled.  1, or 0 with an error, or -1 where an array's data is not
 * ours and not contiguous bytes */
static int run_arrays(Program *p, PyObject *const *arrays, Buffer **outs) {
  void *io[p->inputs + p->outputs + p->guards + 1];
  double numbers[p->inputs + 1];
  Py_buffer views[p->inputs + 1];
  PyObject *held[p->inputs + 1];
  int n = 0, readable = 1, ok = 0;
  for (; n < p->inputs && readable; n++) {
    views[n].obj = 0;
    if ((PyObject *)arrays[n]->type != p->array_type) {
      held[n] = keep(arrays[n]);
      io[n] = &numbers[n];
      readable = store_number(p->codes[n], arrays[n], io[n]);
      continue;
    }
    held[n] = slot_of(arrays[n], s_data, at.data);
    io[n] = held[n] ? data_of(held[n], &views[n]) : 0;
    readable = held[n] && (held[n]->type == BufferType || views[n].obj);
  }
  if (readable) ok = launch(p, io, held, outs);
  for (int i = 0; i < n; i++) {
    if (views[i].obj) PyBuffer_Release(&views[i]);
    if (held[i]) Py_DecRef(held[i]);
  }
  if (readable) return ok && p->guards ? guarded(p, arrays, outs) : ok;
  PyErr_Clear();
  return -1;
}

static PyObject *declined(Program *p) {
  Py_IncRef(p->declined);
  return p->declined;
}

/* run(list of arrays) -> list of arrays, or the `declined` object where an array has to be made contiguous first */
static PyObject *program_run(PyObject *self, PyObject *list) {
  Program *p = PyCapsule_GetPointer(self, "fdl");
  if (PyList_Size(list) != p->inputs) return fail("a compiled program got a wrong number of inputs");
  PyObject *arrays[p->inputs + 1];
  Buffer *outs[p->outputs + p->guards + 1];
  for (int i = 0; i < p->inputs; i++) arrays[i] = PyList_GetItem(list, i);
  const int ok = run_arrays(p, arrays, outs);
  if (ok <= 0) return ok ? declined(p) : 0;
  for (int i = 0; i < p->inputs; i++) /* in this call, so that no signal comes before it is said that they are gone */
    if (p->gone[i] && (PyObject *)arrays[i]->type == p->array_type) PyObject_SetAttr(arrays[i], s_data, p->donated);
  PyObject *results = PyList_New(p->outputs);
  for (int i = 0; i < p->outputs; i++) PyList_SetItem(results, i, new_array(p, i, outs[i]));
  return results;
}

/* fast(*trees) -> tree, or the `declined` object for another signature */
static PyObject *program_fast(PyObject *self, PyObject *const *args, long count) {
  Program *p = PyCapsule_GetPointer(self, "fdl");
  if (count != p->given.count) return declined(p);
  PyObject *arrays[p->inputs + 1], *results[p->outputs + 1];
  Buffer *outs[p->outputs + p->guards + 1];
  long n = p->captured;
  for (int i = 0; i < p->captured; i++) arrays[i] = PyTuple_GetItem(p->captures, i);
  for (long i = 0; i < count; i++)
    if (!take_apart(&p->given.children[i], args[i], arrays, &n)) return declined(p);
  for (long i = p->captured; i < n; i++) {
    if ((PyObject *)arrays[i]->type != p->array_type) return declined(p);
    PyObject *aval = slot_of(arrays[i], s_aval, at.aval);
    if (!aval) return 0;
    Py_DecRef(aval); /* the array keeps it */
    if (aval != PyTuple_GetItem(p->in_avals, i - p->captured)) return declined(p);
  }
  const int ok = run_arrays(p, arrays, outs);
  if (ok <= 0) return ok ? declined(p) : 0;
  for (long i = p->captured; i < n; i++)
    if (p->gone[i - p->captured]) PyObject_SetAttr(arrays[i], s_data, p->donated);
  for (int i = 0; i < p->outputs; i++) results[i] = new_array(p, i, outs[i]);
  n = 0;
  return put_together(&p->result, results, &n);
}

/* fill(values, slots of inputs, slots of results) -> None, or the `declined` object: runs on arrays and numbers, and
 * results become the data of the arrays */
static PyObject *program_fill(PyObject *self, PyObject *const *args, long count) {
  Program *p = PyCapsule_GetPointer(self, "fdl");
  if (count != 3 || PyList_Size(args[1]) != p->inputs || PyList_Size(args[2]) != p->outputs)
    return fail("a compiled program got a wrong number of inputs or results");
  PyObject *arrays[p->inputs + 1];
  Buffer *outs[p->outputs + p->guards + 1];
  for (int i = 0; i < p->inputs; i++) arrays[i] = PyList_GetItem(args[0], PyLong_AsLong(PyList_GetItem(args[1], i)));
  const int ok = run_arrays(p, arrays, outs);
  if (ok <= 0) return ok ? declined(p) : 0;
  for (int i = 0; i < p->outputs; i++) {
    PyObject_SetAttr(PyList_GetItem(args[0], PyLong_AsLong(PyList_GetItem(args[2], i))), s_data, &outs[i]->base);
    Py_DecRef(&outs[i]->base);
  }
  return keep(&_Py_NoneStruct);
}

static PyMethodDef fill_method = {"fill", (void *)program_fill, METH_FASTCALL, 0};
static PyMethodDef run_method = {"run", (void *)program_run, METH_O, 0};
static PyMethodDef fast_method = {"fast", (void *)program_fast, METH_FASTCALL, 0};

static void program_free(PyObject *capsule) {
  Program *p = PyCapsule_GetPointer(capsule, "fdl");
  PyObject *owned[] = {
      p->array_type, p->in_avals, p->out_avals, p->captures, p->declined, p->patterns, p->donated, p->refuse};
  for (unsigned i = 0; i < sizeof owned / sizeof *owned; i++) Py_DecRef(owned[i]);
  free_tree(&p->given);
  free_tree(&p->result);
  free(p->gone);
  free(p->out_bytes);
  free(p->in_place);
  free(p->codes);
  free(p);
}

static PyObject *method_of(Program *p, PyMethodDef *method) {
  PyObject *capsule = PyCapsule_New(p, "fdl", program_free);
  if (!capsule) return 0;
  PyObject *function = PyCFunction_NewEx(method, capsule, 0);
  Py_DecRef(capsule);
  return function;
}

/* load(path) -> address of the program function; libraries stay loaded */
static PyObject *load(PyObject *self, PyObject *path) {
  (void)self;
  void *library = dlopen(PyUnicode_AsUTF8AndSize(path, 0), RTLD_NOW | RTLD_LOCAL);
  void *function = library ? dlsym(library, "fdl_program") : 0;
  return function ? PyLong_FromLong((long)function) : fail(dlerror());
}

/* products(suffix of an element type, path) -> None: programs may multiply matrices of the type from now on */
static PyObject *products(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 2) return fail("products: expected 2 arguments");
  const char *suffix = PyUnicode_AsUTF8AndSize(args[0], 0);
  void *library = dlopen(PyUnicode_AsUTF8AndSize(args[1], 0), RTLD_NOW | RTLD_LOCAL),
       *function = library ? dlsym(library, "fdl_gemm") : 0;
  if (!function) return fail(dlerror());
  const struct {
    const char *suffix;
    void *place;
  } all[] = {{"f32", &table.gemm_f32}, {"f64", &table.gemm_f64}, {"bf16", &table.gemm_bf16}, {"i8", &table.gemm_i8}};
  for (int i = 0; i < 4; i++)
    if (!strcmp(suffix, all[i].suffix)) memcpy(all[i].place, &function, sizeof function);
  return nothing();
}

/* program(address, inputs, out_bytes, (bytes of the arena, of each thread), parallel, array_type, in_avals, out_avals,
 * captures, (patterns of arguments, of the result), declined, kind, in_place, codes, donated leaves, what stands in
 * their place, (number of guards, who raises where one fails)) -> callable: run, fast or fill */
static PyObject *make_program(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 17) return fail("program: expected 17 arguments");
  Program *p = calloc(1, sizeof *p);
  if (!p) return PyErr_NoMemory();
  p->function = (fdl_program_fn)PyLong_AsLong(args[0]);
  p->inputs = (int)PyLong_AsLong(args[1]);
  p->guards = (int)PyLong_AsLong(PyTuple_GetItem(args[16], 0));
  p->refuse = keep(PyTuple_GetItem(args[16], 1));
  p->outputs = (int)PyTuple_Size(args[2]) - p->guards;
  p->out_bytes = calloc((size_t)(p->outputs + p->guards) + 1, sizeof(long));
  for (int i = 0; i < p->outputs + p->guards; i++) p->out_bytes[i] = PyLong_AsLong(PyTuple_GetItem(args[2], i));
  p->in_place = calloc((size_t)p->outputs + 1, sizeof(int));
  for (int i = 0; i < p->outputs; i++) p->in_place[i] = (int)PyLong_AsLong(PyTuple_GetItem(args[12], i));
  p->codes = calloc((size_t)p->inputs + 1, 1);
  memcpy(p->codes, PyUnicode_AsUTF8AndSize(args[13], 0), (size_t)p->inputs);
  p->arena = PyLong_AsLong(PyTuple_GetItem(args[3], 0)), p->own = PyLong_AsLong(PyTuple_GetItem(args[3], 1));
  p->parallel = (int)PyLong_AsLong(args[4]);
  p->array_type = keep(args[5]);
  p->in_avals = keep(args[6]);
  p->out_avals = keep(args[7]);
  p->captures = keep(args[8]);
  p->captured = (int)PyTuple_Size(args[8]);
  p->patterns = keep(args[9]);
  long flags;
  const char *gone = PyUnicode_AsUTF8AndSize(args[14], &flags);
  p->gone = calloc((size_t)flags + 1, 1);
  for (long i = 0; i < flags; i++) p->gone[i] = gone[i] == '1';
  p->donated = keep(args[15]);
  if (PyTuple_Size(p->patterns) == 2 && !(make_tree(PyTuple_GetItem(p->patterns, 0), &p->given) &&
                                            make_tree(PyTuple_GetItem(p->patterns, 1), &p->result)))
    return PyErr_NoMemory();
  p->declined = keep(args[10]);
  PyMethodDef *kinds[] = {&run_method, &fast_method, &fill_method};
  return method_of(p, kinds[PyLong_AsLong(args[11])]);
}

/* ---- Recording: the hit path of `Recorder.bind`, see transforms/lazy/recorder.py, which says what it means ---- */

static void put(PyObject **field, PyObject *value) { /* takes the reference */
  PyObject *old = *field;
  *field = value;
  if (old) Py_DecRef(old);
}

static void forget(PyObject *values, long from) {
  const long end = PyList_Size(values);
  for (long i = from; i < end; i++) {
    PyObject *x = PyList_GetItem(values, i);
    if ((PyObject *)x->type == known.array) put(&FIELD(x, mark), keep(no_mark));
  }
  PyList_SetSlice(values, from, end, 0);
}

/* The key's item for an operand (a new reference); what is new joins `values`.  0 where Python has to look at it */
static PyObject *item_of(PyObject *x, long long base, PyObject *values) {
  PyObject *number = x, *token = 0;
  if ((PyObject *)x->type == known.array) {
    const long long mark = PyLong_AsLongLong(FIELD(x, mark)), slot = mark - base, count = PyList_Size(values);
    if (slot >= 0 && slot < count && PyList_GetItem(values, slot) == x) return PyLong_FromLongLong(slot);
    PyObject *data = FIELD(x, data);
    if (slot >= 0 || mark < 0 || (data->type != BufferType && (PyObject *)data->type != known.ndarray)) return 0;
    if (PyList_Append(values, x)) return 0;
    put(&FIELD(x, mark), PyLong_FromLongLong(base + count));
    return keep(FIELD(FIELD(x, aval), token));
  }
  if (x->type == &PyFloat_Type) token = known.float_token;
  else if (x->type == &PyBool_Type) token = known.bool_token;
  else if (x->type == &PyLong_Type) {
    if (PyLong_AsLongLong(x) == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      return 0;
    }
    token = known.int_token;
  } else if ((PyObject *)x->type == known.literal) {
    number = FIELD(x, number);
    token = FIELD(FIELD(x, literal_aval), token);
  }
  return !token || PyList_Append(values, number) ? 0 : keep(token);
}

/* bind(segment, head, operands) -> (results, info), or None, and nothing has changed, where this is no hit or not plain
 */
static PyObject *bind(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 3) return fail("bind: expected 3 arguments");
  PyObject *segment = args[0], *operands = args[2], *node = FIELD(segment, node), *values = FIELD(segment, values);
  if (PyLong_AsLong(FIELD(node, over))) return nothing();
  const long long base = PyLong_AsLongLong(FIELD(segment, base));
  const long known_values = PyList_Size(values), n = PySequence_Size(operands);
  PyObject *key = PyTuple_New(n + 1);
  PyTuple_SetItem(key, 0, keep(args[1]));
  for (long i = 0; i < n; i++) {
    PyObject *x = PySequence_GetItem(operands, i), *item = x ? item_of(x, base, values) : 0;
    if (x) Py_DecRef(x);
    if (!item) {
      Py_DecRef(key);
      forget(values, known_values);
      return nothing();
    }
    PyTuple_SetItem(key, i + 1, item);
  }
  PyObject *child = PyDict_GetItemWithError(FIELD(node, children), key);
  Py_DecRef(key);
  if (!child) {
    forget(values, known_values);
    return nothing();
  }
  PyObject *out_avals = FIELD(child, out_avals);
  const long long mark = base + PyLong_AsLongLong(FIELD(child, first));
  const long outputs = PyTuple_Size(out_avals);
  PyObject *outs = PyList_New(outputs);
  for (long i = 0; i < outputs; i++) {
    PyObject *array = PyType_GenericAlloc((PyTypeObject *)known.array, 0);
    if (!array) {
      Py_DecRef(outs);
      forget(values, known_values);
      return 0;
    }
    FIELD(array, aval) = keep(PyTuple_GetItem(out_avals, i));
    FIELD(array, data) = keep(segment);
    FIELD(array, mark) = PyLong_FromLongLong(mark + i);
    PyList_Append(values, array);
    PyList_SetItem(outs, i, array);
  }
  put(&FIELD(segment, node), keep(child));
  PyObject *result = PyTuple_Pack(2, outs, FIELD(child, info));
  Py_DecRef(outs);
  return result;
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

/* within(data, bytes of an element, low, high) -> whether all signed integers are from low to high; None where the data
 * is not ours and not contiguous */
static PyObject *within(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 4) return fail("within: expected 4 arguments");
  Py_buffer view = {.obj = 0};
  const void *data = data_of(args[0], &view);
  const long width = PyLong_AsLong(args[1]), bytes = view.obj ? view.len : ((Buffer *)args[0])->bytes;
  const long long low = PyLong_AsLongLong(args[2]), high = PyLong_AsLongLong(args[3]);
  if (!data || (width != 4 && width != 8)) {
    if (view.obj) PyBuffer_Release(&view);
    PyErr_Clear();
    return keep(&_Py_NoneStruct);
  }
  /* The sign of what lies outside: numbers so far out that a difference wraps around have the sign of the other one, or
   * their own.  Blocks of it run as vectors. */
  enum { BLOCK = 4096 };
  const long long both = low > 0 ? -1 : 0;
  long long outside = 0;
  long i = 0;
  const long n = bytes / width;
#define FDL_OUTSIDE(type)                            \
  {                                                  \
    const long long x = ((const type *)data)[i + j]; \
    outside |= (x - low) | (high - x) | (x & both);  \
  }
  for (; outside >= 0 && i < n; i += BLOCK) {
    const long left = n - i;
    if (width == 8 && left >= BLOCK)
      for (long j = 0; j < BLOCK; j++) FDL_OUTSIDE(long long)
    else if (width == 8)
      for (long j = 0; j < left; j++) FDL_OUTSIDE(long long)
    else
      for (long j = 0; j < (left < BLOCK ? left : BLOCK); j++) FDL_OUTSIDE(int)
  }
#undef FDL_OUTSIDE
  const int inside = outside >= 0;
  if (view.obj) PyBuffer_Release(&view);
  return keep(inside ? &_Py_TrueStruct : &_Py_FalseStruct);
}

/* rows(data, bytes of a row, how many there are, list of numbers) -> buffer with these rows; None where the data is not
 * contiguous or a number is not one of them */
static PyObject *rows(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 4) return fail("rows: expected 4 arguments");
  Py_buffer view = {.obj = 0};
  const char *data = data_of(args[0], &view);
  const long row = PyLong_AsLong(args[1]), limit = PyLong_AsLong(args[2]), many = PyList_Size(args[3]);
  Buffer *out = data && many > 0 ? new_buffer(row * many) : 0;
  for (long i = 0; out && i < many; i++) {
    const long number = PyLong_AsLong(PyList_GetItem(args[3], i));
    if (number >= 0 && number < limit) memcpy((char *)out->memory + i * row, data + number * row, (size_t)row);
    else Py_DecRef(&out->base), out = 0;
  }
  if (view.obj) PyBuffer_Release(&view);
  PyErr_Clear();
  return out ? &out->base : keep(&_Py_NoneStruct);
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

/* ---- The plain steps of reverse mode, see `walk` in transforms/tape/walk.py, which says what they mean ---- */

static struct {
  PyObject *node, *leaf, *given, *busy, *segment, *journal;
} tape;
static struct {
  long edges, hooks, operands, order, taped, values, sources, count, varies;
} on; /* offsets of slots of tape nodes and of taped functions */

#define ON(x, slot) (*(PyObject **)((char *)(x) + on.slot))

/* Residuals and the cotangent, or 0 where the node is not plain: one result that varies, no hooks, nothing released */
static PyObject *pulled_operands(PyObject *node, PyObject *cotangents) {
  if ((PyObject *)node->type != tape.node || ON(node, hooks) != &_Py_NoneStruct) return 0;
  PyObject *taped = ON(node, taped), *operands = ON(node, operands), *values = ON(node, values),
           *sources = ON(taped, sources);
  if (PyLong_AsLong(ON(taped, count)) != 1 || PyTuple_GetItem(ON(taped, varies), 0) != &_Py_TrueStruct ||
      operands == &_Py_NoneStruct)
    return 0;
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

/* Hand a cotangent to (producer, index); 0 with an error */
static int give(PyObject *producer, PyObject *index, PyObject *ct, PyObject *heap, PyObject *waiting, PyObject *leaves,
    PyObject *add) {
  const int leaf = (PyObject *)producer->type == tape.leaf;
  PyObject *found = PyDict_GetItemWithError(leaf ? leaves : waiting, producer);
  if (leaf || found) {
    const long place = leaf ? 0 : PyLong_AsLong(index);
    PyObject *old = leaf ? found : PyList_GetItem(found, place);
    PyObject *sum = old && old != &_Py_NoneStruct ? PyObject_CallFunctionObjArgs(add, old, ct, NULL) : keep(ct);
    if (!sum) return 0;
    if (!leaf) return !PyList_SetItem(found, place, sum);
    const int failed = PyDict_SetItem(leaves, producer, sum);
    Py_DecRef(sum);
    return !failed;
  }
  PyObject *order = PyObject_GetAttr(producer, s_order), *taped = PyObject_GetAttr(producer, s_taped),
           *count = taped ? PyObject_GetAttr(taped, s_count) : 0;
  if (!order || !count) return 0;
  const long n = PyLong_AsLong(count), when = PyLong_AsLong(order);
  PyObject *slots = PyList_New(n), *entry = PyTuple_Pack(2, order, producer);
  for (long i = 0; i < n; i++) PyList_SetItem(slots, i, keep(i == PyLong_AsLong(index) ? ct : &_Py_NoneStruct));
  long place = PyList_Size(heap);
  while (place && PyLong_AsLong(PyTuple_GetItem(PyList_GetItem(heap, place - 1), 0)) > when) place--;
  const int failed = PyDict_SetItem(waiting, producer, slots) || PyList_Insert(heap, place, entry);
  Py_DecRef(slots), Py_DecRef(entry), Py_DecRef(order), Py_DecRef(taped), Py_DecRef(count);
  return !failed;
}

/* steps(recorder, heap, waiting, leaves, done, add) -> None: pulls nodes from the end of the heap for as long as they
 * are plain and their pull is a hit */
static PyObject *steps(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 6) return fail("steps: expected 6 arguments");
  PyObject *recorder = args[0], *heap = args[1], *waiting = args[2], *leaves = args[3], *done = args[4];
  for (long top; (top = PyList_Size(heap) - 1) >= 0;) {
    PyObject *node = PyTuple_GetItem(PyList_GetItem(heap, top), 1),
             *cotangents = PyDict_GetItemWithError(waiting, node);
    PyObject *operands = cotangents ? pulled_operands(node, cotangents) : 0;
    if (!operands) return nothing();
    PyObject *segment = get(recorder, tape.segment), *head = PyTuple_Pack(2, ON(node, taped), tape.given);
    PyObject *const arguments[] = {segment, head, operands};
    PyObject_SetAttr(recorder, tape.busy, &_Py_TrueStruct);
    PyObject *hit = bind(0, arguments, 3);
    PyObject_SetAttr(recorder, tape.busy, &_Py_FalseStruct);
    Py_DecRef(head), Py_DecRef(operands);
    if (!hit) return 0;
    if (hit == &_Py_NoneStruct) return hit;
    keep(node);
    PyList_SetSlice(heap, top, top + 1, 0);
    PyDict_DelItem(waiting, node);
    PyObject *outs = PyTuple_GetItem(hit, 0), *nonzero = PyTuple_GetItem(hit, 1), *edges = ON(node, edges);
    int ok = 1;
    for (long i = 0, out = 0; ok && i < PyTuple_Size(nonzero); i++)
      if (PyTuple_GetItem(nonzero, i) == &_Py_TrueStruct) {
        PyObject *edge = PyList_GetItem(edges, i);
        ok = give(PyTuple_GetItem(edge, 0), PyTuple_GetItem(edge, 1), PyList_GetItem(outs, out++), heap, waiting,
            leaves, args[5]);
      }
    ok = ok && !PyList_Append(done, node);
    Py_DecRef(hit), Py_DecRef(node);
    if (!ok) return 0;
  }
  return nothing();
}

/* ---- Operations of tensors whose record is a hit, see `apply` in stateful/_tensor.py, which says what they mean ----
 */

static struct {
  PyObject *tensor, *storage, *view, *zero, *single, *varies;
} eager;
static struct {
  long storage, view, edge, result, array, version, exported, base, steps, seen, seen_version, seen_array, seen_node,
      seen_index;
} of; /* offsets of slots */

#define OF(x, slot) (*(PyObject **)((char *)(x) + of.slot))

static PyObject *wrapped(PyObject *array, PyObject *node, long result) {
  PyObject *tensor = PyType_GenericAlloc((PyTypeObject *)eager.tensor, 0),
           *storage = PyType_GenericAlloc((PyTypeObject *)eager.storage, 0);
  OF(storage, array) = keep(array), OF(storage, version) = keep(eager.zero),
              OF(storage, exported) = keep(&_Py_NoneStruct);
  OF(tensor, storage) = storage, OF(tensor, view) = keep(&_Py_NoneStruct);
  OF(tensor, edge) = keep(node), OF(tensor, result) = PyLong_FromLong(result);
  return tensor;
}

static PyObject *new_node(PyObject *info, PyObject *edges, PyObject *operands, PyObject *values, PyObject *order) {
  PyObject *node = PyType_GenericAlloc((PyTypeObject *)tape.node, 0);
  ON(node, taped) = keep(info), ON(node, edges) = keep(edges), ON(node, operands) = keep(operands),
           ON(node, values) = keep(values);
  ON(node, hooks) = keep(&_Py_NoneStruct), ON(node, order) = PyIter_Next(order);
  return node;
}

/* What a tensor is now: its array, its node (None where it needs no gradient) and the number of its result, all
 * borrowed */
typedef struct {
  PyObject *array, *node, *index;
} Now;

/* 0 for a view whose base has changed since it was looked at */
static int now(PyObject *x, Now *state) {
  PyObject *storage = OF(x, storage), *view = OF(x, view);
  *state = (Now){OF(storage, array), OF(x, edge), OF(x, result)};
  if (view == &_Py_NoneStruct) return 1;
  *state = (Now){OF(view, seen_array), OF(view, seen_node), OF(view, seen_index)};
  return PyLong_AsLongLong(OF(view, seen_version)) == PyLong_AsLongLong(OF(storage, version)) &&
         OF(view, seen) == OF(OF(view, base), edge) && OF(storage, exported) == &_Py_NoneStruct;
}

/* Arrays and numbers of the operands, and the edges of those that require grad; 0 where one has to be refreshed.
 * `varying` gets their bits */
static PyObject *operand_values(PyObject *operands, int tracked, PyObject *edges, long *varying) {
  const long n = PySequence_Size(operands);
  PyObject *values = PyList_New(n);
  for (long i = 0; i < n; i++) {
    PyObject *x = PySequence_GetItem(operands, i), *value = x;
    if (PyType_IsSubtype(x->type, (PyTypeObject *)eager.tensor)) {
      Now state;
      if (n > 60 || !now(x, &state)) {
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

/* A hit of `function(*values, *static)` as (results, info), else None or an error */
static PyObject *recorded(PyObject *recorder, PyObject *function, PyObject *statics, PyObject *values, long varying) {
  if (get(recorder, tape.busy) != &_Py_FalseStruct) return nothing();
  PyObject *bits = PyLong_FromLong(varying), *head = PyTuple_Pack(3, function, statics, bits);
  PyObject *const arguments[] = {get(recorder, tape.segment), head, values};
  PyObject_SetAttr(recorder, tape.busy, &_Py_TrueStruct);
  PyObject *hit = bind(0, arguments, 3);
  PyObject_SetAttr(recorder, tape.busy, &_Py_FalseStruct);
  Py_DecRef(bits), Py_DecRef(head);
  return hit;
}

/* apply(recorder, function, operands, static, tracked, order) -> tensor, or tuple of tensors, or None where Python has
 * to do it */
static PyObject *apply(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 6) return fail("apply: expected 6 arguments");
  PyObject *edges = PyList_New(0), *result = 0;
  long varying = 0;
  PyObject *values = operand_values(args[2], args[4] == &_Py_TrueStruct, edges, &varying);
  if (!values) {
    Py_DecRef(edges);
    return nothing();
  }
  PyObject *hit = recorded(args[0], args[1], args[3], values, varying);
  if (hit == &_Py_NoneStruct) result = keep(hit);
  if (hit && hit != &_Py_NoneStruct) {
    PyObject *outs = PyTuple_GetItem(hit, 0), *info = PyTuple_GetItem(hit, 1),
             *varies = varying ? get(info, eager.varies) : 0;
    PyObject *node = varying ? new_node(info, edges, values, outs, args[5]) : keep(&_Py_NoneStruct);
    const long n = varies ? PyTuple_Size(varies) : PyList_Size(outs);
    PyObject *tensors = PyTuple_New(n);
    for (long i = 0; i < n; i++)
      PyTuple_SetItem(tensors, i,
          wrapped(PyList_GetItem(outs, i),
              varies && PyTuple_GetItem(varies, i) == &_Py_TrueStruct ? node : &_Py_NoneStruct, i));
    result = get(info, eager.single) == &_Py_TrueStruct ? keep(PyTuple_GetItem(tensors, 0)) : keep(tensors);
    Py_DecRef(tensors), Py_DecRef(node);
  }
  Py_DecRef(values), Py_DecRef(edges);
  if (hit) Py_DecRef(hit);
  return result;
}

/* ---- Operations of functional reverse mode whose record is a hit, see `TapeTrace` in transforms/tape/trace.py, which
 * says what they mean ---- */

static PyObject *tracer;
static struct {
  long trace, source, aval, primal, node, index;
} in; /* offsets of slots of tracers */

#define IN(x, slot) (*(PyObject **)((char *)(x) + in.slot))

/* follow(recorder, trace, function, operands, static, order) -> list of tracers and arrays, or None where Python has to
 * do it */
static PyObject *follow(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 6) return fail("follow: expected 6 arguments");
  const long n = PySequence_Size(args[3]);
  long varying = 0;
  if (n > 60) return nothing();
  PyObject *values = PyList_New(n), *edges = PyList_New(0), *result = 0;
  for (long i = 0; i < n; i++) {
    PyObject *x = PySequence_GetItem(args[3], i), *value = x;
    if ((PyObject *)x->type == tracer && IN(x, trace) == args[1]) {
      PyObject *edge = PyTuple_Pack(2, IN(x, node), IN(x, index));
      PyList_Append(edges, edge);
      Py_DecRef(edge);
      varying |= 1L << i;
      value = keep(IN(x, primal));
      Py_DecRef(x);
    } else if ((PyObject *)x->type != known.array && (PyObject *)x->type != known.literal) varying = -1L << 60;
    PyList_SetItem(values, i, value);
  }
  PyObject *hit = varying > 0 ? recorded(args[0], args[2], args[4], values, varying) : nothing();
  if (hit == &_Py_NoneStruct) result = keep(hit);
  if (hit && hit != &_Py_NoneStruct) {
    PyObject *outs = PyTuple_GetItem(hit, 0), *info = PyTuple_GetItem(hit, 1), *varies = ON(info, varies);
    PyObject *node = new_node(info, edges, values, outs, args[5]);
    const long m = PyTuple_Size(varies);
    result = PyList_New(m);
    for (long i = 0; i < m; i++) {
      PyObject *out = keep(PyList_GetItem(outs, i));
      if (PyTuple_GetItem(varies, i) == &_Py_TrueStruct) {
        PyObject *t = PyType_GenericAlloc((PyTypeObject *)tracer, 0);
        IN(t, trace) = keep(args[1]), IN(t, source) = keep(&_Py_NoneStruct),
              IN(t, aval) = PyObject_GetAttr(out, s_aval), IN(t, primal) = out;
        IN(t, node) = keep(node), IN(t, index) = PyLong_FromLong(i);
        out = t;
      }
      PyList_SetItem(result, i, out);
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
  const long size = PyLong_AsLong(args[1]);
  tracer = keep((PyObject *)args[0]->type);
  in.trace = offset_of(args[0], size, "_trace"), in.source = offset_of(args[0], size, "source"),
  in.aval = offset_of(args[0], size, "aval");
  in.primal = offset_of(args[0], size, "primal"), in.node = offset_of(args[0], size, "node"),
  in.index = offset_of(args[0], size, "index");
  long all = tape.node != 0;
  for (unsigned i = 0; i < sizeof in / sizeof(long); i++) all = all && ((long *)&in)[i];
  return PyLong_FromLong(all);
}

/* The view of `x` through a further step, of which `array` is the value and `node` the edge; takes the reference to
 * `node` */
static PyObject *seen_through(PyObject *x, PyObject *step, PyObject *array, PyObject *node) {
  PyObject *parent = OF(x, view), *base = parent == &_Py_NoneStruct ? x : OF(parent, base), *storage = OF(x, storage),
           *last = PyTuple_Pack(1, step);
  PyObject *view = PyType_GenericAlloc((PyTypeObject *)eager.view, 0),
           *tensor = PyType_GenericAlloc((PyTypeObject *)eager.tensor, 0);
  OF(view, steps) = parent == &_Py_NoneStruct ? keep(last) : PySequence_Concat(OF(parent, steps), last);
  OF(view, base) = keep(base), OF(view, seen_version) = keep(OF(storage, version)),
           OF(view, seen) = keep(OF(base, edge));
  OF(view, seen_array) = keep(array), OF(view, seen_node) = node, OF(view, seen_index) = keep(eager.zero);
  OF(tensor, storage) = keep(storage), OF(tensor, view) = view, OF(tensor, edge) = keep(&_Py_NoneStruct),
             OF(tensor, result) = keep(eager.zero);
  Py_DecRef(last);
  return tensor;
}

/* see(recorder, tensor, step, tracked, order) -> view of a tensor through a step (read, write, numpy, static, numbers),
 * or None where Python has to do it */
static PyObject *see(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 5) return fail("see: expected 5 arguments");
  PyObject *x = args[1], *step = args[2], *numbers = PyTuple_GetItem(step, 4), *result = 0;
  Now state;
  if (!PyType_IsSubtype(x->type, (PyTypeObject *)eager.tensor) || !now(x, &state)) return nothing();
  const long varying = state.node != &_Py_NoneStruct, n = PyTuple_Size(numbers);
  if (varying && (args[3] != &_Py_TrueStruct || (OF(x, view) != &_Py_NoneStruct && OF(x, edge) != &_Py_NoneStruct)))
    return nothing(); /* also of a leaf that is a view */
  PyObject *values = PyList_New(n + 1);
  PyList_SetItem(values, 0, keep(state.array));
  for (long i = 0; i < n; i++) PyList_SetItem(values, i + 1, keep(PyTuple_GetItem(numbers, i)));
  PyObject *hit = recorded(args[0], PyTuple_GetItem(step, 0), PyTuple_GetItem(step, 3), values, varying);
  if (hit == &_Py_NoneStruct) result = keep(hit);
  if (hit && hit != &_Py_NoneStruct) {
    PyObject *outs = PyTuple_GetItem(hit, 0), *info = PyTuple_GetItem(hit, 1), *node = keep(&_Py_NoneStruct);
    if (varying && PyTuple_GetItem(get(info, eager.varies), 0) == &_Py_TrueStruct) {
      PyObject *edge = PyTuple_Pack(2, state.node, state.index), *edges = PyList_New(1);
      PyList_SetItem(edges, 0, edge);
      Py_DecRef(node);
      node = new_node(info, edges, values, outs, args[4]);
      Py_DecRef(edges);
    }
    result = seen_through(x, step, PyList_GetItem(outs, 0), node);
  }
  Py_DecRef(values);
  if (hit) Py_DecRef(hit);
  return result;
}

/* Whether a cell may be given a pending array without Python: nobody shares its memory */
static int plain_cell(PyObject *cell) {
  return OF(cell, exported) == &_Py_NoneStruct && (PyObject *)OF(cell, array)->type == known.array;
}

/* Put a pending array of this segment into a plain cell, whose old one the journal remembers; 0 with an error */
static int put_cell(PyObject *segment, PyObject *journal, PyObject *cell, PyObject *array) {
  if (!PyDict_GetItemWithError(journal, cell)) {
    PyObject *old = OF(cell, array);
    const long long slot = PyLong_AsLongLong(FIELD(old, mark)) - PyLong_AsLongLong(FIELD(segment, base));
    const int here =
        slot >= 0 && slot < PyList_Size(FIELD(segment, values)) && PyList_GetItem(FIELD(segment, values), slot) == old;
    PyObject *entry = here ? PyLong_FromLongLong(slot) : keep(old);
    const int failed = PyDict_SetItem(journal, cell, entry);
    Py_DecRef(entry);
    if (failed) return 0;
  }
  put(&OF(cell, array), keep(array));
  put(&OF(cell, version), PyLong_FromLongLong(PyLong_AsLongLong(OF(cell, version)) + 1));
  return 1;
}

/* put(segment, journal, cells, arrays) -> how many cells, from the first, got their array: it stops at one that Python
 * has to look at */
static PyObject *put_all(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 4) return fail("put: expected 4 arguments");
  const long n = PyList_Size(args[2]);
  long i = 0;
  for (; i < n; i++) {
    PyObject *cell = PyList_GetItem(args[2], i), *array = PyList_GetItem(args[3], i);
    if (!plain_cell(cell) || FIELD(array, data) != args[0]) break;
    if (!put_cell(args[0], args[1], cell, array)) return 0;
  }
  return PyErr_Occurred() ? 0 : PyLong_FromLong(i);
}

/* change(recorder, function, operands, static, tracked, order) -> True where the first operand has taken the value of
 * the result, which has its type; the result where it has another one; None where Python has to do it */
static PyObject *change(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 6) return fail("change: expected 6 arguments");
  PyObject *x = PyTuple_GetItem(args[2], 0), *storage = OF(x, storage), *result = 0;
  const int tracked = args[4] == &_Py_TrueStruct;
  if (OF(x, view) != &_Py_NoneStruct || !plain_cell(storage) || (tracked && (PyObject *)OF(x, edge)->type == tape.leaf))
    return nothing();
  PyObject *edges = PyList_New(0);
  long varying = 0;
  PyObject *values = operand_values(args[2], tracked, edges, &varying),
           *hit = values ? recorded(args[0], args[1], args[3], values, varying) : nothing();
  if (hit == &_Py_NoneStruct) result = keep(hit);
  if (hit && hit != &_Py_NoneStruct) {
    PyObject *outs = PyTuple_GetItem(hit, 0), *info = PyTuple_GetItem(hit, 1), *array = PyList_GetItem(outs, 0);
    const int varies = varying && PyTuple_GetItem(get(info, eager.varies), 0) == &_Py_TrueStruct;
    PyObject *node = varies ? new_node(info, edges, values, outs, args[5]) : keep(&_Py_NoneStruct);
    if (FIELD(array, aval) != FIELD(OF(storage, array), aval)) result = wrapped(array, node, 0);
    else if (put_cell(get(args[0], tape.segment), get(args[0], tape.journal), storage, array)) {
      if (tracked) put(&OF(x, edge), keep(node)), put(&OF(x, result), keep(eager.zero));
      result = keep(&_Py_TrueStruct);
    }
    Py_DecRef(node);
  }
  if (values) Py_DecRef(values);
  Py_DecRef(edges);
  if (hit) Py_DecRef(hit);
  return result;
}

static struct {
  PyObject *recorders, *running, *grad_mode, *order, *finish, *recorder, *plain, *enabled, *dtype, *shape;
} ways;

/* copied(ndarray, avals by dtype and shape) -> a tensor with its values in memory of the pool; None where the type is
 * not known yet, or the ndarray not in row-major order */
static PyObject *copied(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 2) return fail("copied: expected 2 arguments");
  if ((PyObject *)args[0]->type != known.ndarray) return nothing();
  PyObject *dtype = PyObject_GetAttr(args[0], ways.dtype), *shape = PyObject_GetAttr(args[0], ways.shape),
           *key = dtype && shape ? PyTuple_Pack(2, dtype, shape) : 0;
  PyObject *aval = key ? PyDict_GetItemWithError(args[1], key) : 0, *result = 0;
  Py_buffer view = {.obj = 0};
  if (aval && !PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE)) {
    Buffer *data = new_buffer(view.len);
    PyObject *array = data ? PyType_GenericAlloc((PyTypeObject *)known.array, 0) : 0;
    if (array) {
      memcpy(data->memory, view.buf, (size_t)view.len);
      FIELD(array, aval) = keep(aval), FIELD(array, data) = keep(&data->base), FIELD(array, mark) = keep(no_mark);
      result = wrapped(array, &_Py_NoneStruct, 0);
      Py_DecRef(array);
    }
    if (data) Py_DecRef(&data->base);
    PyBuffer_Release(&view);
  } else PyErr_Clear(); /* not side by side */
  if (dtype) Py_DecRef(dtype);
  if (shape) Py_DecRef(shape);
  if (key) Py_DecRef(key);
  return result ? result : nothing();
}

/* ---- Methods of tensors that are one recorded function: a hit takes no Python at all ---- */

enum { METHODS = 96 };
static struct {
  PyObject *function, *statics, *otherwise;
  long others;
  PyMethodDef definition;
} methods_of[METHODS];
static int method_count;

static int is_number(PyObject *x) {
  return (PyObject *)x->type == (PyObject *)&PyFloat_Type || (PyObject *)x->type == (PyObject *)&PyLong_Type;
}

/* The result, None where Python has to do it, or 0 and an error */
static PyObject *tried(int k, PyObject *x, PyObject *const *args, long count) {
  PyObject *recorder = PyObject_GetAttr(ways.recorders, ways.recorder),
           *inside = recorder ? PyObject_CallNoArgs(ways.running) : 0, *result = 0;
  if (inside && (inside != &_Py_NoneStruct || get(recorder, ways.plain) != &_Py_TrueStruct)) result = nothing();
  else if (inside) {
    PyObject *operands = count ? PyTuple_Pack(2, x, args[0]) : PyTuple_Pack(1, x),
             *tracked = get(ways.grad_mode, ways.enabled);
    PyObject *const given[] = {recorder, methods_of[k].function, operands, methods_of[k].statics, tracked, ways.order};
    result = PyTuple_Size(methods_of[k].statics) ? apply(0, given, 6) : change(0, given, 6);
    Py_DecRef(operands);
  }
  if (recorder) Py_DecRef(recorder);
  if (inside) Py_DecRef(inside);
  return result;
}

static PyObject *call_method(int k, PyObject *x, PyObject *const *args, long count, PyObject *names) {
  const long named = names ? PyTuple_Size(names) : 0;
  const int plain = !named && count == methods_of[k].others && (PyObject *)x->type == eager.tensor;
  if (plain &&
      (!count || is_number(args[0]) ||
          ((PyObject *)args[0]->type == eager.tensor && (args[0] == x || OF(args[0], storage) != OF(x, storage))))) {
    PyObject *const type = PyTuple_Size(methods_of[k].statics) ? PyTuple_GetItem(methods_of[k].statics, 0) : 0;
    Now state;
    if (type && now(x, &state) && (PyObject *)state.array->type == known.array &&
        get(FIELD(state.array, aval), ways.dtype) == type)
      return keep(x); /* it has that dtype */
    PyObject *result = tried(k, x, args, count);
    if (result == &_Py_TrueStruct) {
      Py_DecRef(result);
      return keep(x);
    }
    if (!result || (type && result != &_Py_NoneStruct)) return result;
    if (result != &_Py_NoneStruct) { /* of another type: it has to be fitted */
      PyObject *fitted = PyObject_CallFunctionObjArgs(ways.finish, x, result, (PyObject *)0);
      Py_DecRef(result);
      return fitted;
    }
    Py_DecRef(result);
  }
  PyObject *all[64];
  if (count + named > 63) return fail("too many arguments");
  all[0] = x;
  for (long i = 0; i < count + named; i++) all[i + 1] = args[i];
  return PyObject_Vectorcall(methods_of[k].otherwise, all, (size_t)count + 1, names);
}

#define FDL_METHOD(k)                                                                            \
  static PyObject *method_##k(PyObject *x, PyObject *const *args, long count, PyObject *names) { \
    return call_method(0x##k, x, args, count, names);                                            \
  }
#define FDL_METHODS(a)                                                                                      \
  FDL_METHOD(a##0)                                                                                          \
  FDL_METHOD(a##1) FDL_METHOD(a##2) FDL_METHOD(a##3) FDL_METHOD(a##4) FDL_METHOD(a##5) FDL_METHOD(a##6)     \
      FDL_METHOD(a##7) FDL_METHOD(a##8) FDL_METHOD(a##9) FDL_METHOD(a##A) FDL_METHOD(a##B) FDL_METHOD(a##C) \
          FDL_METHOD(a##D) FDL_METHOD(a##E) FDL_METHOD(a##F)
FDL_METHODS(0)
FDL_METHODS(1) FDL_METHODS(2) FDL_METHODS(3) FDL_METHODS(4) FDL_METHODS(5)
#define FDL_NAMES(a)                                                                                                 \
  (void *)method_##a##0, (void *)method_##a##1, (void *)method_##a##2, (void *)method_##a##3, (void *)method_##a##4, \
      (void *)method_##a##5, (void *)method_##a##6, (void *)method_##a##7, (void *)method_##a##8,                    \
      (void *)method_##a##9, (void *)method_##a##A, (void *)method_##a##B, (void *)method_##a##C,                    \
      (void *)method_##a##D, (void *)method_##a##E, (void *)method_##a##F
    static void *const method_functions[METHODS] = {
        FDL_NAMES(0), FDL_NAMES(1), FDL_NAMES(2), FDL_NAMES(3), FDL_NAMES(4), FDL_NAMES(5)};

/* ways(recorders, what gives the trace that runs, grad mode, order, finish): what all methods ask */
static PyObject *learn_ways(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 5) return fail("ways: expected 5 arguments");
  ways.recorders = keep(args[0]), ways.running = keep(args[1]), ways.grad_mode = keep(args[2]),
  ways.order = keep(args[3]), ways.finish = keep(args[4]);
  ways.recorder = PyUnicode_InternFromString("recorder"), ways.plain = PyUnicode_InternFromString("plain"),
  ways.enabled = PyUnicode_InternFromString("enabled");
  ways.dtype = PyUnicode_InternFromString("dtype"), ways.shape = PyUnicode_InternFromString("shape");
  return nothing();
}

/* method(name, function, static, number of other operands, otherwise) -> a method of tensors: in place, or with static
 * parameters, a dtype, a conversion; None where there are too many */
static PyObject *make_method(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 5) return fail("method: expected 5 arguments");
  if (method_count == METHODS) return nothing();
  const int k = method_count++;
  methods_of[k].function = keep(args[1]), methods_of[k].statics = keep(args[2]),
  methods_of[k].others = PyLong_AsLong(args[3]), methods_of[k].otherwise = keep(args[4]);
  keep(args[0]); /* its text is the method's name */
  methods_of[k].definition =
      (PyMethodDef){PyUnicode_AsUTF8AndSize(args[0], 0), method_functions[k], METH_FASTCALL | METH_KEYWORDS, 0};
  return PyDescr_NewMethod((PyTypeObject *)eager.tensor, &methods_of[k].definition);
}

/* tensors(probes of tensor, storage and view with their sizes) -> whether `apply` can be used */
static PyObject *tensors(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 6) return fail("tensors: expected 6 arguments");
  const long view = PyLong_AsLong(args[5]);
  eager.view = keep((PyObject *)args[4]->type), of.steps = offset_of(args[4], view, "steps");
  of.base = offset_of(args[4], view, "base"), of.seen = offset_of(args[4], view, "seen"),
  of.seen_version = offset_of(args[4], view, "version");
  of.seen_array = offset_of(args[4], view, "array"), of.seen_node = offset_of(args[4], view, "node"),
  of.seen_index = offset_of(args[4], view, "index");
  const long tensor = PyLong_AsLong(args[1]), storage = PyLong_AsLong(args[3]);
  eager.tensor = keep((PyObject *)args[0]->type), eager.storage = keep((PyObject *)args[2]->type),
  eager.zero = PyLong_FromLong(0);
  eager.single = PyUnicode_InternFromString("single"), eager.varies = PyUnicode_InternFromString("varies");
  of.storage = offset_of(args[0], tensor, "_storage"), of.view = offset_of(args[0], tensor, "_view"),
  of.edge = offset_of(args[0], tensor, "_edge");
  of.result = offset_of(args[0], tensor, "_result"), of.array = offset_of(args[2], storage, "array"),
  of.version = offset_of(args[2], storage, "version");
  of.exported = offset_of(args[2], storage, "exported");
  long all = tape.node != 0;
  for (unsigned i = 0; i < sizeof of / sizeof(long); i++) all = all && ((long *)&of)[i];
  return PyLong_FromLong(all);
}

/* taping(probes of node and taped function with their sizes, leaf type) -> whether `steps` can be used */
static PyObject *taping(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 5) return fail("taping: expected 5 arguments");
  const long node = PyLong_AsLong(args[1]), taped = PyLong_AsLong(args[3]);
  tape.node = keep((PyObject *)args[0]->type), tape.leaf = keep(args[4]), tape.given = PyTuple_Pack(1, &_Py_TrueStruct);
  tape.busy = PyUnicode_InternFromString("busy"), tape.segment = PyUnicode_InternFromString("segment"),
  tape.journal = PyUnicode_InternFromString("journal");
  s_order = PyUnicode_InternFromString("order"), s_taped = PyUnicode_InternFromString("taped"),
  s_count = PyUnicode_InternFromString("count");
  on.edges = offset_of(args[0], node, "edges"), on.hooks = offset_of(args[0], node, "hooks"),
  on.operands = offset_of(args[0], node, "operands");
  on.order = offset_of(args[0], node, "order"), on.taped = offset_of(args[0], node, "taped"),
  on.values = offset_of(args[0], node, "values");
  on.sources = offset_of(args[2], taped, "sources"), on.count = offset_of(args[2], taped, "count"),
  on.varies = offset_of(args[2], taped, "varies");
  long all = 1;
  for (unsigned i = 0; i < sizeof on / sizeof(long); i++) all = all && ((long *)&on)[i];
  return PyLong_FromLong(all);
}

/* recording(ndarray type, tokens of float, int, bool, probes of segment, node, aval, literal with their sizes) ->
 * whether `bind` can be used */
static PyObject *recording(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 12) return fail("recording: expected 12 arguments");
  known.ndarray = keep(args[0]), known.float_token = keep(args[1]), known.int_token = keep(args[2]),
  known.bool_token = keep(args[3]);
  PyObject *segment = args[4], *node = args[6], *aval = args[8], *literal = args[10];
  long size[5];
  for (int i = 1; i < 5; i++) size[i] = PyLong_AsLong(args[3 + 2 * i]);
  known.literal = keep((PyObject *)literal->type);
  at.node = offset_of(segment, size[1], "node"), at.base = offset_of(segment, size[1], "base"),
  at.values = offset_of(segment, size[1], "values");
  at.children = offset_of(node, size[2], "children"), at.over = offset_of(node, size[2], "over"),
  at.first = offset_of(node, size[2], "first");
  at.out_avals = offset_of(node, size[2], "out_avals"), at.info = offset_of(node, size[2], "info"),
  at.token = offset_of(aval, size[3], "token");
  at.number = offset_of(literal, size[4], "number"), at.literal_aval = offset_of(literal, size[4], "aval");
  long all = 1;
  for (unsigned i = 0; i < sizeof at / sizeof(long); i++) all = all && ((long *)&at)[i];
  return PyLong_FromLong(all);
}

static PyMethodDef methods[] = {
    {"load", (void *)load, METH_O, 0},
    {"products", (void *)products, METH_FASTCALL, 0},
    {"arrays", (void *)learn_arrays, METH_FASTCALL, 0},
    {"bind", (void *)bind, METH_FASTCALL, 0},
    {"recording", (void *)recording, METH_FASTCALL, 0},
    {"held", (void *)held, METH_FASTCALL, 0},
    {"prune", (void *)prune, METH_O, 0},
    {"rows", (void *)rows, METH_FASTCALL, 0},
    {"within", (void *)within, METH_FASTCALL, 0},
    {"steps", (void *)steps, METH_FASTCALL, 0},
    {"taping", (void *)taping, METH_FASTCALL, 0},
    {"follow", (void *)follow, METH_FASTCALL, 0},
    {"following", (void *)following, METH_FASTCALL, 0},
    {"apply", (void *)apply, METH_FASTCALL, 0},
    {"change", (void *)change, METH_FASTCALL, 0},
    {"ways", (void *)learn_ways, METH_FASTCALL, 0},
    {"method", (void *)make_method, METH_FASTCALL, 0},
    {"copied", (void *)copied, METH_FASTCALL, 0},
    {"see", (void *)see, METH_FASTCALL, 0},
    {"tensors", (void *)tensors, METH_FASTCALL, 0},
    {"put", (void *)put_all, METH_FASTCALL, 0},
    {"program", (void *)make_program, METH_FASTCALL, 0},
    {"set_threads", (void *)set_threads, METH_O, 0},
    {0, 0, 0, 0},
};
static PyModuleDef module = {.base = {.base = {.refcount = 1}}, .name = "fdl_native", .size = -1, .methods = methods};

__attribute__((visibility("default"))) PyObject *PyInit_fdl_native(void) {
  static PyType_Slot slots[] = {{Py_tp_dealloc, (void *)buffer_dealloc}, {Py_bf_getbuffer, (void *)buffer_get}, {0, 0}};
  static PyType_Spec spec = {"fdl_native.Buffer", sizeof(Buffer), 0, 0, slots};
  PyObject *m = PyModule_Create2(&module, 1013);
  if (!m) return 0;
  BufferType = (PyTypeObject *)PyType_FromSpec(&spec);
  s_aval = PyUnicode_InternFromString("aval");
  s_data = PyUnicode_InternFromString("_data");
  s_mark = PyUnicode_InternFromString("_mark");
  no_mark = PyLong_FromLong(0);
  if (!BufferType || PyModule_AddObject(m, "Buffer", keep((PyObject *)BufferType))) return 0;
  pthread_atfork(0, 0, after_fork);
  return m;
}
