//! The plugin in a CLAP host: linked into this test, and as a built file where `WISP_CLAP` names
//! one.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};

use clack_extensions::audio_ports_config::PluginAudioPortsConfig;
use clack_extensions::latency::PluginLatency;
use clack_extensions::params::{ParamInfoBuffer, ParamInfoFlags, PluginParams};
use clack_extensions::remote_controls::{PluginRemoteControls, RemoteControlsPageBuffer};
use clack_extensions::state::PluginState;
use clack_extensions::tail::{PluginTail, TailLength};
use clack_host::events::event_types::ParamValueEvent;
use clack_host::prelude::*;
use clack_host::process::StartedPluginAudioProcessor;
use clack_host::process::audio_buffers::{
    AudioPortBuffer, AudioPortBufferType, AudioPorts, InputChannel,
};
use clack_host::utils::ClapId;

mod signals;

/// Counts what a thread allocates or frees while it says so.
struct CountingAllocator;

thread_local! {
    static COUNTED: Cell<Option<usize>> = const { Cell::new(None) };
}

fn count_one() {
    // A thread that is ending has no count any more.
    let _ = COUNTED.try_with(|counted| counted.set(counted.get().map(|n| n + 1)));
}

// SAFETY: every call goes to the system's allocator unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count_one();
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Allocations and releases on this thread while `work` runs.
fn allocations(work: impl FnOnce()) -> usize {
    COUNTED.set(Some(0));
    work();
    COUNTED.replace(None).unwrap_or(0)
}

struct Shared;
impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {}
    fn request_process(&self) {}
    fn request_callback(&self) {}
}

struct Host;
impl HostHandlers for Host {
    type Shared<'a> = Shared;
    type MainThread<'a> = ();
    type AudioProcessor<'a> = ();
}

const ID: &CStr = c"audio.wisp.denoiser";

/// The plugin linked in, and the built one where the environment names it.
fn entries() -> Vec<PluginEntry> {
    // SAFETY: the entry is this crate's own.
    #[allow(unsafe_code)]
    let linked = unsafe { PluginEntry::load_from_raw(&wisp::plugin::clap_entry, c"linked") };
    let mut entries = vec![linked.expect("the linked entry")];
    if let Some(path) = std::env::var_os("WISP_CLAP") {
        // SAFETY: the file is this crate's own, built by `cargo xtask bundle`.
        #[allow(unsafe_code)]
        let built = unsafe { PluginEntry::load(&path) };
        entries.push(built.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
    entries
}

struct Plugin {
    instance: PluginInstance<Host>,
}

#[derive(Debug, Clone, PartialEq)]
struct Parameter {
    id: ClapId,
    name: String,
    range: (f64, f64),
    default: f64,
    flags: ParamInfoFlags,
}

impl Plugin {
    fn new(entry: &PluginEntry) -> Self {
        let host = HostInfo::new("clap_host test", "wisp", "", "1").expect("host info");
        let instance = PluginInstance::<Host>::new(|_| Shared, |_| (), entry, ID, &host);
        Self { instance: instance.expect("an instance") }
    }

    fn params(&mut self) -> PluginParams {
        self.instance.plugin_handle().get_extension().expect("params")
    }

    fn parameters(&mut self) -> Vec<Parameter> {
        let params = self.params();
        let handle = self.instance.plugin_handle();
        (0..params.count(&handle))
            .map(|index| {
                let mut buffer = ParamInfoBuffer::new();
                let info = params.get_info(&handle, index, &mut buffer).expect("info");
                Parameter {
                    id: info.id,
                    name: String::from_utf8_lossy(info.name).into_owned(),
                    range: (info.min_value, info.max_value),
                    default: info.default_value,
                    flags: info.flags,
                }
            })
            .collect()
    }

    fn parameter(&mut self, name: &str) -> Parameter {
        let found = self.parameters().into_iter().find(|parameter| parameter.name == name);
        found.unwrap_or_else(|| panic!("no parameter {name}"))
    }

    fn value(&mut self, name: &str) -> f64 {
        let id = self.parameter(name).id;
        let params = self.params();
        params.get_value(&self.instance.plugin_handle(), id).expect("a value")
    }

    fn text(&mut self, name: &str, value: f64) -> String {
        let id = self.parameter(name).id;
        let params = self.params();
        let mut buffer = [0; 64];
        let handle = self.instance.plugin_handle();
        let text = params.value_to_text(&handle, id, value, &mut buffer).expect("text");
        String::from_utf8_lossy(text).into_owned()
    }

    fn parsed(&mut self, name: &str, text: &str) -> Option<f64> {
        let id = self.parameter(name).id;
        let params = self.params();
        let text = CString::new(text).expect("no zero byte");
        params.text_to_value(&self.instance.plugin_handle(), id, &text)
    }

    /// Sets a parameter by its text while the plugin is inactive.
    fn set(&mut self, name: &str, text: &str) {
        let id = self.parameter(name).id;
        let value = self.parsed(name, text).unwrap_or_else(|| panic!("{name}: {text}"));
        let params = self.params();
        let events = [ParamValueEvent::new(0, id, Pckn::match_all(), value)];
        let mut out = EventBuffer::new();
        let mut handle = self.instance.inactive_plugin_handle().expect("inactive");
        params.flush(&mut handle, &InputEvents::from_buffer(&events), &mut out.as_output());
    }

    fn save(&mut self) -> Vec<u8> {
        let handle = self.instance.plugin_handle();
        let state: PluginState = handle.get_extension().expect("state");
        let mut bytes = Vec::new();
        state.save(&handle, &mut bytes).expect("saving");
        bytes
    }

    fn load(&mut self, mut bytes: &[u8]) -> bool {
        let handle = self.instance.plugin_handle();
        let state: PluginState = handle.get_extension().expect("state");
        state.load(&handle, &mut bytes).is_ok()
    }

    fn latency(&mut self) -> usize {
        let handle = self.instance.plugin_handle();
        let latency: PluginLatency = handle.get_extension().expect("latency");
        latency.get(&handle) as usize
    }

    /// Chooses mono or stereo and activates.
    fn start(&mut self, rate: u32, channels: usize, largest: usize) -> Running {
        self.start_at(f64::from(rate), channels, largest)
    }

    /// As [`Plugin::start`], at any rate.
    fn start_at(&mut self, rate: f64, channels: usize, largest: usize) -> Running {
        let handle = self.instance.plugin_handle();
        let ports: PluginAudioPortsConfig = handle.get_extension().expect("port layouts");
        assert_eq!(ports.count(&handle), 2);
        ports.select(&handle, ClapId::new(2 - channels as u32)).expect("the layout");
        let configuration = PluginAudioConfiguration {
            sample_rate: rate,
            min_frames_count: 1,
            max_frames_count: largest as u32,
        };
        let processor = self.instance.activate(|_, _| (), configuration).expect("activation");
        Running {
            processor: processor.start_processing().expect("processing"),
            inputs: AudioPorts::with_capacity(channels, 1),
            outputs: AudioPorts::with_capacity(channels, 1),
            input: vec![vec![0.0; largest]; channels],
            output: vec![vec![0.0; largest]; channels],
            constant: 0,
            status: ProcessStatus::Continue,
        }
    }

    fn stop(&mut self, running: Running) {
        self.instance.deactivate(running.processor.stop_processing());
    }

    /// A whole signal through a fresh start, in blocks of the sizes given over and over.
    fn run(&mut self, rate: u32, input: &[Vec<f32>], blocks: &[usize]) -> Vec<Vec<f32>> {
        let largest = *blocks.iter().max().expect("a block size");
        let mut running = self.start(rate, input.len(), largest);
        let output = running.run(input, blocks, &[]);
        self.stop(running);
        output
    }
}

/// An active plugin with the host's buffers.
struct Running {
    processor: StartedPluginAudioProcessor<Host>,
    inputs: AudioPorts,
    outputs: AudioPorts,
    input: Vec<Vec<f32>>,
    output: Vec<Vec<f32>>,
    /// The channels that the last block flagged as constant.
    constant: u64,
    /// What the last block returned.
    status: ProcessStatus,
}

impl Running {
    /// One block of `samples`, from `self.input` to `self.output`.
    fn block(&mut self, samples: usize, events: &[ParamValueEvent], out: &mut EventBuffer) {
        let input = self.inputs.with_input_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_input_only(
                self.input
                    .iter_mut()
                    .map(|channel| InputChannel::variable(&mut channel[..samples])),
            ),
        }]);
        let mut output = self.outputs.with_output_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_output_only(
                self.output.iter_mut().map(|channel| &mut channel[..samples]),
            ),
        }]);
        let events = InputEvents::from_buffer(&events);
        self.status = self
            .processor
            .process(&input, &mut output, &events, &mut out.as_output(), None, None)
            .expect("process");
        self.constant = output.as_raw_buffers()[0].constant_mask;
    }

    /// A whole signal; events are (sample, parameter, value), in order.
    fn run(
        &mut self,
        input: &[Vec<f32>],
        blocks: &[usize],
        events: &[(usize, ClapId, f64)],
    ) -> Vec<Vec<f32>> {
        let length = input[0].len();
        let mut output = vec![Vec::with_capacity(length); input.len()];
        let mut out = EventBuffer::with_capacity(64);
        let mut at = 0;
        for &size in blocks.iter().cycle() {
            if at == length {
                break;
            }
            let samples = size.min(length - at);
            for (buffer, channel) in self.input.iter_mut().zip(input) {
                buffer[..samples].copy_from_slice(&channel[at..at + samples]);
            }
            let here: Vec<_> = events
                .iter()
                .filter(|(time, ..)| (at..at + samples).contains(time))
                .map(|&(time, id, value)| {
                    ParamValueEvent::new((time - at) as u32, id, Pckn::match_all(), value)
                })
                .collect();
            out.clear();
            self.block(samples, &here, &mut out);
            for (whole, channel) in output.iter_mut().zip(&self.output) {
                whole.extend_from_slice(&channel[..samples]);
            }
            at += samples;
        }
        output
    }
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

