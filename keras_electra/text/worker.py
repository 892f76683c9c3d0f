"""A process that works for `WorkerPool`.

Run as a program, it reads a function from its standard input and then what to
call it with, and writes what it returns to its standard output, until the
input ends. It is no `multiprocessing` process, so that a script without an
`if __name__ == "__main__"` guard can use it and nothing is forked while the
threads of a backend run. It puts off the `__init__` of this package, which
imports Keras and a backend, until something asks for it: tokenizing does not,
and starts in a fraction of a second and 100 MB.
"""

import os
import pickle
import signal
import sys
import traceback
import types

PACKAGES = ("keras_electra", "keras_electra.text")


def main():
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not print into the replies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    requests = sys.stdin.buffer
    sys.path[:] = pickle.load(requests)
    delay_package_inits()
    function = failure = None
    try:
        function = pickle.load(requests)
    except Exception:
        failure = traceback.format_exc()
    while True:
        try:
            argument = pickle.load(requests)
        except EOFError:
            return
        try:
            reply = failure or function(argument)
        except Exception:
            reply = traceback.format_exc()
        pickle.dump(reply, replies, protocol=5)
        replies.flush()


def delay_package_inits():
    """Let modules of this package be imported without its `__init__`s."""
    folder = os.path.dirname(os.path.abspath(__file__))
    for name, path in zip(PACKAGES, (os.path.dirname(folder), folder)):
        sys.modules[name] = _DelayedPackage(name, path)


class _DelayedPackage(types.ModuleType):
    """A package whose `__init__` runs when a name is missed in it."""

    def __init__(self, name, path):
        super().__init__(name)
        self.__path__ = [path]

    def __getattr__(self, name):
        if name.startswith("__") or "__file__" in self.__dict__:
            raise AttributeError(f"{self.__name__} has no {name}")
        self.__file__ = os.path.join(self.__path__[0], "__init__.py")
        with open(self.__file__, encoding="utf-8") as file:
            code = compile(file.read(), self.__file__, "exec")
        exec(code, self.__dict__)
        return getattr(self, name)


if __name__ == "__main__":
    main()
