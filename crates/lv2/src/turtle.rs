//! The files that LV2 hosts read before they load the library: `manifest.ttl`, `wisp.ttl` and `presets.ttl` of the bundle.
use std::fmt::Write;

use wisp::Controls;
use wisp::parameter::{EngineParameter, REDUCTION_FULL, Values};
use wisp::preset::{self, FACTORY};

use crate::lv2::URIS;
use crate::port::{Port, ports};

/// The library's file name in the bundle on Linux; other systems use their own extension.
pub const BINARY: &str = "wisp.so";
/// Upper bound of the latency, samples.
const MOST_LATENCY: usize = 16_384;

const PREFIXES: &str = "\
@prefix doap: <http://usefulinc.com/ns/doap#> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
@prefix pg: <http://lv2plug.in/ns/ext/port-groups#> .
@prefix pset: <http://lv2plug.in/ns/ext/presets#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix units: <http://lv2plug.in/ns/extensions/units#> .
";

/// The bundle's files: names and texts.
pub fn files() -> [(&'static str, String); 3] {
    [("manifest.ttl", manifest()), ("wisp.ttl", plugins()), ("presets.ttl", presets())]
}

fn uri(channels: usize) -> &'static str {
    URIS[channels - 1].to_str().unwrap_or_default()
}

fn preset_uri(channels: usize, name: &str) -> String {
    format!("{}#{}", uri(channels), name.to_lowercase().replace(' ', "-"))
}

fn manifest() -> String {
    let mut text = PREFIXES.to_owned();
    for channels in [1, 2] {
        let _ = write!(
            text,
            "\n<{}>\n\ta lv2:Plugin ;\n\tlv2:binary <{BINARY}> ;\n\trdfs:seeAlso <wisp.ttl> .\n",
            uri(channels)
        );
        for preset in &FACTORY {
            let _ = write!(
                text,
                "\n<{}>\n\ta pset:Preset ;\n\tlv2:appliesTo <{}> ;\n\trdfs:label \"{}\" ;\n\t\
                 rdfs:seeAlso <presets.ttl> .\n",
                preset_uri(channels, preset.name),
                uri(channels),
                preset.name
            );
        }
    }
    text
}