/// Threads that used the plugin end later than the host lets go of it, and then run destructors in its code.
#[cfg(target_os = "linux")]
#[test]
fn the_library_stays_mapped() {
    let Some(path) = std::env::var_os("WISP_CLAP") else {
        println!("skipped: WISP_CLAP names no built plugin");
        return;
    };
    std::thread::spawn(|| drop(entries())).join().expect("the thread ends");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    let path = std::fs::canonicalize(path).expect("the built plugin");
    assert!(maps.contains(&*path.to_string_lossy()), "{} was unloaded", path.display());
}

#[test]
fn the_factory_lists_one_described_plugin() {
    for entry in entries() {
        let factory = entry.get_plugin_factory().expect("a factory");
        let all: Vec<_> = factory.plugin_descriptors().collect();
        assert_eq!(all.len(), 1);
        let text = |text: Option<&CStr>| text.map(CStr::to_bytes).map(<[u8]>::to_vec);
        assert_eq!(text(all[0].id()).as_deref(), Some(ID.to_bytes()));
        assert_eq!(text(all[0].name()).as_deref(), Some(&b"Wisp"[..]));
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        assert_eq!(text(all[0].version()).as_deref(), Some(version));
        let page = |text: Option<&CStr>| {
            let text = text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
            assert!(text.starts_with("https://wisp.audio"), "{text:?}");
        };
        page(all[0].url());
        page(all[0].manual_url());
        page(all[0].support_url());
        let features: Vec<_> = all[0].features().map(|f| f.to_bytes().to_vec()).collect();
        assert!(features.contains(&b"audio-effect".to_vec()), "{features:?}");
    }
}

#[test]
fn parameters_have_names_ranges_texts_and_stable_ids() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        let all = plugin.parameters();
        let listed: Vec<_> =
            all.iter().map(|p| (p.name.as_str(), p.id.get(), p.range, p.default)).collect();
        // Hosts store automation by these numbers: they never change.
        assert_eq!(
            listed,
            [
                ("Reduction", 2_039_460_467, (0.0, 1.0), f64::from(24.0f32 / 61.0)),
                ("Sensitivity", 564_403_871, (0.0, 1.0), 0.5),
                ("Ambience", 260_791_998, (0.0, 1.0), 0.0),
                ("Output", 1_141_971_201, (0.0, 1.0), 0.5),
                ("Listen", 1_044_975_047, (0.0, 1.0), 0.0),
                ("Stereo", 1_255_118_840, (0.0, 1.0), 0.0),
                ("Bypass", 773_352_680, (0.0, 1.0), 0.0),
            ]
        );
        for parameter in &all {
            let flags = parameter.flags;
            assert!(flags.contains(ParamInfoFlags::IS_AUTOMATABLE), "{}", parameter.name);
            let bypass = flags.contains(ParamInfoFlags::IS_BYPASS);
            assert_eq!(bypass, parameter.name == "Bypass");
        }
        assert_eq!(plugin.text("Reduction", 1.0), "Full");
        assert_eq!(plugin.text("Reduction", 24.0 / 61.0), "24 dB");
        assert_eq!(plugin.text("Sensitivity", 0.75), "+6 dB");
        assert_eq!(plugin.text("Ambience", 0.25), "25 %");
        assert_eq!(plugin.text("Output", 0.5), "0 dB");
        assert_eq!(plugin.text("Listen", 1.0), "Removed");
        assert_eq!(plugin.text("Stereo", 0.0), "Linked");
        assert_eq!(plugin.parsed("Reduction", "full"), Some(1.0));
        assert!((plugin.parsed("Reduction", "12").expect("a number") - 12.0 / 61.0).abs() < 1e-6);
        assert!((plugin.parsed("Output", "+12 dB").expect("a number") - 0.75).abs() < 1e-6);
        assert_eq!(plugin.parsed("Sensitivity", "-6"), Some(0.25));
        assert_eq!(plugin.parsed("Ambience", "50 %"), Some(0.5));
        assert_eq!(plugin.parsed("Output", "louder"), None);
        for name in ["Reduction", "Sensitivity", "Ambience", "Output", "Listen", "Stereo", "Bypass"]
        {
            assert_eq!(plugin.value(name), plugin.parameter(name).default, "{name}");
        }
    }
}

