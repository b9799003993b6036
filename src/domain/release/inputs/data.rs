//! ConfigMaps and Secrets that decide what is rendered: which ones a spec names, and what they
//! contain.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::api::post_build::InputKind;

/// The most bytes that all inputs of a release have together.
pub const MAX_INPUT_BYTES: usize = 1 << 20;

/// An object that the rendering needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputReference {
    /// Its kind.
    pub kind: InputKind,
    /// Its name, in the namespace of the release.
    pub name: String,
    /// Whether it may be missing.
    pub optional: bool,
    /// What names it: the field of the spec, or the option.
    pub field: String,
}

/// What an input contains. Its `Debug` shows no value, and what it held is wiped when it is dropped.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct InputData(pub BTreeMap<String, Vec<u8>>);

impl InputData {
    /// How many bytes its keys and values have.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

impl Drop for InputData {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for InputData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The inputs of a release, as they were read for a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderInputs {
    objects: BTreeMap<(InputKind, String), InputData>,
    /// Identifies the content of all of them; no value can be found from it.
    pub fingerprint: String,
}

impl RenderInputs {
    /// Those that exist.
    pub fn new(objects: BTreeMap<(InputKind, String), InputData>) -> Self {
        Self { objects, fingerprint: String::new() }
    }

    /// Adds an object.
    pub fn insert(&mut self, kind: InputKind, name: &str, data: InputData) {
        self.objects.insert((kind, name.to_owned()), data);
    }

    /// The objects that exist.
    pub fn objects(&self) -> impl Iterator<Item = (InputKind, &str, &InputData)> {
        self.objects.iter().map(|((kind, name), data)| (*kind, name.as_str(), data))
    }

    /// The same without what they contain, for the time between runs.
    pub fn at_rest(&self) -> Self {
        Self { objects: BTreeMap::new(), fingerprint: self.fingerprint.clone() }
    }

    /// Whether both have the same objects with the same content.
    pub fn has_same(&self, other: &Self) -> bool {
        self.objects == other.objects
    }

    /// What an object contains; `None` when it does not exist.
    pub fn get(&self, kind: InputKind, name: &str) -> Option<&InputData> {
        self.objects.get(&(kind, name.to_owned()))
    }

    /// The values of all Secrets.
    pub fn secret_values(&self) -> impl Iterator<Item = &[u8]> {
        let secrets = self.objects.iter().filter(|((kind, _), _)| *kind == InputKind::Secret);
        secrets.flat_map(|(_, data)| data.0.values().map(Vec::as_slice))
    }

    /// Whether a Secret is among them: only a keyed hash may stand for its values.
    pub fn has_secret(&self) -> bool {
        self.objects.keys().any(|(kind, _)| *kind == InputKind::Secret)
    }

    /// How many bytes all values have.
    pub fn bytes(&self) -> usize {
        self.objects.values().map(InputData::bytes).sum()
    }

    /// Everything that decides what is rendered, in parts none of which can pass for another one.
    pub fn parts(&self) -> Vec<&[u8]> {
        let mut parts: Vec<&[u8]> = Vec::new();
        for ((kind, name), data) in &self.objects {
            parts.extend([b"object".as_slice(), kind.as_str().as_bytes(), name.as_bytes()]);
            for (key, value) in &data.0 {
                parts.extend([b"key".as_slice(), key.as_bytes(), value.as_slice()]);
            }
        }
        parts
    }

    /// A hash of the parts without a key: for inputs that contain nothing secret.
    pub fn open_hash(&self) -> String {
        let mut hash = Sha256::new();
        for part in self.parts() {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        hex::encode(&hash.finalize()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Object<'a> = (InputKind, &'a str, &'a [(&'a str, &'a str)]);

    fn inputs(objects: &[Object<'_>]) -> RenderInputs {
        let data = |values: &[(&str, &str)]| {
            InputData(values.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect())
        };
        RenderInputs::new(objects.iter().map(|(k, n, d)| ((*k, (*n).to_owned()), data(d))).collect())
    }

    #[test]
    fn the_hash_follows_every_name_and_value() {
        use InputKind::{ConfigMap, Secret};
        let all = [
            inputs(&[]),
            inputs(&[(ConfigMap, "a", &[])]),
            inputs(&[(Secret, "a", &[])]),
            inputs(&[(ConfigMap, "a", &[("b", "c")])]),
            inputs(&[(ConfigMap, "a", &[("bc", "")])]),
            inputs(&[(ConfigMap, "a", &[]), (ConfigMap, "b", &[])]),
            inputs(&[(ConfigMap, "a", &[("b", "c"), ("d", "e")])]),
            inputs(&[(ConfigMap, "a", &[("b", "c")]), (ConfigMap, "d", &[])]),
        ];
        let hashes: std::collections::BTreeSet<String> = all.iter().map(RenderInputs::open_hash).collect();
        assert_eq!(hashes.len(), all.len());
    }

    #[test]
    fn values_of_secrets_are_in_no_output() {
        let found = inputs(&[(InputKind::Secret, "a", &[("token", "hunter2")])]);
        assert!(found.has_secret() && found.bytes() == 12);
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        assert_eq!(found.secret_values().collect::<Vec<_>>(), [b"hunter2"]);
    }
}
