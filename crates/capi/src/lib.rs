//! Wisp's C interface. `include/wisp.h` is generated from this file, so its comments are for C programmers.
//!
//! No panic leaves a function, arguments are checked as far as C allows, and errors are reported by a status code and a
//! message.
#![allow(unsafe_code)] // pointers from C
#![allow(clippy::missing_safety_doc)] // the header states the callers' obligations

mod message;

use std::ffi::c_char;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::slice;

use wisp::{Controls, Engine, EngineError, Listen, Model, Quality, Stereo};

use message::Message;

/// Frames of an interleaved buffer processed at a time.
const SEGMENT: usize = 256;

/// Result of a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WispStatus {
    /// It worked.
    Ok = 0,
    /// A pointer is NULL.
    NullPointer = 1,
    /// The sample rate is outside 8000 to 384000 Hz.
    SampleRate = 2,
    /// The number of channels is neither 1 nor 2.
    Channels = 3,
    /// There is no such control.
    Control = 4,
    /// The value is outside the control's range.
    Value = 5,
    /// Buffers overlap, are not aligned to their type, or are larger than the address space.
    Buffer = 6,
    /// A bug in Wisp. The engine returns this for every later call; free it.
    Internal = 7,
    /// There is no such quality.
    Quality = 8,
}

/// Which of the two built-in networks to use.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WispQuality {
    /// For talking and monitoring: 20 ms of latency.
    Live = 0,
    /// For recordings, and wherever latency is compensated: looks 40 ms further ahead; total latency 60 ms. Needs more CPU
    /// time.
    Studio = 1,
}

/// The controls. Defaults are in brackets.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WispControl {
    /// The most by which noise is turned down, in dB: 0 or more, INFINITY for no limit [24].
    Reduction = 0,
    /// Treats more (up) or less (down) of the doubtful sounds as noise, in dB: -12 to 12 [0].
    Sensitivity = 1,
    /// Share of the steady noise to keep: 0 to 1 [0].
    Ambience = 2,
    /// Gain after denoising in dB: -96 to 36 [0].
    Output = 3,
    /// 0: the result; 1: what was removed [0].
    Listen = 4,
    /// 0: one mask for both channels, which preserves the stereo image; 1: each channel separately [0].
    Stereo = 5,
    /// 1: outputs the input, delayed by the latency [0].
    Bypass = 6,
}

/// Denoises one stream of audio. Created by wisp_engine_new or wisp_engine_new_with_quality.
pub struct WispEngine {
    engine: Engine,
    controls: Controls,
    channels: usize,
    /// A call panicked.
    broken: bool,
}

/// Stores the reason of a failure for `wisp_last_error`.
fn fail(status: WispStatus, reason: fmt::Arguments<'_>) -> WispStatus {
    message::set(Message::new(reason));
    status
}

/// Runs the body of a function and turns its result, or a panic, into a status.
fn guard(body: impl FnOnce() -> Result<(), WispStatus>) -> WispStatus {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => WispStatus::Ok,
        Ok(Err(status)) => status,
        Err(payload) => {
            // Dropping it could panic again.
            std::mem::forget(payload);
            fail(WispStatus::Internal, format_args!("a bug in Wisp: it panicked"))
        }
    }
}

/// # Safety
///
/// `engine` is null, or from `wisp_engine_new`, not freed, and in use by nobody else.
unsafe fn handle<'a>(engine: *mut WispEngine) -> Result<&'a mut WispEngine, WispStatus> {
    // SAFETY: see above.
    let engine = unsafe { engine.as_mut() };
    let engine =
        engine.ok_or_else(|| fail(WispStatus::NullPointer, format_args!("engine is NULL")))?;
    if engine.broken {
        let reason = "an earlier call to this engine met a bug in Wisp; free the engine";
        return Err(fail(WispStatus::Internal, format_args!("{reason}")));
    }
    Ok(engine)
}

