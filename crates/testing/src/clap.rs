//! A CLAP host: instances of the plugin, their parameters and state, and sound through them.
//!
//! Everything here panics where the plugin refuses something that it must accept.
#![allow(clippy::missing_panics_doc)]
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use clack_extensions::audio_ports_config::PluginAudioPortsConfig;
use clack_extensions::gui::{GuiSize, HostGui, HostGuiImpl};
use clack_extensions::latency::{HostLatency, HostLatencyImpl, PluginLatency};
use clack_extensions::params::{ParamInfoBuffer, ParamInfoFlags, PluginParams};
use clack_extensions::state::PluginState;
use clack_extensions::tail::{HostTail, HostTailImpl};
use clack_host::events::event_types::ParamValueEvent;
use clack_host::prelude::*;
use clack_host::process::audio_buffers::{
    AudioPortBuffer, AudioPortBufferType, AudioPorts, InputChannel,
};
use clack_host::process::{StartedPluginAudioProcessor, StoppedPluginAudioProcessor};
use clack_host::utils::ClapId;

/// Wisp's CLAP id.
pub const ID: &CStr = c"audio.wisp.denoiser";

/// A host that counts the plugin's requests and does nothing of its own accord.
pub struct Host;

impl HostHandlers for Host {
    type Shared<'a> = Shared;
    type MainThread<'a> = MainThread<'a>;
    type AudioProcessor<'a> = AudioProcessor<'a>;

    fn declare_extensions(builder: &mut HostExtensions<Self>, _: &Self::Shared<'_>) {
        builder.register::<HostGui>().register::<HostLatency>().register::<HostTail>();
    }
}

/// What the plugin has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Restarts.
    pub restarts: usize,
    /// Changes of the latency.
    pub latencies: usize,
    /// Changes of the tail.
    pub tails: usize,
    /// Changes of the latency at any other time than during activation, which CLAP does not allow.
    pub misplaced: usize,
}

/// The part of [`Host`] that any thread may call.
#[derive(Default)]
pub struct Shared {
    restarts: AtomicUsize,
    latencies: AtomicUsize,
    tails: AtomicUsize,
    misplaced: AtomicUsize,
    activating: AtomicBool,
}

/// The part of [`Host`] that the main thread may call.
pub struct MainThread<'a>(&'a Shared);

impl<'a> MainThreadHandler<'a> for MainThread<'a> {}

impl HostLatencyImpl for MainThread<'_> {
    fn changed(&self) {
        let right = self.0.activating.load(Ordering::SeqCst);
        let count = if right { &self.0.latencies } else { &self.0.misplaced };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// The part of [`Host`] that the audio thread may call.
pub struct AudioProcessor<'a>(&'a Shared);

impl<'a> AudioProcessorHandler<'a> for AudioProcessor<'a> {}

impl HostTailImpl for AudioProcessor<'_> {
    fn changed(&mut self) {
        self.0.tails.fetch_add(1, Ordering::SeqCst);
    }
}

impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
    }
    fn request_process(&self) {}
    fn request_callback(&self) {}
}

impl HostGuiImpl for Shared {
    fn resize_hints_changed(&self) {}
    fn request_resize(&self, _: GuiSize) -> Result<(), HostError> {
        Ok(())
    }
    fn request_show(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn request_hide(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn closed(&self, _: bool) {}
}

/// An instance.
pub struct Plugin {
    /// The instance itself.
    pub instance: PluginInstance<Host>,
}

/// A parameter as the plugin describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// The numeric id.
    pub id: ClapId,
    /// The name hosts show.
    pub name: String,
    /// Smallest and largest value.
    pub range: (f64, f64),
    /// The value of a new instance.
    pub default: f64,
    /// Its flags.
    pub flags: ParamInfoFlags,
}

impl Plugin {
    /// Makes an instance of Wisp.
    pub fn new(entry: &PluginEntry) -> Self {
        let host = HostInfo::new("Wisp tests", "wisp", "", "1").expect("host info");
        let instance = PluginInstance::<Host>::new(
            |_| Shared::default(),
            |shared| MainThread(shared),
            entry,
            ID,
            &host,
        );
        Self { instance: instance.expect("an instance") }
    }

    /// An instance with parameters set by their names and texts.
    pub fn with(entry: &PluginEntry, settings: &[(&str, &str)]) -> Self {
        let mut plugin = Self::new(entry);
        settings.iter().for_each(|(name, text)| plugin.set(name, text));
        plugin
    }

    /// The parameters extension.
    pub fn params(&mut self) -> PluginParams {
        self.instance.plugin_handle().get_extension().expect("params")
    }

