//! The program `wisp`: removes noise from voice recordings.
mod args;
mod clean;
mod coded;
mod container;
mod edits;
mod error;
mod fault;
mod flac;
mod input;
mod layout;
mod metadata;
mod opus;
mod output;
mod pcm;
mod report;
mod resample;
mod source;
mod wav;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::{Controls, Model};
use clap::{CommandFactory, Parser, error::ErrorKind};
use rayon::iter::{ParallelBridge, ParallelIterator};

use self::args::{Args, QualityArg};
use self::clean::Settings;
use self::fault::unless_panic;
use self::output::{Format, is_stdout};
use self::report::Reporter;
use self::source::is_stdin;

const FAILED: u8 = 1;
/// The exit status that shells report for a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// The whole program: reads the command line, cleans the files, reports the results.
pub fn main() -> ExitCode {
    let args = Args::parse();
    if args.man || args.completions.is_some() {
        return print_help(&args);
    }
    let wrong = |message: String| -> ! {
        Args::command().error(ErrorKind::ValueValidation, message).exit()
    };
    let (format, Jobs { files, skipped }) =
        match format_of(&args).and_then(|format| Ok((format, pair_outputs(&args, format)?))) {
            Ok(jobs) => jobs,
            Err(message) => wrong(message),
        };
    let controls = match args.controls() {
        Ok(controls) => controls,
        Err(message) => wrong(message),
    };
    if let Some(folder) = &args.out_dir
        && let Err(error) = fs::create_dir_all(folder)
    {
        eprintln!("wisp: cannot create folder {}: {error}", folder.display());
        return ExitCode::from(FAILED);
    }

    fault::install();
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    // A thread blocked on input only notices a signal when data arrives. Without an output file there is nothing to clean up,
    // and a second Ctrl-C means that the user does not want to wait.
    let at_once = !files.is_empty() && files.iter().all(|(_, output)| is_stdout(output));
    let interrupt = move || {
        if handler.swap(true, Ordering::Relaxed) || at_once {
            std::process::exit(INTERRUPTED.into());
        }
    };
    if let Err(error) = ctrlc::set_handler(interrupt) {
        eprintln!("wisp: cannot catch Ctrl-C: {error}");
        return ExitCode::from(FAILED);
    }
    let threads = args.jobs.map_or(0, usize::from).min(files.len().max(1));
    let pool = match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool,
        Err(error) => {
            eprintln!("wisp: cannot start {threads} jobs: {error}");
            return ExitCode::from(FAILED);
        }
    };

    let model = match &args.weights {
        None => Model::bundled(args.quality.into()),
        Some(path) => match Model::from_file(path) {
            Ok(model) => model,
            Err(error) => {
                eprintln!("wisp: weights: {}", error::with_causes(&error));
                return ExitCode::from(FAILED);
            }
        },
    };
    let settings = Settings {
        model,
        quality: args.weights.is_none().then_some(args.quality),
        controls,
        depth: args.depth,
        rate: args.rate,
        format,
        raw: args.raw_input,
        lfe: args.lfe,
        force: args.force,
    };
    let reporter = Reporter::new(args.json, args.quiet, files.len());
    for (input, origin) in &skipped {
        reporter.skip(input, origin);
    }
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

/// Result of [`clean_at_most`].
#[derive(Debug)]
pub struct Cleaned {
    /// Hz.
    pub sample_rate: u32,
    /// Channels of the input and the result.
    pub channels: u16,
    /// Samples per channel of the input.
    pub frames: u64,
}

/// Cleans one file with the default settings but the quality Live, and replaces any file at `output`, whose name determines
/// the format.
///
/// # Errors
///
/// The error message, also if there are more than `seconds` of audio.
pub fn clean_at_most(seconds: u64, input: &Path, output: &Path) -> Result<Cleaned, String> {
    let settings = Settings {
        model: Model::live(),
        quality: Some(QualityArg::Live),
        controls: Controls::default(),
        depth: None,
        rate: None,
        format: Format::of_name(output).unwrap_or_default(),
        raw: None,
        lfe: None,
        force: true,
    };
    let stop = AtomicBool::new(false);
    let result = clean::clean(&settings, input, output, &stop, |audio| {
        let long = audio.position() > seconds * u64::from(audio.spec().rate);
        stop.store(long, Ordering::Relaxed);
    });
    let report = result.map_err(|error| error.to_string())?;
    Ok(Cleaned {
        sample_rate: report.sample_rate,
        channels: report.channels,
        frames: (report.seconds * f64::from(report.sample_rate)).round() as u64,
    })
}

