//! `wisp`: removes noise from voice recordings.
use std::process::ExitCode;

fn main() -> ExitCode {
    wisp::cli::main()
}
