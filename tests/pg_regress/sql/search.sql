-- Search by vector, by keyword, by both.
\set SHOW_CONTEXT never
SELECT vs_create_store('towns', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_upsert('towns',
    ARRAY['harbour town with a harbour', 'mountain village', 'harbour and mountain', 'quiet plain'],
    ARRAY['a', 'b', 'c', 'd'], ARRAY['[1,0]', '[0,1]', '[1,1]', '[-1,0]']::vector[]);
\set search 'SELECT id, round(score::numeric, 4) AS score, round(vector_score::numeric, 4) AS vector, round(keyword_score::numeric, 4) AS keyword FROM vs_search'

:search('towns', embedding => '[1,0]', mode => 'vector_only');
:search('towns', 'harbour', mode => 'keyword_only');
:search('towns', 'harbour', '[0,1]');
-- Weights are relative; a weight of zero skips its leg.
:search('towns', 'harbour', '[0,1]', vector_weight => 7, keyword_weight => 3);
:search('towns', 'harbour', '[0,1]', vector_weight => 0, keyword_weight => 1);
:search('towns', 'harbour', '[0,1]', vector_weight => 1, keyword_weight => 0);
-- One side missing: the other answers alone. This store has no model, so a text means keywords.
:search('towns', 'mountain');
:search('towns', embedding => '[0,1]', k => 2);
-- Thresholds keep what is equal.
:search('towns', embedding => '[1,0]', score_threshold => 0.5);
:search('towns', embedding => '[1,0]', score_threshold => 1);
-- Stop words and unknown words match nothing, and a vector still answers.
:search('towns', 'the of and', mode => 'keyword_only');
:search('towns', 'zeppelin', '[-1,0]', k => 1);
-- Equal scores come in the order of insertion.
SELECT vs_upsert('towns', ARRAY['x', 'y', 'z'], ARRAY['z3', 'z1', 'z2'], ARRAY['[0,-1]', '[0,-1]', '[0,-1]']::vector[]);
:search('towns', embedding => '[0,-1]', k => 3);
-- What explain tells.
SELECT id, jsonb_pretty(explanation) FROM vs_search('towns', 'mountain harbour', '[1,1]', k => 1, explain => true);
SELECT DISTINCT explanation IS NULL AS nothing FROM vs_search('towns', 'mountain');

-- Search writes nothing.
BEGIN READ ONLY;
SELECT id FROM vs_search('towns', 'village');
COMMIT;
-- Rows of the own transaction are found, rolled back ones are not.
BEGIN;
SELECT vs_upsert('towns', 'island', 'i', embedding => '[0,1]');
SELECT id FROM vs_search('towns', 'island');
ROLLBACK;
SELECT id FROM vs_search('towns', 'island');
SELECT vs_delete_store('towns');

-- Plain text, as a new user would.
SELECT vs_create_store('help') IS NOT NULL AS created;
SELECT vs_upsert('help', ARRAY['To reset your password, open the account page.', 'Invoices are sent on the first day of the month.',
                               'The printer needs paper of size A4.'], ARRAY['password', 'invoice', 'printer']) IS NOT NULL AS written;
SELECT id FROM vs_search('help', 'how do I change my password?', k => 1);
SELECT id FROM vs_search('help', 'when do I get my bill?', k => 1, mode => 'vector_only');
SELECT vs_delete_store('help');