/// Prints the manual page or a shell's completions to standard output.
fn print_help(args: &Args) -> ExitCode {
    let mut command = Args::command();
    let mut text = Vec::new();
    let made = match args.completions {
        Some(shell) => {
            clap_complete::generate(shell, &mut command, "wisp", &mut text);
            Ok(())
        }
        None => clap_mangen::Man::new(command).render(&mut text),
    };
    match made.and_then(|()| io::stdout().write_all(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wisp: cannot write to standard output: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// The output format: as specified, else from the output's name.
fn format_of(args: &Args) -> Result<Format, String> {
    let Some(output) = args.output.as_deref().filter(|output| !is_stdout(output)) else {
        return Ok(args.output_format.unwrap_or_default());
    };
    let name = output.display();
    match (args.output_format, Format::of_name(output)) {
        // Raw samples can have any file name.
        (Some(Format::Raw), _) => Ok(Format::Raw),
        (Some(told), Some(named)) if told != named => {
            let ending = told.extension();
            Err(format!(
                "{name} does not match the output format {}; use a name that ends in .{ending}",
                told.name()
            ))
        }
        (Some(told), None) => {
            let ending = told.extension();
            Err(format!(
                "{name}: the output format is {}; use a name that ends in .{ending}",
                told.name()
            ))
        }
        (None, None) => {
            Err(format!("{name}: the output is WAV or FLAC; use a name that ends in .wav or .flac"))
        }
        (_, Some(named)) => Ok(named),
    }
}

/// The files to clean and those to skip.
#[derive(Debug)]
struct Jobs {
    /// Inputs and their outputs.
    files: Vec<(PathBuf, PathBuf)>,
    /// Inputs that are results themselves, and their sources.
    skipped: Vec<(PathBuf, PathBuf)>,
}

/// Each input with its output, or an error in the command line.
fn pair_outputs(args: &Args, format: Format) -> Result<Jobs, String> {
    if args.output.is_some() && args.inputs.len() > 1 {
        return Err("-o names a single file; use --out-dir for several inputs".into());
    }
    if args.inputs.iter().any(|input| is_stdin(input)) && io::stdin().is_terminal() {
        return Err(
            "standard input is a terminal; redirect a file or pipe a program's output into it"
                .into(),
        );
    }
    if args.output.as_deref().is_some_and(is_stdout) {
        if args.json {
            return Err("--json and -o - cannot both use standard output".into());
        }
        if io::stdout().is_terminal() {
            return Err(
                "standard output is a terminal; redirect it to a file or pipe it into a program"
                    .into(),
            );
        }
    }
    let ending = |kind: &str| format!("{kind}.{}", format.extension());
    let mut pairs = Vec::with_capacity(args.inputs.len());
    for input in &args.inputs {
        let output = match (&args.output, &args.out_dir) {
            (Some(output), _) => output.clone(),
            _ if is_stdin(input) => {
                return Err(format!(
                    "{} has no name; set the output file with -o",
                    input.display()
                ));
            }
            (None, Some(folder)) => folder.join(file_name(input, &ending(""))),
            (None, None) if args.removed => {
                input.with_file_name(file_name(input, &ending(".removed")))
            }
            (None, None) => input.with_file_name(file_name(input, &ending(".clean"))),
        };
        pairs.push((input.clone(), output));
    }
    let mut jobs = Jobs { files: Vec::with_capacity(pairs.len()), skipped: Vec::new() };
    let others = pairs.iter().filter(|(input, output)| input != output);
    let results: HashMap<&Path, &Path> =
        others.map(|(input, output)| (output.as_path(), input.as_path())).collect();
    for (input, output) in &pairs {
        let origin = results.get(input.as_path()).map(|origin| origin.to_path_buf());
        match origin.or_else(|| origin_of(input).filter(|_| pairs.len() > 1)) {
            Some(origin) => jobs.skipped.push((input.clone(), origin)),
            None => jobs.files.push((input.clone(), output.clone())),
        }
    }
    let mut taken = HashMap::with_capacity(jobs.files.len());
    for (input, output) in &jobs.files {
        if let Some(other) = taken.insert(output, input) {
            return Err(format!(
                "{} and {} would both be written to {}",
                other.display(),
                input.display(),
                output.display()
            ));
        }
    }
    Ok(jobs)
}

/// The recording next to one of Wisp's results: `take.flac` for `take.clean.wav`.
fn origin_of(input: &Path) -> Option<PathBuf> {
    Format::of_name(input)?;
    let stem = Path::new(input.file_stem()?);
    let ours = stem.extension().is_some_and(|kind| kind == "clean" || kind == "removed");
    let base = stem.file_stem().filter(|_| ours)?;
    let endings = [
        "wav", "WAV", "wave", "flac", "aif", "aiff", "aifc", "au", "caf", "w64", "rf64", "mp3",
        "mp2", "m4a", "mp4", "aac", "ogg", "oga", "opus", "webm", "mka", "mkv", "mov", "raw",
    ];
    endings
        .map(|ending| {
            let name =
                [base, OsStr::new("."), OsStr::new(ending)].into_iter().collect::<OsString>();
            input.with_file_name(name)
        })
        .into_iter()
        .find(|origin| origin.is_file())
}

/// `take.flac` -> `take` + `ending`.
fn file_name(input: &Path, ending: &str) -> OsString {
    let mut name = input.file_stem().unwrap_or(input.as_os_str()).to_os_string();
    name.push(ending);
    name
}
