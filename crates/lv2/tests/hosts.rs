//! Calls the plugins as hosts do.
#![allow(unsafe_code)] // calls C interfaces

use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};

use wisp::parameter::EngineParameter;
use wisp::{Controls, Engine, Model};
use wisp_lv2::port::{Format, Port, ports};
use wisp_lv2::{ladspa, lv2};
use wisp_testing::allocations::{Counting, count};
use wisp_testing::{Random, hum};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A plugin's functions in either format.
#[derive(Clone, Copy)]
enum Plugin {
    Ladspa(&'static ladspa::Descriptor),
    Lv2(&'static lv2::Descriptor),
}

/// An instance, from the host's side.
struct Loaded {
    plugin: Plugin,
    handle: *mut c_void,
}

fn plugins(channels: usize) -> [(Format, Plugin); 2] {
    let index = channels - 1;
    // SAFETY: descriptors are static.
    let (ladspa, lv2) = unsafe {
        (
            ladspa::ladspa_descriptor(index as _).as_ref().expect("a LADSPA plugin"),
            lv2::lv2_descriptor(index as u32).as_ref().expect("an LV2 plugin"),
        )
    };
    [(Format::Ladspa, Plugin::Ladspa(ladspa)), (Format::Lv2, Plugin::Lv2(lv2))]
}

impl Plugin {
    fn load(self, rate: u32) -> Option<Loaded> {
        // SAFETY: follows the format's rules.
        let handle = unsafe {
            match self {
                Self::Ladspa(d) => (d.instantiate)(d, rate.into()),
                Self::Lv2(d) => (d.instantiate)(d, rate.into(), c"/".as_ptr(), &null()),
            }
        };
        (!handle.is_null()).then_some(Loaded { plugin: self, handle })
    }
}

impl Loaded {
    fn connect(&self, port: usize, place: *mut f32) {
        // SAFETY: follows the format's rules.
        unsafe {
            match self.plugin {
                Plugin::Ladspa(d) => (d.connect_port)(self.handle, port as _, place),
                Plugin::Lv2(d) => (d.connect_port)(self.handle, port as u32, place.cast()),
            }
        }
    }

    fn activate(&self) {
        // SAFETY: follows the format's rules.
        unsafe {
            match self.plugin {
                Plugin::Ladspa(d) => d.activate.expect("a function")(self.handle),
                Plugin::Lv2(d) => d.activate.expect("a function")(self.handle),
            }
        }
    }

    fn run(&self, samples: usize) {
        // SAFETY: follows the format's rules.
        unsafe {
            match self.plugin {
                Plugin::Ladspa(d) => (d.run)(self.handle, samples as _),
                Plugin::Lv2(d) => (d.run)(self.handle, samples as u32),
            }
        }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: follows the format's rules.
        unsafe {
            match self.plugin {
                Plugin::Ladspa(d) => (d.cleanup)(self.handle),
                Plugin::Lv2(d) => (d.cleanup)(self.handle),
            }
        }
    }
}

fn bits(channels: &[Vec<f32>]) -> Vec<u32> {
    channels.iter().flatten().map(|x| x.to_bits()).collect()
}

fn expected(rate: u32, controls: &Controls, input: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut out = input.to_vec();
    let mut engine = Engine::new(&Model::live(), rate, out.len()).expect("an engine");
    let mut channels: Vec<&mut [f32]> = out.iter_mut().map(Vec::as_mut_slice).collect();
    engine.process(controls, &mut channels);
    out
}

/// Control port values: the defaults, except those that are set.
fn values(format: Format, channels: usize, set: &[(EngineParameter, f32)]) -> Vec<f32> {
    let value = |port: &Port| match port {
        Port::Control(parameter) => {
            let set = set.iter().find(|(other, _)| other == parameter);
            let plain = set.map_or(parameter.default(), |(_, value)| *value);
            let inverted = format == Format::Lv2 && *parameter == EngineParameter::Bypass;
            if inverted { 1.0 - plain } else { plain }
        }
        _ => 0.0,
    };
    ports(channels).iter().map(value).collect()
}

#[test]
fn the_output_is_the_engines_in_place_or_not_whatever_the_block() {
    for (rate, channels) in [(48_000, 1), (44_100, 2), (11_025, 2)] {
        let set = [
            (EngineParameter::Reduction, 18.0),
            (EngineParameter::Ambience, 5.0),
            (EngineParameter::Output, -3.0),
        ];
        let mut controls = Controls::default();
        set.iter().for_each(|(parameter, value)| parameter.set(&mut controls, *value));
        let input: Vec<Vec<f32>> = (0..channels).map(|c| hum(24_000, c as u64)).collect();
        let expected = expected(rate, &controls, &input);
        for (format, plugin) in plugins(channels) {
            let plugin = plugin.load(rate).expect("an instance");
            let mut values = values(format, channels, &set);
            for (port, value) in values.iter_mut().enumerate().skip(2 * channels) {
                plugin.connect(port, value);
            }
            for in_place in [false, true] {
                plugin.activate();
                let mut from = input.clone();
                let mut to = vec![vec![f32::NAN; 24_000]; channels];
                let mut random = Random(5);
                let mut at = 0;
                while at < 24_000 {
                    let samples = (24_000 - at).min((random.unit() * 900.0) as usize);
                    for channel in 0..channels {
                        let place = from[channel][at..].as_mut_ptr();
                        plugin.connect(channel, place);
                        let other = to[channel][at..].as_mut_ptr();
                        plugin.connect(channels + channel, if in_place { place } else { other });
                    }
                    plugin.run(samples);
                    at += samples;
                }
                let got = if in_place { &from } else { &to };
                assert!(bits(got) == bits(&expected), "{format:?}, {rate} Hz, {in_place}");
                assert!(in_place || from == input, "the input stays");
            }
            let engine = Engine::new(&Model::live(), rate, channels).expect("an engine");
            assert_eq!(values.last(), Some(&(engine.latency_samples() as f32)));
        }
    }
}

#[test]
fn every_control_is_heard_as_in_the_engine() {
    let input = vec![hum(9_600, 1), hum(9_600, 2)];
    let plain = expected(16_000, &Controls::default(), &input);
    for parameter in EngineParameter::ALL {
        let mut controls = Controls::default();
        parameter.set(&mut controls, parameter.range().1);
        let expected = expected(16_000, &controls, &input);
        assert!(bits(&expected) != bits(&plain), "{parameter:?}");
        for (format, plugin) in plugins(2) {
            let plugin = plugin.load(16_000).expect("an instance");
            let mut values = values(format, 2, &[(parameter, parameter.range().1)]);
            let mut got = input.clone();
            for (port, value) in values.iter_mut().enumerate() {
                let place = if port < 4 { got[port % 2].as_mut_ptr() } else { value };
                plugin.connect(port, place);
            }
            plugin.activate();
            plugin.run(9_600);
            assert!(bits(&got) == bits(&expected), "{format:?}, {parameter:?}");
        }
    }
}

#[test]
fn nonsense_harms_nothing() {
    for channels in [1, 2] {
        for (format, plugin) in plugins(channels) {
            for rate in [0, 7_999, 384_001, u32::MAX] {
                assert!(plugin.load(rate).is_none(), "{format:?} at {rate} Hz");
            }
            let plugin = plugin.load(48_000).expect("an instance");
            plugin.connect(99, null_mut());
            plugin.activate();
            // First nothing is connected, then only the output, then invalid values.
            plugin.run(1_000);
            let mut out = vec![f32::NAN; 4_800];
            plugin.connect(channels, out.as_mut_ptr());
            plugin.run(4_800);
            assert!(out.iter().all(|x| *x == 0.0), "silence in, silence out");
            let mut nonsense = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30].repeat(3);
            for port in 2 * channels..ports(channels).len() - 1 {
                plugin.connect(port, &mut nonsense[port % 4]);
            }
            let mut input = vec![f32::NAN; 4_800];
            plugin.connect(0, input.as_mut_ptr());
            plugin.run(4_800);
            assert!(out.iter().all(|x| x.is_finite()), "{format:?}");
        }
    }
    assert!(ladspa::ladspa_descriptor(2).is_null());
    assert!(lv2::lv2_descriptor(2).is_null() && lv2::lv2_descriptor(u32::MAX).is_null());
}

#[test]
fn running_does_not_allocate() {
    for (format, plugin) in plugins(2) {
        let plugin = plugin.load(44_100).expect("an instance");
        let mut values = values(format, 2, &[]);
        let mut audio = [hum(4_410, 1), hum(4_410, 2)];
        for (port, value) in values.iter_mut().enumerate() {
            let place = if port < 4 { audio[port % 2].as_mut_ptr() } else { value };
            plugin.connect(port, place);
        }
        let ((), calls, _) = count(|| {
            plugin.activate();
            (0..5).for_each(|_| plugin.run(882));
        });
        assert_eq!(calls, 0, "{format:?}");
    }
}

#[test]
fn hosts_find_them_by_name() {
    for channels in [1, 2] {
        for (_, plugin) in plugins(channels) {
            // SAFETY: null-terminated.
            let name = unsafe {
                CStr::from_ptr(match plugin {
                    Plugin::Ladspa(d) => d.label,
                    Plugin::Lv2(d) => d.uri,
                })
            };
            let word = ["mono", "stereo"][channels - 1];
            assert!(name.to_str().is_ok_and(|name| name.ends_with(word)), "{name:?}");
            if let Plugin::Ladspa(d) = plugin {
                assert_eq!(d.port_count as usize, ports(channels).len());
                assert_eq!(d.unique_id, 5_722_959 + channels as std::ffi::c_ulong);
            }
        }
    }
}
