//! The licences of everything that is built into what people download.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bundle::PACKAGE;
use crate::tools::metadata;

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

/// A package that Wisp is built from.
struct Package {
    name: String,
    version: String,
    licence: String,
    authors: String,
    repository: String,
    folder: PathBuf,
}

/// One document: a list of packages, then each text once with the packages it is from. Also their number.
pub(crate) fn third_party(cargo_args: &[String]) -> Result<(String, usize)> {
    let packages = packages(cargo_args)?;
    let mut document = String::from(
        "# Wisp is built from these packages\n\nWisp itself is MIT or Apache 2.0, as you like.\n\n\
         | package | licence | source |\n|---|---|---|\n",
    );
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in &packages {
        let Package { name, version, licence, repository, .. } = package;
        writeln!(document, "| {name} {version} | {licence} | {repository} |")?;
        for text in texts_of(package)? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    let font =
        fs::read_to_string("src/plugin/editor/fonts/OFL.txt").context("the font's licence")?;
    texts.entry(font.trim().replace("\r\n", "\n")).or_default().insert("the font Inter".into());
    for (text, names) in &texts {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        write!(document, "\n## {}\n\n````\n{text}\n````\n", names.join(", "))?;
    }
    Ok((document, packages.len()))
}

/// What Wisp needs at run time for this system, by `cargo metadata`.
fn packages(cargo_args: &[String]) -> Result<Vec<Package>> {
    let mut args = vec!["--filter-platform".to_owned(), host()?];
    if let Some(at) = cargo_args.iter().position(|arg| arg == "--features") {
        args.extend_from_slice(&cargo_args[at..(at + 2).min(cargo_args.len())]);
    }
    let metadata = metadata(&args)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = list(&metadata["packages"]);
    let by_id: HashMap<&str, &Value> =
        all.iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let nodes = list(&metadata["resolve"]["nodes"]);
    let needs: HashMap<&str, &Value> =
        nodes.iter().filter_map(|node| Some((node["id"].as_str()?, &node["deps"]))).collect();

    let root = all.iter().find(|package| package["name"] == PACKAGE);
    let root =
        root.and_then(|package| package["id"].as_str()).context("no package of that name")?;
    let (mut found, mut open) = (BTreeSet::new(), vec![root]);
    while let Some(id) = open.pop() {
        let deps = needs.get(id).and_then(|deps| deps.as_array()).map_or(&[][..], Vec::as_slice);
        for dep in deps {
            // Those for building and testing have a kind.
            let kinds = dep["dep_kinds"].as_array().map_or(&[][..], Vec::as_slice);
            let runs = kinds.iter().any(|kind| kind["kind"].is_null());
            if let (true, Some(id)) = (runs, dep["pkg"].as_str())
                && found.insert(id)
            {
                open.push(id);
            }
        }
    }
    let mut packages = Vec::new();
    for id in found {
        let package = by_id.get(id).with_context(|| format!("no package {id}"))?;
        let authors: Vec<String> = list(&package["authors"]).iter().map(text).collect();
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        packages.push(Package {
            name: text(&package["name"]),
            version: text(&package["version"]),
            licence: text(&package["license"]),
            authors: authors.join(", "),
            repository: text(&package["repository"]),
            folder: manifest.parent().context("a manifest without a folder")?.to_path_buf(),
        });
    }
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(packages)
}

/// The target that rustc builds for of itself.
fn host() -> Result<String> {
    let output =
        std::process::Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc names no host")
}

/// The texts that a package carries, or what its licence says where it carries none.
fn texts_of(package: &Package) -> Result<Vec<String>> {
    let mut files = Vec::new();
    find(&package.folder, DEPTH, &mut files)?;
    files.sort();
    let mut texts = Vec::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        texts.push(String::from_utf8_lossy(&bytes).trim().replace("\r\n", "\n"));
    }
    if texts.is_empty() {
        let Package { name, licence, authors, .. } = package;
        let text = match licence.as_str() {
            "ISC" => ISC,
            licence if licence.split([' ', '/', '(', ')']).any(|word| word == "MIT") => MIT,
            _ => bail!("{name} carries no licence text, and {licence} is not known here"),
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

    #[test]
    fn every_package_has_a_text() {
        crate::go_to_workspace().expect("workspace");
        let (document, count) = third_party(&[]).expect("the licences");
        assert!(count > 50, "{count} packages");
        for name in ["nice-plug ", "symphonia ", "rubato ", "realfft "] {
            assert!(document.contains(&format!("| {name}")), "{name}");
        }
        assert!(document.contains("the font Inter"));
        assert!(document.contains("Mozilla Public License"));
        // For building and testing alone.
        assert!(!document.contains("| nnnoiseless ") && !document.contains("| proptest "));
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
