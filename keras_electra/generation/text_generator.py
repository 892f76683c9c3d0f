"""A task that writes: both networks of pre-training, in rounds."""

import functools
import re
import typing
import zlib
from typing import Any

import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_number
from keras_electra.arguments import check_option
from keras_electra.arguments import keyword_names
from keras_electra.arguments import known_keywords
from keras_electra.data import inputs
from keras_electra.data.rows import TextPreprocessor
from keras_electra.data.rows import text_rows
from keras_electra.generation import revision
from keras_electra.generation import rounds
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.tasks.task import ElectraTask
from keras_electra.training.fit import TEXT_COLUMNS

CANVAS = 8  # texts are padded to multiples of it, by [PAD] that is predicted
BLANK = re.compile("_{3,}")
# How the pair is trained here. A judge of all rates has a harder task, and a
# larger loss, and one network must not forget to propose for it.
TRAINING = dict(
    mask_fraction=(0.05, 1.0),
    fill_fraction=0.0,
    mask_token_rate=1.0,
    mask_targets_only=True,
    discriminator_weight=5.0,
)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextGeneratorPreprocessor(TextPreprocessor):
    """Texts to `[CLS] text [PAD] [SEP]`, (source, target) to two segments.

    Padding that is predicted fills a text, or a target, to a multiple of 8: by
    it the network learns where texts end. Half of them get the least, others up
    to `target_length`, and half of the texts not at the end, for blanks. The
    text alone decides it. A source is cut to what the target leaves.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
        target_length: int. The longest text that `generate` is to write.
    """

    def __init__(
        self, tokenizer, sequence_length=128, target_length=64, **kwargs
    ):
        super().__init__(tokenizer, sequence_length, **kwargs)
        check_count("target_length", target_length, at_least=CANVAS)
        self.keep_arguments(locals())
        self.most = max(1, sequence_length - 3)  # tokens of a text

    def rows(self, x, y=None, sample_weight=None, length=None):
        columns = x if isinstance(x, tuple) else (x,)
        *sources, texts = map(self.tokenizer.encode_batch, columns)
        texts = [self._spread(ids, not sources) for ids in texts]
        x = self.pack(*sources, texts, length=length)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def pack(self, first, second=None, length=None):
        """Rows of lists of ids; a source gets what its target leaves."""
        given = self.tokenizer, self.sequence_length, "first", length
        return text_rows(first, second, *given)

    def pad(self, ids: object, text: object, size: int = 0) -> object:
        """Ids with padding, to a multiple of 8 and at least `size`."""
        if len(ids) > self.most:
            raise ValueError(
                f"A text has at most {self.most} tokens, `sequence_length` "
                f"less 3. Received {len(ids)}: {text[:60]!r}. Split it."
            )
        size = min(-(-max(len(ids), size, 1) // CANVAS) * CANVAS, self.most)
        return ids + [self.tokenizer.pad_token_id] * (size - len(ids))

    def _spread(self, ids, is_text):
        ids, size = ids[: self.most], 0
        seed = zlib.crc32(np.array(ids, "int32").tobytes())
        draws, at = np.random.default_rng(seed), len(ids)
        if draws.random() < 0.5:
            size = CANVAS * draws.integers(self.target_length // CANVAS + 1)
        padding = self.pad(ids, "", size)[at:]
        if is_text and draws.random() < 0.5:
            at = int(draws.integers(at + 1))
        return ids[:at] + padding + ids[at:]


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextGenerator(revision.Revises, ElectraPretrainer):
    """Writes texts, goes on from them, fills blanks, and repairs what is wrong.

    One network proposes tokens and one judges them; what it suspects is masked
    again, and so on. By default both are one network with two heads. It learns
    as an `ElectraPretrainer`, at all rates of masking, from texts, or from a
    tuple of two lists, sources and targets, of which it learns the second.
    `from_preset` on the folder of an `ElectraPretrainer` opens both networks;
    with `generator="backbone"` the discriminator is both, and its fresh head
    for tokens has to learn: a narrow generator restores little.

    Args:
        backbone, preprocessor, **kwargs: as of `ElectraPretrainer`, but by
            default `mask_fraction=(0.05, 1.0)`, `fill_fraction=0.0`,
            `mask_token_rate=1.0`, `mask_targets_only=True`,
            `discriminator_weight=5.0`.
        generator: `ElectraBackbone`, or `"backbone"`, the default.
        calibration, threshold, margin: what `calibrate` finds and `revise`
            goes by: probabilities of being wrong, sigmoids of `scale * score +
            bias`, and floats, before that `0.5` and `0.2`.

    ```python
    writer = keras_electra.ElectraTextGenerator.from_preset("my_writer")
    writer.generate("A man in a [MASK] shirt ___ on a beach.", seed=0)
    writer.revise("A man is cow on the beach.").text
    ```
    """

    preprocessor_cls = ElectraTextGeneratorPreprocessor
    default_generator = "backbone"
    names = inputs.Names(
        (("source", "target"), ("document", "summary"), *TEXT_COLUMNS),
        labels=(),
    )
    may_be_empty = False
    read_inputs = ElectraTask.read_inputs

    def __init__(
        self,
        backbone: keras.Model,
        generator: object = "backbone",
        preprocessor: keras.Layer | None = None,
        calibration: dict[str, object] | None = None,
        threshold: float = 0.5,
        margin: float = 0.2,
        **kwargs: object,
    ) -> None:
        revision.check_limits(threshold, margin)
        generator = backbone if generator == "backbone" else generator
        kwargs = {**TRAINING, **kwargs}
        tokenizer = getattr(preprocessor, "tokenizer", None)
        if tokenizer and kwargs.get("unselectable_token_ids") is None:
            names = ("cls", "sep", "mask")  # where a text ends is predicted
            ids = [getattr(tokenizer, f"{name}_token_id") for name in names]
            kwargs["unselectable_token_ids"] = ids
        super().__init__(backbone, generator, preprocessor, **kwargs)
        self.calibration = calibration
        self.threshold, self.margin = threshold, margin

    def get_config(self) -> dict[str, object]:
        names = keyword_names(ElectraPretrainer.__init__)
        own = {n: getattr(self, n) for n in names if n not in self.unsaved}
        return {**own, **super().get_config()}

    def check_inputs(self, x: object) -> None:
        inputs.check_texts(x, ("sources", "targets"))

    def check_networks(self, judges: object) -> None:
        """Raises unless there is what `generate` or `revise` needs."""
        parts = {
            "preprocessor": self.preprocessor,
            "generator": self.generator,
            "discriminator": not judges or self.discriminator_head,
        }
        for name in (name for name, part in parts.items() if part is None):
            raise ValueError(
                f"This needs a `{name}`, not None. One network can be both: "
                '`generator="backbone"`, `discriminator_weight` above 0. '
                'Without a discriminator use guidance="confidence".'
            )

    @functools.cached_property  # which Keras does not look into
    def round_network(self) -> Any:
        """`rounds.Round` of each way to draw, made when it is asked for."""
        return functools.cache(functools.partial(rounds.Round, self))

    def generate(
        self,
        prompts: object = None,
        max_length: int | None = None,
        num_rounds: int = 16,
        temperature: float = 1.0,
        top_p: float = 1.0,
        guidance: str = "discriminator",
        seed: int | None = None,
        sources: object = None,
        batch_size: int = 32,
        return_rounds: bool = False,
    ) -> typing.Any:
        """Writes a text for each prompt; a string for one, else a list.

        Args:
            prompts: a string or a list. `[MASK]` is a blank of one token, `___`
                one of up to 8; a prompt without blanks is gone on from. By
                default one text, or one a source, is written from nothing.
            max_length: int. Most tokens of a text. By default the
                preprocessor's `target_length`.
            num_rounds: int. Passes of the networks. Defaults to `16`.
            temperature, top_p: floats, of the draws: `0.0` takes the best
                token, `top_p` below 1 only the most probable of that share.
            guidance: string. `"random"` fills tokens in random order,
                `"confidence"` what it is surest of first. `"discriminator"` is
                as random, but masks again what it suspects most; `"joined"` as
                confidence with that.
            seed: int or `None`. The same one gives the same text, in any batch.
            sources: a string or a list; of a task that was trained on pairs.
            batch_size: int. Texts at a time, of alike length.
            return_rounds: bool. Whether to return `Revision`s, not strings.
        """
        check_option("guidance", guidance, rounds.GUIDES)
        check_count("num_rounds", num_rounds)
        check_number("temperature", temperature, at_least=0)
        check_number("top_p", top_p, above=0, at_most=1)
        self.check_networks(guidance in rounds.JUDGED)
        most = self.preprocessor.most
        if max_length is None:
            max_length = min(self.preprocessor.target_length, most)
        check_number("max_length", max_length, at_least=1, at_most=most)
        tokenizer = self.preprocessor.tokenizer
        is_one = prompts is None or isinstance(prompts, str)
        if sources is not None:
            sources, is_one = self.read_inputs(sources, "generate")
            sources = tokenizer.encode_batch(sources)
        if prompts is None:
            prompts = [""] * (1 if sources is None else len(sources))
        prompts = [prompts] if isinstance(prompts, str) else [*prompts]
        inputs.check_texts(prompts)
        if sources is not None and len(prompts) != len(sources):
            raise ValueError(
                "`prompts` and `sources` must be equally many. Received: "
                f"{len(prompts)} and {len(sources)}."
            )
        ids = [self._canvas(text, max_length) for text in prompts]
        results, seed = [None] * len(ids), np.random.SeedSequence(seed).entropy
        special = {*tokenizer.special_token_ids} - {tokenizer.unk_token_id}
        for places, rows in rounds.batches(map(len, ids), batch_size):
            columns = (sources, ids) if sources else (ids,)
            x = self.preprocessor.pack(*([c[i] for i in rows] for c in columns))
            given = num_rounds, guidance, [(seed, int(i)) for i in rows]
            steps = rounds.write(self, x, *given, temperature, top_p)
            segments = x["segment_ids"]
            is_text = segments == segments.max(1, keepdims=True)
            for row, place in enumerate(places):
                text = steps[-1][0][row][is_text[row]].tolist()
                text = tokenizer.detokenize(
                    [i for i in text if i not in special]
                )
                if return_rounds:
                    shown = revision.show(tokenizer, row, steps)
                    text = revision.Revision(text, [], shown, "rounds")
                results[place] = text
        return results[0] if is_one else results

    def _canvas(self, text, max_length):
        """Ids of a prompt, with numbers below 0 where it is to be written."""
        tokenizer, parts = self.preprocessor.tokenizer, BLANK.split(text)
        ids, mask = [], tokenizer.mask_token_id
        encoded = tokenizer.encode_batch(parts, special_tokens=True)
        for place, part in enumerate(encoded):
            ids += [rounds.SOME] * CANVAS * (place > 0)
            ids += [rounds.ONE if i == mask else i for i in part]
        if len(ids) > max_length:
            raise ValueError(
                f"A prompt has at most max_length={max_length} tokens; a blank "
                f"___ counts as {CANVAS}. Received {len(ids)}: {text[:60]!r}."
            )
        if min(ids, default=0) >= 0:
            ids += [rounds.SOME] * (max_length - len(ids))
        return self.preprocessor.pad(ids, text)

    @known_keywords()
    def predict(self, x=None, batch_size=None, max_length=None, num_rounds=16):
        """The best text of each source, an array of strings.

        Takes what `fit` takes, of pairs the sources; others as of `generate`.
        """
        sources = x[0] if isinstance(x, tuple) else x
        how = {"guidance": "confidence", "sources": sources}
        given = None, max_length, num_rounds, 0.0
        texts = self.generate(*given, batch_size=batch_size, **how)
        return np.array(texts, object)
