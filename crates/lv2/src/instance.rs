//! An engine between a host's ports.
#![allow(unsafe_code)] // ports are pointers from the host

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use wisp::parameter::EngineParameter;
use wisp::{Controls, Engine, Model};

use crate::port::{Format, Port, ports};

/// Samples processed at a time.
const SEGMENT: usize = 256;

/// One instance of a plugin.
pub struct Instance {
    engine: Engine,
    format: Format,
    channels: usize,
    ports: Vec<Port>,
    /// The buffer or value of each port; null until the host connects it.
    places: Vec<*mut f32>,
    scratch: [[f32; SEGMENT]; 2],
    /// The engine panicked; the input passes through from then on.
    broken: bool,
}

impl Instance {
    /// For a rate and 1 or 2 channels; `None` if the engine does not support them.
    pub fn new(format: Format, rate: u32, channels: usize) -> Option<Box<Self>> {
        let engine = Engine::new(&Model::live(), rate, channels).ok()?;
        let ports = ports(channels);
        let places = vec![ptr::null_mut(); ports.len()];
        let scratch = [[0.0; SEGMENT]; 2];
        Some(Box::new(Self { engine, format, channels, ports, places, scratch, broken: false }))
    }

    /// A handle for the host; null if there is no instance.
    pub(crate) fn into_handle(format: Format, rate: u32, channels: usize) -> *mut c_void {
        let new = || Self::new(format, rate, channels);
        let made = catch_unwind(new).ok().flatten();
        made.map_or(ptr::null_mut(), |instance| Box::into_raw(instance).cast())
    }

    /// Frees a handle made by [`Self::into_handle`].
    ///
    /// # Safety
    ///
    /// `handle` is from there, and is not used any more.
    unsafe fn free(handle: *mut c_void) {
        if !handle.is_null() {
            let free = || {
                // SAFETY: see above.
                drop(unsafe { Box::from_raw(handle.cast::<Self>()) });
            };
            let _ = catch_unwind(AssertUnwindSafe(free));
        }
    }

    /// # Safety
    ///
    /// `handle` is from [`Self::into_handle`], and nobody else uses it meanwhile.
    pub(crate) unsafe fn of<'a>(handle: *mut c_void) -> Option<&'a mut Self> {
        // SAFETY: see above.
        unsafe { handle.cast::<Self>().as_mut() }
    }

    /// Connects a port to its buffer or value. Unknown port numbers are ignored.
    pub fn connect(&mut self, port: usize, place: *mut f32) {
        if let Some(old) = self.places.get_mut(port) {
            *old = place;
        }
    }

    /// Discards the audio so far.
    pub fn activate(&mut self) {
        self.engine.reset();
        self.broken = false;
    }

    /// Processes `samples` samples. Input and output of a channel may be the same buffer.
    ///
    /// # Safety
    ///
    /// Every port is unconnected or points to memory that the plugin may use: `samples` samples, or one value.
    pub unsafe fn run(&mut self, samples: usize) {
        let mut controls = Controls::default();
        for (port, &place) in self.ports.iter().zip(&self.places) {
            if place.is_null() {
                continue;
            }
            match port {
                Port::Control(parameter) => {
                    // SAFETY: a control port points to a value.
                    let value = unsafe { place.read() };
                    let inverted =
                        *parameter == EngineParameter::Bypass && self.format == Format::Lv2;
                    parameter.set(&mut controls, if inverted { 1.0 - value } else { value });
                }
                // SAFETY: so does this one.
                Port::Latency => unsafe { place.write(self.engine.latency_samples() as f32) },
                Port::Input(_) | Port::Output(_) => {}
            }
        }
        let mut at = 0;
        while at < samples {
            let length = SEGMENT.min(samples - at);
            // Read all inputs before writing any output: a host may pass the same buffer for both.
            for channel in 0..self.channels {
                let input = &mut self.scratch[channel][..length];
                let place = self.places[channel];
                if place.is_null() {
                    input.fill(0.0);
                } else {
                    // SAFETY: an audio port points to all samples; the scratch is ours.
                    unsafe { ptr::copy_nonoverlapping(place.add(at), input.as_mut_ptr(), length) };
                }
            }
            if !self.broken {
                self.denoise(&controls, length);
            }
            for channel in 0..self.channels {
                let place = self.places[self.channels + channel];
                let output = &self.scratch[channel][..length];
                if !place.is_null() {
                    // SAFETY: as above.
                    unsafe { ptr::copy_nonoverlapping(output.as_ptr(), place.add(at), length) };
                }
            }
            at += length;
        }
    }

    /// Processes the scratch in place. Panics are caught, because a host would not survive them.
    fn denoise(&mut self, controls: &Controls, length: usize) {
        let (engine, [left, right]) = (&mut self.engine, &mut self.scratch);
        let process = || match self.channels {
            1 => engine.process(controls, &mut [&mut left[..length]]),
            _ => engine.process(controls, &mut [&mut left[..length], &mut right[..length]]),
        };
        self.broken = catch_unwind(AssertUnwindSafe(process)).is_err();
    }
}

/// Both formats' call before the first block after a pause.
pub(crate) unsafe extern "C" fn activate(handle: *mut c_void) {
    // SAFETY: the host gives what it got from `instantiate`.
    if let Some(instance) = unsafe { Instance::of(handle) } {
        instance.activate();
    }
}

/// Both formats' last call.
pub(crate) unsafe extern "C" fn cleanup(handle: *mut c_void) {
    // SAFETY: as above, for the last time.
    unsafe { Instance::free(handle) };
}
