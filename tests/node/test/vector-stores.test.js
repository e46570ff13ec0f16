// client.vectorStores

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NotFoundError } from 'openai';

import { TEXTS, checkShape, client, collect, makeFile, makeStore } from './client.js';

test('create', async (t) => {
  const store = checkShape('store', await makeStore(t, { metadata: { team: 'a' } }));
  assert.deepEqual(store.metadata, { team: 'a' });
  assert.equal(store.status, 'completed');
  const limited = await makeStore(t, { expires_after: { anchor: 'last_active_at', days: 3 } });
  assert.equal(limited.expires_at - limited.last_active_at, 3 * 86_400);
});

test('create with files', async (t) => {
  const files = [await makeFile(t, TEXTS[0], 'a.txt'), await makeFile(t, TEXTS[1], 'b.md')];
  const created = await makeStore(t, { file_ids: files.map((file) => file.id) });
  assert.equal(checkShape('store', created).file_counts.total, 2);
  for (const file of files) await client.vectorStores.files.poll(created.id, file.id);
  const store = await client.vectorStores.retrieve(created.id);
  assert.equal(store.file_counts.completed, 2);
  assert.ok(store.usage_bytes > 0);
});

test('retrieve', async (t) => {
  const store = await makeStore(t);
  assert.deepEqual(checkShape('store', await client.vectorStores.retrieve(store.id)), store);
  const unknown = `vs_${'a'.repeat(32)}`;
  await assert.rejects(client.vectorStores.retrieve(unknown), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.ok(error.requestID.startsWith('req_'));
    assert.equal(error.error.message, `No vector store found with id '${unknown}'.`);
    return true;
  });
});

test('update', async (t) => {
  const store = await makeStore(t, { expires_after: { anchor: 'last_active_at', days: 3 } });
  const updated = await client.vectorStores.update(store.id, { name: 'new', metadata: { a: 'b' }, expires_after: null });
  checkShape('store', updated);
  assert.deepEqual([updated.name, updated.metadata, updated.expires_at], ['new', { a: 'b' }, null]);
  assert.ok(!('expires_after' in updated));
});

test('list', async (t) => {
  const stores = [];
  for (let n = 0; n < 5; n += 1) stores.push((await makeStore(t)).id);
  const page = await client.vectorStores.list({ limit: 2 });
  assert.equal(page.data.length, 2);
  assert.ok(page.hasNextPage());
  page.data.forEach((store) => checkShape('store', store));
  const mine = (found) => found.map((store) => store.id).filter((id) => stores.includes(id));
  assert.deepEqual(mine(await collect(client.vectorStores.list({ limit: 2, order: 'asc' }))), stores);
  assert.deepEqual(mine(await collect(client.vectorStores.list({ limit: 3 }))), stores.toReversed());
  const before = await client.vectorStores.list({ order: 'asc', before: stores[2], limit: 1 });
  assert.deepEqual(mine(before.data), [stores[1]]);
});

test('delete', async (t) => {
  const store = await makeStore(t);
  const expected = { id: store.id, object: 'vector_store.deleted', deleted: true };
  assert.deepEqual(await client.vectorStores.delete(store.id), expected);
  await assert.rejects(client.vectorStores.delete(store.id), NotFoundError);
});

test('search', async (t) => {
  const store = await makeStore(t);
  for (const [n, text] of TEXTS.entries()) {
    const file = await makeFile(t, text, `${n}.txt`);
    await client.vectorStores.files.createAndPoll(store.id, { file_id: file.id, attributes: { n } });
  }
  const search = (body) => client.vectorStores.search(store.id, body);
  const page = await search({ query: 'Where do cats sleep?', max_num_results: 2 });
  assert.equal(page.data.length, 2);
  page.data.forEach((result) => checkShape('result', result));
  assert.deepEqual([page.data[0].filename, page.data[0].content[0].text], ['0.txt', TEXTS[0]]);
  assert.deepEqual(page.data[0].attributes, { n: 0 });
  const several = await collect(search({ query: ['cats', 'rockets'], rewrite_query: true }));
  assert.equal(several.length, 3);
  const names = async (body) => (await collect(search(body))).map((result) => result.filename).sort();
  const filters = { type: 'or', filters: [{ type: 'eq', key: 'n', value: 1 }, { type: 'gt', key: 'n', value: 1 }] };
  assert.deepEqual(await names({ query: 'x', filters }), ['1.txt', '2.txt']);
  assert.deepEqual(await names({ query: 'x', filters: { type: 'in', key: 'n', value: [0, 2] } }), ['0.txt', '2.txt']);
  const ranking_options = { ranker: 'auto', score_threshold: page.data[1].score + 0.0001 };
  assert.deepEqual(await names({ query: 'Where do cats sleep?', ranking_options }), ['0.txt']);
});
