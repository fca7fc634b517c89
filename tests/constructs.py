"""Finds what could run data as code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
CALLS = {
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "yaml.load", "yaml.unsafe_load", "eval", "exec", "torch.load",
}  # fmt: skip
NUMPY_LOADS = {"np.load", "numpy.load"}
YAMLS = {"YAML", "ruamel.yaml.YAML"}


def forbidden_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of every forbidden import and call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
            for name in names:
                if name.partition(".")[0] in MODULES or name in CALLS:
                    yield node.lineno, name
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CALLS or _runs_code(called, node):
                yield node.lineno, called


def _runs_code(called: str, call: ast.Call) -> bool:
    words = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if called in NUMPY_LOADS:
        return words.get("allow_pickle") != "False"
    if called in YAMLS:
        return "unsafe" in ast.unparse(call)
    return words.get("shell", "False") != "False"
