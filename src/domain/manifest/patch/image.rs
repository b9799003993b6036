//! Names, tags and digests of container images, changed as kustomize's image
//! transformer changes them.

use serde::Deserialize;
use serde_json::Value;

use super::allowance::{Allowance, Expression};
use super::error::{InvalidPatch, PatchError};
use super::set::Set;
use super::steps::spend;
use super::value::{scalar_text, size};
use crate::api::patch;
use crate::domain::manifest::budget::Budget;

/// The most image changes of one release or file.
pub const MAX_IMAGES: usize = 128;

/// How the images of one name are changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// The current name of the image; as in kustomize, a regular expression.
    pub name: String,
    /// The new name.
    pub new_name: Option<String>,
    /// The new tag.
    pub new_tag: Option<String>,
    /// What is appended to the tag.
    pub tag_suffix: Option<String>,
    /// The new digest.
    pub digest: Option<String>,
}

impl From<&patch::Image> for Image {
    fn from(image: &patch::Image) -> Self {
        Self {
            name: image.name.clone(),
            new_name: image.new_name.clone(),
            new_tag: image.new_tag.clone(),
            tag_suffix: None,
            digest: image.digest.clone(),
        }
    }
}

/// A change of every image of one name.
#[derive(Clone, Debug)]
pub struct ImageChange {
    pattern: Expression,
    image: Image,
}

/// Where kustomize looks for images after every list named `containers` or
/// `initContainers`: a suffix is appended there twice.
const PODS: [&[&str]; 2] = [&["spec"], &["spec", "template", "spec"]];
const IN_PODS: [(&str, &[&str]); 3] =
    [("containers", &["image"]), ("initContainers", &["image"]), ("volumes", &["image", "reference"])];

impl ImageChange {
    /// Reads image changes. `field` names the list for messages. Their
    /// expressions are taken from the allowance.
    ///
    /// # Errors
    /// The invalid change.
    pub fn parse_all(
        field: &str,
        images: &[Image],
        allowance: &mut Allowance,
    ) -> Result<Vec<Self>, InvalidPatch> {
        if images.len() > MAX_IMAGES {
            return Err(InvalidPatch::new(field, format!("at most {MAX_IMAGES} images are allowed")));
        }
        let mut parse = |(index, image): (usize, &Image)| {
            Self::parse(image, allowance).map_err(|why| InvalidPatch::new(format!("{field}[{index}]"), why))
        };
        images.iter().enumerate().map(&mut parse).collect()
    }

    fn parse(image: &Image, allowance: &mut Allowance) -> Result<Self, String> {
        if image.name.is_empty() {
            return Err("name is missing".into());
        }
        let pattern = format!("^{}(?::[a-zA-Z0-9_.{{}}-]*)?(?:@sha256:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
        let pattern = allowance.compiled(&pattern).map_err(|why| {
            let wanted = "is not a valid image name or regular expression, or is too large";
            format!("name: {}", why.describe(&image.name, wanted))
        })?;
        Ok(Self { pattern, image: image.clone() })
    }

    /// Changes the images of an object. A CustomResourceDefinition has none.
    pub(super) fn apply(
        &self,
        object: &mut Value,
        budget: &mut Budget,
        steps: &mut Budget,
    ) -> Result<(), String> {
        if object.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition") {
            return Ok(());
        }
        spend(steps, size(object))?;
        let change = &mut |image: &mut Value| self.change(image, budget, steps);
        containers(object, change)?;
        for (pod, (list, path)) in PODS.iter().flat_map(|pod| IN_PODS.iter().map(move |list| (pod, list))) {
            let list = pod.iter().chain([list]).try_fold(&mut *object, |value, key| value.get_mut(*key));
            for element in list.and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(image) = path.iter().try_fold(element, |value, key| value.get_mut(*key)) {
                    change(image)?;
                }
            }
        }
        Ok(())
    }

    fn change(&self, image: &mut Value, budget: &mut Budget, steps: &mut Budget) -> Result<(), String> {
        if image.is_object() || image.is_array() || image.is_null() {
            return Ok(());
        }
        let text = scalar_text(image);
        spend(steps, self.pattern.steps(&text))?;
        if self.pattern.is_match(&text) {
            let changed = self.changed(&text);
            if !budget.spend((changed.len() as u64).saturating_sub(text.len() as u64)) {
                return Err("the changed images are too long".into());
            }
            *image = changed.into();
        }
        Ok(())
    }

    fn changed(&self, text: &str) -> String {
        let set = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        let (mut name, mut tag, mut digest) = split(text);
        if let Some(new) = set(&self.image.new_name) {
            name = new;
        }
        match (set(&self.image.new_tag), set(&self.image.digest), set(&self.image.tag_suffix)) {
            (Some(new), new_digest, _) => (tag, digest) = (new, new_digest.unwrap_or_default()),
            (None, Some(new), _) => (tag, digest) = (String::new(), new),
            (None, None, Some(suffix)) => (tag, digest) = (tag + &suffix, String::new()),
            (None, None, None) => {}
        }
        if !tag.is_empty() {
            name = name + ":" + &tag;
        }
        if !digest.is_empty() {
            name = name + "@" + &digest;
        }
        name
    }
}

