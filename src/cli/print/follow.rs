//! The lines that a watch prints, until Ctrl-C.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::sync::mpsc;

use super::table::Table;
use crate::cli::{CliError, Printer};
use crate::cluster::browse::WatchEvent;

/// What a watch prints.
pub(in crate::cli) struct WatchedTable<K, T> {
    /// What tells an object from others; none of those that are not wanted.
    pub key: K,
    /// The table for objects that are new or have changed.
    pub table: T,
    /// Whether the first lines have headers above them.
    pub headers: bool,
}

/// Prints all that there is, and then a line for every object that is new or has changed, until the watch ends.
pub(in crate::cli) async fn follow<K, T>(
    watching: impl Future<Output = ()>,
    mut seen: mpsc::UnboundedReceiver<WatchEvent>,
    WatchedTable { key, mut table, mut headers }: WatchedTable<K, T>,
    printer: &mut Printer<'_>,
) -> Result<(), CliError>
where
    K: Fn(&Value) -> Option<String>,
    T: FnMut(Vec<Value>) -> Table,
{
    tokio::pin!(watching);
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    let (mut first, mut widths) = (Some(Vec::new()), Vec::new());
    loop {
        let event = tokio::select! {
            () = &mut watching => return Ok(()),
            event = seen.recv() => event,
        };
        let news = match event {
            None => return Ok(()),
            Some(WatchEvent::Failed(why)) => return Err(CliError::Failed(why)),
            Some(WatchEvent::Listing | WatchEvent::Interrupted | WatchEvent::Resumed) => Vec::new(),
            Some(WatchEvent::Listed) => first.take().unwrap_or_default(),
            Some(WatchEvent::Absent(object)) => {
                key(&object).map(|key| versions.remove(&key));
                Vec::new()
            }
            Some(WatchEvent::Present(object)) => {
                let version = version(&object).to_owned();
                let is_news = |key: String| versions.insert(key, version.clone()) != Some(version.clone());
                match (key(&object).is_some_and(is_news), &mut first) {
                    (false, _) => Vec::new(),
                    (true, None) => vec![object],
                    (true, Some(first)) => {
                        first.push(object);
                        Vec::new()
                    }
                }
            }
        };
        if news.is_empty() {
            continue;
        }
        table(news).print_below(printer, std::mem::take(&mut headers), &mut widths)?;
        printer.finish()?;
        if printer.is_unread() {
            return Ok(());
        }
    }
}

fn version(object: &Value) -> &str {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_is_there_is_printed_first_and_each_change_once() {
        let (sender, seen) = mpsc::unbounded_channel();
        let object =
            |name: &str, version: &str| json!({"metadata": {"name": name, "resourceVersion": version}});
        let present = |name: &str, version: &str| WatchEvent::Present(object(name, version));
        for event in [
            WatchEvent::Listing,
            present("b", "1"),
            present("other", "1"),
            present("a", "1"),
            WatchEvent::Listed,
            present("a", "1"),
            WatchEvent::Interrupted,
            WatchEvent::Listing,
            present("a", "2"),
            present("b", "1"),
            WatchEvent::Listed,
            WatchEvent::Absent(object("b", "1")),
            present("b", "1"),
        ] {
            sender.send(event).unwrap();
        }
        drop(sender);
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        let key = |object: &Value| Some(name(object)).filter(|name| name != "other");
        let table = |objects: Vec<Value>| {
            let mut table = Table::new(["NAME", "VERSION"]);
            for object in &objects {
                table.row([name(object).into(), version(object).into()]);
            }
            table
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let followed = WatchedTable { key, table, headers: true };
        follow(std::future::pending(), seen, followed, &mut Printer::new(&mut out, &mut err)).await.unwrap();
        let printed = String::from_utf8(out).unwrap();
        let lines: Vec<String> =
            printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines, ["NAME VERSION", "b 1", "a 1", "a 2", "b 1"]);
    }
}
