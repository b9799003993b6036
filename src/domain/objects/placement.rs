//! What the annotations of an object say about its place in the order of a release: its wave, and
//! the objects that it depends on.

use super::identity::ObjectId;
use super::object::Object;
use crate::api::keys;

/// The lowest and the highest wave.
pub const WAVES: (i32, i32) = (-10_000, 10_000);
/// The most references of one object.
pub const MAX_REFERENCES: usize = 256;
/// The longest reference that a message quotes, in characters.
const QUOTED: usize = 200;

/// The place of an object in the order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Its wave, if it names one.
    pub wave: Option<i32>,
    /// What it depends on: sorted, each once.
    pub depends_on: Vec<ObjectId>,
}

impl Placement {
    /// The place that a manifest asks for; `None` without the annotations.
    ///
    /// # Errors
    /// Which annotation is invalid, and what it should be.
    pub fn of(object: &Object) -> Result<Option<Self>, String> {
        let (wave, references) = (object.annotation(keys::WAVE), object.annotation(keys::DEPENDS_ON));
        if wave.is_none() && references.is_none() {
            return Ok(None);
        }
        let wave = match wave {
            None => None,
            Some(text) => Some(parse_wave(text).ok_or_else(|| {
                let (lowest, highest) = WAVES;
                let key = keys::WAVE;
                format!(
                    "invalid annotation {key}: {}; use an integer from {lowest} to {highest}",
                    quoted(text)
                )
            })?),
        };
        let mut depends_on = Vec::new();
        for text in references.into_iter().flat_map(|text| text.split(',')) {
            let key = keys::DEPENDS_ON;
            depends_on.push(parse_reference(text).ok_or_else(|| {
                format!(
                    "invalid annotation {key}: {}; use <group>/namespaces/<namespace>/<kind>/<name> or \
                     <group>/<kind>/<name>, with an empty group for the core kinds",
                    quoted(text)
                )
            })?);
            if depends_on.len() > MAX_REFERENCES {
                return Err(format!(
                    "invalid annotation {key}: it has more than {MAX_REFERENCES} references"
                ));
            }
        }
        depends_on.sort();
        depends_on.dedup();
        Ok(Some(Self { wave, depends_on }))
    }

    /// How much memory it takes, about, in bytes.
    pub fn weight(&self) -> usize {
        let text = |id: &ObjectId| id.namespace.len() + id.name.len() + id.group.len() + id.kind.len();
        size_of::<Self>() + self.depends_on.iter().map(|id| size_of::<ObjectId>() + text(id)).sum::<usize>()
    }

    /// The place that the annotations of an object in the cluster name. Anybody may have edited
    /// them: what is invalid is left out.
    pub fn lenient(wave: Option<&str>, references: Option<&str>) -> Option<Self> {
        let references = references.into_iter().flat_map(|text| text.split(','));
        let mut depends_on: Vec<ObjectId> =
            references.take(MAX_REFERENCES).filter_map(parse_reference).collect();
        depends_on.sort();
        depends_on.dedup();
        let placement = Self { wave: wave.and_then(parse_wave), depends_on };
        (placement != Self::default()).then_some(placement)
    }
}

fn parse_wave(text: &str) -> Option<i32> {
    text.trim().parse().ok().filter(|wave| (WAVES.0..=WAVES.1).contains(wave))
}

/// Reads a reference as cli-utils does (sigs.k8s.io/cli-utils/pkg/object/dependson): blanks around
/// it do not matter, and only the group may be empty.
fn parse_reference(text: &str) -> Option<ObjectId> {
    let fields: Vec<&str> = text.trim().split('/').take(6).collect();
    let (group, namespace, kind, name) = match fields[..] {
        [group, kind, name] => (group, "", kind, name),
        [group, "namespaces", namespace, kind, name] if !namespace.is_empty() => {
            (group, namespace, kind, name)
        }
        _ => return None,
    };
    if kind.is_empty() || name.is_empty() {
        return None;
    }
    Some(ObjectId { namespace: namespace.into(), name: name.into(), group: group.into(), kind: kind.into() })
}

