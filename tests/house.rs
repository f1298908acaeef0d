//! Imports in `src` run one way: no two files import each other, not even round a corner.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file's place below the crate's root: `["api", "types"]` for `src/api/types.rs`.
type Module = Vec<String>;

#[test]
fn no_import_goes_round_in_a_circle() {
    let files = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 10, "found only {} files", files.len());
    let imports: BTreeMap<&Module, BTreeSet<Module>> = files
        .iter()
        .map(|(module, file)| (module, imports_of(module, file, &files)))
        .collect();
    assert_eq!(circle(&imports), None);
}

#[test]
fn a_circle_would_be_found() {
    let module = |name: &str| vec![name.to_owned()];
    let (a, b, c) = (module("a"), module("b"), module("c"));
    let imports = BTreeMap::from([
        (&a, BTreeSet::from([b.clone()])),
        (&b, BTreeSet::from([c.clone()])),
        (&c, BTreeSet::from([a.clone()])),
    ]);
    assert_eq!(circle(&imports).map(|path| path.len()), Some(4));
}

fn modules(src: &Path) -> BTreeMap<Module, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "tests.rs") {
                let module = path.strip_prefix(src).unwrap().with_extension("");
                let parts = module.iter().map(|part| part.to_str().unwrap().to_owned());
                found.insert(parts.collect(), path);
            }
        }
    }
    found
}

/// The files that a file's `use` lines and paths lead to, tests left out.
fn imports_of(module: &Module, file: &Path, files: &BTreeMap<Module, PathBuf>) -> BTreeSet<Module> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    // The braces could hold anything; nothing in the house needs them there.
    assert!(
        !code.contains("crate::{"),
        "{} imports crate::{{…}}",
        file.display()
    );
    let parent = &module[..module.len() - 1];
    let mut imports = BTreeSet::new();
    for (start, base) in [
        ("crate::", &[][..]),
        ("self::", module),
        ("super::", parent),
    ] {
        for (position, _) in code.match_indices(start) {
            let path = &code[position + start.len()..];
            let target = path
                .split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
                .next()
                .unwrap();
            let mut whole = base.to_vec();
            whole.extend(target.split("::").map(str::to_owned));
            let longest = (1..=whole.len())
                .rev()
                .map(|length| whole[..length].to_vec())
                .find(|candidate| files.contains_key(candidate));
            imports.extend(longest.filter(|target| target != module));
        }
    }
    imports
}

/// The first way from a file back to itself.
fn circle(imports: &BTreeMap<&Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    fn follow(
        path: &mut Vec<Module>,
        imports: &BTreeMap<&Module, BTreeSet<Module>>,
    ) -> Option<Vec<Module>> {
        let here = path.last()?.clone();
        for next in imports.get(&here).into_iter().flatten() {
            let seen = path.contains(next);
            path.push(next.clone());
            if seen {
                return Some(path.clone());
            }
            if let Some(circle) = follow(path, imports) {
                return Some(circle);
            }
            path.pop();
        }
        None
    }
    imports
        .keys()
        .find_map(|module| follow(&mut vec![(*module).clone()], imports))
}