/// Checks the buffer that C calls `name`.
fn checked(name: fmt::Arguments<'_>, buffer: *mut f32, samples: usize) -> Result<(), WispStatus> {
    if buffer.is_null() {
        return Err(fail(WispStatus::NullPointer, format_args!("{name} is NULL")));
    }
    if !buffer.is_aligned() {
        let reason = "is not aligned to a float";
        return Err(fail(WispStatus::Buffer, format_args!("{name} {reason}")));
    }
    let bytes = samples.checked_mul(size_of::<f32>()).filter(|&b| isize::try_from(b).is_ok());
    if bytes.and_then(|bytes| buffer.addr().checked_add(bytes)).is_none() {
        let reason = "more than memory can hold";
        return Err(fail(WispStatus::Buffer, format_args!("{name}: {samples} samples, {reason}")));
    }
    Ok(())
}

impl WispEngine {
    /// Runs the engine and marks it as broken if it panics.
    fn run(&mut self, work: impl FnOnce(&mut Engine, &Controls)) {
        self.broken = true;
        work(&mut self.engine, &self.controls);
        self.broken = false;
    }

    fn process_interleaved(&mut self, samples: &mut [f32]) {
        if self.channels == 1 {
            return self.run(|engine, controls| engine.process(controls, &mut [samples]));
        }
        for pairs in samples.as_chunks_mut::<2>().0.chunks_mut(SEGMENT) {
            let [left, right] = &mut [[0.0; SEGMENT]; 2];
            let (left, right) = (&mut left[..pairs.len()], &mut right[..pairs.len()]);
            for ((l, r), pair) in left.iter_mut().zip(right.iter_mut()).zip(pairs.iter()) {
                [*l, *r] = *pair;
            }
            self.run(|engine, controls| engine.process(controls, &mut [left, right]));
            for ((l, r), pair) in left.iter().zip(right.iter()).zip(pairs.iter_mut()) {
                *pair = [*l, *r];
            }
        }
    }
}

/// Sets a control by its number in [`WispControl`], if the value is valid.
fn set(controls: &mut Controls, control: i32, value: f32) -> Result<(), WispStatus> {
    let number = |name: &str, low: f32, high: f32| {
        if (low..=high).contains(&value) {
            return Ok(value);
        }
        Err(fail(WispStatus::Value, format_args!("{name} {value}, expected {low} to {high}")))
    };
    let choice = |name: &str| match value {
        0.0 => Ok(false),
        1.0 => Ok(true),
        _ => Err(fail(WispStatus::Value, format_args!("{name} {value}, expected 0 or 1"))),
    };
    match control {
        c if c == WispControl::Reduction as i32 => {
            controls.reduction_db = number("reduction", 0.0, f32::INFINITY)?;
        }
        c if c == WispControl::Sensitivity as i32 => {
            controls.sensitivity_db = number("sensitivity", -12.0, 12.0)?;
        }
        c if c == WispControl::Ambience as i32 => {
            controls.ambience = number("ambience", 0.0, 1.0)?;
        }
        c if c == WispControl::Output as i32 => {
            controls.output_db = number("output", -96.0, 36.0)?;
        }
        c if c == WispControl::Listen as i32 => {
            controls.listen = if choice("listen")? { Listen::Removed } else { Listen::Result };
        }
        c if c == WispControl::Stereo as i32 => {
            controls.stereo = if choice("stereo")? { Stereo::Independent } else { Stereo::Linked };
        }
        c if c == WispControl::Bypass as i32 => controls.bypass = choice("bypass")?,
        _ => return Err(no_such(control)),
    }
    Ok(())
}

fn get(controls: &Controls, control: i32) -> Result<f32, WispStatus> {
    Ok(match control {
        c if c == WispControl::Reduction as i32 => controls.reduction_db,
        c if c == WispControl::Sensitivity as i32 => controls.sensitivity_db,
        c if c == WispControl::Ambience as i32 => controls.ambience,
        c if c == WispControl::Output as i32 => controls.output_db,
        c if c == WispControl::Listen as i32 => f32::from(controls.listen == Listen::Removed),
        c if c == WispControl::Stereo as i32 => f32::from(controls.stereo == Stereo::Independent),
        c if c == WispControl::Bypass as i32 => f32::from(controls.bypass),
        _ => return Err(no_such(control)),
    })
}

