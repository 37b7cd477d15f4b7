//! Nothing called on the audio thread allocates.
mod common;

use common::{full, networks, noisy_voice, run};
use wisp::{Controls, Engine, Listen, Model, Role, Stereo};
use wisp_testing::allocations::{Counting, count};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_counter_counts() {
    let (kept, calls, held) = count(|| {
        drop(std::hint::black_box(vec![1u8; 100]));
        std::hint::black_box(vec![1u8; 30])
    });
    assert_eq!((kept.len(), calls, held), (30, 3, 30));
}

/// Not counting the weights, which all instances share.
#[test]
fn an_instance_needs_little_memory() {
    Model::live();
    Model::studio();
    for (rate, channels) in [(44_100, 2), (48_000, 1), (48_000, 2), (96_000, 2)] {
        for model in [Model::live(), Model::studio()] {
            let (_engine, _, held) = count(|| Engine::new(&model, rate, channels).unwrap());
            assert!(held > 0 && held <= 2 << 20, "{rate} Hz, {channels} channels: {held} bytes");
        }
    }
}

#[test]
fn process_and_reset_do_not_allocate() {
    let kinds = networks();
    for rate in [8_000, 11_025, 22_050, 44_100, 48_000, 88_211, 192_000] {
        let channels = if rate == 48_000 { &[1, 2, 6][..] } else { &[1, 2] };
        for (&channels, (kind, network)) in
            channels.iter().flat_map(|c| kinds.iter().map(move |k| (c, k)))
        {
            let mut roles = vec![Role::Denoised; channels];
            roles.iter_mut().skip(3).take(1).for_each(|role| *role = Role::Passed);
            let mut engine = Engine::with_roles(network, rate, &roles).unwrap();
            let signal = noisy_voice(rate, 0.25, 3500.0);
            let mut audio = vec![signal; channels];
            let mut settings = [full(); 5];
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
            let mut interleaved = vec![0.1; 1000 * channels];
            let ((), calls, _) = count(|| {
                for (i, block) in blocks.iter_mut().enumerate() {
                    engine.process(&settings[i % 5], block);
                    std::hint::black_box(engine.telemetry());
                }
                engine.process_interleaved(&settings[0], &mut interleaved);
                engine.reset();
            });
            assert_eq!(calls, 0, "{kind}, {rate} Hz, {channels} channels: calls of the allocator");
        }
    }
}

/// The engine flushes denormals inside, and leaves the host's setting unchanged.
#[test]
fn denormals_are_flushed_inside_and_left_alone_outside() {
    let tiny = std::hint::black_box(f32::MIN_POSITIVE);
    let mut engine = Engine::new(&Model::live(), 48_000, 1).unwrap();
    let denormal = vec![1e-40f32; 4800];
    let out = run(&mut engine, &full(), &[denormal], || 480);
    assert!(out[0].iter().all(|y| y.abs() < 1e-30));
    let half = tiny * std::hint::black_box(0.5);
    assert!(half > 0.0 && half.is_subnormal(), "denormals are still flushed outside");
}
