// client.vectorStores.files

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NotFoundError } from 'openai';

import { TEXTS, checkShape, client, collect, ignoreGone, makeFile, makeStore, textFile } from './client.js';

const files = client.vectorStores.files;

test('create, poll and retrieve', async (t) => {
  const store = await makeStore(t);
  const file = await makeFile(t, TEXTS[0]);
  const created = checkShape('storeFile', await files.create(store.id, { file_id: file.id, attributes: { a: 1, b: 'c', d: true } }));
  assert.ok(['in_progress', 'completed'].includes(created.status));
  const done = checkShape('storeFile', await files.poll(store.id, file.id, { pollIntervalMs: 50 }));
  assert.deepEqual([done.id, done.status, done.attributes], [file.id, 'completed', { a: 1, b: 'c', d: true }]);
  assert.deepEqual(done.chunking_strategy.static, { max_chunk_size_tokens: 800, chunk_overlap_tokens: 400 });
  assert.deepEqual(await files.retrieve(file.id, { vector_store_id: store.id }), done);
  await assert.rejects(files.retrieve(`file-${'a'.repeat(32)}`, { vector_store_id: store.id }), NotFoundError);
});

test('createAndPoll', async (t) => {
  const store = await makeStore(t);
  const file = await makeFile(t, TEXTS[1]);
  const strategy = { type: 'static', static: { max_chunk_size_tokens: 100, chunk_overlap_tokens: 20 } };
  const done = await files.createAndPoll(store.id, { file_id: file.id, chunking_strategy: strategy });
  assert.equal(checkShape('storeFile', done).status, 'completed');
  assert.deepEqual(done.chunking_strategy, strategy);
});

test('createAndPoll of a file that cannot be read', async (t) => {
  const store = await makeStore(t);
  const file = await makeFile(t, 'x', 'picture.xyz');
  const failed = await files.createAndPoll(store.id, { file_id: file.id });
  assert.equal(checkShape('storeFile', failed).status, 'failed');
  assert.equal(failed.last_error.code, 'unsupported_file');
});

test('upload and uploadAndPoll', async (t) => {
  const store = await makeStore(t);
  const uploaded = checkShape('storeFile', await files.upload(store.id, await textFile(TEXTS[0], 'first.txt')));
  const polled = checkShape('storeFile', await files.uploadAndPoll(store.id, await textFile(TEXTS[1], 'second.txt')));
  for (const file of [uploaded, polled]) t.after(() => client.files.delete(file.id).catch(ignoreGone));
  assert.equal(polled.status, 'completed');
  assert.equal((await client.vectorStores.search(store.id, { query: 'oxygen' })).data[0].filename, 'second.txt');
});

test('update', async (t) => {
  const store = await makeStore(t);
  const file = await makeFile(t, TEXTS[0]);
  await files.createAndPoll(store.id, { file_id: file.id, attributes: { old: 1 } });
  const updated = await files.update(file.id, { vector_store_id: store.id, attributes: { fresh: 2 } });
  assert.deepEqual(checkShape('storeFile', updated).attributes, { fresh: 2 });
  const filters = { type: 'eq', key: 'fresh', value: 2 };
  assert.equal((await client.vectorStores.search(store.id, { query: 'cats', filters })).data.length, 1);
});

test('list', async (t) => {
  const store = await makeStore(t);
  const made = [];
  for (let n = 0; n < 4; n += 1) {
    const file = await makeFile(t, TEXTS[0], n === 3 ? 'bad.xyz' : `${n}.txt`);
    await files.createAndPoll(store.id, { file_id: file.id });
    made.push(file.id);
  }
  const ids = async (query) => (await collect(files.list(store.id, query))).map((file) => checkShape('storeFile', file).id);
  assert.deepEqual(await ids({ limit: 1, order: 'asc' }), made);
  assert.deepEqual(await ids({ limit: 3 }), made.toReversed());
  assert.deepEqual(await ids({ filter: 'failed' }), [made[3]]);
  assert.deepEqual(await ids({ filter: 'completed', order: 'asc', after: made[0] }), made.slice(1, 3));
});

test('content', async (t) => {
  const store = await makeStore(t);
  const file = await makeFile(t, TEXTS[0]);
  await files.createAndPoll(store.id, { file_id: file.id });
  const parts = await collect(files.content(file.id, { vector_store_id: store.id }));
  assert.deepEqual(parts, [{ type: 'text', text: TEXTS[0] }]);
});

test('delete', async (t) => {
  const store = await makeStore(t);
  const file = await makeFile(t, TEXTS[0]);
  await files.createAndPoll(store.id, { file_id: file.id });
  const expected = { id: file.id, object: 'vector_store.file.deleted', deleted: true };
  assert.deepEqual(await files.delete(file.id, { vector_store_id: store.id }), expected);
  assert.deepEqual((await client.vectorStores.search(store.id, { query: 'cats' })).data, []);
  assert.equal((await client.files.retrieve(file.id)).id, file.id);
  await assert.rejects(files.delete(file.id, { vector_store_id: store.id }), NotFoundError);
});
