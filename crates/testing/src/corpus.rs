//! Fuzzing seeds, and mutations of them that are the same in every run.
use std::fs;
use std::path::Path;

use crate::Random;

/// A fuzz target's seeds.
///
/// # Panics
///
/// Panics if there are none.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds for {target}");
    paths.iter().map(|path| fs::read(path).expect("a seed")).collect()
}

/// Runs a target with each of its seeds, then with `times` mutations of them.
pub fn run_changed(
    target: &str,
    words: &[impl AsRef<[u8]>],
    random: &mut Random,
    times: usize,
    run: impl Fn(&[u8]),
) {
    let seeds = seeds(target);
    let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
    seeds.iter().for_each(|seed| run(seed));
    for _ in 0..times {
        run(&changed(&seeds, &words, random));
    }
}

/// A seed with a few mutations: bytes and bits changed, pieces cut, moved or repeated, words inserted.
fn changed(seeds: &[Vec<u8>], words: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut data = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(4) {
        // Headers matter most.
        let near = if random.below(2) == 0 { 64 } else { usize::MAX };
        let at = random.below(data.len().min(near).max(1));
        let to = (at + 1 + random.below(32)).min(data.len());
        match random.below(8) {
            0 | 1 if !data.is_empty() => data[at] = random.bits() as u8,
            2 if !data.is_empty() => data[at] ^= 1 << random.below(8),
            3 => data.truncate(at),
            4 if at < to => drop(data.drain(at..to)),
            5 if at < to => {
                let piece = data[at..to].to_vec();
                let place = random.below(data.len());
                data.splice(place..place, piece);
            }
            6 if !words.is_empty() => {
                let word = words[random.below(words.len())];
                let to = (at + [0, word.len()][random.below(2)]).min(data.len());
                data.splice(at.min(to)..to, word.iter().copied());
            }
            _ => {
                // Splice in the end of another seed.
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len().max(1));
                data.truncate(at);
                data.extend(&other[from.min(other.len())..]);
            }
        }
    }
    data
}
