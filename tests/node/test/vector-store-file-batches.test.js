// client.vectorStores.fileBatches

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NotFoundError } from 'openai';

import { TEXTS, checkShape, client, collect, ignoreGone, makeFile, makeStore, textFile } from './client.js';

const batches = client.vectorStores.fileBatches;

async function makeFiles(t) {
  const made = [];
  for (const [n, text] of TEXTS.entries()) made.push((await makeFile(t, text, `${n}.txt`)).id);
  return made;
}

test('create, poll and retrieve', async (t) => {
  const store = await makeStore(t);
  const file_ids = await makeFiles(t);
  const batch = checkShape('batch', await batches.create(store.id, { file_ids, attributes: { a: 1 } }));
  assert.equal(batch.file_counts.total, 3);
  const done = checkShape('batch', await batches.poll(store.id, batch.id, { pollIntervalMs: 50 }));
  assert.deepEqual([done.id, done.status, done.file_counts.completed], [batch.id, 'completed', 3]);
  assert.deepEqual(await batches.retrieve(batch.id, { vector_store_id: store.id }), done);
  assert.equal((await client.vectorStores.search(store.id, { query: 'cats' })).data[0].attributes.a, 1);
  await assert.rejects(batches.retrieve(`vsfb_${'a'.repeat(32)}`, { vector_store_id: store.id }), NotFoundError);
});

test('create with attributes for each file', async (t) => {
  const store = await makeStore(t);
  const files = (await makeFiles(t)).map((file_id, n) => ({ file_id, attributes: { n } }));
  const done = await batches.createAndPoll(store.id, { files }, { pollIntervalMs: 50 });
  assert.equal(checkShape('batch', done).status, 'completed');
  const filters = { type: 'eq', key: 'n', value: 2 };
  assert.equal((await client.vectorStores.search(store.id, { query: 'x', filters })).data[0].filename, '2.txt');
});

test('createAndPoll with a file that cannot be read', async (t) => {
  const store = await makeStore(t);
  const file_ids = [(await makeFile(t, 'x', 'picture.xyz')).id, (await makeFile(t, TEXTS[0], 'good.txt')).id];
  const done = await batches.createAndPoll(store.id, { file_ids }, { pollIntervalMs: 50 });
  assert.equal(checkShape('batch', done).status, 'completed');
  assert.deepEqual([done.file_counts.completed, done.file_counts.failed], [1, 1]);
});

test('uploadAndPoll', async (t) => {
  const store = await makeStore(t);
  const known = (await makeFile(t, TEXTS[0], 'known.txt')).id;
  const files = await Promise.all(TEXTS.slice(1).map((text, n) => textFile(text, `new-${n}.txt`)));
  const done = await batches.uploadAndPoll(store.id, { files, fileIds: [known] }, { pollIntervalMs: 50 });
  assert.deepEqual([checkShape('batch', done).status, done.file_counts.completed], ['completed', 3]);
  for (const file of await collect(client.vectorStores.files.list(store.id))) {
    t.after(() => client.files.delete(file.id).catch(ignoreGone));
  }
});

test('listFiles', async (t) => {
  const store = await makeStore(t);
  const file_ids = await makeFiles(t);
  const other = await makeFile(t, TEXTS[0], 'other.txt');
  await client.vectorStores.files.createAndPoll(store.id, { file_id: other.id });
  const batch = await batches.createAndPoll(store.id, { file_ids }, { pollIntervalMs: 50 });
  const list = (query) => collect(batches.listFiles(batch.id, { vector_store_id: store.id, ...query }));
  const found = await list({ limit: 2 });
  found.forEach((file) => checkShape('storeFile', file));
  assert.deepEqual(found.map((file) => file.id).sort(), [...file_ids].sort());
  assert.deepEqual(await list({ filter: 'failed' }), []);
});

test('cancel', async (t) => {
  const store = await makeStore(t);
  const batch = await batches.create(store.id, { file_ids: await makeFiles(t) });
  const cancelled = checkShape('batch', await batches.cancel(batch.id, { vector_store_id: store.id }));
  assert.equal(cancelled.id, batch.id);
  assert.ok(['cancelled', 'completed'].includes(cancelled.status));
  assert.equal(cancelled.file_counts.in_progress, 0);
});
