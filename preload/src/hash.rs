//! One short number for a text.

/// As FNV-1a, 64 bits, but of eight bytes at a time. What is kept of it never leaves the process.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    // Odd, with bits everywhere, as a product has to carry what is in the high bytes down again.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let on = |hash: u64, word: u64| {
        let product = (hash ^ word).wrapping_mul(FACTOR);
        product ^ product >> 29
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64, |hash, word| on(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| on(hash, (*byte).into()))
}

#[cfg(test)]
mod tests {
    use super::hash;
    use std::collections::HashSet;
    use std::vec::Vec;

    #[test]
    fn texts_that_differ_in_a_bit_have_other_numbers() {
        let text: Vec<u8> = (0..61).map(|number: u8| number.wrapping_mul(7)).collect();
        let mut seen = HashSet::from([hash(&text), hash(&text[..60])]);
        for bit in 0..text.len() * 8 {
            let mut other = text.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(seen.insert(hash(&other)), "bit {bit}");
        }
        assert_eq!(hash(&text), hash(&text.clone()));
    }
}
