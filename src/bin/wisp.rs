//! `wisp`: takes the noise out of voice recordings.
use std::process::ExitCode;

fn main() -> ExitCode {
    wisp::cli::main()
}
