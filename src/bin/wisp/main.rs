//! `wisp`: takes the noise out of voice recordings.
mod args;
mod clean;
mod error;
mod input;
mod report;
mod wav;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use clap::{CommandFactory, Parser, error::ErrorKind};
use rayon::iter::{ParallelBridge, ParallelIterator};
use wisp::{Controls, Dccrn, Listen};

use crate::args::Args;
use crate::clean::Settings;
use crate::error::Error;
use crate::report::Reporter;

const FAILED: u8 = 1;
/// What a shell reports for a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let args = Args::parse();
    let files = match pair_outputs(&args) {
        Ok(files) => files,
        Err(message) => Args::command().error(ErrorKind::ValueValidation, message).exit(),
    };
    if let Some(folder) = &args.out_dir
        && let Err(error) = fs::create_dir_all(folder)
    {
        eprintln!("wisp: cannot make the folder {}: {error}", folder.display());
        return ExitCode::from(FAILED);
    }

    // A panic becomes an error of its file, which says what happened.
    std::panic::set_hook(Box::new(|_| {}));
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    if let Err(error) = ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed)) {
        eprintln!("wisp: cannot catch Ctrl-C: {error}");
        return ExitCode::from(FAILED);
    }
    let threads = args.jobs.map_or(0, usize::from).min(files.len());
    let pool = match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool,
        Err(error) => {
            eprintln!("wisp: cannot start {threads} jobs: {error}");
            return ExitCode::from(FAILED);
        }
    };

    let network = match &args.weights {
        None => Dccrn::bundled(),
        Some(path) => match Dccrn::from_file(path) {
            Ok(network) => Arc::new(network),
            Err(error) => {
                eprintln!("wisp: weights {}: {error}", path.display());
                return ExitCode::from(FAILED);
            }
        },
    };
    let settings = Settings {
        network,
        controls: Controls {
            reduction_db: args.reduction,
            sensitivity_db: args.sensitivity,
            ambience: args.ambience,
            listen: if args.removed { Listen::Removed } else { Listen::Result },
            stereo: args.stereo.into(),
            ..Controls::default()
        },
        depth: args.depth,
        force: args.force,
    };
    let reporter = Reporter::new(args.json, args.quiet, files.len());
    let failed = AtomicUsize::new(0);
    pool.install(|| {
        files.iter().par_bridge().for_each(|(input, output)| {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let mut progress = reporter.begin(input);
            let result = unless_panic(|| {
                clean::clean(&settings, input, output, &stop, |audio| progress.update(audio))
            });
            drop(progress);
            failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
            reporter.end(input, output, &result);
        });
    });
    reporter.finish();

    if stop.load(Ordering::Relaxed) {
        ExitCode::from(INTERRUPTED)
    } else if failed.load(Ordering::Relaxed) > 0 {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    }
}

/// A fault that shows in one file must not stop the others.
fn unless_panic<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let fault = |panic: Box<dyn std::any::Any + Send>| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Error::Fault(text.unwrap_or_else(|| "unknown".into()))
    };
    // What was at work is thrown away with its half file.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|p| Err(fault(p)))
}

/// Each input beside the output it goes to, or what is wrong with the command line.
fn pair_outputs(args: &Args) -> Result<Vec<(PathBuf, PathBuf)>, String> {
    if let Some(output) = &args.output {
        if args.inputs.len() > 1 {
            return Err("-o names one file; use --out-dir for several inputs".into());
        }
        let is_wav = output.extension().is_some_and(|extension| {
            extension.eq_ignore_ascii_case("wav") || extension.eq_ignore_ascii_case("wave")
        });
        if !is_wav {
            let name = output.display();
            return Err(format!("{name}: results are WAV files, give a name that ends in .wav"));
        }
    }
    let mut pairs = Vec::with_capacity(args.inputs.len());
    let mut taken = HashMap::with_capacity(args.inputs.len());
    for input in &args.inputs {
        let output = match (&args.output, &args.out_dir) {
            (Some(output), _) => output.clone(),
            (None, Some(folder)) => folder.join(file_name(input, ".wav")),
            (None, None) if args.removed => input.with_file_name(file_name(input, ".removed.wav")),
            (None, None) => input.with_file_name(file_name(input, ".clean.wav")),
        };
        if let Some(other) = taken.insert(output.clone(), input) {
            return Err(format!(
                "{} and {} would both be written to {}",
                other.display(),
                input.display(),
                output.display()
            ));
        }
        pairs.push((input.clone(), output));
    }
    Ok(pairs)
}

/// `take.flac` -> `take` + `ending`.
fn file_name(input: &Path, ending: &str) -> OsString {
    let mut name = input.file_stem().unwrap_or(input.as_os_str()).to_os_string();
    name.push(ending);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_becomes_the_error_of_its_file() {
        assert!(matches!(unless_panic(|| Ok(1)), Ok(1)));
        let fault = unless_panic::<()>(|| panic!("index {} of {}", 3, 2));
        assert!(matches!(fault, Err(Error::Fault(text)) if text == "index 3 of 2"));
    }
}
