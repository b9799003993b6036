//! The dashboards as files: what Grafana would accept in silence and people would
//! miss. That every query has data is tested where there is a Prometheus.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::none;
use crate::source::root;

const DASHBOARDS: &[&str] = &["fleet", "release", "controller"];
/// The columns of Grafana's grid.
const COLUMNS: u64 = 24;
/// The only data source: the variable of that name.
const DATA_SOURCE: &str = "${datasource}";

fn dashboard(name: &str) -> Value {
    let path = format!("charts/supercargo/dashboards/{name}.json");
    serde_json::from_str(&fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn dashboards_have_what_grafana_keeps_them_by() {
    let mut files: Vec<String> = fs::read_dir(root().join("charts/supercargo/dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().trim_end_matches(".json").to_owned())
        .collect();
    files.sort();
    assert_eq!(files, ["controller", "fleet", "release"], "name it in DASHBOARDS, too");
    let mut found = Vec::new();
    for name in DASHBOARDS {
        let board = dashboard(name);
        let mut must = |holds: bool, what: &str| {
            if !holds {
                found.push(format!("{name}: {what}"));
            }
        };
        must(board["uid"] == format!("supercargo-{name}"), "uid is not supercargo-<its name>");
        must(text(&board, "/title").starts_with("Supercargo / "), "the title is not Supercargo / …");
        must(!text(&board, "/description").is_empty(), "no description");
        must(board["schemaVersion"].as_u64().is_some_and(|version| version >= 39), "no schemaVersion");
        must(board.get("id").is_none(), "an id belongs to one Grafana");
        let variables: Vec<&str> =
            list(&board["templating"], "list").iter().map(|v| text(v, "/name")).collect();
        must(variables.first() == Some(&"datasource"), "the first variable is not datasource");
        let sources = board.to_string();
        let named = sources.matches("\"datasource\":{").count();
        let ours = sources.matches(&format!("\"uid\":\"{DATA_SOURCE}\"")).count();
        must(named == ours, "a data source is not the variable");
    }
    none(found, "complete these dashboards");
}

#[test]
fn panels_can_be_understood() {
    let mut found = Vec::new();
    for name in DASHBOARDS {
        let board = dashboard(name);
        let mut ids = BTreeSet::new();
        for panel in list(&board, "panels") {
            let title = text(panel, "/title");
            let mut must = |holds: bool, what: &str| {
                if !holds {
                    found.push(format!("{name}: {title}: {what}"));
                }
            };
            must(ids.insert(panel["id"].as_u64()) && panel["id"].is_u64(), "its id is not its own");
            must(!title.is_empty(), "no title");
            if panel["type"] == "row" {
                continue;
            }
            must(text(panel, "/description").ends_with('.'), "no description in sentences");
            must(!text(panel, "/fieldConfig/defaults/unit").is_empty(), "no unit");
            must(!list(panel, "targets").is_empty(), "no query");
            for target in list(panel, "targets") {
                let many = text(target, "/expr").replace(" by (le)", "").contains(" by (");
                let legend = text(target, "/legendFormat");
                let table = target["format"] == "table";
                let drawn = panel["type"] != "stat";
                must(!drawn || table || !legend.is_empty(), "a query without a legend");
                must(!drawn || table || !many || legend.contains("{{"), "a legend that is the same for many");
            }
        }
    }
    none(found, "complete these panels");
}

#[test]
fn panels_do_not_overlap() {
    let mut found = Vec::new();
    for name in DASHBOARDS {
        let board = dashboard(name);
        let mut taken = BTreeSet::new();
        for panel in list(&board, "panels") {
            let at = |field: &str| panel["gridPos"][field].as_u64().unwrap();
            let (x, y, w, h) = (at("x"), at("y"), at("w"), at("h"));
            let cells = (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line)));
            // Not any(): every cell has to be taken.
            let free = cells.filter(|cell| !taken.insert(*cell)).count() == 0;
            if !free || x + w > COLUMNS || w == 0 || h == 0 {
                found.push(format!("{name}: {}", text(panel, "/title")));
            }
        }
    }
    none(found, "these panels overlap with others, or leave the grid");
}

/// The links of a panel: from a cell to another dashboard.
fn links(panel: &Value) -> impl Iterator<Item = &str> {
    let overrides = list(&panel["fieldConfig"], "overrides").iter();
    let properties = overrides.flat_map(|one| list(one, "properties"));
    properties
        .filter(|one| one["id"] == "links")
        .flat_map(|one| list(one, "value"))
        .map(|link| text(link, "/url"))
}

/// The columns of a table after its transformations.
fn columns(panel: &Value) -> BTreeSet<&str> {
    let renames =
        list(panel, "transformations").iter().filter_map(|one| one["options"]["renameByName"].as_object());
    renames.flat_map(|names| names.values()).filter_map(Value::as_str).collect()
}

#[test]
fn links_lead_down_to_what_there_is() {
    let mut found = Vec::new();
    let mut count = 0;
    for name in DASHBOARDS {
        for panel in list(&dashboard(name), "panels") {
            for url in links(panel) {
                count += 1;
                let (path, query) = url.split_once('?').unwrap_or((url, ""));
                let target = DASHBOARDS.iter().find(|other| path == format!("/d/supercargo-{other}"));
                let Some(target) = target else {
                    found.push(format!("{name}: {path}"));
                    continue;
                };
                let board = dashboard(target);
                let variables: Vec<&str> =
                    list(&board["templating"], "list").iter().map(|v| text(v, "/name")).collect();
                for part in query.split('&').filter(|part| part.starts_with("var-")) {
                    let (variable, value) = part[4..].split_once('=').unwrap_or_default();
                    let field = value.strip_prefix("${__data.fields.").map(|rest| rest.trim_end_matches('}'));
                    let field = field.map(|field| field.trim_end_matches(":percentencode"));
                    if !variables.contains(&variable)
                        || field.is_some_and(|field| !columns(panel).contains(field))
                    {
                        found.push(format!("{name}: {}: {part}", text(panel, "/title")));
                    }
                }
            }
        }
    }
    none(found, "these links lead nowhere, or take what their table does not have");
    assert!(count > 4, "{count} links");
    // What somebody needs first is first, in one row.
    let fleet = dashboard("fleet");
    let first: Vec<&Value> = list(&fleet, "panels").iter().take(3).collect();
    assert_eq!(first[0]["title"], "What is broken, since when, what changed");
    let together = first[1]["gridPos"]["y"] == first[2]["gridPos"]["y"];
    assert!(together && first[1..].iter().all(|panel| links(panel).next().is_some()));
}

/// The names of metrics in an expression, histograms by their own name.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("supercargo_") || word.starts_with("process_"));
    let parts = ["_bucket", "_sum", "_count"];
    ours.map(|word| parts.iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word).to_owned())
        .collect()
}

#[test]
fn dashboards_and_alerts_name_metrics_that_exist() {
    let page = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let mut found = BTreeSet::new();
    for name in DASHBOARDS {
        let board = dashboard(name);
        let queries = list(&board["templating"], "list").iter().map(|v| text(v, "/query/query"));
        let panels = list(&board, "panels").iter().flat_map(|panel| list(panel, "targets"));
        for expression in queries.chain(panels.map(|target| text(target, "/expr"))) {
            found.extend(metrics(expression).into_iter().map(|metric| (metric, (*name).to_owned())));
        }
    }
    for (name, rule) in crate::alerts::alerts() {
        let of_rule = metrics(text(&rule, "/expr")).into_iter();
        found.extend(of_rule.map(|metric| (metric, name.clone())));
    }
    assert!(found.len() > 40, "{found:?}");
    let unknown = found.into_iter().filter(|(metric, _)| !page.contains(&format!("`{metric}`")));
    none(unknown.map(|(metric, by)| format!("{metric}, in {by}")).collect(), "there are no such metrics");
}