    /// All parameters, in the plugin's order.
    pub fn parameters(&mut self) -> Vec<Parameter> {
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

    /// The parameter of this name.
    pub fn parameter(&mut self, name: &str) -> Parameter {
        let found = self.parameters().into_iter().find(|parameter| parameter.name == name);
        found.unwrap_or_else(|| panic!("no parameter {name}"))
    }

    /// The current value of a parameter.
    pub fn value(&mut self, name: &str) -> f64 {
        let id = self.parameter(name).id;
        self.value_of(id)
    }

    /// The current value of the parameter with this id.
    pub fn value_of(&mut self, id: ClapId) -> f64 {
        let params = self.params();
        params.get_value(&self.instance.plugin_handle(), id).expect("a value")
    }

    /// A value of a parameter as text.
    pub fn text(&mut self, name: &str, value: f64) -> String {
        let id = self.parameter(name).id;
        let params = self.params();
        let mut buffer = [0; 64];
        let handle = self.instance.plugin_handle();
        let text = params.value_to_text(&handle, id, value, &mut buffer).expect("text");
        String::from_utf8_lossy(text).into_owned()
    }

    /// Text as a value of a parameter; `None` if the plugin does not understand it.
    pub fn parsed(&mut self, name: &str, text: &str) -> Option<f64> {
        let id = self.parameter(name).id;
        let params = self.params();
        let text = CString::new(text).expect("no zero byte");
        params.text_to_value(&self.instance.plugin_handle(), id, &text)
    }

    /// Sets a parameter by its text while the plugin is inactive.
    pub fn set(&mut self, name: &str, text: &str) {
        let id = self.parameter(name).id;
        let value = self.parsed(name, text).unwrap_or_else(|| panic!("{name}: {text}"));
        let params = self.params();
        let events = [ParamValueEvent::new(0, id, Pckn::match_all(), value)];
        let mut out = EventBuffer::new();
        let mut handle = self.instance.inactive_plugin_handle().expect("inactive");
        params.flush(&mut handle, &InputEvents::from_buffer(&events), &mut out.as_output());
    }

    /// The state.
    pub fn save(&mut self) -> Vec<u8> {
        let handle = self.instance.plugin_handle();
        let state: PluginState = handle.get_extension().expect("state");
        let mut bytes = Vec::new();
        state.save(&handle, &mut bytes).expect("saving");
        bytes
    }

    /// Loads a state; whether the plugin accepted it.
    pub fn load(&mut self, mut bytes: &[u8]) -> bool {
        let handle = self.instance.plugin_handle();
        let state: PluginState = handle.get_extension().expect("state");
        state.load(&handle, &mut bytes).is_ok()
    }

    /// The reported latency in samples.
    pub fn latency(&mut self) -> usize {
        let handle = self.instance.plugin_handle();
        let latency: PluginLatency = handle.get_extension().expect("latency");
        latency.get(&handle) as usize
    }

    /// Selects mono or stereo and starts processing; no block may be larger than `largest`.
    pub fn start(&mut self, rate: u32, channels: usize, largest: usize) -> Running {
        self.start_at(f64::from(rate), channels, largest)
    }

    /// [`Plugin::start`] at any rate.
    pub fn start_at(&mut self, rate: f64, channels: usize, largest: usize) -> Running {
        Running::new(self.activate(rate, channels, largest), channels, largest)
    }

    /// Selects mono or stereo and activates, for [`Running::new`] on another thread.
    pub fn activate(
        &mut self,
        rate: f64,
        channels: usize,
        largest: usize,
    ) -> StoppedPluginAudioProcessor<Host> {
        let handle = self.instance.plugin_handle();
        let ports: PluginAudioPortsConfig = handle.get_extension().expect("port layouts");
        assert_eq!(ports.count(&handle), 2);
        ports.select(&handle, ClapId::new(2 - channels as u32)).expect("the layout");
        let configuration = PluginAudioConfiguration {
            sample_rate: rate,
            min_frames_count: 1,
            max_frames_count: largest as u32,
        };
        let activating = |now: bool, instance: &PluginInstance<Host>| {
            instance.access_shared_handler(|host| host.activating.store(now, Ordering::SeqCst));
        };
        activating(true, &self.instance);
        let processor = self.instance.activate(|shared, _| AudioProcessor(shared), configuration);
        activating(false, &self.instance);
        processor.expect("activation")
    }

    /// What the plugin has asked for until now.
    pub fn requests(&self) -> Requests {
        self.instance.access_shared_handler(|host| {
            let count = |number: &AtomicUsize| number.load(Ordering::SeqCst);
            Requests {
                restarts: count(&host.restarts),
                latencies: count(&host.latencies),
                tails: count(&host.tails),
                misplaced: count(&host.misplaced),
            }
        })
    }

    /// Deactivates the plugin.
    pub fn stop(&mut self, running: Running) {
        self.instance.deactivate(running.processor.stop_processing());
    }

    /// Starts, runs a whole signal in blocks of the given sizes (repeated), and stops.
    pub fn run(&mut self, rate: u32, input: &[Vec<f32>], blocks: &[usize]) -> Vec<Vec<f32>> {
        let largest = *blocks.iter().max().expect("a block size");
        let mut running = self.start(rate, input.len(), largest);
        let output = running.run(input, blocks, &[]);
        self.stop(running);
        output
    }
}

/// An active plugin, and the host's buffers.
pub struct Running {
    /// The audio thread's side of the plugin.
    pub processor: StartedPluginAudioProcessor<Host>,
    inputs: AudioPorts,
    outputs: AudioPorts,
    /// Input of the next block, by channel.
    pub input: Vec<Vec<f32>>,
    /// Output of the last block, by channel.
    pub output: Vec<Vec<f32>>,
    /// The channels that the last block flagged as constant.
    pub constant: u64,
    /// What the last block returned.
    pub status: ProcessStatus,
}

impl Running {
    /// Starts processing on this thread.
    pub fn new(
        processor: StoppedPluginAudioProcessor<Host>,
        channels: usize,
        largest: usize,
    ) -> Self {
        Self {
            processor: processor.start_processing().expect("processing"),
            inputs: AudioPorts::with_capacity(channels, 1),
            outputs: AudioPorts::with_capacity(channels, 1),
            input: vec![vec![0.0; largest]; channels],
            output: vec![vec![0.0; largest]; channels],
            constant: 0,
            status: ProcessStatus::Continue,
        }
    }

    /// Processes one block of `samples` from `self.input` to `self.output`.
    pub fn block(&mut self, samples: usize, events: &[ParamValueEvent], out: &mut EventBuffer) {
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

    /// Runs a whole signal in blocks of the given sizes (repeated). Events are (sample, parameter, value), in order.
    pub fn run(
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

/// A state of this JSON, whose length the framework writes in front of it.
pub fn state(json: &[u8]) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes(), json].concat()
}
