//! Which entry is about which kind.

use super::entry::CatalogueEntry;
use super::{cloud, data, delivery, network, platform, workload};

const TABLES: &[&[CatalogueEntry]] =
    &[delivery::TABLE, network::TABLE, workload::TABLE, data::TABLE, platform::TABLE, cloud::TABLE];

/// The entry about a kind; the first one counts.
pub fn find(group: &str, kind: &str) -> Option<&'static CatalogueEntry> {
    all().find(|entry| entry.is_about(group, kind))
}

/// All entries, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static CatalogueEntry> {
    TABLES.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_entry_is_hidden_by_an_earlier_one() {
        let mut seen: Vec<&CatalogueEntry> = Vec::new();
        for entry in all() {
            // A pattern stands for a group below it.
            let group = entry.group.replace('*', "any");
            let kinds = if entry.kinds.is_empty() { &["Any"] } else { entry.kinds };
            for kind in kinds {
                let earlier = seen.iter().find(|earlier| earlier.is_about(&group, kind));
                assert!(earlier.is_none(), "{kind}.{group} is in the catalogue twice");
            }
            seen.push(entry);
        }
    }

    #[test]
    fn groups_are_those_of_custom_resources() {
        for entry in all() {
            let group = entry.group.trim_start_matches("*.");
            assert!(group.contains('.') && !group.contains(['*', '/']), "{group}");
            let kinds: BTreeSet<&str> = entry.kinds.iter().copied().collect();
            assert_eq!(kinds.len(), entry.kinds.len(), "{group} names a kind twice");
        }
    }

    #[test]
    fn the_most_special_entry_is_found() {
        let check = |group: &str, kind: &str, expected: Option<&str>| {
            assert_eq!(find(group, kind).map(|entry| entry.group), expected, "{kind}.{group}");
        };
        check("cert-manager.io", "Certificate", Some("cert-manager.io"));
        check("cert-manager.io", "Other", None);
        check("s3.aws.crossplane.io", "Bucket", Some("*.crossplane.io"));
        check("pkg.crossplane.io", "Provider", Some("pkg.crossplane.io"));
        check("crossplane.io", "Bucket", None);
        check("example.com", "Widget", None);
    }
}
