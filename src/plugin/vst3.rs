//! The object that VST3 hosts see: a layer in front of the framework's that adds what it lacks (`docs/upstream/`).
//!
//! Parameter changes by the host's controller take effect at any time, not only while no audio is processed. Hosts that
//! automate a parameter send each value twice: to the processor with sample accuracy, and to the controller, late and for the
//! display. Such echoes are shown and saved but do not disturb the automation. Delay and tail can be queried before the plugin
//! is active, and a change of quality requests a restart from the host. Silent blocks are flagged. Requests out of range get an
//! answer instead of crashing the host.
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nice_plug::prelude::PluginState;
use nice_plug::wrapper::vst3::vst3::Steinberg::Vst::*;
use nice_plug::wrapper::vst3::vst3::Steinberg::*;
use nice_plug::wrapper::vst3::vst3::{Class, ComPtr, ComRef, ComWrapper};
use nice_plug::wrapper::vst3::{PluginInfo, Wrapper};

use super::instance::{Shared, made};
use super::params::{AnyParam, Parameter};
use super::{Wisp, worker};

/// For this long after an automation point, controller changes of the same parameter count as its echo.
const ECHO: Duration = Duration::from_millis(500);
/// After this long without a block, processing counts as stopped, and changes need not wait for the next block.
const STILL: Duration = Duration::from_millis(200);
/// A host notified of a new delay should restart the plugin within this time; otherwise it is asked in another way.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest text that is read from a host, UTF-16 units.
const LONGEST_TEXT: usize = 128;

/// Parameter changes from the controller that have not reached the processor yet.
struct Told {
    shared: Shared,
    /// In the order of [`Parameter::ALL`].
    parameters: [Heard; Parameter::ALL.len()],
    /// Whether `setProcessing` is on.
    processing: AtomicBool,
    /// When the latest block ended, or [`NOW`] during a block.
    block: AtomicU64,
    start: Instant,
    host: Mutex<Option<ComPtr<IComponentHandler>>>,
    /// The delay last read by the host or reported to it.
    latency: AtomicU32,
    /// A pending restart request.
    asked: Mutex<Option<Asked>>,
    /// A call to the host is in progress.
    calling: AtomicBool,
    /// The host is activating or deactivating the plugin; notifications happen there.
    changing: AtomicBool,
    /// The worker has found that the host should be asked.
    seen: AtomicBool,
}

/// No delay has been reported to the host yet.
const UNREAD: u32 = u32::MAX;

/// A restart requested from the host.
struct Asked {
    since: Instant,
    reload: bool,
}

/// Stands for the time of a block in progress.
const NOW: u64 = u64::MAX;

/// Values of one parameter from the host.
#[derive(Default)]
struct Heard {
    id: ParamID,
    waiting: Waiting,
    /// When the latest automation arrived, microseconds from the start; 0: none yet.
    automated: AtomicU64,
}

/// A value pending for the next block, if any.
struct Waiting(AtomicU32);

impl Waiting {
    const NONE: u32 = u32::MAX; // a NaN

    fn get(&self) -> Option<f32> {
        let bits = self.0.load(Ordering::Acquire);
        (bits != Self::NONE).then_some(f32::from_bits(bits))
    }

    fn set(&self, value: f32) {
        self.0.store(value.to_bits(), Ordering::Release);
    }

    fn take(&self) -> Option<f32> {
        let bits = self.0.swap(Self::NONE, Ordering::AcqRel);
        (bits != Self::NONE).then_some(f32::from_bits(bits))
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self(AtomicU32::new(Self::NONE))
    }
}

impl Told {
    fn micros(&self) -> u64 {
        self.start.elapsed().as_micros() as u64 + 1
    }

    fn index(&self, id: ParamID) -> Option<usize> {
        self.parameters.iter().position(|parameter| parameter.id == id)
    }

    fn param(&self, index: usize) -> &dyn AnyParam {
        self.shared.params.param(Parameter::ALL[index])
    }

