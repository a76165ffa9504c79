"""Meta-tests: the rules that keep the house in shape."""

import ast
import doctest
import importlib
import inspect
import io
import re
import tokenize

import pytest

import fdl
from fdl import extend
from fdl.core.array import Array, ConcreteArray
from fdl.core.primitive import REGISTRY
from fdl.core.trace import Tracer
from fdl.lowering.ir import spellings
from fdl.lowering.pipeline import COMPOSING, STEPS
from fdl.ops.sample import Sample
from fdl.passes import PASSES
from fdl.passes.checks import lift_checks
from tests.conftest import ROOT

FOLDERS = {
    "core": "fdl/core",
    "ops": "fdl/ops",
    "passes": "fdl/passes",
    "lowering": "lowering",
    "backends": "backends",
    "transforms": "transforms",
    "stateful": "stateful",
}
FLOOR = ["core", "ops", "passes", "lowering", "backends", "transforms", "user", "stateful"]
SOURCES = sorted(
    p for folder in ("fdl", "transforms", "lowering", "backends", "stateful") for p in (ROOT / folder).rglob("*.py")
)


def floor_of(path):
    relative = path.relative_to(ROOT).as_posix()
    return next((name for name, folder in FOLDERS.items() if relative.startswith(folder + "/")), "user")


def floor_of_module(module):
    part = module.split(".")[1] if "." in module else "user"
    return part if part in FOLDERS else "user"


def code_lines(path):
    """Lines with code: docstrings, comments and blank lines not counted."""
    text = path.read_text()
    tree = ast.parse(text)
    docs = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                docs.update(range(first.lineno, first.end_lineno + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (
            tokenize.COMMENT,
            tokenize.NL,
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
            tokenize.ENDMARKER,
        ):
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - docs


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path):
    own = FLOOR.index(floor_of(path))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fdl":
            assert (
                node.module != "fdl"
                or path.name == "__init__.py"
                or floor_of(path) == "stateful"
                or all(a.name in ("ops", "lax", "nn") or a.name in FOLDERS for a in node.names)
            ), f"{path} imports the facade"
            module = node.module if node.module != "fdl" else f"fdl.{node.names[0].name}"
            assert FLOOR.index(floor_of_module(module)) <= own, f"{path} imports {module}"


INSIDE = {"backends", "core", "lowering", "testing", "transforms"}  # modules of the facade that are no face for users
FACE = {"fdl", "fdl.numpy.linalg", *(f"fdl.{name}" for name in fdl._MODULES if name not in INSIDE)}


def imported(tree):
    """Each import of the package: (line, module, names), where no names stand for the module itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fdl":
            yield node.lineno, node.module, [a.name for a in node.names]
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, a.name, []) for a in node.names if a.name.split(".")[0] == "fdl")


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if floor_of(p) == "stateful"], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_the_stateful_face_stands_on_extend_and_the_functional_face(path):
    for line, module, names in imported(ast.parse(path.read_text())):
        if module.startswith("fdl.stateful") or (module == "fdl" and names == ["stateful"]):
            continue
        assert module in FACE, f"{path}:{line} imports {module}"
        hidden = set(names) - set(importlib.import_module(module).__all__)
        hidden -= {name for name in hidden if f"{module}.{name}" in FACE}
        assert not hidden, f"{path}:{line} takes {hidden} from {module}"


def dotted(path):
    """The name of the module in a file, as it is imported."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return name if name.split(".")[0] == "fdl" else f"fdl.{name}"


def imports_between_folders():
    """{folder: {folder it imports from: an import that does}}, a folder being a package without its sub-packages.

    A package's `__init__` may import from folders inside of the package, which is how `import package` brings them:
    it is the top of the package, whatever lies below. In return nothing inside of a package takes a name from that
    `__init__`, so that no circle is hidden there.
    """
    files = {dotted(path): path for path in SOURCES}

    def folder(module):
        parent = module.rpartition(".")[0]
        # `target` is the floor of the compiler and `pipeline` its roof, with all its folders between them
        return module if files[module].name == "__init__.py" or parent == "fdl.lowering" else parent

    found = {}
    for module, path in files.items():
        for line, source, names in imported(ast.parse(path.read_text())):
            for target in [f"{source}.{name}" for name in names] or [source]:
                target = target if target in files else source
                place = f"{path.relative_to(ROOT)}:{line}"
                inside = module.startswith(f"{target}.") and files[target].name == "__init__.py"
                assert not inside or target == "fdl", f"{place} takes names from the package that it is in"
                is_top = path.name == "__init__.py" and target.startswith(f"{module}.")
                if folder(target) != folder(module) and not is_top:
                    found.setdefault(folder(module), {})[folder(target)] = place
    return found


def test_type_checkers_see_what_the_facade_hands_out():
    tree = ast.parse((ROOT / "fdl" / "__init__.py").read_text())
    (block,) = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "_TYPE_CHECKING"]
    seen = {a.asname for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    seen |= {n.id for n in ast.walk(block) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)} | {"__version__"}
    assert seen == set(fdl.__all__) - own - {"stateful"}
    assert all(
        fdl._WHERE.get(name) == n.module
        for n in block.body
        if isinstance(n, ast.ImportFrom)
        for name in (a.asname for a in n.names)
        if n.module != "fdl"
    )


