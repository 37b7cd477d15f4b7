//! Live and Studio: what the host is told, on which thread, and that the sound stays where it was told to be.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

use wisp_testing::signals::noisy;

use crate::host::*;

/// Hops of latency by the parameter's value.
const HOPS: [usize; 2] = [2, 6];

fn told(plugin: &Plugin) -> usize {
    plugin.handler.latencies.load(Ordering::SeqCst)
}

fn teller(plugin: &Plugin) -> Option<ThreadId> {
    *plugin.handler.teller.lock().expect("no panic")
}

/// An instance that removes nothing.
fn plain() -> Plugin {
    let plugin = Plugin::new();
    plugin.set("Reduction", 0.0);
    plugin
}

/// Whether the output is the input this many samples later.
fn is_delayed(output: &[Vec<f32>], input: &[Vec<f32>], latency: usize) -> bool {
    let delayed = |(input, output): (&Vec<f32>, &Vec<f32>)| {
        output[latency..] == input[..input.len() - latency]
    };
    input.iter().zip(output).all(delayed)
}

/// A [`plain`] one in Live that has had a little sound.
fn playing() -> Plugin {
    let plugin = plain();
    plugin.start(48_000, 2, 512);
    plugin.run(&noisy(48_000, 2, 0.01), &[480], &[]);
    assert_eq!(plugin.latency(), 960);
    plugin
}

fn studio_state() -> Vec<u8> {
    let plugin = plain();
    plugin.set("Quality", 1.0);
    plugin.save()
}

/// Deactivates and activates the plugin, as a host that restarts it.
fn restart(component: &ComPtr<IComponent>, processor: &ComPtr<IAudioProcessor>) {
    com!(processor.setProcessing(0));
    assert_eq!(com!(component.setActive(0)), kResultOk);
    assert_eq!(com!(component.setActive(1)), kResultOk);
    com!(processor.setProcessing(1));
}

#[test]
fn a_state_that_says_studio_is_right_before_the_first_activation_on_any_thread() {
    let saved = studio_state();
    for pool in [false, true] {
        for rate in [8_000, 22_050, 44_100, 48_000, 96_000] {
            let first = || {
                let plugin = Plugin::new();
                assert!(plugin.load(&saved));
                plugin.set_up(f64::from(rate), 2, 512);
                let latency = plugin.latency();
                assert_eq!(latency, 6 * ((rate as usize + 50) / 100), "{rate} Hz");
                let tail = com!(plugin.processor.getTailSamples());
                assert_eq!(com!(plugin.component.setActive(1)), kResultOk);
                com!(plugin.processor.setProcessing(1));
                let input = noisy(rate, 2, 0.25);
                let output = plugin.run(&input, &[512, 100], &[]);
                assert!(is_delayed(&output, &input, latency), "{rate} Hz");
                assert_eq!(plugin.latency(), latency, "{rate} Hz");
                assert_eq!(com!(plugin.processor.getTailSamples()), tail, "{rate} Hz");
                plugin.stop();
                assert_eq!(told(&plugin), 0, "{rate} Hz: the host knew");
            };
            if pool {
                thread::scope(|scope| scope.spawn(first).join().expect("the first sound"));
            } else {
                first();
            }
        }
    }
    assert_eq!(Plugin::new().latency(), 960, "a new instance is Live");
}

/// In mid-sound, there and back: the host is told once, on the thread that made the change, and the sound keeps its place
/// until the host reactivates the plugin.
#[test]
fn a_change_while_running_waits_for_the_host() {
    for (rate, channels) in [(48_000, 2), (44_100, 1), (22_050, 2)] {
        let hop = (rate as usize + 50) / 100;
        let plugin = plain();
        let input = noisy(rate, channels, 0.4);
        let half = input[0].len() / 2 / 480 * 480;
        for (i, (now, next)) in [(0, 1), (1, 0), (0, 1)].into_iter().enumerate() {
            plugin.start(rate, channels, 512);
            let latency = plugin.latency();
            assert_eq!(latency, HOPS[now] * hop, "{rate} Hz");
            let tail = com!(plugin.processor.getTailSamples());
            let output = plugin.run_with(&input, 480, &[], |at| {
                if at == half || at == half + 960 {
                    plugin.set("Quality", next as f64);
                    assert_eq!(told(&plugin), i + 1, "{rate} Hz, at {at}");
                    assert_eq!(teller(&plugin), Some(thread::current().id()));
                }
            });
            assert!(is_delayed(&output, &input, latency), "{rate} Hz, to {next}");
            assert_eq!((plugin.latency(), plugin.value("Quality")), (latency, next as f64));
            assert_eq!(com!(plugin.processor.getTailSamples()), tail);
            plugin.stop();
            assert_eq!(plugin.latency(), HOPS[next] * hop, "{rate} Hz, inactive");
            assert_ne!(com!(plugin.processor.getTailSamples()), tail);
        }
        assert_eq!(told(&plugin), 3, "{rate} Hz");
    }
}