    /// Whether blocks are arriving.
    fn moves(&self) -> bool {
        let block = self.block.load(Ordering::Acquire);
        self.processing.load(Ordering::Acquire)
            && (block == NOW || self.micros().saturating_sub(block) < STILL.as_micros() as u64)
    }

    /// The host's controller or the editor sets a parameter.
    fn tell(&self, id: ParamID, value: ParamValue) -> tresult {
        let Some(index) = self.index(id) else { return kInvalidArgument };
        if !value.is_finite() {
            return kInvalidArgument;
        }
        let value = self.param(index).snapped(value.clamp(0.0, 1.0) as f32);
        if Parameter::ALL[index] == Parameter::Quality {
            // It takes effect with the next activation, not with the next block.
            self.param(index).put(value);
            return kResultOk;
        }
        self.parameters[index].waiting.set(value);
        if !self.moves() {
            self.settle();
        }
        kResultOk
    }

    /// Takes the pending values.
    fn settle(&self) {
        for (index, parameter) in self.parameters.iter().enumerate() {
            if let Some(value) = parameter.waiting.take() {
                self.param(index).put(value);
            }
        }
    }

    /// Drops the pending values.
    fn forget(&self) {
        for parameter in &self.parameters {
            parameter.waiting.take();
        }
    }

    /// Requests a restart from the host if the quality set differs from the active one. Not for the audio thread, nor within
    /// calls in which hosts hold locks.
    fn attend(&self) {
        if let Some(flags) = self.wanted() {
            // No further notification is needed when the host activates the plugin.
            let latency = self.shared.next_timing().latency as u32;
            self.latency.store(latency, Ordering::Relaxed);
            self.tell_host(flags);
        }
    }

