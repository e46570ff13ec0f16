-- The two statements a new user needs, and that a second installation changes nothing.
SET client_min_messages = warning;
CREATE EXTENSION vectorstore CASCADE;
SELECT * FROM vs_stores;
-- Until there are tables, HTTP requests learn that they are missing.
\set VERBOSITY sqlstate
SELECT vectorstore.api_list_vector_stores(sha256('key'), NULL, NULL, NULL, NULL);
\set VERBOSITY default
SELECT id ~ '^vs_[a-z2-7]{32}$' AS well_formed FROM vs_create_store('first') AS id;
SELECT vs_install();
SELECT vs_install();
SELECT name, embedding_model, dimensions, chunks, usage_bytes, files FROM vs_stores;
SELECT vs_delete_store('first');
SELECT extversion = vectorstore._library_version() AS same_version FROM pg_extension WHERE extname = 'vectorstore';
