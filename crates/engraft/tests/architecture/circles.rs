//! Which file of the crate uses which, read from its paths, and the circles in that.
//!
//! A path counts wherever it stands, in a `use` or in the code. A name that a `mod.rs` re-exports stands for the file it
//! comes from; the `mod.rs` itself is not a file of the graph, and neither are tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// For every file, the files it uses and the names it takes from each.
pub type Uses = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A path with its segments, and the name it is bound to where a `use` binds it.
struct Named {
    path: Vec<String>,
    bound: String,
}

/// What a file says: the paths its `use` items bind, those elsewhere in its code, and the names of its items.
struct Source {
    imports: Vec<Named>,
    inline: Vec<Vec<String>>,
    items: BTreeSet<String>,
}

/// The files of a crate by their place below its `src`.
pub struct Sources(BTreeMap<PathBuf, Source>);

impl Sources {
    pub fn read(src: &Path, files: &[PathBuf]) -> Self {
        let text = |file: &PathBuf| (file.strip_prefix(src).unwrap().to_owned(), fs::read_to_string(file).unwrap());
        Self::of(files.iter().map(text))
    }

    fn of(texts: impl Iterator<Item = (PathBuf, String)>) -> Self {
        let is_test = |file: &Path| {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            stem == "tests" || stem.ends_with("_tests")
        };
        let code = texts.filter(|(file, _)| !is_test(file));
        Self(code.map(|(file, text)| (file, Source::parse(&text))).collect())
    }

    pub fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for (file, source) in self.0.iter().filter(|(file, _)| !is_root(file)) {
            let arrows = uses.entry(shown(file)).or_default();
            let imports = source.imports.iter().map(|import| &import.path);
            for path in imports.chain(&source.inline) {
                if let Some(target) = self.resolve(file, path, 0).filter(|target| target != file && !is_root(target)) {
                    arrows.entry(shown(&target)).or_default().insert(path.last().unwrap().clone());
                }
            }
        }
        uses
    }

    /// The file where a path that stands in `file` ends: the one that defines its name, or the last module on the way.
    fn resolve(&self, file: &Path, path: &[String], depth: u32) -> Option<PathBuf> {
        let (first, rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => PathBuf::from("lib.rs"),
            "self" => file.to_owned(),
            "super" => self.parent(file)?,
            name => self.step(file, name, depth)?,
        };
        for (done, name) in rest.iter().enumerate() {
            if name == "super" {
                at = self.parent(&at)?;
            } else if let Some(child) = self.child(&at, name) {
                at = child;
            } else if is_root(&at) {
                let next = self.step(&at, name, depth)?;
                // The name of an item in a file, or that of a module with more to come.
                let below = self.resolve(&next, &[&["self".to_owned()], &rest[done + 1..]].concat(), depth + 1);
                return below.or(Some(next));
            } else {
                break;
            }
        }
        Some(at)
    }

    /// Where a name that stands bare in `file` leads: to a module below, or to what a `use` binds it to.
    fn step(&self, file: &Path, name: &str, depth: u32) -> Option<PathBuf> {
        if let Some(child) = self.child(file, name) {
            return Some(child);
        }
        let source = self.0.get(file).filter(|_| depth < 8)?;
        if let Some(import) = source.imports.iter().find(|import| import.bound == name) {
            return self.resolve(file, &import.path, depth + 1);
        }
        source.imports.iter().filter(|import| import.bound == "*").find_map(|import| {
            let target = self.resolve(file, &import.path[..import.path.len() - 1], depth + 1)?;
            self.0[&target].items.contains(name).then_some(target)
        })
    }

    fn child(&self, file: &Path, name: &str) -> Option<PathBuf> {
        let folder = if is_root(file) { file.parent()?.to_owned() } else { file.with_extension("") };
        [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")]
            .into_iter()
            .find(|path| self.0.contains_key(path))
    }

    fn parent(&self, file: &Path) -> Option<PathBuf> {
        let folder = if is_root(file) { file.parent()?.parent()? } else { file.parent()? };
        [folder.with_extension("rs"), folder.join("mod.rs"), PathBuf::from("lib.rs")]
            .into_iter()
            .find(|path| self.0.contains_key(path))
    }
}

impl Source {
    fn parse(text: &str) -> Self {
        let tokens = without_tests(&tokens(text));
        let mut source = Self { imports: Vec::new(), inline: Vec::new(), items: BTreeSet::new() };
        let mut at = 0;
        while at < tokens.len() {
            let (before, next) = (at.checked_sub(1).map_or("", |at| tokens[at].as_str()), tokens.get(at + 1));
            match tokens[at].as_str() {
                "use" => {
                    tree(&tokens, &mut (at + 1), &[], &mut source.imports);
                    at += tokens[at..].iter().position(|token| token == ";").unwrap_or(1);
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" => {
                    source.items.extend(next.cloned());
                }
                // Where something may be seen, as in `pub(in crate::x)`, is not a use of it.
                _ if before == "::" || (before == "in" && tokens[at - 2] == "(") => {}
                token if is_name(token) && next.is_some_and(|next| next == "::") => {
                    let segments = tokens[at..].chunks(2).take_while(|pair| is_name(&pair[0]));
                    let mut path = Vec::new();
                    for pair in segments {
                        path.push(pair[0].clone());
                        if pair.get(1).is_none_or(|after| after != "::") {
                            break;
                        }
                    }
                    source.inline.push(path);
                }
                _ => {}
            }
            at += 1;
        }
        source
    }
}

