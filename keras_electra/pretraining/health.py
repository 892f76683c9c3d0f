"""Says in words what goes wrong in pre-training, while there is time.

A falling loss does not tell: most of a discriminator's comes down by saying
"original" of every token, and a network that sees a bag of words learns, too.
"""

import math
import warnings
import zlib
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_electra.arguments import check_count
from keras_electra.backend import replicas
from keras_electra.pretraining.fit import discriminator_of
from keras_electra.pretraining.sampling import SeededLayer

ROWS = 32  # of one batch, which go through the networks at late looks
SENTENCES = {
    "learning_rate": "the rate, {rate:.2g}, is too high: {skipped:.0%} of the "
    "steps are not finite, the generator's loss is {loss:.2f} after "
    "{lowest:.2f} (a guess: {chance:.2f}), the discriminator's {own:.2f} (a "
    "guess: 0.69). Warm up longer?",
    "frozen": "{count} of {all} weights have not changed: {names}. Are they "
    "trainable and in the loss?",
    "generator_ahead": "{right:.0%} of the generator's draws are right, and "
    "the discriminator learns to say original of all: its loss is {own:.3f}, "
    "by that {always:.3f}. Take a smaller generator or mask more.",
    "discriminator": "the discriminator is no better than always original: "
    "its loss is {own:.3f}, by that {always:.3f}. Start with "
    "`discriminator_weight=0`, or train longer.",
    "leak": "words are shuffled, and still the AUC is {shuffled:.3f} or more. "
    "Are replaced tokens some that no text has, such as [MASK]?",
    "word_order": "shuffled words score as before (correlation {alike:.6f}): "
    "their order is ignored. Do position embeddings train?",
}