#[test]
fn every_block_size_gives_the_same_sound_in_mono_and_stereo() {
    for entry in entries() {
        for channels in [1, 2] {
            let input = noisy(48_000, channels, 0.6);
            let mut plugin = Plugin::new(&entry);
            let whole = plugin.run(48_000, &input, &[480]);
            assert!(whole.iter().flatten().all(|sample| sample.is_finite()));
            assert!(signals::rms(&whole[0]) > 1e-3, "nothing comes out");
            for blocks in [&[1][..], &[64], &[512], &[4096], &[7, 333, 1000, 2]] {
                let other = plugin.run(48_000, &input, blocks);
                assert!(other == whole, "{channels} channels, blocks {blocks:?}");
            }
        }
    }
}

#[test]
fn a_mono_voice_is_treated_as_the_left_of_equal_channels() {
    for entry in entries() {
        let mono = noisy(48_000, 1, 0.8);
        let both = vec![mono[0].clone(), mono[0].clone()];
        let mut plugin = Plugin::new(&entry);
        let one = plugin.run(48_000, &mono, &[512]);
        let two = plugin.run(48_000, &both, &[512]);
        assert!(two[0] == two[1], "equal channels must stay equal");
        let difference = signals::level_of_difference(&two[0], &one[0]);
        assert!(difference < -80.0, "mono and linked stereo differ by {difference:.1} dB");
    }
}

#[test]
fn the_reported_latency_is_where_the_sound_is() {
    for entry in entries() {
        for rate in [16_000, 22_050, 44_100, 48_000, 96_000] {
            let mut plugin = Plugin::new(&entry);
            plugin.set("Reduction", "0 dB");
            let input = noisy(rate, 2, 0.4);
            let output = plugin.run(rate, &input, &[512]);
            let running = plugin.start(rate, 2, 512);
            let latency = plugin.latency();
            plugin.stop(running);
            if rate % 100 == 0 {
                assert!(latency <= rate as usize / 50 + 1, "{latency} samples at {rate} Hz");
            }
            for (input, output) in input.iter().zip(&output) {
                let aligned = &output[latency..];
                let difference = signals::level_of_difference(aligned, &input[..aligned.len()]);
                assert!(difference < -120.0, "{rate} Hz: reduction 0 leaves {difference:.1} dB");
            }
        }
    }
}

/// Asked while it plays, as hosts do: the sound is over when the plugin says so.
#[test]
fn the_reported_tail_is_where_the_sound_ends() {
    for entry in entries() {
        let rate = 48_000;
        let mut plugin = Plugin::new(&entry);
        let tail: PluginTail = plugin.instance.plugin_handle().get_extension().expect("tail");
        let mut input = noisy(rate, 2, 0.6);
        let quiet = rate as usize * 4 / 10;
        input.iter_mut().for_each(|channel| channel[quiet..].fill(0.0));
        let mut running = plugin.start(rate, 2, 512);
        let output = running.run(&input, &[512], &[]);
        let told = tail.get(&running.processor.plugin_handle());
        plugin.stop(running);
        // Delay and window, 20 ms each, and the frames that the filter reaches back.
        let hops = 3 + wisp::Model::bundled().network().sizes().taps;
        let expected = rate as usize / 100 * hops;
        assert_eq!(told, TailLength::Finite(expected as u32));
        let end = quiet + expected;
        assert!(output.iter().all(|channel| channel[end..].iter().all(|&y| y == 0.0)));
        assert!(output.iter().all(|channel| channel[..quiet].iter().any(|&y| y != 0.0)));
    }
}

/// Whenever a host may ask: before the first block, after the last, at another rate.
#[test]
fn the_tail_and_the_latency_are_known_from_the_activation_on() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        let tail: PluginTail = plugin.instance.plugin_handle().get_extension().expect("tail");
        let taps = wisp::Model::bundled().network().sizes().taps as u32;
        assert_eq!(plugin.latency(), 960, "before there is a rate");
        for rate in [16_000, 44_100, 48_000, 96_000] {
            let expected = TailLength::Finite(rate / 100 * (3 + taps));
            let mut running = plugin.start(rate, 2, 512);
            assert_eq!(plugin.latency() as u32, rate / 50);
            assert_eq!(tail.get(&running.processor.plugin_handle()), expected, "{rate} Hz");
            running.run(&noisy(rate, 2, 0.1), &[512], &[]);
            assert_eq!(tail.get(&running.processor.plugin_handle()), expected, "{rate} Hz");
            plugin.stop(running);
            assert_eq!(plugin.latency() as u32, rate / 50);
        }
    }
}

/// The host may put the plugin to sleep where nothing but silence would come, and wakes it by sound: nothing is lost.
#[test]
fn it_sleeps_in_silence_and_wakes() {
    for entry in entries() {
        for (rate, channels) in [(48_000, 2), (48_000, 1), (22_050, 2)] {
            let mut plugin = Plugin::new(&entry);
            let mut running = plugin.start(rate, channels, 480);
            let all = (1 << channels) - 1;
            let mut out = EventBuffer::with_capacity(64);
            let mut slept = 0;
            let mut input = noisy(rate, channels, 1.2);
            let silence = rate as usize / 2..rate as usize;
            input.iter_mut().for_each(|channel| channel[silence.clone()].fill(0.0));
            for at in (0..input[0].len() - 480).step_by(480) {
                for (buffer, channel) in running.input.iter_mut().zip(&input) {
                    buffer.copy_from_slice(&channel[at..at + 480]);
                }
                running.block(480, &[], &mut out);
                let zeros = |channel: &Vec<f32>| channel[..480].iter().all(|&y| y == 0.0);
                for (bit, channel) in running.output.iter().enumerate() {
                    assert_eq!(running.constant >> bit & 1 == 1, zeros(channel), "at {at}");
                }
                if running.status == ProcessStatus::Sleep {
                    assert!(silence.contains(&at) && running.constant == all, "asleep at {at}");
                    slept += 1;
                } else {
                    // Once asleep, until there is sound.
                    assert!(slept == 0 || at + 480 > silence.end, "awake at {at}");
                }
            }
            assert!(slept > 3, "{rate} Hz, {channels} channels: asleep for {slept} blocks");
            plugin.stop(running);
        }
    }
}