fn no_such(control: i32) -> WispStatus {
    fail(WispStatus::Control, format_args!("there is no control {control}"))
}

/// Wisp's version, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn wisp_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The reason for the latest failed call in this thread; "" if none has failed. Valid until the next one fails.
#[unsafe(no_mangle)]
pub extern "C" fn wisp_last_error() -> *const c_char {
    message::pointer()
}

/// Creates an engine for a sample rate of 8000 to 384000 Hz and 1 or 2 channels, and allocates all that it will need. Its quality
/// is WISP_QUALITY_LIVE.
///
/// On failure *engine is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_new(
    sample_rate: u32,
    channels: u32,
    engine: *mut *mut WispEngine,
) -> WispStatus {
    let quality = WispQuality::Live as i32;
    // SAFETY: as the header asks.
    unsafe { wisp_engine_new_with_quality(sample_rate, channels, quality, engine) }
}

/// Like wisp_engine_new, with a quality: one of WispQuality. The quality of an engine cannot change.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_new_with_quality(
    sample_rate: u32,
    channels: u32,
    quality: i32,
    engine: *mut *mut WispEngine,
) -> WispStatus {
    guard(|| {
        if engine.is_null() {
            return Err(fail(WispStatus::NullPointer, format_args!("engine is NULL")));
        }
        // SAFETY: the caller's variable, whatever it holds.
        unsafe { engine.write(ptr::null_mut()) };
        if !(1..=2).contains(&channels) {
            let reason = format_args!("{channels} channels, expected 1 or 2");
            return Err(fail(WispStatus::Channels, reason));
        }
        let channels = channels as usize;
        let quality = match quality {
            q if q == WispQuality::Live as i32 => Quality::Live,
            q if q == WispQuality::Studio as i32 => Quality::Studio,
            _ => {
                let reason = format_args!("there is no quality {quality}");
                return Err(fail(WispStatus::Quality, reason));
            }
        };
        let model = Model::bundled(quality);
        let inner = Engine::new(&model, sample_rate, channels).map_err(|error| {
            let status = match error {
                EngineError::SampleRate(_) => WispStatus::SampleRate,
                EngineError::Channels(_) => WispStatus::Channels,
                _ => WispStatus::Internal,
            };
            fail(status, format_args!("{error}"))
        })?;
        let made = Box::new(WispEngine {
            engine: inner,
            controls: Controls::default(),
            channels,
            broken: false,
        });
        // SAFETY: as above.
        unsafe { engine.write(Box::into_raw(made)) };
        Ok(())
    })
}

/// Frees an engine. NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_free(engine: *mut WispEngine) {
    guard(|| {
        if !engine.is_null() {
            // SAFETY: from `wisp_engine_new`, and freed once.
            drop(unsafe { Box::from_raw(engine) });
        }
        Ok(())
    });
}

/// Denoises `samples` samples of each channel in place. `channels` points to one buffer per channel; they must not overlap.
///
/// `samples` may differ from call to call; block size does not affect the output. NaN and infinity count as 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_process(
    engine: *mut WispEngine,
    channels: *const *mut f32,
    samples: usize,
) -> WispStatus {
    guard(|| {
        // SAFETY: as the header asks.
        let wisp = unsafe { handle(engine) }?;
        if samples == 0 {
            return Ok(());
        }
        if channels.is_null() || !channels.is_aligned() {
            let reason = "channels is NULL or not aligned to a pointer";
            return Err(fail(WispStatus::NullPointer, format_args!("{reason}")));
        }
        let mut buffers = [ptr::null_mut::<f32>(); 2];
        let buffers = &mut buffers[..wisp.channels];
        for (i, buffer) in buffers.iter_mut().enumerate() {
            // SAFETY: the caller gives one pointer per channel.
            *buffer = unsafe { channels.add(i).read() };
            checked(format_args!("channels[{i}]"), *buffer, samples)?;
        }
        // SAFETY: checked above, and as long as the caller says.
        let block = |buffer: *mut f32| unsafe { slice::from_raw_parts_mut(buffer, samples) };
        match *buffers {
            [mono] => wisp.run(|engine, controls| engine.process(controls, &mut [block(mono)])),
            [left, right] => {
                if left.addr().abs_diff(right.addr()) < samples * size_of::<f32>() {
                    return Err(fail(
                        WispStatus::Buffer,
                        format_args!("channels[0] and channels[1] overlap"),
                    ));
                }
                wisp.run(|engine, controls| {
                    engine.process(controls, &mut [block(left), block(right)]);
                });
            }
            _ => {}
        }
        Ok(())
    })
}

