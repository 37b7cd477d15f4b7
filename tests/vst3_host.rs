//! The plugin in a VST3 host of its own, on the bindings that the plugin is made with.
#![allow(unsafe_code)] // COM objects are called through pointers.
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nice_plug::wrapper::vst3::vst3::Steinberg::IBStream_::IStreamSeekMode_;
use nice_plug::wrapper::vst3::vst3::Steinberg::Vst::*;
use nice_plug::wrapper::vst3::vst3::Steinberg::*;
use nice_plug::wrapper::vst3::vst3::{Class, ComPtr, ComWrapper, Interface};

// The factory is linked in from here.
use wisp as _;

mod signals;

unsafe extern "system" {
    fn GetPluginFactory() -> *mut c_void;
}

/// A call of a COM object.
macro_rules! com {
    ($call:expr) => {{
        // SAFETY: the object is alive, and what is pointed at is a live value of the caller.
        unsafe { $call }
    }};
}

/// A stream in memory.
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
        // SAFETY: the buffer has room for what is asked for, and is not ours.
        unsafe { buffer.cast::<u8>().copy_from_nonoverlapping(bytes[from..].as_ptr(), count) };
        self.at.set(from + count);
        if !done.is_null() {
            // SAFETY: not null, so a place for the count.
            unsafe { *done = count as int32 };
        }
        kResultOk
    }

    unsafe fn write(&self, buffer: *mut c_void, numBytes: int32, done: *mut int32) -> tresult {
        let count = usize::try_from(numBytes).unwrap_or(0);
        // SAFETY: the buffer holds so many bytes.
        let new = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), count) };
        let mut bytes = self.bytes.borrow_mut();
        bytes.truncate(self.at.get());
        bytes.extend(new);
        self.at.set(bytes.len());
        if !done.is_null() {
            // SAFETY: not null, so a place for the count.
            unsafe { *done = numBytes };
        }
        kResultOk
    }

    unsafe fn seek(&self, pos: int64, mode: int32, result: *mut int64) -> tresult {
        let from = match mode as u32 {
            IStreamSeekMode_::kIBSeekCur => self.at.get() as int64,
            IStreamSeekMode_::kIBSeekEnd => self.bytes.borrow().len() as int64,
            _ => 0,
        };
        self.at.set(usize::try_from(from + pos).unwrap_or(0));
        if !result.is_null() {
            // SAFETY: not null, so a place for the position.
            unsafe { *result = self.at.get() as int64 };
        }
        kResultOk
    }

    unsafe fn tell(&self, pos: *mut int64) -> tresult {
        // SAFETY: a place for the position.
        unsafe { *pos = self.at.get() as int64 };
        kResultOk
    }
}

/// Changes of one parameter in a block.
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
        // SAFETY: places for both.
        unsafe { (*offset, *value) = point };
        kResultOk
    }

    unsafe fn addPoint(&self, _: int32, _: ParamValue, _: *mut int32) -> tresult {
        kResultFalse
    }
}

/// All changes in a block.
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

/// Hears what is edited, and does nothing about it.
struct Handler;

impl Class for Handler {
    type Interfaces = (IComponentHandler,);
}

#[allow(non_snake_case)]
impl IComponentHandlerTrait for Handler {
    unsafe fn beginEdit(&self, _: ParamID) -> tresult {
        kResultOk
    }
    unsafe fn performEdit(&self, _: ParamID, _: ParamValue) -> tresult {
        kResultOk
    }
    unsafe fn endEdit(&self, _: ParamID) -> tresult {
        kResultOk
    }
    unsafe fn restartComponent(&self, _: int32) -> tresult {
        kResultOk
    }
}

fn factory() -> ComPtr<IPluginFactory3> {
    // SAFETY: the entry point gives a factory with one reference for us.
    let factory = unsafe { ComPtr::from_raw(GetPluginFactory().cast::<IPluginFactory>()) };
    factory.expect("a factory").cast().expect("a factory of version 3")
}

