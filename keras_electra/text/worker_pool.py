"""Calls a function in other processes; see `worker.py` for what they are."""

import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from keras_electra.text import worker


class WorkerPool:
    """A context manager: processes that wait for calls of one function.

    Each process has a thread here that talks to it.

    Args:
        function: picklable callable of one argument. Its results must be
            picklable and no str.
        num_processes: int.
    """

    def __init__(self, function, num_processes):
        self._setup = pickle.dumps(sys.path) + pickle.dumps(function)
        self._threads = ThreadPoolExecutor(num_processes)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._processes = []
        self._is_closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self._lock:
            self._is_closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                try:
                    pipe.close()
                except OSError:  # what was not sent yet has no reader
                    pass

    def submit(self, argument):
        """Call the function in the next free process.

        Args:
            argument: what to call it with, picklable.

        Returns:
            `concurrent.futures.Future` of its result. Its exception is a
            `RuntimeError` if the function failed or the process ended.
        """
        return self._threads.submit(self._call, argument)

    def _call(self, argument):
        process = getattr(self._local, "process", None)
        try:
            if process is None:
                process = self._local.process = self._start()
            pickle.dump(argument, process.stdin, protocol=5)
            process.stdin.flush()
            reply = pickle.load(process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            raise RuntimeError(
                "A worker process ended before its work was done, with exit "
                f"code {process.wait()}. -9 often means that memory ran out: "
                "use a smaller `num_processes`."
            ) from error
        if isinstance(reply, str):
            raise RuntimeError(f"A worker process failed:\n{reply}")
        return reply

    def _start(self):
        with self._lock:
            if self._is_closed:
                raise RuntimeError("The processes have been ended.")
            process = subprocess.Popen(
                [sys.executable, "-P", worker.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._processes.append(process)
        self._local.process = process
        process.stdin.write(self._setup)
        return process
