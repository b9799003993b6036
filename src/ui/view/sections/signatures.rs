//! Who has signed the artifact, and its container images.

use maud::{Markup, html};
use serde_json::Value;

use crate::api::status::condition;
use crate::domain::shown::fields::{condition_of, text};
use crate::ui::view::parts::{said, time_of};

/// The most images that are shown.
const MAX_IMAGES: usize = 20;

/// The section.
pub fn section(release: &Value) -> Markup {
    let list =
        |pointer: &str| release.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (signers, images) = (list("/status/artifact/verifiedBy"), list("/status/artifact/images"));
    let verified = condition_of(release, condition::VERIFIED);
    html! {
        section aria-labelledby="signatures" {
            h2 #signatures { "Signatures" }
            @if signers.is_empty() {
                p.none { @match verified.map_or("", |verified| text(verified, "/message")) { "" => { "None" }, why => { (said(why)) } } }
            }
            ul.signers { @for signer in signers { (card(signer)) } }
            @if !images.is_empty() {
                h3 { "Container images" }
                ul.images {
                    @for image in images.iter().take(MAX_IMAGES) {
                        li { code { (said(text(image, "/pinned"))) } " signed by " (said(text(image, "/signer"))) }
                    }
                }
            }
        }
    }
}

fn card(signer: &Value) -> Markup {
    let fact = |label: &str, field: &str| {
        let value = text(signer, field);
        html! { @if !value.is_empty() { div { dt { (label) } dd { (said(value)) } } } }
    };
    html! {
        li.signer {
            dl.facts {
                (fact("Identity", "/subject")) (fact("Issuer", "/issuer")) (fact("Key", "/key"))
                (fact("Authority", "/authority")) (fact("Format", "/format")) (fact("For", "/reference"))
                @if !text(signer, "/signedAt").is_empty() { div { dt { "Signed" } dd { (time_of(text(signer, "/signedAt"))) } } }
            }
        }
    }
}