/// An instance, the host's side of it included.
struct Plugin {
    component: ComPtr<IComponent>,
    processor: ComPtr<IAudioProcessor>,
    controller: ComPtr<IEditController>,
    handler: ComPtr<IComponentHandler>,
}

/// One change of a parameter: id, sample within the block, value.
type Change = (ParamID, usize, f64);

impl Plugin {
    fn new() -> Self {
        let factory = factory();
        // SAFETY: plain numbers and characters, all of which may be zero.
        let mut info: PClassInfo = unsafe { std::mem::zeroed() };
        assert_eq!(com!(factory.getClassInfo(0, &mut info)), kResultOk);
        let mut object = null_mut();
        let iid = IComponent::IID.as_ptr().cast::<c_char>();
        let made = com!(factory.createInstance(info.cid.as_ptr(), iid, &mut object));
        assert_eq!(made, kResultOk);
        // SAFETY: an instance was made, with one reference for us.
        let component = unsafe { ComPtr::from_raw(object.cast::<IComponent>()) };
        let component = component.expect("an instance");
        assert_eq!(com!(component.initialize(null_mut())), kResultOk);
        let controller: ComPtr<IEditController> = component.cast().expect("a controller");
        let handler = ComWrapper::new(Handler).to_com_ptr().expect("a handler");
        assert_eq!(com!(controller.setComponentHandler(handler.as_ptr())), kResultOk);
        let processor = component.cast().expect("a processor");
        Self { component, processor, controller, handler }
    }

    fn start(&self, rate: u32, channels: usize, largest: usize) {
        let mut arrangement = if channels == 1 { SpeakerArr::kMono } else { SpeakerArr::kStereo };
        let mut same = arrangement;
        let set = com!(self.processor.setBusArrangements(&mut arrangement, 1, &mut same, 1));
        assert_eq!(set, kResultOk, "{channels} channels");
        let mut setup = ProcessSetup {
            processMode: ProcessModes_::kRealtime as int32,
            symbolicSampleSize: SymbolicSampleSizes_::kSample32 as int32,
            maxSamplesPerBlock: largest as int32,
            sampleRate: f64::from(rate),
        };
        assert_eq!(com!(self.processor.setupProcessing(&mut setup)), kResultOk);
        assert_eq!(com!(self.component.setActive(1)), kResultOk);
        com!(self.processor.setProcessing(1));
    }

    fn stop(&self) {
        com!(self.processor.setProcessing(0));
        assert_eq!(com!(self.component.setActive(0)), kResultOk);
    }

    fn latency(&self) -> usize {
        com!(self.processor.getLatencySamples()) as usize
    }

