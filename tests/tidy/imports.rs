//! Which file takes which names from which other: every path of the sources, as
//! `syn` reads them, followed through imports and re-exports to the file that
//! defines what it names. Code for tests is left out.
//!
//! Not seen are calls of methods (`a.b()`), because they name no path.

use std::collections::{BTreeMap, BTreeSet};

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, UseTree};

use crate::source::Source;

/// From file → to file → the names that the first takes from the second.
pub type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A module, by the names that lead to it from the root of the crate.
type Place = Vec<String>;

/// What a name of a module stands for.
enum Binding {
    Item,
    Module,
    Import(Vec<String>),
}

/// Where a path leads.
enum Target {
    Module(Place),
    /// A name that a module defines, and what of it is named: a variant, a function.
    Item {
        place: Place,
        name: String,
        member: Option<String>,
    },
}

/// The names of one module.
#[derive(Default)]
struct Module {
    file: String,
    names: BTreeMap<String, Vec<Binding>>,
    /// The paths of `use …::*`.
    globs: Vec<Vec<String>>,
}

/// An `impl` without a trait: the functions that it gives a type.
struct Functions {
    place: Place,
    owner: Vec<String>,
    names: Vec<String>,
}

#[derive(Default)]
struct Program {
    modules: BTreeMap<Place, Module>,
    functions: Vec<Functions>,
}

/// What each file takes from the others.
pub fn of(sources: &[Source]) -> Result<Imports, String> {
    let mut files = Vec::new();
    for source in sources {
        let file = syn::parse_file(&source.text).map_err(|error| format!("{}: {error}", source.path))?;
        files.push((&source.path, owned(&source.modules()), file));
    }
    let tests: BTreeSet<Place> = files.iter().flat_map(|(_, place, file)| tests_of(place, file)).collect();
    files.retain(|(_, place, _)| !(1..=place.len()).any(|n| tests.contains(&place[..n])));

    let mut names = Names::default();
    for (path, place, file) in &files {
        names.declare(place);
        names.file.clone_from(path);
        names.place.clone_from(place);
        names.enter();
        names.visit_file(file);
    }
    let program = names.program;
    let apart = program.functions_apart();
    let mut paths = Paths {
        program: &program,
        apart: &apart,
        file: String::new(),
        place: Place::new(),
        owner: Vec::new(),
        imports: Imports::new(),
    };
    for (path, place, file) in &files {
        paths.file.clone_from(path);
        paths.place.clone_from(place);
        paths.visit_file(file);
    }
    Ok(paths.imports)
}

fn owned(names: &[&str]) -> Place {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The modules of a file that are compiled for tests only.
fn tests_of(place: &Place, file: &syn::File) -> Vec<Place> {
    let tests = file.items.iter().filter(|item| is_test(attributes(item)));
    let names = tests.filter_map(|item| match item {
        Item::Mod(module) => Some(module.ident.to_string()),
        _ => None,
    });
    names.map(|name| [&place[..], &[name]].concat()).collect()
}

/// Whether it is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    let only = |attribute: &Attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let condition = list.tokens.to_string().replace(' ', "");
        list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all(test,"))
    };
    attributes.iter().any(|attribute| only(attribute) || attribute.path().is_ident("test"))
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Union(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

/// The name that an item has in its module.
fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(i) => &i.ident,
        Item::Enum(i) => &i.ident,
        Item::Fn(i) => &i.sig.ident,
        Item::Macro(i) => i.ident.as_ref()?,
        Item::Mod(i) => &i.ident,
        Item::Static(i) => &i.ident,
        Item::Struct(i) => &i.ident,
        Item::Trait(i) => &i.ident,
        Item::Type(i) => &i.ident,
        Item::Union(i) => &i.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// Collects the names of all modules.
#[derive(Default)]
struct Names {
    program: Program,
    file: String,
    place: Place,
    /// Above 0 inside of a function: only its imports count, its items are its own.
    depth: usize,
}

impl Names {
    fn enter(&mut self) -> &mut Module {
        let module = self.program.modules.entry(self.place.clone()).or_default();
        module.file.clone_from(&self.file);
        module
    }

    /// A module is a name of the one above, whether or not a `mod` says so there.
    fn declare(&mut self, place: &[String]) {
        if let Some((name, above)) = place.split_last() {
            let names = &mut self.program.modules.entry(above.to_vec()).or_default().names;
            let bindings = names.entry(name.clone()).or_default();
            if !bindings.iter().any(|binding| matches!(binding, Binding::Module)) {
                bindings.push(Binding::Module);
                self.declare(above);
            }
        }
    }

    fn bind(&mut self, name: String, binding: Binding) {
        self.enter().names.entry(name).or_default().push(binding);
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            Item::Use(import) => {
                let mut prefix = Vec::new();
                if import.leading_colon.is_none() {
                    leaves(&import.tree, &mut prefix, &mut |path, name| match name {
                        Some(name) => self.bind(name, Binding::Import(path)),
                        None => self.enter().globs.push(path),
                    });
                }
                return;
            }
            Item::Mod(module) if self.depth == 0 => {
                if let Some((_, items)) = &module.content {
                    self.place.push(module.ident.to_string());
                    self.declare(&self.place.clone());
                    self.enter();
                    items.iter().for_each(|item| self.visit_item(item));
                    self.place.pop();
                }
                return;
            }
            Item::Impl(block) if self.depth == 0 && block.trait_.is_none() => {
                let functions = block.items.iter().filter_map(|item| match item {
                    ImplItem::Fn(function) => Some(function.sig.ident.to_string()),
                    ImplItem::Const(constant) => Some(constant.ident.to_string()),
                    _ => None,
                });
                let names = functions.collect();
                let (place, owner) = (self.place.clone(), type_path(&block.self_ty));
                self.program.functions.push(Functions { place, owner, names });
            }
            _ => {}
        }
        if let Some(name) = name_of(item).filter(|_| self.depth == 0) {
            self.bind(name, Binding::Item);
        }
        self.depth += 1;
        visit::visit_item(self, item);
        self.depth -= 1;
    }
}

/// Every path that a `use` names, with the name that it gets; without one for `*`.
fn leaves(tree: &UseTree, prefix: &mut Vec<String>, each: &mut impl FnMut(Vec<String>, Option<String>)) {
    let mut leaf = |ident: &syn::Ident, name: &syn::Ident| {
        let mut path = prefix.clone();
        if ident != "self" || path.is_empty() {
            path.push(ident.to_string());
        }
        let own = if name == "self" { path.last().cloned() } else { Some(name.to_string()) };
        each(path, own);
    };
    match tree {
        UseTree::Name(name) => leaf(&name.ident, &name.ident),
        UseTree::Rename(rename) => leaf(&rename.ident, &rename.rename),
        UseTree::Glob(_) => each(prefix.clone(), None),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, prefix, each)),
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            leaves(&path.tree, prefix, each);
            prefix.pop();
        }
    }
}

