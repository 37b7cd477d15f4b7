//! Calls the functions as C code does.
#![allow(unsafe_code)] // C pointers

use std::ffi::CStr;
use std::ptr::{self, null, null_mut};

use wisp::{Controls, Engine, Listen, Model, Quality, Stereo};
use wisp_capi::*;
use wisp_testing::allocations::{Counting, count};
use wisp_testing::{Random, hum};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// An engine that frees itself.
struct Handle(*mut WispEngine);

impl Handle {
    fn new(rate: u32, channels: u32) -> Self {
        let mut engine = null_mut();
        // SAFETY: follows the header's rules.
        let status = unsafe { wisp_engine_new(rate, channels, &mut engine) };
        assert_eq!(status, WispStatus::Ok);
        Self(engine)
    }

    fn with_quality(rate: u32, channels: u32, quality: WispQuality) -> Self {
        let mut engine = null_mut();
        // SAFETY: follows the header's rules.
        let status =
            unsafe { wisp_engine_new_with_quality(rate, channels, quality as i32, &mut engine) };
        assert_eq!(status, WispStatus::Ok);
        Self(engine)
    }

    fn set(&self, control: i32, value: f32) -> WispStatus {
        // SAFETY: follows the header's rules.
        unsafe { wisp_engine_set_control(self.0, control, value) }
    }

    fn get(&self, control: i32) -> f32 {
        let mut value = f32::NAN;
        // SAFETY: follows the header's rules.
        assert_eq!(unsafe { wisp_engine_get_control(self.0, control, &mut value) }, WispStatus::Ok);
        value
    }

    fn planar(&self, channels: &mut [&mut [f32]]) -> WispStatus {
        let samples = channels[0].len();
        let pointers: Vec<*mut f32> = channels.iter_mut().map(|c| c.as_mut_ptr()).collect();
        // SAFETY: follows the header's rules.
        unsafe { wisp_engine_process(self.0, pointers.as_ptr(), samples) }
    }

