//! Parameter changes from automation and from the controller.
use wisp_testing::Random;
use wisp_testing::signals::noisy;

use crate::host::*;

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

/// Random values for every parameter, set while the plugin is processing but no block arrives; 20 rounds.
#[test]
fn what_the_controller_sets_is_heard_though_no_block_runs() {
    let input = noisy(48_000, 2, 0.1);
    for round in 0..20 {
        let mut random = Random(round);
        let plugin = Plugin::new();
        let names: Vec<String> = plugin.parameters().into_iter().map(|(name, _)| name).collect();
        plugin.start(48_000, 2, 512);
        // In every other round, right after sound and automation.
        if round % 2 == 1 {
            let changes: Vec<Change> =
                names.iter().map(|name| (plugin.id(name), 7, 0.25)).collect();
            plugin.run(&input, &[512], &changes);
        }
        let expected = Plugin::new();
        for name in &names {
            let list = ["Listen", "Stereo", "Bypass", "Quality"].contains(&name.as_str());
            let value = random.unit();
            let value = if list { value.round() } else { value };
            plugin.set(name, value);
            expected.set(name, value);
            assert!((plugin.value(name) - value).abs() < 1e-6, "round {round}: {name}");
        }
        // A state saved now has all the values, and so has one saved after stopping.
        let saved = plugin.save();
        assert_eq!(saved, expected.save(), "round {round}");
        let loaded = Plugin::new();
        assert!(loaded.load(&saved));
        for name in &names {
            assert!((loaded.value(name) - expected.value(name)).abs() < 1e-6, "{name}");
        }
        plugin.stop();
        assert_eq!(plugin.save(), expected.save(), "round {round}");
        assert!(plugin.play(48_000, &input, &[512]) == expected.play(48_000, &input, &[512]));
    }
}

/// From the next block's first sample on.
#[test]
fn what_the_controller_sets_between_blocks_is_heard_in_the_next() {
    let input = noisy(48_000, 2, 0.4);
    for (name, value) in [
        ("Reduction", 0.9),
        ("Sensitivity", 0.9),
        ("Ambience", 0.7),
        ("Output", 0.2),
        ("Listen", 1.0),
        ("Stereo", 1.0),
        ("Bypass", 1.0),
    ] {
        let at = 18 * 512;
        let plugin = Plugin::new();
        plugin.start(48_000, 2, 512);
        let by_controller = plugin.run_with(&input, 512, &[], |from| {
            if from == at {
                plugin.set(name, value);
                assert!((plugin.value(name) - value).abs() < 1e-6, "{name}");
            }
        });
        plugin.stop();
        let plugin = Plugin::new();
        plugin.start(48_000, 2, 512);
        let by_automation = plugin.run(&input, &[512], &[(plugin.id(name), at, value)]);
        plugin.stop();
        assert!(by_controller == by_automation, "{name}");
    }
}

/// During automation, hosts also update the controller, later and only for display.
#[test]
fn echoes_of_automation_do_not_move_it() {
    let input = noisy(48_000, 2, 0.5);
    let plugin = Plugin::new();
    let (output, bypass) = (plugin.id("Output"), plugin.id("Bypass"));
    let ramp = (0..120).map(|i| (output, 40 + 97 * i, f64::from(i as u32 % 50) / 60.0));
    let switch = [(bypass, 9_000, 1.0), (bypass, 9_700, 0.0)];
    let changes: Vec<Change> = ramp.chain(switch).collect();
    let run = |echoes: bool| {
        plugin.set("Output", 0.5);
        plugin.set("Bypass", 0.0);
        plugin.start(48_000, 2, 480);
        let heard = plugin.run_with(&input, 480, &changes, |at| {
            // The value 30 ms ago.
            let late = |id| {
                let then = changes.iter().filter(|c| c.0 == id && c.1 + 1_440 < at);
                then.max_by_key(|c| c.1).map(|c| c.2)
            };
            for (name, id) in [("Output", output), ("Bypass", bypass)] {
                if let Some(value) = late(id).filter(|_| echoes) {
                    plugin.set(name, value);
                }
            }
        });
        plugin.stop();
        heard
    };
    let plain = run(false);
    assert!(run(true) == plain, "an echo was heard");
    // After automation has ended, the controller's values apply again.
    plugin.start(48_000, 2, 480);
    plugin.run(&input, &[480], &changes);
    std::thread::sleep(std::time::Duration::from_millis(600));
    plugin.run(&input, &[480], &[]);
    plugin.set("Output", 0.25);
    plugin.run(&input, &[480], &[]);
    assert_eq!(plugin.value("Output"), 0.25);
    plugin.stop();
}
