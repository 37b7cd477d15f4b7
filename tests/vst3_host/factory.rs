//! The module's contents, and the plugin's buses.
use crate::host::*;

#[test]
fn the_factory_describes_one_effect() {
    let factory = factory();
    assert_eq!(com!(factory.countClasses()), 1);
    // SAFETY: plain data, for which all zeros is valid.
    let (mut maker, mut info): (PFactoryInfo, PClassInfo2) = unsafe { std::mem::zeroed() };
    assert_eq!(com!(factory.getFactoryInfo(&mut maker)), kResultOk);
    assert_eq!(narrow(&maker.vendor), "Wisp");
    assert_eq!(narrow(&maker.url), "https://wisp.audio");
    assert_eq!(narrow(&maker.email), "support@wisp.audio");
    assert_eq!(com!(factory.getClassInfo2(0, &mut info)), kResultOk);
    assert_eq!(narrow(&info.name), "Wisp");
    assert_eq!(narrow(&info.category), "Audio Module Class");
    assert_eq!(narrow(&info.version), env!("CARGO_PKG_VERSION"));
    assert_eq!(narrow(&info.subCategories), "Fx|Restoration");
    // Sessions find the plugin by this id, so it never changes. Windows has its own byte order.
    let cid: Vec<u8> = info.cid.iter().map(|&byte| byte as u8).collect();
    let expected = if cfg!(windows) { b"psiWoVeciDenoise" } else { b"WispVoiceDenoise" };
    assert_eq!(cid[8..], expected[8..]);
    assert!(cfg!(windows) || cid == expected);
    assert_ne!(com!(factory.getClassInfo2(1, &mut info)), kResultOk);
}

/// Hosts read this file instead of loading the plugin.
#[test]
fn the_module_information_says_what_the_factory_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/moduleinfo.json");
    let text = std::fs::read_to_string(file).expect("the file");
    let text = text.replace("VERSION", env!("CARGO_PKG_VERSION"));
    let module: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let factory = factory();
    // SAFETY: plain data, for which all zeros is valid.
    let (mut maker, mut info): (PFactoryInfo, PClassInfo2) = unsafe { std::mem::zeroed() };
    assert_eq!(com!(factory.getFactoryInfo(&mut maker)), kResultOk);
    assert_eq!(com!(factory.getClassInfo2(0, &mut info)), kResultOk);
    let class = &module["Classes"][0];
    assert_eq!(module["Classes"].as_array().map(Vec::len), Some(1));
    assert_eq!(module["Name"], narrow(&info.name));
    for (there, here) in [
        (&module["Version"], narrow(&info.version)),
        (&module["Factory Info"]["Vendor"], narrow(&maker.vendor)),
        (&module["Factory Info"]["URL"], narrow(&maker.url)),
        (&module["Factory Info"]["E-Mail"], narrow(&maker.email)),
        (&class["CID"], "WispVoiceDenoise".bytes().map(|b| format!("{b:02X}")).collect()),
        (&class["Category"], narrow(&info.category)),
        (&class["Name"], narrow(&info.name)),
        (&class["Vendor"], narrow(&info.vendor)),
        (&class["Version"], narrow(&info.version)),
        (&class["SDKVersion"], narrow(&info.sdkVersion)),
    ] {
        assert_eq!(there, &here);
    }
    let categories: Vec<_> = class["Sub Categories"].as_array().expect("a list").iter().collect();
    assert_eq!(categories, narrow(&info.subCategories).split('|').collect::<Vec<_>>());
    assert_eq!(class["Class Flags"], info.classFlags);
    assert_eq!(class["Cardinality"], info.cardinality);
}

#[test]
fn there_is_one_bus_each_way_mono_or_stereo() {
    let plugin = Plugin::new();
    let audio = MediaTypes_::kAudio as MediaType;
    for direction in [BusDirections_::kInput, BusDirections_::kOutput] {
        let direction = direction as BusDirection;
        assert_eq!(com!(plugin.component.getBusCount(audio, direction)), 1);
        // SAFETY: plain data, for which all zeros is valid.
        let mut info: BusInfo = unsafe { std::mem::zeroed() };
        assert_eq!(com!(plugin.component.getBusInfo(audio, direction, 0, &mut info)), kResultOk);
        assert_eq!(info.channelCount, 2);
        assert_ne!(com!(plugin.component.getBusInfo(audio, direction, 1, &mut info)), kResultOk);
    }
    let (mono, stereo) = (SpeakerArr::kMono, SpeakerArr::kStereo);
    for (mut input, mut output, taken) in [
        (mono, mono, true),
        (stereo, stereo, true),
        (mono, stereo, false),
        (stereo, mono, false),
        (SpeakerArr::k51, SpeakerArr::k51, false),
    ] {
        let result = com!(plugin.processor.setBusArrangements(&mut input, 1, &mut output, 1));
        assert_eq!(result == kResultOk, taken, "{input:#x} to {output:#x}");
    }
    let single = SymbolicSampleSizes_::kSample32 as int32;
    assert_eq!(com!(plugin.processor.canProcessSampleSize(single)), kResultOk);
}