impl Set {
    /// Changes images.
    ///
    /// # Errors
    /// There are too many, or they become too long.
    pub fn change_images(&mut self, changes: &[ImageChange]) -> Result<(), PatchError> {
        let Self { members, budget, steps, .. } = self;
        changes
            .iter()
            .try_for_each(|change| {
                members.iter_mut().try_for_each(|m| change.apply(m.object.value_mut(), budget, steps))
            })
            .map_err(|why| PatchError::new("images", why))
    }
}

/// Calls `change` for the image of every container, at any depth.
fn containers(
    value: &mut Value,
    change: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    match value {
        Value::Object(fields) => fields.iter_mut().try_for_each(|(key, value)| {
            containers(value, change)?;
            let list = matches!(key.as_str(), "containers" | "initContainers");
            let list = value.as_array_mut().filter(|_| list).into_iter().flatten();
            list.filter_map(|container| container.get_mut("image")).try_for_each(&mut *change)
        }),
        Value::Array(values) => values.iter_mut().try_for_each(|value| containers(value, change)),
        _ => Ok(()),
    }
}

/// Name, tag and digest. The part before the first slash may have a port.
fn split(image: &str) -> (String, String, String) {
    let path = image.find('/').unwrap_or_default();
    let (rest, digest) = match image[path..].split_once('@') {
        Some((rest, digest)) => (&image[..path + rest.len()], digest),
        None => (image, ""),
    };
    let (name, tag) = match rest[path..].split_once(':') {
        Some((name, tag)) => (&rest[..path + name.len()], tag),
        None => (rest, ""),
    };
    (name.into(), tag.into(), digest.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(image: Value) -> ImageChange {
        ImageChange::parse(&serde_json::from_value(image).unwrap(), &mut Allowance::default()).unwrap()
    }

    #[test]
    fn images_are_changed_by_their_name() {
        let check = |image: &str, rule: Value, expected: &str| {
            let mut pod = json!({"kind": "Pod", "spec": {"containers": [{"image": image}]}});
            change(rule).apply(&mut pod, &mut Budget::default(), &mut Budget::default()).unwrap();
            assert_eq!(pod.pointer("/spec/containers/0/image").unwrap(), expected);
        };
        check("nginx", json!({"name": "nginx", "newTag": "2"}), "nginx:2");
        check("nginx:1", json!({"name": "nginx", "newTag": "2"}), "nginx:2");
        check("nginx:1@sha256:ab", json!({"name": "nginx", "newTag": "2"}), "nginx:2");
        check("nginx:1", json!({"name": "nginx", "digest": "sha256:cd"}), "nginx@sha256:cd");
        check("nginx:1", json!({"name": "nginx", "newTag": "2", "digest": "sha256:cd"}), "nginx:2@sha256:cd");
        check("nginx:1", json!({"name": "nginx", "newName": "r:5000/n"}), "r:5000/n:1");
        check("nginx:1@sha256:ab", json!({"name": "nginx", "newName": "n"}), "n:1@sha256:ab");
        check("nginx:1", json!({"name": "nginx", "tagSuffix": "-x"}), "nginx:1-x-x");
        check("r:5000/a/b:1", json!({"name": "r:5000/a/b", "newTag": "2"}), "r:5000/a/b:2");
        check("r:5000/a/b", json!({"name": "r:5000/a/b", "newTag": "2"}), "r:5000/a/b:2");
        check("r.io/a/nginx:1", json!({"name": "nginx", "newTag": "2"}), "r.io/a/nginx:1");
        check("nginx-x:1", json!({"name": "nginx", "newTag": "2"}), "nginx-x:1");
        check("a/x:1", json!({"name": "a/.*", "newTag": "2"}), "a/x:2");
    }

    #[test]
    fn images_are_found_where_kustomize_finds_them() {
        let rule = change(json!({"name": "a", "newTag": "2"}));
        let check = |mut object: Value, expected: Value| {
            rule.apply(&mut object, &mut Budget::default(), &mut Budget::default()).unwrap();
            assert_eq!(object, expected);
        };
        check(
            json!({"x": {"y": [{"initContainers": [{"image": "a"}]}]}, "image": "a"}),
            json!({"x": {"y": [{"initContainers": [{"image": "a:2"}]}]}, "image": "a"}),
        );
        check(
            json!({"spec": {"ephemeralContainers": [{"image": "a"}], "volumes": [{"image": {"reference": "a"}}, 1]}}),
            json!({"spec": {"ephemeralContainers": [{"image": "a"}], "volumes": [{"image": {"reference": "a:2"}}, 1]}}),
        );
        let definition =
            json!({"kind": "CustomResourceDefinition", "spec": {"containers": [{"image": "a"}]}});
        check(definition.clone(), definition);
        check(
            json!({"containers": ["a", {"image": {}}, {"image": null}]}),
            json!({"containers": ["a", {"image": {}}, {"image": null}]}),
        );
    }

    #[test]
    fn images_hit_limits() {
        let rule = change(json!({"name": "a", "newName": "x".repeat(500)}));
        let pod = json!({"kind": "Pod", "spec": {"containers": vec![json!({"image": "a"}); 10]}});
        let check = |budget: u64, steps: u64, expected: &str| {
            let (mut budget, mut steps) = (Budget::new(budget), Budget::new(steps));
            let error = rule.apply(&mut pod.clone(), &mut budget, &mut steps).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(1000, 1 << 30, "the changed images are too long");
        check(1 << 30, 100, "too expensive");
        check(1 << 30, 3000, "too expensive");
    }
}
