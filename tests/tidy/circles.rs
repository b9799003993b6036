//! No circle of imports between the files of a room: what a file takes from another,
//! that one must not take back, directly or over others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::imports::{self, Imports};
use crate::source::{Source, room_of};

/// Every shortest circle, as `file -> file: the names that the first takes`, a line a step.
pub fn circles(sources: &[Source]) -> Vec<String> {
    let imports = match imports::of(sources) {
        Ok(imports) => imports,
        Err(error) => return vec![error],
    };
    let mut found = BTreeSet::new();
    for (from, taken) in &imports {
        for to in taken.keys().filter(|to| room_of(to) == room_of(from)) {
            if let Some(back) = shortest(&imports, to, from) {
                found.insert(from_its_first(back));
            }
        }
    }
    found.iter().map(|files| told(&imports, files)).collect()
}

/// The files on the shortest way by imports within a room, both ends included.
fn shortest<'a>(imports: &'a Imports, from: &'a str, to: &'a str) -> Option<Vec<&'a str>> {
    let mut came: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next = VecDeque::from([from]);
    while let Some(at) = next.pop_front() {
        if at == to {
            let mut way = vec![at];
            while let Some(before) = way.last().filter(|at| **at != from).map(|at| came[at]) {
                way.push(before);
            }
            way.reverse();
            return Some(way);
        }
        for file in imports.get(at).into_iter().flat_map(BTreeMap::keys) {
            if room_of(file) == room_of(from) && file != from && !came.contains_key(file.as_str()) {
                came.insert(file, at);
                next.push_back(file);
            }
        }
    }
    None
}

/// One circle has one form, wherever one has entered it.
fn from_its_first(mut files: Vec<&str>) -> Vec<&str> {
    let first = files.iter().enumerate().min_by_key(|(_, file)| **file).map_or(0, |(at, _)| at);
    files.rotate_left(first);
    files
}

