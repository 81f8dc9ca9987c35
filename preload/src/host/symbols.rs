//! Looking a symbol up in one mapped object, by its hash table.
//!
//! `dlsym` is not asked: below glibc 2.34 a plain program has none, it takes the loader's lock, and it answers by who
//! called it.

use super::objects::{Dynamic, LinkMap};

const DT_NULL: usize = 0;
const DT_HASH: usize = 4;
pub(super) const DT_STRTAB: usize = 5;
pub(super) const DT_SYMTAB: usize = 6;
const DT_STRSZ: usize = 10;
const DT_VERSYM: usize = 0x6fff_fff0;
const DT_GNU_HASH: usize = 0x6fff_fef5;

/// Marks a version that only old references get.
const VERSION_HIDDEN: u16 = 0x8000;
const STT_GNU_IFUNC: u8 = 10;
/// Longer chains than any real table has: a damaged one must not hold us up.
const MOST_IN_CHAIN: u32 = 4096;

/// A symbol's name with the hashes of both kinds of table.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    text: &'static [u8],
    gnu: u32,
    sysv: u32,
}

impl Name {
    pub(crate) const fn new(text: &'static str) -> Name {
        let text = text.as_bytes();
        let (mut gnu, mut sysv) = (5381u32, 0u32);
        let mut rest = text;
        while let [byte, after @ ..] = rest {
            gnu = gnu.wrapping_mul(33).wrapping_add(*byte as u32);
            sysv = (sysv << 4).wrapping_add(*byte as u32);
            sysv ^= (sysv >> 24) & 0xf0;
            sysv &= 0x0fff_ffff;
            rest = after;
        }
        Name { text, gnu, sysv }
    }
}

#[repr(C)]
pub(super) struct Symbol {
    pub(super) name: u32,
    info: u8,
    other: u8,
    pub(super) section: u16,
    value: usize,
    size: usize,
}

struct Tables {
    base: usize,
    symbols: *const Symbol,
    strings: *const u8,
    strings_size: usize,
    versions: *const u16,
    gnu_hash: *const u32,
    sysv_hash: *const u32,
}

impl Tables {
    /// # Safety
    ///
    /// `object` is an entry of the loader's list.
    unsafe fn of(object: &LinkMap) -> Option<Tables> {
        let mut tables = Tables {
            base: object.base,
            symbols: core::ptr::null(),
            strings: core::ptr::null(),
            strings_size: 0,
            versions: core::ptr::null(),
            gnu_hash: core::ptr::null(),
            sysv_hash: core::ptr::null(),
        };
        // glibc stores absolute addresses in the dynamic section (but not in the kernel's read-only vDSO), musl relative
        // ones.
        let address = |value: usize| if value < object.base { value.wrapping_add(object.base) } else { value };
        let mut entry: *const Dynamic = object.dynamic;
        if entry.is_null() {
            return None;
        }
        // SAFETY: a mapped object's dynamic section, which ends with DT_NULL.
        unsafe {
            while (*entry).tag != DT_NULL {
                let value = (*entry).value;
                match (*entry).tag {
                    DT_SYMTAB => tables.symbols = address(value) as *const Symbol,
                    DT_STRTAB => tables.strings = address(value) as *const u8,
                    DT_STRSZ => tables.strings_size = value,
                    DT_VERSYM => tables.versions = address(value) as *const u16,
                    DT_GNU_HASH => tables.gnu_hash = address(value) as *const u32,
                    DT_HASH => tables.sysv_hash = address(value) as *const u32,
                    _ => {}
                }
                entry = entry.add(1);
            }
        }
        (!tables.symbols.is_null() && !tables.strings.is_null()).then_some(tables)
    }