/// The path of a type; empty for one without.
fn type_path(of: &syn::Type) -> Vec<String> {
    match of {
        syn::Type::Path(path) => segments(&path.path),
        _ => Vec::new(),
    }
}

fn segments(path: &syn::Path) -> Vec<String> {
    match path.leading_colon {
        // A crate from outside.
        Some(_) => Vec::new(),
        None => path.segments.iter().map(|segment| segment.ident.to_string()).collect(),
    }
}

impl Program {
    /// Where a path leads that stands in a module; nowhere if it is not of this crate.
    fn resolve(&self, place: &Place, path: &[String]) -> Vec<Target> {
        self.follow(place, path, &mut BTreeSet::new())
    }

    fn follow(&self, place: &Place, path: &[String], seen: &mut BTreeSet<(Place, String)>) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        let mut targets = self.step(place, first, true, seen);
        for name in rest {
            let steps = targets.into_iter().flat_map(|target| match target {
                Target::Module(place) => self.step(&place, name, false, seen),
                Target::Item { place, name: of, member: None } => {
                    vec![Target::Item { place, name: of, member: Some(name.clone()) }]
                }
                item => vec![item],
            });
            targets = steps.collect();
        }
        targets
    }

    /// What one name means in a module.
    fn step(
        &self,
        place: &Place,
        name: &str,
        first: bool,
        seen: &mut BTreeSet<(Place, String)>,
    ) -> Vec<Target> {
        let parent = || place.split_last().map(|(_, above)| above.to_vec()).unwrap_or_default();
        match name {
            "crate" | "supercargo" if first => return vec![Target::Module(Place::new())],
            "self" => return vec![Target::Module(place.clone())],
            "super" => return vec![Target::Module(parent())],
            _ => {}
        }
        let Some(module) = self.modules.get(place) else { return Vec::new() };
        // Names that stand for each other lead nowhere.
        if !seen.insert((place.clone(), name.to_owned())) {
            return Vec::new();
        }
        let mut targets = Vec::new();
        for binding in module.names.get(name).into_iter().flatten() {
            match binding {
                Binding::Module => targets.push(Target::Module([&place[..], &[name.to_owned()]].concat())),
                Binding::Import(path) => targets.extend(self.follow(place, path, seen)),
                Binding::Item => {
                    targets.push(Target::Item { place: place.clone(), name: name.to_owned(), member: None })
                }
            }
        }
        if !module.names.contains_key(name) {
            for glob in &module.globs {
                for target in self.follow(place, glob, &mut seen.clone()) {
                    if let Target::Module(from) = target {
                        targets.extend(self.step(&from, name, false, seen));
                    }
                }
            }
        }
        seen.remove(&(place.clone(), name.to_owned()));
        targets
    }

    /// The functions that a type has from another file than its own, by the type and
    /// their name: the files that have them.
    fn functions_apart(&self) -> Apart {
        let mut apart = Apart::new();
        for functions in &self.functions {
            let file = &self.modules[&functions.place].file;
            for target in self.resolve(&functions.place, &functions.owner) {
                let Target::Item { place, name, .. } = target else { continue };
                if self.modules[&place].file == *file {
                    continue;
                }
                for function in &functions.names {
                    let key = (place.clone(), name.clone(), function.clone());
                    apart.entry(key).or_default().insert(file.clone());
                }
            }
        }
        apart
    }
}

