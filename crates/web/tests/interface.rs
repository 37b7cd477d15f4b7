//! The functions as JavaScript calls them.
#![allow(unsafe_code)] // an engine's pointer

use wisp::parameter::EngineParameter;
use wisp::{Controls, Engine, Model};
use wisp_testing::allocations::{Counting, count};
use wisp_testing::hum;
use wisp_web::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls `body` with an engine and its samples.
fn with<T>(
    rate: u32,
    channels: usize,
    block: usize,
    body: impl FnOnce(*mut Wisp, &mut [f32]) -> T,
) -> T {
    let wisp = wisp_new(rate, channels, block);
    assert!(!wisp.is_null());
    // SAFETY: an engine's samples, of which there are as many; it is freed at the end.
    unsafe {
        let audio = std::slice::from_raw_parts_mut(wisp_audio(wisp), channels * block);
        let result = body(wisp, audio);
        wisp_free(wisp);
        result
    }
}

#[test]
fn the_output_is_the_engines() {
    const BLOCK: usize = 128;
    for (rate, channels) in [(48_000, 1), (44_100, 2)] {
        let mut expected: Vec<Vec<f32>> = (0..channels).map(|c| hum(12_800, c as u64)).collect();
        let input = expected.clone();
        let mut engine = Engine::new(&Model::live(), rate, channels).expect("an engine");
        let controls = Controls { reduction_db: 18.0, ambience: 0.05, ..Controls::default() };
        let mut whole: Vec<&mut [f32]> = expected.iter_mut().map(Vec::as_mut_slice).collect();
        engine.process(&controls, &mut whole);
        with(rate, channels, BLOCK, |wisp, audio| {
            // SAFETY: an engine.
            let (latency, tail) = unsafe { (wisp_latency(wisp), wisp_tail(wisp)) };
            assert_eq!((latency, tail), (engine.latency_samples(), engine.tail_samples()));
            for (parameter, value) in [(0, 18.0), (2, 5.0), (99, 1.0)] {
                // SAFETY: an engine.
                unsafe { wisp_set(wisp, parameter, value) };
            }
            for again in [false, true] {
                if again {
                    // SAFETY: an engine.
                    unsafe { wisp_reset(wisp) };
                }
                for at in (0..12_800).step_by(BLOCK) {
                    for (audio, input) in audio.chunks_mut(BLOCK).zip(&input) {
                        audio.copy_from_slice(&input[at..at + BLOCK]);
                    }
                    // SAFETY: an engine.
                    unsafe { wisp_process(wisp, BLOCK) };
                    for (audio, expected) in audio.chunks(BLOCK).zip(&expected) {
                        assert!(audio == &expected[at..at + BLOCK], "sample {at}");
                    }
                }
            }
        });
    }
}

#[test]
fn nothing_allocates_after_the_first_call() {
    for channels in [1, 2] {
        with(48_000, channels, 128, |wisp, audio| {
            audio.copy_from_slice(&hum(128 * channels, 1));
            let ((), calls, _) = count(|| {
                for block in 0..200 {
                    // SAFETY: an engine.
                    unsafe {
                        wisp_set(wisp, block % EngineParameter::ALL.len(), block as f32);
                        wisp_process(wisp, block);
                    }
                }
                // SAFETY: an engine.
                unsafe { wisp_reset(wisp) };
            });
            assert_eq!(calls, 0, "{channels} channels");
        });
    }
}

#[test]
fn denormals_count_as_silence() {
    with(48_000, 2, 128, |wisp, audio| {
        for _ in 0..100 {
            audio.fill(1e-40);
            // SAFETY: an engine.
            unsafe { wisp_process(wisp, 128) };
            assert!(audio.iter().all(|&y| y == 0.0));
        }
    });
}

#[test]
fn numbers_that_it_does_not_take_give_none() {
    for (rate, channels, block) in [(7_999, 1, 128), (48_000, 0, 128), (48_000, 3, 128)] {
        assert!(wisp_new(rate, channels, block).is_null());
    }
    assert!(wisp_new(48_000, 1, 0).is_null() && wisp_new(48_000, 1, usize::MAX).is_null());
}

/// The tables that wisp.js and worklet.js keep of the controls.
#[test]
fn javascript_has_the_same_controls_in_the_same_order() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).expect(name);
    for (file, line) in [
        ("wisp.js", "  ID: Object.freeze({ min: LOW, max: HIGH, default: DEFAULT }),"),
        ("worklet.js", "  [\"ID\", LOW, HIGH, DEFAULT],"),
    ] {
        let lines: String = EngineParameter::ALL
            .iter()
            .map(|parameter| {
                let (low, high) = parameter.range();
                line.replace("ID", parameter.id())
                    .replace("LOW", &low.to_string())
                    .replace("HIGH", &high.to_string())
                    .replace("DEFAULT", &parameter.default().to_string())
                    + "\n"
            })
            .collect();
        assert!(read(file).contains(&lines), "{file} does not have\n{lines}");
    }
    let types = read("wisp.d.ts");
    for parameter in EngineParameter::ALL {
        let id = parameter.id();
        assert!(types.contains(&format!("  {id}?: number;")), "wisp.d.ts: {id}");
        assert!(types.contains(&format!("  readonly {id}: AudioParam;")), "wisp.d.ts: {id}");
    }
}

#[test]
fn the_package_has_the_projects_version() {
    let package = include_str!("../../../web/package.json");
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(package.contains(&version), "package.json does not have {version}");
}
