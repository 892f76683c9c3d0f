"""How far an exported graph is from its task, and what eight bits change.

Strings that are hard for tokenizers go the way of other programs, through the
files of the folder; labelled data, where it is given, through both networks.
"""

import functools
import json
import os
import random
import unicodedata

import keras
import numpy as np
import tokenizers

from keras_electra.backend import export as graphs
from keras_electra.conversion.tokenizer_files import TOKENIZER
from keras_electra.data.batches import Batches
from keras_electra.data.batches import round_length
from keras_electra.data.inputs import map_columns
from keras_electra.data.rows import make_rows
from keras_electra.presets_saving import PIPELINES

MARK = "<!-- Written by export; remove this line to keep a change. -->"
CARD = """---
library_name: {library}
pipeline_tag: {pipeline}
tags: [electra]
---
{mark}
# {task}

The graph of an `{task}`. Inputs are int64, `(batch, length)`: `input_ids`,
`attention_mask` and `token_type_ids`, made by `tokenizer.json`; labels and
thresholds are in `config.json`. It runs without Keras. Against the task it was
made of, on hard strings (more in `parity.json`):

| graph | MB | largest difference | other decisions |
| --- | --- | --- | --- |
{rows}
"""

FIELDS = dict(zip(graphs.INPUTS, ("token_ids", "padding_mask", "segment_ids")))
SCRIPTS = {  # first and last character of what is drawn
    "latin": "az", "upper": "AZ", "accents": "Àſ", "greek": "Ας", "cjk": "一龥",
    "kana": "ぁヿ", "hangul": "가힣", "arabic": "ءي", "hebrew": "את",
    "devanagari": "अह", "thai": "กฮ", "emoji": "😀🙏", "signs": "←⋿",
    "marks": "\u0300\u036f", "digits": "09", "ascii": "!~", "wide": "！～",
    "controls": "\x00\x1f", "spaces": "\u2000\u200f", "others": "\ue000\uf8ff",
}  # fmt: skip
FIXED = (
    "", " ", "\t\n", "[MASK] [CLS] [SEP] [PAD]", "##ing", "don't", "U.S.A.",
    "1,234.50 €", "3.14e-10", "http://a.b/c?d=e&f=g", "👩‍👩‍👧 🇩🇪",
    "東京tokyo", "ﬁ ﬀ ½ ² Ⅷ", "İıẞß", "e\u0301 é", "\ufeffx\u00ad\u200by",
    "السلام عليكم", "שָׁלוֹם", "नमस्ते", "x" * 300, "a" + " " * 50 + "A",
)  # fmt: skip


def hard_strings(count=300):
    """The same `count` strings every time: fixed ones, then drawn ones."""
    draws, texts = random.Random(0), list(FIXED)
    while len(texts) < count:
        few = draws.sample(sorted(SCRIPTS), draws.choice((1, 1, 2, 3)))
        length = draws.choice((1, 4, 16, 40) if len(texts) % 50 else (2000,))
        text = "".join(
            chr(draws.randint(*map(ord, SCRIPTS[draws.choice(few)])))
            + draws.choice(("", "", "", " "))
            for _ in range(length)
        )
        form = draws.choice(("NFC", "NFD", "NFKC", "NFKD"))
        texts.append(unicodedata.normalize(form, text))
    return texts[:count]


def batches_of(task, x, y=None, size=16):
    """Batches `(x, y, sample_weight)` of the task, and the graph's inputs."""
    examples = task._read(x, y)
    rows = task._memory_rows(examples)
    batches = Batches(rows, size, "by_length", finish=task.finish_batch)
    for position in range(len(batches)):
        data = keras.utils.unpack_x_y_sample_weight(batches.batch(position))
        yield data, _graph_inputs(data[0])


def _graph_inputs(x):
    return {name: x[field].astype("int64") for name, field in FIELDS.items()}


def _hard_batches(task, folder):
    """As `batches_of`, of hard strings as the folder's tokenizer reads them.

    Also those of which the task's own makes other tokens.
    """
    texts, ours = hard_strings(), task.preprocessor
    length = min(ours.sequence_length, task.backbone.max_sequence_length)
    ours = getattr(ours, "word_tokenizer", ours.tokenizer)
    pipeline = tokenizers.Tokenizer.from_file(os.fspath(folder / TOKENIZER))
    pipeline.enable_truncation(length)
    rows = [row.ids for row in pipeline.encode_batch(texts)]
    others = [
        text
        for text, row, ids in zip(texts, rows, ours.encode_batch(texts))
        if row[1:-1] != ids[: length - 2]
    ]
    batches, rank = [], len(task.input["token_ids"].shape)
    rows.sort(key=len)
    for few in (rows[i : i + 20] for i in range(0, len(rows), 20)):
        width = round_length(len(few[-1]), length)
        x = make_rows(few, map(len, few), ours.pad_token_id, width)
        if rank == 3:  # two choices each
            x = {n: v.reshape(-1, 2, width) for n, v in x.items()}
        if "mask_positions" in task.input:
            x["mask_positions"] = np.arange(width)[None].repeat(len(few), 0)
        batches.append(((x, None, None), _graph_inputs(x)))
    return batches, others