/// As Ardour: it activates the plugin, reads its latency or does not, and then loads the state.
#[test]
fn before_the_first_block_another_quality_is_taken_at_once() {
    let input = noisy(48_000, 2, 0.3);
    // Elsewhere nobody could tell a host that has read it.
    for read in [false, cfg!(target_os = "linux")] {
        let plugin = plain();
        plugin.start(48_000, 2, 512);
        assert!(!read || plugin.latency() == 960);
        assert!(plugin.load(&studio_state()));
        if read {
            #[cfg(target_os = "linux")]
            wait("the host was not told", || told(&plugin) == 1);
        }
        assert_eq!(plugin.latency(), 2_880);
        assert!(is_delayed(&plugin.run(&input, &[512], &[]), &input, 2_880));
        plugin.stop();
        // By the controller, told at once.
        plugin.start(48_000, 2, 512);
        assert_eq!(plugin.latency(), 2_880);
        plugin.set("Quality", 0.0);
        assert_eq!((plugin.latency(), told(&plugin)), (960, 1 + usize::from(read)));
        assert!(is_delayed(&plugin.run(&input, &[512], &[]), &input, 960));
        plugin.stop();
    }
}

/// As the interface requires: hosts reactivate the plugin, perhaps within the call, and then read the latency.
#[test]
fn a_host_that_restarts_within_the_call_is_told_once() {
    let plugin = playing();
    let input = noisy(48_000, 2, 0.3);
    let (component, processor) = (plugin.component.clone(), plugin.processor.clone());
    *plugin.handler.answer.lock().expect("no panic") =
        Some(Box::new(move || restart(&component, &processor)));
    for (i, (value, latency)) in [(1.0, 2_880), (0.0, 960), (1.0, 2_880)].into_iter().enumerate() {
        plugin.set("Quality", value);
        assert_eq!((plugin.latency(), told(&plugin)), (latency, i + 1));
        let output = plugin.run(&input, &[512], &[]);
        assert!(is_delayed(&output, &input, latency), "{latency}");
        // Each run is one of a fresh engine.
        restart(&plugin.component, &plugin.processor);
        plugin.run(&noisy(48_000, 2, 0.01), &[480], &[]);
    }
    plugin.handler.forget();
    plugin.stop();
}

/// As hosts built with JUCE do.
#[test]
fn a_host_that_only_reads_the_latency_is_told_again_when_it_changes() {
    let plugin = playing();
    let input = noisy(48_000, 2, 0.3);
    let read = Arc::new(AtomicUsize::new(0));
    let answer = || {
        let (processor, reading) = (plugin.processor.clone(), read.clone());
        Box::new(move || {
            reading.store(com!(processor.getLatencySamples()) as usize, Ordering::SeqCst);
        })
    };
    *plugin.handler.answer.lock().expect("no panic") = Some(answer());
    // This test may take so long that it is asked to reload.
    *plugin.handler.reload.lock().expect("no panic") = Some(answer());
    plugin.set("Quality", 1.0);
    // True still, so that the sound stays aligned.
    assert_eq!((told(&plugin), read.load(Ordering::SeqCst)), (1, 960));
    plugin.run(&input, &[512], &[]);
    restart(&plugin.component, &plugin.processor);
    assert_eq!((told(&plugin), read.load(Ordering::SeqCst)), (2, 2_880));
    assert!(is_delayed(&plugin.run(&input, &[512], &[]), &input, 2_880));
    plugin.handler.forget();
    plugin.stop();
}

#[test]
fn changes_from_other_threads_reach_the_host() {
    // The controller, on a pool thread.
    let plugin = playing();
    thread::scope(|scope| scope.spawn(|| plugin.set("Quality", 1.0)).join().expect("a change"));
    assert_eq!((told(&plugin), plugin.latency()), (1, 960));
    plugin.stop();
}

