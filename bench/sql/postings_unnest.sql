    -- One scan for all terms; every lexeme of every match is unfolded.
    SELECT t.word, t.weight, d.chunk_id, d.tf, d.len
    FROM (
        SELECT e.chunk_id, u.lexeme, cardinality(u.positions)::float8 AS tf,
               sum(cardinality(u.positions)) OVER (PARTITION BY e.chunk_id)::float8 AS len
        FROM vectorstore.embeddings e CROSS JOIN LATERAL unnest(e.tsv) u
        WHERE e.store_id = $1 AND e.tsv @@ $5::text::tsquery
    ) d
    JOIN terms t ON t.word = d.lexeme
