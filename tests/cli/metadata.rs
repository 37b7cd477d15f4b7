//! Chunks and tags.
use std::fs;

use crate::lab::*;

/// A Broadcast WAV chunk with this time reference.
fn bext(time: u64) -> Vec<u8> {
    let mut bytes = b"SCENE=12A".to_vec();
    bytes.resize(338, 0);
    bytes.extend(time.to_le_bytes());
    bytes.resize(602, 0);
    bytes.extend(b"A=PCM,F=48000\r\n");
    bytes
}

#[test]
fn chunks_stay_as_they_are_and_in_their_order() {
    let lab = Lab::new();
    let (data, _) = speech(&lab);
    let (form, bext) = (format(1, 1, 48_000, 16, 2), bext(171_050_880));
    let cue = [
        &1u32.to_le_bytes()[..],
        &7u32.to_le_bytes(),
        &4800u32.to_le_bytes(),
        b"data",
        &[0; 8],
        &4800u32.to_le_bytes(),
    ]
    .concat();
    let before: [(&[u8; 4], &[u8]); 2] =
        [(b"bext", &bext), (b"iXML", b"<BWFXML><SCENE>12A</SCENE></BWFXML>")];
    let between: [(&[u8; 4], &[u8]); 1] = [(b"own ", b"anything")];
    let behind: [(&[u8; 4], &[u8]); 5] = [
        (b"cue ", &cue),
        (b"LIST", b"adtllabl\x0a\0\0\0\x07\0\0\0start\0"),
        (b"LIST", b"INFOINAM\x06\0\0\0Take3\0"),
        (b"id3 ", b"ID3\x03\0\0\0\0\0\0"),
        (b"odd!", b"abc"),
    ];
    let sound: [(&[u8; 4], &[u8]); 1] = [(b"data", &data)];
    let format: [(&[u8; 4], &[u8]); 1] = [(b"fmt ", &form)];
    let junk: [(&[u8; 4], &[u8]); 1] = [(b"JUNK", &[0; 28])];
    let all = [&junk[..], &before, &format, &between, &sound, &behind].concat();
    let bytes = riff(&all);
    fs::write(lab.path("field.wav"), &bytes).expect("file");
    let kept = |name: &str, without: &[&[u8; 4]]| {
        let kept = chunks_of(&lab.path(name));
        let expected: Vec<_> =
            all.iter().filter(|(id, _)| **id != *b"JUNK" && !without.contains(id)).collect();
        let ids = |found: &[&[u8; 4]]| {
            found.iter().map(|id| String::from_utf8_lossy(*id).into_owned()).collect::<Vec<_>>()
        };
        let found: Vec<_> = kept
            .iter()
            .filter(|(id, _)| id != b"JUNK" && id != b"fact" && !without.contains(&id))
            .collect();
        assert_eq!(
            ids(&found.iter().map(|(id, _)| id).collect::<Vec<_>>()),
            ids(&expected.iter().map(|(id, _)| *id).collect::<Vec<_>>()),
            "{name}"
        );
        for ((id, data), (_, original)) in found.iter().zip(expected) {
            assert!(id == b"data" || id == b"fmt " || data == original, "{name}: {id:?}");
        }
    };
    let output = lab.ok(&["field.wav"]);
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
    kept("field.clean.wav", &[]);
    // The same at another bit depth, through a pipe, and through FLAC.
    lab.ok(&["field.wav", "-o", "float.wav", "--depth", "float"]);
    kept("float.wav", &[]);
    let piped = lab.pipe(&["-", "-o", "piped.wav"], &bytes);
    assert!(piped.status.success(), "{}", stderr(&piped));
    kept("piped.wav", &[]);
    lab.ok(&["field.wav", "-o", "field.flac"]);
    lab.ok(&["field.flac", "-o", "back.wav"]);
    kept("back.wav", &[]);
    // Chunks that describe the old samples are dropped with a warning.
    let mut stale = all.clone();
    stale.insert(3, (b"PEAK", &[1; 16]));
    fs::write(lab.path("stale.wav"), riff(&stale)).expect("file");
    let output = lab.ok(&["stale.wav"]);
    assert!(stderr(&output).contains("PEAK chunk"), "{}", stderr(&output));
    kept("stale.clean.wav", &[]);
    // If a stream states its length, the chunks after it are read too.
    let piped = lab.pipe(&["-", "-o", "-", "-q"], &bytes);
    let at = piped.stdout.windows(4).position(|id| id == b"cue ").expect("chunks behind");
    assert_eq!(piped.stdout[at..], chunks(&behind));
}

