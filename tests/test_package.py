"""Rules of the code base: imports, a test file a module, documentation.

Rooms import one way, frameworks stay in one room, and what is private to
Keras and KerasHub stays unused but for the registry of presets.
"""

import ast
import inspect
import pathlib

import pytest

import keras_electra

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "keras_electra"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]
BACKENDS = {"tensorflow", "tensorflow_text", "torch", "jax", "flax"}
BACKEND_ROOM = "keras_electra.backend"
# The rooms that each room may import from, besides itself.
MAY_IMPORT = {
    "text": {"model"},
    "backend": {"model", "training", "pretraining"},
    "model": set(),
    "data": {"text"},
    "training": {"model"},
    "pretraining": {"text", "data", "model", "training"},
    "tasks": {"text", "model", "training"},
    "conversion": {"text", "model"},
    # The harnesses, which stand on everything but pre-training.
    "finetuning": {"text", "model", "training", "tasks"},
}
# Called by Keras when it saves and loads, not by users.
HOOKS = {"save_assets", "load_assets"}


def imports(path):
    """Pairs of an imported name, `a.b.c`, and whether it is lazy."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            inside |= set(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            for alias in node.names:
                assert alias.name != "*", f"star import in {path}"
                yield f"{node.module}.{alias.name}", node in inside


def attributes(path):
    """All dotted names in the code, as far as they start with a name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def begins(name, prefix):
    return name == prefix or name.startswith(f"{prefix}.")


def room_of(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_frameworks_stay_in_one_room(path):
    if path.parent == PACKAGE / "backend":
        return
    used = [name for name, _ in imports(path)]
    assert not [name for name in used if name.split(".")[0] in BACKENDS]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_private_parts_of_keras_stay_unused(path):
    used = {name for name, _ in imports(path)} | set(attributes(path))
    assert not [name for name in used if begins(name, "keras.src")]
    if path != PACKAGE / "presets.py":
        assert not [name for name in used if begins(name, "keras_hub.src")]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_rooms_import_one_way(path):
    room = room_of(path)
    if room in {None, "hub"}:  # the hub is used by all and uses all
        return
    for name, lazy in imports(path):
        if not begins(name, "keras_electra"):
            continue
        if begins(name, BACKEND_ROOM) and (lazy or room == "pretraining"):
            continue
        target = name.split(".")[1]
        if target in {room, "hub", "arguments"}:
            continue
        assert target in MAY_IMPORT[room], name
        if room == "text":
            assert begins(name, "keras_electra.model.backbone"), name


def public_names():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    return [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


@pytest.mark.parametrize("name", public_names())
def test_public_names_are_documented(name):
    value = getattr(keras_electra, name)
    assert value.__doc__
    assert "Args:" in value.__doc__ or "Attributes:" in value.__doc__
    assert inspect.getmodule(value).__name__.startswith("keras_electra.")
    if not inspect.isclass(value):
        return
    for attribute, member in vars(value).items():
        function = getattr(member, "__func__", member)
        if attribute.startswith("_") or attribute in HOOKS:
            continue
        if not inspect.isfunction(function):
            continue
        inherited = any(hasattr(base, attribute) for base in value.__mro__[1:])
        assert inherited or function.__doc__, f"{name}.{attribute}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_modules_say_what_they_are(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not tree.body
