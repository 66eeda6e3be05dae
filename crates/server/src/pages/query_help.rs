//! `GET /audit/query-help`: the reference of the query language.

use std::collections::HashMap;
use std::sync::LazyLock;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::page_error::PageError;
use super::shell::{Section, Shell};
use super::{html, search_href};
use crate::App;
use crate::auth::PageCaller;

#[derive(Template)]
#[template(path = "query_help.html")]
struct QueryHelpPage {
    shell: Shell,
    contents: &'static [(String, String)],
    /// HTML made of the reference that is compiled in, without any raw HTML of it.
    body: &'static str,
}

/// Shows the reference.
pub(crate) async fn show_query_help(
    State(app): State<App>,
    PageCaller(principal): PageCaller,
) -> Result<Response, PageError> {
    static REFERENCE: LazyLock<Rendered> = LazyLock::new(|| render(annals_query::REFERENCE));
    let shell = Shell::new(&app, &principal, Section::QueryHelp).await?;
    html(StatusCode::OK, &QueryHelpPage { shell, contents: &REFERENCE.contents, body: &REFERENCE.body })
}

struct Rendered {
    /// Anchor and heading of each section.
    contents: Vec<(String, String)>,
    body: String,
}

/// Turns Markdown into HTML: headings get anchors, tables may scroll, each line of a `query` block links to its search.
fn render(markdown: &str) -> Rendered {
    let mut contents = Vec::new();
    let mut events: Vec<Event<'_>> = Vec::new();
    let mut anchors: HashMap<String, usize> = HashMap::new();
    let mut heading: Option<(usize, HeadingLevel, String)> = None;
    let mut is_query = false;
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            // The title is the page's own.
            Event::Start(Tag::Heading { level, .. }) => {
                heading = Some((events.len(), level, String::new()));
                events.push(Event::Text(CowStr::Borrowed("")));
            }
            Event::End(TagEnd::Heading(level)) => {
                let Some((at, _, title)) = heading.take() else { continue };
                if level == HeadingLevel::H1 {
                    events.truncate(at);
                    continue;
                }
                let base: String = title
                    .chars()
                    .map(
                        |letter| {
                            if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' }
                        },
                    )
                    .collect();
                let count = anchors.entry(base.clone()).or_default();
                *count += 1;
                let anchor = if *count == 1 { base } else { format!("{base}-{count}") };
                events[at] = Event::Html(format!("<{level} id=\"{anchor}\">").into());
                events.push(Event::Html(format!("</{level}>\n").into()));
                if level == HeadingLevel::H2 {
                    contents.push((anchor, title));
                }
            }
            Event::Start(Tag::Table(alignments)) => {
                events.push(Event::Html(
                    "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table\">".into(),
                ));
                events.push(Event::Start(Tag::Table(alignments)));
            }
            Event::End(TagEnd::Table) => {
                events.push(Event::End(TagEnd::Table));
                events.push(Event::Html("</div>".into()));
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) if &*language == "query" => {
                is_query = true;
                events.push(Event::Html("<ul class=\"queries\">".into()));
            }
            Event::End(TagEnd::CodeBlock) if is_query => {
                is_query = false;
                events.push(Event::Html("</ul>\n".into()));
            }
            // What may scroll is reached by the keyboard.
            Event::Start(Tag::CodeBlock(_)) => events.push(Event::Html("<pre tabindex=\"0\"><code>".into())),
            Event::End(TagEnd::CodeBlock) => events.push(Event::Html("</code></pre>\n".into())),
            Event::Text(text) if is_query => {
                for line in text.lines().filter(|line| !line.is_empty()) {
                    let item = format!(
                        "<li><a class=\"link\" href=\"{}\"><code>{}</code></a></li>",
                        escaped(&search_href(line, 1)),
                        escaped(line),
                    );
                    events.push(Event::Html(item.into()));
                }
            }
            // Nothing of the text becomes markup but by the rules of Markdown.
            Event::Html(text) | Event::InlineHtml(text) => events.push(Event::Text(text)),
            Event::Text(text) | Event::Code(text) if heading.is_some() => {
                if let Some((_, _, title)) = &mut heading {
                    title.push_str(&text);
                }
                events.push(Event::Text(text));
            }
            other => events.push(other),
        }
    }
    let mut body = String::with_capacity(markdown.len() * 2);
    pulldown_cmark::html::push_html(&mut body, events.into_iter());
    Rendered { contents, body }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_contents_tables_and_links() {
        let rendered = render(annals_query::REFERENCE);
        assert!(
            rendered.contents.iter().any(|(anchor, title)| anchor == "operators" && title == "Operators")
        );
        assert!(!rendered.body.contains("<h1"));
        assert!(rendered.body.contains("<table>"));
        assert!(rendered.body.contains("href=\"/audit?filter=action:delete\""));
        for (anchor, _) in &rendered.contents {
            assert!(rendered.body.contains(&format!("id=\"{anchor}\"")), "{anchor}");
        }
    }

    #[test]
    fn raw_markup_is_escaped() {
        let rendered = render(
            "# T\n\n## A <b>\n\n<script>alert(1)</script>\n\na <img src=x> b\n\n```query\n\"<i>\"\n```\n",
        );
        assert!(
            !rendered.body.contains("<script")
                && !rendered.body.contains("<img")
                && !rendered.body.contains("<i>")
        );
        assert!(rendered.body.contains("&lt;script&gt;"));
    }
}
