-- Requests with an Idempotency-Key: claimed once, answered again.
\set SHOW_CONTEXT never
\set key 'sha256(''key'')'
\set claim 'SELECT state, digest, status, content_type, body FROM vectorstore.api_claim_request(sha256(''key''), ''k'', sha256(''body''),'
:claim '\x01', 30);
:claim '\x02', 30);
SELECT state FROM vectorstore.api_claim_request(:key, 'k', sha256('other'), '\x02', 30);
SELECT state FROM vectorstore.api_claim_request(:key, 'k', NULL, '\x02', 30);
SELECT vectorstore.api_renew_request(:key, 'k', '\x01', 30), vectorstore.api_renew_request(:key, 'k', '\x02', 30);
-- An effect under a lost lease is undone; under its own it is kept whatever follows.
\set VERBOSITY terse
SELECT vectorstore.api_settle_request(:key, 'k', '\x02', sha256('body'), 200, 'application/json', '{}', false);
\set VERBOSITY default
SELECT vectorstore.api_settle_request(:key, 'k', '\x01', sha256('body'), 200, 'application/json', '{}', false);
:claim '\x02', 30);
SELECT vectorstore.api_release_request(:key, 'k', '\x01');
:claim '\x02', 30);
SELECT state, digest = sha256('body') AS same FROM vectorstore.api_claim_request(:key, 'k', sha256('other'), '\x02', 30);
-- Given up before its effect, it is free again; so it is after a day.
SELECT state FROM vectorstore.api_claim_request(:key, 'l', NULL, '\x01', 30);
SELECT vectorstore.api_release_request(:key, 'l', '\x01');
SELECT count(*) FROM vectorstore.idempotency_keys;
UPDATE vectorstore.idempotency_keys SET created_at = now() - interval '25 hours';
:claim '\x03', 30);
UPDATE vectorstore.idempotency_keys SET created_at = now() - interval '25 hours';
SELECT vectorstore._sweep_idempotency() AS running;
UPDATE vectorstore.idempotency_keys SET lease_until = now() - interval '1 second';
SELECT vectorstore._sweep_idempotency() AS dead;