def calibrated(task, outputs):
    """Outputs by their names in a graph, whose softmax is to be trusted."""
    if isinstance(outputs, dict):
        return outputs
    if hasattr(task, "pooling"):
        return {"sentence_embedding": outputs}
    if found := getattr(task, "calibration", None):
        is_tensor = keras.ops.is_tensor(outputs)
        like = keras.ops.convert_to_tensor if is_tensor else np.asarray
        scale, bias = (like(found[n], "float32") for n in ("scale", "bias"))
        outputs = outputs * scale + bias
    return {"logits": outputs}


def _of_task(task, x, inputs):
    return calibrated(task, keras.Model.predict_on_batch(task, x))


def _of_graph(run, task, x, inputs):
    outputs = run(inputs)
    if "mask_positions" in x:  # a graph predicts every token
        places = x["mask_positions"][:, :, None]
        outputs["logits"] = np.take_along_axis(outputs["logits"], places, 1)
    outputs.pop("last_hidden_state", None)
    return outputs


def _decisions(task, outputs, mask):
    """What outputs decide, `(decisions,)`; `None` where they decide nothing."""
    kind = getattr(task, "problem_type", None)
    if hasattr(task, "pooling") or kind == "regression":
        return None
    scores = outputs.get("logits", outputs.get("start_logits"))
    is_detector = task.token_outputs and len(task.output_shape) == 2
    if kind == "multi_label" or is_detector and "logits" in outputs:
        scores = scores > 0
    else:
        scores = scores.argmax(-1)
    return scores[mask > 0] if scores.shape == mask.shape else scores.ravel()


def _compare(task, run, batches):
    """Largest differences of a graph from its task, and decisions changed."""
    largest, changed, count = {}, 0, 0
    for (x, *_), inputs in batches:
        ours, theirs = _of_task(task, x, inputs), run(task, x, inputs)
        mask = x["padding_mask"]
        if "mask_positions" in x:
            mask = np.take_along_axis(mask, x["mask_positions"], 1)
        # Of equally good starts any may be among the best.
        names = [name for name in ours if "_top_" not in name]
        for name in names:
            value = ours[name]
            difference = np.abs(np.float32(value) - np.float32(theirs[name]))
            if task.token_labels and value.shape[:2] == mask.shape:
                difference = difference[mask > 0]
            before = largest.get(name, 0.0)
            largest[name] = max(before, float(difference.max(initial=0)))
        pair = [_decisions(task, outputs, mask) for outputs in (ours, theirs)]
        if pair[0] is not None:
            changed += int((pair[0] != pair[1]).sum())
            count += pair[0].size
    result = {"largest_differences": largest}
    return result | ({"decisions_changed": changed / count} if count else {})


def _metrics(task, run, batches):
    """The metrics of a task with outputs of its own, or of a graph."""
    task.reset_metrics()
    for (x, y, sample_weight), inputs in batches:
        outputs = run(task, x, inputs)
        if not isinstance(task.output, dict):
            (outputs,) = outputs.values()
        data = x, y, outputs, sample_weight
        task.compute_metrics(*map_columns(keras.ops.convert_to_tensor, data))
    results = {n: float(v) for n, v in task.get_metrics_result().items()}
    results.pop("loss", None)
    return results


def write_report(task, form, folder, paths, validation_data):
    """Writes `parity.json` and `README.md`; an error for a wrong graph."""
    strings, others = _hard_batches(task, folder)
    report = {"format": form, "hard_strings": len(hard_strings())}
    report |= {"tokens_differ": others, "graphs": {}}
    labelled = validation_data and list(batches_of(task, *validation_data))
    if labelled and task.compiled:
        report["metrics_of_task"] = _metrics(task, _of_task, labelled)
    for path in paths:
        run = functools.partial(_of_graph, graphs.load(form, path))
        found = _compare(task, run, strings)
        files = [*path.rglob("*"), *path.parent.glob(f"{path.stem}.*")]
        size = sum(file.stat().st_size for file in files)
        found = {"megabytes": size / 1e6, **found}
        if labelled and task.compiled:
            some = _compare(task, run, labelled)
            found["on_labelled_data"] = some | {
                "metrics": _metrics(task, run, labelled)
            }
        report["graphs"][path.relative_to(folder).as_posix()] = found
        worst = max(found["largest_differences"].values())
        limit = 1e-2 if task.dtype_policy.name == "float32" else 1.0
        if path is paths[0] and not worst < limit:
            raise RuntimeError(
                f"The graph {path.name} gives other results than the task, "
                f"by up to {worst:.3g}. Nothing was written; try another."
            )
    text = json.dumps(report, indent=2, ensure_ascii=False)
    (folder / "parity.json").write_text(text + "\n", encoding="utf-8")
    readme = folder.parent / "README.md"
    if not readme.exists() or MARK in readme.read_text("utf-8"):
        rows = "\n".join(
            f"| {name} | {found['megabytes']:.1f} | "
            f"{max(found['largest_differences'].values()):.2g} | "
            f"{found.get('decisions_changed', 0):.2%} |"
            for name, found in report["graphs"].items()
        )
        name = type(task).__name__
        text = CARD.format(
            mark=MARK,
            library="transformers.js" if form == "onnx" else form,
            pipeline=PIPELINES.get(name, "fill-mask"),
            task=name,
            rows=rows,
        )
        (folder / readme.name).write_text(text, encoding="utf-8")
    if keras.config.is_interactive_logging_enabled():
        print(f"{folder.parent}: {json.dumps(report['graphs'])}")
