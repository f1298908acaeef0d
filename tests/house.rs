//! The structure of `src`: each file is in a layer, imports run downwards only, no two files import each
//! other, directly or through others, and no file is too long.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rstest::rstest;

/// From top to bottom. A layer is `src/LAYER.rs` with the files in `src/LAYER/`; it may import itself and
/// the layers below it.
const LAYERS: [&str; 13] = [
    "main", "cmd", "create", "steps", "cli", "guests", "wait", "settings", "config", "ui",
    "ledger", "say", "pve",
];

/// Lines of code in a file, without blank lines, comments and tests.
const MAX_LINES: usize = 450;

/// Names that could mean anything.
const VAGUE_NAMES: [&str; 4] = ["util", "utils", "common", "prelude"];

/// A file's path below `src`: `["pve", "types"]` for `src/pve/types.rs`.
type Module = Vec<String>;

/// The files that each file imports.
type Imports<'m> = BTreeMap<&'m Module, BTreeSet<Module>>;

#[test]
fn imports_run_downwards_only() {
    let files = modules();
    let upwards = upwards(&imports(&files));
    assert!(
        upwards.is_empty(),
        "these imports do not run downwards:\n  {}",
        upwards.join("\n  ")
    );
}

#[test]
fn an_import_of_a_higher_or_unknown_layer_is_found() {
    let (say, pve, attic) = (module("say::hint"), module("pve::http"), module("attic"));
    let imports = BTreeMap::from([
        (&say, BTreeSet::from([module("say::shell"), pve.clone()])),
        (&pve, BTreeSet::from([say.clone(), module("main")])),
        (&attic, BTreeSet::from([pve.clone()])),
    ]);
    let found = [
        "attic imports pve::http",
        "pve::http imports main",
        "pve::http imports say::hint",
    ];
    assert_eq!(upwards(&imports), found);
}

#[test]
fn no_imports_are_circular() {
    let files = modules();
    assert_eq!(cycle(&imports(&files)), None);
}

#[test]
fn a_circular_import_is_found() {
    let (a, b, c) = (module("a"), module("b"), module("c"));
    let imports = BTreeMap::from([
        (&a, BTreeSet::from([b.clone()])),
        (&b, BTreeSet::from([c.clone()])),
        (&c, BTreeSet::from([a.clone()])),
    ]);
    assert_eq!(cycle(&imports).map(|path| path.len()), Some(4));
}

#[test]
fn each_file_is_in_a_layer_and_has_a_specific_name() {
    let files = modules();
    let misplaced: Vec<&Module> = files
        .keys()
        .filter(|module| !is_well_placed(module))
        .collect();
    assert!(
        misplaced.is_empty(),
        "these files are in none of the layers, or have one of the names {VAGUE_NAMES:?}: {misplaced:?}"
    );
}

#[rstest]
#[case::layer("say", true)]
#[case::file("pve::http::answer", true)]
#[case::no_layer("attic", false)]
#[case::vague_name("util", false)]
#[case::vague_name_in_a_layer("pve::http::common", false)]
fn a_file_belongs_in_a_layer_under_a_specific_name(#[case] path: &str, #[case] expected: bool) {
    assert_eq!(is_well_placed(&module(path)), expected);
}

#[test]
fn no_file_is_too_long() {
    let files = modules();
    let lengths = files.iter().map(|(module, file)| {
        let code = read_code(file);
        (module.join("::"), code.lines().count())
    });
    let long: Vec<_> = lengths.filter(|(_, lines)| *lines > MAX_LINES).collect();
    assert!(
        long.is_empty(),
        "these files have more than {MAX_LINES} lines of code: {long:?}"
    );
}

#[test]
fn code_is_neither_blank_nor_a_comment_nor_a_test() {
    let text = "//! Docs of crate::cli.\n\nuse a::b;\n\nfn f() {\n    // Why.\n    g();\n}\n\n\
        #[cfg(test)]\nmod tests {\n    use crate::cmd;\n}\n";
    assert_eq!(
        code_of(text),
        Ok("use a::b;\nfn f() {\n    g();\n}\n".to_owned())
    );
}

#[test]
fn code_after_the_tests_is_an_error() {
    let text = "fn f() {}\n\n#[cfg(test)]\nfn g() {}\n\nfn h() {}\n";
    let refused = "expected the tests module at the end of the file, not 'fn g() {}'";
    assert_eq!(code_of(text), Err(refused.to_owned()));
}

fn module(path: &str) -> Module {
    path.split("::").map(str::to_owned).collect()
}

/// The files of `src`, without those that contain only tests.
fn modules() -> BTreeMap<Module, PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_stem().is_some_and(|name| name == "tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = path.strip_prefix(&src).unwrap().with_extension("");
                let parts = module.iter().map(|part| part.to_str().unwrap().to_owned());
                found.insert(parts.collect(), path);
            }
        }
    }
    assert!(found.len() > 10, "found only {} files", found.len());
    found
}

fn imports(files: &BTreeMap<Module, PathBuf>) -> Imports<'_> {
    files
        .iter()
        .map(|(module, file)| (module, imports_of(module, file, files)))
        .collect()
}

/// The files that the paths in a file's code lead to.
fn imports_of(module: &Module, file: &Path, files: &BTreeMap<Module, PathBuf>) -> BTreeSet<Module> {
    let code = read_code(file);
    // The braces could contain any path, which this reader would miss.
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

fn read_code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    code_of(&text).unwrap_or_else(|end| panic!("{}: {end}", file.display()))
}

/// The lines of a file without blank lines, comments and tests; or why the start of the tests cannot be
/// found.
fn code_of(text: &str) -> Result<String, String> {
    let (code, tests) = text
        .split_once("\n#[cfg(test)]\n")
        .unwrap_or((text, "mod tests"));
    let first = tests.lines().next().unwrap_or_default();
    if !first.contains("mod tests") {
        return Err(format!(
            "expected the tests module at the end of the file, not '{first}'"
        ));
    }
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines = code.lines().filter(is_code);
    Ok(lines.fold(String::new(), |code, line| code + line + "\n"))
}

fn is_well_placed(module: &Module) -> bool {
    let vague = |name: &String| VAGUE_NAMES.contains(&name.as_str());
    LAYERS.contains(&module[0].as_str()) && !module.iter().any(vague)
}

/// The imports that lead to a higher layer, or from or to a file that is in none of the layers.
fn upwards(imports: &Imports<'_>) -> Vec<String> {
    let layer = |module: &Module| LAYERS.iter().position(|layer| *layer == module[0]);
    let pairs = imports
        .iter()
        .flat_map(|(module, targets)| targets.iter().map(move |target| (*module, target)));
    pairs
        .filter(|(module, target)| match (layer(module), layer(target)) {
            (Some(from), Some(to)) => from > to,
            _ => true,
        })
        .map(|(module, target)| format!("{} imports {}", module.join("::"), target.join("::")))
        .collect()
}

/// The first chain of imports that leads from a file back to itself.
fn cycle(imports: &Imports<'_>) -> Option<Vec<Module>> {
    fn follow(path: &mut Vec<Module>, imports: &Imports<'_>) -> Option<Vec<Module>> {
        let here = path.last()?.clone();
        for next in imports.get(&here).into_iter().flatten() {
            let seen = path.contains(next);
            path.push(next.clone());
            if seen {
                return Some(path.clone());
            }
            if let Some(cycle) = follow(path, imports) {
                return Some(cycle);
            }
            path.pop();
        }
        None
    }
    imports
        .keys()
        .find_map(|module| follow(&mut vec![(*module).clone()], imports))
}