class HealthMonitor(keras.callbacks.Callback):
    """Warns of what goes wrong in `ElectraPretrainer.fit`, once for each.

    With the number seen, by two looks running, of which each judges the means
    of the steps since the last. The training and its draws stay what they are.

    - `learning_rate`: over 5 % of the steps are skipped; the generator's loss
      is a quarter above its lowest; or a loss a tenth above that of a guess;
    - `frozen`: weights are what they were, bit for bit;
    - `generator_ahead`: over half of its draws are right, and the
      discriminator's loss not a fifth below that of always "original";
    - `discriminator`: its loss is not 1 % below that; or, of a loss that is
      weighed, its AUC below 0.55;
    - `leak`: it has an AUC above 0.98 with the words of each row shuffled;
    - `word_order`: shuffled words score the same (correlation > 0.99999).

    Args:
        every: int, steps from one look to the next. Defaults to `200`.
        start: int, steps after the warm-up in which all should have begun to
            learn: the last three are for later, the last two on one device.
            Defaults to `2000`.

    Attributes:
        findings: dict from these names to what was said.
    """

    def __init__(self, every: Any = 200, start: Any = 2000):
        super().__init__()
        check_count("every", every)
        check_count("start", start, at_least=0)
        self.every, self.start, self.findings = every, start, {}

    def on_train_begin(self, logs: Any = None) -> None:
        if not hasattr(self.model, "discriminator_head"):
            name = type(self.model).__name__
            raise TypeError(f"`HealthMonitor` is for pre-training, not {name}.")
        self._done = self._batch = self._looked = 0  # steps
        self._lowest, self._suspected = math.inf, set()
        self._unmoved = self._rows = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._done, self._batch = self._done + self._batch, 0
        self._seen, self._before = 0, {}  # Keras reports means of an epoch
        if self._unmoved is None:  # a checkpoint may just have been restored
            self._unmoved = self._checksums()
            self._all = len(self._unmoved)

    def on_train_batch_end(self, batch: Any, logs: Any = None) -> None:
        # `self.model` makes JAX move all weights: only to look.
        self._batch, steps = batch + 1, self._done + batch + 1
        count, window = self._batch - self._seen, self.params.get("steps") or 1
        # Of too few steps means say too little.
        if count < min(self.every, window) or steps - self._looked < self.every:
            return
        logs, before = {n: float(v) for n, v in logs.items()}, self._before
        sums = {n: v * self._batch for n, v in logs.items()}
        means = {n: (v - before.get(n, 0)) / count for n, v in sums.items()}
        skipped = logs["skipped_steps"] - before.get("skipped", 0)
        self._looked, self._seen = steps, self._batch
        self._before = {**sums, "skipped": logs["skipped_steps"]}
        found = self._look({**means, "skipped": skipped / count}, steps)
        for name in found.keys() & self._suspected - self.findings.keys():
            self.findings[name] = f"After {steps} steps {found[name]}"
            warnings.warn(self.findings[name], stacklevel=2)
        self._suspected = set(found)

    def _look(self, means, steps):
        """Sentences of what is wrong, by name."""
        model, loss = self.model, means["generator_loss"]
        skipped, right = means["skipped"], means.get("sampled_accuracy", 0)
        own = means.get("discriminator_loss", 0)
        share = means.get("replaced_fraction", 0)
        chance = math.log(model.backbone.vocabulary_size)
        self._lowest = lowest = min(self._lowest, loss)
        one = getattr(model.optimizer, "optimizers", [model.optimizer])[0]
        one = getattr(one, "inner_optimizer", one)
        rate = float(ops.convert_to_numpy(one.learning_rate))
        warmup = getattr(one._learning_rate, "warmup_steps", 0)
        is_late = steps >= self.start + warmup
        always, known = math.inf, (math.inf, 0, 0)
        if 0 < share < 1:
            always = -sum(p * math.log(p) for p in (share, 1 - share))
            if is_late and replicas.devices() == 1:
                known = self._shuffle()
        auc, shuffled, alike = known
        # Of tokens it may predict, and weighed losses, no likelihood is known.
        is_plain = model.discriminator_loss == "cross_entropy"
        plain = own if is_plain and always < math.inf else 0
        now = self._unmoved and self._checksums()
        same = {n: x for n, x in self._unmoved.items() if now[n] == x}
        self._unmoved, count, all = same, len(same), self._all
        names = ", ".join([*same][:3])
        seen = {
            "learning_rate": skipped > 0.05
            or loss > min(1.1 * chance, 1.25 * lowest)
            or plain > 1.1 * math.log(2),
            "frozen": same,
            "generator_ahead": right > 0.5 and plain > 0.8 * always,
            "discriminator": is_late
            and plain > 0.99 * always
            or not plain
            and auc < 0.55,
            "leak": shuffled > 0.98,
            "word_order": alike > 0.99999,
        }
        values = locals()
        return {n: SENTENCES[n].format(**values) for n in seen if seen[n]}

    def _shuffle(self):
        """Bounds of the AUC, most as it is and least of shuffled words, by two
        standard errors; and the correlation of their scores.
        """
        model, random = self.model, np.random.default_rng(0)
        if self._rows is None:
            x = keras.utils.unpack_x_y_sample_weight(model.training_data.latest)
            self._rows = {
                n: np.array(array[:ROWS]) for n, array in x[0].items()
            }
            self._network = discriminator_of(model)
        rows, layers = self._rows, model._flatten_layers()
        seeds = [s.evaluation for s in layers if isinstance(s, SeededLayer)]
        states = [np.array(ops.convert_to_numpy(s.state)) for s in seeds]
        outputs = model.predict_on_batch(rows)
        for seed, state in zip(seeds, states):
            seed.state.assign(state)
        judged = ops.convert_to_numpy(model.judged(rows, outputs)) > 0
        judged &= ~np.isin(rows["token_ids"], model.unselectable_token_ids)
        source = np.tile(np.arange(judged.shape[1]), (len(judged), 1))
        for places, own in zip(source, judged):
            places[own] = random.permutation(places[own])
        names = "corrupted_token_ids", "discriminator_logits", "replaced"
        ids, before, replaced = (
            np.take_along_axis(np.array(outputs[n]), source, 1) for n in names
        )
        scores = self._network.predict_on_batch({**rows, "token_ids": ids})
        both = [x[judged].astype("float64") for x in (before, scores)]
        new, bounds = replaced[judged] == 1, [math.inf, 0]
        for i, x in enumerate(both if 0 < new.sum() < new.size else ()):
            ranks = np.searchsorted(np.sort(x[~new]), x[new])
            auc = ranks.mean() / (~new).sum()
            error = (auc * (1 - auc) / min(new.sum(), (~new).sum())) ** 0.5
            bounds[i] = auc + (2 * error, -2 * error)[i]
        varies = all(x.size and x.std() for x in both)
        return *bounds, np.corrcoef(*both)[0, 1] if varies else 0

    def _checksums(self):
        """Of weights that should train, by path."""
        model, layers = self.model, self.model.backbone._flatten_layers()
        parts = [model.generator, model.generator_head]
        if model.discriminator_head is not None:
            parts += [model.backbone, model.discriminator_head]
        adapted = any(getattr(layer, "lora_enabled", False) for layer in layers)
        return {
            w.path: zlib.crc32(np.ascontiguousarray(ops.convert_to_numpy(w)))
            for part in parts
            for w in getattr(part, "weights", ())
            if w.trainable or part is model.backbone and not adapted
            if "float" in w.dtype
        }
