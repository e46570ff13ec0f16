//! The text of an HTML page, found by reading its tags from start to end.
//!
//! No tree is built: HTML's rules for broken markup let a small page become a tree that is deep or huge enough to keep a
//! processor busy for minutes, and the text does not need one. This takes time and memory linear in the page.

/// What separates a text from the one before it; the strongest of several counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Break {
    Nothing,
    Space,
    Cell,
    Line,
    Paragraph,
}

#[derive(Default)]
struct Writer {
    text: String,
    before: Option<Break>,
    prefix: &'static str,
    verbatim: bool,
}

impl Writer {
    fn separate(&mut self, by: Break) {
        self.before = self.before.max(Some(by));
    }

    fn flush(&mut self) {
        let before = self.before.take().unwrap_or(Break::Nothing);
        if !self.text.is_empty() {
            self.text.push_str(match before {
                Break::Nothing => "",
                Break::Space => " ",
                Break::Cell => " | ",
                Break::Line => "\n",
                Break::Paragraph => "\n\n",
            });
        }
        self.text.push_str(std::mem::take(&mut self.prefix));
    }

    fn write(&mut self, raw: &str) {
        for c in html_escape::decode_html_entities(raw).chars().filter(|c| *c != '\0') {
            if c.is_whitespace() && !self.verbatim {
                self.separate(Break::Space);
                continue;
            }
            if self.before.is_some() || !self.prefix.is_empty() {
                self.flush();
            }
            self.text.push(c);
        }
    }

    fn tag(&mut self, name: &str, start: bool) {
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.separate(Break::Paragraph);
                // As in Markdown, so that the text is cut before headings.
                let level = usize::from(name.as_bytes()[1] - b'0');
                self.prefix = if start { &"###### "[6 - level..] } else { "" };
            }
            "pre" => {
                self.separate(Break::Paragraph);
                self.verbatim = start;
            }
            "p" | "ul" | "ol" | "dl" | "table" | "blockquote" | "section" | "article" | "header"
            | "footer" | "main" | "nav" | "aside" | "figure" | "form" | "hr" | "title" | "body" => {
                self.separate(Break::Paragraph)
            }
            "li" => {
                self.separate(Break::Line);
                self.prefix = if start { "- " } else { "" };
            }
            "br" | "div" | "tr" | "dt" | "dd" | "option" | "caption" | "figcaption" | "summary" => {
                self.separate(Break::Line)
            }
            "td" | "th" if start => self.separate(Break::Cell),
            _ => {}
        }
    }
}

/// The text of a page: headings, list items and table cells marked as in Markdown, scripts and styles left out.
pub fn text_of(html: &str) -> String {
    let mut writer = Writer::default();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        writer.write(&rest[..at]);
        rest = &rest[at..];
        let Some(after) = skip_markup(rest, &mut writer) else { return writer.text };
        rest = after;
    }
    writer.write(rest);
    writer.text
}

/// What follows the markup at the start of `rest`; `None` when it does not end.
fn skip_markup<'a>(rest: &'a str, writer: &mut Writer) -> Option<&'a str> {
    let inside = &rest[1..];
    if let Some(comment) = inside.strip_prefix("!--") {
        // `<!-->` and `<!--->` are whole comments, too.
        return match comment.strip_prefix('>').or_else(|| comment.strip_prefix("->")) {
            Some(after) => Some(after),
            None => comment.find("-->").map(|end| &comment[end + 3..]),
        };
    }
    if inside.starts_with(['!', '?']) {
        return inside.find('>').map(|end| &inside[end + 1..]);
    }
    let (start, named) = inside.strip_prefix('/').map_or((true, inside), |named| (false, named));
    if !named.starts_with(|c: char| c.is_ascii_alphabetic()) {
        writer.write("<");
        return Some(inside);
    }
    let length =
        named.find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/')).unwrap_or(named.len());
    let name = named[..length.min(16)].to_ascii_lowercase();
    let after = &named[length + tag_end(&named[length..])? + 1..];
    writer.tag(&name, start);
    if start && matches!(name.as_str(), "script" | "style" | "template" | "noscript" | "svg" | "textarea") {
        return closing_tag(after, &name).map(|end| &after[end..]);
    }
    Some(after)
}

/// Where the `>` of a tag is. One in a quoted value does not end it; a quote that does not begin a value means nothing.
fn tag_end(attributes: &str) -> Option<usize> {
    let (mut quote, mut last) = (None, b' ');
    for (at, byte) in attributes.bytes().enumerate() {
        match quote {
            Some(end) if byte == end => quote = None,
            Some(_) => {}
            None if byte == b'>' => return Some(at),
            None if last == b'=' && matches!(byte, b'"' | b'\'') => quote = Some(byte),
            None => {}
        }
        if !byte.is_ascii_whitespace() {
            last = byte;
        }
    }
    None
}

/// Where the element with this name ends. What is inside is not HTML to us.
fn closing_tag(content: &str, name: &str) -> Option<usize> {
    content.match_indices("</").map(|(at, _)| at).find(|at| {
        let found = content.as_bytes().get(at + 2..at + 2 + name.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_scripts_and_comments_are_left_out() {
        let html = "<!DOCTYPE html><html><head><title>Title</title><script>if (a<b) evil('</p>')</script ><STYLE>p{}</STYLE></head>\
                    <body><!-- x > y --><h2 class='a>b'>Head &amp; tail</h2>\n<p>One <b>bold</b>\n   word&nbsp;more.<p>Two<!-->.</body></html>";
        assert_eq!(text_of(html), "Title\n\n## Head & tail\n\nOne bold word more.\n\nTwo.");
    }

    #[test]
    fn lists_and_tables_keep_their_shape() {
        let html = "<ul><li>a</li><li>b <i>c</i></ul><table><tr><th>x<th>y</tr><tr><td>1</td><td>2</td></tr></table>";
        assert_eq!(text_of(html), "- a\n- b c\n\nx | y\n1 | 2");
    }

    #[test]
    fn preformatted_text_keeps_its_lines() {
        assert_eq!(text_of("a<pre>if x:\n    y &lt; z\n</pre>b"), "a\n\nif x:\n    y < z\n\n\nb");
    }

    #[test]
    fn what_is_no_tag_is_text() {
        assert_eq!(text_of("1 < 2 <3 a<b"), "1 < 2 <3 a");
        assert_eq!(text_of("x &amp y &unknown; &#65;&#x42;"), "x &amp y &unknown; AB");
        assert_eq!(text_of("<p title=it's>a</p><p title=\"a > b\">b"), "a\n\nb");
    }

    #[test]
    fn markup_without_end_ends_the_text() {
        for html in ["a<!-- b", "a<script>b", "a<p title='b>c", "a<!doctype"] {
            assert_eq!(text_of(html), "a", "{html}");
        }
    }

    /// Each of these takes a parser that builds a tree, or looks back, minutes.
    #[test]
    fn hostile_pages_take_linear_time() {
        let many = |piece: &str| piece.repeat(4_000_000 / piece.len());
        let begin = std::time::Instant::now();
        for html in [
            many("<div>"),
            many("<b a=1><i b=2><p>x"),
            many("<script>"),
            many("</script"),
            many("<!--"),
            many("<![CDATA["),
            many("&"),
            format!("<a {}>", many("b1 ")),
        ] {
            text_of(&html);
        }
        assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    }
}
