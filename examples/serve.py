"""Serves an exported classifier over HTTP, without Keras and this package.

Waiting texts go together: FOLDER=exported uvicorn --app-dir examples serve:app
"""

import asyncio
import collections
import json
import os
import pathlib
import time

import fastapi
import numpy as np
import onnxruntime
import pydantic
import tokenizers

FOLDER = pathlib.Path(os.environ["FOLDER"])
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
MOST, LONGEST, BATCH, PATIENCE = 64, 20_000, 32, 10.0  # the last in seconds

config = json.loads((FOLDER / "config.json").read_text("utf-8"))
tokenizer = tokenizers.Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
tokenizer.enable_truncation(config["keras_electra"]["length"])
tokenizer.enable_padding(pad_id=config["pad_token_id"])
session = onnxruntime.InferenceSession(max(FOLDER.glob("onnx/*.onnx")))
labels = config["id2label"].values()
counts, queue, workers = collections.Counter(), asyncio.Queue(), []
Text = pydantic.constr(max_length=LONGEST)


def compute(texts):
    rows = tokenizer.encode_batch(texts)
    x = [(r.ids, r.attention_mask, r.type_ids) for r in rows]
    (logits,) = session.run(None, dict(zip(INPUTS, np.array(x).swapaxes(0, 1))))
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    if config["problem_type"].startswith("multi_label"):
        shares = 1 / (1 + np.exp(-logits))
    return [dict(zip(labels, row)) for row in shares.tolist()]


async def work():
    while waiting := [await queue.get()]:
        while len(waiting) < BATCH and not queue.empty():
            waiting.append(queue.get_nowait())
        start, texts = time.time(), [text for text, _ in waiting]
        results = await asyncio.to_thread(compute, texts)
        for (_, future), result in zip(waiting, results):
            future.done() or future.set_result(result)
        counts.update(texts=len(texts), batches=1, seconds=time.time() - start)


app = fastapi.FastAPI()


@app.post("/predict")
async def predict(texts: list[Text] = fastapi.Body(max_length=MOST)):
    waiting = [(text, asyncio.Future()) for text in texts]
    for pair in waiting:
        queue.put_nowait(pair)
    if not workers or workers[-1].done():  # by an error: those wait in vain
        workers.append(asyncio.create_task(work()))
    answers = asyncio.gather(*(future for _, future in waiting))
    try:
        return await asyncio.wait_for(answers, PATIENCE)
    except TimeoutError:
        raise fastapi.HTTPException(503, "Too busy: try again later.")


@app.get("/health")
async def health():
    return {"status": "ok", "waiting": queue.qsize()}


@app.get("/metrics")
async def metrics():
    lines = (f"electra_{n}_total {v}\n" for n, v in counts.items())
    return fastapi.Response("".join(lines), media_type="text/plain")
