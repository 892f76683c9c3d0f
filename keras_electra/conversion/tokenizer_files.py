"""Tokenizers as transformers and the original write them.

`tokenizer.json` holds everything; older checkpoints have `vocab.txt` and
`tokenizer_config.json`. Google's TF1 checkpoints have a bare `vocab.txt`.
"""

import contextlib
import json

from keras_electra.text.pipeline import Pipeline
from keras_electra.text.tokenizer import ElectraTokenizer
from keras_electra.text.vocabulary import read_text
from keras_electra.text.vocabulary import read_vocabulary
from keras_electra.text.vocabulary import write_text
from keras_electra.text.vocabulary import write_vocabulary

VOCABULARY = "vocab.txt"
TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
# In `tokenizer_config.json` -> ours.
SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "split_on_cjk",
}


def read_tokenizer(find, source, lowercase_unless_said=True, **kwargs):
    """The `ElectraTokenizer` of a checkpoint; `None` if there is none.

    Args:
        find: function from a file name to its local path or `None`.
        source: string. What to call the checkpoint in messages.
        lowercase_unless_said: bool. What holds where no file says it, as in
            transformers `True`; `None` means what the vocabulary suggests.
        **kwargs: arguments of the tokenizer, in place of what the files say.

    Raises:
        ValueError: when the files are damaged or contradict one another, or
            when there is no way to obey an argument.
    """
    full, plain, config = map(find, (TOKENIZER, VOCABULARY, CONFIG))
    said = {}
    if config is not None:
        config = json.loads(read_text(config))
        said = {SETTINGS[key]: config[key] for key in SETTINGS.keys() & config}
    tokens = None if plain is None else read_vocabulary(plain)
    if full is not None:
        try:
            pipeline = Pipeline(read_text(full))
        except ValueError as error:
            raise ValueError(f"{TOKENIZER} of {source}: {error}") from error
        if pipeline.is_word_piece and tokens is not None:
            if tokens != pipeline.tokens[: len(tokens)]:
                raise ValueError(
                    f"{source} has two vocabularies that differ: {TOKENIZER} "
                    f"of {len(pipeline.tokens)} entries and {VOCABULARY} of "
                    f"{len(tokens)}. Remove the wrong one."
                )
        # Of other kinds than BERT's, transformers does not heed them either.
        with contextlib.suppress(ValueError):
            pipeline = pipeline.adjust(**said)
        return ElectraTokenizer(pipeline, **kwargs)
    if tokens is None:
        return None
    if lowercase_unless_said is None:
        lowercase_unless_said = not _has_capitals(tokens)
    said = {"lowercase": lowercase_unless_said, **said}
    return ElectraTokenizer(tokens, **{**said, **kwargs})


def write_tokenizer(tokenizer, folder, max_sequence_length):
    """Writes a tokenizer into a folder (`Path`) so that transformers opens it.

    `max_sequence_length` is the number of positions of the network.
    """
    write_plain(tokenizer, folder, max_sequence_length, is_full=True)


def write_plain(tokenizer, folder, max_sequence_length, is_full=False):
    """Writes a tokenizer in the older form, without `tokenizer.json`.

    What the older form cannot express has its `tokenizer.json` all the same,
    and everything has with `is_full`.
    """
    pipeline = tokenizer.pipeline
    is_full = is_full or not pipeline.is_original
    if pipeline.is_word_piece:
        write_vocabulary(folder / VOCABULARY, pipeline.tokens)
    if is_full:
        write_text(folder / TOKENIZER, pipeline.content)
    names = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
    config = {
        # Of other classes transformers makes the pipeline anew.
        "tokenizer_class": (
            "PreTrainedTokenizerFast" if is_full else "BertTokenizer"
        ),
        **{key: getattr(tokenizer, our) for key, our in SETTINGS.items()},
        **{name: getattr(tokenizer, name) for name in names},
        "model_max_length": max_sequence_length,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    }
    text = json.dumps(config, indent=2, ensure_ascii=False)
    write_text(folder / CONFIG, text + "\n")


def _has_capitals(tokens):
    """Whether there are words with capitals; letters alone do not count."""
    words = [
        token.removeprefix("##")
        for token in tokens
        if not (token.startswith("[") and token.endswith("]"))
    ]
    return any(word != word.lower() for word in words if len(word) > 1)