/// Rates at which Wisp does not denoise: the sound passes as it is, at once.
#[test]
fn outside_its_rates_the_sound_passes_undelayed() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        for rate in [1_234.567_8, 7_999.0, 384_001.0, 768_000.0, 1_234_567.8] {
            for channels in [1, 2] {
                let input = noisy(8_000, channels, 0.3);
                let mut running = plugin.start_at(rate, channels, 512);
                assert_eq!(plugin.latency(), 0, "{rate} Hz");
                assert!(running.run(&input, &[512, 3], &[]) == input, "{rate} Hz");
                plugin.stop(running);
            }
        }
        let input = noisy(48_000, 2, 0.3);
        let expected = Plugin::new(&entry).run(48_000, &input, &[512]);
        assert!(plugin.run(48_000, &input, &[512]) == expected, "and it denoises again");
    }
}

#[test]
fn lists_are_flagged_and_text_is_read_in_any_case() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        for parameter in plugin.parameters() {
            let list = ["Listen", "Stereo"].contains(&&*parameter.name);
            assert_eq!(parameter.flags.contains(ParamInfoFlags::IS_ENUM), list, "{parameter:?}");
            let stepped = list || parameter.name == "Bypass";
            assert_eq!(parameter.flags.contains(ParamInfoFlags::IS_STEPPED), stepped);
            assert!(!plugin.text(&parameter.name, f64::NAN).to_lowercase().contains("nan"));
        }
        for (name, text, value) in [
            ("Bypass", "ON", Some(1.0)),
            ("Bypass", "no", Some(0.0)),
            ("Bypass", "perhaps", None),
            ("Listen", "removed", Some(1.0)),
            ("Listen", "RESULT ", Some(0.0)),
            ("Stereo", "independent", Some(1.0)),
            ("Stereo", "quadrophonic", None),
            ("Reduction", "FULL", Some(1.0)),
        ] {
            assert_eq!(plugin.parsed(name, text), value, "{name}: {text:?}");
        }
        // One more than there are.
        let params = plugin.params();
        let handle = plugin.instance.plugin_handle();
        for index in [7, 8, u32::MAX] {
            assert!(params.get_info(&handle, index, &mut ParamInfoBuffer::new()).is_none());
        }
    }
}

/// Presets as a host's browser sees them, by the C interface.
#[allow(unsafe_code)]
mod discovery {
    use std::ffi::{c_char, c_void};
    use std::ptr::{null, null_mut};

    use clap_sys::ext::preset_load::{CLAP_EXT_PRESET_LOAD, clap_plugin_preset_load};
    use clap_sys::factory::plugin_factory::{CLAP_PLUGIN_FACTORY_ID, clap_plugin_factory};
    use clap_sys::factory::preset_discovery::*;
    use clap_sys::host::clap_host;
    use clap_sys::plugin::clap_plugin;
    use clap_sys::universal_plugin_id::clap_universal_plugin_id;
    use clap_sys::version::CLAP_VERSION;

    use super::*;

    /// What the plugin tells: places, and names with their keys.
    #[derive(Default)]
    struct Index {
        places: Vec<(u32, Option<String>)>,
        presets: Vec<(String, Option<String>)>,
        plugins: Vec<String>,
        errors: usize,
    }

