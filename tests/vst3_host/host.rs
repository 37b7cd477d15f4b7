//! A VST3 host: the objects that the plugin calls, and the plugin's own calls.
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ThreadId;

use nice_plug::wrapper::vst3::vst3::Steinberg::IBStream_::{IStreamSeekMode, IStreamSeekMode_};
pub(crate) use nice_plug::wrapper::vst3::vst3::Steinberg::Vst::*;
pub(crate) use nice_plug::wrapper::vst3::vst3::Steinberg::*;
pub(crate) use nice_plug::wrapper::vst3::vst3::{Class, ComPtr, ComWrapper, Interface};

unsafe extern "system" {
    fn GetPluginFactory() -> *mut c_void;
}

/// An in-memory stream.
struct Stream {
    bytes: RefCell<Vec<u8>>,
    at: Cell<usize>,
}

impl Class for Stream {
    type Interfaces = (IBStream,);
}

#[allow(non_snake_case)]
impl IBStreamTrait for Stream {
    unsafe fn read(&self, buffer: *mut c_void, numBytes: int32, done: *mut int32) -> tresult {
        let bytes = self.bytes.borrow();
        let from = self.at.get().min(bytes.len());
        let count = (bytes.len() - from).min(usize::try_from(numBytes).unwrap_or(0));
        // SAFETY: the buffer has room for the requested bytes and does not overlap ours.
        unsafe { buffer.cast::<u8>().copy_from_nonoverlapping(bytes[from..].as_ptr(), count) };
        self.at.set(from + count);
        if !done.is_null() {
            // SAFETY: not null, so it points to the caller's count.
            unsafe { *done = count as int32 };
        }
        kResultOk
    }

    unsafe fn write(&self, buffer: *mut c_void, numBytes: int32, done: *mut int32) -> tresult {
        let count = usize::try_from(numBytes).unwrap_or(0);
        // SAFETY: the buffer holds this many bytes.
        let new = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), count) };
        let mut bytes = self.bytes.borrow_mut();
        bytes.truncate(self.at.get());
        bytes.extend(new);
        self.at.set(bytes.len());
        if !done.is_null() {
            // SAFETY: not null, so it points to the caller's count.
            unsafe { *done = numBytes };
        }
        kResultOk
    }

    unsafe fn seek(&self, pos: int64, mode: int32, result: *mut int64) -> tresult {
        // Unsigned on Unix, signed on Windows.
        let from = match mode as IStreamSeekMode {
            IStreamSeekMode_::kIBSeekCur => self.at.get() as int64,
            IStreamSeekMode_::kIBSeekEnd => self.bytes.borrow().len() as int64,
            _ => 0,
        };
        self.at.set(usize::try_from(from + pos).unwrap_or(0));
        if !result.is_null() {
            // SAFETY: not null, so it points to the caller's position.
            unsafe { *result = self.at.get() as int64 };
        }
        kResultOk
    }

    unsafe fn tell(&self, pos: *mut int64) -> tresult {
        // SAFETY: it points to the caller's position.
        unsafe { *pos = self.at.get() as int64 };
        kResultOk
    }
}

/// One parameter's changes within a block.
struct Queue {
    id: ParamID,
    points: Vec<(int32, ParamValue)>,
}

impl Class for Queue {
    type Interfaces = (IParamValueQueue,);
}

#[allow(non_snake_case)]
impl IParamValueQueueTrait for Queue {
    unsafe fn getParameterId(&self) -> ParamID {
        self.id
    }

    unsafe fn getPointCount(&self) -> int32 {
        self.points.len() as int32
    }

    unsafe fn getPoint(&self, index: int32, offset: *mut int32, value: *mut ParamValue) -> tresult {
        let point = usize::try_from(index).ok().and_then(|index| self.points.get(index));
        let Some(&point) = point else { return kInvalidArgument };
        // SAFETY: both point to the caller's values.
        unsafe { (*offset, *value) = point };
        kResultOk
    }

    unsafe fn addPoint(&self, _: int32, _: ParamValue, _: *mut int32) -> tresult {
        kResultFalse
    }
}

/// All changes within a block.
struct Changes(Vec<ComPtr<IParamValueQueue>>);

impl Class for Changes {
    type Interfaces = (IParameterChanges,);
}

impl IParameterChangesTrait for Changes {
    unsafe fn getParameterCount(&self) -> int32 {
        self.0.len() as int32
    }

