//! Several threads, and many instances.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wisp_testing::Random;
use wisp_testing::signals::noisy;

use crate::host::*;

/// Sound and automation on one thread, queries and states on another, as in hosts.
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
                let mut random = Random(thread);
                let mut alive: Vec<Plugin> = Vec::new();
                for _ in 0..25 {
                    let plugin = Plugin::new();
                    assert!(&plugin.play(48_000, input, &[480]) == expected);
                    alive.push(plugin);
                    // Usually, one of them is dropped.
                    if random.unit() < 0.8 {
                        alive.swap_remove(random.below(alive.len()));
                    }
                }
            });
        }
    });
}

/// An audio thread that changes every parameter in each block until it is stopped.
pub(crate) struct Automation {
    stop: Arc<AtomicBool>,
    blocks: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

pub(crate) fn automate(plugin: &Plugin, ids: &[ParamID]) -> Automation {
    let (stop, blocks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (told, count, ids) = (stop.clone(), blocks.clone(), ids.to_vec());
    let audio = Audio(plugin.processor.clone());
    let thread = std::thread::spawn(move || {
        let audio = audio;
        let mut random = Random(7);
        while !told.load(Ordering::Relaxed) {
            let mut sound = [[0.0f32; 128]; 2];
            sound.iter_mut().flatten().for_each(|x| *x = 0.1 * random.sample());
            let [left, right] = &mut sound;
            let changes: Vec<Change> = ids.iter().map(|&id| (id, 5, random.unit())).collect();
            process(&audio.0, &mut [left, right], &changes);
            assert!(sound.iter().flatten().all(|y| y.is_finite()));
            count.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
    });
    Automation { stop, blocks, thread }
}

/// The processor, for the audio thread.
struct Audio(ComPtr<IAudioProcessor>);
// SAFETY: VST3 calls processors on the audio thread.
unsafe impl Send for Audio {}

impl Automation {
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the audio thread");
        assert!(self.blocks.load(Ordering::Relaxed) > 10, "the audio thread has not run");
    }
}
