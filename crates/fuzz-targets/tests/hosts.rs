//! A bounded run of the fuzz targets that need the plugin (`fuzz/`).
use wisp_fuzz_targets::{presets, state};
use wisp_testing::Random;
use wisp_testing::corpus::run_changed;

#[test]
fn no_state_breaks_the_plugin() {
    let words = [
        "1e999",
        "-1e39",
        "1e39",
        "3.5e38",
        "-0.0",
        "null",
        "true",
        "\"\"",
        "{}",
        "[]",
        "NaN",
        "\"f32\"",
        "\"i32\"",
        "\"string\"",
        "99999999999",
        "-1",
        "\"reduction\"",
        "\"stereo\"",
        "\"editor\"",
        "\"fields\"",
    ];
    run_changed("state", &words, &mut Random(4), 10_000, state::run);
    // Extreme numbers in number fields.
    for number in
        ["1e38", "-1e38", "1e39", "-1e300", "1e999", "0", "-0.0", "1e-45", "61.0001", "60.7"]
    {
        for name in ["reduction", "output"] {
            let json = format!(
                r#"{{"version":"","params":{{"{name}":{{"f32":{number}}}}},"fields":{{}}}}"#
            );
            state::run(json.as_bytes());
        }
    }
    for number in ["-1", "2", "2147483647", "-2147483648", "1"] {
        for name in ["listen", "stereo"] {
            let json = format!(
                r#"{{"version":"","params":{{"{name}":{{"i32":{number}}}}},"fields":{{}}}}"#
            );
            state::run(json.as_bytes());
        }
    }
}

#[test]
fn no_preset_breaks_the_plugin() {
    let words = [
        "\"Full\"",
        "\"24 dB\"",
        "\"nan\"",
        "\"inf dB\"",
        "\"-inf\"",
        "1e39",
        "-1e999",
        "1e-45",
        "null",
        "[]",
        "{}",
        "\"wisp\": 1",
        "\"wisp\": 1.0",
        "\"stereo\"",
        "\"reduction\"",
        "\u{0}",
        "../",
        "\\",
        ".",
        "ß",
        "𝕎",
        "CON",
    ];
    run_changed("presets", &words, &mut Random(5), 3_000, presets::run);
    for name in ["", ".", "..", "../x", "a/../../x", "/tmp/x", "C:\\x", "nul", "a\0b", "file", "a."]
    {
        presets::run(name.as_bytes());
    }
}
