//! The frame of every page: its head, its contents, its sections.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Looks: light, dark and printed.
const STYLE: &str = include_str!("style.css");

/// Nothing may be loaded, whatever stands in the page: a second door behind the escaping.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// What the name of the program that made a page begins with.
pub(super) const GENERATOR: &str = "engraft ";

/// A section: its anchor, its heading and what stands in it.
pub(super) type Section = (&'static str, &'static str, Markup);

/// A whole page: a header, and sections with their anchors and headings. `file` has the same numbers for programs.
pub(super) fn page(version: &str, title: &str, header: Markup, sections: &[Section], file: &str) -> String {
    html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ (GENERATOR) (version) };
                title { "Engraft report: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header)
                    nav aria-label="Contents" {
                        @for (id, heading, _) in sections { a href={ "#" (id) } { (heading) } }
                    }
                    @for (id, heading, body) in sections {
                        section id=(id) aria-labelledby={ (id) "-heading" } {
                            h2 id={ (id) "-heading" } { (heading) }
                            (body)
                        }
                    }
                    footer { "Written by engraft " (version) ". The same numbers, for programs, stand in " (file) "." }
                }
            }
        }
    }
    .into_string()
}

/// The last part of where the data was: what people call it.
pub(super) fn data_name(path: &str) -> String {
    let path = path.trim_end_matches(['/', '\\']);
    let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
    if last.is_empty() || last == "." { "a data set".into() } else { last.into() }
}