    /// The address of symbol `index`, if it is the definition that a new reference to `name` would get.
    ///
    /// # Safety
    ///
    /// `index` came from the object's own hash table.
    unsafe fn definition(&self, index: u32, name: &Name) -> Option<usize> {
        // SAFETY: the hash table names only symbols that the table has.
        let symbol = unsafe { &*self.symbols.add(index as usize) };
        let end = (symbol.name as usize).checked_add(name.text.len())?;
        if symbol.section == 0 || symbol.info & 0xf == STT_GNU_IFUNC || end >= self.strings_size {
            return None;
        }
        // SAFETY: [name, end] lies inside the string table (checked above).
        let (text, after) = unsafe {
            let start = self.strings.add(symbol.name as usize);
            (core::slice::from_raw_parts(start, name.text.len()), *start.add(name.text.len()))
        };
        if text != name.text || after != 0 {
            return None;
        }
        // SAFETY: the version table, where there is one, is as long as the symbol table.
        if !self.versions.is_null() && unsafe { *self.versions.add(index as usize) } & VERSION_HIDDEN != 0 {
            return None;
        }
        Some(self.base.wrapping_add(symbol.value))
    }

    /// # Safety
    ///
    /// `gnu_hash` is the object's own table.
    unsafe fn find_gnu(&self, name: &Name) -> Option<usize> {
        // SAFETY: the table's layout: four words, the Bloom filter of 64-bit words, the buckets, the chains. All indices
        // are taken modulo the sizes that the table itself states.
        unsafe {
            let buckets = *self.gnu_hash;
            let first_symbol = *self.gnu_hash.add(1);
            let bloom_size = *self.gnu_hash.add(2);
            let bloom_shift = *self.gnu_hash.add(3);
            let bloom = self.gnu_hash.add(4).cast::<u64>();
            let word = bloom.add((name.gnu / 64).checked_rem(bloom_size)? as usize).read_unaligned();
            let bits = (1u64 << (name.gnu % 64)) | (1u64 << (name.gnu.wrapping_shr(bloom_shift) % 64));
            if word & bits != bits {
                return None;
            }
            let bucket = bloom.add(bloom_size as usize).cast::<u32>();
            let chain = bucket.add(buckets as usize);
            let mut index = *bucket.add(name.gnu.checked_rem(buckets)? as usize);
            for _ in 0..MOST_IN_CHAIN {
                let hash = *chain.add(index.checked_sub(first_symbol)? as usize);
                if hash | 1 == name.gnu | 1
                    && let Some(address) = self.definition(index, name)
                {
                    return Some(address);
                }
                if hash & 1 != 0 {
                    return None;
                }
                index = index.checked_add(1)?;
            }
        }
        None
    }

    /// # Safety
    ///
    /// `sysv_hash` is the object's own table.
    unsafe fn find_sysv(&self, name: &Name) -> Option<usize> {
        // SAFETY: the table's layout: two counts, the buckets, the chains; indices are checked against the counts.
        unsafe {
            let buckets = *self.sysv_hash;
            let symbols = *self.sysv_hash.add(1);
            let bucket = self.sysv_hash.add(2);
            let chain = bucket.add(buckets as usize);
            let mut index = *bucket.add(name.sysv.checked_rem(buckets)? as usize);
            for _ in 0..MOST_IN_CHAIN {
                if index == 0 || index >= symbols {
                    return None;
                }
                if let Some(address) = self.definition(index, name) {
                    return Some(address);
                }
                index = *chain.add(index as usize);
            }
        }
        None
    }
}

/// Hands every name that `object` defines to `found`, with its index and address.
///
/// # Safety
///
/// `object` is an entry of the loader's list that stays mapped meanwhile.
pub(crate) unsafe fn lookup(object: &LinkMap, names: &[Name], mut found: impl FnMut(usize, usize)) {
    // SAFETY: the caller's promise.
    let Some(tables) = (unsafe { Tables::of(object) }) else { return };
    for (position, name) in names.iter().enumerate() {
        // SAFETY: the tables are the object's own.
        let address = unsafe {
            if !tables.gnu_hash.is_null() {
                tables.find_gnu(name)
            } else if !tables.sysv_hash.is_null() {
                tables.find_sysv(name)
            } else {
                None
            }
        };
        if let Some(address) = address {
            found(position, address);
        }
    }
}
