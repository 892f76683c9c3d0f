"""How acceptable is a sentence, as a discriminator or a generator sees it?

A language model of one direction gives a sentence a probability. ELECTRA's two
networks do not, but each has a sum over tokens that ranks sentences of one
pair: the discriminator by how original every token looks, in one pass, and the
generator by how well each token is guessed from all others, in one pass a
token.
"""

import numpy as np

from keras_electra.tasks import inference


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
        ValueError: when a text is empty or longer than a row, or there is no
            preprocessor.
    """
    method = "log_probability_of_original"
    rows = _encode(detector, texts, method)
    scores = []
    for ids, logits in zip(
        rows, inference.predict_rows(detector, rows, batch_size)
    ):
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
        ValueError: when a text is empty or longer than a row, or there is no
            preprocessor.
    """
    rows = _encode(filler, texts, "pseudo_log_likelihood")
    mask = filler.preprocessor.tokenizer.mask_token_id
    copies = [
        [*ids[:place], mask, *ids[place + 1 :]]
        for ids in rows
        for place in range(len(ids))
    ]
    asked = [
        (row, place)
        for row, ids in enumerate(rows)
        for place in range(len(ids))
    ]
    scores = np.zeros(len(rows), "float64")
    for (row, place), logits in zip(
        asked,
        inference.predict_rows(
            filler, copies, batch_size, [[place] for _, place in asked]
        ),
    ):
        logits = logits[0] - logits[0].max()  # (V,)
        scores[row] += logits[rows[row][place]] - np.log(np.exp(logits).sum())
    return scores


def _encode(task, texts, method):
    texts, is_one = inference.check_texts(texts, method)
    if is_one:
        raise TypeError(
            f"`{method}` takes a list of strings. Received: {texts[0]!r} of "
            "type str."
        )
    tokenizer = inference.require_tokenizer(task, method)
    limit = inference.text_length(task)
    rows = tokenizer.encode_batch(texts)
    for text, ids in zip(texts, rows):
        if not 1 <= len(ids) <= limit:
            raise ValueError(
                f"`{method}` takes texts of 1 to {limit} tokens. Received one "
                f"of {len(ids)} tokens: {text[:60]!r}."
            )
    return rows