    /// A whole signal in blocks of the sizes given over and over; changes by sample of the whole.
    fn run(&self, input: &[Vec<f32>], sizes: &[usize], changes: &[Change]) -> Vec<Vec<f32>> {
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

    /// [`Plugin::run`] between a start and a stop.
    fn play(&self, rate: u32, input: &[Vec<f32>], sizes: &[usize]) -> Vec<Vec<f32>> {
        self.start(rate, input.len(), *sizes.iter().max().expect("a size"));
        let output = self.run(input, sizes, &[]);
        self.stop();
        output
    }

    fn parameters(&self) -> Vec<(String, ParamID)> {
        (0..com!(self.controller.getParameterCount()))
            .map(|index| {
                // SAFETY: plain numbers and characters, all of which may be zero.
                let mut info: ParameterInfo = unsafe { std::mem::zeroed() };
                assert_eq!(com!(self.controller.getParameterInfo(index, &mut info)), kResultOk);
                (wide(&info.title), info.id)
            })
            .collect()
    }

    fn id(&self, name: &str) -> ParamID {
        let found = self.parameters().into_iter().find(|(title, _)| title == name);
        found.unwrap_or_else(|| panic!("no parameter {name}")).1
    }

    fn value(&self, name: &str) -> f64 {
        com!(self.controller.getParamNormalized(self.id(name)))
    }

    fn set(&self, name: &str, value: f64) {
        assert_eq!(com!(self.controller.setParamNormalized(self.id(name), value)), kResultOk);
    }

    fn save(&self) -> Vec<u8> {
        let stream = ComWrapper::new(Stream { bytes: RefCell::default(), at: Cell::new(0) });
        let pointer = stream.to_com_ptr::<IBStream>().expect("a stream");
        assert_eq!(com!(self.component.getState(pointer.as_ptr())), kResultOk);
        stream.bytes.take()
    }

    fn load(&self, bytes: &[u8]) -> bool {
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

/// One block, `audio` in place of itself.
fn process(processor: &ComPtr<IAudioProcessor>, audio: &mut [&mut [f32]], changes: &[Change]) {
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
    assert_eq!(com!(processor.process(&mut data)), kResultOk);
}

/// UTF-16 up to its zero.
fn wide(text: &[TChar]) -> String {
    let text: Vec<u16> = text.iter().copied().take_while(|&c| c != 0).collect();
    String::from_utf16_lossy(&text)
}

fn narrow(text: &[c_char]) -> String {
    let bytes: Vec<u8> = text.iter().map(|&c| c as u8).chain([0]).collect();
    CStr::from_bytes_until_nul(&bytes).expect("a zero").to_string_lossy().into_owned()
}

/// Noisy speech for one or two channels.
fn noisy(rate: u32, channels: usize, seconds: f32) -> Vec<Vec<f32>> {
    let voice = signals::voice(rate, seconds);
    (0..channels)
        .map(|channel| {
            let noise = signals::noise(rate, seconds, channel as u64 + 1);
            voice.iter().zip(noise).map(|(v, n)| v + 0.02 * n).collect()
        })
        .collect()
}

#[test]
fn the_factory_describes_one_effect() {
    let factory = factory();
    assert_eq!(com!(factory.countClasses()), 1);
    // SAFETY: plain numbers and characters, all of which may be zero.
    let (mut maker, mut info): (PFactoryInfo, PClassInfo2) = unsafe { std::mem::zeroed() };
    assert_eq!(com!(factory.getFactoryInfo(&mut maker)), kResultOk);
    assert_eq!(narrow(&maker.vendor), "Wisp");
    assert_eq!(com!(factory.getClassInfo2(0, &mut info)), kResultOk);
    assert_eq!(narrow(&info.name), "Wisp");
    assert_eq!(narrow(&info.category), "Audio Module Class");
    assert_eq!(narrow(&info.version), env!("CARGO_PKG_VERSION"));
    assert_eq!(narrow(&info.subCategories), "Fx|Restoration");
    // Sessions find the plugin by this number: it never changes. Windows orders its bytes by itself.
    let cid: Vec<u8> = info.cid.iter().map(|&byte| byte as u8).collect();
    let expected = if cfg!(windows) { b"psiWoVeciDenoise" } else { b"WispVoiceDenoise" };
    assert_eq!(cid[8..], expected[8..]);
    assert!(cfg!(windows) || cid == expected);
    assert_ne!(com!(factory.getClassInfo2(1, &mut info)), kResultOk);
}

#[test]
fn there_is_one_bus_each_way_mono_or_stereo() {
    let plugin = Plugin::new();
    let audio = MediaTypes_::kAudio as MediaType;
    for direction in [BusDirections_::kInput, BusDirections_::kOutput] {
        let direction = direction as BusDirection;
        assert_eq!(com!(plugin.component.getBusCount(audio, direction)), 1);
        // SAFETY: plain numbers and characters, all of which may be zero.
        let mut info: BusInfo = unsafe { std::mem::zeroed() };
        assert_eq!(com!(plugin.component.getBusInfo(audio, direction, 0, &mut info)), kResultOk);
        assert_eq!(info.channelCount, 2);
        assert_ne!(com!(plugin.component.getBusInfo(audio, direction, 1, &mut info)), kResultOk);
    }
    let (mono, stereo) = (SpeakerArr::kMono, SpeakerArr::kStereo);
    for (mut input, mut output, taken) in [
        (mono, mono, true),
        (stereo, stereo, true),
        (mono, stereo, false),
        (stereo, mono, false),
        (SpeakerArr::k51, SpeakerArr::k51, false),
    ] {
        let result = com!(plugin.processor.setBusArrangements(&mut input, 1, &mut output, 1));
        assert_eq!(result == kResultOk, taken, "{input:#x} to {output:#x}");
    }
    let single = SymbolicSampleSizes_::kSample32 as int32;
    assert_eq!(com!(plugin.processor.canProcessSampleSize(single)), kResultOk);
}

#[test]
fn every_block_size_gives_the_same_sound() {
    for channels in [1, 2] {
        let input = noisy(48_000, channels, 0.8);
        let plugin = Plugin::new();
        let whole = plugin.play(48_000, &input, &[1024]);
        assert!(signals::rms(&whole[0]) > 1e-3, "nothing comes out");
        let rising: Vec<usize> = (1..=300).collect();
        for sizes in [&[1][..], &rising, &[4096], &[16, 32, 64, 128, 256, 512, 1024, 2048]] {
            assert!(plugin.play(48_000, &input, sizes) == whole, "{channels} channels");
        }
    }
}

#[test]
fn the_latency_is_where_the_sound_is_at_every_rate() {
    let plugin = Plugin::new();
    for rate in [16_000, 22_050, 44_100, 48_000, 96_000] {
        plugin.set("Reduction", 0.0);
        let input = noisy(rate, 2, 0.3);
        plugin.start(rate, 2, 512);
        let latency = plugin.latency();
        assert!(latency > 0);
        // Sizes and rates change in mid-stream: the next start is as the first.
        for _ in 0..2 {
            let output = plugin.run(&input, &[512, 100], &[]);
            assert_eq!(output[1][latency..], input[1][..input[1].len() - latency], "{rate} Hz");
            plugin.stop();
            plugin.start(rate, 2, 4096);
            assert_eq!(plugin.latency(), latency);
        }
        plugin.stop();
    }
}

#[test]
fn changes_come_at_their_sample() {
    let plugin = Plugin::new();
    let input = noisy(48_000, 2, 0.4);
    let (output, bypass) = (plugin.id("Output"), plugin.id("Bypass"));
    let changes = [
        (output, 5_001, 0.25),
        (output, 5_002, 0.9),
        (bypass, 7_777, 1.0),
        (bypass, 9_000, 0.0),
        (output, 12_345, 0.5),
    ];
    let run = |sizes: &[usize]| {
        plugin.set("Output", 0.5);
        plugin.start(48_000, 2, 4096);
        let output = plugin.run(&input, sizes, &changes);
        plugin.stop();
        output
    };
    let fine = run(&[1]);
    for sizes in [&[512][..], &[4096], &[100, 7]] {
        assert!(run(sizes) == fine, "changes move with blocks of {sizes:?}");
    }
    assert_eq!(plugin.value("Output"), 0.5);
}

#[test]
fn the_state_comes_back_and_nonsense_changes_nothing() {
    let first = Plugin::new();
    let settings = [("Reduction", 18.0 / 61.0), ("Output", 0.75), ("Listen", 1.0), ("Bypass", 1.0)];
    for (name, value) in settings {
        first.set(name, value);
    }
    let saved = first.save();
    let second = Plugin::new();
    assert!(second.load(&saved));
    let check = |plugin: &Plugin| {
        for (name, value) in settings {
            assert!((plugin.value(name) - value).abs() < 1e-6, "{name}");
        }
    };
    check(&second);
    for bad in [&b""[..], b"{", b"\0\0\0\0\0\0\0\0\0", b"not a state", &saved[..saved.len() / 2]] {
        assert!(!second.load(bad), "{} bytes were taken for a state", bad.len());
        check(&second);
    }
    assert_eq!(second.save(), saved);
}

/// `docs/versioning.md`: what a released version saved, every later one loads.
#[test]
fn states_of_every_released_version_load() {
    let versions = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/versions");
    let versions: Vec<_> = std::fs::read_dir(versions).expect("versions").collect();
    assert!(!versions.is_empty());
    for version in versions {
        let file = version.expect("a version").path().join("state.json");
        let plugin = Plugin::new();
        assert!(plugin.load(&std::fs::read(&file).expect("a state")), "{}", file.display());
        for (name, value) in
            [("Reduction", 18.0 / 61.0), ("Output", 0.4375), ("Listen", 1.0), ("Bypass", 1.0)]
        {
            assert!((plugin.value(name) - value).abs() < 1e-6, "{}: {name}", file.display());
        }
    }
}

#[test]
fn a_pause_is_a_fresh_start() {
    let plugin = Plugin::new();
    let input = noisy(48_000, 2, 0.4);
    let fresh = plugin.play(48_000, &input, &[256]);
    plugin.start(48_000, 2, 256);
    plugin.run(&input, &[100], &[]);
    // In mid-hop.
    com!(plugin.processor.setProcessing(0));
    com!(plugin.processor.setProcessing(1));
    assert!(plugin.run(&input, &[256], &[]) == fresh, "after setProcessing");
    plugin.stop();
    plugin.start(48_000, 2, 256);
    assert!(plugin.run(&input, &[256], &[]) == fresh, "after setActive");
    plugin.stop();
}

/// As a host does it: sound and automation on one thread, questions and states on another.
#[test]
fn two_threads_do_not_disturb_each_other() {
    let plugin = Plugin::new();
    plugin.start(48_000, 2, 512);
    let ids: Vec<ParamID> = plugin.parameters().into_iter().map(|(_, id)| id).collect();
    let processing = automate(&plugin, &ids);
    let saved = plugin.save();
    let mut i = 0;
    while i < 200 || processing.blocks.load(Ordering::Relaxed) < 200 {
        i += 1;
        assert!(plugin.load(&saved));
        assert!(!plugin.save().is_empty());
        for &id in &ids {
            assert!((0.0..=1.0).contains(&com!(plugin.controller.getParamNormalized(id))));
            let mut text = [0; 128];
            com!(plugin.controller.getParamStringByValue(
                id,
                f64::from(i % 201) / 200.0,
                &mut text
            ));
            assert!(!wide(&text).is_empty());
        }
    }
    processing.stop();
    plugin.stop();
}

#[test]
fn a_hundred_instances_come_and_go_on_several_threads() {
    let input = noisy(48_000, 2, 0.05);
    let expected = Plugin::new().play(48_000, &input, &[480]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (input, expected) = (&input, &expected);
            scope.spawn(move || {
                let mut random = signals::Random::new(thread + 1);
                let mut alive: Vec<Plugin> = Vec::new();
                for _ in 0..25 {
                    let plugin = Plugin::new();
                    assert!(&plugin.play(48_000, input, &[480]) == expected);
                    alive.push(plugin);
                    // One of them goes, most times.
                    if random.next() < 0.6 {
                        let at = ((random.next() + 1.0) * 0.5 * alive.len() as f32) as usize;
                        alive.swap_remove(at.min(alive.len() - 1));
                    }
                }
            });
        }
    });
}

/// Sound with every parameter changing in each block, until told to stop.
struct Automation {
    stop: Arc<AtomicBool>,
    blocks: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

fn automate(plugin: &Plugin, ids: &[ParamID]) -> Automation {
    let (stop, blocks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (told, count, ids) = (stop.clone(), blocks.clone(), ids.to_vec());
    let audio = Audio(plugin.processor.clone());
    let thread = std::thread::spawn(move || {
        let audio = audio;
        let mut random = signals::Random::new(7);
        while !told.load(Ordering::Relaxed) {
            let mut sound = [[0.0f32; 128]; 2];
            sound.iter_mut().flatten().for_each(|x| *x = 0.1 * random.next());
            let [left, right] = &mut sound;
            let changes: Vec<Change> =
                ids.iter().map(|&id| (id, 5, f64::from(0.5 + 0.5 * random.next()))).collect();
            process(&audio.0, &mut [left, right], &changes);
            assert!(sound.iter().flatten().all(|y| y.is_finite()));
            count.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
    });
    Automation { stop, blocks, thread }
}

/// What the audio thread calls.
struct Audio(ComPtr<IAudioProcessor>);
// SAFETY: a processor is called on the audio thread, as VST3 has it.
unsafe impl Send for Audio {}

impl Automation {
    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the audio thread");
        assert!(self.blocks.load(Ordering::Relaxed) > 10, "the audio thread has not run");
    }
}

/// Windows, under a screen of the test's own.
#[cfg(target_os = "linux")]
mod windows {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::sync::Mutex;
    use std::time::Duration;

    use nice_plug::wrapper::vst3::vst3::ComRef;
    use nice_plug::wrapper::vst3::vst3::Steinberg::Linux::*;
    use x11rb::connection::Connection;
    use x11rb::protocol::xproto::{ConnectionExt, CreateWindowAux, WindowClass};
    use x11rb::rust_connection::RustConnection;
    use x11rb::wrapper::ConnectionExt as _;

    use super::*;

    /// Tells the child process, whose only test this is, to do the work.
    const CHILD: &str = "WISP_EDITOR_TEST";
    const OPENINGS: u32 = 100;
    const EXITS: u32 = 10;

    /// A window's frame in the host, with or without the host's event loop.
    struct Frame {
        handlers: Mutex<Vec<(Handle, FileDescriptor)>>,
    }

    #[derive(PartialEq, Clone, Copy)]
    struct Handle(*mut IEventHandler);
    // SAFETY: only the main thread calls it.
    unsafe impl Send for Handle {}

    impl Class for Frame {
        type Interfaces = (IPlugFrame, IRunLoop);
    }

    #[allow(non_snake_case)]
    impl IPlugFrameTrait for Frame {
        unsafe fn resizeView(&self, _: *mut IPlugView, _: *mut ViewRect) -> tresult {
            kResultOk
        }
    }

    #[allow(non_snake_case)]
    impl IRunLoopTrait for Frame {
        unsafe fn registerEventHandler(
            &self,
            handler: *mut IEventHandler,
            fd: FileDescriptor,
        ) -> tresult {
            self.handlers.lock().expect("handlers").push((Handle(handler), fd));
            kResultOk
        }

        unsafe fn unregisterEventHandler(&self, handler: *mut IEventHandler) -> tresult {
            self.handlers.lock().expect("handlers").retain(|(h, _)| *h != Handle(handler));
            kResultOk
        }

        unsafe fn registerTimer(&self, _: *mut ITimerHandler, _: TimerInterval) -> tresult {
            kResultFalse
        }

        unsafe fn unregisterTimer(&self, _: *mut ITimerHandler) -> tresult {
            kResultFalse
        }
    }

    impl Frame {
        /// What a host does when something can be read: the handlers look for themselves.
        fn turn(&self) {
            let handlers = self.handlers.lock().expect("handlers").clone();
            for (Handle(handler), fd) in handlers {
                // SAFETY: registered and not yet taken back.
                let handler = unsafe { ComRef::from_raw(handler) }.expect("a handler");
                com!(handler.onFDIsSet(fd));
            }
        }
    }

    /// A frame for hosts that have no event loop to offer.
    struct BareFrame;

    impl Class for BareFrame {
        type Interfaces = (IPlugFrame,);
    }

    #[allow(non_snake_case)]
    impl IPlugFrameTrait for BareFrame {
        unsafe fn resizeView(&self, _: *mut IPlugView, _: *mut ViewRect) -> tresult {
            kResultOk
        }
    }

    /// An X server without a screen, ended with the test.
    struct Server(Child);

    impl Server {
        fn start() -> (Self, String) {
            // Without -noreset it starts anew when its last client goes, and hangs up on the next one.
            let mut server = Command::new("Xvfb")
                .args(["-displayfd", "1", "-noreset", "-nolisten", "tcp"])
                .args(["-screen", "0", "1280x1024x24"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("Xvfb starts (package xvfb)");
            let mut number = String::new();
            let out = server.stdout.take().expect("its output");
            BufReader::new(out).read_line(&mut number).expect("the display's number");
            (Self(server), format!(":{}", number.trim()))
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Runs one test of these in a process of its own, where what goes wrong ends only that; what it prints.
    fn child(name: &str, display: &str) -> String {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", &format!("windows::{name}"), "--nocapture"])
            .env(CHILD, "1")
            .env("DISPLAY", display)
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .output()
            .expect("a process");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !errors.contains("panicked"),
            "{}\n{text}\n{errors}",
            output.status
        );
        text
    }

    /// A connection to the display, as the host has one.
    struct Screen {
        connection: RustConnection,
        root: u32,
    }

    /// An open editor, in a window of the host's.
    struct Opened {
        view: ComPtr<IPlugView>,
        frame: Option<ComWrapper<Frame>>,
        window: u32,
    }

    impl Screen {
        fn new() -> Self {
            let (connection, screen) = x11rb::connect(None).expect("the display");
            let root = connection.setup().roots[screen].root;
            Self { connection, root }
        }

        /// With the host's event loop or without.
        fn open(&self, plugin: &Plugin, event_loop: bool) -> Opened {
            let window = self.connection.generate_id().expect("an id");
            let (aux, class) = (CreateWindowAux::new(), WindowClass::INPUT_OUTPUT);
            self.connection
                .create_window(0, window, self.root, 0, 0, 860, 520, 0, class, 0, &aux)
                .expect("a window");
            self.connection.map_window(window).expect("mapped");
            // The plugin has a connection of its own: for it the window must be there already.
            self.connection.sync().expect("an answer");
            let view = com!(plugin.controller.createView(ViewType::kEditor));
            // SAFETY: a view with one reference for us, or null.
            let view = unsafe { ComPtr::from_raw(view) }.expect("a view");
            let frame = event_loop.then(|| ComWrapper::new(Frame { handlers: Mutex::default() }));
            let pointer: ComPtr<IPlugFrame> = match &frame {
                Some(frame) => frame.to_com_ptr().expect("a frame"),
                None => ComWrapper::new(BareFrame).to_com_ptr().expect("a frame"),
            };
            com!(view.setFrame(pointer.as_ptr()));
            let parent = window as usize as *mut c_void;
            let attached = com!(view.attached(parent, kPlatformTypeX11EmbedWindowID));
            assert_eq!(attached, kResultOk);
            Opened { view, frame, window }
        }

        fn close(&self, opened: Opened) {
            assert_eq!(com!(opened.view.removed()), kResultOk);
            com!(opened.view.setFrame(null_mut()));
            drop(opened.view);
            self.connection.destroy_window(opened.window).expect("destroyed");
            self.connection.flush().expect("sent");
        }
    }

    impl Opened {
        /// The host goes on for a while.
        fn wait(&self, milliseconds: u64) {
            for _ in 0..milliseconds / 5 {
                std::thread::sleep(Duration::from_millis(5));
                if let Some(frame) = &self.frame {
                    frame.turn();
                }
            }
        }
    }

    /// nice-plug 0.4.2 aborts the host here without `src/plugin/worker.rs` (docs/upstream.md).
    #[test]
    fn the_editor_opens_and_closes_a_hundred_times_while_automation_runs() {
        if std::env::var_os(CHILD).is_some() {
            return open_and_close();
        }
        let (_server, display) = Server::start();
        let name = "the_editor_opens_and_closes_a_hundred_times_while_automation_runs";
        let text = child(name, &display);
        assert!(text.contains(&format!("{OPENINGS} openings")), "{text}");
    }

    fn open_and_close() {
        let screen = Screen::new();
        let plugin = Plugin::new();
        plugin.start(48_000, 2, 128);
        let ids: Vec<ParamID> = plugin.parameters().into_iter().map(|(_, id)| id).collect();
        let processing = automate(&plugin, &ids);
        let mut random = signals::Random::new(3);
        let mut opened = 0;
        for opening in 0..OPENINGS {
            let editor = screen.open(&plugin, opening % 2 == 0);
            opened += 1;
            // Closed at once, after a picture or after some.
            editor.wait((30.0 * (random.next() + 1.0)) as u64);
            screen.close(editor);
        }
        processing.stop();
        plugin.stop();
        println!("{opened} openings");
    }

    /// The window's thread takes its graphics driver down, and a host that exits meanwhile crashes: without
    /// `src/plugin/window.rs` baseview 0.4.2 leaves it behind (docs/upstream.md).
    #[test]
    fn a_host_may_exit_as_soon_as_the_editor_is_closed() {
        if std::env::var_os(CHILD).is_some() {
            return open_close_and_exit();
        }
        let (_server, display) = Server::start();
        for exit in 0..EXITS {
            let text = child("a_host_may_exit_as_soon_as_the_editor_is_closed", &display);
            assert!(text.contains("closed"), "exit {exit}: {text}");
        }
    }

    fn open_close_and_exit() {
        let screen = Screen::new();
        let plugin = Plugin::new();
        let before = threads();
        for _ in 0..3 {
            let editor = screen.open(&plugin, true);
            editor.wait(60);
            screen.close(editor);
            // Where nobody waits, this is what shows it: a crash is rare. The window's own thread may have a last step left;
            // those of the driver are gone with it.
            let left = threads().saturating_sub(before);
            assert!(left <= 1, "{left} threads are left of a closed window");
        }
        println!("closed");
        std::process::exit(0);
    }

    /// nice-plug 0.4.2 loses two descriptors here, which `cargo xtask` mends (docs/upstream.md).
    #[test]
    fn a_closed_editor_leaves_no_descriptor() {
        if std::env::var_os("WISP_PATCHED").is_none() {
            println!("not run: nice-plug as it is loses two; `cargo xtask test hosts` mends it");
            return;
        }
        if std::env::var_os(CHILD).is_some() {
            return open_and_count();
        }
        let (_server, display) = Server::start();
        let text = child("a_closed_editor_leaves_no_descriptor", &display);
        assert!(text.contains("descriptors"), "{text}");
    }

    fn open_and_count() {
        let screen = Screen::new();
        let plugin = Plugin::new();
        let mut before = 0;
        for opening in 0..12 {
            let editor = screen.open(&plugin, opening != 0);
            editor.wait(30);
            if let Some(frame) = &editor.frame {
                assert_eq!(frame.handlers.lock().expect("handlers").len(), 1);
            }
            let frame = editor.frame.clone();
            screen.close(editor);
            if let Some(frame) = frame {
                assert!(frame.handlers.lock().expect("handlers").is_empty());
            }
            // What the graphics driver opens once and keeps is open after the first.
            match opening {
                0 => before = descriptors(),
                _ => assert!(settles_at(before), "{} after {opening}", descriptors()),
            }
        }
        println!("{before} descriptors");
    }

    /// The window's own thread may have a last step left.
    fn settles_at(count: usize) -> bool {
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            descriptors() == count
        })
    }

    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").expect("this process's descriptors").count()
    }

    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").expect("this process's threads").count()
    }
}
