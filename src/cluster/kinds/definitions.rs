//! The definitions of kinds, and what the API server publishes of their schemas.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

use super::resource::{Resource, escape};
use crate::cluster::collections::pages::{MAX_PAGES, endless};
use crate::cluster::error::ApiError;
use crate::cluster::session::{Call, Session};
use crate::domain::identity::GroupKind;
use crate::observe::labels::Verb;

/// The path of the definitions of kinds.
pub(in crate::cluster) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The longest document with the schemas of an API version that is read, in bytes.
const MAX_SCHEMAS: usize = 16 << 20;

/// The index of the schemas (OpenAPI v3).
#[derive(Deserialize)]
struct Published {
    #[serde(default)]
    paths: HashMap<String, PublishedSchema>,
}

#[derive(Deserialize)]
struct PublishedSchema {
    /// Names the content by its hash.
    #[serde(default, rename = "serverRelativeURL")]
    server_relative_url: String,
}

/// A page of a list, reduced to the names.
#[derive(Deserialize)]
struct NamePage {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default)]
    items: Vec<Named>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct Named {
    metadata: Name,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

impl Session {
    /// Confirms that no object of a kind can exist: it is not served, and nothing defines
    /// it. A definition that serves no version, or that an API server which has just
    /// started does not serve yet, still has its objects.
    ///
    /// # Errors
    /// When that is not certain.
    pub async fn is_undefined(&self, kind: &GroupKind) -> Result<(), ApiError> {
        let discovery = self.snapshot();
        if discovery.preferred(kind).is_some() {
            return Err(ApiError::NotServed { kind: kind.clone() });
        }
        discovery.absent(kind)?;
        match self.definition_of(kind).await? {
            Some(definition) => Err(ApiError::Unserved { kind: kind.clone(), definition }),
            None => Ok(()),
        }
    }

    /// What the API server publishes of the schemas of each API version, as a text
    /// that changes with them.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn published_schemas(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let answer = self.as_process().call(Call::get("/openapi/v3")).await?;
        let published: Published = answer.json()?;
        let of_groups = published.paths.into_iter().filter_map(|(path, schema)| {
            Some((path.strip_prefix("apis/")?.to_owned(), schema.server_relative_url))
        });
        Ok(of_groups.collect())
    }

    /// The schema of a kind, and the document that its references are in (OpenAPI v3), as the
    /// API server publishes them. `None` where it publishes none.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn published_schema(&self, resource: &Resource) -> Result<Option<(Value, Value)>, ApiError> {
        let path = match resource.group.as_str() {
            "" => format!("/openapi/v3/api/{}", escape(&resource.version)),
            group => format!("/openapi/v3/apis/{}/{}", escape(group), escape(&resource.version)),
        };
        let call = Call { most: MAX_SCHEMAS, ..Call::get(path) };
        let document: Value = match self.as_process().call(call).await {
            Ok(answer) => answer.json()?,
            Err(error) if error.is_not_found() || error.is_forbidden() => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_of = |schema: &Value| {
            let kinds = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
            let named =
                [("group", &resource.group), ("version", &resource.version), ("kind", &resource.kind)];
            kinds.into_iter().flatten().any(|kind| named.iter().all(|(key, name)| kind[*key] == **name))
        };
        let schemas = document.pointer("/components/schemas").and_then(Value::as_object);
        let found = schemas.into_iter().flatten().find(|(_, schema)| is_of(schema));
        let found = found.map(|(_, schema)| schema.clone());
        Ok(found.map(|schema| (schema, document)))
    }

    /// The schema of a kind as its CustomResourceDefinition has it, which is true before the API
    /// server publishes it. `None` where no definition is found or may be read.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn defined_schema(&self, resource: &Resource) -> Result<Option<Value>, ApiError> {
        let name = format!("{}.{}", resource.plural, resource.group);
        // By a list of one: an identity that can list them cannot always get each.
        let uri = format!("{DEFINITIONS}?fieldSelector={}", escape(&format!("metadata.name={name}")));
        let call = Call { verb: Verb::List, most: MAX_SCHEMAS, ..Call::get(uri) };
        let list: Value = match self.as_process().call(call).await {
            Ok(answer) => answer.json()?,
            Err(error) if error.is_not_found() || error.is_forbidden() => return Ok(None),
            Err(error) => return Err(error),
        };
        let versions = list.pointer("/items/0/spec/versions").and_then(Value::as_array);
        let version = versions.into_iter().flatten().find(|v| v["name"] == *resource.version);
        Ok(version.and_then(|v| v.pointer("/schema/openAPIV3Schema")).cloned())
    }

    /// The name of the CustomResourceDefinition of a kind, if there is one. An identity
    /// that cannot list definitions relies on discovery.
    async fn definition_of(&self, kind: &GroupKind) -> Result<Option<String>, ApiError> {
        // The API server's own groups have none.
        if !kind.group.contains('.') {
            return Ok(None);
        }
        let process = self.as_process();
        let (who, names) = match self.definitions_in(&kind.group).await {
            Err(error) if error.is_forbidden() => match process.definitions_in(&kind.group).await {
                Err(error) if error.is_forbidden() => return Ok(None),
                names => (&process, names?),
            },
            names => (self, names?),
        };
        for name in names {
            // By a list of one: an identity that can list them cannot always get each.
            let uri = format!("{DEFINITIONS}?fieldSelector={}", escape(&format!("metadata.name={name}")));
            let answer = who.call(Call { verb: Verb::List, ..Call::get(uri) }).await?;
            let list: serde_json::Value = answer.json()?;
            let defined = list.pointer("/items/0/spec/names/kind").and_then(|kind| kind.as_str());
            if defined == Some(kind.kind.as_str()) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The names of the definitions of a group.
    async fn definitions_in(&self, group: &str) -> Result<Vec<String>, ApiError> {
        const NAMES: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        let suffix = format!(".{group}");
        let (mut names, mut next) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let uri = format!("{DEFINITIONS}?limit=500&continue={}", escape(&next));
            let call = Call { accept: NAMES, verb: Verb::List, ..Call::get(uri) };
            let page: NamePage = self.call(call).await?.json()?;
            // A definition is named `plural.group`.
            names.extend(
                page.items
                    .into_iter()
                    .map(|d| d.metadata.name)
                    .filter(|n| n.strip_suffix(&suffix).is_some_and(|plural| !plural.contains('.'))),
            );
            next = page.metadata.next;
            if next.is_empty() {
                return Ok(names);
            }
        }
        Err(endless())
    }
}
