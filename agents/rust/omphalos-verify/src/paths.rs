//! The rules a name must obey (`docs/format/paths.md`), alone and among others.
//!
//! Rules of this file: every rule is judged by itself, and all that are broken are reported. Nothing is repaired. No
//! name costs more than in proportion to its length: normalization is asked of names of at most 255 bytes only.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use unicode_normalization::{is_nfc, UnicodeNormalization};

use crate::findings::Id;

const MAX_COMPONENT_BYTES: usize = 255;
const MAX_PATH_BYTES: usize = 1024;
/// How many components a path may have.
pub const MAX_COMPONENTS: usize = 64;

/// Every rule that a path breaks.
pub type Broken = BTreeSet<Id>;

/// The form in which two names are equal that some file system cannot keep apart: NFD(casefold(NFD(x))).
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let decomposed: String = name.nfd().collect();
    casefold(&decomposed).nfd().collect()
}

/// Full Unicode case folding, without normalization.
pub fn casefold(text: &str) -> String {
    caseless::default_case_fold_str(text)
}

/// Normalization form C.
pub fn nfc(text: &str) -> String {
    text.nfc().collect()
}

/// Every rule that one component breaks.
pub fn check_component(name: &str) -> Broken {
    let mut broken = Broken::new();
    component(name, &mut broken);
    broken
}

