"""Tokenizers as transformers and the original write them.

`tokenizer.json` holds everything; older checkpoints have `vocab.txt` and
`tokenizer_config.json`. Google's TF1 checkpoints have a bare `vocab.txt`.
"""

import contextlib
import json

from keras_electra.text import vocabulary
from keras_electra.text.pipeline import Pipeline
from keras_electra.text.tokenizer import ElectraTokenizer

VOCABULARY, TOKENIZER = "vocab.txt", "tokenizer.json"
CONFIG = "tokenizer_config.json"
OURS = "PreTrainedTokenizerFast"  # transformers makes others' pipelines anew
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
    vocabulary suggests), `**kwargs` in place of what the files say.
    """
    full, plain, config = map(find, (TOKENIZER, VOCABULARY, CONFIG))
    said = json.loads(vocabulary.read_text(config)) if config else {}
    said = {ours: said[key] for key, ours in SETTINGS.items() if key in said}
    tokens = vocabulary.read_vocabulary(plain) if plain else None
    if full:
        try:
            pipeline = Pipeline(vocabulary.read_text(full))
        except ValueError as error:
            raise ValueError(f"{TOKENIZER} of {source}: {error}") from error
        same = tokens and pipeline.tokens[: len(tokens)]
        if pipeline.is_word_piece and tokens != same:
            raise ValueError(
                f"{source} has two vocabularies that differ: {TOKENIZER} and "
                f"{VOCABULARY}. Remove the wrong one."
            )
        # Of other kinds than BERT's, transformers does not heed them either.
        with contextlib.suppress(ValueError):
            pipeline = pipeline.adjust(**said)
        return ElectraTokenizer(pipeline, **kwargs)
    if not tokens:
        return None
    if lowercase_unless_said is None:  # letters and [UNK] do not count
        words = [t.removeprefix("##") for t in tokens if t[:1] + t[-1:] != "[]"]
        lowercase_unless_said = all(w == w.lower() or len(w) < 2 for w in words)
    settings = {"lowercase": lowercase_unless_said, **said, **kwargs}
    return ElectraTokenizer(tokens, **settings)


def write_tokenizer(tokenizer, folder, max_sequence_length, is_full=True):
    """Writes a tokenizer into a folder (`Path`) so that transformers opens it.

    Unless `is_full` without `tokenizer.json`, if the older form can express it.
    """
    pipeline = tokenizer.pipeline
    is_full = is_full or not pipeline.is_original
    if pipeline.is_word_piece:
        vocabulary.write_vocabulary(folder / VOCABULARY, pipeline.tokens)
    if is_full:
        vocabulary.write_text(folder / TOKENIZER, pipeline.content)
    names = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
    config = {
        "tokenizer_class": OURS if is_full else "BertTokenizer",
        **{key: getattr(tokenizer, our) for key, our in SETTINGS.items()},
        **{name: getattr(tokenizer, name) for name in names},
        "model_max_length": max_sequence_length,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    }
    text = json.dumps(config, indent=2, ensure_ascii=False)
    vocabulary.write_text(folder / CONFIG, text + "\n")