    unsafe fn getParameterData(&self, index: int32) -> *mut IParamValueQueue {
        let queue = usize::try_from(index).ok().and_then(|index| self.0.get(index));
        queue.map_or(null_mut(), ComPtr::as_ptr)
    }

    unsafe fn addParameterData(&self, _: *const ParamID, _: *mut int32) -> *mut IParamValueQueue {
        null_mut()
    }
}

/// What a host does when it is told of a latency, or to reload the plugin.
type Answer = Box<dyn Fn() + Send>;

/// Counts edits and latency changes.
#[derive(Default)]
pub(crate) struct Handler {
    pub(crate) begun: AtomicUsize,
    pub(crate) ended: AtomicUsize,
    pub(crate) latencies: AtomicUsize,
    /// The thread that told of the last one.
    pub(crate) teller: Mutex<Option<ThreadId>>,
    pub(crate) answer: Mutex<Option<Answer>>,
    pub(crate) reloads: AtomicUsize,
    pub(crate) reload: Mutex<Option<Answer>>,
}

impl Class for Handler {
    type Interfaces = (IComponentHandler,);
}

impl Handler {
    /// Does nothing more when it is told: the answers hold the plugin.
    pub(crate) fn forget(&self) {
        *self.answer.lock().expect("no panic") = None;
        *self.reload.lock().expect("no panic") = None;
    }
}

#[allow(non_snake_case)]
impl IComponentHandlerTrait for Handler {
    unsafe fn beginEdit(&self, _: ParamID) -> tresult {
        self.begun.fetch_add(1, Ordering::SeqCst);
        kResultOk
    }
    unsafe fn performEdit(&self, _: ParamID, _: ParamValue) -> tresult {
        kResultOk
    }
    unsafe fn endEdit(&self, _: ParamID) -> tresult {
        self.ended.fetch_add(1, Ordering::SeqCst);
        kResultOk
    }
    unsafe fn restartComponent(&self, flags: int32) -> tresult {
        if flags & RestartFlags_::kReloadComponent != 0 {
            self.reloads.fetch_add(1, Ordering::SeqCst);
            if let Some(reload) = &*self.reload.lock().expect("no panic") {
                reload();
            }
        } else if flags & RestartFlags_::kLatencyChanged != 0 {
            self.latencies.fetch_add(1, Ordering::SeqCst);
            *self.teller.lock().expect("no panic") = Some(std::thread::current().id());
            // Taken out, so that a second notice within the first is counted and not answered.
            let answer = self.answer.lock().expect("no panic").take();
            if let Some(answer) = answer {
                answer();
                *self.answer.lock().expect("no panic") = Some(answer);
            }
        }
        kResultOk
    }
}

pub(crate) fn factory() -> ComPtr<IPluginFactory3> {
    // SAFETY: the entry point returns a factory and passes one reference to us.
    let factory = unsafe { ComPtr::from_raw(GetPluginFactory().cast::<IPluginFactory>()) };
    factory.expect("a factory").cast().expect("a factory of version 3")
}

/// An instance and the host's handler for it.
pub(crate) struct Plugin {
    pub(crate) component: ComPtr<IComponent>,
    pub(crate) processor: ComPtr<IAudioProcessor>,
    pub(crate) controller: ComPtr<IEditController>,
    pub(crate) handler: ComWrapper<Handler>,
}

// SAFETY: VST3 hosts call from several threads; tests keep to the rules for which call belongs where.
unsafe impl Send for Plugin {}
// SAFETY: see Send.
unsafe impl Sync for Plugin {}

/// One change of a parameter: id, sample within the block, value.
pub(crate) type Change = (ParamID, usize, f64);

impl Plugin {
    pub(crate) fn new() -> Self {
        let factory = factory();
        // SAFETY: plain data, for which all zeros is valid.
        let mut info: PClassInfo = unsafe { std::mem::zeroed() };
        assert_eq!(com!(factory.getClassInfo(0, &mut info)), kResultOk);
        let mut object = null_mut();
        let iid = IComponent::IID.as_ptr().cast::<c_char>();
        let made = com!(factory.createInstance(info.cid.as_ptr(), iid, &mut object));
        assert_eq!(made, kResultOk);
        // SAFETY: an instance was created, with one reference for us.
        let component = unsafe { ComPtr::from_raw(object.cast::<IComponent>()) };
        let component = component.expect("an instance");
        assert_eq!(com!(component.initialize(null_mut())), kResultOk);
        let controller: ComPtr<IEditController> = component.cast().expect("a controller");
        let handler = ComWrapper::new(Handler::default());
        let pointer = handler.to_com_ptr::<IComponentHandler>().expect("a handler");
        assert_eq!(com!(controller.setComponentHandler(pointer.as_ptr())), kResultOk);
        let processor = component.cast().expect("a processor");
        Self { component, processor, controller, handler }
    }