fn plugins() -> String {
    let licence = "<https://spdx.org/licenses/MIT> , <https://spdx.org/licenses/Apache-2.0>";
    let mut text = format!(
        "{PREFIXES}\n<https://wisp.audio>\n\ta doap:Project ;\n\tdoap:name \"Wisp\" ;\n\t\
         doap:license {licence} ;\n\t\
         doap:maintainer [\n\t\ta foaf:Person ;\n\t\tfoaf:name \"Wisp\" ;\n\t] .\n"
    );
    let (minor, micro) = (env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH"));
    for (channels, name) in [(1, "mono"), (2, "stereo")] {
        let all = ports(channels);
        let described: Vec<String> =
            all.iter().enumerate().map(|(i, &p)| port(i, p, channels)).collect();
        let _ = write!(
            text,
            "\n<{}>\n\ta lv2:Plugin , lv2:SpectralPlugin ;\n\tlv2:project <https://wisp.audio> ;\n\t\
             doap:name \"Wisp ({name})\" ;\n\tdoap:license {licence} ;\n\t\
             rdfs:comment \"Removes noise from a voice in real time.\" ;\n\t\
             lv2:minorVersion {minor} ;\n\tlv2:microVersion {micro} ;\n\t\
             lv2:optionalFeature lv2:hardRTCapable ;\n\tlv2:port {} .\n",
            uri(channels),
            described.join(" , ")
        );
    }
    text
}

/// A port's properties.
fn port(index: usize, port: Port, channels: usize) -> String {
    let mut lines = Vec::new();
    match port {
        Port::Input(channel) | Port::Output(channel) => {
            let way = if matches!(port, Port::Input(_)) { "Input" } else { "Output" };
            lines.push(format!("a lv2:{way}Port , lv2:AudioPort"));
            if channels == 2 {
                lines.push(format!("lv2:designation pg:{}", ["left", "right"][channel]));
            }
        }
        Port::Control(parameter) => {
            lines.push("a lv2:InputPort , lv2:ControlPort".to_owned());
            lines.extend(values(parameter));
        }
        Port::Latency => {
            lines.push("a lv2:OutputPort , lv2:ControlPort".to_owned());
            lines.push("lv2:designation lv2:latency".to_owned());
            lines.push("lv2:portProperty lv2:reportsLatency , lv2:integer".to_owned());
            lines.push(format!("lv2:minimum 0 ;\n\t\tlv2:maximum {MOST_LATENCY}"));
            lines.push("units:unit units:frame".to_owned());
        }
    }
    lines.insert(1, format!("lv2:index {index}"));
    lines.insert(2, format!("lv2:symbol \"{}\"", port.symbol(channels)));
    lines.insert(3, format!("lv2:name \"{}\"", port.name(channels)));
    format!("[\n\t\t{} ;\n\t]", lines.join(" ;\n\t\t"))
}

fn values(parameter: EngineParameter) -> Vec<String> {
    if parameter == EngineParameter::Bypass {
        return vec![
            "lv2:designation lv2:enabled".to_owned(),
            "lv2:portProperty lv2:toggled".to_owned(),
            "lv2:default 1 ;\n\t\tlv2:minimum 0 ;\n\t\tlv2:maximum 1".to_owned(),
            "rdfs:comment \"Off: the input, delayed by the latency.\"".to_owned(),
        ];
    }
    let (low, high) = parameter.range();
    let mut lines = vec![
        format!("lv2:default {:.1}", parameter.default()),
        format!("lv2:minimum {low:.1} ;\n\t\tlv2:maximum {high:.1}"),
        format!("rdfs:comment \"{}\"", parameter.purpose()),
    ];
    let point =
        |value: f32, label: &str| format!("[ rdfs:label \"{label}\" ; rdf:value {value:.1} ]");
    match parameter.values() {
        Values::Decibels(..) => lines.push("units:unit units:db".to_owned()),
        Values::Percent => lines.push("units:unit units:pc".to_owned()),
        Values::Choice([first, second]) => {
            lines.push("lv2:portProperty lv2:enumeration , lv2:integer".to_owned());
            let points = [point(0.0, first), point(1.0, second)].join(" , ");
            lines.push(format!("lv2:scalePoint {points}"));
        }
        Values::Switch => lines.push("lv2:portProperty lv2:toggled".to_owned()),
    }
    if parameter == EngineParameter::Reduction {
        lines.push(format!("lv2:scalePoint {}", point(REDUCTION_FULL, "Full")));
    }
    lines
}

fn presets() -> String {
    let mut text = PREFIXES.to_owned();
    for channels in [1, 2] {
        for preset in &FACTORY {
            let values = preset.settings.iter().filter_map(|(name, value)| {
                let parameter =
                    EngineParameter::ALL.into_iter().find(|parameter| parameter.id() == *name)?;
                let mut controls = Controls::default();
                preset::apply(&mut controls, name, value)?;
                let plain = parameter.plain(&controls);
                Some(format!("[\n\t\tlv2:symbol \"{name}\" ;\n\t\tpset:value {plain:.1} ;\n\t]"))
            });
            let _ = write!(
                text,
                "\n<{}>\n\ta pset:Preset ;\n\tlv2:appliesTo <{}> ;\n\trdfs:label \"{}\" ;\n\t\
                 rdfs:comment \"{}\" ;\n\tlv2:port {} .\n",
                preset_uri(channels, preset.name),
                uri(channels),
                preset.name,
                preset.purpose,
                values.collect::<Vec<_>>().join(" , ")
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use wisp::{Engine, Model};

    use super::*;

    #[test]
    fn no_latency_is_longer() {
        for rate in [8_001, 44_100, 48_000, 192_001, 384_000, 383_999] {
            let engine = Engine::new(&Model::live(), rate, 1).expect("an engine");
            assert!(engine.latency_samples() <= MOST_LATENCY, "{rate} Hz");
        }
    }

    #[test]
    fn presets_set_every_value_they_name() {
        let text = presets();
        let settings: usize = FACTORY.iter().map(|preset| preset.settings.len()).sum();
        assert_eq!(text.matches("pset:value").count(), 2 * settings);
    }
}
