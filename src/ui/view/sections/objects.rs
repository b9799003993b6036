//! The objects of a release as a tree: those that are not healthy first.

use maud::{Markup, html};

use crate::domain::identity::ReleaseId;
use crate::domain::message::and_more;
use crate::reconcile::frontend::objects::{ObjectNode, is_good};
use crate::ui::read::detail::Objects;
use crate::ui::view::parts::{address, counted, health, message, said};

/// The most objects that are shown: the first view is about what is wrong.
const MAX_SHOWN: usize = 200;

/// The section.
pub fn section(id: &ReleaseId, objects: &Objects) -> Markup {
    html! {
        section aria-labelledby="objects" {
            h2 #objects { "Objects" (summary(objects)) }
            @match objects {
                Objects::Late => {
                    p.none { "They are still being read. " a href={ (address(id)) "?wait=objects" } { "Wait for all of them" } }
                },
                Objects::Unreadable(why) => { p.none { "Cannot be read: " (said(why)) } },
                Objects::Read { nodes, inventory } if nodes.is_empty() => {
                    p.none { @if *inventory { "None" } @else { "None; there is no inventory yet" } }
                },
                Objects::Read { nodes, .. } => { (tree(nodes)) },
            }
        }
    }
}

fn summary(objects: &Objects) -> Markup {
    let Objects::Read { nodes, .. } = objects else { return html! {} };
    let bad = nodes.iter().filter(|node| !is_good(node.health)).count();
    html! {
        @if !nodes.is_empty() {
            span.aside {
                (counted(nodes.len(), "object", "objects"))
                @if bad > 0 { ", " (bad) " not healthy" } @else { ", all healthy" }
            }
        }
    }
}

fn tree(nodes: &[ObjectNode]) -> Markup {
    let mut order: Vec<&ObjectNode> = nodes.iter().collect();
    // The order of the apply stays among those that are alike.
    order.sort_by_key(|node| is_good(node.health));
    let more = and_more(order.len().saturating_sub(MAX_SHOWN));
    html! {
        ul.tree { @for node in order.into_iter().take(MAX_SHOWN) { (branch(node)) } }
        @if let Some(more) = more { p.none { (more) " that are healthy or later in the order" } }
    }
}

fn branch(node: &ObjectNode) -> Markup {
    let mut parts = node.object.splitn(2, '/');
    let (kind, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    html! {
        li {
            div.node {
                (health(node.health))
                span.kind title=(said(&node.api_version)) { (said(kind)) }
                span.object { (said(name)) }
                @if !node.message.is_empty() { span.message { (message(&node.message)) } }
            }
            @if !node.children.is_empty() { ul { @for child in &node.children { (branch(child)) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(object: &str, health: &'static str, children: Vec<ObjectNode>) -> ObjectNode {
        let message = String::new();
        ObjectNode { object: object.into(), api_version: "v1".into(), health, message, children }
    }

    #[test]
    fn what_is_not_healthy_is_first_and_leads_to_its_pod() {
        let pods = vec![node("Pod/apps/web-1", "Failed", vec![])];
        let nodes = vec![
            node("ConfigMap/apps/a", "Current", vec![]),
            node("Deployment/apps/web", "InProgress", pods),
        ];
        let html = tree(&nodes).into_string();
        let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}: {html}"));
        assert!(at("apps/web<") < at("apps/web-1<") && at("apps/web-1<") < at("apps/a<"));
    }

    #[test]
    fn a_large_release_is_cut() {
        let nodes: Vec<_> = (0..500).map(|n| node(&format!("ConfigMap/a/{n}"), "Current", vec![])).collect();
        let html = tree(&nodes).into_string();
        assert_eq!(html.matches("<li>").count(), MAX_SHOWN);
        assert!(html.contains("and 300 more"));
    }
}