/// The reference to an object, as [`Placement::of`] reads it.
pub fn reference(id: &ObjectId) -> String {
    let ObjectId { namespace, name, group, kind } = id;
    match namespace.as_str() {
        "" => format!("{group}/{kind}/{name}"),
        _ => format!("{group}/namespaces/{namespace}/{kind}/{name}"),
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(QUOTED).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn annotated(annotations: &[(&str, &str)]) -> Object {
        let mut object =
            Object::new(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}})).unwrap();
        for (key, value) in annotations {
            object.set_annotation(key, value);
        }
        object
    }

    #[test]
    fn a_wave_is_an_integer_within_bounds() {
        let check = |text: &str, expected: Option<i32>| {
            let read = Placement::of(&annotated(&[(keys::WAVE, text)]));
            assert_eq!(read.clone().ok().flatten().and_then(|p| p.wave), expected, "{text:?}");
            assert_eq!(read.is_ok(), expected.is_some(), "{text:?}");
            let placement = expected.map(|wave| Placement { wave: Some(wave), depends_on: Vec::new() });
            assert_eq!(Placement::lenient(Some(text), None), placement, "{text:?}");
        };
        check("0", Some(0));
        check("-5", Some(-5));
        check(" 7 ", Some(7));
        check("10000", Some(10_000));
        check("-10000", Some(-10_000));
        check("10001", None);
        check("", None);
        check("1.5", None);
        check("first", None);
        check("99999999999999999999", None);
        assert_eq!(
            Placement::of(&annotated(&[(keys::WAVE, "one")])),
            Err("invalid annotation supercargo.dev/wave: \"one\"; use an integer from -10000 to 10000".into())
        );
        assert_eq!(Placement::of(&annotated(&[])), Ok(None));
    }

    #[test]
    fn references_are_those_of_cli_utils() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let read = Placement::of(&annotated(&[(keys::DEPENDS_ON, text)])).ok().flatten();
            let ids = read.map(|p| p.depends_on.iter().map(reference).collect::<Vec<_>>());
            let expected = expected.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
            assert_eq!(ids, expected, "{text:?}");
        };
        check("/namespaces/a/ConfigMap/x", Some(&["/namespaces/a/ConfigMap/x"]));
        check(
            "rbac.authorization.k8s.io/ClusterRole/a:b",
            Some(&["rbac.authorization.k8s.io/ClusterRole/a:b"]),
        );
        check(
            "apps/namespaces/a/Deployment/y, /Namespace/a,apps/namespaces/a/Deployment/y",
            Some(&["/Namespace/a", "apps/namespaces/a/Deployment/y"]),
        );
        for wrong in [
            "",
            "ConfigMap/x",
            "/namespaces/a/ConfigMap",
            "/namespaces//ConfigMap/x",
            "/names/a/ConfigMap/x",
            "//x",
            "/ConfigMap/",
            "/namespaces/a/ConfigMap/x/y",
            "/namespaces/a/ConfigMap/x,",
        ] {
            check(wrong, None);
        }
        let many = vec!["/Namespace/a"; MAX_REFERENCES + 1].join(",");
        let refused = Placement::of(&annotated(&[(keys::DEPENDS_ON, &many)])).unwrap_err();
        assert!(refused.ends_with("it has more than 256 references"), "{refused}");
    }

    #[test]
    fn what_people_wrote_on_a_live_object_never_fails() {
        let placement = Placement::lenient(Some("x"), Some("nonsense,/Namespace/a,")).unwrap();
        assert_eq!(placement.wave, None);
        assert_eq!(placement.depends_on.iter().map(reference).collect::<Vec<_>>(), ["/Namespace/a"]);
        assert_eq!(Placement::lenient(None, None), None);
        assert_eq!(Placement::lenient(Some("x"), Some("y")), None);
    }
}
