"""Peers that run inside this process: Qdrant Edge, LanceDB, tantivy, bm25s and faiss. Each is imported when it is
used, so that one that cannot be installed is left out and the others still run."""

from __future__ import annotations

import os
import pathlib
import time
from abc import ABC, abstractmethod

import numpy as np

from .data import Data
from .timing import Answer, Search

RRF = 60
CANDIDATES = 60


class Embedded(ABC):
    """A library with the rows loaded."""

    name: str
    modes: tuple[str, ...]

    @abstractmethod
    def run(self, mode: str, query: int, k: int, below: int | None) -> list[int]:
        """Row numbers, best first."""

    def search(self, mode: str, below: int | None = None, k: int = 10) -> Search:
        """Answers by query number, timed around the call."""

        def answer(query: int) -> Answer:
            began = time.perf_counter()
            rows = self.run(mode, query, k, below)
            taken = (time.perf_counter() - began) * 1e3
            return taken, [f"d{row}" for row in rows]

        return answer


class Qdrant(Embedded):
    """Qdrant Edge: HNSW, sparse vectors with BM25 weights, reciprocal rank fusion."""

    modes = ("hybrid", "vector", "keyword")

    def __init__(self, data: Data, folder: pathlib.Path, ef: int = 100) -> None:
        import qdrant_edge as q

        self.q, self.ef, self.name = q, ef, "Qdrant Edge"
        folder.mkdir(parents=True)
        # Qdrant's documents ask for the real average length.
        length = float(np.mean([len(text.split()) for text in data.texts[:1000]]))
        self.bm25 = q.Bm25(q.Bm25Config(avg_len=length))
        config = q.EdgeConfig(
            vectors={"dense": q.EdgeVectorParams(size=data.vectors.shape[1], distance=q.Distance.Cosine)},
            sparse_vectors={"words": q.EdgeSparseVectorParams(modifier=q.Modifier.Idf)},
        )
        self.shard = q.EdgeShard.create(str(folder), config)
        began = time.perf_counter()
        for begin in range(0, len(data), 1000):
            points = [
                q.Point(
                    row,
                    {"dense": data.vectors[row].tolist(), "words": self.bm25.embed_document(data.texts[row])},
                    {"bucket": int(data.buckets[row]), "text": data.texts[row]},
                )
                for row in range(begin, min(begin + 1000, len(data)))
            ]
            self.shard.update(q.UpdateOperation.upsert_points(points))
        self.seconds = {"load": time.perf_counter() - began}
        self.shard.update(q.UpdateOperation.create_field_index("bucket", q.PayloadSchemaType.Integer))
        self.shard.optimize()
        self.shard.flush()
        self.seconds["index"] = time.perf_counter() - began - self.seconds["load"]
        self.texts = data.queries
        self.vectors = [values.tolist() for values in data.query_vectors]

    def run(self, mode: str, query: int, k: int, below: int | None) -> list[int]:
        q = self.q
        chosen = None
        if below is not None:
            chosen = q.Filter(must=[q.FieldCondition("bucket", range=q.RangeFloat(lt=below))])
        params = q.SearchParams(hnsw_ef=self.ef)
        dense = None if mode == "keyword" else q.Query.Nearest(self.vectors[query], using="dense")
        words = None
        if mode != "vector":
            words = q.Query.Nearest(self.bm25.embed_query(self.texts[query]), using="words")
        if mode == "hybrid":
            legs = [q.Prefetch(limit=CANDIDATES, query=leg, params=params, filter=chosen) for leg in (dense, words)]
            request = q.QueryRequest(limit=k, query=q.Fusion.Rrf(k=RRF), prefetches=legs, with_payload=True)
        else:
            request = q.QueryRequest(limit=k, query=dense or words, params=params, filter=chosen, with_payload=True)
        return [point.id for point in self.shard.query(request)]


class Lance(Embedded):
    """LanceDB: IVF with HNSW and scalar quantisation, its own full text index, reciprocal rank fusion."""

    name = "LanceDB"
    modes = ("hybrid", "vector", "keyword")

    def __init__(self, data: Data, folder: pathlib.Path) -> None:
        # It warns at every query about columns that were not asked for.
        os.environ.setdefault("LANCEDB_LOG", "error")
        import lancedb
        import pyarrow
        from lancedb.rerankers import RRFReranker

        began = time.perf_counter()
        flat = pyarrow.array(data.vectors.reshape(-1))
        columns = {
            "row": np.arange(len(data)),
            "bucket": data.buckets,
            "text": data.texts,
            "vector": pyarrow.FixedSizeListArray.from_arrays(flat, data.vectors.shape[1]),
        }
        self.table = lancedb.connect(str(folder)).create_table("rows", pyarrow.table(columns))
        self.seconds = {"load": time.perf_counter() - began}
        self.table.create_index(metric="cosine", index_type="IVF_HNSW_SQ", vector_column_name="vector")
        self.table.create_fts_index(
            "text", use_tantivy=False, language="English", stem=True, remove_stop_words=True, with_position=False
        )
        self.table.create_scalar_index("bucket")
        self.seconds["index"] = time.perf_counter() - began - self.seconds["load"]
        self.reranker = RRFReranker(RRF)
        self.texts, self.vectors = data.queries, data.query_vectors

    def run(self, mode: str, query: int, k: int, below: int | None) -> list[int]:
        # Its query language would take the quotes and signs of real questions for operators.
        words = " ".join("".join(c if c.isalnum() else " " for c in self.texts[query]).split())
        if mode == "hybrid":
            search = (
                self.table.search(query_type="hybrid").vector(self.vectors[query]).text(words).rerank(self.reranker)
            )
        elif mode == "vector":
            search = self.table.search(self.vectors[query], query_type="vector")
        else:
            search = self.table.search(words, query_type="fts")
        if below is not None:
            search = search.where(f"bucket < {below}", prefilter=True)
        return search.select(["row", "text"]).limit(k).to_arrow()["row"].to_pylist()