    pub(crate) fn start(&self, rate: u32, channels: usize, largest: usize) {
        self.set_up(f64::from(rate), channels, largest);
        assert_eq!(com!(self.component.setActive(1)), kResultOk);
        com!(self.processor.setProcessing(1));
    }

    /// Sets bus arrangement, rate and block size.
    pub(crate) fn set_up(&self, rate: f64, channels: usize, largest: usize) {
        let mut arrangement = if channels == 1 { SpeakerArr::kMono } else { SpeakerArr::kStereo };
        let mut same = arrangement;
        let set = com!(self.processor.setBusArrangements(&mut arrangement, 1, &mut same, 1));
        assert_eq!(set, kResultOk, "{channels} channels");
        let mut setup = ProcessSetup {
            processMode: ProcessModes_::kRealtime as int32,
            symbolicSampleSize: SymbolicSampleSizes_::kSample32 as int32,
            maxSamplesPerBlock: largest as int32,
            sampleRate: rate,
        };
        assert_eq!(com!(self.processor.setupProcessing(&mut setup)), kResultOk);
    }

    pub(crate) fn stop(&self) {
        com!(self.processor.setProcessing(0));
        assert_eq!(com!(self.component.setActive(0)), kResultOk);
    }

    pub(crate) fn latency(&self) -> usize {
        com!(self.processor.getLatencySamples()) as usize
    }

    /// Runs a whole signal in blocks of the given sizes (repeated); changes are timed from its start.
    pub(crate) fn run(
        &self,
        input: &[Vec<f32>],
        sizes: &[usize],
        changes: &[Change],
    ) -> Vec<Vec<f32>> {
        let mut output = input.to_vec();
        let length = input[0].len();
        let mut at = 0;
        for &size in sizes.iter().cycle() {
            if at == length {
                break;
            }
            let to = length.min(at + size);
            let here: Vec<Change> = changes
                .iter()
                .filter(|(_, time, _)| (at..to).contains(time))
                .map(|&(id, time, value)| (id, time - at, value))
                .collect();
            let mut block: Vec<&mut [f32]> = output.iter_mut().map(|c| &mut c[at..to]).collect();
            process(&self.processor, &mut block, &here);
            at = to;
        }
        output
    }

    /// [`Plugin::run`] with a call before each block.
    pub(crate) fn run_with(
        &self,
        input: &[Vec<f32>],
        size: usize,
        changes: &[Change],
        mut before: impl FnMut(usize),
    ) -> Vec<Vec<f32>> {
        let mut output = vec![Vec::new(); input.len()];
        for at in (0..input[0].len()).step_by(size) {
            before(at);
            let to = input[0].len().min(at + size);
            let part: Vec<Vec<f32>> = input.iter().map(|c| c[at..to].to_vec()).collect();
            let here: Vec<Change> = changes
                .iter()
                .filter(|(_, time, _)| (at..to).contains(time))
                .map(|&(id, time, value)| (id, time - at, value))
                .collect();
            let block = self.run(&part, &[size], &here);
            output.iter_mut().zip(block).for_each(|(whole, part)| whole.extend(part));
        }
        output
    }

    /// Starts, runs and stops.
    pub(crate) fn play(&self, rate: u32, input: &[Vec<f32>], sizes: &[usize]) -> Vec<Vec<f32>> {
        self.start(rate, input.len(), *sizes.iter().max().expect("a size"));
        let output = self.run(input, sizes, &[]);
        self.stop();
        output
    }

    pub(crate) fn parameters(&self) -> Vec<(String, ParamID)> {
        (0..com!(self.controller.getParameterCount()))
            .map(|index| {
                // SAFETY: plain data, for which all zeros is valid.
                let mut info: ParameterInfo = unsafe { std::mem::zeroed() };
                assert_eq!(com!(self.controller.getParameterInfo(index, &mut info)), kResultOk);
                (wide(&info.title), info.id)
            })
            .collect()
    }

    pub(crate) fn id(&self, name: &str) -> ParamID {
        let found = self.parameters().into_iter().find(|(title, _)| title == name);
        found.unwrap_or_else(|| panic!("no parameter {name}")).1
    }

