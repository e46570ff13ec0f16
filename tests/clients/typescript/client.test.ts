// A client with the types that openapi-typescript makes of proxy/openapi.json (schema.d.ts): that this file compiles in
// strict mode is the first half of the test, that the calls work the second.

import assert from 'node:assert/strict';
import test from 'node:test';
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

const setting = (name: string): string => {
  const value = process.env[name];
  assert.ok(value, `${name} is not set; start the tests with scripts/test-clients`);
  return value;
};
const baseUrl = setting('OPENAI_BASE_URL').replace(/\/v1$/, '');
const connect = (key: string) => createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
const client = connect(setting('OPENAI_API_KEY'));

test('a store can be made, filled, searched, listed and deleted', async () => {
  const made = await client.POST('/v1/vector_stores', { body: { name: 'typed', metadata: { made: 'typescript' } } });
  const store: components['schemas']['VectorStore'] | undefined = made.data;
  assert.ok(store, JSON.stringify(made.error));
  assert.equal(store.name, 'typed');
  const path = { vector_store_id: store.id };

  const put = await client.POST('/v1/vector_stores/{vector_store_id}/embeddings', {
    params: { path },
    body: { content: 'Rockets burn liquid oxygen.', metadata: { topic: 'space' } },
  });
  assert.equal(put.data?.content, 'Rockets burn liquid oxygen.');

  const found = await client.POST('/v1/vector_stores/{vector_store_id}/search', {
    params: { path },
    body: { query: 'rockets', filters: { type: 'eq', key: 'topic', value: 'space' } },
  });
  assert.equal(found.data?.data[0]?.content[0]?.text, 'Rockets burn liquid oxygen.');

  const page = await client.GET('/v1/vector_stores', { params: { query: { limit: 1, order: 'desc' } } });
  assert.equal(page.data?.data[0]?.id, store.id);

  const gone = await client.DELETE('/v1/vector_stores/{vector_store_id}', { params: { path } });
  assert.deepEqual(gone.data, { id: store.id, object: 'vector_store.deleted', deleted: true });
});

test('a store can be made without a body', async () => {
  const made = await client.POST('/v1/vector_stores');
  assert.ok(made.data, JSON.stringify(made.error));
  await client.DELETE('/v1/vector_stores/{vector_store_id}', { params: { path: { vector_store_id: made.data.id } } });
});

test('errors have the type of the document', async () => {
  const path = { vector_store_id: 'vs_doesnotexist' };
  const missing = await client.GET('/v1/vector_stores/{vector_store_id}', { params: { path } });
  assert.equal(missing.response.status, 404);
  const error: components['schemas']['ErrorResponse'] | undefined = missing.error;
  assert.equal(error?.error.type, 'invalid_request_error');

  const refused = await connect('vs_live_wrong').GET('/v1/vector_stores');
  assert.equal(refused.response.status, 401);
  assert.equal(refused.error?.error.code, 'invalid_api_key');
});

// @ts-expect-error: a value that the document does not know does not compile.
export const unknown: NonNullable<paths['/v1/vector_stores']['get']['parameters']['query']> = { order: 'sideways' };