/// Every rule that a whole path breaks.
pub fn check_path(path: &str) -> Broken {
    let mut broken = Broken::new();
    let rest = path.trim_start_matches('/');
    let drive = matches!(rest.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    let home = rest.split('/').next() == Some("~");
    if rest.len() != path.len() || rest.starts_with('\\') || drive || home {
        broken.insert(Id::PathAbsolute);
    }
    if path.len() > MAX_PATH_BYTES {
        broken.insert(Id::PathTooLong);
    }
    let mut count = 0_usize;
    for part in rest.split('/') {
        count += 1;
        component(part, &mut broken);
    }
    if count > MAX_COMPONENTS {
        broken.insert(Id::PathTooDeep);
    }
    broken
}

/// What `check_path` says of bytes, or `notUtf8` alone where they are not text.
pub fn check_path_bytes(path: &[u8]) -> Broken {
    match std::str::from_utf8(path) {
        Ok(text) => check_path(text),
        Err(_) => Broken::from([Id::NotUtf8]),
    }
}

fn component(name: &str, broken: &mut Broken) {
    if is_plain(name) {
        return;
    }
    match name {
        "" | "." => {
            broken.insert(Id::PathEmptyComponent);
            return;
        }
        ".." => {
            broken.insert(Id::PathDotdot);
            return;
        }
        _ => {}
    }
    for c in name.chars() {
        let finding = match c {
            '/' => Id::PathSlash,
            '\\' => Id::PathBackslash,
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Id::PathControl,
            '<' | '>' | ':' | '"' | '|' | '?' | '*' => Id::PathStream,
            c if is_invisible(c) => Id::PathInvisible,
            _ => continue,
        };
        broken.insert(finding);
    }
    if is_device(name) {
        broken.insert(Id::PathReserved);
    }
    if name.ends_with(['.', ' ']) {
        broken.insert(Id::PathTrailing);
    }
    if name.len() > MAX_COMPONENT_BYTES {
        broken.insert(Id::PathTooLong);
        return;
    }
    if !is_nfc(name) {
        broken.insert(Id::PathNotNfc);
    }
    if is_own(name) {
        broken.insert(Id::PathOwnDir);
    }
}

/// Say quickly that an everyday name breaks no rule; `false` means only that it must be looked at.
fn is_plain(name: &str) -> bool {
    let everyday = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    name.len() <= MAX_COMPONENT_BYTES
        && name.bytes().next().is_some_and(everyday)
        && name.bytes().all(|b| everyday(b) || b == b'.')
        && !name.ends_with('.')
        && !is_device(name)
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

/// What is before the first dot or colon, without spaces at its end, is a Windows device.
fn is_device(name: &str) -> bool {
    let head = name.split(['.', ':']).next().unwrap_or_default();
    let head = head.trim_end_matches(' ').to_ascii_lowercase();
    if matches!(
        head.as_str(),
        "con" | "prn" | "aux" | "nul" | "conin$" | "conout$"
    ) {
        return true;
    }
    let number = head
        .strip_prefix("com")
        .or_else(|| head.strip_prefix("lpt"));
    let mut digits = number.unwrap_or_default().chars();
    matches!(
        (digits.next(), digits.next()),
        (Some('1'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}'), None)
    )
}

/// Say whether some file system would open the store's own folder by this name.
fn is_own(name: &str) -> bool {
    let ignored = |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let kept: String = name.chars().filter(|&c| !ignored(c)).collect();
    let folded = fold(&kept);
    let seen = folded.split(':').next().unwrap_or_default();
    let seen = seen.trim_end_matches(['.', ' ']);
    if seen == ".omphalos" {
        return true;
    }
    let Some(alias) = seen.strip_prefix("omphal~") else {
        return false;
    };
    let after = alias.trim_start_matches(|c: char| c.is_ascii_digit());
    let extension = after.strip_prefix('.');
    after.len() < alias.len() && (after.is_empty() || extension.is_some_and(|e| !e.contains('.')))
}

/// Judge a set of file paths, each by itself and against each other.
///
/// `report` is called with each finding and its path; the same may be reported more than once.
pub fn check_paths<'p>(paths: impl Iterator<Item = &'p str>, report: &mut dyn FnMut(Id, &str)) {
    let mut sorted: Vec<&str> = paths.collect();
    sorted.sort_unstable_by(|a, b| by_component(a, b));
    // Folders on the way to the present path, each with the names met in it. The first is the root.
    let mut chain: Vec<(&str, Vec<&str>)> = vec![("", Vec::new())];
    let mut previous: Option<&str> = None;
    for path in sorted.iter().copied() {
        if previous == Some(path) {
            report(Id::DuplicateEntry, path);
            continue;
        }
        previous = Some(path);
        let broken = check_path(path);
        for &finding in &broken {
            report(finding, path);
        }
        if broken.contains(&Id::PathTooLong) || broken.contains(&Id::PathTooDeep) {
            continue;
        }
        let (folders, name) = match path.rsplit_once('/') {
            Some((folders, name)) => (Some(folders), name),
            None => (None, path),
        };
        let folders = || folders.into_iter().flat_map(|text| text.split('/'));
        let shared = chain
            .iter()
            .skip(1)
            .zip(folders())
            .take_while(|((open, _), folder)| open == folder)
            .count();
        while chain.len() > shared + 1 {
            leave(&mut chain, report);
        }
        for folder in folders().skip(shared) {
            if let Some((_, names)) = chain.last_mut() {
                names.push(folder);
            }
            chain.push((folder, Vec::new()));
            let whole = chain_path(&chain);
            if sorted
                .binary_search_by(|other| by_component(other, &whole))
                .is_ok()
            {
                report(Id::PathFileDir, &whole);
            }
        }
        if let Some((_, names)) = chain.last_mut() {
            names.push(name);
        }
    }
    while !chain.is_empty() {
        leave(&mut chain, report);
    }
}

/// Compare paths component by component, so that what is in one folder stands together.
pub fn by_component(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}

fn chain_path(chain: &[(&str, Vec<&str>)]) -> String {
    let names: Vec<&str> = chain.iter().skip(1).map(|(folder, _)| *folder).collect();
    names.join("/")
}

/// Leave the innermost folder: report each name in it that folds like an earlier one.
fn leave(chain: &mut Vec<(&str, Vec<&str>)>, report: &mut dyn FnMut(Id, &str)) {
    let prefix = if chain.len() > 1 {
        chain_path(chain) + "/"
    } else {
        String::new()
    };
    let Some((_, mut names)) = chain.pop() else {
        return;
    };
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 {
        return;
    }
    let mut folded: BTreeSet<String> = BTreeSet::new();
    let mut spelled: BTreeSet<String> = BTreeSet::new();
    for name in names {
        let new_spelling = spelled.insert(nfc(name));
        if !folded.insert(fold(name)) {
            let finding = if new_spelling {
                Id::PathCaseCollision
            } else {
                Id::PathNormCollision
            };
            report(finding, &format!("{prefix}{name}"));
        }
    }
}