    pub(crate) fn value(&self, name: &str) -> f64 {
        com!(self.controller.getParamNormalized(self.id(name)))
    }

    pub(crate) fn text(&self, name: &str, value: f64) -> String {
        let mut text = [0; 128];
        let id = self.id(name);
        assert_eq!(com!(self.controller.getParamStringByValue(id, value, &mut text)), kResultOk);
        wide(&text)
    }

    pub(crate) fn set(&self, name: &str, value: f64) {
        assert_eq!(com!(self.controller.setParamNormalized(self.id(name), value)), kResultOk);
    }

    pub(crate) fn save(&self) -> Vec<u8> {
        let stream = ComWrapper::new(Stream { bytes: RefCell::default(), at: Cell::new(0) });
        let pointer = stream.to_com_ptr::<IBStream>().expect("a stream");
        assert_eq!(com!(self.component.getState(pointer.as_ptr())), kResultOk);
        stream.bytes.take()
    }

    pub(crate) fn load(&self, bytes: &[u8]) -> bool {
        let stream = Stream { bytes: RefCell::new(bytes.to_vec()), at: Cell::new(0) };
        let pointer = ComWrapper::new(stream).to_com_ptr::<IBStream>().expect("a stream");
        com!(self.component.setState(pointer.as_ptr())) == kResultOk
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        com!(self.controller.setComponentHandler(null_mut()));
        assert_eq!(com!(self.component.terminate()), kResultOk);
        let _ = &self.handler;
    }
}

/// Processes one block in place; returns the silence flags.
pub(crate) fn process(
    processor: &ComPtr<IAudioProcessor>,
    audio: &mut [&mut [f32]],
    changes: &[Change],
) -> u64 {
    let samples = audio[0].len();
    let input: Vec<Vec<f32>> = audio.iter().map(|channel| channel.to_vec()).collect();
    let mut inputs: Vec<*mut f32> =
        input.iter().map(|channel| channel.as_ptr().cast_mut()).collect();
    let mut outputs: Vec<*mut f32> = audio.iter_mut().map(|channel| channel.as_mut_ptr()).collect();
    let bus = |channels: &mut Vec<*mut f32>| AudioBusBuffers {
        numChannels: channels.len() as int32,
        silenceFlags: 0,
        __field0: AudioBusBuffers__type0 { channelBuffers32: channels.as_mut_ptr() },
    };
    let (mut input_bus, mut output_bus) = (bus(&mut inputs), bus(&mut outputs));
    let mut queues: Vec<Queue> = Vec::new();
    for &(id, at, value) in changes {
        let point = (at as int32, value);
        match queues.iter_mut().find(|queue| queue.id == id) {
            Some(queue) => queue.points.push(point),
            None => queues.push(Queue { id, points: vec![point] }),
        }
    }
    let queues = queues
        .into_iter()
        .map(|queue| ComWrapper::new(queue).to_com_ptr::<IParamValueQueue>().expect("a queue"));
    let changes = ComWrapper::new(Changes(queues.collect()));
    let changes = changes.to_com_ptr::<IParameterChanges>().expect("changes");
    let mut data = ProcessData {
        processMode: ProcessModes_::kRealtime as int32,
        symbolicSampleSize: SymbolicSampleSizes_::kSample32 as int32,
        numSamples: samples as int32,
        numInputs: 1,
        numOutputs: 1,
        inputs: &mut input_bus,
        outputs: &mut output_bus,
        inputParameterChanges: changes.as_ptr(),
        outputParameterChanges: null_mut(),
        inputEvents: null_mut(),
        outputEvents: null_mut(),
        processContext: null_mut(),
    };
    // The plugin must overwrite this.
    output_bus.silenceFlags = 2;
    data.outputs = &mut output_bus;
    assert_eq!(com!(processor.process(&mut data)), kResultOk);
    output_bus.silenceFlags
}

/// UTF-16 up to its null.
pub(crate) fn wide(text: &[TChar]) -> String {
    let text: Vec<u16> = text.iter().copied().take_while(|&c| c != 0).collect();
    String::from_utf16_lossy(&text)
}

pub(crate) fn narrow(text: &[c_char]) -> String {
    let bytes: Vec<u8> = text.iter().map(|&c| c as u8).chain([0]).collect();
    CStr::from_bytes_until_nul(&bytes).expect("a zero").to_string_lossy().into_owned()
}
