//! Reorders the bytes of a weights file so that gzip compresses it better; unpacking restores it bit for bit.
//!
//! Compressors work on bytes. In a float32 the exponent straddles two of them, and few exponents occur. Here all exponents
//! come first, then everything else, byte by byte; the zeros of bfloat16 numbers, which most weights are, are omitted.
//!
//! `[length of the header][header][number of runs][runs][planes]`, lengths as little-endian u32. Runs are numbers of words,
//! alternately whole ones and upper halves. Planes: exponents; sign and upper mantissa; of whole words the rest, two planes.

/// Shorter runs of halves are stored as whole words.
const SHORTEST_RUN: usize = 64;

/// Lengths of runs, whole words first.
#[cfg_attr(not(test), allow(dead_code))] // used by the build script
fn runs(words: &[u32]) -> Vec<usize> {
    let mut runs = vec![0];
    let mut at = 0;
    while at < words.len() {
        let halves = words[at..].iter().take_while(|&w| w & 0xffff == 0).count();
        // The last element of an odd number counts whole words.
        let in_halves = runs.len().is_multiple_of(2);
        let long = halves >= SHORTEST_RUN;
        let step = if long { halves } else { halves.max(1) };
        if long != in_halves {
            runs.push(0);
        }
        if let Some(run) = runs.last_mut() {
            *run += step;
        }
        at += step;
    }
    runs
}

/// Packs a safetensors file; `None` if it does not consist of whole words.
#[cfg_attr(not(test), allow(dead_code))] // used by the build script
pub(crate) fn pack(file: &[u8]) -> Option<Vec<u8>> {
    let length = u64::from_le_bytes(*file.first_chunk::<8>()?);
    let (header, data) = file.split_at_checked(usize::try_from(length).ok()?.checked_add(8)?)?;
    let (words, []) = data.as_chunks::<4>() else { return None };
    let words: Vec<u32> = words.iter().map(|&b| u32::from_le_bytes(b)).collect();
    let runs = runs(&words);
    let mut packed = Vec::new();
    let number = |n: usize| u32::try_from(n).ok().map(u32::to_le_bytes);
    packed.extend(number(header.len())?);
    packed.extend(header);
    packed.extend(number(runs.len())?);
    for &run in &runs {
        packed.extend(number(run)?);
    }
    packed.extend(words.iter().map(|w| (w >> 23) as u8));
    packed.extend(words.iter().map(|w| (w >> 16 & 0x7f | w >> 24 & 0x80) as u8));
    for shift in [8, 0] {
        let mut at = 0;
        for (i, &run) in runs.iter().enumerate() {
            if i.is_multiple_of(2) {
                packed.extend(words[at..at + run].iter().map(|w| (w >> shift) as u8));
            }
            at += run;
        }
    }
    Some(packed)
}

/// Restores the packed file; `None` if the bytes are not from [`pack`].
#[allow(dead_code)] // not used by the build script
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    fn number(rest: &mut &[u8]) -> Option<usize> {
        let (number, after) = rest.split_first_chunk::<4>()?;
        *rest = after;
        usize::try_from(u32::from_le_bytes(*number)).ok()
    }
    let mut rest = packed;
    let length = number(&mut rest)?;
    let (header, mut rest) = rest.split_at_checked(length)?;
    let count = number(&mut rest)?;
    let runs: Vec<usize> = (0..count).map_while(|_| number(&mut rest)).collect();
    let words: usize = runs.iter().sum();
    let whole: usize = runs.iter().step_by(2).sum();
    let (exponents, rest) = rest.split_at_checked(words)?;
    let (upper, rest) = rest.split_at_checked(words)?;
    let (middle, lower) = rest.split_at_checked(whole)?;
    if runs.len() != count || lower.len() != whole {
        return None;
    }
    let mut file = Vec::with_capacity(header.len() + 4 * words);
    file.extend(header);
    let mut heads = exponents.iter().zip(upper);
    let mut tails = middle.iter().zip(lower);
    for (i, &run) in runs.iter().enumerate() {
        for (&exponent, &upper) in heads.by_ref().take(run) {
            let (sign, mantissa) = (u32::from(upper) >> 7 << 31, u32::from(upper & 0x7f) << 16);
            let mut word = sign | u32::from(exponent) << 23 | mantissa;
            if i.is_multiple_of(2) {
                let (&middle, &lower) = tails.next()?;
                word |= u32::from(middle) << 8 | u32::from(lower);
            }
            file.extend(word.to_le_bytes());
        }
    }
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(words: &[u32]) -> Vec<u8> {
        let header = b"\x04\0\0\0\0\0\0\0{  }";
        header.iter().copied().chain(words.iter().flat_map(|w| w.to_le_bytes())).collect()
    }

    #[test]
    fn a_file_comes_back_to_the_bit() {
        let halves = vec![0xbf80_0000; 100];
        let mixed: Vec<u32> = (0..300).map(|i: u32| i.wrapping_mul(0x9e37_79b9)).collect();
        let joined = |parts: &[&[u32]]| file(&parts.concat());
        let files = [
            file(&[]),
            file(&[0x8000_0001]),
            file(&halves),
            joined(&[&mixed, &halves]),
            joined(&[&halves, &mixed, &halves[..10], &mixed, &halves, &halves[..1]]),
        ];
        for file in files {
            let packed = pack(&file).expect("packed");
            assert!(unpack(&packed).as_ref() == Some(&file), "{} bytes", file.len());
            for cut in 0..packed.len() {
                assert!(unpack(&packed[..cut]).is_none(), "cut at {cut} of {}", packed.len());
            }
        }
        assert_eq!(pack(b"\x09\0\0\0\0\0\0\0{  }"), None);
        assert_eq!(pack(&file(&halves)[..21]), None);
    }

    #[test]
    fn halves_take_half() {
        let halves = vec![0xbf80_0000; 4000];
        let packed = pack(&file(&halves)).expect("packed");
        assert!(packed.len() < 8100, "{} bytes", packed.len());
    }
}
