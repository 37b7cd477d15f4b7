//! The licences of everything in the release archive.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, PackageId};

use crate::files;
use crate::paths::PACKAGE;
use crate::tools::output_of;

/// Folders below a package's own that are searched for licence texts.
const DEPTH: usize = 2;

const MIT: &str = "\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated \
documentation files (the \"Software\"), to deal in the Software without restriction, including without limitation the \
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit \
persons to whom the Software is furnished to do so, subject to the following conditions:\n\n\
The above copyright notice and this permission notice shall be included in all copies or substantial portions of the \
Software.\n\n\
THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE \
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR \
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR \
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.";

const ISC: &str = "\
Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby \
granted, provided that the above copyright notice and this permission notice appear in all copies.\n\n\
THE SOFTWARE IS PROVIDED \"AS IS\" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL \
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, \
INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN \
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF \
THIS SOFTWARE.";

/// A package that Wisp depends on.
struct Package {
    name: String,
    version: String,
    licence: String,
    authors: String,
    repository: String,
    folder: PathBuf,
}

impl Package {
    fn new(package: &cargo_metadata::Package) -> Result<Self> {
        let folder = package.manifest_path.parent().context("a manifest without a folder")?;
        Ok(Self {
            name: package.name.to_string(),
            version: package.version.to_string(),
            licence: package.license.clone().unwrap_or_default(),
            authors: package.authors.join(", "),
            repository: package.repository.clone().unwrap_or_default(),
            folder: folder.as_std_path().to_owned(),
        })
    }
}

/// A document with a list of packages and each licence text once, with the packages that use it. Also the number of packages.
pub(crate) fn third_party(cargo_args: &[String]) -> Result<(String, usize)> {
    let packages = packages(cargo_args)?;
    let mut document = document(&packages)?;
    let font =
        fs::read_to_string("src/plugin/editor/fonts/OFL.txt").context("the font's licence")?;
    let font = font.trim().replace("\r\n", "\n");
    write!(document, "\n## the font Inter\n\n````\n{font}\n````\n")?;
    Ok((document, packages.len()))
}

/// The same document for a package of the workspace, built for a target, whose own code has Wisp's licence.
pub(crate) fn of_package(package: &str, target: &str) -> Result<String> {
    let mut tree = std::process::Command::new("cargo");
    tree.args(["tree", "--quiet", "--package", package, "--target", target]);
    tree.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    let tree = output_of(&mut tree)?;
    let needed: BTreeSet<&str> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|p| !p.ends_with(')'))
        .collect();
    let metadata = MetadataCommand::new().exec().context("cargo metadata failed")?;
    let mut packages = Vec::new();
    for package in &metadata.packages {
        if needed.contains(&*format!("{} v{}", package.name, package.version)) {
            packages.push(Package::new(package)?);
        }
    }
    ensure!(packages.len() == needed.len(), "cargo metadata does not have all of {needed:?}");
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    document(&packages)
}

fn document(packages: &[Package]) -> Result<String> {
    let mut document = String::from(
        "# Wisp is built from these packages\n\nWisp itself is licensed under MIT or Apache 2.0, at your option.\n\n\
         | package | licence | source |\n|---|---|---|\n",
    );
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        let Package { name, version, licence, repository, .. } = package;
        writeln!(document, "| {name} {version} | {licence} | {repository} |")?;
        for text in texts_of(package)? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    for (text, names) in &texts {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        write!(document, "\n## {}\n\n````\n{text}\n````\n", names.join(", "))?;
    }
    Ok(document)
}

/// The packages that Wisp needs at run time on this system.
fn packages(cargo_args: &[String]) -> Result<Vec<Package>> {
    let mut command = MetadataCommand::new();
    command.other_options(["--filter-platform".to_owned(), host()?]);
    let features = cargo_args.windows(2).filter(|pair| pair[0] == "--features");
    let features: Vec<String> = features.map(|pair| pair[1].clone()).collect();
    command.features(CargoOpt::SomeFeatures(features));
    let metadata = command.exec().context("cargo metadata failed")?;
    let mut packages: Vec<Package> = needed(&metadata)?
        .into_iter()
        .map(|id| Package::new(&metadata[id]))
        .collect::<Result<_>>()?;
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(packages)
}

