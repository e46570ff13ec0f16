"""Faults put into the server on purpose: a harness that finds none of them would prove nothing.

Most wrap vs_search, so they fit every version of what is below it.
"""

from __future__ import annotations

from dataclasses import dataclass

RENAME = """
DO $$
BEGIN
    EXECUTE (SELECT format('ALTER FUNCTION %s RENAME TO real_search', p.oid::regprocedure)
             FROM pg_proc p WHERE p.proname = 'vs_search');
END
$$;
"""

WRAPPER = """
CREATE FUNCTION public.vs_search(
    store text, query text DEFAULT NULL, embedding vector DEFAULT NULL, k integer DEFAULT 10,
    mode text DEFAULT 'hybrid', vector_weight double precision DEFAULT 0.7, keyword_weight double precision DEFAULT 0.3,
    filter jsonb DEFAULT NULL, score_threshold double precision DEFAULT 0, explain boolean DEFAULT false
) RETURNS TABLE (
    id text, file_id text, filename text, score double precision, vector_score double precision,
    keyword_score double precision, content text, metadata jsonb, explanation jsonb
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT r.id, r.file_id, r.filename, {score}, r.vector_score, r.keyword_score, {content}, r.metadata, r.explanation
    FROM public.real_search(vs_search.store, vs_search.query, vs_search.embedding, k => {k}, mode => vs_search.mode,
        vector_weight => vs_search.vector_weight, keyword_weight => vs_search.keyword_weight, filter => {filter},
        score_threshold => {threshold}, explain => vs_search.explain) WITH ORDINALITY
        AS r(id, file_id, filename, score, vector_score, keyword_score, content, metadata, explanation, rank)
    {where};
END
$$;
"""


def wrapped(
    *,
    score: str = "r.score",
    content: str = "r.content",
    k: str = "vs_search.k",
    filter: str = "vs_search.filter",
    threshold: str = "vs_search.score_threshold",
    where: str = "",
    before: str = "",
) -> str:
    """SQL that puts a wrapper with these parts around vs_search."""
    parts = {"score": score, "content": content, "k": k, "filter": filter, "threshold": threshold, "where": where}
    return before + RENAME + WRAPPER.format(**parts)


def on_change(event: str, name: str, body: str) -> str:
    """SQL of a row trigger of the chunks."""
    return f"""
        CREATE FUNCTION public.{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$;
        CREATE TRIGGER {name} AFTER {event} ON vectorstore.embeddings
            FOR EACH ROW EXECUTE FUNCTION public.{name}();"""


# The row of a hit, as the session sees it.
ROW = """SELECT e.{} FROM vectorstore.embeddings e JOIN vectorstore.stores s USING (store_id)
         WHERE s.name = vs_search.store AND e.id = r.id"""


@dataclass(frozen=True)
class Fault:
    """SQL for the database, settings, SQL for the copy after a restore, or a batch that is no transaction."""

    sql: str = ""
    settings: tuple[str, ...] = ()
    spoil: str = ""
    torn: bool = False


