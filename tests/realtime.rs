//! Nothing that the audio thread calls allocates.
#![allow(unsafe_code)] // a global allocator is an unsafe trait
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{noisy_voice, run};
use wisp::{Controls, Dccrn, Engine, Listen, Stereo};

/// Counts what this thread asks of the allocator.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn note() {
    // A thread that is ending may still free memory.
    let _ = CALLS.try_with(|c| c.set(c.get() + 1));
}

// SAFETY: forwards to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: handed on as it came.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note();
        // SAFETY: handed on as it came.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: handed on as it came.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn calls(work: impl FnOnce()) -> usize {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(calls(|| drop(std::hint::black_box(vec![1u8; 100]))), 2);
}

#[test]
fn process_and_reset_do_not_allocate() {
    for rate in [8_000, 11_025, 22_050, 44_100, 48_000, 88_211, 192_000] {
        for channels in [1, 2] {
            let mut engine = Engine::new(Dccrn::bundled(), rate, channels).unwrap();
            let signal = noisy_voice(rate, 0.25, 3500.0);
            let mut audio = vec![signal; channels];
            let mut settings = [Controls::default(); 5];
            settings[1] =
                Controls { stereo: Stereo::Independent, reduction_db: 12.0, ..settings[0] };
            settings[2] = Controls { listen: Listen::Removed, output_db: 3.0, ..settings[0] };
            settings[3] = Controls { bypass: true, ..settings[0] };
            settings[4] = Controls { sensitivity_db: 6.0, ambience: 0.3, ..settings[0] };
            let mut blocks: Vec<Vec<&mut [f32]>> = Vec::new();
            let mut rest: Vec<&mut [f32]> = audio.iter_mut().map(|c| &mut c[..]).collect();
            while !rest[0].is_empty() {
                let size = [1, 64, 700, 2000, 333][blocks.len() % 5].min(rest[0].len());
                let (block, tail) = rest.into_iter().map(|c| c.split_at_mut(size)).unzip();
                blocks.push(block);
                rest = tail;
            }
            let count = calls(|| {
                for (i, block) in blocks.iter_mut().enumerate() {
                    engine.process(&settings[i % 5], block);
                    std::hint::black_box(engine.telemetry());
                }
                engine.reset();
            });
            assert_eq!(count, 0, "{rate} Hz, {channels} channels: calls of the allocator");
        }
    }
}

/// Denormals neither slow the engine down nor change how the host's own arithmetic treats them.
#[test]
fn denormals_are_flushed_inside_and_left_alone_outside() {
    let tiny = std::hint::black_box(f32::MIN_POSITIVE);
    let mut engine = Engine::new(Dccrn::bundled(), 48_000, 1).unwrap();
    let denormal = vec![1e-40f32; 4800];
    let out = run(&mut engine, &Controls::default(), &[denormal], || 480);
    assert!(out[0].iter().all(|y| y.abs() < 1e-30));
    let half = tiny * std::hint::black_box(0.5);
    assert!(half > 0.0 && half.is_subnormal(), "denormals are still flushed outside");
}
