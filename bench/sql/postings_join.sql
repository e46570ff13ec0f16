    -- One index scan a term. A term's count and the document's length are read off the size of the vector's
    -- binary form: a lexeme takes its bytes + 3 and 2 for each position.
    SELECT t.word, t.weight, e.chunk_id,
           ((octet_length(tsvectorsend(e.tsv)) - octet_length(tsvectorsend(ts_delete(e.tsv, t.word))) - octet_length(t.word) - 3) / 2)::float8 AS tf,
           ((octet_length(tsvectorsend(e.tsv)) - octet_length(tsvectorsend(strip(e.tsv)))) / 2)::float8 AS len
    FROM terms t
    JOIN vectorstore.embeddings e ON e.store_id = $1 AND e.tsv @@ t.query
