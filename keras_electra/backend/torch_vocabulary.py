"""Loss, best guess and draw over the vocabulary, by a few rows at once.

Softmax, loss and draw pass a dozen times over the scores, the largest array of
a step: here a block of rows stays in the processor's cache for all of it, and
the gradient is made on the way. On accelerators blocks are larger, to be worth
their start: what is saved is the memory of a float32 array for each pass.

Shapes: R rows (predicted positions), V vocabulary.
"""

from typing import Any

import torch

BYTES_AT_ONCE = 2**23  # of float32 scores; 2**22 and 2**24 are no faster
ON_ACCELERATORS = 2**27


def can_run(logits: Any) -> bool:
    """Whether `predict` can be used: not under a compiler."""
    return not (logits.is_meta or torch.compiler.is_compiling())


@torch._disable_dynamo  # what it gave up on is left alone
def predict(logits, mask_ids, uniform, draw, block_width):
    """Losses (float32, nats), most probable and drawn ids (int32), `(...,)`.

    Args:
        logits: `(..., V)`.
        mask_ids, uniform: `(...,)`, the right ids and numbers in `[0, 1)`.
        draw: function of unnormalized probabilities `(R, V)`, V a multiple of
            `block_width`, and uniform numbers `(R,)` that gives ids `(R,)`.
    """
    flat = logits.flatten(0, -2), mask_ids.flatten().long(), uniform.flatten()
    results = Prediction.apply(*flat, draw, block_width)
    return tuple(result.view(mask_ids.shape) for result in results)


class Prediction(torch.autograd.Function):
    """`apply(logits, right, uniform, draw, block_width)`; see `predict`."""

    @staticmethod
    def forward(ctx, logits, right, uniform, draw, block_width):
        (rows, width), trained = logits.shape, ctx.needs_input_grad[0]
        loss = torch.empty(rows, device=logits.device)
        best, drawn = (torch.empty_like(loss, dtype=torch.int32) for _ in "01")
        gradient = torch.empty_like(logits) if trained else None
        padded = -(-width // block_width) * block_width  # as the draw needs it
        parts = _parts(logits, padded)
        buffer = loss.new_zeros(parts[0].stop if parts else 0, padded)
        for part in parts:
            shares = buffer[: part.stop - part.start]
            scores = shares[:, :width].copy_(logits[part])
            ids = right[part, None]
            right_score = scores.gather(1, ids)
            top, index = scores.max(1, keepdim=True)
            best[part] = index[:, 0]
            scores.sub_(top).exp_()
            drawn[part] = draw(shares, uniform[part])
            total = scores.sum(1, keepdim=True)
            loss[part] = (total.log() + top - right_score)[:, 0]
            if trained:  # the gradient of a softmax: p, less 1 where right
                scores.mul_(1 / total)
                scores.scatter_add_(1, ids, -torch.ones_like(total))
                gradient[part] = scores
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(best, drawn)
        return loss, best, drawn

    @staticmethod
    @torch._disable_dynamo
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_loss, d_best, d_drawn):
        (gradient,) = ctx.saved_tensors
        # The factor in half precision would be off alike for every token.
        # In place, so that there is one such large array.
        for part in _parts(gradient, gradient.shape[1]):
            gradient[part] = gradient[part] * d_loss[part, None]
        return gradient, None, None, None, None


def _parts(array, width):
    """Slices that make up all rows, which are `width` wide in float32."""
    on_cpu, rows = array.device.type == "cpu", len(array)
    at_once = BYTES_AT_ONCE if on_cpu else ON_ACCELERATORS
    count = max(1, at_once // (4 * width))
    starts = range(0, rows, count)
    return [slice(start, min(start + count, rows)) for start in starts]
