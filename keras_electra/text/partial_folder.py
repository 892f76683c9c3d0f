"""A folder that comes into being whole, or not at all.

Work goes on in a folder next to the goal, which stays if it fails or is killed
so that a second try can use what is there. Only one build at a time may use
it; the lock ends with the process that holds it, however that ends.
"""

import contextlib
import errno
import fcntl
import os
import shutil
from typing import NamedTuple

FULL = (errno.ENOSPC, errno.EDQUOT)


class PartialFolder(NamedTuple):
    """Paths to work in.

    Attributes:
        tokens: str, an existing folder. What a second try can use.
        result: str. What becomes the goal.
    """

    tokens: str
    result: str


@contextlib.contextmanager
def partial_folder(output_dir):
    """Make `output_dir` by working in `output_dir + ".partial"`.

    Args:
        output_dir: str, an absolute path. Must not exist or be empty.

    Yields:
        `PartialFolder`. Its `result` is moved to `output_dir` at the end.

    Raises:
        FileExistsError: if another build is in the folder now.
        OSError: if the disk is full, with what to do about it.
    """
    root = output_dir + ".partial"
    folder = PartialFolder(
        os.path.join(root, "tokens"), os.path.join(root, "result")
    )
    try:
        os.makedirs(folder.tokens, exist_ok=True)
        with _lock(os.path.join(root, "lock"), root):
            yield folder
            if os.path.exists(output_dir):
                os.rmdir(output_dir)  # fails unless it is empty
            os.rename(folder.result, output_dir)
            shutil.rmtree(root)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(
            error.errno,
            f"No space left while building {output_dir!r}. What is finished "
            f"stays in {root!r}: make space and do the same call again to go "
            f"on, or remove that folder. ({error})",
        ) from error


@contextlib.contextmanager
def _lock(path, root):
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(
                f"Another build is writing to {root!r}. Wait for it, or "
                "choose another `output_dir`."
            ) from None
        yield