    /// The request to the host.
    fn wanted(&self) -> Option<int32> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.shared.is_outdated() {
            if asked.take().is_some() {
                // The user has changed it back.
                let latency = self.shared.timing().latency as u32;
                self.latency.store(latency, Ordering::Relaxed);
            }
            return None;
        }
        match &mut *asked {
            None => {
                *asked = Some(Asked { since: Instant::now(), reload: false });
                Some(RestartFlags_::kLatencyChanged)
            }
            // Some hosts treat the first as a notification and only read the delay; this one makes them reactivate the plugin.
            Some(asked) if !asked.reload && asked.since.elapsed() > PATIENCE => {
                asked.reload = true;
                Some(RestartFlags_::kReloadComponent | RestartFlags_::kLatencyChanged)
            }
            Some(_) => None,
        }
    }

    /// Whether the delay last reported to the host differs from the active one.
    fn is_misled(&self) -> bool {
        let known = self.latency.load(Ordering::Relaxed);
        let active = self.shared.status.is_active() && !self.shared.is_outdated();
        active && known != UNREAD && known != self.shared.timing().latency as u32
    }

    /// Notifies the host if the delay has changed. Restrictions as for [`Told::attend`].
    fn tell_latency(&self) {
        // A host that restarts the plugin in response may hold locks, and is already informed.
        if self.is_misled() && !self.calling.load(Ordering::Acquire) {
            let latency = self.shared.timing().latency as u32;
            self.latency.store(latency, Ordering::Relaxed);
            self.tell_host(RestartFlags_::kLatencyChanged);
        }
    }

    /// The plugin has been reactivated: no block yet, and no pending restart.
    fn activated(&self) {
        self.block.store(0, Ordering::Release);
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Notifies the host of changes.
    fn tell_host(&self, flags: int32) {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(host) = host {
            self.calling.store(true, Ordering::Release);
            // SAFETY: alive as long as it is held. No lock is held, because the host may call back.
            unsafe { host.restartComponent(flags) };
            self.calling.store(false, Ordering::Release);
        }
    }

    /// Audio thread, before a block: takes the pending values, except echoes of automation.
    fn begin_block(&self, automated: impl Iterator<Item = ParamID>) {
        self.block.store(NOW, Ordering::Release);
        for index in automated.filter_map(|id| self.index(id)) {
            self.parameters[index].waiting.take();
            self.parameters[index].automated.store(NOW, Ordering::Relaxed);
        }
        for (index, parameter) in self.parameters.iter().enumerate() {
            if parameter.waiting.get().is_none() {
                continue;
            }
            let automated = parameter.automated.load(Ordering::Relaxed);
            let echo = automated == NOW
                || automated > 0
                    && self.micros().saturating_sub(automated) < ECHO.as_micros() as u64;
            if !echo && let Some(value) = parameter.waiting.take() {
                self.param(index).put(value);
            }
        }
    }

    /// Audio thread, after a block.
    fn end_block(&self) {
        let now = self.micros();
        for parameter in &self.parameters {
            let _ = parameter.automated.compare_exchange(
                NOW,
                now,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        self.block.store(now, Ordering::Release);
    }

    /// A saved state with the pending values included.
    fn amended(&self, saved: Vec<u8>) -> Vec<u8> {
        let Ok(mut state) = serde_json::from_slice::<PluginState>(&saved) else { return saved };
        for (parameter, heard) in Parameter::ALL.into_iter().zip(&self.parameters) {
            if let Some(value) = heard.waiting.get() {
                let value = self.shared.params.saved(parameter, value);
                state.params.insert(parameter.id().to_owned(), value);
            }
        }
        serde_json::to_vec(&state).unwrap_or(saved)
    }
}

/// Work discovered by the audio thread.
impl worker::Watched for Told {
    fn watch(&self) -> bool {
        // The host's own threads have priority.
        if self.changing.load(Ordering::Acquire) {
            return true;
        }
        if !self.shared.is_outdated() && !self.is_misled() {
            self.seen.store(false, Ordering::Relaxed);
        } else if self.seen.swap(true, Ordering::Relaxed) {
            self.attend();
            self.tell_latency();
        }
        self.shared.status.is_active()
    }
}

/// Wraps the host's handler, which the editor calls through this.
struct Handler {
    host: ComPtr<IComponentHandler>,
    told: Arc<Told>,
}

impl Class for Handler {
    type Interfaces = (IComponentHandler,);
}

#[allow(non_snake_case)]
impl IComponentHandlerTrait for Handler {
    unsafe fn beginEdit(&self, id: ParamID) -> tresult {
        // SAFETY: the host's handler is alive as long as this holds it.
        unsafe { self.host.beginEdit(id) }
    }

    unsafe fn performEdit(&self, id: ParamID, value: ParamValue) -> tresult {
        self.told.tell(id, value);
        // SAFETY: as above.
        unsafe { self.host.performEdit(id, value) }
    }

    unsafe fn endEdit(&self, id: ParamID) -> tresult {
        // SAFETY: as above.
        unsafe { self.host.endEdit(id) }
    }

    unsafe fn restartComponent(&self, flags: int32) -> tresult {
        // The editor has changed the quality.
        if flags & RestartFlags_::kLatencyChanged != 0 {
            self.told.attend();
        }
        let flags = flags & !RestartFlags_::kLatencyChanged;
        if flags == 0 {
            return kResultOk;
        }
        // SAFETY: as above.
        unsafe { self.host.restartComponent(flags) }
    }
}

/// Component and controller in one.
pub(super) struct Component {
    inner: Wrapper<Wisp>,
    told: Arc<Told>,
    ready: AtomicBool,
}

impl Class for Component {
    type Interfaces = (
        IComponent,
        IEditController,
        IEditControllerHostEditing,
        IAudioProcessor,
        IProcessContextRequirements,
        IUnitInfo,
    );
}

impl Component {
    pub(super) fn new() -> Self {
        let (inner, shared) = made(Wrapper::new);
        if let Some(executor) =
            shared.executor.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            // Before the host can query it.
            worker::park(&executor);
        }
        let parameters = std::array::from_fn(|index| {
            // SAFETY: plain numbers and characters, for which zero is valid.
            let mut info: ParameterInfo = unsafe { std::mem::zeroed() };
            // SAFETY: a valid pointer for the result; the index is in range.
            unsafe { inner.getParameterInfo(index as int32, &mut info) };
            Heard { id: info.id, ..Heard::default() }
        });
        let told = Arc::new(Told {
            shared,
            parameters,
            processing: AtomicBool::new(false),
            block: AtomicU64::new(0),
            start: Instant::now(),
            host: Mutex::new(None),
            latency: AtomicU32::new(UNREAD),
            asked: Mutex::new(None),
            calling: AtomicBool::new(false),
            changing: AtomicBool::new(false),
            seen: AtomicBool::new(false),
        });
        let watched: Arc<dyn worker::Watched> = told.clone();
        worker::watch(Arc::downgrade(&watched));
        Self { inner, told, ready: AtomicBool::new(false) }
    }

    /// Between activation and the first block there is no audio to keep aligned, so a new quality takes effect at once: Ardour
    /// activates the plugin before it loads the state.
    fn refresh(&self) {
        if self.told.shared.is_outdated() && self.told.block.load(Ordering::Acquire) == 0 {
            self.told.changing.store(true, Ordering::Release);
            // SAFETY: the framework's own calls; they wait for a block that might start meanwhile.
            unsafe {
                IComponentTrait::setActive(&self.inner, 0);
                IComponentTrait::setActive(&self.inner, 1);
            }
            self.told.changing.store(false, Ordering::Release);
        }
    }
}

/// Calls that the framework's object answers.
macro_rules! pass_on {
    ($trait:ident: $(fn $name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        $(unsafe fn $name(&self, $($argument: $type),*) -> $output {
            // SAFETY: guaranteed by the host.
            unsafe { $trait::$name(&self.inner, $($argument),*) }
        })*
    };
}

#[allow(non_snake_case)]
impl IPluginBaseTrait for Component {
    pass_on! { IPluginBaseTrait:
        fn initialize(context: *mut FUnknown) -> tresult;
        fn terminate() -> tresult;
    }
}

#[allow(non_snake_case)]
impl IComponentTrait for Component {
    pass_on! { IComponentTrait:
        fn getControllerClassId(id: *mut TUID) -> tresult;
        fn setIoMode(mode: IoMode) -> tresult;
        fn getBusCount(kind: MediaType, direction: BusDirection) -> int32;
        fn getBusInfo(kind: MediaType, direction: BusDirection, index: int32, info: *mut BusInfo) -> tresult;
        fn getRoutingInfo(input: *mut RoutingInfo, output: *mut RoutingInfo) -> tresult;
        fn activateBus(kind: MediaType, direction: BusDirection, index: int32, state: TBool) -> tresult;
    }

    unsafe fn setActive(&self, state: TBool) -> tresult {
        self.told.settle();
        self.told.changing.store(true, Ordering::Release);
        // SAFETY: guaranteed by the host.
        let result = unsafe { IComponentTrait::setActive(&self.inner, state) };
        if state != 0 && result == kResultOk {
            worker::wake();
            self.told.activated();
            self.told.tell_latency();
        }
        self.told.changing.store(false, Ordering::Release);
        result
    }

    unsafe fn setState(&self, state: *mut IBStream) -> tresult {
        // SAFETY: guaranteed by the host.
        let result = unsafe { IComponentTrait::setState(&self.inner, state) };
        if result == kResultOk {
            self.told.forget();
            // Hosts may hold locks meanwhile, so the worker notifies them if necessary.
            if worker::HERE || self.told.latency.load(Ordering::Relaxed) == UNREAD {
                self.refresh();
            }
            self.told.seen.store(true, Ordering::Relaxed);
            worker::wake();
        }
        result
    }

    unsafe fn getState(&self, state: *mut IBStream) -> tresult {
        // SAFETY: the host's stream, or null.
        let Some(stream) = (unsafe { ComRef::from_raw(state) }) else { return kInvalidArgument };
        let memory = ComWrapper::new(Memory::default());
        let Some(pointer) = memory.to_com_ptr::<IBStream>() else { return kResultFalse };
        // SAFETY: a live stream.
        let result = unsafe { IComponentTrait::getState(&self.inner, pointer.as_ptr()) };
        if result != kResultOk {
            return result;
        }
        let mut bytes = self.told.amended(memory.bytes.take());
        let mut written = 0;
        let (data, length) = (bytes.as_mut_ptr().cast(), bytes.len() as int32);
        // SAFETY: `bytes` is valid for its length, and there is a place for the count.
        let result = unsafe { stream.write(data, length, &mut written) };
        if result == kResultOk && written == length { kResultOk } else { kResultFalse }
    }
}

#[allow(non_snake_case)]
impl IEditControllerTrait for Component {
    pass_on! { IEditControllerTrait:
        fn setComponentState(state: *mut IBStream) -> tresult;
        fn setState(state: *mut IBStream) -> tresult;
        fn getState(state: *mut IBStream) -> tresult;
        fn getParameterCount() -> int32;
        fn getParamStringByValue(id: ParamID, value: ParamValue, text: *mut String128) -> tresult;
        fn normalizedParamToPlain(id: ParamID, value: ParamValue) -> ParamValue;
        fn plainParamToNormalized(id: ParamID, value: ParamValue) -> ParamValue;
        fn createView(name: FIDString) -> *mut IPlugView;
    }

    unsafe fn getParameterInfo(&self, index: int32, info: *mut ParameterInfo) -> tresult {
        let Some(parameter) = usize::try_from(index).ok().and_then(|i| Parameter::ALL.get(i))
        else {
            return kInvalidArgument;
        };
        // SAFETY: guaranteed by the host.
        let result = unsafe { IEditControllerTrait::getParameterInfo(&self.inner, index, info) };
        if result == kResultOk && self.told.shared.params.param(*parameter).is_list() {
            // SAFETY: the framework has filled it.
            unsafe { (*info).flags |= ParameterInfo_::ParameterFlags_::kIsList as int32 };
        }
        result
    }

    unsafe fn getParamValueByString(
        &self,
        id: ParamID,
        text: *mut TChar,
        value: *mut ParamValue,
    ) -> tresult {
        let Some(index) = self.told.index(id) else { return kInvalidArgument };
        if text.is_null() || value.is_null() {
            return kInvalidArgument;
        }
        // SAFETY: zero-terminated text, not read past its end.
        let units = (0..LONGEST_TEXT).map(|at| unsafe { *text.add(at) });
        let units: Vec<u16> = units.take_while(|&unit| unit != 0).collect();
        match self.told.param(index).parse(&String::from_utf16_lossy(&units)) {
            Some(parsed) => {
                // SAFETY: a valid pointer for the value.
                unsafe { *value = parsed.into() };
                kResultOk
            }
            None => kResultFalse,
        }
    }

    unsafe fn getParamNormalized(&self, id: ParamID) -> ParamValue {
        let waiting = self.told.index(id).and_then(|i| self.told.parameters[i].waiting.get());
        // SAFETY: any number is valid.
        waiting.map_or_else(
            || unsafe { IEditControllerTrait::getParamNormalized(&self.inner, id) },
            ParamValue::from,
        )
    }

    unsafe fn setParamNormalized(&self, id: ParamID, value: ParamValue) -> tresult {
        let result = self.told.tell(id, value);
        self.refresh();
        self.told.attend();
        self.told.tell_latency();
        result
    }

    unsafe fn setComponentHandler(&self, handler: *mut IComponentHandler) -> tresult {
        // SAFETY: the host's handler, or null.
        let host = unsafe { ComRef::from_raw(handler) }.map(|handler| handler.to_com_ptr());
        let ours = host.clone().and_then(|host| {
            ComWrapper::new(Handler { host, told: self.told.clone() }).to_com_ptr()
        });
        *self.told.host.lock().unwrap_or_else(PoisonError::into_inner) = host;
        let pointer = ours.as_ref().map_or(null_mut(), ComPtr::as_ptr);
        // SAFETY: a live handler, to which the framework keeps a reference, or null.
        unsafe { IEditControllerTrait::setComponentHandler(&self.inner, pointer) }
    }
}

/// Without this, hosts offer no parameter that cannot be automated.
#[allow(non_snake_case)]
impl IEditControllerHostEditingTrait for Component {
    unsafe fn beginEditFromHost(&self, id: ParamID) -> tresult {
        if self.told.index(id).is_some() { kResultOk } else { kInvalidArgument }
    }

    unsafe fn endEditFromHost(&self, id: ParamID) -> tresult {
        if self.told.index(id).is_some() { kResultOk } else { kInvalidArgument }
    }
}

#[allow(non_snake_case)]
impl IAudioProcessorTrait for Component {
    pass_on! { IAudioProcessorTrait:
        fn setBusArrangements(inputs: *mut SpeakerArrangement, ins: int32, outputs: *mut SpeakerArrangement, outs: int32) -> tresult;
        fn getBusArrangement(direction: BusDirection, index: int32, arrangement: *mut SpeakerArrangement) -> tresult;
        fn canProcessSampleSize(size: int32) -> tresult;
    }

    unsafe fn getLatencySamples(&self) -> uint32 {
        let latency = self.told.shared.timing().latency as u32;
        self.told.latency.store(latency, Ordering::Relaxed);
        latency
    }

    unsafe fn setupProcessing(&self, setup: *mut ProcessSetup) -> tresult {
        // SAFETY: guaranteed by the host.
        let result = unsafe { IAudioProcessorTrait::setupProcessing(&self.inner, setup) };
        if result == kResultOk {
            // SAFETY: not null, or the framework would have rejected it.
            self.told.shared.status.set_rate(unsafe { (*setup).sampleRate } as f32);
            self.ready.store(true, Ordering::Release);
        }
        result
    }

    unsafe fn setProcessing(&self, state: TBool) -> tresult {
        self.told.processing.store(state != 0, Ordering::Release);
        self.told.settle();
        // SAFETY: guaranteed by the host.
        unsafe { IAudioProcessorTrait::setProcessing(&self.inner, state) }
    }

    unsafe fn process(&self, data: *mut ProcessData) -> tresult {
        if data.is_null() || !self.ready.load(Ordering::Acquire) {
            return kInvalidArgument;
        }
        // SAFETY: not null, and valid for the whole call.
        let block = unsafe { &*data };
        // SAFETY: the host's changes, or null.
        self.told.begin_block(unsafe { automated(block.inputParameterChanges) });
        // SAFETY: guaranteed by the host.
        let result = unsafe { IAudioProcessorTrait::process(&self.inner, data) };
        self.told.end_block();
        if result == kResultOk {
            // SAFETY: the framework has just filled these buffers.
            unsafe { flag_silence(block) };
        }
        result
    }

    unsafe fn getTailSamples(&self) -> uint32 {
        self.told.shared.timing().tail as u32
    }
}

/// The parameters that change in a block.
///
/// # Safety
///
/// `changes` are the host's, or null.
unsafe fn automated(changes: *mut IParameterChanges) -> impl Iterator<Item = ParamID> {
    // SAFETY: guaranteed by the caller.
    let changes = unsafe { ComRef::from_raw(changes) };
    // SAFETY: alive within the call.
    let count = changes.as_ref().map_or(0, |changes| unsafe { changes.getParameterCount() });
    (0..count).filter_map(move |at| {
        // SAFETY: the index is below the queue count; the queue is alive within the call.
        let queue = unsafe { ComRef::from_raw(changes.as_ref()?.getParameterData(at)) }?;
        // SAFETY: as above.
        let (id, points) = unsafe { (queue.getParameterId(), queue.getPointCount()) };
        (points > 0).then_some(id)
    })
}

/// Flags silent channels for the host.
///
/// # Safety
///
/// The block's buffers have the length that it states.
unsafe fn flag_silence(block: &ProcessData) {
    let samples = usize::try_from(block.numSamples).unwrap_or(0);
    if block.numOutputs < 1 || block.outputs.is_null() || samples == 0 {
        return;
    }
    // SAFETY: there is a bus with `numChannels` channels of `samples` samples.
    unsafe {
        let bus = &mut *block.outputs;
        let channels = bus.__field0.channelBuffers32;
        if channels.is_null() {
            return;
        }
        let count = usize::try_from(bus.numChannels).unwrap_or(0).min(64);
        bus.silenceFlags = (0..count)
            .map(|channel| u64::from(super::is_silent(*channels.add(channel), samples)) << channel)
            .sum();
    }
}

#[allow(non_snake_case)]
impl IProcessContextRequirementsTrait for Component {
    unsafe fn getProcessContextRequirements(&self) -> uint32 {
        0 // A denoiser needs neither tempo nor song position.
    }
}

#[allow(non_snake_case)]
impl IUnitInfoTrait for Component {
    unsafe fn getUnitCount(&self) -> int32 {
        1
    }

    unsafe fn getUnitInfo(&self, index: int32, info: *mut UnitInfo) -> tresult {
        if index != 0 || info.is_null() {
            return kInvalidArgument;
        }
        let mut name = [0; 128];
        "Wisp".encode_utf16().zip(&mut name).for_each(|(unit, place)| *place = unit as TChar);
        let (id, parentUnitId, programListId) = (kRootUnitId, kNoParentUnitId, kNoProgramListId);
        // SAFETY: a valid pointer for it.
        unsafe { *info = UnitInfo { id, parentUnitId, name, programListId } };
        kResultOk
    }

    pass_on! { IUnitInfoTrait:
        fn getProgramListCount() -> int32;
        fn getProgramListInfo(index: int32, info: *mut ProgramListInfo) -> tresult;
        fn getProgramName(list: ProgramListID, index: int32, name: *mut String128) -> tresult;
        fn getProgramInfo(list: ProgramListID, index: int32, id: *const char8, value: *mut String128) -> tresult;
        fn hasProgramPitchNames(list: ProgramListID, index: int32) -> tresult;
        fn getProgramPitchName(list: ProgramListID, index: int32, pitch: int16, name: *mut String128) -> tresult;
        fn getSelectedUnit() -> UnitID;
        fn selectUnit(unit: UnitID) -> tresult;
        fn getUnitByBus(kind: MediaType, direction: BusDirection, index: int32, channel: int32, unit: *mut UnitID) -> tresult;
        fn setUnitProgramData(list: int32, index: int32, data: *mut IBStream) -> tresult;
    }
}

/// A stream written sequentially.
#[derive(Default)]
struct Memory {
    bytes: RefCell<Vec<u8>>,
}

impl Class for Memory {
    type Interfaces = (IBStream,);
}

#[allow(non_snake_case)]
impl IBStreamTrait for Memory {
    unsafe fn read(&self, _: *mut c_void, _: int32, _: *mut int32) -> tresult {
        kNotImplemented
    }

    unsafe fn write(&self, data: *mut c_void, count: int32, done: *mut int32) -> tresult {
        let count = usize::try_from(count).unwrap_or(0);
        if count > 0 {
            // SAFETY: the framework's buffer holds this many bytes.
            let new = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), count) };
            self.bytes.borrow_mut().extend(new);
        }
        if !done.is_null() {
            // SAFETY: a valid pointer for the count.
            unsafe { *done = count as int32 };
        }
        kResultOk
    }

    unsafe fn seek(&self, _: int64, _: int32, _: *mut int64) -> tresult {
        kNotImplemented
    }

    unsafe fn tell(&self, _: *mut int64) -> tresult {
        kNotImplemented
    }
}