def circle_in(graph):
    """Nodes of a circle in {node: successors}, in its order; None where there is none."""
    done, way = set(), []

    def visit(node):
        if node in way:
            return way[way.index(node) :]
        if node in done:
            return None
        way.append(node)
        found = next((circle for other in graph.get(node, ()) if (circle := visit(other))), None)
        way.pop()
        done.add(node)
        return found

    return next((circle for node in graph if (circle := visit(node))), None)


def test_folders_import_each_other_in_no_circle():
    graph = imports_between_folders()
    circle = circle_in(graph)
    assert circle is None, [graph[a][b] for a, b in zip(circle, [*circle[1:], circle[0]], strict=True)]


def test_the_search_for_circles_finds_them():
    assert circle_in({"a": ["b", "c"], "b": ["d"], "c": ["d"]}) is None
    assert circle_in({"a": ["b"], "b": ["c", "d"], "d": ["e"], "e": ["b"]}) == ["b", "d", "e"]


def test_extend_exports_what_is_used_and_said():
    """What a library on top needs: nothing that `stateful` does not use, nothing without a word on what it is."""
    taken = {
        name
        for path in SOURCES
        if floor_of(path) == "stateful"
        for _, module, names in imported(ast.parse(path.read_text()))
        if module == "fdl.extend"
        for name in names
    }
    assert taken == set(extend.__all__)
    silent = [name for name in extend.__all__ if not (getattr(extend, name).__doc__ or "").strip()]
    assert not silent, silent
    unsaid = [name for name in extend.__all__ if f"`{name}`" not in extend.__doc__ and not name.endswith("Error")]
    assert not unsaid, unsaid


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p != ROOT / "fdl" / "__init__.py"], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_no_import_hides_in_a_function(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            for inner in ast.walk(node):
                assert not (isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("fdl")), (
                    f"{path}:{inner.lineno}"
                )


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_files_and_functions_are_short(path):
    lines = code_lines(path)
    assert len(lines) <= 500, f"{path} has {len(lines)} code lines"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            inside = lines & set(range(node.lineno, node.end_lineno + 1))
            assert len(inside) <= 60, f"{path}: {node.name} has {len(inside)} code lines"


def test_budgets():
    def total(*folders, without=()):
        return sum(
            len(code_lines(p))
            for p in SOURCES
            if any(p.is_relative_to(ROOT / f) for f in folders) and not any(p.is_relative_to(ROOT / w) for w in without)
        )

    assert total("fdl/core", "transforms", without=("transforms/control", "transforms/lazy", "transforms/tape")) <= 3636
    assert total("transforms/control") <= 1183
    assert total("transforms/lazy") <= 915
    assert total("transforms/tape") <= 465
    assert total("lowering", without=("lowering/emit/device", "lowering/emit/cuda", "lowering/emit/metal")) <= 4729
    assert total("lowering/emit/device", "lowering/emit/cuda", "lowering/emit/metal") <= 700


def test_numbers_of_a_machine_stand_in_its_target():
    """No constant of a schedule step, a plan or an emitter: what a move pays is asked of the target."""
    # step counters that programs have to spare; a word for "whatever the number of threads"
    kept = {("tile", "_COUNTERS"), ("barriers", "ALWAYS")}
    for folder in ("schedule", "plan", "emit"):
        for path in (ROOT / "lowering" / folder).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Assign) and any(
                    isinstance(n, ast.Constant) and type(n.value) in (int, float) for n in ast.walk(node.value)
                ):
                    assert (path.stem, ast.unparse(node.targets[0])) in kept, f"{path}:{node.lineno}"


