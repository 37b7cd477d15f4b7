//! The plugin's description of its parameters.
use std::ptr::null_mut;

use wisp_testing::texts::TEXTS;

use crate::host::*;

#[test]
fn text_is_read_in_any_case_and_nonsense_is_refused() {
    let plugin = Plugin::new();
    let parse = |name: &str, text: &str| {
        let mut text: Vec<TChar> = text.encode_utf16().map(|c| c as TChar).chain([0]).collect();
        let (id, mut value) = (plugin.id(name), -1.0);
        let parsed =
            com!(plugin.controller.getParamValueByString(id, text.as_mut_ptr(), &mut value));
        (parsed == kResultOk).then_some(value)
    };
    for &(name, text, value) in TEXTS {
        assert_eq!(parse(name, text), value, "{name}: {text:?}");
    }
    // The plugin reads what it writes.
    for (name, id) in plugin.parameters() {
        for value in [0.0, 0.3, 0.5, 1.0, f64::NAN] {
            let mut text = [0; 128];
            com!(plugin.controller.getParamStringByValue(id, value, &mut text));
            let text = wide(&text);
            assert!(!text.is_empty() && !text.to_lowercase().contains("nan"), "{name}: {text}");
            if !value.is_nan() {
                assert!(parse(&name, &text).is_some(), "{name}: {text}");
            }
        }
        assert_ne!(com!(plugin.controller.setParamNormalized(id, f64::NAN)), kResultOk);
    }
}

#[test]
fn lists_are_flagged_and_what_is_not_there_is_refused() {
    let plugin = Plugin::new();
    let count = com!(plugin.controller.getParameterCount());
    let mut lists = Vec::new();
    for index in 0..count {
        // SAFETY: plain data, for which all zeros is valid.
        let mut info: ParameterInfo = unsafe { std::mem::zeroed() };
        assert_eq!(com!(plugin.controller.getParameterInfo(index, &mut info)), kResultOk);
        assert_eq!(info.unitId, kRootUnitId);
        if info.flags & ParameterInfo_::ParameterFlags_::kIsList as int32 != 0 {
            lists.push(wide(&info.title));
        }
    }
    assert_eq!(lists, ["Listen", "Stereo", "Quality"]);
    // SAFETY: plain data, for which all zeros is valid.
    let (mut info, mut unit): (ParameterInfo, UnitInfo) = unsafe { std::mem::zeroed() };
    for index in [-1, count, count + 1, int32::MAX, int32::MIN] {
        assert_ne!(com!(plugin.controller.getParameterInfo(index, &mut info)), kResultOk);
    }
    // A block before setupProcessing.
    let mut data = ProcessData {
        processMode: 0,
        symbolicSampleSize: 0,
        numSamples: 8,
        numInputs: 0,
        numOutputs: 0,
        inputs: null_mut(),
        outputs: null_mut(),
        inputParameterChanges: null_mut(),
        outputParameterChanges: null_mut(),
        inputEvents: null_mut(),
        outputEvents: null_mut(),
        processContext: null_mut(),
    };
    assert_ne!(com!(plugin.processor.process(&mut data)), kResultOk);
    let units: ComPtr<IUnitInfo> = plugin.component.cast().expect("units");
    assert_eq!(com!(units.getUnitCount()), 1);
    assert_eq!(com!(units.getUnitInfo(0, &mut unit)), kResultOk);
    assert_eq!((unit.id, unit.parentUnitId), (kRootUnitId, kNoParentUnitId));
    assert_eq!(wide(&unit.name), "Wisp");
    for index in [-1, 1] {
        assert_ne!(com!(units.getUnitInfo(index, &mut unit)), kResultOk);
    }
}
