"""Checks of arguments that every room shares.

No argument may vanish: a keyword that nobody knows is an error which names the
closest known one. Python's own message does not, and `**kwargs` that are passed
on reach code that may ignore them.
"""

import difflib
import functools
import inspect
import numbers
import operator

# What every layer and model of Keras and KerasHub takes.
LAYER_KEYWORDS = ("name", "dtype", "trainable", "config_file")


def known_keywords(*others):
    """Decorates a function: a `TypeError` for keywords that nobody knows.

    Args:
        *others: names (str) that `**kwargs` of the function may hold beside
            its own arguments, or functions whose parameters it may hold.
    """

    def decorate(function):
        known = set(keyword_names(function))
        for other in others:
            if isinstance(other, str):
                known.add(other)
            else:
                names = getattr(other, "keywords", None)
                known.update(names or keyword_names(other))

        @functools.wraps(function)
        def checked(*args, **kwargs):
            reject_unknown(function.__qualname__, kwargs, known)
            return function(*args, **kwargs)

        # Keras asks for the signature in a way that sees no `__wrapped__`.
        checked.__signature__ = inspect.signature(function)
        checked.keywords = known
        return checked

    return decorate


def with_named_keywords(value):
    """A public function, or a class (in place), with `known_keywords`.

    Of a class this covers what is written in this package and is not an
    override of Keras'. The `**kwargs` of a constructor are those of all
    constructors of its class, Keras' included, and `LAYER_KEYWORDS`; others
    that take `**kwargs` say by `known_keywords` what they take.
    """
    if not inspect.isclass(value):
        return value if _is_checked(value) else known_keywords()(value)
    foreign = next(b for b in value.__mro__ if not _is_ours(b))
    for base in filter(_is_ours, value.__mro__):
        for name, member in list(vars(base).items()):
            function = getattr(member, "__func__", member)
            if not inspect.isfunction(function) or _is_checked(function):
                continue
            if name == "__init__":
                function = _checked_constructor(function)
            elif name.startswith("_") or hasattr(foreign, name):
                continue
            elif not _takes_any(function):
                function = known_keywords()(function)
            if not inspect.isfunction(member):  # a class method stays one
                function = type(member)(function)
            setattr(base, name, function)
    return value


def _checked_constructor(function):
    @functools.wraps(function)
    def checked(self, *args, **kwargs):
        cls = type(self)
        reject_unknown(cls.__name__, kwargs, constructor_keywords(cls))
        function(self, *args, **kwargs)

    checked.__signature__ = inspect.signature(function)
    checked.keywords = None  # they depend on the class
    return checked


@functools.cache
def constructor_keywords(cls):
    """Names of what the constructors of a class and of its bases take."""
    known = set(LAYER_KEYWORDS)
    for base in cls.__mro__:
        if "__init__" in vars(base):
            known.update(keyword_names(base.__init__))
    return known


def _is_ours(cls):
    return cls.__module__.startswith("keras_electra.")


def _is_checked(function):
    return hasattr(function, "keywords")


def _takes_any(function):
    parameters = inspect.signature(function).parameters.values()
    return any(p.kind is p.VAR_KEYWORD for p in parameters)


def keyword_names(function):
    """Names of the parameters of a function that can be given by name."""
    return [
        name
        for name, p in inspect.signature(function).parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and name not in ("self", "cls")
    ]


def reject_unknown(where, given, known):
    """Raises a `TypeError` for names `given` to `where` that are not known."""
    for name in given:
        if name in known:
            continue
        where = where.removesuffix(".__init__")
        advice = f"It takes: {', '.join(sorted(known))}."
        for close in difflib.get_close_matches(name, known, 1, cutoff=0.4):
            advice = f"Did you mean `{close}`?"
        raise TypeError(f"`{where}` has no argument `{name}`. {advice}")


def check_option(name, value, options):
    """Raises a `ValueError` unless `value` is one of `options`."""
    if value not in options:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, options))}. "
            f"Received: {name}={value!r}."
        )


def check_count(name, value, at_least=1):
    """Raises a `ValueError` unless `value` is an integer of some size."""
    is_count = isinstance(value, numbers.Integral)
    is_count = is_count and not isinstance(value, bool)
    if not is_count or value < at_least:
        raise ValueError(
            f"`{name}` must be an integer of at least {at_least}. "
            f"Received: {name}={value!r}."
        )


def check_number(
    name, value, at_least=None, above=None, at_most=None, below=None
):
    """Raises a `ValueError` unless `value` is a number within the limits."""
    limits = [
        (at_least, ">=", operator.ge),
        (above, ">", operator.gt),
        (at_most, "<=", operator.le),
        (below, "<", operator.lt),
    ]
    limits = [limit for limit in limits if limit[0] is not None]
    try:
        good = all(holds(value, limit) for limit, _, holds in limits)
    except TypeError:
        good = False
    if not good:
        expected = " and ".join(f"{sign} {limit}" for limit, sign, _ in limits)
        raise ValueError(
            f"`{name}` must be a number {expected}. Received: {name}={value!r}."
        )