    fn interleaved(&self, samples: &mut [f32], channels: usize) -> WispStatus {
        let frames = samples.len() / channels;
        // SAFETY: follows the header's rules.
        unsafe { wisp_engine_process_interleaved(self.0, samples.as_mut_ptr(), frames) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: not freed before.
        unsafe { wisp_engine_free(self.0) };
    }
}

fn message() -> String {
    // SAFETY: null-terminated.
    unsafe { CStr::from_ptr(wisp_last_error()) }.to_str().expect("UTF-8").to_owned()
}

fn bits(samples: &[f32]) -> Vec<u32> {
    samples.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn the_output_is_the_engines_whatever_the_layout_and_the_block() {
    for rate in [48_000, 11_025] {
        let input = [hum(30_000, 1), hum(30_000, 2)];
        let controls =
            Controls { reduction_db: 18.0, ambience: 0.05, output_db: -3.0, ..Controls::default() };
        let mut expected = input.clone();
        let mut engine = Engine::new(&Model::live(), rate, 2).expect("an engine");
        let [left, right] = &mut expected;
        engine.process(&controls, &mut [left, right]);

        let (planar, interleaved) = (Handle::new(rate, 2), Handle::new(rate, 2));
        for handle in [&planar, &interleaved] {
            for (control, value) in [
                (WispControl::Reduction, 18.0),
                (WispControl::Ambience, 0.05),
                (WispControl::Output, -3.0),
            ] {
                assert_eq!(handle.set(control as i32, value), WispStatus::Ok);
                assert_eq!(handle.get(control as i32), value);
            }
            // SAFETY: a live engine.
            let (latency, tail) =
                unsafe { (wisp_engine_latency(handle.0), wisp_engine_tail(handle.0)) };
            assert_eq!((latency, tail), (engine.latency_samples(), engine.tail_samples()));
        }
        let mut got = input.clone();
        let [left, right] = &mut got;
        let mut random = Random(3);
        let mut at = 0;
        while at < left.len() {
            let to = left.len().min(at + (random.unit() * 700.0) as usize);
            let status = planar.planar(&mut [&mut left[at..to], &mut right[at..to]]);
            assert_eq!(status, WispStatus::Ok);
            at = to;
        }
        assert!(bits(&got[0]) == bits(&expected[0]) && bits(&got[1]) == bits(&expected[1]));

        let mut frames: Vec<f32> =
            input[0].iter().zip(&input[1]).flat_map(|(l, r)| [*l, *r]).collect();
        for block in frames.chunks_mut(2 * 777) {
            assert_eq!(interleaved.interleaved(block, 2), WispStatus::Ok);
        }
        let expected: Vec<f32> =
            expected[0].iter().zip(&expected[1]).flat_map(|(l, r)| [*l, *r]).collect();
        assert!(bits(&frames) == bits(&expected), "interleaved, {rate} Hz");
    }
}

#[test]
fn a_quality_is_that_of_the_library() {
    let run = |handle: Handle| {
        let mut samples = hum(19_200, 8);
        assert_eq!(handle.interleaved(&mut samples, 1), WispStatus::Ok);
        // SAFETY: a live engine.
        let timing = unsafe { (wisp_engine_latency(handle.0), wisp_engine_tail(handle.0)) };
        (bits(&samples), timing)
    };
    for rate in [48_000, 44_100] {
        let expected = |quality| {
            let mut samples = hum(19_200, 8);
            let mut engine = Engine::new(&Model::bundled(quality), rate, 1).expect("an engine");
            engine.process(&Controls::default(), &mut [&mut samples]);
            (bits(&samples), (engine.latency_samples(), engine.tail_samples()))
        };
        let (live, studio) = (expected(Quality::Live), expected(Quality::Studio));
        assert_eq!((live.1.0, studio.1.0), (rate as usize / 50, 3 * rate as usize / 50));
        assert!(live != studio);
        assert!(run(Handle::with_quality(rate, 1, WispQuality::Live)) == live);
        assert!(run(Handle::with_quality(rate, 1, WispQuality::Studio)) == studio);
        assert!(run(Handle::new(rate, 1)) == live, "live unless told");
    }
}

#[test]
fn every_control_reaches_the_engine() {
    let plain = Controls::default();
    for (control, value, controls) in [
        (WispControl::Reduction, f32::INFINITY, Controls { reduction_db: f32::INFINITY, ..plain }),
        (WispControl::Sensitivity, 6.0, Controls { sensitivity_db: 6.0, ..plain }),
        (WispControl::Ambience, 0.5, Controls { ambience: 0.5, ..plain }),
        (WispControl::Output, 6.0, Controls { output_db: 6.0, ..plain }),
        (WispControl::Listen, 1.0, Controls { listen: Listen::Removed, ..plain }),
        (WispControl::Stereo, 1.0, Controls { stereo: Stereo::Independent, ..plain }),
        (WispControl::Bypass, 1.0, Controls { bypass: true, ..plain }),
    ] {
        let run = |controls: &Controls| {
            let mut engine = Engine::new(&Model::live(), 16_000, 2).expect("an engine");
            let (mut left, mut right) = (hum(9_600, 4), hum(9_600, 5));
            engine.process(controls, &mut [&mut left, &mut right]);
            (bits(&left), bits(&right))
        };
        let expected = run(&controls);
        assert_ne!(expected, run(&plain), "{control:?} is heard");
        let handle = Handle::new(16_000, 2);
        assert_eq!(handle.set(control as i32, value), WispStatus::Ok, "{}", message());
        let (mut left, mut right) = (hum(9_600, 4), hum(9_600, 5));
        assert_eq!(handle.planar(&mut [&mut left, &mut right]), WispStatus::Ok);
        assert_eq!((bits(&left), bits(&right)), expected, "{control:?}");
        // The initial state, but with the controls that were set.
        // SAFETY: follows the header's rules.
        assert_eq!(unsafe { wisp_engine_reset(handle.0) }, WispStatus::Ok);
        let (mut left, mut right) = (hum(9_600, 4), hum(9_600, 5));
        assert_eq!(handle.planar(&mut [&mut left, &mut right]), WispStatus::Ok);
        assert_eq!((bits(&left), bits(&right)), expected, "{control:?} after a reset");
    }
}

#[test]
fn values_outside_their_range_change_nothing() {
    let handle = Handle::new(48_000, 1);
    for (control, value) in [
        (WispControl::Reduction, -1.0),
        (WispControl::Reduction, f32::NAN),
        (WispControl::Sensitivity, 12.5),
        (WispControl::Ambience, 1.5),
        (WispControl::Output, f32::INFINITY),
        (WispControl::Listen, 0.5),
        (WispControl::Stereo, 2.0),
        (WispControl::Bypass, -1.0),
    ] {
        let before = handle.get(control as i32);
        assert_eq!(handle.set(control as i32, value), WispStatus::Value, "{control:?} {value}");
        assert!(message().contains(&format!("{value}, expected")), "{}", message());
        assert_eq!(handle.get(control as i32), before);
    }
    for control in [-1, 7, i32::MAX] {
        assert_eq!(handle.set(control, 0.0), WispStatus::Control);
        assert!(message().contains(&control.to_string()));
    }
}

#[test]
fn nonsense_is_refused_and_said() {
    let mut engine = ptr::dangling_mut();
    // SAFETY: only existing memory is read.
    unsafe {
        for (rate, channels, status, part) in [
            (7_999, 1, WispStatus::SampleRate, "7999 Hz"),
            (u32::MAX, 1, WispStatus::SampleRate, "4294967295 Hz"),
            (48_000, 0, WispStatus::Channels, "0 channels"),
            (48_000, 3, WispStatus::Channels, "3 channels"),
        ] {
            assert_eq!(wisp_engine_new(rate, channels, &mut engine), status);
            assert!(engine.is_null() && message().contains(part), "{}", message());
        }
        assert_eq!(wisp_engine_new(48_000, 1, null_mut()), WispStatus::NullPointer);
        for quality in [-1, 2, i32::MIN] {
            engine = ptr::dangling_mut();
            let status = wisp_engine_new_with_quality(48_000, 1, quality, &mut engine);
            assert_eq!(status, WispStatus::Quality);
            let expected = format!("there is no quality {quality}");
            assert!(engine.is_null() && message() == expected, "{}", message());
        }
        let studio = WispQuality::Studio as i32;
        let status = wisp_engine_new_with_quality(48_000, 1, studio, null_mut());
        assert_eq!(status, WispStatus::NullPointer);

        let (mut value, mut sample) = (0.0, [0.5_f32; 4]);
        let one = [sample.as_mut_ptr()];
        let nothing = WispStatus::NullPointer;
        assert_eq!(wisp_engine_process(null_mut(), one.as_ptr(), 4), nothing);
        assert_eq!(wisp_engine_process_interleaved(null_mut(), one[0], 4), nothing);
        assert_eq!(wisp_engine_set_control(null_mut(), 0, 0.0), nothing);
        assert_eq!(wisp_engine_get_control(null_mut(), 0, &mut value), nothing);
        assert_eq!(wisp_engine_reset(null_mut()), nothing);
        assert_eq!((wisp_engine_latency(null()), wisp_engine_tail(null())), (0, 0));
        wisp_engine_free(null_mut());

        let stereo = Handle::new(48_000, 2);
        assert_eq!(wisp_engine_process(stereo.0, null(), 4), nothing);
        assert_eq!(wisp_engine_process(stereo.0, null(), 0), WispStatus::Ok);
        let half = [one[0], null_mut()];
        assert_eq!(wisp_engine_process(stereo.0, half.as_ptr(), 4), nothing);
        assert!(message().contains("channels[1]"), "{}", message());
        assert_eq!(wisp_engine_process_interleaved(stereo.0, null_mut(), 4), nothing);
        assert_eq!(wisp_engine_get_control(stereo.0, 0, null_mut()), nothing);

        let overlapping = [one[0], one[0].add(3)];
        assert_eq!(wisp_engine_process(stereo.0, overlapping.as_ptr(), 4), WispStatus::Buffer);
        let apart = [one[0], one[0].add(2)];
        assert_eq!(wisp_engine_process(stereo.0, apart.as_ptr(), 2), WispStatus::Ok);
        let odd = one[0].byte_add(1);
        let status = wisp_engine_process_interleaved(stereo.0, odd, 1);
        assert_eq!(status, WispStatus::Buffer);
        for frames in [usize::MAX, usize::MAX / 4, isize::MAX as usize / 4] {
            let status = wisp_engine_process_interleaved(stereo.0, one[0], frames);
            assert_eq!(status, WispStatus::Buffer, "{frames}");
        }
    }
    let mut nan = [f32::NAN, f32::INFINITY, 1e30, -1e30];
    let mono = Handle::new(48_000, 1);
    for _ in 0..2_000 {
        assert_eq!(mono.interleaved(&mut nan, 1), WispStatus::Ok);
        assert!(nan.iter().all(|x| x.is_finite()));
        nan = [f32::NAN, f32::INFINITY, 1e30, -1e30];
    }
}

#[test]
fn the_audio_path_does_not_allocate_even_when_it_fails() {
    for (rate, channels, quality) in [
        (48_000, 1, WispQuality::Live),
        (44_100, 2, WispQuality::Live),
        (11_025, 2, WispQuality::Live),
        (48_000, 2, WispQuality::Studio),
    ] {
        let handle = Handle::with_quality(rate, channels, quality);
        let mut samples = hum(9_600, 6);
        let ((), calls, _) = count(|| {
            for (i, block) in samples.chunks_mut(960).enumerate() {
                assert_eq!(handle.interleaved(block, channels as usize), WispStatus::Ok);
                assert_eq!(handle.set(0, i as f32), WispStatus::Ok);
                assert_eq!(handle.set(0, -1.0), WispStatus::Value);
            }
            // SAFETY: follows the header's rules.
            assert_eq!(unsafe { wisp_engine_reset(handle.0) }, WispStatus::Ok);
        });
        assert_eq!(calls, 0, "{rate} Hz");
    }
}

#[test]
fn the_version_is_the_packages() {
    // SAFETY: null-terminated.
    let version = unsafe { CStr::from_ptr(wisp_version()) };
    assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
}
