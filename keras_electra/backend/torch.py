"""A training step on PyTorch: backward, gradients, guard, apply."""

import keras
import torch


class TrainStep:
    """`train_step` of `ElectraPretrainer`."""

    def train_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.zero_grad()  # before the forward pass, which needs the memory
        outputs = self(x, training=True)
        loss = self.compute_loss(x=x, y_pred=outputs)
        scaled_loss = self.optimizer.scale_loss(loss)
        scaled_loss.backward()
        loss, scaled_loss = loss.detach(), scaled_loss.detach()
        self._loss_tracker.update_state(
            loss, sample_weight=x["token_ids"].shape[0]
        )

        variables = self.trainable_variables
        gradients = [
            torch.zeros_like(v.value) if v.value.grad is None else v.value.grad
            for v in variables
        ]
        with torch.no_grad():
            norm, generator_norm = self.gradient_norms(
                gradients, scaled_loss, loss
            )
            finite = torch.isfinite(norm)
            # The only read of a number by the host in the step.
            if self.scales_loss() or bool(finite):
                self.optimizer.apply(gradients, variables)
            self.pretraining_metrics.update_gradients(
                norm, generator_norm, finite
            )
            return self.compute_metrics(x, None, outputs)
