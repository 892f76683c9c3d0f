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

    `find` gives the local path of a file, or `None`; `source` is for messages.
    `lowercase_unless_said` holds where no file says it (`None`: what the
    vocabulary suggests), `**kwargs` in place of what the files say. Files that
    contradict one another, or an argument that cannot be obeyed, are a
    `ValueError`.
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
    if lowercase_unless_said is None:  # letters and [UNK] do not count
        words = [t.removeprefix("##") for t in tokens if t[:1] + t[-1:] != "[]"]
        lowercase_unless_said = all(w == w.lower() or len(w) < 2 for w in words)
    said = {"lowercase": lowercase_unless_said, **said}
    return ElectraTokenizer(tokens, **{**said, **kwargs})


def write_tokenizer(tokenizer, folder, max_sequence_length, is_full=True):
    """Writes a tokenizer into a folder (`Path`) so that transformers opens it.

    Unless `is_full` in the older form, without `tokenizer.json`, if that can
    express it. `max_sequence_length` is the number of positions.
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
