"""The programs that `gpu.py` times.

Each is a function of a size, a length and the arguments that returns a function
of a number of steps, which runs them, and a dict of what else to report:
numbers, or functions that measure them.
"""

import time

VOCABULARY = 30522  # of the published models
CLS, SEP, MASK = 101, 102, 103


def flops_per_token(size, length):
    """Multiplications and additions of a step, forward and backward."""
    from keras_electra.model.sizes import get_size

    size = get_size(size)
    total = 0
    for network in (size.discriminator(), size.generator()):
        width, layers = network["hidden_dim"], network["num_layers"]
        products = 4 * width**2 + 2 * width * network["intermediate_dim"]
        total += layers * 6 * (products + 2 * length * width)
    return total + 0.15 * 6 * size.embedding_dim * VOCABULARY


def device():
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def place_of(name):
    """Where a program computes, and the group of processes it has, if any."""
    if not name.startswith("keras_electra"):
        return device()
    import keras

    array = keras.ops.convert_to_tensor([0.0])
    place = str(array.device)
    if keras.config.backend() == "torch":
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(array)
            place += f" with {dist.get_backend_config()}"
            dist.destroy_process_group()
    return place


def wait_for(device):
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def make_ids(length, args):
    import numpy as np

    random = np.random.default_rng(0)
    shape = (args.tokens // length, length)
    ids = random.integers(1000, 30000, shape).astype("int32")
    ids[:, 0], ids[:, -1] = CLS, SEP
    return ids


def ours(size, length, args):
    """`fit` of this package, as users run it."""
    import keras
    import numpy as np

    import keras_electra

    keras.config.set_dtype_policy("mixed_bfloat16")
    pretrainer = keras_electra.ElectraPretrainer.from_size(
        size,
        vocabulary_size=VOCABULARY,
        sequence_length=length,
        dropout=args.dropout,
        mask_token_id=MASK,
        unselectable_token_ids=[0, CLS, SEP, MASK],
    )
    on_torch = keras.config.backend() == "torch"
    pretrainer.compile(
        optimizer=keras_electra.pretraining_optimizer(size, num_steps=10_000),
        steps_per_execution=1 if on_torch else args.steps,
    )
    ids = make_ids(length, args)
    x = {
        "token_ids": ids,
        "segment_ids": np.zeros_like(ids),
        "padding_mask": np.ones_like(ids),
    }

    def run(steps):
        pretrainer.fit(
            x, batch_size=len(ids), steps_per_epoch=steps, epochs=1, verbose=0
        )

    return run, {}


def transformers(size, length, args):
    import torch
    import torch.nn.functional as F
    from transformers import ElectraConfig
    from transformers import ElectraForMaskedLM
    from transformers import ElectraForPreTraining

    from keras_electra.model.sizes import get_size

    def config(network):
        return ElectraConfig(
            vocab_size=VOCABULARY,
            embedding_size=network["embedding_dim"],
            hidden_size=network["hidden_dim"],
            num_hidden_layers=network["num_layers"],
            num_attention_heads=network["num_heads"],
            intermediate_size=network["intermediate_dim"],
            max_position_embeddings=512,
            hidden_dropout_prob=args.dropout,
            attention_probs_dropout_prob=args.dropout,
            attn_implementation="sdpa",
        )

    torch.set_float32_matmul_precision("high")
    size = get_size(size)
    place = device()
    generator = ElectraForMaskedLM(config(size.generator())).to(place)
    discriminator = ElectraForPreTraining(config(size.discriminator()))
    discriminator.to(place)
    discriminator.electra.embeddings = generator.electra.embeddings
    generator.generator_lm_head.weight = (
        generator.electra.embeddings.word_embeddings.weight
    )
    parameters = list(
        {
            id(p): p
            for p in [*generator.parameters(), *discriminator.parameters()]
        }.values()
    )
    optimizer = torch.optim.AdamW(parameters, 1e-4, fused=True)
    ids = torch.tensor(make_ids(length, args)).long().to(place)
    count = max(1, int(0.155 * length))

    def compute_loss():
        special = (ids == CLS) | (ids == SEP)
        draw = torch.rand(ids.shape, device=place).masked_fill(special, -1.0)
        places = draw.topk(count, dim=1).indices
        target = ids.gather(1, places)
        x = generator.electra(ids.scatter(1, places, MASK)).last_hidden_state
        x = x.gather(1, places[..., None].expand(-1, -1, x.shape[-1]))
        x = generator.generator_predictions(x)
        logits = generator.generator_lm_head(x).float()
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten())
        with torch.no_grad():
            noise = torch.empty_like(logits).exponential_().clamp_min(1e-9)
            drawn = (logits - noise.log()).argmax(-1)
            corrupted = ids.scatter(1, places, drawn)
            replaced = (corrupted != ids).float()
        logits = discriminator(corrupted).logits.float()
        return loss + 50 * F.binary_cross_entropy_with_logits(logits, replaced)

    compute_loss = torch.compile(compute_loss)

    def run(steps):
        for _ in range(steps):
            with torch.autocast(place, torch.bfloat16):
                loss = compute_loss()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        wait_for(place)

    return run, {}


def product(size, length, args):
    import torch

    from keras_electra.model.sizes import get_size

    size = get_size(size)
    place = device()
    kwargs = {"device": place, "dtype": torch.bfloat16}
    x = torch.randn(args.tokens, size.hidden_dim, **kwargs)
    up = torch.randn(size.hidden_dim, size.intermediate_dim, **kwargs)
    down = torch.randn(size.intermediate_dim, size.hidden_dim, **kwargs)
    repeats = 20

    def run(steps):
        for _ in range(steps * repeats):
            (x @ up) @ down
        wait_for(place)

    side = 8192 if place == "cuda" else 256
    square = torch.randn(side, side, **kwargs)

    def square_rate():
        """Operations a second, of one large product."""
        wait_for(place)
        begin = time.perf_counter()
        for _ in range(repeats):
            square @ square
        wait_for(place)
        return repeats * 2 * side**3 / (time.perf_counter() - begin)

    flops = 4 * args.tokens * size.hidden_dim * size.intermediate_dim
    return run, {
        "flops": flops * repeats,
        "square": square_rate,
        "needed": flops_per_token(args.sizes[0], length),
    }