/// Denoises `frames` frames in place: one sample of each channel, then the next of each. Otherwise like wisp_engine_process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_process_interleaved(
    engine: *mut WispEngine,
    samples: *mut f32,
    frames: usize,
) -> WispStatus {
    guard(|| {
        // SAFETY: as the header asks.
        let wisp = unsafe { handle(engine) }?;
        if frames == 0 {
            return Ok(());
        }
        let length = frames.saturating_mul(wisp.channels);
        checked(format_args!("samples"), samples, length)?;
        // SAFETY: checked above, and as long as the caller says.
        wisp.process_interleaved(unsafe { slice::from_raw_parts_mut(samples, length) });
        Ok(())
    })
}

/// Sets a control: one of WispControl, and a value within its range. The change is ramped over 10 ms.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_set_control(
    engine: *mut WispEngine,
    control: i32,
    value: f32,
) -> WispStatus {
    guard(|| {
        // SAFETY: as the header asks.
        let wisp = unsafe { handle(engine) }?;
        set(&mut wisp.controls, control, value)
    })
}

/// Reads a control: one of WispControl.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_get_control(
    engine: *mut WispEngine,
    control: i32,
    value: *mut f32,
) -> WispStatus {
    guard(|| {
        // SAFETY: as the header asks.
        let wisp = unsafe { handle(engine) }?;
        checked(format_args!("value"), value, 1)?;
        let read = get(&wisp.controls, control)?;
        // SAFETY: checked above.
        unsafe { value.write(read) };
        Ok(())
    })
}

/// Delay from input to output in samples: 20 ms for WISP_QUALITY_LIVE, 60 ms for WISP_QUALITY_STUDIO, rounded to whole samples. 0
/// if engine is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_latency(engine: *const WispEngine) -> usize {
    // SAFETY: as the header asks.
    unsafe { engine.as_ref() }.map_or(0, |wisp| wisp.engine.latency_samples())
}

/// Samples of silent input after which the output is silent. 0 if engine is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_tail(engine: *const WispEngine) -> usize {
    // SAFETY: as the header asks.
    unsafe { engine.as_ref() }.map_or(0, |wisp| wisp.engine.tail_samples())
}

/// Discards the audio so far, for example before another recording. The controls keep their values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_reset(engine: *mut WispEngine) -> WispStatus {
    guard(|| {
        // SAFETY: as the header asks.
        let wisp = unsafe { handle(engine) }?;
        wisp.run(|engine, _| engine.reset());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(guard(|| panic!("inside")), WispStatus::Internal);
        // SAFETY: a string that ends.
        let message = unsafe { CStr::from_ptr(wisp_last_error()) };
        assert!(message.to_str().expect("UTF-8").contains("panicked"));
    }

    #[test]
    fn an_engine_that_panicked_says_so_from_then_on() {
        let mut engine = ptr::null_mut();
        // SAFETY: as the header asks.
        unsafe {
            assert_eq!(wisp_engine_new(48_000, 1, &mut engine), WispStatus::Ok);
            let wisp = &mut *engine;
            assert_eq!(
                guard(|| {
                    wisp.run(|_, _| panic!("inside"));
                    Ok(())
                }),
                WispStatus::Internal
            );
            let mut samples = [0.25; 8];
            let status = wisp_engine_process_interleaved(engine, samples.as_mut_ptr(), 8);
            assert_eq!((status, samples), (WispStatus::Internal, [0.25; 8]));
            assert_eq!(wisp_engine_reset(engine), WispStatus::Internal);
            wisp_engine_free(engine);
        }
    }
}
