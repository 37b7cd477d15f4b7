//! `cargo xtask`: bundles the plugin, runs the demo and all tests.
mod api;
mod ardour;
mod au;
mod audit;
mod bundle;
mod capi;
mod demo;
mod display;
mod files;
mod hosts;
mod image;
mod licences;
mod lv2;
mod microphone;
mod package;
mod patched;
mod paths;
mod reference;
mod screenshots;
mod suite;
mod synth;
mod tools;
mod validate;
mod web;
mod wheel;
mod windows;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use crate::paths::{NAME, PACKAGE, Profile};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, shows and tests Wisp")]
struct Args {
    /// Install missing system packages without asking (implied by the environment variable CI)
    #[arg(long, global = true)]
    yes: bool,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the plugin and put its VST3, CLAP and programs into target/bundled
    Bundle {
        /// Optionally wisp, then arguments for cargo build, such as --release; --au adds the Audio Unit, on macOS
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Make a noisy clip, clean it and draw it before and after; then bundle the plugin
    Demo,
    /// Make the release archive for this system: plugins, programs, licences, install scripts
    Package {
        /// For both processors of macOS
        #[arg(long)]
        universal: bool,
        /// Arguments for cargo build, such as --features standalone; --au adds the Audio Unit, on macOS
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        cargo_args: Vec<String>,
    },
    /// Build the C library into target/capi: header, shared and static library, pkg-config file
    Capi,
    /// Build the LADSPA and LV2 plugins into target/lv2
    Lv2,
    /// Build the npm package and its page into target/web
    Web,
    /// Build the Python package into target/wheel
    Wheel {
        /// For both processors of macOS
        #[arg(long)]
        universal: bool,
    },
    /// Run hours of audio through the engine, faster than real time, with randomly changing settings
    Soak {
        /// Hours of audio
        #[arg(long, default_value_t = 1.0)]
        hours: f64,
    },
    /// Run the installed validators, and the hosts in the tests
    Validate {
        /// Validators that must be installed
        #[arg(long, value_delimiter = ',')]
        require: Vec<String>,
    },
    /// Build for Windows with MinGW, run it under Wine and compare it with the command line here
    Windows,
    /// Update docs/editor*.png from the real window, playing sound
    Screenshots,
    /// Update docs/api.txt, the list of the library's public items
    Api {
        /// Only compare, and list what differs
        #[arg(long)]
        check: bool,
    },
    /// Run the whole test suite, or the named steps
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
    if let Some(done) = api::as_rustdoc() {
        return done.map(|()| true);
    }
    let Args { yes, task } = Args::parse();
    if yes {
        tools::consent_to_install();
    }
    paths::go_to_workspace()?;
    match task {
        Task::Bundle { args } => bundle_named(&args)?,
        Task::Demo => demo::demo()?,
        Task::Package { universal, cargo_args } => {
            package::package(universal, &cargo_args)?;
        }
        Task::Capi => {
            capi::build(Profile::Release)?;
        }
        Task::Lv2 => lv2::build(Profile::Release)?,
        Task::Web => web::build()?,
        Task::Wheel { universal } => {
            wheel::build(Profile::Release, universal)?;
        }
        Task::Soak { hours } => suite::soak(hours)?,
        Task::Validate { require } => return validate::validate(&require),
        Task::Windows => windows::windows()?,
        Task::Screenshots => screenshots::screenshots()?,
        Task::Api { check } => api::api(!check)?,
        Task::Test(options) => return suite::test(&options),
    }
    Ok(true)
}

/// As on the command line: optionally a name, then arguments for cargo and perhaps one for the Audio Unit.
fn bundle_named(args: &[String]) -> Result<()> {
    let (with_au, args) = au::asked(args)?;
    let args = match args.split_first() {
        Some((name, rest)) if [NAME, PACKAGE].contains(&name.as_str()) => rest,
        Some((name, _)) if !name.starts_with('-') => {
            bail!("unknown package {name}, expected {NAME}")
        }
        _ => &args,
    };
    bundle::bundle(args)?;
    if with_au { au::bundle(args, &[]) } else { Ok(()) }
}
