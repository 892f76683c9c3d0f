"""A process that tokenizes blocks of text for `WorkerPool`.

Run as a program, it reads from its standard input what to encode with, then
lists of lines, and writes what they become to its standard output, until the
input ends. It is no `multiprocessing` process, so that a script without an
`if __name__ == "__main__"` guard can use it and nothing is forked while the
threads of a backend run. It enters the package without its `__init__`, which
would import Keras and a backend: some seconds and half a gigabyte each time.
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    os.dup2(2, 1)  # whatever prints must not print into the replies
    requests = sys.stdin.buffer
    path, is_light = pickle.load(requests)
    sys.path[:] = path
    if is_light:
        _skip_package_inits()
    function = None
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        except Exception:
            pickle.dump(traceback.format_exc(), replies)
            return
        if function is None:
            function = request
            continue
        try:
            reply = function(request)
        except Exception:
            reply = traceback.format_exc()
        pickle.dump(reply, replies, protocol=5)
        replies.flush()


def _skip_package_inits():
    folder = os.path.dirname(os.path.abspath(__file__))
    for name, path in zip(PACKAGES, (os.path.dirname(folder), folder)):
        package = types.ModuleType(name)
        package.__path__ = [path]
        sys.modules[name] = package


if __name__ == "__main__":
    main()
