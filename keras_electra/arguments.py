"""Checks of arguments that every room shares.

A keyword that nobody knows is an error which names the closest known one:
`**kwargs` that are passed on may reach code that ignores them.
"""

import difflib
import functools
import inspect
import numbers
import operator
import os
import pathlib
import re
import sys
import time
from typing import Any

import keras

# What every layer and model of Keras and KerasHub takes.
LAYER_KEYWORDS = ("name", "dtype", "trainable", "config_file")
LIMITS = {
    "at_least": (">=", operator.ge),
    "above": (">", operator.gt),
    "at_most": ("<=", operator.le),
    "below": ("<", operator.lt),
}


def known_keywords(*others: Any) -> Any:
    """Decorates a function: a `TypeError` for keywords that nobody knows.

    Args:
        *others: names (str) that `**kwargs` of the function may hold beside
            its own arguments, or functions whose parameters it may hold.
    """

    def decorate(function):
        known = {o for o in others if isinstance(o, str)}
        for each in (function, *(o for o in others if o not in known)):
            known.update(getattr(each, "keywords", 0) or keyword_names(each))
        return _checked(function, known)

    return decorate


def _checked(function, known=None):
    """The function, checked; by default a constructor, whose class decides."""

    @functools.wraps(function)
    def checked(*args, **kwargs):
        if known is None:
            cls = type(args[0])
            reject_unknown(cls.__name__, kwargs, constructor_keywords(cls))
        else:
            reject_unknown(function.__qualname__, kwargs, known)
        return function(*args, **kwargs)

    # Keras asks for the signature in a way that sees no `__wrapped__`.
    checked.__signature__ = inspect.signature(function)
    checked.keywords = known
    return checked


def with_named_keywords(value: Any) -> Any:
    """A public function, or a class (in place), with `known_keywords`.

    Of a class: of what this package wrote and does not override. A constructor
    takes what those of all bases take, Keras' included, and `LAYER_KEYWORDS`.
    """
    if not inspect.isclass(value):
        return value if hasattr(value, "keywords") else known_keywords()(value)
    ours = [b for b in value.__mro__ if "keras_electra." in b.__module__]
    foreign = next(b for b in value.__mro__ if b not in ours)
    for base in ours:
        for name, member in list(vars(base).items()):
            function = getattr(member, "__func__", member)
            is_function = inspect.isfunction(function)
            if not is_function or hasattr(function, "keywords"):
                continue
            is_new = not name.startswith("_") and not hasattr(foreign, name)
            if is_new or name == "__init__":
                check = known_keywords() if is_new else _checked
                # A class method stays one.
                kind = type(member) if function is not member else lambda f: f
                setattr(base, name, kind(check(function)))
    return value


@functools.cache
def constructor_keywords(cls: Any) -> Any:
    """Names of what the constructors of a class and of its bases take."""
    known = set(LAYER_KEYWORDS)
    for base in cls.__mro__:
        if "__init__" in vars(base):
            known.update(keyword_names(base.__init__))
    return known


def keyword_names(function: Any) -> list[Any]:
    """Names of the parameters of a function that can be given by name."""
    return [
        name
        for name, p in inspect.signature(function).parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and name not in ("self", "cls")
    ]


class KeepsArguments:
    """Has the arguments of its constructor as attributes and configuration.

    Mixed in before Keras' class. `unsaved` are those not to be configured.
    """

    unsaved: tuple[str, ...] = ()

    def keep_arguments(self, values: dict[str, object]) -> None:
        """Sets what `values`, the constructor's `locals()`, has of them."""
        for name in keyword_names(values["__class__"].__init__):
            setattr(self, name, values[name])

    def get_config(self) -> dict[str, object]:
        names = keyword_names(type(self).__init__)
        own = {n: getattr(self, n) for n in names if n not in self.unsaved}
        return {**super().get_config(), **own}


def reject_unknown(where: Any, given: Any, known: Any) -> None:
    """Raises a `TypeError` for names `given` to `where` that are not known."""
    for name in (name for name in given if name not in known):
        where = where.removesuffix(".__init__")
        advice = f"It takes: {', '.join(sorted(known))}."
        for close in difflib.get_close_matches(name, known, 1, cutoff=0.4):
            advice = f"Did you mean `{close}`?"
        raise TypeError(f"`{where}` has no argument `{name}`. {advice}")


def check_option(name: str, value: Any, options: Any) -> None:
    """Raises a `ValueError` unless `value` is one of `options`."""
    if value not in [*options]:  # which need not be hashable
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, options))}. "
            f"Received: {name}={value!r}."
        )


def check_count(name: str, value: Any, at_least: Any = 1) -> None:
    """Raises a `ValueError` unless `value` is an integer of some size."""
    is_whole = isinstance(value, numbers.Integral)
    if not is_whole or isinstance(value, bool) or value < at_least:
        raise ValueError(
            f"`{name}` must be an integer of at least {at_least}. "
            f"Received: {name}={value!r}."
        )


def check_number(name: str, value: Any, **limits: Any) -> None:
    """Raises a `ValueError` unless `value` is a number within the `LIMITS`."""
    try:
        good = all(LIMITS[k][1](value, limit) for k, limit in limits.items())
    except TypeError:
        good = False
    if not good:
        signs = [f"{LIMITS[k][0]} {limit}" for k, limit in limits.items()]
        raise ValueError(
            f"`{name}` must be a number {' and '.join(signs)}. "
            f"Received: {name}={value!r}."
        )


def check_sizes(sizes: Any, stored: Any, source: Any) -> None:
    """Checks sizes of a network (dict) before it is built, which they break.

    `source` holds `stored` numbers as weights: of more, nothing is built.
    """
    names = "hidden_dim", "intermediate_dim", "num_layers", "embedding_dim"
    tables = "vocabulary_size", "max_sequence_length", "num_segments"
    for name in (*names, *tables, "num_heads"):
        check_count(f"{name} of {source}", sizes.get(name))
    hidden, inner, layers, width = (sizes[name] for name in names)
    needed = layers * hidden * (4 * hidden + 2 * inner)
    needed += sum(sizes[name] for name in tables) * width
    if needed > 2 * stored:  # what is less wrong is said in more detail
        raise ValueError(
            f"The configuration of {source} means {needed:.3g} weights and "
            f"more, but its files hold {stored:.3g} at most. Get both again."
        )


def local_folder(name: str, path: Any) -> Any:
    """The absolute `Path` of a folder; a `ValueError` if it is an address."""
    # A `Path` has lost one slash; one letter alone is a drive of Windows.
    if re.match(r"[\w+.:-]+\w:/", os.fspath(path)):
        raise ValueError(
            f"`{name}` must be a local folder; copy it afterwards, or call "
            f"`upload_preset`. Received: {name}={os.fspath(path)!r}."
        )
    return pathlib.Path(os.path.abspath(os.path.expanduser(path)))


def shows_progress() -> bool:
    """Whether somebody watches: a terminal, and Keras may write to it."""
    interactive = keras.config.is_interactive_logging_enabled()
    return interactive and sys.stdout.isatty()


def progress(items: Any, total: int, shows: bool = True) -> Any:
    """Yields `items`; after 3 seconds, in a terminal, a bar says how many."""
    start, bar = time.monotonic(), keras.utils.Progbar(total)
    shows = shows and shows_progress()
    for count, item in enumerate(items, 1):
        yield item
        if shows and time.monotonic() > start + 3:
            bar.update(count)
