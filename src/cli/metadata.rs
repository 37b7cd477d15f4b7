//! Metadata: WAV chunks unchanged, and tags of other formats.

/// A chunk of a WAV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) id: [u8; 4],
    pub(crate) data: Vec<u8>,
}

impl Chunk {
    pub(crate) fn new(id: &[u8; 4], data: Vec<u8>) -> Self {
        Self { id: *id, data }
    }

    /// Including its header and padding byte.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.id);
        out.extend((self.data.len() as u32).to_le_bytes());
        out.extend(&self.data);
        out.extend(vec![0; self.data.len() % 2]);
    }

    pub(crate) fn put_all(chunks: &[Self]) -> Vec<u8> {
        let mut out = Vec::new();
        chunks.iter().for_each(|chunk| chunk.put(&mut out));
        out
    }
}

impl Chunk {
    fn change_rate(&mut self, from: u32, to: u32) {
        let data = &mut self.data[..];
        match &self.id {
            b"bext" => {
                let time = data.get_mut(BEXT_TIME_REFERENCE..).and_then(<[u8]>::first_chunk_mut);
                if let Some(time) = time {
                    *time = at_rate(u64::from_le_bytes(*time), from, to).to_le_bytes();
                }
            }
            // After a count, entries of 24 bytes: positions in the play list and in the audio.
            b"cue " => entries(data, 4, 24).for_each(|entry| scale(entry, &[4, 20], from, to)),
            // A play list: lengths.
            b"plst" => entries(data, 4, 12).for_each(|entry| scale(entry, &[4], from, to)),
            // For samplers: nanoseconds per sample, and loops.
            b"smpl" => {
                scale(data, &[8], to, from);
                entries(data, 36, 24).for_each(|entry| scale(entry, &[8, 12], from, to));
            }
            // Labelled regions: lengths.
            b"LIST" if data.starts_with(b"adtl") => {
                let mut rest = &mut data[4..];
                while let Some((head, behind)) = rest.split_first_chunk_mut::<8>() {
                    let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
                    let Some((entry, behind)) = behind.split_at_mut_checked(size) else { break };
                    if head.starts_with(b"ltxt") {
                        scale(entry, &[4], from, to);
                    }
                    rest = behind.get_mut(size % 2..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
}

/// Whole entries of `size` bytes from `start` on.
fn entries(data: &mut [u8], start: usize, size: usize) -> std::slice::ChunksExactMut<'_, u8> {
    data.get_mut(start..).unwrap_or_default().chunks_exact_mut(size)
}

/// Scales the 32-bit numbers at `places`.
fn scale(entry: &mut [u8], places: &[usize], from: u32, to: u32) {
    for &place in places {
        if let Some(number) = entry.get_mut(place..).and_then(<[u8]>::first_chunk_mut) {
            let scaled = at_rate(u64::from(u32::from_le_bytes(*number)), from, to);
            *number = u32::try_from(scaled).unwrap_or(u32::MAX).to_le_bytes();
        }
    }
}

/// The nearest sample at another rate.
fn at_rate(sample: u64, from: u32, to: u32) -> u64 {
    let scaled = (u128::from(sample) * u128::from(to) + u128::from(from / 2)) / u128::from(from);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// The id in readable form.
pub(crate) fn id_text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).trim_end().to_owned()
}

/// Metadata in file order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    /// Chunks before the format.
    pub(crate) first: Vec<Chunk>,
    /// Chunks between format and audio.
    pub(crate) before: Vec<Chunk>,
    /// Chunks after the audio.
    pub(crate) after: Vec<Chunk>,
    /// Tags, with Vorbis comment names in capitals.
    pub(crate) tags: Vec<(String, String)>,
    /// Names of metadata that cannot be kept.
    pub(crate) lost: Vec<String>,
}

/// Tags, and the corresponding entries of a LIST INFO chunk.
const INFO: [(&str, &[u8; 4]); 9] = [
    ("TITLE", b"INAM"),
    ("ARTIST", b"IART"),
    ("ALBUM", b"IPRD"),
    ("DATE", b"ICRD"),
    ("COMMENT", b"ICMT"),
    ("DESCRIPTION", b"ISBJ"),
    ("GENRE", b"IGNR"),
    ("COPYRIGHT", b"ICOP"),
    ("TRACKNUMBER", b"ITRK"),
];

/// The start of the recording, in samples since midnight.
const TIME_REFERENCE: &str = "TIME_REFERENCE";
/// Positions of Broadcast WAV's fields (EBU Tech 3285).
const BEXT_DATE: usize = 320;
const BEXT_TIME_REFERENCE: usize = 338;
const BEXT_BYTES: usize = 602;

impl Metadata {
    /// Adds a tag under its Vorbis comment name; tags that do not describe the recording are skipped.
    pub(crate) fn tag(&mut self, name: &str, value: impl Into<String>) {
        let name = match name.to_ascii_uppercase().replace([' ', '-'], "_").as_str() {
            // About the encoder, or about the original file.
            "ENCODER"
            | "ENCODED_BY"
            | "MAJOR_BRAND"
            | "MINOR_VERSION"
            | "COMPATIBLE_BRANDS"
            | "VENDOR"
            | "DURATION"
            | "ALBUM@DURATION"
            | "HANDLER_NAME"
            | "VENDOR_ID"
            | "LANGUAGE"
            | "WAVEFORMATEXTENSIBLE_CHANNEL_MASK" => return,
            "TIMEREFERENCE" | "TIME_REFERENCE" => TIME_REFERENCE.to_owned(),
            name => name.to_owned(),
        };
        let value = value.into().trim_end_matches('\0').trim().to_owned();
        if !value.is_empty() && !self.tags.iter().any(|tag| tag.0 == name && tag.1 == value) {
            self.tags.push((name, value));
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|tag| tag.0 == name).map(|tag| tag.1.as_str())
    }

    /// Whether it comes from a WAV file, whose chunks are complete.
    fn has_chunks(&self) -> bool {
        [&self.first, &self.before, &self.after].iter().any(|chunks| !chunks.is_empty())
    }

    /// Converts tags to WAV chunks; tags without a counterpart are lost.
    pub(crate) fn into_chunks(mut self) -> Self {
        let tags = std::mem::take(&mut self.tags);
        let said = self.as_tags();
        self.tags = tags;
        self.tags.retain(|tag| !said.contains(tag));
        let known = |id: &[u8; 4]| {
            [&self.first, &self.before, &self.after].iter().any(|c| c.iter().any(|c| c.id == *id))
        };
        let time = self.value(TIME_REFERENCE).and_then(|text| text.parse::<u64>().ok());
        if let Some(time) = time.filter(|_| !known(b"bext")) {
            let mut bext = vec![0; BEXT_BYTES];
            let mut put = |at: usize, length: usize, text: Option<&str>| {
                // These fields are ASCII.
                let text = text
                    .unwrap_or_default()
                    .chars()
                    .map(|c| if c.is_ascii() { c as u8 } else { b'?' });
                for (byte, c) in bext[at..at + length].iter_mut().zip(text) {
                    *byte = c;
                }
            };
            put(0, 256, self.value("DESCRIPTION").or(self.value("TITLE")));
            put(256, 32, self.value("ORIGINATOR"));
            put(288, 32, self.value("ORIGINATOR_REFERENCE"));
            put(BEXT_DATE, 10, self.value("ORIGINATION_DATE").or(self.value("DATE")));
            put(BEXT_DATE + 10, 8, self.value("ORIGINATION_TIME"));
            bext[BEXT_TIME_REFERENCE..][..8].copy_from_slice(&time.to_le_bytes());
            bext[BEXT_TIME_REFERENCE + 8] = 1;
            self.before.push(Chunk::new(b"bext", bext));
        }
        let mut info = b"INFO".to_vec();
        for (name, value) in std::mem::take(&mut self.tags) {
            match INFO.iter().find(|(tag, _)| *tag == name) {
                Some((_, id)) => {
                    let mut text = value.into_bytes();
                    text.push(0);
                    Chunk::new(id, text).put(&mut info);
                }
                None if time.is_some()
                    && (name == TIME_REFERENCE || name.starts_with("ORIGINAT")) => {}
                None => self.lost.push(name),
            }
        }
        if info.len() > 4 {
            self.before.push(Chunk::new(b"LIST", info));
        }
        self
    }

    /// Converts WAV chunks to tags, for a file without chunks.
    pub(crate) fn as_tags(&self) -> Vec<(String, String)> {
        let mut tags = Self { tags: self.tags.clone(), ..Self::default() };
        for chunk in [&self.first, &self.before, &self.after].into_iter().flatten() {
            match &chunk.id {
                b"bext" if chunk.data.len() >= BEXT_TIME_REFERENCE + 8 => {
                    let field = |at: usize, length: usize| text(&chunk.data[at..at + length]);
                    let time =
                        chunk.data[BEXT_TIME_REFERENCE..][..8].try_into().map(u64::from_le_bytes);
                    tags.tag("DESCRIPTION", field(0, 256));
                    tags.tag("ORIGINATOR", field(256, 32));
                    tags.tag("ORIGINATOR_REFERENCE", field(288, 32));
                    tags.tag("ORIGINATION_DATE", field(BEXT_DATE, 10));
                    tags.tag("ORIGINATION_TIME", field(BEXT_DATE + 10, 8));
                    tags.tag(TIME_REFERENCE, time.unwrap_or_default().to_string());
                }
                b"LIST" if chunk.data.starts_with(b"INFO") => {
                    for entry in split(&chunk.data[4..]) {
                        if let Some((name, _)) = INFO.iter().find(|(_, id)| **id == entry.id) {
                            tags.tag(name, text(&entry.data));
                        }
                    }
                }
                _ => {}
            }
        }
        tags.tags
    }

    /// Rescales positions in samples (the time reference, markers and loops) from `from` to `to` Hz. Returns the chunks that
    /// were removed because they state the old rate.
    pub(crate) fn change_rate(&mut self, from: u32, to: u32) -> Vec<String> {
        if from == to {
            return Vec::new();
        }
        for (name, value) in &mut self.tags {
            if name == TIME_REFERENCE
                && let Ok(time) = value.parse()
            {
                *value = at_rate(time, from, to).to_string();
            }
        }
        let mut stale = Vec::new();
        for chunks in [&mut self.first, &mut self.before, &mut self.after] {
            chunks.retain(|chunk| {
                let states_rate = chunk.id == *b"iXML";
                stale.extend(states_rate.then(|| id_text(&chunk.id)));
                !states_rate
            });
            chunks.iter_mut().for_each(|chunk| chunk.change_rate(from, to));
        }
        stale
    }

    /// The chunks as `flac --keep-foreign-metadata` stores them, for blocks of the application "riff".
    pub(crate) fn as_foreign(&self, format: &[u8], sound: u64) -> Vec<Vec<u8>> {
        if !self.has_chunks() {
            return Vec::new();
        }
        let sized = |id: &[u8], size: u64| {
            [id, &u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes()].concat()
        };
        let whole = |chunks: &[Chunk]| -> Vec<Vec<u8>> {
            chunks.iter().map(|chunk| Chunk::put_all(std::slice::from_ref(chunk))).collect()
        };
        let lists = [&self.first, &self.before, &self.after].map(|chunks| whole(chunks));
        let bytes: usize = lists.iter().flatten().map(Vec::len).sum();
        let total = 4 + bytes as u64 + format.len() as u64 + 8 + sound + sound % 2;
        let [first, before, after] = lists;
        let mut blocks = vec![[sized(b"RIFF", total), b"WAVE".to_vec()].concat()];
        blocks.extend(first);
        blocks.push(format.to_vec());
        blocks.extend(before);
        blocks.push(sized(b"data", sound));
        blocks.extend(after);
        blocks
    }

    /// Restores the output of [`Metadata::as_foreign`], block by block; false for other blocks.
    pub(crate) fn take_foreign(&mut self, block: &[u8], place: &mut Place) -> bool {
        let Some((head, rest)) = block.split_first_chunk::<8>() else { return false };
        let id = [head[0], head[1], head[2], head[3]];
        match &id {
            b"RIFF" | b"RF64" | b"BW64" if rest.starts_with(b"WAVE") => *place = Place::First,
            b"fmt " => *place = Place::Before,
            b"data" => *place = Place::After,
            _ if is_stale(&id) => {}
            _ => {
                let Some(chunk) = split(block).into_iter().next() else { return false };
                match place {
                    Place::First => self.first.push(chunk),
                    Place::Before => self.before.push(chunk),
                    Place::After => self.after.push(chunk),
                }
            }
        }
        true
    }
}

/// Position of chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    First,
    Before,
    After,
}

/// Chunks with the audio, its format or spare room, which the result has its own versions of.
pub(crate) fn is_own(id: &[u8; 4]) -> bool {
    let own: [&[u8; 4]; 10] =
        [b"fmt ", b"data", b"fact", b"ds64", b"JUNK", b"junk", b"FLLR", b"PAD ", b"filr", b"fill"];
    own.contains(&id)
}

/// Chunks that describe the original samples: peaks, overviews, checksums.
pub(crate) fn is_stale(id: &[u8; 4]) -> bool {
    let stale: [&[u8; 4]; 6] = [b"PEAK", b"levl", b"MD5 ", b"ovwf", b"LGWV", b"r64m"];
    is_own(id) || stale.contains(&id)
}

/// Consecutive chunks, up to the first incomplete one.
fn split(mut bytes: &[u8]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let Some(data) = rest.get(..size) else { break };
        chunks.push(Chunk::new(&[head[0], head[1], head[2], head[3]], data.to_vec()));
        bytes = rest.get(size + size % 2..).unwrap_or_default();
    }
    chunks
}