fn told(imports: &Imports, files: &[&str]) -> String {
    let steps = files.iter().zip(files.iter().cycle().skip(1)).map(|(from, to)| {
        let names: Vec<&str> = imports[*from][*to].iter().map(String::as_str).collect();
        format!("{from} -> {to}: {}", names.join(", "))
    });
    steps.collect::<Vec<_>>().join("\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of one text: a line `== path` begins each.
    fn sources(text: &str) -> Vec<Source> {
        let files = text.split("== ").skip(1).map(|file| file.split_once('\n').unwrap_or((file, "")));
        files.map(|(path, text)| Source::new(&format!("src/{}.rs", path.trim()), text)).collect()
    }

    #[test]
    fn circles_are_found_however_the_names_are_taken() {
        const A: &str = "src/a/x.rs -> src/a/y.rs: Y\n    src/a/y.rs -> src/a/x.rs: X";
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(circles(&sources(text)), expected, "{text}");
        };
        let x = |text: &str| {
            format!(
                "== a/mod\nmod x; mod y;\n== a/y\nuse super::x::X; pub struct Y;\n== a/x\npub struct X;\n{text}"
            )
        };
        // By an import, a path, a type, a pattern, a macro, an attribute.
        for text in [
            "use super::y::Y;",
            "use crate::a::y::Y;",
            "use crate::{a::{y::{self, Y as Z}}};",
            "use super::y; fn f() { y::Y; }",
            "use super::y::*; fn f(_: Y) {}",
            "use super::y as z; fn f() -> Vec<z::Y> {}",
            "use super::*; fn f(_: y::Y) {}",
            "fn f() { super::y::Y; }",
            "fn f() { use super::y; y::Y; }",
            "fn f(x: Option<crate::a::y::Y>) {}",
            "impl From<super::y::Y> for X {}",
            "fn f() { match x { super::y::Y => {} } }",
            "use super::y::*; fn f() { match x { Y => {} } }",
            "fn f() { println!(\"{}\", super::y::Y); }",
            "macro_rules! m { () => { $crate::a::y::Y } }",
            "struct S { #[serde(default = \"super::y::Y\")] s: u8 }",
            "mod z { use super::super::y::Y; }",
            "pub use self::super::y::Y;",
        ] {
            check(&x(text), &[A]);
        }
        // Not names of another file's, or not in the product.
        for text in [
            "",
            "use super::y;",
            "use super::*;",
            "// super::y::Y",
            "/// [`super::y::Y`]\nfn f() {}",
            "const A: &str = \"super::y::Y\";",
            "#[cfg(test)]\nmod tests { use super::super::y::Y; }",
            "#[cfg(test)]\nuse super::y::Y;",
            "#[cfg(all(test, feature = \"b\"))]\nfn f() { super::y::Y; }",
            "#[test]\nfn f() { super::y::Y; }",
            "use ::a::y::Y;",
            "fn f() { g!(self.y::<X>()); }",
        ] {
            check(&x(text), &[]);
        }
        check(&format!("{}#[cfg(test)] mod tests;\n== a/x/tests\nuse super::super::y::Y;", x("")), &[]);
    }

    #[test]
    fn names_belong_to_the_file_that_defines_them() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(circles(&sources(text)), expected, "{text}");
        };
        // Re-exports do not hide it, not even several of them and under another name.
        check(
            "== a/mod\npub use x::X; pub use y::Y as Z;\n== a/x\nuse super::Z; pub struct X;\n\
             == a/y\nuse crate::a::X; pub struct Y;",
            &["src/a/x.rs -> src/a/y.rs: Y\n    src/a/y.rs -> src/a/x.rs: X"],
        );
        check(
            "== a/mod\nmod z;\n== a/z/mod\nmod y; pub use y::*;\n== a/z/y\nuse crate::a::x; pub struct Y(x::X);\n\
             == a/x\nuse super::z; pub struct X(z::Y);",
            &["src/a/x.rs -> src/a/z/y.rs: Y\n    src/a/z/y.rs -> src/a/x.rs: X"],
        );
        // A file with files below it is one like any other; to declare them is no import.
        check("== a/x\nmod y; pub struct X;\n== a/x/y\nuse super::X;", &[]);
        check(
            "== a/x\nmod y; pub use y::Y; pub struct X;\n== a/x/y\nuse super::X; pub struct Y;",
            &["src/a/x.rs -> src/a/x/y.rs: Y\n    src/a/x/y.rs -> src/a/x.rs: X"],
        );
        check("== a/x\nmod y; pub use y::Y;\n== a/x/y\nuse super::Y as Own; pub struct Y;", &[]);
        // A function that a type has from another file.
        check(
            "== a/x\npub struct X; fn f() { X::make(); }\n== a/y\nuse super::x::X; impl X { fn make() {} }",
            &["src/a/x.rs -> src/a/y.rs: X::make\n    src/a/y.rs -> src/a/x.rs: X"],
        );
        check(
            "== a/x\npub struct X; impl X { fn f() { Self::make(); } }\n\
             == a/y\nuse super::x::X; impl X { fn make() {} }",
            &["src/a/x.rs -> src/a/y.rs: X::make\n    src/a/y.rs -> src/a/x.rs: X"],
        );
        // Names that stand for each other end.
        check("== a/x\npub use super::y::Z;\n== a/y\npub use super::x::Z;", &[]);
        check("== a/x\npub use super::y::*; fn f() { z(); }\n== a/y\npub use super::x::*;", &[]);
    }

    #[test]
    fn each_circle_is_told_once_and_at_its_shortest() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(circles(&sources(text)), expected, "{text}");
        };
        let ring = "== a/x\nuse super::y::{Y, Q}; pub struct X;\n== a/y\nuse super::z::Z; pub struct Y; pub struct Q;\n\
                    == a/z\nuse super::x::X; pub struct Z;";
        let told = "src/a/x.rs -> src/a/y.rs: Q, Y\n    src/a/y.rs -> src/a/z.rs: Z\n    src/a/z.rs -> src/a/x.rs: X";
        check(ring, &[told]);
        // Two rooms are the matter of the doors.
        check("== a/x\nuse crate::b::y::Y; pub struct X;\n== b/y\nuse crate::a::x::X; pub struct Y;", &[]);
        check("== a/x\nstruct;", &["src/a/x.rs: expected identifier"]);
    }
}
