//! The events of a release.

use maud::{Markup, html};

use crate::ui::read::detail::Happening;
use crate::ui::view::parts::{message, said, time};

/// The section.
pub fn section(events: &Result<Vec<Happening>, String>) -> Markup {
    html! {
        section aria-labelledby="events" {
            h2 #events { "Events" }
            @match events {
                Err(why) => { p.none { "Cannot read events: " (said(why)) } },
                Ok(events) if events.is_empty() => { p.none { "None; the API server keeps events for an hour" } },
                Ok(events) => { ol.events { @for event in events { (line(event)) } } },
            }
        }
    }
}

fn line(event: &Happening) -> Markup {
    html! {
        li class=[event.is_warning.then_some("warning")] {
            span.time { (time(event.at)) }
            span class={ "badge small " (if event.is_warning { "failing" } else { "quiet" }) } { (said(&event.reason)) }
            span.message { (message(&event.message)) }
        }
    }
}
