"""Tokenizers as transformers and the original write them.

`tokenizer.json` holds everything; older checkpoints have `vocab.txt` and
`tokenizer_config.json`. Google's TF1 checkpoints have a bare `vocab.txt`, and
whether text is lowered is seen from the vocabulary.
"""

import json

from keras_electra.text.tokenizer import ElectraTokenizer
from keras_electra.text.vocabulary_file import SPECIAL_TOKENS
from keras_electra.text.vocabulary_file import read_vocabulary
from keras_electra.text.vocabulary_file import write_vocabulary

VOCABULARY = "vocab.txt"
TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"


def read_tokenizer(find, source, lowercase_unless_said=True, **kwargs):
    """Builds the tokenizer of a checkpoint.

    Args:
        find: function from a file name to its local path or `None`.
        source: string. What to call the checkpoint in messages.
        lowercase_unless_said: bool or `None`. What holds where no file says
            it; `None` means what the vocabulary suggests. Defaults to `True`,
            as in transformers.
        **kwargs: arguments of the tokenizer, in place of what the files say.

    Returns:
        An `ElectraTokenizer`, or `None` when there is no vocabulary.

    Raises:
        ValueError: when it is not a WordPiece tokenizer of BERT's kind, or
            the files contradict one another.
    """
    settings = {}
    tokens = None
    full, plain = find(TOKENIZER), find(VOCABULARY)
    if full is not None:
        tokens, settings = _read_full(_json(full), source)
    if plain is not None:
        listed = read_vocabulary(str(plain))
        if tokens is not None and listed != tokens[: len(listed)]:
            raise ValueError(
                f"{source} has two vocabularies that differ: {TOKENIZER} of "
                f"{len(tokens)} entries and {VOCABULARY} of {len(listed)}. "
                "Remove the one that the network was not trained with."
            )
        tokens = tokens or listed
    if tokens is None:
        return None
    config = find(CONFIG)
    if config is not None:
        settings.update(_settings_of_config(_json(config)))
    if "lowercase" not in settings:
        settings["lowercase"] = lowercase_unless_said
        if lowercase_unless_said is None:
            settings["lowercase"] = not _has_capitals(tokens)
    return ElectraTokenizer(tokens, **{**settings, **kwargs})


def write_tokenizer(tokenizer, folder, max_sequence_length):
    """Writes a tokenizer so that transformers opens it.

    Args:
        tokenizer: `ElectraTokenizer`.
        folder: `Path` of a folder that exists.
        max_sequence_length: int. Positions of the network.
    """
    write_plain(tokenizer, folder, max_sequence_length)
    tokens = tokenizer.get_vocabulary()
    ids = {name: tokenizer.token_to_id(name) for name in SPECIAL_TOKENS}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": id,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token, id in sorted(ids.items(), key=lambda item: item[1])
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": bool(tokenizer.split_on_cjk),
            "strip_accents": tokenizer.strip_accents,
            "lowercase": bool(tokenizer.lowercase),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing",
            "sep": ["[SEP]", ids["[SEP]"]],
            "cls": ["[CLS]", ids["[CLS]"]],
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            # The original's limit (`model/tokenization.py:263`).
            "max_input_chars_per_word": 200,
            "vocab": {token: id for id, token in enumerate(tokens)},
        },
    }
    _write_json(folder / TOKENIZER, content)


def write_plain(tokenizer, folder, max_sequence_length):
    """Writes a tokenizer in the older form, without `tokenizer.json`.

    Args:
        tokenizer: `ElectraTokenizer`.
        folder: `Path` of a folder that exists.
        max_sequence_length: int. Positions of the network.
    """
    write_vocabulary(folder / VOCABULARY, tokenizer.get_vocabulary())
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": bool(tokenizer.lowercase),
        "strip_accents": tokenizer.strip_accents,
        "tokenize_chinese_chars": bool(tokenizer.split_on_cjk),
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "model_max_length": max_sequence_length,
    }
    _write_json(folder / CONFIG, config)


def _read_full(content, source):
    model = content.get("model", {})
    kind, prefix = model.get("type"), model.get("continuing_subword_prefix")
    if kind not in ("WordPiece", None) or prefix not in ("##", None):
        raise ValueError(
            f"{source} has a tokenizer of another kind. Expected WordPiece "
            f"with the prefix '##', found {kind!r} with {prefix!r}. Load the "
            "network with `preprocessor=None` and pass token ids."
        )
    ids = dict(model.get("vocab", {}))
    for entry in content.get("added_tokens") or []:
        ids.setdefault(entry["content"], entry["id"])
    tokens = sorted(ids, key=ids.get)
    if sorted(ids.values()) != list(range(len(ids))):
        raise ValueError(
            f"The ids in {TOKENIZER} of {source} must be 0, 1, 2, ... each "
            f"once. It has {len(ids)} tokens and ids up to "
            f"{max(ids.values(), default=-1)}."
        )
    settings = {}
    normalizer = content.get("normalizer") or {}
    if normalizer.get("type") == "BertNormalizer":
        settings = {
            "lowercase": normalizer.get("lowercase", True),
            "strip_accents": normalizer.get("strip_accents"),
            "split_on_cjk": normalizer.get("handle_chinese_chars", True),
        }
    return tokens, settings


def _settings_of_config(config):
    names = {
        "do_lower_case": "lowercase",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "split_on_cjk",
    }
    return {
        ours: config[name] for name, ours in names.items() if name in config
    }


def _has_capitals(tokens):
    """Whether there are words with capitals; letters alone do not count."""
    words = [
        token.removeprefix("##")
        for token in tokens
        if not (token.startswith("[") and token.endswith("]"))
    ]
    return any(word != word.lower() for word in words if len(word) > 1)


def _json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _write_json(path, content):
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
