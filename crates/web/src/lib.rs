//! Wisp as WebAssembly: plain functions on numbers, which `web/wisp.js` and `web/worklet.js` call.
//!
//! The module imports nothing. Everything is allocated by [`wisp_new`]; later calls neither allocate nor make the memory
//! grow, so that JavaScript can keep its view of an engine's samples. A bug in Wisp ends a call with a trap.
#![allow(unsafe_code)] // pointers to JavaScript and from it
#![allow(clippy::missing_safety_doc)] // engines come from wisp_new and have not been freed

mod pack;

use std::sync::OnceLock;

use wisp::parameter::EngineParameter;
use wisp::{Controls, Engine, Model};

static WEIGHTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weights"));

/// Largest number of samples per channel in a call.
const LARGEST_BLOCK: usize = 1 << 16;

/// Softer samples, below -600 dBFS, count as silence. WebAssembly cannot flush denormals to zero, and arithmetic with them
/// takes several times as long.
const SILENCE: f32 = 1e-30;

/// One stream of audio.
pub struct Wisp {
    engine: Engine,
    controls: Controls,
    audio: Vec<f32>, // (channels, block)
    block: usize,
}

/// The bundled weights, unpacked once.
fn model() -> Option<Model> {
    static MODEL: OnceLock<Option<Model>> = OnceLock::new();
    MODEL.get_or_init(|| Model::from_bytes(&pack::unpack(WEIGHTS)?).ok()).clone()
}

impl Wisp {
    fn new(sample_rate: u32, channels: usize, block: usize) -> Option<Self> {
        if !(1..=2).contains(&channels) || !(1..=LARGEST_BLOCK).contains(&block) {
            return None;
        }
        let engine = Engine::new(&model()?, sample_rate, channels).ok()?;
        let audio = vec![0.0; channels * block];
        Some(Self { engine, controls: Controls::default(), audio, block })
    }

    fn process(&mut self, samples: usize) {
        let samples = samples.min(self.block);
        let (engine, controls) = (&mut self.engine, &self.controls);
        let (left, right) = self.audio.split_at_mut(self.block);
        for x in left[..samples].iter_mut().chain(right.iter_mut().take(samples)) {
            if x.abs() < SILENCE {
                *x = 0.0;
            }
        }
        if right.is_empty() {
            engine.process(controls, &mut [&mut left[..samples]]);
        } else {
            engine.process(controls, &mut [&mut left[..samples], &mut right[..samples]]);
        }
    }
}

/// Creates an engine for a sample rate of 8000 to 384000 Hz and 1 or 2 channels that takes up to `block` samples at a time;
/// null if any of these is out of range.
#[unsafe(no_mangle)]
pub extern "C" fn wisp_new(sample_rate: u32, channels: usize, block: usize) -> *mut Wisp {
    let made = Wisp::new(sample_rate, channels, block);
    made.map_or(std::ptr::null_mut(), |wisp| Box::into_raw(Box::new(wisp)))
}

/// Frees an engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_free(wisp: *mut Wisp) {
    // SAFETY: from `wisp_new`, and freed once.
    drop(unsafe { Box::from_raw(wisp) });
}

/// The sample buffer: `block` samples of each channel, one channel after the other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_audio(wisp: *mut Wisp) -> *mut f32 {
    // SAFETY: an engine.
    unsafe { &mut *wisp }.audio.as_mut_ptr()
}

/// Denoises the first `samples` samples of each channel in place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_process(wisp: *mut Wisp, samples: usize) {
    // SAFETY: an engine.
    unsafe { &mut *wisp }.process(samples);
}

/// Sets a control, by its index in [`EngineParameter::ALL`], to a value in the plugin's units, clamped to its range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_set(wisp: *mut Wisp, control: usize, value: f32) {
    // SAFETY: an engine.
    let wisp = unsafe { &mut *wisp };
    if let Some(parameter) = EngineParameter::ALL.get(control) {
        parameter.set(&mut wisp.controls, value);
    }
}

/// Delay from input to output, samples.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_latency(wisp: *const Wisp) -> usize {
    // SAFETY: an engine.
    unsafe { &*wisp }.engine.latency_samples()
}

/// Samples of silent input after which the output is silent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_tail(wisp: *const Wisp) -> usize {
    // SAFETY: an engine.
    unsafe { &*wisp }.engine.tail_samples()
}

/// Discards the audio so far. The controls keep their values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_reset(wisp: *mut Wisp) {
    // SAFETY: an engine.
    unsafe { &mut *wisp }.engine.reset();
}
