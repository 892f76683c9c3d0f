"""ELECTRA's pre-training objective as one Keras model.

The generator fills masked positions, its draws go into the text, and the
discriminator tells which tokens are new. The training step is in `backend/`.
"""

import typing

import keras
import keras_hub
from keras import ops

from keras_electra.arguments import check_option
from keras_electra.arguments import keyword_names
from keras_electra.arguments import known_keywords
from keras_electra.backend import replicas
from keras_electra.data.rows import TextPreprocessor
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.sizes import get_size
from keras_electra.pretraining import losses
from keras_electra.pretraining import masking as masks
from keras_electra.pretraining import networks
from keras_electra.pretraining import sampling
from keras_electra.pretraining.fit import PretrainingFit
from keras_electra.training.recipes import RECIPES

GENERATORS = ("narrow", "full", "backbone", "towers")


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraPretrainerPreprocessor(TextPreprocessor):
    """Turns texts, or pairs of texts, into rows; nothing is masked.

    Documents are packed into full rows by `keras_electra.build_examples`.

    Args:
        tokenizer, truncate, **kwargs: as of the tasks' preprocessors.
        sequence_length: int. Length of the rows, in tokens. Defaults to `128`.
    """

    def __init__(
        self, tokenizer, sequence_length=128, truncate="round_robin", **kwargs
    ):
        super().__init__(tokenizer, sequence_length, truncate, **kwargs)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraPretrainer(
    PretrainingFit, networks.PretrainingSaving, keras_hub.models.Task
):
    """Pre-trains a generator and a discriminator together.

    `fit` and `evaluate` take texts, a tuple of two columns of texts (pairs),
    rows, `keras_electra.load_examples(...)`, or a stream of any of these;
    labels and weights must be `None`.

    Args:
        backbone: `ElectraBackbone`, the discriminator's.
        generator: `ElectraBackbone`; the same object as `backbone` for one
            network that is both; `ElectraTwoTowers`; `None`: uniform draws.
        preprocessor: `ElectraPretrainerPreprocessor` or `None`. For raw text.
        mask_fraction: float. Share of the tokens of a row that is predicted.
            Defaults to `0.15` (paper, table 6; large: 0.25). Or two, lowest
            and highest: each row draws its own, and accuracy and AUC are also
            reported for the low, middle and high third.
        fill_fraction: float. Below `1.0`, the default, of every second row
            only a share, from this one up, is filled for the discriminator,
            which judges the rest's neighbours, not what stays [MASK].
        mask_targets_only: bool. Whether of pairs the first is never masked.
        masking: string. What is drawn: `"token"`; `"word"`, whole words;
            `"span"`, spans of words (SpanBERT, Joshi et al. 2020); `"hard"`,
            tokens in proportion to the mean loss of their kind (Zhang et al.,
            "Weighted Sampling for Masked Language Modeling", ICASSP 2023).
        mask_token_rate, random_token_rate: floats. Shares of these that are
            shown as [MASK], and as another token of the text. Default to
            `0.85` (original `pretrain/pretrain_helpers.py:201`) and `0.0`;
            for masked language modelling alone BERT's 0.8 and 0.1 are better.
        generator_weight, discriminator_weight: floats. Weights of the losses.
            Default to `1.0` and `50.0` (paper, table 6). With `0.0` there is
            no discriminator: masked language modelling alone; or the generator
            is frozen, which must not share (Fast-ELECTRA, Dong et al. 2024).
        objective: string. What the discriminator does: `"detection"`; or of
            masked tokens alone, `"masked_detection"` (ELECTRA 15%); predict
            these, `"replace_mlm"`, or all tokens, `"all_tokens_mlm"` (paper,
            section 3.4; both losses have the weight 1 there); `"electric"`,
            noise-contrastive estimation (Clark et al., EMNLP 2020).
        discriminator_loss: string. Of detection: `"cross_entropy"`;
            `"balanced"`, replaced and original tokens weigh half each; or
            `"focal"` (Lin et al., ICCV 2017).
        temperature: float, of the generator's draws, or a schedule of Keras,
            of steps: `PolynomialDecay(2.0, steps, 1.0)` (Fast-ELECTRA).
        disallow_correct: bool. Whether the right token is never drawn.
        share_embeddings: bool. Whether the generator uses the discriminator's
            embeddings: one with its own is rebuilt as `pretrainer.generator`.
            `False` is DeBERTaV3's NES, and `"gdes"` its GDES: the
            discriminator's tokens are the generator's and a difference, and do
            not change these (He et al., ICLR 2023).
        mask_token_id: int. Defaults to the tokenizer's, as what follows.
        unselectable_token_ids: list of ints, what is never predicted.
        seed: int or `None`, of training; evaluation always draws alike.
        generator_head_activation: string or `None`, for the generator's own.
        **kwargs: `name`, and `compile=False` to leave it uncompiled.

    It is called on rows, a dict of int arrays `(batch, length)`, `token_ids`
    (without masks), `segment_ids` and `padding_mask`. It returns a dict:
    `mask_positions`, `mask_ids`, `mask_weights`, `token_loss`, `predicted_ids`,
    `sampled_ids`, `(batch, positions)`; `corrupted_token_ids`, `replaced`,
    `discriminator_logits` (in the network's precision), `(batch, length)`; in
    place of the last, if tokens are predicted, `discriminator_token_loss`.
    """

    backbone_cls = ElectraBackbone
    preprocessor_cls = ElectraPretrainerPreprocessor
    default_generator = "narrow"  # of `from_size`

    @known_keywords("name", "compile", "trainable", "dtype")
    def __init__(
        self,
        backbone: keras.Model,
        generator: keras.Model | None,
        preprocessor: keras.Layer | None = None,
        mask_fraction: object = 0.15,
        mask_token_rate: float = 0.85,
        random_token_rate: float = 0.0,
        generator_weight: float = 1.0,
        discriminator_weight: float = 50.0,
        temperature: object = 1.0,
        disallow_correct: bool = False,
        share_embeddings: object = True,
        mask_token_id: int | None = None,
        unselectable_token_ids: list[int] | None = None,
        seed: int | None = None,
        generator_head_activation: str | None = None,
        fill_fraction: float = 1.0,
        mask_targets_only: bool = False,
        masking: str = "token",
        objective: str = "detection",
        discriminator_loss: str = "cross_entropy",
        **kwargs: object,
    ) -> None:
        low, high = mask_range = masks.fraction_range(mask_fraction)
        mask_fraction = mask_range if low != high else low
        networks.check_arguments(locals())
        mask_token_id, unselectable_token_ids = networks.special_ids(
            preprocessor, mask_token_id, unselectable_token_ids
        )
        given = backbone, generator, share_embeddings
        generator = networks.prepare_generator(*given)
        has_towers = isinstance(generator, networks.ElectraTwoTowers)

        # === Layers ===
        vocabulary_size = backbone.vocabulary_size
        tokenizer = getattr(preprocessor, "tokenizer", None)
        vocabulary = getattr(tokenizer, "get_vocabulary", None)
        own, given = keyword_names(masks.MaskTokens.__init__), locals()
        own = {name: given[name] for name in own}
        mask_tokens = masks.MaskTokens(**own, name="mask_tokens")
        if generator is None:
            given = vocabulary_size
            generator_head = sampling.UniformLogits(
                given, name="generator_head"
            )
        else:
            given = generator, "generator_head", True
            generator_head = losses.make_head(*given, generator_head_activation)
        draw_seed = None if seed is None else seed + 1
        learn = mask_tokens.learn if masking == "hard" else None
        given = temperature, disallow_correct, draw_seed, learn
        sample_tokens = sampling.SampleTokens(*given, name="sample_tokens")
        is_noise = objective == "electric"
        replace_tokens = masks.ReplaceTokens(is_noise, name="replace_tokens")
        discriminator_head = disentangled = None
        if discriminator_weight:
            predicts = objective not in losses.DETECTION
            given = backbone, "discriminator_head", predicts
            discriminator_head = losses.make_head(*given)
        if share_embeddings == "gdes":
            disentangled = networks.DisentangledTokens(
                backbone.embeddings, generator.embeddings, name="disentangled"
            )

        # === Functional Model ===
        inputs = backbone.input
        given = (inputs[n] for n in ("token_ids", "padding_mask"))
        masked = mask_tokens(*given, inputs["segment_ids"])
        masked_ids = masked.pop("token_ids")
        positions, everywhere = masked["mask_positions"], None
        if generator is None:
            logits = generator_head(positions)  # (B, P, V)
        else:
            read = inputs if has_towers else {**inputs, "token_ids": masked_ids}
            x = generator(read)["sequence_output"]
            logits = generator_head(x, positions)
            if has_towers:
                everywhere = losses.everywhere(inputs["token_ids"])
                everywhere = generator_head(x, everywhere)  # (B, L, V)
        filled, shown = masked["mask_weights"], ()
        sampled = sample_tokens(logits, masked["mask_ids"], filled)
        if fill_fraction < 1:
            filled, shown = masked.pop("fill_weights"), (masked_ids,)
        slots = positions, sampled["sampled_ids"], filled, *shown
        corrupted = replace_tokens(inputs["token_ids"], *slots)
        new_ids = corrupted.pop("token_ids")  # "replaced" stays
        outputs = {**masked, **sampled, **corrupted}
        outputs["corrupted_token_ids"] = new_ids
        if discriminator_head is not None:
            x = backbone({**inputs, "token_ids": new_ids})["sequence_output"]
            given = x, outputs, inputs["token_ids"], everywhere, low
            given = objective, discriminator_head, *given
            outputs |= losses.judge(*given)
        if has_towers:  # which learn from all tokens
            given = everywhere, inputs["token_ids"]
            outputs["all_token_loss"] = losses.token_loss(*given)
        compile = kwargs.pop("compile", True)
        super().__init__(inputs, outputs, compile=False, **kwargs)
        if not generator_weight and generator not in (None, backbone):
            for variable in (*generator.weights, *generator_head.weights):
                variable.trainable = False

        # === Config ===
        self.dtype_policy = backbone.dtype_policy
        self.generator_head = generator_head
        self.discriminator_head = discriminator_head
        self.keep_arguments(locals())
        self.mask_tokens = mask_tokens
        self.sample_tokens = sample_tokens
        self.disentangled = disentangled
        ranged = mask_range if low < high else None
        self.step_metrics = losses.PretrainingMetrics(outputs, ranged)
        if compile:
            self.compile()

    @classmethod
    @known_keywords(__init__)
    def from_size(
        cls,
        size: str,
        tokenizer: keras.Layer | None = None,
        vocabulary_size: int | None = None,
        sequence_length: int | None = None,
        dropout: float = 0.1,
        max_sequence_length: int = 512,
        dtype: object = None,
        generator: object = None,
        **kwargs: object,
    ) -> typing.Any:
        """Builds both networks of a size, with random weights.

        Args:
            size: string. `tiny`, `mini`, `small`, `base` or `large`.
            tokenizer: `ElectraTokenizer` or `None`. Needed for raw text.
            vocabulary_size: int. Defaults to the tokenizer's.
            sequence_length: int, tokens a row of text; by default the recipe's.
            dropout, max_sequence_length, dtype: of both `ElectraBackbone`s.
            generator: string. `"narrow"`, as in the paper, `"full"`, as wide
                as the discriminator, `"backbone"`: one network that is both,
                or `"towers"`: `ElectraTwoTowers` of two narrow ones.
            **kwargs: of `ElectraPretrainer`.
        """
        sizes, recipe = get_size(size), RECIPES[size]
        generator = generator or cls.default_generator
        check_option("generator", generator, GENERATORS)
        if tokenizer is None and vocabulary_size is None:
            raise ValueError("Give a `tokenizer` or a `vocabulary_size`.")
        common = dict(
            vocabulary_size=vocabulary_size or tokenizer.vocabulary_size(),
            dropout=dropout,
            max_sequence_length=max_sequence_length,
            dtype=dtype,
        )
        shares = kwargs.get("share_embeddings", True)
        given = sizes, generator, shares
        backbone, generator = networks.make_networks(*given, **common)
        preprocessor, length = None, sequence_length or recipe.sequence_length
        if tokenizer is not None:
            preprocessor = cls.preprocessor_cls(tokenizer, length)
        if cls is ElectraPretrainer:
            kwargs.setdefault("mask_fraction", recipe.mask_fraction)
        return cls(backbone, generator, preprocessor=preprocessor, **kwargs)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The weighted sum of both losses, a float32 scalar.

        Of several replicas, in training, a share: their sum is the loss.
        """
        y, kind = y_pred, self.discriminator_loss
        given = y["token_loss"], y["mask_weights"]
        if "all_token_loss" in y:  # of all that can be masked
            used = x["token_ids"], x["padding_mask"]
            used = *used, self.unselectable_token_ids
            given = y["all_token_loss"], masks.find_candidates(*used)
        loss = self.generator_weight * losses.weighted_mean(*given)
        if self.discriminator_weight:
            judged = self.judged(x, y)
            if "discriminator_token_loss" in y:
                given = y["discriminator_token_loss"], judged
                own = losses.weighted_mean(*given)
            else:
                given = y["discriminator_logits"], y["replaced"], judged
                own = losses.detection_loss(*given, kind)
            loss += self.discriminator_weight * own
        return loss if training else replicas.total(loss)

    def judged(self, x: object, y_pred: object) -> object:
        """1 for what the discriminator judges, all tokens or those masked.

        Of `"replace_mlm"` `(batch, positions)`, else `(batch, length)`.
        """
        if self.objective == "replace_mlm":
            return y_pred["mask_weights"]
        mask, slots = x["padding_mask"], ("mask_positions", "mask_weights")
        if self.objective == "masked_detection":
            given = x["token_ids"], *(y_pred[name] for name in slots)
            mask = mask * masks.mark(*given)
        if self.fill_fraction == 1:
            return mask
        is_open = y_pred["corrupted_token_ids"] == self.mask_token_id
        return ops.where(is_open, ops.zeros_like(mask), mask)