/// Module, type, function → files.
type Apart = BTreeMap<(Place, String, String), BTreeSet<String>>;

/// Follows every path of a file.
struct Paths<'a> {
    program: &'a Program,
    apart: &'a Apart,
    file: String,
    place: Place,
    /// The types whose `impl` blocks are around.
    owner: Vec<Vec<String>>,
    imports: Imports,
}

impl Paths<'_> {
    fn take(&mut self, path: &[String]) {
        let owned;
        let path = match (path.split_first(), self.owner.last()) {
            (Some((first, rest)), Some(owner)) if first == "Self" && !owner.is_empty() => {
                owned = [owner, rest].concat();
                &owned
            }
            _ => path,
        };
        for target in self.program.resolve(&self.place, path) {
            let Target::Item { place, name, member } = target else { continue };
            let file = &self.program.modules[&place].file;
            if let Some(member) = member {
                let key = (place.clone(), name.clone(), member.clone());
                for file in self.apart.get(&key).into_iter().flatten() {
                    add(&mut self.imports, &self.file, file, format!("{name}::{member}"));
                }
            }
            add(&mut self.imports, &self.file, file, name);
        }
    }

    /// The paths of tokens that `syn` does not parse: what a macro or an attribute has.
    fn scan(&mut self, mut at: Cursor, strings: bool) {
        while !at.eof() {
            if let Some((path, next)) = path_at(at) {
                self.take(&path);
                at = next;
            } else if let Some((mark, next)) = at.punct() {
                // A name after `.` is a field or a method.
                let field = (mark.as_char() == '.').then(|| next.ident()).flatten();
                at = field.map_or(next, |(_, next)| next);
            } else if let Some((inside, _, _, next)) = at.any_group() {
                self.scan(inside, strings);
                at = next;
            } else if let Some((literal, next)) = at.literal() {
                let text = syn::parse_str::<syn::LitStr>(&literal.to_string());
                if let Some(path) =
                    text.ok().filter(|_| strings).and_then(|text| text.parse::<syn::Path>().ok())
                {
                    self.take(&segments(&path));
                }
                at = next;
            } else if let Some((_, next)) = at.lifetime() {
                at = next;
            } else {
                return;
            }
        }
    }
}

/// The path that begins at a token.
fn path_at(at: Cursor) -> Option<(Vec<String>, Cursor)> {
    let (name, mut at) = at.ident()?;
    let mut path = vec![name.to_string()];
    let colon = |at: Cursor<'_>| at.punct().filter(|(mark, _)| mark.as_char() == ':').is_some();
    while colon(at) {
        let next = at.punct().and_then(|(_, at)| at.punct()).filter(|(mark, _)| mark.as_char() == ':');
        let Some((name, next)) = next.and_then(|(_, at)| at.ident()) else { break };
        path.push(name.to_string());
        at = next;
    }
    Some((path, at))
}

fn add(imports: &mut Imports, from: &str, to: &str, name: String) {
    if from != to {
        imports.entry(from.to_owned()).or_default().entry(to.to_owned()).or_default().insert(name);
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            Item::Use(import) => {
                if import.leading_colon.is_none() {
                    leaves(&import.tree, &mut Vec::new(), &mut |path, _| self.take(&path));
                }
            }
            Item::Mod(module) if module.content.is_some() => {
                self.place.push(module.ident.to_string());
                visit::visit_item(self, item);
                self.place.pop();
            }
            Item::Impl(block) => {
                self.owner.push(type_path(&block.self_ty));
                visit::visit_item(self, item);
                self.owner.pop();
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if is_test(&function.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.take(&segments(path));
        visit::visit_path(self, path);
    }

    fn visit_pat_ident(&mut self, name: &'ast syn::PatIdent) {
        // A constant or a variant; other names are bound here.
        if name.ident.to_string().starts_with(char::is_uppercase) {
            self.take(&[name.ident.to_string()]);
        }
        visit::visit_pat_ident(self, name);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.take(&segments(&call.path));
        self.scan(TokenBuffer::new2(call.tokens.clone()).begin(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            // Those of serde and schemars name functions in strings.
            self.scan(TokenBuffer::new2(list.tokens.clone()).begin(), true);
        }
    }
}
