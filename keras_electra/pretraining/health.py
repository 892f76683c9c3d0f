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
from keras_electra.training.checkpoint import backend_random

ROWS = 32  # of the first batch, which go through the network twice


class HealthMonitor(keras.callbacks.Callback):
    """Warns of what goes wrong in `ElectraPretrainer.fit`, once for each.

    With the number that was seen. The run is not changed. The last two are not
    looked for on several devices.

    - `learning_rate`: steps are skipped, the loss is a quarter above its
      lowest, or the generator's a tenth above that of a guess at random;
    - `frozen`: weights are what they were, bit for bit;
    - `generator_ahead`: over half of its draws are right, while the
      discriminator's loss is not a quarter below that of always "original";
    - `discriminator`: its loss is not 1 % below that of always "original";
    - `leak`: replaced tokens are told though the words of each row are
      shuffled, with an AUC above 0.98;
    - `word_order`: shuffled words have the same scores (correlation > 0.99).

    Args:
        every: int, steps from one look to the next. Defaults to `200`.
        start: int, steps in which all should have begun to learn; the last
            three are for later. Defaults to `2000`, for small networks.

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
        self._sums, self._lowest, self._network = None, math.inf, None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._done, self._batch = self._done + self._batch, 0
        self._seen, self._before = 0, {}  # Keras reports means of an epoch
        if self._sums is None:  # now, as a checkpoint may have been restored
            self._sums, data = self._checksums(), self.model.training_data
            states = backend_random.get_states()  # torch's loaders draw
            x = keras.utils.unpack_x_y_sample_weight(next(iter(data)))[0]
            backend_random.set_states(states)
            self._rows = {n: np.array(array[:ROWS]) for n, array in x.items()}

    def on_train_batch_end(self, batch: Any, logs: Any = None) -> None:
        # `self.model` makes JAX move all weights: only to look.
        self._batch, steps = batch + 1, self._done + batch + 1
        window = min(self.every, self.params.get("steps") or 1)
        is_short = self._batch - self._seen < window  # means of too little
        if is_short or steps - self._looked < self.every:
            return
        now, before = {n: float(v) for n, v in logs.items()}, self._before
        count, rest = self._batch - self._seen, self._seen
        self._looked, self._seen, self._before = steps, self._batch, now
        means = {
            n: (v * self._batch - before.get(n, 0.0) * rest) / count
            for n, v in now.items()
        }
        skipped = now["skipped_steps"] - before.get("skipped_steps", 0.0)
        same = [n for n, s in self._checksums().items() if self._sums[n] == s]
        is_late = steps >= self.start
        found = self._losses(means, skipped / count, bool(same), is_late)
        if same:
            found["frozen"] = (
                f"{len(same)} of {len(self._sums)} weights have not changed: "
                f"{', '.join(same[:3])}. Are they trainable and in the loss?"
            )
        has_scores = is_late and "discriminator_loss" in now
        if has_scores and replicas.devices() == 1:
            found |= self._shuffled()
        for name in [name for name in found if name not in self.findings]:
            self.findings[name] = f"After {steps} steps {found[name]}"
            warnings.warn(self.findings[name], stacklevel=2)

    def _losses(self, means, skipped, is_frozen, is_late):
        """What the means since the last look say, by name."""
        model, loss, whole = self.model, means["generator_loss"], means["loss"]
        chance = math.log(model.backbone.vocabulary_size)
        self._lowest, reason = min(self._lowest, whole), None
        if skipped > 0.05:
            reason = f"{skipped:.0%} had gradients that are not finite"
        elif loss > 1.1 * chance and not is_frozen:
            reason = f"the generator has {loss:.2f} nats, chance {chance:.2f}"
        elif whole > 1.25 * self._lowest:
            reason = f"the loss is {whole:.2f}, and was {self._lowest:.2f}"
        if reason:
            one = getattr(model.optimizer, "optimizers", [model.optimizer])[0]
            rate = float(ops.convert_to_numpy(one.learning_rate))
            advice = f"The rate, now {rate:.2g}, is too high: warm up longer?"
            return {"learning_rate": f"{reason}. {advice}"}
        share = means.get("replaced_fraction", 0.0)
        if not 0 < share < 1:
            return {}
        loss, right = means["discriminator_loss"], means["sampled_accuracy"]
        constant = -sum(p * math.log(p) for p in (share, 1 - share))
        seen = f"its loss is {loss:.3f}, by that {constant:.3f}"
        if right > 0.5 and loss > 0.75 * constant:
            reason = f"{right:.0%} of the generator's draws are right, and only"
            return {
                "generator_ahead": f"{reason} {share:.1%} of the tokens are "
                "replaced: the discriminator learns to say original of all "
                f"({seen}). Take a smaller generator or mask more."
            }
        if is_late and loss > 0.99 * constant:
            reason = "the discriminator is no better than always original"
            advice = "Start with `discriminator_weight=0`, or train longer."
            return {"discriminator": f"{reason}: {seen}. {advice}"}
        return {}

    def _shuffled(self):
        """What scores of words in another order say, by name."""
        model, rows, random = self.model, self._rows, np.random.default_rng(0)
        outputs = model.predict_on_batch(rows)
        judged = ops.convert_to_numpy(model.judged(rows, outputs)) > 0
        judged &= ~np.isin(rows["token_ids"], model.unselectable_token_ids)
        source = np.tile(np.arange(judged.shape[1]), (len(judged), 1))
        for places, own in zip(source, judged):
            places[own] = random.permutation(places[own])
        names = "corrupted_token_ids", "discriminator_logits", "replaced"
        ids, before, replaced = (
            np.take_along_axis(np.array(outputs[n]), source, 1) for n in names
        )
        if self._network is None:
            x = model.backbone.output["sequence_output"]
            x = model.discriminator_head(x)
            self._network = keras.Model(model.backbone.input, x)
        scores = self._network.predict_on_batch({**rows, "token_ids": ids})
        scores, before = (x[judged].astype("float64") for x in (scores, before))
        own, others = (scores[replaced[judged] == i] for i in (1, 0))
        if own.size and others.size:
            auc = np.mean(np.searchsorted(np.sort(others), own)) / others.size
            if auc > 0.98:
                reason = f"replaced tokens are told with an AUC of {auc:.3f}"
                advice = "Are there some that no text has, such as [MASK]?"
                reason = f"{reason} though words are shuffled. {advice}"
                return {"leak": reason}
        varies = scores.std() * before.std() > 0
        same = np.corrcoef(scores, before)[0, 1] if varies else 0.0
        reason = f"shuffled words score as before (correlation {same:.4f})"
        advice = "The order of words is ignored: do position embeddings train?"
        return {"word_order": f"{reason}. {advice}"} if same > 0.99 else {}

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
