"""What to record of a build's files, to know them again later."""

import hashlib

import fsspec

SAMPLE_SIZE = 2**16  # bytes, at either end of a file


def describe_file(path):
    """Describe a file: name, size, digest of its beginning and end.

    Reading all of a corpus would take as long as building from it; a change
    in the middle that leaves the size as it is goes unnoticed.

    Args:
        path: str, local or any `fsspec` address.

    Returns:
        Dict for JSON: `file`, `bytes` and `digest`.
    """
    filesystem, name = fsspec.core.url_to_fs(path)
    size = filesystem.size(name) or 0  # some servers do not tell
    digest = hashlib.blake2b(digest_size=8)
    with filesystem.open(name, "rb") as file:
        digest.update(file.read(SAMPLE_SIZE))
        file.seek(max(0, size - SAMPLE_SIZE))
        digest.update(file.read(SAMPLE_SIZE))
    return {"file": path, "bytes": size, "digest": digest.hexdigest()}