/// Creates [`Component`]s.
struct Factory(PluginInfo);

impl Class for Factory {
    type Interfaces = (IPluginFactory, IPluginFactory2, IPluginFactory3);
}

/// The factory's description of its only class.
macro_rules! describe {
    ($index:ident, $info:ident, $made:expr) => {{
        if $index != 0 || $info.is_null() {
            return kInvalidArgument;
        }
        // SAFETY: a valid pointer for it.
        unsafe { *$info = $made };
        kResultOk
    }};
}

#[allow(non_snake_case)]
impl IPluginFactoryTrait for Factory {
    unsafe fn getFactoryInfo(&self, info: *mut PFactoryInfo) -> tresult {
        let index = 0;
        describe!(index, info, self.0.create_factory_info())
    }

    unsafe fn countClasses(&self) -> int32 {
        1
    }

    unsafe fn getClassInfo(&self, index: int32, info: *mut PClassInfo) -> tresult {
        describe!(index, info, self.0.create_class_info())
    }

    unsafe fn createInstance(
        &self,
        cid: FIDString,
        iid: FIDString,
        object: *mut *mut c_void,
    ) -> tresult {
        if cid.is_null() || iid.is_null() || object.is_null() {
            return kInvalidArgument;
        }
        // SAFETY: a class id is 16 bytes.
        if unsafe { &*cid.cast::<[u8; 16]>() } != self.0.cid {
            return kInvalidArgument;
        }
        let made = ComWrapper::new(Component::new());
        let Some(unknown) = made.as_com_ref::<FUnknown>() else { return kResultFalse };
        let pointer = unknown.as_ptr();
        // SAFETY: a live object; the interface it returns holds its own reference.
        unsafe { ((*(*pointer).vtbl).queryInterface)(pointer, iid.cast::<TUID>(), object) }
    }
}

