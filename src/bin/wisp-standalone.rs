//! Wisp as a standalone application, on JACK (PipeWire) or the system's sound devices.
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use nice_plug::prelude::nice_export_standalone_with_args;
use wisp::Quality;
use wisp::plugin::{Wisp, source, start, watch};

const INTRODUCTION: &str = "\
Wisp removes noise from a voice in real time.

Without options, Wisp connects to JACK (or PipeWire, under `pw-jack`); if that fails it opens ALSA, and
if that fails it runs without sound. Wisp adds these options to those listed below:

      --play <FILE.wav>   Play a recording in a loop instead of the input
      --quality <QUALITY> live (20 ms of latency, the default), or studio (60 ms, slightly cleaner)
      --print             Print every parameter, and each change
  -h, --help              Print this help

A clean virtual microphone with PipeWire, for calls and recording programs (`wisp-mic` in the release
archive does it without a window, in one step):

  1. Create a microphone that programs can select:
       pactl load-module module-null-sink media.class=Audio/Source/Virtual \\
             sink_name=wisp_mic channel_map=front-left,front-right
  2. Start Wisp in the graph:
       pw-jack wisp-standalone --backend jack
  3. Connect your microphone to Wisp, and Wisp to the new microphone (`pw-link --output` and
     `pw-link --input` list the names; a patchbay such as qpwgraph or Helvum does the same):
       pw-link <your microphone>:capture_FL wisp:input_1
       pw-link <your microphone>:capture_FR wisp:input_2
       pw-link wisp:output_1 wisp_mic:input_FL
       pw-link wisp:output_2 wisp_mic:input_FR
  4. Select \"wisp_mic\" as the microphone in the program, and disconnect wisp from the speakers
     if you hear yourself:
       pw-link --disconnect wisp:output_1 <your speakers>:playback_FL
       pw-link --disconnect wisp:output_2 <your speakers>:playback_FR

With JACK alone, connect the ports wisp:input_1, wisp:input_2, wisp:output_1 and wisp:output_2 with
jack_connect. With ALSA, name the devices with --input-device and --output-device (an empty name lists
them); a mono microphone needs --audio-layout 2.
";

fn main() -> ExitCode {
    #[cfg(unix)]
    if let Err(error) = wisp::plugin::quit::on_signals() {
        eprintln!("wisp-standalone: Ctrl-C will not close the window: {error}");
    }
    let mut args: Vec<String> = std::env::args().collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{INTRODUCTION}");
    }
    if let Some(at) = args.iter().position(|arg| arg == "--print") {
        args.remove(at);
        watch::print_parameters();
    }
    match take_value(&mut args, "--quality", "live or studio").map(|name| name.and_then(quality)) {
        None => {}
        Some(Ok(quality)) => start::with_quality(quality),
        Some(Err(message)) => {
            eprintln!("wisp-standalone: {message}");
            return ExitCode::from(2);
        }
    }
    match take_value(&mut args, "--play", "a file").map(|file| file.and_then(|file| play(&file))) {
        None => {}
        Some(Ok(sample_rate)) => {
            let named = |arg: &String| {
                arg == "-r" || arg == "--sample-rate" || arg.starts_with("--sample-rate=")
            };
            if !args.iter().any(named) {
                args.extend(["--sample-rate".to_owned(), sample_rate.to_string()]);
            }
        }
        Some(Err(message)) => {
            eprintln!("wisp-standalone: {message}");
            return ExitCode::from(2);
        }
    }
    if nice_export_standalone_with_args::<Wisp, _>(args) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Takes `name VALUE` or `name=VALUE` out of the arguments.
fn take_value(args: &mut Vec<String>, name: &str, wanted: &str) -> Option<Result<String, String>> {
    let at = args.iter().position(|arg| {
        arg.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })?;
    let arg = args.remove(at);
    if let Some((_, value)) = arg.split_once('=') {
        return Some(Ok(value.to_owned()));
    }
    if at < args.len() {
        return Some(Ok(args.remove(at)));
    }
    Some(Err(format!("{name} needs {wanted}")))
}

/// A quality by its name.
fn quality(name: String) -> Result<Quality, String> {
    match name.to_lowercase().as_str() {
        "live" => Ok(Quality::Live),
        "studio" => Ok(Quality::Studio),
        _ => Err(format!("--quality {name}: expected live or studio")),
    }
}

/// Loads a WAV file as the input; its sample rate.
fn play(file: &str) -> Result<u32, String> {
    let name = Path::new(file).file_name().unwrap_or(OsStr::new(file)).to_string_lossy();
    let say = |error: hound::Error| format!("{name}: {error}");
    let mut reader = hound::WavReader::open(file).map_err(say)?;
    let spec = reader.spec();
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => {
            reader.samples::<f32>().collect::<Result<_, _>>().map_err(say)?
        }
        hound::SampleFormat::Int => {
            let scale = 0.5f32.powi(i32::from(spec.bits_per_sample) - 1);
            reader
                .samples::<i32>()
                .map(|sample| sample.map(|sample| sample as f32 * scale))
                .collect::<Result<_, _>>()
                .map_err(say)?
        }
    };
    let count = usize::from(spec.channels);
    let channels = (0..count)
        .map(|channel| samples.iter().skip(channel).step_by(count).copied().collect())
        .collect();
    if source::play(channels) {
        Ok(spec.sample_rate)
    } else {
        Err(format!("{name}: contains no sound"))
    }
}
