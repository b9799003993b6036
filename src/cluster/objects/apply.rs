//! Server-side apply, for real and as a dry run.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::api::keys::FIELD_MANAGER;
use crate::cluster::error::ApiError;
use crate::cluster::kinds::resource::Resource;
use crate::cluster::session::{ApiResponse, Call, JSON, METADATA_ONLY, Session};
use crate::domain::identity::ObjectId;
use crate::domain::live::{DeletionHold, Record, WithMetadata};
use crate::observe::labels::Verb;

/// JSON is YAML: the API server takes it under this type alone.
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// The result of an apply.
pub struct AppliedObject {
    /// Whether the object did not exist before.
    pub created: bool,
    /// The object's metadata after it. A dry run of a new object has resource
    /// version 0.
    pub record: Record,
    /// The whole object.
    pub body: Bytes,
}

impl Session {
    /// Applies an object. Conflicts with other managers are always forced: the artifact
    /// defines the fields. Unknown and duplicate fields are refused, as kubectl does.
    ///
    /// # Errors
    /// What the API server refuses, and why.
    pub async fn apply(
        &self,
        resource: &Resource,
        id: &ObjectId,
        body: Bytes,
        dry_run: bool,
    ) -> Result<AppliedObject, ApiError> {
        let dry = if dry_run { "&dryRun=All" } else { "" };
        let path = resource.object(&id.namespace, &id.name);
        let uri = format!("{path}?fieldManager={FIELD_MANAGER}&force=true&fieldValidation=Strict{dry}");
        let verb = if dry_run { Verb::DryRun } else { Verb::Apply };
        let call = Call { verb, ..Call::with_body(Method::PATCH, uri, APPLY_PATCH, body) };
        let discovery = self.snapshot();
        let answer = match self.call(call).await {
            // The body has this version, so no other can be used.
            Err(error) if error.is_no_path() => {
                self.rediscover(&discovery).await?;
                let (api_version, kind) = (resource.api_version(), resource.kind.clone());
                return Err(ApiError::NoSuchKind { api_version, kind });
            }
            answer => answer?,
        };
        let record = record_of(&answer, self.mark())?;
        Ok(AppliedObject { created: answer.code == 201, record, body: answer.body })
    }

    /// Calls about an object, in any version: where the given one is no longer served, in
    /// one that is. A "not found" is about exactly this object.
    pub(in crate::cluster) async fn about(
        &self,
        resource: &Resource,
        id: &ObjectId,
        call: impl Fn(String) -> Call,
    ) -> Result<ApiResponse, ApiError> {
        let discovery = self.snapshot();
        let path = |resource: &Resource| resource.object(&id.namespace, &id.name);
        let is_elsewhere = |error: &ApiError, resource: &Resource| {
            error.code() == 404 && !error.is_absence_of(resource, &id.name)
        };
        match self.call(call(path(resource))).await {
            Err(error) if is_elsewhere(&error, resource) => {}
            answer => return answer,
        }
        let not_served = || ApiError::NotServed { kind: resource.group_kind() };
        let newer = self.rediscover(&discovery).await?;
        let other = newer.preferred(&resource.group_kind()).filter(|other| **other != *resource);
        let other = other.ok_or_else(not_served)?;
        match self.call(call(path(&other))).await {
            Err(error) if is_elsewhere(&error, &other) => Err(not_served()),
            answer => answer,
        }
    }

    /// Gets a whole object.
    ///
    /// # Errors
    /// When it does not exist or the identity cannot read it.
    pub async fn get(&self, resource: &Resource, id: &ObjectId) -> Result<ApiResponse, ApiError> {
        self.about(resource, id, Call::get).await
    }

    /// Gets a whole object and its record.
    ///
    /// # Errors
    /// As for [`Session::get`].
    pub async fn get_with_record(
        &self,
        resource: &Resource,
        id: &ObjectId,
    ) -> Result<(Value, Record), ApiError> {
        let answer = self.get(resource, id).await?;
        Ok((answer.json()?, record_of(&answer, self.mark())?))
    }

    /// Gets the record of an object; `None` when it does not exist, also because its kind
    /// was removed.
    ///
    /// # Errors
    /// When the identity cannot read it, or the API server does not answer.
    pub async fn get_record(&self, resource: &Resource, id: &ObjectId) -> Result<Option<Record>, ApiError> {
        self.get_metadata(resource, id, |m| m.metadata.record(self.mark())).await
    }

