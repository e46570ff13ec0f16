"""Documents of every kind through the official SDK: uploaded, attached, read back, found."""

import io
import time
import zipfile
import zlib

import pytest

import documents

TABLE = "city,river,population\nParis,Seine,2100000\nKöln,Rhein,1087000\nCairo,Nile,10100000\n"


def attach(client, store, name, data):
    return client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=(name, data))


def read(client, store, file):
    assert (file.status, file.last_error) == ("completed", None)
    return [part.text for part in client.vector_stores.files.content(file.id, vector_store_id=store.id).data]


def find(client, store, question):
    return "\n".join(hit.content[0].text for hit in client.vector_stores.search(store.id, query=question).data)


def squeezed(text):
    return " ".join(text.split())


@pytest.mark.parametrize("kind", ["docx", "html"])
def test_an_article_by_pandoc_says_what_its_source_says(client, store, kind):
    [text] = read(client, store, attach(client, store, f"article.{kind}", documents.by_pandoc(kind)))
    for sentence, question in documents.ARTICLE_SAYS.items():
        assert sentence in squeezed(text)
        assert sentence in squeezed(find(client, store, question))
    for line in ("# Migration of the arctic tern", "## Füße & Schnäbel", "- She eats sand eels."):
        assert line in text.splitlines()
    assert "hours_of_daylight(latitude, day)" in text and "<" not in text.replace("<w:", "!")
    assert text.index("# Migration") < text.index("## Füße") < text.index("# Instruments") < text.index("battery lasts")


def test_slides_by_pandoc_are_sections(client, store):
    slides = read(client, store, attach(client, store, "article.pptx", documents.by_pandoc("pptx")))
    assert len(slides) >= 3
    [tern] = [slide for slide in slides if "arctic tern flies" in slide]
    assert "Instruments" not in tern
    assert any(slide.startswith("# Instruments") for slide in slides)
    assert any("Farne Islands | 2500" in slide for slide in slides)
    assert "arctic tern flies from Greenland" in find(client, store, "Where does the tern fly?")


@pytest.mark.parametrize("make", [documents.by_typst, documents.by_reportlab])
def test_pages_of_a_pdf_are_sections(client, store, make):
    pages = read(client, store, attach(client, store, "pages.PDF", make()))
    assert len(pages) == len(documents.PAGES)
    for page, text in zip(pages, documents.PAGES):
        assert text in page.splitlines()
    assert documents.PAGES[1] in squeezed(find(client, store, "how long do I knead dough?"))


def test_a_document_by_python_docx(client, store):
    [text] = read(client, store, attach(client, store, "report.docx", documents.by_python_docx()))
    assert text == (
        "# Quarterly report\n\n## Revenue\n\nRevenue grew by twelve percent\tin the north.\n\nHire two engineers\n\n"
        "Region | Sales\nNorth | 42 & more\n"
    )


def test_a_presentation_by_python_pptx(client, store):
    slides = read(client, store, attach(client, store, "bees.pptx", documents.by_python_pptx()))
    assert [slide.strip() for slide in slides] == [
        "# Why bees dance\n\nThe waggle dance points to the flowers.\n\nMention Karl von Frisch.",
        "# Numbers\n\nA hive holds 40000 bees.\n\nA queen lives for five years.",
        "# Harvest\n\nYear | Honey\n2025 | 310 kg",
    ]
    assert "310 kg" in find(client, store, "honey harvest 2025")


def test_rows_of_a_table_keep_the_names_of_their_columns(client, store):
    [text] = read(client, store, attach(client, store, "cities.csv", TABLE.encode("utf-16")))
    assert "city: Köln\nriver: Rhein\npopulation: 1087000\n" in text
    assert "river: Nile" in find(client, store, "river of Cairo")


def test_json_without_line_breaks_gets_some(client, store):
    import json

    rows = [{"name": f"planet {n}", "mass": n + 0.10} for n in range(200)]
    [text] = read(client, store, attach(client, store, "planets.json", json.dumps(rows).encode()))
    assert '    "name": "planet 7",\n    "mass": 7.1\n' in text and json.loads(text) == rows


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "utf-8-sig", "utf-16"])
def test_text_in_each_encoding(client, store, encoding):
    text = "The owl sees at night." if encoding == "ascii" else "Die Eule sieht nachts, l'été aussi: 夜。"
    assert read(client, store, attach(client, store, "owl.txt", text.encode(encoding))) == [text]


@pytest.mark.parametrize(
    "extension", "c cpp cs css go html java js json md php py rb sh tex ts txt".split()
)
def test_every_kind_of_text_that_openai_lists(client, store, extension):
    file = attach(client, store, f"file.{extension}", b"the zebra crosses the river")
    assert "zebra crosses" in read(client, store, file)[0]
    assert "zebra crosses" in find(client, store, "zebra")


