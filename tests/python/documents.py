"""Real documents, made by the tools that people use: pandoc, Typst, python-docx, python-pptx, ReportLab."""

import io
import tempfile
from pathlib import Path

import docx
import pptx
import pypandoc
import pypdf
import typst
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

ARTICLE = """---
title: Field notes
---

# Migration of the arctic tern

The arctic tern flies from Greenland to the Weddell Sea and back every year.

## Füße & Schnäbel

Die Küstenseeschwalbe hat kurze rote Füße; 日本では極鯵刺と呼ばれる.

- She eats sand eels.
- She breeds on gravel beaches.

| Colony | Pairs |
|--------|-------|
| Svalbard | 10000 |
| Farne Islands | 2500 |

# Instruments

A geolocator of 1.4 grams records the light level.[^battery]

```python
def hours_of_daylight(latitude, day):
    return 24
```

[^battery]: Its battery lasts for two winters.
"""

# Sentences that are in ARTICLE, and a question that each of them answers.
ARTICLE_SAYS = {
    "The arctic tern flies from Greenland to the Weddell Sea and back every year.": "Where does the tern fly?",
    "Die Küstenseeschwalbe hat kurze rote Füße; 日本では極鯵刺と呼ばれる.": "Wer hat rote Füße?",
    "She breeds on gravel beaches.": "Where does she breed?",
    "Farne Islands | 2500": "How many pairs on the Farne Islands?",
    "A geolocator of 1.4 grams records the light level.": "What does a geolocator record?",
    "Its battery lasts for two winters.": "How long does the battery last?",
}

PAGES = [
    "The lighthouse keeper counts the ships that pass at night.",
    "Knead the dough for ten minutes and let it rise.",
    "Ein Fuchs überquert den zugefrorenen Fluss; en été, le renard dort près du chêne.",
]


def by_pandoc(kind):
    """ARTICLE as a document of this kind, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"article.{kind}"
        extra = ["--standalone"] if kind == "html" else []
        pypandoc.convert_text(ARTICLE, kind, format="markdown", outputfile=str(path), extra_args=extra)
        return path.read_bytes()


def by_typst():
    """PAGES as a PDF with embedded, subset fonts."""
    body = "\n#pagebreak()\n".join(f"= Page {n}\n{text}" for n, text in enumerate(PAGES, 1))
    return typst.compile(body.encode())


def by_reportlab():
    """PAGES as a PDF with one of the fonts that every reader has."""
    buffer = io.BytesIO()
    page = canvas.Canvas(buffer, pagesize=A4)
    for text in PAGES:
        page.setFont("Helvetica", 10)
        page.drawString(72, 700, text)
        page.showPage()
    page.save()
    return buffer.getvalue()


def encrypted(pdf, password, owner):
    writer = pypdf.PdfWriter(io.BytesIO(pdf))
    writer.encrypt(password, owner, algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def without_text():
    """A PDF with a drawing only, as a scanner makes it."""
    buffer = io.BytesIO()
    page = canvas.Canvas(buffer, pagesize=A4)
    page.rect(72, 72, 200, 200, fill=1)
    page.showPage()
    page.save()
    return buffer.getvalue()


def by_python_docx():
    document = docx.Document()
    document.add_heading("Quarterly report", 0)
    document.add_heading("Revenue", 2)
    paragraph = document.add_paragraph("Revenue grew by ")
    paragraph.add_run("twelve").bold = True
    paragraph.add_run(" percent\tin the north.")
    document.add_paragraph("Hire two engineers", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for row, cells in enumerate([("Region", "Sales"), ("North", "42 & more")]):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    document.sections[0].header.paragraphs[0].text = "CONFIDENTIAL HEADER"
    return saved(document)


def by_python_pptx():
    deck = pptx.Presentation()
    for title, lines, notes in [
        ("Why bees dance", ["The waggle dance points to the flowers."], "Mention Karl von Frisch."),
        ("Numbers", ["A hive holds 40000 bees.", "A queen lives for five years."], None),
    ]:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(lines)
        if notes:
            slide.notes_slide.notes_text_frame.text = notes
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Harvest"
    table = slide.shapes.add_table(2, 2, 0, 0, 4000000, 1000000).table
    for row, cells in enumerate([("Year", "Honey"), ("2025", "310 kg")]):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    return saved(deck)


def saved(document):
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()