#[test]
fn other_containers_hand_on_time_and_title() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 0.3);
    let tags = [
        "-metadata",
        "title=Take 3",
        "-metadata",
        "artist=Ann",
        "-metadata",
        "time_reference=171050880",
    ];
    for name in ["a.flac", "a.ogg", "a.opus", "a.mp3", "a.m4a"] {
        if !ffmpeg(&lab, &[&["-i", "in.wav"], &tags[..], &[name]].concat()) {
            return;
        }
        lab.ok(&[name, "-o", "out.wav", "-f"]);
        let found = chunks_of(&lab.path("out.wav"));
        let list = found.iter().find(|(id, _)| id == b"LIST").map(|(_, data)| data.as_slice());
        let text = String::from_utf8_lossy(list.unwrap_or_default()).into_owned();
        assert!(
            text.contains("INAM") && text.contains("Take 3") && text.contains("Ann"),
            "{name}: {text}"
        );
        // MPEG-4 has no tag for the time.
        if name != "a.m4a" {
            let bext = found.iter().find(|(id, _)| id == b"bext").map(|(_, data)| data.as_slice());
            assert_eq!(
                bext.map(|bext| &bext[338..346]),
                Some(&171_050_880u64.to_le_bytes()[..]),
                "{name}"
            );
        }
    }
    // FLAC gets them from WAV too.
    fs::write(
        lab.path("field.wav"),
        riff(&[
            (b"bext", &bext(4711)),
            (b"fmt ", &format(1, 1, 48_000, 16, 2)),
            (b"data", &[1; 9600]),
        ]),
    )
    .expect("file");
    lab.ok(&["field.wav", "-o", "field.flac"]);
    let flac = fs::read(lab.path("field.flac")).expect("FLAC");
    assert!(String::from_utf8_lossy(&flac).contains("TIME_REFERENCE=4711"));
    // AIFF: name, markers, ID3 tag; a warning names what WAV cannot hold.
    let big = |id: &[u8; 4], data: &[u8]| {
        [&id[..], &(data.len() as u32).to_be_bytes(), data, &vec![0; data.len() % 2]].concat()
    };
    let rate = [0x40, 0x0e, 0xbb, 0x80, 0, 0, 0, 0, 0, 0];
    let common = [&[0, 1, 0, 0, 0x12, 0xc0, 0, 16][..], &rate].concat();
    let parts = [
        big(b"COMM", &common),
        big(b"NAME", b"Take 9"),
        big(b"MARK", b"\0\x01\0\x01\0\0\x03\xe8\x05start"),
        big(b"APPL", b"wispdata"),
        big(b"SSND", &[[0; 8].to_vec(), vec![1; 9600]].concat()),
        big(b"ID3 ", b"ID3\x03\0\0\0\0\0\0"),
    ];
    let body = [b"AIFF".to_vec(), parts.concat()].concat();
    fs::write(lab.path("a.aiff"), big(b"FORM", &body)).expect("file");
    let output = lab.ok(&["a.aiff", "-o", "aiff.wav"]);
    assert!(stderr(&output).contains("APPL chunk"), "{}", stderr(&output));
    let bytes = fs::read(lab.path("aiff.wav")).expect("WAV");
    for word in [&b"Take 9"[..], b"cue ", b"start", b"id3 "] {
        assert!(bytes.windows(word.len()).any(|part| part == word), "{word:?}");
    }
}
