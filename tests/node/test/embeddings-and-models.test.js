// client.embeddings and client.models

import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { AuthenticationError, BadRequestError, NotFoundError } from 'openai';

import { TEXTS, checkShape, client, collect } from './client.js';

const embed = (input, options = {}) => client.embeddings.create({ model: 'local', input, ...options });

test('embeddings.create', async () => {
  // The SDK asks for base64 and decodes it when nothing is chosen.
  const decoded = await embed(TEXTS);
  assert.equal(decoded.object, 'list');
  assert.deepEqual(decoded.data.map((item) => [item.object, item.index, item.embedding.length]), [0, 1, 2].map((n) => ['embedding', n, 256]));
  assert.ok(decoded.usage.prompt_tokens > 0 && decoded.usage.prompt_tokens === decoded.usage.total_tokens);
  const floats = await embed(TEXTS, { encoding_format: 'float' });
  const base64 = await embed(TEXTS, { encoding_format: 'base64' });
  for (const [n, item] of floats.data.entries()) {
    assert.deepEqual(Array.from(new Float32Array(item.embedding)), Array.from(decoded.data[n].embedding));
    const bytes = Buffer.from(base64.data[n].embedding, 'base64');
    assert.deepEqual(bytes, Buffer.from(new Float32Array(item.embedding).buffer));
    assert.ok(item.embedding.some((number) => number !== 0));
  }
});

test('embeddings.create of one text and of tokens', async () => {
  const text = (await embed('hello world', { encoding_format: 'float', dimensions: 256, user: 'u' })).data[0].embedding;
  for (const input of [[15339, 1917], [[15339, 1917]], ['hello world']]) {
    assert.deepEqual((await embed(input, { encoding_format: 'float' })).data[0].embedding, text);
  }
});

test('embeddings.create refuses', async () => {
  for (const input of ['', [], [''], [[]], Array(2049).fill('x')]) await assert.rejects(embed(input), BadRequestError);
  await assert.rejects(embed('x', { model: 'none' }), (error) => error.code === 'model_not_found');
});

test('models.list and models.retrieve', async () => {
  const models = await collect(client.models.list());
  assert.ok(models.some((model) => model.id === 'local'));
  for (const model of models) assert.deepEqual(checkShape('model', await client.models.retrieve(model.id)), model);
  await assert.rejects(client.models.retrieve('none'), NotFoundError);
});

test('models.delete', async () => {
  // No model here was made by a client, so that none can be deleted.
  await assert.rejects(client.models.delete('local'), (error) => error.status === 405 && error.type === 'invalid_request_error');
});

test('a wrong key', async () => {
  const stranger = new OpenAI({ apiKey: 'sk-wrong', maxRetries: 0 });
  await assert.rejects(stranger.models.list(), (error) => {
    assert.ok(error instanceof AuthenticationError);
    assert.equal(error.code, 'invalid_api_key');
    return true;
  });
});
