"""The lexemes of a document are those of to_tsvector(), though they are put together from those of its words."""

import os
import random
import string

DIFFERENT = """
    SELECT l.code, t.text FROM unnest(%s::text[]) AS t(text),
        unnest(string_to_array(vectorstore._language_names(), ', ')) WITH ORDINALITY AS l(name, code),
        LATERAL (SELECT CASE WHEN l.code > 21 THEN vectorstore._bigrams(t.text) ELSE t.text END AS text,
                        CASE WHEN l.code > 21 THEN 'simple' ELSE l.name END::regconfig AS configuration) AS c
    WHERE l.name <> 'auto'
      AND tsvectorsend(vectorstore.document_tsv((l.code - 1)::smallint, t.text)) <> tsvectorsend(to_tsvector(c.configuration, c.text))
"""
WORDS = """the of and not running Runs ran generously GENEROSITY a I İstanbul ısı straße Überfälle naïve čeština привет мир
    ελληνικά العربية हिन्दी ภาษาไทย 中文字符 日本語テキスト 한국어 don't o'clock e.g. U.S.A. x-ray well-known state-of-the-art foo_bar
    C++ .NET node.js v1.2.3 1.5 -5 +5 -3.14 1e10 1E-5 10% $5 €5 2024-01-31 12:30 0 00 0x1F 1,000 user@example.org a@b
    http://example.org/path?q=1&r=2 https://example.org www.example.org/index.html example.org /usr/local/bin ~/file ./file
    ../up C:\\dir file.txt a/b and/or &amp; &lt; &#65; &nbsp; & && a&b #tag @name (paren) "quoted" 'single' [1] {x} word, word.
    word; word: word! word? ... -- --- - _ * ** / \\ | ~ ^ ` = == <b> </b> <br/> <!-- <script> x<y > é e\u0301 \u0301 \u200b
    a\u200bb \u00a0 a\u00a0b \u2003 \u3000 “curly” ‘single’ – — … 😀 a😀b ﬁ ½ ² Ⅷ ١٢٣ -foo foo- foo-5 5-foo a-b-c-d 5a a5 A1B2""".split()
TEXTS = int(os.environ.get("VS_LEXEMES", "4000"))
SPACES = [" ", " ", " ", "  ", "\n", "\t", "\r\n", "\x0b", "\x0c"]


def texts(source: random.Random, count: int) -> list[str]:
    """Words and what is none, with whatever between."""
    found = []
    for _ in range(count):
        pieces = []
        for _ in range(source.randrange(12)):
            word = source.choice(WORDS)
            if source.random() < 0.2:
                word = source.choice(string.punctuation) + word
            if source.random() < 0.3:
                word += source.choice(string.punctuation + "., " + source.choice(WORDS))
            pieces += [word, source.choice(SPACES)]
        found.append("".join(pieces[source.randrange(2) :]))
    return found


def test_lexemes_are_those_of_to_tsvector(database):
    source = random.Random(11)
    every = [*WORDS, *texts(source, TEXTS), "", " ", "\n"]
    # Letters and punctuation in any order find what no list of words does.
    letters = "ab A-._~/@:&;+05%é\u0301<>'\"\n"
    every += ["".join(source.choices(letters, k=source.randrange(40))) for _ in range(TEXTS)]
    assert database.execute(DIFFERENT, [every]).fetchall() == []


def test_long_texts_have_the_same_lexemes(database):
    long = [
        "x " * 300 + "end",  # more positions than a lexeme keeps
        "of the " * 9000 + "end",  # more positions than there are
        "word " * 3000,
        "a-" * 90 + "a b",
        "0-" * 90 + "0",
        "y" * 2500 + " end",  # longer than a lexeme may be
        " ".join(f"n{number}" for number in range(40_000)),  # more words than a session keeps
        "http://example.org/" + "z" * 300 + " end",
    ]
    assert database.execute(DIFFERENT, [long]).fetchall() == []


def test_a_changed_dictionary_is_noticed(database):
    ask = "SELECT vectorstore.document_tsv(2::smallint, 'zebra zebras')::text"
    assert database.execute(ask).fetchone() == ("'zebra':1 'zebras':2",)
    with database.transaction(force_rollback=True):
        database.execute("ALTER TEXT SEARCH CONFIGURATION pg_catalog.german ALTER MAPPING FOR asciiword WITH english_stem")
        assert database.execute(ask).fetchone() == ("'zebra':1,2",)
    assert database.execute(ask).fetchone() == ("'zebra':1 'zebras':2",)
