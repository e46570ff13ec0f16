    -- One index scan a term. With all weights 1, ts_rank of a single term is the sum of 1/j^2 for j up to its
    -- count, over pi^2/6: the count follows from what is missing to the limit.
    SELECT t.word, t.weight, e.chunk_id,
           round(1 / (1.6449340668 - 1.64493406685 * ts_rank('{1,1,1,1}', e.tsv, t.query)) - 0.5) AS tf,
           ((octet_length(tsvectorsend(e.tsv)) - octet_length(tsvectorsend(strip(e.tsv)))) / 2)::float8 AS len
    FROM terms t
    JOIN vectorstore.embeddings e ON e.store_id = $1 AND e.tsv @@ t.query
