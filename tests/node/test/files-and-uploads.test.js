// client.files and client.uploads

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Readable } from 'node:stream';
import OpenAI, { BadRequestError, NotFoundError, toFile } from 'openai';

import { checkShape, client, collect, ignoreGone, makeFile, textFile } from './client.js';

const { files, uploads } = client;

test('files.create', async (t) => {
  const file = await files.create({
    file: await textFile('with an expiry', 'ö file.txt'),
    purpose: 'user_data',
    expires_after: { anchor: 'created_at', seconds: 3600 },
  });
  t.after(() => files.delete(file.id));
  checkShape('file', file);
  assert.deepEqual([file.filename, file.purpose, file.bytes], ['ö file.txt', 'user_data', 14]);
  assert.equal(file.expires_at - file.created_at, 3600);
});

test('files.create from a stream', async (t) => {
  const pieces = Array.from({ length: 50 }, (_, n) => Buffer.alloc(100_000, n));
  const file = await files.create({ file: await toFile(Readable.from(pieces), 'stream.bin'), purpose: 'assistants' });
  t.after(() => files.delete(file.id));
  assert.equal(file.bytes, 5_000_000);
  const content = Buffer.from(await (await files.content(file.id)).arrayBuffer());
  assert.ok(content.equals(Buffer.concat(pieces)));
});

test('files.retrieve', async (t) => {
  const file = await makeFile(t, 'text');
  assert.deepEqual(checkShape('file', await files.retrieve(file.id)), file);
  await assert.rejects(files.retrieve(`file-${'a'.repeat(32)}`), NotFoundError);
});

test('files.list', async (t) => {
  const made = [];
  for (let n = 0; n < 3; n += 1) made.push((await makeFile(t, `${n}`)).id);
  const mine = async (query) =>
    (await collect(files.list(query))).map((file) => checkShape('file', file).id).filter((id) => made.includes(id));
  assert.deepEqual(await mine({ limit: 1, order: 'asc', purpose: 'assistants' }), made);
  assert.deepEqual(await mine({}), made.toReversed());
  assert.deepEqual(await mine({ purpose: 'batch' }), []);
});

test('files.content', async (t) => {
  const file = await makeFile(t, 'äöü\n\0');
  const response = await files.content(file.id);
  assert.equal(response.headers.get('content-type'), 'application/octet-stream');
  assert.equal(await response.text(), 'äöü\n\0');
});

test('files.delete', async (t) => {
  const file = await makeFile(t, 'text');
  assert.deepEqual(await files.delete(file.id), { id: file.id, object: 'file', deleted: true });
  await assert.rejects(files.delete(file.id), NotFoundError);
});

test('files.waitForProcessing', async (t) => {
  const file = await makeFile(t, 'text');
  assert.equal((await files.waitForProcessing(file.id, { pollInterval: 10, maxWait: 1000 })).status, 'processed');
});

test('uploads.create, uploads.parts.create and uploads.complete', async (t) => {
  const content = Buffer.concat(Array.from({ length: 40 }, (_, n) => Buffer.alloc(40_000, n)));
  const upload = await uploads.create({
    bytes: content.length, filename: 'parts.bin', mime_type: 'application/octet-stream', purpose: 'assistants',
  });
  assert.deepEqual([checkShape('upload', upload).status, upload.file], ['pending', null]);
  const cuts = [0, 1, 500_000, content.length];
  const parts = await Promise.all(
    cuts.slice(1).map(async (end, n) => {
      const data = await toFile(content.subarray(cuts[n], end), 'blob');
      return checkShape('part', await uploads.parts.create(upload.id, { data }));
    }),
  );
  const part_ids = parts.map((part) => part.id);
  await assert.rejects(uploads.complete(upload.id, { part_ids: part_ids.slice(1) }), BadRequestError);
  const md5 = createHash('md5').update(content).digest('hex');
  const done = checkShape('upload', await uploads.complete(upload.id, { part_ids, md5 }));
  t.after(() => files.delete(done.file.id));
  assert.equal(done.status, 'completed');
  assert.deepEqual(await files.retrieve(checkShape('file', done.file).id), done.file);
  const stored = Buffer.from(await (await files.content(done.file.id)).arrayBuffer());
  assert.ok(stored.equals(content));
});

test('uploads.cancel', async () => {
  const upload = await uploads.create({ bytes: 1, filename: 'x', mime_type: 'text/plain', purpose: 'batch' });
  assert.equal(checkShape('upload', await uploads.cancel(upload.id)).status, 'cancelled');
  const data = await textFile('x');
  await assert.rejects(uploads.parts.create(upload.id, { data }), BadRequestError);
});

test('a retried request happens once', async (t) => {
  // The first answer is lost on its way; the client tries again with the same key.
  let sent = 0;
  const losing = new OpenAI({
    maxRetries: 2,
    fetch: async (url, options) => {
      const response = await fetch(url, options);
      sent += 1;
      if (sent === 1) throw new TypeError('connection lost');
      return response;
    },
  });
  const headers = { 'Idempotency-Key': `node-${Date.now()}` };
  const file = await losing.files.create({ file: await textFile('once', 'once.txt'), purpose: 'assistants' }, { headers });
  t.after(() => files.delete(file.id).catch(ignoreGone));
  assert.equal(sent, 2);
  const made = (await collect(files.list())).filter((known) => known.filename === 'once.txt');
  assert.deepEqual(made.map((known) => known.id), [file.id]);
});
