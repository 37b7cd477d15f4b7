//! Every change that the user makes in the editor, as gestures that a host can record and as steps of the history.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nice_plug::prelude::ParamSetter;

use crate::plugin::history::{Change, History};
use crate::plugin::memory::{LoadedPreset, OtherSetting, Slot, SoundMemory, Values};
use crate::plugin::params::{Control, WispParams};

/// State that outlives the window: the histories of both settings, and unfinished gestures.
pub(super) struct Histories {
    each: [History; 2],
    /// Parameters being changed by the user, and their previous values.
    open: Vec<(Control, f32)>,
    /// Each window's clock starts at zero.
    start: Instant,
}

impl Default for Histories {
    fn default() -> Self {
        Self { each: Default::default(), open: Vec::new(), start: Instant::now() }
    }
}

/// Changes parameters.
pub(super) struct Hand<'a> {
    pub params: &'a WispParams,
    setter: ParamSetter<'a>,
    histories: &'a Mutex<Histories>,
}

impl<'a> Hand<'a> {
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
        for (control, before) in open {
            self.params.handle(control).end(&self.setter);
            let after = self.params.handle(control).normalized();
            self.record(vec![Change { control, before, after }]);
        }
        self.histories().each.iter_mut().for_each(History::seal);
    }

    /// A gesture begins.
    pub(super) fn begin(&self, control: Control) {
        self.histories().open.push((control, self.params.handle(control).normalized()));
        self.params.handle(control).begin(&self.setter);
    }

    /// Within a gesture.
    pub(super) fn set(&self, control: Control, normalized: f32) {
        self.params.handle(control).set(&self.setter, normalized);
    }

    /// Ends a gesture that led from one value to another.
    pub(super) fn end(&self, control: Control, before: f32, after: f32) {
        self.release(control);
        self.record(vec![Change { control, before, after }]);
    }

    /// One step: a gesture for each value that changes.
    pub(super) fn change(&self, values: &[(Control, f32)]) {
        let step = values.iter().map(|&(control, after)| {
            let before = self.params.handle(control).normalized();
            Change { control, before, after }
        });
        self.record(step.collect());
        self.apply(values);
    }

    fn release(&self, control: Control) {
        self.params.handle(control).end(&self.setter);
        self.histories().open.retain(|(open, _)| *open != control);
    }

    fn record(&self, step: Vec<Change>) {
        let now = self.histories().start.elapsed().as_secs_f64();
        self.history(|history| history.record(step, now));
    }

    fn apply(&self, values: &[(Control, f32)]) {
        for &(control, value) in values {
            if self.params.handle(control).normalized() != value {
                self.begin(control);
                self.set(control, value);
                self.release(control);
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
    pub(super) fn load(&self, name: &str, values: &[(Control, f32)]) {
        self.change(values);
        let preset = LoadedPreset { name: name.to_owned(), values: by_id(values) };
        self.params
            .set_sound_memory(SoundMemory { preset, ..self.params.sound_memory(Clone::clone) });
    }

    /// Remembers that the current values are a preset's.
    pub(super) fn saved(&self, name: &str) {
        let preset = LoadedPreset { name: name.to_owned(), values: self.params.values() };
        self.params
            .set_sound_memory(SoundMemory { preset, ..self.params.sound_memory(Clone::clone) });
    }

    /// Whether the values differ from the loaded preset's.
    pub(super) fn is_changed(&self) -> bool {
        self.params.sound_memory(|memory| {
            Control::SOUND.iter().any(|&control| {
                let now = self.params.handle(control).normalized();
                let value = memory.preset.values.get(control.id());
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
        let values = Control::SOUND.iter().filter_map(|&control| {
            let value = *there.values.get(control.id())?;
            value.is_finite().then_some((control, value.clamp(0.0, 1.0)))
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
        OtherSetting { preset: memory.preset.clone(), values: self.params.values() }
    }
}

fn by_id(values: &[(Control, f32)]) -> Values {
    values.iter().map(|&(control, value)| (control.id().to_owned(), value)).collect()
}
