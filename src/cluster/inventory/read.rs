//! Reading inventories.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config_map::{ConfigMap, is_of_another, named, part_name, parts_of, path};
use super::error::StoreError;
use super::room::Taken;
use super::stored::Stored;
use crate::cluster::collections::pages::{self, Listing};
use crate::cluster::error::ApiError;
use crate::cluster::session::{Call, Session};
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::MAX_PARTS;

/// Selects the inventories of operator and command line, as Kustomizer labels
/// them.
const SELECTOR: &str =
    "app.kubernetes.io%2Fcomponent%3Dinventory,app.kubernetes.io%2Fcreated-by%3Dsupercargo";
/// Inventories requested in the first page.
const PAGE: usize = 50;

/// The inventories of a cluster.
#[derive(Debug, Default)]
pub struct Listed {
    /// Those that can be read.
    pub inventories: BTreeMap<ReleaseId, Stored>,
    /// What is wrong with the others.
    pub broken: Vec<StoreError>,
}

impl Session {
    /// Reads the inventory of a release; an empty one when there is none.
    ///
    /// # Errors
    /// When the API server does not give it, or its text is broken.
    pub async fn read_inventory(&self, release: &ReleaseId) -> Result<Stored, StoreError> {
        let mut taken = Taken::default();
        let first = self.read_part(release, 0, &mut taken).await?;
        let mut rest = Vec::new();
        for part in 1..=MAX_PARTS {
            let read =
                self.read_part(release, part, &mut taken).await?.filter(|part| !is_of_another(release, part));
            if read.is_none() && part >= first.as_ref().map_or(1, parts_of) {
                break;
            }
            rest.push(read);
        }
        let rest: Vec<_> = rest.iter().map(Option::as_ref).collect();
        let assembled = match &first {
            Some(first) => Stored::assemble(release, first, &rest),
            None => Stored::assemble_headless(release, &rest),
        };
        assembled.map(|stored| Stored { taken: Arc::new(taken), ..stored })
    }

    async fn read_part(
        &self,
        release: &ReleaseId,
        part: usize,
        taken: &mut Taken,
    ) -> Result<Option<ConfigMap>, StoreError> {
        let map = part_name(&release.name, part);
        let name = format!("{}/{map}", release.namespace);
        let rooms = &self.shared.inventories;
        let reader = self.reader().unwrap_or(&release.namespace);
        for most in rooms.answers() {
            let share = rooms.enter(reader, &name, most).await?;
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let call = Call { most, ..Call::get(path(&release.namespace, &map)) };
            let read: Result<Option<ConfigMap>, _> = match self.unbounded().call(call).await {
                Ok(answer) => answer.json().map(Some),
                Err(error) if error.is_not_found() => Ok(None),
                // A longer one needs more room.
                Err(ApiError::TooLong(_)) => continue,
                Err(error) => Err(error),
            };
            let read = read.map_err(|source| StoreError::Api { name: name.clone(), verb: "read", source })?;
            // The answer itself is gone.
            drop(share);
            if let Some(map) = &read {
                let text = map.data.iter().map(|(key, value)| key.len() + value.len()).sum();
                rooms.keep(taken, reader, &name, text)?;
            }
            return Ok(read);
        }
        Err(rooms.long_part(&name))
    }

    /// Reads all inventories of a namespace, or of all, by their labels. Broken ones are
    /// returned separately.
    ///
    /// # Errors
    /// When the API server does not list them.
    pub async fn list_inventories(&self, namespace: Option<&str>) -> Result<Listed, ApiError> {
        let root = match namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/configmaps"),
            None => "/api/v1/configmaps".to_owned(),
        };
        let mut maps: BTreeMap<(String, String), ConfigMap> = BTreeMap::new();
        let query = format!("labelSelector={SELECTOR}");
        let listing = Listing { path: &root, query: &query, metadata_only: false, page: PAGE };
        pages::each(self, listing, |object| {
            let map: ConfigMap = serde_json::from_str(object).map_err(ApiError::answer)?;
            maps.insert((map.metadata.namespace.clone(), map.metadata.name.clone()), map);
            Ok(())
        })
        .await?;
        let mut listed = Listed::default();
        for ((namespace, name), first) in &maps {
            let Some(part) = name.strip_prefix("inv-") else { continue };
            let (release, number) = named(part, first);
            let release = ReleaseId { namespace: namespace.clone(), name: release.to_owned() };
            let has_first = maps.contains_key(&(namespace.clone(), part_name(&release.name, 0)));
            let first = match number {
                "" => Some(first),
                // The rest of an inventory that lost its first part.
                "2" if !has_first => None,
                _ => continue,
            };
            let rest: Vec<Option<&ConfigMap>> = (1..=MAX_PARTS)
                .map(|p| (p, maps.get(&(namespace.clone(), part_name(&release.name, p)))))
                .map(|(p, map)| (p, map.filter(|map| !is_of_another(&release, map))))
                .take_while(|(p, map)| *p < first.map_or(1, parts_of) || map.is_some())
                .map(|(_, map)| map)
                .collect();
            let assembled = match first {
                Some(first) => Stored::assemble(&release, first, &rest),
                None => Stored::assemble_headless(&release, &rest),
            };
            match assembled {
                Ok(stored) if !stored.exists() => {}
                Ok(stored) => {
                    listed.inventories.insert(release, stored);
                }
                Err(error) => listed.broken.push(error),
            }
        }
        Ok(listed)
    }
}
