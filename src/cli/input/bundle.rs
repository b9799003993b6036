//! The input as one set of objects.

use std::collections::{HashMap, HashSet};

use super::variables::CommandVariables;
use crate::cli::CliError;
use crate::domain::identity::ObjectId;
use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::canonical::to_yaml;
use crate::domain::manifest::decode::{Decoded, DocumentError, ManifestFault, Origin, decode_within};
use crate::domain::manifest::substitute::substitute;
use crate::domain::message::and_more;
use crate::domain::object::Object;
use crate::domain::patch::file::PatchFile;
use crate::domain::stage::order;
use crate::domain::subjects::Subjects;

/// How many faults of the input are shown.
const MAX_FAULTS: usize = 20;

/// Unique objects in the order of the apply.
pub(in crate::cli) struct Bundle {
    /// At least one.
    pub objects: Vec<Object>,
    /// Where each was read from, by what it was then.
    origins: HashMap<ObjectId, Origin>,
}

impl Bundle {
    /// The name of every object, in order.
    pub fn subjects(&self) -> Vec<String> {
        let ids: Vec<ObjectId> = self.objects.iter().map(Object::id).collect();
        let subjects = self.names();
        ids.iter().map(|id| subjects.name(id)).collect()
    }

    /// Distinct names for its objects.
    pub fn names(&self) -> Subjects {
        Subjects::of(&self.objects.iter().map(Object::id).collect::<Vec<_>>())
    }

    /// The same after patches, sorted in the order of the apply: a patch can
    /// change names.
    pub fn patched(self, patches: &[PatchFile]) -> Result<Self, CliError> {
        if patches.is_empty() {
            return Ok(self);
        }
        let mut objects = self.objects.clone();
        for patch in patches {
            patch.apply(&mut objects).map_err(|e| CliError::Input(e.to_string()))?;
        }
        let mut seen = HashSet::new();
        if let Some(twice) = objects.iter().find(|o| !seen.insert(o.id())) {
            return Err(CliError::Input(format!("duplicate object {} after the patches", twice.id())));
        }
        if objects.is_empty() {
            return Err(CliError::Input("no objects left after the patches".into()));
        }
        sort(&mut objects);
        Ok(Self { objects, ..self })
    }

    /// The same with its variables replaced, sorted in the order of the apply: names may have some.
    pub fn substituted(
        self,
        variables: &CommandVariables,
        files: &[(String, Vec<u8>)],
    ) -> Result<Self, CliError> {
        let Self { objects, origins } = self;
        let unknown = Origin { file: "the input".into(), document: 1, line: 1 };
        let decoded = objects.into_iter().map(|object| {
            let origin = origins.get(&object.id()).unwrap_or(&unknown).clone();
            Decoded { object, origin }
        });
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
        let CommandVariables { substitution, inputs } = variables;
        let done = substitute(decoded.collect(), substitution, inputs, &files, &mut Budget::default());
        let done = done.map_err(|error| CliError::Input(format!("cannot replace variables: {error}")))?;
        let mut seen = HashSet::new();
        if let Some(twice) = done.iter().find(|decoded| !seen.insert(decoded.object.id())) {
            let (object, origin) = (twice.object.id(), &twice.origin);
            return Err(CliError::Input(format!(
                "{origin}: duplicate object {object} with its variables replaced"
            )));
        }
        let mut objects: Vec<Object> = done.into_iter().map(|decoded| decoded.object).collect();
        sort(&mut objects);
        Ok(Self { objects, origins })
    }

    /// The documents, each ended by `---`.
    pub fn yaml(&self) -> Result<Vec<u8>, CliError> {
        let yaml = to_yaml(&self.objects).map_err(|e| CliError::Input(e.to_string()))?;
        Ok(yaml.into_bytes())
    }
}

/// The objects of all files. All faults are reported at
/// once, up to one screen.
pub(in crate::cli) fn bundle(files: &[(String, Vec<u8>)]) -> Result<Bundle, CliError> {
    let mut budget = Budget::default();
    let (mut objects, mut faults, mut more) = (Vec::new(), Vec::new(), 0);
    let mut seen: HashMap<ObjectId, Origin> = HashMap::new();
    for (name, bytes) in files {
        match decode_within(name, bytes, &mut budget) {
            Ok(decoded) => {
                for Decoded { object, origin } in decoded {
                    match seen.get(&object.id()) {
                        Some(_) if faults.len() >= MAX_FAULTS => more += 1,
                        Some(first) => {
                            faults.push(format!("{origin}: {} is already in {first}", object.id()))
                        }
                        None => {
                            seen.insert(object.id(), origin);
                            objects.push(object);
                        }
                    }
                }
            }
            Err(errors) => {
                let room = MAX_FAULTS.saturating_sub(faults.len());
                more += errors.first.len().saturating_sub(room) + errors.more_of_all();
                faults.extend(errors.first.iter().take(room).map(explain));
            }
        }
    }
    if !faults.is_empty() {
        faults.extend(and_more(more));
        return Err(CliError::Several(faults.into_iter().collect()));
    }
    if objects.is_empty() {
        return Err(CliError::Input("the input contains no objects".into()));
    }
    sort(&mut objects);
    Ok(Bundle { objects, origins: seen })
}

/// In the order of the apply, as Kustomizer writes its artifacts.
fn sort(objects: &mut [Object]) {
    objects.sort_by_cached_key(|o| {
        let id = o.id();
        let (stage, rank, ..) = order(&id);
        (stage, rank, id.group, id.kind, id.namespace, id.name)
    });
}

fn explain(error: &DocumentError) -> String {
    match error.fault {
        ManifestFault::Kustomization => {
            format!("{error}; build it with -k DIR, or pipe kustomize build DIR to -f -")
        }
        ManifestFault::Invalid | ManifestFault::TooLarge => error.to_string(),
    }
}