    fn text(text: *const c_char) -> Option<String> {
        // SAFETY: text with its zero, or null.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    }

    /// # Safety
    ///
    /// `data` is the index.
    unsafe fn index<'a>(data: *mut c_void) -> &'a mut Index {
        // SAFETY: as promised.
        unsafe { &mut *data.cast() }
    }

    unsafe extern "C" fn declare_filetype(
        _: *const clap_preset_discovery_indexer,
        filetype: *const clap_preset_discovery_filetype,
    ) -> bool {
        // SAFETY: the plugin's.
        text(unsafe { (*filetype).file_extension }).as_deref() == Some("json")
    }

    unsafe extern "C" fn declare_location(
        indexer: *const clap_preset_discovery_indexer,
        location: *const clap_preset_discovery_location,
    ) -> bool {
        // SAFETY: the test's and the plugin's.
        unsafe {
            let place = ((*location).kind, text((*location).location));
            index((*indexer).indexer_data).places.push(place);
        }
        true
    }

    unsafe extern "C" fn nothing(
        _: *const clap_preset_discovery_indexer,
        _: *const c_char,
    ) -> *const c_void {
        null()
    }

    unsafe extern "C" fn begin(
        receiver: *const clap_preset_discovery_metadata_receiver,
        name: *const c_char,
        key: *const c_char,
    ) -> bool {
        // SAFETY: the test's.
        let index = unsafe { index((*receiver).receiver_data) };
        index.presets.push((text(name).expect("a name"), text(key)));
        true
    }

    unsafe extern "C" fn add_plugin(
        receiver: *const clap_preset_discovery_metadata_receiver,
        id: *const clap_universal_plugin_id,
    ) {
        // SAFETY: the test's and the plugin's.
        unsafe {
            assert_eq!(text((*id).abi).as_deref(), Some("clap"));
            index((*receiver).receiver_data).plugins.push(text((*id).id).expect("an id"));
        }
    }

    unsafe extern "C" fn on_error(
        receiver: *const clap_preset_discovery_metadata_receiver,
        _: i32,
        message: *const c_char,
    ) {
        assert!(text(message).is_some_and(|message| !message.is_empty()));
        // SAFETY: the test's.
        unsafe { index((*receiver).receiver_data).errors += 1 };
    }

    fn receiver(index: &mut Index) -> clap_preset_discovery_metadata_receiver {
        clap_preset_discovery_metadata_receiver {
            receiver_data: (index as *mut Index).cast(),
            on_error: Some(on_error),
            begin_preset: Some(begin),
            add_plugin_id: Some(add_plugin),
            set_soundpack_id: None,
            set_flags: None,
            add_creator: None,
            set_description: None,
            set_timestamps: None,
            add_feature: None,
            add_extra_info: None,
        }
    }

    unsafe extern "C" fn no_extension(_: *const clap_host, _: *const c_char) -> *const c_void {
        null()
    }

    unsafe extern "C" fn ignore(_: *const clap_host) {}

    #[test]
    fn hosts_see_the_presets_and_load_them() {
        let entry = &wisp::plugin::clap_entry;
        let get_factory = entry.get_factory.expect("a factory");
        // SAFETY: by the C interface, with objects of the test's that live as long.
        unsafe {
            let factory = get_factory(CLAP_PRESET_DISCOVERY_FACTORY_ID.as_ptr());
            let factory = &*factory.cast::<clap_preset_discovery_factory>();
            let presets = &wisp::preset::FACTORY;
            let count = factory.count.expect("count")(factory) as usize;
            assert_eq!(count, presets.len() + 1);
            let described = factory.get_descriptor.expect("a description");
            assert!(described(factory, count as u32).is_null());
            let mut found = Index::default();
            let indexer = clap_preset_discovery_indexer {
                clap_version: CLAP_VERSION,
                name: c"test".as_ptr(),
                vendor: null(),
                url: null(),
                version: c"1".as_ptr(),
                indexer_data: (&raw mut found).cast(),
                declare_filetype: Some(declare_filetype),
                declare_location: Some(declare_location),
                declare_soundpack: None,
                get_extension: Some(nothing),
            };
            let create = factory.create.expect("a provider");
            assert!(create(factory, &indexer, c"another".as_ptr()).is_null());
            let plugin_kind = CLAP_PRESET_DISCOVERY_LOCATION_PLUGIN;
            let provide = |index: u32| {
                let provider = create(factory, &indexer, (*described(factory, index)).id);
                assert!((*provider).init.expect("init")(provider));
                provider
            };
            let to = receiver(&mut found);
            for index in 0..presets.len() as u32 {
                let provider = provide(index);
                let get_metadata = (*provider).get_metadata.expect("metadata");
                assert!(get_metadata(provider, plugin_kind, null(), &to));
                (*provider).destroy.expect("destroy")(provider);
            }
            assert_eq!(found.places, vec![(plugin_kind, None); presets.len()]);
            let names: Vec<&str> = presets.iter().map(|p| p.name).collect();
            let listed: Vec<&str> = found.presets.iter().map(|(name, _)| &**name).collect();
            assert_eq!(listed, names);
            assert!(found.presets.iter().all(|(name, key)| key.as_ref() == Some(name)));
            assert!(found.plugins.iter().all(|id| id.as_bytes() == ID.to_bytes()));
            let provider = provide(presets.len() as u32);
            let get_metadata = (*provider).get_metadata.expect("metadata");
            assert!(!get_metadata(provider, plugin_kind, null(), &to));

            // The user's own, and a file that is none.
            let folder = tempfile::tempdir().expect("a folder");
            let path = |name: &str, text: &str| {
                let path = folder.path().join(name);
                std::fs::write(&path, text).expect("written");
                CString::new(path.to_str().expect("text")).expect("no zero")
            };
            let good = path("Attic.json", "{\"wisp\": 1, \"reduction\": \"30 dB\"}");
            let bad = path("bad.json", "{}");
            let file_kind = CLAP_PRESET_DISCOVERY_LOCATION_FILE;
            assert!(get_metadata(provider, file_kind, good.as_ptr(), &to));
            assert_eq!(found.presets.last(), Some(&("Attic".to_owned(), None)));
            assert!(!get_metadata(provider, file_kind, bad.as_ptr(), &to));
            assert_eq!(found.errors, 1);
            (*provider).destroy.expect("destroy")(provider);

            // Loaded: the parameters say so.
            let host = clap_host {
                clap_version: CLAP_VERSION,
                host_data: null_mut(),
                name: c"test".as_ptr(),
                vendor: c"test".as_ptr(),
                url: c"".as_ptr(),
                version: c"1".as_ptr(),
                get_extension: Some(no_extension),
                request_restart: Some(ignore),
                request_process: Some(ignore),
                request_callback: Some(ignore),
            };
            let factory = get_factory(CLAP_PLUGIN_FACTORY_ID.as_ptr());
            let factory = &*factory.cast::<clap_plugin_factory>();
            let plugin: *const clap_plugin =
                factory.create_plugin.expect("create")(factory, &host, ID.as_ptr());
            assert!((*plugin).init.expect("init")(plugin));
            let get = |id: &CStr| (*plugin).get_extension.expect("extensions")(plugin, id.as_ptr());
            let load = get(CLAP_EXT_PRESET_LOAD).cast::<clap_plugin_preset_load>();
            let load = (*load).from_location.expect("loading");
            let params = get(clap_sys::ext::params::CLAP_EXT_PARAMS);
            let params = &*params.cast::<clap_sys::ext::params::clap_plugin_params>();
            let reduction = || {
                let mut value = 0.0;
                assert!(params.get_value.expect("a value")(plugin, 2_039_460_467, &mut value));
                value * 61.0
            };
            let near = |db: f64| (reduction() - db).abs() < 1e-4;
            for preset in &wisp::preset::FACTORY {
                let key = CString::new(preset.name).expect("no zero");
                assert!(load(plugin, plugin_kind, null(), key.as_ptr()), "{}", preset.name);
                let text = preset.settings[0].1.trim_end_matches(" dB");
                assert!(near(text.parse().expect("decibels")), "{}: {}", preset.name, reduction());
            }
            assert!(load(plugin, file_kind, good.as_ptr(), null()) && near(30.0));
            for (kind, location, key) in [
                (file_kind, bad.as_ptr(), null()),
                (file_kind, null(), null()),
                (plugin_kind, null(), null()),
                (plugin_kind, null(), c"No such".as_ptr()),
                (7, null(), null()),
            ] {
                assert!(!load(plugin, kind, location, key) && near(30.0));
            }
            (*plugin).destroy.expect("destroy")(plugin);
        }
    }
}

#[test]
fn a_controller_gets_every_parameter_on_one_page() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        let ids: Vec<ClapId> = plugin.parameters().iter().map(|parameter| parameter.id).collect();
        let handle = plugin.instance.plugin_handle();
        let pages: PluginRemoteControls = handle.get_extension().expect("remote controls");
        assert_eq!(pages.count(&handle), 1);
        let mut buffer = RemoteControlsPageBuffer::new();
        let page = pages.get(&handle, 0, &mut buffer).expect("a page");
        assert_eq!((page.section_name, page.page_name), (&b"Wisp"[..], &b"Denoise"[..]));
        let listed: Vec<ClapId> = page.param_ids.iter().copied().flatten().collect();
        assert_eq!(listed, ids);
        assert!(pages.get(&handle, 1, &mut buffer).is_none());
    }
}