NEEDED = {"shape", "batch", "lower", "samples"}
EXEMPT = {
    "custom_linear": {"batch", "lower", "impl", "jvp"},  # exists between linearize and transpose alone
}


@pytest.mark.parametrize("primitive", REGISTRY.values(), ids=lambda p: p.name)
def test_rules_are_complete(primitive):
    missing = {kind for kind in NEEDED | {"impl", "jvp"} if not primitive.has(kind)}
    if primitive.has("parts"):  # what is of complex numbers alone has no text of its own
        missing -= {"lower"}
    assert missing <= EXEMPT.get(primitive.name, set()), f"{primitive} lacks {missing}"
    samples = primitive.rule("samples")
    assert all(isinstance(s, Sample) for s in samples)
    special = primitive.has("evaluate") or primitive.name in (
        "check",
        "cond",
        "scan",
        "while",
        "psum",
        "all_gather",
        "axis_index",
        "custom_linear",
    )
    assert samples or special, f"{primitive} has no samples"


def test_every_elementwise_operation_is_spelled():
    rows = [
        p
        for p in REGISTRY.values()
        if p.has("lower") and "elementwise.<locals>" in getattr(p.rule("lower"), "__qualname__", "")
    ]
    assert len(rows) > 40
    for p in rows:
        assert any(key.split(":")[0] == p.name for key in spellings.C), f"{p} has no spelling"


def public_objects():
    for part in ("lax", "nn", "numpy", "optim", "random", "testing", "transforms", "tree", "inspection"):
        module = importlib.import_module(f"fdl.{part}")
        for name in getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")]):
            value = getattr(module, name)
            if inspect.isfunction(value) and value.__module__.startswith("fdl"):
                yield f"fdl.{part}.{name}", value


def test_public_functions_have_docstrings_with_examples():
    without = [name for name, value in public_objects() if not (value.__doc__ or "").strip()]
    assert not without, without
    rows = {"fdl.ops.elementwise"}  # one-line rows share their example in the README
    no_example = [
        name for name, value in public_objects() if ">>>" not in value.__doc__ and value.__module__ not in rows
    ]
    assert not no_example, "\n".join(no_example)


@pytest.mark.parametrize("step", dict.fromkeys([*PASSES, lift_checks, *STEPS, *COMPOSING]), ids=lambda f: f.__name__)
def test_each_step_shows_a_program_before_and_after(step):
    """Its docstring prints the smallest program that it changes, and what it makes of it."""
    shown = [e for e in doctest.DocTestParser().get_examples(step.__doc__) if e.source.startswith("print(")]
    assert len(shown) >= 2, f"{step.__name__} shows {len(shown)} programs"
    before, *_, after = [" ".join(e.want.split()) for e in shown]
    kind = "graph (" if step in (*PASSES, lift_checks) else "program ("
    assert before.startswith(kind) and after.startswith(kind)
    assert before != after, f"{step.__name__} changes nothing"
    assert step.__name__ in shown[-1].source