/// Dependencies of the package, and theirs, except those for building and testing.
fn needed(metadata: &Metadata) -> Result<BTreeSet<&PackageId>> {
    let root = metadata.packages.iter().find(|package| package.name == PACKAGE);
    let root = root.with_context(|| format!("cargo metadata names no package {PACKAGE}"))?;
    let nodes = &metadata.resolve.as_ref().context("cargo metadata names no dependencies")?.nodes;
    let (mut found, mut open) = (BTreeSet::new(), vec![&root.id]);
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|node| node.id == *id).context("a package without a node")?;
        for dep in &node.deps {
            let runs = dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if runs && found.insert(&dep.pkg) {
                open.push(&dep.pkg);
            }
        }
    }
    Ok(found)
}

/// The default target of rustc.
pub(crate) fn host() -> Result<String> {
    let output =
        std::process::Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc names no host")
}

/// The licence texts in a package, or the standard text of its licence if it has none.
fn texts_of(package: &Package) -> Result<Vec<String>> {
    let mut files = Vec::new();
    find(&package.folder, DEPTH, &mut files)?;
    files.sort();
    let mut texts = Vec::new();
    for file in files {
        let bytes = files::read(&file)?;
        texts.push(String::from_utf8_lossy(&bytes).trim().replace("\r\n", "\n"));
    }
    if texts.is_empty() {
        let Package { name, licence, authors, .. } = package;
        let text = match licence.as_str() {
            "ISC" => ISC,
            licence if licence.split([' ', '/', '(', ')']).any(|word| word == "MIT") => MIT,
            _ => bail!("{name} has no licence text, and {licence} is not known here"),
        };
        texts.push(format!("Copyright (c) {authors} ({name})\n\n{text}"));
    }
    Ok(texts)
}

fn find(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_dir() {
            if depth > 0 && !["target", "tests", "benches"].contains(&name.as_str()) {
                find(&path, depth - 1, files)?;
            }
        } else if is_licence(&name) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_licence(name: &str) -> bool {
    let stems = ["license", "licence", "copying", "copyright", "notice", "unlicense", "ofl", "ufl"];
    let code = [".rs", ".toml", ".json", ".py", ".sh", ".html", ".svg"];
    stems.iter().any(|stem| name.starts_with(stem)) && !code.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::go_to_workspace;

    #[test]
    fn every_package_has_a_text() {
        go_to_workspace().expect("workspace");
        let (document, count) = third_party(&[]).expect("the licences");
        assert!(count > 50, "{count} packages");
        for name in ["nice-plug ", "symphonia ", "realfft "] {
            assert!(document.contains(&format!("| {name}")), "{name}");
        }
        assert!(document.contains("the font Inter"));
        assert!(document.contains("Mozilla Public License"));
        // Only for building and testing.
        assert!(!document.contains("| nnnoiseless ") && !document.contains("| proptest "));
    }

    #[test]
    fn a_door_lists_only_what_it_contains() {
        go_to_workspace().expect("workspace");
        let document = of_package("wisp-web", "wasm32-unknown-unknown").expect("the licences");
        assert!(document.contains("| realfft ") && document.contains("| safetensors "));
        for name in ["nice-plug ", "symphonia ", "serde_derive ", "wisp-denoise ", "the font"] {
            assert!(!document.contains(name), "{name}");
        }
    }

    #[test]
    fn licence_files_are_told_from_others() {
        for name in ["license-mit", "licence", "copying", "notice.md", "unlicense", "ofl.txt"] {
            assert!(is_licence(name), "{name}");
        }
        for name in ["license.rs", "readme.md", "lib.rs", "cargo.toml"] {
            assert!(!is_licence(name), "{name}");
        }
    }
}