/// The circles: groups of files of which each uses each other one, directly or through others of the group.
pub fn circles(uses: &Uses) -> Vec<BTreeSet<String>> {
    let reached = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            open.extend(uses[file].keys().filter(|next| seen.insert((*next).clone())).map(String::as_str));
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<String>> = uses.keys().map(|file| (file.as_str(), reached(file))).collect();
    let circle = |file: &str| -> BTreeSet<String> {
        reached[file].iter().filter(|other| reached[other.as_str()].contains(file)).cloned().collect()
    };
    let all: BTreeSet<_> = uses.keys().map(|file| circle(file)).filter(|circle| !circle.is_empty()).collect();
    all.into_iter().collect()
}

/// A circle as its arrows, one a line, with what each takes.
pub fn told(circle: &BTreeSet<String>, uses: &Uses) -> String {
    let mut lines = format!("a circle of {} files:", circle.len());
    for file in circle {
        for (target, names) in uses[file].iter().filter(|(target, _)| circle.contains(*target)) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            lines.push_str(&format!("\n  {file} uses {target}: {}", names.join(", ")));
        }
    }
    lines
}

fn is_root(file: &Path) -> bool {
    file.ends_with("mod.rs") || file == Path::new("lib.rs")
}

fn shown(file: &Path) -> String {
    file.to_str().unwrap().to_owned()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Adds the paths of a `use` tree that starts at a token.
fn tree(tokens: &[String], at: &mut usize, before: &[String], found: &mut Vec<Named>) {
    let mut path = before.to_vec();
    loop {
        match tokens[*at].as_str() {
            "{" => {
                *at += 1;
                while tokens[*at] != "}" {
                    tree(tokens, at, &path, found);
                    *at += usize::from(tokens[*at] == ",");
                }
                *at += 1;
                return;
            }
            "::" => *at += 1,
            "as" => {
                found.push(Named { path, bound: tokens[*at + 1].clone() });
                *at += 2;
                return;
            }
            token if is_name(token) || token == "*" => {
                // `x::{self}` is `x`.
                if token != "self" || path.is_empty() {
                    path.push(token.to_owned());
                }
                *at += 1;
            }
            _ => break,
        }
    }
    if let Some(bound) = path.last().cloned() {
        found.push(Named { path, bound });
    }
}

/// Names, `::` and single signs; comments, strings, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let (mut found, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let c = chars[at];
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            while at < chars.len() && !starts(at, "*/") {
                at += 1;
            }
            at += 2;
        } else if starts(at, "r\"") || starts(at, "r#\"") || starts(at, "br\"") || starts(at, "br#\"") {
            at += usize::from(c == 'b');
            let end = if chars[at + 1] == '#' { "\"#" } else { "\"" };
            at += end.len() + 1;
            while !starts(at, end) {
                at += 1;
            }
            at += end.len();
        } else if c == '"' {
            at += 1;
            while chars[at] != '"' {
                at += 1 + usize::from(chars[at] == '\\');
            }
            at += 1;
        } else if c == '\'' {
            let is_lifetime = chars[at + 1] != '\\' && chars.get(at + 2) != Some(&'\'');
            at += 1;
            if !is_lifetime {
                at += if chars[at] == '\\' { 2 } else { 1 };
                while chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            } else {
                while chars[at].is_alphanumeric() || chars[at] == '_' {
                    at += 1;
                }
            }
        } else if starts(at, "::") {
            found.push("::".to_owned());
            at += 2;
        } else if c.is_alphanumeric() || c == '_' {
            let name: String = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
            at += name.chars().count();
            found.push(name);
        } else {
            if !c.is_whitespace() {
                found.push(c.to_string());
            }
            at += 1;
        }
    }
    found
}

/// The tokens without the items under `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let is_test = ["#", "[", "cfg", "(", "test", ")", "]"].iter().zip(&tokens[at..]).all(|(a, b)| a == b);
        if !is_test {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        at += 7;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 && (tokens[at - 1] == "}" || tokens[at - 1] == ";") {
                break;
            }
        }
    }
    kept
}

#[test]
fn circles_are_found_through_re_exports_and_not_in_tests() {
    let texts = [
        ("lib.rs", "mod a;\nmod b;"),
        ("a/mod.rs", "mod x;\nmod y;\nmod z;\npub use x::{X, fun};\npub use self::y::Y as Why;\npub use z::*;"),
        (
            "a/x.rs",
            "// use crate::a::Z;\nuse crate::a::{Why};\npub struct X;\npub fn fun<'a>() -> &'a str { \"crate::a::Z\" }",
        ),
        ("a/y.rs", "use super::z;\npub struct Y(z::Z);\n#[cfg(test)]\nmod tests { use crate::b::B; }"),
        ("a/z.rs", "pub(in crate::b) struct Z;\nfn f() { super::fun(); }"),
        ("b.rs", "mod c;\nuse crate::a::Z;\npub struct B(c::C);"),
        ("b/c.rs", "use crate::a::X;\npub struct C;"),
        ("b/c_tests.rs", "use crate::b::B;"),
    ];
    let uses = Sources::of(texts.into_iter().map(|(file, text)| (file.into(), text.into()))).uses();
    let targets = |file: &str| uses[file].keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(targets("a/x.rs"), ["a/y.rs"]);
    assert_eq!(targets("a/y.rs"), ["a/z.rs"]);
    assert_eq!(targets("a/z.rs"), ["a/x.rs"]);
    assert_eq!(targets("b.rs"), ["a/z.rs", "b/c.rs"]);
    assert_eq!(targets("b/c.rs"), ["a/x.rs"]);
    let found = circles(&uses);
    assert_eq!(found.len(), 1);
    assert!(found[0].iter().eq(["a/x.rs", "a/y.rs", "a/z.rs"]));
}