def untyped_results(text):
    """Lines of functions whose result is `Any`: (line, whether a comment there says why)."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and isinstance(node.returns, ast.Name) and node.returns.id == "Any":
            yield node.returns.lineno, bool(re.search(r"-> Any:  # (?!fmt|noqa|type)", lines[node.returns.lineno - 1]))


def test_results_of_public_functions_and_operations_have_types():
    found = [
        (f"{path.relative_to(ROOT)}:{line}", said)
        for folder in ("*.py", "ops/*.py", "numpy/*.py", "nn/*.py")
        for path in (ROOT / "fdl").glob(folder)
        for line, said in untyped_results(path.read_text())
    ]
    assert all(said for _, said in found), [place for place, said in found if not said]
    assert len(found) <= 10, found


def test_the_search_for_untyped_results_finds_them():
    text = (
        "def f(\n    x\n) -> Any:  # fmt: skip\n    ...\ndef g(x: Any) -> Any:  # a ufunc's\n    ...\n"
        "def h(x: Any) -> list[Any]:\n    def i() -> Any: ...\n"
    )
    assert sorted(untyped_results(text)) == [(3, False), (5, True), (8, False)]


def test_adding_an_elementwise_operation_is_one_section_and_one_spelling():
    """No other file of the package names an elementwise operation that could be left out."""
    homes = ("elementary.py", "elementwise.py", "spellings.py")
    for name in ("logistic", "expm1", "atan2"):
        users = [
            p.relative_to(ROOT).as_posix()
            for p in SOURCES
            if f'"{name}"' in p.read_text() and p.name not in homes and "__all__" not in p.read_text()
        ]
        assert not users, (name, users)


def test_nothing_apologises():
    words = ("TO" + "DO", "FIX" + "ME", "HA" + "CK", "XX" + "X")
    for path in SOURCES:
        assert not any(word in path.read_text() for word in words), path


CONCRETE = {n for n in dir(ConcreteArray) if not hasattr(Array, n) and not hasattr(Tracer, n)} | {
    "_numpy",
    *ConcreteArray.__slots__,
} - {"aval"}


def mistaken_for_concrete(tree):
    """Lines where `Array`, which tracers are too, is made, compared with a type, or asked for before a
    value is read.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Array":
            yield node.lineno
        if (
            isinstance(node, ast.Compare)
            and isinstance(node.left, ast.Call)
            and isinstance(node.left.func, ast.Name)
            and node.left.func.id == "type"
        ):
            yield from (c.lineno for c in node.comparators if isinstance(c, ast.Name) and c.id == "Array")
        if not isinstance(node, (ast.If, ast.IfExp)):
            continue
        tests = [
            c
            for c in ast.walk(node.test)
            if isinstance(c, ast.Call) and isinstance(c.func, ast.Name) and c.func.id == "isinstance"
        ]
        asked = {
            ast.unparse(c.args[0])
            for c in tests
            if any(isinstance(n, ast.Name) and n.id == "Array" for n in ast.walk(c.args[1]))
        }
        body = node.body if isinstance(node.body, list) else [node.body]
        for inner in (n for part in [*body, node.test] for n in ast.walk(part)):
            if isinstance(inner, ast.Attribute) and inner.attr in CONCRETE and ast.unparse(inner.value) in asked:
                yield inner.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_a_concrete_array_is_asked_for_its_values(path):
    assert list(mistaken_for_concrete(ast.parse(path.read_text()))) == []


def test_the_search_for_mistaken_arrays_finds_them():
    text = (
        "if isinstance(x, (Array, int)):\n    y = x._data\nz = x._numpy() if isinstance(x, "
        "Array) else x\nArray(a, b)\ntype(x) is Array\n"
    )
    assert sorted(mistaken_for_concrete(ast.parse(text))) == [2, 3, 4, 5]