#[test]
fn bypass_passes_the_delayed_input_and_fades() {
    for entry in entries() {
        let rate = 48_000;
        let input = noisy(rate, 2, 1.5);
        let mut plugin = Plugin::new(&entry);
        let bypass = plugin.parameter("Bypass").id;

        plugin.set("Bypass", "on");
        let bypassed = plugin.run(rate, &input, &[256]);
        let mut running = plugin.start(rate, 2, 256);
        let latency = plugin.latency();
        for (input, output) in input.iter().zip(&bypassed) {
            let aligned = &output[latency..];
            let difference = signals::level_of_difference(aligned, &input[..aligned.len()]);
            assert!(difference < -120.0, "bypass leaves {difference:.1} dB");
        }
        plugin.stop(running);

        // On and off in mid-sound: once settled the dry sound is back, and nothing jumps.
        plugin.set("Bypass", "off");
        let on_at = rate as usize / 2;
        running = plugin.start(rate, 2, 256);
        let switched = running.run(&input, &[256], &[(on_at, bypass, 1.0)]);
        plugin.stop(running);
        let settled = on_at + rate as usize / 5;
        let aligned = &switched[0][settled..];
        let expected = &input[0][settled - latency..][..aligned.len()];
        let difference = signals::level_of_difference(aligned, expected);
        assert!(difference < -120.0, "bypass in mid-sound leaves {difference:.1} dB");
    }
}

#[test]
fn automation_does_not_click() {
    for entry in entries() {
        let rate = 48_000;
        // A quiet low tone changes by at most this much from sample to sample.
        let tone: Vec<f32> = (0..rate)
            .map(|i| 0.25 * (i as f32 * 110.0 * std::f32::consts::TAU / rate as f32).sin())
            .collect();
        let steepest = 0.25 * 110.0 * std::f32::consts::TAU / rate as f32;
        let input = vec![tone.clone(), tone];
        for (name, values) in [
            ("Reduction", [0.0, 1.0]),
            ("Sensitivity", [0.0, 1.0]),
            ("Ambience", [0.0, 1.0]),
            ("Output", [0.25, 0.75]),
            ("Listen", [0.0, 1.0]),
            ("Stereo", [0.0, 1.0]),
            ("Bypass", [0.0, 1.0]),
        ] {
            let mut plugin = Plugin::new(&entry);
            if name == "Output" || name == "Bypass" {
                plugin.set("Reduction", "0");
            }
            let id = plugin.parameter(name).id;
            let mut running = plugin.start(rate, 2, 512);
            // Jumps, then ramps as a host draws them: a value every 64 samples.
            let jumps = (1..6).map(|i| (i * 4_801, id, values[i % 2]));
            let ramp = (24_064..rate as usize).step_by(64).map(|time| {
                let place = (time as f64 / 4_800.0).fract();
                (time, id, values[0] + (values[1] - values[0]) * place)
            });
            let events: Vec<_> = jumps.chain(ramp).collect();
            let output = running.run(&input, &[512], &events);
            plugin.stop(running);
            // The output can be 12 dB louder than the input; a jump would be far steeper.
            let largest = signals::largest_step(&output[0]);
            let bound = if name == "Output" { 6.0 * steepest } else { 3.0 * steepest };
            assert!(largest < bound, "{name}: a step of {largest:.4}, bound {bound:.4}");
        }
    }
}

#[test]
fn automation_is_accurate_to_the_sample() {
    for entry in entries() {
        let rate = 48_000;
        let input = noisy(rate, 2, 0.5);
        let mut plugin = Plugin::new(&entry);
        let id = plugin.parameter("Output").id;
        let events = [(5_001, id, 0.25), (5_002, id, 0.9), (12_345, id, 0.5)];
        let mut run = |blocks: &[usize]| {
            let mut running = plugin.start(rate, 2, 4096);
            let output = running.run(&input, blocks, &events);
            plugin.stop(running);
            plugin.set("Output", "0 dB");
            output
        };
        let fine = run(&[1]);
        for blocks in [&[512][..], &[4096], &[100, 7]] {
            assert!(run(blocks) == fine, "events move with blocks of {blocks:?}");
        }
    }
}

#[test]
fn the_state_comes_back_and_nonsense_changes_nothing() {
    for entry in entries() {
        let mut first = Plugin::new(&entry);
        first.set("Reduction", "18 dB");
        first.set("Sensitivity", "-2.5 dB");
        first.set("Ambience", "20 %");
        first.set("Output", "-3 dB");
        first.set("Listen", "Removed");
        first.set("Stereo", "Independent");
        first.set("Bypass", "on");
        let names =
            ["Reduction", "Sensitivity", "Ambience", "Output", "Listen", "Stereo", "Bypass"];
        let set: Vec<_> = names.iter().map(|name| first.value(name)).collect();
        let saved = first.save();

        let mut second = Plugin::new(&entry);
        assert!(second.load(&saved));
        let loaded: Vec<_> = names.iter().map(|name| second.value(name)).collect();
        assert_eq!(loaded, set);
        assert_eq!(second.save(), saved);

        let mut cut = saved.clone();
        cut.truncate(saved.len() / 2);
        for bad in [&[][..], b"\0\0\0\0", b"not a state at all, but long enough", &cut] {
            assert!(!second.load(bad), "{} bytes were taken for a state", bad.len());
            let kept: Vec<_> = names.iter().map(|name| second.value(name)).collect();
            assert_eq!(kept, set);
        }
    }
}

/// `docs/versioning.md`: what a released version saved, every later one loads.
#[test]
fn states_of_every_released_version_load() {
    let versions = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/versions");
    let mut loaded = 0;
    for version in std::fs::read_dir(versions).expect("versions") {
        let file = version.expect("a version").path().join("state.json");
        let json = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        // As CLAP hosts keep it: the length comes first.
        let mut state = (json.len() as u64).to_le_bytes().to_vec();
        state.extend(json);
        for entry in entries() {
            let mut plugin = Plugin::new(&entry);
            assert!(plugin.load(&state), "{}", file.display());
            let texts = [
                ("Reduction", "18 dB"),
                ("Output", "-3 dB"),
                ("Listen", "Removed"),
                ("Stereo", "Independent"),
                ("Bypass", "On"),
            ];
            for (name, text) in texts {
                let value = plugin.value(name);
                assert_eq!(Some(value), plugin.parsed(name, text), "{}: {name}", file.display());
            }
        }
        loaded += 1;
    }
    assert!(loaded > 0);
}

