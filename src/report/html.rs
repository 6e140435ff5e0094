//! HTML as text: what comes from outside goes through [`escape`].

/// Text for an element or for an attribute in quotes. Control characters, which HTML has no form for, are left out.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// A page of HTML. It loads nothing: its policy forbids it, so that what slips in cannot either.
pub fn page(title: &str, body: &str) -> String {
    let (style, script) = (include_str!("page.css"), include_str!("page.js"));
    format!(include_str!("page.html"), title = escape(title), style = style, body = body, script = script)
}

/// A part of a page under a heading. `content` is HTML.
pub fn section(heading: &str, content: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{content}</section>\n", escape(heading))
}

/// Paragraphs that are seen first.
pub fn notices(notices: &[String]) -> String {
    notices.iter().map(|notice| format!("<p class=\"notice\">{}</p>\n", escape(notice))).collect()
}

/// Names with values.
pub fn facts(facts: &[(&str, String)]) -> String {
    let items = facts.iter().map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", escape(value)));
    format!("<dl class=\"facts\">\n{}</dl>\n", items.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_cannot_become_html() {
        let hostile = "</title><script>alert('1' + \"2\")</script>&\u{0}\u{1b}";
        let escaped = escape(hostile);
        assert_eq!(escaped, "&lt;/title&gt;&lt;script&gt;alert(&#39;1&#39; + &quot;2&quot;)&lt;/script&gt;&amp;");
        for html in
            [page(hostile, ""), section(hostile, ""), notices(&[hostile.into()]), facts(&[("a", hostile.into())])]
        {
            assert!(html.contains(&escaped) && !html.contains("<script>alert") && !html.contains('\0'), "{html}");
        }
    }
}