class Tantivy(Embedded):
    """tantivy: BM25 alone, words stemmed, any of them."""

    name = "tantivy"
    modes = ("keyword",)

    def __init__(self, data: Data) -> None:
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_integer_field("row", stored=True, fast=True)
        schema.add_text_field("text", tokenizer_name="en_stem")
        self.index = tantivy.Index(schema.build())
        began = time.perf_counter()
        writer = self.index.writer(heap_size=256_000_000, num_threads=1)
        for row, text in enumerate(data.texts):
            writer.add_document(tantivy.Document(row=row, text=text))
        writer.commit()
        writer.wait_merging_threads()
        self.index.reload()
        self.seconds = {"load": time.perf_counter() - began}
        self.searcher = self.index.searcher()
        self.texts = ["".join(c if c.isalnum() else " " for c in text.lower()) for text in data.queries]

    def run(self, mode: str, query: int, k: int, below: int | None) -> list[int]:
        parsed = self.index.parse_query(self.texts[query], ["text"])
        return [
            self.searcher.doc(address)["row"][0] for _, address in self.searcher.search(parsed, k, count=False).hits
        ]


class BM25S(Embedded):
    """bm25s: BM25 over sparse matrices, scored eagerly."""

    name = "bm25s"
    modes = ("keyword",)

    def __init__(self, data: Data) -> None:
        import bm25s
        import Stemmer

        self.bm25s, self.stemmer = bm25s, Stemmer.Stemmer("english")
        began = time.perf_counter()
        self.scorer = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
        tokens = bm25s.tokenize(data.texts, stopwords="en", stemmer=self.stemmer, show_progress=False)
        self.scorer.index(tokens, show_progress=False)
        self.seconds = {"load": time.perf_counter() - began}
        self.texts, self.rows = data.queries, len(data)

    def run(self, mode: str, query: int, k: int, below: int | None) -> list[int]:
        tokens = self.bm25s.tokenize(
            [self.texts[query]], stopwords="en", stemmer=self.stemmer, show_progress=False, return_ids=False
        )
        if not tokens[0]:
            return []
        rows, scores = self.scorer.retrieve(tokens, k=min(k, self.rows), show_progress=False)
        return [int(row) for row, score in zip(rows[0], scores[0]) if score > 0]


class Faiss(Embedded):
    """faiss: one of its indexes on one thread. Binary codes are reranked by exact cosines."""

    modes = ("vector",)

    def __init__(self, data: Data, kind: str, setting: int = 0) -> None:
        import faiss

        faiss.omp_set_num_threads(2)
        dims = data.vectors.shape[1]
        began = time.perf_counter()
        self.kind, self.setting = kind, setting
        self.name = f"faiss {kind}" + (f" {setting}" if setting else "")
        if kind == "binary":
            self.index = faiss.IndexBinaryFlat(dims)
            self.index.add(np.packbits(data.vectors > 0, axis=1))
        elif kind == "HNSW":
            self.index = faiss.IndexHNSWFlat(dims, 16, faiss.METRIC_INNER_PRODUCT)
            self.index.hnsw.efConstruction = 64
            self.index.add(data.vectors)
        else:
            self.index = faiss.IndexFlatIP(dims)
            self.index.add(data.vectors)
        self.seconds = {"load": time.perf_counter() - began}
        self.rows, self.vectors = data.vectors, data.query_vectors
        faiss.omp_set_num_threads(1)

    def run(self, mode: str, query: int, k: int, below: int | None) -> list[int]:
        vector = self.vectors[query : query + 1]
        if self.kind == "binary":
            near = self.index.search(np.packbits(vector > 0, axis=1), self.setting)[1][0]
            best = np.argsort(-(self.rows[near] @ vector[0]))[:k]
            return near[best].tolist()
        if self.kind == "HNSW":
            self.index.hnsw.efSearch = self.setting
        return self.index.search(vector, k)[1][0].tolist()