    /// Gets what blocks the deletion of an object; `None` when nothing does.
    ///
    /// # Errors
    /// As for [`Session::get_record`].
    pub async fn deletion_hold(
        &self,
        resource: &Resource,
        id: &ObjectId,
    ) -> Result<Option<DeletionHold>, ApiError> {
        Ok(self.get_metadata(resource, id, |m| m.metadata.deletion_hold()).await?.flatten())
    }

    /// Gets the other managers of an object, the latest first.
    ///
    /// # Errors
    /// As for [`Session::get_record`].
    pub async fn other_managers(&self, resource: &Resource, id: &ObjectId) -> Result<Vec<String>, ApiError> {
        let managers = self.get_metadata(resource, id, |m| m.metadata.other_managers()).await?;
        Ok(managers.unwrap_or_default())
    }

    async fn get_metadata<T>(
        &self,
        resource: &Resource,
        id: &ObjectId,
        look: impl Fn(&WithMetadata<'_>) -> T,
    ) -> Result<Option<T>, ApiError> {
        let call = |path| Call { accept: METADATA_ONLY, ..Call::get(path) };
        match self.about(resource, id, call).await {
            Ok(answer) => Ok(Some(look(&answer.json()?))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(ApiError::NotServed { kind }) => self.is_undefined(&kind).await.map(|()| None),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn record_of(answer: &ApiResponse, mark: Option<&str>) -> Result<Record, ApiError> {
    Ok(answer.json::<WithMetadata>()?.metadata.record(mark))
}

impl Session {
    /// Returns what an object would be if it were new: a dry run of its creation under a
    /// name that the API server generates. Where that name, or the generated uid, is
    /// copied into the object (labels of a Job's pods), the answer has those of the live
    /// object.
    ///
    /// # Errors
    /// What the API server refuses, and why.
    pub async fn dry_run_create(
        &self,
        resource: &Resource,
        id: &ObjectId,
        object: &Value,
        uid_of_live: &str,
    ) -> Result<Value, ApiError> {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("name");
            metadata.insert("generateName".into(), format!("{}-", id.name).into());
        }
        let path = resource.collection(Some(&id.namespace));
        let uri = format!("{path}?dryRun=All&fieldManager={FIELD_MANAGER}&fieldValidation=Strict");
        let body = object.to_string().into_bytes().into();
        let call = Call { verb: Verb::DryRun, ..Call::with_body(Method::POST, uri, JSON, body) };
        let answer = self.call(call).await.map_err(|error| match error {
            ApiError::Status(mut status) => {
                status.message = with_own_name(&status.message, &id.name);
                ApiError::Status(status)
            }
            other => other,
        })?;
        let mut accepted: Value = answer.json()?;
        if let Some(metadata) = accepted.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("generateName");
            let (name, uid) = (metadata.get("name").cloned(), metadata.get("uid").cloned());
            for (made_up, own) in [(name, id.name.as_str()), (uid, uid_of_live)] {
                if let Some(made_up) = made_up {
                    replace(&mut accepted, &made_up, own);
                }
            }
        }
        Ok(accepted)
    }
}

/// Replaces a text wherever it is a whole value.
fn replace(value: &mut Value, from: &Value, to: &str) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|v| replace(v, from, to)),
        Value::Array(items) => items.iter_mut().for_each(|v| replace(v, from, to)),
        scalar if scalar == from => *scalar = to.into(),
        _ => {}
    }
}

/// A message with the object's own name instead of the one that the API server generated,
/// which differs each time: at most 58 bytes of the base and five characters
/// (k8s.io/apiserver, storage/names).
fn with_own_name(message: &str, name: &str) -> String {
    const SUFFIX: &str = "bcdfghjklmnpqrstvwxz2456789";
    let base: String = format!("{name}-").chars().take(58).collect();
    let mut result = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(&base) {
        let suffix: String = after.chars().take_while(|c| SUFFIX.contains(*c)).collect();
        result.push_str(before);
        match suffix.len() {
            5 => result.push_str(name),
            _ => result.push_str(&base),
        }
        rest = if suffix.len() == 5 { after.get(5..).unwrap_or_default() } else { after };
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_name_is_not_shown() {
        let check = |message: &str, expected: &str| assert_eq!(with_own_name(message, "web"), expected);
        check(r#"Deployment "web-x7kbz" is invalid"#, r#"Deployment "web" is invalid"#);
        check("web-x7kbz web-front web-", "web web-front web-");
        check("no name", "no name");
        let long = "a".repeat(70);
        let made_up = format!("{}x7kbz is", &long[..58]);
        assert_eq!(with_own_name(&made_up, &long), format!("{long} is"));
    }
}
