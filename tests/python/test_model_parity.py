"""Our embedding model against the reference: `wordllama` for vectors, `tokenizers` for token ids.

Needs VECTORSTORE_MODEL_PATH (folder with the model's two files) and VS_EMBED_EXAMPLE (the built example `embed`
of vectorstore-core).
"""

import json
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from wordllama.inference import WordLlamaInference

WEIGHTS = "l2_supercat_256.safetensors"
TOKENIZER = "l2_supercat_tokenizer_config.json"

PROSE = [
    "PostgreSQL is a powerful, open source object-relational database system.",
    "How do I reset the password of my account?",
    "Die Größe der Würfel: zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë.",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία.",
    "数据库向量存储引擎支持全文检索和混合搜索。",
    "いろはにほへと ちりぬるを わかよたれそ つねならむ",
    "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश",
    "นายสังฆภัณฑ์ เฮงพิทักษ์ฝั่ง ผู้เฒ่าซึ่งมีอาชีพเป็นฅนขายฃวด",
    "Tiếng Việt có dấu: Trời mưa tầm tã suốt đêm.",
    "🦀🐘 emoji 👩‍👩‍👧‍👦 with 🏳️‍🌈 joiners and skin 👍🏽 tones 🇩🇪",
    "SELECT id, 1 - (embedding <=> $1) AS score FROM chunks WHERE tenant = 42 ORDER BY 2 DESC LIMIT 10;",
    "fn main() {\n    let x: Vec<f32> = vec![0.0; 256];\n\tprintln!(\"{x:?}\");\n}\n",
    "# Heading\n\n- item one\n- item two\n\n```sql\nSELECT 1;\n```\n| a | b |\n|---|---|\n",
    "https://example.com/path?q=1&r=%20#frag user@example.com +49 (0)30 123456",
]

EDGES = [
    "",
    " ",
    "  ",
    " " * 15,
    " " * 16,
    " " * 17,
    " " * 1000,
    "\n",
    "\n\n\n",
    "\t",
    "\r\n",
    "\u00a0",
    "\u2003x\u2003",
    "\u200b",
    "\ufeffbom",
    "▁",
    "▁▁ literal ▁blanks▁ ",
    "a",
    " a",
    "a ",
    " a ",
    "a  b   c    d",
    "a\n b \n c",
    "   indented\n\tcode  trailing   ",
    "<s>",
    "</s>",
    "<unk>",
    "<s><s></s>",
    "<s> begin and end </s>",
    "a<s>b",
    "a <s> b",
    "a<s> b</s>",
    " <unk> ",
    "<<s>>",
    "<s",
    "s>",
    "< s>",
    "<S>",
    "<0x41>",
    "<0x0A> is not a byte",
    "\x00",
    "\x00\x01\x02\x7f",
    "\x80\x9f",
    "\u0301combining e\u0301 vs é",
    "\U0010ffff\U00010000",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒎𝒂𝒕𝒉",
    "ﬁ ligature ½ ² ™ …",
    "z̸̢̛͎a̶͚̓l̵̢̈́g̷̰̈́o̸̗̕",
    "0123456789 3.14159 1e-10 1,000,000",
    "!!!??...---___***",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "==========",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
]

LONG = [
    "The quick brown fox jumps over the lazy dog. " * 2500,
    "a" * 100_000,
    "=" * 50_000 + "\n" + "ab" * 25_000,
    " " * 100_000,
    "数据库向量存储引擎" * 4000,
    "no_blanks_at_all,but\nlines\n" * 3000,
    "🦀" * 10_000,
]


def random_texts(count):
    """Texts of fragments that meet in ways nobody would write down."""
    rng = random.Random(20240607)
    pieces = [" ", "  ", "\n", "\t", "▁", "<s>", "</s>", "<unk>", "<", ">", "é", "ß", "数", "据", "🦀", "\u200d", "."]
    pieces += " ".join(PROSE).split(" ")
    alphabet = [chr(c) for c in (*range(0, 0x250), *range(0x400, 0x460), *range(0x4E00, 0x4E80), 0x1F600, 0x1F980)]
    texts = []
    for n in range(count):
        if n % 3 == 0:
            texts.append("".join(rng.choice(alphabet) for _ in range(rng.randint(1, 200))))
        else:
            texts.append("".join(rng.choice(pieces) for _ in range(rng.randint(1, 80))))
    return texts


TEXTS = PROSE + EDGES + LONG + random_texts(150)


@pytest.fixture(scope="module")
def model_dir():
    return Path(os.environ["VECTORSTORE_MODEL_PATH"])


@pytest.fixture(scope="module")
def ours(model_dir):
    program = [os.environ["VS_EMBED_EXAMPLE"], str(model_dir)]
    run = subprocess.run(program, input=json.dumps(TEXTS).encode(), stdout=subprocess.PIPE, check=True)
    rows = json.loads(run.stdout)
    assert len(rows) == len(TEXTS)
    return rows


def test_token_ids_equal_the_reference(model_dir, ours):
    tokenizer = Tokenizer.from_file(str(model_dir / TOKENIZER))
    for text, row in zip(TEXTS, ours):
        assert row["ids"] == tokenizer.encode(text, add_special_tokens=False).ids, repr(text[:80])


def test_embeddings_equal_the_reference(model_dir, ours):
    weights = load_file(model_dir / WEIGHTS)["embedding.weight"]
    reference = WordLlamaInference(weights, Tokenizer.from_file(str(model_dir / TOKENIZER)))
    compared = 0
    for text, row in zip(TEXTS, ours):
        embedding = np.array(row["embedding"], dtype=np.float32)
        assert embedding.shape == (256,)
        if text == "":
            # The reference divides zero by zero here; ours is defined as the zero vector.
            assert not embedding.any()
            continue
        expected = reference.embed(text, norm=True)[0]
        np.testing.assert_allclose(embedding, expected, atol=1e-3, rtol=0, err_msg=repr(text[:80]))
        assert abs(float(np.linalg.norm(embedding)) - 1.0) < 1e-5, repr(text[:80])
        compared += 1
    assert compared >= 200
