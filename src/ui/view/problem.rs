//! Pages that say what is wrong with a request.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::parts::said;

/// A page without the frame: it shows nothing of the cluster.
pub fn bare(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Supercargo" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/page.css";
            }
            body.bare { main { h1 { (title) } (content) } }
        }
    }
}

/// For a browser that has not entered.
pub fn locked() -> Markup {
    bare(
        "This page is locked",
        &html! {
            p { "Open the link that " code { "supercargo ui" } " has printed. A link opens the page once, in one browser; for another one, start the command again." }
        },
    )
}

/// For a link that is void.
pub fn void_link() -> Markup {
    bare(
        "This link is void",
        &html! {
            p { "It was used before, or it is not complete. Start " code { "supercargo ui" } " again for a new one." }
        },
    )
}

/// Leads on from a link. The page goes on by itself, so that the browser sends the new cookie along, and the
/// address with the token is not kept in the history.
pub fn entered() -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content="0;url=/";
                title { "Supercargo" }
            }
            body { main { h1 { "Supercargo" } p { a href="/" { "Continue" } } } }
        }
    }
}

/// Asks for a token, and says why an earlier one did not do.
pub fn sign_in_form(to: &str, why: Option<&str>) -> Markup {
    bare(
        "Sign in",
        &html! {
            @if let Some(why) = why { p.refused role="alert" { (said(why)) } }
            p { "Paste a token of this cluster. The page then shows what its account may see, and changes releases only with its rights." }
            form.sign-in method="post" action="/sign-in" {
                input type="hidden" name="to" value=(said(to));
                div.field {
                    label for="token" { "Token" }
                    input #token type="password" name="token" autocomplete="off" required autofocus;
                }
                button.primary type="submit" { "Sign in" }
            }
            p.none { "A ServiceAccount: " code { "kubectl create token NAME -n NAMESPACE" } ". A person: the token of your identity provider." }
        },
    )
}

/// Leads on to a page of this site, for a link of another one.
pub fn from_elsewhere(to: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content={ "0;url=" (said(to)) };
                title { "Supercargo" }
            }
            body { main { h1 { "Supercargo" } p { a href=(said(to)) { "Continue" } } } }
        }
    }
}

/// For a request of which it is not known whether it may see anything.
pub fn unjudged() -> Markup {
    bare(
        "Try again soon",
        &html! { p { "It is not known who you are, because the API server could not be asked. The log of the operator has the cause." } },
    )
}

/// For an address that this page does not have.
pub fn nothing_here() -> Response {
    (StatusCode::NOT_FOUND, bare("Not found", &html! { p { a href="/" { "What is wrong" } } }))
        .into_response()
}

/// The content of a page for something that cannot be shown.
pub fn content(title: &str, why: &str) -> Markup {
    html! {
        h1 { (title) }
        p.lead { (said(why)) }
        p { a href="/" { "What is wrong" } " · " a href="/releases" { "All releases" } }
    }
}
