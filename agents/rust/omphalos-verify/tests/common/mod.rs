//! The format pages of the project, and a small random generator whose numbers are the same everywhere.
#![allow(dead_code)] // each test file uses a part

use std::fs;
use std::path::PathBuf;

/// A file of this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .join(path)
}

/// The text of a page in docs/format.
pub fn page(name: &str) -> String {
    fs::read_to_string(repository("docs/format").join(name)).unwrap()
}

/// The fenced blocks of a page that start with `info`: the lines of each as (key, value).
pub fn vectors(name: &str, info: &str) -> Vec<Vec<(String, String)>> {
    let page = page(name);
    let fence = format!("```{info}\n");
    page.split(&fence)
        .skip(1)
        .map(|block| {
            let block = block.split("```").next().unwrap();
            block
                .lines()
                .map(|line| {
                    let (key, value) = line.split_once(':').unwrap();
                    (key.to_owned(), value.trim().to_owned())
                })
                .collect()
        })
        .collect()
}

/// The value of the one line of this key.
pub fn one<'v>(vector: &'v [(String, String)], key: &str) -> &'v str {
    &vector.iter().find(|(name, _)| name == key).unwrap().1
}

/// The values of all lines of this key.
pub fn all<'v>(vector: &'v [(String, String)], key: &str) -> Vec<&'v str> {
    let of_key = vector.iter().filter(|(name, _)| name == key);
    of_key.map(|(_, value)| value.as_str()).collect()
}

/// The bytes of hex digits.
pub fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The text of a JSON string.
pub fn string(json: &str) -> String {
    let value = omphalos_verify::strictjson::parse(json.as_bytes(), 1 << 20).unwrap();
    value.text().unwrap().to_owned()
}

/// The manifest that docs/format/manifest.md shows.
pub fn manifest() -> String {
    let page = page("manifest.md");
    let block = page.split("```json\n").nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % (bound.max(1) as u64)) as usize
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
