//! Input bytes: a file, or a stream that cannot seek.
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::io::MediaSource;

use crate::cli::error::Error;

/// Bytes of an ID3v1 tag.
const ID3V1: usize = 128;

/// Whether a name means standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path == Path::new(name))
}

enum Inner {
    File(File),
    Stream(Box<dyn Read + Send + Sync>),
}

/// Bytes up to the tags that other programs append.
pub(crate) struct Source {
    inner: Inner,
    at: u64,
    /// End of the bytes; unknown for a stream.
    end: Option<u64>,
    /// Bytes that were peeked at and not yet read.
    ahead: Vec<u8>,
    /// Number of bytes held back until more arrive, for a stream that may end in a tag.
    tagged: bool,
    seekable: bool,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        if is_stdin(path) {
            return Self::stream(Box::new(io::stdin()));
        }
        // Checked before opening, because opening a pipe waits for a writer.
        let metadata = std::fs::metadata(path).map_err(Error::Read)?;
        if metadata.is_dir() {
            return Err(Error::IsDirectory);
        }
        if !metadata.is_file() {
            // Already opened by a shell, as in `wisp <(ffmpeg ...) -o clean.wav`.
            let open = ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.starts_with(folder));
            if !open {
                return Err(Error::NotAFile);
            }
            return Self::stream(Box::new(File::open(path).map_err(Error::Read)?));
        }
        let mut file = File::open(path).map_err(Error::Read)?;
        let end = end_before_tags(&mut file, metadata.len()).map_err(Error::Read)?;
        file.rewind().map_err(Error::Read)?;
        if metadata.len() == 0 {
            return Err(Error::Empty);
        }
        Ok(Self {
            inner: Inner::File(file),
            at: 0,
            end: Some(end),
            ahead: Vec::new(),
            tagged: false,
            seekable: true,
        })
    }

    fn stream(stream: Box<dyn Read + Send + Sync>) -> Result<Self, Error> {
        let inner = Inner::Stream(stream);
        let (ahead, seekable) = (Vec::new(), false);
        let mut source = Self { inner, at: 0, end: None, ahead, tagged: false, seekable };
        if source.peek(1).map_err(Error::Read)?.is_empty() {
            return Err(Error::Empty);
        }
        Ok(source)
    }

    /// Limits the source to a number of bytes, or not.
    pub(crate) fn limited(self, count: Option<u64>) -> io::Take<Self> {
        Read::take(self, count.unwrap_or(u64::MAX))
    }

    /// Treats a seekable source as a stream.
    pub(crate) fn unseekable(mut self) -> Self {
        self.seekable = false;
        self
    }

    /// Holds back a possible ID3v1 tag at the end of a stream.
    pub(crate) fn without_tag(mut self) -> Self {
        self.tagged = matches!(self.inner, Inner::Stream(_));
        self
    }

    /// Whether it can seek and has a known end.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.inner, Inner::File(_))
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes still to come, if known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.at))
    }

    /// Peeks at the next bytes, fewer at the end.
    pub(crate) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.ahead.len() < count {
            let mut more = vec![0; count - self.ahead.len()];
            let got = self.fetch(&mut more, self.at + self.ahead.len() as u64)?;
            if got == 0 {
                break;
            }
            self.ahead.extend(&more[..got]);
        }
        Ok(&self.ahead[..count.min(self.ahead.len())])
    }

    /// Reads the given number of bytes, fewer at the end.
    pub(crate) fn read_up_to(&mut self, count: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.by_ref().take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Skips bytes; returns how many there were.
    pub(crate) fn skip(&mut self, count: u64) -> io::Result<u64> {
        match self.left() {
            Some(left) => {
                let count = count.min(left);
                self.seek_to(self.at + count)?;
                Ok(count)
            }
            None => io::copy(&mut self.by_ref().take(count), &mut io::sink()),
        }
    }

    /// Seeks to a position in a file.
    pub(crate) fn seek_to(&mut self, at: u64) -> io::Result<()> {
        match &mut self.inner {
            Inner::File(file) => {
                file.seek(SeekFrom::Start(at))?;
                self.ahead.clear();
                self.at = at;
                Ok(())
            }
            Inner::Stream(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }

    /// Reads from the underlying file, from a position up to the end.
    fn fetch(&mut self, out: &mut [u8], at: u64) -> io::Result<usize> {
        let left = self.end.map_or(u64::MAX, |end| end.saturating_sub(at));
        let count = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        loop {
            let got = match &mut self.inner {
                Inner::File(file) => file.read(&mut out[..count]),
                Inner::Stream(stream) => stream.read(&mut out[..count]),
            };
            match got {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => return got,
            }
        }
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.ahead.len();
        if self.tagged {
            let wanted = out.len().min(1 << 16);
            ready = wanted;
            let ahead = self.peek(wanted + ID3V1)?.len();
            if ahead < wanted + ID3V1 {
                // The end is within reach.
                let tag = ahead.checked_sub(ID3V1);
                ready = tag.filter(|&at| self.ahead[at..].starts_with(b"TAG")).unwrap_or(ahead);
            }
        } else if ready == 0 {
            let got = self.fetch(out, self.at)?;
            self.at += got as u64;
            return Ok(got);
        }
        let count = out.len().min(ready);
        out[..count].copy_from_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.end.and_then(|end| end.checked_add_signed(by)),
        };
        self.seek_to(at.ok_or(io::ErrorKind::InvalidInput)?)?;
        Ok(self.at)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn byte_len(&self) -> Option<u64> {
        self.end
    }
}

/// The length without tags of MP3 players, which other formats can have too: ID3v1, APEv2, Lyrics3.
fn end_before_tags(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    loop {
        let count = end.min(ID3V1 as u64);
        file.seek(SeekFrom::Start(end - count))?;
        let mut tail = Vec::with_capacity(ID3V1);
        file.by_ref().take(count).read_to_end(&mut tail)?;
        let Some(size) = tag_size(&tail).filter(|&size| size < end) else { return Ok(end) };
        end -= size;
    }
}

/// Length of the tag at the end of these bytes.
fn tag_size(tail: &[u8]) -> Option<u64> {
    if tail.len() == ID3V1 && tail.starts_with(b"TAG") {
        return Some(ID3V1 as u64);
    }
    if let Some((rest, b"LYRICS200")) = tail.split_last_chunk::<9>()
        && let Some((_, digits)) = rest.split_last_chunk::<6>()
    {
        let size = std::str::from_utf8(digits).ok()?.parse::<u64>().ok()?;
        return Some(size + 15);
    }
    let (_, footer) = tail.split_last_chunk::<32>()?;
    let word = |at: usize| {
        u32::from_le_bytes([footer[at], footer[at + 1], footer[at + 2], footer[at + 3]])
    };
    // The size covers items and footer; a flag indicates a header of the same size as the footer.
    let header = if word(20) >> 31 == 1 { 32 } else { 0 };
    footer.starts_with(b"APETAGEX").then(|| u64::from(word(12)) + header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_stream(bytes: &[u8]) -> Source {
        Source::stream(Box::new(io::Cursor::new(bytes.to_vec()))).expect("a stream")
    }

    #[test]
    fn a_tag_at_the_end_of_a_stream_is_held_back() {
        for (body, tagged) in [
            (0usize, true),
            (1, true),
            (127, false),
            (128, false),
            (300, true),
            (70_000, true),
            (70_000, false),
        ] {
            let mut bytes = vec![7u8; body.max(usize::from(!tagged))];
            let expected = bytes.len();
            if tagged {
                bytes.extend(b"TAG");
                bytes.extend([0; 125]);
            }
            let mut out = Vec::new();
            of_stream(&bytes).without_tag().read_to_end(&mut out).expect("bytes");
            assert_eq!(out.len(), expected, "{body} {tagged}");
            assert!(out.iter().all(|&byte| byte == 7));
        }
    }

    #[test]
    fn tags_behind_a_file_are_measured() {
        let mut id3 = b"TAG".to_vec();
        id3.resize(128, 0);
        assert_eq!(tag_size(&id3), Some(128));
        let mut ape = vec![0; 96];
        ape.extend(b"APETAGEX\xd0\x07\0\0\x64\0\0\0\x01\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\0");
        assert_eq!(tag_size(&ape), Some(132));
        assert_eq!(tag_size(b"words000021LYRICS200"), Some(36));
        assert_eq!(tag_size(b"wordsLYRICS200"), None);
        assert_eq!(tag_size(&[0; 128]), None);
        assert_eq!(tag_size(b""), None);
    }

    #[test]
    fn what_was_looked_at_is_still_read() {
        let mut source = of_stream(b"abcdef");
        assert_eq!(source.peek(4).expect("bytes"), b"abcd");
        assert_eq!(source.skip(2).expect("bytes"), 2);
        assert_eq!(source.read_up_to(9).expect("bytes"), b"cdef");
        assert_eq!(source.at(), 6);
        assert!(source.seek_to(0).is_err());
    }
}