/// JSON of a saved state, changed, back as bytes.
fn edited(saved: &[u8], edit: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    // The host's wrapper puts the length before the JSON.
    let start = saved.iter().position(|&byte| byte == b'{').expect("JSON");
    let mut value = serde_json::from_slice(&saved[start..]).expect("JSON");
    edit(&mut value);
    let json = serde_json::to_vec(&value).expect("JSON");
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    assert_eq!(start, bytes.len(), "a length of eight bytes");
    bytes.extend(json);
    bytes
}

#[test]
fn old_new_and_broken_fields_of_a_state_are_tolerated() {
    for entry in entries() {
        let mut first = Plugin::new(&entry);
        first.set("Reduction", "18 dB");
        first.set("Ambience", "20 %");
        let saved = first.save();
        let reduction = first.value("Reduction");

        // As Wisp 0.1 wrote it: without the newer parameters and memories. They stay as they are.
        let old = edited(&saved, |state| {
            let params = state["params"].as_object_mut().expect("params");
            params.remove("sensitivity");
            params.remove("ambience");
            let fields = state["fields"].as_object_mut().expect("fields");
            fields.remove("sound");
            fields.insert("editor".into(), "{\"width\": 900.0}".into());
        });
        let mut second = Plugin::new(&entry);
        assert!(second.load(&old));
        assert_eq!(second.value("Reduction"), reduction);
        assert_eq!(second.value("Ambience"), 0.0);

        // As a later one might: fields and parameters that this one does not know.
        let new = edited(&saved, |state| {
            state["version"] = "9.0.0".into();
            state["params"]["colour"] = serde_json::json!({"f32": 1.0});
            state["fields"]["later"] = "[1, 2]".into();
        });
        let mut third = Plugin::new(&entry);
        assert!(third.load(&new));
        assert_eq!(third.save(), saved);

        // Broken memories leave what there was, and the parameters still come.
        let broken = edited(&saved, |state| {
            state["fields"]["editor"] = "nonsense".into();
            state["fields"]["sound"] = "{\"slot\": 7}".into();
        });
        let mut fourth = Plugin::new(&entry);
        assert!(fourth.load(&broken));
        assert_eq!(fourth.save(), saved);
    }
}

#[test]
fn reduction_0_nulls_whatever_the_other_controls_say() {
    for entry in entries() {
        let rate = 48_000;
        let input = noisy(rate, 2, 0.6);
        let mut plugin = Plugin::new(&entry);
        plugin.set("Reduction", "0 dB");
        plugin.set("Sensitivity", "+12 dB");
        plugin.set("Ambience", "60 %");
        for stereo in ["Linked", "Independent"] {
            plugin.set("Stereo", stereo);
            let output = plugin.run(rate, &input, &[333]);
            let latency = plugin.latency();
            for (input, output) in input.iter().zip(&output) {
                assert!(output[latency..] == input[..input.len() - latency], "{stereo}");
            }
        }
    }
}

/// Each end of each control against what it must add up to.
#[test]
fn every_edge_nulls() {
    for entry in entries() {
        let rate = 48_000;
        let input = noisy(rate, 2, 0.5);
        let run = |settings: &[(&str, &str)], input: &[Vec<f32>]| {
            let mut plugin = Plugin::new(&entry);
            settings.iter().for_each(|(name, text)| plugin.set(name, text));
            let mut output = plugin.run(rate, input, &[333]);
            let latency = plugin.latency();
            output.iter_mut().for_each(|channel| drop(channel.drain(..latency)));
            output
        };
        let nulls = |output: &[Vec<f32>], gain: f32, bound: f32, what: &str| {
            for (input, output) in input.iter().zip(output) {
                let expected: Vec<f32> = input[..output.len()].iter().map(|x| gain * x).collect();
                let left = signals::level_of_difference(output, &expected);
                assert!(left < bound, "{what} leaves {left:.1} dB");
            }
        };
        for edge in [
            ("Reduction", "0 dB"),
            ("Reduction", "60 dB"),
            ("Reduction", "Full"),
            ("Sensitivity", "-12 dB"),
            ("Sensitivity", "+12 dB"),
            ("Ambience", "0 %"),
            ("Ambience", "100 %"),
            ("Stereo", "Linked"),
            ("Stereo", "Independent"),
        ] {
            // What is heard and what is removed are the input.
            let mut both = run(&[edge], &input);
            let removed = run(&[edge, ("Listen", "Removed")], &input);
            for (sum, removed) in both.iter_mut().flatten().zip(removed.iter().flatten()) {
                *sum += removed;
            }
            nulls(&both, 1.0, -110.0, &format!("{edge:?}"));
            // Bypass is the input whatever else is set.
            let others = [("Listen", "Removed"), ("Output", "+24 dB"), ("Bypass", "on")];
            let bypassed = run(&[&[edge][..], &others].concat(), &input);
            nulls(&bypassed, 1.0, -200.0, &format!("bypass with {edge:?}"));
        }
        let nothing = ("Reduction", "0 dB");
        for (text, gain) in [("-24 dB", 0.063_095_73), ("+24 dB", 15.848_932)] {
            let output = run(&[nothing, ("Output", text)], &input);
            nulls(&output, gain, -120.0, &format!("Output {text}"));
        }
        let removed = run(&[nothing, ("Listen", "Removed")], &input);
        assert!(removed.iter().flatten().all(|&y| y == 0.0), "0 dB removes something");
        // Apart, each channel is what it would be on a track of its own.
        let apart = run(&[("Stereo", "Independent")], &input);
        for (channel, apart) in input.iter().zip(&apart) {
            let alone = run(&[], std::slice::from_ref(channel));
            let left = signals::level_of_difference(apart, &alone[0]);
            assert!(left < -110.0, "a channel apart leaves {left:.1} dB");
        }
    }
}

#[test]
fn linked_stereo_keeps_the_place_of_a_voice() {
    for entry in entries() {
        let rate = 48_000;
        // A voice 6 dB to the left in noise of its own on each side.
        let voice = signals::voice(rate, 3.0);
        let side = |gain: f32, seed| -> Vec<f32> {
            let noise = signals::noise(rate, 3.0, seed);
            voice.iter().zip(noise).map(|(v, n)| gain * v + 0.01 * n).collect()
        };
        let input = [side(1.0, 1), side(0.5, 2)];
        let mut plugin = Plugin::new(&entry);
        let output = plugin.run(rate, &input, &[512]);
        let latency = plugin.latency();
        // Over the samples where the voice is loud.
        let loud = 0.1 * voice.iter().fold(0.0f32, |peak, v| peak.max(v.abs()));
        let level = |channel: &[f32], delay: usize| -> f32 {
            let here = |n: &usize| voice[n - delay].abs() > loud;
            (rate as usize..channel.len()).filter(here).map(|n| channel[n] * channel[n]).sum()
        };
        let moved = 10.0 * (level(&output[0], latency) / level(&output[1], latency)).log10() - 6.02;
        assert!(moved.abs() < 0.5, "the voice moved by {moved:.2} dB");
    }
}

