//! Reading and writing inventories: a ConfigMap, or several parts of one when
//! it is full. Every write carries the resource version that was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::ApiError;
use super::session::{Call, JSON, Session};
use crate::api::keys;
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::{Inventory, InventoryError, MAX_PARTS, PART_BYTES};
use crate::domain::status::inventory_name;
use crate::observe::labels::Verb;

/// Selects the inventories of operator and command line, as Kustomizer labels
/// them.
const SELECTOR: &str =
    "app.kubernetes.io%2Fcomponent%3Dinventory,app.kubernetes.io%2Fcreated-by%3Dsupercargo";
const PAGE: usize = 100;

const RESOURCES: &str = "resources";
const PARTS: &str = "parts";
const SEQUENCE: &str = "sequence";
const APPLIED: &str = "applied";

/// Why an inventory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API server.
    #[error("the inventory {name} cannot be {verb}")]
    Api {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// What was tried.
        verb: &'static str,
        /// Why not.
        #[source]
        source: ApiError,
    },
    /// It was changed by somebody else since it was read.
    #[error("the inventory {name} was changed meanwhile")]
    Changed {
        /// `namespace/name` of the ConfigMap.
        name: String,
    },
    /// Its text is broken.
    #[error(
        "the inventory {name} is broken: restore its data.{RESOURCES}, or set it to [] to give up what it named"
    )]
    Broken {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// How.
        #[source]
        source: InventoryError,
    },
}

/// An inventory as it was last read or written.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// What it says. Shared, because a release remembers it for as long as it
    /// lives, and others look at it.
    pub inventory: Arc<Inventory>,
    /// Whether the operator has written it; the command line's has no finalizer.
    pub operators: bool,
    /// Whether somebody deleted it while the finalizer held it.
    pub deleting: bool,
    parts: Vec<Part>,
    sequence: u64,
}

#[derive(Clone, Debug, Default)]
struct Part {
    version: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct ConfigMap {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    resource_version: String,
    finalizers: Vec<String>,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default)]
    items: Vec<ConfigMap>,
}

#[derive(Default, Deserialize)]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

fn part_name(release: &str, part: usize) -> String {
    let first = inventory_name(release);
    if part == 0 { first } else { format!("{first}.{}", part + 1) }
}

fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{name}")
}

impl Stored {
    /// Whether there is one in the cluster.
    pub fn exists(&self) -> bool {
        !self.parts.is_empty()
    }

    fn add(&mut self, release: &ReleaseId, part: &ConfigMap) -> Result<(), StoreError> {
        let text = part.data.get(RESOURCES).map_or("[]", String::as_str);
        Arc::make_mut(&mut self.inventory).read_part(text).map_err(|source| StoreError::Broken {
            name: format!("{}/{}", release.namespace, part.metadata.name),
            source,
        })?;
        self.parts.push(Part { version: part.metadata.resource_version.clone() });
        Ok(())
    }

    fn assemble(release: &ReleaseId, first: &ConfigMap, rest: &[&ConfigMap]) -> Result<Self, StoreError> {
        let mut stored = Self {
            operators: first.metadata.finalizers.iter().any(|f| f == keys::FINALIZER),
            deleting: first.metadata.deletion_timestamp.is_some(),
            sequence: first.data.get(SEQUENCE).and_then(|s| s.parse().ok()).unwrap_or_default(),
            ..Self::default()
        };
        stored.add(release, first)?;
        let mut whole = true;
        for part in rest {
            // A part of another sequence was being rewritten when its writer
            // was cut off: what it names counts, what was applied does not.
            whole &= part.data.get(SEQUENCE) == first.data.get(SEQUENCE);
            stored.add(release, part)?;
        }
        let applied = first.data.get(APPLIED).filter(|a| whole && !a.is_empty()).cloned();
        Arc::make_mut(&mut stored.inventory).applied = applied;
        Ok(stored)
    }
}

fn parts_of(first: &ConfigMap) -> usize {
    first.data.get(PARTS).and_then(|p| p.parse().ok()).unwrap_or(1).clamp(1, MAX_PARTS)
}

impl Session {
    /// Reads the inventory of a release; an empty one when there is none.
    ///
    /// # Errors
    /// When the API server does not give it, or its text is broken.
    pub async fn read_inventory(&self, release: &ReleaseId) -> Result<Stored, StoreError> {
        let Some(first) = self.read_part(release, 0).await? else { return Ok(Stored::default()) };
        let mut rest = Vec::new();
        for part in 1..parts_of(&first) {
            rest.extend(self.read_part(release, part).await?);
        }
        Stored::assemble(release, &first, &rest.iter().collect::<Vec<_>>())
    }

