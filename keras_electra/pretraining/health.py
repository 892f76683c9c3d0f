"""Says in words what goes wrong in pre-training, while there is time.

The losses alone do not tell: most of a discriminator's comes down by saying
"original" of every token, and a network that takes words for a bag learns, too.
"""

import math
import warnings
import zlib

import keras
import numpy as np
from keras import ops

from keras_electra.arguments import check_count
from keras_electra.backend import replicas

ROWS = 32  # of a batch, to look at


class HealthMonitor(keras.callbacks.Callback):
    """Warns of what goes wrong in `ElectraPretrainer.fit`, once for each.

    Every sentence has the number that was seen. The run is not changed. Where
    there are several devices, the last two are not looked for:

    - `learning_rate`: steps are skipped, the loss is a quarter above its lowest
      or the generator's a tenth above that of a guess at random;
    - `frozen`: weights are as they were, bit for bit;
    - `generator_ahead`: most draws are right while the discriminator has not
      a quarter less loss than for "always original" (electra issue 37);
    - `generator`, `discriminator`: after `start` steps the loss is no better
      than by a guess at random, or by saying "original" of every token;
    - `leak`: the discriminator tells replaced tokens though words of the rows
      are shuffled, by an AUC above 0.98;
    - `word_order`: of shuffled words its scores are the same (correlation
      above 0.99).

    Args:
        every: int, steps between two looks, for which `ROWS` rows of the first
            batch go through the network twice. Defaults to `200`.
        start: int, steps after which all should have begun to learn. Defaults
            to `2000`, enough for small networks: larger ones need more.

    Attributes:
        findings: dict from the names above to what was said.
    """

    def __init__(self, every=200, start=2000):
        super().__init__()
        check_count("every", every)
        check_count("start", start, at_least=0)
        self.every = every
        self.start = start
        self.findings = {}

    def on_train_begin(self, logs=None):
        self._done = self._batch = self._looked = 0  # steps
        self._sums, self._lowest = None, math.inf

    def on_epoch_begin(self, epoch, logs=None):
        self._done, self._batch = self._done + self._batch, 0
        self._seen, self._before = 0, {}  # Keras reports means of an epoch
        if self._sums is None:  # now, as checkpoints may have been restored
            self._sums = self._checksums()
            data = keras.utils.unpack_x_y_sample_weight(
                next(iter(self.model.training_data))
            )
            self._rows = {n: np.array(v[:ROWS]) for n, v in data[0].items()}

    def on_train_batch_end(self, batch, logs=None):
        # `self.model` would make JAX move all weights: only to look.
        self._batch = batch + 1
        if self._done + self._batch - self._looked >= self.every:
            self._look(logs)

    def _look(self, logs):
        steps = self._looked = self._done + self._batch
        now = {name: float(value) for name, value in logs.items()}
        count, before = self._batch - self._seen, self._before
        means = {
            name: (value * self._batch - before.get(name, 0.0) * self._seen)
            / count
            for name, value in now.items()
        }
        skipped = now["skipped_steps"] - before.get("skipped_steps", 0.0)
        self._seen, self._before = self._batch, now
        found = self._losses(means, skipped, count, steps >= self.start)
        same = [n for n, s in self._checksums().items() if self._sums[n] == s]
        if same:
            found["frozen"] = (
                f"{len(same)} of {len(self._sums)} weights have not changed: "
                f"{', '.join(same[:3])}. Set `trainable`, or a learning rate."
            )
        has_scores = self.model.discriminator_head is not None
        if has_scores and steps >= self.start and replicas.devices() == 1:
            found |= self._shuffled()
        for name in found.keys() - self.findings.keys():
            self.findings[name] = f"After {steps} steps: {found[name]}"
            warnings.warn(self.findings[name], stacklevel=2)

    def _losses(self, means, skipped, count, is_late):
        """What is wrong by the means of `count` steps, by name."""
        found, loss, model = {}, means["generator_loss"], self.model
        chance = math.log(model.backbone.vocabulary_size)
        self._lowest = min(self._lowest, means["loss"])
        reason = None
        if skipped > 0.05 * count or not math.isfinite(means["loss"]):
            reason = f"{skipped:.0f} of {count} steps had no finite gradients"
        elif loss > 1.1 * chance:
            reason = (
                f"the generator's loss is {loss:.2f}, at random {chance:.2f}"
            )
        elif means["loss"] > 1.25 * self._lowest:
            reason = (
                f"the loss was {self._lowest:.2f} and is {means['loss']:.2f}"
            )
        if reason:
            one = getattr(model.optimizer, "optimizers", [model.optimizer])[0]
            rate = float(ops.convert_to_numpy(one.learning_rate))
            return {
                "learning_rate": f"{reason}. The learning rate, now "
                f"{rate:.2g}, is too high: lower it or warm up longer."
            }
        if is_late and model.generator is not None and loss > 0.98 * chance:
            found["generator"] = (
                f"the generator's loss is {loss:.2f}, that of a guess at "
                f"random {chance:.2f}. Does it train: `generator_weight`?"
            )
        share = means.get("replaced_fraction", 0.0)
        right = means.get("sampled_accuracy", 0.0)
        loss = means.get("discriminator_loss", 0.0)
        constant = sum(-p * math.log(p) for p in (share, 1 - share) if p > 0)
        if right > 0.5 and loss > 0.75 * constant:
            found["generator_ahead"] = (
                f"{right:.0%} of the generator's draws are right, so only "
                f"{share:.1%} of the tokens are replaced, and the discriminator"
                f" does not learn from them: its loss is {loss:.3f}, by always "
                f"saying original {constant:.3f}. Take a smaller generator, or "
                "raise `temperature` or `mask_fraction`."
            )
        elif is_late and loss > 0.99 * constant > 0:
            found["discriminator"] = (
                f"the discriminator is no better than saying original of every "
                f"token: its loss is {loss:.3f}, by that {constant:.3f}. Train "
                "longer, or first with `discriminator_weight=0`."
            )
        return found

    def _shuffled(self):
        """What is wrong by the scores of tokens whose order is lost."""
        model, rows, random = self.model, self._rows, np.random.default_rng(0)
        outputs = model.predict_on_batch(rows)
        network = keras.Model(
            model.backbone.input,
            model.discriminator_head(model.backbone.output["sequence_output"]),
        )
        ids = outputs["corrupted_token_ids"]
        judged = ops.convert_to_numpy(model.judged(rows, outputs)) > 0
        judged &= ~np.isin(rows["token_ids"], model.unselectable_token_ids)
        # Where a token comes from: a permutation of the words of each row.
        source = np.tile(np.arange(ids.shape[1]), (len(ids), 1))
        for places, own in zip(source, judged):
            places[own] = random.permutation(places[own])
        ids = np.take_along_axis(ids, source, axis=1)
        scores = network.predict_on_batch({**rows, "token_ids": ids})[judged]
        before, replaced = (
            np.take_along_axis(outputs[name], source, axis=1)[judged]
            for name in ("discriminator_logits", "replaced")
        )
        scores, before = scores.astype("float64"), before.astype("float64")
        is_new = replaced > 0
        if is_new.any() and not is_new.all():
            # The share of pairs in order is the AUC; ties count half.
            others, own = np.sort(scores[~is_new]), scores[is_new]
            below = (
                np.searchsorted(others, own, side) for side in ("left", "right")
            )
            auc = float(np.mean(sum(below))) / 2 / len(others)
            if auc > 0.98:
                return {
                    "leak": "replaced tokens are told apart without any "
                    f"context: with the words shuffled the AUC is {auc:.3f}. "
                    "Are there tokens that text never has, such as [MASK]?"
                }
        same = np.corrcoef(scores, before)[0, 1] if before.std() else 0.0
        if same > 0.99:
            return {
                "word_order": "the network ignores the order of words: its "
                f"scores and those of shuffled words correlate by {same:.4f}. "
                "Do position embeddings train?"
            }
        return {}

    def _checksums(self):
        """Of weights that train or should, by path."""
        model = self.model
        layers = [*model.backbone._flatten_layers()]
        adapted = any(getattr(layer, "lora_enabled", False) for layer in layers)
        wanted = [] if adapted else model.backbone.weights
        wanted = {id(w) for w in [*wanted, *model.trainable_variables]}
        return {
            w.path: zlib.crc32(np.ascontiguousarray(ops.convert_to_numpy(w)))
            for w in model.weights
            if id(w) in wanted and "float" in w.dtype
        }
