//! Each file of stories says under which profiles they run, and why not under both.

use crate::none;
use crate::source::{Source, sources, strings};

const DECLARATION: &str = "\nconst PROFILES: Profiles =";

/// What is wrong with a file of tests/cluster; whether its stories run under both
/// profiles, where it has some.
fn judge(source: &Source) -> Result<Option<bool>, String> {
    let wrong = |what: &str| Err(format!("{} {what}", source.path));
    if source.code.contains("#[test]") || source.code.contains("#[tokio::test") {
        return wrong("has a test that is no story");
    }
    if !source.code.contains("#[story") {
        return Ok(None);
    }
    // From the text: in `code` the reason is blank.
    let Some((_, rest)) = source.text.split_once(DECLARATION) else {
        return wrong("has stories and no PROFILES");
    };
    let value = rest.split(";\n").next().unwrap_or_default().trim_start();
    match value.strip_prefix("Profiles::First") {
        None if value == "Profiles::Both" => Ok(Some(true)),
        Some(reason) if strings(reason).concat().contains(' ') => Ok(Some(false)),
        _ => wrong("gives no reason why its stories run under one profile"),
    }
}

#[test]
fn stories_run_under_both_profiles_or_say_why_not() {
    let mut found = Vec::new();
    let (mut both, mut first) = (0, 0);
    for source in sources("tests/cluster") {
        match judge(&source) {
            Ok(Some(true)) => both += 1,
            Ok(Some(false)) => first += 1,
            Ok(None) => {}
            Err(wrong) => found.push(wrong),
        }
    }
    none(
        found,
        "use #[story], and name the profiles at the top of the file, with a reason for Profiles::First",
    );
    assert!(both > 15 && first > 15, "tests/cluster is not read: {both} and {first}");
}

#[test]
fn what_a_file_says_of_its_profiles_is_judged() {
    let judge = |text: &str| judge(&Source::new("a.rs", text));
    assert_eq!(judge("\nfn helper() {}\n"), Ok(None));
    assert_eq!(judge("\nconst PROFILES: Profiles = Profiles::Both;\n#[story]\n"), Ok(Some(true)));
    let first = "\nconst PROFILES: Profiles = Profiles::First(\"it has one; only one\");\n#[story]\n";
    assert_eq!(judge(first), Ok(Some(false)));
    let empty = "\nconst PROFILES: Profiles = Profiles::First(\"\");\n#[story]\n";
    let wrong = [("\n#[tokio::test]\n", "no story"), ("\n#[story]\n", "no PROFILES"), (empty, "no reason")];
    for (text, says) in wrong {
        assert!(judge(text).is_err_and(|error| error.contains(says)), "{text}");
    }
}
