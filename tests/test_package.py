"""Rules of the code base: imports go one way, no argument vanishes."""

import ast
import inspect
import pathlib
import subprocess
import sys

import keras
import pytest

import keras_electra

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "keras_electra"
FRAMEWORKS = {"tensorflow", "tensorflow_text", "torch", "jax", "flax"}
# From bottom to top; a room imports what stands before it, and itself.
# Pre-training and the tasks stand side by side.
ROOMS = [
    "arguments",
    "backend",
    "presets",
    "presets_saving",
    "model",
    "text",
    "data",
    "training",
    "pretraining",
    "tasks",
    "generation",
    "distillation",
    "conversion",
    "__init__",
    "__main__",
]
SIDE_BY_SIDE = {"pretraining", "tasks"}
LONGEST = 320  # lines of a file
# Called by Keras when it saves and loads, not by users.
HOOKS = {"save_assets", "load_assets"}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


PATHS = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {
    name: ast.parse(path.read_text(encoding="utf-8"))
    for name, path in PATHS.items()
}


def imports(name):
    """All names that a module imports, wherever in it, as `a.b.c`."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {name}"
            yield node.module
            for alias in node.names:
                assert alias.name != "*", f"star import in {name}"
                yield f"{node.module}.{alias.name}"


def room_of(name):
    return name.split(".")[1] if "." in name else "__init__"


GRAPH = {
    name: {other for other in imports(name) if other in PATHS} - {name}
    for name in PATHS
}


def test_rooms_import_one_way():
    wrong = []
    for name, others in GRAPH.items():
        room = room_of(name)
        for other in others:
            below = ROOMS.index(room_of(other)) <= ROOMS.index(room)
            beside = {room, room_of(other)} == SIDE_BY_SIDE
            if not below or beside:
                wrong.append(f"{name} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_no_circle_of_imports():
    state = {}

    def visit(name, path):
        if state.get(name) == "done":
            return
        assert name not in path, " -> ".join([*path, name])
        for other in sorted(GRAPH[name]):
            visit(other, [*path, name])
        state[name] = "done"

    for name in GRAPH:
        visit(name, [])


def test_frameworks_stay_in_one_room():
    wrong = [
        f"{name} imports {used}"
        for name in PATHS
        if room_of(name) != "backend"
        for used in imports(name)
        if used.split(".")[0] in FRAMEWORKS
    ]
    assert not wrong, "\n".join(wrong)


def test_private_parts_of_keras_stay_unused():
    wrong = []
    for name, tree in TREES.items():
        used = set(imports(name)) | {
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
        }
        private = ("keras.src",)
        if room_of(name) != "presets":  # names of presets have no other door
            private += ("keras_hub.src",)
        wrong += [f"{name}: {u}" for u in used if u.startswith(private)]
    assert not wrong, "\n".join(wrong)


def test_files_are_short_and_say_what_they_are():
    for name, path in PATHS.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= LONGEST, f"{name} has {lines} lines: two ideas?"
        assert ast.get_docstring(TREES[name]) or not TREES[name].body, name


def functions_of(cls):
    """Public functions of a class that are written in this package."""
    for base in cls.__mro__:
        if not base.__module__.startswith("keras_electra."):
            continue
        for name, member in vars(base).items():
            function = getattr(member, "__func__", member)
            if inspect.isfunction(function) and not name.startswith("_"):
                yield name, function


@pytest.mark.parametrize("name", keras_electra.__all__)
def test_public_names_are_documented(name):
    value = getattr(keras_electra, name)
    assert value.__doc__
    assert "Args:" in value.__doc__ or "Attributes:" in value.__doc__
    assert inspect.getmodule(value).__name__.startswith("keras_electra.")
    if not inspect.isclass(value):
        return
    for attribute, function in functions_of(value):
        inherited = any(hasattr(base, attribute) for base in value.__mro__[1:])
        documented = inherited or function.__doc__ or attribute in HOOKS
        assert documented, f"{name}.{attribute}"


@pytest.mark.parametrize("name", keras_electra.__all__)
def test_no_keyword_vanishes(name):
    """A nonsense keyword is an error that says what was meant."""
    message = "has no argument `nonsense_keyword`"
    value = getattr(keras_electra, name)
    if inspect.isclass(value) and issubclass(value, tuple):
        return  # a result, which users get and do not make
    with pytest.raises(TypeError, match=message):
        value(nonsense_keyword=1)
    if not inspect.isclass(value):
        return
    for attribute, function in functions_of(value):
        # What Keras calls, with arguments that it knows, is not for users.
        ours = not hasattr(keras_electra_base(value), attribute)
        if ours or attribute in ("fit", "evaluate", "predict", "compile"):
            with pytest.raises(TypeError, match=message):
                function(value, nonsense_keyword=1)


def keras_electra_base(cls):
    """The nearest class of Keras that a class derives from."""
    return next(
        base
        for base in cls.__mro__
        if not base.__module__.startswith("keras_electra.")
    )


def test_import_is_light_and_needs_no_fcntl():
    """Beside KerasHub nothing heavy, no warning, nothing of Unix alone."""
    program = (
        "import sys; sys.modules['fcntl'] = None; import keras_hub; "
        "import warnings; warnings.simplefilter('error'); "
        "before = set(sys.modules); import keras_electra; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before}; "
        "print(*sorted(new - set(sys.stdlib_module_names)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    light = {"keras_electra", "fsspec", "safetensors", "filelock"}
    assert set(process.stdout.split()) <= light | {keras.config.backend()}
