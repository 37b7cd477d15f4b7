//! The Rust part of the Python package `wisp_denoise`: an engine for numpy arrays. The rest is in `python/`.
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::PyReadwriteArray2;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use wisp::parameter::SENSITIVITY_RANGE_DB;
use wisp::{Controls, Listen, Model, Role, Stereo, preset};

/// One stream of audio: the engine behind `wisp_denoise.Denoiser`.
#[pyclass(module = "wisp_denoise._wisp", frozen)]
struct Engine {
    stream: Mutex<Stream>,
    /// Separate from the stream, so that setting one never waits for a block.
    controls: Mutex<Controls>,
    aligned: bool,
    /// Number of channels.
    #[pyo3(get)]
    channels: usize,
    /// Delay from input to output, samples.
    #[pyo3(get)]
    latency: usize,
}

struct Stream {
    engine: wisp::Engine,
    /// Output samples left before the first of the recording.
    ahead: usize,
}

impl Engine {
    /// Only while detached from the interpreter, because another thread may be processing.
    fn stream(&self) -> PyResult<MutexGuard<'_, Stream>> {
        let broken = |_| PyRuntimeError::new_err("an earlier call met a bug in Wisp");
        self.stream.lock().map_err(broken)
    }

    fn controls(&self) -> MutexGuard<'_, Controls> {
        self.controls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Output samples to drop before the first of a recording.
    fn ahead(&self) -> usize {
        if self.aligned { self.latency } else { 0 }
    }
}

#[pymethods]
impl Engine {
    /// `passed` lists the channels that are not denoised; `weights` is the content of a file and overrides `studio`.
    #[new]
    fn new(
        py: Python<'_>,
        rate: u32,
        channels: usize,
        passed: Vec<usize>,
        studio: bool,
        weights: Option<Vec<u8>>,
        aligned: bool,
    ) -> PyResult<Self> {
        let role = |i| if passed.contains(&i) { Role::Passed } else { Role::Denoised };
        let roles: Vec<Role> = (0..channels).map(role).collect();
        let engine = py.detach(|| {
            let model = match weights {
                Some(bytes) => Model::from_bytes(&bytes).map_err(|error| value_error(&error))?,
                None if studio => Model::studio(),
                None => Model::live(),
            };
            wisp::Engine::with_roles(&model, rate, &roles).map_err(|error| value_error(&error))
        })?;
        let latency = engine.latency_samples();
        let ahead = if aligned { latency } else { 0 };
        let stream = Mutex::new(Stream { engine, ahead });
        Ok(Self { stream, controls: Mutex::default(), aligned, channels, latency })
    }

    /// Denoises in place: shape (channels, samples), each row contiguous. Returns how many of the samples come before the first
    /// of the recording.
    fn process(&self, py: Python<'_>, mut audio: PyReadwriteArray2<'_, f32>) -> PyResult<usize> {
        let mut audio = audio.as_array_mut();
        let (channels, samples) = audio.dim();
        let rows = audio.outer_iter_mut().map(|row| row.into_slice());
        let rows: Option<Vec<&mut [f32]>> = rows.collect();
        let Some(mut rows) = rows.filter(|_| channels == self.channels) else {
            let reason = format!("{channels} rows, expected {} in one piece each", self.channels);
            return Err(PyValueError::new_err(reason));
        };
        let controls = *self.controls();
        py.detach(|| {
            let mut stream = self.stream()?;
            stream.engine.process(&controls, &mut rows);
            let early = stream.ahead.min(samples);
            stream.ahead -= early;
            Ok(early)
        })
    }

    /// Discards the audio so far. The controls keep their values.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let mut stream = self.stream()?;
            stream.engine.reset();
            stream.ahead = self.ahead();
            Ok(())
        })
    }

    /// Sets a control by its name, if the value is valid; choices are 0 or 1.
    fn set(&self, name: &str, value: f32) -> PyResult<()> {
        let mut controls = self.controls();
        let on = value == 1.0;
        let (low, high, number) = match name {
            "reduction_db" => (0.0, f32::INFINITY, &mut controls.reduction_db),
            "sensitivity_db" => {
                (-SENSITIVITY_RANGE_DB, SENSITIVITY_RANGE_DB, &mut controls.sensitivity_db)
            }
            "ambience" => (0.0, 1.0, &mut controls.ambience),
            "output_db" => (-96.0, 36.0, &mut controls.output_db),
            _ => {
                match name {
                    "removed" => {
                        controls.listen = if on { Listen::Removed } else { Listen::Result };
                    }
                    "independent" => {
                        controls.stereo = if on { Stereo::Independent } else { Stereo::Linked };
                    }
                    "bypass" => controls.bypass = on,
                    _ => return Err(no_such(name)),
                }
                return Ok(());
            }
        };
        if !(low..=high).contains(&value) {
            let reason = format!("{name} is {value}, expected {low} to {high}");
            return Err(PyValueError::new_err(reason));
        }
        *number = value;
        Ok(())
    }

    /// The value of a control by its name.
    fn get(&self, name: &str) -> PyResult<f64> {
        let controls = *self.controls();
        Ok(match name {
            "reduction_db" => decimal(controls.reduction_db),
            "sensitivity_db" => decimal(controls.sensitivity_db),
            "ambience" => decimal(controls.ambience),
            "output_db" => decimal(controls.output_db),
            "removed" => f64::from(controls.listen == Listen::Removed),
            "independent" => f64::from(controls.stereo == Stereo::Independent),
            "bypass" => f64::from(controls.bypass),
            _ => return Err(no_such(name)),
        })
    }

    /// Applies a factory preset; false if there is none of this name.
    fn use_factory_preset(&self, name: &str) -> PyResult<bool> {
        let found = preset::FACTORY.iter().find(|preset| preset.name.eq_ignore_ascii_case(name));
        found.map(|found| self.apply(found.settings)).transpose().map(|found| found.is_some())
    }

    /// Applies the text of a preset file.
    fn use_preset_text(&self, text: &str) -> PyResult<()> {
        self.apply(&preset::parse(text).map_err(PyValueError::new_err)?)
    }
}

impl Engine {
    /// Applies all of the settings, or none.
    fn apply(&self, settings: &[preset::Setting<impl AsRef<str>>]) -> PyResult<()> {
        let mut controls = self.controls();
        let mut set = *controls;
        for (name, text) in settings {
            let text = text.as_ref();
            let wrong = || PyValueError::new_err(format!("{name}: {text:?} is not valid"));
            preset::apply(&mut set, name, text).ok_or_else(wrong)?;
        }
        *controls = set;
        Ok(())
    }
}

/// The error with its causes.
fn value_error(error: &dyn Error) -> PyErr {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    PyValueError::new_err(text)
}

fn no_such(control: &str) -> PyErr {
    PyValueError::new_err(format!("there is no control {control}"))
}

/// The nearest number as one would write it: 0.05 instead of 0.05000000074505806.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

#[pymodule]
mod _wisp {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::Engine;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        let presets = super::preset::FACTORY.iter().map(|preset| (preset.name, preset.purpose));
        module.add("PRESETS", presets.collect::<Vec<_>>())
    }
}