@pytest.mark.parametrize("extension", "doc odt rtf xls xlsx epub png zip exe mp3 eml".split())
def test_other_kinds_are_unsupported(client, store, extension):
    data = documents.by_pandoc(extension) if extension in ("odt", "rtf", "epub") else b"\x00\x01"
    file = attach(client, store, f"file.{extension}", data)
    assert (file.status, file.last_error.code) == ("failed", "unsupported_file")
    assert f"'.{extension}'" in file.last_error.message


def rezipped(data, change):
    """The document with its parts changed: `change(name, bytes)` returns the new bytes, or None to leave a part out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = change(name, old.read(name))
            if part is not None:
                new.writestr(name, part)
    return buffer.getvalue()


def bomb(part):
    """A document of some hundred kilobytes with a part of 400 MB."""
    filler = b" " * 400_000_000
    return rezipped(
        documents.by_python_docx(), lambda name, data: data.replace(b"<w:body>", b"<w:body>" + filler) if name == part else data
    )


def nested(depth):
    return rezipped(
        documents.by_python_docx(),
        lambda name, data: data.replace(b"<w:body>", b"<w:body>" + b"<w:sdt>" * depth) if name == "word/document.xml" else data,
    )


def laughs():
    """The billion laughs: entities that stand for ten others each."""
    entities = b'<!ENTITY a0 "ha">' + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 30))
    return rezipped(
        documents.by_python_docx(),
        lambda name, data: data.replace(b"?>", b"?><!DOCTYPE w:document [" + entities + b"]>", 1).replace(b"twelve", b"&a29;")
        if name == "word/document.xml"
        else data,
    )


def pdf_bomb():
    """A page whose content unpacks to two gigabytes of blanks."""
    packer = zlib.compressobj(9)
    block = b" " * 2**20
    stream = b"".join(packer.compress(block) for _ in range(2048)) + packer.flush()
    head = (
        b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Contents 4 0 R>>endobj\n"
        b"4 0 obj<</Filter/FlateDecode/Length %d>>stream\n" % len(stream)
    )
    body = head + stream + b"\nendstream endobj\n"
    offsets = [body.index(b"%d 0 obj" % n) for n in range(1, 5)]
    table = b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % at for at in offsets)
    return body + table + b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(body)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("text.pdf", lambda: b"only text", "is not a PDF"),
        ("word.pdf", documents.by_python_docx, "is not a PDF"),
        ("pdf.docx", documents.by_typst, "no .docx document"),
        ("slides.docx", documents.by_python_pptx, "no .docx document"),
        ("word.pptx", documents.by_python_docx, "no .pptx document"),
        ("old.docx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "older format, or protected"),
        ("secret.pdf", lambda: documents.encrypted(documents.by_typst(), "open sesame", "owner"), "protected by a password"),
        ("scan.pdf", documents.without_text, "contains no text"),
        ("half.pdf", lambda: documents.by_typst()[:3000], "damaged"),
        ("half.docx", lambda: documents.by_python_docx()[:9000], "damaged"),
        ("empty.docx", lambda: rezipped(documents.by_python_docx(), lambda name, data: None), "no main part"),
        ("bomb.docx", lambda: bomb("word/document.xml"), "unpacks to more than"),
        ("deep.docx", lambda: nested(100_000), "nested too deeply"),
        ("bomb.pdf", pdf_bomb, "MiB of memory"),
    ],
)
def test_a_bad_document_fails_and_says_why(client, store, proxy_survives, name, make, message):
    data = make()
    began = time.monotonic()
    file = attach(client, store, name, data)
    assert time.monotonic() - began < 60
    assert (file.status, file.last_error.code) == ("failed", "invalid_file")
    assert message in file.last_error.message


def test_entities_of_a_document_are_not_followed(client, store):
    [text] = read(client, store, attach(client, store, "laughs.docx", laughs()))
    assert "Revenue grew by" in text and "haha" not in text


def test_a_pdf_that_only_forbids_printing_is_read(client, store):
    file = attach(client, store, "locked.pdf", documents.encrypted(documents.by_typst(), "", "owner"))
    assert documents.PAGES[0] in squeezed(read(client, store, file)[0])


def test_a_main_part_may_have_any_name(client, store):
    """Some versions of Word call it document2.xml."""
    made = documents.by_python_docx()

    def rename(name, data):
        return data.replace(b"word/document.xml", b"word/document2.xml").replace(b"document.xml.rels", b"document2.xml.rels")

    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name.replace("document.xml", "document2.xml"), rename(name, old.read(name)))
    [text] = read(client, store, attach(client, store, "renamed.docx", buffer.getvalue()))
    assert text.startswith("# Quarterly report")
