"""How acceptable is a sentence, as a discriminator or a generator sees it?

A language model of one direction gives a sentence a probability. ELECTRA's two
networks do not, but each has a sum over tokens that ranks sentences of one
pair: the discriminator by how original every token looks, in one pass, and the
generator by how well each token is guessed from all others, in one pass a
token.
"""

import numpy as np

from keras_electra.data.rows import text_rows

# Texts whose outputs are held at a time.
CHUNK = 64


def log_probability_of_original(detector, texts, batch_size=128):
    """Sums the log probability of being original over the tokens of texts.

    Args:
        detector: `ElectraReplacedTokenDetector` with a preprocessor.
        texts: list of strings.
        batch_size: int. Texts computed together. Defaults to `128`.

    Returns:
        float64 array of shape `(texts,)`, nats; 0 is the most acceptable.

    Raises:
        TypeError: when `texts` is not a list of strings.
        ValueError: when a text is empty or longer than a row.
    """
    rows = _encode(detector, texts, "log_probability_of_original")
    scores = []
    for ids, logits in zip(rows, _outputs(detector, rows, batch_size)):
        # Positive logits mean replaced; [CLS] is first.
        scores.append(-np.logaddexp(0.0, logits[1 : 1 + len(ids)]).sum())
    return np.array(scores, "float64")


def pseudo_log_likelihood(filler, texts, batch_size=128):
    """Sums the log probability of every token given all others.

    Salazar et al. 2020, "Masked language model scoring", equation 1: each
    token is replaced by [MASK] in turn.

    Args:
        filler: `ElectraMaskedLM` with a preprocessor.
        texts: list of strings.
        batch_size: int. Masked copies computed together. Defaults to `128`.

    Returns:
        float64 array of shape `(texts,)`, nats.

    Raises:
        TypeError: when `texts` is not a list of strings.
        ValueError: when a text is empty or longer than a row.
    """
    rows = _encode(filler, texts, "pseudo_log_likelihood")
    mask = filler.preprocessor.tokenizer.mask_token_id
    scores = np.zeros(len(rows), "float64")
    for first in range(0, len(rows), CHUNK):
        asked = [
            (row, place)
            for row in range(first, min(first + CHUNK, len(rows)))
            for place in range(len(rows[row]))
        ]
        copies = [
            [*rows[row][:place], mask, *rows[row][place + 1 :]]
            for row, place in asked
        ]
        positions = [place for _, place in asked]
        outputs = _outputs(filler, copies, batch_size, positions)
        for (row, place), logits in zip(asked, outputs):
            logits = logits[0] - logits[0].max()  # (V,)
            right = logits[rows[row][place]]
            scores[row] += right - np.log(np.exp(logits).sum())
    return scores


def _encode(task, texts, method):
    if isinstance(texts, str):
        raise TypeError(
            f"`{method}` takes a list of strings. Received: {texts!r} of type "
            "str."
        )
    limit = task.preprocessor.sequence_length
    limit = min(limit, task.backbone.max_sequence_length) - 2
    rows = task.preprocessor.tokenizer.encode_batch(texts)
    for text, ids in zip(texts, rows):
        if not 1 <= len(ids) <= limit:
            raise ValueError(
                f"`{method}` takes texts of 1 to {limit} tokens. Received one "
                f"of {len(ids)} tokens: {text[:60]!r}."
            )
    return rows


def _outputs(task, rows, batch_size, positions=None):
    """float32 outputs for lists of ids; positions are counted in the ids."""
    tokenizer = task.preprocessor.tokenizer
    x = text_rows(rows, None, tokenizer, max(map(len, rows)) + 2)
    if positions is not None:
        # After [CLS].
        x["mask_positions"] = np.array(positions, "int32")[:, None] + 1
    for output in task.predict_rows(x, batch_size):
        yield np.asarray(output, "float32")
