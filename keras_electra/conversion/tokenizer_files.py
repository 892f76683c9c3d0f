"""Tokenizers as transformers and the original write them.

`tokenizer.json` holds everything; older checkpoints have `vocab.txt` and
`tokenizer_config.json`. Google's TF1 checkpoints have a bare `vocab.txt`.
"""

import contextlib
from typing import Any

import tokenizers

from keras_electra.backend.files import read_json
from keras_electra.backend.files import write_json
from keras_electra.text import vocabulary
from keras_electra.text.pipeline import SPECIAL_TOKENS
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
# Whose `vocab.txt` is all there is to them.
SAME_AS_BERT = ("Bert", "Electra", "DistilBert", "MobileBert", "ConvBert")
# In `tokenizer_config.json`: what says that words are split another way.
USUAL: dict[str, Any] = {
    "word_tokenizer_type": ("basic", None),
    "subword_tokenizer_type": ("wordpiece", None),
    "do_basic_tokenize": (True, None),
    "never_split": (None, []),
    **{key: (True, False, None) for key in SETTINGS},
    **{f"{t[1:-1].lower()}_token": (t, None) for t in SPECIAL_TOKENS},
}
OTHER_FILES = ("spiece.model", "spm.model", "tokenizer.model", "vocab.json")


def read_tokenizer(find, source, lowercase_unless_said=True, **kwargs):
    """The `ElectraTokenizer` of a checkpoint; `None` if there is none.

    `find` gives the local path of a file, or `None`. `lowercase_unless_said`
    (`None`: as the vocabulary suggests) is for where no file says it.
    """
    full, plain = find(TOKENIZER), find(VOCABULARY)
    config = read_json(find(CONFIG))
    said = {ours: config[k] for k, ours in SETTINGS.items() if k in config}
    tokens = vocabulary.read_vocabulary(plain) if plain else None
    if full:
        pipeline = vocabulary.read_pipeline(full)
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
    if needed := _needs(find, config, tokens):
        raise ValueError(
            f"The tokenizer of {source} needs {needed}, which cannot be "
            "rebuilt. Save its tokenizer.json, or pass `preprocessor=None`."
        )
    if not tokens:
        return None
    if lowercase_unless_said is None:
        lowercase_unless_said = not _capitals(tokens)
    settings = {"lowercase": lowercase_unless_said, **said, **kwargs}
    tokenizer = ElectraTokenizer(tokens, **settings)
    made = tokenizers.Tokenizer.from_str(tokenizer.pipeline.content)
    for id, token in sorted(_added_tokens(find, config, tokens).items()):
        made.add_tokens([token])
        if made.token_to_id(token.content) != id:
            raise ValueError(
                f"The added token {token.content!r} of {source} must have the "
                f"id {made.token_to_id(token.content)}, not {id}, as ids have "
                "no gaps. Save the tokenizer anew where it was made."
            )
    if made.get_vocab_size() > len(tokens):
        tokenizer.set_vocabulary(Pipeline(made.to_str()))
    return tokenizer


def _capitals(tokens):
    """Entries with capitals, but for letters and those like `[UNK]`."""
    cased = [t.removeprefix("##") for t in tokens if t != t.lower()]
    return [t for t in cased if len(t) > 1 and t[0] + t[-1] != "[]"]


def case_notes(find: Any, lowercase_unless_said: Any) -> Any:
    """A note, in a list, on what only a vocabulary says of capitals."""
    path = find(VOCABULARY)
    is_said = find(TOKENIZER) or "do_lower_case" in read_json(find(CONFIG))
    if is_said or not path or lowercase_unless_said is False:
        return []
    capitals = _capitals(vocabulary.read_vocabulary(path))
    if lowercase_unless_said is None:
        return [f"lowercase={not capitals}, seen from the vocabulary"]
    return capitals and [
        f"texts are lowered, as no file says otherwise, but {VOCABULARY} has "
        f"capitals ({capitals[0]!r}): if it is cased, pass `lowercase=False`"
    ]


def _needs(find, config, tokens):
    """What a tokenizer without `tokenizer.json` needs beyond BERT's."""
    name = config.get("tokenizer_class") or "BertTokenizer"
    if name.removesuffix("Fast").removesuffix("Tokenizer") not in SAME_AS_BERT:
        return name
    for key, usual in USUAL.items():
        value = config.get(key)
        value = value.get("content") if isinstance(value, dict) else value
        if value not in usual:
            return f"{key}={value!r}"
    for other in filter(find, () if tokens else OTHER_FILES):
        return f"SentencePiece or BPE ({other})"
    is_whole = tokens and {*SPECIAL_TOKENS} <= {*tokens}
    if is_whole and not any(token.startswith("##") for token in tokens):
        return f"splitting into characters ({VOCABULARY} has no ##)"
    return None


def _added_tokens(find, config, tokens):
    """`AddedToken`s by id that transformers keeps beside `vocab.txt`."""
    beside = read_json(find("added_tokens.json"))
    ids = {token: id for id, token in enumerate(tokens)} | beside
    added = config.get("added_tokens_decoder", {})
    added = {int(id): token for id, token in added.items()}
    for token in (*beside, *(config.get("additional_special_tokens") or ())):
        token = token if isinstance(token, dict) else {"content": token}
        added.setdefault(ids.get(token["content"], len(ids)), token)
    fields = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {
        id: tokenizers.AddedToken(
            t["content"], **{f: t[f] for f in fields if f in t}
        )
        for id, t in added.items()
        if t["content"] not in {*SPECIAL_TOKENS} & {*tokens[id : id + 1]}
    }


def write_tokenizer(tokenizer, folder, max_sequence_length, is_full=True):
    """Writes a tokenizer into a folder (`Path`) so that transformers opens it.

    Unless `is_full` without `tokenizer.json`, if the older form can express it.
    Nothing for `None`.
    """
    if tokenizer is None:
        return
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
    write_json(folder / CONFIG, config)