/// Until something is as it should be.
#[cfg(target_os = "linux")]
fn wait(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Hosts load a state while they hold locks, so that they are told after the call.
#[cfg(target_os = "linux")]
#[test]
fn a_state_that_is_loaded_while_another_quality_runs_reaches_the_host() {
    let plugin = playing();
    assert!(plugin.load(&studio_state()));
    wait("the host was not told", || told(&plugin) == 1);
    assert_ne!(teller(&plugin), Some(thread::current().id()));
    assert_eq!(plugin.latency(), 960);
    plugin.stop();
    assert_eq!(plugin.latency(), 2_880);
}

/// Like Ardour and hosts built with JUCE, which only reactivate the plugin when asked to reload it, perhaps holding a lock.
#[cfg(target_os = "linux")]
#[test]
fn a_host_that_takes_no_notice_is_asked_to_reload_once() {
    let plugin = playing();
    let input = noisy(48_000, 2, 0.3);
    let reloads = || plugin.handler.reloads.load(Ordering::SeqCst);
    // One that does nothing at all.
    plugin.set("Quality", 1.0);
    wait("the host was not asked again", || reloads() == 1);
    plugin.run(&input, &[512], &[]);
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!((told(&plugin), reloads(), plugin.latency()), (1, 1, 960));
    // Back: there is nothing to wait for any more.
    plugin.set("Quality", 0.0);
    // One that does, and reads a latency meanwhile.
    let (component, processor) = (plugin.component.clone(), plugin.processor.clone());
    *plugin.handler.reload.lock().expect("no panic") = Some(Box::new(move || {
        com!(processor.getLatencySamples());
        restart(&component, &processor);
        com!(processor.getLatencySamples());
    }));
    plugin.set("Quality", 1.0);
    assert_eq!(plugin.latency(), 960);
    wait("the host was not asked again", || reloads() == 2 && plugin.latency() == 2_880);
    assert_eq!(told(&plugin), 2, "told within its own call");
    assert!(is_delayed(&plugin.run(&input, &[512], &[]), &input, 2_880));
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!((told(&plugin), reloads()), (2, 2));
    plugin.handler.forget();
    plugin.stop();
}

/// The audio thread must not call the host, so another one does.
#[cfg(target_os = "linux")]
#[test]
fn a_change_that_only_the_audio_thread_learns_of_reaches_the_host() {
    let plugin = plain();
    let input = noisy(48_000, 2, 0.2);
    for (value, latency) in [(1.0, 960), (0.0, 2_880)] {
        plugin.start(48_000, 2, 512);
        assert_eq!(plugin.latency(), latency);
        let before = told(&plugin);
        let change = (plugin.id("Quality"), 1_000, value);
        let audio = thread::scope(|scope| {
            let sound = scope.spawn(|| {
                let output = plugin.run(&input, &[512], &[change]);
                assert!(is_delayed(&output, &input, latency));
                thread::current().id()
            });
            sound.join().expect("the sound")
        });
        wait("the host was not told", || told(&plugin) > before);
        assert_ne!(teller(&plugin), Some(audio));
        assert_ne!(teller(&plugin), Some(thread::current().id()));
        assert_eq!((told(&plugin), plugin.latency()), (before + 1, latency));
        plugin.stop();
    }
}

#[test]
fn hosts_may_set_it_but_not_automate_it() {
    let plugin = Plugin::new();
    for index in 0..com!(plugin.controller.getParameterCount()) {
        // SAFETY: plain data, for which all zeros is valid.
        let mut info: ParameterInfo = unsafe { std::mem::zeroed() };
        assert_eq!(com!(plugin.controller.getParameterInfo(index, &mut info)), kResultOk);
        let automatable = info.flags & ParameterInfo_::ParameterFlags_::kCanAutomate as int32 != 0;
        assert_eq!(automatable, wide(&info.title) != "Quality");
        assert_eq!(info.flags & ParameterInfo_::ParameterFlags_::kIsReadOnly as int32, 0);
    }
    let editing: ComPtr<IEditControllerHostEditing> = plugin.controller.cast().expect("editing");
    let id = plugin.id("Quality");
    assert_eq!(com!(editing.beginEditFromHost(id)), kResultOk);
    plugin.set("Quality", 1.0);
    assert_eq!(com!(editing.endEditFromHost(id)), kResultOk);
    assert_ne!(com!(editing.beginEditFromHost(id ^ 1)), kResultOk);
    assert_eq!((plugin.value("Quality"), plugin.latency()), (1.0, 2_880));
}
