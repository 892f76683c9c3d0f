"""Checks and defaults of the arguments of the pre-trainer."""


def prepare_generator(backbone, generator, share_embeddings):
    """The generator with the embeddings it is to use.

    Args:
        backbone: `ElectraBackbone` of the discriminator.
        generator: `ElectraBackbone`, the same one, or `None`.
        share_embeddings: bool.

    Returns:
        `generator`, or a copy of it with the embeddings of `backbone`.

    Raises:
        ValueError: when the two do not go together.
    """
    if generator is None or generator is backbone:
        return generator
    if generator.vocabulary_size != backbone.vocabulary_size:
        raise ValueError(
            "`generator` and `backbone` must have the same "
            f"`vocabulary_size`. Received: {generator.vocabulary_size} and "
            f"{backbone.vocabulary_size}. Train both with one tokenizer."
        )
    shares = generator.embeddings is backbone.embeddings
    if share_embeddings and not shares:
        return generator.with_embeddings(backbone.embeddings, name="generator")
    if shares and not share_embeddings:
        raise ValueError(
            "`share_embeddings=False` needs a `generator` with embeddings of "
            "its own. Received one that was built with the backbone's. Call "
            "`generator.with_embeddings(None)` for a copy that has its own."
        )
    return generator


def check_numbers(
    mask_fraction, mask_token_rate, random_token_rate, temperature
):
    """Raises when a number is out of its range."""
    if not 0.0 < mask_fraction < 1.0:
        raise ValueError(
            "`mask_fraction` must be above 0 and below 1. "
            f"Received: mask_fraction={mask_fraction}."
        )
    if not 0.0 <= mask_token_rate <= 1.0:
        raise ValueError(
            "`mask_token_rate` must be from 0 to 1. "
            f"Received: mask_token_rate={mask_token_rate}."
        )
    if random_token_rate < 0.0 or mask_token_rate + random_token_rate > 1.0:
        raise ValueError(
            "`random_token_rate` must be from 0 to `1 - mask_token_rate`. "
            f"Received: mask_token_rate={mask_token_rate}, "
            f"random_token_rate={random_token_rate}."
        )
    if temperature <= 0.0:
        raise ValueError(
            f"`temperature` must be above 0. Received: {temperature}."
        )


def special_ids(preprocessor, mask_token_id, unselectable_token_ids):
    """Special ids as they were given, or else as the tokenizer has them."""
    tokenizer = getattr(preprocessor, "tokenizer", None)
    if mask_token_id is None and tokenizer is not None:
        mask_token_id = tokenizer.mask_token_id
    if unselectable_token_ids is None and tokenizer is not None:
        unselectable_token_ids = [
            tokenizer.cls_token_id,
            tokenizer.sep_token_id,
            tokenizer.mask_token_id,
            tokenizer.pad_token_id,
        ]
    if mask_token_id is None or unselectable_token_ids is None:
        raise ValueError(
            "`mask_token_id` and `unselectable_token_ids` must be known. "
            "Received no `preprocessor` with a tokenizer to take them from. "
            "Pass a preprocessor, or both arguments."
        )
    return int(mask_token_id), sorted({int(i) for i in unselectable_token_ids})