#[allow(non_snake_case)]
impl IPluginFactory2Trait for Factory {
    unsafe fn getClassInfo2(&self, index: int32, info: *mut PClassInfo2) -> tresult {
        describe!(index, info, self.0.create_class_info_2())
    }
}

#[allow(non_snake_case)]
impl IPluginFactory3Trait for Factory {
    unsafe fn getClassInfoUnicode(&self, index: int32, info: *mut PClassInfoW) -> tresult {
        describe!(index, info, self.0.create_class_info_unicode())
    }

    unsafe fn setHostContext(&self, _: *mut FUnknown) -> tresult {
        kResultOk
    }
}

/// The library's entry points.
mod entry {
    use super::*;

    /// The factory, with one reference for the host.
    #[unsafe(no_mangle)]
    extern "system" fn GetPluginFactory() -> *mut c_void {
        ComWrapper::new(Factory(PluginInfo::for_plugin::<Wisp>()))
            .to_com_ptr::<IPluginFactory>()
            .map_or(null_mut(), |factory| factory.into_raw().cast())
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[unsafe(no_mangle)]
    extern "C" fn ModuleEntry(_: *mut c_void) -> bool {
        nice_plug::wrapper::setup_logger::<Wisp>();
        true
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[unsafe(no_mangle)]
    extern "C" fn ModuleExit() -> bool {
        true
    }

    #[cfg(target_os = "macos")]
    #[unsafe(no_mangle)]
    extern "C" fn bundleEntry(_: *mut c_void) -> bool {
        nice_plug::wrapper::setup_logger::<Wisp>();
        true
    }

    #[cfg(target_os = "macos")]
    #[unsafe(no_mangle)]
    extern "C" fn bundleExit() -> bool {
        true
    }

    #[cfg(windows)]
    #[unsafe(no_mangle)]
    extern "system" fn InitDll() -> bool {
        nice_plug::wrapper::setup_logger::<Wisp>();
        true
    }

    #[cfg(windows)]
    #[unsafe(no_mangle)]
    extern "system" fn ExitDll() -> bool {
        true
    }
}
