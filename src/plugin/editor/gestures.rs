//! Every change that the user makes in the editor, as gestures that a host can record and as steps of the history.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nice_plug::prelude::{ParamSetter, PluginApi};

use crate::plugin::history::{Change, History};
use crate::plugin::memory::{LoadedPreset, OtherSetting, Slot, SoundMemory, Values};
use crate::plugin::params::{EngineParameter, Parameter, WispParams};

/// State that outlives the window: the histories of both settings, and unfinished gestures.
pub(super) struct Histories {
    each: [History; 2],
    /// Parameters being changed by the user, and their previous values.
    open: Vec<(Parameter, f32)>,
    /// Each window's clock starts at zero.
    start: Instant,
}

impl Default for Histories {
    fn default() -> Self {
        Self { each: Default::default(), open: Vec::new(), start: Instant::now() }
    }
}

/// Changes parameters.
pub(super) struct Gestures<'a> {
    pub params: &'a WispParams,
    setter: ParamSetter<'a>,
    histories: &'a Mutex<Histories>,
}

impl<'a> Gestures<'a> {
    pub(super) fn new(
        params: &'a WispParams,
        setter: ParamSetter<'a>,
        histories: &'a Mutex<Histories>,
    ) -> Self {
        Self { params, setter, histories }
    }

    /// The window closes: ends unfinished gestures; a change in the next window is a separate step.
    pub(super) fn let_go(&self) {
        let open = std::mem::take(&mut self.histories().open);
        for (parameter, before) in open {
            self.params.param(parameter).end(&self.setter);
            let after = self.params.param(parameter).normalized();
            self.record(vec![Change { parameter, before, after }]);
        }
        self.histories().each.iter_mut().for_each(History::seal);
    }

    /// A gesture begins.
    pub(super) fn begin(&self, parameter: impl Into<Parameter>) {
        let parameter = parameter.into();
        self.histories().open.push((parameter, self.params.param(parameter).normalized()));
        self.params.param(parameter).begin(&self.setter);
    }

    /// Within a gesture.
    pub(super) fn set(&self, parameter: impl Into<Parameter>, normalized: f32) {
        self.params.param(parameter).set(&self.setter, normalized);
    }

    /// Ends a gesture that led from one value to another.
    pub(super) fn end(&self, parameter: impl Into<Parameter>, before: f32, after: f32) {
        let parameter = parameter.into();
        self.release(parameter);
        self.record(vec![Change { parameter, before, after }]);
    }

    /// One step: a gesture for each value that changes.
    pub(super) fn change(&self, values: &[(impl Into<Parameter> + Copy, f32)]) {
        let values: Vec<_> =
            values.iter().map(|&(parameter, value)| (parameter.into(), value)).collect();
        let step = values.iter().map(|&(parameter, after)| {
            let before = self.params.param(parameter).normalized();
            Change { parameter, before, after }
        });
        self.record(step.collect());
        self.apply(&values);
    }

    fn release(&self, parameter: Parameter) {
        self.params.param(parameter).end(&self.setter);
        self.histories().open.retain(|(open, _)| *open != parameter);
        // A CLAP host is asked once the change has reached the plugin; a VST3 host is asked here, on its main thread if possible.
        if parameter == Parameter::Quality
            && self.setter.raw_context.plugin_api() == PluginApi::Vst3
        {
            self.setter.raw_context.request_restart();
        }
    }

    fn record(&self, step: Vec<Change>) {
        let now = self.histories().start.elapsed().as_secs_f64();
        self.history(|history| history.record(step, now));
    }

    fn apply(&self, values: &[(Parameter, f32)]) {
        for &(parameter, value) in values {
            if self.params.param(parameter).normalized() != value {
                self.begin(parameter);
                self.set(parameter, value);
                self.release(parameter);
            }
        }
    }

    /// The history of the active setting.
    fn history<T>(&self, work: impl FnOnce(&mut History) -> T) -> T {
        let slot = self.params.sound_memory(|memory| memory.slot) as usize;
        work(&mut self.histories().each[slot])
    }

    fn histories(&self) -> MutexGuard<'_, Histories> {
        self.histories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn can_undo(&self) -> bool {
        self.history(|history| history.can_undo())
    }

    pub(super) fn can_redo(&self) -> bool {
        self.history(|history| history.can_redo())
    }

    pub(super) fn undo(&self) {
        if let Some(values) = self.history(History::undo) {
            self.apply(&values);
        }
    }

    pub(super) fn redo(&self) {
        if let Some(values) = self.history(History::redo) {
            self.apply(&values);
        }
    }

    /// Loads a preset's values as one step.
    pub(super) fn load(&self, name: &str, values: &[(EngineParameter, f32)]) {
        self.change(values);
        let preset = LoadedPreset { name: name.to_owned(), values: by_id(values) };
        self.params
            .set_sound_memory(SoundMemory { preset, ..self.params.sound_memory(Clone::clone) });
    }

    /// Marks the current values as a preset's.
    pub(super) fn saved(&self, name: &str) {
        let values = self.params.values(&EngineParameter::SOUND);
        let preset = LoadedPreset { name: name.to_owned(), values };
        self.params
            .set_sound_memory(SoundMemory { preset, ..self.params.sound_memory(Clone::clone) });
    }

    /// Whether the values differ from the loaded preset's.
    pub(super) fn is_changed(&self) -> bool {
        self.params.sound_memory(|memory| {
            EngineParameter::SOUND.iter().any(|&parameter| {
                let now = self.params.param(parameter).normalized();
                let value = memory.preset.values.get(parameter.id());
                value.is_some_and(|value| (value - now).abs() > 1e-4)
            })
        })
    }

    /// Switches to one of the two settings; the second starts as a copy of the first.
    pub(super) fn switch(&self, slot: Slot) {
        let memory = self.params.sound_memory(Clone::clone);
        if memory.slot == slot {
            return;
        }
        let here = self.setting(&memory);
        let there = memory.other.unwrap_or_else(|| here.clone());
        let values = Parameter::COMPARED.iter().filter_map(|&parameter| {
            let value = *there.values.get(parameter.id())?;
            value.is_finite().then_some((parameter, value.clamp(0.0, 1.0)))
        });
        self.apply(&values.collect::<Vec<_>>());
        self.histories().each.iter_mut().for_each(History::seal);
        self.params.set_sound_memory(SoundMemory { slot, preset: there.preset, other: Some(here) });
    }

    /// Copies the active setting to the other one.
    pub(super) fn copy_to_other(&self) {
        let memory = self.params.sound_memory(Clone::clone);
        let other = Some(self.setting(&memory));
        self.params.set_sound_memory(SoundMemory { other, ..memory });
    }

    fn setting(&self, memory: &SoundMemory) -> OtherSetting {
        let values = self.params.values(&Parameter::COMPARED);
        OtherSetting { preset: memory.preset.clone(), values }
    }
}

fn by_id(values: &[(EngineParameter, f32)]) -> Values {
    values.iter().map(|&(parameter, value)| (parameter.id().to_owned(), value)).collect()
}
