//! The edit list of an MPEG-4 file, which defines where its audio starts and ends. symphonia 0.6 does not read it.
use std::io::{self, Read, Seek, SeekFrom};

/// The part of a track's samples to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Samples of encoder delay before it.
    pub(crate) skip: u64,
    /// Samples to play; none: all.
    pub(crate) frames: Option<u64>,
}

/// A box: its name and the position of its data.
struct Place {
    name: [u8; 4],
    from: u64,
    to: u64,
}

/// The edit of a track that has exactly one.
pub(crate) fn edit<R: Read + Seek>(file: &mut R, track: u32) -> io::Result<Option<Edit>> {
    let end = file.seek(SeekFrom::End(0))?;
    let Some(moov) = find(file, 0, end, b"moov")? else { return Ok(None) };
    let Some(movie_scale) = find(file, moov.from, moov.to, b"mvhd")? else { return Ok(None) };
    let movie_scale = scale(&data(file, &movie_scale)?);
    for trak in boxes(file, moov.from, moov.to)?.into_iter().filter(|place| &place.name == b"trak")
    {
        let Some(head) = find(file, trak.from, trak.to, b"tkhd")? else { continue };
        let head = data(file, &head)?;
        let at = if head.first() == Some(&1) { 20 } else { 12 };
        if word(&head, at) != Some(track) {
            continue;
        }
        let Some(edts) = find(file, trak.from, trak.to, b"edts")? else { return Ok(None) };
        let Some(elst) = find(file, edts.from, edts.to, b"elst")? else { return Ok(None) };
        let Some(mdia) = find(file, trak.from, trak.to, b"mdia")? else { return Ok(None) };
        let Some(mdhd) = find(file, mdia.from, mdia.to, b"mdhd")? else { return Ok(None) };
        let media_scale = scale(&data(file, &mdhd)?);
        let list = data(file, &elst)?;
        return Ok(entry(&list, movie_scale, media_scale));
    }
    Ok(None)
}

/// The only entry of a list that is not empty.
fn entry(list: &[u8], movie_scale: Option<u32>, media_scale: Option<u32>) -> Option<Edit> {
    let wide = list.first() == Some(&1);
    let step = if wide { 20 } else { 12 };
    let count = usize::try_from(word(list, 4)?).ok()?.min(64);
    let mut entries = (0..count).filter_map(|i| {
        let at = 8 + i * step;
        let long =
            |at: usize| Some(u64::from(word(list, at)?) << 32 | u64::from(word(list, at + 4)?));
        if wide {
            Some((long(at)?, long(at + 8)? as i64))
        } else {
            Some((u64::from(word(list, at)?), i64::from(word(list, at + 4)? as i32)))
        }
    });
    // A time of -1 is a pause.
    let (duration, start) = entries.find(|(_, start)| *start >= 0)?;
    if entries.any(|(_, start)| start >= 0) {
        return None;
    }
    // Lengths in units longer than a sample give only an approximate end.
    let frames = match (movie_scale?, media_scale?) {
        (movie, media) if movie == media && duration > 0 => Some(duration),
        (movie, media) if movie > 0 && duration > 0 => {
            let samples = u128::from(duration) * u128::from(media);
            samples.is_multiple_of(u128::from(movie)).then(|| (samples / u128::from(movie)) as u64)
        }
        _ => None,
    };
    Some(Edit { skip: u64::try_from(start).ok()?, frames })
}

/// Units per second, of `mvhd` and `mdhd`.
fn scale(head: &[u8]) -> Option<u32> {
    word(head, if head.first() == Some(&1) { 20 } else { 12 }).filter(|&scale| scale > 0)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn data<R: Read + Seek>(file: &mut R, place: &Place) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(place.from))?;
    file.by_ref().take((place.to - place.from).min(4096)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn find<R: Read + Seek>(
    file: &mut R,
    from: u64,
    to: u64,
    name: &[u8; 4],
) -> io::Result<Option<Place>> {
    Ok(boxes(file, from, to)?.into_iter().find(|place| &place.name == name))
}

fn boxes<R: Read + Seek>(file: &mut R, mut from: u64, to: u64) -> io::Result<Vec<Place>> {
    let mut boxes = Vec::new();
    // A file has few; fragmented files have many, and no edit lists.
    while from < to && boxes.len() < 1000 {
        file.seek(SeekFrom::Start(from))?;
        let mut head = Vec::new();
        file.by_ref().take(16).read_to_end(&mut head)?;
        let (Some(size), Some(name)) = (word(&head, 0), head.get(4..8)) else { break };
        let (size, start) = match (size, word(&head, 8), word(&head, 12)) {
            (0, ..) => (to - from, 8),
            (1, Some(high), Some(low)) => (u64::from(high) << 32 | u64::from(low), 16),
            (size, ..) => (u64::from(size), 8),
        };
        if size < start || size > to - from {
            break;
        }
        let name = [name[0], name[1], name[2], name[3]];
        boxes.push(Place { name, from: from + start, to: from + size });
        from += size;
    }
    Ok(boxes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        [&(data.len() as u32 + 8).to_be_bytes()[..], name, data].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn movie(scale: u32, entries: &[u32]) -> Vec<u8> {
        let list = [words(&[0, entries.len() as u32 / 3]), words(entries)].concat();
        let track = |id, list: &[u8]| {
            let media = atom(b"mdia", &atom(b"mdhd", &words(&[0, 0, 0, 48_000, 0])));
            let edits = atom(b"edts", &atom(b"elst", list));
            atom(b"trak", &[atom(b"tkhd", &words(&[0, 0, 0, id, 0])), edits, media].concat())
        };
        let head = atom(b"mvhd", &words(&[0, 0, 0, scale, 0]));
        let moov = atom(b"moov", &[head, track(1, &words(&[0, 0])), track(2, &list)].concat());
        [atom(b"ftyp", b"M4A "), atom(b"mdat", &[0; 40]), moov].concat()
    }

    #[test]
    fn the_edit_of_the_right_track_is_found() {
        let edit = |scale, entries: &[u32]| {
            edit(&mut io::Cursor::new(movie(scale, entries)), 2).expect("a movie")
        };
        let found = |skip, frames| Some(Edit { skip, frames });
        assert_eq!(edit(1000, &[450, 1024, 0x10000]), found(1024, Some(21_600)));
        assert_eq!(edit(48_000, &[21_601, 2112, 0x10000]), found(2112, Some(21_601)));
        assert_eq!(edit(600, &[7, 1024, 0x10000]), found(1024, Some(560)));
        assert_eq!(edit(7, &[3, 1024, 0x10000]), found(1024, None));
        assert_eq!(
            edit(1000, &[100, u32::MAX, 0x10000, 450, 1024, 0x10000]),
            found(1024, Some(21_600))
        );
        assert_eq!(edit(1000, &[100, 0, 0x10000, 450, 1024, 0x10000]), None);
        assert_eq!(edit(1000, &[]), None);
    }

    #[test]
    fn cut_files_have_none() {
        let whole = movie(1000, &[450, 1024, 0x10000]);
        for length in 0..whole.len() {
            assert_eq!(edit(&mut io::Cursor::new(&whole[..length]), 2).expect("no movie"), None);
        }
    }
}
