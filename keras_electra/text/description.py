"""What to record of a build's inputs, to know them again later."""

import hashlib

import fsspec

SPECIAL_TOKENS = ("pad", "unk", "cls", "sep", "mask")
# Settings of every Keras layer or KerasHub tokenizer, without influence on ids.
IRRELEVANT = ("name", "trainable", "config_file", "vocabulary")
SAMPLE_SIZE = 2**16  # bytes, at either end of a file


def describe_tokenizer(tokenizer):
    """Describe a tokenizer.

    Args:
        tokenizer: `ElectraTokenizer`.

    Returns:
        Dict for JSON: `class`, `fingerprint`, `vocabulary_size`,
        `special_token_ids` and `settings`, its config without vocabulary.
    """
    config = tokenizer.get_config()
    plain = (str, int, float, bool, type(None))
    return {
        "class": type(tokenizer).__name__,
        "fingerprint": tokenizer.fingerprint(),
        "vocabulary_size": int(tokenizer.vocabulary_size()),
        "special_token_ids": {
            name: int(getattr(tokenizer, f"{name}_token_id"))
            for name in SPECIAL_TOKENS
        },
        "settings": {
            key: value
            for key, value in config.items()
            if isinstance(value, plain) and key not in IRRELEVANT
        },
    }


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


def tell_tokenizer(description):
    """Describe a tokenizer in words, for errors.

    Args:
        description: dict, of `describe_tokenizer`.

    Returns:
        str.
    """
    settings = ", ".join(
        f"{key}={value!r}" for key, value in description["settings"].items()
    )
    return (
        f"{description['class']}({settings}) with "
        f"{description['vocabulary_size']} tokens and fingerprint "
        f"{description['fingerprint']}"
    )
