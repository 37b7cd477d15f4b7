//! `cargo xtask`: bundles the plugin, shows what Wisp does, runs every test.
mod audit;
mod bundle;
mod demo;
mod display;
mod image;
mod licences;
mod package;
mod patched;
mod screenshots;
mod suite;
mod synth;
mod tools;
mod validate;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, shows and tests Wisp")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the plugin and put its VST3, CLAP and programs into target/bundled
    Bundle {
        /// What to bundle (wisp, or nothing), then what goes to cargo build, such as --release
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Bundle the plugin, clean a noisy clip made on the spot, draw it before and after
    Demo,
    /// Make the archive for this system: plugins, programs, licences, install scripts
    Package {
        /// For both processors of macOS
        #[arg(long)]
        universal: bool,
        /// Passed on to cargo build, such as --features standalone
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        cargo_args: Vec<String>,
    },
    /// Run hours of audio through the engine, faster than real time, with settings that change at random
    Soak {
        /// Hours of audio
        #[arg(long, default_value_t = 1.0)]
        hours: f64,
    },
    /// Run the validators that are installed, and the hosts that come with the tests
    Validate {
        /// Validators that must not be missing
        #[arg(long, value_delimiter = ',')]
        require: Vec<String>,
    },
    /// Draw docs/editor*.png anew, from the real window fed with sound
    Screenshots,
    /// Run the whole test suite, or the steps named
    Test(suite::Options),
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let task = Args::parse().task;
    go_to_workspace()?;
    match task {
        Task::Bundle { args } => bundle::bundle_named(&args)?,
        Task::Demo => demo::demo()?,
        Task::Package { universal, cargo_args } => {
            package::package(universal, &cargo_args)?;
        }
        Task::Soak { hours } => suite::soak(hours)?,
        Task::Validate { require } => return validate::validate(&require),
        Task::Screenshots => screenshots::screenshots()?,
        Task::Test(options) => return suite::test(&options),
    }
    Ok(true)
}

/// Paths here are from the workspace's folder on.
fn go_to_workspace() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
    std::env::set_current_dir(root)
        .with_context(|| format!("cannot go to the workspace at {}", root.display()))
}