    async fn read_part(&self, release: &ReleaseId, part: usize) -> Result<Option<ConfigMap>, StoreError> {
        let name = part_name(&release.name, part);
        let answer = self.call(Call::get(path(&release.namespace, &name))).await;
        let read = match answer {
            Ok(answer) => answer.json().map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        };
        read.map_err(|source| StoreError::Api {
            name: format!("{}/{name}", release.namespace),
            verb: "read",
            source,
        })
    }

    /// Reads all inventories of a namespace, or of all, by their labels. Broken
    /// ones are left out: reading them alone says how they are broken.
    ///
    /// # Errors
    /// When the API server does not list them.
    pub async fn list_inventories(
        &self,
        namespace: Option<&str>,
    ) -> Result<BTreeMap<ReleaseId, Stored>, ApiError> {
        let root = match namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/configmaps"),
            None => "/api/v1/configmaps".to_owned(),
        };
        let mut maps: BTreeMap<(String, String), ConfigMap> = BTreeMap::new();
        let mut next = String::new();
        loop {
            let uri = format!("{root}?labelSelector={SELECTOR}&limit={PAGE}&continue={next}");
            let list: List = self.call(Call { verb: Verb::List, ..Call::get(uri) }).await?.json()?;
            for map in list.items {
                maps.insert((map.metadata.namespace.clone(), map.metadata.name.clone()), map);
            }
            next = list.metadata.next;
            if next.is_empty() {
                break;
            }
        }
        let mut inventories = BTreeMap::new();
        for ((namespace, name), first) in &maps {
            let Some(release) = name.strip_prefix("inv-").filter(|r| !r.contains('.')) else { continue };
            let release = ReleaseId { namespace: namespace.clone(), name: release.to_owned() };
            let rest: Vec<&ConfigMap> = (1..parts_of(first))
                .filter_map(|p| maps.get(&(namespace.clone(), part_name(&release.name, p))))
                .collect();
            if let Ok(stored) = Stored::assemble(&release, first, &rest) {
                inventories.insert(release, stored);
            }
        }
        Ok(inventories)
    }

    /// Writes the inventory of a release, with our finalizer on every part.
    /// Parts after the first are written before it with everything they held,
    /// and shrunk after it, so that at no time an entry is in none of them.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when somebody has written it since it was read:
    /// read it again and decide anew.
    pub async fn write_inventory(
        &self,
        release: &ReleaseId,
        stored: &mut Stored,
        inventory: Inventory,
    ) -> Result<(), StoreError> {
        let texts = inventory.write_parts(PART_BYTES);
        let old_parts = stored.parts.len();
        stored.sequence += 1;
        let several = texts.len() > 1 || old_parts > 1;
        if several {
            let union = union_texts(&stored.inventory, &inventory, old_parts.max(1), &texts);
            for (n, text) in union.iter().enumerate().skip(1) {
                self.write_part(release, stored, n, text, &inventory, texts.len()).await?;
            }
        }
        self.write_part(release, stored, 0, &texts[0], &inventory, texts.len()).await?;
        stored.operators = true;
        if several {
            for (n, text) in texts.iter().enumerate().skip(1) {
                self.write_part(release, stored, n, text, &inventory, texts.len()).await?;
            }
            for n in (texts.len()..stored.parts.len()).rev() {
                self.remove_part(release, n).await?;
                stored.parts.truncate(n);
            }
        }
        stored.inventory = Arc::new(inventory);
        Ok(())
    }

    async fn write_part(
        &self,
        release: &ReleaseId,
        stored: &mut Stored,
        part: usize,
        text: &str,
        inventory: &Inventory,
        parts: usize,
    ) -> Result<(), StoreError> {
        let name = part_name(&release.name, part);
        let known = stored.parts.get(part).cloned().unwrap_or_default();
        let mut data = BTreeMap::from([
            (RESOURCES.to_owned(), text.to_owned()),
            (SEQUENCE.to_owned(), stored.sequence.to_string()),
        ]);
        if part == 0 {
            data.insert(PARTS.to_owned(), parts.to_string());
            data.insert(APPLIED.to_owned(), inventory.applied.clone().unwrap_or_default());
        }
        let mut metadata = json!({
            "name": name,
            "namespace": release.namespace,
            "labels": {
                "app.kubernetes.io/name": release.name,
                "app.kubernetes.io/component": "inventory",
                "app.kubernetes.io/created-by": "supercargo",
            },
            "finalizers": [keys::FINALIZER],
        });
        let call = if known.version.is_empty() {
            let uri = format!("/api/v1/namespaces/{}/configmaps", release.namespace);
            (Method::POST, uri)
        } else {
            metadata["resourceVersion"] = known.version.as_str().into();
            (Method::PUT, path(&release.namespace, &name))
        };
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
        let body = map.to_string().into_bytes().into();
        let uri = format!("{}?fieldManager={}", call.1, keys::FIELD_MANAGER);
        let full_name = || format!("{}/{name}", release.namespace);
        let answer = match self.call(Call::with_body(call.0, uri, JSON, body)).await {
            Ok(answer) => answer.json::<ConfigMap>(),
            Err(e) if e.is_conflict() || e.already_exists() => {
                return Err(StoreError::Changed { name: full_name() });
            }
            // Gone since it was read; in a dying namespace nothing is made anew.
            Err(e) if e.is_not_found() && !known.version.is_empty() => {
                return Err(StoreError::Changed { name: full_name() });
            }
            Err(e) => Err(e),
        };
        let written =
            answer.map_err(|source| StoreError::Api { name: full_name(), verb: "written", source })?;
        if stored.parts.len() <= part {
            stored.parts.resize_with(part + 1, Part::default);
        }
        stored.parts[part] = Part { version: written.metadata.resource_version };
        Ok(())
    }

    /// Removes the inventory of a release: finalizer and ConfigMaps.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn remove_inventory(&self, release: &ReleaseId, stored: &Stored) -> Result<(), StoreError> {
        for part in (0..stored.parts.len()).rev() {
            self.remove_part(release, part).await?;
        }
        Ok(())
    }

    async fn remove_part(&self, release: &ReleaseId, part: usize) -> Result<(), StoreError> {
        let name = part_name(&release.name, part);
        let uri = path(&release.namespace, &name);
        let release_finalizer = json!([
            {"op": "remove", "path": "/metadata/finalizers"},
        ]);
        let patch = Call::with_body(
            Method::PATCH,
            uri.clone(),
            "application/json-patch+json",
            release_finalizer.to_string().into_bytes().into(),
        );
        let mut result = self.call(patch).await.map(|_| ());
        // 422: it has no finalizer any more.
        if matches!(&result, Err(e) if e.code() == 422) {
            result = Ok(());
        }
        if result.is_ok() {
            let options = json!({"apiVersion": "v1", "kind": "DeleteOptions"}).to_string();
            let delete = Call::with_body(Method::DELETE, uri, JSON, options.into_bytes().into());
            result = self.call(delete).await.map(|_| ());
        }
        match result {
            Err(e) if e.is_not_found() => Ok(()),
            Err(source) => Err(StoreError::Api {
                name: format!("{}/{name}", release.namespace),
                verb: "removed",
                source,
            }),
            Ok(()) => Ok(()),
        }
    }
}

/// For each part the entries that it held and those that it is to hold.
fn union_texts(before: &Inventory, after: &Inventory, old_parts: usize, texts: &[String]) -> Vec<String> {
    let old_texts = before.write_parts(PART_BYTES);
    let parts = texts.len().max(old_texts.len()).max(old_parts);
    (0..parts)
        .map(|n| {
            let mut union = Inventory::default();
            for text in [texts.get(n), old_texts.get(n)].into_iter().flatten() {
                // Both were written by us just now.
                let _ = union.read_part(text);
            }
            debug_assert!(after.entries.len() >= texts.len().saturating_sub(1));
            union.write_parts(usize::MAX).remove(0)
        })
        .collect()
}

impl StoreError {
    /// The reason for conditions.
    pub fn reason(&self) -> crate::api::reason::Reason {
        use crate::api::reason::Reason;
        match self {
            Self::Api { source, .. } => match source.reason() {
                Reason::PreflightFailed => Reason::InventoryInvalid,
                other => other,
            },
            Self::Changed { .. } => Reason::ApiServerUnavailable,
            Self::Broken { .. } => Reason::InventoryInvalid,
        }
    }
}