#[test]
fn nothing_is_allocated_once_active() {
    for entry in entries() {
        for (rate, channels) in [(48_000, 2), (44_100, 1), (22_050, 2)] {
            let mut plugin = Plugin::new(&entry);
            let ids: Vec<_> = plugin.parameters().iter().map(|p| p.id).collect();
            let mut running = plugin.start(rate, channels, 4096);
            let signal = noisy(rate, channels, 0.5);
            let mut out = EventBuffer::with_capacity(64);
            // The host's own buffers may still grow in the first block.
            let events: Vec<_> = ids
                .iter()
                .map(|&id| ParamValueEvent::new(10, id, Pckn::match_all(), 0.5))
                .collect();
            let quiet: Vec<_> = ids
                .iter()
                .map(|&id| ParamValueEvent::new(77, id, Pckn::match_all(), 0.0))
                .collect();
            running.block(64, &events, &mut out);
            let count = allocations(|| {
                let mut at = 0;
                for (i, &samples) in [1, 64, 480, 512, 4096, 333, 7].iter().cycle().enumerate() {
                    if at + samples > signal[0].len() {
                        break;
                    }
                    for (buffer, channel) in running.input.iter_mut().zip(&signal) {
                        buffer[..samples].copy_from_slice(&channel[at..at + samples]);
                    }
                    at += samples;
                    let now = match (samples > 100, i % 2) {
                        (true, 0) => &events[..],
                        (true, _) => &quiet[..],
                        _ => &[],
                    };
                    out.clear();
                    running.block(samples, now, &mut out);
                }
                running.processor.reset();
            });
            assert_eq!(count, 0, "{rate} Hz, {channels} channels");
            plugin.stop(running);
        }
    }
}

#[test]
fn a_reset_plugin_sounds_like_a_new_one() {
    for entry in entries() {
        let input = noisy(48_000, 2, 0.5);
        let mut plugin = Plugin::new(&entry);
        let mut running = plugin.start(48_000, 2, 512);
        let first = running.run(&input, &[512], &[]);
        running.processor.reset();
        let second = running.run(&input, &[512], &[]);
        plugin.stop(running);
        assert!(first == second);
    }
}

#[test]
fn noisy_speech_is_cleaned() {
    for entry in entries() {
        for rate in [44_100, 48_000] {
            let seconds = 6.0;
            let input = noisy(rate, 2, seconds);
            let voice = signals::voice(rate, seconds);
            let mut plugin = Plugin::new(&entry);
            let output = plugin.run(rate, &input, &[512]);
            let latency = plugin.latency();
            let length = input[0].len() - latency;
            let output = &output[0][latency..];
            // The first second is for the network to settle.
            let report =
                signals::Report::new(&voice[..length], &input[0][..length], output, rate as usize);
            println!("{rate} Hz: {report:?}");
            assert!(report.pauses_fall_db > 12.0, "{report:?}");
            assert!(report.voice_changes_db.abs() < 4.0, "{report:?}");
            assert!(report.snr_gain_db > 2.0, "{report:?}");
        }
    }
}

/// A number from 0 to below `n`.
fn below(random: &mut signals::Random, n: usize) -> usize {
    ((random.next() + 1.0) * 0.5 * n as f32) as usize % n
}

/// What a host does when its user takes another device, in mid-sound.
#[test]
fn rate_layout_and_block_size_change_in_mid_stream() {
    const RATES: [u32; 6] = [16_000, 22_050, 44_100, 48_000, 96_000, 192_000];
    for entry in entries() {
        let mut random = signals::Random::new(11);
        let mut plugin = Plugin::new(&entry);
        // What a new instance makes of the sound, by rate and channels.
        let mut expected = HashMap::new();
        for _ in 0..60 {
            let (rate, channels) =
                (RATES[below(&mut random, RATES.len())], 1 + below(&mut random, 2));
            let (input, latency, output) = expected.entry((rate, channels)).or_insert_with(|| {
                let input = noisy(rate, channels, 0.25);
                let mut plugin = Plugin::new(&entry);
                let output = plugin.run(rate, &input, &[512]);
                (input, plugin.latency(), output)
            });
            let sizes: Vec<usize> = (0..3).map(|_| 1 + below(&mut random, 2048)).collect();
            // Anywhere, in mid-hop too.
            let length = 1 + below(&mut random, input[0].len());
            let cut = |channels: &[Vec<f32>]| -> Vec<Vec<f32>> {
                channels.iter().map(|channel| channel[..length].to_vec()).collect()
            };
            let mut running = plugin.start(rate, channels, *sizes.iter().max().expect("a size"));
            assert_eq!(plugin.latency(), *latency);
            let heard = running.run(&cut(input), &sizes, &[]);
            plugin.stop(running);
            assert!(heard == cut(output), "{rate} Hz, {channels} channels, blocks of {sizes:?}");
        }
    }
}

#[test]
fn a_hundred_instances_come_and_go_on_several_threads() {
    const EACH: usize = 25;
    let input = noisy(48_000, 2, 0.3);
    for entry in entries() {
        let expected = Plugin::new(&entry).run(48_000, &input, &[512]);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (entry, input, expected) = (entry.clone(), &input, &expected);
                scope.spawn(move || {
                    let mut random = signals::Random::new(thread + 1);
                    let mut alive: Vec<(Plugin, Running, usize)> = Vec::new();
                    let mut made = 0;
                    while made < EACH || !alive.is_empty() {
                        match below(&mut random, 8) {
                            0 | 1 if made < EACH => {
                                let mut plugin = Plugin::new(&entry);
                                let running = plugin.start(48_000, 2, 512);
                                alive.push((plugin, running, 0));
                                made += 1;
                            }
                            // Whichever it is, in mid-sound.
                            2 if !alive.is_empty() => {
                                let at = below(&mut random, alive.len());
                                let (mut plugin, running, _) = alive.swap_remove(at);
                                plugin.stop(running);
                            }
                            _ if !alive.is_empty() => {
                                let which = below(&mut random, alive.len());
                                let (_, running, at) = &mut alive[which];
                                let to = input[0].len().min(*at + 1 + below(&mut random, 512));
                                let part = |sound: &[Vec<f32>]| -> Vec<Vec<f32>> {
                                    sound.iter().map(|channel| channel[*at..to].to_vec()).collect()
                                };
                                let heard = running.run(&part(input), &[512], &[]);
                                assert!(heard == part(expected), "samples {at} to {to}");
                                *at = to;
                            }
                            _ => {}
                        }
                    }
                });
            }
        });
    }
}
