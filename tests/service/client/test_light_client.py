"""The clinic's side stays light: what importing the client loads, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

ALLOWED = {
    "annotated_types", "anyio", "certifi", "cffi", "charset_normalizer", "concrete", "cryptml", "cryptml_client", "cryptography",
    "attr", "attrs", "backports", "dill", "tenacity", "h11", "httpcore", "httpx", "idna", "importlib_metadata", "importlib_resources", "jaraco", "jsonpickle",
    "jsonschema", "jsonschema_specifications", "mlir", "more_itertools", "mpmath", "networkx", "numpy", "packaging", "pkg_resources",
    "platformdirs", "referencing", "rpds", "safetensors", "scipy", "sniffio", "sympy", "tqdm", "typing_extensions",
    "yaml", "z3", "zipp", "autocommand", "inflect", "typeguard", "setuptools", "filelock", "jinja2", "markupsafe", "rich", "pygments",
    "click", "socksio", "h2", "brotli", "zstandard", "trio", "wheel", "tomli", "_distutils_hack", "pandas", "cloudpickle", "httpcore2", "cython_runtime",
}  # fmt: skip
"""`concrete.fhe` brings scipy and its other companions along; everything else is the client's own choice."""

FORBIDDEN = {
    "torch",
    "brevitas",
    "sklearn",
    "onnx",
    "skorch",
    "fastapi",
    "uvicorn",
    "starlette",
    "pydicom",
    "PIL",
    "cryptml_server",
}

PROGRAM = """
import json, sys
before = set(sys.modules)
import cryptml_client, cryptml.images
for name in cryptml_client.__all__:
    getattr(cryptml_client, name)
names = {name for name in set(sys.modules) - before}
print(json.dumps(sorted(names)))
"""


@pytest.fixture(scope="module")
def modules() -> set[str]:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


def test_the_client_loads_nothing_heavy(modules: set[str]) -> None:
    tops = {name.partition(".")[0] for name in modules}
    assert tops & FORBIDDEN == set()
    assert "concrete.ml" not in modules
    assert not {
        name
        for name in modules
        if name.startswith(("cryptml.training", "cryptml.fhe.backends", "cryptml.networks.arch"))
    }


def test_the_list_of_third_parties_is_known(modules: set[str]) -> None:
    tops = {name.partition(".")[0] for name in modules}
    unknown = {
        name
        for name in tops
        if name not in ALLOWED and name not in sys.stdlib_module_names and not name.startswith("_")
    }
    assert unknown == set()
