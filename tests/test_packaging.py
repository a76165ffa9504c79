"""The wheel: pure Python, complete, alone in site-packages, and alive in a fresh environment."""

import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

from tests.conftest import ROOT, module_names


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=False)
    if not (source / "pyproject.toml").exists():
        pytest.skip("no git checkout to build from")
    for path in ("fdl", "transforms", "lowering", "backends", "stateful", "pyproject.toml", "README.md"):
        subprocess.run(["cp", "-rT", str(ROOT / path), str(source / path)], check=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (built,) = folder.glob("fdl-*.whl")
    return built


def test_wheel_is_pure_and_complete(wheel):
    assert wheel.name.endswith("-py3-none-any.whl") and wheel.stat().st_size < 1_500_000
    names = [n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n]
    assert {n.split("/")[0] for n in names} == {"fdl"}
    modules = {n.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for n in names if n.endswith(".py")}
    assert modules == set(module_names())
    data = {
        p.relative_to(ROOT / folder).as_posix(): f"fdl/{folder}"
        for folder in ("lowering", "backends", "transforms", "stateful")
        for p in (ROOT / folder).rglob("*")
        if p.suffix in (".j2", ".h", ".hpp", ".c")
    }
    assert data and all(f"{home}/{name}" in names for name, home in data.items())


def test_wheel_runs_in_a_fresh_environment(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = tmp_path / "env" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    zipfile.ZipFile(wheel).extractall(site)
    for name in ("numpy", "jinja2", "ml_dtypes", "markupsafe"):  # dependencies, without the rest of this environment
        package = sysconfig.get_paths()["purelib"] + "/" + name
        (site / name).symlink_to(package)
    libraries = sysconfig.get_paths()["purelib"] + "/numpy.libs"
    (site / "numpy.libs").symlink_to(libraries)
    code = (
        "import fdl, fdl.numpy as jnp, fdl.transforms; print(fdl.__file__); print(fdl.jit(fdl.grad(lambda x: "
        "jnp.sum(x**3)))(jnp.array([1.0, 2.0])).tolist())"
    )
    env = {"PATH": "/usr/bin:/bin", "FDL_CACHE_DIR": str(tmp_path / "cache")}
    result = subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env, check=False, timeout=300
    )
    assert result.returncode == 0, result.stderr
    where, values = result.stdout.splitlines()
    assert where.startswith(str(site)) and values == "[3.0, 12.0]"


def test_import_is_cheap():
    """`import fdl` loads neither the transforms nor the compiler."""
    code = (
        "import sys, fdl; print([m for m in sys.modules if m.startswith(('fdl.ops', 'fdl.transforms', "
        "'fdl.lowering', 'fdl.backends', 'jinja2'))])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
        ).stdout.strip()
        == "[]"
    )