/// Up to the first zero; bytes that are not UTF-8 are read as Latin-1.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_chunks_and_come_back() {
        let mut metadata = Metadata::default();
        for (name, value) in [
            ("title", "Take 3"),
            ("time_reference", "171050880"),
            ("origination_date", "2024-03-08"),
            ("encoder", "Lavf"),
            ("mood", "grim"),
        ] {
            metadata.tag(name, value);
        }
        let chunks = metadata.into_chunks();
        assert_eq!(chunks.lost, ["MOOD"]);
        let ids: Vec<&[u8; 4]> = chunks.before.iter().map(|chunk| &chunk.id).collect();
        assert_eq!(ids, [b"bext", b"LIST"]);
        assert_eq!(chunks.before[0].data[338..346], 171_050_880u64.to_le_bytes());
        let tags = chunks.as_tags();
        let value = |name: &str| tags.iter().find(|tag| tag.0 == name).map(|tag| tag.1.as_str());
        assert_eq!(value("TIME_REFERENCE"), Some("171050880"));
        assert_eq!(value("TITLE"), Some("Take 3"));
        assert_eq!(value("ORIGINATION_DATE"), Some("2024-03-08"));
    }

    #[test]
    fn positions_follow_the_rate() {
        let words = |numbers: &[u32]| -> Vec<u8> {
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
        };
        let mut bext = vec![0; BEXT_BYTES];
        bext[BEXT_TIME_REFERENCE..][..8].copy_from_slice(&(1u64 << 33).to_le_bytes());
        let cue = |at: u32| Chunk::new(b"cue ", words(&[1, 1, at, 0, 0, 0, at]));
        let adtl = |length: u32| {
            let mut data = b"adtllabl".to_vec();
            data.extend(words(&[5, 1]));
            data.extend(b"\0\0ltxt");
            data.extend(words(&[20, 1, length, 0, 0, 0]));
            Chunk::new(b"LIST", data)
        };
        let smpl = |period: u32, start: u32, end: u32| {
            let head = [0, 0, period, 60, 0, 0, 0, 1, 0];
            Chunk::new(b"smpl", words(&[&head[..], &[0, 0, start, end, 0, 0]].concat()))
        };
        let cut = Chunk::new(b"cue ", vec![9; 3]);
        let mut metadata = Metadata {
            first: vec![Chunk::new(b"bext", bext), Chunk::new(b"iXML", b"<BWFXML/>".to_vec())],
            after: vec![cue(48_000), adtl(24_000), smpl(20_833, 480, 48_001), cut.clone()],
            tags: vec![
                (TIME_REFERENCE.to_owned(), "96000".to_owned()),
                ("TITLE".to_owned(), "48000".to_owned()),
            ],
            ..Metadata::default()
        };
        assert!(metadata.change_rate(48_000, 48_000).is_empty());
        assert_eq!(metadata.first.len(), 2);
        assert_eq!(metadata.change_rate(48_000, 16_000), ["iXML"]);
        let time = metadata.first[0].data[BEXT_TIME_REFERENCE..].first_chunk().expect("a field");
        assert_eq!(u64::from_le_bytes(*time), (1u64 << 33).div_ceil(3));
        assert_eq!(metadata.after, [cue(16_000), adtl(8_000), smpl(62_499, 160, 16_000), cut]);
        assert_eq!(metadata.tags[0].1, "32000");
        assert_eq!(metadata.tags[1].1, "48000");
    }

    #[test]
    fn chunks_go_through_flac_and_keep_their_order() {
        let metadata = Metadata {
            first: vec![Chunk::new(b"bext", vec![1; 5])],
            before: vec![Chunk::new(b"odd!", vec![2; 3])],
            after: vec![Chunk::new(b"cue ", vec![3; 4]), Chunk::new(b"LIST", vec![4; 6])],
            ..Metadata::default()
        };
        let (mut back, mut place) = (Metadata::default(), Place::First);
        for block in metadata.as_foreign(b"fmt \x02\0\0\0ab", 10) {
            assert!(back.take_foreign(&block, &mut place), "{block:?}");
        }
        assert_eq!(back.first, metadata.first);
        assert_eq!(back.before, metadata.before);
        assert_eq!(back.after, metadata.after);
        assert!(!back.take_foreign(b"RIF", &mut place));
        assert!(!back.take_foreign(b"LIST\x09\0\0\0abc", &mut place));
    }
}
