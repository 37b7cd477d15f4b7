//! A weights file is either complete and valid, or refused with a reason.
mod common;

use std::error::Error;

use common::{BUNDLED, File, Random};
use wisp::{Model, WeightsError};

fn refused(file: &File) -> WeightsError {
    Model::from_bytes(&file.bytes()).expect_err("the file should be refused")
}

#[test]
fn the_bundled_file_loads() {
    let network = Model::from_bytes(BUNDLED).unwrap();
    assert_eq!(network.network().sizes(), Model::live().network().sizes());
    assert!(Model::from_bytes(&File::bundled().bytes()).is_ok(), "rewritten here");
}

#[test]
fn every_kind_of_file_loads() {
    let old = File::random(1).network();
    assert_eq!(
        (old.network().sizes().heads, old.network().sizes().full_hidden),
        (1, 0),
        "as files that do not say"
    );
    let new = File::random(2).network();
    assert_eq!((new.network().sizes().heads, new.network().sizes().full_hidden), (2, 36));
}

#[test]
fn every_tensor_is_needed() {
    for make in [File::bundled, || File::random(2)] {
        let names: Vec<String> = make().tensors.into_keys().collect();
        assert!(names.len() > 20);
        for name in names {
            let mut file = make();
            file.tensors.remove(&name);
            assert!(matches!(refused(&file), WeightsError::Missing(n) if n == name), "{name}");
        }
    }
}

#[test]
fn every_shape_is_checked() {
    for make in [File::bundled, || File::random(2)] {
        for name in make().tensors.into_keys() {
            let mut file = make();
            let (shape, data) = file.tensors.get_mut(&name).unwrap();
            shape[0] += 1;
            let row: usize = shape[1..].iter().product();
            data.extend(std::iter::repeat_n(0.0, row));
            let grown = shape.clone();
            match refused(&file) {
                WeightsError::Shape { name: n, expected, actual } => {
                    assert_eq!((n, &actual), (name, &grown));
                    assert_eq!(expected[0] + 1, actual[0]);
                }
                other => panic!("{name}: {other}"),
            }
        }
    }
}

#[test]
fn nothing_may_be_left_over_and_nothing_infinite() {
    let mut file = File::bundled();
    file.tensors.insert("extra".into(), (vec![1], vec![0.0]));
    assert!(matches!(refused(&file), WeightsError::LeftOver(names) if names == ["extra"]));

    for bad in [f32::NAN, f32::INFINITY] {
        let mut file = File::bundled();
        file.tensors.get_mut("position").unwrap().1[5] = bad;
        let error = refused(&file).to_string();
        assert!(error.contains("`position`") && error.contains("element 5"), "{error}");
    }
}

#[test]
fn metadata_are_checked() {
    let with = |metadata: &str| {
        let mut file = File::random(2);
        file.metadata = metadata.into();
        refused(&file)
    };
    assert!(matches!(with("no JSON"), WeightsError::Metadata { .. }));
    assert!(matches!(with(r#"{"format": 2}"#), WeightsError::Version { expected: 1, actual: 2 }));
    assert!(matches!(with(r#"{"format": 1}"#), WeightsError::Metadata { .. }));
    let original: serde_json::Value = serde_json::from_str(&File::random(2).metadata).unwrap();
    for (field, value) in [
        ("hidden", "1000000000000"),
        ("time_kernel", "0"),
        ("taps", "4000000000"),
        ("taps", "1"),
        ("heads", "0"),
        ("heads", "3"),
        ("full_hidden", "1026"),
        ("full_hidden", "35"),
        ("low_hidden", "1026"),
        ("low_hidden", "95"),
        ("ratio", "0"),
        ("ratio", "7"),
        ("blocks", "18446744073709551615"),
        ("high_positions", "5"),
        ("mix_hidden", "0"),
        ("look_ahead", "9"),
        ("taps_ahead", "1"),
        ("channels", "[]"),
        ("channels", "[16, 33]"),
        ("channels", "[2, 2, 2, 2, 2, 2]"),
        ("channels", "[9007199254740991]"),
    ] {
        let mut changed = original.clone();
        changed["sizes"][field] = serde_json::from_str(value).unwrap();
        let error = with(&changed.to_string());
        assert!(matches!(error, WeightsError::Size { .. }), "{field} = {value}: {error}");
    }
}

#[test]
fn errors_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing.safetensors");
    let error = Model::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("missing.safetensors"), "{error}");
    let path = directory.path().join("text.safetensors");
    std::fs::write(&path, "this is no weights' file at all").unwrap();
    let error = Model::from_file(&path).unwrap_err();
    let error = format!("{error}: {}", error.source().unwrap());
    assert!(error.contains("text.safetensors") && error.contains("safetensors file"), "{error}");
    let path = directory.path().join("good.safetensors");
    std::fs::write(&path, BUNDLED).unwrap();
    assert!(Model::from_file(&path).is_ok());
}

#[test]
fn damaged_files_are_refused_without_a_panic() {
    for length in (0..200).chain((200..BUNDLED.len()).step_by(4099)) {
        assert!(Model::from_bytes(&BUNDLED[..length]).is_err(), "cut to {length} bytes");
    }
    // Damage to the header, some of it harmless (a digit in the training notes).
    let header = 8 + u64::from_le_bytes(BUNDLED[..8].try_into().unwrap()) as usize;
    let mut random = Random(3);
    let mut refused = 0;
    for _ in 0..3000 {
        let mut bytes = BUNDLED.to_vec();
        for _ in 0..1 + random.below(3) {
            bytes[random.below(header)] = random.bits() as u8;
        }
        refused += usize::from(Model::from_bytes(&bytes).is_err());
    }
    assert!(refused > 2500, "{refused} of 3000 damaged headers refused");
}

#[test]
fn offsets_that_overflow_are_refused() {
    let huge = u64::MAX / 2;
    let header = format!(
        r#"{{"__metadata__":{{"wisp":"{{}}"}},"a":{{"dtype":"U8","shape":[{huge}],"data_offsets":[0,{huge}]}},"b":{{"dtype":"U8","shape":[{huge}],"data_offsets":[{huge},{}]}}}}"#,
        huge * 2
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    let error = Model::from_bytes(&bytes).unwrap_err();
    assert!(matches!(error, WeightsError::Offsets { .. }), "{error}");
}