FAULTS: dict[str, Fault] = {
    # One row of fifty is never found.
    "lost_row": Fault(wrapped(where="WHERE hashtext(r.id) % 50 <> 0")),
    # One row short, and only under a filter.
    "short_under_filter": Fault(
        wrapped(k="vs_search.k - CASE WHEN vs_search.filter IS NULL OR vs_search.k < 4 THEN 0 ELSE 1 END")
    ),
    # The second part of a compound is forgotten.
    "forgotten_condition": Fault(wrapped(filter="vs_search.filter #- '{filters,1}'")),
    "gt_is_gte": Fault(wrapped(filter="""replace(vs_search.filter::text, '"gt"', '"gte"')::jsonb""")),
    # A missing key must pass `ne`.
    "ne_needs_the_key": Fault(
        wrapped(
            where="""WHERE vs_search.filter->>'type' IS DISTINCT FROM 'ne'
                OR coalesce(r.metadata ? (vs_search.filter->>'key'), true)"""
        )
    ),
    "threshold_ignored": Fault(wrapped(threshold="0")),
    "one_hit_twice": Fault(
        wrapped(where=", generate_series(1, CASE r.rank WHEN 3 THEN 2 ELSE 1 END) ORDER BY r.rank LIMIT vs_search.k")
    ),
    "two_hits_exchanged": Fault(wrapped(where="ORDER BY CASE r.rank WHEN 4 THEN 5 WHEN 5 THEN 4 ELSE r.rank END")),
    # Wrong in the fifth digit.
    "rounded_score": Fault(wrapped(score="round(r.score::numeric, 4)::double precision")),
    # As if the statistics were those of the rows that pass the filter.
    "score_depends_on_filter": Fault(
        wrapped(score="r.score * CASE WHEN vs_search.filter IS NOT NULL AND r.keyword_score > 0 THEN 0.9999 ELSE 1 END")
    ),
    # A replaced row does not get its new score.
    "stale_score": Fault(wrapped(score=f"r.score + CASE WHEN ({ROW.format('version')}) > 1 THEN 0.0005 ELSE 0 END")),
    "stale_content": Fault(
        wrapped(
            before="CREATE TABLE public.old (id text PRIMARY KEY, content text); GRANT ALL ON public.old TO PUBLIC;"
            + on_change(
                "UPDATE OR DELETE",
                "remember",
                "INSERT INTO public.old VALUES (OLD.id, OLD.content) ON CONFLICT DO NOTHING",
            ),
            content="coalesce((SELECT o.content FROM public.old o WHERE o.id = r.id), r.content)",
        )
    ),
    "deleted_row_found": Fault(
        wrapped(
            before="CREATE TABLE public.ghosts (LIKE vectorstore.embeddings); GRANT ALL ON public.ghosts TO PUBLIC;"
            + on_change("DELETE", "haunt", "INSERT INTO public.ghosts SELECT OLD.*"),
            where="""UNION ALL (SELECT g.id, g.file_id, g.filename, 0, 0, 0, g.content, g.metadata, NULL
                FROM public.ghosts g JOIN vectorstore.stores s USING (store_id)
                WHERE s.name = vs_search.store LIMIT 1)""",
        )
    ),
    # A deletion is noted outside transactions: seen before its commit, and after its rollback.
    "deletion_without_transaction": Fault(
        wrapped(
            before="CREATE SEQUENCE public.deleted; GRANT ALL ON public.deleted TO PUBLIC;"
            + on_change("DELETE", "note", "PERFORM setval('public.deleted', OLD.chunk_id)"),
            where=f"WHERE ({ROW.format('chunk_id')}) <> (SELECT last_value FROM public.deleted)",
        )
    ),
    # Rows of the transaction itself are not searched.
    "own_rows_hidden": Fault(
        wrapped(where=f"WHERE ({ROW.format('xmin')})::text IS DISTINCT FROM pg_current_xact_id_if_assigned()::text")
    ),
    # What is inserted after a snapshot hides rows of the snapshot.
    "snapshot_ignored": Fault(
        wrapped(
            before="CREATE SEQUENCE public.newest; GRANT ALL ON public.newest TO PUBLIC;"
            + on_change("INSERT", "advance", "PERFORM setval('public.newest', NEW.chunk_id)"),
            where=f"""WHERE current_setting('transaction_isolation') <> 'repeatable read'
                OR ({ROW.format('chunk_id')}) + 200 > (SELECT last_value FROM public.newest)""",
        )
    ),
    # Acknowledged before it is on disk.
    "commit_not_flushed": Fault(settings=("synchronous_commit = off", "wal_writer_delay = '10s'")),
    "torn_batch": Fault(torn=True),
    "row_lost_by_dump": Fault(
        spoil="DELETE FROM vectorstore.embeddings WHERE ctid = (SELECT min(ctid) FROM vectorstore.embeddings)"
    ),
}
